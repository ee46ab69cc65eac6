"""The limits that hold for one (session, account, instrument), looked up once for each configuration.

No check itself (it has no `check`, so discovery passes it over). What is the same for every order from there to there is
worked out here: which limit of a map applies, in which scopes it is in force, and which of them is the tightest.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ..core.numbers import BPS, CTX, ZERO
from ..core.pace import RepeatLimit, repeat_limits
from ..core.settings import AccountSettings, Entitlements, Limits, SessionSettings, limit_for


class Scope(msgspec.Struct, frozen=True, gc=False):
    """One set of limits, those of one instrument, and what counts against them (state.exposures[key]). None: not in force.
    `label` is for people: "session OMS44"; `index`: its place in Bounds.scopes; `max_all_notional`: of everything open in
    instruments of the same quote asset."""

    index: int
    key: str
    label: str
    max_order_qty: Decimal | None
    max_notional: Decimal | None
    max_open_notional: Decimal | None
    max_all_notional: Decimal | None
    max_gross: Decimal | None
    max_net: Decimal | None
    max_open_orders: int | None


class Collar(msgspec.Struct, frozen=True, gc=False):
    """The tightest price collar, and what a reference price is multiplied by to come to it."""

    bps: Decimal
    label: str
    buy: Decimal
    sell: Decimal

    def px(self, side: str, reference: Decimal) -> Decimal:
        """The worst price (quote per base) that it admits."""
        return reference * (self.buy if side == "1" else self.sell)


class Bounds(msgspec.Struct, frozen=True, gc=False):
    """`scopes`: session, account, firm; the other tuples are those of them with such a limit. `quote_age`: (ns, label) of
    the strictest; `buying_power`: the label of the first scope that asks for it; `entitled`: (label, what it may trade) of the
    scopes that are restricted; `repeats`: how often the same order may come."""

    scopes: tuple[Scope, ...]
    order_qty: tuple[Scope, ...]
    notional: tuple[Scope, ...]
    position: tuple[Scope, ...]
    open_orders: tuple[Scope, ...]
    collar: Collar | None
    quote_age: tuple[int, str] | None
    buying_power: str | None
    entitled: tuple[tuple[str, Entitlements], ...]
    repeats: tuple[RepeatLimit, ...]


_ANYTHING = Entitlements()


def bounds_of(
    session: SessionSettings, account: AccountSettings, firm: Limits, symbol: str, may_firm: Entitlements
) -> Bounds:
    """From nothing; whoever asks often keeps it. `may_firm`: what the firm may trade."""
    named = (
        ("s:" + session.name, "session " + session.name, session.limits),
        ("a:" + account.name, "account " + account.name, account.limits),
        ("firm", "firm", firm),
    )
    scopes = tuple(
        Scope(
            index=index,
            key=key,
            label=label,
            max_order_qty=limit_for(limits.max_order_qty, symbol),
            max_notional=limit_for(limits.max_notional, symbol),
            max_open_notional=limits.max_open_notional.get(symbol),
            max_all_notional=limits.max_open_notional.get("*"),
            max_gross=limit_for(limits.max_gross, symbol),
            max_net=limit_for(limits.max_net, symbol),
            max_open_orders=limits.max_open_orders,
        )
        for index, (key, label, limits) in enumerate(named)
    )
    ages = [(limits.max_quote_age_ns, label) for _, label, limits in named if limits.max_quote_age_ns is not None]
    return Bounds(
        scopes=scopes,
        order_qty=tuple(scope for scope in scopes if scope.max_order_qty is not None),
        notional=tuple(scope for scope in scopes if _limits_notional(scope)),
        position=tuple(scope for scope in scopes if scope.max_gross is not None or scope.max_net is not None),
        open_orders=tuple(scope for scope in scopes if scope.max_open_orders is not None),
        collar=_tightest_collar([(limit_for(limits.collar_bps, symbol), label) for _, label, limits in named]),
        quote_age=min(ages, default=None),
        buying_power=next((label for _, label, limits in named if limits.buying_power), None),
        entitled=tuple(
            (label, may)
            for (_, label, _), may in zip(named, (session.entitlements, account.entitlements, may_firm), strict=True)
            if may != _ANYTHING
        ),
        repeats=repeat_limits(session, account, firm),
    )


def _limits_notional(scope: Scope) -> bool:
    return not (scope.max_notional is None and scope.max_open_notional is None and scope.max_all_notional is None)


def _tightest_collar(found: list[tuple[Decimal | None, str]]) -> Collar | None:
    collars = [(bps, label) for bps, label in found if bps is not None]
    if not collars:
        return None
    bps, label = min(collars, key=lambda collar: collar[0])
    part = CTX.divide(bps, BPS)
    return Collar(bps=bps, label=label, buy=1 + part, sell=max(1 - part, ZERO))
