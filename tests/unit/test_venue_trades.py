"""Trades by REST: what blocks a "not found", what is a check, and windows that are too large to read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal as D
from typing import Any

import ccxt
import pytest

import fixgw.venues.ccxt_dialect as ccxt_dialect
import fixgw.venues.dialect_binance as dialect_binance
from fixgw.core.commands import OpenOrder, VenueTrade
from fixgw.venues import host_clock
from fixgw.venues.base import Ambiguous, Done
from fixgw.venues.ccxt_exchange import CALL
from fixgw.venues.ccxt_missing import GAP_MARGIN_NS
from fixgw.venues.ccxt_trades import may_hide_fills
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.settings import parse_venue
from fixgw.venues.wire import QueryChild

SYMBOL = "BTC/USDT"
HOURS_AGO_NS = time.time_ns() - 3 * 3600 * 1_000_000_000


def trade(number: int, **fields: Any) -> VenueTrade:
    values: dict[str, Any] = {
        "account": "main", "symbol": SYMBOL, "venue_cl_ord_id": "", "venue_order_id": "7", "venue_trade_id": str(number),
        "side": "1", "qty": D(1), "px": D(10), "venue_ns": 100,
    }  # fmt: skip
    return VenueTrade(**(values | fields))


ASKED: dict[str, Any] = {"symbol": SYMBOL, "since_ns": 100, "side": "1", "qty": D(1)}


@pytest.mark.parametrize(
    ("fields", "asked", "hidden"),
    [
        ({}, {}, True),
        ({"venue_order_id": ""}, {}, True),
        ({"venue_cl_ord_id": "OTHER"}, {}, False),
        ({"symbol": "ETH/USDT"}, {}, False),
        ({"side": "2"}, {}, False),
        ({"side": "2"}, {"side": ""}, True),
        ({"venue_ns": 99}, {}, False),
        ({"venue_ns": 0}, {}, True),
        ({"qty": D("1.1")}, {}, False),
        ({"qty": D("1.1")}, {"qty": None}, True),
        ({}, {"venue_order_id": "8"}, False),
        ({}, {"venue_order_id": "7"}, True),
    ],
)
def test_which_unnamed_trade_could_be_of_the_order(fields: dict[str, Any], asked: dict[str, Any], hidden: bool) -> None:
    assert may_hide_fills([trade(1, **fields)], **(ASKED | asked)) is hidden


def test_an_order_that_executed_more_than_ours_is_not_ours() -> None:
    assert not may_hide_fills([trade(1, qty=D("0.6")), trade(2, qty=D("0.6"))], **ASKED)
    assert may_hide_fills([trade(1, qty=D("0.6")), trade(2, qty=D("0.6"), venue_order_id="8")], **ASKED)


class NoSink:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **named: None


class Exchange:
    """Trades and orders of one account, as ccxt would give them; pages of `page`."""

    def __init__(self, venue: CcxtVenue, count: int = 0, page: int = 10) -> None:
        self.page = page
        self.requests = 0
        now_ms = time.time_ns() // 1_000_000
        self.trades: list[dict[str, Any]] = [
            {"id": str(n), "order": f"o{n}", "symbol": SYMBOL, "side": "buy", "amount": "1", "price": "10",
             "timestamp": now_ms - (count - n) * 1000}
            for n in range(1, count + 1)
        ]  # fmt: skip
        self.orders: dict[str, dict[str, Any]] = {}
        exchange = venue._exchange
        exchange.fetch_my_trades, exchange.fetch_order = self.fetch_my_trades, self.fetch_order
        exchange.fetch_order_trades = self.fetch_order_trades

    async def fetch_my_trades(self, symbol: str, since: Any, limit: int, params: dict[str, Any] | None = None) -> Any:
        self.requests += 1
        params = params or {}
        start = since or params.get("startTime")
        end = params.get("until")
        found = [t for t in self.trades if (not start or t["timestamp"] >= start) and (not end or t["timestamp"] <= end)]
        if "fromId" in params:
            found = [t for t in found if int(t["id"]) >= params["fromId"]]
        if "orderId" in params:
            found = [t for t in found if t["order"] == params["orderId"]]
        call = CALL.get()
        assert call is not None
        call.leaving()
        call.answer = []
        newest = not start and "fromId" not in params and "orderId" not in params
        return [dict(t) for t in (found[-self.page :] if newest else found[: self.page])]

    async def fetch_order_trades(self, order_id: str, symbol: str) -> Any:
        return [dict(t) for t in self.trades if t["order"] == order_id]

    async def fetch_order(self, order_id: Any, symbol: str, params: dict[str, Any] | None = None) -> Any:
        found = self.orders.get((params or {}).get("origClientOrderId") or order_id)
        if found is None:
            call = CALL.get()
            assert call is not None
            if call.guard is not None:
                asked = (params or {}).get("origClientOrderId") or order_id
                assert call.guard.admit("GET", f"https://exchange/order?id={asked}")
            call.leaving()
            call.status, call.code = 400, "-2013"
            raise ccxt.OrderNotFound("Order does not exist.")
        return found


def scene(body: Callable[[CcxtVenue], Awaitable[None]], dialect: str = "auto") -> None:
    async def run() -> None:
        raw = {"exchange": "binance", "symbols": [SYMBOL], "dialect": dialect}
        venue = CcxtVenue(parse_venue(raw, "t", "t"), NoSink())
        await body(venue)
        await venue.close()

    asyncio.run(asyncio.wait_for(run(), 20))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten trades a page, five pages."""
    for module in (ccxt_dialect, dialect_binance):
        monkeypatch.setattr(module, "_PAGE", 10)
        monkeypatch.setattr(module, "MAX_PAGES", 5)


