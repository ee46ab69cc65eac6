"""Rules that a review of the core asked for: nothing counts twice, cash is a bound, memory is bounded, nothing is lost.
How to read the tables: core_script.py."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from core_script import play
from core_world import ACCOUNT, FIRST_NS, INSTALL, SECOND, SYMBOL, VENUE, VENUE_ACCOUNT, World, core_settings, session_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from fixgw.config.models import JournalTable
from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core import settings as s
from fixgw.core.codec import decode_record
from fixgw.core.decide import decide
from fixgw.core.evolve import EXTERNAL_KEPT_NS, evolve
from fixgw.core.reconcile import OVERLAP_NS
from fixgw.core.replay import apply_record
from fixgw.core.reports import BusinessReject, Report
from fixgw.core.retention import MAX_REFUSED
from fixgw.core.state import State, dump_state, load_state
from fixgw.engine import Engine
from fixgw.journal.store import Journal
from fixgw.marketdata.edge import RECONCILE_NS, Edge

DAY_S = 86_400
FEE = 1 + Decimal(10) / 10_000
TIGHT = core_settings(firm=s.Limits(collar_bps={"*": Decimal(100)}))

STORIES = {
    "a forgotten order's trades count no more": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 1                  | F 2 a 1/0
        +691200s                       | -
        new b buy 1 @100               | A A b 0/1; place C2 1@100 GTC
        ack C2                         | 0 0 b 0/1
        done C2 canceled 0             | 4 4 b 0/0 VENUE_CANCEL
        reconciled trades=C1:t1:1      | !FORGOTTEN_ORDER
        reconciled trades=C1:t1:1,C1:t1:1 | !FORGOTTEN_ORDER
        trade C1 t1 1                  | !FORGOTTEN_ORDER
    """,
    "foreign trades come again": """
        trade zz x1 0.5                | external x1; !EXTERNAL_FILL
        reconciled trades=zz:x1:0.5,zz:x2:1,zz:x2:1 | external x2; !EXTERNAL_FILL
        +600s                          | -
        reconciled trades=zz:x1:0.5,zz:x2:1 | -
        reconciled trades=zz:x1:0.5,zz:x2:1 | -
    """,
    "the missed fill of an old order": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        +259200s                       | -
        reconciled open=C1             | -
        reconciled open=C1:0.4         | query C1
        answer C1 open cum=0.4 trades=t1:0.4 | F 1 a 0.4/0.6
        reconciled                     | query C1
        answer C1 filled cum=1 trades=t1:0.4,t2:0.6 | F 2 a 1.0/0
    """,
    "an end that was never told": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        reconciled                     | query C1
        answer C1 canceled cum=0       | 4 4 a 0/0 VENUE_CANCEL
    """,
    "stops": """
        new a buy 1 ord_type=3 stop_px=105 | A A a 0/1; 0 0 a 0/1
        replace b a 2 ord_type=3 stop_px=106 | 5 0 b<a 0/2
        trigger o1 106                 | place C1 2@market IOC
        replace c b 3 ord_type=3       | 9.2 0 c<b UNSUPPORTED
        ack C1                         | -
        replace d b 3 ord_type=3       | 9.2 0 d<b UNSUPPORTED
        new e buy 1                    | A A e 0/1; place C2 1@market IOC
        ack C2                         | 0 0 e 0/1
        replace f e 2                  | 9.2 0 f<e UNSUPPORTED
    """,
    "a canceled stop keeps its ClOrdID": """
        new a buy 1 ord_type=3 stop_px=105 | A A a 0/1; 0 0 a 0/1
        cancel b a                     | 4 4 b<a 0/0
        +518400s                       | -
        new a buy 1 @100               | 8 4 a 0/0 DUPLICATE_CL_ORD_ID
        +172800s                       | -
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
    """,
    "an order that never left us": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        reject C1 unsent               | 8 8 a 0/0 NOT_PLACED
        new b buy 1 @100               | A A b 0/1; place C2 1@100 GTC
        ack C2                         | 0 0 b 0/1
        replace c b 2 @100             | cancel C2; E E c<b 0/1
        done C2 canceled 0             | place C3 2@100 GTC
        reject C3 unsent               | 9.2 0 c<b REPLACE_FAILED; 4 4 b 0/0 REPLACE_FAILED
        ack C3                         | orphan C3; !ORPHAN
    """,
    "possible resends": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @100 poss_resend=1 age=31 | 9.2 0 b<a STALE_REQUEST
        replace c a 2 @100 poss_dup=1 age=31 | 9.2 0 c<a STALE_REQUEST
        replace d a 2 @100 age=31      | cancel C1; E E d<a 0/1
        done C1 canceled 0             | place C2 2@100 GTC
        ack C2                         | 5 0 d<a 0/2
        replace f d 3 @100 poss_resend=1 age=29 | cancel C2; E E f<d 0/2
        replace f d 3 @100 poss_resend=1 age=99 | ?I E f<d 0/2
        done C2 canceled 0             | place C3 3@100 GTC
        ack C3                         | 5 0 f<d 0/3
        cancel g f poss_resend=1 age=999 | cancel C3; 6 6 g<f 0/3
    """,
    "restart of a session that cancels": """
        logon OMS42                    | -
        logon OMS44                    | -
        new a buy 1 @100 as=OMS42      | A A a 0/1; place C1 1@100 GTC
        new b buy 1 @100 as=OMS44      | A A b 0/1; place C2 1@100 GTC
        new h buy 1 as=OMS42 ord_type=3 stop_px=105 | A A h 0/1; 0 0 h 0/1
        ack C1                         | 0 0 a 0/1
        ack C2                         | 0 0 b 0/1
        restart                        | cancel C1; 4 4 h 0/0 DISCONNECT; DOWN; I 0 a 0/1 OUTCOME_UNKNOWN; query C1
        restart                        | -
        link up                        | DOWN; RECONCILING; reconcile
        reconciled open=C1,C2          | cancel C1; READY
        done C1 canceled 0             | 4 4 a 0/0 DISCONNECT
    """,
    "restart of a session that was not on": """
        new a buy 1 @100 as=OMS42      | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        restart                        | DOWN
    """,
    # 152=250 at 0.1 % fee: 2.4 at 100; after 1.2 at 100 (120.12) the rest is 129.88
    "cash: replace of a partly filled order": """
        new a buy @100 cash_qty=250    | A A a 0/2.4; place C1 2.4@100 GTC
        ack C1                         | 0 0 a 0/2.4
        trade C1 t1 1.2@100            | F 1 a 1.2/1.2
        replace b a @50                | cancel C1; E E b<a 1.2/1.2
        done C1 canceled 1.2           | place C2 2.5@50 GTC
        ack C2                         | 5 1 b<a 1.2/2.5
        replace c b @200               | cancel C2; E E c<b 1.2/2.5
        done C2 canceled 0             | place C3 0.6@200 GTC
        ack C3                         | 5 1 c<b 1.2/0.6
        trade C3 t2 0.6@200            | F 2 c 1.8/0
    """,
    "cash: fills while the replace is under way": """
        new a buy @100 cash_qty=250    | A A a 0/2.4; place C1 2.4@100 GTC
        ack C1                         | 0 0 a 0/2.4
        replace b a @50                | cancel C1; E E b<a 0/2.4
        trade C1 t1 1.2@100            | F E a 1.2/1.2
        done C1 canceled 1.2           | place C2 2.5@50 GTC
        ack C2                         | 5 1 b<a 1.2/2.5
        trade C2 t2 2.5@50             | F 2 b 3.7/0
    """,
    "cash: a fill before the ack of the new child": """
        new a buy @100 cash_qty=250    | A A a 0/2.4; place C1 2.4@100 GTC
        ack C1                         | 0 0 a 0/2.4
        replace b a @50                | cancel C1; E E b<a 0/2.4
        trade C1 t1 1.2@100            | F E a 1.2/1.2
        done C1 canceled 1.2           | place C2 2.5@50 GTC
        trade C2 t2 1@50               | 5 1 b<a 1.2/2.5; F 1 b 2.2/1.5
        trade C2 t3 1.5@50             | F 2 b 3.7/0
    """,
    "cash: nothing is left": """
        new a buy @100 cash_qty=250    | A A a 0/2.4; place C1 2.4@100 GTC
        ack C1                         | 0 0 a 0/2.4
        replace b a @90                | cancel C1; E E b<a 0/2.4
        trade C1 t1 2.2@110            | F E a 2.2/0.2
        done C1 canceled 2.2           | 9.2 1 b<a REPLACE_FAILED; 4 4 a 2.2/0 REPLACE_FAILED
    """,
    "cash: a stop that triggers above its stop price": """
        new a buy ord_type=3 stop_px=105 cash_qty=250 | A A a 0/2.3; 0 0 a 0/2.3
        trigger o1 140                 | place C1 2.3@108.58 IOC
    """,
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_story(story: str) -> None:
    play(story)


