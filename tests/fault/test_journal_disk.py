"""A disk that fills up, fails or is slow: what the journal says, what it still takes, and that nothing acknowledged is lost."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from fixgw.journal.disk import Disk
from fixgw.journal.errors import CorruptJournal, JournalError, JournalFailed
from fixgw.journal.store import Journal

SMALL = 8192
PAYLOAD = b"p" * 500


class FaultyDisk(Disk):
    """Fails on demand; counts what was tried."""

    def __init__(self) -> None:
        self.no_space = False
        self.sync_error = self.write_error = self.alloc_error = 0
        self.syncs = self.writes = self.allocations = 0
        self.gate: threading.Event | None = None
        self.entered = threading.Event()

    def _reserve(self, fd: int, size: int) -> None:
        self.allocations += 1
        if self.no_space:
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.alloc_error:
            raise OSError(self.alloc_error, "allocation failed")
        super()._reserve(fd, size)

    def write_atomic(self, path: Path, data: bytes) -> None:
        if self.no_space:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write_atomic(path, data)

    def pwrite(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        self.writes += 1
        if self.write_error:
            raise OSError(self.write_error, "write failed")
        return super().pwrite(fd, data, offset)

    def fdatasync(self, fd: int) -> None:
        self.syncs += 1
        if self.sync_error:
            raise OSError(self.sync_error, "sync failed")
        if self.gate is not None:
            self.entered.set()
            assert self.gate.wait(30)
        super().fdatasync(fd)


def put(journal: Journal, count: int) -> None:
    for _ in range(count):
        journal.append(journal.last_seq + 1, PAYLOAD)
        journal.commit()


def seqs(journal: Journal) -> list[int]:
    return [seq for seq, _ in journal.read()]


def test_full_disk_sets_the_flag_uses_the_reserve_and_clears_when_space_is_back(tmp_path: Path) -> None:
    disk, told, changed = FaultyDisk(), [], threading.Event()

    def on_full(full: bool) -> None:
        told.append(full)
        changed.set()

    journal = Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL, disk=disk, retry_s=0.01, on_full=on_full)
    put(journal, 1)
    assert journal.wait_ready(30) and not journal.full
    disk.no_space = True
    put(journal, 20)  # into the spare; the next spare cannot be made
    assert changed.wait(30) and journal.full
    put(journal, 15)  # the spare is used up too: this is the reserve
    assert journal.last_seq == journal.durable_seq == 36
    assert journal.full
    changed.clear()
    disk.no_space = False
    assert changed.wait(30) and not journal.full
    assert told == [True, False]
    put(journal, 60)
    assert seqs(journal) == list(range(1, 97))
    journal.close(clean=True)
    again = Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL)
    assert again.last_seq == 96 and again.was_clean
    again.close()


def test_when_the_reserve_is_used_up_too_the_journal_fails_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    disk = FaultyDisk()
    journal = Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL, disk=disk, retry_s=0.01)
    assert journal.wait_ready(30)
    disk.no_space = True
    with pytest.raises(JournalFailed, match="reserve"):
        put(journal, 200)
    acknowledged = journal.durable_seq
    assert acknowledged > 2 * (SMALL // (len(PAYLOAD) + 24)) - 2
    journal.close(clean=True)
    again = Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL)
    assert not again.was_clean
    assert seqs(again) == list(range(1, acknowledged + 1))
    again.close()


def test_a_start_on_a_full_disk_is_possible_and_says_full(tmp_path: Path) -> None:
    first = Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL)
    put(first, 3)
    assert first.wait_ready(30)
    first.close()
    for path in sorted(tmp_path.glob("*.seg"))[1:]:
        if not any(path.read_bytes()):
            path.unlink()
    disk = FaultyDisk()
    disk.no_space = True
    told = threading.Event()
    journal = Journal.open(
        tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL, disk=disk, retry_s=0.01, on_full=lambda full: told.set()
    )
    assert told.wait(30) and journal.full
    assert journal.epoch == first.epoch + 1
    put(journal, 2)
    assert seqs(journal) == [1, 2, 3, 4, 5]
    journal.close()


def test_a_new_journal_on_a_full_disk_is_refused_with_the_reason(tmp_path: Path) -> None:
    disk = FaultyDisk()
    disk.no_space = True
    with pytest.raises(JournalError, match="No space left"):
        Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL, disk=disk)


@pytest.mark.parametrize("fault", ["sync_error", "write_error"])
def test_a_failed_write_or_sync_is_final_and_never_tried_again(tmp_path: Path, fault: str) -> None:
    disk = FaultyDisk()
    journal = Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL, disk=disk)
    put(journal, 2)
    assert journal.wait_ready(30)
    setattr(disk, fault, errno.EIO)
    journal.append(3, PAYLOAD)
    with pytest.raises(JournalFailed, match="failed"):
        journal.commit()
    setattr(disk, fault, 0)
    syncs, writes = disk.syncs, disk.writes
    for call in (lambda: journal.append(4, PAYLOAD), journal.commit, lambda: journal.subscribe(2, 0.0), journal.read):
        with pytest.raises(JournalFailed):
            call()
    assert (disk.syncs, disk.writes) == (syncs, writes)
    assert journal.durable_seq == 2
    journal.close(clean=True)
    again = Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL)
    assert not again.was_clean and again.last_seq in (2, 3)
    assert seqs(again)[:2] == [1, 2]
    again.close()


def test_a_failed_sync_wakes_those_who_wait(tmp_path: Path) -> None:
    disk = FaultyDisk()
    journal = Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL, disk=disk)
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            journal.subscribe(0, 30.0)
        except JournalFailed as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    disk.sync_error = errno.EIO
    journal.append(1, PAYLOAD)
    with pytest.raises(JournalFailed):
        journal.commit()
    thread.join(30)
    assert len(caught) == 1
    journal.close()


def test_an_io_error_while_preallocating_is_final(tmp_path: Path) -> None:
    disk = FaultyDisk()
    journal = Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL, disk=disk)
    put(journal, 1)
    assert journal.wait_ready(30)
    disk.alloc_error = errno.EIO
    with pytest.raises(JournalFailed):
        put(journal, 100)
        pytest.fail("an I/O error was not noticed")
    journal.close()


def test_appends_go_on_while_a_sync_hangs_and_nothing_of_them_is_durable(tmp_path: Path) -> None:
    disk = FaultyDisk()
    journal = Journal.open(tmp_path, segment_bytes=1 << 16, reserve_bytes=SMALL, disk=disk)
    disk.gate = threading.Event()
    journal.append(1, PAYLOAD)
    thread = threading.Thread(target=journal.commit)
    thread.start()
    assert disk.entered.wait(30)
    for seq in range(2, 50):
        journal.append(seq, PAYLOAD)
    assert journal.durable_seq == 0 and journal.last_seq == 49
    assert list(journal.read()) == []
    disk.gate.set()
    assert journal.commit() == 49
    thread.join(30)
    assert seqs(journal) == list(range(1, 50))
    journal.close()


def test_a_short_write_is_continued(tmp_path: Path) -> None:
    class Short(FaultyDisk):
        def pwrite(self, fd: int, data: bytes | memoryview, offset: int) -> int:
            return super().pwrite(fd, bytes(data)[:100], offset)

    journal = Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL, disk=Short())
    put(journal, 5)
    assert seqs(journal) == [1, 2, 3, 4, 5]
    journal.close()


def test_records_lost_after_a_clean_stop_are_corruption_not_a_torn_tail(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL)
    put(journal, 3)
    journal.close(clean=True)
    used = tmp_path / "00000001.seg"
    data = bytearray(used.read_bytes())
    start = 64 + 2 * (24 + len(PAYLOAD))
    data[start:] = bytes(len(data) - start)
    used.write_bytes(data)
    with pytest.raises(CorruptJournal, match="record 3 is known to have been durable") as caught:
        Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL)
    assert caught.value.offset == start


_LOST = b"q" * 3000


class _Dies(FaultyDisk):
    """Notes that _LOST was synced; with `dying` the process ends before the sync."""

    def __init__(self) -> None:
        super().__init__()
        self.dying = False
        self.found_synced = False

    def fdatasync(self, fd: int) -> None:
        if self.dying:
            raise OSError(errno.EIO, "dies here")
        super().fdatasync(fd)
        self.found_synced |= _LOST in os.pread(fd, 1 << 16, 0)


def test_what_a_killed_run_did_not_sync_is_synced_before_more_is_written(tmp_path: Path) -> None:
    """kill -9 between write and sync, then a power cut in the first group of the next run: no hole may lie in between."""
    disk = _Dies()
    journal = Journal.open(tmp_path, segment_bytes=1 << 16, disk=disk)
    put(journal, 1)
    journal.commit()
    disk.dying = True
    journal.append(2, _LOST)
    with pytest.raises(JournalFailed):
        journal.commit()
    journal.close()
    disk = _Dies()
    journal = Journal.open(tmp_path, segment_bytes=1 << 16, disk=disk)
    assert journal.last_seq == 2 and disk.found_synced
    journal.close()


def test_who_is_told_that_there_is_room_may_commit_over_many_segments(tmp_path: Path) -> None:
    """The gateway answers with a command, and who submits one leads the commits of others too."""
    disk, done = FaultyDisk(), threading.Event()
    slowest: list[float] = []

    def on_full(full: bool) -> None:
        if full:
            return
        for _ in range(6):
            began = time.monotonic()
            journal.append(journal.last_seq + 1, b"x" * 3000)
            journal.commit()
            slowest.append(time.monotonic() - began)
        done.set()

    journal = Journal.open(tmp_path, segment_bytes=SMALL, reserve_bytes=SMALL, disk=disk, retry_s=0.01, on_full=on_full)
    assert journal.wait_ready(30)
    disk.no_space = True
    for seq in range(1, 4):
        journal.append(seq, b"x" * 3000)
        journal.commit()
    deadline = time.monotonic() + 10
    while not journal.full:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    disk.no_space = False
    assert done.wait(25)
    assert max(slowest) < 5, slowest
    assert journal.durable_seq == 9 and journal.failed is None
    journal.close()
