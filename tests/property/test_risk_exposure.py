"""Random orders through the checks and the real evolve: what the checks admit never exceeds a limit, whatever fills first.

The driver does what decide does: it asks the checks with the figures of the contract (RiskRequest), and only what passes
becomes events. After every step the worst case of every scope is compared with its limits.
"""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fixgw.core import events as e
from fixgw.core.commands import Quote
from fixgw.core.evolve import at_risk, evolve, notional_at_risk
from fixgw.core.order import Order
from fixgw.core.settings import AccountSettings, CoreSettings, Limits, SessionSettings, VenueSettings
from fixgw.core.state import State, new_state
from fixgw.risk import buying_power, notional, open_orders, order_qty, position, session_state, throttle
from fixgw.risk.base import Check, RiskRequest
from fixgw.risk.bounds import bounds_of

SYMBOL, OTHER = "BTC/USDT", "ETH/USDT"
D = Decimal
# two sessions share account A, one has B of its own
OWNERS = (("S1", "A"), ("S2", "A"), ("S3", "B"))
EXPOSURE_CHECKS: tuple[Check, ...] = (order_qty.check, notional.check, open_orders.check, position.check)

QTYS = st.decimals("0.1", "9", places=2)
PRICES = st.decimals("80", "120", places=1)
Rate = tuple[int, int] | None
OWNER = st.integers(0, len(OWNERS) - 1)
PICK = st.integers(0, 1_000)
ORDERS = st.tuples(
    st.just("new"), OWNER, st.sampled_from("12"), QTYS, PRICES, st.sampled_from((False, False, True)),
    st.sampled_from((SYMBOL, SYMBOL, OTHER)),
)  # fmt: skip
STEPS = st.one_of(
    ORDERS,
    ORDERS,
    ORDERS,
    st.tuples(st.just("replace"), PICK, QTYS, PRICES),
    st.tuples(st.just("settle"), PICK, st.booleans()),
    st.tuples(st.just("fill"), PICK, st.sampled_from((7, 50, 100, 100)), st.booleans()),
    st.tuples(st.just("fill"), PICK, st.just(100), st.just(False)),
    st.tuples(st.just("cancel"), PICK),
    st.tuples(st.just("trigger"), PICK, PRICES),
)


def _limits(draw_from: tuple[int, int, int, int, int, int]) -> Limits:
    gross, net, order, open_notional, orders, total = draw_from
    by_symbol = {name: D(open_notional) for name in (SYMBOL, OTHER)}
    return Limits(
        max_gross={"*": D(gross)}, max_net={"*": D(net)}, max_order_qty={"*": D(8)}, max_notional={"*": D(order)},
        max_open_notional=by_symbol | {"*": D(total)}, max_open_orders=orders,
    )


LIMITS = st.builds(
    _limits,
    # each limit sometimes tight, sometimes far away, so that each is the one that binds
    st.tuples(
        st.sampled_from((5, 12, 30, 1000)), st.sampled_from((3, 8, 15, 1000)), st.sampled_from((100, 400, 900)),
        st.sampled_from((300, 1000, 2500, 100_000)), st.sampled_from((1, 3, 6, 100)),
        st.sampled_from((500, 1500, 100_000)),
    ),
)


