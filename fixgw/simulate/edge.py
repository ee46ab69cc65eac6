"""The edge of the simulated gateway: newest quotes, and stops that trigger on the last trade (marketdata/edge.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..core import commands as c
from ..venues.wire import BookUpdate

if TYPE_CHECKING:
    from .gateway import Gateway


class SimEdge:
    """`quotes`: venue -> newest quote of the one instrument."""

    def __init__(self, gateway: Gateway) -> None:
        self.quotes: dict[str, c.Quote] = {}
        self._gateway = gateway

    def clock_set(self, step_ns: int) -> None:
        """Quotes are as old as they were."""
        for venue, quote in self.quotes.items():
            moved = msgspec.structs.replace(quote, recv_ns=quote.recv_ns + step_ns, last_ns=quote.last_ns + step_ns)
            self.quotes[venue] = moved

    def on_book(self, update: BookUpdate) -> None:
        """Keep it; tell the core of stops that it reaches."""
        quote = update.quote
        self.quotes[update.venue] = msgspec.structs.replace(quote, last_low=None, last_high=None)
        gateway = self._gateway
        state = gateway.state
        for order_id in state.stops:
            order = state.orders[order_id]
            last, stop_px = quote.last, order.stop_px
            if last is not None and stop_px is not None and (last >= stop_px if order.side == "1" else last <= stop_px):
                trigger = c.TriggerStop(ts_ns=gateway.now_ns(), order_id=order_id, trigger_px=last, quotes=dict(self.quotes))
                gateway.submit(trigger)
