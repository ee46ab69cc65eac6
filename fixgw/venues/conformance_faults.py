"""Conformance, second part: what a connector must do while the venue or the network misbehaves (needs a Lab with faults).

The doctrine: an order that may have reached the venue is never called rejected and never sent again; a query by our id
settles it. What the stream loses is found by reconciliation, and told once.
"""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

from ..core import commands as c
from ..core.numbers import floor_to
from .conformance import PLACE_ANSWERS, Bench, ConformanceError, check, expect, filled
from .wire import CancelChild

_PLACES = {"op": "order.place"}
_CANCEL_ENDS = (c.ChildDone, c.ChildCancelReject)


async def _settled(bench: Bench, our_id: str) -> c.ChildQueryResult:
    """Ask until the venue gives a plain answer."""
    for _ in range(40):
        found = await bench.query(our_id)
        if found.outcome != "error":
            return found
        await asyncio.sleep(0.1)
    raise ConformanceError(f"query of {our_id} never settled")


async def _ambiguous_place(bench: Bench, kind: str, **how: object) -> None:
    """Place into a fault that accepts the order but spoils the answer."""
    bench.control.fault(kind, count=1, match=_PLACES, **how)
    try:
        our_id, answer = await bench.place()
        # the stream may have shown the order in time, then an ack is the better answer; a reject never is
        expect(isinstance(answer, (c.ChildAmbiguous, c.ChildAck)), f"{kind}: expected no reject, got {answer}")
        found = await _settled(bench, our_id)
        expect(found.outcome == "open", f"{kind}: the order is live, but the query says {found}")
        accepted = [r for r in bench.records(our_id) if r["type"] == "accepted"]
        expect(len(accepted) == 1, f"{kind}: sent {len(accepted)} times")
        rejects = [m for m in bench.gateway.of(our_id) if isinstance(m, c.ChildReject)]
        expect(not rejects, f"{kind}: told as rejected: {rejects}")
    finally:
        bench.control.clear_faults()
    await bench.ready()
    done = await bench.cancel(our_id)
    expect(isinstance(done, c.ChildDone) and done.status == "canceled", f"{kind}: cancel gave {done}")


def _enter_ambiguous(kind: str, **how: object) -> None:
    async def run(bench: Bench) -> None:
        await _ambiguous_place(bench, kind, **how)

    run.__name__ = f"accepted_but_{kind}"
    check("faults", "ledger")(run)


for _kind in ("drop_after", "empty_200", "html_200", "truncated", "code_1007", "http_5xx", "hang"):
    _enter_ambiguous(_kind)


async def _canceled_soon(bench: Bench, our_id: str, after: int) -> None:
    """From when the order is known to work, or its place has no answer for good: not as late as an answer that hangs."""
    known = time.monotonic()
    done = await bench.gateway.answer(our_id, *_CANCEL_ENDS, after=after)
    waited = time.monotonic() - known
    expect(isinstance(done, c.ChildDone) and done.status == "canceled", f"cancel gave {done}")
    expect(waited < 1.0, f"the cancel stood behind the place that hangs: {waited:.1f} s after the order was shown")
    kinds = [record["type"] for record in bench.records(our_id)]
    expect(kinds.count("accepted") == 1, f"the venue's ledger: {kinds}")


@check("faults", "ledger")
async def a_cancel_does_not_wait_for_a_place_that_hangs(bench: Bench) -> None:
    for at_once in (False, True):
        bench.control.fault("hang", count=1, match=_PLACES)
        try:
            our_id = bench.send_place()
            cancel = CancelChild(venue_cl_ord_id=our_id, symbol=bench.symbol)
            if at_once:  # it must not leave before the venue is known to have the order either: it would find nothing
                async with asyncio.timeout(10):
                    while not bench.records(our_id):  # noqa: ASYNC110
                        await asyncio.sleep(0.001)
                bench.gateway.send(cancel)
            answer = await bench.gateway.answer(our_id, *PLACE_ANSWERS, timeout_s=15.0)
            expect(isinstance(answer, (c.ChildAmbiguous, c.ChildAck)), f"expected no reject, got {answer}")
            if not at_once:
                bench.gateway.send(cancel)
            await _canceled_soon(bench, our_id, 1)
        finally:
            bench.control.clear_faults()
        await bench.ready()