class Desk:
    """A state, the checks before it, and what the invariants need."""

    def __init__(self, firm: Limits, session: Limits, account: Limits) -> None:
        self.state: State = new_state()
        self.ids = itertools.count(1)
        evolve(self.state, e.SettingsLoaded(settings=CoreSettings(
            hash="test",
            sessions={name: SessionSettings(name=name, limits=session) for name, _ in OWNERS},
            accounts={
                name: AccountSettings(name=name, venue="V", venue_account=name, limits=account) for name in ("A", "B")
            },
            venues={"V": VenueSettings(name="V")},
            firm=firm,
        )))

    def open(self, pick: int, **wanted: Any) -> Order | None:
        """One of the open orders that have these attributes."""
        found = [
            order for order in (self.state.orders[name] for name in self.state.open_orders)
            if all(getattr(order, key) == value for key, value in wanted.items())
        ]
        return found[pick % len(found)] if found else None

    def ask(
        self, kind: str, owner: tuple[str, str], side: str, qty: D, px: D, order: Order | None, ts_ns: int = 1,
        symbol: str = SYMBOL,
    ) -> RiskRequest:
        symbol = symbol if order is None else order.symbol
        leaves = max(qty - (order.cum_qty if order else D(0)), D(0))
        core = self.state.settings
        session, account = core.sessions[owner[0]], core.accounts[owner[1]]
        return RiskRequest(
            kind=kind, state=self.state, ts_ns=ts_ns, session=session, account=account, symbol=symbol, base=symbol[:3],
            quote_asset="USDT", side=side, ord_type="2", tif="1", qty=qty, leaves=leaves,
            added=max(leaves - (at_risk(order) if order else D(0)), D(0)),
            added_notional=max(leaves * px - (notional_at_risk(order) if order else D(0)), D(0)), price=px, stop_px=None,
            value_px=px, reference=px, quote=Quote(bid=px, ask=px, last=px, recv_ns=ts_ns), with_fee=D("1.001"),
            bounds=bounds_of(session, account, core.firm, symbol, core.firm_entitlements), order=order,
        )

    def new(
        self, checks: tuple[Check, ...], owner: tuple[str, str], side: str, qty: D, px: D, held: bool = False,
        symbol: str = SYMBOL,
    ) -> str | None:
        """The new order's id, None when it was refused."""
        if any(check(self.ask("new", owner, side, qty, px, None, symbol=symbol)) for check in checks):
            return None
        name = f"O{next(self.ids)}"
        evolve(self.state, e.OrderReceived(
            order_id=name, ts_ns=1, session=owner[0], cl_ord_id="c" + name, client_account="", account=owner[1], venue="V",
            symbol=symbol, client_symbol=symbol, side=side, ord_type="2", tif="1", order_qty=qty, price=px, risk_px=px, held=held,
        ))
        if held:
            evolve(self.state, e.OrderConfirmed(order_id=name, ts_ns=1))
        else:
            self.place(self.state.orders[name])
        return name

    def place(self, order: Order, reserve: tuple[str, D] = ("", D(0)), ts_ns: int = 1) -> None:
        evolve(self.state, e.ChildPlaced(
            venue_cl_ord_id=order.order_id + "-1", ts_ns=ts_ns, order_id=order.order_id, venue="V", account=order.account,
            symbol=order.symbol, side=order.side, ord_type="2", tif="1", qty=order.order_qty, px=order.price,
            reserve_asset=reserve[0], reserve_qty=reserve[1],
        ))

    def replace(self, checks: tuple[Check, ...], pick: int, qty: D, px: D) -> None:
        order = self.open(pick, pending=None)
        if order is None:
            return
        if any(check(self.ask("replace", (order.session, order.account), order.side, qty, px, order)) for check in checks):
            return
        evolve(self.state, e.ReplaceRequested(
            order_id=order.order_id, ts_ns=1, cl_ord_id=f"r{next(self.ids)}", order_qty=qty, ord_type="2", tif="1", price=px,
            risk_px=px,
        ))

    def settle(self, pick: int, accepted: bool) -> None:
        found = [order for order in (self.state.orders[name] for name in self.state.open_orders) if order.pending]
        if not found:
            return
        order = found[pick % len(found)]
        if accepted and not (order.status == "A" and order.held):
            evolve(self.state, e.OrderReplaced(order_id=order.order_id, ts_ns=1))
        else:
            evolve(self.state, e.ReplaceRefused(order_id=order.order_id, ts_ns=1, reason="REPLACE_FAILED"))

    def fill(self, pick: int, percent: int, base_fee: bool) -> None:
        order = self.open(pick, held=False)
        if order is None or not order.leaves_qty:
            return
        qty = order.leaves_qty if percent == 100 else order.leaves_qty * percent / 100
        fee = qty / 1000 if base_fee and order.side == "1" else D(0)
        trade = f"t{next(self.ids)}"
        evolve(self.state, e.OrderFilled(
            order_id=order.order_id, ts_ns=1, venue_cl_ord_id=order.order_id + "-1", venue_trade_id=trade, exec_id=trade,
            qty=qty, px=order.price or D(100), base_fee=fee,
        ))

    def cancel(self, pick: int) -> None:
        order = self.open(pick)
        if order is not None:
            self.cancel_named(order)

    def trigger(self, checks: tuple[Check, ...], pick: int, px: D) -> None:
        order = self.open(pick, held=True, pending=None)
        if order is None:
            return
        owner = (order.session, order.account)
        if any(check(self.ask("trigger", owner, order.side, order.order_qty, px, order)) for check in checks):
            self.cancel_named(order)
            return
        evolve(self.state, e.StopTriggered(order_id=order.order_id, ts_ns=1, trigger_px=px))
        self.place(order)

    def cancel_named(self, order: Order) -> None:
        evolve(self.state, e.OrderCanceled(order_id=order.order_id, ts_ns=1, cl_ord_id=order.cl_ord_id, reason=""))

    def step(self, checks: tuple[Check, ...], step: tuple[Any, ...]) -> None:
        match step:
            case ("new", owner, side, qty, px, held, symbol):
                self.new(checks, OWNERS[owner], side, qty, px, held, symbol)
            case ("replace", pick, qty, px):
                self.replace(checks, pick, qty, px)
            case ("settle", pick, accepted):
                self.settle(pick, accepted)
            case ("fill", pick, percent, base_fee):
                self.fill(pick, percent, base_fee)
            case ("cancel", pick):
                self.cancel(pick)
            case ("trigger", pick, px):
                self.trigger(checks, pick, px)


