"""What follows when a trade arrives or a child ends: the order's own fate.

    child said to have ended, trades missing  nothing yet: closing, until the venue has proven it or shows it open
    child closed, others live ............. nothing yet
    order fully executed .................. Filled; a pending request is refused: too late (but a replace to more goes on)
    pending cancel ........................ Canceled under the cancel's ClOrdID
    pending replace, no replacing child ... the new quantity is executed already: Replaced and Filled; else the new child
    pending replace, new child refused .... cancel reject, then an unsolicited Canceled (Filled: nothing more)
    being stopped by us ................... Canceled (kill, operations, disconnect) or Expired
    refused / never placed ................ Rejected, or Canceled when something was executed
    otherwise ............................. Canceled: the rest of an immediate order, or the venue's own doing
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ..risk.base import Denied
from . import events as e
from . import rules
from .child import CLOSING, SENT, UNKNOWN, Child
from .commands import VenueTrade
from .draft import Draft, reason_fields
from .evolve import external_key
from .foreign import foreign_trade, is_of_another
from .ids import is_ours
from .market import Market, market_of, not_listed, venue_ready
from .numbers import CTX, ZERO, floor_to
from .numbers import text as fmt
from .order import PENDING_CANCEL, PENDING_NEW, PENDING_REPLACE, Order, Pending
from .placing import place_child, switched_off
from .reasons import Reason
from .sanity import end_problem, trade_problem

# the venue is asked a second time so long after the first
AGAIN_NS = 1_000_000_000


def find_child(draft: Draft, venue: str, venue_cl_ord_id: str, venue_order_id: str = "", symbol: str = "") -> Child | None:
    """By our id, else by the venue's within the instrument; only a child of that venue."""
    # ids that are not ours are looked for among the orders at hand only: others trade on the account too
    known_here = venue_cl_ord_id in draft.state.children or is_ours(draft.install, venue_cl_ord_id)
    child = draft.find_child(venue_cl_ord_id) if known_here else None
    if child is None and venue in draft.state.venues:
        known = draft.state.child_of(venue, symbol, venue_order_id)
        child = draft.find_child(known) if known is not None else None
    return child if child is not None and child.venue == venue else None


def confirm(draft: Draft, child: Child, venue_order_id: str) -> None:
    """The venue has the child. First word of it: 150=0, or 150=5 where it replaces another."""
    if child.state not in (SENT, UNKNOWN) and (not venue_order_id or child.venue_order_id):
        return
    fresh = child.state in (SENT, UNKNOWN)
    draft.emit(
        e.ChildConfirmed(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns, venue_order_id=venue_order_id)
    )
    order = draft.order(child.order_id)
    if not fresh or not order.is_open:
        return
    if is_replacing(order, child):
        replaced(draft, order, venue_order_id=venue_order_id, venue_cl_ord_id=child.venue_cl_ord_id)
    elif order.status == PENDING_NEW:
        draft.emit(e.OrderConfirmed(order_id=order.order_id, ts_ns=draft.ts_ns))
        order = draft.order(order.order_id)
        draft.report(order, "0", venue_order_id=venue_order_id, venue_cl_ord_id=child.venue_cl_ord_id)


def is_replacing(order: Order, child: Child) -> bool:
    """True for the new child of a pending replace: it is the last one, and not being canceled or reduced for that replace."""
    pending = order.pending
    return (
        pending is not None
        and pending.kind == PENDING_REPLACE
        and len(order.children) > 1
        and order.children[-1] == child.venue_cl_ord_id
        and not child.cancel
        and child.amend is None
    )


