"""Conformance, third part: reducing an order in place ("amend" in wire.Hello), and saying no where that is not offered.

The doctrine is that of places: an amend that may have reached the venue is never called refused. But its quantity is a
total, so that the same amend again does no harm, and its answer settles what was ambiguous.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ..core import commands as c
from ..core.numbers import floor_to
from .conformance import Bench, check, expect, filled
from .wire import AmendChild, CancelChild, FromHost

AMEND_ANSWERS = (c.ChildAmended, c.ChildAmendReject, c.ChildAmbiguous)
_AMENDS = {"op": "order.amend*"}


def _send(bench: Bench, our_id: str, qty: Decimal) -> None:
    bench.gateway.send(AmendChild(venue_cl_ord_id=our_id, symbol=bench.symbol, qty=qty))


async def amend(bench: Bench, our_id: str, qty: Decimal) -> FromHost:
    """Amend and wait for the one answer."""
    after = len(bench.gateway.of(our_id))
    _send(bench, our_id, qty)
    return await bench.gateway.answer(our_id, *AMEND_ANSWERS, after=after, timeout_s=15.0)


def _part(bench: Bench, qty: Decimal, share: str) -> Decimal:
    assert bench.spec is not None
    return floor_to(qty * Decimal(share), bench.spec.lot)


def _amends(bench: Bench, our_id: str) -> list[Decimal]:
    """The totals that the venue's own ledger has of an order's amends."""
    return [Decimal(record["qty"]) for record in bench.records(our_id) if record["type"] == "amended"]


async def _works_with(bench: Bench, our_id: str, venue_order_id: str, qty: Decimal) -> None:
    """The venue's list of open orders has it once, under the same ids, with this total."""
    found = [o for o in (await bench.reconcile(0)).open_orders if venue_order_id == o.venue_order_id]
    expect(len(found) == 1, f"expected {our_id} once among the open orders, got {found}")
    expect((found[0].venue_cl_ord_id, found[0].qty) == (our_id, qty), f"expected {our_id} of {qty}, got {found}")


async def _ends_canceled(bench: Bench, our_id: str, cum_qty: Decimal) -> None:
    done = await bench.cancel(our_id)
    expect(
        isinstance(done, c.ChildDone) and done.status == "canceled" and done.cum_qty == cum_qty,
        f"expected canceled with {cum_qty}, got {done}",
    )


@check()
async def an_amend_is_answered_as_the_capabilities_say(bench: Bench) -> None:
    qty = bench.qty("500")
    less = _part(bench, qty, "0.5")
    our_id, ack = await bench.placed(qty=qty)
    answer = await amend(bench, our_id, less)
    if "amend" in bench.gateway.hellos[-1].capabilities:
        expect(isinstance(answer, c.ChildAmended) and answer.qty == less, f"expected ChildAmended to {less}, got {answer}")
    else:
        refused = isinstance(answer, c.ChildAmendReject) and answer.code == "UNSUPPORTED"
        expect(refused, f"expected ChildAmendReject UNSUPPORTED, got {answer}")
        await _works_with(bench, our_id, ack.venue_order_id, qty)
    expect((await bench.query(our_id)).outcome == "open", f"{our_id} must work on")
    await _ends_canceled(bench, our_id, Decimal(0))


@check("amend", "ledger", "fills")
async def an_amended_order_keeps_its_place_in_the_queue(bench: Bench) -> None:
    assert bench.spec is not None
    bid, symbol = bench.quote().bid, bench.spec.venue_symbol
    assert bid is not None
    px, qty = bid + bench.spec.tick, bench.qty("500")
    less = _part(bench, qty, "0.25")
    our_id, _ = await bench.placed(px=px, qty=qty)
    behind = bench.control.order(symbol, "BUY", qty, px)["orderId"]
    answer = await amend(bench, our_id, less)
    expect(isinstance(answer, c.ChildAmended) and answer.qty == less, f"expected ChildAmended to {less}, got {answer}")
    bench.control.order(symbol, "SELL", less, px)
    done, trades = await filled(bench, our_id)
    bench.control.order(symbol, "SELL", qty, px)
    expect(done.status == "filled" and done.cum_qty == less, f"expected filled with {less}, got {done}")
    expect({t.px for t in trades} == {px}, f"prices of {trades}")
    fills = [r for r in bench.control.ledger() if r["type"] == "filled" and r.get("order_id") == behind]
    first = next(r["seq"] for r in bench.records(our_id) if r["type"] == "filled")
    expect(bool(fills) and all(r["seq"] > first for r in fills), f"the order behind went first: {fills}")


