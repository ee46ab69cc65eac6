"""What becomes of the times in the state when the clock is put right, or when a run begins with a clock behind the last run's.

Core time goes on steadily within a run, whatever the wall clock does (fixgw/clock.py). When it is set all the same, by
`step_ns`, each time of ours that is measured from moves with it, so that a limit, a deadline or a question is as far away as it
was. No such time may then lie further ahead than it can by itself: it would stall what waits for it.

    throttle, repeats ............ go on; where they are ahead of what a burst can be they begin anew
    a place without an answer .... its "not found" counts no sooner than if the deadline to send it had passed just now
    questions, time-outs ......... are due after the rest of their wait
    an end that awaits its proof . was told at the same moment, now at the latest
    reconciliation ............... from the same moment; where that is not known from as far back as can be told apart
    trades of others ............. count from the same moment
    balances, reservations ....... as of the same moment, now at the latest

Times that others have set (GTD, end of day) and times that only tell (when an order came, when it finished) stay; finished orders
are remembered for longer by as much as the clock was set forward.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import commands as c
from . import events as e
from .child import SENT, UNKNOWN, Child
from .draft import Draft
from .pace import scope_limits
from .settings import Limits
from .state import Pace, SessionState, State
from .times import SECOND_NS

# the longest wait for a question (venue_reports.QUERY_BACKOFF_S), and for a place to leave (placing.SEND_WINDOW_NS)
QUERY_NS = 30 * SECOND_NS
SEND_NS = 2 * SECOND_NS
# processes and threads stamp what they send; within this nobody's clock was set
SLACK_NS = SECOND_NS
# how far back trades of others are remembered (evolve.EXTERNAL_KEPT_NS), less what reconciliations overlap (OVERLAP_NS)
KEPT_NS = 3_000 * SECOND_NS


def clock_set(draft: Draft, cmd: c.ClockSet) -> None:
    """A step is journaled always. At a start (`step_ns` 0) only where something is not as it can be."""
    ahead_ns = ahead(draft.state, cmd.ts_ns)
    asked = any(_is_open_question(draft.state.children[child_id]) for child_id in draft.state.uncertain)
    if cmd.step_ns:
        way = "forward" if cmd.step_ns > 0 else "back"
        draft.alert("CLOCK_STEPPED", f"this machine's clock was put {way} by {seconds(abs(cmd.step_ns))}: the gateway's follows")
    elif ahead_ns > SLACK_NS:
        text = f"this machine's clock is {seconds(ahead_ns)} or more behind what it was in the last run"
        draft.alert("CLOCK_STEPPED", f"{text}: look at it, and compare positions with the venues")
    elif not (cmd.rebooted and (asked or draft.state.inflight)):
        return
    draft.emit(e.ClockWasSet(ts_ns=cmd.ts_ns, step_ns=cmd.step_ns))


def seconds(ns: int) -> str:
    """For people."""
    return f"{ns / SECOND_NS:.3f} s"


def _is_open_question(child: Child) -> bool:
    return child.state in (SENT, UNKNOWN)


def ahead(state: State, now_ns: int) -> int:
    """By how much the times in the state lie further in the future than they can; 0 or less: they do not."""
    return max(_ahead(state), default=0) - now_ns


def _ahead(state: State) -> Iterator[int]:
    """Each time, less how far ahead it can be."""
    for key, limits in scope_limits(state.settings).items():
        scope = state.sessions.get(key[2:]) if key.startswith("s:") else state.paces.get(key)
        if scope is not None:
            yield scope.tat_ns - _burst_ns(limits)
            for times in scope.repeats.values():
                yield times[-1]
    for venue in state.venues.values():
        yield venue.reconciled_ns
        for child_id in venue.live:
            child = state.children[child_id]
            yield max(
                child.sent_ns, child.cancel_ns, child.not_found_ns, child.closed_ns, child.expires_ns - SEND_NS,
                child.next_query_ns - QUERY_NS,
            )  # fmt: skip
    for account in state.accounts.values():
        yield account.asof_ns
        yield from account.later.values()
        yield from account.covered_from.values()
        yield from account.settling.newest()


def _burst_ns(limits: Limits | None) -> int:
    """How far ahead of now the throttle's next place can be."""
    if limits is None or limits.msg_rate is None:
        return 0
    return limits.msg_burst * (SECOND_NS // limits.msg_rate)


def apply_clock(state: State, ev: e.ClockWasSet) -> None:
    """evolve."""
    now_ns, step_ns = ev.ts_ns, ev.step_ns
    state.clock_steps_ns += step_ns

    def moved(ns: int, ahead_ns: int = 0) -> int:
        return min(ns + step_ns, now_ns + ahead_ns) if ns else 0

    limits = scope_limits(state.settings)
    scopes: dict[str, SessionState | Pace] = {"s:" + name: session for name, session in state.sessions.items()}
    for key, scope in (scopes | state.paces).items():
        tat_ns = scope.tat_ns + step_ns
        scope.tat_ns = 0 if not scope.tat_ns or tat_ns > now_ns + _burst_ns(limits.get(key)) else tat_ns
        repeats = {kind: [ns + step_ns for ns in times if ns + step_ns <= now_ns] for kind, times in scope.repeats.items()}
        scope.repeats = {kind: times for kind, times in repeats.items() if times}
    for child_id, ns in state.inflight.items():
        state.inflight[child_id] = moved(ns)
    for venue in state.venues.values():
        for child_id in venue.live:
            child = state.children[child_id]
            child.sent_ns, child.cancel_ns = moved(child.sent_ns), moved(child.cancel_ns)
            child.not_found_ns, child.next_query_ns = moved(child.not_found_ns), moved(child.next_query_ns, QUERY_NS)
            child.closed_ns = moved(child.closed_ns)
            child.expires_ns = moved(child.expires_ns, SEND_NS)
            if _is_open_question(child):
                child.expires_ns = max(child.expires_ns, now_ns)
        if not step_ns and venue.reconciled_ns > now_ns:
            venue.reconciled_ns = max(now_ns - KEPT_NS, 1)
        venue.reconciled_ns = moved(venue.reconciled_ns)
        venue.external_trades = {key: moved(ns) for key, ns in venue.external_trades.items()}
        venue.counts_from = {symbol: moved(ns) for symbol, ns in venue.counts_from.items()}
    for account in state.accounts.values():
        account.asof_ns = moved(account.asof_ns)
        account.later = {asset: moved(ns) for asset, ns in account.later.items()}
        account.covered_from = {child_id: moved(ns) for child_id, ns in account.covered_from.items()}
        account.settling.move(moved)
