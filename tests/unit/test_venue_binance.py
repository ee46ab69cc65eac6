"""The Binance dialect on raw messages, without a network: reports, refusals, numbers, pruning."""

from __future__ import annotations

import asyncio
import decimal
from collections.abc import Callable
from decimal import Decimal as D
from typing import Any

import ccxt
import pytest
from aiohttp import WSMessage, WSMsgType

from fixgw.core.commands import ChildTrade, Quote, VenueTrade
from fixgw.venues.base import Balances, Done, NeverSent
from fixgw.venues.ccxt_exchange import CALL, Call, prune
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.dialect_binance import WsRefused
from fixgw.venues.settings import parse_venue
from fixgw.venues.wire import PlaceChild, frame

REPORT = {
    "e": "executionReport", "E": 1, "s": "BTCUSDT", "c": "OURS1", "S": "BUY", "o": "LIMIT", "f": "GTC", "q": "0.00200000",
    "p": "50000.00000000", "C": "", "x": "NEW", "X": "NEW", "r": "NONE", "i": 42, "l": "0.00000000", "z": "0.00000000",
    "L": "0.00000000", "n": "0", "N": None, "T": 1700000000123, "t": -1, "m": False,
}  # fmt: skip


class Sink:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def ack(self, venue_cl_ord_id: str, venue_order_id: str) -> None:
        self.told.append(("ack", venue_cl_ord_id, venue_order_id))

    def trade(self, trade: VenueTrade) -> None:
        self.told.append(trade)

    def done(self, done: Done) -> None:
        self.told.append(done)

    def book(self, symbol: str, quote: Quote) -> None:
        self.told.append((symbol, quote))

    def balances(self, balances: Balances) -> None:
        self.told.append(balances)

    def balances_changed(self) -> None:
        self.told.append("balances_changed")

    def link(self, up: bool, reason: str = "") -> None:
        self.told.append((up, reason))


class FakeClient:
    url = "wss://x/ws-api/v3"

    def __init__(self) -> None:
        self.futures: dict[str, Any] = {}
        self.subscriptions: dict[str, Any] = {}
        self.rejected: list[Any] = []
        self.errors: list[Any] = []

    def reject(self, error: Any, number: str) -> None:
        self.rejected.append((error, number))

    def on_error(self, error: Any) -> None:
        self.errors.append(error)


MARKET = {
    "id": "BTCUSDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "spot": True, "type": "spot", "option": False,
    "contract": False, "swap": False, "future": False, "linear": None,
    "precision": {"amount": "0.00001", "price": "0.01"}, "info": {"orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"]},
}  # fmt: skip


def scene(body: Callable[[CcxtVenue, Sink, FakeClient], None]) -> None:
    """Run `body` inside a loop with an offline connector."""

    async def run() -> None:
        sink = Sink()
        venue = CcxtVenue(parse_venue({"exchange": "binance", "symbols": ["BTC/USDT"]}, "t", "t"), sink)
        exchange = venue._exchange
        exchange.markets = {"BTC/USDT": MARKET}
        exchange.markets_by_id = {"BTCUSDT": [MARKET]}
        body(venue, sink, FakeClient())

    asyncio.run(run())


def event(**fields: Any) -> dict[str, Any]:
    return {"subscriptionId": 0, "event": REPORT | fields}


def test_a_trade_then_its_end() -> None:
    def body(venue: CcxtVenue, sink: Sink, client: FakeClient) -> None:
        fill = event(
            x="TRADE", X="FILLED", l="0.00200000", z="0.00200000", L="49999.99000000", n="0.00000200", N="BTC", t=7, m=True
        )
        assert venue._dialect.tap(client, fill) and venue._dialect.tap(client, fill)
        trade, done = sink.told
        assert (trade.venue_cl_ord_id, trade.venue_order_id, trade.venue_trade_id) == ("OURS1", "42", "7")
        assert (trade.qty, trade.px, trade.fee, trade.fee_asset) == (D("0.002"), D("49999.99"), D("0.000002"), "BTC")
        assert trade.liquidity == "1" and trade.side == "1" and trade.venue_ns == 1700000000123000000
        assert done == Done("OURS1", "42", "filled", D("0.002"))

    scene(body)


