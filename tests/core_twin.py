"""A second core that decides the same commands while it packs finished orders away at once: it must say the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fixgw.core import cold
from fixgw.core.child import Child
from fixgw.core.codec import decode_record
from fixgw.core.decide import decide
from fixgw.core.evolve import evolve
from fixgw.core.order import Order
from fixgw.core.state import State, dump_state, load_state, new_state
from fixgw.core.statehash import StateHasher, state_hash


@contextmanager
def packing(warm: int, block: int) -> Iterator[None]:
    """Within: more than `warm` finished orders are packed, `block` to a block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cold, "WARM", warm)
        patch.setattr(cold, "BLOCK", block)
        yield


def tell_again(records: list[bytes], snapshot_at: int = -1) -> State:
    """Decide the commands of `records` anew; each must give the events that are journaled. At `snapshot_at` the state goes
    through a snapshot."""
    state = new_state()
    hasher = StateHasher(state)
    for at, payload in enumerate(records):
        record = decode_record(payload)
        before = dump_state(state)
        events = decide(state, record.command)
        assert tuple(events) == record.events, f"record {record.seq} {type(record.command).__name__}"
        assert dump_state(state) == before, "decide changed the state"
        for event in record.events:
            evolve(state, event)
        state.seq = record.seq
        hasher.note(record.events)
        assert hasher.value() == state_hash(state), "the incremental hash differs from the hash from nothing"
        if at == snapshot_at:
            loaded = load_state(dump_state(state))
            assert state_hash(loaded) == state_hash(state) and dump_state(loaded) == dump_state(state)
            state, hasher = loaded, StateHasher(loaded)
    return state


def same(one: State, packed: State) -> None:
    """Every order, child and name, wherever it is, and every sum."""
    orders = {order.order_id: order for order in packed.all_orders()}
    assert orders == one.orders and len(orders) == len(packed.orders) + packed.cold.count
    for key, order in one.orders.items():
        assert packed.find_order(key) == order
    for key, child in one.children.items():
        assert packed.find_child(key) == child
    for name, session in one.sessions.items():
        for cl_ord_id, order_id in session.cl_ord_ids.items():
            assert packed.order_of(name, cl_ord_id) == order_id
    for name, venue in one.venues.items():
        for key, child_id in venue.order_ids.items():
            symbol, _, venue_order_id = key.partition("|")
            assert packed.child_of(name, symbol, venue_order_id) == child_id
        assert (packed.venues[name].live, packed.venues[name].external_trades) == (venue.live, venue.external_trades)
    for name, account in one.accounts.items():
        assert (packed.accounts[name].reserved, packed.accounts[name].free) == (account.reserved, account.free)
    assert packed.exposures == one.exposures
    assert (packed.open_orders, packed.inflight, packed.uncertain) == (one.open_orders, one.inflight, one.uncertain)
    assert (packed.stops, packed.expiries, packed.refused) == (one.stops, one.expiries, one.refused)


def nothing_found(packed: State) -> None:
    """Ids that nobody has."""
    missing: list[Order | Child | str | None] = [
        packed.find_order("x"), packed.find_child("x"), packed.find_child(""), packed.order_of("OMS44", "nobody's"),
        packed.child_of("sim", "BTC/USDT", "nobody's"), packed.child_of("nowhere", "BTC/USDT", "v1"),
    ]  # fmt: skip
    assert missing == [None] * 6
