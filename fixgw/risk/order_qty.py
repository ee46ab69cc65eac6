"""OrderQty(38) against max_order_qty of each scope: the fat-finger bound of a single order, executed part included."""

from __future__ import annotations

from ..core.reasons import Reason
from .base import Denied, RiskRequest
from .measure import exceeds, qty_tag

LIMITS = ("max_order_qty",)


def check(request: RiskRequest) -> Denied | None:
    """MAX_ORDER_QTY, or None."""
    for scope in request.bounds.order_qty:
        limit = scope.max_order_qty
        if limit is not None and request.qty > limit:
            return exceeds(
                Reason.MAX_ORDER_QTY, qty_tag(request), "order quantity", request.qty, limit, scope.label
            )
    return None