def replaced(draft: Draft, order: Order, *, venue_order_id: str = "", venue_cl_ord_id: str = "") -> None:
    """150=5; with the venue's ids where a new child replaces the old one."""
    assert order.pending is not None
    old, new = order.cl_ord_id, order.pending.cl_ord_id
    order_qty = None
    if order.pending.cash_qty is not None and not order.held and order.pending.order_qty > order.cum_qty:
        # the new child may be smaller than was asked (cash_bound); nothing of it has traded yet
        order_qty = min(order.pending.order_qty, order.cum_qty + draft.child(order.children[-1]).qty)
    draft.emit(e.OrderReplaced(order_id=order.order_id, ts_ns=draft.ts_ns, order_qty=order_qty))
    draft.report(
        draft.order(order.order_id),
        "5",
        cl_ord_id=new,
        orig_cl_ord_id=old,
        venue_order_id=venue_order_id,
        venue_cl_ord_id=venue_cl_ord_id,
    )


def most_qty(draft: Draft, child: Child) -> Decimal:
    """The greatest quantity that the child ever had. An amend, which makes it smaller, needs a replace; then what it reserved
    tells how much it was (of a buy, by its fee more)."""
    if len(draft.order(child.order_id).cl_ord_ids) == 1:
        return child.qty
    reserved = child.reserve_qty
    if child.side == "1":
        reserved = CTX.divide(reserved, child.px) if child.px else ZERO
    return max(child.qty, reserved)


def end_is_nonsense(draft: Draft, child: Child, status: str, cum_qty: Decimal | None, kept: bool = False) -> bool:
    """The child cannot have ended so: alerted, and no word at all. `kept`: as in end_problem."""
    problem = end_problem(child, most_qty(draft, child), status, cum_qty, kept)
    if problem:
        draft.alert("BAD_VENUE_DATA", f"{child.venue}: {child.venue_cl_ord_id} is told to be {problem}: asked again")
    return bool(problem)


def trade(draft: Draft, venue: str, item: VenueTrade, answer: bool = False, evidence: str = "") -> Child | None:
    """One trade, from wherever it came (`answer`: to a question about its order; `evidence`: from operations, for this reason);
    known ones are passed over. Gives the child of which a trade is told that cannot be so, and which therefore has to be
    asked about."""
    problem = trade_problem(item)
    if problem:
        draft.alert("BAD_TRADE", f"{venue}: trade {item.venue_trade_id!r:.60} {item.symbol:.40}: {problem}")
        return None
    child = find_child(draft, venue, item.venue_cl_ord_id, item.venue_order_id, item.symbol)
    if child is not None and is_of_another(child, item):
        why = f"is of order {item.venue_order_id:.40}, not of {child.venue_order_id}, whose id it bears"
        foreign_trade(draft, venue, item, why)
        return None
    if child is not None and (item.symbol, item.side) != (child.symbol, child.side):
        text = f"{venue}: trade {item.venue_trade_id} {item.symbol} side {item.side} names {child.venue_cl_ord_id}"
        draft.alert("BAD_TRADE", f"{text}, which is {child.symbol} side {child.side}: not booked")
        return None
    if child is None:
        foreign_trade(draft, venue, item)
        return None
    if item.venue_trade_id in child.fills:
        return None
    most = most_qty(draft, child)
    if item.qty > most:
        # several that come to more than was ordered are the venue's word; a single one that does cannot be true
        text = f"{venue}: trade {item.venue_trade_id} of {child.venue_cl_ord_id}: {item.qty:f} executed at once of {most:f}"
        draft.alert("BAD_TRADE", f"{text}: not booked, asked for")
        return child
    _book(draft, venue, child, item, evidence)
    child = draft.child(child.venue_cl_ord_id)
    if child.is_live and child.told_qty >= child.qty:
        close(draft, child, child.closed_as if child.state == CLOSING else "filled")
    elif not answer and child.state == CLOSING and child.final_cum is not None and child.told_qty >= child.final_cum:
        _say_it_again(draft, child)
    stop_the_rest(draft, child.order_id)
    return None


