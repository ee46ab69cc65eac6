"""The public operations, and the few wallet ones that clients ask for at start. Same signature as in trading.py."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from fixgw.sim import dialect
from fixgw.sim.core import Simulator
from fixgw.sim.model import BUY, SELL, text8
from fixgw.sim.params import ApiError, Params
from fixgw.sim.trading import symbol_of

_ZERO8 = "0.00000000"


def ping(sim: Simulator, account: str, params: Params) -> Any:
    return {}


def server_time(sim: Simulator, account: str, params: Params) -> Any:
    return {"serverTime": sim.clock_ns() // 1_000_000}


def _symbols(sim: Simulator, params: Params) -> tuple[list[str], bool]:
    """(the symbols asked for, whether one was named alone). Raises ApiError."""
    if params.text("symbol"):
        return [symbol_of(sim, params)], True
    many = params.text("symbols")
    if many is None:
        return list(sim.engine.symbols), False
    try:
        names = json.loads(many)
    except ValueError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ApiError(400, -1100, "Illegal characters found in parameter 'symbols'; expected a JSON array.")
    if any(name not in sim.engine.symbols for name in names):
        raise ApiError(400, -1121, "Invalid symbol.")
    return names, False


def exchange_info(sim: Simulator, account: str, params: Params) -> Any:
    symbols, _ = _symbols(sim, params)
    now_ns = sim.clock_ns()
    return {
        "timezone": "UTC",
        "serverTime": now_ns // 1_000_000,
        "rateLimits": sim.limiter.view(account, now_ns, counts=False),
        "exchangeFilters": [],
        "symbols": [dialect.symbol_view(sim.engine.symbols[symbol]) for symbol in symbols],
    }


def depth(sim: Simulator, account: str, params: Params) -> Any:
    symbol = symbol_of(sim, params)
    update_id, bids, asks = sim.engine.books[symbol].snapshot(params.limit(100, 5000))
    return {"lastUpdateId": update_id, "bids": dialect.levels(bids), "asks": dialect.levels(asks)}


def trades(sim: Simulator, account: str, params: Params) -> Any:
    recent = sim.recent_trades[symbol_of(sim, params)]
    return [dialect.public_trade_view(trade) for trade in list(recent)[-params.limit(500, 1000) :]]


def agg_trades(sim: Simulator, account: str, params: Params) -> Any:
    """aggTrades; here each trade is an aggregate of its own."""
    recent = sim.recent_trades[symbol_of(sim, params)]
    start, end, from_id = params.integer("startTime"), params.integer("endTime"), params.integer("fromId")
    found = [
        trade
        for trade in recent
        if (start is None or trade.at_ns // 1_000_000 >= start)
        and (end is None or trade.at_ns // 1_000_000 <= end)
        and (from_id is None or trade.trade_id >= from_id)
    ]
    limit = params.limit(500, 1000)
    return [
        {
            "a": t.trade_id, "p": text8(t.price), "q": text8(t.qty), "f": t.trade_id, "l": t.trade_id,
            "T": t.at_ns // 1_000_000, "m": t.buyer_is_maker, "M": True,
        }
        for t in (found[-limit:] if start is None and from_id is None else found[:limit])
    ]  # fmt: skip


def best(sim: Simulator, symbol: str) -> tuple[str, str, str, str]:
    """(bid price, bid quantity, ask price, ask quantity) as texts; zeros where a side is empty."""
    sides = sim.engine.books[symbol].sides
    bid, ask = sides[BUY].best(), sides[SELL].best()
    return (
        text8(bid.price) if bid else _ZERO8, text8(bid.total) if bid else _ZERO8,
        text8(ask.price) if ask else _ZERO8, text8(ask.total) if ask else _ZERO8,
    )  # fmt: skip


def book_ticker(sim: Simulator, account: str, params: Params) -> Any:
    symbols, alone = _symbols(sim, params)
    rows = []
    for symbol in symbols:
        bid, bid_qty, ask, ask_qty = best(sim, symbol)
        rows.append({"symbol": symbol, "bidPrice": bid, "bidQty": bid_qty, "askPrice": ask, "askQty": ask_qty})
    return rows[0] if alone else rows


def price_ticker(sim: Simulator, account: str, params: Params) -> Any:
    symbols, alone = _symbols(sim, params)
    rows = [{"symbol": s, "price": text8(sim.engine.reference_price(s) or Decimal(0))} for s in symbols]
    return rows[0] if alone else rows


def day_ticker(sim: Simulator, account: str, params: Params) -> Any:
    """ticker/24hr over the trades still remembered (the last 1000), not over a whole day."""
    symbols, alone = _symbols(sim, params)
    rows = []
    for symbol in symbols:
        seen = list(sim.recent_trades[symbol])
        last = sim.engine.reference_price(symbol) or Decimal(0)
        first = seen[0].price if seen else last
        bid, bid_qty, ask, ask_qty = best(sim, symbol)
        volume = sum((t.qty for t in seen), Decimal(0))
        value = sum((t.qty * t.price for t in seen), Decimal(0))
        now_ms = sim.clock_ns() // 1_000_000
        rows.append(
            {
                "symbol": symbol, "priceChange": text8(last - first),
                "priceChangePercent": format((last - first) / first * 100 if first else Decimal(0), ".3f"),
                "weightedAvgPrice": text8(value / volume if volume else last), "prevClosePrice": text8(first),
                "lastPrice": text8(last), "lastQty": text8(seen[-1].qty) if seen else _ZERO8, "bidPrice": bid,
                "bidQty": bid_qty, "askPrice": ask, "askQty": ask_qty, "openPrice": text8(first),
                "highPrice": text8(max((t.price for t in seen), default=last)),
                "lowPrice": text8(min((t.price for t in seen), default=last)), "volume": text8(volume),
                "quoteVolume": text8(value), "openTime": now_ms - 86_400_000, "closeTime": now_ms,
                "firstId": seen[0].trade_id if seen else -1, "lastId": seen[-1].trade_id if seen else -1,
                "count": len(seen),
            }
        )  # fmt: skip
    return rows[0] if alone else rows


def coins(sim: Simulator, account: str, params: Params) -> Any:
    """sapi capital/config/getall."""
    assets = {asset for rules in sim.engine.symbols.values() for asset in (rules.base, rules.quote)}
    return [dialect.coin_view(asset) for asset in sorted(assets)]


def no_margin_pairs(sim: Simulator, account: str, params: Params) -> Any:
    """sapi margin/allPairs and isolated/allPairs: this exchange has no margin trading."""
    return []


def trade_fees(sim: Simulator, account: str, params: Params) -> Any:
    """sapi asset/tradeFee."""
    symbols, _ = _symbols(sim, params)
    maker, taker = format(sim.engine.maker_fee, "f"), format(sim.engine.taker_fee, "f")
    return [{"symbol": symbol, "makerCommission": maker, "takerCommission": taker} for symbol in symbols]
