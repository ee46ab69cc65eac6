"""What Binance tells of its limits of new orders: `rateLimits` of exchangeInfo and of WebSocket answers, headers of REST answers.

Per account. Binance counts orders that are unfilled, in aligned windows; ours counts all that left, in windows that slide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .order_rate import Limit

_UNITS_NS = {"SECOND": 1_000_000_000, "MINUTE": 60_000_000_000, "HOUR": 3_600_000_000_000, "DAY": 86_400_000_000_000}
_LETTERS = {unit[0]: span_ns for unit, span_ns in _UNITS_NS.items()}
_HEADER = re.compile(r"x-mbx-order-count-([1-9]\d{0,5})([smhd])", re.IGNORECASE)


def _rows(answer: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(interval, row) of each limit of orders; ValueError for a row that is not understood."""
    rows = answer.get("rateLimits") if isinstance(answer, Mapping) else None
    if not isinstance(rows, list):
        return
    for row in rows:
        if not isinstance(row, Mapping) or row.get("rateLimitType") != "ORDERS":
            continue
        unit_ns, number = _UNITS_NS.get(str(row.get("interval"))), row.get("intervalNum")
        if unit_ns is None or not isinstance(number, int) or number < 1:
            shown = f"{number!r:.40} {row.get('interval')!r:.40}"
            raise ValueError(f"rateLimits: ORDERS in {shown}; expected a number of {', '.join(_UNITS_NS)}")
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
