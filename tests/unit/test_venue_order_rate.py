"""Slots for new orders: several limits, order of arrival, what cannot be in time, what the venue counts, freezing."""

from __future__ import annotations

import asyncio

import pytest

from fixgw.venues.base import NeverSent
from fixgw.venues.binance_codes import CODES
from fixgw.venues.binance_limits import counts_in, header_counts, order_limits
from fixgw.venues.ccxt_exchange import Hooks
from fixgw.venues.limiter import RateLimiter
from fixgw.venues.order_rate import MARGIN_NS, Limit, OrderRate, Slot

S = 1_000_000_000
DAY = 86_400 * S


class Clock:
    """Nanoseconds, as told."""

    def __init__(self) -> None:
        self.now = 100 * S

    def __call__(self) -> int:
        return self.now


def made(*limits: tuple[int, int]) -> tuple[Clock, OrderRate]:
    clock = Clock()
    return clock, OrderRate([Limit(orders, seconds * S) for orders, seconds in limits], clock=clock)


def sent(rate: OrderRate, at_most: int = 1000) -> int:
    """Orders that leave now, one after the other, until there is no slot."""
    for count in range(at_most):
        slot = rate.take()
        if slot is None:
            return count
        slot.left()
    return at_most


def wait_s(rate: OrderRate, within_s: float) -> str:
    """The refusal of a place that has so long; "" when a slot was free."""
    try:
        slot = asyncio.run(rate.reserve(int(within_s * S)))
    except NeverSent as refusal:
        assert refusal.code == "RATE_LIMITED" and refusal.rate_limited
        return refusal.text
    slot.give_back()
    return ""


# limits; steps of (seconds later, orders that can leave then)
TABLE: dict[str, tuple[list[tuple[int, int]], list[tuple[float, int]]]] = {
    "none are known": ([], [(0, 1000), (0, 1000)]),
    "one burst": ([(3, 10)], [(0, 3), (9.9, 0), (0.7, 3), (0.1, 0)]),
    "the margin is for unequal times": ([(3, 10)], [(0, 3), (10.2, 0), (0.3, 3)]),
    "spread over the time": ([(2, 10)], [(0, 2), (10.5, 2), (5, 0), (5.5, 2)]),
    "a slow one bounds quick ones": ([(3, 10), (5, 100)], [(0, 3), (10.6, 2), (10.6, 0), (79.4, 3), (10.6, 2)]),
    "the smaller of two with one interval": ([(9, 10), (2, 10)], [(0, 2)]),
    "in groups, each as old as its newest": ([(2000, 1000)], [(0, 1000), (0.9, 1000), (999.7, 0), (0.8, 1000)]),
    "a day": ([(400, 86_400)], [(0, 400), (86_400, 0), (0.5, 400)]),
}


@pytest.mark.parametrize(("limits", "steps"), TABLE.values(), ids=TABLE.keys())
def test_how_many_may_leave(limits: list[tuple[int, int]], steps: list[tuple[float, int]]) -> None:
    clock, rate = made(*limits)
    for later_s, expected in steps:
        clock.now += round(later_s * S)
        assert sent(rate) == expected


def test_it_is_refused_at_once_when_its_slot_comes_too_late_and_told_which_limit() -> None:
    clock, rate = made((2, 10), (3, 100))
    assert sent(rate) == 2
    assert wait_s(rate, 10.4) == "the venue takes 2 orders in 10 s: the next could leave in 10.5 s, too late for this one"
    clock.now += 11 * S
    assert sent(rate) == 1
    assert wait_s(rate, 60) == "the venue takes 3 orders in 100 s: the next could leave in 89.5 s, too late for this one"


def test_those_that_wait_already_are_ahead() -> None:
    async def run() -> None:
        _, rate = made((2, 10))
        assert sent(rate) == 2
        tasks = [asyncio.ensure_future(rate.reserve(11 * S)) for _ in range(2)]
        await asyncio.sleep(0)
        # the fifth order's slot comes with the second round
        with pytest.raises(NeverSent, match=r"could leave in 21\.0 s"):
            await rate.reserve(20 * S)
        assert rate.waiting == 2
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert rate.waiting == 0

    asyncio.run(run())