@pytest.mark.parametrize("dialect", ["auto", "general"])
@pytest.mark.parametrize("count", [0, 7, 10, 35])
def test_a_window_that_can_be_read_is_read_whole(dialect: str, count: int, small: None) -> None:
    async def body(venue: CcxtVenue) -> None:
        Exchange(venue, count)
        found, complete = await venue._trades.since(HOURS_AGO_NS, (SYMBOL,))
        assert complete and [t.venue_trade_id for t in found] == [str(n) for n in range(1, count + 1)]

    scene(body, dialect)


@pytest.mark.parametrize("dialect", ["auto", "general"])
@pytest.mark.parametrize("at", [2, 9, 10, 11])
def test_two_orders_that_trade_with_each_other_each_get_their_side(dialect: str, at: int, small: None) -> None:
    """Also where a page ends between the two."""

    async def body(venue: CcxtVenue) -> None:
        exchange = Exchange(venue, 20)
        exchange.trades.insert(at, exchange.trades[at - 1] | {"side": "sell", "order": "mine"})
        found, complete = await venue._trades.since(HOURS_AGO_NS, (SYMBOL,))
        told = sorted((int(t.venue_trade_id), t.side, t.venue_order_id) for t in found)
        assert complete and told == sorted([(n, "1", f"o{n}") for n in range(1, 21)] + [(at, "2", "mine")])

    scene(body, dialect)


@pytest.mark.parametrize("dialect", ["auto", "general"])
def test_a_window_too_large_gives_what_can_be_read(dialect: str, small: None) -> None:
    """5000 trades, one a second: the oldest, the newest and those of the live order; not an error for ever."""

    async def body(venue: CcxtVenue) -> None:
        exchange = Exchange(venue, 5000)
        tracked = venue.tracker.begin("MINE", SYMBOL)
        venue.tracker.name(tracked, "o3000")
        found, complete = await venue._trades.since(HOURS_AGO_NS, (SYMBOL,))
        told = {int(t.venue_trade_id) for t in found}
        assert not complete and len(told) == len(found)
        assert {1, 5000, 4995, 3000} <= told and 2000 not in told
        assert next(t for t in found if t.venue_trade_id == "3000").venue_cl_ord_id == "MINE"
        assert exchange.requests < 60
        assert await venue.trades(HOURS_AGO_NS, (SYMBOL,)), "a reconciliation gets them without an error"

    scene(body, dialect)


