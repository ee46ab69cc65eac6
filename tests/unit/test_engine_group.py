"""The engine around a journal in memory: what is visible when, who leads, what a failure stops."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import SimpleNamespace

import pytest
from core_world import FIRST_NS, INSTALL, SYMBOL, VENUE, VENUE_ACCOUNT, World, core_settings, instrument_specs

from fixgw import engine as engine_module
from fixgw.clock import GatewayClock
from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core.codec import Record, decode_record
from fixgw.core.decide import Refusal
from fixgw.core.errors import JournalFull, Overloaded
from fixgw.core.replay import apply_record
from fixgw.core.reports import BusinessReject, Report
from fixgw.core.state import State, dump_state, new_state
from fixgw.engine import Engine
from fixgw.fix.port import RecordCursor
from fixgw.journal.errors import JournalBusy, RecordTooBig

WAIT_S = 20.0


class MemoryJournal:
    """JournalStore in memory. `gate`: commits wait for it; `fails`: the next commit raises; `groups`: records per commit."""

    epoch, install_id, was_clean, boot_id_changed = 1, INSTALL, True, False

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.durable_seq = 0
        self.full = False
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.fails: Exception | None = None
        self.append_fails: Exception | None = None
        self.max_bytes = 1 << 20
        self.max_buffered = 1 << 20
        self.groups: list[int] = []
        self.leaders: list[str] = []
        self.reads = 0

    @property
    def last_seq(self) -> int:
        return len(self.payloads)

    def check(self, seq: int, payload: bytes) -> None:
        if len(payload) > self.max_bytes:
            raise RecordTooBig(f"record {seq} has {len(payload)} bytes, at most {self.max_bytes} are allowed")

    def append(self, seq: int, payload: bytes) -> None:
        if self.append_fails is not None:
            raise self.append_fails
        if seq - 1 - self.durable_seq >= self.max_buffered:
            raise JournalBusy(f"{self.max_buffered} records wait to be committed")
        assert seq == self.last_seq + 1
        self.payloads.append(payload)

    def commit(self) -> int:
        last_seq = self.last_seq
        self.entered.set()
        assert self.gate.wait(WAIT_S), "the test never opened the gate"
        if self.fails is not None:
            raise self.fails
        self.groups.append(last_seq - self.durable_seq)
        self.leaders.append(threading.current_thread().name)
        self.durable_seq = last_seq
        return last_seq

    def read(self, from_seq: int = 1) -> Iterator[tuple[int, bytes]]:
        self.reads += 1
        for seq in range(from_seq, self.durable_seq + 1):
            yield seq, self.payloads[seq - 1]

    def subscribe(self, after_seq: int, timeout_s: float) -> int:
        raise NotImplementedError

    def close(self, *, clean: bool = False) -> None:
        raise NotImplementedError


class Rig:
    """An engine with a ready venue; `fatal`: what on_fatal was told; `effects`: records that listeners saw."""

    def __init__(self, **fields: int) -> None:
        self.journal = MemoryJournal()
        self.fatal: list[str] = []
        self.effects: list[Record] = []
        self.engine = Engine(self.journal, new_state(), on_fatal=self.fatal.append, clock=lambda: FIRST_NS, **fields)
        self.engine.on_durable.append(self.effects.append)
        self.number = 0
        for command in (
            c.EngineStart(ts_ns=1, install=INSTALL, epoch=1, clean=True, rebooted=False),
            c.LoadSettings(ts_ns=1, settings=core_settings(risk_stages=())),
            c.InstrumentsReport(ts_ns=1, venue=VENUE, instruments=instrument_specs()),
            c.VenueLink(ts_ns=1, venue=VENUE, up=True),
            c.VenueReconciled(ts_ns=2, venue=VENUE, account=VENUE_ACCOUNT, asked_ns=1),
        ):
            self.engine.call(command, WAIT_S)
        self.base = self.engine.durable_seq

    def order(self, **fields: object) -> c.NewOrder:
        self.number += 1
        values = {"cl_ord_id": f"n{self.number}", "msg_seq": self.number} | fields
        return c.NewOrder(
            ts_ns=FIRST_NS, session="OMS44", reset_epoch=0, symbol=SYMBOL, side="1", ord_type="2", tif="1",
            order_qty=Decimal(1), price=Decimal(100), **values,  # type: ignore[arg-type]
        )  # fmt: skip

    def cancel(self) -> c.CancelOrder:
        self.number += 1
        return c.CancelOrder(
            ts_ns=FIRST_NS, session="OMS44", reset_epoch=0, msg_seq=self.number, cl_ord_id=f"c{self.number}", orig_cl_ord_id="?"
        )

    def in_thread(self, work: Callable[[], object], name: str = "helper") -> threading.Thread:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        self.journal.gate.set()
        self.engine.stop()


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.close()


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.001)


def replayed(journal: MemoryJournal) -> State:
    state = new_state()
    for payload in journal.payloads:
        apply_record(state, decode_record(payload))
    return state


def blocked(rig: Rig) -> threading.Thread:
    """A leader that hangs in its commit, with one order in its group."""
    rig.journal.gate.clear()
    rig.journal.entered.clear()
    order = rig.order()
    thread = rig.in_thread(lambda: rig.engine.submit(order), "leader")
    assert rig.journal.entered.wait(WAIT_S)
    return thread


def test_nothing_is_visible_before_the_commit(rig: Rig) -> None:
    thread = blocked(rig)
    effects = len(rig.effects)
    assert rig.engine.durable_seq == rig.base
    assert rig.engine.records(rig.base, 0.02) == []
    assert len(rig.effects) == effects
    rig.journal.gate.set()
    thread.join(WAIT_S)
    (record,) = rig.engine.records(rig.base, WAIT_S)
    assert record.seq == rig.base + 1 == rig.engine.durable_seq
    assert rig.effects[effects:] == [record]
    assert [type(event) for event in record.events] == [e.Received, e.OrderReceived, e.Reported, e.ChildPlaced]


def test_a_waiting_reader_wakes_with_the_commit(rig: Rig) -> None:
    blocked(rig)
    came: list[list[Record]] = []
    reader = rig.in_thread(lambda: came.append(rig.engine.records(rig.base, WAIT_S)))
    rig.journal.gate.set()
    reader.join(WAIT_S)
    assert [[record.seq for record in batch] for batch in came] == [[rig.base + 1]]


def test_what_comes_meanwhile_shares_one_commit(rig: Rig) -> None:
    thread = blocked(rig)
    groups = len(rig.journal.groups)
    orders = [rig.order() for _ in range(20)]
    threads = [rig.in_thread(lambda order=order: rig.engine.submit(order)) for order in orders]
    for other in threads:
        other.join(WAIT_S)
        assert not other.is_alive(), "a follower waits for somebody else's disk"
    assert rig.engine.waiting == 21
    rig.journal.gate.set()
    thread.join(WAIT_S)
    until(lambda: rig.engine.durable_seq == rig.base + 21, "21 records")
    assert rig.journal.groups[groups:] == [1, 20]
    assert set(rig.journal.leaders[groups:]) == {"leader"}
    assert dump_state(replayed(rig.journal)) == dump_state(rig.engine.state)


class Holder:
    """A thread that holds the state until `let_go`."""

    def __init__(self, rig: Rig) -> None:
        self.let_go, held = threading.Event(), threading.Event()

        def hold() -> None:
            with rig.engine.reading():
                held.set()
                assert self.let_go.wait(WAIT_S)

        self.thread = rig.in_thread(hold, "holder")
        assert held.wait(WAIT_S)


def test_groups_are_bounded_and_a_borrowed_thread_is_given_back(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "GROUP", 4)
    monkeypatch.setattr(engine_module, "MAX_LEAD", 3)
    deciders, real = [], engine_module.decide

    def decide(state: State, command: c.Command) -> list[e.AnyEvent]:
        deciders.append(threading.current_thread().name)
        return real(state, command)

    monkeypatch.setattr(engine_module, "decide", decide)
    holder = Holder(rig)
    for _ in range(31):
        rig.engine.submit(rig.order())
    assert rig.engine.waiting == 31 and deciders == []
    holder.let_go.set()
    holder.thread.join(WAIT_S)
    until(lambda: rig.engine.durable_seq == rig.base + 31, "31 records")
    assert deciders[:12] == ["holder"] * 12
    assert deciders.count("engine") == 19


def test_a_group_is_decided_while_another_is_synced(rig: Rig) -> None:
    thread = blocked(rig)
    rig.engine.submit(rig.order())
    assert rig.engine.state.seq == rig.base + 2 and rig.engine.durable_seq == rig.base
    rig.journal.gate.set()
    thread.join(WAIT_S)
    until(lambda: rig.engine.durable_seq == rig.base + 2, "both records")


def test_a_reply_comes_after_the_commit_and_before_other_effects(rig: Rig) -> None:
    order: list[str] = []
    rig.engine.on_visible.append(lambda records: order.append(f"visible {rig.engine.durable_seq - rig.base}"))
    rig.engine.on_durable.append(lambda record: order.append("effect"))
    rig.engine.submit(rig.order(), lambda: order.append(f"reply {rig.engine.durable_seq - rig.base}"))
    assert order == ["visible 1", "reply 1", "effect"]


def test_no_reply_by_a_thread_that_does_not_lead(rig: Rig) -> None:
    thread = blocked(rig)
    replies: list[int] = []
    rig.engine.submit(rig.order(), lambda: replies.append(1))
    rig.journal.gate.set()
    thread.join(WAIT_S)
    until(lambda: rig.engine.durable_seq == rig.base + 2, "both records")
    assert replies == []


def test_a_reply_that_hangs_holds_up_no_other_order(rig: Rig) -> None:
    """A client that does not read: its own order's effects happen all the same."""
    hang, effects = threading.Event(), len(rig.effects)
    first, second = rig.order(), rig.order()
    thread = rig.in_thread(lambda: rig.engine.submit(first, lambda: hang.wait(WAIT_S)))
    until(lambda: len(rig.effects) == effects + 1, "the effect of the order that hangs")
    rig.engine.submit(second)
    assert len(rig.effects) == effects + 2
    hang.set()
    thread.join(WAIT_S)


