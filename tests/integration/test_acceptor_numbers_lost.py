"""QuickFIX's files of a session are lost, and the process is started anew: the client is not sent a number that it has seen."""

from collections.abc import Callable
from pathlib import Path

import pytest
from acceptor_kit import ALL, OMS44, PB44, WAIT_S, Client, FakeEngine, running, until
from core_world import World

from fixgw.core.commands import AdminNote
from fixgw.core.events import Alerted
from fixgw.fix.out_numbers import MARGIN, OutNumbers

ORDERS = 5


def delete_all(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def delete_numbers(folder: Path) -> None:
    for path in folder.glob("*.seqnums"):
        path.unlink()


def cut_numbers(folder: Path) -> None:
    for path in folder.glob("*.seqnums"):
        path.write_bytes(b"")


def delete_all_and_the_mark(folder: Path) -> None:
    delete_all(folder)
    mark(folder).unlink()


def mark(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-numbers.json")


def trade(engine: FakeEngine, folder: Path) -> tuple[int, int, list[str]]:
    """One run: the client's next number, the one that it expects, and the reports that it had."""
    with running(engine, ALL, folder) as acceptor, Client(acceptor.path, OMS44, mute=True) as client:
        client.logon("141=Y")
        for number in range(ORDERS):
            client.order(f"A{number}")
        execs, last = [], 1
        while len(execs) < 2 * ORDERS:
            assert client.read(WAIT_S)
            execs += [m["17"] for m in client.received if m["35"] == "8"]
            last = max([last] + [int(m["34"]) for m in client.received])
            client.received = []
        client.leaving = True
        client.send("5")
        last = max(last, int(client.expect("5")["34"]))
        return client.next_out, last + 1, execs


@pytest.mark.parametrize("lose", [delete_all, delete_numbers, cut_numbers, delete_all_and_the_mark])
def test_the_next_run_goes_on_above(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    engine = FakeEngine()
    folder = tmp_path / "fix"
    next_out, expected, execs = trade(engine, folder)
    lose(folder)
    with running(engine, ALL, folder) as acceptor:
        notes = [note for note in engine.commands(AdminNote) if isinstance(note, AdminNote)]
        assert [(note.action, note.target) for note in notes] == [("session numbers lost", "OMS44")]
        assert ("an estimate" in notes[0].reason) == (lose is delete_all_and_the_mark)
        with Client(acceptor.path, OMS44, next_out=next_out) as client:
            number = int(client.logon()["34"])
            assert expected <= number <= 3 * MARGIN
            client.send("2", f"7={expected}|16=0")
            if number > expected:
                filled = client.expect("4", t123="Y")
                assert int(filled["34"]) == expected and number <= int(filled["36"])
            again: set[str] = set()
            # what it did not confirm: from the store where that is left, else from the journal
            while again < set(execs):
                report = client.expect("8")
                assert report.get("43") == "Y" or report.get("97") == "Y"
                again.add(report["17"])
            client.order("B1")
            client.expect("8", t11="B1")
            assert not [m for m in client.received if m["35"] in "25"], "its numbers are the journal's"


def test_a_session_that_never_was_begins_at_1(tmp_path: Path) -> None:
    engine = FakeEngine()
    with running(engine, ALL, tmp_path / "fix") as acceptor:
        assert [session.next_out for session in acceptor.status()] == [1] * len(ALL)
        assert not engine.commands(AdminNote)


def test_the_mark_is_ahead_and_seldom_written(tmp_path: Path) -> None:
    path, now = tmp_path / "numbers.json", {PB44.name: (0, 1)}
    numbers = OutNumbers(path, lambda: now)
    numbers.look()
    first = path.stat().st_ino
    now[PB44.name] = (0, MARGIN // 2 - 1)
    numbers.look()
    assert path.stat().st_ino == first
    now[PB44.name] = (0, MARGIN // 2 + 10)
    numbers.look()
    assert path.stat().st_ino != first
    read = OutNumbers(path, dict)
    assert read.below(PB44.name, 0) == MARGIN + MARGIN // 2 + 10
    # a reset that was journaled, and not seen by the last look
    assert read.below(PB44.name, 1) == MARGIN and read.below("OMS44", 0) is None
    now[PB44.name] = (1, 3)
    numbers.look()
    assert OutNumbers(path, dict).below(PB44.name, 1) == MARGIN + 3
    path.write_bytes(b"{")
    assert OutNumbers(path, dict).below(PB44.name, 1) is None


def test_it_is_looked_at_while_it_runs(tmp_path: Path) -> None:
    now = {"OMS44": (0, 1)}
    numbers = OutNumbers(tmp_path / "numbers.json", lambda: now)
    numbers.start()
    try:
        now["OMS44"] = (2, 7)
        until(lambda: numbers.below("OMS44", 2) == MARGIN + 7)
    finally:
        numbers.stop()


def test_it_is_an_alert() -> None:
    note = AdminNote(ts_ns=1, action="session numbers lost", target="OMS44", user="gateway", reason="the next is 5")
    alerts = [event for event in World().run(note) if isinstance(event, Alerted)]
    assert [(alert.kind, alert.text) for alert in alerts] == [("SESSION_NUMBERS_LOST", "session OMS44: the next is 5")]
