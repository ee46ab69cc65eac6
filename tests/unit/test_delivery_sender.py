"""The sender against a list of records and a QuickFIX that fails on demand; and the reading of the FileStore."""

from __future__ import annotations

import collections
import threading
import time
from decimal import Decimal

import pytest
import quickfix as fix

from fixgw.core.codec import Record
from fixgw.core.commands import AdminNote, SessionLogout
from fixgw.core.events import Reported
from fixgw.core.reports import BusinessReject, CancelReject, Notice, Report
from fixgw.fix import delivery as delivery_module
from fixgw.fix.acceptor_settings import AcceptorSession
from fixgw.fix.delivery import Delivery
from fixgw.fix.outbound import encode
from fixgw.fix.port import RecordCursor, SessionCursor
from fixgw.fix.session_store import StoreFiles, key_of

SPEC = AcceptorSession(name="OMS", begin_string="FIX.4.4", client_comp_id="C", gateway_comp_id="FIXGW")


def report(exec_id: str) -> Report:
    return Report(
        exec_id=exec_id, exec_type="0", ord_status="0", order_id="O", cl_ord_id="c", symbol="BTC/USDT", side="1",
        leaves_qty=Decimal(1),
    )  # fmt: skip


def record(seq: int, *exec_ids: str) -> Record:
    events = tuple(Reported(session="OMS", account="", message=report(exec_id)) for exec_id in exec_ids)
    return Record(seq=seq, ts_ns=1, part="s:OMS", command=SessionLogout(ts_ns=1, session="OMS"), events=events)


class Engine:
    def __init__(self, *log: Record) -> None:
        self.log = list(log)
        self.durable_seq = 0
        self.submitted: list[object] = []
        self.fail_reads = 0
        self.cursors: list[RecordCursor | None] = []

    def now_ns(self) -> int:
        return 1

    def session_cursor(self, session: str) -> SessionCursor:
        return SessionCursor()

    def submit(self, command: object) -> None:
        self.submitted.append(command)

    def records(self, after_seq: int, timeout_s: float, cursor: RecordCursor | None = None) -> list[Record]:
        self.cursors.append(cursor)
        if self.fail_reads:
            self.fail_reads -= 1
            raise OSError("planted")
        found = [entry for entry in self.log if entry.seq > after_seq][:2]
        if not found:
            time.sleep(min(timeout_s, 0.01))
        return found