def test_where_syncs_are_slow_and_more_is_at_hand_the_engines_thread_settles(rig: Rig) -> None:
    rig.engine._commit_ns = 1e6
    before = len(rig.journal.leaders)
    rig.engine.submit(rig.order(), more=True)
    until(lambda: rig.engine.durable_seq == rig.base + 1, "the record")
    assert rig.journal.leaders[before:] == ["engine"]


def test_every_word_is_decided_however_many_orders_wait(rig: Rig) -> None:
    holder = Holder(rig)
    for _ in range(300):
        rig.engine.submit(rig.order())
    words = [c.VenueLink(ts_ns=FIRST_NS + number, venue=VENUE, up=number % 2 == 0) for number in range(251)]
    thread = rig.in_thread(lambda: rig.engine.submit_words(words))
    until(lambda: rig.engine.waiting == 551, "all that is brought")
    holder.let_go.set()
    thread.join(WAIT_S)
    assert not thread.is_alive()
    until(lambda: rig.engine.waiting == 0, "everything decided and durable")


def test_words_left_behind_are_found(rig: Rig) -> None:
    """By the engine's own thread, whoever brought them."""
    rig.engine._words.append(c.VenueLink(ts_ns=FIRST_NS, venue=VENUE, up=False))
    until(lambda: rig.engine.durable_seq == rig.base + 1, "the word")


