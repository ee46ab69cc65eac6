"""The core when time goes back or is put right: nothing that it keeps may stall, and no "not found" may count too early."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from core_world import ACCOUNT, FIRST_NS, SECOND, SYMBOL, VENUE, VENUE_ACCOUNT, World, core_settings, session_settings

from fixgw.core import clock, evolve, placing, reconcile, venue_reports
from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core import settings as s
from fixgw.core.reports import BusinessReject, Report
from fixgw.marketdata.edge import due_timers

STEPS = (-86_400, -600, -3, 3, 600, 86_400)


def world_of(**limits: Any) -> World:
    sessions = {"OMS44": session_settings("OMS44", limits=s.Limits(**limits)), "OMS42": session_settings("OMS42")}
    stages = ("session_state", "throttle", "repeated_order", "staleness")
    return World(core_settings(sessions=sessions, risk_stages=stages))


def order(world: World, name: str, **fields: Any) -> list[e.AnyEvent]:
    values: dict[str, Any] = {
        "cl_ord_id": name, "symbol": SYMBOL, "side": "1", "ord_type": "2", "tif": "1", "order_qty": Decimal(1),
        "price": Decimal(100), "quotes": world.quotes,
    }  # fmt: skip
    return world.run(world.client(c.NewOrder, **(values | fields)))


def step(world: World, seconds: int) -> list[e.AnyEvent]:
    """The clock is put right within the run."""
    world.now_ns += seconds * SECOND
    return world.run(c.ClockSet(ts_ns=world.tick(), step_ns=seconds * SECOND))


def restart(world: World, seconds: int, rebooted: bool = False) -> list[e.AnyEvent]:
    """Another run, with a clock that differs so much from the last one's."""
    world.now_ns += seconds * SECOND
    said = world.run(c.ClockSet(ts_ns=world.tick(), rebooted=rebooted))
    return said + world.start(rebooted=rebooted)


def codes(events: list[e.AnyEvent]) -> list[str]:
    """Of what the client is told: ExecType, or j with the reason."""
    told = [event.message for event in events if isinstance(event, e.Reported)]
    return [m.exec_type if isinstance(m, Report) else f"j {m.reason}" for m in told if isinstance(m, Report | BusinessReject)]


def alerts(events: list[e.AnyEvent]) -> list[str]:
    return [event.kind for event in events if isinstance(event, e.Alerted)]


def link_up(world: World) -> None:
    world.run(c.VenueLink(ts_ns=world.tick(), venue=VENUE, up=True))


def picture(world: World) -> list[e.AnyEvent]:
    return world.run(
        c.VenueReconciled(ts_ns=world.tick(), venue=VENUE, account=VENUE_ACCOUNT, asked_ns=world.now_ns - 1_000_000)
    )


def test_the_constants_are_those_of_the_core():
    assert max(venue_reports.QUERY_BACKOFF_S) * SECOND == clock.QUERY_NS
    assert placing.SEND_WINDOW_NS == clock.SEND_NS
    assert evolve.EXTERNAL_KEPT_NS - reconcile.OVERLAP_NS == clock.KEPT_NS


