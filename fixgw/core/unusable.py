"""decide for requests that cannot be used: an unusable field, or a term that is not supported.

FIX keeps BusinessMessageReject(j) for what cannot be refused by any other means. So where the ids of the request are usable
it is refused as any other: an order becomes an order that is rejected at once (its ClOrdID is used up, a status request and a
repeat find it), a cancel or a replace gets an OrderCancelReject and uses up nothing. `Unsupported.request` holds what could be
read of it; nothing of that is ever acted on.
"""

from __future__ import annotations

from ..risk import throttle
from ..risk.base import Denied
from . import events as e
from . import rules
from .commands import CancelOrder, NewOrder, ReplaceOrder, Unsupported
from .draft import Draft, is_forgotten, reason_fields
from .market import find_market
from .numbers import ZERO
from .order import Order
from .reasons import Reason
from .reports import BusinessReject

_THROTTLED = 8
_NO_PLACES = ("", "", "")


def unsupported(draft: Draft, cmd: Unsupported) -> None:
    """ExecutionReport 150=8, OrderCancelReject, or BusinessMessageReject where there is no request to refuse."""
    denied = Denied(Reason[cmd.reason], cmd.tag, cmd.value, cmd.limit, cmd.text or Reason[cmd.reason].meaning)
    if isinstance(cmd.request, NewOrder):
        _refuse_order(draft, cmd, cmd.request, denied)
    elif cmd.request is not None:
        _refuse_change(draft, cmd.request, denied)
    else:
        _business_reject(draft, cmd, denied, cmd.business_reason)


def _business_reject(draft: Draft, cmd: Unsupported, denied: Denied, business_reason: int) -> None:
    draft.business_reject(
        cmd.session,
        BusinessReject(
            ref_msg_type=cmd.msg_type,
            ref_seq=cmd.msg_seq,
            business_reason=business_reason,
            reason=denied.reason.value,
            text=denied.text,
            ref_id=cmd.ref_id,
            reason_tag=denied.tag,
            reason_value=denied.value,
            reason_limit=denied.limit,
        ),
    )


def _refuse_order(draft: Draft, cmd: Unsupported, order: NewOrder, denied: Denied) -> None:
    known = draft.state.order_of(order.session, order.cl_ord_id)
    if known is not None and is_forgotten(draft, known):
        known = None
    if known is not None and (order.poss_resend or order.poss_dup):
        draft.report(draft.order(known), "I", status_reply=True)
        return
    throttled = throttle.admit(draft.state, cmd.session, cmd.ts_ns, "D")
    if throttled is not None:
        # a client that floods must not fill our memory with refused orders
        _business_reject(draft, cmd, throttled, _THROTTLED)
        return
    if known is not None:
        _refuse_duplicate(draft, order, draft.order(known))
        return
    market = find_market(draft.state, order.session, order.symbol, order.account, order.ex_destination)
    places = _NO_PLACES if isinstance(market, Denied) else (market.account.name, market.venue.name, market.instrument.symbol)
    order_id = draft.new_order_id()
    # by position (see the fields of OrderReceived)
    draft.emit(
        e.OrderReceived(
            order_id, cmd.ts_ns, order.session, order.cl_ord_id, order.account, *places, order.symbol,
            order.side, order.ord_type, order.tif, order.order_qty or ZERO, order.cash_qty, order.price, order.stop_px,
            order.expire_ns if order.tif == rules.GTD else None, order.exec_inst,
        )
    )  # fmt: skip
    draft.emit(e.OrderRejected(order_id=order_id, ts_ns=cmd.ts_ns, reason=denied.reason.value))
    fields = reason_fields(denied.reason, denied.tag, denied.value, denied.limit, denied.text)
    draft.report(draft.order(order_id), "8", order_qty=order.order_qty, **fields)


def _refuse_duplicate(draft: Draft, request: NewOrder, order: Order) -> None:
    """A ClOrdID that was used: as for any other new order, with the status of the one that has it."""
    text = f"ClOrdID {request.cl_ord_id!r} was used before"
    fields = reason_fields(Reason.DUPLICATE_CL_ORD_ID, 11, request.cl_ord_id, "unused", text)
    draft.report(order, "8", cl_ord_id=request.cl_ord_id, **fields)


def _refuse_change(draft: Draft, request: CancelOrder | ReplaceOrder, denied: Denied) -> None:
    state = draft.state
    order = state.find_order(state.order_of(request.session, request.orig_cl_ord_id) or request.order_id)
    if order is not None and order.session != request.session:
        order = None
    repeated = request.poss_dup or request.poss_resend
    if order is not None and repeated and state.order_of(request.session, request.cl_ord_id) == order.order_id:
        draft.report(draft.order(order.order_id), "I", status_reply=True)
        return
    if isinstance(request, ReplaceOrder):
        denied = throttle.admit(state, request.session, request.ts_ns, "G") or denied
    draft.cancel_reject(
        request.session,
        order,
        request.cl_ord_id,
        request.orig_cl_ord_id,
        "1" if isinstance(request, CancelOrder) else "2",
        denied.reason,
        tag=denied.tag,
        value=denied.value,
        limit=denied.limit,
        text=denied.text,
    )
