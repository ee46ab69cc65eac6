"""Snapshots and the archive: damage is skipped, nothing is archived too early, and archived records still read."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from fixgw.journal import housekeeping as housekeeping_module
from fixgw.journal import snapshotter
from fixgw.journal.archive import archive_segments
from fixgw.journal.disk import Disk
from fixgw.journal.errors import CorruptJournal, JournalGap
from fixgw.journal.housekeeping import Housekeeping
from fixgw.journal.layout import read_layout
from fixgw.journal.reader import JournalReader
from fixgw.journal.snapshot import latest_snapshot, make_snapshot, newest_seq, read_snapshot, sealed_seq, write_snapshot
from fixgw.journal.store import Journal
from fixgw.journal.verify import verify

SMALL = 8192
COUNT = 60


class SumOps:
    """A state that is the list [records, sum]: enough to see that each record was applied once."""

    schema_version = 3

    def load_state(self, payload: bytes | None) -> list[int]:
        return [0, 0] if payload is None else msgspec.json.decode(payload, type=list[int])

    def apply(self, state: list[int], record: bytes) -> None:
        state[0] += 1
        state[1] += int(record.split(b":")[0])

    def dump_state(self, state: list[int]) -> bytes:
        return msgspec.json.encode(state)

    def hash_state(self, state: list[int]) -> bytes:
        return b"%d-%d" % tuple(state)


OPS = SumOps()


def snapshot(directory: Path, upto_seq: int | None = None) -> Path | None:
    return make_snapshot(
        directory,
        OPS.schema_version,
        load_state=OPS.load_state,
        apply=OPS.apply,
        dump_state=OPS.dump_state,
        hash_state=OPS.hash_state,
        upto_seq=upto_seq,
    )


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL)
    for seq in range(1, COUNT + 1):
        made.append(seq, b"%d:" % seq + b"x" * 600)
        made.commit()
    yield made
    made.close()


def test_the_newest_good_snapshot_of_the_schema_is_found(tmp_path: Path) -> None:
    for seq in (10, 20, 30, 40):
        write_snapshot(tmp_path, seq, 1 if seq < 40 else 2, b"state %d" % seq, b"hash", keep=4)
    found = latest_snapshot(tmp_path, 1)
    assert found is not None and (found.seq, found.payload, found.state_hash) == (30, b"state 30", b"hash")
    assert latest_snapshot(tmp_path, 1, max_seq=29).seq == 20  # type: ignore[union-attr]
    assert latest_snapshot(tmp_path, 9) is None
    assert latest_snapshot(tmp_path / "nowhere", 1) is None


def test_only_the_last_two_are_kept(tmp_path: Path) -> None:
    for seq in (1, 2, 3):
        write_snapshot(tmp_path, seq, 1, b"", b"")
    assert sorted(path.name for path in (tmp_path / "snapshots").iterdir()) == [f"{seq:020d}.snap" for seq in (2, 3)]


def test_damage_anywhere_in_a_snapshot_is_seen_and_the_older_one_is_used(tmp_path: Path) -> None:
    write_snapshot(tmp_path, 10, 1, b"older", b"h")
    path = write_snapshot(tmp_path, 20, 1, b"newer", b"h")
    data = path.read_bytes()
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError):
            read_snapshot(path)
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        found = latest_snapshot(tmp_path, 1)
        assert found is not None and found.payload == b"older"


def test_a_snapshot_from_sealed_segments_and_then_from_a_snapshot(journal: Journal, tmp_path: Path) -> None:
    sealed = sealed_seq(tmp_path)
    assert 0 < sealed < COUNT
    assert snapshot(tmp_path) is not None
    assert snapshot(tmp_path) is None, "nothing new"
    assert snapshot(tmp_path, upto_seq=journal.durable_seq) is not None
    found = latest_snapshot(tmp_path, 3)
    assert found is not None and found.seq == COUNT
    assert OPS.load_state(found.payload) == [COUNT, COUNT * (COUNT + 1) // 2]


def test_a_snapshot_whose_state_has_another_hash_is_not_built_upon(journal: Journal, tmp_path: Path) -> None:
    write_snapshot(tmp_path, 5, 3, b"[5, 15]", b"5-16")
    with pytest.raises(ValueError, match="state hash"):
        snapshot(tmp_path)


def test_a_journal_that_ends_before_its_snapshot_is_refused(journal: Journal, tmp_path: Path) -> None:
    journal.close()
    write_snapshot(tmp_path, COUNT + 5, 3, b"", b"")
    with pytest.raises(CorruptJournal, match=f"record {COUNT + 5} is known"):
        Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL)
    assert not verify(tmp_path).ok


def test_archiving_needs_two_snapshots_and_stops_at_the_floor(journal: Journal, tmp_path: Path) -> None:
    assert archive_segments(tmp_path, floor_seq=COUNT) == []
    write_snapshot(tmp_path, 30, 3, b"", b"")
    assert archive_segments(tmp_path, floor_seq=COUNT) == []
    write_snapshot(tmp_path, 50, 3, b"", b"")
    assert archive_segments(tmp_path, floor_seq=5) == []
    made = archive_segments(tmp_path, floor_seq=COUNT)
    assert made
    last = [segment.last_seq for segment in read_layout(tmp_path).archived]
    assert 0 < max(last) <= 30
    assert read_layout(tmp_path).live[0].first_seq == max(last) + 1


def test_archived_records_read_in_process_and_after_a_restart(journal: Journal, tmp_path: Path) -> None:
    for seq in (50, 55):
        write_snapshot(tmp_path, seq, 3, b"", b"")
    reader = JournalReader(tmp_path)
    started = reader.read()
    first = next(started)
    archive_segments(tmp_path, floor_seq=COUNT)
    assert [first[0]] + [seq for seq, _ in started] == list(range(1, COUNT + 1)), "a read under way goes on"
    assert [seq for seq, _ in journal.read(3)] == list(range(3, COUNT + 1))
    journal.close()
    again = Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL)
    assert again.last_seq == COUNT
    assert [payload.split(b":")[0] for _, payload in again.read()] == [b"%d" % seq for seq in range(1, COUNT + 1)]
    again.close()
    result = verify(tmp_path)
    assert result.ok and result.records == COUNT and any(check.archived for check in result.segments)


def test_a_damaged_archive_is_told(journal: Journal, tmp_path: Path) -> None:
    for seq in (50, 55):
        write_snapshot(tmp_path, seq, 3, b"", b"")
    path = archive_segments(tmp_path, floor_seq=COUNT)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(CorruptJournal, match=path.name):
        list(JournalReader(tmp_path).read())
    assert verify(tmp_path).file == str(path)


def test_a_damaged_segment_is_not_archived(journal: Journal, tmp_path: Path) -> None:
    for seq in (50, 55):
        write_snapshot(tmp_path, seq, 3, b"", b"")
    first = read_layout(tmp_path).live[0]
    data = bytearray(first.path.read_bytes())
    data[1000] ^= 1
    first.path.write_bytes(data)
    with pytest.raises(CorruptJournal):
        archive_segments(tmp_path, floor_seq=COUNT)
    assert first.path.exists() and read_layout(tmp_path).archived == []


def test_what_was_taken_out_of_the_archive_is_told_with_what_is_there(journal: Journal, tmp_path: Path) -> None:
    for seq in (50, 55):
        write_snapshot(tmp_path, seq, 3, b"", b"")
    made = archive_segments(tmp_path, floor_seq=COUNT)
    assert len(made) > 1
    made[0].unlink()
    with pytest.raises(JournalGap, match="record 1 is not kept") as gap:
        list(journal.read())
    assert next(iter(journal.read(gap.value.kept_from)))[0] == gap.value.kept_from


def test_the_snapshotter_command(journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "snapshot_test_ops", sys.modules[__name__])
    arguments = [str(tmp_path), "--ops", "snapshot_test_ops:OPS"]
    first = CliRunner().invoke(snapshotter.main, [*arguments, "--upto", "40"])
    assert first.exit_code == 0, first.output
    second = CliRunner().invoke(snapshotter.main, [*arguments, "--upto", str(COUNT)])
    result = msgspec.json.decode(second.output)
    assert result["snapshot"].endswith(f"{COUNT:020d}.snap") and result["archived"]
    bad = CliRunner().invoke(snapshotter.main, [str(tmp_path), "--ops", "no.such:thing"])
    assert bad.exit_code == 2 and "expected module:attribute" in bad.output


class _SmallDisk(Disk):
    """ENOSPC once a file has 8 KiB."""

    def pwrite(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        room = (8 << 10) - offset
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().pwrite(fd, data[:room], offset)


def test_a_snapshot_that_fails_leaves_nothing(tmp_path: Path) -> None:
    for seq in range(1, 4):
        with pytest.raises(OSError, match="No space left"):
            write_snapshot(tmp_path, seq, 3, bytes(16 << 10), b"h", disk=_SmallDisk())
    assert not list((tmp_path / "snapshots").iterdir())


def test_a_start_removes_what_was_left_half_written(tmp_path: Path) -> None:
    first = Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL)
    first.append(1, b"x")
    first.commit()
    first.close()
    write_snapshot(tmp_path, 1, 3, b"", b"")
    left = [tmp_path / name for name in ("x.tmp", "snapshots/1.snap.tmp", "archive/1-2.seg.gz.tmp", "cut/1.bin.tmp")]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    journal = Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL)
    try:
        assert journal.wait_ready(30)
        assert not list(tmp_path.rglob("*.tmp"))
        assert [path.name for path in (tmp_path / "snapshots").iterdir()] == [f"{1:020d}.snap"]
    finally:
        journal.close()


def test_a_snapshot_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it would leave less than its own size it is not begun: the room is for reports of fills and cancels."""
    free = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((1, 1, *free[2:4], 20_000, *free[5:])))
    with pytest.raises(OSError, match=r"No space left.*20000 bytes free, expected 20240 or more.*0001.snap"):
        write_snapshot(tmp_path, 1, 3, bytes(10_055), b"h")
    assert not list((tmp_path / "snapshots").iterdir())
    write_snapshot(tmp_path, 1, 3, bytes(9_000), b"h")


