"""The same order (symbol, side, quantity, price) more than repeat_max times within repeat_window_ns: a client's loop.

evolve keeps the times per session, at most MAX_REPEATS of one kind: a larger repeat_max works as that. Account and firm
have no such count.
"""

from __future__ import annotations

from ..core.numbers import text as fmt
from ..core.reasons import Reason
from ..core.repeats import MAX_REPEATS, repeat_key
from .base import Denied, RiskRequest
from .measure import NEW

LIMITS = ("repeat_max", "repeat_window_ms")


def check(request: RiskRequest) -> Denied | None:
    """REPEATED_ORDER for a new order, or None."""
    limits = request.session.limits
    session = request.state.sessions.get(request.session.name)
    if limits.repeat_max is None or request.kind != NEW or session is None:
        return None
    qty = request.qty if request.cash_qty is None else request.cash_qty
    times = session.repeats.get(repeat_key(request.symbol, request.side, qty, request.price))
    if times is None and limits.repeat_max > 0:
        return None
    horizon = request.ts_ns - limits.repeat_window_ns
    count = sum(1 for ts_ns in times or () if ts_ns > horizon)
    most = min(limits.repeat_max, MAX_REPEATS)
    if count < most:
        return None
    window_ms = limits.repeat_window_ns // 1_000_000
    text = (
        f"number {count + 1} of the same order ({request.symbol} side {request.side} quantity {fmt(qty)}) "
        f"within {window_ms} ms, session {request.session.name} allows {most}"
    )
    return Denied(Reason.REPEATED_ORDER, 38, str(count + 1), f"{most} in {window_ms} ms", text)