def test_a_forgotten_order_moves_no_position() -> None:
    script = play(STORIES["a forgotten order's trades count no more"])
    state = script.world.state
    assert list(state.orders) == script.orders[1:], "the first order should be forgotten by now"
    assert state.exposure("firm", SYMBOL).position == state.exposure("a:" + ACCOUNT, SYMBOL).position == 1


def test_foreign_trades_count_once() -> None:
    state = play(STORIES["foreign trades come again"]).world.state
    assert state.exposure("firm", SYMBOL).position == Decimal("1.5")


def test_a_stop_restarted_off_says_why() -> None:
    """The reports of a cancel on disconnect carry 378=12."""
    world = World()
    world.run(c.SessionLogon(ts_ns=world.tick(), session="OMS42", reset=False, msg_seq=world.number("OMS42")))
    world.run(_order(world, "a", session="OMS42", ord_type="3", stop_px=Decimal(105), order_qty=Decimal(1)))
    reports = _messages(world.start())
    assert [(m.exec_type, m.reason, m.restatement) for m in reports if isinstance(m, Report)] == [("4", "DISCONNECT", 12)]
    assert not world.state.sessions["OMS42"].logged_on
    world.check()


@pytest.mark.parametrize(
    ("ended_by", "reason", "restatement"),
    [("lost", "DISCONNECT", 12), (c.CLIENT_LOGOUT, "LOGOUT", 13), ("kill", "KILLED", 8), ("admin", "ADMIN_CANCEL", 8)],
)
def test_who_ended_an_order_is_told_by_378(ended_by: str, reason: str, restatement: int) -> None:
    world = World()
    world.run(c.SessionLogon(ts_ns=world.tick(), session="OMS42", reset=False, msg_seq=world.number("OMS42")))
    world.run(_order(world, "a", session="OMS42", ord_type="3", stop_px=Decimal(105), order_qty=Decimal(1)))
    (order_id,) = world.state.orders
    ts_ns, who = world.tick(), {"user": "ann", "reason": "test"}
    ends: dict[str, c.Command] = {
        "kill": c.AdminKill(ts_ns=ts_ns, scope="firm", target="", level="HALTED", **who),
        "admin": c.AdminCancel(ts_ns=ts_ns, order_id=order_id, **who),
    }
    reports = _messages(world.run(ends.get(ended_by) or c.SessionLogout(ts_ns=ts_ns, session="OMS42", reason=ended_by)))
    told = [(m.exec_type, m.reason, m.restatement) for m in reports if isinstance(m, Report)]
    assert told == [("4", reason, restatement)]
    world.check()


