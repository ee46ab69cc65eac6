"""The gateway's end of the link, reduced to what the conformance suite and tests need: listen, record, send, await."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

from ..core import commands as c
from .tasks import end_tasks
from .wire import BookUpdate, FromHost, Heartbeat, Hello, ToHost, frame, from_host_decoder

T = TypeVar("T")
MAX_KEPT = 100_000


class FakeGateway:
    """Listens on a Unix socket for one host. `received` holds everything but heartbeats and books, in order of arrival."""

    def __init__(self, path: str, *, heartbeats: bool = True) -> None:
        self.path = path
        self.received: list[FromHost] = []
        self.books: dict[str, BookUpdate] = {}
        self.book_count = 0
        self.hellos: list[Hello] = []
        self.connected = asyncio.Event()
        self._heartbeats = heartbeats
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self._news = asyncio.Condition()
        self._beat: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        self._beat = asyncio.ensure_future(self._beats())

    async def stop(self) -> None:
        if self._beat is not None:
            self._beat.cancel()
            await asyncio.gather(self._beat, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        self.cut()
        await end_tasks(self._serving)

    def cut(self) -> None:
        """Break the connection."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None
        self.connected.clear()

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            if self._heartbeats and self._writer is not None:
                self.send(Heartbeat(ts_ns=time.time_ns()))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self._writer = writer
        self.connected.set()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = int.from_bytes(await reader.readexactly(4), "big")
                self._take(from_host_decoder.decode(await reader.readexactly(length)))
                async with self._news:
                    self._news.notify_all()
        if self._writer is writer:
            self.connected.clear()
            self._writer = None
        async with self._news:
            self._news.notify_all()

    def _take(self, message: FromHost) -> None:
        if isinstance(message, BookUpdate):
            self.books[message.symbol] = message
            self.book_count += 1
        elif isinstance(message, Hello):
            self.hellos.append(message)
            self.received.append(message)
        elif not isinstance(message, Heartbeat):
            self.received.append(message)
            del self.received[:-MAX_KEPT]

    def send(self, message: ToHost) -> None:
        assert self._writer is not None, "no host is connected"
        self._writer.write(frame(message))

    async def until(self, probe: Callable[[], T | None], what: str, timeout_s: float = 10.0) -> T:
        """Wait until `probe` gives something true; TimeoutError that says `what` and shows the last messages."""
        try:
            async with asyncio.timeout(timeout_s):
                async with self._news:
                    while not (found := probe()):
                        await self._news.wait()
                    return found
        except TimeoutError:
            raise TimeoutError(f"waited {timeout_s} s for {what}; last: {self.received[-6:]}") from None

    def of(self, our_id: str) -> list[FromHost]:
        """Everything about one order, in order of arrival."""
        return [message for message in self.received if _about(message) == our_id]

    async def answer(self, our_id: str, *kinds: type[T], after: int = 0, timeout_s: float = 10.0) -> T:
        """The first message of these kinds about the order, behind the first `after` messages about it."""
        names = ", ".join(kind.__name__ for kind in kinds)

        def probe() -> T | None:
            return next((m for m in self.of(our_id)[after:] if isinstance(m, kinds)), None)

        return await self.until(probe, f"{names} of {our_id}", timeout_s)


def _about(message: FromHost) -> str | None:
    if isinstance(message, c.ChildTrade):
        return message.trade.venue_cl_ord_id
    return getattr(message, "venue_cl_ord_id", None)
