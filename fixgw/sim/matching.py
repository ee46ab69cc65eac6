"""The matching engine: price-time priority over any number of symbols, pure and synchronous.

Rules
- No I/O, no clock, no randomness: time comes in as at_ns; equal calls give equal results.
- A call either raises Refused and has changed nothing, or returns the events in the order in which they happened.
- A trade happens at the maker's price; each side pays its fee in the asset it receives, cut to eight decimals.
- Client order ids are unique among an account's OPEN orders of a symbol only, as on Binance: one can be used again
  when its order has ended.
- House orders (the venue's own liquidity, ids below zero) share the queues but have no account; see house.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext

from fixgw.sim.accounts import Records
from fixgw.sim.book import Book
from fixgw.sim.model import (
    BUY,
    CONTEXT,
    SELL,
    ZERO,
    Event,
    Fill,
    Order,
    OrderRequest,
    PublicTrade,
    Refused,
    Report,
    SymbolRules,
    floor_step,
    truncate8,
)

_NO_FUNDS = "Account has insufficient balance for requested action."


@dataclass(frozen=True, slots=True)
class CancelReplaced:
    """Both halves of a cancel-replace: events, the refusal, or (placed only) None when it was not attempted."""

    canceled: list[Event] | Refused
    placed: list[Event] | Refused | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a taker would get from the book as it stands."""

    qty: Decimal
    cost: Decimal
    exhausted: bool


