"""The gateway's end of one FIX session: numbers, store, resends and the delivery of reports by cursor.

    machine   SessionStore: what QuickFIX's FileStore holds; never synced, so that a power cut leaves only raised numbers
    process   GatewaySession: positions (delivery.py's rules), the expected number (set from the journal at the start)

Wire frames are tuples (number, poss_dup, kind, body, poss_resend). Kinds out: "A" logon reply (body: reset), "app" a core
message, "1" TestRequest (body: journal sequence), "2" ResendRequest (body: from), "4" gap fill (body: next number).
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, Final

from ..core import commands as c
from ..core import events as e
from ..core.reports import CancelReject, Message, Report
from .channel import Channel
from .scheduler import SECOND

if TYPE_CHECKING:
    from .gateway import Gateway

END: Final = 1 << 62
REBOOT_GAP: Final = 100_000
ASK_NS: Final = SECOND
ASK_AGAIN_NS: Final = 5 * SECOND
Frame = tuple[int, bool, str, Any, bool]
# kind, body, poss_resend
Sent = tuple[str, Any, bool]
Position = tuple[int, int]
Key = tuple[str, str, str]


class SessionStore:
    """What is on the gateway's disk of a session: what was sent, by its number, and both numbers."""

    def __init__(self) -> None:
        self.messages: dict[int, Sent] = {}
        self.next_out = 1
        self.next_in = 1

    def power_loss(self) -> None:
        """Nothing was synced: the messages are forgotten."""
        self.messages.clear()

    def rebooted(self) -> None:
        """Start after a power cut: the numbers go on far above any that was used."""
        if self.next_out > 1:
            self.next_out += REBOOT_GAP

    def wipe(self) -> None:
        """ResetSeqNumFlag(141)=Y."""
        self.messages.clear()
        self.next_out = self.next_in = 1


def key_of(message: Message) -> Key:
    """What identifies a message on the wire."""
    if isinstance(message, Report):
        return ("8", message.exec_id, "")
    if isinstance(message, CancelReject):
        return ("9", message.cl_ord_id, message.orig_cl_ord_id)
    return ("B", str(getattr(message, "transact_ns", "")), str(getattr(message, "ref_seq", "")))


def resend(connection: Channel, sent: dict[int, Sent], first: int, end: int) -> None:
    """What was sent under the numbers `first` to `end` - 1; administrative messages and what is not kept as gap fills."""
    gap = first
    for number in sorted(sent):
        kind, body, poss_resend = sent[number]
        if number < first or kind != "app":
            continue
        if gap < number:
            connection.send((gap, True, "4", number, False))
        connection.send((number, True, "app", body, poss_resend))
        gap = number + 1
    if gap < end:
        connection.send((gap, True, "4", end, False))