# --- reconciliation ---


def test_late_answers_to_overlapping_requests_count_nothing_twice() -> None:
    """Three requests for the same long outage are under way. The first answer makes the picture new, the second forgets
    foreign trades from before it, and the third brings them once more."""
    world = World()
    hours = 3600 * SECOND

    def foreign(number: str, venue_ns: int) -> c.VenueTrade:
        return c.VenueTrade(
            account=VENUE_ACCOUNT, symbol=SYMBOL, venue_cl_ord_id="zz", venue_order_id="9", venue_trade_id=number, side="1",
            qty=Decimal(1), px=Decimal(100), venue_ns=venue_ns,
        )  # fmt: skip

    def answer(*trades: c.VenueTrade) -> list[str]:
        command = c.VenueReconciled(
            ts_ns=world.tick(), venue=VENUE, account=VENUE_ACCOUNT, asked_ns=world.now_ns, trades=trades
        )
        return [event.trade.venue_trade_id for event in world.run(command) if isinstance(event, e.ExternalFill)]

    world.run(c.VenueLink(ts_ns=world.tick(), venue=VENUE, up=True))
    before = foreign("t1", world.now_ns)
    assert answer(before) == ["t1"]
    world.tick(3 * hours)
    during, recent = foreign("t2", world.now_ns - hours), foreign("t3", world.now_ns)
    assert answer(before, during) == ["t2"]
    for _ in range(3):
        assert answer(before, during) == []
    # what is new in a late answer still counts
    assert answer(before, during, recent) == ["t3"]
    assert world.state.exposure("firm", SYMBOL).position == 3


def _order(world: World, cl_ord_id: str, session: str = "OMS44", **fields: Any) -> c.ClientCommand:
    values: dict[str, Any] = {
        "cl_ord_id": cl_ord_id, "symbol": SYMBOL, "side": "1", "ord_type": "2", "tif": "1", "quotes": world.quotes,
    }  # fmt: skip
    return world.client(c.NewOrder, session, **(values | fields))


def _messages(events: list[e.AnyEvent]) -> list[Any]:
    return [event.message for event in events if isinstance(event, e.Reported)]


