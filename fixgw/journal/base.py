"""The journal's interface: the only thing that the engine knows of it.

Rules
- One writer. `open` takes the lease (embedded: a file lock and a raised epoch), `close` gives it back.
- `append` buffers and never waits for a disk; `commit` makes everything buffered durable. Nothing may leave the
  process because of record n before `durable_seq >= n`.
- Records are opaque bytes with gapless sequence numbers from 1.
- `full` is a state, not an error: refuse new orders, keep appending fills and cancels. `JournalFailed` is final.

Nothing here assumes a local file, so that PostgreSQL can stand behind the same Protocol. Left out of the embedded form,
because one process owns every limit: reserve(key, amount, cap, dedupe_id) and release(key, dedupe_id), which a shared
journal needs for limits spent by many nodes; partitions, which are a field of the record here; and the renewal of the
lease, which the kernel's file lock makes needless.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class JournalStore(Protocol):
    """See the module's docstring. All sequences are int >= 1; 0 means "none yet"."""

    @property
    def epoch(self) -> int:
        """Raised and made durable at each open: part of every id, so that no two runs can make the same one."""

    @property
    def install_id(self) -> str:
        """Five characters of A-Z and 0-9, random, made once per installation."""

    @property
    def last_seq(self) -> int:
        """Sequence of the last appended record, durable or not."""

    @property
    def durable_seq(self) -> int:
        """Sequence of the last durable record."""

    @property
    def full(self) -> bool:
        """True: space is short, refuse new orders; the reserve still takes fills and cancels."""

    @property
    def was_clean(self) -> bool:
        """How the last run ended: True after close(clean=True), or when there was no last run."""

    @property
    def boot_id_changed(self) -> bool:
        """True if the machine has started anew since the last run (unsynced data of that run may be gone)."""

    def check(self, seq: int, payload: bytes) -> None:
        """Raises RecordTooBig for a record that append would never take."""

    def append(self, seq: int, payload: bytes) -> None:
        """Buffer one record; seq must be last_seq + 1. Raises RecordTooBig, JournalBusy, JournalFailed, ValueError."""

    def commit(self) -> int:
        """Make everything buffered so far durable; returns durable_seq. Raises JournalFailed."""

    def read(self, from_seq: int = 1) -> Iterator[tuple[int, bytes]]:
        """Durable records from from_seq to the durable_seq of this moment. Raises CorruptJournal, JournalGap."""

    def subscribe(self, after_seq: int, timeout_s: float) -> int:
        """Wait until durable_seq > after_seq or the time is over; returns durable_seq. Raises JournalFailed."""

    def close(self, *, clean: bool = False) -> None:
        """Give the lease back. clean=True commits, and marks that this run ended in order."""
