"""Snapshots: the state as of a sequence, so that a start needs to read only the records behind it.

File snapshots/<seq>.snap: 64-byte header (magic, format, schema version, seq, lengths, checksum of all that follows and
precedes), the state hash, the payload. Made under another name, synced, then renamed: there is never half a snapshot
under its name. A damaged one, or one of another schema version, is skipped: the journal holds everything anyway. The schema
version is that of whoever wrote the state (core/codec.py): what one build made of the journal is not built upon by another
that makes something else of it.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import google_crc32c

from .disk import Disk
from .layout import read_layout, snapshot_files
from .reader import JournalReader

log = logging.getLogger(__name__)
State = TypeVar("State")

KEEP: Final = 2
_HEADER = struct.Struct("<8sIIQQI24s")  # magic, format, schema version, seq, payload bytes, hash bytes, spare
_MAGIC: Final = b"FIXGWSNP"
_FORMAT: Final = 1
_HEAD_BYTES: Final = _HEADER.size + 4


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State after record seq, as dump_state gave it, and its hash."""

    seq: int
    schema_version: int
    payload: bytes
    state_hash: bytes
    path: Path


def write_snapshot(
    directory: Path,
    seq: int,
    schema_version: int,
    payload: bytes,
    state_hash: bytes,
    *,
    keep: int = KEEP,
    disk: Disk | None = None,
) -> Path:
    """Write snapshots/<seq>.snap durably, then remove all but the newest `keep`. Raises OSError, ValueError."""
    if seq < 1 or keep < 1:
        raise ValueError(f"seq {seq} and keep {keep}, expected 1 or more")
    disk, folder = disk or Disk(), directory / "snapshots"
    if not folder.exists():
        folder.mkdir(mode=0o700)
        disk.sync_dir(directory)
    head = _HEADER.pack(_MAGIC, _FORMAT, schema_version, seq, len(payload), len(state_hash), bytes(24))
    crc = google_crc32c.extend(google_crc32c.extend(google_crc32c.value(head), state_hash), payload)
    path = folder / f"{seq:020d}.snap"
    data = b"".join((head, struct.pack("<I", crc), state_hash, payload))
    _check_room(path, len(data))
    disk.write_atomic(path, data)
    for _, old in snapshot_files(directory)[keep:]:
        old.unlink(missing_ok=True)
    return path


def _check_room(path: Path, size: int) -> None:
    """A snapshot can wait, what clients are told of fills and cancels cannot: it leaves as much room as it takes."""
    found = os.statvfs(path.parent)
    free = found.f_bavail * found.f_frsize
    if free < 2 * size:
        raise OSError(errno.ENOSPC, f"No space left on device: {free} bytes free, expected {2 * size} or more", str(path))


def read_snapshot(path: Path) -> Snapshot:
    """One snapshot, checked. Raises ValueError saying what is wrong, OSError."""
    data = path.read_bytes()
    if len(data) < _HEAD_BYTES:
        raise ValueError(f"{len(data)} bytes, expected {_HEAD_BYTES} or more")
    head = data[: _HEADER.size]
    magic, version, schema_version, seq, payload_bytes, hash_bytes, _ = _HEADER.unpack(head)
    if magic != _MAGIC or version != _FORMAT:
        raise ValueError(f"magic {magic!r} format {version}, expected {_MAGIC!r} format {_FORMAT}")
    if len(data) != _HEAD_BYTES + hash_bytes + payload_bytes:
        raise ValueError(f"{len(data)} bytes, expected {_HEAD_BYTES + hash_bytes + payload_bytes}")
    told = int.from_bytes(data[_HEADER.size : _HEAD_BYTES], "little")
    state_hash, payload = data[_HEAD_BYTES : _HEAD_BYTES + hash_bytes], data[_HEAD_BYTES + hash_bytes :]
    del data
    crc = google_crc32c.extend(google_crc32c.extend(google_crc32c.value(head), state_hash), payload)
    if crc != told:
        raise ValueError("checksum does not match")
    if path.name != f"{seq:020d}.snap":
        raise ValueError(f"holds the state of record {seq}, which its name does not say")
    return Snapshot(seq, schema_version, payload, state_hash, path)