@check("amend", "ledger", "fills")
async def after_an_amend_the_fills_complete_at_the_new_quantity(bench: Bench) -> None:
    qty = bench.qty("500")
    part, less = _part(bench, qty, "0.25"), _part(bench, qty, "0.5")
    our_id, ack = await bench.placed(qty=qty)
    bench.control.fill(int(ack.venue_order_id), part)
    await bench.gateway.answer(our_id, c.ChildTrade)
    answer = await amend(bench, our_id, less)
    expect(isinstance(answer, c.ChildAmended) and answer.qty == less, f"expected ChildAmended to {less}, got {answer}")
    found = await bench.query(our_id)
    expect(found.outcome == "open" and found.cum_qty == part and found.trades_checked, f"expected open, got {found}")
    await _works_with(bench, our_id, ack.venue_order_id, less)
    bench.control.fill(int(ack.venue_order_id), less - part)
    done, trades = await filled(bench, our_id)
    expect(done.status == "filled" and done.cum_qty == less, f"expected filled with {less}, got {done}")
    expect({t.venue_order_id for t in trades} == {ack.venue_order_id} and len(trades) == 2, f"trades {trades}")
    expect((await bench.query(our_id)).outcome == "filled", "an order filled at its new quantity must be found filled")
    expect(_amends(bench, our_id) == [less], f"the venue's amends: {_amends(bench, our_id)}")
    acks = [m for m in bench.gateway.of(our_id) if isinstance(m, c.ChildAck)]
    expect(len(acks) == 1, f"expected one ack, got {acks}")


@check("amend", "ledger")
async def a_cancel_behind_an_amend_cancels(bench: Bench) -> None:
    qty = bench.qty("500")
    less = _part(bench, qty, "0.5")
    our_id, _ = await bench.placed(qty=qty)
    _send(bench, our_id, less)
    bench.gateway.send(CancelChild(venue_cl_ord_id=our_id, symbol=bench.symbol))
    done = await bench.gateway.answer(our_id, c.ChildDone, c.ChildCancelReject)
    expect(isinstance(done, c.ChildDone) and done.status == "canceled", f"expected canceled, got {done}")
    # neither waits for the other: whichever the venue took first, the amend has one answer of its own
    answer = await bench.gateway.answer(our_id, c.ChildAmended, c.ChildAmendReject, c.ChildAmbiguous)
    happened = _amends(bench, our_id)
    fits = happened == [less] if isinstance(answer, c.ChildAmended) else happened in ([], [less])
    expect(fits, f"told was {answer}, the venue's amends are {happened}")


@check("amend")
async def an_amend_of_a_finished_or_unknown_order_is_refused(bench: Bench) -> None:
    qty = bench.qty("500")
    finished, _ = await bench.placed(qty=qty)
    await bench.cancel(finished)
    ends = [m for m in bench.gateway.of(finished) if isinstance(m, c.ChildDone)]
    for our_id in (finished, bench.new_id()):
        answer = await amend(bench, our_id, _part(bench, qty, "0.5"))
        expect(isinstance(answer, c.ChildAmendReject) and answer.text != "", f"expected ChildAmendReject, got {answer}")
    told = [m for m in bench.gateway.of(finished) if isinstance(m, c.ChildDone)]
    expect(told == ends, f"the end was told again: {told}")


@check("amend", "ledger", "fills")
async def an_amend_that_does_not_fit_is_not_sent(bench: Bench) -> None:
    assert bench.spec is not None
    qty = bench.qty("500")
    part = _part(bench, qty, "0.5")
    our_id, ack = await bench.placed(qty=qty)
    bench.control.fill(int(ack.venue_order_id), part)
    await bench.gateway.answer(our_id, c.ChildTrade)
    cases = (
        ("INVALID", qty + bench.spec.lot), ("INVALID", Decimal(0)), ("TOO_LATE", part), ("TOO_LATE", bench.spec.min_qty),
        ("BAD_LOT", part + bench.spec.lot / 2),
    )  # fmt: skip
    for code, total in cases:
        answer = await amend(bench, our_id, total)
        expect(isinstance(answer, c.ChildAmendReject) and answer.code == code, f"{total}: expected {code}, got {answer}")
    expect(not _amends(bench, our_id), f"the venue amended it: {_amends(bench, our_id)}")
    await _works_with(bench, our_id, ack.venue_order_id, qty)
    await _ends_canceled(bench, our_id, part)


@check("amend", "balances")
async def an_amend_frees_what_it_takes_off(bench: Bench) -> None:
    assert bench.spec is not None
    asset, qty, px = bench.spec.quote, bench.qty("500"), bench.price("0.9")
    less = _part(bench, qty, "0.5")
    mark = len(bench.gateway.received)
    our_id, _ = await bench.placed(qty=qty, px=px)
    # what others of this bench still hold does not matter: only the difference of two reports
    await bench.seen(c.BalancesReport, mark, lambda b: asset in b.free)
    await bench.reconcile(0)
    held = [m for m in bench.gateway.received if isinstance(m, c.BalancesReport)][-1]
    before = held.total[asset] - held.free[asset]
    mark = len(bench.gateway.received)
    expect(isinstance(await amend(bench, our_id, less), c.ChildAmended), "expected ChildAmended")
    freed = px * (qty - less)
    await bench.seen(c.BalancesReport, mark, lambda b: b.total[asset] - b.free[asset] == before - freed)
    await bench.cancel(our_id)


