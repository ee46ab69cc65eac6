"""What a connector remembers of its orders: to name trades by our id, to drop duplicates, to notice what it missed.

It is a cache, never the truth: after a restart of the host it is empty, and then the venue is asked. What is kept of an order
that has ended is what the venue can still bring again, and for as long as it can:

    the order itself           FULL_NS: late events of the stream, answers under way, trades that its end announced
    the name of its trades     NAMED_NS: a reconciliation asks for trades again, from one interval (5 min) and the overlap
                               (10 min) ago; for older ones the venue is asked whose they are. An order without trades has none
    that it was placed         the last PLACED orders at least: never sent twice
    trades                     the last SEEN trades at least, of open orders as well: never counted twice
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from ..core.commands import VenueTrade
from . import host_clock
from .base import Done
from .memory import Names, Seen

MAX_ORDERS = 200_000
MAX_FINISHED = 50_000
PLACED = 50_000
SEEN = 200_000
# refused orders are looked for among the open ones so long: two sweeps
REFUSED_NS = 12_000_000_000
MAX_REFUSED = 1000
FULL_NS = 120_000_000_000
NAMED_NS = 1_200_000_000_000
# looked at per finished order: more than come in, so that what is old goes
_FORGET_AT_ONCE = 4


@dataclass(slots=True)
class Tracked:
    """One order. `began_ns`: by host_clock.steady_ns. `open`: it may work at the venue as far as we know; `unsure`: its placing
    was answered Ambiguous."""

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
    # the greatest quantity that it ever had; None: not known
    most: Decimal | None = None
    # its quantity by the venue's last word, which an amend makes smaller; None: none heard
    total: Decimal | None = None
    amending: bool = False
    cum_qty: Decimal = Decimal(0)
    done: Done | None = None

    @property
    def sent_ns(self) -> int:
        """It was not sent before then, by the wall clock; 0: not placed by this host, which may have heard of it late."""
        return host_clock.to_wall(self.began_ns) if self.side else 0


def trade_key(symbol: str, trade_id: object, side: str | None) -> str:
    """What makes a trade unique at a venue: ids are per symbol, and where two orders of the account trade with each other each
    has its side of the one trade. `side` as the caller spells it ("1" or "buy"): no key is compared with another's."""
    return f"{symbol}|{trade_id}|{side}"


