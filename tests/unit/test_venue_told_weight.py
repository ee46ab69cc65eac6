"""What the venue says that it has counted of request weight, and what the venue host makes of it."""

from __future__ import annotations

import random
from email.utils import formatdate
from typing import Any

import pytest

from fixgw.sim.limits import RateLimiter as VenueLimits
from fixgw.sim.limits import parse_limits
from fixgw.venues.binance_limits import header_weight, weight_in, weight_limit
from fixgw.venues.ccxt_exchange import Hooks
from fixgw.venues.limiter import Priority, RateLimiter

URL = "https://api.binance.com/api/v3/account?timestamp=1&signature=x"
BINANCE = parse_limits("binance")
S = 1_000_000_000


class World:
    """A host and a venue of 6000 a minute; `now` in seconds. The venue's clock is our own, `skew_s` apart."""

    def __init__(self, now: float, told: bool = True, skew_s: float = 0.0) -> None:
        self.now, self._skew_s, self._told = now, skew_s, told
        self.limiter = RateLimiter(6000, 100, clock=lambda: self.now)
        self.hooks = Hooks(self.limiter, 1.0, 1000)
        self.venue = VenueLimits(BINANCE)
        self.limiter.learn(6000)
        self.under_way: list[tuple[float, int]] = []
        self.taken = 0
        self.refused: list[float] = []

    @property
    def venue_ns(self) -> int:
        return int((self.now + self._skew_s) * S)

    def others(self, weight: int) -> None:
        if weight:
            self.venue.charge(weight, self.venue_ns)

    def wish(self, weight: int, priority: Priority = Priority.REST, within_s: float = 0.05) -> bool:
        took = self.limiter.take(weight, priority)
        if took:
            self.taken += weight
            self.under_way.append((self.now + within_s, weight))
        return took

    def arrive(self) -> None:
        """What is due reaches the venue, which answers at once."""
        for at, weight in sorted(entry for entry in self.under_way if entry[0] <= self.now):
            self.under_way.remove((at, weight))
            if self.venue.charge(weight, self.venue_ns) is not None:
                self.refused.append(self.now)
            if self._told:
                headers = self.venue.headers("", False, self.venue_ns) | {"Date": formatdate(self.venue_ns // S, usegmt=True)}
                self.hooks.weighed(*header_weight(URL, headers))


@pytest.mark.parametrize("start", [1000.0, 1019.5, 1020.0, 1050.3])
def test_alone_at_the_address_it_changes_nothing(start: float) -> None:
    """A host that always wants more takes the same, whether it is told or not."""
    rng = random.Random(start)
    silent, told = World(start, told=False), World(start)
    while told.now < start + 200:
        weight = rng.choice((1, 4, 5, 6, 20, 80))
        for world in (silent, told):
            for _ in range(40):
                if not world.wish(weight, within_s=0.0):
                    break
            world.arrive()
            world.now += 0.05
    assert silent.taken == told.taken > 14_000 and not told.refused


@pytest.mark.parametrize("skew_s", [-20.0, -3.0, 0.0, 3.0, 20.0])
@pytest.mark.parametrize(("before", "per_tick"), [(5000, 0), (5970, 0), (0, 3), (3000, 2)])
@pytest.mark.parametrize("start", [1025.5, 1050.0, 1076.0])
def test_with_others_at_the_address_the_limit_is_kept(start: float, before: int, per_tick: int, skew_s: float) -> None:
    """`before`: used in this minute already, by the host that was restarted; `per_tick`: somebody else's in 50 ms."""
    rng = random.Random(7)
    world, blind = World(start, skew_s=skew_s), World(start, told=False, skew_s=skew_s)
    for one in (world, blind):
        one.others(before)
        one.wish(20, within_s=0.0)  # the loading of the markets
        one.arrive()
        while one.now < start + 150:
            one.others(per_tick)
            weight = rng.choice((1, 4, 5, 6, 20))
            for _ in range(40):
                if not one.wish(weight):
                    break
            one.arrive()
            one.now += 0.05
    assert not world.refused, "the venue refused"
    assert world.taken > 3000 + (0 if per_tick else 4000), "there was more to have"
    if before == 5970 and (start + skew_s) % 60 < 50:
        assert blind.refused, "without what the venue tells it would have been"


def test_cancels_may_use_up_what_is_left() -> None:
    world = World(1030.0)
    world.others(5700)
    world.wish(1, within_s=0.0)
    world.arrive()
    assert not world.wish(1, Priority.PLACE) and not world.wish(1, Priority.LINK)
    cancels = 0
    while world.wish(1, Priority.CANCEL, within_s=0.0):
        world.arrive()
        cancels += 1
    assert cancels == 299 and not world.refused
    assert 50 < world.limiter.frozen_s() <= 52  # the venue's minute, from 1020 on, and what its times are coarse by
    world.now += world.limiter.frozen_s()
    assert world.wish(1, Priority.CANCEL, within_s=0.0) and world.wish(100, Priority.PLACE, within_s=0.0)
    world.arrive()
    assert not world.refused


def test_it_never_makes_more_of_the_bucket() -> None:
    now = 100.0
    limiter = RateLimiter(6000, 0, clock=lambda: now)
    limiter.learn(60_000)
    assert limiter.take(1500, Priority.REST)
    limiter.told(1, 5, 40.0)
    assert not limiter.take(1, Priority.CANCEL)


def test_answers_come_in_any_order() -> None:
    now = 100.0
    limiter = RateLimiter(6000, 0, clock=lambda: now)
    limiter.learn(6000)
    limiter.told(5990, 7, 10.0)
    limiter.told(100, 7, 12.0)  # an older one of the same minute
    limiter.told(0, 6, 1.0)
    limiter.told(0, 8, -1.0)  # of a minute that is over
    assert sum(limiter.take(1, Priority.CANCEL) for _ in range(20)) == 10
    limiter.told(10, 8, 30.0)  # the next minute
    assert limiter.take(1, Priority.CANCEL)


@pytest.mark.parametrize("used", [6000, 10**12])
def test_nothing_that_it_says_lasts_beyond_a_minute(used: int) -> None:
    now = 100.0
    limiter = RateLimiter(6000, 0, clock=lambda: now)
    limiter.told(used, 7, 10.0)
    assert limiter.take(1, Priority.REST), "its limit is not known"
    limiter.learn(6000)
    limiter.told(used, 7, 10**6)
    assert not limiter.take(1, Priority.CANCEL) and limiter.frozen_s() == 62
    now += 62
    assert limiter.take(1, Priority.REST)


def test_a_venue_that_takes_less_than_we_thought() -> None:
    limiter = RateLimiter(6000, 700, clock=lambda: 100.0)
    limiter.learn(1200)
    assert limiter.burst == 300 and limiter.reserve == 150
    assert limiter.take(150, Priority.PLACE) and not limiter.take(1, Priority.PLACE) and limiter.take(150, Priority.CANCEL)
    limiter.learn(0)  # an answer that does not say changes nothing
    assert limiter.burst == 300
    limiter.learn(90_000)
    assert limiter.burst == 1500 and limiter.reserve == 700


# --- what Binance says ---

DATE = {"Date": "Sat, 21 Nov 2026 17:54:06 GMT"}
AT_NS = 1_795_283_646 * S


@pytest.mark.parametrize(
    ("url", "headers", "found"),
    [
        (URL, {"X-MBX-USED-WEIGHT-1M": "77", **DATE}, (77, AT_NS)),
        (URL, {"x-mbx-used-weight-1m": "0", "date": DATE["Date"]}, (0, AT_NS)),
        (URL, {"X-MBX-USED-WEIGHT": "77", **DATE}, (0, 0)),
        (URL, {"X-MBX-USED-WEIGHT-1M": "77"}, (0, 0)),
        (URL, {"X-MBX-USED-WEIGHT-1M": "77", "Date": "yesterday"}, (0, 0)),
        (URL, {"X-MBX-USED-WEIGHT-1M": "77", "Date": "Sat, 21 Nov 99999 17:54:06 GMT"}, (0, 0)),
        (URL, {"X-MBX-USED-WEIGHT-1M": "-5", **DATE}, (0, 0)),
        (URL, {"X-MBX-USED-WEIGHT-1M": "5.0", **DATE}, (0, 0)),
        (URL, {"X-MBX-USED-WEIGHT-1M": "9" * 5000, **DATE}, (0, 0)),
        (URL.replace("/api/v3/", "/fapi/v1/"), {"X-MBX-USED-WEIGHT-1M": "77", **DATE}, (0, 0)),
        (URL.replace("/api/v3/", "/sapi/v1/"), {"X-SAPI-USED-IP-WEIGHT-1M": "77", **DATE}, (0, 0)),
    ],
)
def test_headers(url: str, headers: dict[str, str], found: tuple[int, int]) -> None:
    assert header_weight(url, headers) == found


ROW = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000, "count": 321}


@pytest.mark.parametrize(
    ("rows", "result", "found"),
    [
        ([ROW], {"transactTime": 5}, (321, 5_000_000)),
        ([ROW], {}, (0, 0)),
        ([ROW], None, (0, 0)),
        ([ROW], {"transactTime": "5"}, (0, 0)),
        ([{**ROW, "count": "1"}], {"transactTime": 5}, (0, 0)),
        ([{**ROW, "intervalNum": 5}], {"transactTime": 5}, (0, 0)),
        ([{**ROW, "interval": "WEEK"}], {"transactTime": 5}, (0, 0)),
        ([], {"transactTime": 5}, (0, 0)),
        (None, {"transactTime": 5}, (0, 0)),
    ],
)
def test_answers_of_the_websocket_api(rows: Any, result: Any, found: tuple[int, int]) -> None:
    assert weight_in({"rateLimits": rows, "result": result}) == found


def test_the_limit_itself() -> None:
    assert weight_limit({"rateLimits": [ROW, {**ROW, "interval": "DAY", "limit": 9}, {**ROW, "limit": 5000}]}) == 5000
    assert weight_limit({}) == weight_limit(None) == weight_limit({"rateLimits": [{**ROW, "rateLimitType": "ORDERS"}]}) == 0
    for bad in ("6000", 0, None):
        with pytest.raises(ValueError, match="expected a whole number above 0"):
            weight_limit({"rateLimits": [{**ROW, "limit": bad}]})
