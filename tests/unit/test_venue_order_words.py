"""What an order is called when it is handed to ccxt: by the general dialect and by Binance's own."""

from __future__ import annotations

import asyncio
from decimal import Decimal as D
from typing import Any

import pytest
from ccxt_dry import NoSink

from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.settings import parse_venue
from fixgw.venues.wire import PlaceChild

BUY, SELL = {"side": "1"}, {"side": "2"}
LIMIT = {"ord_type": "2", "qty": D("1E+1"), "px": D("0.00000010")}
MARKET = {"ord_type": "1", "qty": D("0.5")}
CASH = {"ord_type": "1", "cash_qty": D("100.005")}
GTC, IOC, FOK = {"tif": "1"}, {"tif": "3"}, {"tif": "4"}
PASSIVE = GTC | {"post_only": True}
WORDS = [
    # the order, (type, side, amount, price), what the general dialect adds, what Binance's does
    (BUY | LIMIT | GTC, ("limit", "buy", "10", "0.00000010"), {}, {"timeInForce": "GTC"}),
    (SELL | LIMIT | IOC, ("limit", "sell", "10", "0.00000010"), {"timeInForce": "IOC"}, {"timeInForce": "IOC"}),
    (BUY | LIMIT | FOK, ("limit", "buy", "10", "0.00000010"), {"timeInForce": "FOK"}, {"timeInForce": "FOK"}),
    (SELL | LIMIT | PASSIVE, ("limit", "sell", "10", "0.00000010"), {"postOnly": True}, {"type": "LIMIT_MAKER"}),
    (SELL | MARKET | GTC, ("market", "sell", "0.5", None), {}, {}),
    (SELL | MARKET | IOC, ("market", "sell", "0.5", None), {}, {}),
    (BUY | CASH | GTC, ("market", "buy", None, None), {"cost": "100.005"}, {"quoteOrderQty": "100.005"}),
]


@pytest.mark.parametrize(("order", "words", "general", "binance"), WORDS)
def test_the_words_of_an_order(order: dict[str, Any], words: Any, general: dict[str, Any], binance: dict[str, Any]) -> None:
    async def told(exchange_id: str) -> tuple[Any, dict[str, Any]]:
        venue = CcxtVenue(parse_venue({"exchange": exchange_id, "symbols": ["BTC/USDT"]}, "t", "t"), NoSink())
        calls: list[tuple[Any, ...]] = []

        async def create_order(*call: Any) -> dict[str, Any]:
            calls.append(call)
            return {}

        venue._exchange.create_order = create_order
        await venue._dialect.create(PlaceChild(venue_cl_ord_id="OURS1", symbol="BTC/USDT", **order))
        await venue.close()
        ((symbol, *made, params),) = calls
        assert symbol == "BTC/USDT" and "OURS1" in params.values()
        return tuple(made), {name: value for name, value in params.items() if value != "OURS1"}

    async def run() -> None:
        assert await told("okx") == (words, general)
        extra = dict(binance)
        kind = extra.pop("type", words[0])
        assert await told("binance") == ((kind, *words[1:]), extra)

    asyncio.run(run())