def test_a_not_found_with_too_many_trades_to_check_is_not_checked(small: None) -> None:
    async def body(venue: CcxtVenue) -> None:
        Exchange(venue, 5000)
        found = await venue.query(QueryChild(venue_cl_ord_id="A", symbol=SYMBOL, sent_ns=1, side="2"))
        assert found.outcome == "not_found" and not found.trades_checked and "too many" in found.text

    scene(body)


def test_manual_trades_do_not_block_a_not_found_that_they_cannot_be() -> None:
    async def body(venue: CcxtVenue) -> None:
        exchange = Exchange(venue, 3)
        tracked = venue.tracker.begin("A", SYMBOL)
        tracked.began_ns -= 3_000_000_000
        for side, qty, expected in (("1", "5", False), ("1", "0.5", True), ("2", "5", True)):
            tracked.side, tracked.qty = side, D(qty)
            found = await venue.query(QueryChild(venue_cl_ord_id="A", symbol=SYMBOL))
            assert (found.outcome, found.trades_checked) == ("not_found", expected), (side, qty)
        by_gateway = QueryChild(venue_cl_ord_id="B", symbol=SYMBOL, side="2", qty=D(5), sent_ns=tracked.began_ns)
        assert (await venue.query(by_gateway)).trades_checked
        exchange.trades[0]["order"] = "v1"
        with pytest.raises(Ambiguous, match="CONTRADICTION"):
            await venue.query(QueryChild(venue_cl_ord_id="B", symbol=SYMBOL, venue_order_id="v1"))

    scene(body)


@pytest.mark.parametrize(("filled", "checked"), [("1", True), ("2", False), ("0", True), (None, False)])
def test_without_the_executed_quantity_trades_are_not_checked(filled: str | None, checked: bool) -> None:
    async def body(venue: CcxtVenue) -> None:
        exchange = Exchange(venue, 1)
        exchange.orders["A"] = {
            "id": "o1", "clientOrderId": "A", "status": "canceled", "filled": filled, "amount": "3", "timestamp": 1,
        }  # fmt: skip
        found = await venue.query(QueryChild(venue_cl_ord_id="A", symbol=SYMBOL))
        assert (found.outcome, found.trades_checked, len(found.trades)) == ("canceled", checked, 1)

    scene(body)


def test_looked_up_orders_of_others_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import fixgw.venues.tracker as tracker_module

    monkeypatch.setattr(tracker_module, "MAX_FINISHED", 3)

    async def body(venue: CcxtVenue) -> None:
        exchange = Exchange(venue, 8, page=100)
        for number in range(1, 9):
            exchange.orders[f"o{number}"] = {"id": f"o{number}", "clientOrderId": f"web{number}", "status": "closed"}
        found = await venue.trades(1, (SYMBOL,))
        assert [t.venue_cl_ord_id for t in found] == [f"web{n}" for n in range(1, 9)]
        assert len(venue.tracker._orders) == 3

    scene(body)


def test_places_without_an_answer_share_their_scans_of_the_trades() -> None:
    """Two hundred orders that the venue does not know: two scans, not two hundred; each is answered by one that left later."""

    async def body(venue: CcxtVenue) -> None:
        exchange = Exchange(venue, 3)
        asked = [QueryChild(venue_cl_ord_id=f"A{n}", symbol=SYMBOL, sent_ns=time.time_ns(), side="2") for n in range(200)]
        found = await asyncio.gather(*(venue.query(question) for question in asked))
        assert {(answer.outcome, answer.trades_checked) for answer in found} == {("not_found", True)}
        assert exchange.requests <= 3

    scene(body)


