"""Retry-After: what makes sense is kept, what does not is taken as not said; a venue cannot stop itself for ever."""

from __future__ import annotations

import math
from email.utils import formatdate

import pytest

from fixgw.venues.ccxt_exchange import Hooks
from fixgw.venues.limiter import RateLimiter
from fixgw.venues.order_rate import OrderRate
from fixgw.venues.retry_after import from_headers, kept_s, until

NOW = 1_795_283_333.0
DAY = 86_400.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5.0), ("0", 0.0), ("0.5", 0.5), (" 120 ", 120.0), ("259200", 3 * DAY),
        (formatdate(NOW + 90, usegmt=True), 90.0), (formatdate(NOW - 90, usegmt=True), 1.0),
        ("Sunday, 22-Nov-26 05:50:00 GMT", None), (formatdate(NOW + 30), 30.0),
        ("inf", None), ("-inf", None), ("nan", None), ("1e308", None), ("1e3", None), ("-5", None), ("+5", None), ("", None),
        ("259201", None), ("9" * 5000, None), ("9" * 9, None), ("٣", None), ("0x10", None), ("1_000", None), ("10, 20", None),
        ("5 s", None), (formatdate(NOW + 4 * DAY, usegmt=True), None), ("Fri, 32 Xyz 99999 25:61:61 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 +9999", None), ("Mon, 01 Jan 9999 00:00:00 -2359", None),
        ("\x00", None), ("x" * 10_000, None),
    ],
)  # fmt: skip
def test_what_makes_sense_and_what_does_not(text: str, seconds: float | None) -> None:
    found = from_headers({"X": "1", "retry-AFTER": text}, NOW)
    if text.startswith("Sunday"):  # an obsolete form, which may be read or not
        assert found is None or 0 <= found <= 3 * DAY
    else:
        assert found == (None if seconds is None else pytest.approx(seconds, abs=1.0))
    assert from_headers({"X": text}, NOW) is None


@pytest.mark.parametrize("value", ["5", None, True, 1e308, math.inf, math.nan, 10**400, -1, 0, [], {}, int(NOW * 1000) + 10**12])
def test_no_moment(value: object) -> None:
    assert until(value, NOW) is None


def test_moments() -> None:
    assert until(int(NOW * 1000) + 30_000, NOW) == pytest.approx(30)
    assert until(int(NOW * 1000) - 30_000, NOW) == 1.0


def test_what_is_kept() -> None:
    """A ban as long as honest ones last; after a warning a quarter of an hour; for too many orders a day."""
    assert [kept_s(None, status, False) for status in (418, 429)] == [10.0, 10.0]
    assert (kept_s(3 * DAY, 418, False), kept_s(3 * DAY, 429, False), kept_s(3 * DAY, 429, True)) == (3 * DAY, 900.0, DAY)
    assert kept_s(60.0, 429, False) == 60.0


@pytest.mark.parametrize("seconds", [math.nan, -math.inf, -1.0])
def test_no_freeze(seconds: float) -> None:
    limiter, rate = RateLimiter(1200, 50), OrderRate()
    limiter.freeze(seconds)
    rate.freeze(seconds)
    assert limiter.frozen_s() == 0.0
    assert rate.take() is not None


def test_a_ban_says_until_when() -> None:
    hooks = Hooks(RateLimiter(1200, 50), 1.0, 1000)
    assert hooks.forbidden() == ""
    hooks.limited(429, "", 2.0)
    assert hooks.forbidden() == "", "over before anybody could read it"
    hooks.limited(418, "", 7200.0)
    told = hooks.forbidden()
    assert told.startswith("the venue wants no request until 20") and told.endswith(" UTC")
    hooks.limited(429, "", None)
    assert hooks.forbidden() == told and 7100 < hooks.limiter.frozen_s() <= 7200