def _book(draft: Draft, venue: str, child: Child, item: VenueTrade, evidence: str) -> None:
    """A trade of this child that is new and can be."""
    external = draft.state.venues[venue].external_trades
    if external and external_key(item.account, item.symbol, item.venue_trade_id) in external:
        draft.alert("EXTERNAL_FILL", f"{venue}: trade {item.venue_trade_id} turned out to be of order {child.order_id}")
    confirm(draft, child, item.venue_order_id)
    order = draft.order(child.order_id)
    base = draft.state.settings.instruments[order.symbol].base if order.symbol in draft.state.settings.instruments else ""
    was_open = order.is_open
    exec_id = draft.next_exec_id()
    draft.emit(
        e.OrderFilled(
            order_id=order.order_id,
            ts_ns=draft.ts_ns,
            venue_cl_ord_id=child.venue_cl_ord_id,
            venue_trade_id=item.venue_trade_id,
            exec_id=exec_id,
            qty=item.qty,
            px=item.px,
            fee=item.fee,
            fee_asset=item.fee_asset,
            base_fee=item.fee if item.fee_asset and item.fee_asset == base else ZERO,
            venue_ns=item.venue_ns,
        )
    )
    order = draft.order(order.order_id)
    draft.report(
        order,
        "F",
        exec_id=exec_id,
        last_qty=item.qty,
        last_px=item.px,
        liquidity=item.liquidity,
        fee=item.fee,
        fee_asset=item.fee_asset,
        venue_order_id=item.venue_order_id,
        venue_trade_id=item.venue_trade_id,
        venue_cl_ord_id=child.venue_cl_ord_id,
        **(reason_fields(Reason.RESOLVED, text=f"{Reason.RESOLVED.meaning}: {evidence}") if evidence else {}),
    )
    if not was_open:
        draft.alert("FILL_AFTER_END", f"order {order.order_id} ({order.ord_status}) got trade {item.venue_trade_id}")
    if order.cum_qty > order.order_qty:
        draft.alert("OVERFILL", f"order {order.order_id}: executed {order.cum_qty:f} of {order.order_qty:f}")
    if child.px is not None and _is_far_beyond(child.side, item.px, child.px):
        text = f"{venue}: trade {item.venue_trade_id} of {child.venue_cl_ord_id} @ {item.px:f}, its limit is {child.px:f}"
        draft.alert("BEYOND_LIMIT", f"{text}: booked as the venue tells it")


def _is_far_beyond(side: str, px: Decimal, limit: Decimal) -> bool:
    """A price worse than the limit by more than a tenth: no venue trades so, but it may be what it trades that is wrong."""
    return px * 10 > limit * 11 if side == "1" else px * 11 < limit * 10


def _say_it_again(draft: Draft, child: Child) -> None:
    """All is there that its end announced. It counts when the venue says so in answer to a question of after it: trades that
    only happen to come to the figure of a false end would end an order that works. Mostly that answer is under way."""
    if child.next_query_ns > draft.ts_ns + AGAIN_NS:
        draft.emit(
            e.ChildQueried(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns, next_ns=draft.ts_ns + AGAIN_NS)
        )


def stop_the_rest(draft: Draft, order_id: str) -> None:
    """An order that ended (a trade too many, a correction) leaves nothing working at a venue."""
    order = draft.order(order_id)
    if order.is_open:
        return
    for child in draft.live_children(order):
        if not child.cancel:
            draft.emit(e.ChildCancelSent(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns))