def test_a_scan_that_has_left_answers_nobody_who_asks_later() -> None:
    async def body(venue: CcxtVenue) -> None:
        exchange = Exchange(venue, 0)
        left, hold, inner = asyncio.Event(), asyncio.Event(), exchange.fetch_my_trades

        async def slow(*args: Any, **named: Any) -> Any:
            found = await inner(*args, **named)
            left.set()
            await hold.wait()
            return found

        venue._exchange.fetch_my_trades = slow
        sent_ns = time.time_ns()
        first = asyncio.ensure_future(venue.query(QueryChild(venue_cl_ord_id="A", symbol=SYMBOL, sent_ns=sent_ns)))
        await left.wait()
        # executed and told by the venue only now
        exchange.trades.append(
            {"id": "9", "order": "v9", "symbol": SYMBOL, "side": "buy", "amount": "1", "price": "10",
             "timestamp": time.time_ns() // 1_000_000}
        )  # fmt: skip
        later = asyncio.ensure_future(
            venue.query(QueryChild(venue_cl_ord_id="B", symbol=SYMBOL, sent_ns=sent_ns, qty=D(1), side="1"))
        )
        for _ in range(20):
            await asyncio.sleep(0)
        hold.set()
        assert (await first).trades_checked
        assert not (await later).trades_checked, "the new trade could be of it"

    scene(body)


def test_what_was_told_is_not_fetched_again() -> None:
    async def body(venue: CcxtVenue) -> None:
        exchange = Exchange(venue, 1)
        for filled, told, fetched in (("1", "1", False), ("1", "0", True), ("0", "0", False)):
            exchange.requests = 0
            exchange.orders["A"] = {"id": "o1", "clientOrderId": "A", "status": "open", "filled": filled, "timestamp": 1}
            found = await venue.query(QueryChild(venue_cl_ord_id="A", symbol=SYMBOL, told_qty=D(told)))
            assert (found.outcome, found.trades_checked, found.cum_qty) == ("open", True, D(filled))
            assert bool(exchange.requests) is fetched and bool(found.trades) is fetched

    scene(body)


def test_a_sweep_leaves_places_without_an_answer_to_the_gateway() -> None:
    async def body(venue: CcxtVenue) -> None:
        exchange = Exchange(venue, 0)
        asked: list[str] = []
        listed: list[str | None] = []

        async def list_open(symbol: str | None) -> Any:
            listed.append(symbol)
            call = CALL.get()
            assert call is not None
            call.answer = []
            return [{"id": "o7", "clientOrderId": "LISTED", "symbol": SYMBOL, "side": "buy", "amount": "1", "filled": "0"}]

        async def fetch_order(order_id: Any, symbol: str, params: dict[str, Any]) -> Any:
            asked.append(params["origClientOrderId"])
            return await exchange.fetch_order(order_id, symbol, params)

        exchange.orders["LISTED"] = {"id": "o7", "clientOrderId": "LISTED", "status": "open", "filled": "0", "timestamp": 1}
        exchange.orders["GONE"] = {"id": "o8", "clientOrderId": "GONE", "status": "canceled", "filled": "0", "timestamp": 1}
        venue._exchange.fetch_open_orders, venue._exchange.fetch_order = list_open, fetch_order
        for name, unsure in (("LOST", True), ("OLD", True), ("LISTED", True), ("GONE", False)):
            venue.tracker.begin(name, SYMBOL).unsure = unsure
        old = venue.tracker.get("OLD")
        assert old is not None
        old.began_ns -= 3600 * 1_000_000_000
        await venue.sweep()
        assert sorted(asked) == ["GONE", "LISTED"]
        # the whole account is the host's question; here what weighs less is enough
        assert listed == [SYMBOL]
        await venue.open_orders((SYMBOL,), everything=True)
        assert listed == [SYMBOL, None]
        assert venue.tracker.get("LOST") is not None and venue.tracker.get("OLD") is None

    scene(body)


def test_open_orders_are_listed_the_way_that_weighs_less() -> None:
    async def body(venue: CcxtVenue) -> None:
        dialect, many = venue._dialect, tuple(f"C{n}/USDT" for n in range(14))
        assert dialect.open_orders_by((SYMBOL, "ETH/USDT"), everything=True) == (None,)
        assert dialect.open_orders_by((SYMBOL, "ETH/USDT"), everything=False) == (SYMBOL, "ETH/USDT")
        assert dialect.open_orders_by(many, everything=False) == (None,)

    scene(body)


@pytest.mark.parametrize("step_s", [-3600, 3600])
def test_a_wall_clock_that_is_set_moves_nothing_that_is_measured(step_s: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps go on, an answer of before an end does not undo it, one of after it does, and the venue is asked by its own time."""

    async def body(venue: CcxtVenue) -> None:
        exchange = Exchange(venue)
        gone, ended = venue.tracker.begin("GONE", SYMBOL), venue.tracker.begin("ENDED", SYMBOL)
        before_ns, real = host_clock.steady_ns(), time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + step_s * 1_000_000_000)
        venue.tracker.finish(Done("ENDED", "o8", "canceled", D(0)), SYMBOL)
        venue.tracker.works(ended, before_ns)
        assert ended.done is not None, "the answer was asked for before the end"
        venue.tracker.works(ended, host_clock.steady_ns())
        assert ended.done is None and ended.open, "the answer was asked for after the end"
        venue.tracker.drop("ENDED")

        exchange.orders["GONE"] = {"id": "o7", "clientOrderId": "GONE", "status": "canceled", "filled": "0", "timestamp": 1}

        async def none_open(symbols: tuple[str, ...], everything: bool = False) -> tuple[Any, ...]:
            return ()

        monkeypatch.setattr(venue._pictures, "open_orders", none_open)
        await venue.sweep()
        assert gone.done is not None and gone.done.status == "canceled"

        since: list[int] = []

        async def trades_since(since_ns: int, symbol: str) -> tuple[tuple[VenueTrade, ...], bool]:
            since.append(since_ns)
            return (), True

        monkeypatch.setattr(venue._trades, "shared", trades_since)
        venue.tracker.begin("LOST", SYMBOL).side = "1"  # placed by this host
        assert (await venue.query(QueryChild(venue_cl_ord_id="LOST", symbol=SYMBOL))).outcome == "not_found"
        assert abs(since[0] + GAP_MARGIN_NS - time.time_ns()) < 5_000_000_000

    scene(body)


@pytest.mark.parametrize("told", [True, False])
def test_trades_of_an_order_without_a_time_are_read_since_it_was_sent(told: bool, small: None) -> None:
    """Not since 1970: the newest are then not reached."""

    async def body(venue: CcxtVenue) -> None:
        exchange = Exchange(venue, 500)
        newest = exchange.trades[-1]
        exchange.orders["o500"] = {
            "id": "o500", "clientOrderId": "A", "status": "closed", "filled": "1", "amount": "1",
            "timestamp": newest["timestamp"] if told else None,
        }  # fmt: skip
        venue._exchange.has["fetchOrderTrades"] = False
        question = QueryChild(
            venue_cl_ord_id="A", symbol=SYMBOL, venue_order_id="o500", sent_ns=newest["timestamp"] * 1_000_000
        )
        found = await venue.query(question)
        assert found.trades_checked and [t.venue_trade_id for t in found.trades] == ["500"]

    scene(body, "general")


def test_trades_of_an_order_that_was_heard_of_late_are_found() -> None:
    """A host that was just restarted hears of it long after it was sent, and the venue does not say when that was."""
    told: list[str] = []

    class Sink(NoSink):
        def trade(self, found: VenueTrade) -> None:
            told.append(found.venue_trade_id)

    async def body(venue: CcxtVenue) -> None:
        exchange = Exchange(venue, 100)
        old = exchange.trades[-60]
        exchange.orders[old["order"]] = {
            "id": old["order"], "clientOrderId": "A", "status": "open", "filled": "1", "amount": "2", "timestamp": None,
        }  # fmt: skip
        venue._exchange.has["fetchOrderTrades"] = False
        venue._sink = Sink()
        venue.on_working("A", SYMBOL, old["order"])
        shown = OpenOrder(
            venue_cl_ord_id="A", symbol=SYMBOL, venue_order_id=old["order"], side="1", qty=D(2), cum_qty=D(1), px=D(10)
        )

        async def open_orders(*_: object) -> tuple[OpenOrder, ...]:
            return (shown,)

        venue._pictures.open_orders = open_orders  # type: ignore[assignment]
        await venue.sweep()
        assert told == [old["id"]]
        asked = exchange.requests
        await venue.sweep()
        assert exchange.requests == asked

    scene(body, "general")
