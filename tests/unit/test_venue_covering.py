"""Which reservations an account event ends: those of the orders that it contains, whatever the clocks say and how it comes."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from decimal import Decimal as D
from typing import Any

import msgspec
import pytest
from risk_requests import NOW, SYMBOL, settings

from fixgw.core.commands import BalancesReport, InstrumentSpec
from fixgw.core.events import BalancesUpdated, ChildConfirmed, ChildPlaced, OrderReceived, SettingsLoaded
from fixgw.core.evolve import evolve
from fixgw.core.sanity import screen
from fixgw.core.state import State, new_state
from fixgw.risk.buying_power import available
from fixgw.venues import covering
from fixgw.venues.base import Balances
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.covering import OVERDUE_NS, UNDATED_NS, StreamBalances
from fixgw.venues.settings import parse_venue
from fixgw.venues.wire import PlaceChild

MS = 1_000_000


class Bench:
    """The connector for Binance without a network: the place is answered at once, events come when the test says so. The
    venue's clock is `skew_ms` away from ours. `account` is what the gateway makes of it all."""

    def __init__(self, skew_ms: int = 0) -> None:
        self.skew_ms = skew_ms
        self.free = {"USDT": D(1000), "BTC": D(10)}
        self.state: State = new_state()
        evolve(self.state, SettingsLoaded(settings=settings(buying_power=True)))
        raw = {"exchange": "binance", "symbols": [SYMBOL], "ws_orders": False}
        self.venue = CcxtVenue(parse_venue(raw, "t", "t"), self)
        names = {"symbol": SYMBOL, "venue_symbol": "BTCUSDT", "base": "BTC", "quote": "USDT"}
        self.venue.listing.specs = {SYMBOL: InstrumentSpec(**names, tick=D("0.01"), lot=D("0.001"))}
        self.venue._dialect._symbol = lambda market_id: SYMBOL  # type: ignore[attr-defined]
        self.venue._exchange.create_order = self._create
        self._numbers = itertools.count(1)
        self.told: list[Balances] = []
        self.rung = 0
        self.snapshot()

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **named: None

    def ack(self, our_id: str, venue_order_id: str) -> None:
        evolve(self.state, ChildConfirmed(venue_cl_ord_id=our_id, ts_ns=time.time_ns(), venue_order_id=venue_order_id))

    def balances(self, found: Balances) -> None:
        self.told.append(found)
        report = BalancesUpdated(
            venue="V", account="A", asof_ns=found.asof_ns, free=found.free, total=found.total, later=found.later
        )
        evolve(self.state, report)

    def balances_changed(self) -> None:
        self.rung += 1

    def snapshot(self, asked_ns: int = 0) -> None:
        self.balances(self.venue._dialect.know_balances(dict(self.free), dict(self.free), asked_ns or time.time_ns()))

    def available(self, asset: str) -> D:
        return available(self.state.account("A"), asset)

    def venue_ms(self) -> int:
        return time.time_ns() // MS + self.skew_ms

    async def _create(self, symbol: str, kind: str, side: str, amount: str, price: str, params: dict[str, Any]) -> Any:
        info = {"transactTime": self.venue_ms(), "side": side.upper(), "orderId": next(self._numbers)}
        asset, qty = ("USDT", D(amount) * D(price)) if side == "buy" else ("BTC", D(amount))
        self.free[asset] -= qty
        return {"id": str(info["orderId"]), "clientOrderId": params["newClientOrderId"], "symbol": symbol, "info": info}

    async def place(self, our_id: str, side: str, qty: int, *, acked: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
        """The order works at the venue; the two events that the stream should bring."""
        reserve = ("USDT", D(qty * 100)) if side == "1" else ("BTC", D(qty))
        evolve(
            self.state,
            OrderReceived(
                order_id="O" + our_id, ts_ns=NOW, session="S", cl_ord_id=our_id, client_account="", account="A", venue="V",
                symbol=SYMBOL, client_symbol=SYMBOL, side=side, ord_type="2", tif="1", order_qty=D(qty), price=D(100),
            ),
        )
        evolve(
            self.state,
            ChildPlaced(
                venue_cl_ord_id=our_id, ts_ns=time.time_ns(), order_id="O" + our_id, venue="V", account="A", symbol=SYMBOL,
                side=side, ord_type="2", tif="1", qty=D(qty), px=D(100), reserve_asset=reserve[0], reserve_qty=reserve[1],
            ),
        )
        request = PlaceChild(
            venue_cl_ord_id=our_id, symbol=SYMBOL, side=side, ord_type="2", tif="1", qty=D(qty), px=D(100), expires_ns=0
        )
        placed = await self.venue.place(request)
        if acked:
            self.ack(our_id, placed.venue_order_id)
        await asyncio.sleep(0.003)  # the next one is not of the same millisecond
        at = self.venue_ms() - 2
        report = {
            "e": "executionReport", "x": "NEW", "X": "NEW", "s": "BTCUSDT", "i": int(placed.venue_order_id), "c": our_id,
            "C": "", "S": "BUY" if side == "1" else "SELL", "T": at, "q": str(qty),
        }  # fmt: skip
        return report, self.position(reserve[0], at)

    def position(self, asset: str, at: int) -> dict[str, Any]:
        return {"e": "outboundAccountPosition", "E": at + 9, "u": at, "B": [{"a": asset, "f": str(self.free[asset]), "l": "0"}]}

    def hear(self, *events: dict[str, Any]) -> None:
        for event in events:
            self.venue._dialect.tap(None, {"event": event})


def run(body: Callable[[Bench], Any], skew_ms: int = 0) -> None:
    async def whole() -> None:
        bench = Bench(skew_ms)
        try:
            await body(bench)
        finally:
            await bench.venue.close()

    asyncio.run(whole())


SKEWS = (-7000, 0, 7000)


@pytest.mark.parametrize("skew_ms", SKEWS)
def test_a_late_event_keeps_the_reservation_of_a_newer_order(skew_ms: int) -> None:
    async def body(bench: Bench) -> None:
        first = await bench.place("a", "1", 1)
        second = await bench.place("b", "1", 5)
        assert bench.available("USDT") == 400
        bench.hear(*first)
        assert bench.available("USDT") == 400, "900 are free in the event, and 500 of them locked since"
        bench.hear(*second)
        assert bench.available("USDT") == 400 and not bench.state.account("A").uncovered, "both are in it"

    run(body, skew_ms)


@pytest.mark.parametrize("skew_ms", SKEWS)
def test_an_event_of_one_asset_says_nothing_of_the_other(skew_ms: int) -> None:
    async def body(bench: Bench) -> None:
        sell, buy = await bench.place("a", "2", 4), await bench.place("b", "1", 1)
        bench.hear(*buy)
        assert (bench.available("BTC"), bench.available("USDT")) == (6, 900)
        assert set(bench.state.account("A").uncovered) == {"a"}
        bench.hear(*sell)
        assert (bench.available("BTC"), bench.available("USDT")) == (6, 900) and not bench.state.account("A").uncovered

    run(body, skew_ms)


@pytest.mark.parametrize("skew_ms", SKEWS)
@pytest.mark.parametrize("acked", [True, False])
def test_the_event_of_an_order_ends_its_reservation_at_once(skew_ms: int, acked: bool) -> None:
    """However far the clocks are apart, whether the answer or the stream was first, and with both assets in turn."""

    async def body(bench: Bench) -> None:
        for number in range(6):
            events = await bench.place(f"n{number}", "12"[number % 2], 1, acked=acked)
            if not acked:
                bench.venue.tracker.begin(f"n{number}", SYMBOL).unsure = True
            bench.hear(*events)
            assert not bench.state.account("A").uncovered
        assert (bench.available("USDT"), bench.available("BTC")) == (700, 7)
        assert not bench.venue._dialect._balances.overdue(time.time_ns() + 10 * OVERDUE_NS)  # type: ignore[attr-defined]

    run(body, skew_ms)


@pytest.mark.parametrize("skew_ms", SKEWS)
def test_doubled_lost_and_overtaken_events(skew_ms: int) -> None:
    async def body(bench: Bench) -> None:
        first, second = await bench.place("a", "1", 1), await bench.place("b", "1", 2)
        bench.hear(*second)
        assert not bench.state.account("A").uncovered, "those of the first were lost: it is older, so it is in it"
        bench.hear(*first, *first)
        assert bench.available("USDT") == 700, "they come after all, and are history"
        third = await bench.place("c", "1", 3)
        bench.hear(*second, *second)
        assert bench.available("USDT") == 400
        bench.hear(third[1], third[0])
        assert bench.available("USDT") <= 400
        bench.snapshot()
        assert bench.available("USDT") == 400 and not bench.state.account("A").uncovered

    run(body, skew_ms)


def test_an_event_older_than_a_snapshot_does_not_undo_it() -> None:
    async def body(bench: Bench) -> None:
        first, _ = await bench.place("a", "1", 1), await bench.place("b", "1", 5)
        bench.snapshot()
        assert bench.available("USDT") == 400 and not bench.state.account("A").uncovered
        bench.hear(*first)
        assert bench.available("USDT") == 400, "its 900 are from before the second order"

    run(body)


def test_what_the_stream_does_not_cover_in_time_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fixgw.venues.dialect_binance._LOOK_S", 0.01)
    monkeypatch.setattr(covering, "OVERDUE_NS", 400 * MS)

    async def body(bench: Bench) -> None:
        watch = asyncio.ensure_future(bench.venue._dialect.run_private())
        try:
            report, position = await bench.place("a", "1", 1)
            bench.hear(report, position)
            await asyncio.sleep(0.6)
            assert not bench.rung
            await bench.place("b", "1", 1)
            async with asyncio.timeout(20):
                while not bench.rung:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            bench.snapshot()
            before = bench.rung
            await asyncio.sleep(0.6)
            assert bench.rung == before, "the answer covers it"
        finally:
            watch.cancel()

    run(body)


# --- StreamBalances by itself ---


def rows(**free: int) -> Iterator[tuple[str, D, D]]:
    return ((asset, D(value), D(value)) for asset, value in free.items())


def test_orders_of_one_millisecond_are_told_apart_by_the_stream() -> None:
    book = StreamBalances()
    book.snapshot({"USDT": D(100)}, {}, 1)
    book.order("a", "USDT", 5, 10)
    book.order("b", "USDT", 5, 11)
    assert book.event(5, rows(USDT=90), 20).at("USDT") == 9, "the stream has told neither"
    book.order("a", "USDT", 5, 21, streamed=True)
    assert book.event(5, rows(USDT=89), 22).at("USDT") == 10, "a is in it, b is not"
    book.order("b", "USDT", 5, 23, streamed=True)
    assert book.event(5, rows(USDT=89), 24).at("USDT") == 10, "the same again is no news"
    assert book.event(5, rows(USDT=80), 25).at("USDT") == 25


def test_an_event_or_an_order_without_a_time_proves_nothing() -> None:
    book = StreamBalances()
    book.snapshot({"USDT": D(100)}, {}, 1)
    assert book.event(0, rows(USDT=70), 5).free["USDT"] == 100
    book.order("a", "USDT", 0, 10)
    assert book.event(7, rows(USDT=80), 20).at("USDT") == 9
    assert book.event(8, rows(USDT=81), 10 + UNDATED_NS).at("USDT") == 9
    assert book.event(9, rows(USDT=82), 11 + UNDATED_NS).at("USDT") == 11 + UNDATED_NS
    book.order("b", "USDT", 0, UNDATED_NS * 2)
    book.order("b", "USDT", 12, UNDATED_NS * 2 + 5, streamed=True)
    assert book.event(11, rows(USDT=83), UNDATED_NS * 3).at("USDT") == UNDATED_NS * 2 - 1, "confirmed when it was first"


def test_many_orders_are_forgotten_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(covering, "MAX_ORDERS", 10)
    book = StreamBalances()
    book.snapshot({"USDT": D(100)}, {}, 1)
    for number in range(1, 31):
        book.order(f"o{number}", "USDT", number, 100 + number)
    assert len(book._keys) == len(book._ids) == len(book._ours) == len(book._key_of) == len(book._waiting) == 10
    assert book.event(19, rows(USDT=50), 200).free["USDT"] == 100, "too old to say what is in it"
    assert book.event(25, rows(USDT=60), 200).at("USDT") == 124
    book.order("o3", "USDT", 3, 300)
    assert book.event(31, rows(USDT=70), 400).at("USDT") == 400


# --- the core ---


def test_a_report_of_before_the_field_is_read_and_bad_times_are_taken_out() -> None:
    old = msgspec.msgpack.Encoder().encode(
        BalancesReport(ts_ns=5, venue="V", account="a", asof_ns=5, free={"USDT": D(1)}, total={})
    )
    fields = msgspec.msgpack.decode(old)
    short = msgspec.msgpack.encode(fields[:-1])
    assert fields[-1] == {} and msgspec.msgpack.decode(short, type=BalancesReport).later == {}
    later = {"USDT": 6, "BTC": 2**62, "ETH": -3}
    report = BalancesReport(ts_ns=7, venue="V", account="a", asof_ns=5, free={"USDT": D(1)}, total={}, later=later)
    kept, alerts = screen(report)
    assert isinstance(kept, BalancesReport) and kept.later == {"USDT": 6} and len(alerts) == 1 and "BTC" in alerts[0]


def test_a_report_that_is_older_for_one_asset_leaves_that_asset() -> None:
    state = new_state()
    evolve(state, SettingsLoaded(settings=settings(buying_power=True)))

    def report(asof_ns: int, usdt: int, btc: int, **later: int) -> tuple[D, D]:
        free = {"USDT": D(usdt), "BTC": D(btc)}
        evolve(state, BalancesUpdated(venue="V", account="A", asof_ns=asof_ns, free=free, total=free, later=later))
        account = state.account("A")
        assert account.free == account.total
        return account.free["USDT"], account.free["BTC"]

    assert report(10, 100, 5) == (100, 5)
    assert report(10, 90, 5, USDT=20) == (90, 5)
    assert report(15, 100, 6) == (90, 6), "made before, comes after"
    assert report(12, 1, 1) == (90, 6)
    assert report(12, 1, 1, BTC=50) == (90, 1), "what it tells as of later is news"
    assert report(25, 80, 7) == (80, 1) and state.account("A").later == {"BTC": 50}
    assert report(55, 80, 7) == (80, 7) and state.account("A").later == {}


def test_the_venue_is_asked_when_no_event_has_covered_an_order_for_a_while() -> None:
    book = StreamBalances()
    assert not book.overdue(10**18)
    book.order("o", "USDT", 5, 100)
    assert not book.overdue(100 + OVERDUE_NS) and book.overdue(101 + OVERDUE_NS)
    book.event(6, [("USDT", D(1), D(1))], 200)
    assert not book.overdue(10**18)
