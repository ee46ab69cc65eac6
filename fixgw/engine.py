"""READ FIRST: the engine. receive -> decide -> evolve -> buffer -> commit -> effects.

No fixed thread owns a stage: whoever has something for it and finds it free leads, whoever finds it taken leaves its part
behind and goes, and the leader looks again after letting go. Three stages, each with one leader at a time:

    decide   what the inbox holds, a group of at most GROUP at a time: each command is decided on the state as the one
             before left it, its record goes into the journal's buffer and is evolved at once
    settle   one commit makes everything durable that was decided so far; then, in order, records() shows it and
             on_visible hears of it. Meanwhile the next ones are decided
    effects  on_durable(record), in order: venue links, edge

    submit ---> inbox ---> [decide, evolve, append] ---> commit ---> visible ---> reply ---> on_durable(record)
    submit_words -> words --^

`reply` is how a FIX connection answers in its own thread what it has just brought, before anything else is done.

Words of venues have a queue of their own, behind the commands. Who brings them asks `busy` first: while clients send, words
are brought together after a moment, so that neither their decisions nor their syncs come between an order and its answer.

Who waits to read the state comes next, before the decider's next group; whoever was kept from deciding by that can go: the
reader decides in its place when it has read.

Failures. decide raising is a bug of ours that hits one command: nothing has changed, the client is answered, operations
are alerted. evolve raising, or a failed write or sync, means that memory or disk can no longer be trusted: on_fatal, and
the process ends; nothing leaves after that.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from .core import commands as c
from .core import events as e
from .core.codec import Record, decode_record, encode_record
from .core.decide import Refusal, decide, partition_of
from .core.errors import JournalFull, Overloaded
from .core.evolve import evolve
from .core.state import State
from .engine_bugs import PassedOver, after_bug, dropped, stand_in
from .fix.port import RecordCursor, SessionCursor
from .journal.base import JournalStore
from .journal.errors import JournalBusy, RecordTooBig

log = logging.getLogger(__name__)

GROUP = 256
# after so many groups a borrowed thread hands a stage to the engine's own, which itself goes on to the next stage
MAX_LEAD = 16
RING = 8192
BATCH = 512
# a commit of more is worth another thread's waking up
SLOW_COMMIT_NS = 60_000
# clients are sending: an order came within this time
BUSY_NS = 2_000_000
# the engine's thread looks by itself for what a leader that is held up (by a client that does not read) left behind
LOOK_S = 0.05


class _Ticket:
    """Somebody waits for the outcome of a command."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.record: Record | None = None
        self.error: Exception | None = None


# decided: the journal's sequence after it, its record (None: nothing came of it), who waits
_Decided = tuple[int, Record | None, _Ticket | None]