def _within(desk: Desk, scope: str, limits: Limits) -> None:
    exposure = desk.state.exposures.get(scope)
    if exposure is None:
        return
    assert limits.max_open_orders is not None and exposure.open_orders <= limits.max_open_orders
    for symbol, at in exposure.symbols.items():
        assert abs(at.position) + at.open_buy + at.open_sell <= limits.max_gross["*"]
        assert at.position + at.open_buy <= limits.max_net["*"]
        assert at.open_sell - at.position <= limits.max_net["*"]
        assert at.open_notional <= limits.max_open_notional[symbol]
    assert sum(at.open_notional for at in exposure.symbols.values()) <= limits.max_open_notional["*"]


def _orders_within(desk: Desk, *all_limits: Limits) -> None:
    for order in desk.state.orders.values():
        for limits in all_limits:
            assert order.order_qty <= limits.max_order_qty["*"]
            assert order.leaves_qty * order.risk_px <= limits.max_notional["*"]
            # what it has traded counts too, however often it was replaced
            assert order.notional + order.leaves_qty * order.risk_px <= limits.max_notional["*"]


@settings(max_examples=150)
@given(st.tuples(LIMITS, LIMITS, LIMITS), st.lists(STEPS, min_size=25, max_size=60))
def test_no_scope_ever_exceeds_its_limits(all_limits: tuple[Limits, Limits, Limits], steps: list[tuple[Any, ...]]) -> None:
    firm, session, account = all_limits
    desk = Desk(firm, session, account)
    for step in steps:
        desk.step(EXPOSURE_CHECKS, step)
        _within(desk, "firm", firm)
        for name, _ in OWNERS:
            _within(desk, "s:" + name, session)
        for name in ("A", "B"):
            _within(desk, "a:" + name, account)
        _orders_within(desk, *all_limits)