class Engine(Records):
    """Books, orders and balances of one exchange.

    fee rates are fractions (0.001 = 10 bps); first_update_id is where the books' update ids begin.
    """

    def __init__(
        self,
        symbols: Iterable[SymbolRules],
        *,
        maker_fee: Decimal = Decimal("0.001"),
        taker_fee: Decimal = Decimal("0.001"),
        first_update_id: int = 1,
        history: int = 100_000,
    ) -> None:
        super().__init__(symbols, history)
        self.books = {symbol: Book(rules, first_update_id) for symbol, rules in self.symbols.items()}
        self.maker_fee = maker_fee
        self.taker_fee = taker_fee
        self.next_trade_id = 1
        self._house_id = 0

    # ---- requests -------------------------------------------------------------------------------------------

    def place(self, req: OrderRequest, at_ns: int) -> list[Event]:
        """Accept, match and rest (or expire) a new order. Raises Refused with Binance's code."""
        with localcontext(CONTEXT):
            self._check_filters(req)
            order, lock, expire_rest = self._admit(req, at_ns)
            order.locked = lock
            self.register(order)
            events: list[Event] = [self._report("NEW", order, at_ns)]
            if req.tif == "FOK" and self._plan(order, qty=order.qty).qty < order.qty:
                events.append(self._end(order, "EXPIRED", at_ns))
                return events
            self.match(order, at_ns, events)
            if order.is_open:
                if order.type == "MARKET" or order.tif != "GTC" or order.leaves == 0:
                    events.append(self._end(order, "EXPIRED", at_ns))
                else:
                    self.books[order.symbol].add(order)
            elif expire_rest and order.status == "FILLED":
                # a quote-sized order that emptied the book before its money was spent
                events.append(self._end(order, "EXPIRED", at_ns))
            return events

    def cancel(
        self,
        account: str,
        symbol: str,
        at_ns: int,
        *,
        order_id: int | None = None,
        cl_ord_id: str | None = None,
        cancel_id: str = "",
        only: str = "",
    ) -> list[Event]:
        """Cancel an open order; only is "", ONLY_NEW or ONLY_PARTIALLY_FILLED. Raises Refused(-2011)."""
        self.rules(symbol)
        order = self.find(account, symbol, order_id, cl_ord_id)
        wrong_pair = order_id is not None and cl_ord_id and order is not None and order.cl_ord_id != cl_ord_id
        if order is None or not order.is_open or wrong_pair:
            raise Refused(-2011, "Unknown order sent.")
        if only and only != f"ONLY_{order.status}":
            raise Refused(-2011, "Order was not canceled due to cancel restrictions.")
        with localcontext(CONTEXT):
            self.books[symbol].remove(order)
            return [self._end(order, "CANCELED", at_ns, cancel_id)]

    def cancel_all(self, account: str, symbol: str, at_ns: int) -> list[Event]:
        """Cancel every open order of an account in a symbol. Raises Refused(-2011) when there is none."""
        self.rules(symbol)
        orders = list(self.open_orders.get((account, symbol), {}))
        if not orders:
            raise Refused(-2011, "Unknown order sent.")
        events: list[Event] = []
        for order_id in orders:
            events += self.cancel(account, symbol, at_ns, order_id=order_id)
        return events

    def cancel_replace(
        self,
        new: OrderRequest,
        at_ns: int,
        *,
        order_id: int | None = None,
        cl_ord_id: str | None = None,
        cancel_id: str = "",
        only: str = "",
        stop_on_failure: bool = True,
    ) -> CancelReplaced:
        """Cancel one order and place another. The filters of the new one are checked before anything happens."""
        with localcontext(CONTEXT):
            self._check_filters(new)
        canceled: list[Event] | Refused
        try:
            canceled = self.cancel(
                new.account, new.symbol, at_ns, order_id=order_id, cl_ord_id=cl_ord_id, cancel_id=cancel_id, only=only
            )
        except Refused as refusal:
            canceled = refusal
            if stop_on_failure:
                return CancelReplaced(canceled, None)
        try:
            return CancelReplaced(canceled, self.place(new, at_ns))
        except Refused as refusal:
            return CancelReplaced(canceled, refusal)

    def amend(
        self,
        account: str,
        symbol: str,
        qty: Decimal,
        at_ns: int,
        *,
        order_id: int | None = None,
        cl_ord_id: str | None = None,
        new_cl_ord_id: str = "",
    ) -> list[Event]:
        """Reduce an open order's total quantity to qty; its place in the queue stays. new_cl_ord_id: its client id from then
        on, "" keeps the one it has. Raises Refused(-2038, -2039; -1013 for the filters) and has changed nothing then."""
        rules = self.rules(symbol)
        order = self.find(account, symbol, order_id, cl_ord_id)
        if order is None or not order.is_open:
            raise Refused(-2038, "Unknown order sent.")
        if order_id is not None and cl_ord_id and order.cl_ord_id != cl_ord_id:
            raise Refused(-2039, "Client order ID is not correct for this order ID.")
        new_id = new_cl_ord_id or order.cl_ord_id
        with localcontext(CONTEXT):
            self._check_amend(order, rules, qty, new_id)
            level = self.books[symbol].sides[order.side].level_at(order.price)
            if level is None:  # an open order always rests
                raise AssertionError(f"open order {order.order_id} has no level at {order.price}")
            old_id, less = order.cl_ord_id, order.qty - qty
            self.reduce(order, qty, new_id, at_ns)
            self.books[symbol].resize(level, order, -less)
            return [self._report("REPLACED", order, at_ns, orig_id=old_id)]

    def _check_amend(self, order: Order, rules: SymbolRules, qty: Decimal, new_id: str) -> None:
        """Raise Refused unless the order may be reduced to qty."""
        if not rules.amend_allowed:
            raise Refused(-2038, "Order amend is not supported for this symbol.")
        if qty > order.qty:
            raise Refused(-2038, "Order amend (quantity increase) is not supported.")
        if qty == order.qty:
            raise Refused(-2038, "The requested action would change no state; rejecting.")
        # real world: Binance does not document what it makes of a quantity that is executed already; refused here
        if qty <= order.cum_qty:
            raise Refused(-2038, "Order amend (quantity executed) is not supported.")
        if order.amends >= rules.max_amends:
            raise Refused(-2038, "Filter failure: MAX_NUM_ORDER_AMENDS")
        rules.check_quantity(qty, market=False)
        rules.check_notional(order.price * qty)
        taken = self.by_client.get((order.account, order.symbol, new_id))
        if taken != order.order_id and taken in self.open_orders.get((order.account, order.symbol), {}):
            raise Refused(-2038, "Duplicate order sent.")

    def fill_resting(self, order_id: int, qty: Decimal, at_ns: int) -> list[Event]:
        """A block trade of the house with one resting order at its own price, whatever its place in the queue.

        For tests that need a partial fill at will. Raises Refused(-2011, -1013) for an unknown order or a bad quantity.
        """
        order = self.orders.get(order_id)
        if order is None or not order.is_open:
            raise Refused(-2011, "Unknown order sent.")
        with localcontext(CONTEXT):
            if not ZERO < qty <= order.leaves or qty % self.symbols[order.symbol].step:
                raise Refused(-1013, f"Quantity {qty} must be a multiple of the step, at most {order.leaves}.")
            events: list[Event] = []
            book = self.books[order.symbol]
            level = book.sides[order.side].level_at(order.price)
            if level is None:  # an open order always rests
                raise AssertionError(f"open order {order_id} has no level at {order.price}")
            taker = self.house_order(order.symbol, SELL if order.side == BUY else BUY, order.price, qty, at_ns)
            self.trade(taker, order, qty, at_ns, events)
            return events

    # ---- checks ---------------------------------------------------------------------------------------------

    def _check_filters(self, req: OrderRequest) -> None:
        rules = self.rules(req.symbol)
        market = req.type == "MARKET"
        if req.price is not None:
            rules.check_price(req.price)
        if req.qty is not None:
            rules.check_quantity(req.qty, market=market)
        if req.quote_qty is not None:
            rules.check_notional(req.quote_qty)
        elif req.qty is not None:
            price = req.price if req.price is not None else self.reference_price(req.symbol)
            if price is not None:
                rules.check_notional(price * req.qty)

    def reference_price(self, symbol: str) -> Decimal | None:
        """Last trade, or else the mean of the best prices, or None."""
        book = self.books[symbol]
        if book.last_price is not None:
            return book.last_price
        bid, ask = book.sides[BUY].best(), book.sides[SELL].best()
        return (bid.price + ask.price) / 2 if bid and ask else None

    def _admit(self, req: OrderRequest, at_ns: int) -> tuple[Order, Decimal, bool]:
        """(the order, what it locks, whether an unspent rest expires it); raises Refused, changes nothing."""
        rules, book = self.symbols[req.symbol], self.books[req.symbol]
        key = (req.account, req.symbol)
        account = self.accounts[req.account]
        mine = self.open_orders.get(key, {})
        if self.by_client.get((*key, req.cl_ord_id)) in mine:
            raise Refused(-2010, "Duplicate order sent.")
        if len(mine) >= rules.max_open_orders:
            raise Refused(-1013, "Filter failure: MAX_NUM_ORDERS")
        if req.type == "LIMIT_MAKER" and req.price is not None and book.crosses(req.side, req.price):
            raise Refused(-2010, "Order would immediately match and take.")
        order = Order(
            self.next_order_id, req.account, req.symbol, req.side, req.type, req.tif, req.cl_ord_id,
            req.price or ZERO, req.qty or ZERO, req.quote_qty or ZERO, req.stp, at_ns, at_ns,
        )  # fmt: skip
        expire_rest = False
        if req.type == "MARKET":
            plan = self._plan(order, qty=req.qty, quote=req.quote_qty)
            lock, need_base, need_quote = ZERO, plan.qty, plan.cost
            if req.qty is None:
                order.qty, expire_rest = plan.qty, plan.exhausted
        else:
            need_base, need_quote = order.qty, order.price * order.qty
            lock = need_quote if req.side == BUY else need_base
        asset, need = (rules.quote, need_quote) if req.side == BUY else (rules.base, need_base)
        if not account.unlimited and account.balance(asset).free < need:
            raise Refused(-2010, _NO_FUNDS)
        return order, lock, expire_rest

    def _plan(self, order: Order, *, qty: Decimal | None = None, quote: Decimal | None = None) -> _Plan:
        """Walk the other side for a quantity of base, or for an amount of quote (whole steps only)."""
        book = self.books[order.symbol]
        got, cost = ZERO, ZERO
        for level in book.opposite(order.side).walk():
            if order.price and (level.price > order.price if order.side == BUY else level.price < order.price):
                return _Plan(got, cost, True)
            take = level.total
            if qty is not None:
                take = min(take, qty - got)
            elif quote is not None:
                affordable = floor_step((quote - cost) / level.price, book.rules.step)
                take = min(take, affordable)
            got += take
            cost += take * level.price
            if take < level.total or got == qty:
                return _Plan(got, cost, False)
        return _Plan(got, cost, True)

    # ---- matching -------------------------------------------------------------------------------------------

    def match(self, taker: Order, at_ns: int, events: list[Event]) -> None:
        """Trade the taker against the book while prices meet; taker.price zero means any price."""
        other = self.books[taker.symbol].opposite(taker.side)
        while taker.leaves > 0:
            level = other.best()
            if level is None:
                return
            if taker.price and (level.price > taker.price if taker.side == BUY else level.price < taker.price):
                return
            maker = level.first()
            if maker.account == taker.account and taker.stp != "NONE":
                if taker.stp in ("EXPIRE_MAKER", "EXPIRE_BOTH"):
                    self.books[maker.symbol].remove(maker)
                    events.append(self._end(maker, "EXPIRED_IN_MATCH", at_ns))
                if taker.stp in ("EXPIRE_TAKER", "EXPIRE_BOTH"):
                    events.append(self._end(taker, "EXPIRED_IN_MATCH", at_ns))
                    return
                continue
            self.trade(taker, maker, min(taker.leaves, maker.leaves), at_ns, events)

    def trade(self, taker: Order, maker: Order, qty: Decimal, at_ns: int, events: list[Event]) -> None:
        """One trade at the maker's price; the maker rests in the book and leaves it when it is full."""
        book = self.books[maker.symbol]
        side = book.sides[maker.side]
        level = side.levels[side.key(maker.price)]
        price, trade_id = maker.price, self.next_trade_id
        self.next_trade_id += 1
        book.resize(level, maker, -qty)
        book.last_price = price
        for order, is_maker in ((taker, False), (maker, True)):
            if order.is_house:
                order.cum_qty += qty
            else:
                events.append(self._fill(order, trade_id, price, qty, is_maker, at_ns))
        if maker.leaves == 0:
            del level.orders[maker.order_id]
            side.drop_if_empty(level)
        events.append(PublicTrade(maker.symbol, trade_id, price, qty, maker.side == BUY, at_ns))

    def house_order(self, symbol: str, side: str, price: Decimal, qty: Decimal, at_ns: int) -> Order:
        """An order of the venue itself, not yet in the book (ids below zero, never remembered)."""
        self._house_id -= 1
        return Order(
            self._house_id, "house", symbol, side, "LIMIT", "GTC", "", price, qty, ZERO, "NONE", at_ns, at_ns
        )

    def _fill(
        self, order: Order, trade_id: int, price: Decimal, qty: Decimal, is_maker: bool, at_ns: int
    ) -> Report:
        rules = self.symbols[order.symbol]
        rate = self.maker_fee if is_maker else self.taker_fee
        received, asset = (qty, rules.base) if order.side == BUY else (price * qty, rules.quote)
        fill = Fill(
            trade_id, order.order_id, order.cl_ord_id, order.account, order.symbol, order.side,
            price, qty, truncate8(received * rate), asset, is_maker, at_ns,
        )  # fmt: skip
        self.apply_fill(order, fill)
        return self._report("TRADE", order, at_ns, fill)

    def _end(self, order: Order, status: str, at_ns: int, cancel_id: str = "") -> Report:
        self.close(order, status, at_ns)
        return self._report("CANCELED" if status == "CANCELED" else "EXPIRED", order, at_ns, cancel_id=cancel_id)

    @staticmethod
    def _report(
        kind: str, order: Order, at_ns: int, fill: Fill | None = None, cancel_id: str = "", orig_id: str = ""
    ) -> Report:
        return Report(kind, order, order.status, order.cum_qty, order.cum_quote, at_ns, fill, cancel_id, orig_id)