def end_child(
    draft: Draft, child: Child, status: str, cum_qty: Decimal | None, text: str = "", asked_ns: int = 0
) -> None:
    """The venue says the child is over with `cum_qty` executed (None: unsaid), in answer to a question of `asked_ns` (0: by
    itself). Missing trades are asked for first."""
    if not child.is_live:
        return
    if cum_qty is None and status == "filled":
        cum_qty = child.qty
    if child.state == CLOSING and cum_qty == child.final_cum and asked_ns <= child.closed_ns:
        return  # the same word again, which proves nothing
    back = cum_qty is not None and cum_qty < child.told_qty
    if back:
        gone = f"ended with {cum_qty:f} executed, its trades show {child.told_qty:f}: the trades count"
        draft.alert("CUM_QTY_WENT_BACK", f"{child.venue}: {child.venue_cl_ord_id} {gone}")
        # a venue that took a trade back says so again; one that was wrong does not
        back = child.state != CLOSING or asked_ns <= child.closed_ns
    if cum_qty is None or (cum_qty <= child.told_qty and not back):
        close(draft, child, status, text)
        return
    if child.state != CLOSING:
        draft.emit(
            e.ChildClosing(
                venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns, status=status, final_cum=cum_qty, text=text,
                heard_ns=draft.ts_ns,
            )
        )  # fmt: skip
        # trades usually follow within milliseconds; if they do not, the query fetches them
        draft.emit(
            e.ChildQueried(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns, next_ns=draft.ts_ns + AGAIN_NS)
        )


def close(draft: Draft, child: Child, status: str, text: str = "", ended_as: str = "") -> None:
    """The child is over and complete. `ended_as`: what its order makes of it, where that is another thing."""
    draft.emit(e.ChildClosed(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns, status=status))
    order = draft.order(child.order_id)
    if not order.is_open:
        _refuse_late(draft, order)
        return
    finish_if_idle(draft, order.order_id, ended_as or status, text)


def _refuse_late(draft: Draft, order: Order) -> None:
    """The order ended (filled) under a pending request: too late."""
    if order.pending is not None:
        refuse_pending(draft, order, Reason.TOO_LATE, (41, order.cl_ord_id, "an open order"))


# (tag, value, what would have been taken)
Fault = tuple[int, str, str]


def refuse_pending(draft: Draft, order: Order, reason: Reason, fault: Fault, text: str = "") -> Order:
    """35=9 for the client's pending cancel or replace; gives the order as it is without it."""
    pending = order.pending
    assert pending is not None
    order = _drop_pending(draft, order, pending, reason)
    _tell_refused(draft, order, pending, Denied(reason, *fault, text or reason.meaning))
    return order


def _drop_pending(draft: Draft, order: Order, pending: Pending, reason: Reason) -> Order:
    refused = e.ReplaceRefused if pending.kind == PENDING_REPLACE else e.CancelRefused
    draft.emit(refused(order_id=order.order_id, ts_ns=draft.ts_ns, reason=reason.value))
    return draft.order(order.order_id)


def _tell_refused(draft: Draft, order: Order, pending: Pending, denied: Denied) -> None:
    response_to = "2" if pending.kind == PENDING_REPLACE else "1"
    draft.cancel_reject(order.session, order, pending.cl_ord_id, order.cl_ord_id, response_to, denied)


def finish_if_idle(draft: Draft, order_id: str, ended_as: str = "", text: str = "") -> None:
    """When nothing works at a venue any more: what becomes of the order. `ended_as`: how the last child ended."""
    order = draft.order(order_id)
    if not order.is_open or draft.live_children(order):
        return
    pending, refused = order.pending, _REFUSED.get(ended_as)
    if pending is not None and pending.kind == PENDING_CANCEL:
        # it is what the client wanted, but there was no order at the venue: he is told so
        reason = refused.value if refused is not None else ""
        _canceled(draft, order, pending.cl_ord_id, reason, orig=order.cl_ord_id, text=text)
    elif pending is not None:
        _go_on_replacing(draft, order, ended_as, text)
    elif order.stopping == Reason.EXPIRED.value:
        draft.emit(e.OrderExpired(order_id=order_id, ts_ns=draft.ts_ns))
        draft.report(draft.order(order_id), "C", **reason_fields(Reason.EXPIRED))
    elif order.stopping:
        _canceled(draft, order, order.cl_ord_id, order.stopping)
    elif refused is not None:
        _rejected(draft, order, refused, text)
    elif ended_as == "filled":
        # the child is complete, the order is not: a trade of it was busted or corrected, or an amend that came to nothing for
        # us (a cancel went over it) was carried out by the venue
        children = [draft.child(child) for child in order.children]
        changed = any(child.cum_qty != child.told_qty for child in children)
        busted = any(fill.busted for child in children for fill in child.fills.values())
        why = Reason.BUSTED if busted else Reason.CORRECTED if changed else Reason.VENUE_CANCEL
        if why is Reason.VENUE_CANCEL and order.cash_qty is not None and order.ord_type == rules.STOP:
            # a stop whose cash paid for less at its trigger than at its stop price (placing.triggered_qty)
            why, text = Reason.IOC_REMAINDER, "the cash is spent"
        _canceled(draft, order, order.cl_ord_id, why.value, text=text)
    elif order.ord_type in (rules.MARKET, rules.STOP) or order.tif in (rules.IOC, rules.FOK):
        _canceled(draft, order, order.cl_ord_id, Reason.IOC_REMAINDER.value, text=text)
    else:
        _canceled(draft, order, order.cl_ord_id, Reason.VENUE_CANCEL.value, text=text)


