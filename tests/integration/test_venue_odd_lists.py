"""What a venue says wrongly of one instrument, asset or order keeps none of the others from working (real ccxt, simulator)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from core_world import VENUE, World
from venue_rig import SECRET, Sink, in_process

from fixgw.core.commands import InstrumentSpec, VenueOddity
from fixgw.core.events import Alerted
from fixgw.sim.binance import SimServer
from fixgw.sim.config import DEMO_BALANCES, ApiAccount, SimConfig, parse_market
from fixgw.venues import listing
from fixgw.venues.base import Ambiguous, NeverSent
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.fake_gateway import FakeGateway
from fixgw.venues.host import VenueHost
from fixgw.venues.settings import parse_venue
from fixgw.venues.wire import CancelChild, PlaceChild, QueryChild

BTC, ETH = "BTC/USDT", "ETH/USDT"
Change = Callable[[Any], None]


class Told(Sink):
    """What the host would be told of, too."""

    def __init__(self) -> None:
        super().__init__()
        self.odds: dict[str, str] = {}
        self.said: list[str] = []
        self.links: list[tuple[bool, str]] = []
        self.balance: Any = None
        self.specs: tuple[InstrumentSpec, ...] = ()
        self.quotes: dict[str, Any] = {}
        self.news = asyncio.Event()

    def odd(self, key: str, text: str) -> None:
        self.odds[key] = text
        self.said.append(f"{key}: {text}")
        self.news.set()

    def instruments(self, specs: tuple[InstrumentSpec, ...]) -> None:
        self.specs = specs
        self.news.set()

    def balances(self, balances: Any) -> None:
        self.balance = balances
        self.news.set()

    def book(self, symbol: str, quote: Any) -> None:
        self.quotes[symbol] = quote
        self.news.set()

    def link(self, up: bool, reason: str = "") -> None:
        self.links.append((up, reason))
        super().link(up, reason)
        self.news.set()

    def trade(self, trade: Any) -> None:
        super().trade(trade)
        self.news.set()

    async def until(self, probe: Callable[[], Any], what: str) -> Any:
        async with asyncio.timeout(12):
            while not (found := probe()):
                self.news.clear()
                try:
                    await asyncio.wait_for(self.news.wait(), 0.2)
                except TimeoutError:
                    continue
            return found
        raise AssertionError(what)


class Answers:
    """Changes what the venue answers to REST requests, before ccxt reads it. `asked`: how often, by the path's end."""

    def __init__(self) -> None:
        self.changes: dict[str, Change] = {}
        self.asked: dict[str, int] = {}

    def put(self, venue: CcxtVenue) -> None:
        exchange = venue._exchange
        read = exchange.on_rest_response

        def changed(code: Any, reason: Any, url: str, method: Any, headers: Any, text: str, *rest: Any) -> Any:
            end = url.partition("?")[0].rpartition("/")[2]
            self.asked[end] = self.asked.get(end, 0) + 1
            if end in self.changes:
                answer = exchange.parse_json(text)
                self.changes[end](answer)
                text = exchange.json(answer)
            return read(code, reason, url, method, headers, text, *rest)

        exchange.on_rest_response = changed


Body = Callable[[SimServer, CcxtVenue, Told, Answers], Awaitable[None]]


def run(folder: Path, body: Body, first: dict[str, Change] | None = None, up: bool = True, **fields: Any) -> None:
    """A connector for BTC/USDT and ETH/USDT; `first`: what is changed from its start on."""
    account = ApiAccount("demo", "demo-key", SECRET, DEMO_BALANCES)
    config = SimConfig(folder, (account,), (parse_market(BTC), parse_market(ETH)))

    async def main() -> None:
        async with asyncio.timeout(30), SimServer(config) as server:
            sink, answers = Told(), Answers()
            answers.changes = dict(first or {})
            own = {
                "exchange": "binance", "symbols": [BTC, ETH], "base_url": f"http://127.0.0.1:{server.port}",
                "api_key_env": "RIG_KEY", "secret_env": "RIG_SECRET", "request_timeout_ms": 1500, "recv_window_ms": 1000,
                "sweep_s": 0.2,
            }  # fmt: skip
            venue = CcxtVenue(parse_venue(own | fields, "t", "t"), sink)
            answers.put(venue)
            try:
                await venue.start()
                if up:
                    await asyncio.wait_for(sink.up.wait(), 12)
                await body(server, venue, sink, answers)
            finally:
                await venue.close()

    asyncio.run(main())


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "RETRY_S", 0.3)
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)


async def place(venue: CcxtVenue, our_id: str, symbol: str = BTC) -> str:
    px = D("50000") if symbol == BTC else D("2000")
    order = PlaceChild(venue_cl_ord_id=our_id, symbol=symbol, side="1", ord_type="2", tif="1", qty=D("0.5"), px=px)
    return (await venue.place(order)).venue_order_id