@pytest.mark.parametrize("at", [1795283333447000, 10**30, -1, "1e400", None, "banana", [], float("inf")])
def test_a_trade_with_an_impossible_time_is_told_at_once(at: Any) -> None:
    """As of now, in a form that the link can carry; by the stream and in the answer to a place."""

    def body(venue: CcxtVenue, sink: Sink, client: FakeClient) -> None:
        fill = event(x="TRADE", X="PARTIALLY_FILLED", l="0.001", z="0.001", L="50000", n="0", N="BTC", t=7, T=at)
        assert venue._dialect.tap(client, fill)
        fills = [{"qty": "0.001", "price": "50000", "commission": "0", "commissionAsset": "BTC", "tradeId": 8}]
        info = {"orderId": 43, "side": "BUY", "transactTime": at, "fills": fills}
        told = (*sink.told, *venue._dialect.instant_trades({"symbol": "BTC/USDT", "info": info}, "OURS2"))
        assert [(trade.venue_trade_id, trade.venue_ns) for trade in told] == [("7", 0), ("8", 0)]
        for trade in told:
            frame(ChildTrade(ts_ns=1, venue="t", trade=trade))
            venue._dialect.know_trade(trade)

    scene(body)


def test_what_could_not_be_handed_over_is_told_when_it_comes_again() -> None:
    """By the stream, by REST, and after a place."""

    def body(venue: CcxtVenue, sink: Sink, client: FakeClient) -> None:
        told, broken = sink.trade, [True]

        def trade(trade: VenueTrade) -> None:
            if broken[0]:
                raise OverflowError
            told(trade)

        sink.trade = trade  # type: ignore[method-assign]
        venue.tracker.begin("OURS1", "BTC/USDT").placing = True
        fill = event(x="TRADE", X="PARTIALLY_FILLED", l="0.001", z="0.001", L="50000", n="0", N="BTC", t=7)
        with pytest.raises(OverflowError):
            venue._dialect.tap(client, fill)
        tracked = venue.tracker.begin("OURS1", "BTC/USDT")
        assert tracked.cum_qty == 0
        broken[0] = False
        venue._dialect.tap(client, fill)
        venue._dialect.tap(client, fill)
        assert [type(word) for word in sink.told] == [tuple, VenueTrade] and tracked.cum_qty == D("0.001")
        ended, sink.done = sink.done, lambda done: 1 / 0  # type: ignore[method-assign,assignment,return-value]
        done = Done("OURS1", "42", "canceled", D("0.001"))
        with pytest.raises(ZeroDivisionError):
            venue.on_done(done, "BTC/USDT")
        assert tracked.open
        sink.done = ended  # type: ignore[method-assign]
        venue.on_done(done, "BTC/USDT")
        venue.on_done(done, "BTC/USDT")
        assert sink.told[2:] == [done] and not tracked.open

    scene(body)


def test_two_of_our_orders_that_trade_with_each_other_each_get_their_side() -> None:
    def body(venue: CcxtVenue, sink: Sink, client: FakeClient) -> None:
        fill = {"x": "TRADE", "X": "PARTIALLY_FILLED", "l": "0.001", "z": "0.001", "L": "50000", "t": 7}
        for _ in range(2):
            venue._dialect.tap(client, event(**fill))
            venue._dialect.tap(client, event(**fill, c="OURS2", i=43, S="SELL"))
        told = [(trade.venue_cl_ord_id, trade.side) for trade in sink.told if isinstance(trade, VenueTrade)]
        assert told == [("OURS1", "1"), ("OURS2", "2")]

    scene(body)


@pytest.mark.parametrize("original", ["OURS1"])
def test_a_cancel_is_about_the_original_order(original: str) -> None:
    def body(venue: CcxtVenue, sink: Sink, client: FakeClient) -> None:
        venue.tracker.begin("OURS1", "BTC/USDT").cum_qty = D("0.001")
        venue._dialect.tap(client, event(x="CANCELED", X="CANCELED", c="cancel-id", C=original, z="0.00100000"))
        assert sink.told == [Done("OURS1", "42", "canceled", D("0.001"))]

    scene(body)


