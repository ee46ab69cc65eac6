"""What hangs on orders: retention, throttle, collars, message numbers, configuration that changes under way, hashes."""

from __future__ import annotations

import random
from decimal import Decimal

import msgspec
import pytest
from core_driver import Driver
from core_script import Script, play
from core_world import ACCOUNT, SECOND, SYMBOL, VENUE, VENUE_ACCOUNT, World, core_settings, session_settings

from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core import settings as s
from fixgw.core.codec import decode_record
from fixgw.core.draft import Draft, Refusal
from fixgw.core.evolve import evolve
from fixgw.core.order import IllegalTransition
from fixgw.core.replay import OPS, apply_record
from fixgw.core.reports import BusinessReject
from fixgw.core.state import dump_state, load_state, new_state
from fixgw.core.statehash import state_hash


def limited(**limits: object) -> World:
    """A world whose session OMS44 has these limits."""
    settings = core_settings(sessions={"OMS44": session_settings("OMS44", limits=s.Limits(**limits))})  # type: ignore[arg-type]
    return World(settings)


def test_finished_orders_are_forgotten_after_the_retention_time() -> None:
    """Those that still work keep their ids, however many of them stand in front."""
    script = Script(World(core_settings(cl_ord_id_retention_ns=5 * SECOND)))
    state = script.world.state
    for n in range(70):
        script.line(f"new stays{n} buy 1 @100")
    for n in range(30):
        child = len(script.children) + 1
        script.line(f"new a{n} buy 1 @100")
        script.line(f"ack C{child}")
        script.line(f"cancel b{n} a{n}")
        assert script.line(f"done C{child} canceled 0")[-1].startswith("4 4")
        script.line("+1s")
    script.world.check()
    assert len(state.orders) < 70 + 10
    assert len(state.children) == len(state.orders)
    session = state.sessions["OMS44"]
    assert set(session.cl_ord_ids.values()) == set(state.orders)
    assert set(state.venues[VENUE].order_ids.values()) <= set(state.children)
    assert script.line("new a0 buy 1 @100")[0].startswith("A A a0")
    assert script.line("cancel b1 stays1")[-1].startswith("6 6 b1<stays1")


def test_what_is_forgotten_leaves_its_venue_order_id_to_who_has_it_by_now() -> None:
    """A venue that begins its numbers anew (test networks do): a trade that names its number alone is the newer order's."""
    script = Script(World(core_settings(cl_ord_id_retention_ns=5 * SECOND)))
    for line in ("new a buy 1 @100", "ack C1", "cancel x a", "done C1 canceled 0", "+10s", "new b buy 1 @100"):
        script.line(line)
    world = script.world
    world.run(c.ChildAck(ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=script.children[1], venue_order_id="vC1"))
    for line in ("new c buy 1 @100", "ack C3", "cancel y c", "done C3 canceled 0"):
        script.line(line)
    assert script.orders[0] not in world.state.orders
    assert script.line("trade ?C1 t1 0.4") == ["F 1 b 0.4/0.6"]
    world.check()


def test_the_incremental_hash_forgets_with_the_state() -> None:
    """One order forgotten and one received between two values of the hash: the count alone would not tell."""
    script = Script(World(core_settings(cl_ord_id_retention_ns=SECOND, risk_stages=())))
    script.line("new a buy 1 @100")
    script.line("reject C1")
    script.world.hasher.value()
    script.world.tick(2 * SECOND)
    for word in ("x1", "x2"):
        script.world.run(script.world.client(c.NewOrder, cl_ord_id=word, symbol="?", side="1", ord_type="1"))
    assert len(script.world.state.orders) < 3
    script.world.check()


def test_the_throttle_refuses_new_orders_but_never_cancels() -> None:
    world = limited(msg_rate=1, msg_burst=2)
    play(
        """
        new a buy 1 @100   | A A a 0/1; place C1 1@100 GTC
        new b buy 1 @100   | A A b 0/1; place C2 1@100 GTC
        new c buy 1 @100   | j THROTTLE
        replace r a 2 @100 | 9.2 A r<a THROTTLE
        cancel d a         | cancel C1; 6 6 d<a 0/1
        status a           | ?I 6 a 0/1
        +3s                | -
        new e buy 1 @100   | A A e 0/1; place C3 1@100 GTC
        """,
        world,
    )


def test_a_market_order_goes_out_as_a_limit_at_the_collar() -> None:
    world = limited(collar_bps={"*": Decimal(100)})
    play(
        """
        new a buy 1             | A A a 0/1; place C1 1@102.01 IOC
        new b sell 1            | A A b 0/1; place C2 1@99.00 IOC
        new c buy cash_qty=1000 | A A c 0/9.7; place C3 9.7@102.01 IOC
        """,
        world,
    )


