"""The host's end of the link to the gateway (frames of wire.py on a Unix socket): one connection of it.

Writing never blocks and never drops an order answer: what the socket does not take is buffered, and when that buffer
exceeds MAX_BUFFER the connection is closed, after which the gateway reconciles. Book updates and balances are conflated:
the newest per symbol (per account) waits BOOK_INTERVAL_S, and longer while the socket is congested. Of the trades in
between the lowest and the highest price are told, since a stop must see them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from ..core.commands import BalancesReport
from . import host_clock
from .wire import BookUpdate, FromHost, Heartbeat, ToHost, frame, take_frames, to_host_decoder

log = logging.getLogger(__name__)
MAX_BUFFER = 32 * 1024 * 1024
BOOK_INTERVAL_S = 0.02
HEARTBEAT_S = 1.0
SILENCE_S = 5.0


def _of(
    choose: Callable[[Decimal, Decimal], Decimal], first: Decimal | None, second: Decimal | None
) -> Decimal | None:
    if first is None or second is None:
        return second if first is None else first
    return choose(first, second)


class HostLink(asyncio.Protocol):
    """One connection. `receive` gets each request; `lost` is called once when the connection ends."""

    def __init__(self, receive: Callable[[ToHost], None], lost: Callable[[str], None]) -> None:
        self._receive = receive
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._books: dict[str, BookUpdate] = {}
        self._balances: dict[str, BalancesReport] = {}
        self._flush: asyncio.TimerHandle | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._congested = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._heard = time.monotonic()
        self._reason = ""

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]
        self._heard = time.monotonic()
        self._tick = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat)

    def data_received(self, data: bytes) -> None:
        self._heard = time.monotonic()
        self._buffer += data
        messages: list[ToHost] = []
        problem = ""
        try:
            take_frames(self._buffer, to_host_decoder.decode, messages)
        except (msgspec.MsgspecError, ValueError) as error:
            problem = f"the gateway sent nonsense: {error}"
        for message in messages:  # what came before the nonsense counts
            if isinstance(message, Heartbeat):
                host_clock.learn(message.offset_ns)
            else:
                self._receive(message)
        if problem:
            self.abort(problem)

    def pause_writing(self) -> None:
        self._congested = True
        self._writable.clear()

    def resume_writing(self) -> None:
        self._congested = False
        self._writable.set()
        self._flush_books()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._flush, self._tick):
            if timer is not None:
                timer.cancel()
        self._transport = None
        self._writable.set()
        self._lost(self._reason or (f"{type(exc).__name__}: {exc}" if exc else "closed by the gateway"))

    # --- sending ---

    def send(self, message: FromHost) -> None:
        """Send now; never conflated, never dropped while the connection lives."""
        if self._transport is None:
            return
        self._transport.write(frame(message))
        if self._transport.get_write_buffer_size() > MAX_BUFFER:
            self.abort(f"the gateway does not read: more than {MAX_BUFFER} bytes wait")

    async def drained(self) -> None:
        """Return once the socket takes more, or the connection is gone; for senders of many messages."""
        await self._writable.wait()

    def book(self, update: BookUpdate) -> None:
        """The newest book waits, with the extremes of all trades since the update that was sent last."""
        waiting = self._books.get(update.symbol)
        if waiting is not None:
            old, new = waiting.quote, update.quote
            low = _of(min, old.last_low, new.last_low)
            high = _of(max, old.last_high, new.last_high)
            update = replace(update, quote=replace(new, last_low=low, last_high=high))
        self._books[update.symbol] = update
        self._arm()

    def balances(self, report: BalancesReport) -> None:
        waiting = self._balances.get(report.account)
        if waiting is None or waiting.asof_ns <= report.asof_ns:
            self._balances[report.account] = report
        self._arm()

    def _arm(self) -> None:
        if self._flush is None and self._transport is not None:
            self._flush = asyncio.get_running_loop().call_later(BOOK_INTERVAL_S, self._flush_books)

    def _flush_books(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._transport is None or self._congested:
            return
        waiting: list[FromHost] = [*self._balances.values(), *self._books.values()]
        self._books.clear()
        self._balances.clear()
        if waiting:
            self._transport.write(b"".join(frame(message) for message in waiting))

    def _beat(self) -> None:
        if self._transport is None:
            return
        silent_s = time.monotonic() - self._heard
        if silent_s > SILENCE_S:
            self.abort(f"the gateway was silent for {silent_s:.1f} s")
            return
        self.send(Heartbeat(ts_ns=host_clock.now_ns()))
        self._tick = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat)

    def abort(self, reason: str) -> None:
        """End the connection now."""
        if self._transport is not None and not self._reason:
            self._reason = reason
            self._transport.abort()