@check("faults", "ledger")
async def dropped_before_acceptance_is_not_found_and_not_resent(bench: Bench) -> None:
    bench.control.fault("drop_before", count=1, match=_PLACES)
    our_id, answer = await bench.place()
    expect(isinstance(answer, c.ChildAmbiguous) and answer.op == "place", f"expected ambiguous, got {answer}")
    bench.control.clear_faults()
    await bench.ready()
    found = await _settled(bench, our_id)
    expect(found.outcome == "not_found" and found.trades_checked, f"expected not_found, got {found}")
    expect(not bench.records(our_id), f"sent again: {bench.records(our_id)}")


@check("faults", "ledger", "fills")
async def ambiguous_place_that_filled_is_found_with_its_trades(bench: Bench) -> None:
    qty = bench.qty()
    bench.control.fault("ws_missing", count=10, match={"event": "executionReport"})
    bench.control.fault("code_1007", count=1, match=_PLACES)
    our_id, answer = await bench.place(px=bench.price("1.01"), qty=qty)
    bench.control.clear_faults()
    expect(isinstance(answer, c.ChildAmbiguous), f"expected ambiguous, got {answer}")
    found = await _settled(bench, our_id)
    expect(found.outcome == "filled" and found.cum_qty == qty and found.trades_checked, f"got {found}")
    expect(sum((t.qty for t in found.trades), Decimal(0)) == qty, f"trades {found.trades}")


@check("faults", "ledger", "limits")
async def refused_by_rate_limit_is_definite(bench: Bench) -> None:
    bench.control.fault("reply_429", count=1, match=_PLACES, retry_after=1)
    our_id, answer = await bench.place()
    bench.control.clear_faults()
    expect(isinstance(answer, c.ChildReject), f"a 429 is a refusal, got {answer}")
    expect(not bench.records(our_id), "the refused order is in the venue's ledger")
    # Retry-After is kept: the next order waits for it and then goes
    started = time.monotonic()
    second, _ = await bench.placed()
    waited = time.monotonic() - started
    expect(waited > 0.3, f"Retry-After of 1 s was not kept: the next order went after {waited:.3f} s")
    await bench.cancel(second)


@check("faults", "ledger", "limits")
async def a_cancel_refused_by_rate_limit_is_sent_again(bench: Bench) -> None:
    our_id, _ = await bench.placed()
    bench.control.fault("reply_429", count=1, match={"op": "order.cancel"}, retry_after=1)
    answer = await bench.cancel(our_id)
    bench.control.clear_faults()
    expect(isinstance(answer, c.ChildDone) and answer.status == "canceled", f"a wait would have done, got {answer}")


@check("faults", "ledger", "limits")
async def a_refusal_for_the_number_of_orders_holds_up_new_orders_alone(bench: Bench) -> None:
    our_id, _ = await bench.placed()
    bench.control.fault("reply_429", count=1, match=_PLACES, retry_after=3, orders=True)
    refused, answer = await bench.place()
    until = time.monotonic() + 3
    bench.control.clear_faults()
    expect(isinstance(answer, c.ChildReject) and answer.sent, f"a 429 is a refusal, got {answer}")
    expect(not bench.records(refused), "the refused order is in the venue's ledger")
    late, answer = await bench.place(expires_ns=time.time_ns() + 1_000_000_000)
    expect(isinstance(answer, c.ChildReject) and not answer.sent, f"expected a refusal without sending, got {answer}")
    done = await bench.cancel(our_id)
    expect(isinstance(done, c.ChildDone) and done.status == "canceled", f"cancel gave {done}")
    expect(time.monotonic() < until - 1, "the cancel, or the order that could not be in time, waited for new orders to go again")
    expect(not bench.records(late), "the order that could not be in time is in the venue's ledger")
    second, _ = await bench.placed(expires_ns=time.time_ns() + 10_000_000_000)
    expect(time.monotonic() > until - 1.5, "Retry-After of 3 s was not kept")
    await bench.cancel(second)


@check("faults", "ledger")
async def ambiguous_cancel_is_told_and_settled(bench: Bench) -> None:
    our_id, _ = await bench.placed()
    bench.control.fault("ws_missing", count=10, match={"event": "executionReport"})
    bench.control.fault("code_1007", count=1, match={"op": "order.cancel"})
    answer = await bench.cancel(our_id)
    bench.control.clear_faults()
    expect(isinstance(answer, c.ChildAmbiguous) and answer.op == "cancel", f"expected ambiguous, got {answer}")
    found = await _settled(bench, our_id)
    expect(found.outcome == "canceled", f"the cancel happened, but the query says {found}")


