"""Every way in which exchanges list trades: all of them are read, or it is not called complete."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import ccxt
import pytest
from ccxt_dry import SPOT, dry

import fixgw.venues.trade_pages as trade_pages
from fixgw.venues.trade_pages import Bounds, count_rows, read_trades

NOW_MS = time.time_ns() // 1_000_000
DAY_MS = 86_400_000
BOUNDS = Bounds(page=100, pages=100, seconds=20.0)


@dataclass
class Listing:
    """An exchange's list of our trades. `times`: ms of each."""

    times: list[int]
    newest_first: bool = False
    page: int = 100
    heeds_until: bool = True
    heeds_since: bool = True
    exclusive: bool = False
    in_seconds: bool = False
    span_ms: int = 0
    days_back: int = 0
    declared: int | None = 100
    others: int = 0  # of so many, only every such is of our symbol
    requests: int = 0

    def feature_value_by_type(self, kind: str, sub: Any, method: str, name: str) -> Any:
        assert (kind, sub, method) == ("spot", None, "fetchMyTrades")
        return {"limit": self.declared, "untilDays": self.span_ms // DAY_MS or None, "daysBack": self.days_back or None}[name]

    def to_array(self, rows: Any) -> Any:
        return rows

    def parse_trade(self, row: Any, market: Any) -> Any:
        return row

    def parse_trades(self, rows: Any, market: Any, since: Any = None, limit: Any = None) -> Any:
        mine = [row for row in rows if row["symbol"] == SPOT and row["timestamp"] >= since]
        return sorted(mine, key=lambda row: row["timestamp"])[:limit]

    async def fetch_my_trades(self, symbol: str, since: int, limit: int, params: dict[str, Any]) -> Any:
        self.requests += 1
        until = params.get("until") if self.heeds_until else None
        if self.span_ms:
            assert until is None or until - since <= self.span_ms, "the exchange would refuse it"
            until = min(until or since + self.span_ms, since + self.span_ms)
        if self.in_seconds:
            since, until = since // 1000 * 1000, until and until // 1000 * 1000
        rows = [
            {"id": str(n), "timestamp": when, "symbol": "ETH/USDT" if self.others and n % self.others else SPOT}
            for n, when in enumerate(self.times)
            if (not self.heeds_since or when > since or (when == since and not self.exclusive))
            and (until is None or when <= until)
            and when >= NOW_MS - (self.days_back or 10_000) * DAY_MS
        ]
        rows.sort(key=lambda row: row["timestamp"], reverse=self.newest_first)
        return self.parse_trades(rows[: self.page], None, since, limit)

    @property
    def wanted(self) -> list[str]:
        return [str(n) for n in range(len(self.times)) if not self.others or n % self.others == 0]


def spaced(count: int, step_ms: int = 1000, end_ms: int = NOW_MS - 60_000) -> list[int]:
    return [end_ms - (count - 1 - n) * step_ms for n in range(count)]


def read(listing: Listing, since_ms: int = 0, bounds: Bounds = BOUNDS) -> tuple[list[str], bool]:
    count_rows(listing)
    since = since_ms or (min(listing.times) - 5 if listing.times else NOW_MS - DAY_MS)
    found, complete = asyncio.run(read_trades(listing, SPOT, since, bounds))
    return [trade["id"] for trade in found], complete


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250, 1000])
@pytest.mark.parametrize("how", [{}, {"exclusive": True}, {"in_seconds": True}, {"page": 50, "declared": None}, {"others": 7}])
def test_all_are_read_and_said_to_be_all(newest_first: bool, count: int, how: dict[str, Any]) -> None:
    listing = Listing(spaced(count, 700), newest_first=newest_first, **how)
    found, complete = read(listing)
    assert found == listing.wanted and complete
    assert listing.requests <= 2 * count // listing.page + 6


@pytest.mark.parametrize("count", [100, 101, 250])
def test_what_until_does_not_reach_is_not_called_complete(count: int) -> None:
    assert read(Listing(spaced(count), newest_first=True, heeds_until=False))[1] is False
    assert read(Listing(spaced(count), newest_first=False, heeds_until=False)) == ([str(n) for n in range(count)], count > 100)


def test_a_page_that_may_be_shorter_than_ccxt_knows_is_not_taken_for_the_end() -> None:
    assert read(Listing(spaced(100), newest_first=True, heeds_until=False, page=50, declared=None))[1] is False
    assert read(Listing(spaced(19), newest_first=True, heeds_until=False, page=50, declared=None))[1] is True


def test_an_exchange_that_refuses_the_parameter_is_not_called_complete() -> None:
    class Refusing(Listing):
        async def fetch_my_trades(self, symbol: str, since: int, limit: int, params: dict[str, Any]) -> Any:
            if params:
                raise ccxt.BadRequest("unknown parameter until")
            return await super().fetch_my_trades(symbol, since, limit, params)

    assert read(Refusing(spaced(250), newest_first=True))[1] is False


def test_an_answer_that_fails_is_told() -> None:
    class Failing(Listing):
        async def fetch_my_trades(self, symbol: str, since: int, limit: int, params: dict[str, Any]) -> Any:
            if params:
                raise ccxt.ExchangeNotAvailable("gone")
            return await super().fetch_my_trades(symbol, since, limit, params)

    with pytest.raises(ccxt.NetworkError):
        read(Failing(spaced(250), newest_first=True))


