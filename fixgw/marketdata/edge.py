"""The edge: keeps the newest quotes, stamps commands with them, and raises TriggerStop and Timer commands.

Quotes come on the venue links' reader threads, one per venue: what they share is changed under a lock that is never held
while the engine is called (the index of stops has one of its own, since it waits for the state).
A stop triggers on the last trade (or bid / ask, by instrument), never on stale data; the core runs the risk stages again:
    last      the update must tell of a trade that is newer than the one seen before at that venue, and of the last
              FRESH_NS; a buy stop looks at the highest price traded since the update before, a sell stop at the lowest
    bid, ask  the book must have been received within FRESH_NS
A trade that hit is told again for FRESH_NS while the stop is still held: the core does not act on it before the venue is READY.
"""

from __future__ import annotations

import logging
import threading
from decimal import Decimal

import msgspec

from ..core import commands as c
from ..core import events as e
from ..core.codec import Record
from ..core.commands import Quote
from ..core.evolve import MINUTE_NS
from ..core.order import Order
from ..core.state import DOWN, State
from ..engine import Engine
from ..venues.wire import BookUpdate

log = logging.getLogger(__name__)

TICK_S = 0.1
# a child or cancel without any answer for this long is asked about (the host's own time-outs come first)
INFLIGHT_NS = 10_000_000_000
RETRIGGER_NS = 250_000_000
MAX_TIMERS = 256
MAX_HITS = 10_000
# every venue is asked for the full picture this often, for a word of it that was lost on the way
RECONCILE_NS = 300_000_000_000
# what is older (or further in the future) triggers nothing
FRESH_NS = 5_000_000_000
_STOP_EVENTS = frozenset((e.OrderReceived, e.OrderReplaced, e.StopTriggered, e.OrderCanceled, e.OrderExpired))


class _Hit(msgspec.Struct, frozen=True):
    """A price that was at or through `stop_px`, seen at `seen_ns`; the core was last told at `asked_ns`."""

    stop_px: Decimal
    px: Decimal
    seen_ns: int
    asked_ns: int


class Edge:
    """Quotes, stops, timers around one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # each inner dict is replaced, never changed: readers need no lock
        self._quotes: dict[str, dict[str, Quote]] = {}
        self._lock = threading.Lock()
        self._index_lock = threading.Lock()
        # (venue, symbol) -> [(order_id, side, stop_px)]
        self._stops: dict[tuple[str, str], list[tuple[str, str, Decimal]]] = {}
        self._stops_stale = True
        # (venue, symbol) -> receive time of the newest trade seen
        self._last_ns: dict[tuple[str, str], int] = {}
        # order_id -> the newest hit of it, until the order is no longer held
        self._hits: dict[str, _Hit] = {}
        self._reconcile_ns = engine.now_ns() + RECONCILE_NS
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

    def quotes_of_order(self, session: str, cl_ord_id: str, order_id: str, client_symbol: str) -> dict[str, Quote]:
        """Quotes for a replace: those of the instrument of the order that is meant, whatever the message calls it (a name may
        mean another instrument since). Where there is no such order yet, those of `client_symbol`.

        The look without the lock is safe: the indices hold whole orders, whose instrument never changes. Only an open order
        counts there, since a ClOrdID may come to name another order once its own is long finished. What is packed away is
        finished, so that the core refuses without any quote."""
        order = _named(self._engine.state, session, cl_ord_id, order_id)
        if order is not None and order.is_open:
            return self.quotes_of(order.symbol)
        symbol = self.instrument_of(session, client_symbol)
        if not symbol:
            # the order may be one that was sent just before and waits to be decided
            with self._engine.reading(submitted=True) as state:
                order = _named(state, session, cl_ord_id, order_id)
                symbol = order.symbol if order is not None else ""
        return self.quotes_of(symbol)

    def instrument_of(self, session: str, client_symbol: str) -> str:
        """The instrument that a session calls so, "" for an unknown one."""
        settings = self._engine.state.settings.sessions.get(session)
        return settings.symbols.get(client_symbol, "") if settings is not None else ""

    def on_book(self, update: BookUpdate) -> None:
        """A host's book update: merged, since a trade says nothing of the book and the other way round."""
        symbol, venue, new = update.symbol, update.venue, update.quote
        if new.unusable:
            with self._lock:
                seen = self._quotes.get(symbol, {})
                old = msgspec.structs.replace(seen.get(venue, new), unusable=new.unusable)
                self._quotes[symbol] = {**seen, venue: old}
            return
        # the extremes are for stops only: commands and the journal do without
        kept = msgspec.structs.replace(new, last_low=None, last_high=None)
        now_ns = self._engine.now_ns()
        with self._lock:
            self._quotes[symbol] = {**self._quotes.get(symbol, {}), venue: kept}
            # noted before there is a stop, too: a trade that a stop's order came after must not trigger it
            traded = self._is_new_trade((venue, symbol), new, now_ns)
        if self._stops_stale or self._index_lock.locked():
            with self._index_lock:  # who finds another thread at it waits: its trade must see the new stop
                if self._stops_stale:
                    self._index_stops()
        watched = self._stops.get((venue, symbol))
        if watched:
            self._check_stops(watched, symbol, new, traded, now_ns)

    def _is_new_trade(self, key: tuple[str, str], quote: Quote, now_ns: int) -> bool:
        """True when the update tells of a fresh trade that was not seen yet. The lock is held."""
        if abs(now_ns - quote.last_ns) > FRESH_NS or quote.last_ns <= self._last_ns.get(key, 0):
            return False
        self._last_ns[key] = quote.last_ns
        return True

    def clock_set(self, step_ns: int) -> None:
        """What is kept here by the old clock goes on by the new one."""
        with self._lock:
            for symbol, quotes in self._quotes.items():
                self._quotes[symbol] = {venue: _moved(quote, step_ns) for venue, quote in quotes.items()}
            self._last_ns = {key: ns + step_ns for key, ns in self._last_ns.items()}
            self._hits = {
                order_id: _Hit(hit.stop_px, hit.px, hit.seen_ns + step_ns, hit.asked_ns + step_ns)
                for order_id, hit in self._hits.items()
            }
            self._reconcile_ns += step_ns

    def effect(self, record: Record) -> None:
        """Engine listener: the index of stops is made anew when one came, changed or went."""
        for event in record.events:
            if type(event) in _STOP_EVENTS and (type(event) is not e.OrderReceived or event.held):
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

    def _check_stops(
        self, watched: list[tuple[str, str, Decimal]], symbol: str, quote: Quote, traded: bool, now_ns: int
    ) -> None:
        settings = self._engine.state.settings.instruments.get(symbol)
        trigger = settings.trigger if settings is not None else "last"
        fresh = traded if trigger == "last" else abs(now_ns - quote.recv_ns) <= FRESH_NS
        for order_id, side, stop_px in watched:
            px = _trigger_px(quote, trigger, side) if fresh else None
            before = self._hits.get(order_id)
            if before is not None and before.stop_px != stop_px:
                before = None  # it was replaced since
            if px is not None and (px >= stop_px if side == "1" else px <= stop_px):
                hit = _Hit(stop_px, px, now_ns, before.asked_ns if before is not None else 0)
            elif before is not None and trigger == "last" and now_ns - before.seen_ns <= FRESH_NS:
                hit = before  # still held: the core could not act then (its venue was not ready), perhaps it can now
            else:
                continue
            if now_ns - hit.asked_ns >= RETRIGGER_NS:
                hit = msgspec.structs.replace(hit, asked_ns=now_ns)
                quotes = dict(self._quotes[symbol])
                self._engine.submit(c.TriggerStop(ts_ns=now_ns, order_id=order_id, trigger_px=hit.px, quotes=quotes))
            with self._lock:
                self._hits.pop(order_id, None)
                self._hits[order_id] = hit
                if len(self._hits) > MAX_HITS:
                    del self._hits[next(iter(self._hits))]

    def _run(self) -> None:
        while not self._stop.wait(TICK_S):
            try:
                now_ns = self._engine.now_ns()
                with self._engine.reading() as state:
                    keys = due_timers(state, now_ns)
                    if now_ns >= self._reconcile_ns:
                        self._reconcile_ns = now_ns + RECONCILE_NS
                        keys += ["reconcile:" + venue for venue in state.settings.venues]
                for key in keys:
                    self._engine.submit(c.Timer(ts_ns=now_ns, key=key))
            except Exception:
                log.exception("timers")


