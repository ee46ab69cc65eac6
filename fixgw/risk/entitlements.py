"""What may be traded: symbol, venue, side, order type, time in force; by the session, the account and the firm, all of which
must admit it. None admits all, an empty set nothing.

At a trigger the order's own type is asked about (core/new_order.py), not what it is sent as.
"""

from __future__ import annotations

from ..core.reasons import Reason
from ..core.settings import Entitlements
from .base import Denied, RiskRequest


def check(request: RiskRequest) -> Denied | None:
    """ENTITLEMENT for the first of 55, 100, 54, 40, 59 that is not allowed in the first scope that refuses, or None."""
    entitled = request.bounds.entitled
    if not entitled:
        return None
    for label, may in entitled:
        if not (
            (may.symbols is None or request.symbol in may.symbols)
            and (may.venues is None or request.account.venue in may.venues)
            and (may.sides is None or request.side in may.sides)
            and (may.ord_types is None or request.ord_type in may.ord_types)
            and (may.tifs is None or request.tif in may.tifs)
        ):
            return _denied(request, label, may)
    return None


def _denied(request: RiskRequest, label: str, may: Entitlements) -> Denied:
    for tag, what, value, allowed in (
        (55, "symbol", request.symbol, may.symbols),
        (100, "venue", request.account.venue, may.venues),
        (54, "side", request.side, may.sides),
        (40, "order type", request.ord_type, may.ord_types),
        (59, "time in force", request.tif, may.tifs),
    ):
        if allowed is not None and value not in allowed:
            limit = ",".join(sorted(allowed)) or "none"
            return Denied(Reason.ENTITLEMENT, tag, value, limit, f"{label} may not trade {what} {value}, allowed: {limit}")
    raise AssertionError("one of them is not allowed")