def _requests(events: list[e.AnyEvent]) -> list[int]:
    return [event.since_ns for event in events if isinstance(event, e.ReconcileRequested)]


def _picture(ts_ns: int, trades: tuple[c.VenueTrade, ...] = (), asked_ns: int | None = None) -> c.VenueReconciled:
    return c.VenueReconciled(
        ts_ns=ts_ns, venue=VENUE, account=VENUE_ACCOUNT, asked_ns=ts_ns if asked_ns is None else asked_ns, trades=trades
    )


def _foreign(number: int) -> c.VenueTrade:
    return c.VenueTrade(
        account=VENUE_ACCOUNT, symbol=SYMBOL, venue_cl_ord_id="", venue_order_id="v", venue_trade_id=f"x{number}", side="1",
        qty=Decimal(1), px=Decimal(100),
    )  # fmt: skip


def _apply(state: State, command: c.Command) -> list[e.AnyEvent]:
    """As World.run, without its proofs of purity: for many commands."""
    events = decide(state, command)
    for event in events:
        evolve(state, event)
    state.seq += 1
    return events


def test_trades_are_asked_for_from_the_last_picture_on() -> None:
    world = World(ready=False)
    first_ns = world.tick()
    assert _requests(world.run(c.VenueLink(ts_ns=first_ns, venue=VENUE, up=True))) == [first_ns]
    # no picture came: nothing before the start of this one is ours to judge
    again_ns = world.tick()
    assert _requests(world.run(c.VenueLink(ts_ns=again_ns, venue=VENUE, up=True))) == [again_ns]
    world.run(_picture(world.tick(), asked_ns=again_ns))
    world.run(_order(world, "old", order_qty=Decimal(1), price=Decimal(100)))
    asked_ns = world.tick(5 * DAY_S * SECOND)
    world.run(_picture(world.tick(), asked_ns=asked_ns))
    assert _requests(world.run(c.VenueLink(ts_ns=world.tick(), venue=VENUE, up=True))) == [asked_ns - OVERLAP_NS]
    # an older picture that comes late takes nothing back, one from the future counts from now
    world.run(_picture(world.tick(), asked_ns=again_ns))
    now_ns = world.tick()
    world.run(_picture(now_ns, asked_ns=now_ns + DAY_S * SECOND))
    assert _requests(world.run(c.Timer(ts_ns=world.tick(), key="reconcile:sim"))) == [now_ns - OVERLAP_NS]
    world.check()


def test_a_later_picture_books_nothing_of_before_the_first() -> None:
    """Pictures overlap, and what others traded before we were here is in the balances: a restart moves no position by it."""
    world = World(ready=False)

    def told(number: int, venue_ns: int, **fields: Any) -> c.VenueTrade:
        return msgspec.structs.replace(_foreign(number), venue_ns=venue_ns, **fields)

    def booked(*trades: c.VenueTrade) -> list[str]:
        events = world.run(_picture(world.tick(), trades))
        assert not any(isinstance(event, e.Alerted) for event in events) or any(isinstance(ev, e.ExternalFill) for ev in events)
        return [event.trade.venue_trade_id for event in events if isinstance(event, e.ExternalFill)]

    world.run(c.VenueLink(ts_ns=world.tick(), venue=VENUE, up=True))
    failed_ns = world.now_ns
    world.run(c.VenueLink(ts_ns=world.tick(SECOND), venue=VENUE, up=True))
    first_ns = world.now_ns
    assert booked() == []
    early, between = told(1, first_ns - 60 * SECOND), told(2, failed_ns)
    later, timeless = told(3, first_ns), told(4, 0)
    ours = told(5, first_ns - SECOND, venue_cl_ord_id=INSTALL + "0010000ZZ7C01")
    for _ in range(2):
        world.tick(60 * SECOND)
        world.start()
        world.run(c.VenueLink(ts_ns=world.tick(), venue=VENUE, up=True))
        assert booked(early, between) == []
    assert world.state.exposure("firm", SYMBOL).position == 0
    # an order of ours may have traded by a venue's clock that is behind; a trade without a time is told rather than lost
    assert booked(early, later, timeless, ours) == ["x3", "x4", "x5"]
    # a stream's word of it is judged alike
    word = c.ChildTrade(ts_ns=world.tick(), venue=VENUE, trade=early)
    assert world.run(word) == []
    # our clock is put right: the venue's is not moved by that
    world.run(c.ClockSet(ts_ns=world.tick(-90 * SECOND), step_ns=-90 * SECOND))
    assert booked(early, told(6, first_ns - 10 * SECOND)) == ["x1", "x6"]
    world.check()
    for at in range(len(world.records)):
        world.check_snapshot(at)


