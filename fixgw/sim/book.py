"""One symbol's order book: price levels with a first-in-first-out queue each, and the changes since the last diff.

Keys: a level is found by an integer key, the price in units of 10**-8, negated for asks, so that on both sides the
best level has the greatest key and stands at the end of a sorted list. A queue is an OrderedDict because a cancel
must be O(1) from the middle and the front must stay O(1) after many removals (a plain dict degrades there).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from decimal import Decimal

from fixgw.sim.model import BUY, SELL, ZERO, Order, SymbolRules

_SCALE = 10**8


class Level:
    """The orders at one price, oldest first; total and house_total are sums of what is left."""

    __slots__ = ("house_total", "orders", "price", "total")

    def __init__(self, price: Decimal) -> None:
        self.price = price
        self.orders: OrderedDict[int, Order] = OrderedDict()
        self.total = ZERO
        self.house_total = ZERO

    def first(self) -> Order:
        return next(iter(self.orders.values()))

    def last(self) -> Order:
        return next(reversed(self.orders.values()))


class Side:
    """One side of a book."""

    __slots__ = ("dirty", "keys", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, Level] = {}
        self.dirty: dict[int, Decimal] = {}  # key -> price of levels that changed since the last diff

    def key(self, price: Decimal) -> int:
        return self.sign * int(price * _SCALE)

    def best(self) -> Level | None:
        return self.levels[self.keys[-1]] if self.keys else None

    def walk(self) -> Iterator[Level]:
        """Levels from the best on; the book must not change meanwhile."""
        for key in reversed(self.keys):
            yield self.levels[key]

    def level_at(self, price: Decimal) -> Level | None:
        return self.levels.get(self.key(price))

    def _obtain(self, price: Decimal) -> Level:
        key = self.key(price)
        level = self.levels.get(key)
        if level is None:
            level = self.levels[key] = Level(price)
            insort(self.keys, key)
        return level

    def drop_if_empty(self, level: Level) -> None:
        if not level.orders:
            key = self.key(level.price)
            del self.levels[key]
            del self.keys[bisect_left(self.keys, key)]


class Book:
    """Both sides, with an update id that grows at each change (Binance's lastUpdateId, u and U)."""

    def __init__(self, rules: SymbolRules, update_id: int = 1) -> None:
        self.rules = rules
        self.sides = {BUY: Side(1), SELL: Side(-1)}
        self.update_id = update_id
        self.published_id = update_id
        self.last_price: Decimal | None = None

    def _touch(self, side: Side, price: Decimal) -> None:
        self.update_id += 1
        side.dirty[side.key(price)] = price

    def opposite(self, side: str) -> Side:
        return self.sides[SELL if side == BUY else BUY]

    def crosses(self, side: str, price: Decimal) -> bool:
        """True when an order at this price would meet the other side."""
        best = self.opposite(side).best()
        return best is not None and (best.price <= price if side == BUY else best.price >= price)

    def add(self, order: Order) -> None:
        """Queue an order, behind all others at its price."""
        side = self.sides[order.side]
        level = side._obtain(order.price)
        level.orders[order.order_id] = order
        self.resize(level, order, order.leaves)

    def resize(self, level: Level, order: Order, delta: Decimal) -> None:
        """Account for a change of what an order at this level has left."""
        level.total += delta
        if order.is_house:
            level.house_total += delta
        self._touch(self.sides[order.side], level.price)

    def remove(self, order: Order) -> None:
        """Take an order out; what it has left leaves with it."""
        side = self.sides[order.side]
        level = side.levels[side.key(order.price)]
        del level.orders[order.order_id]
        self.resize(level, order, -order.leaves)
        side.drop_if_empty(level)

    def snapshot(self, limit: int) -> tuple[int, list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        """(update id, bids, asks) with at most limit levels a side, best first."""
        out: list[list[tuple[Decimal, Decimal]]] = []
        for side in (self.sides[BUY], self.sides[SELL]):
            keys = side.keys[-1 : -limit - 1 : -1]
            out.append([(side.levels[k].price, side.levels[k].total) for k in keys])
        return self.update_id, out[0], out[1]

    def drain(self) -> tuple[int, int, list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]] | None:
        """The diff since the last call: (U, u, bids, asks) with absolute totals, or None when nothing changed."""
        if self.update_id == self.published_id:
            return None
        first, self.published_id = self.published_id + 1, self.update_id
        out: list[list[tuple[Decimal, Decimal]]] = []
        for side in (self.sides[BUY], self.sides[SELL]):
            levels = side.levels
            out.append([(price, levels[k].total if k in levels else ZERO) for k, price in side.dirty.items()])
            side.dirty = {}
        return first, self.update_id, out[0], out[1]