def test_a_frame_that_is_not_json_breaks_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    """A proxy's page holds the letters that ccxt takes for the keys of a book."""

    async def run() -> None:
        venue = CcxtVenue(parse_venue({"exchange": "binance", "symbols": ["BTC/USDT"]}, "t", "t"), Sink())
        client = venue._exchange.client("ws://127.0.0.1:1/ws")
        client.handle_message(WSMessage(WSMsgType.TEXT, "<html><body>Bad gateway</body></html>", None))
        assert isinstance(client.error, ccxt.NetworkError)

    asyncio.run(run())
    assert "unreadable frame" in caplog.text and "Traceback" not in caplog.text


def test_one_instruments_nonsense_leaves_the_stream_of_the_others() -> None:
    """A price that is none is told as none, for the gateway to name; nothing is thrown, which would end the connection of all."""

    def body(venue: CcxtVenue, sink: Sink, client: FakeClient) -> None:
        sink.odd = lambda key, text: sink.told.append(text)  # type: ignore[attr-defined]
        venue._dialect.tap(client, {"s": "BTCUSDT", "b": "NaN", "B": "1", "a": "2", "A": "banana"})
        ((symbol, quote),) = sink.told
        assert symbol == "BTC/USDT" and quote.bid.is_nan() and quote.ask_qty.is_nan() and quote.ask == 2
        for px in ("0", "0.00000000", "NaN", "x"):
            venue._dialect.tap(client, {"e": "trade", "s": "BTCUSDT", "p": px})
        assert [word for word in sink.told[1:] if not isinstance(word, str)] == []

    scene(body)


def test_ccxt_sees_only_what_it_waits_for() -> None:
    """It would keep a thousand trades of each symbol: it gets the first, which confirms the subscription."""

    def body(venue: CcxtVenue, sink: Sink, client: FakeClient) -> None:
        trade = {"e": "trade", "s": "BTCUSDT", "p": "60000.00"}
        book = {"s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1"}
        client.futures = {"trade::ETH/USDT": object(), "bidask:bookTicker@ETH/USDT": object()}
        assert venue._dialect.tap(client, trade) and venue._dialect.tap(client, book)
        client.futures = {"trade::BTC/USDT": object()}
        assert not venue._dialect.tap(client, trade)
        client.futures = {"bidask:bookTicker@BTC/USDT": object()}
        assert not venue._dialect.tap(client, book)

    scene(body)


def test_an_ack_only_for_what_is_in_flight_and_only_once() -> None:
    def body(venue: CcxtVenue, sink: Sink, client: FakeClient) -> None:
        venue._dialect.tap(client, event())  # somebody else's, or of an earlier run
        assert sink.told == []
        venue.tracker.begin("OURS2", "BTC/USDT").unsure = True
        for _ in range(2):
            venue._dialect.tap(client, event(c="OURS2", i=43))
        assert sink.told == [("ack", "OURS2", "43")]

    scene(body)


@pytest.mark.parametrize("status", ["EXPIRED", "EXPIRED_IN_MATCH"])
def test_expiry(status: str) -> None:
    def body(venue: CcxtVenue, sink: Sink, client: FakeClient) -> None:
        venue._dialect.tap(client, event(x="EXPIRED", X=status))
        assert sink.told == [Done("OURS1", "42", "expired", D(0))]

    scene(body)


def test_refusals_keep_the_venues_own_code() -> None:
    def body(venue: CcxtVenue, sink: Sink, client: FakeClient) -> None:
        client.futures["9"] = object()
        client.subscriptions["9"] = {}
        message = {"id": "9", "status": 400, "error": {"code": -2010, "msg": "Account has insufficient balance"}}
        assert venue._dialect.tap(client, message)
        ((error, number),) = client.rejected
        assert isinstance(error, WsRefused) and (error.status, error.code, number) == (400, "-2010", "9")
        assert client.subscriptions == {}
        limited = {"id": "8", "status": 429, "error": {"code": -1003, "msg": "x", "data": {"retryAfter": 0}}}
        assert venue._dialect.tap(client, limited) and venue.hooks.limiter.frozen_s() > 0.5
        assert not venue._dialect.tap(client, {"id": "7", "status": 200, "result": {}})

    scene(body)


