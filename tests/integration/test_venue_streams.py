"""Every socket that carries prices is missed when it is gone."""

import asyncio
import json
import time
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from venue_rig import SECRET, Sink, fault, run_venue, until

from fixgw.core.commands import Quote
from fixgw.sim.binance import SimServer
from fixgw.sim.conn import Connection
from fixgw.venues import binance_streams
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.dialect_binance import Dialect as DialectBinance
from fixgw.venues.wire import PlaceChild


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)


def test_a_lost_socket_of_trades_is_opened_anew(tmp_path: Path) -> None:
    """Binance's trades come on another socket than its books; without them no stop sees a price."""

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        clients: dict[str, Any] = venue._exchange.clients

        def of_trades() -> Any:
            found = (client for client in clients.values() if any("trade" in key for key in client.subscriptions))
            return next((client for client in found if client.connection is not None and not client.closed()), None)

        async def until_open() -> Any:
            async with asyncio.timeout(10):
                while (client := of_trades()) is None or not client.isConnected:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            return client

        lost = await until_open()
        await lost.connection.close()
        assert await until_open() is not lost

        told = asyncio.Event()
        told_before = venue.session.books._quotes["BTC/USDT"].last_ns
        sink.book = lambda symbol, quote: told.set() if quote.last_ns > told_before else None  # type: ignore[method-assign]
        async with asyncio.timeout(5):
            for number in range(100):
                if told.is_set():
                    break
                order = PlaceChild(
                    venue_cl_ord_id=f"T{number}", symbol="BTC/USDT", side="1", ord_type="1", tif="1", qty=D("0.01")
                )
                await venue.place(order)
                await asyncio.sleep(0.05)
        assert told.is_set(), "no trade was told any more"

    run_venue(tmp_path, True, body)


