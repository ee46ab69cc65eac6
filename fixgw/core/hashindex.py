"""A compact set of (hash of a key -> number) pairs: about 11 bytes a pair, where a dict of texts takes 150 and more.

Linear hashing: a bucket is one bytes object of 9-byte entries (5 of hash, 4 of number), found by a plain search; the table
grows by one bucket at a time, so that no step ever costs more than a bucket. Keys are not kept: whoever finds a number looks
at what it names, so a hash that two keys share costs a look and never an answer. Entries whose number means nothing any more
are swept out a bucket at a time, after `sweep` was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

import msgspec

TAG, NUMBER = 5, 4
ENTRY = TAG + NUMBER
NUMBERS = 1 << (8 * NUMBER)
# entries a bucket on average: below 512 bytes, where the allocator packs best
FILL = 24


class HashIndex(msgspec.Struct, array_like=True):
    """`mask`: buckets before the present doubling, minus one; `split`: those below have been split; `unswept`: buckets that a
    sweep has still to visit."""

    buckets: list[bytes] = msgspec.field(default_factory=lambda: [b""])
    mask: int = 0
    split: int = 0
    count: int = 0
    unswept: int = 0
    cursor: int = 0

    def add(self, keys: list[str], number: int) -> None:
        """A pair for each key; the same one may stand here twice. The caller then calls `tidy`."""
        buckets, mask, split, entry = self.buckets, self.mask, self.split, number.to_bytes(NUMBER, "little")
        for key in keys:
            tag = blake2b(key.encode(), digest_size=TAG).digest()
            where = int.from_bytes(tag, "little")
            at = where & mask
            if at < split:
                at = where & (2 * mask + 1)
            buckets[at] += tag + entry
        self.count += len(keys)
        while self.count > FILL * len(buckets):
            self._grow()

    def find(self, key: str) -> list[int]:
        """The numbers that this key, or one of the same hash, was added with; the newest first."""
        tag = blake2b(key.encode(), digest_size=TAG).digest()
        where = int.from_bytes(tag, "little")
        at = where & self.mask
        if at < self.split:
            at = where & (2 * self.mask + 1)
        bucket = self.buckets[at]
        place = bucket.rfind(tag)
        if place < 0:
            return []
        found: list[int] = []
        while place >= 0:
            if place % ENTRY == 0:
                found.append(int.from_bytes(bucket[place + TAG : place + ENTRY], "little"))
            # the last entry that may begin before this one
            place = bucket.rfind(tag, 0, place + TAG - 1)
        return found

    def sweep(self) -> None:
        """Have every bucket visited once."""
        self.unswept = len(self.buckets)

    def tidy(self, means: Callable[[int], bool]) -> None:
        """A step of the sweep that is under way: entries whose number means nothing go."""
        self.unswept -= 1
        self.cursor = (self.cursor + 1) % len(self.buckets)
        bucket = self.buckets[self.cursor]
        entries = [bucket[at : at + ENTRY] for at in range(0, len(bucket), ENTRY)]
        kept = [entry for entry in entries if means(int.from_bytes(entry[TAG:], "little"))]
        if len(kept) < len(entries):
            self.count -= len(entries) - len(kept)
            self.buckets[self.cursor] = b"".join(kept)

    def _grow(self) -> None:
        bucket, bit = self.buckets[self.split], self.mask + 1
        # the one bit of the hash that decides
        byte, shift = divmod(self.mask.bit_length(), 8)
        stay: list[bytes] = []
        move: list[bytes] = []
        for at in range(0, len(bucket), ENTRY):
            entry = bucket[at : at + ENTRY]
            (move if entry[byte] >> shift & 1 else stay).append(entry)
        self.buckets[self.split] = b"".join(stay)
        self.buckets.append(b"".join(move))
        self.split += 1
        if self.split == bit:
            self.mask, self.split = 2 * self.mask + 1, 0