def test_a_terminated_stream_breaks_the_socket() -> None:
    def body(venue: CcxtVenue, sink: Sink, client: FakeClient) -> None:
        assert venue._dialect.tap(client, {"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": 1}})
        assert isinstance(client.errors[0], ccxt.NetworkError)

    scene(body)


def test_top_of_book_keeps_the_last_price_and_exact_numbers() -> None:
    def body(venue: CcxtVenue, sink: Sink, client: FakeClient) -> None:
        venue._dialect.tap(client, {"e": "trade", "s": "BTCUSDT", "p": "50000.10000000", "q": "1", "t": 1})
        venue._dialect.tap(client, {"u": 1, "s": "BTCUSDT", "b": "1.10000000", "B": "2", "a": "0.00000000", "A": "0"})
        symbol, quote = sink.told[-1]
        assert symbol == "BTC/USDT" and (quote.bid, quote.bid_qty, quote.ask) == (D("1.1"), D(2), None)
        assert quote.last == D("50000.1") and quote.recv_ns > 0

    scene(body)


def test_our_id_is_on_the_wire_and_no_broker_id() -> None:
    def body(venue: CcxtVenue, sink: Sink, client: FakeClient) -> None:
        params = {"newClientOrderId": "OURS1", "timeInForce": "IOC"}
        request = venue._exchange.create_order_request("BTC/USDT", "limit", "buy", "0.00100", "50000.10", params)
        assert request["newClientOrderId"] == "OURS1" and "x-" not in str(request)
        assert (D(request["quantity"]), D(request["price"])) == (D("0.001"), D("50000.1"))
        cash = venue._exchange.create_order_request(
            "BTC/USDT", "market", "buy", None, None, {"newClientOrderId": "B", "quoteOrderQty": "100.005"}
        )
        assert cash["quoteOrderQty"] == "100.005"

    scene(body)


def test_ccxt_may_not_round_nor_touch_the_shared_decimal_context() -> None:
    def body(venue: CcxtVenue, sink: Sink, client: FakeClient) -> None:
        before = decimal.getcontext().copy()
        token = CALL.set(Call())
        try:
            assert venue._exchange.price_to_precision("BTC/USDT", "50000.10") == "50000.1"
            with pytest.raises(NeverSent, match="BAD_TICK"):
                venue._exchange.price_to_precision("BTC/USDT", "50000.105")
            with pytest.raises(NeverSent, match="BAD_LOT"):
                venue._exchange.amount_to_precision("BTC/USDT", "0.000019")
        finally:
            CALL.reset(token)
        after = decimal.getcontext()
        assert (before.prec, before.rounding, before.traps) == (after.prec, after.rounding, after.traps)

    scene(body)


def test_pruning_spares_what_is_unanswered() -> None:
    async def run() -> None:
        client = FakeClient()
        waiting, answered = asyncio.Future[Any](), asyncio.Future[Any]()
        answered.set_result(1)
        client.futures = {"1": waiting, "2": answered, "orderbook": waiting}
        client.subscriptions = {"1": {}, "2": {}, "3": {}, "spot": True}
        prune(client)
        assert client.futures.keys() == {"1", "orderbook"} and client.subscriptions.keys() == {"1", "spot"}

    asyncio.run(run())


def test_nothing_is_sent_before_instruments_are_known() -> None:
    async def run() -> None:
        venue = CcxtVenue(parse_venue({"exchange": "binance", "symbols": ["BTC/USDT"]}, "t", "t"), Sink())
        order = PlaceChild(
            venue_cl_ord_id="A", symbol="BTC/USDT", side="1", ord_type="2", tif="1", qty=D(1), px=D(1)
        )
        with pytest.raises(NeverSent, match="no instruments"):
            await venue.place(order)

    asyncio.run(run())