@pytest.mark.parametrize("newest_first", [False, True])
def test_windows_of_some_days_are_walked(newest_first: bool) -> None:
    """bybit: seven days from `since`, the newest first; the first weeks are empty."""
    old = NOW_MS - 30 * DAY_MS
    listing = Listing([*spaced(150, 1000), old + 1], newest_first=newest_first, span_ms=7 * DAY_MS)
    found, complete = read(listing, old)
    assert complete and sorted(found, key=int) == [str(n) for n in range(151)]


def test_a_time_beyond_every_window_is_one_window_and_not_complete() -> None:
    listing = Listing([], span_ms=DAY_MS)
    assert read(listing, 1) == ([], False) and listing.requests == 1


def test_what_the_exchange_has_forgotten_is_not_complete() -> None:
    assert read(Listing(spaced(3), days_back=90), NOW_MS - 91 * DAY_MS) == (["0", "1", "2"], False)
    assert read(Listing(spaced(3), days_back=90), NOW_MS - 89 * DAY_MS)[1] is True


@pytest.mark.parametrize("newest_first", [False, True])
def test_more_at_one_time_than_a_page_is_not_complete(newest_first: bool) -> None:
    same = [NOW_MS - 60_000] * 150
    assert read(Listing(same, newest_first=newest_first))[1] is False
    assert read(Listing([NOW_MS - 60_000] * 60, newest_first=newest_first))[1] is True
    around = [*spaced(150), *[NOW_MS - 30_000] * 150, *range(NOW_MS - 20_000, NOW_MS - 19_850)]
    assert read(Listing(around, newest_first=newest_first))[1] is False


def test_a_list_that_takes_no_notice_of_since() -> None:
    listing = Listing(spaced(300), newest_first=True, heeds_since=False)
    found, complete = read(listing, listing.times[120])
    assert complete and found == [str(n) for n in range(120, 300)]
    assert read(Listing(spaced(300), heeds_since=False), spaced(300)[120])[1] is False


def test_more_rows_than_asked_for_are_not_lost() -> None:
    listing = Listing(spaced(900), newest_first=True, page=500)
    found, complete = read(listing)
    assert complete and found == listing.wanted


def test_rows_without_a_time_are_not_complete() -> None:
    class Timeless(Listing):
        def parse_trade(self, row: Any, market: Any) -> Any:
            return row | {"timestamp": None}

    assert read(Timeless(spaced(3)))[1] is False


@pytest.mark.parametrize("newest_first", [False, True])
def test_the_bounds_hold(newest_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = Listing(spaced(5000), newest_first=newest_first)
    found, complete = read(listing, bounds=Bounds(100, 7, 20.0))
    assert not complete and listing.requests == 7 and len(found) >= 500
    ticks = iter(range(10_000))
    monkeypatch.setattr(trade_pages.time, "monotonic", lambda: float(next(ticks)))
    slow = Listing(spaced(5000), newest_first=newest_first)
    assert not read(slow, bounds=Bounds(100, 100, 3.0))[1] and slow.requests <= 4


def test_trades_that_come_while_we_read_are_read() -> None:
    class Busy(Listing):
        async def fetch_my_trades(self, symbol: str, since: int, limit: int, params: dict[str, Any]) -> Any:
            page = await super().fetch_my_trades(symbol, since, limit, params)
            if self.requests <= 3:
                self.times.append(time.time_ns() // 1_000_000 + self.requests)
            return page

    for newest_first in (False, True):
        listing = Busy(spaced(150), newest_first=newest_first)
        found, complete = read(listing)
        assert complete and found == listing.wanted


def test_okx_reads_an_order_of_many_fills_and_a_long_window() -> None:
    """ccxt's own okx, which lists a hundred a page, the newest first."""
    rows = [
        {"instType": "SPOT", "instId": "BTC-USDT", "tradeId": str(n), "ordId": "77" if n <= 150 else str(n), "fillPx": "60000",
         "fillSz": "0.001", "side": "buy", "execType": "T", "feeCcy": "BTC", "fee": "0", "ts": str(NOW_MS - (300 - n) * 1000)}
        for n in range(1, 251)
    ]  # fmt: skip

    async def body() -> None:
        made = dry("okx")

        async def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
            query = dict(part.split("=") for part in url.partition("?")[2].split("&"))
            found = [
                row for row in rows
                if ("ordId" not in query or row["ordId"] == query["ordId"])
                and int(query.get("begin", 0)) <= int(row["ts"]) <= int(query.get("end", 10**14))
            ]  # fmt: skip
            return {"code": "0", "msg": "", "data": found[::-1][:100]}

        made.exchange.fetch = fetch
        since_ns = (NOW_MS - 400_000) * 1_000_000
        found, complete = await made.venue._dialect.trades_since(SPOT, since_ns)
        assert complete and [trade["id"] for trade in found] == [str(n) for n in range(1, 251)]
        fills = await made.venue._dialect.order_trades("77", SPOT, since_ns)
        assert sorted(int(fill["id"]) for fill in fills) == list(range(1, 151))
        await made.venue.close()

    asyncio.run(body())