class GatewaySession:
    """One session within a gateway process. `copies`: a drop copy of all trading sessions."""

    def __init__(self, gateway: Gateway, name: str, store: SessionStore, copies: bool) -> None:
        self.gateway = gateway
        self.name = name
        self.store = store
        self.copies = copies
        state = gateway.state.session(name)
        self.epoch = state.reset_epoch
        self.expected = self.first_expected(state.last_in_seq)
        self.connection: Channel | None = None
        self.logging_on = self.logged_on = False
        self.asked_resend = False
        self.delivered = state.delivered_seq
        self.done: Position = (self.delivered, END)
        self.resend_upto: Position = (gateway.visible_seq, END)
        self.report_seq = 0
        self.asked = 0
        self.asked_ns = -ASK_AGAIN_NS
        self.in_store = self._held()
        self.begin()

    def begin(self) -> None:
        """The first thing after a start of the process."""

    def first_expected(self, last_in_seq: int) -> int:
        """The journal, not the store, says which message is asked for next."""
        return last_in_seq + 1

    def _held(self) -> collections.Counter[Key]:
        """Reports that QuickFIX's own recovery will deliver, back to the confirmed TestRequest."""
        found: collections.Counter[Key] = collections.Counter()
        for kind, body, _ in reversed(self.store.messages.values()):
            if kind == "1" and body <= self.delivered:
                break
            if kind == "app":
                found[key_of(body)] += 1
        return found

    # --- in ---

    def receive(self, frame: Frame) -> None:
        """A frame of the counterparty."""
        number, poss_dup, kind, body, _ = frame
        if self.connection is None:
            return
        if kind == "A":
            self._logon(number, body)
            return
        if not self.logged_on:
            return
        if kind == "4" and number == self.expected:
            self._expect(body)
            self._seen(body - 1)
            return
        if number > self.expected:
            if kind == "2":
                self._resend(body)  # a ResendRequest is honoured even when numbers before it are missing
            self._ask_resend()
            return
        if number < self.expected:
            if not poss_dup:
                self.gateway.hang_up(self.name, "MsgSeqNum too low")
            return
        self._expect(number + 1)
        if kind == "app":
            self.gateway.client_message(self, number, poss_dup, body)
            return
        self._seen(number)
        if kind == "2":
            self._resend(body)
        elif kind == "0" and 0 < body <= self.asked:
            self._advance(body)

    def _expect(self, number: int) -> None:
        self.expected = self.store.next_in = number
        self.asked_resend = False

    def _logon(self, number: int, reset: bool) -> None:
        """Journaled before it is answered (callbacks.py reads the cursor, which waits for that)."""
        gateway = self.gateway
        if reset:
            self._wiped()
        elif number < self.expected:
            gateway.hang_up(self.name, "MsgSeqNum too low")
            return
        in_order = reset or number == self.expected
        seen = number if in_order else self.expected - 1
        self.logging_on = True
        connection = self.connection
        gateway.submit(
            c.SessionLogon(ts_ns=gateway.now_ns(), session=self.name, reset=reset, msg_seq=seen),
            lambda: self._logon_durable(connection, number, reset, in_order),
        )

    def _logon_durable(self, connection: Channel | None, number: int, reset: bool, in_order: bool) -> None:
        if connection is not self.connection:
            return  # gone meanwhile
        gateway = self.gateway
        self.epoch = gateway.state.session(self.name).reset_epoch
        self.logging_on, self.logged_on = False, True
        self.asked_resend = False
        self.asked = 0
        self.asked_ns = -ASK_AGAIN_NS
        if in_order:
            self._expect(number + 1)
        self._put("A", reset)
        if not in_order:
            self._ask_resend()
        gateway.later(0, self.turn)

    def _ask_resend(self) -> None:
        if not self.asked_resend:
            self.asked_resend = True
            self._put("2", self.expected)

    def _seen(self, number: int) -> None:
        gateway = self.gateway
        gateway.submit(c.SeqSeen(ts_ns=gateway.now_ns(), session=self.name, reset_epoch=self.epoch, msg_seq=number))

    def disconnected(self) -> None:
        """The connection is gone."""
        was_on = self.logged_on or self.logging_on
        self.logged_on = self.logging_on = False
        self.connection = None
        if was_on:
            gateway = self.gateway
            gateway.submit(c.SessionLogout(ts_ns=gateway.now_ns(), session=self.name, reason="connection closed"))

    # --- out ---

    def _put(self, kind: str, body: Any, poss_resend: bool = False) -> None:
        """Into the store under the next number, then on the wire."""
        store = self.store
        number = store.next_out
        store.messages[number] = (kind, body, poss_resend)
        store.next_out += 1
        self.gateway.micro("in the FIX store, not sent")
        if self.connection is not None:
            self.connection.send((number, False, kind, body, poss_resend))

    def refuse(self, message: Message) -> None:
        """An answer that is not journaled."""
        self._put("app", message)

    def _resend(self, first: int) -> None:
        if self.connection is not None:
            resend(self.connection, self.store.messages, first, self.store.next_out)

    # --- delivery ---

    def _wiped(self) -> None:
        self.store.wipe()
        self.expected = 1
        self.resend_upto = max(self.resend_upto, self.done)
        self.done = (self.delivered, END)
        self.in_store.clear()

    def turn(self) -> None:
        """Hand over every report that is durable and not handed over yet."""
        gateway = self.gateway
        while self.logged_on:
            seq, index = self.done
            if index == END:
                seq += 1
            if seq > gateway.visible_seq:
                break
            record = gateway.log[seq - 1]
            for at, event in enumerate(record.events):
                if isinstance(event, e.Reported) and self.concerns(event) and (seq, at) > self.done:
                    self._report(event.message, (seq, at))
            self.done = (seq, END)
        self._ask()

    def concerns(self, event: e.Reported) -> bool:
        """Is it for this session?"""
        if not self.copies:
            return event.session == self.name
        return isinstance(event.message, Report) and not event.message.status_reply

    def _report(self, message: Message, position: Position) -> None:
        key = key_of(message)
        if self.in_store[key] > 0:
            self.in_store[key] -= 1
        else:
            self.gateway.left(position[0], "report")
            again = position <= self.resend_upto
            self.gateway.sim.counts["reports redelivered" if again else "reports delivered"] += 1
            self._put("app", message, again)
        self.report_seq = position[0]
        self.done = position

    def _ask(self) -> None:
        """A TestRequest when something is not confirmed and the last one was long enough ago."""
        if not self.logged_on or self.report_seq <= self.delivered:
            return
        gateway = self.gateway
        unanswered = self.asked > self.delivered and self.asked >= self.report_seq
        wait_ns = self.asked_ns + (ASK_AGAIN_NS if unanswered else ASK_NS) - gateway.sim.now
        if wait_ns > 0:
            return
        self.asked = self.done[0]
        self.asked_ns = gateway.sim.now
        self._put("1", self.asked)

    def tick(self) -> None:
        """Once in a while."""
        if self.logged_on and self.gateway.visible_seq > self.done[0]:
            self.turn()
        self._ask()

    def _advance(self, seq: int) -> None:
        if seq > self.delivered:
            gateway = self.gateway
            self.delivered = seq
            gateway.submit(c.Delivered(ts_ns=gateway.now_ns(), session=self.name, seq=seq))
