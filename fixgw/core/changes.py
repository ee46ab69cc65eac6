"""decide for OrderCancelRequest(F), OrderCancelReplaceRequest(G) and OrderStatusRequest(H).

F and H are never refused by risk or a throttle. A replace is: risk on the new terms, then an amend where the venue can and
the quantity is all that shrinks, else cancel at the venue, the final executed quantity, and a new child for OrderQty - CumQty
(settle.py); a stop that we hold is replaced at once.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ..risk import throttle
from ..risk.base import REPLACE, Denied
from . import events as e
from . import rules
from .child import WORKING
from .commands import CancelOrder, ReplaceOrder, StatusRequest
from .contradiction import contradiction, with_contradiction
from .draft import Draft, is_forgotten, reason_fields
from .evolve import at_risk, notional_at_risk
from .market import Market, market_of, venue_ready
from .numbers import CTX, ZERO
from .numbers import text as fmt
from .order import PENDING_CANCEL, Order
from .placing import Assessment, assess
from .reasons import Reason
from .reports import Report
from .settle import finish_if_idle, is_replacing, refuse_pending, replaced
from .status import status_fields, told_again


def _refusal(draft: Draft, cmd: CancelOrder | ReplaceOrder, order: Order | None) -> Denied | None:
    """What cancel and replace have in common."""
    if order is None:
        text = f"no order with ClOrdID {cmd.orig_cl_ord_id!r}" + (f" or OrderID {cmd.order_id!r}" if cmd.order_id else "")
        return Denied(Reason.UNKNOWN_ORDER, 41, cmd.orig_cl_ord_id, "a known ClOrdID", text)
    denied = contradiction(draft, cmd, order)
    if denied is not None:
        return denied
    used_by = draft.state.order_of(cmd.session, cmd.cl_ord_id)
    if used_by is not None and not is_forgotten(draft, used_by):
        text = f"ClOrdID {cmd.cl_ord_id!r} was used before"
        return Denied(Reason.DUPLICATE_CL_ORD_ID, 11, cmd.cl_ord_id, "unused", text)
    if not order.is_open:
        return Denied(Reason.TOO_LATE, 41, cmd.orig_cl_ord_id, "an open order", f"the order is finished ({order.status})")
    return None


def cancel_order(draft: Draft, cmd: CancelOrder) -> None:
    """Pending cancel and a cancel to the venue; what has no child is canceled at once."""
    order = draft.state.named(cmd.session, cmd.orig_cl_ord_id, cmd.order_id)
    if told_again(draft, cmd, order):
        return
    denied = _refusal(draft, cmd, order)
    if denied is None and order is not None and order.pending is not None and order.pending.kind == PENDING_CANCEL:
        denied = Denied(Reason.PENDING, 41, cmd.orig_cl_ord_id, "no pending cancel", Reason.PENDING.meaning)
    if denied is not None:
        _reject(draft, cmd, order, "1", denied)
        return
    assert order is not None
    if order.pending is not None:
        _supersede(draft, order)
        order = draft.order(order.order_id)
        denied = _refusal(draft, cmd, order)
        if denied is not None:  # all that is in force is executed: only the replace had kept it open
            _reject(draft, cmd, order, "1", denied)
            return
    draft.emit(e.CancelRequested(order_id=order.order_id, ts_ns=cmd.ts_ns, cl_ord_id=cmd.cl_ord_id))
    order = draft.order(order.order_id)
    if draft.cancel_children(order):
        draft.report(order, "6", cl_ord_id=cmd.cl_ord_id, orig_cl_ord_id=order.cl_ord_id)
    else:
        finish_if_idle(draft, order.order_id)


def _supersede(draft: Draft, order: Order) -> None:
    """A cancel goes over a pending replace: better out of the market than right about the price."""
    if any(is_replacing(order, child) for child in draft.live_children(order)):
        replaced(draft, order)  # the replacing child is out already: whatever trades now trades on the new terms
        return
    refuse_pending(draft, order, Reason.SUPERSEDED, (41, order.cl_ord_id, "no cancel of the order"))


def _reject(draft: Draft, cmd: CancelOrder | ReplaceOrder, order: Order | None, response_to: str, denied: Denied) -> None:
    draft.cancel_reject(
        cmd.session,
        order,
        cmd.cl_ord_id,
        # FIX: the last accepted ClOrdID, so that both sides agree on the chain again
        order.cl_ord_id if order is not None and denied.reason is Reason.PENDING else cmd.orig_cl_ord_id,
        response_to,
        denied,
    )


def replace_order(draft: Draft, cmd: ReplaceOrder) -> None:
    """Pending replace (150=E) and the cancel of the working child, or at once for a held stop (150=5)."""
    order = draft.state.named(cmd.session, cmd.orig_cl_ord_id, cmd.order_id)
    if told_again(draft, cmd, order):
        return
    denied = (
        throttle.admit(draft.state, draft.refusing, cmd.session, cmd.ts_ns, "G")
        or _refusal(draft, cmd, order)
        or _replace_refusal(draft, cmd, order)
    )
    if denied is not None:
        _reject(draft, cmd, order, "2", denied)
        return
    assert order is not None
    terms = _new_terms(cmd, order)
    market = market_of(draft.state, order)
    if isinstance(market, Denied):
        _reject(draft, cmd, order, "2", msgspec.structs.replace(market, text=f"{market.text}; a cancel is possible"))
        return
    verdict = rules.check_terms(terms, cmd.ts_ns) or assess(draft.state, market, cmd.quotes, terms, cmd.ts_ns, REPLACE, order)
    if isinstance(verdict, Denied):
        _reject(draft, cmd, order, "2", verdict)
        return
    expire_ns = terms.expire_ns if terms.tif == rules.GTD else None
    if terms.tif == rules.DAY:
        expire_ns = rules.day_end_ns(cmd.ts_ns, market.session.roll_time_s)
    draft.emit(
        e.ReplaceRequested(
            order_id=order.order_id,
            ts_ns=cmd.ts_ns,
            cl_ord_id=cmd.cl_ord_id,
            order_qty=verdict.qty,
            ord_type=terms.ord_type,
            tif=terms.tif,
            cash_qty=terms.cash_qty,
            price=terms.price,
            stop_px=terms.stop_px,
            expire_ns=expire_ns,
            exec_inst=terms.exec_inst,
            risk_px=verdict.risk_px,
            reserve_asset=market.instrument.quote if order.side == "1" else market.instrument.base,
            reserve_qty=_needs_more(order, market, verdict),
        )
    )
    order = draft.order(order.order_id)
    if _reduce_in_place(draft, order, market) or draft.cancel_children(order):
        draft.report(order, "E", cl_ord_id=cmd.cl_ord_id, orig_cl_ord_id=order.cl_ord_id)
    else:
        finish_if_idle(draft, order.order_id)


def _needs_more(order: Order, market: Market, verdict: Assessment) -> Decimal:
    """What the account must have for the replace besides what the order has reserved (quote for a buy, base for a sell): it
    is kept for it while the old child is being canceled, or somebody else would spend it."""
    if order.held:
        return ZERO  # nothing of it is at a venue
    leaves = verdict.qty - order.cum_qty
    if order.side == "1":
        more = CTX.subtract(CTX.multiply(leaves, verdict.risk_px), notional_at_risk(order))
        return CTX.multiply(max(more, ZERO), market.with_fee)
    return max(leaves - at_risk(order), ZERO)


def _reduce_in_place(draft: Draft, order: Order, market: Market) -> bool:
    """Where the venue can, a replace that only takes from the quantity is an amend: the order keeps its priority, and the
    venue itself sees to it that no more is executed than the new quantity. Anything else goes by a cancel."""
    pending, live = order.pending, draft.live_children(order)
    if not market.venue.can_amend or pending is None or len(live) != 1:
        return False
    child = live[0]
    taken = order.order_qty - pending.order_qty
    qty = child.qty - taken
    fits = (
        child.state == WORKING
        and not child.cancel
        and taken > 0
        and qty > max(child.cum_qty, child.told_qty)
        # busts aside, what is open of the order is what is open at the venue
        and order.order_qty - order.cum_qty == child.qty - child.cum_qty
    )
    same = (
        pending.price == order.price
        and order.cash_qty is None
        and pending.cash_qty is None
        and not {order.tif, pending.tif} & {rules.IOC, rules.FOK}
        and rules.is_post_only(pending.exec_inst) == rules.is_post_only(order.exec_inst)
    )
    if fits and same:
        draft.emit(e.ChildAmendSent(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns, qty=qty))
    return fits and same


def _replace_refusal(draft: Draft, cmd: ReplaceOrder, order: Order | None) -> Denied | None:
    """What stands against a replace only."""
    assert order is not None
    accounts = draft.state.settings.sessions[cmd.session].accounts
    if cmd.account and cmd.account != order.client_account and accounts.get(cmd.account) != order.account:
        expected = order.client_account or order.account
        return Denied(Reason.MISMATCH, 1, cmd.account, expected, "a replace cannot move an order to another account")
    if cmd.ex_destination and cmd.ex_destination != order.venue:
        text = "a replace cannot move an order to another venue"
        return Denied(Reason.MISMATCH, 100, cmd.ex_destination, order.venue, text)
    if order.pending is not None or order.stopping:
        return Denied(Reason.PENDING, 41, cmd.orig_cl_ord_id, "nothing pending", Reason.PENDING.meaning)
    if cmd.orig_cl_ord_id != order.cl_ord_id:
        text = f"the order's ClOrdID is {order.cl_ord_id!r} by now"
        return Denied(Reason.MISMATCH, 41, cmd.orig_cl_ord_id, order.cl_ord_id, text)
    if cmd.ord_type != order.ord_type:
        return Denied(Reason.UNSUPPORTED, 40, cmd.ord_type, order.ord_type, "OrdType cannot be changed by a replace")
    if any(child.is_uncertain for child in draft.live_children(order)):
        text = "the order's outcome is unknown; a replace waits for reconciliation, a cancel does not"
        return Denied(Reason.OUTCOME_UNKNOWN, 41, cmd.orig_cl_ord_id, "a known outcome", text)
    if order.ord_type == rules.MARKET or (order.ord_type == rules.STOP and not order.held):
        return Denied(Reason.UNSUPPORTED, 40, cmd.ord_type, "2, 4", "an order that is at the market cannot be replaced")
    if order.ord_type == rules.STOP_LIMIT and not order.held and cmd.stop_px not in (None, order.stop_px):
        # nothing would hold it at the new one: whoever moves a stop away would trade at once
        assert cmd.stop_px is not None and order.stop_px is not None
        text = "the stop has triggered and the order works at the venue; its price and quantity can be changed, its StopPx cannot"
        return Denied(Reason.UNSUPPORTED, 99, fmt(cmd.stop_px), f"{fmt(order.stop_px)} or none", text)
    too_old = rules.check_age(cmd, draft.state.settings.max_order_age_ns)
    if too_old is not None:
        return too_old
    return None if order.held else venue_ready(draft.state, order.venue)


def _new_terms(cmd: ReplaceOrder, order: Order) -> rules.Terms:
    """The order as it is to be; what the client left out stays."""
    order_qty, cash_qty = cmd.order_qty, cmd.cash_qty
    if order_qty is None and cash_qty is None:
        order_qty, cash_qty = (None, order.cash_qty) if order.cash_qty is not None else (order.order_qty, None)
    # of an order taken in before prices without a meaning were refused, they do not stay
    price, stop_px = rules.priced(order.ord_type, order.price, order.stop_px)
    tif = cmd.tif if cmd.tif is not None else order.tif
    # a date stays with what had one: the end of a Day order is ours, and a GTC order has none
    expire_ns = order.expire_ns if order.tif == tif == rules.GTD else None
    return rules.Terms(
        side=order.side,
        ord_type=order.ord_type,
        tif=tif,
        order_qty=order_qty,
        cash_qty=cash_qty,
        price=cmd.price if cmd.price is not None else price,
        stop_px=cmd.stop_px if cmd.stop_px is not None else stop_px,
        expire_ns=cmd.expire_ns if cmd.expire_ns is not None else expire_ns,
        expire_tag=cmd.expire_tag,
        exec_inst=cmd.exec_inst if cmd.exec_inst is not None else order.exec_inst,
    )


def status_request(draft: Draft, cmd: StatusRequest) -> None:
    """150=I with the order as it stands; an unknown order: 39=8 with OrdRejReason 5, as FIX has it."""
    order = draft.state.named(cmd.session, cmd.cl_ord_id, cmd.order_id)
    if order is not None:
        fields = with_contradiction(draft, cmd, order, status_fields(draft, order, cmd.cl_ord_id))
        draft.report(order, "I", status_reply=True, request_id=cmd.request_id, **fields)
        return
    message = Report(
        exec_id=draft.next_exec_id(),
        exec_type="I",
        ord_status="8",
        order_id=cmd.order_id or "NONE",
        cl_ord_id=cmd.cl_ord_id,
        symbol=cmd.symbol,
        side=cmd.side,
        status_reply=True,
        request_id=cmd.request_id,
        transact_ns=cmd.ts_ns,
        **reason_fields(Reason.UNKNOWN_ORDER, 11, cmd.cl_ord_id, "a known ClOrdID"),
    )
    draft.emit(e.Reported(session=cmd.session, account="", message=message))