@settings(max_examples=150)
@given(
    st.sampled_from("12"),
    st.lists(st.tuples(QTYS, PRICES, st.sampled_from((0, 7, 50)), st.sampled_from((0, 7, 50, 100))), min_size=1, max_size=12),
)
def test_no_chain_of_replaces_takes_an_order_over_its_notional(side: str, steps: list[tuple[D, D, int, int]]) -> None:
    """Filled in part before and while each replace is pending."""
    desk = Desk(Limits(), Limits(max_notional={"*": D(400)}), Limits())
    assert desk.new((notional.check,), OWNERS[0], side, D(3), D(100)) is not None
    for extra, px, before, meanwhile in steps:
        desk.fill(0, before, False)
        order = desk.open(0)
        if order is None:
            break
        desk.replace((notional.check,), 0, order.cum_qty + extra, px)
        desk.fill(0, meanwhile, False)
        desk.settle(0, True)
        (order,) = desk.state.orders.values()
        assert order.notional + order.leaves_qty * order.risk_px <= 400


@settings(max_examples=80)
@given(st.lists(STEPS, min_size=25, max_size=60))
def test_an_order_within_the_room_is_never_refused(steps: list[tuple[Any, ...]]) -> None:
    """The limits are used up to the last lot: an order is refused only when the sum is really above."""
    limits = Limits(max_gross={"*": D(12)})
    desk = Desk(limits, Limits(), Limits())
    for step in steps:
        if step[0] == "new":
            at = desk.state.exposure("firm", step[6])
            fits = abs(at.position) + at.open_buy + at.open_sell + step[3] <= 12
            assert (desk.new((position.check,), OWNERS[step[1]], *step[2:]) is not None) == fits
        else:
            desk.step((position.check,), step)


@settings(max_examples=150)
@given(st.sampled_from((D(0), D("9.5"), D("-9.5"))), st.lists(STEPS, min_size=25, max_size=60))
def test_reducing_never_increases_a_position(start: D, steps: list[tuple[Any, ...]]) -> None:
    """From a position without open orders, whatever passes REDUCING and fills in whatever order and part."""
    desk = Desk(Limits(), Limits(), Limits())
    for owner in OWNERS[1:]:
        if start:
            desk.new((), owner, "1" if start > 0 else "2", abs(start), D(100))
            desk.fill(0, 100, False)
    evolve(desk.state, e.KillSet(scope="firm", target="", level="REDUCING", ts_ns=1))
    held = {name: desk.state.exposure("a:" + name, SYMBOL).position for name in ("A", "B")}
    for step in steps:
        desk.step((session_state.check,), step)
        for name, before in held.items():
            now = desk.state.exposure("a:" + name, SYMBOL)
            assert abs(now.position) <= abs(before)
            # nor could it, if everything open filled
            assert now.open_sell <= max(now.position, D(0)) and now.open_buy <= max(-now.position, D(0))
            held[name] = now.position


@settings(max_examples=150)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("new"), st.sampled_from("12"), QTYS, PRICES),
            st.tuples(st.just("ack"), PICK),
            st.tuples(st.just("report")),
            st.tuples(st.just("older report")),
        ),
        max_size=30,
    )
)
def test_the_venue_account_is_never_overdrawn(steps: list[tuple[Any, ...]]) -> None:
    """Orders, acks and balance reports in any order: what was sent never needs more than the account has."""
    limits = Limits(buying_power=True)
    desk = Desk(Limits(), limits, Limits())
    have = {"USDT": D(1000), "BTC": D(10)}
    shown = dict(have)  # what the venue's free balance is: less by what it has acknowledged
    waiting: list[tuple[str, str, D]] = []
    asof_ns, earlier = 1, dict(have)
    evolve(desk.state, e.BalancesUpdated(venue="V", account="A", asof_ns=asof_ns, free=dict(shown), total={}))
    for now_ns, step in enumerate(steps, start=10):
        match step:
            case ("new", side, qty, px):
                name = desk.new((buying_power.check,), OWNERS[now_ns % 2], side, qty, px, held=True)
                if name is not None:
                    need = ("USDT", qty * px * D("1.001")) if side == "1" else ("BTC", qty)
                    desk.place(desk.state.orders[name], need, now_ns)
                    have[need[0]] -= need[1]
                    waiting.append((name + "-1", *need))
            case ("ack", pick) if waiting:
                child, asset, qty = waiting.pop(pick % len(waiting))
                evolve(desk.state, e.ChildConfirmed(venue_cl_ord_id=child, ts_ns=now_ns, venue_order_id="v" + child))
                asof_ns, earlier = now_ns - 1, dict(shown)
                shown[asset] -= qty
            case ("report",):
                evolve(desk.state, e.BalancesUpdated(venue="V", account="A", asof_ns=now_ns, free=dict(shown), total={}))
            case ("older report",) if asof_ns >= desk.state.account("A").asof_ns:
                # made just before the last ack, received after it
                evolve(desk.state, e.BalancesUpdated(venue="V", account="A", asof_ns=asof_ns, free=earlier, total={}))
        assert min(have.values()) >= 0


