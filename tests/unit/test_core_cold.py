"""Packed orders: what reads one, what takes one out, when they are forgotten; and the parts they are packed with."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal

import msgspec
import pytest
from core_script import Script
from core_twin import packing
from core_world import ACCOUNT, SECOND, VENUE, VENUE_ACCOUNT, World, core_settings

from fixgw.core import commands as c
from fixgw.core import placing
from fixgw.core.hashindex import ENTRY, FILL, HashIndex
from fixgw.core.settling import CHUNK, Settling
from fixgw.core.state import dump_state, load_state
from fixgw.core.statehash import state_hash


@pytest.fixture(autouse=True)
def at_once() -> Iterator[None]:
    """One finished order stays, two are a block."""
    with packing(1, 2):
        yield


def finished(count: int, settings: object = None) -> Script:
    """Orders a0... bought and filled in one trade t0... each; all but one are packed."""
    script = Script(World(settings) if settings is not None else World())  # type: ignore[arg-type]
    for n in range(count):
        script.line(f"new a{n} buy 1 @100")
        script.line(f"ack C{n + 1}")
        script.line(f"trade C{n + 1} t{n} 1")
    # an order is packed when a later one finishes, after its child has closed
    assert script.world.state.cold.count == count - 1 and len(script.world.state.finished) == 1
    return script


def cold_ids(script: Script) -> list[str]:
    return [row.order.cl_ord_id for row in script.world.state.cold.rows()]


def test_packed_orders_are_in_blocks_and_nowhere_else() -> None:
    script = finished(6)
    state = script.world.state
    assert cold_ids(script) == ["a4", "a3", "a2", "a1", "a0"]
    assert [order.cl_ord_id for order in state.all_orders()] == ["a5", "a4", "a3", "a2", "a1", "a0"]
    assert (len(state.cold.blocks), len(state.cold.tail)) == (2, 1)
    assert list(state.orders) == list(state.finished) == script.orders[5:]
    assert list(state.children) == script.children[5:]
    assert list(state.sessions["OMS44"].cl_ord_ids) == ["a5"] and len(state.venues[VENUE].order_ids) == 1
    assert state.accounts[ACCOUNT].uncovered == {script.children[5]: None}


def test_reading_leaves_it_packed() -> None:
    script = finished(5)
    assert script.line("status a0") == ["?I 2 a0 1/0"]
    assert script.line("new a1 buy 1 @100")[0].endswith("DUPLICATE_CL_ORD_ID")
    assert script.line("cancel x a2") == ["9.1 2 x<a2 TOO_LATE"]
    assert script.line("cancel a3 a4")[0].endswith("DUPLICATE_CL_ORD_ID")
    assert script.line("replace y a0 2 @100")[0] == "9.2 2 y<a0 TOO_LATE"
    assert script.line("admin-cancel o1")[0].startswith("refused: ")
    assert script.line("trade C1 t0 1") == [], "the same trade once more"
    assert script.line("done C1 filled 1") == []
    assert script.world.state.cold.count == 4
    script.world.check()


def test_a_possible_resend_of_a_packed_order_is_answered_with_its_status() -> None:
    script = finished(4)
    assert script.line("new a0 buy 1 @100 poss_resend=1") == ["?I 2 a0 1/0"]
    assert script.world.state.cold.count == 3


def test_a_late_fill_takes_it_out() -> None:
    script = finished(5)
    told = script.line("trade C2 late 0.5")
    assert told[0].startswith("F 2 a1 1.5/0") and "!FILL_AFTER_END" in " ".join(told) and "!OVERFILL" in " ".join(told)
    state = script.world.state
    assert state.orders[script.orders[1]].cum_qty == Decimal("1.5") and state.cold.count == 3
    assert state.order_of("OMS44", "a1") == script.orders[1] == state.sessions["OMS44"].cl_ord_ids["a1"]
    assert cold_ids(script) == ["a3", "a2", "a0"]
    # it goes back once others finish
    script.line("new b buy 1 @100")
    script.line("trade C6 tb 1")
    script.line("new d buy 1 @100")
    script.line("trade C7 td 1")
    assert script.orders[1] not in state.orders and state.find_order(script.orders[1]).cum_qty == Decimal("1.5")  # type: ignore[union-attr]
    assert script.line("trade C2 late 0.5") == [], "known, though packed twice"
    script.world.check()


def test_a_late_fill_finds_the_child_of_an_order_that_was_replaced_very_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the 1296th replace on an id is longer, and the order's id is no longer all of it but three characters."""
    monkeypatch.setattr(placing, "venue_cl_ord_id", lambda order, number: f"{order}C{number:03}")
    script = finished(4)
    assert script.children[0] == script.orders[0] + "C001"
    assert script.line("trade C1 t0 1") == [], "the same trade once more"
    assert script.line("trade C1 late 0.5")[0].startswith("F 2 a0 1.5/0")
    script.world.check()