def test_an_instrument_that_comes_later_counts_from_its_own_first_picture() -> None:
    world = World(core_settings(instruments={SYMBOL: core_settings().instruments[SYMBOL]}))
    world.tick(60 * SECOND)
    world.settings = core_settings(hash="with ETH")
    world.start()
    world.run(c.VenueLink(ts_ns=world.tick(), venue=VENUE, up=True))
    asked_ns = world.now_ns
    trades = tuple(
        msgspec.structs.replace(_foreign(number), symbol=symbol, venue_ns=venue_ns)
        for number, (symbol, venue_ns) in enumerate(
            [("ETH/USDT", asked_ns - SECOND), (SYMBOL, asked_ns - SECOND), ("ETH/USDT", asked_ns + 1)]
        )
    )
    for expected in (["x1", "x2"], []):
        events = world.run(_picture(world.tick(), trades))
        assert [event.trade.venue_trade_id for event in events if isinstance(event, e.ExternalFill)] == expected
    assert (world.state.exposure("firm", "ETH/USDT").position, world.state.exposure("firm", SYMBOL).position) == (1, 1)
    world.check()


def test_requests_of_an_older_build_count_from_what_they_asked_for() -> None:
    state = State()
    evolve(state, e.ReconcileRequested(venue=VENUE, since_ns=100, symbols=(SYMBOL,)))
    evolve(state, e.ReconcileCompleted(venue=VENUE, asked_ns=110))
    evolve(state, e.ReconcileRequested(venue=VENUE, since_ns=50, symbols=(SYMBOL, "ETH/USDT")))
    assert state.venues[VENUE].counts_from == {SYMBOL: 100, "ETH/USDT": 50}


def test_many_foreign_trades_stay_known_and_go_in_the_end() -> None:
    world = World()
    state, count = world.state, 12_000
    trades = tuple(_foreign(number) for number in range(count))
    # a picture of everything, in parts as they come one by one from the stream first
    _apply(state, _picture(world.tick(), trades))
    assert len(state.venues[VENUE].external_trades) == count
    position = state.exposure("firm", SYMBOL).position
    assert position == count
    world.tick(OVERLAP_NS)
    again = _apply(state, _picture(world.tick(), trades))
    assert [type(event) for event in again] == [e.ReconcileCompleted]
    # known until a whole horizon before the picture before last; then no request can reach them
    world.tick(EXTERNAL_KEPT_NS)
    _apply(state, _picture(world.tick()))
    assert len(state.venues[VENUE].external_trades) == count
    (since_ns,) = _requests(_apply(state, c.Timer(ts_ns=world.tick(), key="reconcile:sim")))
    _apply(state, _picture(world.tick()))
    assert state.venues[VENUE].external_trades == {}
    assert since_ns > FIRST_NS + OVERLAP_NS
    assert state.exposure("firm", SYMBOL).position == position


def test_the_reconcile_timer() -> None:
    world = World()
    key = f"reconcile:{VENUE}"
    assert len(_requests(world.run(c.Timer(ts_ns=world.tick(), key=key)))) == 1
    world.run(_picture(world.tick()))
    assert world.state.venues[VENUE].state == "READY"
    assert world.run(c.Timer(ts_ns=world.tick(), key="reconcile:nowhere")) == []
    world.run(c.VenueLink(ts_ns=world.tick(), venue=VENUE, up=False, reason="lost"))
    assert world.run(c.Timer(ts_ns=world.tick(), key=key)) == []
    world.run(c.VenueLink(ts_ns=world.tick(), venue=VENUE, up=True))
    assert world.run(c.Timer(ts_ns=world.tick(), key=key)) == [], "one is under way already"
    world.check()


def test_the_edge_raises_the_reconcile_timer() -> None:
    """Each RECONCILE_NS, and not at the start: the link's coming up asks then."""
    world, told, came = World(), [], threading.Event()

    class Clockwork:
        state = world.state

        def now_ns(self) -> int:
            return world.now_ns

        def submit(self, command: c.Timer) -> None:
            told.append(command.key)
            came.set()

        @contextlib.contextmanager
        def reading(self) -> Iterator[State]:
            yield world.state

    edge = Edge(Clockwork())  # type: ignore[arg-type]
    edge.start()
    try:
        assert not came.wait(0.25) and told == []
        for _ in range(2):
            world.tick(RECONCILE_NS)
            assert came.wait(20)
            came.clear()
        assert not came.wait(0.25)
    finally:
        edge.stop()
    assert told == ["reconcile:sim"] * 2


