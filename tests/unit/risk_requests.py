"""Builders for the tests of the risk checks: a small state and requests with readable defaults.

Session S trades on account A at venue V; the instrument is BTC/USDT with a bid of 99 and an ask of 101.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from fixgw.core.commands import Quote
from fixgw.core.order import NEW, Order
from fixgw.core.settings import AccountSettings, CoreSettings, Entitlements, Limits, SessionSettings, VenueSettings
from fixgw.core.state import Exposure, State, SymbolExposure, dump_state, new_state
from fixgw.risk.base import Check, Denied, RiskRequest
from fixgw.risk.bounds import bounds_of

SYMBOL = "BTC/USDT"
NOW = 1_700_000_000_000_000_000
SCOPES = {"session": "s:S", "account": "a:A", "firm": "firm"}
D = Decimal


def limits(**given: Any) -> Limits:
    """Limits; a text is the Decimal of this instrument, everything else as it is."""
    return Limits(**{key: {SYMBOL: D(value)} if isinstance(value, str) else value for key, value in given.items()})


def settings(
    scope: str = "session", entitlements: Entitlements | None = None, all_scopes: dict[str, Limits] | None = None, **given: Any
) -> CoreSettings:
    """Settings with the limits and the entitlements of one scope ("session", "account", "firm"), or limits of several."""
    may = {scope: entitlements or Entitlements()}
    at = all_scopes if all_scopes is not None else {scope: limits(**given)}
    none = Limits()
    session = SessionSettings(
        name="S", entitlements=may.get("session", Entitlements()), limits=at.get("session", none)
    )
    account = AccountSettings(
        name="A", venue="V", venue_account="main", limits=at.get("account", none),
        entitlements=may.get("account", Entitlements()),
    )
    return CoreSettings(
        hash="test",
        sessions={"S": session},
        accounts={"A": account},
        venues={"V": VenueSettings(name="V")},
        firm=at.get("firm", none),
        firm_entitlements=may.get("firm", Entitlements()),
    )


def state_of(core: CoreSettings, orders: int = 0, **exposure: str) -> State:
    """A state whose three scopes all have this exposure in the instrument and this many open orders."""
    state = new_state()
    state.settings = core
    for key in SCOPES.values():
        figures = SymbolExposure(**{name: D(value) for name, value in exposure.items()})
        total = {"USDT": figures.open_notional} if figures.open_notional else {}
        state.exposures[key] = Exposure(open_orders=orders, symbols={SYMBOL: figures}, open_notional=total)
    return state


def order_of(
    side: str = "1", qty: str = "5", price: str | None = "100", cum: str = "0", ord_type: str = "2", held: bool = False,
    stop_px: str | None = None, cash: str | None = None,
) -> Order:
    """A working (or held) order of session S."""
    px = D(price) if price is not None else D(stop_px or 0)
    return Order(
        order_id="O1", session="S", cl_ord_id="c1", client_account="", account="A", venue="V", symbol=SYMBOL,
        client_symbol=SYMBOL, side=side, ord_type=ord_type, tif="1", order_qty=D(qty),
        cash_qty=D(cash) if cash is not None else None, price=D(price) if price is not None else None,
        stop_px=D(stop_px) if stop_px is not None else None, expire_ns=None, exec_inst="", risk_px=px, held=held,
        received_ns=NOW, status=NEW, cum_qty=D(cum),
    )


def ask(state: State, kind: str = "new", side: str = "1", qty: str = "1", price: str | None = "100", **given: Any) -> RiskRequest:
    """A request as decide makes it; any field can be given (`value_px`, `reference`: a text or None)."""
    order: Order | None = given.get("order")
    core = state.settings
    cum = order.cum_qty if order is not None else D(0)
    leaves = max(D(qty) - cum, D(0))
    reference = _number(given.pop("reference", "101" if side == "1" else "99"))
    limit_px = D(price) if price is not None else None
    value_px = _number(given.pop("value_px", price)) if "value_px" in given or price is not None else reference
    old_leaves = order.leaves_qty if order is not None else D(0)
    old_notional = old_leaves * order.risk_px if order is not None else D(0)
    fields: dict[str, Any] = {
        "kind": kind, "state": state, "ts_ns": NOW, "session": core.sessions["S"],
        "account": core.accounts["A"], "symbol": SYMBOL, "base": "BTC", "quote_asset": "USDT", "side": side,
        "ord_type": "1" if price is None else "2", "tif": "1", "qty": D(qty), "leaves": leaves,
        "added": max(leaves - old_leaves, D(0)),
        "added_notional": max(leaves * (value_px or D(0)) - old_notional, D(0)),
        "price": limit_px, "stop_px": None, "value_px": value_px, "reference": reference,
        "quote": Quote(bid=D(99), ask=D(101), last=D(100), recv_ns=NOW),
        "bounds": bounds_of(core.sessions["S"], core.accounts["A"], core.firm, SYMBOL, core.firm_entitlements),
        "with_fee": D(1),
    }
    return RiskRequest(**(fields | given))


def run(check: Check, request: RiskRequest) -> Denied | None:
    """The verdict, after making sure that the check left the state as it was and says the same again."""
    before = dump_state(request.state)
    verdict = check(request)
    assert check(request) == verdict
    assert dump_state(request.state) == before, "a check must not change the state"
    if verdict is not None:
        assert verdict.tag and verdict.limit and verdict.text, msgspec.to_builtins(verdict)
    return verdict


def code(verdict: Denied | None) -> str:
    """The reason code, "" when it passed."""
    return verdict.reason.value if verdict is not None else ""


def _number(value: str | None) -> Decimal | None:
    return D(value) if value is not None else None
