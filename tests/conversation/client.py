"""A FIX client that is not our code: simplefix messages over a plain socket, with a small session layer of its own.

A thread reads: session messages are answered (TestRequest, ResendRequest, Logon with 141=Y) unless `deaf`, application
messages are queued in the order of their arrival for `receive`. The numbers live as long as the object, also over
connections, as those of a real counterparty would.
"""

from __future__ import annotations

import collections
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import simplefix

ADMIN = frozenset("01245A")  # a Reject(3) is an answer that tests look at
Fields = dict[int, str]
Pairs = list[tuple[int, Any]]


def utc(shift_s: float = 0.0) -> str:
    """UTCTimestamp of now, or of some seconds from now."""
    at = time.time() + shift_s
    return time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}"


class Conversation:
    """One FIX session of a counterparty. `begin` is BeginString(8); `seen` keeps every application message received,
    `texts` the same as it came."""

    def __init__(self, address: tuple[str, int], begin: str, comp_id: str, target: str = "FIXGW") -> None:
        self.address, self.begin, self.comp_id, self.target = address, begin, comp_id, target
        self.next_out = 1
        self.next_in = 1
        self.sent: dict[int, Pairs] = {}
        self.seen: list[Fields] = []
        self.texts: list[str] = []
        self.admin: list[Fields] = []
        self.deaf = False
        self.connected = False
        self._queue: collections.deque[Fields] = collections.deque()
        self._news = threading.Condition()
        self._out = threading.RLock()
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    # --- the connection ---

    def connect(self, *, reset: bool = False, timeout_s: float = 10.0, extra: Pairs | None = None) -> None:
        """Connect and log on; returns when the gateway's Logon is here."""
        self.open()
        if reset:
            self.next_out = self.next_in = 1
            self.sent.clear()
        with self._news:
            mark = len(self.admin)
        logon: Pairs = [(98, 0), (108, 30)] + ([(141, "Y")] if reset else []) + (extra or [])
        if self.begin == "FIXT.1.1":
            logon.append((1137, 9))
        self.send("A", logon)
        self.wait(lambda: any(m[35] == "A" for m in self.admin[mark:]), "Logon", timeout_s)

    def open(self) -> None:
        """The plain connection, with its reader."""
        self.close()
        self._socket = socket.create_connection(self.address, timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(None)
        self.connected = True
        self._thread = threading.Thread(target=self._read, args=(self._socket,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cut the connection without a word."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None
        if self._thread is not None:
            self._thread.join(10)
            assert not self._thread.is_alive(), "the reader did not end"
            self._thread = None

    def logout(self) -> None:
        """A proper end: Logout, its answer, close."""
        if self.connected:
            mark = len(self.admin)
            self.send("5", [])
            self.wait(lambda: any(m[35] == "5" for m in self.admin[mark:]) or not self.connected, "Logout", 10)
        self.close()

    # --- out ---

    def send(self, msg_type: str, body: Pairs, *, number: int | None = None, header: Pairs | None = None) -> int:
        """Send one message; its number. `number`: not the next one, which then stays as it is."""
        with self._out:
            used = self.next_out if number is None else number
            if number is None:
                self.next_out += 1
                self.sent[used] = [(35, msg_type), *body]
            self._write(self.message(msg_type, body, used, header or []))
            return used

    def message(self, msg_type: str, body: Pairs, number: int, header: Pairs) -> bytes:
        """One encoded message; `header` holds 43, 97, 122 and the like."""
        out = simplefix.FixMessage()
        out.append_pair(8, self.begin, header=True)
        out.append_pair(35, msg_type, header=True)
        out.append_pair(49, self.comp_id, header=True)
        out.append_pair(56, self.target, header=True)
        out.append_pair(34, number, header=True)
        for tag, value in header:
            out.append_pair(tag, value() if callable(value) else value, header=True)
        if 52 not in dict(header):
            out.append_pair(52, utc(), header=True)
        for tag, value in body:
            out.append_pair(tag, value)
        encoded: bytes = out.encode()
        return encoded

    def _write(self, raw: bytes) -> None:
        assert self._socket is not None, "not connected"
        with contextlib.suppress(OSError):  # the reader finds out
            self._socket.sendall(raw)

    # --- in ---

    def _read(self, connection: socket.socket) -> None:
        parser = simplefix.FixParser(allow_empty_values=True)
        while True:
            try:
                data = connection.recv(65536)
            except OSError:
                data = b""
            if not data:
                break
            parser.append_buffer(data)
            while (message := parser.get_message()) is not None:
                fields = {int(tag): value.decode("latin-1") for tag, value in reversed(message.pairs)}
                self._take(fields, message.encode(raw=True).decode("latin-1"))
        with self._news:
            self.connected = False
            self._news.notify_all()

    def _take(self, message: Fields, text: str) -> None:
        kind, number = message[35], int(message[34])
        with self._news:
            if kind == "A" and message.get(141) == "Y":
                self.next_in = 1
            if message.get(43) != "Y":
                self.next_in = max(self.next_in, number + 1)
            (self.admin if kind in ADMIN else self.seen).append(message)
            if kind not in ADMIN:
                self._queue.append(message)
                self.texts.append(text)
            self._news.notify_all()
        if self.deaf:
            return
        if kind == "1":
            self.send("0", [(112, message[112])])
        elif kind == "2":
            self._resend(int(message[7]), int(message[16]) or self.next_out - 1)

    def _resend(self, first: int, last: int) -> None:
        """Application messages again with PossDup, gap fills for the rest."""
        with self._out:
            at = first
            while at <= min(last, self.next_out - 1):
                body = self.sent.get(at, [(35, "0")])
                if body[0][1] not in ADMIN:
                    self.send(str(body[0][1]), body[1:], number=at, header=[(43, "Y"), (122, utc())])
                    at += 1
                    continue
                end = at
                while end <= last and self.sent.get(end, [(35, "0")])[0][1] in ADMIN:
                    end += 1
                self.send("4", [(123, "Y"), (36, end)], number=at, header=[(43, "Y"), (122, utc())])
                at = end

    # --- waiting ---

    def wait(self, condition: Callable[[], Any], what: str, timeout_s: float = 15.0) -> Any:
        """The condition's value once it is true; it is looked at whenever a message arrives. AssertionError in the end."""
        deadline = time.monotonic() + timeout_s
        with self._news:
            while not (found := condition()):
                left = deadline - time.monotonic()
                if left <= 0:
                    last = [*self.admin[-2:], *self.seen[-2:]]
                    raise AssertionError(f"{self.comp_id}: no {what} within {timeout_s} s; the last messages: {last}")
                self._news.wait(left)
            return found

    def receive(self, what: str, timeout_s: float = 15.0) -> Fields:
        """The next application message that was not looked at yet."""
        self.wait(lambda: self._queue, what, timeout_s)
        return self._queue.popleft()

    def pending(self) -> list[Fields]:
        """What has arrived and was not looked at; it counts as looked at now."""
        with self._news:
            found, self._queue = list(self._queue), collections.deque()
        return found

    def ping(self) -> None:
        """Everything that the gateway's session had sent before is here (Heartbeat for our TestRequest)."""
        name = f"ping-{self.next_out}-{time.monotonic_ns()}"
        self.send("1", [(112, name)])
        self.wait(lambda: any(m[35] == "0" and m.get(112) == name for m in self.admin), "Heartbeat")
