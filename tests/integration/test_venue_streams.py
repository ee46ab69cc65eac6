"""Every socket that carries prices is missed when it is gone."""

import asyncio
import json
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


def test_a_quiet_market_is_asked_for_once_and_told_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Binance tells changes only: a subscription without a message is no dead one. A quote from before the gap stays as old as
    it is, though its stream lives again."""
    monkeypatch.setattr(binance_streams, "ANSWER_S", 0.2)

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        watched = await Watched.of(server, sink, monkeypatch)
        fault(server, "stream_silent", seconds=60, match={"event": "bookTicker"})
        server.hub.cut()
        await until(lambda: watched.sockets("bookTicker"))
        await asyncio.sleep(0.5)  # the last words of the old connection
        before = venue.session.books._quotes["BTC/USDT"]
        await asyncio.sleep(2.5)  # of many waits for the answer, and some looks at the freshness of quotes
        assert len(watched.sockets("bookTicker")) == 1, "asked again"
        assert venue.session.books._quotes["BTC/USDT"].recv_ns == before.recv_ns, "an old quote looks fresh"
        server.sim.faults.clear()
        await trade(venue, "T1")
        await until(lambda: venue.session.books._quotes["BTC/USDT"].recv_ns > before.recv_ns)
        since_ns = venue.session.books._quotes["BTC/USDT"].recv_ns
        await until(lambda: venue.session.books._quotes["BTC/USDT"].recv_ns > since_ns + 500_000_000)  # it lives
        assert len(watched.sockets("bookTicker")) == 1

    run_venue(tmp_path, True, body)


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
