"""Order -> first ExecutionReport (150=A), as the client sees it, per interval of time."""

from __future__ import annotations

import threading

import msgspec

from ..fix.client import FixMessage

# an order without an answer (a fault, a lost connection) is forgotten behind so many younger ones
MAX_WAITING = 5000


class Interval(msgspec.Struct, frozen=True):
    """Latencies of one interval in ms; None where there were none."""

    count: int
    p50_ms: float | None
    p99_ms: float | None


class Latency:
    """`sent` and `heard` may be called from any thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, int] = {}
        self._done: list[int] = []
        self._lock = threading.Lock()

    def sent(self, cl_ord_id: str, at_ns: int) -> None:
        """An order leaves."""
        with self._lock:
            self._waiting[cl_ord_id] = at_ns
            while len(self._waiting) > MAX_WAITING:
                del self._waiting[next(iter(self._waiting))]

    def heard(self, message: FixMessage) -> None:
        """A message came in. Reports that were sent again say nothing about the speed."""
        if message.msg_type != "8" or message.get(150) != "A" or message.get(97) == "Y" or message.get(43) == "Y":
            return
        with self._lock:
            sent_ns = self._waiting.pop(message.get(11), None)
            if sent_ns is not None:
                self._done.append(message.received_ns - sent_ns)

    def take(self) -> Interval:
        """What was measured since the last call."""
        with self._lock:
            done, self._done = sorted(self._done), []
        if not done:
            return Interval(0, None, None)
        return Interval(len(done), done[len(done) // 2] / 1e6, done[min(len(done) - 1, len(done) * 99 // 100)] / 1e6)
