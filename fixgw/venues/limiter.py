"""Our own rate limiter: one budget of request weight per venue account, with priorities and a reserve for cancels.

Theory of operation: a token bucket. It holds at most `burst` and refills so that burst + refill of any minute stays
within the venue's limit, as the venue counts it: what left within MINUTE_S can arrive within one minute of its clock.
Waiting requests stand in a heap by (priority, arrival); only its head is ever served, so an urgent request overtakes
everything less urgent, and nothing overtakes within one priority. The last `reserve` weight of the bucket is for CANCEL
alone: a cancel never waits behind snapshots or new orders. A freeze (Retry-After) stops all: asking on during a ban makes
the ban longer.

Others may share the venue's count (at the same address, or this host before it was restarted). What the venue says that it
has counted in its minute (`told`) leaves less than our bucket has: cancels may use up what is left of that minute, all else
no more than would leave enough for the bucket's own refill until the minute is over. The bucket itself is never more full
for it, and while nobody else is counted never less.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from enum import IntEnum

from .retry_after import LONGEST_S

MAX_WAITING = 20_000
# requests are under way for unequal times
MINUTE_S = 62.0


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
        if not 0 <= reserve <= weight_per_minute / 8:
            raise ValueError(f"reserve: {reserve!r}; expected 0 to {weight_per_minute / 8:g}, half of the burst")
        self._own, self._own_reserve = weight_per_minute, reserve
        self._size(weight_per_minute)
        self._clock = clock
        # the venue's own limit (0: not known), and of the minute that it told of last: its number, what is left, its end
        self._venue_limit = 0.0
        self._minute = 0
        self._left = 0.0
        self._minute_ends = 0.0
        self._tokens = self.burst
        self._at = clock()
        self._frozen_until = 0.0
        self._heap: list[tuple[int, int, float, asyncio.Future[None]]] = []
        # entries of the heap that nobody waits for any more
        self._dead = 0
        self._seq = 0
        self._timer: asyncio.TimerHandle | None = None

    def _size(self, weight_per_minute: float) -> None:
        self.burst = weight_per_minute / 4
        self._per_s = (weight_per_minute - self.burst) / MINUTE_S
        self.reserve = min(self._own_reserve, self.burst / 2)

    @property
    def waiting(self) -> int:
        return len(self._heap) - self._dead

    def learn(self, weight_per_minute: float) -> None:
        """The venue's own limit; ours is not above it. Without it `told` says nothing."""
        if weight_per_minute > 0:
            self._refill()
            self._venue_limit = weight_per_minute
            self._size(min(self._own, weight_per_minute))
            self._tokens = min(self._tokens, self.burst)

    def told(self, used: float, minute: int, left_s: float) -> None:
        """The venue has counted `used` in its minute number `minute`, which is over in `left_s` at the latest. Answers come in
        any order: within a minute what is left only falls, and a minute that is over says nothing."""
        now = self._clock()
        is_current = now < self._minute_ends
        if not self._venue_limit or left_s <= 0 or (is_current and minute < self._minute):
            return
        left = self._venue_limit - used
        if is_current and minute == self._minute:
            left = min(left, self._left)
        self._minute, self._left, self._minute_ends = minute, left, now + min(left_s, MINUTE_S)

    def frozen_s(self) -> float:
        """How long nothing may leave, because the venue wants it so or has nothing left in its minute; 0 otherwise."""
        now = self._clock()
        used_up = self._minute_ends if self._left < 1 else now
        return max(0.0, self._frozen_until - now, used_up - now)

    def freeze(self, seconds: float) -> None:
        """Send nothing for `seconds` (the venue's Retry-After); a longer freeze in force stays."""
        seconds = min(seconds, LONGEST_S) if seconds > 0 else 0.0  # NaN too
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
            self._left += weight
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
        if self.frozen_s():
            return False
        self._refill()
        if self._wait_s(weight, priority) > 0:
            return False
        self._tokens -= weight
        self._left -= weight
        return True

    def _wait_s(self, weight: float, priority: Priority) -> float:
        """How long until so much is free in the bucket, and of the venue's minute."""
        floor = self._floor(weight, priority)
        missing = floor - self._tokens
        left_s = self._minute_ends - self._at
        if left_s > 0:
            kept = 0.0 if priority == Priority.CANCEL else self._per_s * left_s
            wanting = floor + kept - self._left
            if wanting > 1e-9:
                # `kept` falls as time goes by; what is left for cancels does not rise
                share_s = left_s if priority == Priority.CANCEL else min(wanting / self._per_s, left_s)
                return max(share_s, missing / self._per_s)
        return missing / self._per_s if missing > 1e-9 else 0.0

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
            delay = max(self.frozen_s(), self._wait_s(weight, Priority(priority)), 0.001)
            self._timer = asyncio.get_running_loop().call_later(delay, self._serve)
