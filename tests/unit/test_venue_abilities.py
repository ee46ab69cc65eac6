"""What the general dialect promises of an exchange is what its requests say; what is not proven is refused."""

from __future__ import annotations

import asyncio
from decimal import Decimal as D
from typing import Any

import pytest
from ccxt_dry import EXCHANGES, OUR_ID, SPOT, SWAP, dry, market_of, said

from fixgw.venues.base import NeverSent
from fixgw.venues.ccxt_abilities import MARKET_BUYS, PROVEN, QUOTE_MARKETS, abilities, check_market, kind_of
from fixgw.venues.settings import VenueConfigError
from fixgw.venues.wire import PlaceChild

FLAGS: dict[str, dict[str, Any]] = {"I": {"timeInForce": "IOC"}, "F": {"timeInForce": "FOK"}, "P": {"postOnly": True}}
# whose own interface has ccxt's words (timeInForce with IOC and FOK, postOnly): there they are right as they are
SAME_WORDS = {
    **dict.fromkeys(
        ("aster", "binance", "binancecoinm", "binanceus", "binanceusdm", "bingx", "bitget", "blockchaincom", "bybit", "bybiteu",
         "bybitid", "bydfi", "cex", "coinsph", "hashkey", "kraken", "poloniex", "toobit", "xt"), "IF"),
    **dict.fromkeys(("backpack", "bitvavo", "btcmarkets", "kucoin"), "IFP"),
    "whitebit": "P",
}  # fmt: skip


@pytest.mark.parametrize("exchange_id", sorted(PROVEN))
def test_what_is_promised_is_in_the_request(exchange_id: str) -> None:
    async def body() -> None:
        for symbol, letters in zip((SPOT, SWAP), PROVEN[exchange_id].split("/"), strict=True):
            made = dry(exchange_id, symbol)
            for letter in letters:
                changed, own = await said(made, **FLAGS[letter])
                assert changed, f"{symbol} {letter}: the request is that of a plain order"
                assert own or letter in SAME_WORDS.get(exchange_id, ""), f"{symbol} {letter}: passed on, not translated"
            await made.venue.close()

    asyncio.run(body())


ACCOUNTS: list[tuple[str, dict[str, Any]]] = [
    ("bybit", {"enableUnifiedMargin": True, "enableUnifiedAccount": True}),
    ("bybit", {"enableUnifiedMargin": False, "enableUnifiedAccount": False}),
    ("bitget", {"uta": True}),
    ("bitget", {"uta": False}),
    ("gate", {"unifiedAccount": True}),
    ("gate", {"unifiedAccount": False}),
    ("kucoin", {"uta": True}),
    ("kucoin", {"uta": False}),
    ("kucoin", {"uta": False, "hf": True}),
]


@pytest.mark.parametrize(("exchange_id", "options"), ACCOUNTS)
def test_it_is_in_the_request_for_every_kind_of_account(exchange_id: str, options: dict[str, Any]) -> None:
    async def body() -> None:
        for symbol, letters in zip((SPOT, SWAP), PROVEN[exchange_id].split("/"), strict=True):
            made = dry(exchange_id, symbol)
            made.exchange.options |= options
            for letter in letters:
                changed, own = await said(made, **FLAGS[letter])
                assert changed and (own or letter in SAME_WORDS.get(exchange_id, "")), f"{symbol} {letter}"
            await made.venue.close()

    asyncio.run(body())


@pytest.mark.parametrize(
    ("exchange_id", "symbols", "expected"),
    [
        ("bitstamp", (SPOT,), ()),  # declares all three, translates none
        ("bitso", (SPOT,), ()),
        ("hyperliquid", (SPOT,), ("ioc", "post_only")),
        ("okx", (SPOT,), ("ioc", "fok", "post_only")),
        ("okx", (SPOT, SWAP), ("ioc", "fok", "post_only")),
        ("bitvavo", (SPOT,), ("ioc", "fok", "post_only")),
        ("kucoin", (SPOT, SWAP), ()),
        ("okx", ("BTC/USDT:USDT-301227",), ()),
        ("binance", (SPOT,), ("ioc", "fok", "post_only", "quote_market")),
        ("binance", (SWAP,), ("ioc", "fok", "post_only")),
        ("mudrex", (SPOT,), ()),  # no features at all
    ],
)
def test_capabilities(exchange_id: str, symbols: tuple[str, ...], expected: tuple[str, ...]) -> None:
    made = dry(exchange_id, symbols[0])
    assert abilities(made.exchange, symbols) == expected
    if len(symbols) == 1:
        assert made.venue.capabilities == expected


def test_a_declaration_withdrawn_is_an_ability_withdrawn() -> None:
    made = dry("okx")
    made.exchange.features["spot"]["createOrder"]["timeInForce"]["FOK"] = False
    assert abilities(made.exchange, (SPOT,)) == ("ioc", "post_only")
    made.exchange.features = None
    assert abilities(made.exchange, (SPOT,)) == ()


