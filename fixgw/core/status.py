"""The status of an order, told again: to a status request, and to a possible resend of a request that we have."""

from __future__ import annotations

from typing import Any

from . import rules
from .commands import CancelOrder, ReplaceOrder
from .draft import Draft, reason_fields
from .order import NEW, Order
from .reasons import Reason


def stop_fields(order: Order) -> dict[str, Any]:
    """Whether an open stop has triggered, which OrdStatus does not tell. WorkingIndicator(636) is for OrdStatus 0 only."""
    if order.ord_type not in (rules.STOP, rules.STOP_LIMIT) or not order.is_open:
        return {}
    text = "the stop has not triggered" if order.held else "the stop has triggered, the order has gone to the venue"
    return {"text": text} | ({"working": not order.held} if order.ord_status == NEW else {})


def status_fields(draft: Draft, order: Order, cl_ord_id: str) -> dict[str, Any]:
    """Report fields beyond the order itself: why it is as it is, and the ids of the pending request if it was asked by that."""
    fields = stop_fields(order)
    if any(child.is_uncertain for child in draft.live_children(order)):
        fields |= reason_fields(Reason.OUTCOME_UNKNOWN)
    elif order.reason:
        fields |= reason_fields(Reason[order.reason])
    if order.pending is not None and cl_ord_id == order.pending.cl_ord_id:
        fields |= {"cl_ord_id": cl_ord_id, "orig_cl_ord_id": order.cl_ord_id}
    return fields


def tell_status(draft: Draft, order: Order, cl_ord_id: str) -> None:
    """150=I in answer to a possible resend of the request with this ClOrdID."""
    draft.report(order, "I", status_reply=True, **status_fields(draft, order, cl_ord_id))


def told_again(draft: Draft, cmd: CancelOrder | ReplaceOrder, order: Order | None) -> bool:
    """A possible resend of a request that we have is answered with the current status; True if it is one."""
    if order is None or not (cmd.poss_dup or cmd.poss_resend):
        return False
    if draft.state.order_of(cmd.session, cmd.cl_ord_id) != order.order_id:
        return False
    tell_status(draft, order, cmd.cl_ord_id)
    return True
