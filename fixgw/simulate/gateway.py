"""The gateway's machine and process: engine loop, effects, crashes between any two steps, recovery from the disk.

The loop is that of engine.py: a group is decided, appended and evolved command by command, written and synced as one, and
only then do its effects happen. `micro()` stands between any two steps; a lit fuse burns down there and kills the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core import commands as c
from ..core import events as e
from ..core.codec import Record, decode_record, encode_record
from ..core.decide import Refusal, decide, partition_of
from ..core.evolve import evolve
from ..core.order import IllegalTransition
from ..core.reasons import Reason
from ..core.replay import apply_record
from ..core.reports import BusinessReject
from ..core.settings import CoreSettings
from ..core.state import HALTED, State, dump_state, new_state
from ..core.statehash import StateHasher, state_hash
from ..marketdata.edge import due_timers
from ..venues import wire
from .channel import Channel
from .checks import Checker
from .client import Request
from .disk import SimDisk
from .scheduler import SECOND, Sim, Violation
from .session import TICK_NS, GatewaySession, SessionStore

INSTALL = "SIMUL"
GROUP = 256
HASH_EVERY = 8
_REQUESTS: dict[str, type[c.ClientCommand]] = {"D": c.NewOrder, "F": c.CancelOrder, "G": c.ReplaceOrder, "H": c.StatusRequest}


class Crash(Exception):
    """The process dies here. `power`: the whole machine."""

    def __init__(self, power: bool) -> None:
        super().__init__("power" if power else "crash")
        self.power = power


class Gateway:
    """One machine; a process runs on it while `alive`. `deep`: check hash and purity at every step."""

    def __init__(self, sim: Sim, disk: SimDisk, settings: CoreSettings, sessions: dict[str, bool], deep: bool) -> None:
        self.sim = sim
        self.disk = disk
        self.settings = settings
        self.checker = Checker(sim, deep)
        self.deep = deep
        self.session_kinds = sessions
        self.stores = {name: SessionStore() for name in sessions}
        self.quotes: dict[str, c.Quote] = {}
        self.clock_offset = 0
        self.fuse = 0
        self.fuse_power = False
        self.alive = False
        self.generation = 0
        self.lost_records = False
        # what leaves for the venue and was ever sent: child -> record; and every record whose effects left
        self.hang_up: Callable[[str, str], None] = lambda name, why: None
        self.on_died: Callable[[bool], None] = lambda power: None
        self.on_step: Callable[[Record], None] = lambda record: None
        self._left: dict[int, str] = {}
        self._hashes: dict[int, str] = {}
        self._reset()

    def _reset(self) -> None:
        """What a process has in memory."""
        self.state: State = new_state()
        self.hasher = StateHasher(self.state)
        self.log: list[Record] = []
        self.visible_seq = 0
        self.inbox: list[c.Command] = []
        self.leading = False
        self.link: Channel | None = None
        self.sessions: dict[str, GatewaySession] = {}
        self._last_ns = 0
        self._told_full = False

    # --- time and death ---

    def now_ns(self) -> int:
        """The gateway's clock: never goes back within a run."""
        self._last_ns = max(self._last_ns, self.sim.now + self.clock_offset)
        return self._last_ns

    def micro(self, step: str) -> None:
        """Between two steps."""
        if self.fuse:
            self.fuse -= 1
            if not self.fuse:
                self.sim.note("gateway", f"dies: {'power loss' if self.fuse_power else 'kill -9'}, after: {step}")
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
        self.checker.at_rest(self.state)
        self.alive = False
        self.generation += 1
        self.fuse = 0
        if power:
            self.disk.power_loss()
            for store in self.stores.values():
                store.power_loss()
        self.on_died(power)
        self.sim.at(self.sim.ms(100, 2500), self.start, power)

    # --- start ---

    def start(self, rebooted: bool) -> None:
        """Recover, raise the epoch, begin."""
        before, before_hash = self.state, self.hasher
        self._reset()
        self.alive = True
        self.enter(self._start, rebooted, before, before_hash)

    def _start(self, rebooted: bool, before: State, before_hash: StateHasher) -> None:
        for payload in self.disk.recover():
            record = decode_record(payload)
            try:
                apply_record(self.state, record)
            except (IllegalTransition, KeyError, AssertionError) as error:
                raise Violation("replay works", f"record {record.seq}: {type(error).__name__}: {error}") from error
            self.hasher.note(record.events)
            self.log.append(record)
            told = self._hashes.get(record.seq)
            if told is not None and told != self.hasher.value():
                raise Violation("replay hash equals live hash", f"at record {record.seq} of {self.disk.written_seq}")
        seq = self.state.seq
        self.sim.note("gateway", f"starts: {seq} records recovered")
        if before.seq == seq and before.seq and before_hash.value() != self.hasher.value():
            raise Violation("replay hash equals live hash", f"at the last record {seq}")
        self._check_history(seq, rebooted)
        for late in [late for late in self._hashes if late > seq]:
            del self._hashes[late]
        self.visible_seq = 0
        self.micro("recovery")
        epoch = self.disk.raise_epoch()
        clean = not seq
        start = c.EngineStart(
            ts_ns=self.now_ns(), install=INSTALL, epoch=epoch, clean=clean, rebooted=rebooted, sync=self.disk.mode
        )
        self.submit(start)
        self.submit(c.LoadSettings(ts_ns=self.now_ns(), settings=self.settings))
        self.later(self.sim.ms(20, 60), self._open)

    def _check_history(self, seq: int, rebooted: bool) -> None:
        """What left because of a record must still stand in the journal (but for sync = "os" after a power cut)."""
        lost = [late for late in self._left if late > seq]
        if not lost:
            return
        if self.disk.mode == "os" and rebooted:
            self.lost_records = True
            for late in lost:
                del self._left[late]
            return
        raise Violation("journal before effect", f"{self._left[lost[0]]} left because of record {lost[0]}, recovered: {seq}")

    def _open(self) -> None:
        """Links, sessions, timers: once the start is durable."""
        if self.leading or self.inbox:
            self.later(self.sim.ms(5, 20), self._open)
            return
        for name, copies in self.session_kinds.items():
            self.sessions[name] = GatewaySession(self, name, self.stores[name], copies)
        self._tick()

    @property
    def listening(self) -> bool:
        """Clients and hosts may connect."""
        return self.alive and bool(self.sessions)

    def _tick(self) -> None:
        """Timers, TestRequests, the state of the disk."""
        now_ns = self.now_ns()
        for key in due_timers(self.state, now_ns):
            self.submit(c.Timer(ts_ns=now_ns, key=key))
        for session in self.sessions.values():
            session.tick()
        if self.disk.full != self._told_full:
            self._told_full = self.disk.full
            self.submit(c.JournalSpace(ts_ns=now_ns, full=self._told_full))
        self.later(TICK_NS, self._tick)

    # --- the engine ---

    def submit(self, command: c.Command) -> None:
        """Into the inbox."""
        self.inbox.append(command)
        if not self.leading:
            self.leading = True
            self.later(self.sim.ms(0.01, 0.3), self._lead)

    def _lead(self) -> None:
        group: list[Record] = []
        payloads: list[bytes] = []
        commands, self.inbox = self.inbox[:GROUP], self.inbox[GROUP:]
        for command in commands:
            made = self._step(command)
            if made is not None:
                group.append(made[0])
                payloads.append(made[1])
            self.micro(f"evolved {type(command).__name__}")
        if not group:
            self._next()
            return
        self.disk.write(group[0].seq, payloads)
        self.micro("written, not synced")
        delay = self.sim.ms(0.1, 0.4)
        if self.sim.chance("stall", 0.004):
            delay = self.sim.ms(100, 4000)
            self.sim.note("disk", f"stalls for {delay / 1e9:.1f} s")
        self.commit(group, delay)

    def commit(self, group: list[Record], delay_ns: int) -> None:
        """Wait for the sync, then let the effects happen."""
        self.later(delay_ns, self._committed, group)

    def sync(self) -> None:
        """The sync itself (not at all with sync = "os")."""
        if self.disk.mode == "commit":
            self.disk.sync()

    def _committed(self, group: list[Record]) -> None:
        if self.sim.chance("ioerror", 0.0008):
            self.sim.note("disk", "a sync fails: the process ends")
            raise Crash(False)
        self.sync()
        self.micro("synced")
        self.publish(group)
        if group[-1].seq // HASH_EVERY != group[0].seq // HASH_EVERY and self.state.seq == group[-1].seq and not self.deep:
            self._hashes[self.state.seq] = self.hasher.value()
        self._next()

    def _next(self) -> None:
        self.leading = bool(self.inbox)
        if self.leading:
            self.later(self.sim.ms(0.01, 0.1), self._lead)

    def _step(self, command: c.Command) -> tuple[Record, bytes] | None:
        """Decide, encode, evolve one command."""
        state = self.state
        before = dump_state(state) if self.deep else b""
        try:
            events = decide(state, command)
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
        try:
            for event in events:
                evolve(state, event)
        except (IllegalTransition, KeyError, AssertionError) as bug:
            raise Violation("no illegal transition", f"record {seq}: {type(bug).__name__}: {bug}") from bug
        state.seq = seq
        self.hasher.note(events)
        self.log.append(record)
        if self.deep:
            self._hashes[seq] = self.hasher.value()
            if self._hashes[seq] != state_hash(state):
                raise Violation("the incremental hash is right", f"at record {seq}")
        self.checker.step(state, record)
        self.on_step(record)
        return record, payload

    # --- effects ---

    def publish(self, group: list[Record]) -> None:
        """Everything that is durable becomes visible; the effects of the group happen."""
        self.visible_seq = group[-1].seq
        for record in group:
            for event in record.events:
                self._effect(record.seq, event)
        for session in self.sessions.values():
            self.later(self.sim.ms(0.01, 0.5), session.turn)

    def left(self, seq: int, what: str) -> None:
        """Something leaves because of record `seq`: it must be safe."""
        if seq > self.disk.safe_seq:
            raise Violation("journal before effect", f"a {what} leaves because of record {seq}, safe is {self.disk.safe_seq}")
        self._left[seq] = what

    def _effect(self, seq: int, event: e.AnyEvent) -> None:
        match event:
            case e.ChildPlaced():
                self.left(seq, "place")
                self.place(event)
            case e.ChildCancelSent() | e.ChildQueried():
                child = self.state.children.get(event.venue_cl_ord_id)
                if child is None:
                    return
                self.left(seq, "request")
                kind = wire.CancelChild if isinstance(event, e.ChildCancelSent) else wire.QueryChild
                self._send(
                    kind(venue_cl_ord_id=child.venue_cl_ord_id, symbol=child.symbol, venue_order_id=child.venue_order_id)
                )
            case e.ReconcileRequested():
                self.left(seq, "request")
                self._send(wire.Reconcile(since_ns=event.since_ns, symbols=event.symbols))
            case e.OrphanCancelSent():
                self.left(seq, "request")
                order = event.order
                self._send(
                    wire.CancelChild(
                        venue_cl_ord_id=order.venue_cl_ord_id, symbol=order.symbol, venue_order_id=order.venue_order_id
                    )
                )
            case _:
                return
        self.micro(f"effect {type(event).__name__}")

    def place(self, ev: e.ChildPlaced) -> None:
        """One child, once; without a host it certainly was not sent."""
        message = wire.PlaceChild(
            venue_cl_ord_id=ev.venue_cl_ord_id, symbol=ev.symbol, side=ev.side, ord_type=ev.ord_type, tif=ev.tif, qty=ev.qty,
            px=ev.px, post_only=ev.post_only, expires_ns=ev.expires_ns,
        )  # fmt: skip
        self.checker.placed(self.state, message)
        if not self._send(message):
            self.checker.truth.gone(ev.venue_cl_ord_id)
            self.submit(
                c.ChildReject(
                    ts_ns=self.now_ns(), venue=ev.venue, venue_cl_ord_id=ev.venue_cl_ord_id, code="NEVER_SENT", text="no host"
                )
            )

    def _send(self, message: wire.ToHost) -> bool:
        if self.link is None:
            return False
        self.link.send(message)
        return True

    # --- what comes in ---

    def client_message(self, session: GatewaySession, number: int, poss_dup: bool, request: Request) -> None:
        """A client's application message, parsed and stamped."""
        if request.kind in "DG" and self.disk.full:
            now_ns = self.now_ns()
            self.submit(c.SeqSeen(ts_ns=now_ns, session=session.name, reset_epoch=session.epoch, msg_seq=number))
            session.refuse(
                BusinessReject(
                    ref_msg_type=request.kind, ref_seq=number, business_reason=4, reason=Reason.JOURNAL_FULL.value, text="",
                    ref_id=request.fields["cl_ord_id"],
                )
            )  # fmt: skip
            return
        fields = dict(request.fields)
        if request.kind in "DG":
            fields["quotes"] = dict(self.quotes)
        self.submit(
            _REQUESTS[request.kind](
                ts_ns=self.now_ns(), session=session.name, reset_epoch=session.epoch, msg_seq=number, poss_dup=poss_dup,
                poss_resend=request.poss_resend, origin_ns=request.sent_ns, **fields,
            )
        )  # fmt: skip

    def halted(self) -> bool:
        """A kill switch of the firm is on."""
        return self.state.level == HALTED

    @property
    def busy(self) -> bool:
        """Something is being decided or committed."""
        return self.leading or bool(self.inbox)


RECONNECT_NS = SECOND
