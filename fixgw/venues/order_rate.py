"""How many new orders a venue takes in a time, by several limits at once (Binance: 100 in 10 s, 200,000 in a day).

Theory of operation: a place reserves a slot, holds it until its request leaves and is stamped then. A limit of N orders in T is
kept when held slots and stamps of the last T + MARGIN_NS are never more than N together: then there are at most N in any
window of T, whether the venue's windows slide or are aligned; the margin is for requests that are under way for unequal times.
First come first served. Who could not leave before its deadline is refused at once, by the earliest moment that is possible.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .base import NeverSent
from .retry_after import LONGEST_S

MAX_WAITING = 20_000
MARGIN_NS = 500_000_000
# a window of more orders than this keeps its stamps in groups, each as old as its newest
_EXACT = 1000
# what the venue tells of longer windows ends with the venue's day, which we do not know: not counted on top of ours
_TOLD_MAX_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `orders` new orders in any `interval_ns`."""

    orders: int
    interval_ns: int

    def __post_init__(self) -> None:
        for name in ("orders", "interval_ns"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)!r}; expected 1 or more")

    def __str__(self) -> str:
        return f"{self.orders} orders in {self.interval_ns / 1e9:g} s"


class _Window:
    """Stamps of the orders that count for one limit; at most about _EXACT entries."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._span_ns = limit.interval_ns + MARGIN_NS
        self._grain_ns = 0 if limit.orders <= _EXACT else limit.interval_ns // _EXACT
        # (first stamp, newest stamp, how many), oldest first
        self._groups: deque[tuple[int, int, int]] = deque()
        self._count = 0

    def count(self, now_ns: int) -> int:
        """How many count now."""
        while self._groups and self._groups[0][1] + self._span_ns <= now_ns:
            self._count -= self._groups.popleft()[2]
        return self._count

    def stamp(self, now_ns: int, orders: int = 1) -> None:
        first_ns, before = now_ns, 0
        if self._groups and now_ns - self._groups[-1][0] <= self._grain_ns:
            first_ns, _, before = self._groups.pop()
        self._groups.append((first_ns, now_ns, before + orders))
        self._count += orders

    def earliest(self, ahead: int, now_ns: int) -> int:
        """When one could leave that stands behind `ahead` others which have not left; it may become later."""
        count, most = self.count(now_ns), self.limit.orders
        # the one, by its place in the row of all, whose stamp must be history
        index = count + ahead - most
        if index < 0:
            return now_ns
        rounds = 1
        if index >= count:
            steps = max(0, -(-(index + 1 - max(count, most)) // most))
            index, rounds = index - steps * most, 1 + steps
        return (self._stamp_of(index) if index < count else now_ns) + rounds * self._span_ns

    def _stamp_of(self, index: int) -> int:
        for _, newest_ns, orders in self._groups:
            index -= orders
            if index < 0:
                return newest_ns
        raise IndexError("index: expected less than the count")

    def take_over(self, old: _Window) -> None:
        """The stamps of another limit with the same interval."""
        self._groups, self._count = old._groups, old._count


class Slot:
    """The right to send one order. `left`: it leaves now. `give_back`: it will not (nothing after it has left)."""

    __slots__ = ("_held", "_left", "_rate")

    def __init__(self, rate: OrderRate) -> None:
        self._rate = rate
        self._held = True
        self._left = False

    def left(self) -> None:
        if not self._left:
            # what leaves although its slot was given back (its task was slow to end) counts all the same
            self._rate._settle(self._held, True)
            self._held, self._left = False, True

    def give_back(self) -> None:
        if self._held:
            self._held = False
            self._rate._settle(True, False)


class OrderRate:
    """Send slots for new orders. Without limits (none are known) there is always one. `clock`: monotonic, nanoseconds. One
    event loop; not thread safe."""

    def __init__(self, limits: Iterable[Limit] = (), *, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._windows: dict[int, _Window] = {}
        self._held = 0
        self._frozen_until_ns = 0
        # in the order of arrival
        self._waiting: dict[asyncio.Future[Slot], None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.learn(limits)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The shortest interval first."""
        return tuple(self._windows[interval_ns].limit for interval_ns in sorted(self._windows))

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def learn(self, limits: Iterable[Limit]) -> None:
        """These are the limits from now on (one per interval, the smallest); what was sent still counts."""
        windows: dict[int, _Window] = {}
        for limit in sorted(limits, key=lambda one: one.orders, reverse=True):
            windows[limit.interval_ns] = _Window(limit)
        for interval_ns, window in windows.items():
            old = self._windows.get(interval_ns)
            if old is not None and old.limit == window.limit:
                windows[interval_ns] = old
            elif old is not None:
                window.take_over(old)
        self._windows = windows
        self._serve()

    def told(self, interval_ns: int, orders: int) -> None:
        """The venue counts so many: what is missing in ours (a host that was restarted, somebody else on the account) is
        added as of now. Never less than ours."""
        window = self._windows.get(interval_ns)
        if window is None or interval_ns > _TOLD_MAX_NS:
            return
        now_ns = self._clock()
        missing = min(orders, window.limit.orders) - window.count(now_ns)
        if missing > 0:
            window.stamp(now_ns, missing)

    def freeze(self, seconds: float) -> None:
        """The venue takes no new order for so long; a longer freeze in force stays."""
        seconds = min(seconds, LONGEST_S) if seconds > 0 else 0.0  # NaN too
        self._frozen_until_ns = max(self._frozen_until_ns, self._clock() + int(seconds * 1e9))

    def take(self) -> Slot | None:
        """A slot for now; None where one has to wait."""
        if self._waiting or not self._is_free():
            return None
        self._held += 1
        return Slot(self)

    async def reserve(self, within_ns: int) -> Slot:
        """Wait for a slot; NeverSent (RATE_LIMITED) when there is none within that time: at once where that is plain."""
        slot = self.take()
        if slot is not None:
            return slot
        self._check(within_ns)
        future: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._waiting[future] = None
        self._serve()
        try:
            await asyncio.wait({future}, timeout=within_ns / 1e9)
        except asyncio.CancelledError:
            if future.done():
                future.result().give_back()
            raise
        finally:
            self._waiting.pop(future, None)
        if not future.done():
            raise _refusal(self._earliest(0)[1], f"none was free within {within_ns / 1e9:.1f} s")
        return future.result()

    def _check(self, within_ns: int) -> None:
        """NeverSent when one more need not wait."""
        at_ns, why = self._earliest(len(self._waiting))
        wait_ns = at_ns - self._clock()
        if wait_ns > within_ns:
            raise _refusal(why, f"the next could leave in {wait_ns / 1e9:.1f} s, too late for this one")
        if len(self._waiting) >= MAX_WAITING:
            raise _refusal(why, f"{len(self._waiting)} wait already")

    def _is_free(self) -> bool:
        now_ns = self._clock()
        if self._frozen_until_ns > now_ns:
            return False
        return all(window.count(now_ns) + self._held < window.limit.orders for window in self._windows.values())

    def _earliest(self, ahead: int) -> tuple[int, str]:
        """When one behind `ahead` waiting ones could leave, and what holds it up."""
        now_ns = self._clock()
        at_ns, why = now_ns, "the venue's limit of new orders"
        for window in self._windows.values():
            free_ns = window.earliest(ahead + self._held, now_ns)
            if free_ns > at_ns:
                at_ns, why = free_ns, f"the venue takes {window.limit}"
        if self._frozen_until_ns > at_ns:
            at_ns, why = self._frozen_until_ns, "the venue takes no new order for now (its limit of orders)"
        return at_ns, why

    def _settle(self, held: bool, left: bool) -> None:
        self._held -= held
        if left:
            now_ns = self._clock()
            for window in self._windows.values():
                window.count(now_ns)
                window.stamp(now_ns)
        elif self._waiting:
            self._serve()

    def _serve(self) -> None:
        """Hand out what is free, then sleep until more may be."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting and self._is_free():
            future = next(iter(self._waiting))
            del self._waiting[future]
            if not future.done():
                self._held += 1
                future.set_result(Slot(self))
        if self._waiting:
            delay_s = max((self._earliest(0)[0] - self._clock()) / 1e9, 0.001)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._serve)


def _refusal(why: str, text: str) -> NeverSent:
    return NeverSent("RATE_LIMITED", f"{why}: {text}", rate_limited=True)
