"""A model venue that is the judge: what it executed is the truth. What it says goes on a line that may lose it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec
from core_world import SYMBOL, VENUE, VENUE_ACCOUNT, World

from fixgw.core import commands as c
from fixgw.core import events as e

LOT = Decimal("0.1")
MAX_LINE = 64


@dataclass
class VenueOrder:
    """One order as the venue has it. `open`: it may still trade."""

    placed: e.ChildPlaced
    venue_order_id: str
    qty: Decimal
    cum_qty: Decimal = Decimal(0)
    status: str = "open"
    trades: list[c.VenueTrade] = field(default_factory=list)

    @property
    def left(self) -> Decimal:
        return self.qty - self.cum_qty if self.status == "open" else Decimal(0)


class ModelVenue:
    """Orders by our id; `from_venue`: what was said and has not arrived."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.orders: dict[str, VenueOrder] = {}
        self.from_venue: list[c.VenueCommand] = []
        self.up = True
        self.trade_count = 0

    def _say(self, *words: c.VenueCommand) -> None:
        if self.up and len(self.from_venue) < MAX_LINE:
            self.from_venue.extend(words)

    def _place(self, ev: e.ChildPlaced) -> None:
        assert ev.venue_cl_ord_id not in self.orders, "the venue got an order twice"
        order = self.orders[ev.venue_cl_ord_id] = VenueOrder(ev, f"v{len(self.orders) + 1}", ev.qty)
        self._say(
            c.ChildAck(ts_ns=0, venue=VENUE, venue_cl_ord_id=ev.venue_cl_ord_id, venue_order_id=order.venue_order_id)
        )
        if ev.tif in ("3", "4"):
            if len(self.orders) % 2:
                self._trade(order, ev.qty if ev.tif == "4" else LOT)
            if order.status == "open":
                self._end(order, "expired")

    def _cancel(self, ev: e.ChildCancelSent | e.OrphanCancelSent) -> None:
        our_id = ev.order.venue_cl_ord_id if isinstance(ev, e.OrphanCancelSent) else ev.venue_cl_ord_id
        order = self.orders.get(our_id)
        if order is not None and order.status == "open":
            self._end(order, "canceled")
        else:
            self._say(
                c.ChildCancelReject(
                    ts_ns=0, venue=VENUE, venue_cl_ord_id=our_id, code="-2011", text="unknown", unknown_order=True
                )
            )

    def _amend(self, ev: e.ChildAmendSent) -> None:
        order = self.orders.get(ev.venue_cl_ord_id)
        if order is None or order.status != "open" or not order.cum_qty < ev.qty < order.qty:
            self._say(self._amend_reject(ev, "-2038"))
            return
        order.qty = ev.qty
        self._say(c.ChildAmended(ts_ns=0, venue=VENUE, venue_cl_ord_id=ev.venue_cl_ord_id, qty=ev.qty))

    def _end(self, order: VenueOrder, status: str) -> None:
        order.status = status
        self._say(
            c.ChildDone(
                ts_ns=0, venue=VENUE, venue_cl_ord_id=order.placed.venue_cl_ord_id, venue_order_id=order.venue_order_id,
                status=status, cum_qty=order.cum_qty if len(self.orders) % 5 else None,
            )
        )  # fmt: skip

    def _trade(self, order: VenueOrder, qty: Decimal) -> None:
        self.trade_count += 1
        fee = Decimal("0.001") if self.trade_count % 3 == 0 else Decimal(0)
        item = c.VenueTrade(
            account=VENUE_ACCOUNT, symbol=SYMBOL, venue_cl_ord_id=order.placed.venue_cl_ord_id,
            venue_order_id=order.venue_order_id, venue_trade_id=f"t{self.trade_count}", side=order.placed.side,
            qty=qty, px=order.placed.px or Decimal(100), fee=fee, fee_asset="BTC" if fee else "", venue_ns=self.world.now_ns,
        )  # fmt: skip
        order.cum_qty += qty
        order.trades.append(item)
        self._say(c.ChildTrade(ts_ns=0, venue=VENUE, trade=item))
        if order.cum_qty == order.qty:
            self._end(order, "filled")

    def fill(self, a: int, b: int) -> None:
        working = [order for order in self.orders.values() if order.status == "open"]
        if working:
            order = working[a % len(working)]
            self._trade(order, min(order.left, LOT * (1 + b % 5)))

    def venue_cancels(self, a: int, _b: int) -> None:
        working = [order for order in self.orders.values() if order.status == "open"]
        if working:
            self._end(working[a % len(working)], "canceled")

    def _reject(self, ev: e.ChildPlaced, code: str) -> c.ChildReject:
        return c.ChildReject(ts_ns=0, venue=VENUE, venue_cl_ord_id=ev.venue_cl_ord_id, code=code, text="")

    def _amend_reject(self, ev: e.ChildAmendSent, code: str) -> c.ChildAmendReject:
        return c.ChildAmendReject(ts_ns=0, venue=VENUE, venue_cl_ord_id=ev.venue_cl_ord_id, code=code, text="")

    def _ambiguous(self, ev: e.ChildPlaced | e.ChildCancelSent | e.ChildAmendSent) -> c.ChildAmbiguous:
        op = {e.ChildPlaced: "place", e.ChildCancelSent: "cancel", e.ChildAmendSent: "amend"}[type(ev)]
        return c.ChildAmbiguous(ts_ns=0, venue=VENUE, venue_cl_ord_id=ev.venue_cl_ord_id, op=op, code="TIMEOUT", text="")

    def _look_up(self, our_id: str) -> c.ChildQueryResult:
        order = self.orders.get(our_id)
        now_ns = self.world.now_ns
        if order is None:
            return c.ChildQueryResult(
                ts_ns=0, venue=VENUE, venue_cl_ord_id=our_id, outcome="not_found", asked_ns=now_ns, trades_checked=True
            )
        return c.ChildQueryResult(
            ts_ns=0, venue=VENUE, venue_cl_ord_id=our_id, outcome=order.status, asked_ns=now_ns,
            venue_order_id=order.venue_order_id, cum_qty=order.cum_qty, trades=tuple(order.trades), trades_checked=True,
        )  # fmt: skip

    def _picture(self, named: bool) -> c.VenueReconciled:
        """Everything. `named`: the host knows our ids of the trades (a host that was restarted does not)."""
        trades: Iterable[c.VenueTrade] = [item for order in self.orders.values() for item in order.trades]
        if not named:
            trades = [msgspec.structs.replace(item, venue_cl_ord_id="") for item in trades]
        listed = tuple(
            c.OpenOrder(
                venue_cl_ord_id=our_id, venue_order_id=order.venue_order_id, symbol=SYMBOL, side=order.placed.side,
                qty=order.qty, cum_qty=order.cum_qty, px=order.placed.px,
            )
            for our_id, order in self.orders.items()
            if order.status == "open"
        )  # fmt: skip
        return c.VenueReconciled(
            ts_ns=0, venue=VENUE, account=VENUE_ACCOUNT, asked_ns=self.world.now_ns, open_orders=listed, trades=tuple(trades)
        )