class Wire:
    """What QuickFIX took: (17, 97) of reports. `answers`: False = not taken, an exception is raised."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.taken: list[tuple[str, bool]] = []
        self.asked: list[str] = []
        self.news: list[fix.Message] = []
        self.changed = threading.Event()

    def __call__(self, message: fix.Message) -> bool:
        if message.getHeader().getField(35) == "1":
            self.asked.append(message.getField(112))
            return True
        answer = self.answers.pop(0) if self.answers else True
        if message.getHeader().getField(35) == "B":
            if answer:
                self.news.append(message)
            return answer
        if isinstance(answer, Exception):
            raise answer
        if answer:
            self.taken.append((message.getField(17), message.getHeader().isSetField(97)))
        return answer


@pytest.fixture
def run():
    made: list[Delivery] = []

    def start(engine: Engine, wire: Wire, held: collections.Counter | None = None) -> Delivery:
        delivery = Delivery(engine, SPEC, wire, held or collections.Counter())
        made.append(delivery)
        delivery.start()
        delivery.logged_on()
        return delivery

    yield start
    for delivery in made:
        assert delivery.stop()


def until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "condition not met in time"
        time.sleep(0.005)


def test_a_failed_sending_is_repeated_in_order(run):
    engine = Engine(record(1, "a", "b"), record(2), record(3, "c"))
    wire = Wire(True, False, RuntimeError("planted"), True)
    delivery = run(engine, wire)
    until(lambda: len(wire.taken) == 3)
    assert wire.taken == [("a", False), ("b", False), ("c", False)]
    assert delivery.failed == 2 and delivery.sent == 3


def test_however_long_sending_fails_it_is_tried_again_soon(run, monkeypatch):
    monkeypatch.setattr(delivery_module, "RETRY_S", (0.001, 0.004))
    wire = Wire(*[False] * 14)
    run(Engine(record(1, "a")), wire)
    until(lambda: wire.taken == [("a", False)])


def test_a_failing_engine_is_asked_again(run):
    engine, wire = Engine(record(1, "a")), Wire()
    engine.fail_reads = 2
    run(engine, wire)
    until(lambda: wire.taken == [("a", False)])


@pytest.mark.parametrize("everything", [False, True])
def test_what_cannot_be_encoded_is_told_and_does_not_hold_back_the_rest(run, monkeypatch, everything):
    import fixgw.fix.delivery as module

    real = module.encode

    def broken(message, version, **options):
        if getattr(message, "exec_id", "") == "bad" or (everything and isinstance(message, Notice)):
            raise ValueError("planted")
        return real(message, version, **options)

    monkeypatch.setattr(module, "encode", broken)
    wire = Wire(*([] if everything else [False, True]))
    engine = Engine(record(1, "bad", "good"))
    delivery = run(engine, wire)
    until(lambda: wire.taken == [("good", False)])
    if everything:
        assert delivery.undeliverable == 1 and not wire.news
        return
    assert len(wire.news) == 1, "the client is told, once it can be"
    assert wire.news[0].getField(148) == "a report could not be sent"
    group = fix.Group(33, 58)
    wire.news[0].getGroup(1, group)
    assert "ExecID(17) bad, OrderID(37) O, ClOrdID(11) c" in group.getField(58)
    notes = [command for command in engine.submitted if isinstance(command, AdminNote)]
    assert [(note.action, note.target) for note in notes] == [("undeliverable report", "OMS")]
    assert "ExecID(17) bad" in notes[0].reason


def test_nothing_is_sent_while_logged_out(run):
    engine, wire = Engine(), Wire()
    delivery = run(engine, wire)
    delivery.logged_out()
    engine.log.append(record(1, "a"))
    time.sleep(0.1)
    assert wire.taken == []
    delivery.logged_on()
    until(lambda: wire.taken == [("a", False)])


def test_before_this_process_means_possible_resend_unless_the_store_holds_it(run):
    engine, wire = Engine(record(1, "a", "b"), record(2, "c"), record(3, "d")), Wire()
    engine.durable_seq = 2
    run(engine, wire, collections.Counter({("8", "b"): 1}))
    until(lambda: len(wire.taken) == 3)
    assert wire.taken == [("a", True), ("c", True), ("d", False)]


def test_a_wipe_while_sending_repeats_what_may_be_lost(run):
    engine, delivery = Engine(record(1, "a", "b")), None

    class Wiping(Wire):
        def __call__(self, message: fix.Message) -> bool:
            taken = super().__call__(message)
            if self.taken == [("a", False)]:
                delivery.wiped()  # QuickFIX emptied its store behind our back
            return taken

    wire = Wiping()
    delivery = Delivery(engine, SPEC, wire, collections.Counter())
    delivery.start()
    delivery.logged_on()
    until(lambda: len(wire.taken) == 3)
    assert delivery.stop()
    assert wire.taken == [("a", False), ("a", True), ("b", False)]


def test_confirmation(run):
    engine, wire = Engine(record(1, "a"), record(2)), Wire()
    delivery = run(engine, wire)
    until(lambda: wire.asked)
    assert wire.asked == ["fixgw-2"]
    delivery.heartbeat("fixgw-3")
    delivery.heartbeat("fixgw-\u00b2")  # a digit to str.isdigit(), and none to int()
    assert engine.submitted == []
    delivery.heartbeat("fixgw-2")
    delivery.heartbeat("fixgw-2")
    assert [command.seq for command in engine.submitted] == [2] and delivery.delivered_seq == 2


def test_what_was_asked_before_a_wipe_confirms_nothing(run):
    """The numbers began anew: what the counterparty says to the old ones tells nothing of what it gets now."""
    engine, wire = Engine(record(1, "a")), Wire()
    delivery = run(engine, wire)
    until(lambda: wire.asked)
    delivery.logged_out()
    delivery.wiped()
    delivery.heartbeat("fixgw-1")
    assert engine.submitted == [] and delivery.delivered_seq == 0
    delivery.logged_on()
    until(lambda: len(wire.asked) == 2)
    assert wire.taken == [("a", False), ("a", True)]
    delivery.heartbeat("fixgw-1")
    assert delivery.delivered_seq == 1


def test_who_has_confirmed_everything_is_not_asked_again(run, monkeypatch):
    for name in ("ASK_INTERVAL_S", "ASK_AGAIN_S", "WAIT_S"):
        monkeypatch.setattr(delivery_module, name, 0.01)
    engine, wire = Engine(record(1, "a")), Wire()
    delivery = run(engine, wire)
    until(lambda: len(wire.asked) > 2)
    delivery.heartbeat("fixgw-1")
    turns = len(engine.cursors)
    until(lambda: len(engine.cursors) > turns + 2)
    asked = len(wire.asked)
    until(lambda: len(engine.cursors) > turns + 8)
    assert len(wire.asked) == asked


def test_what_a_failed_reply_did_not_send_is_the_senders(run, monkeypatch):
    """The connection's own thread answers; when that fails the answer must not wait for the next report."""
    monkeypatch.setattr(delivery_module, "WAIT_S", 60.0)
    engine, wire = Engine(), Wire()
    delivery = run(engine, wire)
    until(lambda: delivery._asleep)
    delivery.attend()
    engine.log.append(record(1, "a"))
    delivery.wake()
    engine.fail_reads = 1
    delivery.reply()
    delivery.leave()
    until(lambda: wire.taken == [("a", False)])


