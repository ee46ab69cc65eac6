"""Whatever is placed, delayed, given back or cancelled: never more orders in any window than the venue takes, and none waits
for ever."""

from __future__ import annotations

import asyncio
import bisect
import selectors
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixgw.venues import order_rate
from fixgw.venues.base import NeverSent
from fixgw.venues.order_rate import MARGIN_NS, Limit, OrderRate

MS = 1_000_000


class _Instant(selectors.DefaultSelector):
    """Waits for nothing: the loop's time goes on by as much."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.passed += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only when there is nothing to do, and at once."""

    def __init__(self) -> None:
        self.instant = _Instant()
        super().__init__(self.instant)

    def time(self) -> float:
        return 1000.0 + self.instant.passed


# of each place: (ms after the one before, ms that it has, ms from its slot until it leaves or None: never, ms until it is
# cancelled or None)
PLACE = st.tuples(
    st.one_of(st.just(0), st.integers(0, 4000)),
    st.integers(0, 30_000),
    st.one_of(st.just(0), st.integers(0, 3000), st.none()),
    st.one_of(st.none(), st.none(), st.integers(0, 5000)),
)
INTERVALS = st.sampled_from([1000 * MS, 5000 * MS, 12_000 * MS])
LIMITS = st.lists(st.builds(Limit, st.integers(1, 6), INTERVALS), min_size=1, max_size=3)


@settings(max_examples=150)
@given(LIMITS, st.lists(PLACE, max_size=40), st.sampled_from([1000, 2]))
def test_no_window_holds_more_than_its_limit(limits: list[Limit], places: list[Any], exact: int) -> None:
    """`exact`: windows of more orders than that keep their stamps in groups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order_rate, "_EXACT", exact)
        _run(limits, places)


def _run(limits: list[Limit], places: list[Any]) -> None:
    loop = VirtualLoop()
    stamps: list[int] = []
    served: list[int] = []

    def clock() -> int:
        return round(loop.time() * 1e9)

    async def place(rate: OrderRate, number: int, within_ms: int, leaves_ms: int | None) -> None:
        asked = clock()
        try:
            slot = await rate.reserve(within_ms * MS)
        except NeverSent:
            return
        served.append(number)
        assert clock() - asked <= within_ms * MS + 2 * MS
        try:
            await asyncio.sleep((leaves_ms or 0) / 1000)
            if leaves_ms is not None:
                slot.left()
                stamps.append(clock())
        finally:
            slot.give_back()

    async def main() -> None:
        rate = OrderRate(limits, clock=clock)
        tasks = []
        for number, (after_ms, within_ms, leaves_ms, cancel_ms) in enumerate(places):
            await asyncio.sleep(after_ms / 1000)
            task = asyncio.ensure_future(place(rate, number, within_ms, leaves_ms))
            tasks.append(task)
            if cancel_ms is not None:
                loop.call_later(cancel_ms / 1000, task.cancel)
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert result is None or isinstance(result, asyncio.CancelledError), result
        assert rate.waiting == 0 and rate._held == 0

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    assert served == sorted(served)
    stamps.sort()
    for limit in limits:
        # sliding, with requests that are under way for unequal times; each aligned window is one of these
        for index, stamp in enumerate(stamps):
            within = bisect.bisect_left(stamps, stamp + limit.interval_ns + MARGIN_NS - 2) - index
            assert within <= limit.orders, (limit, stamps)
        for offset in range(0, limit.interval_ns, limit.interval_ns // 7):
            aligned = [(stamp + offset) // limit.interval_ns for stamp in stamps]
            assert all(aligned.count(window) <= limit.orders for window in set(aligned))
