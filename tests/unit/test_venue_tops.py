"""Whose quotes a stream keeps fresh at any exchange of ccxt, and what is asked for besides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal as D
from typing import Any

import ccxt
import pytest

from fixgw.core.commands import Quote
from fixgw.venues.ccxt_dialect import Dialect
from fixgw.venues.settings import parse_venue
from fixgw.venues.tasks import end_tasks

A, B = "BTC/USDT", "ETH/USDT"


class Client:
    """A socket."""

    def __init__(self, url: str, sign_ms: int) -> None:
        self.url, self.fixgw_heard_ns, self.error = url, sign_ms * 1_000_000, None

    def closed(self) -> bool:
        return False


class Exchange:
    """A socket for books and one of our own orders; what it tells is put into `told` by the test."""

    def __init__(self, **has: Any) -> None:
        self.has: dict[str, Any] = has
        self.clients: dict[str, Any] = {"private": Client("private", 9_000)}
        self.told: asyncio.Queue[Any] = asyncio.Queue()
        self.asked: list[Any] = []
        self.held = asyncio.Event()
        self.held.set()
        self.broken: set[str] = set()

    def dial(self, sign_ms: int) -> None:
        self.clients["books"] = Client("books", sign_ms)

    async def _told(self) -> Any:
        found = await self.told.get()
        if isinstance(found, Exception):
            raise found
        return found

    async def watch_bids_asks(self, symbols: list[str]) -> Any:
        return await self._told()

    async def watch_order_book_for_symbols(self, symbols: list[str]) -> Any:
        return await self._told()

    async def fetch_bids_asks(self, symbols: list[str]) -> Any:
        self.asked.append(symbols)
        await self.held.wait()
        return {symbol: ticker("7", last="1") for symbol in symbols}

    async def fetch_order_book(self, symbol: str) -> Any:
        self.asked.append(symbol)
        await self.held.wait()
        if symbol in self.broken:
            raise ccxt.ExchangeError("not today")
        return book(symbol, "7")

    async def fetch_ticker(self, symbol: str) -> Any:
        self.asked.append(symbol)
        return ticker("7")


def ticker(bid: str, **more: Any) -> dict[str, Any]:
    return {"bid": bid, "ask": None, **more}


def book(symbol: str, bid: str) -> dict[str, Any]:
    return {"symbol": symbol, "bids": [[bid, "1"]], "asks": []}


class Events:
    def __init__(self) -> None:
        self.quotes: list[tuple[str, Quote]] = []

    def on_quote(self, symbol: str, quote: Quote) -> None:
        self.quotes.append((symbol, quote))

    def bids(self) -> list[tuple[str, D | None]]:
        return [(symbol, quote.bid) for symbol, quote in self.quotes]


Body = Callable[[Exchange, Dialect, Events], Awaitable[None]]


def scene(body: Body, poll_s: float = 0.01, **has: Any) -> None:
    async def run() -> None:
        exchange, events = Exchange(**has), Events()
        fields = {"exchange": "kraken", "symbols": [A, B], "trade_streams": False}
        dialect = Dialect(parse_venue(fields, "t", "t"), events)  # type: ignore[arg-type]
        dialect.exchange, dialect.poll_s = exchange, poll_s
        dialect.life._exchange = exchange
        async with asyncio.timeout(10):
            await body(exchange, dialect, events)

    asyncio.run(run())


async def until(probe: Callable[[], Any]) -> None:
    while not probe():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


class Running:
    """The books, from one beginning to the end of the scene."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    async def __aenter__(self) -> asyncio.Task[None]:
        self.task = asyncio.ensure_future(self._dialect.run_books((A, B)))
        await asyncio.sleep(0)
        return self.task

    async def __aexit__(self, *error: object) -> None:
        await end_tasks((self.task,))


