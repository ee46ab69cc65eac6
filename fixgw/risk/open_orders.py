"""Open orders (all instruments) against max_open_orders of each scope; held stops and orders in flight are open."""

from __future__ import annotations

from ..core.reasons import Reason
from .base import NEW, Denied, RiskRequest
from .measure import exceeds

LIMITS = ("max_open_orders",)


def check(request: RiskRequest) -> Denied | None:
    """MAX_OPEN_ORDERS for a new order, or None."""
    if request.kind != NEW:
        return None
    exposures = request.state.exposures
    for scope in request.bounds.open_orders:
        limit, exposure = scope.max_open_orders, exposures.get(scope.key)
        count = 1 if exposure is None else exposure.open_orders + 1
        if limit is not None and count > limit:
            return exceeds(Reason.MAX_OPEN_ORDERS, 11, "number of open orders", count, limit, scope.label)
    return None
