"""Notional (quote asset): of this order, and of everything open in a scope with this order in it.

Market and stop orders are valued at the reference price. What cannot be valued while such a limit is in force is refused:
a notional check that passes every market order is none. A replace that is in no way riskier needs no value.
"""

from __future__ import annotations

from decimal import Decimal

from ..core.numbers import CTX
from ..core.numbers import text as fmt
from ..core.reasons import Reason
from ..core.settings import limit_for
from .base import Denied, RiskRequest, Scope
from .measure import added_notional, eases, exceeds, qty_tag, unvalued


def check(request: RiskRequest) -> Denied | None:
    """MAX_NOTIONAL, MAX_OPEN_NOTIONAL, STALE_MARKET_DATA, or None."""
    for scope in request.scopes():
        most = limit_for(scope.limits.max_notional, request.symbol)
        most_open = limit_for(scope.limits.max_open_notional, request.symbol)
        if most is None and most_open is None:
            continue
        if request.value_px is None:
            if eases(request):
                return None
            why = f"no fresh market data to value the order with, a notional limit of {scope.label} is in force"
            return unvalued(qty_tag(request), fmt(request.qty), why)
        denied = _over(request, scope, request.value_px, most, most_open)
        if denied is not None:
            return denied
    return None


def _over(
    request: RiskRequest, scope: Scope, value_px: Decimal, most: Decimal | None, most_open: Decimal | None
) -> Denied | None:
    value = CTX.multiply(request.leaves, value_px)
    if most is not None and value > most:
        return exceeds(Reason.MAX_NOTIONAL, qty_tag(request), "order notional", value, most, scope.label)
    added = added_notional(request, value_px)
    if most_open is None or added <= 0:
        return None
    total = CTX.add(request.exposure(scope).open_notional, added)
    if total <= most_open:
        return None
    return exceeds(Reason.MAX_OPEN_NOTIONAL, qty_tag(request), "open notional", total, most_open, scope.label)
