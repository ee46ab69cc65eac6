"""All trades of ours since some time, at any ccxt exchange, and whether these are all of them.

Exchanges differ: some list the oldest trades after `since` first, some the newest (okx), their pages are shorter than asked for,
some look no further than some days from `since`, and some list other symbols too, which ccxt takes out of the page. So a page
proves little, and "complete" is said only where it follows:
  forwards   from the newest trade seen, until nothing new comes. If that brought trades that were there before the first page
             was asked for, the exchange lists the oldest first, and there is nothing before the first page.
  backwards  else, and if the first page may have been cut: with `until` at the oldest trade seen, until nothing new comes. The
             answer must hold a trade that is known and none from after `until`, or else the exchange does not heed it.
Rows are counted as the exchange lists them, before ccxt takes any out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import ccxt

from .ccxt_abilities import kind_of
from .tracker import trade_key

# a row as the exchange lists it: id, time in ms
Row: TypeAlias = tuple[str, int | None]
_DAY_MS = 86_400_000
# clocks differ by less
_SKEW_MS = 10_000
# ms by which a page backwards overlaps what is known: the second for exchanges that count seconds
_OVERLAPS = (1, 1000)
# the shortest page that may have been cut, where ccxt does not know the exchange's own
_CUT_FROM = 20
_ROWS: ContextVar[list[Row] | None] = ContextVar("fixgw_trade_rows", default=None)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far one window of trades is read: rows asked for a page, pages, seconds."""

    page: int
    pages: int
    seconds: float


@dataclass(slots=True)
class _Page:
    """One answer: the trades of our symbol, and all rows of it."""

    trades: list[dict[str, Any]]
    rows: list[Row]

    def times(self) -> list[int]:
        return [when for _, when in self.rows if when is not None]


class _Spent(Exception):
    """The bounds are reached. Recoverable: what was read is told as a part."""


def count_rows(exchange: Any) -> None:
    """Make this exchange's parse_trades note what it is given, before it takes other symbols out, and leave in what is beyond
    the number asked for: it would be known as read."""
    inner: Callable[..., Any] = exchange.parse_trades

    def parse_trades(trades: Any, market: Any = None, since: Any = None, limit: Any = None, *rest: Any, **named: Any) -> Any:
        rows = _ROWS.get()
        if rows is None:
            return inner(trades, market, since, limit, *rest, **named)
        for raw in exchange.to_array(trades):
            parsed = exchange.parse_trade(raw, market)
            rows.append((str(parsed.get("id")), parsed.get("timestamp")))
        return inner(trades, market, since, None, *rest, **named)

    exchange.parse_trades = parse_trades


async def read_trades(exchange: Any, symbol: str, since_ms: int, bounds: Bounds) -> tuple[list[dict[str, Any]], bool]:
    """Unified trades since then, oldest first, and whether these are all. Raises what ccxt raises."""
    return await _Reader(exchange, symbol, bounds).read(max(1, since_ms))


