"""The risk stages: one pure check per file in this package, found by package listing, run in the configured order.

A check module has `def check(request: RiskRequest) -> Denied | None` and optionally `STAGE = "name"` (default: the module
name) and `LIMITS = ("key", ...)`: the keys of [limits] that nobody enforces but this stage. `fixgw check` refuses a limit
whose stage is not configured, and a test demands that every key has one. A check reads state and never changes it; orders in
flight count because state.exposures counts them. F and H are never checked. Every refusal names the reason code, the tag, the
value and the limit.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from decimal import Decimal
from functools import cache, lru_cache
from types import ModuleType

import msgspec

from ..core.commands import Quote
from ..core.order import Order
from ..core.reasons import Reason
from ..core.settings import AccountSettings, SessionSettings
from ..core.state import State, SymbolExposure
from .bounds import Bounds

# RiskRequest.kind
NEW, REPLACE, TRIGGER = "new", "replace", "trigger"


class Denied(msgspec.Struct, frozen=True, gc=False):
    """A refusal. `tag`: the FIX field at fault; `value`: what was (or would be) there; `limit`: what is allowed."""

    reason: Reason
    tag: int
    value: str
    limit: str
    text: str


class RiskRequest(msgspec.Struct, frozen=True, gc=False):
    """What is to be checked. `kind`: NEW, REPLACE (order = the order that is replaced) or TRIGGER (a held stop, order, that
    goes to the venue; its quantity is counted already). Quantities in base, prices in quote per base.

    qty: OrderQty as it is to be; leaves: qty less what is executed; added: what this adds to the quantity at risk (the
    whole leaves for NEW, max(0, new - old) for REPLACE, 0 for TRIGGER); price: the limit price or None;
    value_px: the price at which it is valued (buy limit: its price; market and stop: the reference, for a stop at least
    its stop price; None when there is no fresh market data); reference: ask for a buy, bid for a sell, else the last trade;
    bounds: the limits of session, account and firm that hold for this instrument; with_fee: 1 + the taker fee as a fraction.
    """

    kind: str
    state: State
    ts_ns: int
    session: SessionSettings
    account: AccountSettings
    symbol: str
    base: str
    quote_asset: str
    side: str
    ord_type: str
    tif: str
    qty: Decimal
    leaves: Decimal
    added: Decimal
    added_notional: Decimal
    price: Decimal | None
    stop_px: Decimal | None
    value_px: Decimal | None
    reference: Decimal | None
    quote: Quote | None
    bounds: Bounds
    with_fee: Decimal
    order: Order | None = None
    # CashOrderQty(152) where the client sized the order by it
    cash_qty: Decimal | None = None
    # worked out here: what each scope (see Scope.index) has at risk in this instrument, before this request; read only
    exposures: tuple[SymbolExposure, ...] = ()

    def __post_init__(self) -> None:
        exposure, symbol = self.state.exposure, self.symbol
        session, account, firm = self.bounds.scopes
        at = exposure(session.key, symbol), exposure(account.key, symbol), exposure(firm.key, symbol)
        msgspec.structs.force_setattr(self, "exposures", at)


Check = Callable[[RiskRequest], Denied | None]


@cache
def _modules() -> tuple[tuple[str, ModuleType], ...]:
    """(stage, its module), by name. The package is listed once."""
    package = importlib.import_module(__package__)
    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__))
    modules = [(name, importlib.import_module(f"{__package__}.{name}")) for name in names]
    return tuple((getattr(module, "STAGE", name), module) for name, module in modules if hasattr(module, "check"))


def discover() -> dict[str, Check]:
    """Name -> check of every module in this package that has one."""
    return {name: module.check for name, module in _modules()}


@lru_cache(maxsize=8)
def limits_enforced(stages: tuple[str, ...]) -> frozenset[str]:
    """The keys of [limits] that these stages enforce."""
    return frozenset(key for name, module in _modules() if name in stages for key in getattr(module, "LIMITS", ()))


# asked by itself before anything of a request is looked at (core/new_order.py, core/changes.py): what is refused otherwise
# takes its place too
FIRST = frozenset({"throttle"})


@lru_cache(maxsize=8)
def _stages(names: tuple[str, ...]) -> tuple[Check, ...]:
    found = discover()
    return tuple(found[name] for name in names if name not in FIRST)


def run_stages(request: RiskRequest) -> Denied | None:
    """The first refusal in the configured order, or None. An unknown stage name is refused at configuration time."""
    for check in _stages(request.state.settings.risk_stages):
        denied = check(request)
        if denied is not None:
            return denied
    return None
