"""Open orders (all instruments) against max_open_orders of each scope; held stops and orders in flight are open."""

from __future__ import annotations

from ..core.reasons import Reason
from .base import Denied, RiskRequest
from .measure import NEW, exceeds


def check(request: RiskRequest) -> Denied | None:
    """MAX_OPEN_ORDERS for a new order, or None."""
    if request.kind != NEW:
        return None
    for scope in request.scopes():
        limit = scope.limits.max_open_orders
        if limit is None:
            continue
        exposure = request.state.exposures.get(scope.key)
        count = 1 if exposure is None else exposure.open_orders + 1
        if count > limit:
            return exceeds(Reason.MAX_OPEN_ORDERS, 11, "number of open orders", count, limit, scope.label)
    return None