def _moved(quote: Quote, step_ns: int) -> Quote:
    last_ns = quote.last_ns + step_ns if quote.last_ns else 0
    return msgspec.structs.replace(quote, recv_ns=quote.recv_ns + step_ns, last_ns=last_ns)


def _named(state: State, session: str, cl_ord_id: str, order_id: str) -> Order | None:
    """The order that a cancel or replace names, as the core finds it (core/changes.py), unless it is packed away."""
    known = state.sessions.get(session)
    found = known.cl_ord_ids.get(cl_ord_id) if known is not None else None
    order = state.orders.get(found or order_id)
    return order if order is not None and order.session == session else None


def _trigger_px(quote: Quote, trigger: str, side: str) -> Decimal | None:
    """The price that decides for a stop of this side; None when there is none that can be trusted."""
    if trigger != "last":
        px = quote.bid if trigger == "bid" else quote.ask
    else:
        extreme = quote.last_high if side == "1" else quote.last_low
        px = extreme if extreme is not None else quote.last
    return px if px is not None and px.is_finite() and px > 0 else None


def due_timers(state: State, now_ns: int, inflight_ns: int = INFLIGHT_NS) -> list[str]:
    """Keys of the deadlines that have passed, at most MAX_TIMERS of each kind."""
    keys: list[str] = []
    for child_id, sent_ns in state.inflight.items():
        if sent_ns + inflight_ns > now_ns or len(keys) >= MAX_TIMERS:
            break
        keys.append("inflight:" + child_id)
    # while its host is away nobody can be asked, and questions that nobody hears would count as asked
    down = {venue.name for venue in state.venues.values() if venue.state == DOWN}
    due = [
        child_id
        for child_id in state.uncertain
        if (child := state.children[child_id]).next_query_ns <= now_ns and child.venue not in down
    ]
    keys += ["query:" + child_id for child_id in due[:MAX_TIMERS]]
    expired: list[str] = []
    for minute in sorted(state.expiries):
        if minute > now_ns // MINUTE_NS or len(expired) >= MAX_TIMERS:
            break
        for order_id in state.expiries[minute]:
            order = state.orders[order_id]
            if (ends_ns := order.deadline_ns) is not None and ends_ns <= now_ns and not order.stopping:
                expired.append("expire:" + order_id)
    return keys + expired[:MAX_TIMERS]


