"""The state's hash: the sum (mod 2^128) of one digest per entity, so that an event only costs the entities it touched.

Two states with the same entities have the same hash, however they came about: replay, snapshot + tail, or live.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from . import events as e
from .cold import open_block
from .state import State

_MOD = 1 << 128
_encoder = msgspec.msgpack.Encoder(order="deterministic")


def _digest(kind: str, key: str, entity: object) -> int:
    data = _encoder.encode((kind, key, entity))
    return int.from_bytes(hashlib.blake2b(data, digest_size=16).digest(), "big")


class StateHasher:
    """Follows one state. `note` the events that were applied, ask `value` when it is needed."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._digests: dict[tuple[str, str], int] = {}
        self._total = 0
        self._dirty: dict[tuple[str, str], None] = {("order", key): None for key in state.orders}
        self._dirty |= {("child", key): None for key in state.children}

    def note(self, events: Iterable[e.AnyEvent]) -> None:
        """Remember what the events touched."""
        for event in events:
            if isinstance(event, e.OrderEvent):
                self._dirty["order", event.order_id] = None
                if isinstance(event, e.OrderFilled | e.FillBusted | e.FillCorrected):
                    self._dirty["child", event.venue_cl_ord_id] = None
            elif isinstance(event, e.ChildEvent):
                self._dirty["child", event.venue_cl_ord_id] = None
                if isinstance(event, e.ChildPlaced):
                    self._dirty["order", event.order_id] = None
            elif isinstance(event, e.ClockWasSet):
                self._dirty |= {("child", key): None for key in self._state.children}

    def value(self) -> str:
        """The hash, 32 hex digits."""
        state = self._state
        for kind, key in self._dirty:
            found = state.orders.get(key) if kind == "order" else state.children.get(key)
            self._put(kind, key, found)
        self._dirty = {}
        for kind, entities in (("order", state.orders), ("child", state.children)):
            known = {key[1] for key in self._digests if key[0] == kind}
            # packed away, or beyond the retention time
            for gone in known - entities.keys():
                self._put(kind, gone, None)
            # taken out of the pack with another that an event named
            for key in entities.keys() - known:
                self._put(kind, key, entities[key])
        self._cold()
        self._rest()
        return f"{self._total:032x}"

    def _cold(self) -> None:
        """What is packed away, a block at a time: a block only ever loses rows. Its rows count, not how they are packed."""
        cold = self._state.cold
        blocks = {str(number): block for number, block in cold.blocks.items()}
        for key in [key for kind, key in self._digests if kind == "cold" and key not in blocks]:
            self._put("cold", key, None)
        for key, block in blocks.items():
            if ("cold", key) not in self._digests:
                self._put("cold", key, open_block(block))
            self._put("gone", key, sorted(block.gone))
        for key in [key for kind, key in self._digests if kind == "gone" and key not in blocks]:
            self._put("gone", key, None)
        self._put("tail", "", (cold.tail, cold.tail_newest_ns, cold.next_block, cold.count))

    def _put(self, kind: str, key: str, entity: object) -> None:
        self._total -= self._digests.pop((kind, key), 0)
        if entity is not None:
            digest = self._digests[kind, key] = _digest(kind, key, entity)
            self._total += digest
        self._total %= _MOD

    def _rest(self) -> None:
        """What is few, or changes with nearly every event."""
        state = self._state
        tables: dict[str, dict[str, object]] = {
            "session": dict(state.sessions),
            "venue": dict(state.venues),
            "account": dict(state.accounts),
            "exposure": dict(state.exposures),
            "pace": dict(state.paces),
            "instrument": dict(state.instruments),
            "gateway": {
                "": (
                    state.seq, state.install, state.epoch, state.settings.hash, state.level, list(state.open_orders),
                    state.inflight, list(state.uncertain), list(state.stops), list(state.finished), list(state.refused),
                    {str(key): value for key, value in state.expiries.items()},
                )
            },
        }  # fmt: skip
        # where it never happened the hash is as it was before this was counted
        tables["clock"] = {"": state.clock_steps_ns} if state.clock_steps_ns else {}
        for kind, entities in tables.items():
            for gone in [key for key in self._digests if key[0] == kind and key[1] not in entities]:
                self._put(*gone, None)
            for key, entity in entities.items():
                self._put(kind, key, entity)


def state_hash(state: State) -> str:
    """The hash from nothing."""
    return StateHasher(state).value()
