"""Buying power: the venue account must be able to pay for the order. In force when any scope asks for it.

Available = the free balance of the last report, less what is in flight and not yet in it (the account's
`reserved`); all sessions on the account share it. A buy needs its cost with the fee in the quote asset (whatever asset the
venue will take the fee in), a sell its quantity in the base asset. Replacing an order that works at the venue frees what it
had reserved, so that only the difference is needed; where the price falls, what is added, because all of the old may be
executed before. A held stop has nothing reserved, so that it needs the whole at its placement, at its replacement and again
at its trigger.
"""

from __future__ import annotations

from decimal import Decimal

from ..core.numbers import CTX, ZERO
from ..core.numbers import text as fmt
from ..core.reasons import Reason
from ..core.state import AccountState
from .base import REPLACE, Denied, RiskRequest
from .bounds import Collar
from .measure import BUY, cash_of, qty_tag, unvalued

LIMITS = ("buying_power",)


def check(request: RiskRequest) -> Denied | None:
    """BUYING_POWER, STALE_MARKET_DATA (a buy that cannot be valued), or None."""
    bounds = request.bounds
    wanted = bounds.buying_power
    if wanted is None:
        return None
    if request.side == BUY:
        asset, need = request.quote_asset, _cost(request, bounds.collar)
        if need is None:
            why = f"no fresh market data to value the order with, {wanted} checks buying power"
            return unvalued(qty_tag(request), fmt(request.qty), why)
    else:
        asset, need = request.base, _difference(request, request.added, request.leaves)
    if need <= ZERO:
        return None
    account = request.state.accounts.get(request.account.name)
    if account is None or (not account.asof_ns and not account.free):
        text = f"no balance report of account {request.account.name} yet, {fmt(need)} {asset} needed ({wanted})"
        return Denied(Reason.BUYING_POWER, qty_tag(request), "unknown", "a balance report", text)
    have = available(account, asset)
    if need <= have:
        return None
    text = f"needs {fmt(need)} {asset}, account {request.account.name} has {fmt(have)} available ({wanted})"
    return Denied(Reason.BUYING_POWER, qty_tag(request), fmt(need), fmt(have), text)


def available(account: AccountState, asset: str) -> Decimal:
    """Free balance of `asset` less the reservations that it does not show yet; may be negative."""
    return account.free.get(asset, ZERO) - account.reserved.get(asset, ZERO)


def _difference(request: RiskRequest, added: Decimal, whole: Decimal) -> Decimal:
    """`added` when the order that is replaced works at the venue, else `whole`."""
    order = request.order
    works = request.kind == REPLACE and order is not None and not order.held
    return added if works else whole


def _market_px(request: RiskRequest, reference: Decimal, collar: Collar | None) -> Decimal:
    """A market buy goes out as a limit at the collar or where its cash ends (core/placing.py), and that is what the venue
    locks."""
    cash, bound = cash_of(request), collar.px(request.side, reference) if collar is not None else None
    if cash is not None and request.leaves > ZERO:
        most = CTX.divide(cash, CTX.multiply(request.leaves, request.with_fee))
        return most if bound is None else min(bound, most)
    return reference if bound is None else bound


def _cost(request: RiskRequest, collar: Collar | None) -> Decimal | None:
    """What a buy needs of the quote asset; None when it cannot be valued."""
    if _difference(request, request.added, request.leaves) <= ZERO and request.added_notional <= ZERO:
        return ZERO
    if request.value_px is None:
        return None
    px = request.value_px
    if request.price is None and request.reference is not None:
        px = max(px, _market_px(request, request.reference, collar))
    whole = request.leaves * px
    # what the order has reserved may go into fills at its old price before the new one is in force: what is added is paid besides
    more = max(request.added_notional, request.added * px)
    return _difference(request, more, whole) * request.with_fee
