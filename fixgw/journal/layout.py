"""Which segments a journal folder holds: live ones (told by their headers), archived ones (told by their names),
others.

00000001.seg ...                       live; numbered in order of making, ordered by the first sequence in the header
archive/<first>-<last>.seg.gz          sealed, below every kept snapshot
snapshots/<seq>.snap                   see snapshot.py
cut/<segment>-<offset>-<time>.bin      bytes of unfinished writes that a start has cut, kept as evidence
"""

from __future__ import annotations

import gzip
import logging
import os
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .errors import CorruptJournal
from .segment import HEADER_BYTES, Header, decode_header

log = logging.getLogger(__name__)

_ARCHIVED: Final = re.compile(r"(\d{20})-(\d{20})\.seg\.gz")
_SNAPSHOT: Final = re.compile(r"(\d{20})\.snap")


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment in use. last_seq is known only for archived ones (0 = not told by the name)."""

    path: Path
    header: Header
    size: int
    last_seq: int = 0

    @property
    def archived(self) -> bool:
        return self.path.suffix == ".gz"

    @property
    def first_seq(self) -> int:
        return self.header.first_seq

    def read(self) -> bytes:
        """The whole file, decompressed. Raises CorruptJournal if an archive cannot be, FileNotFoundError if it was
        moved."""
        if not self.archived:
            return self.path.read_bytes()
        try:
            with gzip.open(self.path, "rb") as file:
                return file.read()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise CorruptJournal(self.path, 0, f"archive cannot be decompressed: {error}") from error


@dataclass(slots=True)
class Layout:
    """live and archived in order of sequence; unused: *.seg files without a valid header, in order of number."""

    live: list[Segment] = field(default_factory=list)
    archived: list[Segment] = field(default_factory=list)
    unused: list[Path] = field(default_factory=list)

    @property
    def next_number(self) -> int:
        """The next free number for a segment file."""
        names = [segment.path for segment in self.live] + self.unused
        return max((int(path.stem) for path in names if path.stem.isdigit()), default=0) + 1


def read_header(path: Path) -> Header | None:
    """None if the first bytes are no valid header. Raises CorruptJournal for an unknown format."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return decode_header(os.pread(fd, HEADER_BYTES, 0))
    except ValueError as error:
        raise CorruptJournal(path, 0, str(error)) from None
    finally:
        os.close(fd)


def read_layout(directory: Path) -> Layout:
    """List a journal folder. A file that disappears meanwhile (archived) is looked for in the archive, which is
    listed last."""
    layout = Layout()
    for path in sorted(directory.glob("*.seg")):
        try:
            header, size = read_header(path), path.stat().st_size
        except FileNotFoundError:
            continue
        if header is None:
            layout.unused.append(path)
        else:
            layout.live.append(Segment(path, header, size))
    layout.live.sort(key=lambda segment: segment.first_seq)
    lived = {segment.first_seq for segment in layout.live}
    for path in sorted((directory / "archive").glob("*.seg.gz")):
        match = _ARCHIVED.fullmatch(path.name)
        if match is None or int(match[1]) in lived:  # both exist after a crash between archiving and removing
            continue
        header = Header(int(match[1]), 0, 0, "", 0)
        layout.archived.append(Segment(path, header, path.stat().st_size, int(match[2])))
    return layout


def remove_leftovers(directory: Path, *, start: bool) -> None:
    """Remove what a killed process has left half written: that of the snapshotter, while none is at work, and at the start
    of the writer everything. What cannot be removed is told and stays."""
    for pattern in ("snapshots/*.tmp", "archive/*.tmp", *(("*.tmp", "cut/*.tmp") if start else ())):
        for left in directory.glob(pattern):
            try:
                left.unlink(missing_ok=True)
            except OSError as error:
                log.warning("journal: leftover %s cannot be removed: %s", left, error.strerror)


def snapshot_files(directory: Path) -> list[tuple[int, Path]]:
    """(seq, path) of every snapshot, newest first, not looked into."""
    found = [
        (int(match[1]), path) for path in (directory / "snapshots").glob("*.snap") if (match := _SNAPSHOT.fullmatch(path.name))
    ]
    return sorted(found, reverse=True)
