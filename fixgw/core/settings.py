"""The part of the configuration that decisions depend on; journaled whole at each change (event SettingsLoaded).

Built by fixgw/config/ from TOML. A limit that is None is not enforced. Quantities are in the base asset, notionals in
the instrument's quote asset.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Limits of one scope (a session, an account, or the firm). Maps are by instrument ("BTC/USDT"); "*" is the rest, but of
    max_open_notional the total over all instruments of one quote asset, whatever limits some of them have besides."""

    max_order_qty: dict[str, Decimal] = {}
    max_notional: dict[str, Decimal] = {}
    max_open_notional: dict[str, Decimal] = {}
    max_gross: dict[str, Decimal] = {}
    max_net: dict[str, Decimal] = {}
    collar_bps: dict[str, Decimal] = {}
    max_open_orders: int | None = None
    # GCRA: `msg_rate` messages a second on average, `msg_burst` at once
    msg_rate: int | None = None
    msg_burst: int = 1
    # at most `repeat_max` orders of equal symbol, side, quantity and price within `repeat_window_ns`
    repeat_max: int | None = None
    repeat_window_ns: int = 1_000_000_000
    # market data older than this cannot value or collar an order
    max_quote_age_ns: int | None = None
    # refuse what the venue account's available balance does not cover
    buying_power: bool = False


class Entitlements(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a session, an account or the firm may trade; None admits everything that the gateway supports. Values are FIX enum
    characters."""

    symbols: frozenset[str] | None = None
    venues: frozenset[str] | None = None
    sides: frozenset[str] | None = None
    ord_types: frozenset[str] | None = None
    tifs: frozenset[str] | None = None


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One FIX counterparty. `role` is "trading" or "drop_copy"."""

    name: str
    role: str = "trading"
    # client symbol -> instrument
    symbols: dict[str, str] = {}
    # Account(1) -> our account name; "" is the default when the client sends none
    accounts: dict[str, str] = {}
    entitlements: Entitlements = Entitlements()
    limits: Limits = Limits()
    cancel_on_disconnect: bool = False
    # seconds after 00:00 UTC at which Day orders end
    roll_time_s: int = 0
    # drop copy: the sessions and accounts whose reports are copied; "*" is all
    scope_sessions: frozenset[str] = frozenset()
    scope_accounts: frozenset[str] = frozenset()


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Our account name -> one account at one venue."""

    name: str
    venue: str
    venue_account: str
    limits: Limits = Limits()
    entitlements: Entitlements = Entitlements()


class VenueSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the core must know of a venue. `recv_window_ns`: after sending, the longest time in which the venue may still
    accept an order; a "not found" counts only after it plus `margin_ns`."""

    name: str
    recv_window_ns: int = 5_000_000_000
    margin_ns: int = 1_000_000_000
    # a replace that only takes from the quantity is an amend in place
    can_amend: bool = False
    taker_fee_bps: Decimal = Decimal(10)


class InstrumentSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One instrument. `trigger`: what stops watch: "last", "bid" or "ask"."""

    symbol: str
    base: str
    quote: str
    venues: tuple[str, ...] = ()
    trigger: str = "last"


class CoreSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of it. `hash` identifies the configuration in force."""

    hash: str
    sessions: dict[str, SessionSettings] = {}
    accounts: dict[str, AccountSettings] = {}
    venues: dict[str, VenueSettings] = {}
    instruments: dict[str, InstrumentSettings] = {}
    firm: Limits = Limits()
    firm_entitlements: Entitlements = Entitlements()
    # names of risk checks (modules of fixgw/risk) in the order in which they run
    risk_stages: tuple[str, ...] = ()
    max_order_age_ns: int = 30_000_000_000
    cl_ord_id_retention_ns: int = 7 * 86_400_000_000_000


@lru_cache(maxsize=4096)
def quote_of(symbol: str) -> str:
    """The quote asset of an instrument: "USDT" of "BTC/USDT" and of "BTC/USDT:USDT". By the name alone, so that it is the
    same on replay whatever the configuration has become; a configuration where it differs is refused."""
    return symbol.partition("/")[2].partition(":")[0]


def limit_for(limits: dict[str, Decimal], symbol: str) -> Decimal | None:
    """The limit of `symbol`, else that of "*", else None (not enforced)."""
    found = limits.get(symbol)
    return limits.get("*") if found is None else found
