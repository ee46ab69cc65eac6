"""What is counted over time: messages (the throttle) and orders that are the same (the repeated-order throttle), in each scope.

Three scopes count: the session, the account where it is known, and the firm. What is in force for a (session, account)
follows from the configuration alone and is worked out once for each (see market.py: the configuration changes only by an
event, and then it is another object). What was counted so far is in State.sessions (a session's own) and State.paces; it is
written by evolve alone, from the events Received and OrderReceived, and read by risk/throttle.py and risk/repeated_order.py.

What a client's own limit refuses uses up nothing of the account and the firm: else a client that floods would take the places
of all others. A message that any scope refuses takes no place in any; a repeated order counts in the scopes up to the first
that refuses it (session, account, firm), so that a loop is one in its own scope too.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from . import commands as c
from . import events as e
from .numbers import plain_text
from .settings import AccountSettings, CoreSettings, Limits, SessionSettings
from .state import SessionState, State
from .times import SECOND_NS

MAX_REPEATS = 1024


class MessageRate(msgspec.Struct, frozen=True, gc=False):
    """The message rate of one scope (GCRA): a message each `step_ns`, and as many ahead of that as `tolerance_ns` holds.
    `key`: of State.paces, "" for the session's own; `label` is for people."""

    key: str
    label: str
    rate: int
    burst: int
    step_ns: int
    tolerance_ns: int


class RepeatLimit(msgspec.Struct, frozen=True, gc=False):
    """How often the same order may come within `window_ns` in one scope."""

    key: str
    label: str
    most: int
    window_ns: int


class Paces(msgspec.Struct, frozen=True, gc=False):
    """What is in force for one (session, account). `rates`: what counts; `refusing`: the same where the risk stage is
    configured, else nothing; `by_account`: whether any account has a message rate: else nobody looks for the account."""

    rates: tuple[MessageRate, ...] = ()
    refusing: tuple[MessageRate, ...] = ()
    repeats: tuple[RepeatLimit, ...] = ()
    by_account: bool = False


# the configuration that was asked for last, and (session, account), or session alone, -> what is in force. One value, so that
# whoever looks sees the paces of just these settings; only names of the configuration get in, so it is bounded
_kept: tuple[CoreSettings | None, dict[tuple[str, str] | str, Paces]] = (None, {})


def paces_of(settings: CoreSettings, session: str, account: str) -> Paces:
    """What counts for a message or an order of this session; `account`: ours, "" where it is not known."""
    known, paces = _kept
    if known is settings and (found := paces.get((session, account) if account else session)) is not None:
        return found
    return _resolve(settings, session, account)


def _resolve(settings: CoreSettings, session_name: str, account_name: str) -> Paces:
    global _kept
    session, account = settings.sessions.get(session_name), settings.accounts.get(account_name)
    if session is None or session.role != "trading":
        return Paces()  # a drop copy has no limits of its own: its messages, none of which is acted on, take nobody's place
    scopes = _scopes(session, account, settings.firm)
    rates = tuple(_rate(key, label, limits) for key, label, limits in scopes if limits.msg_rate is not None)
    made = Paces(
        rates=rates,
        refusing=rates if "throttle" in settings.risk_stages else (),
        repeats=repeat_limits(session, account, settings.firm),
        by_account=any(account.limits.msg_rate is not None for account in settings.accounts.values()),
    )
    if account is not None or not account_name:
        kept = _kept
        if kept[0] is not settings:
            kept = _kept = (settings, {})
        kept[1][(session_name, account_name) if account_name else session_name] = made
    return made


def _scopes(session: SessionSettings, account: AccountSettings | None, firm: Limits) -> Iterator[tuple[str, str, Limits]]:
    yield "", "session " + session.name, session.limits
    if account is not None:
        yield "a:" + account.name, "account " + account.name, account.limits
    yield "firm", "firm", firm


def repeat_limits(session: SessionSettings, account: AccountSettings | None, firm: Limits) -> tuple[RepeatLimit, ...]:
    """How often the same order may come, in each scope that limits it."""
    return tuple(
        RepeatLimit(key, label, min(limits.repeat_max, MAX_REPEATS), limits.repeat_window_ns)
        for key, label, limits in _scopes(session, account, firm)
        if limits.repeat_max is not None
    )


def _rate(key: str, label: str, limits: Limits) -> MessageRate:
    assert limits.msg_rate is not None
    step_ns = SECOND_NS // limits.msg_rate
    return MessageRate(key, label, limits.msg_rate, limits.msg_burst, step_ns, (limits.msg_burst - 1) * step_ns)