class _Snapshotter(Housekeeping):
    """Its snapshotter is a shell script; there is no follower."""

    script = ""
    spawned = 0

    def _spawn(self, output: object, module: str, *args: str, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        if module.endswith("follower"):
            return subprocess.Popen(["sleep", "60"])
        self.spawned += 1
        return subprocess.Popen(["sh", "-c", self.script, "sh", *args])


def _keeper(journal: Journal, tmp_path: Path, script: str) -> _Snapshotter:
    keeper = _Snapshotter(
        journal, tmp_path / "p.db", tmp_path / "h.log", every=1, schema_version=3, archive=True, tell=lambda *_: None
    )
    keeper.script = f'mkdir -p "$1/snapshots"; echo half > "$1/snapshots/$3.snap.tmp"; {script}'
    return keeper


def _until(condition: object, what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


@pytest.mark.parametrize("end", ["exit 1", "kill -9 $$"])
def test_housekeeping_clears_up_after_a_failed_snapshot_and_waits(
    journal: Journal, tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping_module, "CHECK_S", 0.01)
    monkeypatch.setattr(housekeeping_module, "SNAPSHOT_RETRY_S", 0.5)
    keeper = _keeper(journal, tmp_path, end)
    began = time.monotonic()
    keeper.start()
    try:
        _until(lambda: keeper.spawned == 2, "the snapshot was not tried again")
        assert time.monotonic() - began >= 0.5
    finally:
        keeper.stop()
    assert not list((tmp_path / "snapshots").iterdir())


def test_a_snapshot_of_another_schema_is_none_that_a_start_could_use(tmp_path: Path) -> None:
    for seq, schema_version in ((10, 3), (20, 3), (30, 2)):
        write_snapshot(tmp_path, seq, schema_version, b"state", b"hash", keep=4)
    assert newest_seq(tmp_path, 3) == 20 and newest_seq(tmp_path, 2) == 30 and newest_seq(tmp_path, 4) == 0
    (tmp_path / "snapshots" / f"{40:020d}.snap").write_bytes(b"short")
    assert newest_seq(tmp_path, 3) == 20


@pytest.mark.parametrize(("schema_version", "spawned"), [(3, 0), (2, 1)])
def test_housekeeping_does_not_count_the_snapshots_of_an_older_build(
    journal: Journal, tmp_path: Path, schema_version: int, spawned: int
) -> None:
    """Else each start would read the whole journal until there are as many records again."""
    write_snapshot(tmp_path, COUNT, schema_version, b"state", b"hash")
    keeper = _keeper(journal, tmp_path, "exit 0")
    with open(os.devnull, "ab") as output:
        keeper._look_after_snapshots(output)
    assert keeper.spawned == spawned
    if keeper._snapshotter is not None:
        keeper._snapshotter.wait(timeout=30)


def test_a_log_that_cannot_be_cut_keeps_no_snapshot_from_being_made(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(housekeeping_module, "CHECK_S", 0.01)
    monkeypatch.setattr(housekeeping_module, "LOG_BYTES", -1)
    monkeypatch.setattr(os, "ftruncate", refuse)
    keeper = _keeper(journal, tmp_path, "exit 1")
    keeper.start()
    try:
        _until(lambda: keeper.spawned, "no snapshot was begun")
    finally:
        monkeypatch.undo()
        keeper.stop()


def test_what_housekeeping_s_processes_say_is_bounded(journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping_module, "CHECK_S", 0.01)
    keeper = _keeper(journal, tmp_path, "exit 0")
    (tmp_path / "h.log").write_bytes(b"x" * 100 + b"\n")
    monkeypatch.setattr(housekeeping_module, "LOG_BYTES", 100, raising=False)
    keeper.start()
    try:
        _until(lambda: (tmp_path / "h.log").stat().st_size == 0, "the log was not cut")
    finally:
        keeper.stop()


def test_housekeeping_clears_up_when_it_stops_in_a_snapshot(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping_module, "CHECK_S", 0.01)
    keeper = _keeper(journal, tmp_path, "exec sleep 60")
    keeper.start()
    _until(lambda: list(tmp_path.glob("snapshots/*.tmp")), "the snapshotter did not start")
    keeper.stop()
    assert not list((tmp_path / "snapshots").iterdir())