# --- cash ---


def _cost(world: World, cash_qty: Decimal) -> None:
    """What was spent, and what works or waits, fit into the cash, fees included."""
    (order,) = world.state.orders.values()
    children = [world.state.children[child] for child in order.children]
    spent = sum((fill.qty * fill.px for child in children for fill in child.fills.values()), Decimal(0))
    for child in children:
        if child.is_live:
            assert child.px is not None
            spent += (child.qty - child.cum_qty) * child.px
    assert spent * FEE <= cash_qty


PRICES = st.integers(1_000, 40_000).map(lambda cents: Decimal(cents) / 100)
PARTS = st.integers(0, 10)


@settings(max_examples=60)
@given(cash=st.integers(20, 100_000), first=PRICES, moves=st.lists(st.tuples(PRICES, PARTS, PARTS), min_size=1, max_size=4))
def test_a_cash_buy_never_spends_more_than_its_cash(
    cash: int, first: Decimal, moves: list[tuple[Decimal, int, int]]
) -> None:
    """A limit order is replaced again and again; it trades before each replace and while the replace is under way."""
    world, cash_qty, trades = World(), Decimal(cash), 0
    world.run(_order(world, "n", price=first, cash_qty=cash_qty))

    def live() -> Any:
        children = [child for child in world.state.children.values() if child.is_live]
        return children[0] if children else None

    def fill(tenths: int) -> None:
        nonlocal trades
        child = live()
        lots = (child.qty - child.cum_qty) * 10 if child is not None else Decimal(0)
        qty = (lots * tenths / 10).to_integral_value(rounding="ROUND_FLOOR") / 10
        if not qty:
            return
        trades += 1
        item = c.VenueTrade(
            account=VENUE_ACCOUNT, symbol=SYMBOL, venue_cl_ord_id=child.venue_cl_ord_id, venue_order_id="", side="1",
            venue_trade_id=f"t{trades}", qty=qty, px=child.px,
        )  # fmt: skip
        world.run(c.ChildTrade(ts_ns=world.tick(), venue=VENUE, trade=item))

    last = "n"
    for number, (px, before, during) in enumerate(moves):
        if live() is None:
            break
        _cost(world, cash_qty)
        child_id = live().venue_cl_ord_id
        world.run(c.ChildAck(ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=child_id, venue_order_id="v" + child_id))
        fill(before)
        world.run(
            world.client(
                c.ReplaceOrder, cl_ord_id=f"r{number}", orig_cl_ord_id=last, symbol=SYMBOL, side="1", ord_type="2", price=px,
                quotes=world.quotes,
            )
        )  # fmt: skip
        fill(during)
        child = live()
        if child is not None and child.cancel:
            world.run(
                c.ChildDone(
                    ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=child.venue_cl_ord_id, venue_order_id="",
                    status="canceled", cum_qty=child.cum_qty,
                )
            )  # fmt: skip
        if world.state.orders:
            _cost(world, cash_qty)
        child = live()
        if child is not None:
            new_id = child.venue_cl_ord_id
            world.run(c.ChildAck(ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=new_id, venue_order_id="v" + new_id))
        last = next(iter(world.state.orders.values())).cl_ord_id
        world.check()
    fill(10)
    _cost(world, cash_qty)
    (order,) = world.state.orders.values()
    if order.children and order.is_open:
        assert live() is not None
    elif order.status == "2":
        assert order.cum_qty == order.order_qty
    world.check()


@settings(max_examples=60)
@given(
    cash=st.integers(20, 100_000), stop=PRICES, at=PRICES, collar=st.none() | st.integers(0, 2_000), held=st.booleans(),
)  # fmt: skip
def test_a_cash_market_buy_never_spends_more(cash: int, stop: Decimal, at: Decimal, collar: int | None, held: bool) -> None:
    limits = s.Limits(collar_bps={"*": Decimal(collar)} if collar is not None else {})
    world, cash_qty = World(core_settings(firm=limits)), Decimal(cash)
    if held:
        world.run(_order(world, "n", ord_type="3", stop_px=stop, cash_qty=cash_qty))
        (order_id,) = world.state.orders
        px = max(stop, at)
        quotes = {VENUE: c.Quote(bid=px, ask=px + 1, last=px, recv_ns=world.now_ns)}
        world.run(c.TriggerStop(ts_ns=world.tick(), order_id=order_id, trigger_px=px, quotes=quotes))
    else:
        quotes = {VENUE: c.Quote(bid=at, ask=at, last=at, recv_ns=world.now_ns)}
        world.run(_order(world, "n", ord_type="1", tif="3", cash_qty=cash_qty, quotes=quotes))
    _cost(world, cash_qty)
    world.check()


