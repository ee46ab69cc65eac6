"""Gross and net position per instrument, every order in flight counted as filled.

Gross = |position| + open buys + open sells. Net = the worst that can come of it: position + open buys for a buy, open
sells - position for a sell; only the side that this order makes worse is asked. At a trigger the order is in these figures
already; it passes when it can only reduce the position (a protective stop must work when a limit was lowered meanwhile).
"""

from __future__ import annotations

from ..core.numbers import ZERO
from ..core.reasons import Reason
from .base import TRIGGER, Denied, RiskRequest
from .measure import BUY, exceeds, qty_tag, reducing_room

LIMITS = ("max_gross", "max_net")


def check(request: RiskRequest) -> Denied | None:
    """MAX_GROSS_POSITION, MAX_NET_POSITION, or None."""
    added, trigger, buy = request.added, request.kind == TRIGGER, request.side == BUY
    if added <= ZERO and not trigger:
        return None
    exposures = request.exposures
    for scope in request.bounds.position:
        gross, net, at = scope.max_gross, scope.max_net, exposures[scope.index]
        if trigger and request.leaves <= reducing_room(request, at):
            continue
        if gross is not None:
            total = abs(at.position) + (at.open_buy + at.open_sell + added)
            if total > gross:
                return exceeds(Reason.MAX_GROSS_POSITION, qty_tag(request), "gross position", total, gross, scope.label)
        if net is None:
            continue
        worst = at.position + at.open_buy + added if buy else at.open_sell + added - at.position
        if worst > net:
            side = "long" if buy else "short"
            return exceeds(Reason.MAX_NET_POSITION, qty_tag(request), f"net {side} position", worst, net, scope.label)
    return None
