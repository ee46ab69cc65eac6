"""QuickFIX's callbacks. They run in the thread of the session's connection (toApp and toAdmin also in the sender's).

Rules
- Nothing may escape but RejectLogon from fromAdmin and DoNotSend from toApp: any other exception ends the process.
- A message is copied (toString) within the callback: afterwards it is garbage.
- The journal must know every message number that is used up, so that NextTargetMsgSeqNum can be set from it at the next
  start: what is no command is submitted as SeqSeen. QuickFIX counts a number after the callback has returned.
- Reports are sent by the session's delivery only (delivery.py; often in this thread, as `reply`); from here only refusals
  of what the engine did not even take.
- Lock order: QuickFIX holds its session lock in toApp, toAdmin and onLogout; nobody may call into a session while
  holding a lock that these take. `gate` is taken by fromAdmin and by operations only, and may be held around such calls.
"""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

import quickfix as fix

from fixgw.core.commands import CLIENT_LOGOUT, NewOrder, ReplaceOrder, SeqSeen, SessionLogon, SessionLogout, Unsupported
from fixgw.core.errors import JournalFull, Overloaded
from fixgw.core.reasons import Reason
from fixgw.core.reports import BusinessReject
from fixgw.fix.front_refusal import message_refused, refusal_of, reject_text
from fixgw.fix.inbound import Context, parse
from fixgw.fix.inbound.fields import clean, split, whole
from fixgw.fix.outbound import encode
from fixgw.fix.port import EnginePort
from fixgw.fix.session_link import MAX_RESENDS, MAX_RESENT, RESEND_WINDOW_S, SessionLink, this_thread
from fixgw.fix.store_keeper import STORE_FAILED

log = logging.getLogger("fixgw.fix.acceptor")

APPLICATION_NOT_AVAILABLE: Final = 4
HEARTBEAT_S: Final = (1, 3600)
# the names under which OMSs ask for cancel on disconnect in their Logon
CANCEL_ON_DISCONNECT: Final = ("20008", "8013", "9001")
# QuickFIX counts to 2^64; whoever reads the journal (SQLite) to 2^63 - 1
MAX_SEQ: Final = 2**62
# Until the record of a Logon is durable; the front waits longer for our answer (FrontConfig.logon_answer_s)
LOGON_DURABLE_S: Final = 4.0
# messages that QuickFIX does not ask a Logon for
LOGON_OR_NOT: Final = ("3", "4")
# more messages than one connection brings out
UNCOUNTED: Final = 10_000_000
NO_LOGONS: Final = "the gateway cannot take logons now"
# a connection's thread that slept for less than this found the next message at hand
MORE_IDLE_NS: Final = 10_000
MORE_MAX: Final = 8
_YES_NO: Final = {"Y": True, "1": True, "S": True, "N": False, "0": False}


def more_at_hand() -> bool:
    """Whether further messages of this connection wait to be read, by what QuickFIX shows of it: its thread did not sleep
    between the last ones."""
    thread = this_thread
    idle_ns = (time.perf_counter_ns() - thread.left_ns) - (time.thread_time_ns() - thread.left_cpu_ns)
    if idle_ns < MORE_IDLE_NS:
        thread.streak = min(thread.streak + 1, MORE_MAX)
    else:
        thread.streak = max(thread.streak - 2, 0)
    return thread.streak > MORE_MAX // 2


def pin_thread() -> None:
    """Keeps this QuickFIX thread's Python state alive between callbacks, where quickfix_accept.py does not."""
    if not this_thread.pinned:
        this_thread.pinned = True
        ctypes.pythonapi.PyGILState_Ensure()