@check("faults")
async def query_without_an_answer_is_an_error(bench: Bench) -> None:
    our_id, _ = await bench.placed()
    for kind in ("http_5xx", "empty_200", "html_200"):
        bench.control.fault(kind, seconds=5.0, match={"op": "order.status"})
        found = await bench.query(our_id)
        bench.control.clear_faults()
        expect(found.outcome == "error" and not found.trades_checked, f"{kind}: expected error, got {found}")
    found = await _settled(bench, our_id)
    expect(found.outcome == "open", f"expected open, got {found}")
    await bench.cancel(our_id)


@check("faults", "ledger", "fills")
async def duplicate_events_are_told_once(bench: Bench) -> None:
    bench.control.fault("ws_duplicate", count=20, match={"event": "executionReport"})
    our_id, _ = await bench.placed(px=bench.price("1.01"))
    await filled(bench, our_id)
    bench.control.clear_faults()
    ids = [m.trade.venue_trade_id for m in bench.gateway.of(our_id) if isinstance(m, c.ChildTrade)]
    expect(len(ids) == len(set(ids)), f"trades told twice: {ids}")


@check("faults", "ledger", "fills")
async def trades_that_overtake_the_answer_are_told_once(bench: Bench) -> None:
    delay_s = 0.3
    bench.control.fault("delay", count=1, match=_PLACES, delay=delay_s)
    our_id = bench.send_place(px=bench.price("1.01"))
    answered = time.monotonic() + delay_s
    await bench.gateway.answer(our_id, c.ChildAck)
    _, trades = await filled(bench, our_id)
    # the answer brings the same trades once more, of which nothing must be seen
    await asyncio.sleep(max(0.0, answered + 0.2 - time.monotonic()))
    bench.control.clear_faults()
    _each_told_once(bench, our_id, len(trades))
    ends = [m for m in bench.gateway.of(our_id) if isinstance(m, (c.ChildAck, c.ChildDone))]
    expect(len(ends) == 2, f"expected one ack and one end, got {ends}")


@check("faults", "ledger", "fills")
async def fill_that_the_stream_lost_is_told_by_the_answer(bench: Bench) -> None:
    bench.control.fault("ws_missing", count=10, match={"event": "executionReport"})
    our_id, _ = await bench.placed(px=bench.price("1.01"))
    done, _ = await filled(bench, our_id)
    bench.control.clear_faults()
    expect(done.status == "filled", f"got {done}")


async def _partly_filled_unseen(bench: Bench, **lost: str) -> tuple[str, int, Decimal, Decimal]:
    """A resting order with a fill that the stream does not tell (nor what else is like `lost`, until the faults are cleared):
    our id, the venue's, the quantity, what is filled."""
    assert bench.spec is not None
    qty = bench.qty("500")
    part = floor_to(qty / 2, bench.spec.lot)
    our_id, ack = await bench.placed(qty=qty)
    bench.control.fault("ws_missing", count=10, match={"event": "executionReport"} | lost)
    bench.control.fill(int(ack.venue_order_id), part)
    return our_id, int(ack.venue_order_id), qty, part


def _each_told_once(bench: Bench, our_id: str, count: int) -> None:
    told = [m.trade.venue_trade_id for m in bench.gateway.of(our_id) if isinstance(m, c.ChildTrade)]
    expect(len(told) == len(set(told)) == count, f"expected {count} trades of {our_id}, each once, got {told}")


@check("faults", "ledger", "fills")
async def a_trade_that_the_stream_lost_is_told_soon_after_its_order_filled(bench: Bench) -> None:
    our_id, order_id, qty, part = await _partly_filled_unseen(bench, execution="TRADE")
    bench.control.clear_faults()
    bench.control.fill(order_id, qty - part)
    done, _ = await filled(bench, our_id)
    expect(done.status == "filled" and done.cum_qty == qty, f"expected filled {qty}, got {done}")
    _each_told_once(bench, our_id, 2)


