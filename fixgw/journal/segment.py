"""Segment files: how records lie in them, and how damage is told from an unfinished write.

A segment is a zero-filled file of fixed size: a 64-byte header (naming its first sequence), then records. A record is
    magic u32 | crc32c u32 | length u32 | group u32 | seq u64 | payload        (little endian, 24 bytes + length)
The checksum covers length, group, seq and payload, and starts from the journal's salt, so that bytes copied from
elsewhere (or sent in by a client) never pass for a record. `group` counts the records before this one in the same
group commit, that is, in the same write and sync.

What an invalid record means. Everything before the last group was synced before that group was written, so:
- nothing valid behind it: an unfinished write at the end, never acknowledged: cut it;
- a valid record of a LATER group behind it: it was durable once: corruption;
- a valid record of the SAME group behind it: a power cut may keep some sectors of one write and lose others. Sectors
  are lost whole and were zero before, so the hole must hold a zero sector; if it does not, bytes were changed:
  corruption.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import google_crc32c

HEADER_BYTES: Final = 64
RECORD_BYTES: Final = 24
# a kill of some 100,000 orders is one record; never more than fits into a segment
MAX_RECORD_BYTES: Final = 48 << 20
SECTOR: Final = 512
FORMAT_VERSION: Final = 1

_HEADER = struct.Struct("<8sHHIQQQ8s12s")  # magic, version, flags, salt, first_seq, created_ns, epoch, install id, spare
_HEADER_MAGIC: Final = b"FIXGWJRN"
_RECORD = struct.Struct("<IIIIQ")
_BODY = struct.Struct("<IIQ")
_MAGIC_BYTES: Final = b"\xabRJ\x01"
_MAGIC: Final = int.from_bytes(_MAGIC_BYTES, "little")
_ZEROS: Final = bytes(1 << 20)
_crc = google_crc32c.extend


@dataclass(frozen=True, slots=True)
class Header:
    """The first 64 bytes of a segment that is in use."""

    first_seq: int
    salt: int
    epoch: int
    install_id: str
    created_ns: int


@dataclass(frozen=True, slots=True)
class End:
    """Where the valid records of a segment end, and what stands there.

    kind: "clean" (zeros), "torn" (an unfinished write; cut it) or "corrupt". offset: of the first invalid byte.
    dirty_end: one past the last byte that is not zero.
    """

    kind: Literal["clean", "torn", "corrupt"]
    offset: int
    dirty_end: int
    reason: str = ""


def make_salt(install_id: str) -> int:
    """The journal's checksum salt, derived from its install id so that a lost header cannot lose it."""
    return int(google_crc32c.value(b"fixgw journal " + install_id.encode("ascii")))


def encode_header(header: Header) -> bytes:
    """64 bytes."""
    body = _HEADER.pack(
        _HEADER_MAGIC,
        FORMAT_VERSION,
        0,
        header.salt,
        header.first_seq,
        header.created_ns,
        header.epoch,
        header.install_id.encode("ascii").ljust(8, b"\0"),
        bytes(12),
    )
    return body + struct.pack("<I", google_crc32c.value(body))


def decode_header(data: bytes) -> Header | None:
    """None if the bytes are no valid header. Raises ValueError for a header of another format version."""
    if len(data) < HEADER_BYTES:
        return None
    body = data[: HEADER_BYTES - 4]
    if google_crc32c.value(body) != int.from_bytes(data[HEADER_BYTES - 4 : HEADER_BYTES], "little"):
        return None
    magic, version, _flags, salt, first_seq, created_ns, epoch, install, _ = _HEADER.unpack(body)
    if magic != _HEADER_MAGIC:
        return None
    if version != FORMAT_VERSION:
        raise ValueError(f"segment format version {version}, expected {FORMAT_VERSION}")
    return Header(first_seq, salt, epoch, install.rstrip(b"\0").decode("ascii"), created_ns)


def encode_record(salt: int, seq: int, group: int, payload: bytes) -> bytes:
    """One record; group = number of records before it in the same group commit."""
    body = _BODY.pack(len(payload), group, seq) + payload
    return _RECORD.pack(_MAGIC, _crc(salt, body), len(payload), group, seq) + payload


