"""Tops of books at any exchange of ccxt: by a stream, and what that has not told yet by questions; by questions alone where
there is no stream."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ..core.commands import Quote
from . import host_clock
from .book_life import Sockets
from .ccxt_exchange import CALL, Call
from .ccxt_parse import figure
from .limiter import Priority
from .tasks import end_tasks

if TYPE_CHECKING:
    from .ccxt_dialect import Dialect

_FIGURES = ("bid", "bidVolume", "ask", "askVolume", "last", "timestamp")


class Tops:
    """From one beginning of the stream to its end."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._exchange = dialect.exchange
        self._before = set(self._exchange.clients)

    async def run(self, symbols: tuple[str, ...]) -> None:
        """Until the stream breaks (raises)."""
        has, life = self._exchange.has, self._dialect.life
        if not (has.get("watchBidsAsks") or has.get("watchOrderBookForSymbols")):
            await self._poll(symbols)
        sockets: Sockets = ()
        asking: asyncio.Task[None] | None = None
        try:
            while True:
                found = await self._next(symbols)
                now = self._sockets()
                if now != sockets:  # ccxt opens a lost one anew by itself, where nobody waits at that moment
                    sockets = now
                    if asking is not None:
                        await end_tasks((asking,))
                    asking = asyncio.ensure_future(self._ask_untold(symbols, sockets))
                for symbol, quote in found.items():
                    if life.tell(symbol, sockets):
                        self._dialect.events.on_quote(symbol, quote)
        finally:
            if asking is not None:
                await end_tasks((asking,))

    async def _next(self, symbols: tuple[str, ...]) -> dict[str, Quote]:
        if self._exchange.has.get("watchBidsAsks"):
            tickers = await self._exchange.watch_bids_asks(list(symbols))
            return {symbol: _quote(ticker) for symbol, ticker in tickers.items() if self._is_news(symbol, ticker)}
        book = await self._exchange.watch_order_book_for_symbols(list(symbols))
        return {book["symbol"]: _top(book)}

    async def _poll(self, symbols: tuple[str, ...]) -> None:
        """For ever, where there is no stream: each quote is as fresh as its own question, whatever else lives."""
        while True:
            await asyncio.sleep(self._dialect.poll_s)
            for symbol in symbols:
                asked_ns = host_clock.steady_ns()
                quote = _quote(await self._exchange.fetch_ticker(symbol))
                self._dialect.events.on_quote(symbol, replace(quote, recv_ns=asked_ns))

    def _is_news(self, symbol: str, ticker: dict[str, Any]) -> bool:
        """Where an exchange's class returns all that it keeps, whichever has come, the others were told before: perhaps before
        a gap."""
        figures = tuple(ticker.get(name) for name in _FIGURES)
        told = self._dialect.told_tickers
        known = told.get(symbol)
        told[symbol] = ticker, figures
        return known is None or known[0] is not ticker or known[1] != figures

    def _sockets(self) -> Sockets:
        """Those that carry books: those opened for them, or all where the exchange has one for everything."""
        clients, urls = self._exchange.clients, self._dialect.book_urls
        if not urls or not urls <= set(clients):
            now = set(clients)
            self._dialect.book_urls = urls = (now - self._before) | (urls & now) or now
        return tuple(clients[url] for url in sorted(urls))

    async def _ask_untold(self, symbols: tuple[str, ...], sockets: Sockets) -> None:
        """What the stream has not told since it began is asked for, ever more seldom, until it has. Whether it will tell of these
        at all is not known before, so that its life does not keep such an answer fresh."""
        untold = self._dialect.life.untold

        async def ask() -> bool:
            left = untold(symbols, sockets)
            if left:
                await self._ask(left, sockets)
            return not untold(symbols, sockets)

        await asyncio.sleep(self._dialect.poll_s)
        await self._dialect.insist("tops of books", ask)

    async def _ask(self, left: list[str], sockets: Sockets) -> None:
        """In one request, where ccxt has that. What the stream has told meanwhile is newer."""
        exchange, failed = self._exchange, None
        CALL.set(Call(priority=Priority.REST))

        def show(symbol: str, quote: Quote, asked_ns: int) -> None:
            if self._dialect.life.untold((symbol,), sockets):
                self._dialect.events.on_quote(symbol, replace(quote, last=None, recv_ns=asked_ns))

        asked_ns = host_clock.steady_ns()
        if exchange.has.get("fetchBidsAsks") is True:
            tickers = await exchange.fetch_bids_asks(left)
            for symbol in left:
                if symbol in tickers:
                    show(symbol, _quote(tickers[symbol]), asked_ns)
        elif exchange.has.get("fetchOrderBook") is True:
            for symbol in left:
                asked_ns = host_clock.steady_ns()
                try:
                    show(symbol, _top(await exchange.fetch_order_book(symbol)), asked_ns)
                except Exception as error:  # the others count
                    failed = error
        if failed is not None:
            raise failed


def _quote(ticker: dict[str, Any]) -> Quote:
    def told(name: str) -> Decimal | None:
        value = ticker.get(name)
        return None if value is None or value == "" else figure(value)

    return Quote(
        bid=told("bid"),
        bid_qty=told("bidVolume"),
        ask=told("ask"),
        ask_qty=told("askVolume"),
        last=told("last"),
        recv_ns=host_clock.steady_ns(),
    )


def _top(book: dict[str, Any]) -> Quote:
    def level(side: str) -> tuple[Decimal | None, Decimal | None]:
        levels = book[side]
        return (figure(levels[0][0]), figure(levels[0][1])) if len(levels) else (None, None)

    (bid, bid_qty), (ask, ask_qty) = level("bids"), level("asks")
    return Quote(bid=bid, bid_qty=bid_qty, ask=ask, ask_qty=ask_qty, recv_ns=host_clock.steady_ns())