def fill(server: SimServer, order_id: int, symbol: str, qty: str) -> None:
    now_ns = time.time_ns()
    server.sim.commit(server.sim.engine.fill_resting(order_id, D(qty), now_ns), symbol.replace("/", ""), now_ns)


def without_eth(answer: Any) -> None:
    answer["symbols"] = [row for row in answer["symbols"] if row["symbol"] != "ETHUSDT"]


def eth(change: Change) -> Change:
    def changed(answer: Any) -> None:
        for row in answer["symbols"]:
            if row["symbol"] == "ETHUSDT":
                change(row)

    return changed


def _nan_tick(row: Any) -> None:
    for rule in row["filters"]:
        if rule["filterType"] == "PRICE_FILTER":
            rule["tickSize"] = "NaN"


ODD_ETH = {
    "missing": without_eth,
    "NaN tick": eth(_nan_tick),
    "no filters": eth(lambda row: row.update(filters=[])),
    "filters no list": eth(lambda row: row.update(filters=7)),
}


@pytest.mark.parametrize("name", ODD_ETH)
def test_an_instrument_that_is_nonsense_at_the_start_is_left_out_alone_and_comes_back(tmp_path: Path, name: str) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Told, answers: Answers) -> None:
        assert "ETH/USDT" in sink.odds[f"instrument {ETH}"]
        assert [spec.symbol for spec in await venue.instruments()] == [BTC]
        await place(venue, "OURS1")
        with pytest.raises(NeverSent, match=r"UNKNOWN_SYMBOL.*ETH/USDT"):
            await place(venue, "OURS2", ETH)
        assert {order.venue_cl_ord_id for order in await venue.open_orders((BTC, ETH), True)} == {"OURS1"}
        assert await venue.trades(1, (BTC, ETH)) == ()
        await sink.until(lambda: BTC in sink.quotes, "a book")
        answers.changes.clear()
        await sink.until(lambda: {spec.symbol for spec in sink.specs} == {BTC, ETH}, "ETH again")
        assert sink.odds[f"instrument {ETH}"] == ""
        await place(venue, "OURS3", ETH)
        await sink.until(lambda: ETH in sink.quotes, "the book of what came back")

    run(tmp_path, body, {"exchangeInfo": ODD_ETH[name]})


def test_orders_of_an_instrument_that_vanishes_are_looked_after(tmp_path: Path) -> None:
    """Its fill is told, its order can be asked for and canceled, by a host that has seen its market and by one that has not."""

    async def body(server: SimServer, venue: CcxtVenue, sink: Told, answers: Answers) -> None:
        one, two = await place(venue, "OURS1", ETH), await place(venue, "OURS2", ETH)
        answers.changes["exchangeInfo"] = without_eth
        for forget in (False, True):
            venue.listing._due_s = 0.001
            if forget:
                venue.listing._markets.clear()
                venue._exchange.set_markets([venue._exchange.markets[BTC]])
            await venue.listing.load()
            assert [spec.symbol for spec in await venue.instruments()] == [BTC]
            number, name = (two, "OURS2") if forget else (one, "OURS1")
            fill(server, int(number), ETH, "0.2")
            await sink.until(lambda name=name: [t for t in sink.told if t.venue_cl_ord_id == name], "the fill")
            assert sink.told[-1].symbol == ETH
            found = await venue.query(QueryChild(venue_cl_ord_id=name, symbol=ETH, qty=D("0.5")))
            assert (found.outcome, found.cum_qty) == ("open", D("0.2"))
            assert name in {order.venue_cl_ord_id for order in await venue.open_orders((BTC, ETH))}
            done = await venue.cancel(CancelChild(venue_cl_ord_id=name, symbol=ETH))
            assert done is None or done.status == "canceled"

    run(tmp_path, body)


def balance_of(asset: str, free: str) -> Change:
    def changed(answer: Any) -> None:
        answer["balances"] = [row for row in answer["balances"] if row["asset"] != asset]
        answer["balances"].append({"asset": asset, "free": free, "locked": "0"})

    return changed


@pytest.mark.parametrize("free", ["NaN", "1" + "0" * 26, "-Infinity", "banana"])
@pytest.mark.parametrize("asset", ["SHITCOIN", "ETH"])
def test_one_odd_balance_takes_nothing_else_down(tmp_path: Path, asset: str, free: str) -> None:
    """From the start on. An asset of ours counts as nothing: what there is of it is not known."""

    async def body(server: SimServer, venue: CcxtVenue, sink: Told, answers: Answers) -> None:
        assert asset in sink.odds[f"balance {asset}"]
        assert sink.balance.free["USDT"] > 0 and asset not in sink.balance.free and asset not in sink.balance.total
        await place(venue, "OURS1")
        answers.changes.clear()
        assert ("ETH" in (await venue.balances()).free) and sink.odds[f"balance {asset}"] == ""

    run(tmp_path, body, {"account": balance_of(asset, free)})