class Application(fix.Application):  # type: ignore[misc]
    """The callbacks of all sessions. `links`: wire id ("FIX.4.4:FIXGW->OMS44") -> SessionLink."""

    def __init__(self, engine: EnginePort, links: Mapping[str, SessionLink]) -> None:
        super().__init__()
        self._engine = engine
        self._links = links

    # --- the session's life ---

    def onCreate(self, session_id: fix.SessionID) -> None:
        pass

    def onLogon(self, session_id: fix.SessionID) -> None:
        pin_thread()
        self._guarded(self._on_logon, session_id)

    def onLogout(self, session_id: fix.SessionID) -> None:
        pin_thread()
        self._guarded(self._on_logout, session_id)

    def _on_logon(self, link: SessionLink) -> None:
        this_thread.link = link
        link.connected_ns = self._engine.now_ns()
        link.logged_on = True
        # operations set these before they look whether it is logged on
        leave, link.leaving = link.barred or link.leaving, ""
        if leave:
            link.log_out(leave)
        link.resends.clear()
        link.delivery.logged_on()
        log.info("session %s: logged on", link.spec.name)
        while link.unsaid and link.send(encode(link.unsaid[0], link.spec.version, poss_resend=True)):
            link.unsaid.popleft()

    def _on_logout(self, link: SessionLink) -> None:
        this_thread.link = None
        link.logged_on = False
        link.connected_ns = None
        link.delivery.logged_out()
        try:
            link.next_out = link.session.getExpectedSenderNum()
            link.may_log_on()
            reason, link.logout_reason = link.logout_reason or "connection closed", ""
            log.info("session %s: logged out (%s)", link.spec.name, reason)
            self._engine.submit(SessionLogout(ts_ns=self._engine.now_ns(), session=link.spec.name, reason=reason))
        finally:
            link.present = False
            link.leaving = ""
            link.may_log_on()  # who logs it out meanwhile looks for `present`

    # --- out ---

    def toAdmin(self, message: fix.Message, session_id: fix.SessionID) -> None:
        self._guarded(self._to_admin, session_id, message)

    def toApp(self, message: fix.Message, session_id: fix.SessionID) -> None:
        # Under QuickFIX's session lock: a report can never slip into the numbers of a connection that is not logged on.
        link = this_thread.sending or self._links.get(session_id.toString())
        if link is not None and not link.logged_on and not message.getHeader().isSetField(43):
            raise fix.DoNotSend()

    def _to_admin(self, link: SessionLink, message: fix.Message) -> None:
        header = message.getHeader()
        msg_type = header.getField(35)
        if msg_type == "1":
            if message.isSetField(112):
                link.delivery.test_request_sent(int(header.getField(34)), message.getField(112))
        elif msg_type == "5" and link.logout_reason and not message.isSetField(58):
            # QuickFIX takes "log out" and its reason in two steps, between which its timer may send the Logout
            message.setField(58, link.logout_reason)
        elif msg_type == "3" and message.isSetField(45):
            # QuickFIX itself rejected a message (by the dictionary): the number is used up without any other callback
            ref = whole(message.getField(45))
            link.refused += 1
            if link.session.getExpectedTargetNum() == ref + 1:
                self._seen(link, ref)

    # --- in ---

    def fromApp(self, message: fix.Message, session_id: fix.SessionID) -> None:
        pin_thread()
        link = this_thread.link or self._links.get(session_id.toString())
        raw = ""
        try:
            raw = message.toString()
            assert link is not None, "QuickFIX knows the configured sessions only"
            self._from_app(link, raw)
        except Exception:
            log.exception("session %s: a message could not be processed", session_id.toString())
            if link is not None:
                link.errors += 1
                self._guarded(self._confess, session_id, raw)

    def _from_app(self, link: SessionLink, raw: str) -> None:
        spec, engine = link.spec, self._engine
        command = parse(
            raw,
            Context(
                session=spec.name,
                reset_epoch=link.epoch,
                ts_ns=engine.now_ns(),
                quotes=lambda symbol: engine.quotes(spec.name, symbol),
                order_quotes=engine.order_quotes,
                currencies=lambda symbol: engine.currencies(spec.name, symbol),
                role=spec.role,
            ),
        )
        if link.store_failed:
            asked = command.request if isinstance(command, Unsupported) else command
            if isinstance(asked, NewOrder | ReplaceOrder):
                self._owe(link, split(raw))
                return
        delivery = link.delivery
        delivery.attend()
        try:
            engine.submit(command, delivery.reply, more_at_hand())
        except Overloaded:
            self._refuse(link, raw, Reason.OVERLOADED)
        except JournalFull:
            self._refuse(link, raw, Reason.JOURNAL_FULL)
        finally:
            delivery.leave()
            this_thread.left_ns, this_thread.left_cpu_ns = time.perf_counter_ns(), time.thread_time_ns()

    def _refuse(self, link: SessionLink, raw: str, reason: Reason) -> None:
        """The engine did not take the order. Its number is journaled where that is possible: after a crash the client
        must not be asked for an order again that it knows as refused."""
        link.refused += 1
        fields = split(raw)
        try:
            self._seen(link, whole(fields["34"]))
        except (Overloaded, JournalFull):
            log.warning("session %s: the refusal of message %s is not journaled", link.spec.name, fields["34"])
        self._business_reject(link, fields, reason.value, reason.meaning)

    def _owe(self, link: SessionLink, fields: Mapping[str, str]) -> None:
        """Nothing that cannot be reported may go to a venue. The refusal is journaled, and told when the store is mended."""
        link.refused += 1
        self._engine.submit(
            Unsupported(
                ts_ns=self._engine.now_ns(),
                session=link.spec.name,
                reset_epoch=link.epoch,
                msg_seq=whole(fields["34"]),
                msg_type=clean(fields.get("35", ""), 8),
                reason=Reason.JOURNAL_FULL.name,
                business_reason=APPLICATION_NOT_AVAILABLE,
                text=f"{link.store_failed or STORE_FAILED}: nothing was done",
                ref_id=clean(fields.get("11", ""), 64),
            )
        )

    def _confess(self, link: SessionLink, raw: str) -> None:
        """An error of ours: the client must not wait for an answer that never comes."""
        self._business_reject(link, split(raw), "", "internal error, the outcome is not known: ask for the order status")

    def _business_reject(self, link: SessionLink, fields: Mapping[str, str], reason: str, text: str) -> None:
        reject = BusinessReject(
            ref_msg_type=clean(fields.get("35", ""), 8),
            ref_seq=whole(fields["34"]),
            business_reason=APPLICATION_NOT_AVAILABLE,
            reason=reason,
            text=text,
            ref_id=clean(fields.get("11", ""), 64),
        )
        if not link.send(encode(reject, link.spec.version)):
            log.error("session %s: the refusal of message %s could not be sent", link.spec.name, fields["34"])
            if link.store_failed:
                link.unsaid.append(reject)

    def fromAdmin(self, message: fix.Message, session_id: fix.SessionID) -> None:
        pin_thread()
        link = self._links.get(session_id.toString())
        try:
            assert link is not None, "QuickFIX knows the configured sessions only"
            refusal = self._from_admin(link, split(message.toString()))
        except Exception:
            log.exception("session %s: an admin message could not be processed", session_id.toString())
            refusal = NO_LOGONS if message.getHeader().getField(35) == "A" else None
            if link is not None:
                link.errors += 1
                if refusal is not None:
                    link.present = False
        if refusal is not None:
            raise fix.RejectLogon(refusal)

    def _from_admin(self, link: SessionLink, fields: Mapping[str, str]) -> str | None:
        """Why the connection is to be ended with a Logout; None: it goes on."""
        msg_type = fields.get("35")
        if msg_type == "A":
            return self._logon(link, fields)
        if msg_type in LOGON_OR_NOT and not link.session.receivedLogon():
            # read in one piece with what ended the session. QuickFIX takes these two all the same, and to refuse a
            # SequenceReset it would throw what ends the process
            return "the session is not logged on"
        if link.store_failed and msg_type != "5":
            # its answer could not leave; this ends the connection, in the one thread that may
            self._admin(link, fields)
            link.logout_reason = link.store_failed or STORE_FAILED
            return link.logout_reason
        if msg_type == "2" and link.resends_too_often(fields.get("7", ""), fields.get("16", ""), time.monotonic()):
            # QuickFIX would go on resending what nobody reads, long after the connection is gone
            link.logout_reason = (
                f"more than {MAX_RESENDS} ResendRequests for more than {MAX_RESENT} messages in {RESEND_WINDOW_S:.0f} s"
            )
            log.warning("session %s: disconnected: %s", link.spec.name, link.logout_reason)
            return link.logout_reason
        self._admin(link, fields)
        return None

    def _admin(self, link: SessionLink, fields: Mapping[str, str]) -> None:
        msg_type, number = fields.get("35"), whole(fields["34"])
        session = link.session
        expected = session.getExpectedTargetNum()
        if msg_type == "4":
            self._sequence_reset(link, fields, number, expected)
            return
        if number == expected:
            self._seen(link, number)
        elif msg_type in ("3", "5"):
            # QuickFIX counts a Reject or Logout even when messages before it are missing, a Logout also when its number was
            # used before: undo that in advance, or the next one would never be asked for
            session.setNextTargetMsgSeqNum(expected - 1)
        if msg_type == "0" and "112" in fields:
            if (refused := message_refused(fields["112"])) is not None:
                link.send(fix.Message(reject_text(link.spec.begin_string, number, refused), False))
            else:
                link.delivery.heartbeat(fields["112"])
        elif msg_type == "3":
            log.warning(
                "session %s: the counterparty rejected our message %s (tag %s, reason %s): %s",
                link.spec.name,
                clean(fields.get("45", "?"), 20),
                clean(fields.get("371", "-"), 20),
                clean(fields.get("373", "-"), 20),
                clean(fields.get("58", ""), 200),
            )
        elif msg_type == "5":
            # or the front's word for a Logon that it did not let through (front_relogon.py)
            said = refusal_of(fields.get("58", ""))
            link.logout_reason = link.logout_reason or said or f"{CLIENT_LOGOUT} {clean(fields.get('58', ''), 100)}"

    def _sequence_reset(self, link: SessionLink, fields: Mapping[str, str], number: int, expected: int) -> None:
        """A gap fill uses up the numbers before NewSeqNo(36) when it is in sequence, a reset always. QuickFIX refuses to
        go back."""
        new = min(whole(fields.get("36", "0")), MAX_SEQ)
        in_sequence = fields.get("123") != "Y" or number == expected
        if in_sequence and new > expected:
            self._seen(link, new - 1)

    def _seen(self, link: SessionLink, number: int) -> None:
        self._engine.submit(SeqSeen(ts_ns=self._engine.now_ns(), session=link.spec.name, reset_epoch=link.epoch, msg_seq=number))

    # --- logon ---

    def _logon(self, link: SessionLink, fields: Mapping[str, str]) -> str | None:
        """The reason why the Logon is refused, or None. With 141=Y QuickFIX has wiped its store already."""
        name, engine = link.spec.name, self._engine
        reset = fields.get("141") == "Y"
        live = link.logged_on
        if reset:
            # in a live connection: no report may take the number 1 of our Logon; onLogon follows
            link.logged_on = False
            link.delivery.logged_out()
            link.delivery.wiped()
        with link.gate:
            cursor = engine.session_cursor(name)
            refusal = self._why_not(link, cursor.enabled, fields)
            link.present = refusal is None
            if refusal is not None and reset:
                self._undo_reset(link, cursor.last_in_seq, live)
        if refusal is not None:
            this_thread.refused = True
            log.warning("session %s: logon refused: %s", name, refusal)
            return refusal
        number, expected = whole(fields["34"]), link.session.getExpectedTargetNum()
        command = SessionLogon(
            ts_ns=engine.now_ns(),
            session=name,
            reset=reset,
            # the last number used up: with messages missing before it, the Logon's own is not. After a reset QuickFIX goes
            # on at 2 whatever the Logon's number is
            msg_seq=expected if reset else number if number <= expected else expected - 1,
            cancel_on_disconnect=_cancel_on_disconnect(fields),
        )
        try:
            # durable before QuickFIX answers: the client counts from 1 then, and after a crash the journal must as well
            engine.call(command, LOGON_DURABLE_S)
        except Exception as error:
            if reset:
                self._undo_reset(link, cursor.last_in_seq, live)
            return self._not_durable(link, error)
        link.epoch = engine.session_cursor(name).reset_epoch
        if not reset and fields.get("789", "").isdigit():
            link.delivery.next_expected(whole(fields["789"]))
        return None

    @staticmethod
    def _undo_reset(link: SessionLink, last_in_seq: int, live: bool) -> None:
        """A Logon with 141=Y that is refused must not have reset the numbers. In a live connection what we have sent is not
        counted (QuickFIX's store, which knew, is empty): a number beyond it leaves a gap, which the counterparty asks for."""
        link.session.setNextSenderMsgSeqNum(link.next_out + (UNCOUNTED if live else 0))
        link.session.setNextTargetMsgSeqNum(max(1, last_in_seq + 1))

    def _not_durable(self, link: SessionLink, error: Exception) -> str:
        """The Logon is refused. Its record may become durable later, which does no harm: the numbers that QuickFIX keeps are
        not below those of the journal."""
        name = link.spec.name
        log.error("session %s: the logon could not be made durable: %s: %s", name, type(error).__name__, error)
        link.errors += 1
        link.present = False
        this_thread.refused = True
        self._engine.submit(SessionLogout(ts_ns=self._engine.now_ns(), session=name, reason="the logon was not taken"))
        return NO_LOGONS

    @staticmethod
    def _why_not(link: SessionLink, enabled: bool, fields: Mapping[str, str]) -> str | None:
        if by_front := refusal_of(fields.get("96", "")):
            return by_front
        if this_thread.refused:  # QuickFIX reads on what came in one piece with a Logon that was refused
            return "a Logon was refused on this connection"
        if not link.spec.enabled:
            return "the session is disabled in the configuration"
        if link.held or link.barred or link.store_failed or not enabled:
            return link.held or link.barred or link.store_failed or "the session is disabled by operations"
        heartbeat = fields.get("108", "")
        low, high = HEARTBEAT_S
        if not (heartbeat.isdigit() and low <= int(heartbeat) <= high):
            return f"HeartBtInt(108) is {clean(heartbeat, 20)}, expected {low} to {high} seconds"
        return None

    # --- guards ---

    def _guarded(self, action: Callable[..., None], session_id: fix.SessionID, *args: object) -> None:
        """An exception must not escape into QuickFIX: it is logged and counted."""
        link = None
        try:
            link = self._links[session_id.toString()]
            action(link, *args)
        except Exception:
            log.exception("session %s: %s failed", session_id.toString(), action.__name__)
            if link is not None:
                link.errors += 1


def _cancel_on_disconnect(fields: Mapping[str, str]) -> bool | None:
    """None: the Logon does not say."""
    for tag in CANCEL_ON_DISCONNECT:
        if tag in fields:
            return _YES_NO.get(fields[tag])
    return None
