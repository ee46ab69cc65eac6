"""A core driven by hand, for tests: commands in, events evolved, what leaves collected; every step checked for purity.

`World.run(command)` does what the engine does with one command, and asserts on the way that decide changed nothing, that
the record survives its codec, and that a second state, which only ever sees decoded records, has the same hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core import settings as s
from fixgw.core.child import CLOSED
from fixgw.core.codec import Record, decode_record, encode_record
from fixgw.core.decide import decide, partition_of
from fixgw.core.evolve import evolve
from fixgw.core.order import OPEN
from fixgw.core.replay import apply_record
from fixgw.core.reports import CancelReject, Message, Report
from fixgw.core.state import State, dump_state, load_state, new_state
from fixgw.core.statehash import StateHasher, state_hash
from fixgw.simulate.checks import exposure_problems

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
    for problem in problems_of(state):
        raise AssertionError(problem)


def problems_of(state: State) -> Iterator[str]:
    """Each violated invariant, in words."""
    yield from _order_problems(state)
    yield from _index_problems(state)
    yield from exposure_problems(state, [key for key, order in state.orders.items() if order.status in OPEN])


def _order_problems(state: State) -> Iterator[str]:
    for order in state.orders.values():
        children = [state.children[child] for child in order.children]
        fills = [fill for child in children for fill in child.fills.values() if not fill.busted]
        if order.cum_qty != sum((fill.qty for fill in fills), Decimal(0)):
            yield f"{order.order_id}: cum_qty {order.cum_qty} is not the sum of its fills"
        if order.notional != sum((fill.qty * fill.px for fill in fills), Decimal(0)):
            yield f"{order.order_id}: notional is not the sum of its fills"
        live = [child for child in children if child.is_live]
        if order.status in OPEN and not order.held and not live:
            yield f"{order.order_id}: open ({order.ord_status}) without a live child"
        if order.status in OPEN and order.held and children:
            yield f"{order.order_id}: held, and sent to a venue"
        if order.status not in OPEN and any(child.state == "working" and not child.cancel for child in live):
            yield f"{order.order_id}: finished ({order.status}) with a child that works and is not being canceled"
        if order.status not in OPEN and not live and order.pending is not None:
            yield f"{order.order_id}: finished, and a request stays pending"
        if order.pending is not None and order.status in OPEN and not _is_moving(state, order.order_id):
            yield f"{order.order_id}: pending {order.pending.kind}, and nothing is under way or asked"
        if len(live) > 1:
            yield f"{order.order_id}: {len(live)} children at once"


def _is_moving(state: State, order_id: str) -> bool:
    """Something of the order is in flight, or will be asked again."""
    children = state.orders[order_id].children
    return any(child in state.inflight or child in state.uncertain for child in children)


def _index_problems(state: State) -> Iterator[str]:
    open_orders = [key for key, order in state.orders.items() if order.status in OPEN]
    if sorted(state.open_orders) != sorted(open_orders):
        yield "open_orders is not the set of open orders"
    for session in state.sessions.values():
        mine = sorted(key for key in open_orders if state.orders[key].session == session.name)
        if sorted(session.open_orders) != mine:
            yield f"open orders of {session.name} are wrong"
    if sorted(state.stops) != sorted(key for key in open_orders if state.orders[key].held):
        yield "stops is not the set of held open orders"
    expiries = {key: due for bucket in state.expiries.values() for key, due in bucket.items()}
    if expiries != {key: state.orders[key].expire_ns for key in open_orders if state.orders[key].expire_ns is not None}:
        yield "expiries are not those of the open orders"
    over = sorted(key for key, order in state.orders.items() if order.status not in OPEN)
    if sorted([*state.finished, *state.refused]) != over:
        yield "finished is not the set of finished orders"
    for venue in state.venues.values():
        live = sorted(key for key, child in state.children.items() if child.venue == venue.name and child.is_live)
        if sorted(venue.live) != live:
            yield f"live children of {venue.name} are wrong"
    if sorted(state.uncertain) != sorted(key for key, child in state.children.items() if child.is_uncertain):
        yield "uncertain is not the set of uncertain children"
    flying = [
        key for key, child in state.children.items()
        if child.state != CLOSED and (child.state == "sent" or child.cancel == "sent" or child.amend is not None)
    ]  # fmt: skip
    if sorted(state.inflight) != sorted(flying):
        yield "inflight is not the set of unanswered children and cancels"
