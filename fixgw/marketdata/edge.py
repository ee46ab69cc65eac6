"""The edge: keeps the newest quotes, stamps commands with them, and raises TriggerStop and Timer commands.

Quotes come on the venue links' reader threads. A stop triggers on the last trade (or bid / ask, by instrument) of an
update that has just come in, never on an old one; the core runs the risk stages again.
"""

from __future__ import annotations

import logging
import threading
from decimal import Decimal

from ..core import commands as c
from ..core import events as e
from ..core.codec import Record
from ..core.commands import Quote
from ..core.state import State
from ..engine import Engine
from ..venues.wire import BookUpdate

log = logging.getLogger(__name__)

TICK_S = 0.1
# a child or cancel without any answer for this long is asked about (the host's own time-outs come first)
INFLIGHT_NS = 10_000_000_000
RETRIGGER_NS = 250_000_000
MAX_TIMERS = 256
_STOP_EVENTS = (e.OrderReceived, e.OrderReplaced, e.StopTriggered, e.OrderCanceled, e.OrderExpired)


class Edge:
    """Quotes, stops, timers around one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._quotes: dict[str, dict[str, Quote]] = {}
        # (venue, symbol) -> [(order_id, side, stop_px)]
        self._stops: dict[tuple[str, str], list[tuple[str, str, Decimal]]] = {}
        self._stops_stale = True
        self._asked: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="timers", daemon=True)

    def start(self) -> None:
        """Start the timers."""
        self._thread.start()

    def stop(self) -> None:
        """End them."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def quotes_of(self, symbol: str) -> dict[str, Quote]:
        """Venue -> newest quote of an instrument (an immutable snapshot)."""
        return self._quotes.get(symbol, {})

    def on_book(self, update: BookUpdate) -> None:
        """A host's book update: merged, since a trade says nothing of the book and the other way round."""
        symbol, venue, new = update.symbol, update.venue, update.quote
        by_venue = self._quotes.get(symbol, {})
        self._quotes[symbol] = {**by_venue, venue: new}
        if self._stops_stale:
            self._index_stops()
        watched = self._stops.get((venue, symbol))
        if watched:
            self._check_stops(watched, venue, symbol, new)

    def effect(self, record: Record) -> None:
        """Engine listener: the index of stops is made anew when one came, changed or went."""
        if any(isinstance(event, _STOP_EVENTS) for event in record.events):
            self._stops_stale = True

    def _index_stops(self) -> None:
        self._stops_stale = False
        stops: dict[tuple[str, str], list[tuple[str, str, Decimal]]] = {}
        with self._engine.reading() as state:
            for order_id in state.stops:
                order = state.orders[order_id]
                if order.stop_px is not None:
                    stops.setdefault((order.venue, order.symbol), []).append((order_id, order.side, order.stop_px))
        self._stops = stops

    def _check_stops(self, watched: list[tuple[str, str, Decimal]], venue: str, symbol: str, quote: Quote) -> None:
        settings = self._engine.state.settings.instruments.get(symbol)
        trigger = settings.trigger if settings is not None else "last"
        px = {"last": quote.last, "bid": quote.bid, "ask": quote.ask}[trigger]
        if px is None:
            return
        now_ns = self._engine.now_ns()
        for order_id, side, stop_px in watched:
            hit = px >= stop_px if side == "1" else px <= stop_px
            if not hit or now_ns - self._asked.get(order_id, 0) < RETRIGGER_NS:
                continue
            if len(self._asked) > 10_000:
                self._asked.clear()
            self._asked[order_id] = now_ns
            self._engine.submit(
                c.TriggerStop(ts_ns=now_ns, order_id=order_id, trigger_px=px, quotes=dict(self._quotes[symbol]))
            )

    def _run(self) -> None:
        while not self._stop.wait(TICK_S):
            try:
                now_ns = self._engine.now_ns()
                with self._engine.reading() as state:
                    keys = due_timers(state, now_ns)
                for key in keys:
                    self._engine.submit(c.Timer(ts_ns=now_ns, key=key))
            except Exception:
                log.exception("timers")


def due_timers(state: State, now_ns: int, inflight_ns: int = INFLIGHT_NS) -> list[str]:
    """Keys of the deadlines that have passed, at most MAX_TIMERS of each kind."""
    keys: list[str] = []
    for child_id, sent_ns in state.inflight.items():
        if sent_ns + inflight_ns > now_ns or len(keys) >= MAX_TIMERS:
            break
        keys.append("inflight:" + child_id)
    due = [child_id for child_id in state.uncertain if state.children[child_id].next_query_ns <= now_ns]
    keys += ["query:" + child_id for child_id in due[:MAX_TIMERS]]
    expired: list[str] = []
    for minute in sorted(state.expiries):
        if minute > now_ns // 60_000_000_000 or len(expired) >= MAX_TIMERS:
            break
        for order_id, due_ns in state.expiries[minute].items():
            if due_ns <= now_ns and not state.orders[order_id].stopping:
                expired.append("expire:" + order_id)
    return keys + expired[:MAX_TIMERS]


