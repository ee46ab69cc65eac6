"""The real, unmodified ccxt.pro binance client against a simulator process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import ccxt
import pytest
from sim_client import connected

from fixgw.sim.launch import RunningSim, launch

SYMBOL = "BTC/USDT"


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSim]:
    with launch(tmp_path_factory.mktemp("sim")) as running:
        yield running


def run(sim: RunningSim, scenario: Callable[[Any], Any], secret: str = "demo-secret") -> None:
    async def main() -> None:
        async with asyncio.timeout(60), connected(sim, secret=secret) as exchange:
            await scenario(exchange)

    asyncio.run(main())


def dec(value: Any) -> Decimal:
    return Decimal(str(value))


def test_load_markets_with_filters_and_currencies(sim: RunningSim) -> None:
    async def scenario(ex: Any) -> None:
        markets = await ex.load_markets()
        assert set(markets) == {"BTC/USDT", "ETH/USDT"}
        market = markets[SYMBOL]
        assert dec(market["precision"]["price"]) == Decimal("0.01")
        assert dec(market["precision"]["amount"]) == Decimal("0.00001")
        assert dec(market["limits"]["cost"]["min"]) == 5
        assert {"BTC", "ETH", "USDT"} <= set(ex.currencies)
        assert abs(await ex.fetch_time() - ex.milliseconds()) < 5_000

    run(sim, scenario)


def test_book_by_rest_and_by_stream(sim: RunningSim) -> None:
    async def scenario(ex: Any) -> None:
        book = await ex.fetch_order_book(SYMBOL, 5)
        assert (dec(book["bids"][0][0]), dec(book["asks"][0][0])) == (Decimal(59999), Decimal(60001))
        live = await ex.watch_order_book(SYMBOL)
        assert len(live["bids"]) == len(live["asks"]) == 20
        order = await ex.create_order(SYMBOL, "limit", "buy", "0.5", "60000")
        for _ in range(50):  # bounded wait for the diff
            live = await ex.watch_order_book(SYMBOL)
            if live["bids"][0][0] == 60000.0:
                break
        assert live["bids"][0][:2] == [60000.0, 0.5]
        await ex.cancel_order(order["id"], SYMBOL)
        live = await ex.watch_order_book(SYMBOL)
        assert live["bids"][0][0] == 59999.0

    run(sim, scenario)


def test_rest_order_life(sim: RunningSim) -> None:
    async def scenario(ex: Any) -> None:
        before = await ex.fetch_balance()
        order = await ex.create_order(SYMBOL, "limit", "buy", "0.4", "60000", {"newClientOrderId": "life-1"})
        assert (order["status"], order["clientOrderId"]) == ("open", "life-1")
        held = await ex.fetch_balance()
        assert dec(held["USDT"]["used"]) - dec(before["USDT"]["used"]) == Decimal(24000)
        sim.client.order("BTCUSDT", "SELL", "0.1", price="60000")
        part = await ex.fetch_order(None, SYMBOL, {"origClientOrderId": "life-1"})
        assert (part["status"], dec(part["filled"]), dec(part["remaining"])) == (
            "open", Decimal("0.1"), Decimal("0.3")
        )  # fmt: skip
        assert [o["id"] for o in await ex.fetch_open_orders(SYMBOL)] == [order["id"]]
        canceled = await ex.cancel_order(order["id"], SYMBOL)
        assert canceled["status"] == "canceled"
        trades = await ex.fetch_my_trades(SYMBOL, params={"orderId": order["id"]})
        assert [(dec(t["price"]), dec(t["amount"]), t["takerOrMaker"]) for t in trades] == [
            (Decimal(60000), Decimal("0.1"), "maker")
        ]
        assert (dec(trades[0]["fee"]["cost"]), trades[0]["fee"]["currency"]) == (Decimal("0.0001"), "BTC")
        after = await ex.fetch_balance()
        assert dec(after["USDT"]["total"]) - dec(before["USDT"]["total"]) == Decimal(-6000)
        assert dec(after["BTC"]["total"]) - dec(before["BTC"]["total"]) == Decimal("0.0999")
        next_id = str(int(trades[0]["id"]) + 1)
        assert await ex.fetch_my_trades(SYMBOL, params={"fromId": next_id}) == []

    run(sim, scenario)


def test_ws_order_life_and_user_data(sim: RunningSim) -> None:
    async def scenario(ex: Any) -> None:
        await ex.load_markets()
        raw: list[dict[str, Any]] = []
        handle = ex.handle_message
        ex.handle_message = lambda client, message: (raw.append(message), handle(client, message))[1]
        await ex.authenticate({"type": "spot"})
        watcher = asyncio.ensure_future(ex.watch_my_trades(SYMBOL))
        order = await ex.create_order_ws(SYMBOL, "limit", "sell", "0.2", "60000.50", {"newClientOrderId": "ws-1"})
        assert order["status"] == "open"
        assert (await ex.fetch_order_ws(order["id"], SYMBOL))["clientOrderId"] == "ws-1"
        edited = await ex.edit_order_ws(order["id"], SYMBOL, "limit", "sell", "0.3", "60000.40")
        assert edited["id"] != order["id"] and edited["status"] == "open"
        sim.client.fill(int(edited["id"]), "0.1")
        trades = await watcher
        assert dec(trades[0]["amount"]) == Decimal("0.1")
        assert [o["id"] for o in await ex.fetch_open_orders_ws(SYMBOL)] == [edited["id"]]
        assert (await ex.cancel_order_ws(edited["id"], SYMBOL))["status"] == "canceled"
        assert dec((await ex.fetch_my_trades_ws(SYMBOL))[-1]["amount"]) == Decimal("0.1")
        balance = await ex.fetch_balance_ws()  # ccxt leaves its own parsing of the spot reply empty
        assert {b["asset"]: dec(b["locked"]) for b in balance["info"]["balances"]}["BTC"] == 0
        events = [m["event"] for m in raw if "event" in m]
        reports = [(e["x"], e["X"], e["i"]) for e in events if e["e"] == "executionReport"]
        first, second = int(order["id"]), int(edited["id"])
        assert reports == [
            ("NEW", "NEW", first), ("CANCELED", "CANCELED", first), ("NEW", "NEW", second),
            ("TRADE", "PARTIALLY_FILLED", second), ("CANCELED", "CANCELED", second),
        ]  # fmt: skip
        assert any(e["e"] == "outboundAccountPosition" for e in events)

    run(sim, scenario)


def test_market_orders_and_quote_size(sim: RunningSim) -> None:
    async def scenario(ex: Any) -> None:
        bought = await ex.create_order(SYMBOL, "market", "buy", "2.5")
        assert (bought["status"], dec(bought["filled"])) == ("closed", Decimal("2.5"))
        assert dec(bought["cost"]) == Decimal("1.9") * 60001 + Decimal("0.5") * 60002 + Decimal("0.1") * 60003
        spent = await ex.create_market_order_with_cost(SYMBOL, "buy", 1000)
        assert dec(spent["filled"]) == Decimal("0.01666") and dec(spent["cost"]) <= 1000
        done = await ex.create_order_ws(SYMBOL, "market", "sell", "0.5")
        assert done["status"] == "closed" and dec(done["average"]) == Decimal(59999)

    run(sim, scenario)


def test_edit_order_by_rest_and_failing_replace(sim: RunningSim) -> None:
    async def scenario(ex: Any) -> None:
        order = await ex.create_order(SYMBOL, "limit", "buy", "0.1", "50000")
        edited = await ex.edit_order(order["id"], SYMBOL, "limit", "buy", "0.2", "50001")
        assert edited["status"] == "open" and dec(edited["amount"]) == Decimal("0.2")
        assert (await ex.fetch_order(order["id"], SYMBOL))["status"] == "canceled"
        with pytest.raises(ccxt.ExchangeError, match="-2022"):
            await ex.edit_order(order["id"], SYMBOL, "limit", "buy", "0.2", "50002")
        with pytest.raises(ccxt.ExchangeError, match="-2021"):  # cancelled, but no money for the new one
            await ex.edit_order(edited["id"], SYMBOL, "limit", "sell", "149", "60000.50")
        assert (await ex.fetch_order(edited["id"], SYMBOL))["status"] == "canceled"

    run(sim, scenario)


@pytest.mark.parametrize(
    ("amount", "price", "params", "error", "text"),
    [
        ("0.00001", "60000", {}, ccxt.ExchangeError, "NOTIONAL"),
        ("0.1", "60000000", {}, ccxt.ExchangeError, "PRICE_FILTER"),
        ("9500", "60000", {}, ccxt.ExchangeError, "LOT_SIZE"),
        ("160", "60000", {}, ccxt.ExchangeError, "NOTIONAL"),
        ("149", "60001", {"side": "SELL"}, ccxt.InsufficientFunds, "insufficient balance"),
        ("1", "61000", {"postOnly": True}, ccxt.ExchangeError, "immediately match"),
        ("1", "50000", {"newClientOrderId": "bad id!"}, ccxt.ExchangeError, "-1100"),
    ],
)
def test_refusals(
    sim: RunningSim, amount: str, price: str, params: dict[str, Any], error: type[Exception], text: str
) -> None:
    async def scenario(ex: Any) -> None:
        before = sim.client.state()["counters"]["rejected"]
        for place in (ex.create_order, ex.create_order_ws):
            with pytest.raises(error, match=text):
                await place(SYMBOL, "limit", "buy", amount, price, params)
        assert sim.client.state()["counters"]["rejected"] == before + 2

    run(sim, scenario)


def test_unknown_orders_symbols_and_keys(sim: RunningSim) -> None:
    async def scenario(ex: Any) -> None:
        await ex.load_markets()
        with pytest.raises(ccxt.OrderNotFound):
            await ex.cancel_order("999999", SYMBOL)
        with pytest.raises(ccxt.ExchangeError, match="-2013"):
            await ex.fetch_order("999999", SYMBOL)
        with pytest.raises(ccxt.BadSymbol):
            await ex.public_get_depth({"symbol": "NOPE"})
        with pytest.raises(ccxt.InvalidNonce, match="-1021"):
            await ex.private_get_account({"timestamp": 1})
        await ex.create_order(SYMBOL, "limit", "buy", "0.1", "50000", {"newClientOrderId": "twice"})
        with pytest.raises(ccxt.ExchangeError, match="Duplicate order sent"):
            await ex.create_order(SYMBOL, "limit", "buy", "0.1", "50000", {"newClientOrderId": "twice"})
        await ex.cancel_all_orders(SYMBOL)
        again = await ex.create_order(SYMBOL, "limit", "buy", "0.1", "50000", {"newClientOrderId": "twice"})
        await ex.cancel_order(again["id"], SYMBOL)
        ex.apiKey = "somebody"
        with pytest.raises(ccxt.DDoSProtection, match="-2015"):  # what ccxt makes of it after a success
            await ex.private_get_account()

    run(sim, scenario)


def test_a_wrong_secret_is_refused(sim: RunningSim) -> None:
    async def scenario(ex: Any) -> None:
        for call in (ex.private_get_account(), ex.watch_orders()):
            with pytest.raises(ccxt.ExchangeError, match=r"-1022|Signature"):
                await call

    run(sim, scenario, secret="wrong")