def test_no_market_child_without_a_bound_while_a_collar_is_in_force() -> None:
    story = """
        new a buy 1                    | A A a 0/1; place C1 1@102.01 IOC
        new b sell 1                   | A A b 0/1; place C2 1@99.00 IOC
        new d buy 1 ord_type=3 stop_px=105 | A A d 0/1; 0 0 d 0/1
        replace e d 2 ord_type=3 stop_px=106 | 5 0 e<d 0/2
        trigger o3 106                 | place C3 2@102.01 IOC
    """
    world = World(TIGHT)
    play(story, world)
    assert all(placed.px is not None for placed in world.placed.values())
    # without market data there is no bound: refused, and a held stop stays held
    world = World(msgspec.structs.replace(TIGHT, risk_stages=("collar",)))
    world.run(_order(world, "s", ord_type="3", stop_px=Decimal(105), order_qty=Decimal(1)))
    (order_id,) = world.state.orders
    (reject,) = _messages(world.run(_order(world, "blind", ord_type="1", order_qty=Decimal(1), quotes={})))
    assert (reject.exec_type, reject.reason) == ("8", "STALE_MARKET_DATA")
    assert world.run(c.TriggerStop(ts_ns=world.tick(), order_id=order_id, trigger_px=Decimal(106), quotes={})) == []
    assert world.placed == {} and order_id in world.state.stops


def test_an_instrument_without_rules_takes_no_new_orders_and_its_stops_stay_held() -> None:
    """A venue's list may lack it for a moment: what is there is kept, and the refusal says why."""
    world = World()
    specs = tuple(world.state.instruments.values())
    world.run(_order(world, "s", ord_type="3", stop_px=Decimal(105), cash_qty=Decimal(500)))
    world.run(_order(world, "w", ord_type="2", price=Decimal(100), order_qty=Decimal(1)))
    (stop,) = world.state.stops
    world.run(c.InstrumentsReport(ts_ns=world.tick(), venue=VENUE, instruments=()))
    (reject,) = _messages(world.run(_order(world, "n", ord_type="2", price=Decimal(100), order_qty=Decimal(1))))
    assert (reject.reason, reject.exec_type) == ("UNKNOWN_SYMBOL", "8") and "does not list" in reject.text
    quotes = {VENUE: c.Quote(bid=Decimal(106), ask=Decimal(106), last=Decimal(106), recv_ns=world.now_ns)}
    trigger = {"order_id": stop, "trigger_px": Decimal(106), "quotes": quotes}
    assert world.run(c.TriggerStop(ts_ns=world.tick(), **trigger)) == [] and stop in world.state.stops
    world.run(world.client(c.CancelOrder, cl_ord_id="x", orig_cl_ord_id="w"))
    assert next(iter(world.state.children.values())).cancel == "sent"
    world.run(c.InstrumentsReport(ts_ns=world.tick(), venue=VENUE, instruments=specs))
    world.run(c.TriggerStop(ts_ns=world.tick(), **trigger))
    assert stop not in world.state.stops
    world.check()


def test_a_refusal_for_stale_data_says_why_what_came_since_is_not_used() -> None:
    limits = msgspec.structs.replace(TIGHT.firm, max_quote_age_ns=10**9)
    world = World(msgspec.structs.replace(TIGHT, firm=limits, risk_stages=("staleness", "collar")))
    old = c.Quote(bid=Decimal(99), ask=Decimal(101), recv_ns=world.now_ns - 10**10, unusable="bid is no price")
    for quote in (old, c.Quote(unusable="bid is no price")):
        fields = {"ord_type": "2", "price": Decimal(100), "order_qty": Decimal(1), "quotes": {VENUE: quote}}
        (reject,) = _messages(world.run(_order(world, f"n{quote.recv_ns}", **fields)))
        assert reject.reason == "STALE_MARKET_DATA"
        assert reject.text.endswith(f"what {VENUE} shows since is not used: bid is no price")
        assert ("no quote" in reject.text) == (not quote.recv_ns)


# --- floods ---


def _throttled() -> World:
    limits = s.Limits(msg_rate=10, msg_burst=2)
    return World(core_settings(sessions={"OMS44": session_settings("OMS44", limits=limits)}))