class Engine:
    """Owns the state. Thread-safe: submit, submit_words, call, records, session_cursor, reading()."""

    def __init__(
        self,
        journal: JournalStore,
        state: State,
        *,
        on_fatal: Callable[[str], None],
        is_full: Callable[[], bool] | None = None,
        clock: Callable[[], int] = time.time_ns,
        put_right: Callable[[c.Command], c.Command] = lambda command: command,
        inbox_max: int = 20_000,
        inbox_reserved: int = 5_000,
    ) -> None:
        self.journal = journal
        self.state = state
        self.on_durable: list[Callable[[Record], None]] = []  # called with each durable record, in order
        # called with what has become durable, before any reply; must be quick and not block
        self.on_visible: list[Callable[[Sequence[Record]], None]] = []
        self._on_fatal = on_fatal
        self._is_full = is_full if is_full is not None else lambda: journal.full
        self._clock = clock
        self._put_right = put_right
        self._inbox_max = inbox_max
        self._new_orders_max = inbox_max - inbox_reserved
        self._inbox: deque[tuple[c.Command, _Ticket | None]] = deque()
        self._words: deque[c.Command] = deque()
        self._client_ns = 0
        self._commit_ns = 0.0  # how long one takes, smoothed
        # the three stages' locks, and what waits for the second and the third
        self._lock = threading.Lock()
        self._settling = threading.Lock()
        self._effecting = threading.Lock()
        self._decided: deque[_Decided] = deque()
        self._effects: deque[_Decided] = deque()
        self._readers: deque[None] = deque()  # one entry for each thread that waits in reading()
        self.passed_over = PassedOver()  # client messages whose number was used before, by session
        self._show = threading.Lock()
        self._news = threading.Condition(self._show)
        self._waiting = 0
        self._ring: deque[Record] = deque(maxlen=RING)
        self._visible_seq = state.seq
        self._dead = False
        self._handoff = threading.Event()
        self._stopping = False
        self._own = threading.Thread(target=self._run_own, name="engine", daemon=True)
        self._own.start()

    # --- for callers on any thread ---

    def now_ns(self) -> int:
        """The gateway's time (clock.py): integer ns since the epoch; goes on steadily, and steps by a ClockSet only."""
        return self._clock()

    def submit_first(self, command: c.Command) -> None:
        """Before all that waits. For who holds the state still; decided when he lets go."""
        self._inbox.appendleft((command, None))

    def submit(self, command: c.Command, reply: Callable[[], object] | None = None, more: bool = False) -> None:
        """Take a command in. `reply` is called in this thread once what it led is durable, before other effects; not when
        another thread leads. `more`: the caller has the next one at hand; where syncs are slow the engine's thread then
        settles, so that a whole group shares one. Raises Overloaded or JournalFull for new orders and replaces only, of which
        those that cannot be used take as much room in the journal."""
        asked = command.request if isinstance(command, c.Unsupported) else command
        if isinstance(asked, c.NewOrder | c.ReplaceOrder):
            if self._is_full():
                raise JournalFull("the journal has no room for new orders")
            if self.waiting >= self._new_orders_max:
                raise Overloaded(f"{self.waiting} commands wait, the limit for new orders is {self._new_orders_max}")
            self._client_ns = command.ts_ns
        elif self.waiting >= self._inbox_max:
            self._catch_up()
        self._inbox.append((command, None))
        self._decide()
        if more and self._commit_ns > SLOW_COMMIT_NS:
            self._handoff.set()
        else:
            self._settle(reply)

    def submit_words(self, words: Sequence[c.Command]) -> None:
        """Take in what a venue host says; never refused. Returns when it was decided. While clients send it becomes durable
        with their next order; whoever brings the words calls `settle` a moment later, in case there is none."""
        self._words.extend(words)
        self._take_words(settle=not self.busy)

    def settle(self) -> None:
        """Make durable what was decided, if nobody else is at it."""
        self._pump()

    @property
    def busy(self) -> bool:
        """Clients are sending orders right now."""
        return 0 <= self._clock() - self._client_ns < BUSY_NS

    def call(self, command: c.Command, timeout_s: float = 10.0) -> Record | None:
        """Submit, wait until durable; the record, None when it meant nothing. Raises Refusal, TimeoutError (it may be yet)."""
        if self._dead:
            raise RuntimeError("the engine has stopped")
        ticket = _Ticket()
        self._inbox.append((command, ticket))
        self._pump()
        deadline = time.monotonic() + timeout_s
        while not ticket.done.wait(max(min(deadline - time.monotonic(), 0.5), 0.0)):
            if self._dead:
                raise RuntimeError("the engine has stopped")
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{type(command).__name__} is not durable after {timeout_s} s: it may be yet")
        if ticket.error is not None:
            raise ticket.error
        return ticket.record

    @property
    def durable_seq(self) -> int:
        """The last record whose effects may be seen."""
        return self._visible_seq

    @property
    def waiting(self) -> int:
        """Commands and words that wait to be decided or to be durable."""
        return len(self._inbox) + len(self._words) + len(self._decided)

    def session_cursor(self, session: str) -> SessionCursor:
        """Where the session stands, with everything in it that this thread has submitted."""
        with self.reading(submitted=True) as state:
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
    def reading(self, submitted: bool = False) -> Iterator[State]:
        """The state, held still; `submitted`: with all that was submitted before. Keep it short: orders wait. What is read
        may not be durable yet: see `call` for that."""
        self._readers.append(None)
        try:
            with self._lock:
                self._readers.pop()
                try:
                    # another thread may have led while this one left its commands in the inbox: they come first
                    for _ in range(len(self._inbox) // GROUP + 1 if submitted else 0):
                        if self._inbox and not self._dead:
                            self._decide_group()
                    yield self.state
                finally:
                    # readers that come one after the other must not keep orders waiting
                    if self._readers and self._inbox and not self._dead:
                        self._decide_group()
        finally:
            self._pump()

    def records(self, after_seq: int, timeout_s: float, cursor: RecordCursor | None = None) -> list[Record]:
        """Durable records after `after_seq`, at most BATCH; waits up to `timeout_s` for the first (then: empty). Who reads on
        and on brings a `cursor` of his own, or each batch of old records is searched for anew."""
        if timeout_s > 0 and self._visible_seq <= after_seq:
            with self._news:
                self._waiting += 1
                try:
                    self._news.wait_for(lambda: self._visible_seq > after_seq or self._dead, timeout_s)
                finally:
                    self._waiting -= 1
        with self._show:
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
        self._take_words()
        self._stopping = True
        self._handoff.set()
        self._own.join(timeout=5)
        self._take_words()
        self._pump()
        with self._lock, self._settling:
            self._dead = True  # who comes later finds the journal closed

    def _catch_up(self) -> None:
        """What is never refused must not pile up without bound: whoever brings it waits for a group to be done."""
        with self.reading():
            pass
        self._settle(None, wait=True)

    @property
    def _alive(self) -> bool:
        return not self._dead

    # --- the stages ---

    def _pump(self) -> None:
        """All stages, as far as they are free."""
        self._decide()
        self._settle(None)

    def _run_own(self) -> None:
        while not self._stopping:
            self._handoff.wait(LOOK_S)
            self._handoff.clear()
            if self._words:
                self._take_words()
            self._pump()

    def _take_words(self, settle: bool = True) -> None:
        """Decide every word that waits; settle, and see to the effects. Waits for the lead, like a reader before others."""
        while self._words and not self._dead:
            self._readers.append(None)
            with self._lock:
                self._readers.pop()
                self._decide_group(words=True)
            if settle:
                self._settle(None)
        if settle or self._inbox:
            self._pump()
        if self.waiting >= self._inbox_max:
            self._catch_up()

    def _decide(self) -> None:
        """Lead the first stage while there is something to do and nobody else leads."""
        groups = 0
        while self._inbox and not self._dead:
            if self._readers or not self._lock.acquire(blocking=False):
                return  # whoever leads, or reads, looks at the inbox again after letting go
            try:
                self._decide_group()
            finally:
                self._lock.release()
            groups += 1
            if groups >= MAX_LEAD and not self._stopping:
                self._handoff.set()
                return

    def _decide_group(self, words: bool = False) -> None:
        """One group, decided by this thread, which holds the lock: commands, and after them venues' words if asked for."""
        inbox = self._inbox
        ticket: _Ticket | None = None
        try:
            for number in range(GROUP):
                if inbox and not (words and number >= GROUP // 2):
                    command, ticket = inbox.popleft()
                elif words and self._words:
                    command, ticket = self._words.popleft(), None
                else:
                    break
                record = self._step(command, ticket)
                if record is not None or ticket is not None:
                    self._decided.append((self.state.seq, record, ticket))
        except Exception as error:
            self._fail(error, [ticket])

    def _settle(self, reply: Callable[[], object] | None, wait: bool = False) -> None:
        """Lead the second stage while there is something to do and nobody else leads (`wait`: wait for it once); then the
        reply, then the third."""
        led = 0
        while self._decided and not self._dead:
            if not self._settling.acquire(blocking=wait):
                break  # whoever leads looks again after letting go
            wait = False
            try:
                self._settle_group()
            finally:
                self._settling.release()
            led += 1
            if led >= MAX_LEAD and not self._stopping:
                self._handoff.set()
                break
        if led and reply is not None:
            reply()
            if self._commit_ns > SLOW_COMMIT_NS:
                self._handoff.set()  # after a sync, waking a host takes long; this thread has the next order to read
                return
        self._see_to_effects()

    def _settle_group(self) -> None:
        """One commit, and what became durable by it is shown. The lock is held."""
        decided = self._decided
        try:
            durable_seq = self._visible_seq
            if decided and decided[-1][0] > durable_seq:
                started_ns = time.perf_counter_ns()
                durable_seq = self.journal.commit()
                self._commit_ns += (time.perf_counter_ns() - started_ns - self._commit_ns) / 16
        except Exception as error:
            self._fail(error, [])
        if self._dead:
            return
        done: list[_Decided] = []
        while decided and decided[0][0] <= durable_seq:
            done.append(decided.popleft())
        records = [record for _, record, _ in done if record is not None]
        with self._show:
            if records:
                self._ring.extend(records)
                self._visible_seq = records[-1].seq
            if self._waiting:
                self._news.notify_all()
        if records:
            for listener in self.on_visible:
                try:
                    listener(records)
                except Exception:
                    log.exception("a listener failed on records up to %d", records[-1].seq)
        self._effects.extend(done)

    def _see_to_effects(self) -> None:
        """Lead the third stage while there is something to do and nobody else leads."""
        effects, groups = self._effects, 0
        while effects and not self._dead:
            if groups >= MAX_LEAD and not self._stopping:
                self._handoff.set()
                return
            if not self._effecting.acquire(blocking=False):
                return
            groups += 1
            try:
                for _ in range(min(len(effects), GROUP)):
                    if not self._alive:
                        return
                    _, record, ticket = effects.popleft()
                    if record is not None:
                        self._effect(record)
                    if ticket is not None:
                        ticket.record = record
                        ticket.done.set()
            finally:
                self._effecting.release()

    def _effect(self, record: Record) -> None:
        for listener in self.on_durable:
            try:
                listener(record)
            except Exception:
                # one effect failed: the others must happen, and what was not sent is asked about after its time-out
                log.exception("an effect of record %d failed", record.seq)

    def _step(self, command: c.Command, ticket: _Ticket | None) -> Record | None:
        """Decide and evolve one command; None when nothing came of it."""
        state, command = self.state, self._put_right(command)
        try:
            events = decide(state, command)
            record, payload = self._record(command, events)
        except Refusal as refusal:
            if ticket is not None:
                ticket.error = refusal
            return None
        except Exception as bug:
            log.exception("decide failed on %s", type(command).__name__)
            events = after_bug(state, command, bug)
            if ticket is not None:
                ticket.error = RuntimeError(f"internal error: {type(bug).__name__}: {bug}")
            record, payload = self._record(stand_in(command), events)
        if not events:
            if isinstance(command, c.ClientCommand) and not isinstance(command, c.SeqSeen):
                self.passed_over.note(command, state.sessions.get(command.session))
            return None
        try:
            self.journal.check(record.seq, payload)
        except RecordTooBig as error:
            log.critical("%s: %s", type(command).__name__, error)
            events = after_bug(state, command, error)
            if ticket is not None:
                ticket.error = RuntimeError(f"internal error: {error}")
            record, payload = self._record(dropped(command), events)
        # before it is in the buffer, where a commit under way may find it: what no evolve can take must not become durable
        for event in events:
            evolve(state, event)
        state.seq = record.seq
        self._append(record.seq, payload)
        return record

    def _append(self, seq: int, payload: bytes) -> None:
        """Into the journal's buffer; a full one is committed first."""
        try:
            self.journal.append(seq, payload)
        except JournalBusy:
            self.journal.commit()
            self.journal.append(seq, payload)

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

    def _fail(self, error: Exception, waiting: list[_Ticket | None]) -> None:
        """Nothing leaves any more; whoever waits is told."""
        self._dead = True
        waiting += [ticket for _, _, ticket in [*self._effects, *self._decided]] + [ticket for _, ticket in list(self._inbox)]
        for ticket in waiting:
            if ticket is not None and not ticket.done.is_set():
                ticket.error = RuntimeError(f"the engine has stopped: {type(error).__name__}: {error}")
                ticket.done.set()
        with self._news:
            self._news.notify_all()
        log.critical("fatal: %s: %s", type(error).__name__, error)
        self._on_fatal(f"{type(error).__name__}: {error}")