def _rejected(draft: Draft, order: Order, reason: Reason, text: str) -> None:
    if order.cum_qty > 0:
        _canceled(draft, order, order.cl_ord_id, reason.value, text=text)
        return
    draft.emit(e.OrderRejected(order_id=order.order_id, ts_ns=draft.ts_ns, reason=reason.value))
    fields = reason_fields(reason, 11, order.cl_ord_id, _WANTED[reason], f"{reason.meaning}: {text}" if text else "")
    draft.report(draft.order(order.order_id), "8", **fields)


# why there is no order at the venue, by how the child ended
_REFUSED = {"rejected": Reason.VENUE_REJECT, "not_placed": Reason.NOT_PLACED}
# what would have been taken where the venue had the last word
_WANTED = {
    Reason.VENUE_REJECT: "an order that the venue takes",
    Reason.REPLACE_FAILED: "an order that the venue takes",
    Reason.NOT_PLACED: "an order that reaches the venue",
}
_RESTATEMENT = {Reason.DISCONNECT.value: 12, Reason.LOGOUT.value: 13, Reason.ADMIN_CANCEL.value: 8, Reason.KILLED.value: 8}


def _canceled(
    draft: Draft, order: Order, cl_ord_id: str, reason: str, orig: str = "", text: str = "", fault: Fault | None = None
) -> None:
    """150=4; with a reason when it is not the client's own doing."""
    draft.emit(e.OrderCanceled(order_id=order.order_id, ts_ns=draft.ts_ns, cl_ord_id=cl_ord_id, reason=reason))
    fields = {}
    if reason:
        coded = Reason[reason]
        fields = reason_fields(coded, text=f"{coded.meaning}: {text}" if text else "")
        if coded in _WANTED:
            # the rest was refused, which is more than that it ended
            tag, value, wanted = fault or (11, orig or cl_ord_id, _WANTED[coded])
            fields |= {"reason_tag": tag, "reason_value": value, "reason_limit": wanted}
        if reason in _RESTATEMENT:
            fields["restatement"] = _RESTATEMENT[reason]
    draft.report(draft.order(order.order_id), "4", orig_cl_ord_id=orig, **fields)


