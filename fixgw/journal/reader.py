"""Reading a journal, in the writer's process or in any other, while it is being written.

A reader never writes and takes no lock. Read from another process it ends at the last valid record, which may not be
synced yet: whoever keeps what was read (the projection) must be able to find out after a power cut that it knows too
much.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .errors import CorruptJournal, JournalGap
from .identity import read_install_id
from .layout import Segment, read_layout
from .recover import check_floor, check_headers, check_spares, durable_floor
from .segment import HEADER_BYTES, RECORD_BYTES, end_of, make_salt, needed_bytes, scan

_FIRST_WINDOW: Final = 256 << 10  # a follower mostly wants a few records
_WINDOW: Final = 4 << 20
_TRIES: Final = 5


class JournalReader:
    """Iterates over records. Remembers where the last read ended, so that following costs no search. Not
    thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._resume: tuple[int, Segment, int] | None = None  # next seq, segment, offset

    def read(self, from_seq: int = 1, upto: int | None = None, *, strict: bool = True) -> Iterator[tuple[int, bytes]]:
        """(seq, payload) from from_seq to upto, or to the last valid record.

        strict: judge the bytes behind the last valid record (reads the rest of the segment) and, where the journal itself
        ends, whether it may end there: no segment has lost its header, nothing is missing that is known to have been
        durable. Else only stop there. Raises CorruptJournal naming file and offset; JournalGap if from_seq is older than what is
        kept; ValueError.
        """
        if from_seq < 1:
            raise ValueError(f"from_seq {from_seq}, expected 1 or more")
        wanted, missing, stuck = from_seq, 0, 0
        to_end = strict and upto is None
        floor = durable_floor(self._directory) if to_end else 0  # before the records: a running writer adds to both
        segment: Segment | None = None
        while upto is None or wanted <= upto:
            segment, offset = self._find(wanted, upto)
            if segment is None:
                break
            before = wanted
            start = wanted if offset else segment.first_seq
            try:
                for seq, payload, end in self._records(segment, offset or HEADER_BYTES, start, strict):
                    self._resume = (seq + 1, segment, end)
                    if seq < wanted:
                        continue
                    wanted = seq + 1
                    yield seq, payload
                    if upto is not None and wanted > upto:
                        return
            except FileNotFoundError:  # archived between listing and opening: look again
                self._resume, missing = None, missing + 1
                if missing > _TRIES:
                    raise
                continue
            stuck = stuck + 1 if wanted == before else 0
            if not self._follows(segment, wanted, upto, stuck):
                break
        if to_end:
            self._check_end(segment, floor)

    def _check_end(self, segment: Segment | None, floor: int) -> None:
        """May the journal end here, in `segment`? Raises CorruptJournal."""
        where, offset, last_seq = self._directory, 0, 0
        if segment is not None:
            where, offset, last_seq = segment.path, HEADER_BYTES, segment.first_seq - 1
        if self._resume is not None and self._resume[0] - 1 >= last_seq:
            last_seq, where, offset = self._resume[0] - 1, self._resume[1].path, self._resume[2]
        check_spares(self._directory, last_seq)
        check_floor(last_seq, floor, where, offset)

    def _find(self, wanted: int, upto: int | None) -> tuple[Segment | None, int]:
        """The segment that holds (or would hold) record wanted, and the offset if it is known (else 0)."""
        if self._resume is not None and self._resume[0] == wanted:
            return self._resume[1], self._resume[2]
        segments = self._segments()
        below = [segment for segment in segments if segment.first_seq <= wanted]
        if not below:
            if segments:
                check_headers(read_layout(self._directory))
                first = segments[0].first_seq
                raise JournalGap(wanted, first, f"is not kept any more: the oldest one here is {first}")
            if upto is not None:
                raise CorruptJournal(self._directory, 0, f"record {wanted} was durable, yet there is no segment")
            return None, 0
        return below[-1], 0

    def _follows(self, segment: Segment, wanted: int, upto: int | None, stuck: int) -> bool:
        """After the end of a segment: True to read on, in the next segment or (stuck < 2) once more in this one.

        The list made here is newer than what was read: the writer may have filled this segment and gone on meanwhile.
        """
        later = [other for other in self._segments() if other.first_seq > segment.first_seq]
        if later and later[0].first_seq == wanted:
            self._resume = (wanted, later[0], HEADER_BYTES)
            return True
        if later and later[0].first_seq < wanted:
            first = later[0].first_seq
            raise JournalGap(wanted, first, f"is in no segment: {later[0].path} begins with {first}")
        if not later and upto is None:
            return False
        if stuck < 2:
            return True
        check_headers(read_layout(self._directory))
        at = self._resume[2] if self._resume is not None and self._resume[0] == wanted else HEADER_BYTES
        what = f"the next segment begins with {later[0].first_seq}" if later else f"record {upto} was durable"
        raise CorruptJournal(segment.path, at, f"record {wanted} is missing: {what}")

    def _segments(self) -> list[Segment]:
        layout = read_layout(self._directory)
        return layout.archived + layout.live

    def _records(self, segment: Segment, offset: int, expected: int, strict: bool) -> Iterator[tuple[int, bytes, int]]:
        """Valid records of one segment; the end is judged if strict."""
        if segment.archived:
            data = segment.read()
            salt = self._salt(segment)
            for seq, payload, end in scan(data, offset, expected, salt):
                offset, expected = end, seq + 1
                yield seq, payload, end
            if expected != segment.last_seq + 1:
                raise CorruptJournal(segment.path, offset, f"record {expected} is invalid (offset in the decompressed bytes)")
            return
        salt = segment.header.salt
        fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size, window = os.fstat(fd).st_size, _FIRST_WINDOW
            if not strict and not any(os.pread(fd, 8, offset)):
                return  # the usual case of a follower: nothing new
            while offset + RECORD_BYTES <= size:
                data = os.pread(fd, window, offset)
                start = offset
                for seq, payload, end in scan(data, 0, expected, salt):
                    offset, expected = start + end, seq + 1
                    yield seq, payload, offset
                if offset > start:
                    window = _WINDOW
                    continue
                # no whole record in the window: either a longer one, whose header tells its length, or the end
                wanted = needed_bytes(data, expected)
                if wanted <= window:
                    break
                window = wanted
            if strict:
                yield from self._judge(fd, segment, offset, expected)
        finally:
            os.close(fd)

    def _judge(self, fd: int, segment: Segment, offset: int, expected: int) -> Iterator[tuple[int, bytes, int]]:
        """Read the rest of the file afresh: records written meanwhile are delivered, damage is raised."""
        salt, stuck = segment.header.salt, 0
        for _ in range(_TRIES):
            data = os.pread(fd, max(0, os.fstat(fd).st_size - offset), offset)
            start, before = offset, expected
            for seq, payload, end in scan(data, 0, expected, salt):
                offset, expected = start + end, seq + 1
                yield seq, payload, offset
            found = end_of(data, offset - start, expected, salt, base=start)
            if found.kind != "corrupt":
                return
            # A writer at work may have filled the hole after it was read and gone on: look again.
            stuck = stuck + 1 if expected == before else 0
            if stuck == 2:
                break
        raise CorruptJournal(segment.path, offset, found.reason)

    def _salt(self, segment: Segment) -> int:
        install_id = read_install_id(self._directory)
        if install_id is None:
            raise CorruptJournal(self._directory / "install", 0, f"missing, but {segment.path.name} needs it to be checked")
        return make_salt(install_id)
