"""What must hold at every step, and what the truth is.

`Truth` knows of each child what the venue executed and what it may still execute: requests that may yet reach it included.
No party of the story sees it. `Checker` holds each record, each send and each rest of the gateway against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import chain

from ..core import commands as c
from ..core import events as e
from ..core.child import CLOSED, Child
from ..core.codec import Record
from ..core.evolve import at_risk, notional_at_risk, scopes_of
from ..core.order import OPEN, Order
from ..core.settings import limit_for, quote_of
from ..core.settling import Settling
from ..core.state import HALTED, State
from ..venues import wire
from .scheduler import SECOND, Sim, Violation

ZERO = Decimal(0)
FULL_EVERY = 64
FOREVER_NS = 1 << 63
# more than anything waits before it is decided
JUMP_NS = 30 * SECOND


class Truth:
    """Per child: executed at the venue, and the most that it can come to. Sums per session and side for the limits."""

    def __init__(self) -> None:
        self.most: dict[str, Decimal] = {}
        self.done: dict[str, Decimal] = {}
        self.place: dict[str, wire.PlaceChild] = {}
        self.owner: dict[str, str] = {}
        # sent, and not at the exchange yet: (asset, what it will lock there)
        self.flying: dict[str, tuple[str, Decimal]] = {}
        self.buys_most = self.sells_most = self.buys_done = self.sells_done = ZERO
        self.by_session: dict[str, list[Decimal]] = {}

    def sent(self, message: wire.PlaceChild, session: str) -> None:
        """The gateway has sent it: it may trade in full."""
        key = message.venue_cl_ord_id
        self.place[key] = message
        self.owner[key] = session
        self.done[key] = ZERO
        self.most[key] = ZERO
        self._move(key, message.qty or ZERO, ZERO)
        self.flying[key] = lock_of(message)

    def arrived(self, key: str) -> None:
        """It is at the exchange, and locks there what it needs, or is refused."""
        self.flying.pop(key, None)

    def gone(self, key: str) -> None:
        """Nothing more can come of it: lost on the way, refused, ended."""
        self.flying.pop(key, None)
        if key in self.most:
            self._move(key, self.done[key] - self.most[key], ZERO)

    def reduced(self, key: str, qty: Decimal) -> None:
        """The exchange has taken so much off it in place."""
        if key in self.most:
            self._move(key, -qty, ZERO)

    def traded(self, key: str, qty: Decimal) -> None:
        """The venue executed some of it."""
        if key in self.most:
            self._move(key, ZERO, qty)

    def _move(self, key: str, most: Decimal, done: Decimal) -> None:
        self.most[key] += most
        self.done[key] += done
        sums = self.by_session.setdefault(self.owner[key], [ZERO] * 4)
        at = 0 if self.place[key].side == "1" else 2
        sums[at] += most
        sums[at + 1] += done


def lock_of(message: wire.PlaceChild) -> tuple[str, Decimal]:
    """(asset, quantity) that the exchange locks for an order with a limit."""
    base, quote = message.symbol.split("/")
    qty = message.qty or ZERO
    return (quote, qty * (message.px or ZERO)) if message.side == "1" else (base, qty)


class Checker:
    """Raises Violation; changes nothing. `free`: what the exchange would let us spend of an asset."""

    def __init__(self, sim: Sim, deep: bool) -> None:
        self.truth = Truth()
        self.free: Callable[[str], Decimal] = lambda asset: ZERO
        self.lossy = False
        self._sim = sim
        self._deep = deep
        self._records = 0
        # how far the gateway's time was from the true one at the last record
        self._ahead_ns: int | None = None

    def placed(self, state: State, message: wire.PlaceChild) -> None:
        """A place is about to be sent: never twice, never beyond what was ordered, never beyond a limit."""
        key = message.venue_cl_ord_id
        if key in self.truth.place:
            if not self.lossy:
                raise Violation("no double send", f"{key} is sent a second time")
            # the record of the first time is lost (sync = "os" and a power cut): the exchange has to refuse it
            self._sim.counts["sent again after lost records (sync = os)"] += 1
            return
        child = child_of(state, key)
        order = order_of(state, child.order_id)
        if not self.lossy:
            self._funds(state, order, message)
        self.truth.sent(message, order.session)
        if not self.lossy:
            self._conserved(state, order)
            self._limits(state, order)
            self._sizes(state, order, message)

    def _funds(self, state: State, order: Order, message: wire.PlaceChild) -> None:
        """An order, or the second leg of a replace, never needs more than what is free at the exchange, less what is on its way
        there."""
        if not state.settings.firm.buying_power:
            return
        asset, need = lock_of(message)
        flying = sum((qty for of, qty in self.truth.flying.values() if of == asset), ZERO)
        have = self.free(asset) - flying
        if need > have:
            text = f"{message.venue_cl_ord_id} needs {need} {asset}, free are {have}, {flying} more are on their way"
            raise Violation("risk is never exceeded", text)

    def _limits(self, state: State, order: Order) -> None:
        """Executed plus whatever may still execute, one side at a time, never exceeds the limit on the net position."""
        sums = list(self.truth.by_session.items())
        everybody = [sum((row[at] for _, row in sums), ZERO) for at in range(4)]
        settings = state.settings
        scopes = [("firm", settings.firm, everybody)]
        scopes += [(name, settings.sessions[name].limits, row) for name, row in sums if name == order.session]
        for name, limits, (buys_most, buys_done, sells_most, sells_done) in scopes:
            net = limit_for(limits.max_net, order.symbol)
            if net is None:
                continue
            worst = max(buys_most - sells_done, sells_most - buys_done)
            if worst > net:
                raise Violation("risk is never exceeded", f"{name}: the position may come to {worst}, the limit is {net}")

    def _sizes(self, state: State, order: Order, message: wire.PlaceChild) -> None:
        """No child is larger than an order may be, no more children may trade than there may be open orders, and what they may
        trade is worth no more than may be open. The second leg of a replace takes the place of the first."""
        settings, truth = state.settings, self.truth
        working = [(owner, key) for key, owner in truth.owner.items() if truth.most[key] > truth.done[key]]
        mine = [(owner, key) for owner, key in working if owner == order.session]
        scopes = [("firm", settings.firm, working), (order.session, settings.sessions[order.session].limits, mine)]
        for name, limits, found in scopes:
            most, size = limits.max_open_orders, limit_for(limits.max_order_qty, order.symbol)
            if most is not None and len(found) > most and len(order.children) == 1:
                raise Violation("risk is never exceeded", f"{name}: {len(found)} orders may trade, the limit is {most}")
            # market orders are valued at the reference, not at the collar that they go out with
            priced = [key for _, key in found if order_of(state, child_of(state, key).order_id).price is not None]
            worth = sum(((truth.most[key] - truth.done[key]) * (truth.place[key].px or ZERO) for key in priced), ZERO)
            notional = limit_for(limits.max_open_notional, "*")
            if notional is not None and worth > notional:
                raise Violation("risk is never exceeded", f"{name}: {worth} may trade, the limit on open notional is {notional}")
            if size is not None and message.qty is not None and message.qty > size:
                text = f"{name}: {message.venue_cl_ord_id} is of {message.qty}, the limit of an order is {size}"
                raise Violation("risk is never exceeded", text)

    def _conserved(self, state: State, order: Order) -> None:
        ordered = order.order_qty
        if order.pending is not None and order.pending.kind == "E":
            ordered = max(ordered, order.pending.order_qty)
        total = sum((self.truth.most.get(child, ZERO) for child in order.children), ZERO)
        if total > ordered:
            text = f"order {order.order_id} ({order.ord_status}): {total} executed or working, {ordered} ordered"
            raise Violation("quantity is conserved", text)

    def step(self, state: State, record: Record) -> None:
        """After each record: the orders and children that it touched; now and then all of them."""
        self._time_goes_on(record)
        orders: dict[str, None] = {}
        for event in record.events:
            if isinstance(event, e.OrderEvent):
                orders[event.order_id] = None
            elif isinstance(event, e.ChildEvent):
                child = child_of(state, event.venue_cl_ord_id)
                orders[child.order_id] = None
                if isinstance(event, e.ChildClosed):
                    self._closed(child)
                elif isinstance(event, e.ChildPlaced):
                    self._may_place(state, order_of(state, child.order_id))
        for order_id in orders:
            order = order_of(state, order_id)
            for problem in order_problems(state, order):
                raise Violation("the state makes sense", f"record {record.seq}: {problem}")
            for child in (child_of(state, key) for key in order.children):
                if child.cum_qty > child.qty:  # the exchange of a story executes never more than it was asked to
                    text = f"record {record.seq}: {child.venue_cl_ord_id} executed {child.cum_qty} of {child.qty}"
                    raise Violation("the state makes sense", text)
            if not self.lossy:
                self._conserved(state, order)
        self._records += 1
        if self._deep or self._records % FULL_EVERY == 0:
            self.at_rest(state)

    def _time_goes_on(self, record: Record) -> None:
        """As true time does, but for what waits and for a step that the core was told of."""
        ahead_ns = record.ts_ns - self._sim.now
        off_ns = ahead_ns - self._ahead_ns if self._ahead_ns is not None else 0
        if abs(off_ns) > JUMP_NS and not isinstance(record.command, c.ClockSet | c.EngineStart):
            raise Violation("time goes on", f"record {record.seq}: the clock has jumped by {off_ns / SECOND:.3f} s")
        self._ahead_ns = ahead_ns

    def _may_place(self, state: State, order: Order) -> None:
        if state.level_of(order.session, order.venue) == HALTED:
            raise Violation("halted means halted", f"{order.order_id} is sent although a kill switch is on")

    def _closed(self, child: Child) -> None:
        """A child that we take for finished must be: nothing more can trade, and all that traded is known."""
        key = child.venue_cl_ord_id
        if self.lossy or key not in self.truth.most:
            return
        most, done = self.truth.most[key], self.truth.done[key]
        if most != done:
            raise Violation("nothing is guessed", f"{key} is taken for {child.closed_as}, but may still trade {most - done}")
        if child.told_qty != done:
            raise Violation("no fill is lost", f"{key} is taken for {child.closed_as} with {child.told_qty}, executed: {done}")

    def at_rest(self, state: State) -> None:
        """Everything, index by index."""
        for problem in chain(problems_of(state), position_problems(state)):
            raise Violation("the state makes sense", problem)


def order_of(state: State, order_id: str) -> Order:
    """The order, packed or not; it must be there: nothing is forgotten within a story."""
    found = state.find_order(order_id)
    if found is None:
        raise Violation("the state makes sense", f"{order_id}: nobody knows this order")
    return found


def child_of(state: State, venue_cl_ord_id: str) -> Child:
    """The same for a child."""
    found = state.find_child(venue_cl_ord_id)
    if found is None:
        raise Violation("the state makes sense", f"{venue_cl_ord_id}: nobody knows this child")
    return found


def order_problems(state: State, order: Order) -> Iterator[str]:
    """Of one order and its children."""
    children = [child_of(state, child) for child in order.children]
    fills = [fill for child in children for fill in child.fills.values() if not fill.busted]
    if order.cum_qty != sum((fill.qty for fill in fills), ZERO):
        yield f"{order.order_id}: cum_qty {order.cum_qty} is not the sum of its fills"
    if order.notional != sum((fill.qty * fill.px for fill in fills), ZERO):
        yield f"{order.order_id}: notional {order.notional} is not that of its fills"
    live = [child for child in children if child.is_live]
    is_open = order.status in OPEN
    if is_open and not order.held and not live:
        yield f"{order.order_id}: open ({order.ord_status}) without a live child"
    if is_open and order.held and children:
        yield f"{order.order_id}: held, and sent to a venue"
    if len(live) > 1:
        yield f"{order.order_id}: {len(live)} children at once"
    if not is_open and any(child.state == "working" and not child.cancel for child in live):
        yield f"{order.order_id}: finished ({order.status}) with a child that works and is not being canceled"
    if not is_open and not live and order.pending is not None:
        yield f"{order.order_id}: finished, and a request stays pending"
    moving = any(child.venue_cl_ord_id in state.inflight or child.venue_cl_ord_id in state.uncertain for child in children)
    if is_open and order.pending is not None and not moving:
        yield f"{order.order_id}: pending {order.pending.kind}, and nothing is under way or asked"
    for child in children:
        key = child.venue_cl_ord_id
        if child.is_uncertain != (key in state.uncertain):
            yield f"{key}: uncertain, and not in the list of what is asked (or the other way round)"
        flying = child.state != CLOSED and (child.state == "sent" or child.cancel == "sent" or child.amend is not None)
        if flying != (key in state.inflight):
            yield f"{key}: unanswered, and not in the list of what is in flight (or the other way round)"
        if child.cum_qty != sum((fill.qty for fill in child.fills.values() if not fill.busted), ZERO):
            yield f"{key}: cum_qty {child.cum_qty} is not the sum of its fills"


def problems_of(state: State) -> Iterator[str]:
    """Each thing in the state that contradicts another, in words."""
    open_orders = [key for key, order in state.orders.items() if order.status in OPEN]
    if sorted(state.open_orders) != sorted(open_orders):
        yield "open_orders is not the set of open orders"
    for session in state.sessions.values():
        mine = sorted(key for key in open_orders if state.orders[key].session == session.name)
        if sorted(session.open_orders) != mine:
            yield f"open orders of {session.name} are wrong"
    over = sorted(key for key, order in state.orders.items() if order.status not in OPEN)
    if sorted([*state.finished, *state.refused]) != over:
        yield "finished is not the set of finished orders"
    if sorted(state.stops) != sorted(key for key in open_orders if state.orders[key].held):
        yield "stops is not the set of held open orders"
    expiries = {key: due for bucket in state.expiries.values() for key, due in bucket.items()}
    if expiries != {key: state.orders[key].expire_ns for key in open_orders if state.orders[key].expire_ns is not None}:
        yield "expiries are not those of the open orders"
    for venue in state.venues.values():
        live = sorted(key for key, child in state.children.items() if child.venue == venue.name and child.is_live)
        if sorted(venue.live) != live:
            yield f"live children of {venue.name} are wrong"
    for account in state.accounts.values():
        reserved = settling_of(account.settling)
        for key in account.uncovered:
            child = state.children[key]
            reserved[child.reserve_asset] = reserved.get(child.reserve_asset, ZERO) + child.reserve_qty
        for key in state.open_orders:
            pending, name = state.orders[key].pending, state.orders[key].account
            if pending is not None and pending.reserve_qty and name == account.name:
                reserved[pending.reserve_asset] = reserved.get(pending.reserve_asset, ZERO) + pending.reserve_qty
        for asset in reserved | account.reserved:
            qty = account.reserved.get(asset, ZERO)
            if qty != reserved.get(asset, ZERO):
                yield f"{account.name}: reserved {qty} {asset}, its orders make {reserved.get(asset, ZERO)}"
    yield from exposure_problems(state, open_orders)


def position_problems(state: State) -> Iterator[str]:
    """The position of each session against the fills of its orders; nothing may be forgotten yet."""
    expected: dict[tuple[str, str], Decimal] = {}
    rows = [(order, [state.children[key] for key in order.children]) for order in state.orders.values()]
    rows += [(row.order, row.children) for row in state.cold.rows()]
    for order, children in rows:
        at = "s:" + order.session, order.symbol
        for fill in (fill for child in children for fill in child.fills.values() if not fill.busted):
            change = (fill.qty if order.side == "1" else -fill.qty) - fill.base_fee
            expected[at] = expected.get(at, ZERO) + change
    for scope, exposure in state.exposures.items():
        for symbol, found in exposure.symbols.items() if scope.startswith("s:") else ():
            position = expected.get((scope, symbol), ZERO)
            if found.position != position:
                yield f"{scope} {symbol}: the position is {found.position}, its fills make {position}"


def settling_of(settling: Settling) -> dict[str, Decimal]:
    """What packed orders still reserve, by asset."""
    return Settling(list(settling.chunks), list(settling.oldest), list(settling.tail)).release(FOREVER_NS)


def exposure_problems(state: State, open_orders: list[str]) -> Iterator[str]:
    """What each scope has at risk, counted anew from the open orders (their ids), against what the state keeps."""
    expected: dict[tuple[str, str], list[Decimal]] = {}
    counts: dict[str, int] = {}
    totals: dict[str, dict[str, Decimal]] = {}
    for key in open_orders:
        order = state.orders[key]
        for scope in scopes_of(order):
            counts[scope] = counts.get(scope, 0) + 1
            row = expected.setdefault((scope, order.symbol), [ZERO] * 3)
            row[0 if order.side == "1" else 1] += at_risk(order)
            row[2] += notional_at_risk(order)
            if notional_at_risk(order):
                by_quote, quote = totals.setdefault(scope, {}), quote_of(order.symbol)
                by_quote[quote] = by_quote.get(quote, ZERO) + notional_at_risk(order)
    for scope, exposure in state.exposures.items():
        if exposure.open_orders != counts.get(scope, 0):
            yield f"{scope}: open_orders {exposure.open_orders}, counted {counts.get(scope, 0)}"
        if exposure.open_notional != totals.get(scope, {}):
            yield f"{scope}: open notional {exposure.open_notional}, counted {totals.get(scope, {})}"
        for symbol, found in exposure.symbols.items():
            row = expected.pop((scope, symbol), [ZERO] * 3)
            if [found.open_buy, found.open_sell, found.open_notional] != row:
                yield f"{scope} {symbol}: {found} counted {row}"
    if any(any(row) for row in expected.values()):
        yield f"exposures are missing: {expected}"
