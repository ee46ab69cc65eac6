"""What an account event of a stream contains, told in our clock: Binance's outboundAccountPosition.

The event tells the assets that changed, as of the venue's time `u`; it may come late, twice, out of turn or never. An order of
ours that the venue has confirmed to us by another way (the answer to its place, a query) may not be in it. So the venue's
two times are compared with each other, and never with our clock: an order whose time at the venue is before `u` is in the
event, one whose time is after `u` is not; within the same millisecond it is in it when the stream told the order first. The
event is then as of just before the earliest confirmation of an order that it does not contain, else as of when it came:
every order that was confirmed until then is in it. How far the two clocks are apart plays no part.

What the stream does not cover in time (`overdue`) is for a question to the venue.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from decimal import Decimal

from .balances import BalanceBook
from .base import Balances

# the newest orders by the venue's time; an event that is older than all of them is not used
MAX_ORDERS = 4096
# an order without a time of the venue is in no event for this long
UNDATED_NS = 60_000_000_000
# a confirmed order that no event has covered for this long
OVERDUE_NS = 1_000_000_000
_UNDATED = 1 << 62


class StreamBalances:
    """Balances of one account by its stream and by snapshots. Times of the venue in its milliseconds, ours in nanoseconds."""

    def __init__(self) -> None:
        self._book = BalanceBook()
        # parallel, sorted by key: 2 * venue_ms, + 1 while the stream has not told the order; ours: when it was confirmed to us
        self._keys: list[int] = []
        self._ours: list[int] = []
        self._ids: list[str] = []
        self._key_of: dict[str, int] = {}
        # orders up to this key are forgotten
        self._floor = 0
        # order -> (asset that it locks, since when its confirmation or its last trade waits for an event)
        self._waiting: dict[str, tuple[str, int]] = {}
        self._same_u = 0
        self._told: set[tuple[str, Decimal, Decimal]] = set()

    # --- orders ---

    def order(self, our_id: str, asset: str, venue_ms: int, now_ns: int, *, streamed: bool = False, news: bool = False) -> None:
        """The venue has this order, which locks `asset`: to be called before the gateway is told so. `venue_ms`: when it
        came to be or, where that is not known, any later time of it; 0: none known. `streamed`: the account's stream
        said so. `news`: another trade of it."""
        key = 2 * venue_ms + (not streamed) if venue_ms > 0 else _UNDATED
        known = self._key_of.get(our_id)
        if known is None or news:
            self._waiting.pop(our_id, None)
            self._waiting[our_id] = (asset, now_ns)
            if len(self._waiting) > MAX_ORDERS:
                del self._waiting[next(iter(self._waiting))]
        if known is not None:
            if key >= known:
                return
            now_ns = min(now_ns, self._remove(our_id, known))
        if key <= self._floor:
            return  # older than any event that is still used
        at = bisect_right(self._keys, key)
        self._keys.insert(at, key)
        self._ours.insert(at, now_ns)
        self._ids.insert(at, our_id)
        self._key_of[our_id] = key
        while len(self._keys) > MAX_ORDERS:
            self._floor = max(self._floor, self._keys[0]) if self._keys[0] != _UNDATED else self._floor
            self._remove(self._ids[0], self._keys[0])

    def _remove(self, our_id: str, key: int) -> int:
        at = self._ids.index(our_id, bisect_left(self._keys, key))
        del self._keys[at], self._ids[at], self._key_of[our_id]
        return self._ours.pop(at)

    def overdue(self, now_ns: int) -> bool:
        """An order or a trade was confirmed a while ago and no event has covered it."""
        oldest = next(iter(self._waiting.values()), None)
        return oldest is not None and now_ns - oldest[1] > OVERDUE_NS

    # --- balances ---

    def event(self, u_ms: int, rows: Iterable[tuple[str, Decimal, Decimal]], now_ns: int) -> Balances:
        """What is known after an account event with `rows` of (asset, free, total) that came now."""
        asof_ns = self._asof(u_ms, now_ns)
        if u_ms != self._same_u:
            self._same_u, self._told = u_ms, set()
        for row in rows:
            if row in self._told:
                continue  # twice: what came after it within the millisecond is not undone
            self._told.add(row)
            asset, free, total = row
            if self._book.update(asset, free, total, asof_ns, u_ms):
                self._covered(asof_ns, asset)
        return self._book.balances()

    def snapshot(self, free: dict[str, Decimal], total: dict[str, Decimal], asked_ns: int) -> Balances:
        """What is known after an answer with the whole picture; the question left at `asked_ns`."""
        self._book.snapshot(free, total, asked_ns)
        self._covered(asked_ns)
        return self._book.balances()

    def _asof(self, u_ms: int, now_ns: int) -> int:
        """0: it cannot be said."""
        if u_ms <= 0 or 2 * u_ms < self._floor:
            return 0
        at = bisect_left(self._keys, _UNDATED)
        while at < len(self._keys) and self._ours[at] < now_ns - UNDATED_NS:
            self._remove(self._ids[at], _UNDATED)
        missing = self._ours[bisect_right(self._keys, 2 * u_ms) :]
        return min(now_ns, min(missing) - 1) if missing else now_ns

    def _covered(self, asof_ns: int, asset: str = "") -> None:
        """An event told `asset`, or "": a snapshot all of them."""
        done = [our_id for our_id, (mine, at_ns) in self._waiting.items() if at_ns <= asof_ns and asset in ("", mine)]
        for our_id in done:
            del self._waiting[our_id]
