"""The state that events build. One owner (the engine) updates it in place through evolve; everybody else reads views.

Everything here is a msgspec struct of plain values, so that a snapshot is one encode. Dicts keep insertion order, which
makes every iteration the same on replay; sets are not used. Keys joined with "|" are (venue, symbol) and the like.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from .child import Child
from .cold import Cold
from .commands import InstrumentSpec
from .numbers import ZERO
from .order import Order
from .settings import CoreSettings
from .settling import Settling
from .sharing import share_child, share_order

ACTIVE, REDUCING, HALTED = "ACTIVE", "REDUCING", "HALTED"
DOWN, RECONCILING, READY = "DOWN", "RECONCILING", "READY"
STRICTNESS = {ACTIVE: 0, REDUCING: 1, HALTED: 2}


class SymbolExposure(msgspec.Struct, array_like=True):
    """One instrument within a scope. Quantities in base (orders in flight at their worst: a pending replace counts the
    larger of both), notional in quote; `position` net of fees taken in base."""

    open_buy: Decimal = ZERO
    open_sell: Decimal = ZERO
    open_notional: Decimal = ZERO
    position: Decimal = ZERO


class Exposure(msgspec.Struct, array_like=True):
    """What a scope ("s:SESSION", "a:ACCOUNT", "firm") has at risk."""

    open_orders: int = 0
    symbols: dict[str, SymbolExposure] = {}
    # quote asset -> the sum of open_notional of its instruments; no entry: nothing
    open_notional: dict[str, Decimal] = {}


class SessionState(msgspec.Struct, array_like=True):
    """One FIX counterparty."""

    name: str
    reset_epoch: int = 0
    last_in_seq: int = 0
    delivered_seq: int = 0
    logged_on: bool = False
    enabled: bool = True
    level: str = ACTIVE
    cancel_on_disconnect: bool = False
    # throttle (GCRA): theoretical arrival time of the next message
    tat_ns: int = 0
    # "symbol|side|qty|price" -> times of acceptance within the repeat window (oldest first)
    repeats: dict[str, list[int]] = {}
    # every ClOrdID that named an order or a request of it -> order_id
    cl_ord_ids: dict[str, str] = {}
    open_orders: dict[str, None] = {}


class Pace(msgspec.Struct, array_like=True):
    """What an account or the firm has counted over time, as a session has it (core/pace.py)."""

    tat_ns: int = 0
    repeats: dict[str, list[int]] = {}


class VenueState(msgspec.Struct, array_like=True):
    """One venue."""

    name: str
    state: str = DOWN
    reason: str = ""
    level: str = ACTIVE
    # children that are not closed
    live: dict[str, None] = {}
    # "symbol|venue_order_id" -> venue_cl_ord_id of live children and recently closed ones (some venues number per symbol)
    order_ids: dict[str, str] = {}
    # when the last complete reconciliation was asked: every trade before it has been judged
    reconciled_ns: int = 0
    # trades that are not ours -> when they came; kept for as long as a reconciliation may bring them again
    external_trades: dict[str, int] = {}
    # instrument -> from when trades of others move its position: its first request for pictures (until the venue's first complete
    # one: the latest). What was before is in the balances, whatever a later picture tells of it
    counts_from: dict[str, int] = {}


class AccountState(msgspec.Struct, array_like=True):
    """One of our accounts = one account at one venue."""

    name: str
    asof_ns: int = 0
    free: dict[str, Decimal] = {}
    total: dict[str, Decimal] = {}
    # children whose reservation the venue's free balance does not show yet
    uncovered: dict[str, None] = {}
    # asset -> sum of what they reserve
    reserved: dict[str, Decimal] = {}
    # when the venue acknowledged those of them that it has
    covered_from: dict[str, int] = {}
    # those of orders that are packed away
    settling: Settling = msgspec.field(default_factory=Settling)
    # assets whose balance is as of a later moment than asof_ns
    later: dict[str, int] = {}


class State(msgspec.Struct):
    """All of it. `seq`: the last record applied. `orders` and `children` hold what is open or finished lately; what finished
    before is in `cold`, and the find_* methods look in both."""

    seq: int = 0
    install: str = ""
    epoch: int = 0
    settings: CoreSettings = CoreSettings(hash="")
    level: str = ACTIVE
    orders: dict[str, Order] = {}
    children: dict[str, Child] = {}
    open_orders: dict[str, None] = {}
    sessions: dict[str, SessionState] = {}
    venues: dict[str, VenueState] = {}
    accounts: dict[str, AccountState] = {}
    exposures: dict[str, Exposure] = {}
    # "a:ACCOUNT" and "firm", those with a message rate or a limit of repeats
    paces: dict[str, Pace] = {}
    # "venue|symbol" -> the venue's rules
    instruments: dict[str, InstrumentSpec] = {}
    # sent and not yet answered: child -> time sent (oldest first)
    inflight: dict[str, int] = {}
    # children that are being queried
    uncertain: dict[str, None] = {}
    # held stops
    stops: dict[str, None] = {}
    # minute (ns // 60e9) -> order -> expiry time
    expiries: dict[int, dict[str, int]] = {}
    # orders that were refused and never had a child, the oldest first
    refused: dict[str, None] = {}
    # finished orders in the order of finishing, to forget them after the retention time
    finished: dict[str, None] = {}
    cold: Cold = msgspec.field(default_factory=Cold)
    # by how much the clock was set forward in all, what it was set back taken off (core/clock.py)
    clock_steps_ns: int = 0

    @property
    def kept_ns(self) -> int:
        """How long a finished order is remembered, by times of which none was moved when the clock was set: never too short."""
        return self.settings.cl_ord_id_retention_ns + max(self.clock_steps_ns, 0)

    def find_order(self, order_id: str) -> Order | None:
        """The order, wherever it is. Do not change it; a packed one is a copy."""
        found = self.orders.get(order_id)
        if found is None and (row := self.cold.order(order_id)) is not None:
            return row.order
        return found

    def find_child(self, venue_cl_ord_id: str) -> Child | None:
        """The child, wherever it is. Do not change it; a packed one is a copy."""
        found = self.children.get(venue_cl_ord_id)
        if found is None and (row := self.cold.child(venue_cl_ord_id)) is not None:
            return row.children[row.order.children.index(venue_cl_ord_id)]
        return found

    def order_of(self, session: str, cl_ord_id: str) -> str | None:
        """The order that a session's ClOrdID names, or a request of which it named."""
        known = self.sessions.get(session)
        found = known.cl_ord_ids.get(cl_ord_id) if known is not None else None
        if found is None and (row := self.cold.named(session, cl_ord_id)) is not None:
            return row.order.order_id
        return found

    def named(self, session: str, cl_ord_id: str, order_id: str) -> Order | None:
        """The order of a session that a request of it names: by ClOrdID, any of the order's chain, else by OrderID. Do not change
        it."""
        order = self.find_order(self.order_of(session, cl_ord_id) or order_id)
        return order if order is not None and order.session == session else None

    def child_of(self, venue: str, symbol: str, venue_order_id: str) -> str | None:
        """The child that a venue's order id names."""
        known = self.venues.get(venue)
        found = known.order_ids.get(f"{symbol}|{venue_order_id}") if known is not None else None
        if found is None and (named := self.cold.venue_named(venue, symbol, venue_order_id)) is not None:
            return named[1].venue_cl_ord_id
        return found

    def all_orders(self) -> Iterator[Order]:
        """Every order, those at hand first, the newest first."""
        yield from (self.orders[order_id] for order_id in reversed(self.orders))
        yield from (row.order for row in self.cold.rows())

    def session(self, name: str) -> SessionState:
        """The session's state; made on first use."""
        found = self.sessions.get(name)
        if found is None:
            found = self.sessions[name] = SessionState(name=name)
        return found

    def venue(self, name: str) -> VenueState:
        """The venue's state; made on first use."""
        found = self.venues.get(name)
        if found is None:
            found = self.venues[name] = VenueState(name=name)
        return found

    def account(self, name: str) -> AccountState:
        """The account's state; made on first use."""
        found = self.accounts.get(name)
        if found is None:
            found = self.accounts[name] = AccountState(name=name)
        return found

    def pace(self, scope: str) -> Pace:
        """What an account or the firm has counted over time; made on first use."""
        found = self.paces.get(scope)
        if found is None:
            found = self.paces[scope] = Pace()
        return found

    def exposure(self, scope: str, symbol: str) -> SymbolExposure:
        """Read-only view of one scope and instrument; zeros when there is nothing."""
        scope_exposure = self.exposures.get(scope)
        if scope_exposure is None:
            return SymbolExposure()
        return scope_exposure.symbols.get(symbol) or SymbolExposure()

    def open_notional(self, scope: str, quote: str) -> Decimal:
        """What is open in a scope over all instruments of a quote asset."""
        found = self.exposures.get(scope)
        return ZERO if found is None else found.open_notional.get(quote, ZERO)

    def level_of(self, session: str, venue: str) -> str:
        """The strictest kill-switch level that applies to this session and venue."""
        levels = [self.level]
        if session in self.sessions:
            levels.append(self.sessions[session].level)
        if venue in self.venues:
            levels.append(self.venues[venue].level)
        return max(levels, key=STRICTNESS.__getitem__)