@pytest.mark.parametrize("fields", [{"tif": "3"}, {"tif": "4"}, {"post_only": True}])
def test_what_is_not_promised_is_refused(fields: dict[str, Any]) -> None:
    async def body() -> None:
        made = dry("bitstamp")
        made.venue.listing.specs = {SPOT: made.venue._dialect.spec(market_of(made.exchange, SPOT))}
        values: dict[str, Any] = {
            "venue_cl_ord_id": OUR_ID, "symbol": SPOT, "side": "1", "ord_type": "2", "tif": "1", "qty": D("0.01"),
            "px": D("60000"),
        }  # fmt: skip
        with pytest.raises(NeverSent, match="UNSUPPORTED"):
            await made.venue.place(PlaceChild(**(values | fields)))
        assert not made.sent
        await made.venue.close()

    asyncio.run(body())


@pytest.mark.parametrize("exchange_id", ["bitget", "gate", "coinbase", "bybit", "luno", "coinmate"])
def test_a_market_buy_by_quantity_that_would_be_none_is_refused(exchange_id: str) -> None:
    async def body() -> None:
        made = dry(exchange_id)
        made.venue.listing.specs = {SPOT: made.venue._dialect.spec(market_of(made.exchange, SPOT))}
        order = PlaceChild(venue_cl_ord_id=OUR_ID, symbol=SPOT, side="1", ord_type="1", tif="1", qty=D("0.01"))
        with pytest.raises(NeverSent, match=r"UNSUPPORTED.*by quantity"):
            await made.venue.place(order)
        assert not made.sent
        await made.venue.close()

    asyncio.run(body())


def test_market_buys_carry_the_quantity_and_nothing_else() -> None:
    async def body() -> None:
        for exchange_id in sorted(MARKET_BUYS):
            made = dry(exchange_id)
            sent = await made.order("market", None, clientOrderId=OUR_ID)
            orders = [request.text for request in sent if "0.01" in request.text]
            assert orders, f"{exchange_id}: {made.failure}"
            for word in ("cost", "total", "notional", "funds", "quote_ccy", "quoteOrderQty", "counter", "marketUnit"):
                assert word not in orders[-1], f"{exchange_id}: {word} in {orders[-1]}"
            await made.venue.close()

    asyncio.run(body())


def test_market_orders_by_money_carry_the_money() -> None:
    async def body() -> None:
        for exchange_id in sorted(QUOTE_MARKETS):
            for side in ("1", "2"):
                made = dry(exchange_id)
                order = PlaceChild(
                    venue_cl_ord_id=OUR_ID, symbol=SPOT, side=side, ord_type="1", tif="1", cash_qty=D("4321")
                )
                try:
                    await made.venue._dialect.create(order)
                except Exception as error:  # the answers are empty
                    made.failure = str(error)
                texts = [request.text for request in made.sent if "4321" in request.text]
                assert texts and '"cost"' not in texts[-1] and "cost=" not in texts[-1], f"{exchange_id}: {made.failure}"
                await made.venue.close()

    asyncio.run(body())


def test_tables_name_exchanges_of_ccxt() -> None:
    assert {*PROVEN, *MARKET_BUYS, *QUOTE_MARKETS} <= set(EXCHANGES)


@pytest.mark.parametrize(
    ("symbol", "kind"), [(SPOT, "spot"), (SWAP, "swap"), ("BTC/USDT:USDT-301227", "dated"), ("BTC/USD:BTC", "swap")]
)
def test_kinds(symbol: str, kind: str) -> None:
    assert kind_of(symbol) == kind


@pytest.mark.parametrize("symbol", ["BTC/USD:BTC", "ETH/USDT:ETH-301227", "BTC/USDT:USDT-301227-90000-C"])
def test_inverse_contracts_and_options_are_refused_at_the_start(symbol: str) -> None:
    with pytest.raises(VenueConfigError, match="base asset"):
        dry("okx", symbol)


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({}, False),
        ({"contractSize": 1.0}, False),
        ({"contractSize": "1000"}, True),
        ({"contractSize": "0.01"}, True),
        ({"contractSize": None}, True),
        ({"linear": False, "inverse": True}, True),
        ({"linear": None}, True),
        ({"settle": "USDC"}, True),
        ({"option": True, "type": "option"}, True),
    ],
)
def test_contracts_must_be_of_one_base_unit(fields: dict[str, Any], refused: bool) -> None:
    made = dry("okx", SWAP)
    market = market_of(made.exchange, SWAP) | fields
    if refused:
        with pytest.raises(NeverSent, match=r"UNSUPPORTED_MARKET.*base asset"):
            made.venue._dialect.spec(market)
    else:
        assert made.venue._dialect.spec(market).symbol == SWAP
    check_market(market_of(made.exchange, SPOT))


def test_the_connector_does_not_connect_to_a_contract_of_a_thousand() -> None:
    async def body() -> None:
        made = dry("okx", SWAP)
        made.exchange.set_markets([market_of(made.exchange, SWAP, contractSize="1000")])
        with pytest.raises(NeverSent, match="contracts of 1000 BTC"):
            await made.venue.instruments()
        await made.venue.close()

    asyncio.run(body())
