"""Everything that can go wrong with a journal, each as its own type."""

from __future__ import annotations

from pathlib import Path


class JournalError(Exception):
    """Base of all journal errors."""


class JournalLocked(JournalError):
    """Another process owns this journal."""

    def __init__(self, path: Path, pid: int | None) -> None:
        self.path, self.pid = path, pid
        holder = f"process {pid}" if pid is not None else "an unknown process"
        super().__init__(f"journal {path} is in use by {holder}: stop it first, only one writer may run")


class JournalDiskError(JournalError):
    """The disk does not let the journal be opened: no room, no right to write, an I/O error. Nothing is known to be damaged."""


class CorruptJournal(JournalError):
    """What was once durable is damaged or missing. Names the file and the byte offset; nothing was changed."""

    def __init__(self, path: Path, offset: int, reason: str) -> None:
        self.path, self.offset, self.reason = path, offset, reason
        super().__init__(f"journal is damaged: {path} at byte {offset}: {reason}")


class JournalGap(JournalError):
    """Records were asked for that this folder no longer holds: they were moved away. `kept_from`: the oldest one here."""

    def __init__(self, wanted: int, kept_from: int, where: str) -> None:
        self.kept_from = kept_from
        super().__init__(f"record {wanted} {where}")


class RecordTooBig(JournalError):
    """One record is longer than the limit; nothing was buffered."""


class JournalBusy(JournalError):
    """The group buffer is full; nothing was buffered. Not fatal: refuse the command, or commit and try again."""


class JournalFailed(JournalError):
    """Fatal: a write or a sync failed, or no space is left at all. Never retried; every later call raises it too."""