@settings(max_examples=150)
@given(st.integers(1, 50), st.integers(1, 10), st.lists(st.integers(0, 300_000_000), max_size=60))
def test_the_throttle_admits_no_more_than_burst_and_rate(rate: int, burst: int, gaps: list[int]) -> None:
    desk = Desk(Limits(), Limits(msg_rate=rate, msg_burst=burst), Limits())
    now_ns, admitted = 10**18, []
    for number, gap in enumerate(gaps):
        now_ns += gap
        if throttle.check(desk.ask("new", OWNERS[0], "1", D(1), D(100), None, now_ns)) is None:
            admitted.append(now_ns)
        evolve(desk.state, e.Received(session="S1", reset_epoch=0, msg_seq=number, ts_ns=now_ns, counts=True))
    step = 1_000_000_000 // rate
    for first, last in itertools.combinations(range(len(admitted)), 2):
        assert last - first + 1 <= burst + (admitted[last] - admitted[first]) // step


RATES = st.one_of(st.none(), st.tuples(st.integers(1, 50), st.integers(1, 10)))
GAPS = st.integers(0, 200_000_000)


@settings(max_examples=150)
@given(RATES, RATES, RATES, st.lists(st.tuples(OWNER, GAPS, st.booleans()), max_size=60))
def test_no_scope_admits_more_than_its_burst_and_rate(
    firm: Rate, session: Rate, account: Rate, messages: list[tuple[int, int, bool]]
) -> None:
    """Whoever sends and whatever the others refuse. Cancels count where they fit; and what is refused changes nothing."""

    def rate(given: Rate) -> Limits:
        return Limits() if given is None else Limits(msg_rate=given[0], msg_burst=given[1])

    def places(state: State) -> dict[str, int]:
        return {name: found.tat_ns for name, found in (*state.sessions.items(), *state.paces.items()) if found.tat_ns}

    desk = Desk(rate(firm), rate(session), rate(account))
    now_ns, admitted = 10**18, dict[str, list[int]]()
    for number, (pick, gap, cancel) in enumerate(messages):
        now_ns += gap
        owner = OWNERS[pick]
        denied = throttle.check(desk.ask("new", owner, "1", D(1), D(100), None, now_ns))
        before = places(desk.state)
        evolve(desk.state, e.Received(owner[0], 0, number, now_ns, True, owner[1]))
        if denied is not None:
            assert places(desk.state) == before, "a message that was refused took a place"
        elif not cancel:
            for key in ("s:" + owner[0], "a:" + owner[1], "firm"):
                admitted.setdefault(key, []).append(now_ns)
    for key, times in admitted.items():
        limits = {"s": session, "a": account, "f": firm}[key[0]]
        if limits is None:
            continue
        step = 1_000_000_000 // limits[0]
        for first, last in itertools.combinations(range(len(times)), 2):
            assert last - first + 1 <= limits[1] + (times[last] - times[first]) // step, key