# --- faults ---


async def _ambiguous_amend(bench: Bench, kind: str, **how: Any) -> None:
    """Amend into a fault that accepts it but spoils the answer."""
    qty = bench.qty("500")
    less = _part(bench, qty, "0.5")
    our_id, ack = await bench.placed(qty=qty)
    bench.control.fault(kind, count=1, match=_AMENDS, **how)
    try:
        answer = await amend(bench, our_id, less)
    finally:
        bench.control.clear_faults()
    # the stream may have shown it in time, then that it happened is the better answer; a refusal never is
    expect(not isinstance(answer, c.ChildAmendReject), f"{kind}: it happened, got {answer}")
    await bench.ready()
    await _settled_at(bench, our_id, ack.venue_order_id, less)


async def _settled_at(bench: Bench, our_id: str, venue_order_id: str, qty: Decimal) -> None:
    """The order has this total at the venue, from one amend; the same amend again is confirmed and changes nothing."""
    expect(_amends(bench, our_id) == [qty], f"expected one amend to {qty}, the venue has {_amends(bench, our_id)}")
    await _works_with(bench, our_id, venue_order_id, qty)
    again = await amend(bench, our_id, qty)
    expect(isinstance(again, c.ChildAmended) and again.qty == qty, f"the same amend again: {again}")
    expect(_amends(bench, our_id) == [qty], f"amended twice: {_amends(bench, our_id)}")
    await _ends_canceled(bench, our_id, Decimal(0))


def _enter_ambiguous(kind: str, **how: Any) -> None:
    async def run(bench: Bench) -> None:
        await _ambiguous_amend(bench, kind, **how)

    run.__name__ = f"amended_but_{kind}"
    check("amend", "faults", "ledger")(run)


for _kind in ("drop_after", "empty_200", "html_200", "truncated", "code_1007", "http_5xx", "hang"):
    _enter_ambiguous(_kind)


@check("amend", "faults", "ledger")
async def an_amend_without_answer_and_event_is_ambiguous(bench: Bench) -> None:
    qty = bench.qty("500")
    less = _part(bench, qty, "0.5")
    our_id, ack = await bench.placed(qty=qty)
    bench.control.fault("ws_missing", count=10, match={"event": "executionReport"})
    bench.control.fault("code_1007", count=1, match=_AMENDS)
    answer = await amend(bench, our_id, less)
    bench.control.clear_faults()
    expect(isinstance(answer, c.ChildAmbiguous) and answer.op == "amend", f"expected ambiguous, got {answer}")
    await _settled_at(bench, our_id, ack.venue_order_id, less)


@check("amend", "faults", "ledger")
async def an_amend_dropped_before_acceptance_is_told_as_it_is(bench: Bench) -> None:
    """Ambiguous, and nothing happened. Or it was sent again by the HTTP client, which may do so with a total: then once."""
    qty = bench.qty("500")
    less = _part(bench, qty, "0.5")
    our_id, ack = await bench.placed(qty=qty)
    bench.control.fault("drop_before", count=1, match=_AMENDS)
    answer = await amend(bench, our_id, less)
    bench.control.clear_faults()
    await bench.ready()
    if isinstance(answer, c.ChildAmended):
        await _settled_at(bench, our_id, ack.venue_order_id, less)
        return
    expect(isinstance(answer, c.ChildAmbiguous) and answer.op == "amend", f"expected ambiguous, got {answer}")
    await _works_with(bench, our_id, ack.venue_order_id, qty)
    expect(not _amends(bench, our_id), f"sent again later: {_amends(bench, our_id)}")
    await _ends_canceled(bench, our_id, Decimal(0))


@check("amend", "faults", "ledger", "limits")
async def an_amend_refused_by_rate_limit_is_refused(bench: Bench) -> None:
    qty = bench.qty("500")
    our_id, ack = await bench.placed(qty=qty)
    bench.control.fault("reply_429", count=1, match=_AMENDS, retry_after=1)
    answer = await amend(bench, our_id, _part(bench, qty, "0.5"))
    bench.control.clear_faults()
    expect(isinstance(answer, c.ChildAmendReject), f"a 429 is a refusal, got {answer}")
    await _works_with(bench, our_id, ack.venue_order_id, qty)
    expect(not _amends(bench, our_id), f"the venue amended it: {_amends(bench, our_id)}")
    await _ends_canceled(bench, our_id, Decimal(0))
