"""READ FIRST: the engine. receive -> decide -> buffer -> evolve -> commit -> effects.

One writer at a time owns the state, but no fixed thread does: whoever submits a command and finds the engine free leads.
The leader takes what the inbox holds (a group of at most GROUP), decides each command on the state as the one before left
it, appends the record to the journal's buffer and evolves at once. Then one commit makes the whole group durable, and only
after it the effects happen: senders see the records (`records`), venue hosts get their requests. A follower leaves its
command in the inbox and goes back to its socket. Who waits to read the state comes next, before the leader's next group;
whoever was kept from leading by that can go: the reader leads in its place when it has read.

    submit ---> inbox ---> [decide, append, evolve] x group ---> commit ---> records() for senders
                                                                        \\--> on_durable(record): venue links, edge

Failures. decide raising is a bug of ours that hits one command: nothing has changed, the client is answered, operations
are alerted. evolve raising, or a failed write or sync, means that memory or disk can no longer be trusted: on_fatal, and
the process ends; nothing leaves after that.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .core import commands as c
from .core import events as e
from .core.codec import Record, decode_record, encode_command, encode_record
from .core.decide import Refusal, decide, partition_of
from .core.draft import Draft
from .core.errors import JournalFull, Overloaded
from .core.evolve import evolve
from .core.reasons import Reason
from .core.reconcile import request_reconciliation
from .core.reports import BusinessReject
from .core.state import State
from .fix.port import RecordCursor, SessionCursor
from .journal.base import JournalStore
from .journal.errors import JournalBusy, RecordTooBig

log = logging.getLogger(__name__)

GROUP = 256
# after so many groups a borrowed thread hands the lead to the engine's own
MAX_LEAD = 16
RING = 8192
BATCH = 512
# words of a venue after whose loss the whole picture is asked for. Not the picture itself and not the answers to queries,
# which follow from it: that would go round for ever (a query is asked again by its timer)
_ASKED_AGAIN = (
    c.ChildAck, c.ChildReject, c.ChildAmbiguous, c.ChildTrade, c.ChildDone, c.ChildCancelReject, c.VenueLink,
)  # fmt: skip
# of each session's messages that are passed over so many are logged, then one in so many
PASSED_OVER_LOGGED = (10, 1000)


class _Ticket:
    """Somebody waits for the outcome of a command."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.record: Record | None = None
        self.error: Exception | None = None


