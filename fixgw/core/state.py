"""The state that events build. One owner (the engine) updates it in place through evolve; everybody else reads views.

Everything here is a msgspec struct of plain values, so that a snapshot is one encode. Dicts keep insertion order, which
makes every iteration the same on replay; sets are not used. Keys joined with "|" are (venue, symbol) and the like.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from .child import Child
from .commands import InstrumentSpec
from .numbers import ZERO
from .order import Order
from .settings import CoreSettings

ACTIVE, REDUCING, HALTED = "ACTIVE", "REDUCING", "HALTED"
DOWN, RECONCILING, READY = "DOWN", "RECONCILING", "READY"
_LEVELS = {ACTIVE: 0, REDUCING: 1, HALTED: 2}


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


class State(msgspec.Struct):
    """All of it. `seq`: the last record applied."""

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

    def exposure(self, scope: str, symbol: str) -> SymbolExposure:
        """Read-only view of one scope and instrument; zeros when there is nothing."""
        scope_exposure = self.exposures.get(scope)
        if scope_exposure is None:
            return SymbolExposure()
        return scope_exposure.symbols.get(symbol) or SymbolExposure()

    def level_of(self, session: str, venue: str) -> str:
        """The strictest kill-switch level that applies to this session and venue."""
        levels = [self.level]
        if session in self.sessions:
            levels.append(self.sessions[session].level)
        if venue in self.venues:
            levels.append(self.venues[venue].level)
        return max(levels, key=_LEVELS.__getitem__)


def new_state() -> State:
    """An empty state."""
    return State()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(State)


def dump_state(state: State) -> bytes:
    """The snapshot payload."""
    return _encoder.encode(state)


def load_state(payload: bytes) -> State:
    """The state of a snapshot payload."""
    return _decoder.decode(payload)
