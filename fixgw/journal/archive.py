"""The archive rule: a sealed segment moves to archive/, compressed, when every kept snapshot and every floor is
beyond it.

Nothing is ever deleted: a delivery cursor may stand anywhere, and a release that reads no older snapshot replays from the
first record on. What is archived still reads through JournalReader.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .disk import Disk
from .errors import CorruptJournal
from .layout import Segment, read_layout, snapshot_files
from .segment import HEADER_BYTES, end_of, scan
from .snapshot import KEEP

_LEVEL: Final = 1  # records are small binary structs: higher levels cost much and win little


def archive_segments(directory: Path, *, floor_seq: int, disk: Disk | None = None) -> list[Path]:
    """Archive what may be archived; returns the new files.

    floor_seq: records above it are still wanted nearby (delivery cursors, the projection). Fewer than two snapshots:
    nothing is archived. A segment is checked before it is compressed; raises CorruptJournal, OSError.
    """
    disk = disk or Disk()
    with _only_one(directory) as free:
        if not free:
            return []
        snapshots = snapshot_files(directory)[:KEEP]
        made = []
        if len(snapshots) == KEEP:
            limit = min(snapshots[-1][0], floor_seq)
            live = read_layout(directory).live
            for segment, following in itertools.pairwise(live):
                if following.first_seq - 1 > limit:
                    break
                made.append(_archive(directory, segment, following.first_seq - 1, disk))
        return made


def _archive(directory: Path, segment: Segment, last_seq: int, disk: Disk) -> Path:
    """Check, compress, sync, rename, read back, and only then remove the original."""
    data = segment.read()
    offset, seq = HEADER_BYTES, segment.first_seq - 1
    for seq, _, end in scan(data, HEADER_BYTES, segment.first_seq, segment.header.salt):  # noqa: B007
        offset = end
    found = end_of(data, offset, seq + 1, segment.header.salt)
    if seq != last_seq or found.kind != "clean":
        raise CorruptJournal(segment.path, offset, found.reason or f"ends with record {seq}, expected {last_seq}")
    folder = directory / "archive"
    if not folder.exists():
        folder.mkdir(mode=0o700)
        disk.sync_dir(directory)
    path = folder / f"{segment.first_seq:020d}-{last_seq:020d}.seg.gz"
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as raw:
            with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=raw, mtime=0) as packed:
                packed.write(memoryview(data)[:offset])
            raw.flush()
            os.fsync(raw.fileno())
        with gzip.open(temporary, "rb") as check:
            if check.read() != data[:offset]:
                raise OSError(f"{temporary}: what was written does not read back the same")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    disk.sync_dir(folder)
    segment.path.unlink()
    return path


@contextlib.contextmanager
def _only_one(directory: Path) -> Iterator[bool]:
    """True for one archiver at a time; another one has nothing to do."""
    fd = os.open(directory / "archive.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)
