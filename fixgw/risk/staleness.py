"""Market data older than max_quote_age_ns (the strictest scope counts) is no basis for an order.

A replace that is in no way riskier passes: a client must be able to get out of the way when the data stops. A quote
received after the command's stamp (two clocks, or two threads) is fresh.
"""

from __future__ import annotations

from decimal import Decimal

from ..core.numbers import plain_text
from ..core.reasons import Reason
from .base import Denied, RiskRequest
from .measure import eases

LIMITS = ("max_quote_age_ms",)


def check(request: RiskRequest) -> Denied | None:
    """STALE_MARKET_DATA, or None."""
    strictest = request.bounds.quote_age
    if strictest is None:
        return None
    limit, where = strictest
    age = None if request.quote is None or not request.quote.recv_ns else request.ts_ns - request.quote.recv_ns
    if (age is not None and age <= limit) or eases(request):
        return None
    shown = "no quote" if age is None else f"{_ms(age)} ms old"
    text = f"market data of {request.symbol} at {request.account.venue}: {shown}, {where} allows {_ms(limit)} ms"
    return Denied(Reason.STALE_MARKET_DATA, 55, shown, f"at most {_ms(limit)} ms old", text)


def _ms(ns: int) -> str:
    return plain_text(Decimal(ns).scaleb(-6))
