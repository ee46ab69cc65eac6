"""Markets of Binance: their rules by the raw filters, what ccxt needs to know where the list lacks one, their tickers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import ccxt

from ..core.commands import InstrumentSpec
from .ccxt_exchange import CALL, Call
from .ccxt_parse import rule
from .limiter import Priority

_NEEDED = ("PRICE_FILTER", "LOT_SIZE")
# symbols that one request for tickers names: 100 make a URL of some 1600 characters
_AT_ONCE = 100


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


async def ask_tickers(
    ask: Callable[[dict[str, Any]], Awaitable[Any]], exchange: Any, symbols: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """By symbol, the rows of ticker/bookTicker or ticker/price: one alone weighs 2, up to _AT_ONCE in one request 4. Where the
    venue does not know one of them any more the others are asked for one by one. ccxt's errors; BadResponse for no list."""
    CALL.set(Call(priority=Priority.LINK))
    ids = {str(exchange.market_id(symbol)): symbol for symbol in symbols}
    names, rows = list(ids), []
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        if len(some) > 1:
            try:
                rows.append(await ask({"symbols": exchange.json(some)}))
                continue
            except ccxt.BadSymbol:
                pass
        for name in some:
            try:
                rows.append([await ask({"symbol": name})])
            except ccxt.BadSymbol:
                if len(names) == 1:
                    raise
    if not all(isinstance(page, list) for page in rows):
        raise ccxt.BadResponse("tickers: the answer is not a list")
    return {ids[row["symbol"]]: row for page in rows for row in page if row["symbol"] in ids}
