"""Where an order goes: the names of its message, resolved by the configuration, and whether the venue takes orders now.

The configuration changes only by an event, and then it is another object. A Market follows from it alone, and is therefore
worked out once for each (session, Symbol(55), Account(1)) and kept while that very object is in force.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ..risk.base import Denied
from ..risk.bounds import Bounds, bounds_of
from .numbers import BPS, CTX
from .order import Order
from .reasons import Reason
from .settings import AccountSettings, CoreSettings, InstrumentSettings, SessionSettings, VenueSettings
from .state import READY, RECONCILING, State


class Market(msgspec.Struct, frozen=True, gc=False):
    """Everything that is known about where an order goes. `spec_key`: of state.instruments; `with_fee`: 1 + the taker fee;
    `bounds`: the limits."""

    session: SessionSettings
    account: AccountSettings
    venue: VenueSettings
    instrument: InstrumentSettings
    spec_key: str
    with_fee: Decimal
    bounds: Bounds


class _Kept:
    """Markets of the configuration that was asked for last. Only names of the configuration get in, so it is bounded."""

    def __init__(self) -> None:
        # one value, so that whoever looks sees the markets of just these settings
        self._now: tuple[CoreSettings | None, dict[tuple[str, ...], Market]] = (None, {})

    def of(self, settings: CoreSettings) -> dict[tuple[str, ...], Market]:
        """(session, Symbol(55), Account(1)), or (session, account, venue, instrument), -> market."""
        known, markets = self._now
        if known is not settings:
            markets = {}
            self._now = (settings, markets)
        return markets


_kept = _Kept()


def find_market(state: State, session_name: str, symbol: str, client_account: str, ex_destination: str) -> Market | Denied:
    """Session + Account(1) -> one venue account; Symbol(55) -> instrument; by the session's maps."""
    settings = state.settings
    kept, key = _kept.of(settings), (session_name, symbol, client_account)
    found = kept.get(key)
    if found is None:
        made = _resolve(settings, session_name, symbol, client_account)
        if isinstance(made, Denied):
            return made
        found = kept[key] = made
    if ex_destination and ex_destination != found.venue.name:
        text = f"account {found.account.name} trades at {found.venue.name}, not at {ex_destination!r}"
        return Denied(Reason.UNKNOWN_VENUE, 100, ex_destination, found.venue.name, text)
    return found


def _resolve(settings: CoreSettings, session_name: str, symbol: str, client_account: str) -> Market | Denied:
    session = settings.sessions[session_name]
    name = session.symbols.get(symbol)
    instrument = settings.instruments.get(name) if name else None
    if instrument is None:
        return Denied(Reason.UNKNOWN_SYMBOL, 55, symbol, "a mapped symbol", f"unknown symbol {symbol!r}")
    account = settings.accounts.get(session.accounts.get(client_account, ""))
    if account is None:
        return Denied(Reason.UNKNOWN_ACCOUNT, 1, client_account, "a mapped account", f"unknown account {client_account!r}")
    return _market(settings, session, account, settings.venues[account.venue], instrument)


def market_of(state: State, order: Order) -> Market | Denied:
    """The market of an order that was accepted before; a name of it may have left the configuration."""
    settings = state.settings
    kept, key = _kept.of(settings), (order.session, order.account, order.venue, order.symbol)
    found = kept.get(key)
    if found is None:
        try:
            found = kept[key] = _market(
                settings,
                settings.sessions[order.session],
                settings.accounts[order.account],
                settings.venues[order.venue],
                settings.instruments[order.symbol],
            )
        except KeyError as name:
            text = f"{name} has left the configuration"
            return Denied(Reason.UNKNOWN_SYMBOL, 55, order.client_symbol, "what the configuration has", text)
    return found


def _market(
    settings: CoreSettings,
    session: SessionSettings,
    account: AccountSettings,
    venue: VenueSettings,
    instrument: InstrumentSettings,
) -> Market:
    return Market(
        session=session,
        account=account,
        venue=venue,
        instrument=instrument,
        spec_key=f"{venue.name}|{instrument.symbol}",
        with_fee=1 + CTX.divide(venue.taker_fee_bps, BPS),
        bounds=bounds_of(session, account, settings.firm, instrument.symbol, settings.firm_entitlements),
    )


def not_listed(market: Market) -> Denied:
    """The venue's rules of the instrument are not known."""
    venue, symbol = market.venue.name, market.instrument.symbol
    text = f"{venue} does not list {symbol} now, or not with rules that can be used"
    return Denied(Reason.UNKNOWN_SYMBOL, 55, symbol, venue, text)


def venue_ready(state: State, venue: str) -> Denied | None:
    """New orders need a venue that is up and reconciled."""
    found = state.venues.get(venue)
    if found is not None and found.state == READY:
        return None
    reconciling = found is not None and found.state == RECONCILING
    reason = Reason.RECONCILING if reconciling else Reason.VENUE_DOWN
    why = found.reason if found is not None and found.reason else reason.meaning
    return Denied(reason, 100, venue, "READY", f"venue {venue} is not ready: {why}")