def test_a_venue_that_names_only_its_own_id() -> None:
    script = finished(4)
    assert script.line("trade ?C1 t0 1") == [] and script.line("trade ?C1 late 1")[0].startswith("F 2 a0 2/0")
    assert script.world.state.orders[script.orders[0]].cum_qty == 2
    assert not script.world.state.venues[VENUE].external_trades


def test_a_bust_reopens_and_ends_it() -> None:
    script = finished(5)
    told = script.line("resolve o1 bust trade_id=t0")
    assert told[0].startswith("H ") and told[-1].startswith("4 4 a0 0/0")
    assert script.line("status a0")[0].startswith("?I 4 a0 0/0")
    script.world.check()


def test_reconciliation_knows_the_trades_of_packed_orders() -> None:
    """The same trades: nothing. One that was missed: a fill of the packed order."""
    script = finished(9)
    world = script.world

    def item(n: int, trade_id: str) -> c.VenueTrade:
        return c.VenueTrade(
            account=VENUE_ACCOUNT, symbol="BTC/USDT", venue_cl_ord_id=script.children[n], venue_order_id=f"vC{n + 1}",
            venue_trade_id=trade_id, side="1", qty=Decimal(1), px=Decimal(100),
        )  # fmt: skip

    def asked(*extra: c.VenueTrade) -> list[str]:
        trades = (*(item(n, f"t{n}") for n in range(9)), *extra)
        reconciled = c.VenueReconciled(
            ts_ns=world.tick(), venue=VENUE, account=VENUE_ACCOUNT, asked_ns=world.now_ns, trades=trades
        )
        return [type(event).__name__ for event in world.run(reconciled)]

    assert asked() == ["ReconcileCompleted"]
    assert asked(item(2, "missed"))[:2] == ["OrderFilled", "Reported"]
    assert asked(item(2, "missed")) == ["ReconcileCompleted"]
    world.check()


def test_reservations_of_packed_orders_end_with_the_balance() -> None:
    script = finished(CHUNK + 5)
    account = script.world.state.accounts[ACCOUNT]
    assert len(account.settling.chunks) == 1 and account.reserved["USDT"] > 100 * CHUNK
    third = script.world.state.find_child(script.children[2])
    assert third is not None
    # one that is taken out has its reservation again as it was
    script.line("trade C2 late 0.1")
    assert account.covered_from[script.children[1]] and script.children[1] in account.uncovered
    amounts = {"USDT": Decimal(10**6)}
    for asof_ns, left in ((third.closed_ns, CHUNK + 2), (script.world.now_ns, 0)):
        script.world.run(
            c.BalancesReport(
                ts_ns=script.world.tick(), venue=VENUE, account=VENUE_ACCOUNT, asof_ns=asof_ns, free=amounts, total=amounts
            )
        )
        assert account.reserved["USDT"] == left * Decimal("100.1")
    assert not account.settling.chunks and not account.settling.tail and not account.uncovered


