"""Books and trades of Binance: what its public streams tell, and what they do not tell because it was before they began."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from ..core.commands import Quote
from . import host_clock
from .binance_market import ask_tickers
from .binance_streams import BOOKS, TRADES, Subscriptions
from .book_life import Sockets
from .ccxt_parse import figure

if TYPE_CHECKING:
    from .ccxt_dialect import Dialect

# by then what moves has told itself, and is not asked for
_TOPS_AFTER_S = 0.25
# the trades wait no longer for a first book, nor for an answer about it
_BOOKS_FIRST_S = 10.0


class PublicData:
    """Of one connection."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._exchange = dialect.exchange
        self.streams = Subscriptions(dialect.exchange)
        # there were books, or they were asked for in vain
        self._books_up = asyncio.Event()

    async def run_books(self, symbols: tuple[str, ...]) -> None:
        """Until the stream ends (raises)."""

        async def ask(sockets: Sockets) -> None:
            await asyncio.sleep(_TOPS_AFTER_S)
            await self._dialect.insist("tops of books", lambda: self._ask_tops(symbols, sockets))

        await self.streams.run(BOOKS, self._exchange.watch_bids_asks(list(symbols)), ask)

    async def _ask_tops(self, symbols: tuple[str, ...], sockets: Sockets) -> bool:
        """What the stream does not tell, because it has not changed since. It was asked for after the subscription was answered,
        so that the stream would tell any later change, and its life keeps the answer fresh. Whom the stream has told meanwhile
        is left out: that is newer."""
        life, events = self._dialect.life, self._dialect.events
        left, asked_ns = life.untold(symbols, sockets), host_clock.steady_ns()
        try:
            rows = await ask_tickers(self._exchange.public_get_ticker_bookticker, self._exchange, left)
        finally:
            self._books_up.set()
        for symbol in life.untold(symbols, sockets):
            row = rows.get(symbol)
            if row is not None:
                quote = _top(row["bidPrice"], row["bidQty"], row["askPrice"], row["askQty"], asked_ns)
                if life.tell(symbol, sockets):
                    events.on_quote(symbol, quote)
        return not life.untold(symbols, sockets)

    def book(self, symbol: str, message: dict[str, Any], client: Any) -> None:
        """A message of the stream."""
        quote = _top(message["b"], message["B"], message["a"], message["A"], host_clock.steady_ns())
        if self._dialect.life.tell(symbol, (client,)):
            self._dialect.events.on_quote(symbol, quote)
        if not self._books_up.is_set():
            self._books_up.set()

    async def run_trades(self, symbols: tuple[str, ...]) -> None:
        """Until their stream ends (raises). They come on a socket of their own, at the start once there are books: a first quote
        without one says little. Stops wait for the price before the first trade of the stream: it is asked for when the stream
        tells whatever comes after it, and does not stand behind questions."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BOOKS_FIRST_S):
                await self._books_up.wait()
        left = set(symbols)

        async def ask_prices() -> bool:
            asked_ns = host_clock.steady_ns()
            for symbol, row in (await ask_tickers(self._exchange.public_get_ticker_price, self._exchange, left)).items():
                self._dialect.events.on_polled_last(symbol, figure(row["price"]), asked_ns)
                left.discard(symbol)
            return not left

        async def ask(sockets: Sockets) -> None:
            await self._dialect.insist("last prices", ask_prices)

        await self.streams.run(TRADES, self._exchange.watch_trades_for_symbols(list(symbols)), ask)


def _top(bid: Any, bid_qty: Any, ask: Any, ask_qty: Any, recv_ns: int) -> Quote:
    bid, ask = figure(bid), figure(ask)
    return Quote(
        bid=bid or None,
        bid_qty=figure(bid_qty) if bid else None,
        ask=ask or None,
        ask_qty=figure(ask_qty) if ask else None,
        recv_ns=recv_ns,
    )