def latest_snapshot(directory: Path, schema_version: int, max_seq: int | None = None) -> Snapshot | None:
    """The newest good snapshot of this schema version at or below max_seq; None if there is none."""
    for seq, path in snapshot_files(directory):
        if max_seq is not None and seq > max_seq:
            continue
        try:
            snapshot = read_snapshot(path)
        except (ValueError, OSError) as error:
            log.warning("journal: snapshot %s is skipped: %s", path, error)
            continue
        if snapshot.schema_version == schema_version:
            return snapshot
        log.warning("journal: snapshot %s is skipped: schema %d, expected %d", path, snapshot.schema_version, schema_version)
    return None


def newest_seq(directory: Path, schema_version: int) -> int:
    """Sequence of the newest snapshot of this schema version by its header, the rest not looked into; 0 = none."""
    for seq, path in snapshot_files(directory):
        # one that cannot be read is as none, one that was removed meanwhile has a newer one
        with contextlib.suppress(OSError, struct.error), path.open("rb") as file:
            magic, version, found, *_ = _HEADER.unpack(file.read(_HEADER.size))
            if (magic, version, found) == (_MAGIC, _FORMAT, schema_version):
                return seq
    return 0


def sealed_seq(directory: Path) -> int:
    """Last sequence of the sealed segments (those that another one follows): never written again. 0 = none."""
    layout = read_layout(directory)
    if layout.live:
        return layout.live[-1].first_seq - 1
    return layout.archived[-1].last_seq if layout.archived else 0


def make_snapshot(
    directory: Path,
    schema_version: int,
    *,
    load_state: Callable[[bytes | None], State],
    apply: Callable[[State, bytes], object],
    dump_state: Callable[[State], bytes],
    hash_state: Callable[[State], bytes],
    upto_seq: int | None = None,
    disk: Disk | None = None,
) -> Path | None:
    """Evolve the last snapshot by what was journaled since, and write the new one; None if there is nothing new.

    load_state(None) makes the empty state; apply changes the state in place by one record. upto_seq: the writer's
    durable_seq, if it is known; without it only sealed segments count. The records are synced before the snapshot is
    written, so that no power cut leaves a snapshot of what the journal has lost. The loaded state must have the hash that
    its snapshot names, else the snapshot is not built upon (ValueError).
    """
    target = sealed_seq(directory) if upto_seq is None else upto_seq
    base = latest_snapshot(directory, schema_version, target)
    seq = base.seq if base is not None else 0
    if target <= seq:
        return None
    disk = disk or Disk()
    state = load_state(base.payload if base is not None else None)
    if base is not None and (found := hash_state(state)) != base.state_hash:
        raise ValueError(f"snapshot {base.path}: state hash is {found.hex()}, expected {base.state_hash.hex()}")
    for _, record in JournalReader(directory).read(seq + 1, target, strict=False):
        apply(state, record)
    _sync_journal(directory, seq + 1, target, disk)
    return write_snapshot(directory, target, schema_version, dump_state(state), hash_state(state), disk=disk)


def _sync_journal(directory: Path, first_seq: int, last_seq: int, disk: Disk) -> None:
    """Make these records durable. A start takes the newest snapshot as proof that they were, but in sync mode "os" they may
    still be in the kernel only; in "commit" this finds nothing to do. Archived ones were synced."""
    live = read_layout(directory).live
    for index, segment in enumerate(live):
        ends_before = index + 1 < len(live) and live[index + 1].first_seq <= first_seq
        if segment.first_seq > last_seq or ends_before:
            continue
        try:
            fd = disk.open(segment.path)
        except FileNotFoundError:  # archived meanwhile
            continue
        try:
            disk.fdatasync(fd)
        finally:
            disk.close(fd)
