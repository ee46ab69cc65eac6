"""`journal verify`: read every segment, archived and live, and say what is there and what is wrong. Changes nothing.

Works beside a running writer: then an unfinished write at the end of the last segment is one that is under way.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .errors import CorruptJournal
from .identity import lock_holder, read_install_id, read_run
from .layout import Segment, read_layout, snapshot_files
from .recover import check_floor, check_headers, check_spares
from .segment import HEADER_BYTES, End, end_of, make_salt, scan
from .snapshot import read_snapshot

_TRIES: Final = 3
_ARCHIVED_MEANWHILE: Final = 4


@dataclass(slots=True)
class SegmentCheck:
    """One segment. state: "ok", "torn" (an unfinished write at the end) or "corrupt"."""

    file: str
    archived: bool
    first_seq: int
    last_seq: int
    records: int
    bytes_used: int
    state: str = "ok"


@dataclass(slots=True)
class Verification:
    """Everything that was found. error, file and offset tell the first damage; notes need nobody to act at once."""

    ok: bool = True
    records: int = 0
    first_seq: int = 0
    last_seq: int = 0
    install_id: str | None = None
    clean_stop: bool = True
    writer_pid: int | None = None
    segments: list[SegmentCheck] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    file: str | None = None
    offset: int | None = None


def verify(directory: Path) -> Verification:
    """Check the journal folder. Raises OSError only; damage is told in the result."""
    for _ in range(_ARCHIVED_MEANWHILE):
        with contextlib.suppress(FileNotFoundError):  # a segment was just being archived: its place is another one
            return _verify(directory)
    return _verify(directory)


def _verify(directory: Path) -> Verification:
    result = Verification(writer_pid=lock_holder(directory))
    try:
        run = read_run(directory)
        result.clean_stop = run is None or run.state == "clean"
        result.install_id = read_install_id(directory)
        _check_segments(directory, result)
        floor = run.last_seq if run is not None and run.state == "clean" else 0
        _check_floor(directory, result, floor)
    except CorruptJournal as error:
        result.ok = False
        result.error, result.file, result.offset = error.reason, str(error.path), error.offset
    return result


def _check_segments(directory: Path, result: Verification) -> None:
    layout = read_layout(directory)
    segments = layout.archived + layout.live
    if segments and result.install_id is None:
        raise CorruptJournal(directory / "install", 0, "the install id is missing, so no checksum can be checked")
    salt = make_salt(result.install_id or "")
    for index, segment in enumerate(segments):
        following = segments[index + 1] if index + 1 < len(segments) else None
        if index and segment.first_seq != result.last_seq + 1:
            check_headers(layout)
            reason = f"segment begins with record {segment.first_seq}, expected {result.last_seq + 1}"
            raise CorruptJournal(segment.path, 0, reason)
        try:
            _check_one(directory, segment, following, salt, result)
        except CorruptJournal as error:
            if error.path == segment.path:
                result.notes.append(_what_a_backup_holds(segment, following))
            raise
    if segments and segments[0].first_seq > 1:
        result.notes.append(f"records 1 to {segments[0].first_seq - 1} are not in this folder")
    spares = check_spares(directory, result.last_seq)
    if result.writer_pid is None:
        for damage in spares:
            result.notes.append(f"{damage.file.name}: unfinished first write of a segment, the next start cuts it")


def _check_one(directory: Path, segment: Segment, following: Segment | None, salt: int, result: Verification) -> None:
    tries = _TRIES if following is None and result.writer_pid is not None else 1
    for _ in range(tries):  # the writer may fill a hole after it was read
        last_seq, offset, end = _scan(segment, salt)
        if end.kind != "corrupt":
            break
    check = SegmentCheck(
        str(segment.path), segment.archived, segment.first_seq, last_seq, last_seq - segment.first_seq + 1, offset
    )
    result.segments.append(check)
    result.first_seq = result.first_seq or segment.first_seq
    result.last_seq, result.records = last_seq, result.records + check.records
    wanted = segment.last_seq if segment.archived else following.first_seq - 1 if following is not None else last_seq
    sealed = following is not None or segment.archived
    if end.kind == "corrupt" or last_seq != wanted or (sealed and end.kind != "clean"):
        check.state = "corrupt"
        if end.kind != "corrupt":
            check_headers(read_layout(directory))
        raise CorruptJournal(segment.path, offset, end.reason or f"ends with record {last_seq}, expected {wanted}")
    if end.kind == "torn":
        check.state = "torn"
        what = "is under way" if result.writer_pid is not None else "stands there: the next start cuts it"
        result.notes.append(f"{segment.path.name} at byte {offset}: an unfinished write {what}")


def _what_a_backup_holds(segment: Segment, following: Segment | None) -> str:
    """Of a damaged segment: files of room prepared in advance look like segments that follow."""
    name = segment.path.name
    if following is not None:
        last_seq = following.first_seq - 1
        behind = f"export --from {following.first_seq} reads what stands behind it"
        return f"{name} was complete with record {last_seq}: any backup made since then holds all of it; {behind}"
    return f"{name} is the last one with records: a backup lacks what came after it (README.md: step 5)"


def _scan(segment: Segment, salt: int) -> tuple[int, int, End]:
    """(last seq, offset behind it, what stands there)."""
    data = segment.read()
    last_seq, offset = segment.first_seq - 1, HEADER_BYTES
    for seq, _, end_offset in scan(data, HEADER_BYTES, segment.first_seq, salt):
        last_seq, offset = seq, end_offset
    return last_seq, offset, end_of(data, offset, last_seq + 1, salt)


def _check_floor(directory: Path, result: Verification, clean_seq: int) -> None:
    """What is known to have been durable must be there; bad snapshots are told."""
    floor = clean_seq
    for seq, path in snapshot_files(directory):
        try:
            read_snapshot(path)
        except (ValueError, OSError) as error:
            result.notes.append(f"snapshot {path.name} is damaged and will be skipped: {error}")
        else:
            floor = max(floor, seq)
    if result.last_seq < floor:
        last = result.segments[-1] if result.segments else None
        where, offset = (Path(last.file), last.bytes_used) if last else (directory, 0)
        check_floor(result.last_seq, floor, where, offset)