@dataclass
class _Reader:
    """One reading of one symbol."""

    exchange: Any
    symbol: str
    bounds: Bounds
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    pages: int = 0

    def __post_init__(self) -> None:
        self._end = time.monotonic() + self.bounds.seconds
        declared = self._feature("limit")
        self._size = min(self.bounds.page, declared or self.bounds.page)
        self._cut_from = self._size if declared else min(self._size, _CUT_FROM)

    def _feature(self, name: str) -> int:
        """A figure of ccxt's about fetchMyTrades; 0 when it has none."""
        kind = kind_of(self.symbol)
        by = (kind, None) if kind == "spot" else ("swap" if kind == "swap" else "future", "linear")
        value = self.exchange.feature_value_by_type(*by, "fetchMyTrades", name)
        return value if isinstance(value, int) and value > 0 else 0

    async def read(self, since_ms: int) -> tuple[list[dict[str, Any]], bool]:
        now_ms = time.time_ns() // 1_000_000
        days_back = self._feature("daysBack")
        complete = not days_back or since_ms >= now_ms - days_back * _DAY_MS  # older ones the exchange has forgotten
        try:
            windows, whole = self._windows(since_ms, now_ms)
            for start, end in windows:
                complete = await self._window(start, end) and complete
        except _Spent:
            whole = False
        found = [trade for trade in self.found.values() if trade.get("timestamp") is None or trade["timestamp"] >= since_ms]
        return sorted(found, key=lambda trade: int(trade.get("timestamp") or 0)), complete and whole

    def _windows(self, since_ms: int, now_ms: int) -> tuple[list[tuple[int, int | None]], bool]:
        """Windows that the exchange answers for in one piece, the oldest first, and whether they reach from then to now."""
        span = self._feature("untilDays") * _DAY_MS - 1
        if span < 0 or since_ms + span >= now_ms:
            return [(since_ms, None)], True
        if (now_ms - since_ms) // span > self.bounds.pages:
            return [(since_ms, None)], False
        out: list[tuple[int, int | None]] = []
        while since_ms + span < now_ms:
            out.append((since_ms, since_ms + span))
            since_ms += span
        return [*out, (since_ms, None)], True

    async def _page(self, since_ms: int, until_ms: int | None) -> _Page:
        if self.pages >= self.bounds.pages or time.monotonic() > self._end:
            raise _Spent
        self.pages += 1
        rows: list[Row] = []
        token = _ROWS.set(rows)
        try:
            params = {} if until_ms is None else {"until": until_ms}
            trades = await self.exchange.fetch_my_trades(self.symbol, since_ms, self._size, params)
        finally:
            _ROWS.reset(token)
        if not isinstance(trades, list):
            raise ccxt.BadResponse("trades: the answer is not a list")
        return _Page(trades, rows or [(str(trade["id"]), trade.get("timestamp")) for trade in trades])

    def _take(self, page: _Page) -> list[Row]:
        """The rows of a page that are new."""
        new = [row for row in page.rows if row[0] not in self.known]
        self.known.update(name for name, _ in page.rows)
        for trade in page.trades:
            self.found.setdefault(trade_key(self.symbol, trade["id"], trade.get("side")), trade)
        return new

    async def _window(self, start: int, end: int | None) -> bool:
        """Read one window; True: all of it, which is proven."""
        asked_ms = time.time_ns() // 1_000_000
        first = await self._page(start, end)
        self._take(first)
        if not first.rows:
            return True
        if len(first.times()) < len(first.rows):
            return False  # rows without a time cannot be paged
        oldest_first, last = await self._forwards(first, end, asked_ms)
        if len(last.rows) >= self._cut_from and len(set(last.times())) == 1:
            return False  # more of them at one time than a page holds
        return oldest_first or len(first.rows) < self._cut_from or await self._backwards(start, min(first.times()))

    async def _forwards(self, page: _Page, end: int | None, asked_ms: int) -> tuple[bool, _Page]:
        """Until nothing new comes. Whether the exchange is proven to list the oldest first, and the last page."""
        newest, oldest_first = max(page.times()), False
        while True:
            page = await self._page(max(1, newest - 1), end)  # -1: some leave out the time itself
            new = self._take(page)
            times = [when for _, when in new if when is not None]
            if not times:
                return oldest_first, page
            oldest_first = oldest_first or any(newest < when < asked_ms - _SKEW_MS for when in times)
            newest = max(newest, *times)

    async def _backwards(self, start: int, oldest: int) -> bool:
        while True:
            page, new = await self._before(start, oldest)
            if page is None:
                return False
            if oldest < start:  # it takes no notice of `since`; it is past it, if it lists the newest first: older ones show that
                return bool(new) and min(page.times()) < oldest
            if not new or min(page.times()) >= oldest:
                return len(page.rows) < self._cut_from
            oldest = min(page.times())

    async def _before(self, start: int, oldest: int) -> tuple[_Page | None, list[Row]]:
        """The page that ends where what is known begins, and what is new in it; None where `until` is not heeded."""
        known = frozenset(self.known)
        new: list[Row] = []
        for overlap in _OVERLAPS:
            until = oldest + overlap
            try:
                page = await self._page(min(start, oldest), until)
            except ccxt.ExchangeError:  # it does not know the parameter: nothing is proven
                return None, []
            new += self._take(page)
            if len(page.times()) < len(page.rows) or any(when > until + _OVERLAPS[-1] for when in page.times()):
                return None, []
            if any(name in known for name, _ in page.rows):
                return page, new
        return None, []
