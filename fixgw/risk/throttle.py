"""Message throttle of a session: msg_rate a second on average, msg_burst at once (GCRA, the leaky bucket as one number).

evolve moves the theoretical arrival time on by 1e9 // msg_rate at each counted message; here is asked whether this one
still fits. Triggers are our own doing and pass. Only a session has a rate; those of accounts and firm have no meaning.
"""

from __future__ import annotations

from ..core.reasons import Reason
from .base import Denied, RiskRequest
from .measure import NEW, TRIGGER

SECOND_NS = 1_000_000_000


def check(request: RiskRequest) -> Denied | None:
    """THROTTLE, or None."""
    rate, burst = request.session.limits.msg_rate, request.session.limits.msg_burst
    if rate is None or request.kind == TRIGGER:
        return None
    session = request.state.sessions.get(request.session.name)
    ahead_ns = session.tat_ns - request.ts_ns if session is not None else 0
    if ahead_ns <= 0:
        return None
    tolerance_ns = (burst - 1) * (SECOND_NS // rate)
    if ahead_ns <= tolerance_ns:
        return None
    limit = f"{rate}/s burst {burst}"
    wait_ms = -(-(ahead_ns - tolerance_ns) // 1_000_000)
    text = f"session {request.session.name}: more messages than {limit}; the next one fits in {wait_ms} ms"
    return Denied(Reason.THROTTLE, 35, "D" if request.kind == NEW else "G", limit, text)
