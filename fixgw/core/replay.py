"""Records applied to a state: recovery, snapshots and tests run through here, the live engine does the same steps."""

from __future__ import annotations

import typing

import msgspec

from . import events as e
from .codec import SCHEMA_VERSION, Record
from .evolve import HANDLERS, evolve
from .state import State, dump_state, load_state, new_state
from .statehash import state_hash


class _Unread(e.Event, frozen=True, tag="reported", kw_only=True):
    """A Reported whose message is passed over: the state is not concerned, and messages are most of a journal's bytes."""

    session: str
    account: str
    message: msgspec.Raw


# AnyEvent with the one in place of the other, which only the reader at run time needs to know
_ReplayEvent: typing.Any = typing.Union[  # noqa: UP007
    tuple(_Unread if kind is e.Reported else kind for kind in typing.get_args(e.AnyEvent))
]


class _ReplayRecord(msgspec.Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """codec.Record without its command."""

    seq: int
    ts_ns: int
    part: str
    command: msgspec.Raw
    events: tuple[_ReplayEvent, ...]


_decoder = msgspec.msgpack.Decoder(_ReplayRecord)


def replay_record(state: State, payload: bytes) -> None:
    """apply_record(state, decode_record(payload)) at half the cost: only what changes the state is decoded. Raises
    msgspec.DecodeError, ValidationError."""
    record = _decoder.decode(payload)
    assert record.seq == state.seq + 1, f"record {record.seq} after {state.seq}"
    for event in record.events:
        if type(event) is not _Unread:
            HANDLERS[type(event)](state, event)
    state.seq = record.seq


def apply_record(state: State, record: Record) -> None:
    """Evolve by one record; its sequence must be the next."""
    assert record.seq == state.seq + 1, f"record {record.seq} after {state.seq}"
    for event in record.events:
        evolve(state, event)
    state.seq = record.seq


class SnapshotOps:
    """The state functions that the snapshotter process needs (see journal/snapshotter.py)."""

    schema_version = SCHEMA_VERSION

    def load_state(self, payload: bytes | None) -> State:
        return new_state() if payload is None else load_state(payload)

    def apply(self, state: State, record: bytes) -> None:
        replay_record(state, record)

    def dump_state(self, state: State) -> bytes:
        return dump_state(state)

    def hash_state(self, state: State) -> bytes:
        return bytes.fromhex(state_hash(state))


OPS = SnapshotOps()
