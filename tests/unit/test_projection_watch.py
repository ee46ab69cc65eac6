"""A projection that does not keep up is told of: behind by a lot, its follower dead, hung, or stuck on a record."""

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from core_world import World

from fixgw.core import commands as cmd
from fixgw.core import events as ev
from fixgw.core.codec import Record, decode_record, encode_record
from fixgw.journal import housekeeping
from fixgw.journal.housekeeping import Housekeeping
from fixgw.journal.projection_watch import ALERT_AFTER_S, ALERT_AGAIN_S, BEHIND_S, UNSEEN_S, ProjectionWatch
from fixgw.journal.store import Journal


class Stand:
    """A watch with a clock of its own, over a database that has come to `projected` of `durable` records."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "p.db"
        self.now_s = 1000.0
        self.durable = 0
        with closing(sqlite3.connect(self.file)) as db:
            db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)")
        self.watch = ProjectionWatch(self.file, lambda: self.durable, lambda: self.now_s)

    def look(self, after_s: float, *, durable: int, projected: int) -> str:
        self.now_s += after_s
        self.durable = durable
        with closing(sqlite3.connect(self.file)) as db, db:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('last_seq', ?)", [str(projected)])
        self.watch.look()
        return self.watch.state().trouble


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def test_a_lag_that_moves_on_is_none(stand: Stand) -> None:
    for number in range(1, 100):
        assert stand.look(5, durable=number * 1000, projected=number * 1000 - 3000 if number > 3 else 0) == ""
    assert stand.watch.state().behind == 3000


def test_one_that_falls_behind_is_told_and_what_ends_it(stand: Stand) -> None:
    assert stand.look(5, durable=10, projected=10) == ""
    # nothing new: however long, it is not behind
    assert stand.look(BEHIND_S * 9, durable=10, projected=10) == ""
    told = [stand.look(5, durable=10 + number * 100, projected=10 + number) for number in range(1, 400)]
    assert told[:12] == [""] * 12
    assert told[13].startswith("1386 records behind the journal, the oldest of them for 65 s")
    assert all(told[13:]) and len(stand.watch._owed) <= 257
    assert stand.look(5, durable=50_000, projected=50_000) == ""


def test_what_the_database_cannot_be_asked_for_counts_as_not_there(stand: Stand) -> None:
    stand.look(5, durable=10, projected=10)
    stand.file.write_bytes(b"x" * 9000)
    for _ in range(14):
        stand.now_s += 5
        stand.watch.look()
    assert "10 records behind" in stand.watch.state().trouble


def test_nobody_looks(stand: Stand) -> None:
    assert stand.look(5, durable=10, projected=10) == ""
    stand.now_s += UNSEEN_S + 1
    assert "not looked at for 61 s" in stand.watch.state().trouble


def test_the_alert_comes_once_when_it_lasts_and_its_end_is_noted(stand: Stand) -> None:
    news = []

    def pass_by(seconds: float, trouble: str) -> None:
        stand.watch.heard(trouble)
        for _ in range(int(seconds // 5)):
            stand.look(5, durable=10, projected=10)
            news.append(stand.watch.news())

    pass_by(100, "")
    pass_by(ALERT_AFTER_S - 5, "its follower ended")
    pass_by(50, "")
    assert not any(news)
    pass_by(2 * ALERT_AFTER_S, "its follower cannot go on: no such table")
    pass_by(50, "")
    told = [item for item in news if item]
    assert [what for what, _ in told] == ["projection stale", "projection current"] and "no such table" in told[0][1]
    # again at once: it is in the status, but alerts do not come one after the other
    pass_by(ALERT_AGAIN_S - 100, "its follower ended")
    assert stand.watch.state().trouble and len([item for item in news if item]) == 2
    pass_by(100, "its follower ended")
    assert len([item for item in news if item]) == 3


def test_the_alert_is_an_alert_of_the_journal() -> None:
    world = World()
    for action in ("projection stale", "projection current"):
        world.run(cmd.AdminNote(ts_ns=world.tick(), action=action, target="data/projection.db", user="gateway", reason="because"))
    events = [event for payload in world.records for event in decode_record(payload).events]
    (alert,) = (event for event in events if isinstance(event, ev.Alerted))
    assert alert.kind == "PROJECTION_STALE" and "because" in alert.text and "data/projection.db" in alert.text
    assert [event.action for event in events if isinstance(event, ev.AdminActed)] == ["projection stale", "projection current"]


def add(journal: Journal, payload: bytes = b"") -> None:
    seq = journal.durable_seq + 1
    note = cmd.AdminNote(ts_ns=seq, action="a", target="t", user="ann", reason="r")
    acted = ev.AdminActed(action="a", target="t", user="ann", reason="r", ts_ns=seq)
    journal.append(seq, payload or encode_record(Record(seq=seq, ts_ns=seq, part="gw", command=note, events=(acted,))))
    journal.commit()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def following(folder: Path, journal: Journal) -> Iterator[tuple[Housekeeping, list[tuple[str, str]]]]:
    told: list[tuple[str, str]] = []
    house = Housekeeping(
        journal, folder / "p.db", folder / "h.log", every=10**9, schema_version=1, archive=False,
        tell=lambda what, why: told.append((what, why)),
    )
    house.start()
    try:
        until(lambda: house.projection.state().seq == journal.durable_seq)
        yield house, told
    finally:
        house.stop()


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    monkeypatch.setattr(housekeeping, "CHECK_S", 0.05)
    monkeypatch.setattr("fixgw.journal.projection_watch.ALERT_AFTER_S", 0.3)
    found = Journal.open(tmp_path / "journal", segment_bytes=1 << 16, reserve_bytes=1 << 16)
    add(found)
    yield found
    found.close()


def test_a_follower_that_dies_is_told_until_the_next_one_works(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "RESTART_S", 1.5)
    with following(tmp_path, journal) as (house, told):
        assert house.projection.state().trouble == ""
        assert house._follower is not None
        house._follower.kill()
        until(lambda: "its follower ended (SIGKILL)" in house.projection.state().trouble)
        add(journal)
        until(lambda: house.projection.state().trouble == "" and house.projection.state().behind == 0)
        until(lambda: not told or told[-1][0] == "projection current")


def test_a_follower_that_cannot_go_on_says_why(tmp_path: Path, journal: Journal) -> None:
    with following(tmp_path, journal) as (house, told):
        add(journal, b"\xc1 no record")
        until(lambda: told)
        state = house.projection.state()
        assert (state.behind, told[0][0]) == (1, "projection stale") and "its follower cannot go on: " in state.trouble
        assert told[0][1] == state.trouble and "\n" not in state.trouble


def test_a_follower_that_hangs_is_told(tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fixgw.journal.projection_watch.BEHIND_S", 0.5)
    with following(tmp_path, journal) as (house, told):
        assert house._follower is not None
        house._follower.send_signal(signal.SIGSTOP)
        add(journal)
        until(lambda: told)
        assert "1 records behind the journal" in told[0][1]
        house._follower.send_signal(signal.SIGCONT)
        until(lambda: house.projection.state().trouble == "")


def test_a_follower_that_cannot_be_started(tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    with following(tmp_path, journal) as (house, told):
        monkeypatch.setattr(housekeeping, "RESTART_S", 0.0)
        monkeypatch.setattr(housekeeping, "tied", lambda *_, **__: [str(tmp_path / "gone")])
        assert house._follower is not None
        house._follower.kill()
        until(lambda: told)
        assert "its follower cannot be started: " in told[0][1] and "gone" in told[0][1]
