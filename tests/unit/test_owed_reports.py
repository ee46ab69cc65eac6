"""How many messages each session is owed: counted as they become durable, and looked up for what is older."""

import time
from collections.abc import Iterable, Iterator
from decimal import Decimal

import pytest

from fixgw.core.codec import Record, encode_record
from fixgw.core.commands import SessionLogout
from fixgw.core.events import AnyEvent, DeliveryAdvanced, Reported
from fixgw.core.reports import BusinessReject, Message, Report
from fixgw.fix import owed as module
from fixgw.fix.acceptor_settings import AcceptorSession
from fixgw.fix.owed import Count, Owed
from fixgw.journal.errors import JournalGap


def spec(name: str, **fields: object) -> AcceptorSession:
    values = {"begin_string": "FIX.4.4", "client_comp_id": name, "gateway_comp_id": "FIXGW"} | fields
    return AcceptorSession(name=name, **values)  # type: ignore[arg-type]


SESSIONS = (
    spec("OMS"),
    spec("OTHER"),
    spec("PB", role="drop_copy", scope_sessions=frozenset(("OMS",))),
    spec("BY_ACCOUNT", role="drop_copy", scope_accounts=frozenset(("a2",))),
    spec("ALL", role="drop_copy", scope_sessions=frozenset("*")),
)


def report(status_reply: bool = False) -> Report:
    return Report(
        exec_id="E", exec_type="0", ord_status="0", order_id="O", cl_ord_id="c", symbol="BTC/USDT", side="1",
        leaves_qty=Decimal(1), status_reply=status_reply,
    )  # fmt: skip


def told(session: str, account: str = "a1", message: Message | None = None) -> Reported:
    return Reported(session=session, account=account, message=message or report())


def record(seq: int, *events: AnyEvent) -> Record:
    return Record(seq=seq, ts_ns=1, part="s:OMS", command=SessionLogout(ts_ns=1, session="OMS"), events=events)


class Journal:
    """Records by sequence; `reads`: where each reading began, `taken`: how many records were read."""

    def __init__(self, *records: Record) -> None:
        self.records = list(records)
        self.reads: list[int] = []
        self.taken = 0

    def read(self, start: int) -> Iterator[tuple[int, bytes]]:
        self.reads.append(start)
        return self._rows(start)

    def _rows(self, start: int) -> Iterator[tuple[int, bytes]]:
        for found in self.records:
            if found.seq >= start:
                self.taken += 1
                yield found.seq, encode_record(found)


def counting(journal: Journal, since: int = 1) -> Owed:
    owed = Owed(SESSIONS, since, journal.read)
    for found in journal.records:
        if found.seq >= since:
            owed.note(found)
    return owed


def count(owed: Owed, session: str, delivered_seq: int = 0) -> Count:
    return owed.count(session, delivered_seq, time.monotonic() + 10)


REJECT = BusinessReject(ref_msg_type="D", ref_seq=1, business_reason=4, reason="JOURNAL_FULL", text="")
DAY = (
    record(1, told("OMS"), told("OMS")),
    record(2),
    record(3, told("OTHER", "a2")),
    *(record(seq) for seq in range(4, 20)),
    record(20, told("OMS", "a2"), told("OTHER", message=REJECT)),
    record(21, told("OMS", message=report(status_reply=True))),
)
EXPECTED = {"OMS": 4, "OTHER": 2, "PB": 3, "BY_ACCOUNT": 2, "ALL": 4}


@pytest.mark.parametrize("since", [1, 2, 10, 22])
@pytest.mark.parametrize("name", list(EXPECTED))
def test_messages_are_counted_not_records(name: str, since: int) -> None:
    """Wherever the process began: what is older is looked up."""
    owed = counting(Journal(*DAY), since)
    assert count(owed, name) == Count(EXPECTED[name], False)
    assert count(owed, name) == Count(EXPECTED[name], False)


def test_what_the_cursor_has_passed_is_not_owed() -> None:
    for since in (1, 10, 22):
        owed = counting(Journal(*DAY), since)
        assert [count(owed, "OMS", seq).messages for seq in (0, 1, 19, 20, 21)] == [4, 2, 2, 1, 0]


def test_new_records_and_confirmations_are_followed() -> None:
    owed = counting(Journal(*DAY))
    owed.note(record(22, told("OMS")))
    assert count(owed, "OMS") == Count(5, False)
    owed.note(record(23, DeliveryAdvanced(session="OMS", seq=22)))
    owed.note(record(24, told("OMS")))
    assert count(owed, "OMS", 22) == Count(1, False) and count(owed, "OTHER") == Count(2, False)


def test_a_long_absence_is_bounded_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 100)
    owed = counting(Journal())
    for seq in range(1, 101):
        owed.note(record(seq, told("OMS")))
    assert count(owed, "OMS") == Count(100, False)
    for seq in range(101, 301):
        owed.note(record(seq, told("OMS")))
    assert count(owed, "OMS") == Count(100, True)
    # it comes back: exact again as soon as the cursor is within what is known
    assert count(owed, "OMS", 199) == Count(100, True)
    assert count(owed, "OMS", 200) == Count(100, False) and count(owed, "OMS", 290) == Count(10, False)


def test_old_records_are_read_in_parts_each_going_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_LEAST_S", 0.0)
    monkeypatch.setattr(module, "_LOOK_AT_CLOCK", 10)
    journal = Journal(*(record(seq, told("OMS")) for seq in range(1, 101)))
    owed = counting(journal, since=91)
    clock = iter(range(1_000_000))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    answers = []
    for _ in range(20):
        before = journal.taken
        # time for one look at the clock: the second one is too late
        answers.append(owed.count("OMS", 0, until=next(clock) + 2.5))
        assert journal.taken - before <= 11
    assert answers[0].more and answers[0].messages < 100 and answers[-1] == Count(100, False)
    assert [answer.messages for answer in answers] == sorted(answer.messages for answer in answers)
    before = journal.taken
    owed.count("OMS", 0, until=next(clock) + 1_000_000)
    assert journal.taken - before <= 1, "what was read once is not read again"


def test_without_time_nothing_is_read_and_that_is_said() -> None:
    journal = Journal(*DAY)
    owed = counting(journal, since=10)
    assert owed.count("OMS", 0, until=0.0) == Count(2, True) and journal.reads == []
    assert owed.count("OMS", 9, until=0.0) == Count(2, False)


def test_records_that_are_not_kept_any_more_are_said() -> None:
    class Cut(Journal):
        def read(self, start: int) -> Iterable[tuple[int, bytes]]:  # type: ignore[override]
            raise JournalGap(start, 10, "is not kept any more: the oldest one here is 10")

    assert count(counting(Cut(*DAY), since=10), "OMS") == Count(2, True)
