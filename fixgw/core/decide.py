"""decide(state, command) -> events: the whole of the gateway's judgement, pure and synchronous.

Nothing is changed here. A command of operations that cannot be carried out raises Refusal and leaves no trace; a command
that means nothing (any more) gives no events and is not journaled. A client's message that was taken in before (same
session, reset epoch and MsgSeqNum) is passed over: its reports are redelivered by the sender, not decided again.
"""

from __future__ import annotations

from collections.abc import Callable

from . import changes, clock, new_order, operations, reconcile, sanity, unusable, venue_reports
from . import commands as c
from . import events as e
from .draft import Draft, NoSuch, Refusal
from .pace import account_of, paces_of
from .state import State

__all__ = ["NoSuch", "Refusal", "decide", "partition_of"]

# a client's messages, and whether they count against the throttle; of those that cannot be used, these types do
_CLIENT: dict[type, bool] = {
    c.NewOrder: True,
    c.ReplaceOrder: True,
    c.CancelOrder: True,
    c.StatusRequest: False,
    c.Unsupported: False,
    c.SeqSeen: False,
}
_COUNTED = frozenset("DGF")


def decide(state: State, command: c.Command) -> list[e.AnyEvent]:
    """The events of one command; raises Refusal (operations only)."""
    draft, kind = Draft(state, command.ts_ns), type(command)
    if isinstance(command, c.ClientCommand):
        if _seen_before(state, command):
            return []
        counts = _CLIENT[kind] or (kind is c.Unsupported and command.msg_type in _COUNTED)  # type: ignore[attr-defined]
        account = ""
        if counts:
            paces = paces_of(state.settings, command.session, "")
            if paces.by_account and (account := account_of(state, command)):
                paces = paces_of(state.settings, command.session, account)
            draft.refusing = paces.refusing
        draft.events.append(
            e.Received(command.session, command.reset_epoch, command.msg_seq, command.ts_ns, counts, account)
        )
        _HANDLERS[kind](draft, command)
    elif isinstance(command, c.VenueCommand):
        screened, problems = sanity.screen(command)
        for problem in problems:
            draft.alert("BAD_VENUE_DATA", problem)
        _HANDLERS[type(screened)](draft, screened)
    else:
        _HANDLERS[kind](draft, command)
    return draft.events


_OF_SESSION = frozenset((*_CLIENT, c.SessionLogon, c.SessionLogout, c.Delivered))


def partition_of(command: c.Command) -> str:
    """The partition that a command's record belongs to."""
    if type(command) in _OF_SESSION:
        session: str = command.session  # type: ignore[attr-defined]
        return "s:" + session
    if isinstance(command, c.VenueCommand):
        return "v:" + command.venue
    return "gw"


def _seen_before(state: State, command: c.ClientCommand) -> bool:
    session = state.sessions.get(command.session)
    if session is None:
        return False
    if command.reset_epoch != session.reset_epoch:
        return command.reset_epoch < session.reset_epoch
    return command.msg_seq <= session.last_in_seq


def _seq_seen(draft: Draft, cmd: c.SeqSeen) -> None:
    """The Received event, which every client command gets, says it all."""


_HANDLERS: dict[type, Callable[..., None]] = {
    c.NewOrder: new_order.new_order,
    c.CancelOrder: changes.cancel_order,
    c.ReplaceOrder: changes.replace_order,
    c.StatusRequest: changes.status_request,
    c.Unsupported: unusable.unsupported,
    c.SeqSeen: _seq_seen,
    c.SessionLogon: operations.session_logon,
    c.SessionLogout: operations.session_logout,
    c.Delivered: operations.delivered,
    c.ChildAck: venue_reports.child_ack,
    c.ChildReject: venue_reports.child_reject,
    c.ChildAmbiguous: venue_reports.child_ambiguous,
    c.ChildTrade: venue_reports.child_trade,
    c.ChildDone: venue_reports.child_done,
    c.ChildCancelReject: venue_reports.child_cancel_reject,
    c.ChildAmended: venue_reports.child_amended,
    c.ChildAmendReject: venue_reports.child_amend_reject,
    c.ChildQueryResult: venue_reports.child_query_result,
    c.VenueLink: reconcile.venue_link,
    c.VenueReconciled: reconcile.venue_reconciled,
    c.BalancesReport: venue_reports.balances,
    c.InstrumentsReport: venue_reports.instruments,
    c.VenueOddity: venue_reports.oddity,
    c.TriggerStop: new_order.trigger_stop,
    c.Timer: operations.timer,
    c.EngineStart: operations.engine_start,
    c.LoadSettings: operations.load_settings,
    c.AdminKill: operations.kill,
    c.AdminResume: operations.resume,
    c.AdminCancel: operations.admin_cancel,
    c.AdminResolve: operations.resolve,
    c.AdminNote: operations.admin_note,
    c.JournalSpace: operations.journal_space,
    c.ClockSet: clock.clock_set,
}