class Engine:
    """Owns the state. Thread-safe: submit, call, records, session_cursor, reading()."""

    def __init__(
        self,
        journal: JournalStore,
        state: State,
        *,
        on_fatal: Callable[[str], None],
        is_full: Callable[[], bool] | None = None,
        clock: Callable[[], int] = time.time_ns,
        inbox_max: int = 20_000,
        inbox_reserved: int = 5_000,
    ) -> None:
        self.journal = journal
        self.state = state
        self.on_durable: list[Callable[[Record], None]] = []
        self._on_fatal = on_fatal
        self._is_full = is_full if is_full is not None else lambda: journal.full
        self._clock = clock
        self._last_ns = 0
        self._inbox_max = inbox_max
        self._new_orders_max = inbox_max - inbox_reserved
        self._leader = 0
        self._inbox: deque[tuple[c.Command, _Ticket | None]] = deque()
        self._lock = threading.Lock()
        # one entry for each thread that waits in reading()
        self._readers: deque[None] = deque()
        # client messages whose number was used before, by session
        self.passed_over: Counter[str] = Counter()
        self._news = threading.Condition(threading.Lock())
        self._ring: deque[Record] = deque(maxlen=RING)
        self._visible_seq = state.seq
        self._dead = False
        self._handoff = threading.Event()
        self._stopping = False
        self._own = threading.Thread(target=self._run_own, name="engine", daemon=True)
        self._own.start()

    # --- for callers on any thread ---

    def now_ns(self) -> int:
        """The gateway's clock: integer ns since the epoch, never going back within a run."""
        self._last_ns = max(self._last_ns, self._clock())
        return self._last_ns

    def submit(self, command: c.Command) -> None:
        """Take a command in. Raises Overloaded or JournalFull for new orders and replaces only."""
        if isinstance(command, c.NewOrder | c.ReplaceOrder):
            if self._is_full():
                raise JournalFull("the journal has no room for new orders")
            if len(self._inbox) >= self._new_orders_max:
                raise Overloaded(f"{len(self._inbox)} commands wait, the limit for new orders is {self._new_orders_max}")
        elif len(self._inbox) >= self._inbox_max and self._leader != threading.get_ident():
            # never refused, and never without bound: whoever brings it waits for a group to be done
            with self.reading():
                pass
        self._inbox.append((command, None))
        self._pump()

    def call(self, command: c.Command, timeout_s: float = 10.0) -> Record | None:
        """Submit and wait until it is durable; its record, or None when it meant nothing. Raises Refusal, TimeoutError."""
        if self._dead:
            raise RuntimeError("the engine has stopped")
        ticket = _Ticket()
        self._inbox.append((command, ticket))
        self._pump()
        if not ticket.done.wait(timeout_s):
            raise TimeoutError(f"{type(command).__name__} was not decided within {timeout_s} s")
        if ticket.error is not None:
            raise ticket.error
        return ticket.record

    @property
    def durable_seq(self) -> int:
        """The last record whose effects may be seen."""
        return self._visible_seq

    @property
    def waiting(self) -> int:
        """Commands in the inbox."""
        return len(self._inbox)

    def session_cursor(self, session: str) -> SessionCursor:
        """Where the session stands, with everything in it that this thread has submitted."""
        with self.reading() as state:
            # another thread may have led while ours left its commands in the inbox: they come first
            for _ in range(len(self._inbox) // GROUP + 1):
                if self._inbox and not self._dead:
                    self._lead_as_me()
            found = state.sessions.get(session)
            if found is None:
                return SessionCursor()
            return SessionCursor(
                reset_epoch=found.reset_epoch,
                last_in_seq=found.last_in_seq,
                delivered_seq=found.delivered_seq,
                enabled=found.enabled,
            )

    @contextmanager
    def reading(self) -> Iterator[State]:
        """The state, held still. Keep it short: orders wait. What is read may not be durable yet: see `call` for that."""
        self._readers.append(None)
        try:
            with self._lock:
                self._readers.pop()
                try:
                    yield self.state
                finally:
                    # readers that come one after the other must not keep orders waiting
                    if self._readers and self._inbox and not self._dead:
                        self._lead_as_me()
        finally:
            self._pump()

    def records(self, after_seq: int, timeout_s: float, cursor: RecordCursor | None = None) -> list[Record]:
        """Durable records after `after_seq`, at most BATCH; waits up to `timeout_s` for the first (then: empty). Who reads on
        and on brings a `cursor` of his own, or each batch of old records is searched for anew."""
        with self._news:
            if self._visible_seq <= after_seq:
                self._news.wait_for(lambda: self._visible_seq > after_seq or self._dead, timeout_s)
            if self._visible_seq <= after_seq or self._dead:
                return []
            ring = self._ring
            if ring and ring[0].seq <= after_seq + 1:
                start = after_seq + 1 - ring[0].seq
                return [ring[i] for i in range(start, min(start + BATCH, len(ring)))]
            upto = self._visible_seq
        return self._old_records(after_seq, upto, cursor if cursor is not None else RecordCursor())

    def _old_records(self, after_seq: int, upto: int, cursor: RecordCursor) -> list[Record]:
        rows = cursor.take(after_seq) or iter(self.journal.read(after_seq + 1))
        found: list[Record] = []
        for _seq, payload in rows:
            record = decode_record(payload)
            if record.seq > upto:
                return found
            found.append(record)
            if len(found) >= BATCH:
                cursor.keep(record.seq, rows)
                return found
        return found

    def stop(self) -> None:
        """No more leading by the engine's own thread; what is in the inbox is decided first."""
        self._pump()
        self._stopping = True
        self._handoff.set()
        self._own.join(timeout=5)
        self._pump()

    # --- leading ---

    def _pump(self) -> None:
        """Lead while there is something to do and nobody else leads."""
        groups = 0
        while self._inbox and not self._dead:
            if self._readers or not self._lock.acquire(blocking=False):
                return  # whoever leads, or reads, looks at the inbox again after letting go
            try:
                self._lead_as_me()
            finally:
                self._lock.release()
            groups += 1
            if groups >= MAX_LEAD and threading.current_thread() is not self._own and not self._stopping:
                self._handoff.set()
                return

    def _run_own(self) -> None:
        while not self._stopping:
            self._handoff.wait()
            self._handoff.clear()
            self._pump()

    def _lead_as_me(self) -> None:
        """One group, led by this thread, which holds the lock."""
        self._leader = threading.get_ident()
        try:
            self._lead()
        finally:
            self._leader = 0

    def _lead(self) -> None:
        """One group: decide, append, evolve each; commit; effects."""
        done: list[tuple[Record | None, _Ticket | None]] = []
        try:
            while self._inbox and len(done) < GROUP:
                command, ticket = self._inbox.popleft()
                done.append((None, ticket))
                done[-1] = (self._step(command, ticket), ticket)
            records = [record for record, _ in done if record is not None]
            if records:
                self.journal.commit()
        except Exception as error:
            self._fail(error, [ticket for _, ticket in done])
            return
        with self._news:
            self._ring.extend(records)
            if records:
                self._visible_seq = records[-1].seq
            self._news.notify_all()
        for record in records:
            for listener in self.on_durable:
                try:
                    listener(record)
                except Exception:
                    # one effect failed: the others must happen, and what was not sent is asked about after its time-out
                    log.exception("an effect of record %d failed", record.seq)
        for made, ticket in done:
            if ticket is not None:
                ticket.record = made
                ticket.done.set()

    def _step(self, command: c.Command, ticket: _Ticket | None) -> Record | None:
        """Decide and evolve one command; None when nothing came of it."""
        state = self.state
        try:
            events = decide(state, command)
            record, payload = self._record(command, events)
        except Refusal as refusal:
            if ticket is not None:
                ticket.error = refusal
            return None
        except Exception as bug:
            log.exception("decide failed on %s", type(command).__name__)
            events = self._after_bug(command, bug)
            if ticket is not None:
                ticket.error = RuntimeError(f"internal error: {type(bug).__name__}: {bug}")
            record, payload = self._record(_stand_in(command), events)
        if not events:
            if isinstance(command, c.ClientCommand) and not isinstance(command, c.SeqSeen):
                self._note_passed_over(command)
            return None
        try:
            self._append(record.seq, payload)
        except RecordTooBig as error:
            log.critical("%s: %s", type(command).__name__, error)
            events = self._after_bug(command, error)
            if ticket is not None:
                ticket.error = RuntimeError(f"internal error: {error}")
            record, payload = self._record(_dropped(command), events)
            self._append(record.seq, payload)
        for event in events:
            evolve(state, event)
        state.seq = record.seq
        return record

    def _append(self, seq: int, payload: bytes) -> None:
        """Into the journal's buffer; a full one is committed first."""
        try:
            self.journal.append(seq, payload)
        except JournalBusy:
            self.journal.commit()
            self.journal.append(seq, payload)

    def _note_passed_over(self, command: c.ClientCommand) -> None:
        """Its number was used before. Right for a message that came twice (its reports were sent); but if the numbers of
        QuickFIX and the journal ever differed, orders would vanish here."""
        session = self.state.sessions.get(command.session)
        if session is None:
            return
        self.passed_over[command.session] += 1
        count, (first, every) = self.passed_over[command.session], PASSED_OVER_LOGGED
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

    def _record(self, command: c.Command, events: list[e.AnyEvent]) -> tuple[Record, bytes]:
        """The next record and its bytes. Raises for what cannot be journaled (an integer beyond 64 bits, a text that is no
        Unicode), before anything has changed."""
        record = Record(
            seq=self.state.seq + 1,
            ts_ns=command.ts_ns,
            part=partition_of(command),
            command=command,  # type: ignore[arg-type]
            events=tuple(events),
        )
        return record, encode_record(record) if events else b""

    def _after_bug(self, command: c.Command, bug: Exception) -> list[e.AnyEvent]:
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
            draft = Draft(self.state, command.ts_ns)
            if command.venue in self.state.settings.venues and command.venue in self.state.venues:
                request_reconciliation(draft, command.venue)
            events += draft.events
        return events

    def _fail(self, error: Exception, waiting: list[_Ticket | None]) -> None:
        """Nothing leaves any more; whoever waits is told."""
        self._dead = True
        for ticket in [*waiting, *(ticket for _, ticket in list(self._inbox))]:
            if ticket is not None:
                ticket.error = RuntimeError(f"the engine has stopped: {type(error).__name__}: {error}")
                ticket.done.set()
        with self._news:
            self._news.notify_all()
        log.critical("fatal: %s: %s", type(error).__name__, error)
        self._on_fatal(f"{type(error).__name__}: {error}")


def _stand_in(command: c.Command) -> c.Command:
    """What is journaled as the command when a bug of ours hit it: itself, unless just that cannot be journaled."""
    try:
        encode_command(command)
    except Exception:
        return _dropped(command)
    return command


def _dropped(command: c.Command) -> c.Command:
    """In place of a command that cannot be journaled."""
    if isinstance(command, c.ClientCommand):
        return c.SeqSeen(
            ts_ns=command.ts_ns, session=command.session, reset_epoch=command.reset_epoch, msg_seq=command.msg_seq
        )
    return c.AdminNote(
        ts_ns=command.ts_ns, action="dropped", target=type(command).__name__, user="gateway", reason="cannot be journaled"
    )
