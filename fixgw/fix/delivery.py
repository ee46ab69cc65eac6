"""Delivery: carries the reports of the journal to QuickFIX, session by session, and learns what has arrived.

Each session has a sender thread. It sleeps until the router wakes it, when a durable record holds something for the session.
The answer to what a client has just sent is handed over by the connection's own thread (`reply`): no other thread has to
wake up for it. Whoever hands over holds `_turning`.

A position is (journal sequence, index of the event in the record). The sender PULLS durable records from the engine, so
nothing is buffered here, however long a counterparty stays away; only these positions are kept:

    done        every report up to here was handed to QuickFIX under the current message numbers: QuickFIX's own store
                resends it when the counterparty finds a gap
    resend_upto a report up to here may have been sent before (before this process, or before 141=Y wiped the store), so
                it carries PossResend(97)=Y and, as always, its one ExecID
    delivered   the counterparty has it: it answered our TestRequest "fixgw-<journal sequence>" with a Heartbeat, which
                stands behind the report in the one ordered stream (or its Logon says so by NextExpectedMsgSeqNum(789))

    logon                   go on at done
    logon with 141=Y        the store is empty: done = delivered; likewise when operations reset or set the numbers out
    start of the process    done = delivered, but what the FileStore holds is not handed over again

Locks: `_lock` guards the positions and is never held while QuickFIX or the engine is called; `_turning` is, and is never
waited for by a thread of QuickFIX.
"""

from __future__ import annotations

import collections
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import quickfix as fix

from fixgw.core.codec import Record
from fixgw.core.commands import Delivered
from fixgw.core.events import Reported
from fixgw.core.reports import Message, Notice
from fixgw.fix.acceptor_settings import AcceptorSession
from fixgw.fix.outbound import encode
from fixgw.fix.owed import concerns
from fixgw.fix.port import EnginePort, RecordCursor, note
from fixgw.fix.session_store import TEST_REQUEST_PREFIX, Key, confirming, key_of
from fixgw.journal.errors import JournalGap

log = logging.getLogger("fixgw.fix.delivery")

END: Final = 1 << 62  # index behind all events of a record
ASK_INTERVAL_S: Final = 1.0
ASK_AGAIN_S: Final = 5.0
WAIT_S: Final = 0.5
RETRY_S: Final = (0.05, 1.0)
# records without a report of this session after which the cursor is moved all the same, to keep the next start short
QUIET_RECORDS: Final = 50_000
# farther behind than this the sender rests between batches, for a part of the time that the batch took
BEHIND_RECORDS: Final = 1_000
REST_PART: Final = 0.5
# the connection's thread answers itself when it is not farther behind than this
REPLY_RECORDS: Final = 64
REST_S: Final = (0.001, 0.02)
_NAMES: Final = {"exec_id": "ExecID(17)", "order_id": "OrderID(37)", "cl_ord_id": "ClOrdID(11)", "ref_seq": "RefSeqNum(45)"}

Position = tuple[int, int]