def test_a_collar_between_two_ticks_is_never_passed() -> None:
    """Bounds 101.01515 and 99.985: rounded inwards, or the venue would refuse the price or trade beyond the collar."""
    play(
        """
        new a buy 1             | A A a 0/1; place C1 1@101.01 IOC
        new b sell 1            | A A b 0/1; place C2 1@99.99 IOC
        """,
        limited(collar_bps={"*": Decimal("1.5")}),
    )


def test_a_message_is_taken_in_once() -> None:
    world = World()
    order = world.client(c.NewOrder, cl_ord_id="a", symbol=SYMBOL, side="1", ord_type="1", order_qty=Decimal(1))
    assert world.run(order)
    assert world.run(order) == []
    assert world.run(msgspec.structs.replace(order, cl_ord_id="b", poss_dup=True)) == []
    events = world.run(c.SessionLogon(ts_ns=world.tick(), session="OMS44", reset=True, msg_seq=1))
    assert isinstance(events[0], e.SessionReset) and events[0].reset_epoch == 1
    assert world.run(msgspec.structs.replace(order, msg_seq=50)) == [], "a message from before the reset"
    again = msgspec.structs.replace(order, reset_epoch=1, msg_seq=2)
    (report,) = [event.message for event in world.run(again) if isinstance(event, e.Reported)]
    assert report.reason == "DUPLICATE_CL_ORD_ID"
    world.check()


def test_what_is_not_supported_is_answered() -> None:
    world = World()
    command = world.client(c.Unsupported, msg_type="s", reason="UNSUPPORTED_MESSAGE", business_reason=3, ref_id="x")
    (message,) = [event.message for event in world.run(command) if isinstance(event, e.Reported)]
    assert isinstance(message, BusinessReject)
    assert (message.ref_msg_type, message.business_reason, message.ref_id) == ("s", 3, "x")


@pytest.mark.parametrize("gone", ["sessions", "accounts", "venues", "instruments", "listing"])
def test_a_replace_whose_market_has_gone_fails_honestly(gone: str) -> None:
    """What the configuration (or the venue) dropped under way must not cost us the venue's word."""
    script = Script()
    for line in ("new a buy 1 @100", "ack C1", "replace b a 2 @100"):
        script.line(line)
    if gone == "listing":
        script.world.run(c.InstrumentsReport(ts_ns=script.world.tick(), venue=VENUE, instruments=()))
    else:
        settings = core_settings(hash="second", **{gone: {}})
        script.world.run(c.LoadSettings(ts_ns=script.world.tick(), settings=settings))
    assert script.line("done C1 canceled 0") == ["9.2 0 b<a REPLACE_FAILED", "4 4 a 0/0 REPLACE_FAILED"]
    why = f"UNKNOWN_SYMBOL: {VENUE} does not list {SYMBOL} now" if gone == "listing" else "has left the configuration"
    assert all(why in message.text for message in script.told)  # type: ignore[union-attr]


@pytest.mark.parametrize("gone", ["sessions", "accounts", "venues", "instruments"])
def test_a_stop_whose_market_has_gone_stays_held(gone: str) -> None:
    script = Script()
    script.line("new a sell 1 ord_type=3 stop_px=95")
    script.world.run(c.LoadSettings(ts_ns=script.world.tick(), settings=core_settings(hash="second", **{gone: {}})))
    assert script.line("trigger o1 95") == []


@pytest.mark.parametrize("gone", ["accounts", "venues", "instruments"])
def test_what_is_unknown_when_its_market_goes_is_asked_about_all_the_same(gone: str) -> None:
    script = Script()
    script.line("new a buy 1 @100")
    script.line("ambiguous C1 place")
    script.world.run(c.LoadSettings(ts_ns=script.world.tick(), settings=core_settings(hash="second", **{gone: {}})))
    assert "query C1" in script.line("+10s")
    script.line("+60s")
    script.line("answer C1 not_found")
    script.line("+10s")
    assert script.line("answer C1 not_found") == ["8 8 a 0/0 NOT_PLACED"]


def test_an_illegal_event_raises() -> None:
    script = Script()
    script.line("new a buy 1 @100")
    script.line("reject C1")
    order_id = script.orders[0]
    for event in (e.OrderConfirmed(order_id=order_id, ts_ns=1), e.CancelRequested(order_id=order_id, ts_ns=1, cl_ord_id="z")):
        before = dump_state(script.world.state)
        with pytest.raises(IllegalTransition):
            Draft(script.world.state, 1).emit(event)
        assert dump_state(script.world.state) == before
        with pytest.raises(IllegalTransition):
            evolve(load_state(before), event)


def test_a_refusal_leaves_no_trace() -> None:
    world = World()
    before = len(world.records)
    with pytest.raises(Refusal):
        world.run(c.AdminKill(ts_ns=1, scope="session", target="nobody", level="HALTED", user="u", reason="r"))
    assert len(world.records) == before
    world.check()


