"""The life of a ccxt connection: connect, heal, link up; notice a loss, heal again. And the books.

    load instruments -> private stream confirmed -> catch up by REST on what happened meanwhile -> link up

When the private stream or REST is lost, the same again; a loss longer than `down_grace_ms` is told (link down), and then it is
the gateway that asks for everything when the link is up again. Besides,
every `sweep_s` the venue's open orders are compared with ours, because an event can be lost without any gap that could
be seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any, Protocol

import ccxt
from msgspec.structs import replace

from ..core.commands import Quote
from ..core.sanity import is_number
from . import host_clock
from .base import Balances, Sink, VenueError
from .ccxt_dialect import Dialect
from .doctrine import same_but_for_digits, scrub
from .settings import VenueFileSettings
from .tasks import end_tasks

log = logging.getLogger(__name__)
_FAILURES_UNTIL_DOWN = 3
_BACKOFF_MAX_S = 5.0
# books that came for so long have worked: what ends them is no failure to begin. Longer than any wait for their beginning
_WORKED_S = 30.0
# between two reasons why it does not come up, doubled each time
_RETELL_S = 10.0
_RETELL_MAX_S = 300.0
_EXPECTED = (VenueError, ccxt.BaseError, ValueError, RuntimeError, KeyError, OSError)


class Healer(Protocol):
    """What the session asks of the connector; each raises VenueError when the venue does not answer."""

    async def prepare(self) -> None: ...

    async def heal(self, lost_ns: int) -> None:
        """Catch up on what happened since `lost_ns` (by host_clock.steady_ns); 0: only make sure that the venue answers."""

    async def sweep(self) -> None: ...

    async def relist(self) -> None:
        """Ask for the instruments again, where it is time to."""

    def listed(self) -> tuple[str, ...]:
        """The symbols that the venue lists now."""

    async def balances(self) -> Balances: ...


class Session:
    """Background loops of one connection."""

    def __init__(
        self, settings: VenueFileSettings, sink: Sink, dialect: Dialect, secrets: tuple[str, ...], healer: Healer
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._dialect = dialect
        self._secrets = secrets
        self._healer = healer
        self.books = Books(sink, dialect, settings.symbols)
        self.books.listed = healer.listed
        self._tasks: list[asyncio.Task[None]] = []
        self._lost = asyncio.Event()
        self._bell = asyncio.Event()
        self._prepared = asyncio.Event()
        self._lost_ns = 0
        self._lost_reason = ""
        # what a ban that lasts is told as, in the place of what it looks like (a connection that ends)
        self.forbidden: Callable[[], str] = lambda: ""
        self._told_reason = ""
        self._told_s, self._retell_s = 0.0, _RETELL_S
        self._up = False
        self._rest_failures = 0

    def start(self) -> None:
        for run in (self._run_session, self._run_sweeps, self._run_books, self.books.run_freshness):
            self._tasks.append(asyncio.ensure_future(self._forever(run)))

    async def close(self) -> None:
        await end_tasks(self._tasks)
        self._tasks.clear()

    def _clean(self, error: BaseException) -> str:
        return scrub(str(error), self._secrets) or type(error).__name__

    async def _forever(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A background loop must not end quietly: an error that nobody foresaw is logged, and the loop begins again."""
        while True:
            try:
                await run()
            except Exception as error:  # the outer loop
                kind = type(error).__name__
                log.error("%s: %s failed: %s: %s", self._settings.name, run.__name__, kind, self._clean(error))
                self.on_lost(f"{kind} in the host")
            await asyncio.sleep(1.0)

    async def _run_session(self) -> None:
        """Connect, heal, wait for the loss; for ever, with back-off."""
        backoff = 0.1
        while True:
            self._lost.clear()
            private: asyncio.Task[None] | None = None
            try:
                await self._healer.prepare()
                self._prepared.set()
                self.books.relisted()
                private = asyncio.ensure_future(self._dialect.run_private())
                # when the gateway was told that the link is down it reconciles everything itself once it is up: to do the
                # same here would spend the rate limit twice
                await self._healer.heal(self._lost_ns if self._up else 0)
                if not self._lost.is_set():
                    self._lost_ns = 0
                    backoff = 0.1
                    self._rest_failures = 0
                    self._set_link(True, "")
                await self._lost.wait()
            except _EXPECTED as error:
                self._lost_ns = self._lost_ns or host_clock.steady_ns()
                self._lost_reason = self._clean(error)
                log.warning("%s: cannot connect: %s", self._settings.name, self._lost_reason)
            finally:
                if private is not None:
                    await end_tasks((private,))
            down_for_ms = (host_clock.steady_ns() - self._lost_ns) / 1e6 if self._lost_ns else 0
            if self._up and down_for_ms >= self._settings.down_grace_ms:
                self._set_link(False, self._lost_reason)
            elif not self._up:
                self._tell_reason(self._lost_reason)
            await asyncio.sleep(min(backoff, _BACKOFF_MAX_S))
            backoff = min(backoff * 2, _BACKOFF_MAX_S)

    def _set_link(self, up: bool, reason: str) -> None:
        if up != self._up:
            self._up = up
            self._retell_s = _RETELL_S
            self._tell_link(reason)

    def _tell_link(self, reason: str) -> None:
        self._told_reason = reason if self._up else self.forbidden() or reason
        self._told_s = time.monotonic()
        self._sink.link(self._up, self._told_reason)

    def _tell_reason(self, reason: str) -> None:
        """Why it cannot come up, where that is another reason than the one that was told last (numbers aside: of a request, a
        time). The first at once; then more and more seldom, because each is journaled and two may take turns."""
        forbidden = self.forbidden()
        same = forbidden == self._told_reason if forbidden else same_but_for_digits(reason, self._told_reason)
        waited_s = time.monotonic() - self._told_s
        if same or (self._told_reason and not forbidden and waited_s < self._retell_s):
            return
        if self._told_reason:
            self._retell_s = min(self._retell_s * 2, _RETELL_MAX_S)
        self._tell_link(reason)

    def on_lost(self, reason: str) -> None:
        """The private stream, or REST for good, was lost: heal."""
        if not self._lost_ns:
            self._lost_ns = host_clock.steady_ns()
            grace_s = self._settings.down_grace_ms / 1000
            asyncio.get_running_loop().call_later(grace_s, self._grace_over, self._lost_ns)
        self._lost_reason = reason
        self._lost.set()

    def _grace_over(self, lost_ns: int) -> None:
        if self._lost_ns == lost_ns:
            self._set_link(False, self._lost_reason)

    def rest_ok(self, ok: bool, reason: str) -> None:
        """How a REST request ended."""
        if ok:
            self._rest_failures = 0
            return
        self._rest_failures += 1
        if self._rest_failures == _FAILURES_UNTIL_DOWN and self._up:
            self.on_lost(f"REST: {self._rest_failures} failures in a row, the last {reason}")

    def ring(self) -> None:
        """Sweep soon."""
        self._bell.set()

    async def _run_sweeps(self) -> None:
        """Compare open orders each `sweep_s`, or when the bell rings."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._bell.wait(), self._settings.sweep_s)
            self._bell.clear()
            if not self._up:
                continue
            try:
                await self._healer.sweep()
                await self._healer.relist()
                self.books.relisted()
                if not self._dialect.streams_balances:
                    self._sink.balances(await self._healer.balances())
            except _EXPECTED as error:
                log.warning("%s: sweep failed: %s", self._settings.name, self._clean(error))

    async def _run_books(self) -> None:
        await self._prepared.wait()
        backoff = 0.1
        while True:
            started = time.monotonic()
            try:
                await self.books.run()
            except _EXPECTED as error:
                log.warning("%s: books: %s", self._settings.name, self._clean(error))
            if time.monotonic() - started > _WORKED_S:
                backoff = 0.1
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _BACKOFF_MAX_S)


class Books:
    """The newest quote per symbol. Book and trade keep times of their own: neither makes the other look fresh."""

    def __init__(self, sink: Sink, dialect: Dialect, symbols: tuple[str, ...]) -> None:
        self._sink = sink
        self._dialect = dialect
        self._quotes: dict[str, Quote] = {}
        # whose last trade was none
        self._odd: set[str] = set()
        # the symbols whose books can be had now
        self.listed: Callable[[], tuple[str, ...]] = lambda: symbols
        self._streamed: frozenset[str] = frozenset()
        self._more = asyncio.Event()

    def relisted(self) -> None:
        """What can be had may have changed: with another book the streams begin anew."""
        if set(self.listed()) - self._streamed:
            self._more.set()

    async def run(self) -> None:
        """Until the stream breaks (raises), or is to be begun anew."""
        self._more.clear()
        symbols = self.listed()
        self._streamed = frozenset(symbols)
        more = asyncio.ensure_future(self._more.wait())
        books = asyncio.ensure_future(self._dialect.run_books(symbols)) if symbols else more
        try:
            await asyncio.wait({books, more}, return_when=asyncio.FIRST_COMPLETED)
            if books.done() and books is not more:
                books.result()
        finally:
            await end_tasks((books, more))

    async def run_freshness(self) -> None:
        """A book that did not change is as fresh as the last sign of life of its stream."""
        while True:
            await asyncio.sleep(0.5)
            self._dialect.end_silent()
            for symbol, quote in list(self._quotes.items()):
                alive_ns = self._dialect.book_alive_ns(symbol)
                if alive_ns > quote.recv_ns + 400_000_000 and (quote.bid is not None or quote.ask is not None):
                    self._show(symbol, replace(quote, recv_ns=alive_ns))

    def on_quote(self, symbol: str, quote: Quote) -> None:
        """A book. A last price in it has no time of its own: a trade is told only when it is another price than before."""
        old = self._quotes.get(symbol, Quote())
        found = quote.last
        self._show(symbol, replace(quote, last=old.last, last_ns=old.last_ns))
        if found is not None:
            self.on_polled_last(symbol, found)

    def on_polled_last(self, symbol: str, last: Decimal, asked_ns: int = 0) -> None:
        """The last price as asked for: the trade may be long ago, so that only a change tells of a new one. One that was told
        since it was asked for is newer."""
        old = self._quotes.get(symbol, Quote())
        if old.last != last and (not asked_ns or old.last_ns < asked_ns):
            self.on_last(symbol, last, polled=True)

    def on_last(self, symbol: str, last: Decimal, polled: bool = False) -> None:
        """A trade. One at what is no price says nothing, and is told of. `polled`: of the time since one looked last, so that a
        quote without a book is not fresh for it."""
        sane = is_number(last) and last > 0
        if not sane or symbol in self._odd:
            (self._odd.discard if sane else self._odd.add)(symbol)
            self._sink.odd(f"last {symbol}", "" if sane else f"a trade of {symbol} at {last!s:.40} is no trade: left out")
        if not sane:
            return
        old, now_ns = self._quotes.get(symbol, Quote()), host_clock.steady_ns()
        recv_ns = now_ns if old.bid is None and old.ask is None and not polled else old.recv_ns
        self._show(
            symbol, replace(old, last=last, recv_ns=recv_ns, last_ns=now_ns, last_low=last, last_high=last)
        )

    def _show(self, symbol: str, quote: Quote) -> None:
        self._quotes[symbol] = replace(quote, last_low=None, last_high=None)
        self._sink.book(symbol, quote)
