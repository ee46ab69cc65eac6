"""The exchange: it alone knows what is true. It fills, ends and refuses orders, and says so on its user stream.

Its answers are snapshots taken at the moment in which a request is handled; what happens to them on the way back, and to
the words of the stream, is the business of the network between it and the venue host (host.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from ..core import commands as c
from ..venues import wire
from .checks import Truth, lock_of
from .scheduler import MS, SECOND, Sim, Violation

VENUE: Final = "sim"
VENUE_ACCOUNT: Final = "acc-1"
SYMBOL: Final = "BTC/USDT"
LOT: Final = Decimal("0.1")
TICK: Final = Decimal("0.01")
RECV_WINDOW_NS: Final = 5 * SECOND
# its read side may be behind by so much
LAG_NS: Final = 400 * MS
ZERO: Final = Decimal(0)


@dataclass(slots=True)
class VenueOrder:
    """One order as the exchange has it. `status`: open, filled, canceled, expired."""

    our_id: str
    venue_order_id: str
    side: str
    qty: Decimal
    px: Decimal | None
    tif: str
    accepted_ns: int
    cum_qty: Decimal = ZERO
    status: str = "open"
    ended_ns: int = 0
    trades: list[c.VenueTrade] = field(default_factory=list)

    @property
    def left(self) -> Decimal:
        """What may still trade."""
        return self.qty - self.cum_qty if self.status == "open" else ZERO


class Refused(Exception):
    """A definite refusal. `unknown`: no such open order."""

    def __init__(self, code: str, unknown: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.unknown = unknown


class Exchange:
    """`say`: puts a word on the user stream. `trading`: orders fill by themselves. `lossy`: the gateway has lost records."""

    def __init__(
        self, sim: Sim, truth: Truth, say: Callable[[c.VenueCommand], None], lossy: Callable[[], bool] = lambda: False
    ) -> None:
        self.lossy = lossy
        self.orders: dict[str, VenueOrder] = {}
        self.px = Decimal(100)
        self.trading = True
        self.total = {"BTC": Decimal(sim.rng.choice((3, 50))), "USDT": Decimal(sim.rng.choice((300, 5000)))}
        self._by_venue_id: dict[str, VenueOrder] = {}
        self._sim = sim
        self._truth = truth
        self._say = say
        self._trade_count = 0
        self._missed: dict[str, None] = {}
        self._lied: dict[str, None] = {}
        self._pace_ms = sim.ms(300, 9000) / MS

    # --- requests ---

    def place(self, message: wire.PlaceChild, sent_ns: int) -> VenueOrder:
        """Accept, or raise Refused. `sent_ns`: true time at which the host sent it."""
        sim, key = self._sim, message.venue_cl_ord_id
        known = self._truth.place.get(key)
        if known is not None and key in self.orders and self.lossy():
            raise Refused("-2010 duplicate")
        if known is None or key in self.orders:
            raise Violation("no double send", f"the exchange got {key} {'which nobody sent' if known is None else 'twice'}")
        if sim.now - sent_ns > RECV_WINDOW_NS:
            self._refuse(key, "-1021 too late")
        self._truth.arrived(key)
        if sim.chance("reject", 0.06):
            self._refuse(key, "-2010 rejected")
        assert message.qty is not None
        if message.post_only and message.px is not None and (message.px > self.px) == (message.side == "1"):
            self._refuse(key, "-2010 would take")
        asset, need = lock_of(message)
        if need > self.free(asset):
            self._refuse(key, "-2010 insufficient balance")
        order = VenueOrder(
            our_id=key, venue_order_id=f"v{len(self.orders) + 1}", side=message.side, qty=message.qty, px=message.px,
            tif=message.tif, accepted_ns=sim.now,
        )  # fmt: skip
        self.orders[key] = self._by_venue_id[order.venue_order_id] = order
        sim.counts["venue accepts"] += 1
        self._say(c.ChildAck(ts_ns=sim.now, venue=VENUE, venue_cl_ord_id=key, venue_order_id=order.venue_order_id))
        if message.tif in ("3", "4") or message.ord_type == "1":
            self._immediate(order)
        else:
            self._fill_later(order)
        return order

    def free(self, asset: str) -> Decimal:
        """Total less what open orders lock."""
        locked = ZERO
        for order in self.orders.values():
            if order.status == "open" and (order.side == "1") == (asset == "USDT"):
                locked += order.left * (order.px or ZERO) if asset == "USDT" else order.left
        return self.total[asset] - locked

    def balances(self) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
        """(free, total) by asset."""
        return {asset: self.free(asset) for asset in self.total}, dict(self.total)

    def _refuse(self, key: str, code: str) -> None:
        self._sim.counts["venue refuses"] += 1
        self._truth.gone(key)
        raise Refused(code)

    def _immediate(self, order: VenueOrder) -> None:
        if self._sim.throw(0.6):
            self._trade(order, order.qty if order.tif == "4" or self._sim.throw(0.5) else self._part(order))
        if order.status == "open":
            self.end(order, "expired")

    def cancel(self, our_id: str, venue_order_id: str) -> VenueOrder:
        """Cancel, or raise Refused."""
        order = self.orders.get(our_id) or self._by_venue_id.get(venue_order_id)
        if self._sim.chance("cancel-reject", 0.08):
            raise Refused("-2011 not now")
        if order is None or order.status != "open":
            raise Refused("-2011 unknown order", unknown=True)
        self.end(order, "canceled")
        return order

    def amend(self, our_id: str, qty: Decimal) -> VenueOrder:
        """Reduce in place to `qty` in all, or raise Refused."""
        order = self.orders.get(our_id)
        if self._sim.chance("amend-reject", 0.1):
            raise Refused("-2038 not now")
        if order is None or order.status != "open":
            raise Refused("-2013 unknown order", unknown=True)
        if not order.cum_qty < qty < order.qty:
            raise Refused("-2038 no such quantity")
        self._truth.reduced(our_id, order.qty - qty)
        self._sim.counts["venue amends"] += 1
        order.qty = qty
        return order

    def find(self, our_id: str, venue_order_id: str) -> VenueOrder | None:
        """By our id; its read side may not have the newest yet."""
        order = self.orders.get(our_id) or self._by_venue_id.get(venue_order_id)
        if order is None:
            return None
        if order.our_id not in self._missed and self._sim.chance("stale-read", 0.06):
            self._missed[order.our_id] = None
            return None
        return None if self._sim.now - order.accepted_ns < LAG_NS and self._sim.throw(0.3) else order

    def lie(self, order: VenueOrder) -> tuple[str, Decimal] | None:
        """Now and then, once for each order: it has ended (status, executed), although it works. The figure is one that its
        trades cannot come to; with one that they have come to, a lie is not to be told from an end."""
        if order.status != "open" or order.our_id in self._lied or not self._sim.chance("wrong-status", 0.03):
            return None
        self._lied[order.our_id] = None
        figures = (order.qty, ZERO, order.cum_qty + LOT / 2, Decimal(99999))
        word = self._sim.rng.choice(("filled", "canceled")), self._sim.rng.choice(figures)
        if word[0] == "canceled" and not word[1]:
            word = "filled", ZERO
        self._sim.note("exchange", f"{order.our_id} is open and told to be {word[0]} with {word[1]}")
        return word

    def open_orders(self) -> tuple[c.OpenOrder, ...]:
        """What its read side lists: a new one may be missing, one that just ended may still be there."""
        now, listed = self._sim.now, []
        for order in self.orders.values():
            fresh = order.status == "open" and now - order.accepted_ns < LAG_NS
            gone = order.status != "open" and now - order.ended_ns < LAG_NS
            if (fresh or gone) and self._sim.throw(0.3):
                if fresh:
                    continue
            elif order.status != "open":
                continue
            listed.append(
                c.OpenOrder(
                    venue_cl_ord_id=order.our_id, venue_order_id=order.venue_order_id, symbol=SYMBOL, side=order.side,
                    qty=order.qty, cum_qty=order.cum_qty, px=order.px,
                )
            )  # fmt: skip
        return tuple(listed)

    def trades_since(self, since_ns: int) -> tuple[c.VenueTrade, ...]:
        """In the order of their execution."""
        found = [item for order in self.orders.values() for item in order.trades if item.venue_ns >= since_ns]
        return tuple(sorted(found, key=lambda item: (item.venue_ns, item.venue_trade_id)))

    # --- the market ---

    def move(self) -> c.Quote:
        """The price walks; the new quote."""
        self.px = max(self.px + self._sim.rng.randint(-40, 40) * TICK, Decimal(90))
        px, now = self.px, self._sim.now
        return c.Quote(bid=px - TICK, ask=px + TICK, last=px, recv_ns=now, last_ns=now, last_low=px, last_high=px)

    def _part(self, order: VenueOrder) -> Decimal:
        return min(order.left, LOT * self._sim.rng.randint(1, 8))

    def _fill_later(self, order: VenueOrder) -> None:
        self._sim.at(self._sim.ms(1, 2 * self._pace_ms), self._fill, order)

    def _fill(self, order: VenueOrder) -> None:
        if order.status != "open" or not self.trading:
            return
        if self._sim.chance("venue-cancel", 0.03):
            self.end(order, "canceled")
            return
        if self._sim.throw(0.6):
            self._trade(order, order.left if self._sim.throw(0.3) else self._part(order))
        self._fill_later(order)

    def _trade(self, order: VenueOrder, qty: Decimal) -> None:
        sim = self._sim
        self._trade_count += 1
        fee = Decimal("0.001") if self._trade_count % 4 == 0 else ZERO
        px, buy = order.px or self.px, order.side == "1"
        asset = "BTC" if buy else "USDT"  # the fee comes out of what is received
        self.total["BTC"] += qty - fee if buy else -qty
        self.total["USDT"] += -qty * px if buy else qty * px - fee
        item = c.VenueTrade(
            account=VENUE_ACCOUNT, symbol=SYMBOL, venue_cl_ord_id=order.our_id, venue_order_id=order.venue_order_id,
            venue_trade_id=f"t{self._trade_count}", side=order.side, qty=qty, px=px, fee=fee,
            fee_asset=asset if fee else "", liquidity="1", venue_ns=sim.now,
        )  # fmt: skip
        order.cum_qty += qty
        order.trades.append(item)
        self._truth.traded(order.our_id, qty)
        sim.counts["venue fills in part" if order.left else "venue fills in full"] += 1
        sim.note("exchange", "trades", item)
        self._say(c.ChildTrade(ts_ns=sim.now, venue=VENUE, trade=item))
        if not order.left:
            self.end(order, "filled")

    def end(self, order: VenueOrder, status: str) -> None:
        """Nothing of it trades any more."""
        sim = self._sim
        order.status, order.ended_ns = status, sim.now
        self._truth.gone(order.our_id)
        sim.counts["venue ends as " + status] += 1
        sim.note("exchange", f"{order.our_id} ends as {status}, executed {order.cum_qty}")
        self._say(done_of(order, sim.now, unsaid=sim.throw(0.1)))


def done_of(order: VenueOrder, now_ns: int, unsaid: bool = False) -> c.ChildDone:
    """The word that an order has ended. `unsaid`: without the executed quantity."""
    return c.ChildDone(
        ts_ns=now_ns, venue=VENUE, venue_cl_ord_id=order.our_id, venue_order_id=order.venue_order_id, status=order.status,
        cum_qty=None if unsaid else order.cum_qty,
    )  # fmt: skip