def account_of(state: State, command: c.ClientCommand) -> str:
    """Our account that a message is for, "" where it is not known: a message that names none that we know, or no order that we
    know, counts in its session and the firm alone."""
    request = command.request if isinstance(command, c.Unsupported) else command
    if isinstance(request, c.NewOrder):
        session = state.settings.sessions.get(request.session)
        name = session.accounts.get(request.account, "") if session is not None else ""
        return name if name in state.settings.accounts else ""
    if isinstance(request, c.CancelOrder | c.ReplaceOrder):
        order = state.named(request.session, request.orig_cl_ord_id, request.order_id)
        return order.account if order is not None else ""
    return ""


def count_message(state: State, session: SessionState, ev: e.Received) -> None:
    """A message takes its place in every scope; one that does not fit in one of them takes none in any. (Cancels are never
    refused: those beyond the rate go uncounted.) Whoever hammers still gets its rate."""
    rates = paces_of(state.settings, ev.session, ev.account).rates
    if not rates:
        return
    ts_ns = ev.ts_ns
    if len(rates) == 1 and not rates[0].key:  # the frequent case by itself
        (rate,) = rates
        start_ns = max(session.tat_ns, ts_ns)
        if start_ns - ts_ns <= rate.tolerance_ns:
            session.tat_ns = start_ns + rate.step_ns
        return
    scopes = [state.pace(rate.key) if rate.key else session for rate in rates]
    if all(scope.tat_ns - ts_ns <= rate.tolerance_ns for scope, rate in zip(scopes, rates, strict=True)):
        for scope, rate in zip(scopes, rates, strict=True):
            scope.tat_ns = max(scope.tat_ns, ts_ns) + rate.step_ns


def places_taken(rate_per_s: int, tat_ns: int, now_ns: int) -> int:
    """How many places of a burst are taken at this moment."""
    return max(0, -(-(tat_ns - now_ns) // (SECOND_NS // rate_per_s)))


@functools.lru_cache(maxsize=64)
def repeat_key(symbol: str, side: str, qty: Decimal, price: Decimal | None) -> str:
    """What makes two orders "the same" for the repeated-order throttle; 1 and 1.0 are. `qty`: OrderQty or CashOrderQty.
    Refused orders count too: a client gone wild repeats those most of all. Kept: decide asks for it just before evolve."""
    return f"{symbol}|{side}|{plain_text(qty)}|{plain_text(price) if price is not None else None}"


def note_repeat(state: State, session: SessionState, ev: e.OrderReceived) -> None:
    """Where a scope limits repeats: one more at this time, and what has left the window forgotten. An order counts up to the
    first scope that refuses it: the loop of one client, which its own limit stops, leaves the same order to the others."""
    limits = paces_of(state.settings, ev.session, ev.account).repeats
    if not limits:
        return
    key = repeat_key(ev.symbol, ev.side, ev.order_qty if ev.cash_qty is None else ev.cash_qty, ev.price)
    for limit in limits:
        scope = state.pace(limit.key) if limit.key else session
        if _note(scope.repeats, key, ev.ts_ns, ev.ts_ns - limit.window_ns) >= limit.most:
            break


def _note(repeats: dict[str, list[int]], key: str, ts_ns: int, horizon: int) -> int:
    """How many of them came within the window before this one."""
    before, count = repeats.pop(key, None), 0
    if before is None:
        repeats[key] = [ts_ns]
    else:
        kept = [ts for ts in before if ts > horizon]
        count = len(kept)
        repeats[key] = [*kept, ts_ns][-MAX_REPEATS:]
    # the oldest key stands first: drop what has left the window, a few at a time
    for _ in range(2):
        oldest = next(iter(repeats))
        if repeats[oldest][-1] > horizon:
            break
        del repeats[oldest]
    return count


def settings_changed(state: State, before: CoreSettings) -> None:
    """After a change of the configuration: what no limit counts any more is forgotten, and where the rate is another one its
    burst begins anew. What an old slow rate had let through ahead of its time would shut a new fast one for minutes."""
    now, old = scope_limits(state.settings), scope_limits(before)
    for key in list(state.paces):
        if key not in now or (now[key].msg_rate is None and now[key].repeat_max is None):
            del state.paces[key]
    for key, limits in now.items():
        was = old.get(key)
        if was is None or (was.msg_rate, was.msg_burst) != (limits.msg_rate, limits.msg_burst):
            scope = state.sessions.get(key[2:]) if key.startswith("s:") else state.paces.get(key)
            if scope is not None:
                scope.tat_ns = 0


def scope_limits(settings: CoreSettings) -> dict[str, Limits]:
    """Limits by scope: "s:SESSION", and the keys of State.paces."""
    found = {"s:" + name: session.limits for name, session in settings.sessions.items()}
    found |= {"a:" + name: account.limits for name, account in settings.accounts.items()}
    return found | {"firm": settings.firm}
