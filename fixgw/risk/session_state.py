"""Kill switches: HALTED refuses everything, REDUCING lets through only what cannot increase |position|.

The strictest level of session, venue and firm counts. Reducing is measured at the account, whose position it is: a sell
may be as large as position - open_sell, a buy as large as -position - open_buy, this order's own count taken out. A
replace that is in no way riskier than what it replaces is let through as well: with it less can happen than without.
"""

from __future__ import annotations

from ..core.numbers import text as fmt
from ..core.reasons import Reason
from ..core.state import ACTIVE, HALTED
from .base import REPLACE, Denied, RiskRequest
from .measure import eases, reducing_room


def check(request: RiskRequest) -> Denied | None:
    """HALTED or REDUCING, or None."""
    state, session_name, venue_name = request.state, request.session.name, request.account.venue
    session, venue = state.sessions.get(session_name), state.venues.get(venue_name)
    if (
        state.level == ACTIVE
        and (session is None or session.level == ACTIVE)
        and (venue is None or venue.level == ACTIVE)
    ):
        return None
    level = state.level_of(session_name, venue_name)
    tag, name, label = _source(request, level)
    if level == HALTED:
        return Denied(Reason.HALTED, tag, name, ACTIVE, f"{label} is {level}: {Reason.HALTED.meaning}")
    if eases(request):
        return None
    room = reducing_room(request, request.state.exposure("a:" + request.account.name, request.symbol))
    if request.leaves <= room:
        return None
    text = f"{label} is {level}: {fmt(request.leaves)} could increase the position, at most {fmt(room)} reduces it"
    return Denied(Reason.REDUCING, 38, fmt(request.leaves), fmt(room), text)


def _source(request: RiskRequest, level: str) -> tuple[int, str, str]:
    """Which switch it is: (tag at fault, its value, the switch's label)."""
    state, session, venue = request.state, request.session.name, request.account.venue
    if state.level == level:
        # no field names the firm: the message as such is at fault
        return 35, "G" if request.kind == REPLACE else "D", "the firm"
    if venue in state.venues and state.venues[venue].level == level:
        return 100, venue, "venue " + venue
    return 49, session, "session " + session