def stored(folder, *bodies: str) -> StoreFiles:
    folder.mkdir(exist_ok=True)
    text, index = "", ""
    for number, body in enumerate(bodies, 1):
        raw = ("8=FIX.4.4|9=5|" + body + "|10=000|").replace("|", "\x01")
        index += f"{number},{len(text)},{len(raw)} "
        text += raw
    (folder / "FIX.4.4-FIXGW-C.body").write_text(text)
    (folder / "FIX.4.4-FIXGW-C.header").write_text(index)
    (folder / "FIX.4.4-FIXGW-C.seqnums").write_text(f"{len(bodies) + 1:020} : {1:020}")
    return StoreFiles(folder, "FIX.4.4", "FIXGW", "C")


def test_the_store_is_read_back_to_the_confirmed_request(tmp_path):
    files = stored(
        tmp_path, "35=8|17=old", "35=1|112=fixgw-5", "35=8|17=x", "35=1|112=fixgw-9", "35=9|11=a|41=b", "35=j|45=3|372=D",
        "35=0", "35=8|17=x",
    )  # fmt: skip
    held = files.held(delivered_seq=5)
    assert held == {("8", "x"): 2, ("9", "a", "b"): 1, ("j", "3", "D"): 1}
    assert files.held(9) == {("8", "x"): 1, ("9", "a", "b"): 1, ("j", "3", "D"): 1}
    assert ("8", "old") in files.held(0)
    files.forget()
    assert not files.held(0)


def test_a_damaged_store_is_no_obstacle(tmp_path):
    files = stored(tmp_path, "35=8|17=x")
    with (tmp_path / "FIX.4.4-FIXGW-C.header").open("a") as index:
        index.write("2,999999,50 3,-4,5 4,0,999999999 x,y,z 7")
    assert files.held(0) == {("8", "x"): 1}
    assert StoreFiles(tmp_path, "FIX.4.4", "FIXGW", "NOBODY").held(0) == {}


def test_a_message_whose_number_was_not_used_up_is_not_held(tmp_path):
    """QuickFIX stores the message, then raises the number: killed in between, it gives the number to the next message."""
    files = stored(tmp_path, "35=8|17=x", "35=8|17=y")
    (tmp_path / "FIX.4.4-FIXGW-C.seqnums").write_text(f"{2:020} : {1:020}")
    assert files.held(0) == {("8", "x"): 1}
    (tmp_path / "FIX.4.4-FIXGW-C.seqnums").unlink()
    assert files.held(0) == {}


def test_keys_are_what_stands_on_the_wire():
    assert key_of(report("a")) == ("8", "a")
    reject = CancelReject(order_id="", cl_ord_id="c", orig_cl_ord_id="", ord_status="8", response_to="1", reason="")
    assert key_of(reject) == ("9", "c", "NONE")
    assert key_of(BusinessReject(ref_msg_type="D", ref_seq=3, business_reason=0, reason="", text="")) == ("j", "3", "D")


@pytest.mark.parametrize(
    "message",
    [
        report("x\u00e9\x01"),
        CancelReject(order_id="", cl_ord_id="c\u00e9", orig_cl_ord_id="\x01", ord_status="8", response_to="1", reason=""),
        BusinessReject(ref_msg_type="\u00e9", ref_seq=3, business_reason=0, reason="", text=""),
        Notice(headline="caf\u00e9: no new orders", text="t", transact_ns=1_700_000_000_123_456_789),
    ],
)
def test_the_key_of_a_message_is_that_of_its_text_in_the_store(tmp_path, message):
    raw = encode(message, SPEC.version).toString()
    body = raw[raw.index("35=") : raw.rindex("10=") - 1].replace("\x01", "|")
    assert stored(tmp_path, body).held(0) == {key_of(message): 1}


def test_a_sender_far_behind_keeps_its_place_and_rests(run, monkeypatch):
    monkeypatch.setattr(delivery_module, "BEHIND_RECORDS", 3)
    rests = []
    monkeypatch.setattr(Delivery, "_rest", lambda self, busy_s: rests.append(self._done[0]))
    engine, wire = Engine(*(record(seq, f"e{seq}") for seq in range(1, 11))), Wire()
    engine.durable_seq = 10
    delivery = run(engine, wire)
    until(lambda: len(wire.taken) == 10)
    assert rests == [2, 4, 6], "after each batch while more than 3 records behind"
    assert len(set(engine.cursors)) == 1 and None not in engine.cursors
    assert delivery.delivered_seq == 0
