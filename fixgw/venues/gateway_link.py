"""The gateway's end of the links to venue hosts (wire.py): one Unix socket, one reader and one writer thread per host.

Requests are written by whoever sends them; what the socket does not take waits for the writer, in memory only: what was not
written when a link breaks is settled by reconciliation like what was. A request for a venue whose host is not connected is
answered here and now: a place was never sent, which is a definite refusal; a query gets "error" (asked again later); a
cancel is left to the time-out, which asks the venue.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from ..accept import accept_each, hang_up, listen_private
from ..clock import by_ours
from ..core import commands as c
from ..core import events as e
from ..core.child import Child
from ..core.codec import Record
from ..core.sanity import usable_quote
from . import wire

log = logging.getLogger(__name__)

MAX_QUEUE = 50_000
SILENCE_S = 5.0
HEARTBEAT_S = 1.0
MAX_NOTED_SYMBOLS = 1000
# while clients send orders (`busy`), what hosts say is read at most this often: decided and synced together it costs a
# fraction, and does not come between an order and its answer. The first word after a quiet time is taken at once
GATHER_S = 0.002
_READ_BYTES = 1 << 16
_decode = wire.from_host_decoder.decode


class HostStatus(msgspec.Struct, frozen=True):
    """For views: who serves a venue."""

    account: str
    pid: int
    capabilities: tuple[str, ...]


class _Link:
    """One connected host. `send` writes at once while the host reads; what its socket does not take waits for the writer."""

    def __init__(self, sock: socket.socket, hello: wire.Hello) -> None:
        self.sock = sock
        self.hello = hello
        # the same socket, never waited for
        self.direct = sock.dup()
        self.direct.setblocking(False)
        self.closed = threading.Event()
        self.bad_quotes: dict[str, str] = {}
        # symbol -> time of its last trade as the host tells it, and as it is taken here
        self.ahead: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._waiting: deque[bytes] = deque()
        # the writer has taken something and not written all of it
        self._writing = False

    def send(self, message: wire.ToHost) -> bool:
        """Write or queue one frame; False (and the link closed) when the queue is full or the host is gone."""
        data = wire.frame(message)
        with self._lock:
            if self.closed.is_set():
                return False
            if not self._waiting and not self._writing:
                try:
                    data = data[self.direct.send(data) :]
                except BlockingIOError:
                    pass
                except OSError:
                    self._end()
                    return False
            if data and len(self._waiting) >= MAX_QUEUE:
                log.error("link to host of %s: send queue full, closing", self.hello.venue)
                self._end()
                return False
            if data:
                self._waiting.append(data)
                self._ready.notify()
        return True

    def take(self, timeout_s: float) -> bytes:
        """For the writer: what waits, some frames at once; empty when there was nothing in time."""
        with self._ready:
            self._writing = False
            if not self._waiting and not self.closed.is_set():
                self._ready.wait(timeout_s)
            parts = [self._waiting.popleft() for _ in range(min(len(self._waiting), 64))]
            self._writing = bool(parts)
        return b"".join(parts)

    def close(self) -> None:
        with self._ready:
            self._end()

    def _end(self) -> None:
        """The lock is held."""
        self.closed.set()
        self._ready.notify()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.direct.close()


class _Frames:
    """Reads frames off a socket: as many as have come, at least one."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self._error: Exception | None = None

    def read(self) -> list[wire.FromHost]:
        """Waits for the first. Raises EOFError, OSError, msgspec.MsgspecError and ValueError (frame too big), after what
        came before it was given out."""
        found: list[wire.FromHost] = []
        while not found:
            if self._error is not None:
                raise self._error
            data = self._sock.recv(_READ_BYTES)
            if not data:
                raise EOFError("end of stream within a frame" if self._buffer else "end of stream")
            self._buffer += data
            try:
                wire.take_frames(self._buffer, _decode, found)
            except (msgspec.MsgspecError, ValueError) as error:
                self._error = error
        return found


def _by_now(link: _Link, symbol: str, quote: c.Quote, now_ns: int) -> c.Quote:
    """No quote is fresher than now, or it would count as fresh for longer than it is. A trade that is told once more stays
    where it was put: at another time it would be another trade."""
    told_ns, taken_ns = link.ahead.pop(symbol, (0, 0))
    if quote.last_ns != told_ns or not told_ns:
        told_ns, taken_ns = quote.last_ns, min(quote.last_ns, now_ns)
    if taken_ns != told_ns and len(link.ahead) < MAX_NOTED_SYMBOLS:
        link.ahead[symbol] = told_ns, taken_ns
    return msgspec.structs.replace(quote, recv_ns=min(quote.recv_ns, now_ns), last_ns=taken_ns)


