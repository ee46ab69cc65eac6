"""decide for requests that cannot be used: an unusable field, or a term that is not supported.

FIX keeps BusinessMessageReject(j) for what cannot be refused by any other means. So where the ids of the request are usable
it is refused as any other: an order becomes an order that is rejected at once (its ClOrdID is used up, a status request and a
repeat find it), a cancel or a replace gets an OrderCancelReject and uses up nothing. `Unsupported.request` holds what could be
read of it; nothing of that is ever acted on. However it is refused, it takes its place in the message rate (decide.py), and
beyond the rate an order or a replace is refused for that.
"""

from __future__ import annotations

from ..risk import throttle
from ..risk.base import Denied
from .commands import CancelOrder, NewOrder, ReplaceOrder, Unsupported
from .draft import Draft
from .new_order import THROTTLED, new_order
from .reasons import Reason
from .status import told_again


def unsupported(draft: Draft, cmd: Unsupported) -> None:
    """ExecutionReport 150=8, OrderCancelReject, or BusinessMessageReject where there is no request to refuse."""
    denied = Denied(Reason[cmd.reason], cmd.tag, cmd.value, cmd.limit, cmd.text or Reason[cmd.reason].meaning)
    if isinstance(cmd.request, NewOrder):
        new_order(draft, cmd.request, denied)
    elif cmd.request is not None:
        _refuse_change(draft, cmd.request, denied)
    else:
        _business_reject(draft, cmd, denied)


def _business_reject(draft: Draft, cmd: Unsupported, denied: Denied) -> None:
    throttled = None
    if cmd.msg_type in ("D", "G"):
        throttled = throttle.admit(draft.state, draft.refusing, cmd.session, cmd.ts_ns, cmd.msg_type)
    business_reason = cmd.business_reason if throttled is None else THROTTLED
    draft.business_reject(cmd, cmd.msg_type, cmd.ref_id, business_reason, throttled or denied)


def _refuse_change(draft: Draft, request: CancelOrder | ReplaceOrder, denied: Denied) -> None:
    state = draft.state
    order = state.named(request.session, request.orig_cl_ord_id, request.order_id)
    if told_again(draft, request, order):
        return
    if isinstance(request, ReplaceOrder):
        denied = throttle.admit(state, draft.refusing, request.session, request.ts_ns, "G") or denied
    response_to = "1" if isinstance(request, CancelOrder) else "2"
    draft.cancel_reject(request.session, order, request.cl_ord_id, request.orig_cl_ord_id, response_to, denied)
