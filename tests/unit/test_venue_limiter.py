"""The rate limiter: priorities, the reserve for cancels, freezing."""

from __future__ import annotations

import asyncio

import pytest

from fixgw.venues.limiter import Priority, RateLimiter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_budget_of_a_minute_stays_within_the_limit() -> None:
    clock = Clock()
    limiter = RateLimiter(1200, 0, clock=clock)
    taken = 0
    for _ in range(620):
        while limiter.take(1, Priority.REST):
            taken += 1
        clock.now += 0.1
    assert 1190 <= taken <= 1200


def test_last_weight_is_for_cancels_alone() -> None:
    limiter = RateLimiter(1200, 50, clock=Clock())
    while limiter.take(1, Priority.PLACE):
        pass
    assert not limiter.take(1, Priority.QUERY)
    assert sum(limiter.take(1, Priority.CANCEL) for _ in range(100)) == 50


def test_a_cancel_overtakes_what_waits() -> None:
    async def run() -> list[str]:
        limiter = RateLimiter(60_000, 0)
        assert limiter.take(limiter.burst, Priority.REST)
        order: list[str] = []

        async def want(name: str, priority: Priority) -> None:
            await limiter.acquire(20, priority)
            order.append(name)

        tasks = [asyncio.ensure_future(want(f"rest{i}", Priority.REST)) for i in range(3)]
        await asyncio.sleep(0)
        tasks.append(asyncio.ensure_future(want("place", Priority.PLACE)))
        await asyncio.sleep(0)
        tasks.append(asyncio.ensure_future(want("cancel", Priority.CANCEL)))
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
        assert limiter.waiting == 0
        return order

    assert asyncio.run(run()) == ["cancel", "place", "rest0", "rest1", "rest2"]


def test_freeze_stops_even_cancels_and_ends() -> None:
    clock = Clock()
    limiter = RateLimiter(1200, 10, clock=clock)
    limiter.freeze(5)
    limiter.freeze(1)
    assert not limiter.take(1, Priority.CANCEL) and limiter.frozen_s() == 5
    clock.now += 5.01
    assert limiter.take(1, Priority.CANCEL)


def test_a_waiter_that_gave_up_costs_nothing() -> None:
    async def run() -> None:
        limiter = RateLimiter(60_000, 0)
        limiter.take(limiter.burst, Priority.REST)
        given_up = asyncio.ensure_future(limiter.acquire(10_000, Priority.CANCEL))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait_for(limiter.acquire(1, Priority.REST), 20)

    asyncio.run(run())


def test_heavier_than_the_bucket_goes_when_it_is_full() -> None:
    clock = Clock()
    limiter = RateLimiter(1200, 10, clock=clock)
    assert limiter.take(10_000, Priority.REST)
    clock.now += 30
    assert not limiter.take(1, Priority.CANCEL)


@pytest.mark.parametrize(("weight", "reserve"), [(0, 0), (-1, 0), (float("nan"), 0), (100, 20), (100, -1)])
def test_bad_arguments(weight: float, reserve: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        RateLimiter(weight, reserve)


def test_who_goes_leaves_the_queue_and_its_weight_to_the_others() -> None:
    async def run() -> None:
        clock = Clock()
        limiter = RateLimiter(1200, 0, clock=clock)
        assert limiter.take(limiter.burst, Priority.REST)
        heavy = [asyncio.ensure_future(limiter.acquire(300, Priority.QUERY)) for _ in range(50)]
        light = asyncio.ensure_future(limiter.acquire(1, Priority.PLACE))
        await asyncio.sleep(0)
        clock.now += 1.0  # enough for the light one, which stands behind the heavy ones
        for task in heavy:
            task.cancel()
        await asyncio.wait_for(light, 20)
        assert limiter.waiting == 0 and not limiter._heap

    asyncio.run(run())


def test_who_goes_as_its_turn_comes_gives_the_weight_back() -> None:
    async def run() -> None:
        clock = Clock()
        limiter = RateLimiter(1200, 0, clock=clock)
        assert limiter.take(limiter.burst, Priority.REST)
        first = asyncio.ensure_future(limiter.acquire(10, Priority.PLACE))
        second = asyncio.ensure_future(limiter.acquire(10, Priority.PLACE))
        await asyncio.sleep(0)
        clock.now += 10 / limiter._per_s
        limiter._serve()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert first.cancelled()
        await asyncio.wait_for(second, 20)
        assert not limiter.take(1, Priority.CANCEL), "the weight was there once"

    asyncio.run(run())
