"""Journal records to bytes and back (msgpack, positional: fields are only ever appended, with a default).

SCHEMA_VERSION stands for what a journal means: a snapshot of another version is not used, the journal is replayed instead. It
rises with every change after which the journals that exist cannot be read as before, or replay to another state (a rule of
evolve that does something else). Else the state after a start would be in part of the older reading, in part of the newer.
tests/unit/test_replay_pinned.py tells when it has to.
"""

from __future__ import annotations

import msgspec

from .commands import AnyCommand
from .events import AnyEvent

SCHEMA_VERSION = 9


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
