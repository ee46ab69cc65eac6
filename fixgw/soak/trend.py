"""Does a series grow? Least squares after the warm-up, each life of a process by itself but with one common slope.

Samples of one life are first averaged in blocks, because neighbouring samples are not independent and the error would come
out too small. A verdict needs MIN_SPAN_S of measured time; before that the figures are shown and judged "too short".
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

MIN_SPAN_S = 900.0
BLOCKS = 12
# a restarted process warms up again
LIFE_WARMUP_S = 60.0
GROWS, STEADY, UNCLEAR, SHORT, INFORMATION = "GROWS", "steady", "unclear", "too short", "not judged"


class Point(msgspec.Struct, frozen=True):
    """`life`: the process that it belongs to (a pid); points of different lives are not compared."""

    at_s: float
    value: float
    life: int = 0


class Trend(msgspec.Struct, frozen=True):
    """`slope` and `error` (one standard error) per hour, in `unit`; `limit`: the slope that is allowed, None: not judged."""

    name: str
    unit: str
    slope: float | None
    error: float | None
    limit: float | None
    verdict: str
    last: float | None


def fit(points: Iterable[Point], warmup_s: float) -> tuple[float | None, float | None, float]:
    """(slope per hour, its standard error, seconds covered); None where there is too little to tell."""
    lives: dict[int, list[Point]] = {}
    for point in points:
        lives.setdefault(point.life, []).append(point)
    total_s, kept = 0.0, []
    for number, life in enumerate(sorted(lives.values(), key=lambda life: life[0].at_s)):
        begin = warmup_s if number == 0 else max(warmup_s, life[0].at_s + LIFE_WARMUP_S)
        later = [point for point in life if point.at_s >= begin]
        if len(later) >= 3:
            kept.append(later)
            total_s += later[-1].at_s - later[0].at_s
    sxx = sxy = syy = 0.0
    blocks = 0
    for later in kept:
        means = _blocks(later, max(3, round(BLOCKS * (later[-1].at_s - later[0].at_s) / total_s)) if total_s else 3)
        middle_x = sum(x for x, _ in means) / len(means)
        middle_y = sum(y for _, y in means) / len(means)
        sxx += sum((x - middle_x) ** 2 for x, _ in means)
        sxy += sum((x - middle_x) * (y - middle_y) for x, y in means)
        syy += sum((y - middle_y) ** 2 for _, y in means)
        blocks += len(means)
    if sxx <= 0:
        return None, None, total_s
    free = blocks - len(kept) - 1
    slope = sxy / sxx
    error = math.sqrt(max(0.0, syy - slope * sxy) / free / sxx) if free > 0 else None
    return slope * 3600, error * 3600 if error is not None else None, total_s


def _blocks(points: list[Point], count: int) -> list[tuple[float, float]]:
    """Means of (time, value) over `count` equal parts of the list, as far as it goes."""
    count = min(count, len(points))
    parts = [points[len(points) * i // count : len(points) * (i + 1) // count] for i in range(count)]
    return [(sum(p.at_s for p in part) / len(part), sum(p.value for p in part) / len(part)) for part in parts]


def judge_trend(name: str, unit: str, points: list[Point], warmup_s: float, limit: float | None) -> Trend:
    """GROWS when the slope is above the limit by two standard errors; steady when it is certainly not above it."""
    slope, error, span_s = fit(points, warmup_s)
    last = points[-1].value if points else None
    if limit is None:
        verdict = INFORMATION
    elif slope is None or error is None or span_s < MIN_SPAN_S:
        verdict = SHORT
    elif slope - 2 * error > limit:
        verdict = GROWS
    else:
        verdict = STEADY if slope <= limit and slope + 2 * error <= 2 * limit else UNCLEAR
    return Trend(name, unit, slope, error, limit, verdict, last)
