"""Gross and net position per instrument, every order in flight counted as filled.

Gross = |position| + open buys + open sells. Net = the worst that can come of it: position + open buys for a buy, open
sells - position for a sell; only the side that this order makes worse is asked. At a trigger the order is in these figures
already; it passes when it can only reduce the position (a protective stop must work when a limit was lowered meanwhile).
"""

from __future__ import annotations

from decimal import Decimal

from ..core.numbers import CTX
from ..core.reasons import Reason
from ..core.settings import limit_for
from .base import Denied, RiskRequest, Scope
from .measure import BUY, TRIGGER, exceeds, qty_tag, reducing_room


def check(request: RiskRequest) -> Denied | None:
    """MAX_GROSS_POSITION, MAX_NET_POSITION, or None."""
    if request.added <= 0 and request.kind != TRIGGER:
        return None
    for scope in request.scopes():
        gross = limit_for(scope.limits.max_gross, request.symbol)
        net = limit_for(scope.limits.max_net, request.symbol)
        if gross is None and net is None:
            continue
        denied = _over(request, scope, gross, net)
        if denied is not None:
            return denied
    return None


def _over(request: RiskRequest, scope: Scope, gross: Decimal | None, net: Decimal | None) -> Denied | None:
    at = request.exposure(scope)
    if request.kind == TRIGGER and request.leaves <= reducing_room(request, at):
        return None
    if gross is not None:
        in_flight = CTX.add(CTX.add(at.open_buy, at.open_sell), request.added)
        total = CTX.add(CTX.abs(at.position), in_flight)
        if total > gross:
            return exceeds(Reason.MAX_GROSS_POSITION, qty_tag(request), "gross position", total, gross, scope.label)
    if net is None:
        return None
    if request.side == BUY:
        worst = CTX.add(CTX.add(at.position, at.open_buy), request.added)
    else:
        worst = CTX.subtract(CTX.add(at.open_sell, request.added), at.position)
    if worst <= net:
        return None
    side = "long" if request.side == BUY else "short"
    return exceeds(Reason.MAX_NET_POSITION, qty_tag(request), f"net {side} position", worst, net, scope.label)
