"""The gateway's machine and process: engine loop, effects, crashes between any two steps, recovery from the disk.

The loop is that of engine.py: a group is decided, appended and evolved command by command, written and synced as one, and
only then do its effects happen. `micro()` stands between any two steps; a lit fuse burns down there and kills the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..clock import by_ours
from ..core import commands as c
from ..core import events as e
from ..core.codec import Record, decode_record, encode_record
from ..core.decide import Refusal, decide, partition_of
from ..core.evolve import evolve
from ..core.order import IllegalTransition
from ..core.reasons import Reason
from ..core.replay import replay_record
from ..core.reports import BusinessReject
from ..core.settings import CoreSettings
from ..core.state import State, dump_state, load_state, new_state
from ..core.statehash import StateHasher, state_hash
from ..marketdata.edge import RECONCILE_NS, due_timers
from ..venues import wire
from .channel import Channel
from .checks import Checker, child_of
from .client import Request
from .clock import SimClock
from .disk import SimDisk
from .edge import SimEdge
from .scheduler import MS, SECOND, Sim, Violation
from .session import GatewaySession, SessionStore

INSTALL = "SIMUL"
GROUP = 256
HASH_EVERY = 16
TICK_NS = 250 * MS
QUIET_TICK_NS = SECOND
# steps from a start to the end of its first write: three commands, then the write
FIRST_WRITE = 4
_REQUESTS: dict[str, type[c.ClientCommand]] = {"D": c.NewOrder, "F": c.CancelOrder, "G": c.ReplaceOrder, "H": c.StatusRequest}


class Crash(Exception):
    """The process dies here. `power`: the whole machine."""

    def __init__(self, power: bool) -> None:
        super().__init__("power" if power else "crash")
        self.power = power


class Gateway:
    """One machine; a process runs on it while `alive`. `deep`: check hash and purity at every step."""

    def __init__(
        self, sim: Sim, disk: SimDisk, settings: CoreSettings, copies: dict[str, bool], deep: bool = False
    ) -> None:
        self.sim = sim
        self.disk = disk
        self.settings = settings
        self.deep = deep
        self.checker = Checker(sim, deep)
        self.copies = copies
        self.session_type: type[GatewaySession] = GatewaySession
        self.stores = {name: SessionStore() for name in copies}
        self.clock = SimClock(self)
        self.fuse = 0
        self.fuse_power = False
        self.alive = False
        self.generation = 0
        # records were lost that had left already, as sync = "os" admits after a power cut
        self.lost_records = False
        # ids of requests that were refused for want of room: that answer is not journaled, a crash may lose it
        self.refused_full: dict[str, None] = {}
        self.hang_up: Callable[[str, str], None] = lambda name, why: None
        self.on_died: Callable[[bool], None] = lambda power: None
        self.on_lost: Callable[[], None] = lambda: None
        self.on_payload: Callable[[bytes], None] = lambda payload: None
        # journal sequence -> what left because of it; and the hash that the live state had there
        self._left: dict[int, str] = {}
        self._hashes: dict[int, str] = {}
        self._decoded: list[tuple[bytes, Record]] = []
        self._reset()

    def _reset(self) -> None:
        """What a process has in memory."""
        self.state: State = new_state()
        self.hasher = StateHasher(self.state)
        self.log: list[Record] = []
        self.visible_seq = 0
        self.inbox: list[tuple[c.Command, Callable[[], None] | None]] = []
        self.leading = False
        self.link: Channel | None = None
        self.sessions: dict[str, GatewaySession] = {}
        self.edge = SimEdge(self)
        self.clock.begin()
        self._told_full = False
        self.reconcile_ns = 0

    # --- time and death ---

    def now_ns(self) -> int:
        """The gateway's clock."""
        return self.clock.of_run.now_ns()

    def micro(self, step: str) -> None:
        """Between two steps."""
        if self.fuse:
            self.fuse -= 1
            if not self.fuse:
                self._dies(step)

    def _dies(self, step: str) -> None:
        self.sim.note("gateway", f"dies ({'power cut' if self.fuse_power else 'kill -9'}): {step}")
        self.sim.counts["fault power" if self.fuse_power else "fault crash"] += 1
        self.sim.counts["died: " + step] += 1
        raise Crash(self.fuse_power)

    def later(self, delay_ns: int, action: Callable[..., None], *args: Any) -> None:
        """`action` of this very process."""
        self.sim.at(delay_ns, self._later, self.generation, action, args)

    def _later(self, generation: int, action: Callable[..., None], args: tuple[Any, ...]) -> None:
        if generation == self.generation:
            self.enter(action, *args)

    def enter(self, action: Callable[..., None], *args: Any) -> None:
        """Run something within the process; it may die of it."""
        if not self.alive:
            return
        try:
            action(*args)
        except Crash as crash:
            self.die(crash.power)

    def die(self, power: bool) -> None:
        """The process is gone; the disk keeps what this kind of death leaves."""
        self.alive = False
        self.generation += 1
        self.fuse = 0
        self.clock.end(power)
        if power:
            self.disk.power_loss()
            for store in self.stores.values():
                store.power_loss()
        self.on_died(power)
        self.sim.at(self.sim.ms(100, 2500), self.start, power)

    # --- start ---

    def start(self, rebooted: bool) -> None:
        """Recover, raise the epoch, begin."""
        before = self.state, self.hasher
        self._reset()
        self.alive = True
        self.enter(self._start, rebooted, *before)

    def _start(self, rebooted: bool, before: State, before_hash: StateHasher) -> None:
        seq = self._recover(rebooted)
        if before.seq == seq and seq and before_hash.value() != self.hasher.value():
            raise Violation("replay hash equals live hash", f"at the last record {seq}")
        self._check_history(seq, rebooted)
        for late in [late for late in self._hashes if late > seq]:
            del self._hashes[late]
        self.micro("recovered")
        epoch = self.disk.raise_epoch()
        self.micro("epoch raised")
        self._second_misfortune()
        self.reconcile_ns = self.now_ns() + RECONCILE_NS
        now_ns, mode = self.now_ns(), self.disk.mode
        self.submit(c.ClockSet(ts_ns=now_ns, rebooted=rebooted))
        self.submit(c.EngineStart(ts_ns=now_ns, install=INSTALL, epoch=epoch, clean=not seq, rebooted=rebooted, sync=mode))
        self.submit(c.LoadSettings(ts_ns=self.now_ns(), settings=self.settings))
        self.later(self.sim.ms(20, 60), self._finish_resets, rebooted)

    def _second_misfortune(self) -> None:
        """They come in pairs: a process dies again soon after its start, often in its first group."""
        sim = self.sim
        if not self.fuse and sim.present("crash") and sim.throw(0.5):
            self.fuse = FIRST_WRITE if sim.throw(0.7) else sim.rng.randint(1, 8)
            self.fuse_power = sim.present("power") and sim.throw(0.5)

    def _recover(self, rebooted: bool) -> int:
        """The state from the bytes on the disk; somewhere on the way it goes through a snapshot. Gives the last sequence."""
        payloads = self.disk.recover(rebooted)
        snapshot_at = self.sim.rng.randint(0, max(len(payloads), 1))
        hashed = max((seq for seq in self._hashes if seq <= len(payloads)), default=0)
        for index, payload in enumerate(payloads):
            if index == snapshot_at:
                self.state = load_state(dump_state(self.state))
                self.sim.counts["snapshot loaded"] += 1
            try:
                replay_record(self.state, payload)
            except (IllegalTransition, KeyError, AssertionError) as error:
                raise Violation("replay works", f"record {index + 1}: {type(error).__name__}: {error}") from error
            self.log.append(self._decode(index, payload))
            if index + 1 == hashed:
                if state_hash(self.state) != self._hashes[hashed]:
                    raise Violation("replay hash equals live hash", f"at record {hashed} of {len(payloads)}")
                self.sim.counts["replay hash compared"] += 1
        self.hasher = StateHasher(self.state)
        self.sim.note("gateway", f"starts: {self.state.seq} records recovered")
        return self.state.seq

    def _decode(self, index: int, payload: bytes) -> Record:
        """Each record once; again when other bytes stand in its place."""
        known = self._decoded[index] if index < len(self._decoded) else None
        if known is not None and known[0] == payload:
            return known[1]
        del self._decoded[index:]
        record = decode_record(payload)
        self._decoded.append((payload, record))
        return record

    def _check_history(self, seq: int, rebooted: bool) -> None:
        """What left because of a record must still stand in the journal (but for sync = "os" after a power cut)."""
        lost = [late for late in self._left if late > seq]
        if not lost:
            return
        if self.disk.mode == "os" and rebooted:
            self.lost_records = self.checker.lossy = True
            self.on_lost()
            self.sim.counts["records lost (sync = os)"] += 1
            for late in lost:
                del self._left[late]
            return
        raise Violation("journal before effect", f"{self._left[lost[0]]} left because of record {lost[0]}, recovered: {seq}")

    def _finish_resets(self, rebooted: bool) -> None:
        """A reset (141=Y) that a crash cut short is finished, as acceptor.py does; only then do the sessions open."""
        for name, store in self.stores.items():
            last = self.state.session(name).last_in_seq if name in self.state.sessions else 0
            if last > 1 and store.next_in == 1 and store.next_out == 1:
                self.sim.counts["reset finished at the start"] += 1
                note = c.AdminNote(ts_ns=self.now_ns(), action="session reset", target=name, user="gateway", reason="cut short")
                self.submit(note)
            if rebooted:
                store.rebooted()
        self._open()

    def _open(self) -> None:
        """Links, sessions, timers: once the start is durable."""
        if self.leading or self.inbox:
            self.later(self.sim.ms(5, 20), self._open)
            return
        for name, copies in self.copies.items():
            self.sessions[name] = self.session_type(self, name, self.stores[name], copies)
        self._tick()

    @property
    def listening(self) -> bool:
        """Clients and hosts may connect."""
        return self.alive and bool(self.sessions)

    def _tick(self) -> None:
        """Timers, TestRequests, the state of the disk."""
        self.clock.look()
        now_ns = self.now_ns()
        keys = due_timers(self.state, now_ns)
        if now_ns >= self.reconcile_ns:
            self.reconcile_ns = now_ns + RECONCILE_NS
            keys += ["reconcile:" + venue for venue in self.settings.venues]
        for key in keys:
            self.submit(c.Timer(ts_ns=now_ns, key=key))
        for session in self.sessions.values():
            session.tick()
        if self.disk.full != self._told_full:
            self._told_full = self.disk.full
            self.submit(c.JournalSpace(ts_ns=now_ns, full=self._told_full))
        self.later(QUIET_TICK_NS if self.sim.quiet else TICK_NS, self._tick)

    # --- the engine ---

    def submit(self, command: c.Command, then: Callable[[], None] | None = None) -> None:
        """Into the inbox. `then`: called once the command is durable (or meant nothing)."""
        self.enter_at(len(self.inbox), command, then)

    def enter_at(self, at: int, command: c.Command, then: Callable[[], None] | None = None) -> None:
        """At this place of it."""
        self.inbox.insert(at, (command, then))
        if not self.leading:
            self.leading = True
            self.later(self.sim.ms(0.01, 0.3), self._lead)

    def _lead(self) -> None:
        group: list[Record] = []
        payloads: list[bytes] = []
        taken, self.inbox = self.inbox[:GROUP], self.inbox[GROUP:]
        for command, _ in taken:
            made = self._step(command)
            if made is not None:
                group.append(made[0])
                payloads.append(made[1])
            self.micro("evolved, not written")
        waiting = [then for _, then in taken if then is not None]
        if group:
            self._write(group, payloads)
            delay = self.sim.ms(0.1, 0.4)
            if self.sim.chance("stall", 0.01):
                delay = self.sim.ms(100, 4000)
                self.sim.note("disk", f"stalls for {delay / SECOND:.1f} s")
            self.commit(group, waiting, delay)
            return
        for then in waiting:
            then()
        self._next()

    def _write(self, group: list[Record], payloads: list[bytes]) -> None:
        failed = self.sim.chance("ioerror", 0.0006)
        if failed or (self.fuse == 1 and self.sim.throw(0.25)):
            self.disk.write_part(group[0].seq, payloads)
            if failed:
                self.sim.note("disk", "a write fails: the process ends")
                raise Crash(False)
            self.micro("within a write")
        self.disk.write(group[0].seq, payloads)
        if self.fuse > 1 and not self.fuse_power and self.sim.throw(0.25):
            self.fuse = 1  # of all steps the one that leaves most to the next start
        self.micro("written, not synced")

    def commit(self, group: list[Record], waiting: list[Callable[[], None]], delay_ns: int) -> None:
        """Wait for the sync, then let the effects happen."""
        self.later(delay_ns, self._committed, group, waiting)

    def sync(self) -> None:
        """The sync itself (not at all with sync = "os")."""
        if self.disk.mode == "commit":
            self.disk.sync()

    def _committed(self, group: list[Record], waiting: list[Callable[[], None]]) -> None:
        if self.sim.chance("ioerror", 0.0006):
            self.sim.note("disk", "a sync fails: the process ends")
            raise Crash(False)
        self.sync()
        self.micro("synced, no effect yet")
        self.publish(group)
        for then in waiting:
            then()
        if group[-1].seq // HASH_EVERY != (group[0].seq - 1) // HASH_EVERY and self.state.seq == group[-1].seq:
            self._hashes[self.state.seq] = self.hasher.value()
        self._next()

    def _next(self) -> None:
        self.leading = bool(self.inbox)
        if self.leading:
            self.later(self.sim.ms(0.01, 0.1), self._lead)

    def decide(self, command: c.Command) -> list[e.AnyEvent]:
        """The core's judgement."""
        return decide(self.state, command)

    def _step(self, command: c.Command) -> tuple[Record, bytes] | None:
        """Decide, encode, evolve one command."""
        state, command = self.state, self.clock.of_run.put_right(command)
        before = dump_state(state) if self.deep else b""
        try:
            events = self.decide(command)
        except Refusal:
            return None
        except Exception as bug:
            self.sim.note("gateway", "decides", command)
            raise Violation("decide never fails", f"{type(command).__name__}: {type(bug).__name__}: {bug}") from bug
        if self.deep and dump_state(state) != before:
            raise Violation("decide changes nothing", f"{command}")
        if not events:
            return None
        seq = state.seq + 1
        record = Record(
            seq=seq, ts_ns=command.ts_ns, part=partition_of(command),
            command=command, events=tuple(events),  # type: ignore[arg-type]
        )  # fmt: skip
        self.sim.note("gateway", f"record {seq}", record)
        payload = encode_record(record)
        self.on_payload(payload)
        try:
            for event in events:
                evolve(state, event)
        except (IllegalTransition, KeyError, AssertionError) as bug:
            raise Violation("no illegal transition", f"record {seq}: {type(bug).__name__}: {bug}") from bug
        state.seq = seq
        self.hasher.note(events)
        self.log.append(record)
        if self.deep and self.hasher.value() != state_hash(state):
            raise Violation("the incremental hash is right", f"at record {seq}")
        self.checker.step(state, record)
        return record, payload

    # --- effects ---

    def publish(self, group: list[Record]) -> None:
        """Everything that is durable becomes visible; the effects of the group happen."""
        self.visible_seq = group[-1].seq
        for record in group:
            for event in record.events:
                self.effect(record.seq, event)
        for session in self.sessions.values():
            self.later(self.sim.ms(0.01, 0.5), session.turn)

    def left(self, seq: int, what: str) -> None:
        """Something leaves because of record `seq`: it must be safe."""
        if seq > self.disk.safe_seq:
            raise Violation("journal before effect", f"a {what} leaves because of record {seq}, safe is {self.disk.safe_seq}")
        self._left[seq] = what

    def effect(self, seq: int, event: e.AnyEvent) -> None:
        """What one event asks of the venue host, as in venues/gateway_link.py."""
        message: wire.ToHost
        match event:
            case e.ChildPlaced():
                self.left(seq, "place")
                self.place(event)
                self.micro("a place sent")
                return
            case e.ChildCancelSent() | e.ChildQueried():
                child = child_of(self.state, event.venue_cl_ord_id)
                kind = wire.CancelChild if isinstance(event, e.ChildCancelSent) else wire.QueryChild
                message = kind(venue_cl_ord_id=child.venue_cl_ord_id, symbol=child.symbol, venue_order_id=child.venue_order_id)
            case e.ChildAmendSent():
                child = child_of(self.state, event.venue_cl_ord_id)
                key, code = child.venue_cl_ord_id, "NEVER_SENT"
                if self.link is None or not self.link.open:
                    word = c.ChildAmendReject(ts_ns=self.now_ns(), venue=child.venue, venue_cl_ord_id=key, code=code, text="")
                    self.submit(word)
                    return
                message = wire.AmendChild(venue_cl_ord_id=key, symbol=child.symbol, qty=event.qty)
            case e.ReconcileRequested():
                message = wire.Reconcile(since_ns=event.since_ns, symbols=event.symbols)
            case e.OrphanCancelSent():
                found = event.order
                message = wire.CancelChild(
                    venue_cl_ord_id=found.venue_cl_ord_id, symbol=found.symbol, venue_order_id=found.venue_order_id
                )
            case _:
                return
        self.left(seq, "request")
        self.send(message)
        self.micro(f"a {type(message).__name__} sent")

    def place(self, ev: e.ChildPlaced) -> None:
        """One child, once; without a host it certainly was not sent."""
        message = wire.PlaceChild(
            venue_cl_ord_id=ev.venue_cl_ord_id, symbol=ev.symbol, side=ev.side, ord_type=ev.ord_type, tif=ev.tif, qty=ev.qty,
            px=ev.px, post_only=ev.post_only, expires_ns=ev.expires_ns,
        )  # fmt: skip
        self.checker.placed(self.state, message)
        if self.link is None or not self.link.open:
            self.checker.truth.gone(ev.venue_cl_ord_id)
            self.submit(
                c.ChildReject(
                    ts_ns=self.now_ns(), venue=ev.venue, venue_cl_ord_id=ev.venue_cl_ord_id, code="NEVER_SENT", text="no host",
                    sent=False,
                )
            )  # fmt: skip
            return
        self.send(message)

    def send(self, message: wire.ToHost) -> None:
        """To the venue host, if there is one."""
        if self.link is not None:
            self.link.send(message)

    # --- what comes in ---

    def from_host(self, message: wire.FromHost | c.VenueCommand) -> None:
        """A word of the venue host."""
        if isinstance(message, wire.BookUpdate):
            self.edge.on_book(message)
        elif isinstance(message, c.VenueCommand):
            self.submit(by_ours(message, self.now_ns()))

    def client_message(self, session: GatewaySession, number: int, poss_dup: bool, request: Request) -> None:
        """A client's application message, parsed and stamped."""
        if request.kind in "DG" and self.disk.full:
            now_ns = self.now_ns()
            self.refused_full[f"{session.name} {request.fields['cl_ord_id']}"] = None
            self.sim.counts["refused: disk full"] += 1
            self.submit(c.SeqSeen(ts_ns=now_ns, session=session.name, reset_epoch=session.epoch, msg_seq=number))
            reject = BusinessReject(
                ref_msg_type=request.kind, ref_seq=number, business_reason=4, reason=Reason.JOURNAL_FULL.value, text="",
                ref_id=request.fields["cl_ord_id"],
            )  # fmt: skip
            session.refuse(reject)
            return
        fields = dict(request.fields)
        if request.kind in "DG":
            fields["quotes"] = dict(self.edge.quotes)
        command = _REQUESTS[request.kind](
            ts_ns=self.now_ns(), session=session.name, reset_epoch=session.epoch, msg_seq=number, poss_dup=poss_dup,
            poss_resend=request.poss_resend, origin_ns=request.sent_ns, **fields,
        )  # fmt: skip
        self.submit(command)
        if self.sim.chance("repeated", 0.02):
            self.submit(command)

    @property
    def busy(self) -> bool:
        """Something is being decided or committed."""
        return self.leading or bool(self.inbox)
