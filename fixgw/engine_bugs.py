"""What the engine journals when a bug of ours hits a command: the client is answered, operations are told, nothing is lost.
And the count of messages whose numbers say that they were here before."""

from __future__ import annotations

import logging
from collections import Counter

from .core import commands as c
from .core import events as e
from .core.codec import encode_command
from .core.draft import Draft
from .core.reasons import Reason
from .core.reconcile import request_reconciliation
from .core.reports import BusinessReject
from .core.state import SessionState, State

log = logging.getLogger(__name__)
# of each session's messages that are passed over so many are logged, then one in so many
PASSED_OVER_LOGGED = (10, 1000)

# words of a venue after whose loss the whole picture is asked for. Not the picture itself and not the answers to queries,
# which follow from it: that would go round for ever (a query is asked again by its timer)
_ASKED_AGAIN = (
    c.ChildAck, c.ChildReject, c.ChildAmbiguous, c.ChildTrade, c.ChildDone, c.ChildCancelReject, c.ChildAmended,
    c.ChildAmendReject, c.VenueLink,
)  # fmt: skip


def after_bug(state: State, command: c.Command, bug: Exception) -> list[e.AnyEvent]:
    """The client is answered, operations are told; the state is as it was."""
    text = f"{type(command).__name__}: {type(bug).__name__}: {bug}"
    events: list[e.AnyEvent] = [e.Alerted(kind=Reason.INTERNAL_ERROR.value, text=text, ts_ns=command.ts_ns)]
    if isinstance(command, c.ClientCommand):
        events.append(
            e.Received(
                session=command.session,
                reset_epoch=command.reset_epoch,
                msg_seq=command.msg_seq,
                ts_ns=command.ts_ns,
            )
        )
        message = BusinessReject(
            ref_msg_type=command.__struct_config__.tag if isinstance(command.__struct_config__.tag, str) else "",
            ref_seq=command.msg_seq,
            business_reason=4,
            reason=Reason.INTERNAL_ERROR.value,
            text="internal error: the message was not acted on; operations have been told",
            ref_id=getattr(command, "cl_ord_id", "").encode("ascii", "replace").decode(),
        )
        events.append(e.Reported(session=command.session, account="", message=message))
    elif isinstance(command, _ASKED_AGAIN):
        # the venue's word is lost to us: ask for the whole picture
        draft = Draft(state, command.ts_ns)
        if command.venue in state.settings.venues and command.venue in state.venues:
            request_reconciliation(draft, command.venue)
        events += draft.events
    return events


def stand_in(command: c.Command) -> c.Command:
    """What is journaled as the command when a bug of ours hit it: itself, unless just that cannot be journaled."""
    try:
        encode_command(command)
    except Exception:
        return dropped(command)
    return command


def dropped(command: c.Command) -> c.Command:
    """In place of a command that cannot be journaled."""
    if isinstance(command, c.ClientCommand):
        return c.SeqSeen(
            ts_ns=command.ts_ns, session=command.session, reset_epoch=command.reset_epoch, msg_seq=command.msg_seq
        )
    return c.AdminNote(
        ts_ns=command.ts_ns, action="dropped", target=type(command).__name__, user="gateway", reason="cannot be journaled"
    )


class PassedOver(Counter[str]):
    """Client messages whose number was used before, by session. Right for a message that came twice (its reports were sent);
    but if the numbers of QuickFIX and the journal ever differed, orders would vanish here."""

    def note(self, command: c.ClientCommand, session: SessionState | None) -> None:
        """One more."""
        if session is None:
            return
        self[command.session] += 1
        count, (first, every) = self[command.session], PASSED_OVER_LOGGED
        if count <= first or count % every == 0:
            log.warning(
                "session %s: %s, message %d of reset epoch %d, is passed over: expected above %d of epoch %d (%d so far)",
                command.session,
                type(command).__name__,
                command.msg_seq,
                command.reset_epoch,
                session.last_in_seq,
                session.reset_epoch,
                count,
            )