def test_whatever_operations_do_is_in_the_journal_with_who_and_why() -> None:
    script = Script()
    script.line("new a buy 1 @100")
    script.line("ambiguous C1 place")
    who = {"user": "ann", "reason": "a good one"}
    order_id = script.orders[0]
    acts = [
        (c.AdminKill(ts_ns=1, scope="firm", target="", level="REDUCING", **who), "kill", "firm REDUCING"),
        (c.AdminResume(ts_ns=1, scope="firm", target="", **who), "resume", "firm"),
        (c.AdminCancel(ts_ns=1, order_id=order_id, **who), "cancel", order_id),
        (c.AdminNote(ts_ns=1, action="session disable", target="OMS44", **who), "session disable", "OMS44"),
        (c.AdminNote(ts_ns=1, action="session set-seq in", target="OMS44 7", **who), "session set-seq in", "OMS44 7"),
    ]
    for command, action, target in acts:
        acted = [event for event in script.world.run(command) if isinstance(event, e.AdminActed)]
        assert [(item.action, item.target, item.user, item.reason) for item in acted] == [(action, target, "ann", "a good one")]
    command = c.AdminResolve(ts_ns=1, order_id=order_id, outcome="canceled", user="ann", evidence="mail of the venue")
    (acted,) = [event for event in script.world.run(command) if isinstance(event, e.AdminActed)]
    assert (acted.user, order_id in acted.target) == ("ann", True) and "mail of the venue" in acted.reason
    script.world.check()


def test_what_was_delivered_is_kept_and_never_goes_back() -> None:
    """What lies beyond it is sent again after a restart: a cursor ahead of the journal would lose reports."""
    script = Script()
    script.line("new a buy 1 @100")
    world = script.world
    reached = []
    for seq in (2, 4, 3, 1000):
        world.run(c.Delivered(ts_ns=world.tick(), session="OMS44", seq=seq))
        reached.append(world.state.sessions["OMS44"].delivered_seq)
    assert reached[:3] == [2, 4, 4] and 4 < reached[3] <= world.state.seq
    world.check()


def test_positions_are_net_of_fees_in_the_base_asset() -> None:
    script = Script()
    for line in ("new a buy 1 @100", "trade C1 t1 0.5 fee=0.001", "trade C1 t2 0.5 fee=0.3 fee_asset=USDT"):
        script.line(line)
    for scope in ("s:OMS44", "a:" + ACCOUNT, "firm"):
        assert script.world.state.exposure(scope, SYMBOL).position == Decimal("0.999")
    script.line("resolve o1 bust trade_id=t1")
    assert script.world.state.exposure("firm", SYMBOL).position == Decimal("0.5")


def test_a_pending_replace_counts_the_larger_of_both() -> None:
    script = Script()
    firm = script.world.state.exposure
    seen = []
    for line in ("new a buy 1 @100", "ack C1", "replace b a 3 @99", "trade C1 t1 0.5", "done C1 canceled 0.5", "ack C2"):
        script.line(line)
        seen.append((firm("firm", SYMBOL).open_buy, firm("firm", SYMBOL).open_notional))
    left = Decimal("2.5")
    assert seen == [(1, 100), (1, 100), (3, 300), (left, 250), (left, 250), (left, Decimal("247.5"))]


@pytest.mark.parametrize("seed", range(3))
def test_a_snapshot_at_every_prefix(seed: int) -> None:
    """Snapshot, load, replay the tail: the same bytes and the same hash, wherever the snapshot was taken."""
    chooser, driver = random.Random(seed), Driver()
    hashes: dict[int, str] = {}
    for _ in range(80):
        driver.step(chooser.randrange(len(driver.moves)), chooser.randrange(12), chooser.randrange(12))
        hashes[driver.world.state.seq] = driver.world.hasher.value()
    world = driver.world
    for at in range(0, len(world.records) + 1, 3):
        world.check_snapshot(at)
    state = new_state()
    for payload in world.records:
        apply_record(state, decode_record(payload))
        assert state_hash(state) == hashes.get(state.seq, state_hash(state))
    last = max(hashes)
    assert OPS.hash_state(state).hex() == world.hasher.value() == hashes[last]


def test_balances_and_external_trades_find_their_account() -> None:
    world = World()
    amounts = {"BTC": Decimal(1)}
    report = {"ts_ns": 5, "venue": VENUE, "asof_ns": 5, "free": amounts, "total": amounts}
    assert world.run(c.BalancesReport(account="other", **report)) == []
    world.run(c.BalancesReport(account=VENUE_ACCOUNT, **report))
    assert world.state.accounts[ACCOUNT].free == amounts
    world.check()
