"""Message throttle: msgs_per_s on average, msg_burst at once (GCRA, the leaky bucket as one number), of the session, of the
account where the message tells it, and of the firm.

evolve moves a scope's theoretical arrival time on by 1e9 // msg_rate at each counted message (core/pace.py); here is asked
whether this one still fits in all of them, before anything else of it is looked at: whatever is wrong with a message, it
costs its place. One that does not fit in one scope takes no place in any. Where the stage stands in the configured order does
not matter, only that it is there. Triggers are our own doing and pass.
"""

from __future__ import annotations

from ..core.pace import MessageRate, paces_of
from ..core.reasons import Reason
from ..core.state import State
from .base import NEW, TRIGGER, Denied, RiskRequest

LIMITS = ("msgs_per_s", "msg_burst")


def check(request: RiskRequest) -> Denied | None:
    """THROTTLE, or None."""
    if request.kind == TRIGGER:
        return None
    msg_type, session = "D" if request.kind == NEW else "G", request.session.name
    rates = paces_of(request.state.settings, session, request.account.name).rates
    return admit(request.state, rates, session, request.ts_ns, msg_type)


def admit(state: State, rates: tuple[MessageRate, ...], session: str, ts_ns: int, msg_type: str) -> Denied | None:
    """THROTTLE for a message of this type at this time, or None. decide asks with the rates that evolve will count it in
    (Draft.refusing; none where the configuration has not this stage). Of several scopes that are full the one that will be so
    for longest is named: then the message fits."""
    if not rates:
        return None
    full, wait_ns, sessions, paces = None, 0, state.sessions, state.paces
    for rate in rates:
        counted = paces.get(rate.key) if rate.key else sessions.get(session)
        if counted is not None and (beyond_ns := counted.tat_ns - ts_ns - rate.tolerance_ns) > wait_ns:
            full, wait_ns = rate, beyond_ns
    if full is None:
        return None
    limit = f"{full.rate}/s burst {full.burst}"
    text = f"{full.label}: more messages than {limit}; the next one fits in {-(-wait_ns // 1_000_000)} ms"
    return Denied(Reason.THROTTLE, 35, msg_type, limit, text)