class Watched:
    """What the connector does on the simulator's public streams from here on, and the quotes that it tells."""

    @classmethod
    async def of(cls, server: SimServer, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> "Watched":
        """Once both streams have begun."""
        await until(lambda: {"btcusdt@bookTicker", "btcusdt@trade"} <= server.hub._subs.keys())
        return cls(server, sink, monkeypatch)

    def __init__(self, server: SimServer, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
        self.quotes: list[Quote] = []
        self.asked: list[tuple[Connection, str]] = []  # (connection, stream) of each SUBSCRIBE
        receive = server.hub._receive

        def received(conn: Connection, text: str, *rest: Any) -> None:
            for stream in json.loads(text)["params"]:
                self.asked.append((conn, stream))
            receive(conn, text, *rest)

        monkeypatch.setattr(server.hub, "_receive", received)
        sink.book = lambda symbol, quote: self.quotes.append(quote)  # type: ignore[method-assign]

    def sockets(self, event: str) -> list[Connection]:
        return [conn for conn, stream in self.asked if stream == f"btcusdt@{event}"]


async def trade(venue: CcxtVenue, our_id: str) -> None:
    """Buys at the market, which changes the top of the book."""
    order = PlaceChild(venue_cl_ord_id=our_id, symbol="BTC/USDT", side="1", ord_type="1", tif="1", qty=D("0.01"))
    await venue.place(order)


def quote_of(venue: CcxtVenue, symbol: str = "BTC/USDT") -> Quote:
    return venue.session.books._quotes[symbol]


def unasked(server: SimServer) -> None:
    """The top of the book is refused to whom asks for it."""
    fault(server, "http_5xx", seconds=60, match={"op": "ticker.book"}, params={"accept": False})


def asked_tops(server: SimServer) -> int:
    """How often it was, since then."""
    active = server.sim.faults.active(time.time_ns())
    return sum(fault.used for fault in active if fault.match.get("op") == ("ticker.book",))


async def cut_and_back(server: SimServer, watched: Watched) -> None:
    """Both streams are lost, and subscribed to anew."""
    server.hub.cut()
    await until(lambda: watched.sockets("bookTicker") and watched.sockets("trade"))


def test_a_quiet_market_is_subscribed_to_once_and_told_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Binance tells changes only: a subscription without a message is no dead one. A quote from before the gap stays as old as
    it is, though its stream lives again, until the venue has been asked for the top of the book."""
    monkeypatch.setattr(binance_streams, "ANSWER_S", 0.2)

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        watched = await Watched.of(server, sink, monkeypatch)
        fault(server, "stream_silent", seconds=60, match={"event": "bookTicker"})
        unasked(server)
        await cut_and_back(server, watched)
        before = quote_of(venue)
        await until(lambda: asked_tops(server) >= 2)  # many waits for the answer, and some looks at the freshness of quotes
        assert len(watched.sockets("bookTicker")) == 1, "asked again"
        assert quote_of(venue).recv_ns == before.recv_ns, "an old quote looks fresh"
        server.sim.faults.clear()
        fault(server, "stream_silent", seconds=60, match={"event": "bookTicker"})
        await until(lambda: quote_of(venue).recv_ns > before.recv_ns)  # asked for: nothing has moved
        since_ns = quote_of(venue).recv_ns
        await until(lambda: quote_of(venue).recv_ns > since_ns + 1_500_000_000)  # it lives
        assert len(watched.sockets("bookTicker")) == 1

    run_venue(tmp_path, True, body)


def test_the_first_book_of_one_instrument_says_nothing_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        watched = await Watched.of(server, sink, monkeypatch)
        await until(lambda: {"BTC/USDT", "ETH/USDT"} <= venue.session.books._quotes.keys())
        fault(server, "stream_silent", seconds=60, match={"symbol": "ETHUSDT", "event": "bookTicker"})
        unasked(server)
        await cut_and_back(server, watched)
        before = quote_of(venue, "ETH/USDT")
        told_ns = quote_of(venue).recv_ns
        await until(lambda: quote_of(venue).recv_ns > told_ns + 1_500_000_000)  # the stream lives
        assert quote_of(venue, "ETH/USDT").recv_ns == before.recv_ns, "a quote from before the gap looks fresh"
        server.sim.faults.clear()
        await until(lambda: quote_of(venue, "ETH/USDT").recv_ns > before.recv_ns)

    run_venue(tmp_path, True, body, more=("ETH/USDT",))


def test_an_answer_does_not_replace_what_the_stream_told_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DialectBinance, "poll_s", 0.1)  # the trades are back before the answer

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        watched = await Watched.of(server, sink, monkeypatch)
        fault(server, "stream_silent", seconds=60, match={"event": "bookTicker"})
        # an answer of what is true now
        fault(server, "delay", seconds=60, match={"op": "ticker.book"}, params={"delay": 1.0})
        answers: list[Any] = []
        ask = venue._exchange.public_get_ticker_bookticker

        async def asked(params: Any) -> Any:
            answers.append(await ask(params))
            return answers[-1]

        venue._exchange.public_get_ticker_bookticker = asked
        await cut_and_back(server, watched)
        await until(lambda: asked_tops(server))
        server.sim.faults.clear()
        before_ns = quote_of(venue).recv_ns
        await trade(venue, "T1")
        await until(lambda: quote_of(venue).recv_ns > before_ns)
        assert not answers
        watched.quotes.clear()
        new_ns = quote_of(venue).recv_ns
        await until(lambda: answers)
        await until(lambda: quote_of(venue).recv_ns > new_ns + 1_000_000_000)  # by the life of the stream
        assert min(quote.recv_ns for quote in watched.quotes) >= new_ns, "an older book came after it"

    run_venue(tmp_path, True, body)


@pytest.mark.parametrize(("more", "most"), [((), 4.0), (("ETH/USDT", "SOL/USDT"), 8.0)])
def test_what_it_weighs_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], most: float
) -> None:
    """One request for all tops, one for all last prices; nothing for tops that the stream has told."""

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        watched = await Watched.of(server, sink, monkeypatch)
        symbols = ("BTC/USDT", *more)
        await until(lambda: all(quote_of(venue, symbol).last is not None for symbol in symbols))
        weighed: list[float] = []
        acquire = venue.hooks.limiter.acquire

        async def acquired(weight: float, priority: Any) -> None:
            weighed.append(weight)
            await acquire(weight, priority)

        monkeypatch.setattr(venue.hooks.limiter, "acquire", acquired)
        fault(server, "stream_silent", seconds=60, match={"event": "bookTicker"})
        before = {symbol: quote_of(venue, symbol).recv_ns for symbol in symbols}
        await cut_and_back(server, watched)
        await until(lambda: all(quote_of(venue, symbol).recv_ns > before[symbol] + 1_000_000_000 for symbol in symbols))
        assert sum(weighed) == most and len(weighed) == 2
        server.sim.faults.clear()
        watched.asked.clear()
        weighed.clear()
        await cut_and_back(server, watched)
        await until(lambda: all(quote_of(venue, symbol).recv_ns > before[symbol] + 2_500_000_000 for symbol in symbols))
        assert sum(weighed) == most / 2 and len(weighed) == 1

    run_venue(tmp_path, True, body, more=more)


@pytest.mark.parametrize("event", ["bookTicker", "trade"])
def test_a_refused_subscription_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, event: str
) -> None:
    """With the venue's reason; and tried again on a fresh socket, more and more slowly."""
    monkeypatch.setattr(DialectBinance, "poll_s", 0.1)

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        watched = await Watched.of(server, sink, monkeypatch)
        receive = server.hub._receive
        refused: list[Connection] = []

        def received(conn: Connection, text: str, *rest: Any) -> None:
            if event in text and len(refused) < 3:
                refused.append(conn)
                receive(conn, text.replace("SUBSCRIBE", "ASK_FOR"), *rest)
            else:
                receive(conn, text, *rest)

        monkeypatch.setattr(server.hub, "_receive", received)
        async with asyncio.timeout(binance_streams.ANSWER_S * 0.8):
            server.hub.cut()
            await until(lambda: len(watched.sockets(event)) == 4)
        assert len(set(refused)) == 3
        await until(lambda: f"btcusdt@{event}" in server.hub._subs and len(server.hub.connections) == 2)

    run_venue(tmp_path, True, body)
    assert "the venue refuses a subscription: 2 Invalid request: expected SUBSCRIBE" in caplog.text


@pytest.mark.parametrize("event", ["bookTicker", "trade"])
def test_a_subscription_without_an_answer_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, event: str
) -> None:
    """On a fresh socket each time, more and more slowly."""
    monkeypatch.setattr(binance_streams, "ANSWER_S", 0.2)
    monkeypatch.setattr(DialectBinance, "poll_s", 0.1)

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        watched = await Watched.of(server, sink, monkeypatch)
        fault(server, "stream_deaf", count=3, match={"event": event})
        server.hub.cut()
        await until(lambda: len(watched.sockets(event)) == 4)
        assert len(set(watched.sockets(event))) == 4
        watched.quotes.clear()
        async with asyncio.timeout(10):
            for number in range(100):
                await trade(venue, f"T{number}")
                await asyncio.sleep(0.05)
                if any(quote.last_low is not None if event == "trade" else quote.bid is not None for quote in watched.quotes):
                    break
        assert len(watched.sockets(event)) == 4
        assert len(server.hub.connections) == 2, "a socket was left open"

    run_venue(tmp_path, True, body)
    assert "a subscription was not answered within 0.2 s" in caplog.text
