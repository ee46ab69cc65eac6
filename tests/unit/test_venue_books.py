"""Quotes on their way to the gateway: true times, and no trade price lost to conflation."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal as D
from typing import Any, ClassVar

import ccxt
import pytest

import fixgw.venues.host_link as host_link
from fixgw.core.commands import BalancesReport, Quote
from fixgw.venues.ccxt_dialect import Dialect
from fixgw.venues.ccxt_session import Books
from fixgw.venues.host_link import HostLink
from fixgw.venues.settings import parse_venue
from fixgw.venues.tasks import end_tasks
from fixgw.venues.wire import BookUpdate, FromHost, from_host_decoder

SYMBOL = "BTC/USDT"


class Told:
    """The sink and the dialect of Books."""

    def __init__(self) -> None:
        self.quotes: list[Quote] = []
        self.alive_ns = 0
        self.odds: list[str] = []

    def odd(self, key: str, text: str) -> None:
        self.odds.append(text)

    def book(self, symbol: str, quote: Quote) -> None:
        self.quotes.append(quote)

    def end_silent(self) -> None: ...

    def book_alive_ns(self, symbol: str) -> int:
        return self.alive_ns


def books() -> tuple[Books, Told]:
    told = Told()
    return Books(told, told, (SYMBOL,)), told  # type: ignore[arg-type]


def test_a_book_carries_the_last_trade_with_the_time_of_that_trade() -> None:
    made, told = books()
    made.on_last(SYMBOL, D(100))
    traded = told.quotes[-1]
    assert traded.last_ns > 0 and (traded.last_low, traded.last_high) == (D(100), D(100))
    made.on_quote(SYMBOL, Quote(bid=D(99), ask=D(101), recv_ns=time.time_ns() + 5))
    booked = told.quotes[-1]
    assert (booked.last, booked.last_ns, booked.last_low, booked.last_high) == (D(100), traded.last_ns, None, None)


@pytest.mark.parametrize("px", ["0", "-1", "NaN", "Infinity", "1E+30"])
def test_a_trade_at_no_price_says_nothing(px: str) -> None:
    """And the quotes that follow do not carry it."""
    made, told = books()
    made.on_last(SYMBOL, D(100))
    for _ in range(2):
        made.on_last(SYMBOL, D(px))
        made.on_polled_last(SYMBOL, D(px))
    made.on_quote(SYMBOL, Quote(bid=D(99), ask=D(101), last=D(px), recv_ns=time.time_ns()))
    assert len(told.quotes) == 2 and told.quotes[-1].last == D(100)
    assert all("no trade" in text for text in told.odds)
    made.on_last(SYMBOL, D(102))
    assert told.quotes[-1].last == D(102) and told.odds[-1] == ""


def test_a_trade_does_not_make_an_old_book_look_fresh() -> None:
    made, told = books()
    made.on_quote(SYMBOL, Quote(bid=D(99), ask=D(101), recv_ns=7))
    made.on_last(SYMBOL, D(100))
    assert told.quotes[-1].recv_ns == 7 and told.quotes[-1].last_ns > 7 and told.quotes[-1].bid == D(99)


def test_a_sign_of_life_makes_the_book_fresh_and_not_the_trade() -> None:
    async def run() -> None:
        made, told = books()
        made.on_last(SYMBOL, D(100))
        made.on_quote(SYMBOL, Quote(bid=D(99), recv_ns=7))
        traded_ns, told.alive_ns = told.quotes[-1].last_ns, time.time_ns() - 60 * 10**9
        task = asyncio.ensure_future(made.run_freshness())
        try:
            async with asyncio.timeout(20):
                while len(told.quotes) < 3:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        finally:
            task.cancel()
        quote = told.quotes[-1]
        assert abs(quote.recv_ns - told.alive_ns) < 30 * 10**9 and (quote.last_ns, quote.last_high) == (traded_ns, None)

    asyncio.run(run())


def test_a_polled_last_price_is_a_trade_only_when_it_changed() -> None:
    made, told = books()
    made.on_polled_last(SYMBOL, D(100))
    first = told.quotes[-1].last_ns
    made.on_polled_last(SYMBOL, D(100))
    made.on_quote(SYMBOL, Quote(bid=D(99), last=D(100), recv_ns=9))
    assert told.quotes[-1].last_ns == first and told.quotes[-1].last_high is None
    made.on_quote(SYMBOL, Quote(bid=D(99), last=D(102), recv_ns=10))
    assert told.quotes[-1].last_ns > first and told.quotes[-1].last_high == D(102) and told.quotes[-1].bid == D(99)


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def get_write_buffer_size(self) -> int:
        return 0

    def messages(self) -> list[FromHost]:
        found, data = [], self.data
        while data:
            size = int.from_bytes(data[:4], "big")
            found.append(from_host_decoder.decode(data[4 : 4 + size]))
            data = data[4 + size :]
        self.data = b""
        return found


def linked(body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(host_link, "BOOK_INTERVAL_S", 60.0)
        link, wire = HostLink(lambda message: None, lambda reason: None), Wire()
        link.connection_made(wire)  # type: ignore[arg-type]
        try:
            body(link, wire)
        finally:
            link.connection_lost(None)

    asyncio.run(run())


def test_a_trade_through_and_back_within_one_interval_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def body(link: HostLink, wire: Wire) -> None:
        def show(quote: Quote) -> None:
            link.book(BookUpdate(venue="v", symbol=SYMBOL, quote=quote))

        for number, px in enumerate((D(100), D(107), D(93), D(101))):
            show(Quote(last=px, last_ns=number + 1, last_low=px, last_high=px))
        show(Quote(bid=D(99), last=D(101), last_ns=4))
        link._flush_books()
        (update,) = wire.messages()
        assert isinstance(update, BookUpdate)
        assert update.quote == Quote(bid=D(99), last=D(101), last_ns=4, last_low=D(93), last_high=D(107))
        show(Quote(bid=D(98), last=D(101), last_ns=4))
        link._flush_books()
        (update,) = wire.messages()
        assert isinstance(update, BookUpdate) and update.quote.last_high is None, "told already"

    linked(body, monkeypatch)


def test_an_older_balance_does_not_replace_a_newer_one_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def body(link: HostLink, wire: Wire) -> None:
        for asof_ns in (5, 3):
            link.balances(BalancesReport(ts_ns=9, venue="v", account="a", asof_ns=asof_ns, free={}, total={}))
        link._flush_books()
        (report,) = wire.messages()
        assert isinstance(report, BalancesReport) and report.asof_ns == 5

    linked(body, monkeypatch)


def test_last_prices_go_on_after_a_failure() -> None:
    """Nobody else looks at that task: the books may live on without it, and no stop would see a price any more."""

    class Exchange:
        has: ClassVar[dict[str, bool]] = {"watchTradesForSymbols": True}
        clients: ClassVar[dict[str, Any]] = {}
        asked = 0

        async def fetch_ticker(self, symbol: str) -> dict[str, Any]:
            self.asked += 1
            if self.asked == 1:
                raise ccxt.NetworkError("once")
            return {"last": str(self.asked)}

        async def watch_trades_for_symbols(self, symbols: list[str]) -> Any:
            raise ccxt.NetworkError("the stream of trades is gone")

    class Events:
        def __init__(self) -> None:
            self.prices: list[D] = []
            self.twice = asyncio.Event()

        def on_polled_last(self, symbol: str, last: D) -> None:
            self.prices.append(last)
            if len(self.prices) == 2:
                self.twice.set()

    async def run() -> None:
        events = Events()
        fields = {"exchange": "kraken", "symbols": ["BTC/USDT"]}
        dialect = Dialect(parse_venue(fields, "t", "t"), events)  # type: ignore[arg-type]
        dialect.exchange, dialect.poll_s = Exchange(), 0.001
        dialect._run_tops = lambda symbols: asyncio.sleep(60)  # type: ignore[method-assign]
        books = asyncio.ensure_future(dialect.run_books(("BTC/USDT",)))
        try:
            await asyncio.wait_for(events.twice.wait(), 5)
        finally:
            await end_tasks((books,))
        assert events.prices == [D(2), D(3)]

    asyncio.run(run())


def test_last_prices_that_go_on_failing_are_asked_for_ever_more_slowly(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each try asks for every symbol before any order; and an outage that comes again later is told again."""
    pauses: list[float] = []
    now_ns = 0

    class Done(Exception):
        pass

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 12:
            raise Done

    async def last_prices(symbols: tuple[str, ...]) -> None:
        nonlocal now_ns
        now_ns += 60_000_000_000 if len(pauses) == 9 else 1
        raise ccxt.NetworkError(f"closed by the server after {now_ns} ns")

    dialect = Dialect(parse_venue({"exchange": "kraken", "symbols": ["BTC/USDT"]}, "t", "t"), None)  # type: ignore[arg-type]
    dialect.poll_s, dialect._last_prices = 1.0, last_prices  # type: ignore[method-assign]
    monkeypatch.setattr("fixgw.venues.ccxt_dialect.asyncio.sleep", sleep)
    monkeypatch.setattr("fixgw.venues.ccxt_dialect.host_clock.steady_ns", lambda: now_ns)
    with pytest.raises(Done), caplog.at_level("WARNING"):
        asyncio.run(dialect._run_last(("BTC/USDT",)))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60, 1, 2, 4]
    assert len(caplog.records) == 2
