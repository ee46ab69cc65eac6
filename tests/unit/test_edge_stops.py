"""Stops at the edge: only fresh prices trigger, and each price traded counts."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal as D
from typing import Any

import pytest

from fixgw.core import commands as c
from fixgw.core import settings as s
from fixgw.core.commands import Quote
from fixgw.core.order import Order
from fixgw.core.state import State, new_state
from fixgw.marketdata.edge import FRESH_NS, RETRIGGER_NS, Edge
from fixgw.venues.wire import BookUpdate

START = 1_700_000_000_000_000_000
SYMBOL = "BTC/USDT"


class Engine:
    """What the edge uses of an engine."""

    def __init__(self, trigger: str = "last") -> None:
        self.state: State = new_state()
        instrument = s.InstrumentSettings(symbol=SYMBOL, base="BTC", quote="USDT", trigger=trigger)
        self.state.settings = s.CoreSettings(hash="h", instruments={SYMBOL: instrument})
        self.clock = START
        self.commands: list[c.Command] = []

    def now_ns(self) -> int:
        return self.clock

    def submit(self, command: c.Command) -> None:
        self.commands.append(command)

    @contextmanager
    def reading(self) -> Iterator[State]:
        yield self.state


class Scene:
    def __init__(self, side: str = "1", stop_px: str = "105", trigger: str = "last") -> None:
        self.engine = Engine(trigger)
        self.edge = Edge(self.engine)  # type: ignore[arg-type]
        self.hold("O1", side, stop_px)

    def hold(self, order_id: str, side: str, stop_px: str) -> None:
        self.engine.state.orders[order_id] = held(order_id, side, stop_px)
        self.engine.state.stops[order_id] = None
        self.edge._stops_stale = True

    def show(self, *, after_ns: int = 1_000_000, **fields: Any) -> None:
        """A book update: times in `fields` are relative to the clock."""
        self.engine.clock += after_ns
        for name in ("recv_ns", "last_ns"):
            if name in fields:
                fields[name] += self.engine.clock
        values: dict[str, Any] = {k: D(v) if isinstance(v, str) else v for k, v in fields.items()}
        self.edge.on_book(BookUpdate(venue="sim", symbol=SYMBOL, quote=Quote(**values)))

    @property
    def triggered(self) -> list[D]:
        return [command.trigger_px for command in self.engine.commands if isinstance(command, c.TriggerStop)]


def held(order_id: str, side: str, stop_px: str) -> Order:
    return Order(
        order_id=order_id, session="OMS", cl_ord_id="C", client_account="", account="a", venue="sim", symbol=SYMBOL,
        client_symbol=SYMBOL, side=side, ord_type="3", tif="1", order_qty=D(1), cash_qty=None, price=None,
        stop_px=D(stop_px), expire_ns=None, exec_inst="", risk_px=D(0), held=True, received_ns=START,
    )  # fmt: skip


def test_the_first_fresh_trade_triggers() -> None:
    scene = Scene()
    scene.show(last="106", last_ns=0, recv_ns=0)
    assert scene.triggered == [D(106)]


def test_a_last_price_without_a_time_never_triggers() -> None:
    scene = Scene()
    for _ in range(3):
        scene.show(last="106", recv_ns=0)
    assert scene.triggered == []


def test_book_updates_that_carry_an_old_trade_do_not_trigger() -> None:
    """The stop's order comes after the trade; then only the book moves, for ever with a fresh recv_ns."""
    scene = Scene(stop_px="200")
    scene.show(last="106", last_ns=0, recv_ns=0)
    traded = scene.engine.clock
    scene.hold("O2", "1", "105")
    for step in range(1, 4):
        scene.show(last="106", last_ns=traded - scene.engine.clock - 1_000_000, recv_ns=0, bid=str(100 + step))
    assert scene.triggered == []
    scene.show(last="105", last_ns=0, recv_ns=0)
    assert scene.triggered == [D(105)]


@pytest.mark.parametrize("age_ns", [FRESH_NS + 1, -FRESH_NS - 1])
def test_a_trade_that_is_too_old_or_from_the_future_does_not_trigger(age_ns: int) -> None:
    scene = Scene()
    scene.show(last="106", last_ns=-age_ns, recv_ns=0)
    assert scene.triggered == []
    scene.show(last="106", last_ns=0, recv_ns=0)
    assert scene.triggered == [D(106)], "a time in the future must not deafen the edge"


def test_a_trade_through_the_stop_and_back_triggers() -> None:
    for side, stop_px, expected in (("1", "105", "107"), ("2", "95", "94")):
        scene = Scene(side, stop_px)
        scene.show(last="100", last_low="94", last_high="107", last_ns=0, recv_ns=0)
        assert scene.triggered == [D(expected)]


def test_extremes_reach_neither_the_command_nor_the_quotes() -> None:
    scene = Scene()
    scene.show(last="100", last_low="94", last_high="107", last_ns=0, recv_ns=0)
    (command,) = scene.engine.commands
    assert isinstance(command, c.TriggerStop)
    for quote in (command.quotes["sim"], scene.edge.quotes_of(SYMBOL)["sim"]):
        assert (quote.last, quote.last_low, quote.last_high) == (D(100), None, None)