@check("faults", "ledger", "fills")
async def a_trade_that_the_stream_lost_is_told_soon_after_a_cancel(bench: Bench) -> None:
    """Known by the end that the stream tells, or by the answer to the cancel alone."""
    for lost in ({"execution": "TRADE"}, {}):
        our_id, _, _, part = await _partly_filled_unseen(bench, **lost)
        answer = await bench.cancel(our_id)
        bench.control.clear_faults()
        expect(isinstance(answer, c.ChildDone) and answer.cum_qty == part, f"expected canceled with {part}, got {answer}")
        await filled(bench, our_id)
        _each_told_once(bench, our_id, 1)


async def _fill_in_a_gap(bench: Bench, kind: str, **how: object) -> None:
    """A resting order fills while no event can reach us; it must be told after the reconnect, once."""
    assert bench.spec is not None
    qty = bench.qty("500")
    part = floor_to(qty / 2, bench.spec.lot)
    whole, ack = await bench.placed(qty=qty)
    partly, part_ack = await bench.placed(qty=qty)
    bench.control.fault("ws_missing", count=1000, match={"event": "*"})
    bench.control.fill(int(ack.venue_order_id), qty)
    bench.control.fill(int(part_ack.venue_order_id), part)
    bench.control.clear_faults()
    bench.control.fault(kind, **how)
    done, trades = await filled(bench, whole)
    expect(done.status == "filled" and len(trades) == 1, f"{kind}: got {done} {trades}")
    first = await bench.gateway.answer(partly, c.ChildTrade)
    expect(first.trade.qty == part, f"{kind}: expected {part}, got {first.trade}")
    await bench.ready()
    answer = await bench.cancel(partly)
    expect(isinstance(answer, c.ChildDone) and answer.cum_qty == part, f"{kind}: cancel gave {answer}")
    told = [m for m in bench.gateway.of(partly) if isinstance(m, c.ChildTrade)]
    expect(len(told) == 1, f"{kind}: told {len(told)} times")


@check("faults", "ledger", "fills")
async def fill_during_a_disconnect_is_told(bench: Bench) -> None:
    await _fill_in_a_gap(bench, "ws_disconnect", target="all")


@check("faults", "ledger", "fills")
async def fill_before_a_terminated_stream_is_told(bench: Bench) -> None:
    await _fill_in_a_gap(bench, "ws_terminate")


@check("faults", "ledger")
async def outage_is_told_and_ends_with_link_up(bench: Bench) -> None:
    our_id, _ = await bench.placed()
    mark = len(bench.gateway.received)
    bench.control.fault("outage", seconds=3.0)
    down_id, answer = await bench.place()
    expect(isinstance(answer, (c.ChildReject, c.ChildAmbiguous)), f"placed into an outage: {answer}")
    await bench.seen(c.VenueLink, mark, lambda m: not m.up, timeout_s=10.0)
    await bench.seen(c.VenueLink, mark, lambda m: m.up, timeout_s=20.0)
    bench.control.clear_faults()
    expect(not bench.records(down_id), "an order of the outage was sent afterwards")
    found = await _settled(bench, our_id)
    expect(found.outcome == "open", f"expected open, got {found}")
    await bench.cancel(our_id)


@check("faults", "ledger")
async def reconcile_is_retried_until_the_venue_answers(bench: Bench) -> None:
    our_id, _ = await bench.placed()
    bench.control.fault("http_5xx", count=2, match={"op": "openOrders.status"})
    bench.control.fault("empty_200", count=1, match={"op": "openOrders.status"})
    mark = len(bench.gateway.received)
    told = await bench.reconcile(0)
    bench.control.clear_faults()
    expect(our_id in {o.venue_cl_ord_id for o in told.open_orders}, f"incomplete: {told.open_orders}")
    count = sum(isinstance(m, c.VenueReconciled) for m in bench.gateway.received[mark:])
    expect(count == 1, f"expected one VenueReconciled, got {count}")
    await bench.cancel(our_id)


@check("faults", "ledger")
async def a_place_is_never_sent_twice(bench: Bench) -> None:
    """The same id again, as a confused caller might: nothing more reaches the venue."""
    our_id, _ = await bench.placed()
    after = len(bench.gateway.of(our_id))
    bench.send_place(our_id=our_id)
    answer = await bench.gateway.answer(our_id, *PLACE_ANSWERS, after=after)
    expect(not isinstance(answer, c.ChildReject), f"a reject would bury the live order: {answer}")
    accepted = [r for r in bench.records(our_id) if r["type"] in ("accepted", "rejected")]
    expect(len(accepted) == 1, f"the venue saw it {len(accepted)} times")
    await bench.cancel(our_id)