class Delivery:
    """The sender of one session. `send` hands a message to QuickFIX: True when it is in the store under its number."""

    def __init__(
        self,
        engine: EnginePort,
        session: AcceptorSession,
        send: Callable[[fix.Message], bool],
        in_store: collections.Counter[Key],
    ) -> None:
        self.session = session
        self.sent = 0
        self.failed = 0
        self.undeliverable = 0
        self._engine = engine
        self._send = send
        self._in_store = in_store
        self._mutex = threading.Lock()
        self._lock = threading.Condition(self._mutex)
        self._logged_on = False
        self._stopping = False
        self._delivered = engine.session_cursor(session.name).delivered_seq
        self._done: Position = (self._delivered, END)
        self._resend_upto: Position = (engine.durable_seq, END)
        self._handing: Position = self._done
        self._wipes = 0
        self._report_seq = 0
        self._cursor = RecordCursor()
        self._asked = 0
        self._asked_at = 0.0
        # (MsgSeqNum, journal sequence) of our last TestRequests, for 789
        self._asked_numbers: collections.deque[tuple[int, int]] = collections.deque(maxlen=64)
        self._turning = threading.Lock()
        # there is something new to hand over; the thread that will see to it itself
        self._pending = False
        self._attending = 0
        self._asleep = False
        self._more = False
        self._thread = threading.Thread(target=self._run, name=f"fix-send-{session.name}", daemon=True)

    # --- called by QuickFIX's threads (through the acceptor) and by operations ---

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """True when the thread has ended."""
        with self._lock:
            self._stopping = True
            self._lock.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def wake(self) -> None:
        """There is something for this session. The sender sees to it, unless the calling thread attends."""
        self._pending = True
        if self._attending != threading.get_ident():
            self._rouse()

    def _rouse(self) -> None:
        with self._lock:
            if self._asleep:
                self._lock.notify_all()

    def attend(self) -> None:
        """The calling thread, the session's connection, is going to `reply`; until it calls leave()."""
        self._attending = threading.get_ident()

    def leave(self) -> None:
        """What is still to be handed over is the sender's."""
        self._attending = 0
        if self._pending:
            self._rouse()

    def reply(self) -> None:
        """Hand over in this thread what there is, if that is little; never raises."""
        if not self._turning.acquire(blocking=False):
            return
        try:
            if self._logged_on and self._engine.durable_seq - self._done[0] <= REPLY_RECORDS:
                self._pending = False
                if not self._hand_over():
                    self._pending = True
        except Exception:
            log.exception("session %s: a reply failed, the sender tries again", self.session.name)
            self._pending = True
        finally:
            self._turning.release()

    def logged_on(self) -> None:
        with self._lock:
            self._logged_on = True
            self._asked = 0
            self._asked_at = 0.0
            self._lock.notify_all()

    def logged_out(self) -> None:
        with self._lock:
            self._logged_on = False
            self._lock.notify_all()

    def wiped(self, in_store: collections.Counter[Key] | None = None) -> None:
        """QuickFIX's store is empty, or has not what the counterparty will ask for: other numbers go out from here on. With
        `in_store` it was opened anew and holds that."""
        with self._lock:
            self._wipes += 1
            self._resend_upto = max(self._resend_upto, self._done, self._handing)
            self._done = self._handing = (self._delivered, END)
            self._in_store = collections.Counter() if in_store is None else in_store
            self._asked = 0
            self._asked_numbers.clear()

    def test_request_sent(self, number: int, test_req_id: str) -> None:
        """One of our TestRequests left as message `number`."""
        seq = confirming(test_req_id)
        if seq:
            with self._lock:
                self._asked_numbers.append((number, seq))

    def heartbeat(self, test_req_id: str) -> None:
        """A Heartbeat with this TestReqID came in."""
        seq = confirming(test_req_id)
        # it must be one of ours under these numbers: a counterparty cannot confirm what it was not sent
        with self._lock:
            valid = 0 < seq <= self._asked
        if valid:
            self._advance(seq)

    def next_expected(self, number: int) -> None:
        """The Logon says that everything before message `number` has arrived (789)."""
        with self._lock:
            seq = max((seq for sent_as, seq in self._asked_numbers if sent_as < number), default=0)
        self._advance(seq)

    @property
    def delivered_seq(self) -> int:
        return self._delivered

    def _advance(self, seq: int) -> None:
        if seq <= self._delivered:
            return
        self._engine.submit(Delivered(ts_ns=self._engine.now_ns(), session=self.session.name, seq=seq))
        with self._lock:
            self._delivered = max(self._delivered, seq)

    # --- the sender thread ---

    def _run(self) -> None:
        pause = RETRY_S[0]
        while True:
            with self._lock:
                while not (self._logged_on or self._stopping):
                    self._cursor.close()
                    self._lock.wait()
                if self._stopping:
                    return
            try:
                fine = self._turn()
            except Exception:
                # the outer loop of this thread: whatever it was, the position has not moved, so nothing is lost
                log.exception("session %s: delivery failed, trying again", self.session.name)
                fine = False
            if fine:
                pause = RETRY_S[0]
                continue
            with self._lock:
                if self._logged_on and not self._stopping:
                    self.failed += 1
                    self._lock.wait(pause)
            pause = min(pause * 2, RETRY_S[1])

    def _turn(self) -> bool:
        """Hands over what there is, asks for a confirmation when one is due, sleeps; False: a message could not be handed."""
        started = time.monotonic()
        with self._turning:
            self._pending = False
            if not self._hand_over():
                return False
        self._ask()
        if self._engine.durable_seq - self._done[0] > BEHIND_RECORDS:
            self._rest(time.monotonic() - started)
        elif not self._more:
            self._sleep()
        return True

    def _hand_over(self) -> bool:
        """One batch; False: a message could not be handed. `_turning` is held."""
        with self._mutex:
            wipes, (seq, index) = self._wipes, self._done
        try:
            records = self._engine.records(seq if index == END else seq - 1, 0.0, self._cursor)
        except JournalGap as gap:
            self._pass_over(gap, (seq, index), wipes)
            return True
        self._more = bool(records)
        return all(self._record(record, wipes) for record in records)

    def _pass_over(self, gap: JournalGap, position: Position, wipes: int) -> None:
        """Records were taken out of the journal's folder: what comes after them must arrive all the same."""
        text = f"{gap}: the reports in between are not delivered"
        log.critical("session %s: %s", self.session.name, text)
        note(self._engine, "session reports lost", self.session.name, text)
        with self._mutex:
            if wipes == self._wipes and position == self._done:
                self._done = (gap.kept_from - 1, END)

    def _sleep(self) -> None:
        """Until there is something to hand over or to ask; now and then also for records without a report of ours, which
        move the position."""
        wait_s = self._wait_s()
        with self._lock:
            if not self._pending and self._logged_on and not self._stopping:
                self._asleep = True
                self._lock.wait(wait_s)
                self._asleep = False

    def _rest(self, busy_s: float) -> None:
        """Catching up, however long it takes, must leave the processor to the orders of others."""
        with self._lock:
            if self._logged_on and not self._stopping:
                self._lock.wait(min(max(busy_s * REST_PART, REST_S[0]), REST_S[1]))

    def _record(self, record: Record, wipes: int) -> bool:
        for index, event in enumerate(record.events):
            if type(event) is Reported:
                copy_of = concerns(self.session, event)
                if copy_of is not None and not self._report(event, copy_of, (record.seq, index), wipes):
                    return False
        return self._settle((record.seq, END), wipes)

    def _report(self, event: Reported, copy_of: str, position: Position, wipes: int) -> bool:
        with self._mutex:
            if position <= self._done:
                return True
            if wipes != self._wipes or not self._logged_on:
                return False
            held = bool(self._in_store) and self._take_held(event.message)
            self._handing = position
            again = position <= self._resend_upto
        if not held:
            try:
                message = encode(event.message, self.session.version, copy_of=copy_of, poss_resend=again)
            except Exception:
                # our own bug; retrying cannot help and would hold back everything behind it
                self.undeliverable += 1
                log.critical("session %s: cannot encode %r", self.session.name, event.message, exc_info=True)
                if not self._confess(event.message, again):
                    return False
            else:
                if not self._send(message):
                    return False
                self.sent += 1
        return self._settle(position, wipes, position[0])

    def _take_held(self, message: Message) -> bool:
        """QuickFIX's store has it already, from before this process. The lock is held."""
        key = key_of(message)
        held = self._in_store[key]
        if held > 1:
            self._in_store[key] = held - 1
        elif held:
            del self._in_store[key]
        return held > 0

    def _confess(self, message: Message, again: bool) -> bool:
        """In place of a report that cannot be encoded: the client hears which one is missing, operations as well. False: not
        taken by QuickFIX."""
        named = ", ".join(f"{tag} {getattr(message, name)}" for name, tag in _NAMES.items() if getattr(message, name, ""))
        text = f"a {type(message).__name__} could not be sent: {named or 'without ids'}"
        try:
            notice = Notice(
                headline="a report could not be sent",
                text=f"{text}; ask for the order status, operations have been told",
                transact_ns=self._engine.now_ns(),
            )
            encoded = encode(notice, self.session.version, poss_resend=again)
        except Exception:
            log.critical("session %s: cannot tell that %s", self.session.name, text, exc_info=True)
            return True
        if not self._send(encoded):
            return False
        note(self._engine, "undeliverable report", self.session.name, text)
        return True

    def _settle(self, position: Position, wipes: int, report_seq: int = 0) -> bool:
        """False when the numbers were reset meanwhile: what was handed over may be gone with the store."""
        with self._mutex:
            if report_seq > self._report_seq:
                self._report_seq = report_seq
            if wipes != self._wipes:
                return False
            if position > self._done:
                self._done = position
            return True

    def _due(self) -> float | None:
        """Seconds until a TestRequest is due; None: nothing to confirm. The lock is held."""
        seq = self._done[0]
        if seq <= self._delivered:
            return None  # what was handed over since went with a store that was wiped, and goes out again first
        if self._report_seq <= self._delivered and seq - self._delivered < QUIET_RECORDS:
            return None
        unanswered = self._asked > self._delivered and self._asked >= self._report_seq
        interval = ASK_AGAIN_S if unanswered else ASK_INTERVAL_S
        return max(0.0, self._asked_at + interval - time.monotonic())

    def _wait_s(self) -> float:
        with self._lock:
            due = self._due()
        return WAIT_S if due is None else min(WAIT_S, due)

    def _ask(self) -> None:
        with self._lock:
            seq = self._done[0]
            if not self._logged_on or self._done[1] != END or self._due() != 0.0:
                return
            # before the sending: the answer may be here before send() returns
            self._asked = seq
            self._asked_at = time.monotonic()
        text = f"8={self.session.begin_string}\x019=0\x0135=1\x01112={TEST_REQUEST_PREFIX}{seq}\x0110=000\x01"
        self._send(fix.Message(text, False))


class Router:
    """Wakes the deliveries that durable records concern."""

    def __init__(self, deliveries: Iterable[Delivery]) -> None:
        self._own = {delivery.session.name: delivery for delivery in deliveries}
        self._copies = [delivery for delivery in self._own.values() if delivery.session.role == "drop_copy"]

    def __call__(self, records: Sequence[Record]) -> None:
        """An engine's on_visible listener."""
        found: set[Delivery] = set()
        for record in records:
            for event in record.events:
                if type(event) is Reported:
                    own = self._own.get(event.session)
                    if own is not None:
                        found.add(own)
                    for copy in self._copies:
                        if copy not in found and concerns(copy.session, event) is not None:
                            found.add(copy)
        for delivery in found:
            delivery.wake()
