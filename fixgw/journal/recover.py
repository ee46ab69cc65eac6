"""What a start does with the files it finds: check them, cut an unfinished write, or refuse and say where.

1. Sealed segments: each must end exactly where the next begins. Their records are checked from check_from_seq on
   (those below a snapshot need not be read to start).
2. The last segment is read to its end; what stands there is judged by segment.end_of.
3. What is known to have been durable (a clean stop, a snapshot) must be there.
Nothing is changed before all of this has passed. Cut bytes are kept in cut/.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .disk import Disk
from .errors import CorruptJournal
from .identity import read_install_id, read_run
from .layout import Layout, Segment, read_layout, snapshot_files
from .segment import HEADER_BYTES, End, decode_header, end_of, last_nonzero, make_salt, scan

log = logging.getLogger(__name__)
_BAD_HEADER: Final = "segment header is damaged, yet data follows it"
_TRIES: Final = 3
_AGAIN_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Cut:
    """Bytes that a start removed: [offset, end) of file, after record after_seq; kept in saved unless that failed."""

    file: Path
    offset: int
    end: int
    after_seq: int
    reason: str
    saved: Path | None


@dataclass(slots=True)
class Recovered:
    """The journal as found. last: the segment to go on with, up to end_offset; None if there is none yet."""

    layout: Layout
    last_seq: int = 0
    last: Segment | None = None
    end_offset: int = HEADER_BYTES
    next_number: int = 1
    zeroed: list[Path] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Damage:
    """A cut that is allowed, but not yet made. after_seq: the record it stands behind."""

    file: Path
    offset: int
    end: int
    after_seq: int
    reason: str


def recover(
    directory: Path,
    disk: Disk,
    install_id: str,
    *,
    now_ns: int,
    floor_seq: int = 0,
    holes_ok: bool = False,
    check_from_seq: int = 0,
    on_record: Callable[[int, bytes], object] | None = None,
) -> Recovered:
    """Check and mend the folder by the rules above. Raises CorruptJournal; then nothing was changed.

    on_record: called with each good record (sequence, payload) of the live segments that are read, so that who needs
    them all need not read them again. What was built of them is void if CorruptJournal is raised later.

    floor_seq: last sequence known to have been durable. holes_ok: the last run did not sync and the machine has
    restarted, so that missing bytes in the last two segments are no corruption.
    """
    layout = read_layout(directory)
    found = Recovered(layout, next_number=layout.next_number)
    salt = make_salt(install_id)
    _check_owner(layout, install_id)
    damages: list[Damage] = []
    if layout.archived:
        found.last_seq = layout.archived[-1].last_seq
    for index, segment in enumerate(layout.live):
        remaining = len(layout.live) - index - 1
        if (index or layout.archived) and segment.first_seq != found.last_seq + 1:
            check_headers(layout)
            reason = f"segment begins with record {segment.first_seq}, expected {found.last_seq + 1}"
            raise CorruptJournal(segment.path, 0, reason)
        if remaining and layout.live[index + 1].first_seq <= check_from_seq:
            found.last_seq = layout.live[index + 1].first_seq - 1
            continue
        if not _check_segment(segment, index, layout, found, salt, damages, holes_ok and remaining < 2, on_record):
            break
    damages += check_unused(layout, found.last_seq, salt, holes_ok)
    where, offset = (found.last.path, found.end_offset) if found.last else (directory, 0)
    check_floor(found.last_seq, floor_seq, where, offset)
    for damage in damages:
        found.cuts.append(_cut(directory, disk, damage, now_ns))
        if damage.offset == 0:
            found.zeroed.append(damage.file)
    layout.live = [segment for segment in layout.live if segment.path not in found.zeroed]
    return found


def _check_owner(layout: Layout, install_id: str) -> None:
    for segment in layout.live:
        if segment.header.install_id != install_id:
            reason = f"segment belongs to installation {segment.header.install_id}, this journal is {install_id}"
            raise CorruptJournal(segment.path, 0, reason)


def _check_segment(
    segment: Segment,
    index: int,
    layout: Layout,
    found: Recovered,
    salt: int,
    damages: list[Damage],
    holes_ok: bool,
    on_record: Callable[[int, bytes], object] | None,
) -> bool:
    """Check one live segment into found; False if the journal ends within it although others follow (only with
    holes_ok)."""
    data = segment.read()
    offset, last_seq = HEADER_BYTES, segment.first_seq - 1
    for seq, payload, end_offset in scan(data, HEADER_BYTES, segment.first_seq, salt):
        offset, last_seq = end_offset, seq
        if on_record is not None:
            on_record(seq, payload)
    end = end_of(data, offset, last_seq + 1, salt)
    followers = layout.live[index + 1 :]
    if end.kind == "corrupt" and not holes_ok:
        raise CorruptJournal(segment.path, offset, end.reason)
    if followers and followers[0].first_seq != last_seq + 1:
        reason = end.reason or f"record {last_seq + 1} is missing"
        if not holes_ok:
            check_headers(layout)
            raise CorruptJournal(segment.path, offset, f"{reason}; the next segment begins with record {followers[0].first_seq}")
        _give_up_rest(segment, followers, last_seq, damages)
        followers = []
    elif followers and end.kind != "clean" and not holes_ok:
        raise CorruptJournal(segment.path, offset, f"{end.reason} in a sealed segment")
    empty = last_seq < segment.first_seq
    if end.kind != "clean" or (empty and not followers):
        # Not one whole record: the header goes too, so that the file is a spare again.
        start = 0 if empty else offset
        damages.append(
            Damage(segment.path, start, max(end.dirty_end, HEADER_BYTES), last_seq, end.reason or "segment without records")
        )
    found.last_seq = last_seq
    if not empty:
        found.last, found.end_offset = segment, offset
    return bool(followers)


def _give_up_rest(segment: Segment, followers: list[Segment], last_seq: int, damages: list[Damage]) -> None:
    for lost in followers:
        data = lost.read()
        damages.append(Damage(lost.path, 0, last_nonzero(data, 0), last_seq, f"behind the hole in {segment.path.name}"))


def check_unused(layout: Layout, last_seq: int, salt: int, holes_ok: bool) -> list[Damage]:
    """Files without a valid header: spares (zero), or one whose first write was not finished, or damage (CorruptJournal).
    One that a running writer has taken into use or removed since it was listed is passed over."""
    damages = []
    for path in layout.unused:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        dirty_end = last_nonzero(data, 0)
        if not dirty_end or decode_header(data) is not None:
            continue
        header_zero = not any(data[:HEADER_BYTES])
        rest_zero = last_nonzero(data, HEADER_BYTES) == HEADER_BYTES
        # A header is written with the first group, in one sector: there is either none of it, or nothing behind it.
        if not header_zero and not rest_zero and not holes_ok:
            raise CorruptJournal(path, 0, _BAD_HEADER)
        end = End("torn", 0, dirty_end) if holes_ok or rest_zero else end_of(data, 0, last_seq + 1, salt)
        if end.kind == "corrupt":
            raise CorruptJournal(path, 0, f"segment header is missing: {end.reason}")
        damages.append(Damage(path, 0, dirty_end, last_seq, "unfinished first write of a segment"))
    return damages


def check_headers(layout: Layout) -> None:
    """Called where records are missing between segments: CorruptJournal if it is because a segment has lost its header."""
    for path in layout.unused:
        data = path.read_bytes() if path.exists() else b""
        if any(data[:HEADER_BYTES]) and last_nonzero(data, HEADER_BYTES) != HEADER_BYTES and decode_header(data) is None:
            raise CorruptJournal(path, 0, _BAD_HEADER)


def check_spares(directory: Path, last_seq: int) -> list[Damage]:
    """check_unused of the folder as it is now, beside a running writer too: what that is just writing is looked at again."""
    for left in reversed(range(_TRIES)):
        layout = read_layout(directory)
        install_id = read_install_id(directory)
        if install_id is None and (layout.live or layout.archived or layout.unused):
            raise CorruptJournal(directory / "install", 0, "the install id is missing, so no checksum can be checked")
        try:
            return check_unused(layout, last_seq, make_salt(install_id or ""), holes_ok=False)
        except CorruptJournal:
            if not left:
                raise
            time.sleep(_AGAIN_S)
    raise AssertionError("unreachable")


def durable_floor(directory: Path) -> int:
    """The last record that is known to have been durable, by a clean stop or the name of a snapshot; 0: nothing is known."""
    run = read_run(directory)
    clean = run.last_seq if run is not None and run.state == "clean" else 0
    return max([clean] + [seq for seq, _ in snapshot_files(directory)[:1]])


def check_floor(last_seq: int, floor: int, where: Path, offset: int) -> None:
    """Raises CorruptJournal if the journal ends (at byte offset of where) before record `floor`."""
    if last_seq < floor:
        reason = f"the journal ends at record {last_seq}, but record {floor} is known to have been durable"
        raise CorruptJournal(where, offset, reason)


def _cut(directory: Path, disk: Disk, damage: Damage, now_ns: int) -> Cut:
    """Keep the bytes as evidence, then zero them durably."""
    with damage.file.open("rb") as file:
        file.seek(damage.offset)
        data = file.read(damage.end - damage.offset)
    folder = directory / "cut"
    saved: Path | None = folder / f"{damage.file.stem}-{damage.offset}-{now_ns}.bin"
    assert saved is not None
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        disk.write_atomic(saved, data)
    except OSError as error:
        # Never acknowledged, so nothing hangs on keeping them; a full disk must not prevent the start.
        log.warning("journal: bytes cut from %s could not be kept: %s", damage.file, error)
        saved = None
    fd = disk.open(damage.file)
    try:
        disk.write_all(fd, bytes(len(data)), damage.offset)
        disk.fdatasync(fd)
    finally:
        disk.close(fd)
    log.warning(
        "journal: cut %d bytes at %s:%d after record %d (%s)",
        len(data),
        damage.file,
        damage.offset,
        damage.after_seq,
        damage.reason,
    )
    return Cut(damage.file, damage.offset, damage.offset + len(data), damage.after_seq, damage.reason, saved)