def test_an_order_that_comes_while_words_are_decided_is_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever decides the words looks at the inbox again: the order waits for nobody else to look."""
    monkeypatch.setattr(engine_module, "LOOK_S", 60.0)
    rig = Rig()
    inside, let_go, real = threading.Event(), threading.Event(), rig.engine._decide_group

    def held(words: bool = False) -> None:
        real(words=words)
        if words and not let_go.is_set():
            inside.set()
            assert let_go.wait(WAIT_S)

    try:
        monkeypatch.setattr(rig.engine, "_decide_group", held)
        word = c.VenueLink(ts_ns=FIRST_NS, venue=VENUE, up=False)
        thread = rig.in_thread(lambda: rig.engine.submit_words([word]))
        assert inside.wait(WAIT_S)
        rig.engine.submit(rig.order())
        assert rig.engine.waiting
        let_go.set()
        thread.join(WAIT_S)
        assert rig.engine.durable_seq == rig.base + 2
    finally:
        let_go.set()
        rig.close()


def test_after_a_stop_nothing_is_taken(rig: Rig) -> None:
    rig.engine.stop()
    rig.journal.append_fails = AssertionError("the journal is closed")
    rig.engine.submit(rig.order())
    rig.engine.submit_words([c.VenueLink(ts_ns=FIRST_NS, venue=VENUE, up=False)])
    assert rig.fatal == []


def test_words_of_venues_wait_for_the_order_that_is_on_its_way(rig: Rig) -> None:
    rig.engine.submit(rig.order())
    assert rig.engine.busy
    word = c.VenueLink(ts_ns=FIRST_NS, venue=VENUE, up=False)
    rig.engine.submit_words([word])
    assert rig.engine.state.seq == rig.base + 2 and rig.engine.durable_seq == rig.base + 1
    rig.engine.settle()
    assert rig.engine.durable_seq == rig.base + 2


def test_many_threads_lose_nothing(rig: Rig) -> None:
    orders = [[rig.order() for _ in range(50)] for _ in range(8)]
    seen: list[int] = []

    def read() -> None:
        after = rig.base
        while len(seen) < 400:
            batch = rig.engine.records(after, WAIT_S)
            assert batch, "no records came"
            seen.extend(record.seq for record in batch)
            after = seen[-1]

    reader = rig.in_thread(read)
    # every thread is a session of its own: numbers of one session come in order
    threads = [
        rig.in_thread(lambda mine=mine, n=n: [rig.engine.submit(with_session(order, f"S{n}")) for order in mine])
        for n, mine in enumerate(orders)
    ]
    with_settings = {f"S{n}" for n in range(8)}
    for thread in [*threads, reader]:
        thread.join(20)
        assert not thread.is_alive()
    assert seen == list(range(rig.base + 1, rig.base + 401))
    answered = {record.command.session for record in rig.effects if isinstance(record.command, c.NewOrder)}
    assert answered == with_settings
    assert dump_state(replayed(rig.journal)) == dump_state(rig.engine.state)


def with_session(order: c.NewOrder, session: str) -> c.NewOrder:
    fields = {name: getattr(order, name) for name in order.__struct_fields__} | {"session": session}
    return c.NewOrder(**fields)


def test_a_failed_commit_is_fatal_and_nothing_leaves(rig: Rig) -> None:
    effects = len(rig.effects)
    rig.journal.fails = OSError(5, "input/output error")
    rig.engine.submit(rig.order())
    assert rig.fatal == ["OSError: [Errno 5] input/output error"]
    assert rig.engine.durable_seq == rig.base and len(rig.effects) == effects
    rig.journal.fails = None
    rig.engine.submit(rig.order())
    assert rig.engine.records(0, 0.01) == [] and len(rig.effects) == effects
    with pytest.raises(RuntimeError, match="stopped"):
        rig.engine.call(rig.order(), 0.01)


def test_a_failed_append_is_fatal_too(rig: Rig) -> None:
    rig.journal.append_fails = OSError(28, "no space")
    with pytest.raises(RuntimeError, match="no space"):
        rig.engine.call(rig.order(), WAIT_S)
    assert len(rig.fatal) == 1


def test_whoever_waits_in_the_inbox_hears_of_a_failure(rig: Rig) -> None:
    blocked(rig)
    errors: list[Exception] = []

    def wait() -> None:
        try:
            rig.engine.call(rig.order(), WAIT_S)
        except RuntimeError as error:
            errors.append(error)

    thread = rig.in_thread(wait)
    until(lambda: rig.engine.waiting == 2, "the follower's command")
    rig.journal.fails = OSError(5, "gone")
    rig.journal.gate.set()
    thread.join(WAIT_S)
    assert ["stopped" in str(error) for error in errors] == [True]


def test_a_bug_in_evolve_is_fatal(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(state: State, event: e.Event) -> None:
        raise AssertionError("bug")

    monkeypatch.setattr(engine_module, "evolve", broken)
    effects = len(rig.effects)
    rig.engine.submit(rig.order())
    assert rig.fatal == ["AssertionError: bug"] and len(rig.effects) == effects


def test_a_bug_in_decide_hits_one_message(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    real = engine_module.decide

    def decide(state: State, command: c.Command) -> list[e.AnyEvent]:
        if getattr(command, "cl_ord_id", "") == "bad":
            raise ZeroDivisionError("bug")
        return real(state, command)

    monkeypatch.setattr(engine_module, "decide", decide)
    rig.engine.submit(rig.order(cl_ord_id="bad"))
    rig.engine.submit(rig.order(cl_ord_id="good"))
    bad, good = rig.engine.records(rig.base, WAIT_S)
    messages = [event.message for event in bad.events if isinstance(event, e.Reported)]
    assert [(type(m), m.reason, m.ref_id, m.ref_seq) for m in messages if isinstance(m, BusinessReject)] == [
        (BusinessReject, "INTERNAL_ERROR", "bad", 1)
    ]
    assert any(isinstance(event, e.Alerted) for event in bad.events)
    assert any(isinstance(event, e.Received) and event.msg_seq == 1 for event in bad.events)
    assert any(isinstance(event, e.Reported) and isinstance(event.message, Report) for event in good.events)
    assert rig.fatal == []
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        rig.engine.call(rig.order(cl_ord_id="bad"), WAIT_S)
    assert dump_state(replayed(rig.journal)) == dump_state(rig.engine.state)


def test_a_bug_in_one_effect_does_not_stop_the_others(rig: Rig) -> None:
    def broken(record: Record) -> None:
        raise ValueError("bug")

    rig.engine.on_durable.insert(0, broken)
    assert rig.engine.call(rig.order(), WAIT_S) is rig.effects[-1]
    assert rig.fatal == []


def test_an_effect_may_submit(rig: Rig) -> None:
    """A venue link answers for a host that is not there, from within the leader."""

    def refuse(record: Record) -> None:
        for event in record.events:
            if isinstance(event, e.ChildPlaced):
                rig.engine.submit(
                    c.ChildReject(
                        ts_ns=FIRST_NS, venue=VENUE, venue_cl_ord_id=event.venue_cl_ord_id, code="NEVER_SENT", text=""
                    )
                )

    rig.engine.on_durable.append(refuse)
    rig.engine.submit(rig.order())
    until(lambda: rig.engine.durable_seq == rig.base + 2, "the refusal")
    assert rig.engine.state.open_orders == {}


def test_records_from_the_ring_and_from_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "RING", 8)
    monkeypatch.setattr(engine_module, "BATCH", 5)
    rig = Rig()
    for _ in range(20):
        rig.engine.submit(rig.order())
    last = rig.engine.durable_seq
    assert [record.seq for record in rig.engine.records(last - 8, 0)] == list(range(last - 7, last - 2))
    assert rig.journal.reads == 0
    assert [record.seq for record in rig.engine.records(0, 0)] == [1, 2, 3, 4, 5]
    assert rig.journal.reads == 1
    seen: list[int] = []
    while batch := rig.engine.records(seen[-1] if seen else 0, 0):
        seen += [record.seq for record in batch]
    assert seen == list(range(1, last + 1))
    # who reads on and on keeps the journal open where it stands, and is right wherever it asks
    cursor, seen, rig.journal.reads = RecordCursor(), [], 0
    while batch := rig.engine.records(seen[-1] if seen else 0, 0, cursor):
        seen += [record.seq for record in batch]
        if len(seen) == 5:
            rig.engine.submit(rig.order())
    assert seen == list(range(1, last + 2))
    assert rig.journal.reads == 1
    for after in (0, 5, 3, 8, 13):
        assert [record.seq for record in rig.engine.records(after, 0, cursor)] == list(range(after + 1, after + 6))
    rig.close()


def test_overload_refuses_new_orders_and_replaces_only() -> None:
    rig = Rig(inbox_max=9, inbox_reserved=5)
    blocked(rig)
    for _ in range(3):
        rig.engine.submit(rig.order())
    replace = c.ReplaceOrder(
        ts_ns=FIRST_NS, session="OMS44", reset_epoch=0, msg_seq=99, cl_ord_id="r", orig_cl_ord_id="n1", symbol=SYMBOL,
        side="1", ord_type="2",
    )  # fmt: skip
    for refused in (rig.order(), replace):
        with pytest.raises(Overloaded):
            rig.engine.submit(refused)
    rig.engine.submit(rig.cancel())
    rig.engine.submit(c.VenueLink(ts_ns=FIRST_NS, venue=VENUE, up=False))
    assert rig.engine.waiting == 6
    rig.journal.gate.set()
    until(lambda: rig.engine.durable_seq == rig.base + 6, "6 records")
    rig.close()


def test_a_full_journal_refuses_new_orders_and_replaces_only(rig: Rig) -> None:
    rig.engine.submit(rig.order())
    rig.journal.full = True
    with pytest.raises(JournalFull):
        rig.engine.submit(rig.order())
    rig.engine.submit(rig.cancel())
    assert rig.engine.durable_seq == rig.base + 2
    rig.journal.full = False
    rig.engine.submit(rig.order(msg_seq=7))
    assert rig.engine.durable_seq == rig.base + 3


def test_call_gives_the_record_a_refusal_or_nothing(rig: Rig) -> None:
    record = rig.engine.call(rig.order(), WAIT_S)
    assert record is not None and record.seq == rig.base + 1
    with pytest.raises(Refusal, match="unknown"):
        rig.engine.call(c.AdminCancel(ts_ns=FIRST_NS, order_id="nobody", user="u", reason="r"), WAIT_S)
    assert rig.engine.call(c.Timer(ts_ns=FIRST_NS, key="query:nobody"), WAIT_S) is None
    assert rig.engine.durable_seq == rig.base + 1


def test_call_times_out_and_the_command_still_happens(rig: Rig) -> None:
    thread = blocked(rig)
    with pytest.raises(TimeoutError, match=r"NewOrder is not durable after 0\.02 s: it may be yet"):
        rig.engine.call(rig.order(), 0.02)
    rig.journal.gate.set()
    thread.join(WAIT_S)
    until(lambda: rig.engine.durable_seq == rig.base + 2, "both records")


def test_a_session_cursor_holds_what_this_thread_submitted(rig: Rig) -> None:
    """Another thread leads: what this one left in the inbox must be in the cursor all the same."""
    blocked(rig)
    rig.engine.submit(rig.order())
    cursors: list[int] = []
    thread = rig.in_thread(lambda: cursors.append(rig.engine.session_cursor("OMS44").last_in_seq))
    rig.journal.gate.set()
    thread.join(WAIT_S)
    assert cursors == [2]


def test_a_cursor_of_an_unknown_session_leaves_no_trace(rig: Rig) -> None:
    assert rig.engine.session_cursor("NOBODY").last_in_seq == 0
    assert "NOBODY" not in rig.engine.state.sessions


def waiting_in(thread: threading.Thread) -> bool:
    """Inside Engine.reading: on its way to the lock."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code.co_name != "reading":
        frame = frame.f_back
    return frame is not None


