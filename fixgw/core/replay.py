"""Records applied to a state: recovery, snapshots and tests run through here, the live engine does the same steps."""

from __future__ import annotations

from .codec import SCHEMA_VERSION, Record, decode_record
from .evolve import evolve
from .state import State, dump_state, load_state, new_state
from .statehash import state_hash


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
        apply_record(state, decode_record(record))

    def dump_state(self, state: State) -> bytes:
        return dump_state(state)

    def hash_state(self, state: State) -> bytes:
        return bytes.fromhex(state_hash(state))


OPS = SnapshotOps()