def scan(data: bytes, offset: int, expected_seq: int, salt: int) -> Iterator[tuple[int, bytes, int]]:
    """Valid records with sequences expected_seq, expected_seq + 1, ... as (seq, payload, end offset); stops before
    the first other byte."""
    size, unpack, crc, magic_wanted = len(data), _RECORD.unpack_from, _crc, _MAGIC
    while offset + RECORD_BYTES <= size:
        magic, checksum, length, _group, seq = unpack(data, offset)
        end = offset + RECORD_BYTES + length
        if magic != magic_wanted or seq != expected_seq or length > MAX_RECORD_BYTES or end > size:
            return
        body = data[offset + 8 : end]
        if crc(salt, body) != checksum:
            return
        yield seq, body[16:], end
        offset = end
        expected_seq += 1


def end_of(data: bytes, offset: int, expected_seq: int, salt: int, base: int = 0) -> End:
    """Judge the bytes from offset on, where `scan` stopped, by the rules at the top. data is the whole rest of the
    file, which begins at byte `base` of it (for the texts)."""
    dirty_end = last_nonzero(data, offset)
    if dirty_end == offset:
        return End("clean", offset, offset)
    later = _next_valid(data, offset + 1, salt)
    if later is None:
        return End("torn", offset, dirty_end, f"unfinished write of record {expected_seq}")
    first, seq, _ = later
    if seq <= expected_seq:
        reason = f"record {expected_seq} is invalid, yet record {seq} stands behind it at byte {base + first}"
        return End("corrupt", offset, dirty_end, reason)
    while later is not None:
        at, seq, group = later
        if seq - group > expected_seq:
            reason = f"record {expected_seq} is invalid, yet the later record {seq} at byte {base + at} is valid"
            return End("corrupt", offset, dirty_end, reason)
        later = _next_valid(data, at + 1, salt)
    if not _zero_sector_between(data, offset, first):
        at = base + first
        reason = f"record {expected_seq} was changed: its group's record at byte {at} is valid, no sector between is missing"
        return End("corrupt", offset, dirty_end, reason)
    return End("torn", offset, dirty_end, f"unfinished group from record {expected_seq}")


def last_nonzero(data: bytes, offset: int) -> int:
    """One past the last byte at or behind offset that is not zero; offset if all are zero."""
    end = len(data)
    while end > offset:
        start = max(offset, end - len(_ZEROS))
        chunk = data[start:end]
        if chunk != _ZEROS[: end - start]:
            return start + len(chunk.rstrip(b"\0"))
        end = start
    return offset


def needed_bytes(data: bytes, expected_seq: int) -> int:
    """How long the record at the start of data says it is, header included; 0 when it is not the expected one."""
    if len(data) < RECORD_BYTES:
        return 0
    magic, _, length, _, seq = _RECORD.unpack_from(data, 0)
    return RECORD_BYTES + length if magic == _MAGIC and seq == expected_seq and length <= MAX_RECORD_BYTES else 0


def _next_valid(data: bytes, offset: int, salt: int) -> tuple[int, int, int] | None:
    """(offset, seq, group) of the first record with a right checksum at or behind offset."""
    size = len(data)
    at = data.find(_MAGIC_BYTES, offset)
    while at >= 0 and at + RECORD_BYTES <= size:
        _, checksum, length, group, seq = _RECORD.unpack_from(data, at)
        end = at + RECORD_BYTES + length
        if length <= MAX_RECORD_BYTES and end <= size and _crc(salt, data[at + 8 : end]) == checksum:
            return at, seq, group
        at = data.find(_MAGIC_BYTES, at + 1)
    return None


def _zero_sector_between(data: bytes, start: int, end: int) -> bool:
    """True if a sector of [start, end) is all zero: the rest of start's sector, or a whole one before end's sector."""
    sector_end = min(len(data), (start // SECTOR + 1) * SECTOR)
    last = end // SECTOR * SECTOR
    if sector_end > last:
        return False
    if not any(data[start:sector_end]):
        return True
    return any(not any(data[at : at + SECTOR]) for at in range(sector_end, last, SECTOR))