@pytest.mark.parametrize(("asset", "asked"), [("SHITCOIN", False), ("ETH", True)])
def test_an_odd_balance_of_the_stream_leaves_what_was_known_and_asks(tmp_path: Path, asset: str, asked: bool) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Told, answers: Answers) -> None:
        await sink.until(lambda: sink.balance is not None, "balances")
        known = sink.balance.free["ETH"]
        changed: list[bool] = []
        sink.balances_changed = lambda: changed.append(True)  # type: ignore[method-assign]
        rows = [{"a": asset, "f": "1" + "0" * 26, "l": "0"}, {"a": "USDT", "f": "77", "l": "0"}, "odd", {"a": "BNB"}]
        event = {"e": "outboundAccountPosition", "u": time.time_ns() // 1_000_000, "B": rows}
        assert venue._dialect.tap(None, {"event": event})
        assert sink.balance.free["USDT"] == 77 and sink.balance.free["ETH"] == known
        assert f"balance {asset}" in sink.odds and bool(changed) == asked

    run(tmp_path, body)


def test_what_is_odd_is_told_to_each_gateway_once(tmp_path: Path) -> None:
    async def body(gate: FakeGateway, host: VenueHost) -> None:
        def told() -> list[str]:
            return [message.text for message in gate.received if isinstance(message, VenueOddity)]

        for text in ("odd", "odd", "", "odd", "odder"):
            host.odd("balance X", text)
        host.odd("balance Y", "gone")
        host.odd("balance Y", "")
        await gate.until(lambda: "gone" in told(), "the last")
        assert told() == ["odd", "odder", "gone"]
        gate.received.clear()
        gate.cut()
        await gate.until(lambda: len(gate.hellos) > 1 and told(), "what is odd still")
        assert told() == ["odder"]

    in_process(tmp_path, body)


def test_an_oddity_is_an_alert() -> None:
    world = World()
    (alert,) = world.run(VenueOddity(ts_ns=world.tick(), venue=VENUE, text="the balance of X" + "x" * 1000))
    assert isinstance(alert, Alerted) and alert.kind == "BAD_VENUE_DATA"
    assert alert.text.startswith(f"{VENUE}: the balance of X") and len(alert.text) < 600


def _foreign(**fields: Any) -> dict[str, Any]:
    row = {
        "symbol": "DOGEUSDT", "orderId": 5, "orderListId": 9, "clientOrderId": "web_1", "price": "0.1", "origQty": "0.00000000",
        "executedQty": "0", "cummulativeQuoteQty": "0", "status": "PENDING_NEW", "timeInForce": "GTC", "type": "LIMIT",
        "side": "BUY", "time": 1795283333447, "updateTime": 1795283333447, "isWorking": False, "origQuoteOrderQty": "10",
    }  # fmt: skip
    return row | fields


FOREIGN = {
    "no quantity": {},
    "NaN": {"origQty": "NaN", "executedQty": "NaN", "price": "Infinity"},
    "a word": {"origQty": "banana"},
    "negative": {"origQty": "1", "executedQty": "-1"},
    "no side": {"side": None},
}


@pytest.mark.parametrize("name", FOREIGN)
def test_an_odd_open_order_of_somebody_else_makes_no_hole(tmp_path: Path, name: str) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Told, answers: Answers) -> None:
        await place(venue, "OURS1")
        answers.changes["openOrders"] = lambda answer: answer.append(_foreign(**FOREIGN[name]))
        found = {order.venue_cl_ord_id: order for order in await venue.open_orders((BTC, ETH), True)}
        assert found["OURS1"].qty == D("0.5") and not found["OURS1"].unread
        assert found["web_1"].unread and found["web_1"].venue_order_id == "5"
        answers.changes["openOrders"] = lambda answer: answer.append(_foreign(orderId=None, clientOrderId=""))
        with pytest.raises(Ambiguous, match="BAD_ANSWER"):
            await venue.open_orders((BTC, ETH), True)

    run(tmp_path, body)


def test_an_odd_open_order_of_ours_is_asked_for_by_itself(tmp_path: Path) -> None:
    """Its fill, which the stream lost, is told; and what hangs is known to work."""

    async def body(server: SimServer, venue: CcxtVenue, sink: Told, answers: Answers) -> None:
        number = await place(venue, "OURS1")

        def odd(answer: Any) -> None:
            for row in answer:
                row.update(origQty="NaN", executedQty="NaN")

        answers.changes["openOrders"] = odd
        tap, venue._dialect.tap = venue._dialect.tap, lambda client, message: True  # type: ignore[method-assign]
        venue.hooks.tap = venue._dialect.tap
        fill(server, int(number), BTC, "0.2")
        await sink.until(lambda: sink.told, "the fill")
        venue.hooks.tap = venue._dialect.tap = tap  # type: ignore[method-assign]
        assert (sink.told[-1].venue_cl_ord_id, sink.told[-1].qty) == ("OURS1", D("0.2"))
        assert answers.asked["order"] > 0
        (listed,) = await venue.open_orders((BTC, ETH), True)
        assert listed.unread and listed.venue_cl_ord_id == "OURS1"

    run(tmp_path, body)
