"""Journal records to bytes and back (msgpack, positional: fields are only ever appended, with a default).

SCHEMA_VERSION rises when a change cannot be read with the old definition; snapshots of another version are not used.
"""

from __future__ import annotations

import msgspec

from .commands import AnyCommand
from .events import AnyEvent

SCHEMA_VERSION = 7


class Record(msgspec.Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """One journal record: a command and what it caused. `part`: the partition it belongs to, "s:SESSION", "v:VENUE" or
    "gw" (the gateway itself)."""

    seq: int
    ts_ns: int
    part: str
    command: AnyCommand
    events: tuple[AnyEvent, ...]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)
encode_record = _encoder.encode
encode_command = _encoder.encode


def decode_record(payload: bytes | memoryview) -> Record:
    """The record of `payload`; msgspec.DecodeError / ValidationError when it is none."""
    return _decoder.decode(payload)