@pytest.mark.parametrize("noticed", [True, False])
def test_the_first_book_after_a_gap_is_of_one_instrument(noticed: bool) -> None:
    """Also where ccxt dials again by itself, because nobody waited when the socket was lost."""

    async def body(exchange: Exchange, dialect: Dialect, events: Events) -> None:
        async with Running(dialect) as books:
            exchange.dial(1_000)
            for symbol in (A, B):
                exchange.told.put_nowait({symbol: ticker("1")})
            await until(lambda: len(events.quotes) == 2)
            assert dialect.book_alive_ns(A) == dialect.book_alive_ns(B) == 1_000_000_000
            exchange.clients["books"].fixgw_heard_ns = 2_000_000_000
            assert dialect.book_alive_ns(A) == 2_000_000_000
            del exchange.clients["books"]
            assert dialect.book_alive_ns(A) == dialect.book_alive_ns(B) == 0
            if noticed:
                exchange.told.put_nowait(ccxt.NetworkError("gone"))
                await asyncio.wait({books})
            else:
                exchange.dial(3_000)
                exchange.told.put_nowait({A: ticker("2")})
                await until(lambda: len(events.quotes) == 3)
        if noticed:
            async with Running(dialect):
                exchange.dial(3_000)
                exchange.told.put_nowait({A: ticker("2")})
                await until(lambda: len(events.quotes) == 3)
        assert (dialect.book_alive_ns(A), dialect.book_alive_ns(B)) == (3_000_000_000, 0)

    scene(body, poll_s=60, watchBidsAsks=True)


@pytest.mark.parametrize("has", [{"watchBidsAsks": True, "fetchBidsAsks": True}, {"watchOrderBookForSymbols": True}])
def test_what_the_stream_has_not_told_is_asked_for_and_ages(has: dict[str, Any]) -> None:
    async def body(exchange: Exchange, dialect: Dialect, events: Events) -> None:
        async with Running(dialect):
            exchange.dial(1_000)
            stream = "watchBidsAsks" in has
            exchange.told.put_nowait({A: ticker("1")} if stream else book(A, "1"))
            await until(lambda: len(exchange.asked) >= 2)
            assert exchange.asked[0] == ([B] if stream else B)
            assert events.bids()[:2] == [(A, D(1)), (B, D(7))] and events.quotes[1][1].last is None
            assert dialect.book_alive_ns(B) == 0, "no stream has told it"
            exchange.told.put_nowait({B: ticker("2")} if stream else book(B, "2"))
            await until(lambda: events.bids()[-1] == (B, D(2)))
            assert dialect.book_alive_ns(B) == 1_000_000_000
            await asyncio.sleep(0)
            asked = len(exchange.asked)
            await asyncio.sleep(0.2)  # many waits
            assert len(exchange.asked) <= asked + 1, "asked for what is told"

    scene(body, fetchOrderBook=True, **has)


def test_an_answer_does_not_replace_what_the_stream_told_meanwhile() -> None:
    async def body(exchange: Exchange, dialect: Dialect, events: Events) -> None:
        async with Running(dialect):
            exchange.dial(1_000)
            exchange.held.clear()
            exchange.told.put_nowait({A: ticker("1")})
            await until(lambda: exchange.asked)
            exchange.told.put_nowait({B: ticker("2")})
            await until(lambda: len(events.quotes) == 2)
            exchange.held.set()
            await asyncio.sleep(0.05)
            assert events.bids() == [(A, D(1)), (B, D(2))]

    scene(body, watchBidsAsks=True, fetchBidsAsks=True)


def test_one_that_cannot_be_asked_for_keeps_no_other_back() -> None:
    async def body(exchange: Exchange, dialect: Dialect, events: Events) -> None:
        exchange.broken.add(A)
        async with Running(dialect):
            exchange.dial(1_000)
            exchange.told.put_nowait({})
            await until(lambda: exchange.asked.count(A) == 3)
            assert set(events.bids()) == {(B, D(7))}

    scene(body, watchBidsAsks=True, fetchOrderBook=True)


def test_what_a_class_of_ccxt_keeps_is_told_once() -> None:
    """Some return all tickers that they have, whichever has come: those of before a gap too."""

    async def body(exchange: Exchange, dialect: Dialect, events: Events) -> None:
        kept = {B: ticker("1")}
        for number in (1, 2):
            async with Running(dialect):
                exchange.dial(number * 1_000)
                exchange.told.put_nowait(kept | {A: ticker("1")})
                await until(lambda: exchange.told.empty())
                await asyncio.sleep(0.01)
                del exchange.clients["books"]
        assert events.bids().count((B, D(1))) == 1
        kept[B]["bid"] = "2"  # a class that changes its ticker in place
        async with Running(dialect):
            exchange.told.put_nowait(kept)
            await until(lambda: events.bids()[-1] == (B, D(2)))

    scene(body, poll_s=60, watchBidsAsks=True)


def test_polled_books_live_by_their_own_answers_alone() -> None:
    """And not by the socket of our orders, which may live on while all questions fail."""

    async def body(exchange: Exchange, dialect: Dialect, events: Events) -> None:
        async with Running(dialect):
            await until(lambda: len(events.quotes) >= 3)
            assert dialect.book_alive_ns(A) == dialect.book_alive_ns(B) == 0

    scene(body)
