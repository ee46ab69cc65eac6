"""Account events late, lost, doubled, out of turn, snapshots meanwhile, clocks apart: available is never more than there is."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixgw.core.events import BalancesUpdated, ChildClosed, ChildConfirmed, ChildPlaced, OrderReceived
from fixgw.core.evolve import evolve
from fixgw.core.state import new_state
from fixgw.risk.buying_power import available
from fixgw.venues.base import Balances
from fixgw.venues.covering import StreamBalances

MS = 1_000_000
ASSETS = ("USDT", "BTC")


@dataclass
class World:
    """A venue, its stream and our side of it. A unit of an asset is locked per order."""

    skew_ms: int
    now_ns: int = 10**18
    book: StreamBalances = field(default_factory=StreamBalances)
    free: dict[str, D] = field(default_factory=lambda: {asset: D(1000) for asset in ASSETS})
    # placed, not yet at the venue: order -> (asset, quantity)
    coming: dict[str, tuple[str, D]] = field(default_factory=dict)
    there: dict[str, tuple[str, D, int]] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    # pairs of an execution (order, asset, venue ms) and an account event (venue ms, asset, free)
    stream: list[tuple[Any, ...]] = field(default_factory=list)
    asked: list[tuple[int, dict[str, D]]] = field(default_factory=list)
    confirmed: set[str] = field(default_factory=set)
    count: int = 0

    def __post_init__(self) -> None:
        self.state = new_state()
        self.tell(self.book.snapshot(dict(self.free), dict(self.free), self.now_ns))

    def venue_ms(self) -> int:
        return self.now_ns // MS + self.skew_ms

    def tell(self, found: Balances) -> None:
        report = BalancesUpdated(
            venue="V", account="A", asof_ns=found.asof_ns, free=found.free, total=found.total, later=found.later
        )
        evolve(self.state, report)

    def step(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("wait", ns):
                self.now_ns += ns
            case ("place", asset, qty):
                self.place(asset, D(qty))
            case ("arrive", pick) if self.coming:
                self.arrive(sorted(self.coming)[pick % len(self.coming)])
            case ("answer", pick) if self.answers:
                our_id = self.answers.pop(pick % len(self.answers))
                self.confirm(our_id, streamed=False)
            case ("cancel", pick) if self.there:
                self.cancel(sorted(self.there)[pick % len(self.there)])
            case ("hear", copies) if self.stream:
                event = self.stream.pop(0)
                for _ in range(copies):
                    self.hear(event)
            case ("swap",) if len(self.stream) > 1 and self.stream[0][-1] != self.stream[1][-1]:
                self.stream[0], self.stream[1] = self.stream[1], self.stream[0]
            case ("ask",):
                self.asked.append((self.now_ns, {}))
            case ("read",):  # the venue makes its answer
                for _, seen in self.asked:
                    seen.update({} if seen else self.free)
            case ("told", pick) if self.asked and self.asked[pick % len(self.asked)][1]:
                asked_ns, seen = self.asked.pop(pick % len(self.asked))
                self.tell(self.book.snapshot(dict(seen), dict(seen), asked_ns))
        self.now_ns += 1000

    def place(self, asset: str, qty: D) -> None:
        if available(self.state.account("A"), asset) < qty:
            return
        self.count += 1
        our_id, side = f"o{self.count:03}", "1" if asset == "USDT" else "2"
        terms: dict[str, Any] = {"symbol": "BTC/USDT", "side": side, "ord_type": "2", "tif": "1", "account": "A", "venue": "V"}
        evolve(
            self.state,
            OrderReceived(
                order_id="O" + our_id, ts_ns=self.now_ns, session="S", cl_ord_id=our_id, client_account="",
                client_symbol="BTC/USDT", order_qty=qty, price=D(1), **terms,
            ),
        )  # fmt: skip
        evolve(
            self.state,
            ChildPlaced(
                venue_cl_ord_id=our_id, ts_ns=self.now_ns, order_id="O" + our_id, qty=qty, px=D(1), reserve_asset=asset,
                reserve_qty=qty, **terms,
            ),
        )  # fmt: skip
        self.coming[our_id] = (asset, qty)

    def arrive(self, our_id: str) -> None:
        asset, qty = self.coming.pop(our_id)
        assert self.free[asset] >= qty, "the gateway sent more than there is"
        self.free[asset] -= qty
        self.there[our_id] = (asset, qty, self.venue_ms())
        self.answers.append(our_id)
        self.stream.append(("order", our_id, asset, self.venue_ms()))
        self.stream.append(("account", asset, self.free[asset], self.venue_ms()))

    def cancel(self, our_id: str) -> None:
        asset, qty, _ = self.there[our_id]
        if our_id not in self.confirmed:
            return
        del self.there[our_id]
        self.free[asset] += qty
        self.stream.append(("account", asset, self.free[asset], self.venue_ms()))
        evolve(self.state, ChildClosed(venue_cl_ord_id=our_id, ts_ns=self.now_ns, status="canceled"))

    def confirm(self, our_id: str, streamed: bool, at_ms: int = 0) -> None:
        if not streamed and our_id not in self.there:
            return
        child = self.state.children[our_id]
        self.book.order(our_id, child.reserve_asset, at_ms or self.there[our_id][2], self.now_ns, streamed=streamed)
        if our_id not in self.confirmed:
            self.confirmed.add(our_id)
            evolve(self.state, ChildConfirmed(venue_cl_ord_id=our_id, ts_ns=self.now_ns, venue_order_id="v" + our_id))

    def hear(self, event: tuple[Any, ...]) -> None:
        if event[0] == "order":
            self.confirm(event[1], True, event[3])
        else:
            self.tell(self.book.event(event[3], iter([(event[1], event[2], event[2])]), self.now_ns))

    def check(self) -> None:
        for asset in ASSETS:
            coming = sum((qty for mine, qty in self.coming.values() if mine == asset), D(0))
            assert available(self.state.account("A"), asset) <= self.free[asset] - coming


PICK = st.integers(0, 20)
STEP = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from((0, MS, 40 * MS))),
    st.tuples(st.just("place"), st.sampled_from(ASSETS), st.integers(1, 600)),
    st.tuples(st.just("arrive"), PICK),
    st.tuples(st.just("arrive"), PICK),
    st.tuples(st.just("answer"), PICK),
    st.tuples(st.just("answer"), PICK),
    st.tuples(st.just("hear"), st.sampled_from((1, 1, 1, 0, 2))),
    st.tuples(st.just("hear"), st.just(1)),
    st.tuples(st.just("swap")),
    st.tuples(st.just("cancel"), PICK),
    st.tuples(st.just("ask")),
    st.tuples(st.just("read")),
    st.tuples(st.just("told"), PICK),
)


@settings(max_examples=400)
@given(st.sampled_from((-9000, 0, 9000)), st.lists(STEP, max_size=60))
def test_available_is_never_more_than_the_venue_has(skew_ms: int, steps: list[tuple[Any, ...]]) -> None:
    world = World(skew_ms)
    for step in steps:
        world.step(step)
        world.check()


@settings(max_examples=100)
@given(
    st.integers(-9000, 9000),
    st.lists(st.tuples(st.sampled_from(ASSETS), st.integers(1, 20), st.booleans(), st.sampled_from((0, MS))), max_size=30),
)
def test_in_order_events_leave_nothing_reserved(skew_ms: int, orders: list[tuple[str, int, bool, int]]) -> None:
    """The normal case, several orders to a millisecond, answers before or after the events: available is exact at once."""
    world = World(skew_ms)
    for asset, qty, answer_first, gap_ns in orders:
        world.step(("place", asset, qty))
        world.step(("arrive", 0))
        for step in (("answer", 0), ("hear", 1), ("hear", 1)) if answer_first else (("hear", 1), ("hear", 1), ("answer", 0)):
            world.step(step)
        assert not world.state.account("A").uncovered
        assert {a: available(world.state.account("A"), a) for a in ASSETS} == world.free
        world.now_ns += gap_ns
    assert not world.book.overdue(world.now_ns + 10**12)


def test_a_receive_time_would_not_do() -> None:
    """The property sees the fault that this rule is against."""
    world = World(0)
    world.book._asof = lambda u_ms, now_ns: now_ns  # type: ignore[method-assign]
    steps = [("place", "USDT", 10), ("arrive", 0), ("wait", MS), ("place", "USDT", 50), ("arrive", 0), ("answer", 1)]
    for step in (*steps, ("hear", 1)):
        world.step(step)
    with pytest.raises(AssertionError):
        world.step(("hear", 1))
        world.check()
