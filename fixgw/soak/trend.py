"""Does a series grow? Theil-Sen: the median of the slopes between all pairs of moments of one life of a process, after the
warm-up, with the 95 % interval that Kendall's statistic gives it (Sen 1968).

A single step (a collection, one more arena, a resized table) moves fewer than half of those pairs or leaves the interval
around zero: it is no trend. Samples are first gathered to the medians of BLOCKS equal spans, because neighbouring samples are
not independent and the interval would come out too narrow. A verdict needs MIN_SPAN_S of measured time; before that the
figures are shown and judged "too short".

A step early in the measured time, with a little drift before it, does lift the whole interval. A leak goes on: what rises by the
whole but plainly stands still in the later half "levelled off". Where the later half is too short or too noisy to show that,
what rises GROWS.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median

import msgspec

MIN_SPAN_S = 900.0
BLOCKS = 20
# a restarted process warms up again
LIFE_WARMUP_S = 60.0
# two-sided 95 %
_Z = 1.96
GROWS, STEADY, LEVELLED, UNCLEAR = "GROWS", "steady", "levelled off", "unclear"
SHORT, INFORMATION = "too short", "not judged"


class Point(msgspec.Struct, frozen=True):
    """`life`: the process that it belongs to (a pid); points of different lives are not compared."""

    at_s: float
    value: float
    life: int = 0


class Trend(msgspec.Struct, frozen=True):
    """`slope`, and the interval `low` to `high` that holds it with 95 %, per hour in `unit`; `limit`: the slope that is
    allowed, None: not judged."""

    name: str
    unit: str
    slope: float | None
    low: float | None
    high: float | None
    limit: float | None
    verdict: str
    last: float | None


class Fit(msgspec.Struct, frozen=True):
    """Slopes per hour, None where there is too little to tell; `span_s`: measured time."""

    slope: float | None
    low: float | None
    high: float | None
    span_s: float


def fit(points: Iterable[Point], warmup_s: float) -> Fit:
    """The slope after the warm-up."""
    lives: dict[int, list[Point]] = {}
    for point in points:
        lives.setdefault(point.life, []).append(point)
    kept = []
    for number, life in enumerate(sorted(lives.values(), key=lambda life: life[0].at_s)):
        begin = warmup_s if number == 0 else max(warmup_s, life[0].at_s + LIFE_WARMUP_S)
        later = [point for point in life if point.at_s >= begin]
        if len(later) >= 3:
            kept.append(later)
    span_s = sum(later[-1].at_s - later[0].at_s for later in kept)
    slopes: list[float] = []
    variance = 0.0
    for later in kept:
        share = (later[-1].at_s - later[0].at_s) / span_s if span_s else 1.0
        blocks = _blocks(later, max(3, round(BLOCKS * share)))
        slopes += [
            (y - x_value) / (t - x_time) * 3600
            for place, (x_time, x_value) in enumerate(blocks)
            for t, y in blocks[place + 1 :]
            if t > x_time
        ]
        count = len(blocks)
        variance += count * (count - 1) * (2 * count + 5) / 18
    if not slopes:
        return Fit(None, None, None, span_s)
    slopes.sort()
    margin = _Z * math.sqrt(variance)
    low = slopes[max(0, math.floor((len(slopes) - margin) / 2) - 1)]
    high = slopes[min(len(slopes) - 1, math.ceil((len(slopes) + margin) / 2))]
    return Fit(median(slopes), low, high, span_s)


def _blocks(points: list[Point], count: int) -> list[tuple[float, float]]:
    """Medians of (time, value) over `count` equal parts of the list, as far as it goes."""
    count = min(count, len(points))
    parts = [points[len(points) * i // count : len(points) * (i + 1) // count] for i in range(count)]
    return [(median(p.at_s for p in part), median(p.value for p in part)) for part in parts]


def judge_trend(name: str, unit: str, points: list[Point], warmup_s: float, limit: float | None) -> Trend:
    """Steady when the slope does not lie above the limit and the interval does not reach far beyond it (twice the limit); else
    levelled off when the later half shows it; else GROWS when the whole interval lies above the limit; else unclear."""
    found = fit(points, warmup_s)
    last = points[-1].value if points else None
    if limit is None:
        verdict = INFORMATION
    elif found.slope is None or found.low is None or found.high is None or found.span_s < MIN_SPAN_S:
        verdict = SHORT
    elif found.slope <= limit and found.high <= 2 * limit:
        verdict = STEADY
    elif _levelled(points, warmup_s, limit):
        verdict = LEVELLED
    else:
        verdict = GROWS if found.low > limit else UNCLEAR
    return Trend(name, unit, found.slope, found.low, found.high, limit, verdict, last)


def _levelled(points: list[Point], warmup_s: float, limit: float) -> bool:
    """The later half of the measured time rises by at most half the limit (the half alone says less, and a slope of the limit and
    a half is not to pass for none), and that is known: its interval ends within twice the limit and is no wider than that to
    either side."""
    begin_s = max(warmup_s, min(p.at_s for p in points))
    late = fit(points, (begin_s + max(p.at_s for p in points)) / 2)
    if late.slope is None or late.low is None or late.high is None or late.span_s < MIN_SPAN_S / 2:
        return False
    return late.slope <= limit / 2 and late.high <= 2 * limit and late.high - late.low <= 4 * limit