class Tracker:
    """Orders by our id and by (symbol, venue order id); trades seen. See the module's docstring for what is forgotten when."""

    def __init__(self, news: Callable[[VenueTrade], None] = lambda trade: None) -> None:
        """`news` gets each trade that is fresh, before anybody else."""
        self._news = news
        self._orders: dict[str, Tracked] = {}
        self._by_venue_id: dict[tuple[str, str], str] = {}
        # our id -> when it ended, the oldest first
        self._finished: OrderedDict[str, int] = OrderedDict()
        self._refused: OrderedDict[str, int] = OrderedDict()
        self._names = Names(NAMED_NS, MAX_FINISHED)
        self._placed = Seen(PLACED)
        self._seen = Seen(SEEN)

    def begin(self, venue_cl_ord_id: str, symbol: str) -> Tracked:
        """An order is about to be placed, or was heard of."""
        tracked = self._orders.get(venue_cl_ord_id)
        if tracked is None:
            tracked = self._orders[venue_cl_ord_id] = Tracked(venue_cl_ord_id, symbol, host_clock.steady_ns())
        return tracked

    def get(self, venue_cl_ord_id: str) -> Tracked | None:
        return self._orders.get(venue_cl_ord_id)

    def open_orders(self) -> list[Tracked]:
        return [t for t in self._orders.values() if t.open]

    def was_placed(self, venue_cl_ord_id: str) -> bool:
        """The order is followed, or was."""
        return venue_cl_ord_id in self._orders or venue_cl_ord_id in self._placed

    def drop(self, venue_cl_ord_id: str) -> None:
        """The order never came to be."""
        tracked = self._orders.pop(venue_cl_ord_id, None)
        if tracked is not None and tracked.venue_order_id:
            self._by_venue_id.pop((tracked.symbol, tracked.venue_order_id), None)

    def refused(self, venue_cl_ord_id: str) -> None:
        """The venue refused it. For a while it is looked for all the same."""
        self.drop(venue_cl_ord_id)
        self._placed.add(venue_cl_ord_id)
        self._refused[venue_cl_ord_id] = host_clock.steady_ns()
        if len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)

    def doubtful(self) -> tuple[str, ...]:
        """Orders that were refused a short while ago."""
        horizon_ns = host_clock.steady_ns() - REFUSED_NS
        while self._refused and next(iter(self._refused.values())) < horizon_ns:
            self._refused.popitem(last=False)
        return tuple(self._refused)

    def works_after_all(self, venue_cl_ord_id: str) -> None:
        """A refused order is open; told, and no longer looked for."""
        self._refused.pop(venue_cl_ord_id, None)

    def name(self, tracked: Tracked, venue_order_id: str) -> None:
        """The venue's id of an order became known."""
        if venue_order_id and tracked.venue_order_id != venue_order_id:
            tracked.venue_order_id = venue_order_id
            self._by_venue_id[tracked.symbol, venue_order_id] = tracked.venue_cl_ord_id

    def shrink(self, tracked: Tracked, total: Decimal) -> None:
        """The venue shows this quantity of the order. Totals only fall: an older word that comes late does not count."""
        tracked.total = total if tracked.total is None else min(tracked.total, total)
        if tracked.qty is not None:
            tracked.qty = min(tracked.qty, tracked.total)

    def works(self, tracked: Tracked, asked_ns: int) -> None:
        """The venue shows it as open in answer to a question of then. An end that was told before is not so: it is followed
        again, and told again when it comes."""
        ended_ns = self._finished.get(tracked.venue_cl_ord_id)
        if ended_ns is not None and asked_ns > ended_ns:
            del self._finished[tracked.venue_cl_ord_id]
            tracked.done, tracked.open = None, True

    def our_id(self, symbol: str, venue_order_id: str) -> str | None:
        """Our id of the venue's order; None when it is not known."""
        return self._by_venue_id.get((symbol, venue_order_id)) or self._names.get(f"{symbol}|{venue_order_id}")

    def fresh(self, trade: VenueTrade) -> bool:
        """This trade has not been told yet. One of more than the whole order cannot be: each is told, for the gateway to judge
        and to ask about, and none is counted or known afterwards, so that the right one under the same id still is."""
        if self._is_beyond(trade):
            return True
        if trade_key(trade.symbol, trade.venue_trade_id, trade.side) in self._seen:
            return False
        self._news(trade)
        return True

    def told(self, trade: VenueTrade) -> None:
        """It was handed over, and only now it is known: what failed on its way comes again. Counted into its order."""
        if self._is_beyond(trade) or not self._seen.add(trade_key(trade.symbol, trade.venue_trade_id, trade.side)):
            return
        tracked = self._orders.get(trade.venue_cl_ord_id)
        if tracked is not None:
            tracked.cum_qty += trade.qty

    def _is_beyond(self, trade: VenueTrade) -> bool:
        tracked = self._orders.get(trade.venue_cl_ord_id)
        return bool(tracked is not None and tracked.most and trade.qty > tracked.most)

    def is_news(self, done: Done) -> bool:
        """It is not known that the order ended so."""
        tracked = self._orders.get(done.venue_cl_ord_id)
        before = tracked.done if tracked is not None else None
        return before is None or (before.status, before.cum_qty) != (done.status, done.cum_qty)

    def finish(self, done: Done, symbol: str) -> bool:
        """The order ended; False when just that was known already."""
        tracked = self.begin(done.venue_cl_ord_id, symbol)
        self.name(tracked, done.venue_order_id)
        if not self.is_news(done):
            return False
        tracked.done = done
        self.ended(tracked)
        return True

    def ended(self, tracked: Tracked) -> None:
        """It works no longer; the oldest of these are forgotten."""
        now_ns = host_clock.steady_ns()
        tracked.open = tracked.unsure = False
        self._finished.pop(tracked.venue_cl_ord_id, None)
        self._finished[tracked.venue_cl_ord_id] = now_ns
        for _ in range(_FORGET_AT_ONCE):
            oldest, ended_ns = next(iter(self._finished.items()))
            if now_ns - ended_ns < FULL_NS and len(self._finished) <= MAX_FINISHED:
                break
            del self._finished[oldest]
            self._forget(oldest, now_ns)

    def _forget(self, venue_cl_ord_id: str, now_ns: int) -> None:
        """Keep of an ended order what the module's docstring says, and no more."""
        tracked = self._orders.get(venue_cl_ord_id)
        if tracked is None:
            return
        self._placed.add(venue_cl_ord_id)
        executed = tracked.done is None or tracked.done.cum_qty is None or tracked.done.cum_qty > 0 or tracked.cum_qty > 0
        if executed and tracked.venue_order_id:
            self._names.put(f"{tracked.symbol}|{tracked.venue_order_id}", venue_cl_ord_id, now_ns)
        self.drop(venue_cl_ord_id)

    @property
    def full(self) -> bool:
        """Too many orders are open to take another."""
        return len(self._orders) >= MAX_ORDERS