def test_the_throttle_makes_no_order() -> None:
    world = _throttled()
    for name in ("a", "b"):
        world.run(_order(world, name, order_qty=Decimal(1), price=Decimal(100)))
    before = list(world.state.orders)
    events = world.run(_order(world, "c", order_qty=Decimal(1), price=Decimal(100)))
    (message,) = _messages(events)
    assert isinstance(message, BusinessReject)
    assert (message.ref_msg_type, message.business_reason, message.reason, message.ref_id) == ("D", 8, "THROTTLE", "c")
    assert (message.reason_tag, message.reason_value, message.reason_limit) == (35, "D", "10/s burst 2")
    assert message.ref_seq == world.numbers["OMS44"]
    assert list(world.state.orders) == before
    world.tick(SECOND)
    (message, *_) = _messages(world.run(_order(world, "c", order_qty=Decimal(1), price=Decimal(100))))
    assert message.exec_type == "A", "its ClOrdID was not used up"
    world.check()


def _refuse(world: World, number: int) -> None:
    """An order for an unknown symbol."""
    _apply(world.state, _order(world, f"bad{number}", symbol="NOPE/USDT", order_qty=Decimal(1), price=Decimal(100)))


def test_refused_orders_are_bounded_by_number() -> None:
    world, count = World(), 30_000
    state = world.state
    world.run(_order(world, "good", ord_type="3", stop_px=Decimal(105), order_qty=Decimal(1)))
    world.run(world.client(c.CancelOrder, cl_ord_id="gone", orig_cl_ord_id="good"))
    for number in range(count):
        _refuse(world, number)
    session = state.sessions["OMS44"]
    assert len(state.refused) == MAX_REFUSED and len(state.orders) == MAX_REFUSED + 1
    assert len(session.cl_ord_ids) == MAX_REFUSED + 2
    assert next(iter(state.refused)) == next(order_id for order_id in state.orders if order_id in state.refused)
    assert {"good", "gone", f"bad{count - MAX_REFUSED}", f"bad{count - 1}"} <= set(session.cl_ord_ids)
    again = _apply(state, _order(world, "bad0", order_qty=Decimal(1), price=Decimal(100)))
    assert _messages(again)[0].exec_type == "A"
    for name in ("good", "gone", f"bad{count - 1}"):
        again = _apply(state, _order(world, name, order_qty=Decimal(1), price=Decimal(100)))
        assert [m.reason for m in _messages(again)] == ["DUPLICATE_CL_ORD_ID"]


def test_refused_orders_are_bounded_by_time() -> None:
    world = World()
    for number in range(100):
        _refuse(world, number)
    world.tick(8 * DAY_S * SECOND)
    for number in range(100, 150):
        _refuse(world, number)
    assert len(world.state.refused) == len(world.state.orders) == 50
    again = _apply(world.state, _order(world, "bad7", order_qty=Decimal(1), price=Decimal(100)))
    assert _messages(again)[0].exec_type == "A"


# --- mass records ---


def _journal(folder: Path) -> Journal:
    table = JournalTable()
    return Journal.open(
        folder / "journal", sync="os", segment_bytes=table.segment_mb << 20, reserve_bytes=table.reserve_mb << 20
    )


@pytest.mark.parametrize("held", [False, True], ids=["working", "stops"])
def test_a_kill_of_20_000_orders_is_one_record(tmp_path: Path, held: bool) -> None:
    """Through the engine and a real journal of the configuration's sizes; a restart reads it and comes to the same state."""
    count = 20_000
    world = World()
    state = world.state
    terms: dict[str, Any] = {"ord_type": "3", "stop_px": Decimal(105)} if held else {"price": Decimal(100)}
    for number in range(count):
        _apply(state, _order(world, f"client-order-{number:08}", order_qty=Decimal(1), **terms))
    state.seq = 0
    before = dump_state(state)
    journal = _journal(tmp_path)
    fatal: list[str] = []
    engine = Engine(journal, state, on_fatal=fatal.append, clock=lambda: world.now_ns)
    try:
        record = engine.call(
            c.AdminKill(ts_ns=world.tick(), scope="firm", target="", level="HALTED", user="ann", reason="test"), 60
        )
        assert record is not None and fatal == []
        stopped = e.OrderCanceled if held else e.ChildCancelSent
        assert sum(isinstance(event, stopped) for event in record.events) == count
    finally:
        engine.stop()
        journal.close(clean=True)
    again = load_state(before)
    journal = _journal(tmp_path)
    try:
        for _seq, payload in journal.read(1):
            apply_record(again, decode_record(payload))
    finally:
        journal.close(clean=True)
    assert dump_state(again) == dump_state(state)
    assert len(again.open_orders) == (0 if held else count)