def test_a_held_slot_counts_until_it_is_given_back_and_from_when_it_leaves() -> None:
    clock, rate = made((2, 10))
    early, late = rate.take(), rate.take()
    assert early is not None and late is not None and rate.take() is None
    clock.now += 60 * S
    assert rate.take() is None  # both may leave at any time
    early.give_back()
    early.give_back()
    late.left()
    late.left()
    assert sent(rate) == 1
    clock.now += 10 * S + MARGIN_NS
    assert sent(rate) == 2


def test_what_leaves_although_its_slot_was_given_back_counts() -> None:
    _, rate = made((2, 10))
    slot = rate.take()
    assert slot is not None
    slot.give_back()
    slot.left()
    slot.give_back()
    assert sent(rate) == 1


def in_short_time(limit: int, places: int, cancelled: tuple[int, ...] = ()) -> list[int]:
    """Which of the places got a slot, in that order; the limit counts for 50 ms."""

    async def run() -> list[int]:
        rate = OrderRate([Limit(limit, S // 20)])
        got: list[int] = []

        async def place(number: int) -> None:
            (await rate.reserve(20 * S)).left()
            got.append(number)

        tasks = [asyncio.ensure_future(place(number)) for number in range(places)]
        await asyncio.sleep(0)
        assert len(got) <= limit
        for number in cancelled:
            tasks[number].cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
        assert rate.waiting == 0
        return got

    return asyncio.run(run())


def test_first_come_first_served() -> None:
    assert in_short_time(3, 8) == [*range(8)]


def test_nobody_overtakes_who_waits_for_a_slot_that_is_free_by_now() -> None:
    async def run() -> None:
        clock, rate = made((1, 10))
        assert sent(rate) == 1
        waiting = asyncio.ensure_future(rate.reserve(60 * S))
        await asyncio.sleep(0)
        clock.now += 11 * S  # and the loop has not come round to it yet
        assert rate.take() is None
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert rate.take() is not None

    asyncio.run(run())


def test_a_cancelled_wait_gives_its_turn_to_the_next() -> None:
    assert in_short_time(2, 7, cancelled=(2, 5)) == [0, 1, 3, 4, 6]


async def just_given_back() -> tuple[OrderRate, asyncio.Future[Slot]]:
    """Somebody waits for the only slot, which is free by now; the loop has not come round to it yet."""
    rate = OrderRate([Limit(1, 60 * S)])
    held = rate.take()
    assert held is not None
    waiting = asyncio.ensure_future(rate.reserve(61 * S))
    await asyncio.sleep(0)
    held.give_back()
    return rate, waiting


def test_a_slot_that_is_given_back_goes_to_who_waits() -> None:
    async def run() -> None:
        _, waiting = await just_given_back()
        assert isinstance(await asyncio.wait_for(waiting, 20), Slot)

    asyncio.run(run())


def test_a_wait_that_is_cancelled_as_its_slot_comes_gives_it_back() -> None:
    async def run() -> None:
        rate, waiting = await just_given_back()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled() and rate.take() is not None

    asyncio.run(run())


def test_who_waits_in_vain_is_told_at_its_deadline() -> None:
    async def run() -> None:
        rate = OrderRate([Limit(1, S // 100)])
        assert rate.take() is not None  # held, and never leaves
        with pytest.raises(NeverSent, match=r"takes 1 orders in 0\.01 s: none was free within 0\.6 s"):
            await rate.reserve(6 * S // 10)
        assert rate.waiting == 0

    asyncio.run(run())


def test_the_venue_knows_of_more_than_we() -> None:
    clock, rate = made((5, 10))
    assert sent(rate, 2) == 2
    rate.told(10 * S, 1)  # never less than ours
    rate.told(60 * S, 5)  # no limit of ours
    assert sent(rate, 1) == 1
    rate.told(10 * S, 4)
    assert sent(rate) == 1
    clock.now += 11 * S
    rate.told(10 * S, 99)
    assert sent(rate) == 0
    clock.now += 11 * S
    assert sent(rate) == 5


def test_the_venues_day_is_not_ours() -> None:
    _, rate = made((5, 86_400))
    rate.told(DAY, 5)
    assert sent(rate) == 5


def test_a_limit_that_changes_keeps_what_was_sent() -> None:
    clock, rate = made((5, 10))
    assert sent(rate, 4) == 4
    rate.learn([Limit(2, 10 * S)])
    assert sent(rate) == 0
    assert "could leave in 10.5 s" in wait_s(rate, 1)
    rate.learn([Limit(6, 10 * S), Limit(5, 60 * S)])
    assert sent(rate) == 2
    clock.now += 11 * S
    assert sent(rate) == 3
    assert rate.limits == (Limit(6, 10 * S), Limit(5, 60 * S))


def test_many_in_a_day_need_little_memory() -> None:
    clock, rate = made((200_000, 86_400))
    for _ in range(20_000):
        clock.now += 4 * S
        assert sent(rate, 10) == 10
    (window,) = rate._windows.values()
    assert len(window._groups) < 1010
    assert sent(rate) == 0
    clock.now += DAY - 20_000 * 4 * S
    assert sent(rate) == 0
    clock.now += 2 * 86 * S + S
    assert sent(rate) >= 200


def test_a_freeze_holds_up_until_it_ends() -> None:
    clock, rate = made()
    rate.freeze(5)
    rate.freeze(1)
    assert sent(rate) == 0
    assert wait_s(rate, 4.9).startswith("the venue takes no new order for now (its limit of orders): the next could leave in 5")
    clock.now += 5 * S
    assert sent(rate, 3) == 3


@pytest.mark.parametrize(("orders", "interval_ns"), [(0, S), (-1, S), (1, 0)])
def test_bad_limits(orders: int, interval_ns: int) -> None:
    with pytest.raises(ValueError, match="expected 1 or more"):
        Limit(orders, interval_ns)


@pytest.mark.parametrize(
    ("status", "code", "orders_alone"),
    [(429, "-1015", True), (429, "-1003", False), (418, "-1015", False), (418, "-1003", False)],
)
def test_what_a_refusal_holds_up(status: int, code: str, orders_alone: bool) -> None:
    hooks = Hooks(RateLimiter(6000, 100), 1.0, 1000)
    hooks.order_limit = CODES.order_limit
    hooks.limited(status, code, 5.0)
    assert (hooks.order_rate.take() is None, hooks.limiter.frozen_s() > 0) == (orders_alone, not orders_alone)


def row(kind: str, unit: str, number: object, **figures: object) -> dict[str, object]:
    return {"rateLimitType": kind, "interval": unit, "intervalNum": number, **figures}


ROWS = [
    row("REQUEST_WEIGHT", "MINUTE", 1, limit=6000, count=7),
    row("ORDERS", "SECOND", 10, limit=100, count=12),
    row("ORDERS", "DAY", 1, limit=200_000, count=4043),
    row("RAW_REQUESTS", "MINUTE", 5, limit=61_000),
]


def test_binance_tells_its_limits_and_counts() -> None:
    assert order_limits({"rateLimits": ROWS}) == (Limit(100, 10 * S), Limit(200_000, DAY))
    assert [*counts_in({"rateLimits": ROWS})] == [(10 * S, 12), (DAY, 4043)]
    headers = {"X-MBX-ORDER-COUNT-10S": "12", "x-mbx-order-count-1d": "4043", "X-MBX-USED-WEIGHT-1M": "7", "Date": "x"}
    assert [*header_counts(headers)] == [(10 * S, 12), (DAY, 4043)]


@pytest.mark.parametrize("answer", [None, [], {}, {"rateLimits": None}, {"rateLimits": [None, {"rateLimitType": "X"}]}])
def test_an_answer_without_limits_has_none(answer: object) -> None:
    assert order_limits(answer) == () and [*counts_in(answer)] == []


@pytest.mark.parametrize(
    "bad",
    [
        row("ORDERS", "WEEK", 1, limit=5, count=5), row("ORDERS", "SECOND", "10", limit=5, count=5),
        row("ORDERS", "SECOND", 0, limit=5, count=5), row("ORDERS", "SECOND", 10, limit="5"), row("ORDERS", "SECOND", 10),
        row("ORDERS", "SECOND", 10, limit=0),
    ],
)  # fmt: skip
def test_limits_that_are_not_understood(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        order_limits({"rateLimits": [bad]})
    assert [*counts_in({"rateLimits": [bad]})] == []


@pytest.mark.parametrize("name", ["X-MBX-ORDER-COUNT-", "X-MBX-ORDER-COUNT-0S", "X-MBX-ORDER-COUNT-10W"])
def test_headers_that_are_not_understood(name: str) -> None:
    assert [*header_counts({name: "5", "X-MBX-ORDER-COUNT-10S": "-5", "X-MBX-ORDER-COUNT-1D": "5.0"})] == []
