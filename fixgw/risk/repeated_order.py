"""The same order (symbol, side, quantity, price) more than repeat_max times within repeat_window_ns: a client's loop, or one
that went out by several sessions.

evolve keeps the times per session, account and firm (core/pace.py), at most MAX_REPEATS of one kind: a larger repeat_max
works as that.
"""

from __future__ import annotations

from ..core.numbers import text as fmt
from ..core.pace import repeat_key
from ..core.reasons import Reason
from .base import NEW, Denied, RiskRequest

LIMITS = ("repeat_max", "repeat_window_ms")


def check(request: RiskRequest) -> Denied | None:
    """REPEATED_ORDER for a new order, by the first of session, account and firm that has had enough of it; or None."""
    limits = request.bounds.repeats
    if not limits or request.kind != NEW:
        return None
    session, sessions, paces = request.session.name, request.state.sessions, request.state.paces
    qty = request.qty if request.cash_qty is None else request.cash_qty
    key = repeat_key(request.symbol, request.side, qty, request.price)
    for limit in limits:
        counted = paces.get(limit.key) if limit.key else sessions.get(session)
        times = counted.repeats.get(key) if counted is not None else None
        if times is None and limit.most > 0:
            continue
        horizon = request.ts_ns - limit.window_ns
        count = sum(1 for ts_ns in times or () if ts_ns > horizon)
        if count < limit.most:
            continue
        window_ms = limit.window_ns // 1_000_000
        text = (
            f"number {count + 1} of the same order ({request.symbol} side {request.side} quantity {fmt(qty)}) "
            f"within {window_ms} ms, {limit.label} allows {limit.most}"
        )
        return Denied(Reason.REPEATED_ORDER, 38, str(count + 1), f"{limit.most} in {window_ms} ms", text)
    return None
