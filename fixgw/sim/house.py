"""The venue's own liquidity inside the matching engine: displayed levels, anonymous flow, recorded trades.

House quantity stands in the same queues as everybody's orders. A level that grows queues behind the orders that are
already there; one that shrinks does so from its back, so that only trades move a client forward past the house.
"""

from __future__ import annotations

from decimal import Decimal, localcontext

from fixgw.sim.book import Level
from fixgw.sim.matching import Engine
from fixgw.sim.model import BUY, CONTEXT, SELL, ZERO, Event, PublicTrade


class House:
    """Changes the house's part of an engine's books; the events returned are the trades that follow."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def set_level(
        self, symbol: str, side: str, price: Decimal, qty: Decimal, at_ns: int, *, may_cross: bool = True
    ) -> list[Event]:
        """Make the house's quantity at a price equal to qty.

        Where the new quantity meets resting orders of clients it trades with them (may_cross) or is left out; where
        it meets the house itself, the older house quantity is stale and goes.
        """
        with localcontext(CONTEXT):
            book = self._engine.books[symbol]
            level = book.sides[side].level_at(price)
            now = level.house_total if level else ZERO
            if level and qty < now:
                self._shrink(symbol, side, level, now - qty)
            elif qty > now:
                return self._grow(symbol, side, price, qty - now, at_ns, may_cross)
            return []

    def _shrink(self, symbol: str, side: str, level: Level, excess: Decimal) -> None:
        book = self._engine.books[symbol]
        for order in reversed([o for o in level.orders.values() if o.is_house]):
            if order.leaves <= excess:
                excess -= order.leaves
                book.remove(order)
            else:
                order.qty -= excess
                book.resize(level, order, -excess)
                return
            if not excess:
                return

    def _grow(
        self, symbol: str, side: str, price: Decimal, qty: Decimal, at_ns: int, may_cross: bool
    ) -> list[Event]:
        engine, events = self._engine, list[Event]()
        book = engine.books[symbol]
        order = engine.house_order(symbol, side, price, qty, at_ns)
        while book.crosses(side, price) and order.leaves:
            best = book.opposite(side).best()
            if best is None:
                break
            maker = best.first()
            if maker.is_house:
                if not may_cross:
                    return events
                book.remove(maker)
            elif may_cross:
                engine.trade(order, maker, min(order.leaves, maker.leaves), at_ns, events)
            else:
                return events
        if order.leaves:
            level = book.sides[side].level_at(price)
            last = level.last() if level else None
            if level and last and last.is_house:
                last.qty += order.leaves
                book.resize(level, last, order.leaves)
            else:
                book.add(order)
        return events

    def clear(self, symbol: str, side: str) -> None:
        """Take all house quantity off one side."""
        book = self._engine.books[symbol]
        with localcontext(CONTEXT):
            for level in [level for level in book.sides[side].walk() if level.house_total]:
                self._shrink(symbol, side, level, level.house_total)

    def levels(self, symbol: str, side: str) -> dict[Decimal, Decimal]:
        """Price -> house quantity on one side."""
        return {lv.price: lv.house_total for lv in self._engine.books[symbol].sides[side].walk() if lv.house_total}

    def take(self, symbol: str, side: str, qty: Decimal, at_ns: int) -> list[Event]:
        """Anonymous market order of the house: trades with whatever stands first, clients included."""
        with localcontext(CONTEXT):
            events: list[Event] = []
            self._engine.match(self._engine.house_order(symbol, side, ZERO, qty, at_ns), at_ns, events)
            return events

    def tape_trade(self, symbol: str, side: str, price: Decimal, qty: Decimal, at_ns: int) -> list[Event]:
        """A recorded trade (side = the taker's): fills clients whose price it reached.

        Clients at a better price than the tape's were passed over by it, so they trade first, at their own price;
        house quantity there is stale and goes. At the tape's price the queue decides. What is left of the recorded
        quantity is shown as one public trade.
        """
        engine = self._engine
        with localcontext(CONTEXT):
            events: list[Event] = []
            book = engine.books[symbol]
            resting = book.opposite(side)
            taker = engine.house_order(symbol, side, price, qty, at_ns)
            quiet = ZERO  # traded between the house and itself
            while taker.leaves:
                level = resting.best()
                if level is None or (level.price > price if side == BUY else level.price < price):
                    break
                maker = level.first()
                if not maker.is_house:
                    engine.trade(taker, maker, min(taker.leaves, maker.leaves), at_ns, events)
                elif level.price != price:
                    book.remove(maker)
                else:
                    step = min(taker.leaves, maker.leaves)
                    taker.cum_qty += step
                    quiet += step
                    if step == maker.leaves:
                        book.remove(maker)
                    else:
                        maker.cum_qty += step
                        book.resize(level, maker, -step)
            quiet += taker.leaves
            if quiet:
                book.last_price = price
                events.append(PublicTrade(symbol, engine.next_trade_id, price, quiet, side == SELL, at_ns))
                engine.next_trade_id += 1
            return events
