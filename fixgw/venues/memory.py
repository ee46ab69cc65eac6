"""Memories of fixed size for what a venue may bring again long after it is over.

Only 64 bits are kept of each text: its hash, which is keyed anew in each process (siphash). That two texts of a memory share
one is as likely as once in 10^13 additions.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from itertools import accumulate

_MASK = (1 << 64) - 1


def _digest(text: str) -> int:
    """Never 0, which marks an empty slot."""
    return hash(text) & _MASK or 1


class Seen:
    """A set that holds at least its `capacity` newest texts, and never grows: two tables of hashes (8 bytes a slot, allocated
    at once); when the newer one is full, the older one is emptied and takes its place."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        slots = 1 << (capacity * 5 // 4).bit_length()
        self._last = slots - 1
        # copied from zeros, not left to be paged in later: what it takes shows from the start
        self._new = array("Q", bytes(8 * slots))
        self._old = array("Q", bytes(8 * slots))
        self._count = 0

    def __contains__(self, text: str) -> bool:
        digest = _digest(text)
        return self._find(self._new, digest) < 0 or self._find(self._old, digest) < 0

    def add(self, text: str) -> bool:
        """False when it was there. Texts that are shown again become new again."""
        digest = _digest(text)
        slot = self._find(self._new, digest)
        if slot < 0:
            return False
        known = self._find(self._old, digest) < 0
        if self._count >= self._capacity:
            self._new, self._old = self._old, self._new
            memoryview(self._new).cast("B")[:] = bytes(8 * len(self._new))
            self._count, slot = 0, self._find(self._new, digest)
        self._new[slot] = digest
        self._count += 1
        return not known

    def _find(self, table: array[int], digest: int) -> int:
        """The free slot for it, or -1 when it is there. A table is never full, so that this ends."""
        slot = digest & self._last
        while (found := table[slot]) != 0:
            if found == digest:
                return -1
            slot = (slot + 1) & self._last
        return slot


class _Block:
    """Names that came within one span of time, sorted by hash; about 35 bytes each."""

    def __init__(self, names: dict[str, str], newest_ns: int) -> None:
        self.newest_ns = newest_ns
        rows = sorted((_digest(key), value.encode()) for key, value in names.items())
        self._digests = array("Q", (digest for digest, _ in rows))
        self._text = b"".join(value for _, value in rows)
        self._ends = array("I", accumulate(len(value) for _, value in rows))

    def get(self, digest: int) -> str | None:
        place = bisect_left(self._digests, digest)
        if place == len(self._digests) or self._digests[place] != digest:
            return None
        return self._text[self._ends[place - 1] if place else 0 : self._ends[place]].decode()


class Names:
    """Text -> text, each for `kept_ns` at least and for a little longer at most; beyond `most` of them the oldest go sooner."""

    def __init__(self, kept_ns: int, most: int, block: int = 1024) -> None:
        self._kept_ns, self._block = kept_ns, block
        self._names: dict[str, str] = {}
        self._began_ns = 0
        self._blocks: deque[_Block] = deque(maxlen=max(most // block, 1))

    def put(self, key: str, value: str, now_ns: int) -> None:
        """Remember one more."""
        if not self._names:
            self._began_ns = now_ns
        self._names[key] = value
        if len(self._names) >= self._block or now_ns - self._began_ns > self._kept_ns // 8:
            self._blocks.append(_Block(self._names, now_ns))
            self._names = {}
        while self._blocks and now_ns - self._blocks[0].newest_ns > self._kept_ns:
            self._blocks.popleft()

    def get(self, key: str) -> str | None:
        """The newest value of the key; None when it is not known (any more)."""
        found = self._names.get(key)
        if found is not None:
            return found
        digest = _digest(key)
        return next((name for block in reversed(self._blocks) if (name := block.get(digest)) is not None), None)

    def __len__(self) -> int:
        return len(self._names) + sum(len(block._digests) for block in self._blocks)