@pytest.mark.parametrize("seconds", STEPS)
def test_the_throttle_counts_on_over_a_step(seconds):
    world = world_of(msg_rate=10, msg_burst=3)
    assert [codes(order(world, f"a{n}"))[0] for n in range(4)] == ["A", "A", "A", "j THROTTLE"]
    assert "CLOCK_STEPPED" in alerts(step(world, seconds))
    # what was used up stays used up, and no more than that
    assert codes(order(world, "b"))[0] == "j THROTTLE"
    world.tick(SECOND // 10)
    assert [codes(order(world, f"c{n}"))[0] for n in range(2)] == ["A", "j THROTTLE"]
    world.tick(SECOND)
    assert [codes(order(world, f"d{n}"))[0] for n in range(4)] == ["A", "A", "A", "j THROTTLE"]
    world.check()


@pytest.mark.parametrize("seconds", [-300, -86_400])
def test_the_throttle_after_a_start_with_an_earlier_clock(seconds):
    world = world_of(msg_rate=10, msg_burst=3)
    for number in range(4):
        order(world, f"a{number}")
    assert alerts(restart(world, seconds)) == ["CLOCK_STEPPED"]
    link_up(world)
    picture(world)
    world.quotes = {VENUE: c.Quote(bid=Decimal(100), ask=Decimal(101), recv_ns=world.now_ns)}
    assert [codes(order(world, f"b{number}"))[0] for number in range(4)] == ["A", "A", "A", "j THROTTLE"]
    world.check()


@pytest.mark.parametrize("seconds", STEPS)
def test_repeats_count_on_over_a_step(seconds):
    world = world_of(repeat_max=2, repeat_window_ns=10 * SECOND)
    assert [codes(order(world, f"a{n}"))[0] for n in range(3)] == ["A", "A", "8"]
    step(world, seconds)
    assert codes(order(world, "b"))[0] == "8"
    world.tick(10 * SECOND)
    assert codes(order(world, "c"))[0] == "A"


@pytest.mark.parametrize("seconds", [-300, -86_400])
def test_repeats_after_a_start_with_an_earlier_clock(seconds):
    world = world_of(repeat_max=2, repeat_window_ns=10 * SECOND)
    for number in range(3):
        order(world, f"a{number}")
    restart(world, seconds)
    link_up(world)
    picture(world)
    assert codes(order(world, "b"))[0] == "A"


def not_found(world: World, child: str, asked_ns: int) -> list[e.AnyEvent]:
    return world.run(
        c.ChildQueryResult(
            ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=child, outcome="not_found", asked_ns=asked_ns, trades_checked=True
        )
    )


def until_settled(world: World, child: str, most_s: int) -> float:
    """The venue has no such order: seconds until that is believed, with the timers of the edge."""
    began_ns = world.now_ns
    while world.now_ns < began_ns + most_s * SECOND:
        world.tick(SECOND // 4)
        for key in due_timers(world.state, world.now_ns):
            asked_ns = world.now_ns
            for event in world.run(c.Timer(ts_ns=world.now_ns, key=key)):
                if isinstance(event, e.ChildQueried):
                    not_found(world, child, asked_ns)
        if world.state.children[child].state == "closed":
            world.check()
            return (world.now_ns - began_ns) / SECOND
    raise AssertionError(f"not settled within {most_s} s")


@pytest.mark.parametrize("seconds", STEPS)
@pytest.mark.parametrize("heard", [False, True])
def test_a_place_without_an_answer_is_settled_over_a_step(seconds, heard):
    """`heard`: it was known to be unknown before; else its time-out must find it."""
    world = world_of()
    order(world, "a")
    child = next(iter(world.placed))
    if heard:
        world.run(c.ChildAmbiguous(ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=child, op="place", code="T", text=""))
        not_found(world, child, world.now_ns)
    step(world, seconds)
    # sent, and 6 s of recvWindow and margin; a time-out of 10 s comes first where nothing was heard
    took_s = until_settled(world, child, 16)
    assert took_s > 5.9
    assert world.state.orders[world.state.children[child].order_id].status == "8"


@pytest.mark.parametrize("seconds", STEPS)
def test_not_found_that_was_asked_by_the_old_clock_does_not_count(seconds):
    world = world_of()
    order(world, "a")
    child = next(iter(world.placed))
    world.run(c.ChildAmbiguous(ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=child, op="place", code="T", text=""))
    world.tick(7 * SECOND)
    asked_ns = world.now_ns
    step(world, seconds)
    for _ in range(5):
        world.tick(SECOND)
        not_found(world, child, asked_ns)
    assert world.state.children[child].not_found == 0


@pytest.mark.parametrize("seconds", [-86_400, -300, 0, 300])
def test_a_place_without_an_answer_is_settled_after_a_reboot(seconds):
    world = world_of()
    order(world, "a")
    child = next(iter(world.placed))
    restart(world, seconds, rebooted=True)
    link_up(world)
    picture(world)
    assert until_settled(world, child, 10) > 5.9


def test_an_ordinary_start_says_nothing_of_the_clock():
    world = world_of(msg_rate=10, msg_burst=3, repeat_max=2)
    order(world, "a")
    world.run(c.ChildAck(ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=next(iter(world.placed)), venue_order_id="1"))
    for rebooted in (False, True):
        assert world.run(c.ClockSet(ts_ns=world.tick(), rebooted=rebooted)) == []


@pytest.mark.parametrize("seconds", [-86_400, -3000, -600])
def test_reconciliation_never_asks_from_the_future(seconds):
    """Between the runs an hour may have passed: as far back as trades can be told apart is asked for."""
    world = world_of()
    restart(world, seconds)
    link_up(world)
    asked = [event for event in [*_all_events(world)] if isinstance(event, e.ReconcileRequested)]
    assert asked[-1].since_ns <= world.now_ns - 3_500 * SECOND


@pytest.mark.parametrize("seconds", STEPS)
def test_reconciliation_goes_on_over_a_step(seconds):
    world = world_of()
    step(world, seconds)
    events = world.run(c.Timer(ts_ns=world.tick(), key="reconcile:" + VENUE))
    (asked,) = [event for event in events if isinstance(event, e.ReconcileRequested)]
    assert abs(world.now_ns - 600 * SECOND - asked.since_ns) < SECOND


def _all_events(world: World) -> list[e.AnyEvent]:
    from fixgw.core.codec import decode_record

    return [event for payload in world.records for event in decode_record(payload).events]


def balances(world: World, free: int) -> list[e.AnyEvent]:
    amounts = {"USDT": Decimal(free)}
    return world.run(
        c.BalancesReport(
            ts_ns=world.tick(), venue=VENUE, account=VENUE_ACCOUNT, asof_ns=world.now_ns, free=amounts, total=amounts
        )
    )


@pytest.mark.parametrize("seconds", STEPS)
@pytest.mark.parametrize("starts", [False, True])
def test_balances_are_believed_and_reservations_end(seconds, starts):
    world = world_of()
    balances(world, 1000)
    order(world, "a")
    child = next(iter(world.placed))
    world.run(c.ChildAck(ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=child, venue_order_id="1"))
    account = world.state.accounts[ACCOUNT]
    assert account.reserved["USDT"] > 0
    if starts:
        restart(world, seconds)
    else:
        step(world, seconds)
    balances(world, 900)
    assert account.free == {"USDT": Decimal(900)} and account.reserved["USDT"] == 0
    world.check()


def test_reservations_of_packed_orders_end_after_a_step_back():
    world = world_of()
    settling = world.state.accounts[ACCOUNT].settling
    for number in range(300):
        settling.add(FIRST_NS + number, "USDT", Decimal(1))
    assert max(settling.newest()) >= FIRST_NS + 256
    settling.move(lambda ns: ns - 600 * SECOND)
    assert settling.release(FIRST_NS - 599 * SECOND) == {"USDT": Decimal(300)}


def test_a_gtd_order_keeps_its_time_of_day():
    world = world_of()
    order(world, "a", tif="6", expire_ns=world.now_ns + 60 * SECOND)
    step(world, 100)
    assert [key for key in due_timers(world.state, world.now_ns) if key.startswith("expire:")]


@pytest.mark.parametrize("seconds", [86_400, 7 * 86_400])
def test_a_clord_id_is_used_up_over_a_step(seconds):
    world = world_of()
    order(world, "a")
    child = next(iter(world.placed))
    world.run(c.ChildReject(ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=child, code="X", text=""))
    step(world, seconds)
    world.quotes = {VENUE: c.Quote(bid=Decimal(100), ask=Decimal(101), recv_ns=world.now_ns)}
    known = len(world.state.orders)
    order(world, "a")
    assert len(world.state.orders) == known
    world.tick(world.settings.cl_ord_id_retention_ns + SECOND)
    order(world, "a")
    assert len(world.state.orders) == known + 1
    world.check()


def test_an_order_that_a_picture_lists_is_no_orphan_for_a_time_ahead_only():
    """It ended by a clock that was ahead; listed much later it works on, and is canceled."""
    world = world_of()
    order(world, "a")
    child = next(iter(world.placed))
    world.run(c.ChildReject(ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=child, code="X", text=""))
    step(world, -600)
    listed = c.OpenOrder(
        venue_cl_ord_id=child, venue_order_id="1", symbol=SYMBOL, side="1", qty=Decimal(1), cum_qty=Decimal(0), px=Decimal(100)
    )
    asked_ns = world.tick(10 * SECOND)
    events = world.run(
        c.VenueReconciled(ts_ns=world.tick(), venue=VENUE, account=VENUE_ACCOUNT, asked_ns=asked_ns, open_orders=(listed,))
    )
    assert "ORPHAN" in alerts(events)


@pytest.mark.parametrize("again", [step, restart])
@pytest.mark.parametrize("seconds", [-86_400, -3])
def test_an_end_that_awaits_its_trades_is_proven_by_the_new_clock(again, seconds):
    """Its proof is an answer to a question of after it; by the old clock that would be a day away."""
    world = world_of()
    order(world, "a")
    child = next(iter(world.placed))
    world.run(c.ChildAck(ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=child, venue_order_id="1"))
    qty = Decimal("0.1")
    done = {"venue": VENUE, "venue_cl_ord_id": child, "venue_order_id": "1", "status": "expired", "cum_qty": qty}
    world.run(c.ChildDone(ts_ns=world.tick(), **done))
    assert world.state.children[child].is_live
    again(world, seconds)
    trade = c.VenueTrade(
        account=VENUE_ACCOUNT, symbol=SYMBOL, venue_cl_ord_id=child, venue_order_id="1", venue_trade_id="t", side="1", qty=qty,
        px=Decimal(100), venue_ns=world.now_ns,
    )  # fmt: skip
    asked_ns = world.tick(SECOND)
    answer = c.ChildQueryResult(
        ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=child, outcome="expired", asked_ns=asked_ns, venue_order_id="1",
        cum_qty=qty, trades=(trade,), trades_checked=True,
    )  # fmt: skip
    world.run(answer)
    world.run(msgspec.structs.replace(answer, ts_ns=world.tick(), asked_ns=world.tick(SECOND)))
    assert not world.state.children[child].is_live
    world.check()
