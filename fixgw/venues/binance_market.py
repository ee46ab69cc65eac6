"""One market of Binance: its rules by the raw filters, and what ccxt needs to know where the list lacks it."""

from __future__ import annotations

from typing import Any

from ..core.commands import InstrumentSpec
from .ccxt_parse import rule

_NEEDED = ("PRICE_FILTER", "LOT_SIZE")


def spec_of(market: dict[str, Any]) -> InstrumentSpec:
    """From the raw filters: ccxt's own reading leaves out MARKET_LOT_SIZE's step. ValueError, KeyError or TypeError where they
    are none: an order's price and quantity would be checked against nothing."""
    filters = {f["filterType"]: f for f in market["info"]["filters"]}
    lacking = [name for name in _NEEDED if name not in filters]
    if lacking:
        raise ValueError(f"its filters lack {lacking[0]}")
    price, lot = filters["PRICE_FILTER"], filters["LOT_SIZE"]
    market_lot = filters.get("MARKET_LOT_SIZE", {})
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    return InstrumentSpec(
        symbol=market["symbol"],
        venue_symbol=str(market["id"]),
        base=market["base"],
        quote=market["quote"],
        tick=rule(price.get("tickSize")),
        lot=rule(lot.get("stepSize")),
        min_qty=rule(lot.get("minQty")),
        max_qty=rule(lot.get("maxQty")),
        min_px=rule(price.get("minPrice")),
        max_px=rule(price.get("maxPrice")),
        min_notional=rule(notional.get("minNotional")),
        market_lot=rule(market_lot.get("stepSize")),
        market_max_qty=rule(market_lot.get("maxQty")),
    )


def presumed(exchange: Any, symbol: str) -> dict[str, Any] | None:
    """A spot market is called there as its assets are, without the stroke."""
    base, _, quote = symbol.partition("/")
    if not (base.isalnum() and quote.isalnum()):
        return None
    for lists in ("crossMarginPairsData", "isolatedMarginPairsData"):  # as its own reading of the list leaves them
        exchange.options.setdefault(lists, [])
    raw = {"symbol": base + quote, "baseAsset": base, "quoteAsset": quote, "status": "BREAK", "filters": []}
    found: dict[str, Any] = exchange.parse_market(raw)
    return found