def test_a_reader_does_not_wait_for_the_disk(rig: Rig) -> None:
    blocked(rig)
    with rig.engine.reading() as state:
        assert state.seq == rig.base + 1 and rig.engine.durable_seq == rig.base


def test_a_reader_comes_before_the_next_group(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is in the inbox; and readers do not keep the orders waiting: a group comes between them."""
    monkeypatch.setattr(engine_module, "GROUP", 4)
    holder = Holder(rig)
    for _ in range(40):
        rig.engine.submit(rig.order())
    seen: list[int] = []

    def read() -> None:
        with rig.engine.reading() as state:
            seen.append(state.seq)

    readers = [rig.in_thread(read), rig.in_thread(read)]
    until(lambda: all(waiting_in(reader) for reader in readers), "both readers wait")
    time.sleep(0.01)
    holder.let_go.set()
    for reader in readers:
        reader.join(WAIT_S)
    assert seen == [rig.base + 4, rig.base + 8]
    until(lambda: rig.engine.durable_seq == rig.base + 40, "every order")
    assert dump_state(replayed(rig.journal)) == dump_state(rig.engine.state)


def test_readers_are_served_while_orders_pour_in(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    real, stop, waits = rig.journal.commit, threading.Event(), []

    def commit() -> int:
        time.sleep(0.001)
        return real()

    monkeypatch.setattr(rig.journal, "commit", commit)

    def pour(n: int) -> None:
        number = 0
        while not stop.is_set() and number < 5000:
            number += 1
            rig.engine.submit(c.SeqSeen(ts_ns=FIRST_NS, session=f"S{n}", reset_epoch=0, msg_seq=number))
            if rig.engine.waiting > 500:
                time.sleep(0.0005)

    pouring = [rig.in_thread(lambda n=n: pour(n)) for n in range(4)]
    try:
        for _ in range(60):
            started = time.monotonic()
            with rig.engine.reading():
                waits.append(time.monotonic() - started)
    finally:
        stop.set()
        for thread in pouring:
            thread.join(WAIT_S)
    until(lambda: rig.engine.waiting == 0, "an empty inbox")
    assert sorted(waits)[-3] < 0.15, f"readers waited {sorted(waits)[-5:]}"


def test_a_message_that_is_passed_over_is_counted_and_told(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.engine.submit(rig.order(msg_seq=7))
    with caplog.at_level("WARNING"):
        assert rig.engine.call(rig.order(msg_seq=5), WAIT_S) is None
    assert "session OMS44: NewOrder, message 5 of reset epoch 0, is passed over: expected above 7 of epoch 0" in caplog.text
    caplog.clear()
    assert rig.engine.call(c.SeqSeen(ts_ns=FIRST_NS, session="OMS44", reset_epoch=0, msg_seq=5), WAIT_S) is None
    for _ in range(30):
        rig.engine.submit(rig.order(msg_seq=5))
    assert rig.engine.passed_over == {"OMS44": 31}
    assert caplog.text.count("passed over") == 9, "a flood is not logged line by line"


def test_an_error_while_reading_strands_nobody(rig: Rig) -> None:
    with pytest.raises(KeyError), rig.engine.reading():
        rig.in_thread(lambda: rig.engine.submit(rig.order())).join(WAIT_S)
        raise KeyError("reader")
    until(lambda: rig.engine.durable_seq == rig.base + 1, "the order that came meanwhile")


def test_a_step_of_the_clock_is_decided_before_all_that_waits() -> None:
    step_ns = -600 * 1_000_000_000
    times = SimpleNamespace(wall=FIRST_NS, steady=0)
    clock = GatewayClock(lambda: times.wall, lambda: times.steady)
    engine = Engine(MemoryJournal(), new_state(), on_fatal=print, clock=clock.now_ns, put_right=clock.put_right)
    try:
        start = c.EngineStart(ts_ns=engine.now_ns(), install=INSTALL, epoch=1, clean=True, rebooted=False)
        with engine.reading():
            engine._inbox.append((start, None))
            clock.step(step_ns)
            engine.submit_first(c.ClockSet(ts_ns=engine.now_ns(), step_ns=step_ns))
        first, second = engine.records(0, WAIT_S)
        assert isinstance(first.command, c.ClockSet) and isinstance(second.command, c.EngineStart)
        assert second.ts_ns == engine.now_ns() == FIRST_NS + step_ns, "stamped by the old clock, put right"
    finally:
        engine.stop()


def test_the_engine_and_a_world_by_hand_agree(rig: Rig) -> None:
    """The same commands through the engine and through decide / evolve by hand: the same state."""
    for _ in range(3):
        rig.engine.submit(rig.order())
    world = World(ready=False)
    world.state, world.mirror = new_state(), new_state()
    for payload in rig.journal.payloads:
        world.run(decode_record(payload).command)
    assert dump_state(world.state) == dump_state(rig.engine.state)


def rejects_of(record: Record) -> list[tuple[str, int, str, str]]:
    messages = [event.message for event in record.events if isinstance(event, e.Reported)]
    return [(m.reason, m.business_reason, m.ref_msg_type, m.ref_id) for m in messages if isinstance(m, BusinessReject)]


def test_a_record_too_big_is_not_fatal(rig: Rig) -> None:
    for _ in range(50):
        rig.engine.submit(rig.order())
    rig.journal.max_bytes = 1_500
    before = set(rig.engine.state.open_orders)
    with pytest.raises(RuntimeError, match="at most 1500 are allowed"):
        rig.engine.call(c.AdminKill(ts_ns=FIRST_NS, scope="firm", target="", level="HALTED", user="u", reason="r"), WAIT_S)
    assert set(rig.engine.state.open_orders) == before and rig.engine.state.level == "ACTIVE"
    assert all(child.cancel == "" for child in rig.engine.state.children.values())
    (dropped,) = rig.engine.records(rig.engine.durable_seq - 1, WAIT_S)
    assert isinstance(dropped.command, c.AdminNote) and dropped.command.target == "AdminKill"
    assert [event.kind for event in dropped.events if isinstance(event, e.Alerted)] == ["INTERNAL_ERROR"]
    # a client's message that makes too much of a record
    big = rig.order(exec_inst="6" * 2_000, msg_seq=70)
    rig.engine.submit(big)
    (answer,) = rig.engine.records(rig.engine.durable_seq - 1, WAIT_S)
    assert rejects_of(answer) == [("INTERNAL_ERROR", 4, "D", big.cl_ord_id)]
    assert rig.engine.session_cursor("OMS44").last_in_seq == 70, "it would be asked for, and fail, again and again"
    rig.engine.submit(rig.order(cl_ord_id="next", msg_seq=71))
    assert "next" in rig.engine.state.sessions["OMS44"].cl_ord_ids
    assert rig.fatal == []
    assert dump_state(replayed(rig.journal)) == dump_state(rig.engine.state)


def test_a_full_buffer_is_committed_and_the_group_goes_on(rig: Rig) -> None:
    holder = Holder(rig)
    rig.journal.max_buffered = 3
    before = len(rig.journal.groups)
    for _ in range(8):
        rig.engine.submit(rig.order())
    holder.let_go.set()
    holder.thread.join(WAIT_S)
    until(lambda: rig.engine.durable_seq == rig.base + 8, "8 records")
    assert rig.journal.groups[before:] == [3, 3, 2]
    assert [record.seq for record in rig.effects[-8:]] == list(range(rig.base + 1, rig.base + 9))
    assert rig.fatal == []


def test_a_full_buffer_and_a_record_too_big_together(rig: Rig) -> None:
    holder = Holder(rig)
    rig.journal.max_buffered, rig.journal.max_bytes = 1, 1_500
    rig.engine.submit(rig.order())
    rig.engine.submit(rig.order(exec_inst="6" * 2_000))
    rig.engine.submit(rig.order())
    holder.let_go.set()
    holder.thread.join(WAIT_S)
    until(lambda: rig.engine.durable_seq == rig.base + 3, "3 records")
    assert rig.fatal == [] and dump_state(replayed(rig.journal)) == dump_state(rig.engine.state)


def test_a_venues_word_that_a_bug_swallowed_is_asked_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost trade asks for the whole picture. Neither the picture nor the answers to queries, which follow from it, do:
    that would go round for ever."""
    real = engine_module.decide

    def decide(state: State, command: c.Command) -> list[e.AnyEvent]:
        if isinstance(command, c.VenueCommand):
            raise ZeroDivisionError("bug")
        return real(state, command)

    rig.engine.submit(rig.order())
    (child,) = rig.engine.state.children
    monkeypatch.setattr(engine_module, "decide", decide)
    item = c.VenueTrade(
        account=VENUE_ACCOUNT, symbol=SYMBOL, venue_cl_ord_id=child, venue_order_id="v", venue_trade_id="t", side="1",
        qty=Decimal(1), px=Decimal(100),
    )  # fmt: skip
    asked = {}
    for command in (
        c.ChildTrade(ts_ns=FIRST_NS, venue=VENUE, trade=item),
        c.ChildTrade(ts_ns=FIRST_NS, venue="nowhere", trade=item),
        c.VenueReconciled(ts_ns=FIRST_NS, venue=VENUE, account=VENUE_ACCOUNT, asked_ns=FIRST_NS, trades=(item,)),
        c.ChildQueryResult(
            ts_ns=FIRST_NS, venue=VENUE, venue_cl_ord_id=child, outcome="filled", venue_order_id="v", asked_ns=FIRST_NS,
            cum_qty=Decimal(1), trades=(item,), trades_checked=True,
        ),
        c.BalancesReport(ts_ns=FIRST_NS, venue=VENUE, account=VENUE_ACCOUNT, asof_ns=FIRST_NS, free={}, total={}),
    ):  # fmt: skip
        rig.engine.submit(command)
        (record,) = rig.engine.records(rig.engine.durable_seq - 1, WAIT_S)
        assert any(isinstance(event, e.Alerted) for event in record.events)
        key = type(command).__name__ + " " + command.venue
        asked[key] = [event.venue for event in record.events if isinstance(event, e.ReconcileRequested)]
    assert {key for key, venues in asked.items() if venues} == {"ChildTrade sim"} and asked["ChildTrade sim"] == [VENUE]
    assert rig.fatal == []
    monkeypatch.setattr(engine_module, "decide", real)
    rig.engine.submit(
        c.VenueReconciled(ts_ns=FIRST_NS, venue=VENUE, account=VENUE_ACCOUNT, asked_ns=FIRST_NS, trades=(item,))
    )
    assert rig.engine.state.open_orders == {}, "the picture brought the fill"
    assert dump_state(replayed(rig.journal)) == dump_state(rig.engine.state)
