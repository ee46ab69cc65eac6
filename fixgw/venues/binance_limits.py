"""What Binance tells of its limits: `rateLimits` of exchangeInfo and of WebSocket answers, headers of REST answers.

New orders: per account. Binance counts orders that are unfilled, in aligned windows; ours counts all that left, in windows that
slide. Request weight: per address, whoever asks, in minutes of its clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from .order_rate import Limit

_UNITS_NS = {"SECOND": 1_000_000_000, "MINUTE": 60_000_000_000, "HOUR": 3_600_000_000_000, "DAY": 86_400_000_000_000}
_LETTERS = {unit[0]: span_ns for unit, span_ns in _UNITS_NS.items()}
_MINUTE_NS = _UNITS_NS["MINUTE"]
_SPOT, _DIGITS = "/api/v3/", 12
_HEADER = re.compile(r"x-mbx-order-count-([1-9]\d{0,5})([smhd])", re.IGNORECASE)


def _rows(answer: Any, kind: str = "ORDERS") -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(interval, row) of each limit of this kind; ValueError for a row that is not understood."""
    rows = answer.get("rateLimits") if isinstance(answer, Mapping) else None
    if not isinstance(rows, list):
        return
    for row in rows:
        if not isinstance(row, Mapping) or row.get("rateLimitType") != kind:
            continue
        unit_ns, number = _UNITS_NS.get(str(row.get("interval"))), row.get("intervalNum")
        if unit_ns is None or not isinstance(number, int) or number < 1:
            shown = f"{number!r:.40} {row.get('interval')!r:.40}"
            raise ValueError(f"rateLimits: {kind} in {shown}; expected a number of {', '.join(_UNITS_NS)}")
        yield number * unit_ns, row


def order_limits(answer: Any) -> tuple[Limit, ...]:
    """The limits in exchangeInfo; ValueError for what is not understood."""
    found = []
    for interval_ns, row in _rows(answer):
        orders = row.get("limit")
        if not isinstance(orders, int):
            raise ValueError(f"rateLimits: limit: {orders!r:.40}; expected a whole number")
        found.append(Limit(orders, interval_ns))
    return tuple(found)


def weight_limit(answer: Any) -> float:
    """Request weight per minute in exchangeInfo, the smallest; 0 where it is not told. ValueError for what is not understood."""
    found = []
    for interval_ns, row in _rows(answer, "REQUEST_WEIGHT"):
        limit = row.get("limit")
        if not isinstance(limit, int) or limit < 1:
            raise ValueError(f"rateLimits: REQUEST_WEIGHT: limit: {limit!r:.40}; expected a whole number above 0")
        if interval_ns == _MINUTE_NS:
            found.append(float(limit))
    return min(found, default=0.0)


def weight_in(answer: Any) -> tuple[int, int]:
    """Of a WebSocket answer: the weight that the venue counts in this minute, and when that was by its own clock, in ns; 0
    where it does not tell both."""
    try:
        counts = [row.get("count") for interval_ns, row in _rows(answer, "REQUEST_WEIGHT") if interval_ns == _MINUTE_NS]
    except ValueError:
        return 0, 0
    result = answer.get("result")
    at_ms = result.get("transactTime") if isinstance(result, Mapping) else None
    if not counts or not isinstance(counts[0], int) or not isinstance(at_ms, int):
        return 0, 0
    return counts[0], at_ms * 1_000_000


def header_weight(url: str, headers: Mapping[Any, Any]) -> tuple[int, int]:
    """The same of the headers of a REST answer of spot (futures have a count of their own under the same name)."""
    used, date = "", ""
    if _SPOT in url:
        for name, value in headers.items():
            match str(name).lower():
                case "x-mbx-used-weight-1m":
                    used = str(value)
                case "date":
                    date = str(value)
                case _:
                    pass
    at_ns = _date_ns(date) if used.isdecimal() and len(used) <= _DIGITS else 0
    return (int(used), at_ns) if at_ns else (0, 0)


@lru_cache(maxsize=4)
def _date_ns(text: str) -> int:
    """A Date header, to the second; 0 for what is none."""
    try:
        return int(parsedate_to_datetime(text).timestamp()) * 1_000_000_000
    except (ValueError, TypeError, OverflowError):
        return 0


def counts_in(answer: Any) -> Iterator[tuple[int, int]]:
    """(interval in ns, orders that the venue counts in it) of a WebSocket answer; what is not understood is left out."""
    try:
        rows = [*_rows(answer)]
    except ValueError:
        return
    for interval_ns, row in rows:
        if isinstance(row.get("count"), int):
            yield interval_ns, row["count"]


def header_counts(headers: Mapping[Any, Any]) -> Iterator[tuple[int, int]]:
    """The same of the headers of an answer to a place."""
    for name, value in headers.items():
        found = _HEADER.fullmatch(str(name))
        if found and str(value).isdecimal():
            yield int(found[1]) * _LETTERS[found[2].upper()], int(value)
