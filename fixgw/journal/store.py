"""The embedded journal: one writer, segment files, group commit.

Threads. `append` is for the holder of the engine lock and only buffers. `commit` takes the buffered group, writes it
with one pwrite and syncs it; meanwhile (the GIL is released in the sync) others go on appending to the next group,
and a second caller of commit waits for the first. The preallocator makes segments in its own thread; followers wait
in `subscribe`.

Sync modes. "commit": fdatasync before durable_seq moves, survives a power cut. "os": written to the kernel, survives
the death of the process; full segments are synced in the background. (fdatasync and O_DSYNC measured the same on
preallocated files; fdatasync lets both modes share one descriptor.)

After the first failed write or sync everything raises JournalFailed: nobody knows what the disk holds, so the process
must end and recover from what it finds. See base.py for the interface and what the embedded form leaves out.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from .disk import Disk
from .errors import JournalBusy, JournalDiskError, JournalError, JournalFailed, RecordTooBig
from .identity import (
    RunMark,
    boot_id,
    check_directory,
    make_install_id,
    raise_epoch,
    read_install_id,
    read_run,
    take_lock,
    write_run,
)
from .layout import read_layout, remove_leftovers
from .prealloc import Preallocator, Slot
from .reader import JournalReader
from .recover import Cut, Recovered, durable_floor, recover
from .segment import HEADER_BYTES, MAX_RECORD_BYTES, RECORD_BYTES, Header, encode_header, encode_record, make_salt

log = logging.getLogger(__name__)

SyncMode = Literal["commit", "os"]
SEGMENT_BYTES: Final = 64 << 20
RESERVE_BYTES: Final = 4 << 20
_MIN_FILE_BYTES: Final = 4096
_MAX_BUFFER_BYTES: Final = 128 << 20
_MAX_BUFFER_RECORDS: Final = 65_536
_SPARE_WAIT_S: Final = 10.0


class Journal:
    """Make one with Journal.open. Implements base.JournalStore; every method is safe to call from any thread."""

    def __init__(self, directory: Path, sync: SyncMode, disk: Disk, lock: int, now_ns: Callable[[], int]) -> None:
        self._directory, self._sync, self._disk, self._lock, self._now_ns = directory, sync, disk, lock, now_ns
        self._mutex = threading.Lock()  # guards the buffer
        self._leads = threading.Lock()  # guards durable_seq and who leads
        self._progress = threading.Condition(self._leads)
        self._leading = False
        self._buffer: list[bytes] = []
        self._buffer_bytes = 0
        self._failed: JournalFailed | None = None
        self._closed = False
        self._current: Slot | None = None
        self._offset = 0
        self._pending_header: bytes | None = None
        self._max_record = MAX_RECORD_BYTES
        self._prealloc: Preallocator
        self._syncing: threading.Thread | None = None
        self._full_callback: Callable[[bool], None] | None = None
        self._last_seq = self._durable_seq = 0
        self.epoch, self.install_id, self._salt = 0, "", 0
        self.was_clean, self.boot_id_changed = True, False
        self.last_sync: SyncMode = sync  # of the last run
        self._run_before: RunMark | None = None
        self.cuts: list[Cut] = []  # what this start had to cut

    @classmethod
    def open(
        cls,
        directory: str | Path,
        *,
        sync: SyncMode = "commit",
        segment_bytes: int = SEGMENT_BYTES,
        reserve_bytes: int = RESERVE_BYTES,
        check_from_seq: int = 0,
        now_ns: Callable[[], int] = time.time_ns,
        retry_s: float = 1.0,
        on_full: Callable[[bool], None] | None = None,
        on_record: Callable[[int, bytes], object] | None = None,
        disk: Disk | None = None,
    ) -> Journal:
        """Take the folder, check what is there, mend an unfinished write, raise the epoch.

        check_from_seq: records below it in sealed segments are not checked now (a snapshot covers them).
        on_record(seq, payload): called with each record that is checked now, in order (see recover.py).
        on_full(bool) is called from a thread of its own when `full` changes; it may append and commit. Raises JournalLocked,
        CorruptJournal, JournalDiskError (folder or disk unusable), ValueError (bad option).
        """
        if sync not in ("commit", "os"):
            raise ValueError(f"sync {sync!r}, expected 'commit' or 'os'")
        for name, value in (("segment_bytes", segment_bytes), ("reserve_bytes", reserve_bytes)):
            if value < _MIN_FILE_BYTES:
                raise ValueError(f"{name} {value}, expected {_MIN_FILE_BYTES} or more")
        disk = disk or Disk()
        path = check_directory(Path(directory), disk)
        lock = -1
        try:
            lock = take_lock(path)
            journal = cls(path, sync, disk, lock, now_ns)
            journal._full_callback = on_full
            journal._max_record = min(MAX_RECORD_BYTES, min(segment_bytes, reserve_bytes) - HEADER_BYTES - RECORD_BYTES)
            journal._start(segment_bytes, reserve_bytes, check_from_seq, retry_s, on_record)
        except BaseException as error:
            if lock >= 0:
                os.close(lock)
            if isinstance(error, OSError):
                raise JournalDiskError(f"journal {path} cannot be opened: {error}") from error
            raise
        return journal

    def _start(
        self,
        segment_bytes: int,
        reserve_bytes: int,
        check_from_seq: int,
        retry_s: float,
        on_record: Callable[[int, bytes], object] | None,
    ) -> None:
        directory, disk = self._directory, self._disk
        remove_leftovers(directory, start=True)
        run = self._run_before = read_run(directory)
        self.was_clean = run is None or run.state == "clean"
        if run is not None and run.sync in ("commit", "os"):
            self.last_sync = "os" if run.sync == "os" else "commit"
        self.boot_id_changed = run is not None and (run.boot_id != boot_id() or run.boot_id == "unknown")
        self.install_id = self._known_install_id()
        self._salt = make_salt(self.install_id)
        holes_ok = run is not None and not self.was_clean and run.sync == "os" and self.boot_id_changed
        found = recover(
            directory,
            disk,
            self.install_id,
            now_ns=self._now_ns(),
            floor_seq=durable_floor(directory),
            holes_ok=holes_ok,
            check_from_seq=check_from_seq,
            on_record=on_record,
        )
        self.cuts, self._last_seq, self._durable_seq = found.cuts, found.last_seq, found.last_seq
        # Above every epoch seen, so that a lost epoch file cannot bring an old one back.
        self.epoch = raise_epoch(
            directory, disk, max([segment.header.epoch for segment in found.layout.live] + [run.epoch if run else 0])
        )
        self._start_files(found, segment_bytes, reserve_bytes, retry_s)
        # Last: from here on records may follow, so the mark of a clean stop must be gone before.
        write_run(directory, disk, self._mark("running", 0))

    def _start_files(self, found: Recovered, segment_bytes: int, reserve_bytes: int, retry_s: float) -> None:
        disk = self._disk
        self._prealloc = Preallocator(
            self._directory,
            disk,
            segment_bytes=segment_bytes,
            reserve_bytes=reserve_bytes,
            next_number=found.next_number,
            retry_s=retry_s,
            on_full=self._on_full,
            on_error=self._on_prealloc_error,
        )
        for path in sorted({*found.layout.unused, *found.zeroed}):
            slot = Slot(path, disk.open(path), path.stat().st_size)
            if not self._prealloc.adopt(slot):
                disk.close(slot.fd)
                path.unlink()
        if found.last is not None:
            self._current = Slot(found.last.path, disk.open(found.last.path), found.last.size)
            self._offset = found.end_offset
            if not self.was_clean:
                self._sync_found(found)
        self._prealloc.start(fresh=found.last is None)

    def _sync_found(self, found: Recovered) -> None:
        """What a run wrote and did not live to sync (kill -9) is on no disk yet. It must be before anything is written behind
        it: a power cut could lose the one and keep the other, which no start could tell from damage. Two segments, for
        that run may have left the one before to a sync in the background."""
        for segment in found.layout.live[-2:]:
            fd = self._disk.open(segment.path)
            try:
                self._disk.fdatasync(fd)
            finally:
                self._disk.close(fd)

    def _known_install_id(self) -> str:
        """From its file; if that was lost, from the segments: a new one would make every checksum wrong."""
        if read_install_id(self._directory) is None:
            live = read_layout(self._directory).live
            if live:
                self._disk.write_atomic(self._directory / "install", f"{live[0].header.install_id}\n".encode())
        return make_install_id(self._directory, self._disk)

    @property
    def last_seq(self) -> int:
        """Sequence of the last appended record, durable or not; 0 before the first."""
        return self._last_seq

    @property
    def durable_seq(self) -> int:
        """Sequence of the last durable record; 0 before the first."""
        return self._durable_seq

    @property
    def full(self) -> bool:
        """True: the disk has no room for the next segment. Refuse new orders; fills and cancels may go on."""
        return self._prealloc.full

    @property
    def failed(self) -> JournalFailed | None:
        """The fatal error, once there was one."""
        return self._failed

    @property
    def directory(self) -> Path:
        return self._directory

    def check(self, seq: int, payload: bytes) -> None:
        """Raises RecordTooBig for a payload that append would not take at any time."""
        if len(payload) > self._max_record:
            raise RecordTooBig(f"record {seq} has {len(payload)} bytes, at most {self._max_record} are allowed")

    def append(self, seq: int, payload: bytes) -> None:
        """Buffer record seq, which must be last_seq + 1. Never touches the disk.

        Raises ValueError (wrong sequence), RecordTooBig, JournalBusy (group buffer full), JournalFailed; then nothing
        changed.
        """
        if self._failed is not None:
            raise self._failed
        self.check(seq, payload)
        with self._mutex:
            if self._closed:
                raise JournalError("journal is closed")
            if seq != self._last_seq + 1:
                raise ValueError(f"record {seq}, expected {self._last_seq + 1}")
            count = len(self._buffer)
            if count >= _MAX_BUFFER_RECORDS or self._buffer_bytes + len(payload) > _MAX_BUFFER_BYTES:
                raise JournalBusy(f"{count} records, {self._buffer_bytes} bytes wait to be committed")
            record = encode_record(self._salt, seq, count, payload)
            self._buffer.append(record)
            self._buffer_bytes += len(record)
            self._last_seq = seq

    def commit(self) -> int:
        """Make everything appended so far durable; returns durable_seq. Raises JournalFailed, for ever after the first time.

        One caller leads: it writes and syncs the whole group. The others wait for their records, not for the lead, so that
        who only waited goes on at once and the next group gathers meanwhile.
        """
        if not self._lead(self._last_seq):
            return self._durable_seq
        try:
            with self._mutex:
                group, size, last_seq = self._buffer, self._buffer_bytes, self._last_seq
                self._buffer, self._buffer_bytes = [], 0
            self._write_group(group, size, last_seq)
        except BaseException as error:
            failed = self._fail("writing records", error)
            self._end_lead()
            raise failed from error
        self._end_lead(last_seq)
        return last_seq

    def _lead(self, target: int | None) -> bool:
        """Wait to become the one who may write: True. False if record `target` became durable meanwhile."""
        with self._leads:
            while True:
                if self._failed is not None:
                    raise self._failed
                if target is not None and self._durable_seq >= target:
                    return False
                if self._closed:
                    raise JournalError("journal is closed")
                if not self._leading:
                    self._leading = True
                    return True
                self._progress.wait()

    def _end_lead(self, durable_seq: int | None = None) -> None:
        with self._leads:
            self._leading = False
            if durable_seq is not None:
                self._durable_seq = durable_seq
            self._progress.notify_all()

    def _write_group(self, group: list[bytes], size: int, last_seq: int) -> None:
        """One write and one sync; one of each per segment if the group does not fit into the current one."""
        first_seq = last_seq - len(group) + 1
        done = 0
        while done < len(group):
            current = self._current
            room = current.size - self._offset if current is not None else 0
            count = len(group) - done
            if size > room:
                count = size = 0
                while done + count < len(group) and size + len(group[done + count]) <= room:
                    size += len(group[done + count])
                    count += 1
            if count:
                self._write(b"".join(group[done : done + count]))
            done += count
            if done < len(group):
                self._roll(first_seq + done)
                size = sum(map(len, group[done:]))

    def _write(self, data: bytes) -> None:
        current = self._current
        assert current is not None
        header = self._pending_header
        if header is not None:  # in the same write as the first records: nothing of a new segment is synced twice
            data, self._pending_header, self._offset = header + data, None, 0
        self._disk.write_all(current.fd, data, self._offset)
        if self._sync == "commit":
            self._disk.fdatasync(current.fd)
        self._offset += len(data)

    def _roll(self, first_seq: int) -> None:
        """Go on in the next segment, which is ready unless the disk is full or far too slow."""
        slot = self._prealloc.take(_SPARE_WAIT_S)
        if slot is None:
            raise OSError("no room left: neither a new segment nor the reserve can take more records")
        old, self._current = self._current, slot
        self._offset = HEADER_BYTES
        self._pending_header = encode_header(Header(first_seq, self._salt, self.epoch, self.install_id, self._now_ns()))
        if old is None:
            return
        if self._sync == "commit":
            self._disk.close(old.fd)
            return
        self._join_syncing()
        self._syncing = threading.Thread(target=self._sync_old, args=(old,), name="journal-sync", daemon=True)
        self._syncing.start()

    def _sync_old(self, old: Slot) -> None:
        try:
            self._disk.fdatasync(old.fd)
            self._disk.close(old.fd)
        except OSError as error:
            self._fail("syncing a full segment", error)

    def _join_syncing(self) -> None:
        if self._syncing is not None:
            self._syncing.join()
            self._syncing = None

    def read(self, from_seq: int = 1) -> Iterator[tuple[int, bytes]]:
        """(seq, payload) of the durable records from from_seq to the durable_seq of this moment; archived ones as well.

        Raises JournalFailed, CorruptJournal, JournalGap. Who follows keeps a JournalReader, which remembers its place.
        """
        if self._failed is not None:
            raise self._failed
        return JournalReader(self._directory).read(from_seq, self._durable_seq, strict=False)

    def subscribe(self, after_seq: int, timeout_s: float) -> int:
        """Wait until durable_seq > after_seq, or timeout_s; returns durable_seq. Raises JournalFailed."""
        with self._progress:
            self._progress.wait_for(lambda: self._durable_seq > after_seq or self._failed is not None or self._closed, timeout_s)
        if self._failed is not None:
            raise self._failed
        return self._durable_seq

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until spare and reserve segment are there; False if not in time."""
        return self._prealloc.wait_ready(timeout_s)

    def close(self, *, clean: bool = False) -> None:
        """Give the folder back. clean=True commits what is buffered and marks the clean stop; a failed journal never
        is clean."""
        if self._closed:
            return
        try:
            if clean and self._failed is None:
                self.commit()
                self._finish()
        finally:
            with self._mutex:
                self._closed = True
            with self._progress:
                self._progress.notify_all()
                self._progress.wait_for(lambda: not self._leading)  # a write under way is let finish
            self._prealloc.stop()
            self._join_syncing()
            if self._current is not None:
                self._disk.close(self._current.fd)
                self._current = None
            os.close(self._lock)

    def close_untouched(self) -> None:
        """Give the folder back with the mark of the run before, so that the next start knows how that one ended; nothing may have
        been appended since the opening. Raises OSError."""
        try:
            if not self._closed and self._failed is None and self._run_before is not None:
                write_run(self._directory, self._disk, msgspec.structs.replace(self._run_before, epoch=self.epoch))
        finally:
            self.close()

    def _finish(self) -> None:
        self._lead(None)
        try:
            self._join_syncing()
            if self._current is not None:
                self._disk.fdatasync(self._current.fd)
            if self._failed is not None:
                raise self._failed
            write_run(self._directory, self._disk, self._mark("clean", self._durable_seq))
        except OSError as error:
            raise self._fail("marking a clean stop", error) from error
        finally:
            self._end_lead()

    def _mark(self, state: str, last_seq: int) -> RunMark:
        return RunMark(
            state=state,
            boot_id=boot_id(),
            sync=self._sync,
            epoch=self.epoch,
            pid=os.getpid(),
            time_ns=self._now_ns(),
            last_seq=last_seq,
        )

    def _on_full(self, full: bool) -> None:
        log.log(
            logging.ERROR if full else logging.INFO,
            "journal: disk %s",
            "full, using the reserve" if full else "has room again",
        )
        if self._full_callback is not None:
            self._full_callback(full)

    def _on_prealloc_error(self, error: OSError) -> None:
        self._fail("preallocating a segment", error)

    def _fail(self, doing: str, error: BaseException) -> JournalFailed:
        """Make the failure final and wake everybody who waits."""
        if self._failed is None:
            self._failed = JournalFailed(f"journal {self._directory}: {doing} failed: {error}; nothing more is accepted")
            self._failed.__cause__ = error
            log.critical("%s", self._failed)
        with self._progress:
            self._progress.notify_all()
        return self._failed