def test_packed_orders_are_forgotten_a_block_at_a_time() -> None:
    script = finished(6, core_settings(cl_ord_id_retention_ns=100 * SECOND))
    state = script.world.state
    script.world.tick(101 * SECOND)
    assert script.line("new a0 buy 1 @100")[0].startswith("A A a0"), "its ClOrdID is free"
    for number in (7, 8, 9):
        if number > 7:
            script.line(f"new b{number} buy 1 @100")
        script.line(f"trade C{number} s{number} 1")
    assert {"a1", "a2", "a3"}.isdisjoint(cold_ids(script))
    assert state.order_of("OMS44", "a0") == script.orders[6], "the new one has the name"
    assert script.line("status a1")[0].endswith("UNKNOWN_ORDER")
    assert script.line("trade C2 late 1") == ["!FORGOTTEN_ORDER"]
    assert sum(state.accounts[ACCOUNT].reserved.values()) <= 4 * Decimal("100.1")
    script.world.check()


def test_a_snapshot_holds_the_packed_ones() -> None:
    script = finished(7)
    script.line("trade C2 late 0.5")
    state = script.world.state
    loaded = load_state(dump_state(state))
    assert loaded == state and state_hash(loaded) == state_hash(state)
    assert loaded.order_of("OMS44", "a0") == script.orders[0]
    script.world.check_snapshot(len(script.world.records) - 3)


def test_the_hash_sees_a_changed_row() -> None:
    script = finished(8)
    one, other = (load_state(dump_state(script.world.state)) for _ in range(2))
    block = next(iter(other.cold.blocks.values()))
    block.gone.append(0)
    assert state_hash(one) != state_hash(other)
    block.gone.clear()
    assert state_hash(one) == state_hash(other)
    other.cold.tail = [b"\x00" + row for row in other.cold.tail]
    assert state_hash(one) != state_hash(other)


def test_a_snapshot_of_other_fields_is_refused() -> None:
    parts = msgspec.msgpack.decode(dump_state(finished(3).world.state))
    del parts["cold"]
    with pytest.raises(msgspec.ValidationError, match="cold"):
        load_state(msgspec.msgpack.encode(parts))


def test_the_index_finds_what_was_added_and_sweeps_what_is_gone() -> None:
    chooser, index, model = random.Random(1), HashIndex(), dict[str, list[int]]()
    for number in range(3000):
        keys = [f"k{chooser.randrange(2000)}" for _ in range(3)]
        index.add(keys, number)
        for key in keys:
            model.setdefault(key, []).insert(0, number)
    assert all(index.find(key) == numbers for key, numbers in model.items())
    assert index.find("k2000") == [] and len(index.buckets) >= 9000 // FILL
    assert index.count == sum(len(bucket) for bucket in index.buckets) // ENTRY == 9000
    index.sweep()
    for _ in range(len(index.buckets)):
        index.tidy(lambda number: number >= 1000)
    assert index.unswept == 0 and index.count == 6000
    assert all(index.find(key) == [number for number in numbers if number >= 1000] for key, numbers in model.items())


def test_settling_releases_exactly_what_is_covered() -> None:
    chooser, settling = random.Random(2), Settling()
    entries = [(n + chooser.randrange(50), chooser.choice("ab"), Decimal(n + 1)) for n in range(4 * CHUNK)]
    for entry in entries:
        settling.add(*entry)
    gone = [entries[7], entries[-1]]
    assert all(settling.take(*entry) for entry in gone) and not settling.take(*gone[0])
    left = [entry for entry in entries if entry not in gone]
    for asof_ns in (0, 300, 299, 800, 5000):
        covered = [entry for entry in left if entry[0] <= asof_ns]
        expected: dict[str, Decimal] = {}
        for _, asset, qty in covered:
            expected[asset] = expected.get(asset, Decimal(0)) + qty
        assert settling.release(asof_ns) == expected
        left = [entry for entry in left if entry[0] > asof_ns]
    assert settling == Settling()