def _go_on_replacing(draft: Draft, order: Order, ended_as: str, text: str) -> None:
    """The old child is gone, or there was none (a held stop), or the new one was refused."""
    pending, refused = order.pending, _REFUSED.get(ended_as)
    assert pending is not None
    if refused is not None and order.status == PENDING_NEW:
        # the order itself was refused, so there is nothing to replace: that is told first, and is why the replace is refused
        order = _drop_pending(draft, order, pending, Reason.TOO_LATE)
        _rejected(draft, order, refused, text)
        why = f"{Reason.TOO_LATE.meaning}: {refused.value}: {refused.meaning}" + (f": {text}" if text else "")
        denied = Denied(Reason.TOO_LATE, 41, order.cl_ord_id, "an open order", why)
        _tell_refused(draft, draft.order(order.order_id), pending, denied)
        return
    if order.stopping:
        stopped = Reason[order.stopping]
        wanted = "an order whose time in force goes on" if stopped is Reason.EXPIRED else "an order that is not being canceled"
        why = f"{stopped.value}: {stopped.meaning}" + (f": {text}" if text else "")
        _replace_failed(draft, order, why, (41, order.cl_ord_id, wanted))
        return
    if refused is not None:
        why = refused.meaning + (f": {text}" if text else "")
        _replace_failed(draft, order, why, (41, order.cl_ord_id, _WANTED[Reason.REPLACE_FAILED]))
        return
    if pending.order_qty <= order.cum_qty or order.held:
        replaced(draft, order)
        return
    if order.status == PENDING_NEW and ended_as == "":
        # nothing was ever at a venue: cannot happen for an order with children
        raise AssertionError(f"order {order.order_id} pending replace without a child")
    market = _market_now(draft, order, pending)
    if isinstance(market, Denied):
        _replace_failed(draft, order, f"{market.reason.value}: {market.text}", (market.tag, market.value, market.limit))
        return
    # the child carries the pending terms; they are in force once the venue has it
    as_replaced = _with_pending_terms(order)
    qty = cash_bound(draft, as_replaced, market, pending.order_qty - order.cum_qty)
    if qty <= 0:
        cash, spent = as_replaced.cash_qty or ZERO, order.notional
        fault = (152, fmt(cash), f"more than the {fmt(spent)} spent by a lot and its fee")
        _replace_failed(draft, order, "what traded meanwhile left no cash for it", fault)
        return
    place_child(draft, as_replaced, market, {}, qty)


def _market_now(draft: Draft, order: Order, pending: Pending) -> Market | Denied:
    """Where the replacing child goes; or why it cannot go there, whatever was so when the replace was taken in."""
    market = market_of(draft.state, order)
    if isinstance(market, Denied):
        return market
    if market.spec_key not in draft.state.instruments:
        return not_listed(market)
    return venue_ready(draft.state, order.venue) or switched_off(draft, order, pending, market) or market


def cash_bound(draft: Draft, order: Order, market: Market, qty: Decimal) -> Decimal:
    """`qty`, or less: what traded while the old child was being canceled may have cost more than the new price, by which
    the quantity was computed. A buy never spends more than its cash."""
    if order.cash_qty is None or order.side != "1" or order.price is None:
        return qty
    left = max(order.cash_qty - CTX.multiply(order.notional, market.with_fee), ZERO)
    lot = draft.state.instruments[market.spec_key].lot
    return min(qty, floor_to(CTX.divide(left, CTX.multiply(order.price, market.with_fee)), lot))


def _with_pending_terms(order: Order) -> Order:
    pending = order.pending
    assert pending is not None
    return msgspec.structs.replace(
        order,
        ord_type=pending.ord_type,
        tif=pending.tif,
        price=pending.price,
        cash_qty=pending.cash_qty,
        exec_inst=pending.exec_inst,
        risk_px=pending.risk_px,
    )


def _replace_failed(draft: Draft, order: Order, text: str, fault: Fault) -> None:
    """35=9 for the replace, then an unsolicited 150=4 for the rest: the old child is gone already. An order whose old quantity
    is executed is Filled."""
    detail = f"{Reason.REPLACE_FAILED.meaning}: {text}" if text else ""
    order = refuse_pending(draft, order, Reason.REPLACE_FAILED, fault, detail)
    if not order.is_open:
        return
    if order.stopping:
        finish_if_idle(draft, order.order_id)
    else:
        _canceled(draft, order, order.cl_ord_id, Reason.REPLACE_FAILED.value, text=text, fault=fault)
