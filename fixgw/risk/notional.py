"""Notional (quote asset): of this order, and of everything open in a scope with this order in it: in this instrument, and
in all instruments of this quote asset together. What a replaced order has executed counts as part of it.

Market and stop orders are valued at the reference price. What cannot be valued while such a limit is in force is refused:
a notional check that passes every market order is none. A replace that is in no way riskier needs no value.
"""

from __future__ import annotations

from ..core.numbers import ZERO
from ..core.numbers import text as fmt
from ..core.reasons import Reason
from ..core.settings import quote_of
from .base import Denied, RiskRequest
from .measure import added_notional, eases, exceeds, order_notional, qty_tag, unvalued

LIMITS = ("max_notional", "max_open_notional")


def check(request: RiskRequest) -> Denied | None:
    """MAX_NOTIONAL, MAX_OPEN_NOTIONAL, STALE_MARKET_DATA, or None."""
    scopes = request.bounds.notional
    if not scopes:
        return None
    if request.value_px is None:
        if eases(request):
            return None
        why = f"no fresh market data to value the order with, a notional limit of {scopes[0].label} is in force"
        return unvalued(qty_tag(request), fmt(request.qty), why)
    value, added = order_notional(request, request.value_px), added_notional(request, request.value_px)
    exposures = request.exposures
    for scope in scopes:
        most, most_open, most_all = scope.max_notional, scope.max_open_notional, scope.max_all_notional
        if most is not None and value > most:
            return exceeds(Reason.MAX_NOTIONAL, qty_tag(request), "order notional", value, most, scope.label)
        if added <= ZERO:
            continue
        if most_open is not None:
            total = exposures[scope.index].open_notional + added
            if total > most_open:
                what = f"open notional of {request.symbol}"
                return exceeds(Reason.MAX_OPEN_NOTIONAL, qty_tag(request), what, total, most_open, scope.label)
        if most_all is not None:
            quote = quote_of(request.symbol)
            total = request.state.open_notional(scope.key, quote) + added
            if total > most_all:
                what = f"open {quote} notional of all instruments"
                return exceeds(Reason.MAX_OPEN_NOTIONAL, qty_tag(request), what, total, most_all, scope.label)
    return None