def new_state() -> State:
    """An empty state."""
    return State()


_encoder = msgspec.msgpack.Encoder()
_fields_decoder = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
_order_decoder = msgspec.msgpack.Decoder(Order)
_child_decoder = msgspec.msgpack.Decoder(Child)
_decoders: dict[str, msgspec.msgpack.Decoder[Any]] = {
    field.name: msgspec.msgpack.Decoder(field.type) for field in msgspec.structs.fields(State)
}


def dump_state(state: State) -> bytes:
    """The snapshot payload."""
    return _encoder.encode(state)


def load_state(payload: bytes | memoryview) -> State:
    """The state of a snapshot payload. Raises msgspec.DecodeError, ValidationError.

    Part by part, and order by order: what decoding makes anew and orders have in common is let go at once, so that the
    memory of a loaded state is that of a replayed one.
    """
    parts = _fields_decoder.decode(payload)
    if parts.keys() != _decoders.keys():
        raise msgspec.ValidationError(f"a state with {sorted(parts)}, expected {sorted(_decoders)}")
    names: dict[str, str] = {}
    orders: dict[str, Order] = {}
    children: dict[str, Child] = {}
    for raw in _fields_decoder.decode(parts.pop("orders")).values():
        order = share_order(_order_decoder.decode(raw))
        orders[order.order_id] = order
        names[order.order_id] = order.order_id
        names[order.cl_ord_id] = order.cl_ord_id
    for raw in _fields_decoder.decode(parts.pop("children")).values():
        child = _child_decoder.decode(raw)
        if child.order_id in orders:
            share_child(child, orders[child.order_id])
        children[child.venue_cl_ord_id] = child
        names[child.venue_cl_ord_id] = child.venue_cl_ord_id
    for order in orders.values():
        order.children = [names.get(child, child) for child in order.children]
        order.cl_ord_ids = [names.get(cl_ord_id, cl_ord_id) for cl_ord_id in order.cl_ord_ids]
    state = State(orders=orders, children=children)
    while parts:
        name, raw = parts.popitem()
        setattr(state, name, _decoders[name].decode(raw))
    _share_names(state, names)
    return state


def _share_names(state: State, names: dict[str, str]) -> None:
    """The indices name orders and children by the texts that those have themselves."""

    def keys(index: dict[str, Any]) -> dict[str, Any]:
        return {names.get(key, key): value for key, value in index.items()}

    def values(index: dict[str, str]) -> dict[str, str]:
        return {names.get(key, key): names.get(value, value) for key, value in index.items()}

    for name in ("open_orders", "inflight", "uncertain", "stops", "refused", "finished"):
        setattr(state, name, keys(getattr(state, name)))
    for session in state.sessions.values():
        session.cl_ord_ids, session.open_orders = values(session.cl_ord_ids), keys(session.open_orders)
    for venue in state.venues.values():
        venue.live, venue.order_ids = keys(venue.live), values(venue.order_ids)
    for account in state.accounts.values():
        account.uncovered = keys(account.uncovered)
        account.covered_from = keys(account.covered_from)
