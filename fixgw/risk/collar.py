"""Price collar: a limit price may not be further through the market than `collar_bps` from the reference.

Only the aggressive side is refused (a buy above, a sell below); far off on the passive side harms nobody. A stop-limit that
is held is measured against its own stop price, where it will come to the market, and against the reference at the trigger.
Market orders have no price: they go to the venue as limits at the collar (core/placing.py). The tightest scope counts.
"""

from __future__ import annotations

from ..core.numbers import text as fmt
from ..core.reasons import Reason
from ..core.rules import MARKET, STOP_LIMIT
from .base import NEW, TRIGGER, Denied, RiskRequest
from .measure import BUY, eases, unvalued

LIMITS = ("collar_bps",)


def check(request: RiskRequest) -> Denied | None:
    """PRICE_COLLAR, STALE_MARKET_DATA, or None."""
    collar = request.bounds.collar
    # a market order is bound by the collar when it is placed, which takes a reference: now, or when a held stop triggers
    if collar is None or (request.price is None and request.kind != TRIGGER and request.ord_type != MARKET):
        return None
    at_stop = _is_held(request)
    anchor = request.stop_px if at_stop else request.reference
    if anchor is None:
        if eases(request):
            return None
        why = f"no fresh reference price for the collar of {collar.label}"
        # a market order has no price that could be at fault
        return unvalued(55, request.symbol, why) if request.price is None else unvalued(44, fmt(request.price), why)
    price = request.price
    if price is None:
        return None
    bound = collar.px(request.side, anchor)
    if price <= bound if request.side == BUY else price >= bound:
        return None
    side = "above" if request.side == BUY else "below"
    text = (
        f"price {fmt(price)} is {side} {fmt(bound)}: more than {fmt(collar.bps)} bps ({collar.label}) "
        f"from the {'stop' if at_stop else 'reference'} price {fmt(anchor)}"
    )
    return Denied(Reason.PRICE_COLLAR, 44, fmt(price), fmt(bound), text)


def _is_held(request: RiskRequest) -> bool:
    """A stop-limit that the gateway will hold (or holds) until its trigger."""
    if request.ord_type != STOP_LIMIT or request.kind == TRIGGER:
        return False
    return request.kind == NEW or (request.order is not None and request.order.held)
