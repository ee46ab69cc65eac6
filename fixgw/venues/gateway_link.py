"""The gateway's end of the links to venue hosts (wire.py): one Unix socket, one reader and one writer thread per host.

Requests are queued per host in memory only: what was not written when a link breaks is settled by reconciliation like
what was. A request for a venue whose host is not connected is answered here and now: a place was never sent, which is a
definite refusal; a query gets "error" (asked again later); a cancel is left to the time-out, which asks the venue.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from ..core import commands as c
from ..core import events as e
from ..core.child import Child
from ..core.codec import Record
from ..core.sanity import FUTURE_NS, quote_problem
from ..process import socket_address
from . import wire

log = logging.getLogger(__name__)

MAX_QUEUE = 50_000
SILENCE_S = 5.0
MAX_BAD_QUOTES = 1000


class HostStatus(msgspec.Struct, frozen=True):
    """For views: who serves a venue."""

    account: str
    pid: int
    capabilities: tuple[str, ...]


class _Link:
    """One connected host."""

    def __init__(self, sock: socket.socket, hello: wire.Hello) -> None:
        self.sock = sock
        self.hello = hello
        self.out: queue.Queue[bytes | None] = queue.Queue(maxsize=MAX_QUEUE)
        self.closed = threading.Event()
        self.bad_quotes: dict[str, str] = {}

    def send(self, message: wire.ToHost) -> bool:
        """Queue one frame; False (and the link closed) when the queue is full."""
        try:
            self.out.put_nowait(wire.frame(message))
        except queue.Full:
            log.error("link to host of %s: send queue full, closing", self.hello.venue)
            self.close()
            return False
        return not self.closed.is_set()

    def close(self) -> None:
        self.closed.set()
        with contextlib.suppress(queue.Full):
            self.out.put_nowait(None)
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


class VenueLinks:
    """All links. `submit` takes commands for the engine; `on_book` book updates (both on the reader threads)."""

    def __init__(
        self,
        path: Path,
        *,
        submit: Callable[[c.Command], None],
        on_book: Callable[[wire.BookUpdate], None],
        now_ns: Callable[[], int],
    ) -> None:
        self._path = path
        self._submit = submit
        self._on_book = on_book
        self._now_ns = now_ns
        self._links: dict[str, _Link] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._listener: socket.socket | None = None

    def start(self) -> None:
        """Listen (mode 0600) and accept in the background. Raises OSError."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(socket_address(self._path))
        os.chmod(self._path, 0o600)
        listener.listen(16)
        self._listener = listener
        threading.Thread(target=self._accept, name="venue-accept", daemon=True).start()

    def stop(self) -> None:
        """Close every link."""
        self._closing = True
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        with self._lock:
            links = list(self._links.values())
        for link in links:
            link.close()

    def hosts(self) -> dict[str, HostStatus]:
        """Venue -> its connected host."""
        with self._lock:
            return {
                venue: HostStatus(link.hello.account, link.hello.pid, link.hello.capabilities)
                for venue, link in self._links.items()
            }

    # --- effects (called by the engine, once durable) ---

    def effect(self, record: Record) -> None:
        """Send what the record's events ask of venue hosts."""
        for event in record.events:
            match event:
                case e.ChildPlaced():
                    self._place(event)
                case e.ChildCancelSent():
                    self._cancel(event.venue_cl_ord_id)
                case e.ChildQueried():
                    self._query(event.venue_cl_ord_id)
                case e.ReconcileRequested():
                    self._send(event.venue, wire.Reconcile(since_ns=event.since_ns, symbols=event.symbols))
                case e.OrphanCancelSent():
                    order = event.order
                    self._send(
                        event.venue,
                        wire.CancelChild(
                            venue_cl_ord_id=order.venue_cl_ord_id, symbol=order.symbol, venue_order_id=order.venue_order_id
                        ),
                    )
                case _:
                    pass

    lookup: Callable[[str], Child | None]
    """venue_cl_ord_id -> the child, if it is known; set by the composition root."""

    def _place(self, ev: e.ChildPlaced) -> None:
        sent = self._send(
            ev.venue,
            wire.PlaceChild(
                venue_cl_ord_id=ev.venue_cl_ord_id,
                symbol=ev.symbol,
                side=ev.side,
                ord_type=ev.ord_type,
                tif=ev.tif,
                qty=ev.qty,
                px=ev.px,
                post_only=ev.post_only,
                expires_ns=ev.expires_ns,
            ),
        )
        if sent is None:
            self._submit(
                c.ChildReject(
                    ts_ns=self._now_ns(),
                    venue=ev.venue,
                    venue_cl_ord_id=ev.venue_cl_ord_id,
                    code="NEVER_SENT",
                    text="the venue host was not connected",
                )
            )

    def _cancel(self, venue_cl_ord_id: str) -> None:
        child = self.lookup(venue_cl_ord_id)
        if child is not None:
            self._send(
                child.venue,
                wire.CancelChild(
                    venue_cl_ord_id=venue_cl_ord_id, symbol=child.symbol, venue_order_id=child.venue_order_id
                ),
            )

    def _query(self, venue_cl_ord_id: str) -> None:
        child = self.lookup(venue_cl_ord_id)
        if child is not None:
            self._send(
                child.venue,
                wire.QueryChild(
                    venue_cl_ord_id=venue_cl_ord_id,
                    symbol=child.symbol,
                    venue_order_id=child.venue_order_id,
                    side=child.side,
                    qty=child.qty,
                    sent_ns=child.sent_ns,
                ),
            )

    def _send(self, venue: str, message: wire.ToHost) -> bool | None:
        """None: no host is connected, the message was certainly not sent; else whether it is on its way."""
        with self._lock:
            link = self._links.get(venue)
        if link is None or link.closed.is_set():
            return None
        return link.send(message)

    # --- threads ---

    def _accept(self) -> None:
        assert self._listener is not None
        while not self._closing:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), name="venue-read", daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        """Read one host until it goes; then everything of that venue is down."""
        sock.settimeout(SILENCE_S)
        link: _Link | None = None
        reason = "venue host closed the link"
        try:
            stream = sock.makefile("rb", buffering=1 << 16)
            hello = self._read(stream)
            if not isinstance(hello, wire.Hello) or hello.version != wire.PROTOCOL_VERSION:
                log.error("a venue host did not say a Hello of version %d", wire.PROTOCOL_VERSION)
                return
            link = _Link(sock, hello)
            self._register(link)
            threading.Thread(target=self._write, args=(link,), name=f"venue-write-{hello.venue}", daemon=True).start()
            while not link.closed.is_set():
                self._dispatch(link, self._read(stream))
        except (OSError, EOFError) as error:
            reason = f"link to the venue host lost: {error or type(error).__name__}"
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
            reason = f"the venue host sent nonsense: {error}"
            log.error("%s", reason)
        except Exception as error:  # the outer loop of this thread: one bad host must not leave its venue looking alive
            reason = f"the venue host's message could not be taken: {type(error).__name__}"
            log.exception("%s", reason)
        finally:
            if link is not None:
                self._drop(link, reason)
            sock.close()

    @staticmethod
    def _read(stream: object) -> wire.FromHost:
        read: Callable[[int], bytes] = stream.read  # type: ignore[attr-defined]
        head = read(4)
        if len(head) < 4:
            raise EOFError("end of stream")
        size = int.from_bytes(head, "big")
        if size > wire.MAX_FRAME:
            raise ValueError(f"frame of {size} bytes")
        body = read(size)
        if len(body) < size:
            raise EOFError("end of stream within a frame")
        message: wire.FromHost = wire.from_host_decoder.decode(body)
        return message

    def _dispatch(self, link: _Link, message: wire.FromHost) -> None:
        if isinstance(message, wire.BookUpdate | c.VenueCommand) and message.venue != link.hello.venue:
            raise ValueError(f"a message for {message.venue!r:.60} on the link of {link.hello.venue}")
        if isinstance(message, wire.BookUpdate):
            problem = quote_problem(message.quote, self._now_ns())
            if not problem:
                self._on_book(message)
            elif link.bad_quotes.get(message.symbol) != problem and len(link.bad_quotes) < MAX_BAD_QUOTES:
                # left out, so that the last good one grows stale; said once per symbol and kind
                link.bad_quotes[message.symbol] = problem
                log.error("%s: quote of %.60r not used: %s", link.hello.venue, message.symbol, problem)
        elif isinstance(message, c.VenueCommand):
            now_ns = self._now_ns()
            if abs(message.ts_ns - now_ns) > FUTURE_NS:
                # the host runs on this machine: its clock is ours, so this is no time at all
                message = msgspec.structs.replace(message, ts_ns=now_ns)
            self._submit(message)

    def _register(self, link: _Link) -> None:
        with self._lock:
            old = self._links.get(link.hello.venue)
            self._links[link.hello.venue] = link
        log.info("venue host %s (pid %d) connected", link.hello.venue, link.hello.pid)
        if old is not None:
            old.close()

    def _drop(self, link: _Link, reason: str) -> None:
        link.close()
        venue = link.hello.venue
        with self._lock:
            current = self._links.get(venue) is link
            if current:
                del self._links[venue]
        if current and not self._closing:
            log.warning("%s: %s", venue, reason)
            self._submit(c.VenueLink(ts_ns=self._now_ns(), venue=venue, up=False, reason=reason))

    def _write(self, link: _Link) -> None:
        """Send what is queued, several frames at once; a heartbeat when there is nothing for a second."""
        while not link.closed.is_set():
            try:
                item = link.out.get(timeout=1.0)
            except queue.Empty:
                item = wire.frame(wire.Heartbeat(ts_ns=self._now_ns()))
            if item is None:
                break
            parts = [item]
            with contextlib.suppress(queue.Empty):
                while len(parts) < 64:
                    more = link.out.get_nowait()
                    if more is None:
                        break
                    parts.append(more)
            try:
                link.sock.sendall(b"".join(parts))
            except OSError:
                break
        link.close()
