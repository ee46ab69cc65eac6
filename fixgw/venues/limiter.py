"""Our own rate limiter: one budget of request weight per venue account, with priorities and a reserve for cancels.

Theory of operation: a token bucket. It holds at most `burst` and refills so that burst + refill of any minute stays
within the venue's limit, as the venue counts it: what left within MINUTE_S can arrive within one minute of its clock.
Waiting requests stand in a heap by (priority, arrival); only its head is ever served, so an urgent request overtakes
everything less urgent, and nothing overtakes within one priority. The last `reserve` weight of the bucket is for CANCEL
alone: a cancel never waits behind snapshots or new orders. A freeze (Retry-After) stops all: asking on during a ban makes
the ban longer.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from enum import IntEnum

MAX_WAITING = 20_000
# requests are under way for unequal times
MINUTE_S = 62.0
MAX_FREEZE_S = 3 * 24 * 3600.0


class Priority(IntEnum):
    """Smaller is more urgent."""

    CANCEL = 0
    # what brings the venue up for all: instruments, private stream, balances, open orders, everybody's trades
    LINK = 1
    # about one order
    QUERY = 2
    PLACE = 3
    REST = 4


class LimiterFull(Exception):
    """Too many requests wait already. Recoverable: the request was never sent."""


class RateLimiter:
    """Weight per minute. One event loop; not thread safe."""

    def __init__(
        self, weight_per_minute: float, reserve: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not weight_per_minute > 0:
            raise ValueError(f"weight_per_minute: {weight_per_minute!r}; expected a number above 0")
        self.burst = weight_per_minute / 4
        if not 0 <= reserve <= self.burst / 2:
            raise ValueError(f"reserve: {reserve!r}; expected 0 to {self.burst / 2:g}, half of the burst")
        self._per_s = (weight_per_minute - self.burst) / MINUTE_S
        self.reserve = reserve
        self._clock = clock
        self._tokens = self.burst
        self._at = clock()
        self._frozen_until = 0.0
        self._heap: list[tuple[int, int, float, asyncio.Future[None]]] = []
        # entries of the heap that nobody waits for any more
        self._dead = 0
        self._seq = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        return len(self._heap) - self._dead

    def frozen_s(self) -> float:
        """How long the freeze still lasts; 0 when there is none."""
        return max(0.0, self._frozen_until - self._clock())

    def freeze(self, seconds: float) -> None:
        """Send nothing for `seconds` (the venue's Retry-After); a longer freeze in force stays."""
        seconds = min(max(seconds, 0.0), MAX_FREEZE_S)
        self._frozen_until = max(self._frozen_until, self._clock() + seconds)

    def take(self, weight: float, priority: Priority) -> bool:
        """Take the weight now if that is allowed without waiting."""
        if self._heap and self._heap[0][0] <= priority:
            return False
        return self._take(weight, priority)

    async def acquire(self, weight: float, priority: Priority) -> None:
        """Wait for the weight; LimiterFull when too many wait. Who is cancelled leaves the queue, and the weight to others."""
        if self.take(weight, priority):
            return
        if self.waiting >= MAX_WAITING:
            raise LimiterFull(f"{self.waiting} requests wait for the venue's rate limit")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._seq += 1
        heapq.heappush(self._heap, (int(priority), self._seq, weight, future))
        self._serve()
        try:
            await future
        except asyncio.CancelledError:
            self._leave(weight, future)
            raise

    def _leave(self, weight: float, future: asyncio.Future[None]) -> None:
        """One that waited will send nothing."""
        if future.cancelled():
            self._dead += 1
            if self._dead * 2 > len(self._heap):
                self._heap = [entry for entry in self._heap if not entry[3].done()]
                heapq.heapify(self._heap)
                self._dead = 0
        else:  # its turn had come in the same moment
            self._refill()
            self._tokens = min(self.burst, self._tokens + weight)
        self._serve()

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self._per_s)
        self._at = now

    def _floor(self, weight: float, priority: Priority) -> float:
        """Tokens that must be there: a request heavier than the bucket goes when the bucket is full."""
        reserve = 0.0 if priority == Priority.CANCEL else self.reserve
        return min(weight + reserve, self.burst)

    def _take(self, weight: float, priority: Priority) -> bool:
        if self._frozen_until > self._clock():
            return False
        self._refill()
        if self._tokens + 1e-9 < self._floor(weight, priority):
            return False
        self._tokens -= weight
        return True

    def _serve(self) -> None:
        """Serve the head as long as the budget allows, then sleep until it will."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._heap:
            priority, _, weight, future = self._heap[0]
            if not future.done() and not self._take(weight, Priority(priority)):
                break
            heapq.heappop(self._heap)
            if future.done():
                self._dead -= 1
            else:
                future.set_result(None)
        if self._heap:
            priority, _, weight, _ = self._heap[0]
            missing = self._floor(weight, Priority(priority)) - self._tokens
            delay = max(self.frozen_s(), missing / self._per_s, 0.001)
            self._timer = asyncio.get_running_loop().call_later(delay, self._serve)