class VenueLinks:
    """All links. `submit` takes what hosts say of orders for the engine, several at once and in order; `on_book` takes book
    updates (both on the reader threads). `busy`: clients are sending;
    `settle`: make durable what was taken; `offset_ns`: of the gateway's clock, for hosts (wire.Heartbeat)."""

    def __init__(
        self,
        path: Path,
        *,
        submit: Callable[[Sequence[c.Command]], None],
        on_book: Callable[[wire.BookUpdate], None],
        now_ns: Callable[[], int],
        busy: Callable[[], bool] = lambda: False,
        settle: Callable[[], None] = lambda: None,
        offset_ns: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._offset_ns = offset_ns
        self._settle = settle
        self._path = path
        self._busy = busy
        self._submit = submit
        self._on_book = on_book
        self._now_ns = now_ns
        self._links: dict[str, _Link] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._listener: socket.socket | None = None

    def start(self) -> None:
        """Listen (mode 0600) and accept in the background; again when the socket's file was deleted: links that there are
        go on. Raises OSError, RuntimeError."""
        old, listener = self._listener, listen_private(self._path, 16)
        self._listener = listener
        try:
            threading.Thread(target=self._accept, args=(listener,), name="venue-accept", daemon=True).start()
        except BaseException:
            self._listener = old
            listener.close()
            raise
        hang_up(old)

    def stop(self) -> None:
        """Close every link."""
        self._closing = True
        hang_up(self._listener)
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

    def tell_clock(self) -> None:
        """The clock was set: hosts stamp by the new one from here on."""
        with self._lock:
            links = list(self._links.values())
        for link in links:
            link.send(self._heartbeat())

    def _heartbeat(self) -> wire.Heartbeat:
        return wire.Heartbeat(ts_ns=self._now_ns(), offset_ns=self._offset_ns())

    # --- effects (called by the engine, once durable) ---

    def effect(self, record: Record) -> None:
        """Send what the record's events ask of venue hosts."""
        for event in record.events:
            send = _SENT.get(type(event))
            if send is not None:
                send(self, event)

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
            self._never_sent(c.ChildReject(**self._unreached(ev.venue, ev.venue_cl_ord_id), sent=False))

    def _unreached(self, venue: str, venue_cl_ord_id: str) -> dict[str, Any]:
        """What a refusal says where no host is connected."""
        text = "the venue host was not connected"
        return dict(ts_ns=self._now_ns(), venue=venue, venue_cl_ord_id=venue_cl_ord_id, code="NEVER_SENT", text=text)

    def _never_sent(self, refused: c.ChildReject | c.ChildAmendReject) -> None:
        self._submit([refused])
        self._settle()

    def _cancel(self, ev: e.ChildCancelSent) -> None:
        child = self.lookup(ev.venue_cl_ord_id)
        if child is not None:
            self._send(
                child.venue,
                wire.CancelChild(
                    venue_cl_ord_id=ev.venue_cl_ord_id, symbol=child.symbol, venue_order_id=child.venue_order_id
                ),
            )

    def _cancel_orphan(self, ev: e.OrphanCancelSent) -> None:
        order = ev.order
        self._send(
            ev.venue,
            wire.CancelChild(
                venue_cl_ord_id=order.venue_cl_ord_id, symbol=order.symbol, venue_order_id=order.venue_order_id
            ),
        )

    def _amend(self, ev: e.ChildAmendSent) -> None:
        child = self.lookup(ev.venue_cl_ord_id)
        if child is None:
            return
        sent = self._send(
            child.venue,
            wire.AmendChild(
                venue_cl_ord_id=ev.venue_cl_ord_id, symbol=child.symbol, qty=ev.qty, venue_order_id=child.venue_order_id
            ),
        )
        if sent is None:
            self._never_sent(c.ChildAmendReject(**self._unreached(child.venue, ev.venue_cl_ord_id)))

    def _reconcile(self, ev: e.ReconcileRequested) -> None:
        self._send(ev.venue, wire.Reconcile(since_ns=ev.since_ns, symbols=ev.symbols))

    def _query(self, ev: e.ChildQueried) -> None:
        child = self.lookup(ev.venue_cl_ord_id)
        if child is not None:
            self._send(
                child.venue,
                wire.QueryChild(
                    venue_cl_ord_id=ev.venue_cl_ord_id,
                    symbol=child.symbol,
                    venue_order_id=child.venue_order_id,
                    side=child.side,
                    qty=child.qty,
                    sent_ns=child.sent_ns,
                    told_qty=child.told_qty,
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

    def _accept(self, listener: socket.socket) -> None:
        accept_each(listener, self._take, lambda: self._closing or self._listener is not listener, "venue links")

    def _take(self, sock: socket.socket) -> None:
        threading.Thread(target=self._serve, args=(sock,), name="venue-read", daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        """Read one host until it goes; then everything of that venue is down."""
        sock.settimeout(SILENCE_S)
        link: _Link | None = None
        reason = "venue host closed the link"
        try:
            frames = _Frames(sock)
            hello, *words = frames.read()
            if not isinstance(hello, wire.Hello) or hello.version != wire.PROTOCOL_VERSION:
                log.error("a venue host did not say a Hello of version %d", wire.PROTOCOL_VERSION)
                return
            link = _Link(sock, hello)
            link.send(self._heartbeat())
            self._register(link)
            threading.Thread(target=self._write, args=(link,), name=f"venue-write-{hello.venue}", daemon=True).start()
            while not link.closed.is_set():
                self._dispatch(link, words)
                if self._busy():
                    time.sleep(GATHER_S)
                self._settle()
                words = frames.read()
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

    def _dispatch(self, link: _Link, messages: Sequence[wire.FromHost]) -> None:
        """What came in one read, in order; what it says of orders goes to the engine in one piece."""
        words: list[c.Command] = []
        try:
            for message in messages:
                if isinstance(message, wire.BookUpdate | c.VenueCommand) and message.venue != link.hello.venue:
                    raise ValueError(f"a message for {message.venue!r:.60} on the link of {link.hello.venue}")
                if isinstance(message, wire.BookUpdate):
                    self._book(link, message)
                elif isinstance(message, c.VenueCommand):
                    words.append(by_ours(message, self._now_ns()))
        finally:
            if words:
                self._submit(words)

    def _book(self, link: _Link, update: wire.BookUpdate) -> None:
        now_ns = self._now_ns()
        quote, problem = usable_quote(update.quote, now_ns)
        if problem and link.bad_quotes.get(update.symbol) != problem and len(link.bad_quotes) < MAX_NOTED_SYMBOLS:
            # said once per symbol and kind
            link.bad_quotes[update.symbol] = problem
            log.error("%s: quote of %.60r not used: %s", link.hello.venue, update.symbol, problem)
        if problem:
            quote = c.Quote(unusable=problem)  # left out, so that the last good one grows stale, and is said to
        elif max(quote.recv_ns, quote.last_ns) > now_ns or update.symbol in link.ahead:
            quote = _by_now(link, update.symbol, quote, now_ns)
        self._on_book(update if quote is update.quote else msgspec.structs.replace(update, quote=quote))

    def _register(self, link: _Link) -> None:
        with self._lock:
            old = self._links.get(link.hello.venue)
            self._links[link.hello.venue] = link
        log.info("venue host %s (pid %d) connected", link.hello.venue, link.hello.pid)
        if old is not None:
            old.close()
        if self._closing:
            link.close()

    def _drop(self, link: _Link, reason: str) -> None:
        link.close()
        venue = link.hello.venue
        with self._lock:
            current = self._links.get(venue) is link
            if current:
                del self._links[venue]
        if current and not self._closing:
            log.warning("%s: %s", venue, reason)
            self._submit([c.VenueLink(ts_ns=self._now_ns(), venue=venue, up=False, reason=reason)])
            self._settle()

    def _write(self, link: _Link) -> None:
        """Send what the socket did not take at once; a heartbeat each second."""
        told_s = time.monotonic()
        while not link.closed.is_set():
            data = link.take(HEARTBEAT_S)
            if data:
                try:
                    link.sock.sendall(data)
                except OSError:
                    break
            if time.monotonic() - told_s >= HEARTBEAT_S and not link.closed.is_set():
                told_s = time.monotonic()
                link.send(self._heartbeat())
        link.close()


# what an event asks of its venue's host
_SENT: Final[dict[type[e.Event], Callable[[VenueLinks, Any], None]]] = {
    e.ChildPlaced: VenueLinks._place,
    e.ChildCancelSent: VenueLinks._cancel,
    e.ChildAmendSent: VenueLinks._amend,
    e.ChildQueried: VenueLinks._query,
    e.ReconcileRequested: VenueLinks._reconcile,
    e.OrphanCancelSent: VenueLinks._cancel_orphan,
}
