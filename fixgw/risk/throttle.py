"""Message throttle of a session: msg_rate a second on average, msg_burst at once (GCRA, the leaky bucket as one number).

evolve moves the theoretical arrival time on by 1e9 // msg_rate at each counted message; here is asked whether this one
still fits, before anything else of it is looked at: whatever is wrong with a message, it costs its place. Where the stage
stands in the configured order does not matter, only that it is there. Triggers are our own doing and pass. Only a session
has a rate; those of accounts and firm have no meaning.
"""

from __future__ import annotations

from ..core.reasons import Reason
from ..core.state import State
from .base import Denied, RiskRequest
from .measure import NEW, TRIGGER

LIMITS = ("msgs_per_s", "msg_burst")
SECOND_NS = 1_000_000_000


def check(request: RiskRequest) -> Denied | None:
    """THROTTLE, or None."""
    if request.kind == TRIGGER:
        return None
    return _fits(request.state, request.session.name, request.ts_ns, "D" if request.kind == NEW else "G")


def admit(state: State, session_name: str, ts_ns: int, msg_type: str) -> Denied | None:
    """THROTTLE for a message of this type at this time, or None; asked by decide, where the configuration has this stage."""
    return _fits(state, session_name, ts_ns, msg_type) if "throttle" in state.settings.risk_stages else None


def _fits(state: State, session_name: str, ts_ns: int, msg_type: str) -> Denied | None:
    limits = state.settings.sessions[session_name].limits
    rate = limits.msg_rate
    if rate is None:
        return None
    session = state.sessions.get(session_name)
    ahead_ns = session.tat_ns - ts_ns if session is not None else 0
    if ahead_ns <= 0:
        return None
    tolerance_ns = (limits.msg_burst - 1) * (SECOND_NS // rate)
    if ahead_ns <= tolerance_ns:
        return None
    limit = f"{rate}/s burst {limits.msg_burst}"
    wait_ms = -(-(ahead_ns - tolerance_ns) // 1_000_000)
    text = f"session {session_name}: more messages than {limit}; the next one fits in {wait_ms} ms"
    return Denied(Reason.THROTTLE, 35, msg_type, limit, text)