def test_a_hit_is_told_again_while_the_stop_is_held_and_the_trade_is_fresh() -> None:
    """The core does not act while the venue is not ready: the trade must not be forgotten, and not kept for ever."""
    scene = Scene()
    scene.show(last="100", last_high="107", last_ns=0, recv_ns=0)
    traded = scene.engine.clock
    scene.show(after_ns=RETRIGGER_NS // 2, last="100", recv_ns=0)
    assert len(scene.triggered) == 1
    scene.show(after_ns=RETRIGGER_NS, last="100", last_ns=traded - scene.engine.clock - RETRIGGER_NS, recv_ns=0)
    assert scene.triggered == [D(107), D(107)]
    scene.show(after_ns=FRESH_NS, last="100", recv_ns=0)
    assert len(scene.triggered) == 2


def test_a_stop_that_is_no_longer_held_is_not_told_again() -> None:
    scene = Scene()
    scene.show(last="106", last_ns=0, recv_ns=0)
    scene.engine.state.stops.clear()
    scene.edge._stops_stale = True
    scene.show(after_ns=RETRIGGER_NS, last="106", last_ns=0, recv_ns=0)
    assert len(scene.triggered) == 1


def test_a_replaced_stop_is_not_triggered_by_what_hit_the_old_one() -> None:
    scene = Scene()
    scene.show(last="100", last_high="107", last_ns=0, recv_ns=0)
    scene.hold("O1", "1", "106")
    scene.show(after_ns=RETRIGGER_NS, last="100", recv_ns=0)
    assert len(scene.triggered) == 1


@pytest.mark.parametrize(("trigger", "field"), [("bid", "bid"), ("ask", "ask")])
def test_books_trigger_only_when_they_are_fresh(trigger: str, field: str) -> None:
    scene = Scene(trigger=trigger)
    price: dict[str, Any] = {field: "106"}
    scene.show(recv_ns=-FRESH_NS - 1, **price)
    assert scene.triggered == []
    scene.show(recv_ns=-FRESH_NS + 1_000_000, **price)
    assert scene.triggered == [D(106)]


@pytest.mark.parametrize("px", [D("NaN"), D("Infinity"), D(-1), D(0)])
def test_nonsense_extremes_trigger_nothing_and_break_nothing(px: D) -> None:
    scene = Scene("2", "95")
    scene.show(last="100", last_low=px, last_ns=0, recv_ns=0)
    assert scene.triggered == []


def test_books_of_two_venues_at_once() -> None:
    """Each venue has a reader thread: neither may lose the other's newest quote."""
    edge = Scene().edge
    rounds = 3000

    def feed(venue: str) -> None:
        for number in range(1, rounds + 1):
            edge.on_book(BookUpdate(venue=venue, symbol=SYMBOL, quote=Quote(bid=D(number))))
            seen = edge.quotes_of(SYMBOL)[venue].bid
            if seen != number:
                lost.append((venue, number, seen))

    lost: list[tuple[str, int, D | None]] = []
    threads = [threading.Thread(target=feed, args=(venue,)) for venue in ("a", "b", "c")]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    finally:
        sys.setswitchinterval(interval)
    assert lost == []
    assert {venue: quote.bid for venue, quote in edge.quotes_of(SYMBOL).items()} == dict.fromkeys("abc", D(rounds))


def test_who_finds_the_index_being_made_waits_for_it() -> None:
    """A trade that comes on another thread while a new stop is being indexed must see that stop."""
    scene = Scene()
    reading, go_on = threading.Event(), threading.Event()
    inner = scene.engine.reading

    @contextmanager
    def slow() -> Iterator[State]:
        reading.set()
        assert go_on.wait(30)
        with inner() as state:
            yield state

    scene.engine.reading = slow  # type: ignore[method-assign]
    other = BookUpdate(venue="b", symbol=SYMBOL, quote=Quote(bid=D(1)))
    first = threading.Thread(target=scene.edge.on_book, args=(other,))
    first.start()
    assert reading.wait(30)
    second = threading.Thread(target=scene.show, kwargs={"last": "106", "last_ns": 0, "recv_ns": 0})
    second.start()
    go_on.set()
    for thread in (first, second):
        thread.join(30)
    assert scene.triggered == [D(106)]


def test_what_links_threads_share_changes_under_the_lock() -> None:
    """The clock may be set at that very moment: a dict that grows while it is moved would leave times in the future behind,
    and no trade would be new until then."""
    scene = Scene()
    written = []

    class Watched(dict[Any, Any]):
        def __setitem__(self, key: Any, value: Any) -> None:
            written.append(scene.edge._lock.locked())
            super().__setitem__(key, value)

    scene.edge._quotes, scene.edge._last_ns, scene.edge._hits = Watched(), Watched(), Watched()
    scene.show(last="106", last_ns=0, recv_ns=0)
    assert written == [True, True, True] and scene.triggered == [D(106)]


def test_a_quote_that_cannot_be_used_leaves_the_old_one_and_says_why() -> None:
    scene = Scene()
    why = Quote(unusable="bid is no price")
    scene.edge.on_book(BookUpdate(venue="sim", symbol=SYMBOL, quote=why))
    assert scene.edge.quotes_of(SYMBOL) == {"sim": why}
    good = Quote(bid=D(99), ask=D(101), last=D(110), recv_ns=START, last_ns=START)
    scene.edge.on_book(BookUpdate(venue="sim", symbol=SYMBOL, quote=good))
    assert scene.edge.quotes_of(SYMBOL) == {"sim": good} and len(scene.triggered) == 1
    scene.engine.clock += RETRIGGER_NS
    scene.edge.on_book(BookUpdate(venue="sim", symbol=SYMBOL, quote=why))
    kept = scene.edge.quotes_of(SYMBOL)["sim"]
    assert (kept.bid, kept.recv_ns, kept.unusable) == (D(99), START, "bid is no price") and len(scene.triggered) == 1
