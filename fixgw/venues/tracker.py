"""What a connector remembers of its orders: to name trades by our id, to drop duplicates, to notice what it missed.

It is a cache, never the truth: after a restart of the host it is empty, and then the venue is asked.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal

from ..core.commands import VenueTrade
from .base import Done

MAX_ORDERS = 200_000
MAX_FINISHED = 50_000
MAX_SEEN = 200_000


@dataclass(slots=True)
class Tracked:
    """One order. `open`: it may work at the venue as far as we know; `unsure`: its placing was answered Ambiguous."""

    venue_cl_ord_id: str
    symbol: str
    began_ns: int
    venue_order_id: str = ""
    open: bool = True
    unsure: bool = False
    # the place has not been answered yet
    placing: bool = False
    acked: bool = False
    # of the order as we placed it; "" and None when we did not
    side: str = ""
    qty: Decimal | None = None
    cum_qty: Decimal = Decimal(0)
    done: Done | None = None


class Tracker:
    """Orders by our id and by (symbol, venue order id); trades seen. Finished orders beyond MAX_FINISHED are forgotten."""

    def __init__(self) -> None:
        self._orders: dict[str, Tracked] = {}
        self._by_venue_id: dict[tuple[str, str], str] = {}
        self._finished: OrderedDict[str, None] = OrderedDict()
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()

    def begin(self, venue_cl_ord_id: str, symbol: str) -> Tracked:
        """An order is about to be placed, or was heard of."""
        tracked = self._orders.get(venue_cl_ord_id)
        if tracked is None:
            tracked = self._orders[venue_cl_ord_id] = Tracked(venue_cl_ord_id, symbol, time.time_ns())
        return tracked

    def get(self, venue_cl_ord_id: str) -> Tracked | None:
        return self._orders.get(venue_cl_ord_id)

    def open_orders(self) -> list[Tracked]:
        return [t for t in self._orders.values() if t.open]

    def drop(self, venue_cl_ord_id: str) -> None:
        """The order never came to be."""
        tracked = self._orders.pop(venue_cl_ord_id, None)
        if tracked is not None and tracked.venue_order_id:
            self._by_venue_id.pop((tracked.symbol, tracked.venue_order_id), None)

    def name(self, tracked: Tracked, venue_order_id: str) -> None:
        """The venue's id of an order became known."""
        if venue_order_id and tracked.venue_order_id != venue_order_id:
            tracked.venue_order_id = venue_order_id
            self._by_venue_id[tracked.symbol, venue_order_id] = tracked.venue_cl_ord_id

    def our_id(self, symbol: str, venue_order_id: str) -> str | None:
        """Our id of the venue's order; None when it is not known."""
        return self._by_venue_id.get((symbol, venue_order_id))

    def fresh(self, trade: VenueTrade) -> bool:
        """True the first time that this trade is shown; then it is counted into its order."""
        key = (trade.symbol, trade.venue_trade_id)
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
        tracked = self._orders.get(trade.venue_cl_ord_id)
        if tracked is not None:
            tracked.cum_qty += trade.qty
        return True

    def finish(self, done: Done, symbol: str) -> bool:
        """The order ended; False when just that was known already."""
        tracked = self.begin(done.venue_cl_ord_id, symbol)
        self.name(tracked, done.venue_order_id)
        before = tracked.done
        if before is not None and (before.status, before.cum_qty) == (done.status, done.cum_qty):
            return False
        tracked.done = done
        self.ended(tracked)
        return True

    def ended(self, tracked: Tracked) -> None:
        """It works no longer; the oldest of these are forgotten."""
        tracked.open = tracked.unsure = False
        self._finished[tracked.venue_cl_ord_id] = None
        while len(self._finished) > MAX_FINISHED:
            oldest, _ = self._finished.popitem(last=False)
            self.drop(oldest)

    @property
    def full(self) -> bool:
        """Too many orders are open to take another."""
        return len(self._orders) >= MAX_ORDERS
