"""A core driven by hand, for tests: commands in, events evolved, what leaves collected; every step checked for purity.

`World.run(command)` does what the engine does with one command, and asserts on the way that decide changed nothing, that
the record survives its codec, and that a second state, which only ever sees decoded records, has the same hash.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core import settings as s
from fixgw.core.codec import Record, decode_record, encode_record
from fixgw.core.decide import decide, partition_of
from fixgw.core.evolve import evolve
from fixgw.core.replay import apply_record
from fixgw.core.reports import CancelReject, Message, Report
from fixgw.core.state import State, dump_state, load_state, new_state
from fixgw.core.statehash import StateHasher, state_hash
from fixgw.simulate.checks import order_problems, position_problems, problems_of

SECOND = 1_000_000_000
SYMBOL, VENUE, ACCOUNT, VENUE_ACCOUNT = "BTC/USDT", "sim", "main", "acc-1"
FIRST_NS = 1_700_000_000 * SECOND
INSTALL = "ABCDE"


def session_settings(name: str, **fields: Any) -> s.SessionSettings:
    """A trading session that maps BTC/USDT and ETH/USDT to themselves."""
    values: dict[str, Any] = {"symbols": {SYMBOL: SYMBOL, "ETH/USDT": "ETH/USDT"}, "accounts": {"": ACCOUNT}}
    return s.SessionSettings(name=name, **(values | fields))


def core_settings(**fields: Any) -> s.CoreSettings:
    """Two sessions on one account of one venue; OMS42 cancels on disconnect."""
    values: dict[str, Any] = {
        "hash": "first",
        "sessions": {"OMS44": session_settings("OMS44"), "OMS42": session_settings("OMS42", cancel_on_disconnect=True)},
        "accounts": {ACCOUNT: s.AccountSettings(name=ACCOUNT, venue=VENUE, venue_account=VENUE_ACCOUNT)},
        "venues": {VENUE: s.VenueSettings(name=VENUE)},
        "instruments": {
            name: s.InstrumentSettings(symbol=name, base=name[:3], quote="USDT", venues=(VENUE,))
            for name in (SYMBOL, "ETH/USDT")
        },
        "risk_stages": ("session_state", "throttle"),
    }
    return s.CoreSettings(**(values | fields))


def instrument_specs() -> tuple[c.InstrumentSpec, ...]:
    return tuple(
        c.InstrumentSpec(
            symbol=name, venue_symbol=name.replace("/", ""), base=name[:3], quote="USDT",
            tick=Decimal("0.01"), lot=Decimal("0.1"), min_notional=Decimal(5),
        )
        for name in (SYMBOL, "ETH/USDT")
    )  # fmt: skip


class World:
    """One core. `sent`: the events of all records, in order; `placed`: every ChildPlaced by its id."""

    def __init__(self, settings: s.CoreSettings | None = None, *, ready: bool = True) -> None:
        self.state = new_state()
        self.mirror = new_state()
        self.hasher = StateHasher(self.state)
        self.records: list[bytes] = []
        self.received = 0
        self.placed: dict[str, e.ChildPlaced] = {}
        self.now_ns = FIRST_NS
        self.epoch = 0
        self.settings = settings or core_settings()
        self.numbers: dict[str, int] = {}
        self.quotes = {VENUE: c.Quote(bid=Decimal(100), ask=Decimal(101), last=Decimal(100), recv_ns=self.now_ns)}
        self.start()
        if ready:
            self.run(c.VenueLink(ts_ns=self.now_ns, venue=VENUE, up=True))
            self.run(c.VenueReconciled(ts_ns=self.now_ns, venue=VENUE, account=VENUE_ACCOUNT, asked_ns=self.now_ns))

    def start(self, **fields: Any) -> list[e.AnyEvent]:
        """A run begins: EngineStart, settings, instruments."""
        self.epoch += 1
        values: dict[str, Any] = {"install": INSTALL, "epoch": self.epoch, "clean": True, "rebooted": False}
        events = self.run(c.EngineStart(ts_ns=self.tick(), **(values | fields)))
        events += self.run(c.LoadSettings(ts_ns=self.tick(), settings=self.settings))
        return events + self.run(c.InstrumentsReport(ts_ns=self.tick(), venue=VENUE, instruments=instrument_specs()))

    def tick(self, step_ns: int = 1_000_000) -> int:
        """The next moment."""
        self.now_ns += step_ns
        return self.now_ns

    def number(self, session: str) -> int:
        """The next MsgSeqNum of a session."""
        self.numbers[session] = self.numbers.get(session, 0) + 1
        return self.numbers[session]

    def client(self, kind: type[c.ClientCommand], session: str = "OMS44", **fields: Any) -> c.ClientCommand:
        """A client's command with its number; `fields` may override them."""
        reset_epoch = self.state.session(session).reset_epoch if session in self.state.sessions else 0
        values: dict[str, Any] = {"ts_ns": self.tick(), "session": session, "reset_epoch": reset_epoch}
        if "msg_seq" not in fields:
            values["msg_seq"] = self.number(session)
        return kind(**(values | fields))

    def run(self, command: c.Command) -> list[e.AnyEvent]:
        """Decide, check, evolve. Raises what decide raises, with the state untouched."""
        before = dump_state(self.state)
        try:
            events = decide(self.state, command)
        finally:
            assert dump_state(self.state) == before, "decide changed the state"
        if not events:
            return events
        record = Record(
            seq=self.state.seq + 1, ts_ns=command.ts_ns, part=partition_of(command),
            command=command, events=tuple(events),  # type: ignore[arg-type]
        )  # fmt: skip
        payload = encode_record(record)
        decoded = decode_record(payload)
        # by its bytes: a venue may say NaN, which equals nothing
        assert encode_record(decoded) == payload, "the record changed on its way through the codec"
        for event in events:
            if isinstance(event, e.ChildPlaced):
                assert event.venue_cl_ord_id not in self.placed, f"{event.venue_cl_ord_id} placed twice"
                self.placed[event.venue_cl_ord_id] = event
            if isinstance(event, e.OrderReceived):
                self.received += 1
            if isinstance(event, e.Reported):
                check_refusal(event.message)
            evolve(self.state, event)
        self.state.seq = record.seq
        self.hasher.note(events)
        self.records.append(payload)
        apply_record(self.mirror, decoded)
        return events

    # --- checks ---

    def check(self) -> None:
        """Every invariant of the state as it stands."""
        live = self.hasher.value()
        assert live == state_hash(self.state), "the incremental hash differs from the hash from nothing"
        assert live == state_hash(self.mirror), "replay of the decoded records differs from the live state"
        assert dump_state(self.mirror) == dump_state(self.state), "replay differs in something that is not hashed"
        check_state(self.state)
        if self.received == len(self.state.orders) + self.state.cold.count:  # none is forgotten
            for problem in position_problems(self.state):
                raise AssertionError(problem)

    def check_snapshot(self, at: int) -> None:
        """Replay `at` records, snapshot, load it, replay the tail: the same bytes."""
        state = new_state()
        for payload in self.records[:at]:
            apply_record(state, decode_record(payload))
        state = load_state(dump_state(state))
        for payload in self.records[at:]:
            apply_record(state, decode_record(payload))
        assert state_hash(state) == state_hash(self.state)
        assert dump_state(state) == dump_state(self.state)


def check_refusal(message: Message) -> None:
    """A refusal says what is at fault and what would have been taken."""
    refused = isinstance(message, CancelReject) or (isinstance(message, Report) and message.exec_type == "8")
    if refused:
        assert message.reason and message.reason_tag and message.reason_limit and message.text, message


def check_state(state: State) -> None:
    """What must hold of any state: sums, indices, links. Raises AssertionError."""
    for order in state.orders.values():
        for problem in order_problems(state, order):
            raise AssertionError(problem)
    for problem in problems_of(state):
        raise AssertionError(problem)
