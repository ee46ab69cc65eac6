"""Reservations of finished orders that the venue's balance does not show yet, when the orders themselves are packed away.

An entry is (when the balance covers it, asset, quantity); some 30 bytes each, for when balances stay away for long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import msgspec

from .numbers import ZERO

CHUNK = 256

Entry = tuple[int, str, Decimal]
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Entry])


class Settling(msgspec.Struct, array_like=True):
    """`chunks`: up to CHUNK encoded entries each, `oldest`: the earliest time in each chunk; `tail`: the newest entries."""

    chunks: list[bytes] = []
    oldest: list[int] = []
    tail: list[Entry] = []

    def add(self, covered_ns: int, asset: str, qty: Decimal) -> None:
        """A reservation that a balance as of `covered_ns` or later ends."""
        self.tail.append((covered_ns, asset, qty))
        if len(self.tail) >= CHUNK:
            self._append(self.tail)
            self.tail = []

    def take(self, covered_ns: int, asset: str, qty: Decimal) -> bool:
        """Remove one such entry; False if it has ended."""
        wanted = (covered_ns, asset, qty)
        if wanted in self.tail:
            self.tail.remove(wanted)
            return True
        for at, oldest in enumerate(self.oldest):
            if oldest > covered_ns:
                continue
            entries = _decoder.decode(self.chunks[at])
            if wanted in entries:
                entries.remove(wanted)
                self._replace(at, entries)
                return True
        return False

    def release(self, asof_ns: int, later: dict[str, int] | None = None) -> dict[str, Decimal]:
        """What a balance as of `asof_ns` covers, by asset; it is gone from here. `later`: assets that are as of later."""
        ended: dict[str, Decimal] = {}
        later = later or {}
        newest_ns = max(asof_ns, *later.values()) if later else asof_ns
        for at in range(len(self.chunks) - 1, -1, -1):
            if self.oldest[at] <= newest_ns:
                entries = _decoder.decode(self.chunks[at])
                kept = _part(entries, asof_ns, later, ended)
                if len(kept) < len(entries):
                    self._replace(at, kept)
        if self.tail:
            self.tail = _part(self.tail, asof_ns, later, ended)
        return ended

    def newest(self) -> Iterator[int]:
        """The latest time at hand, and at least one of each chunk."""
        yield max((entry[0] for entry in self.tail), default=0)
        yield max(self.oldest, default=0)

    def move(self, moved: Callable[[int], int]) -> None:
        """Every time becomes another one. An entry that moved is not found by `take` any more: it ends by a balance."""
        for at, chunk in enumerate(self.chunks):
            self._replace(at, [(moved(ns), asset, qty) for ns, asset, qty in _decoder.decode(chunk)])
        self.tail = [(moved(ns), asset, qty) for ns, asset, qty in self.tail]

    def _append(self, entries: list[Entry]) -> None:
        self.chunks.append(_encoder.encode(entries))
        self.oldest.append(min(entry[0] for entry in entries))

    def _replace(self, at: int, entries: list[Entry]) -> None:
        if entries:
            self.chunks[at] = _encoder.encode(entries)
            self.oldest[at] = min(entry[0] for entry in entries)
        else:
            del self.chunks[at], self.oldest[at]


def _part(entries: list[Entry], asof_ns: int, later: dict[str, int], ended: dict[str, Decimal]) -> list[Entry]:
    """Those that go on; the others are added to `ended`."""
    kept = []
    for entry in entries:
        if entry[0] > asof_ns and entry[0] > later.get(entry[1], 0):
            kept.append(entry)
        else:
            ended[entry[1]] = ended.get(entry[1], ZERO) + entry[2]
    return kept
