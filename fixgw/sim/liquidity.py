"""Where the house's quantity comes from when there is no recording: a fixed ladder, or a seeded random walk.

Static: a ladder around a mid price that moves only when it is told to, refilled at once after it is hit, so that
prices in tests and demonstrations are known. It never trades with a resting order by refilling: where a client's
order stands in the way, the ladder leaves a hole. Only a move of the mid (set_mid) trades with what it crosses.
Synthetic: the mid walks, quantities change and anonymous orders trade, some times a second, all from one seed.
"""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal, localcontext

from fixgw.sim.core import Simulator
from fixgw.sim.model import BUY, CONTEXT, SELL, Event, floor_step

LEVELS = 20
_STEP_S = 0.2


class Ladder:
    """The levels of one symbol around a mid: prices and quantities, same seed, same ladder."""

    def __init__(self, sim: Simulator, symbol: str, mid: Decimal, seed: int) -> None:
        rules = sim.engine.symbols[symbol]
        rng = random.Random(f"{seed}/{symbol}")
        self.symbol, self.rules = symbol, rules
        with localcontext(CONTEXT):
            self.gap = max(rules.tick, floor_step(mid / 60_000, rules.tick))
            unit = Decimal(60_000) / mid  # a level is worth some tens of thousands in quote
            self._quantities = [
                max(rules.min_qty, floor_step(unit * rng.randint(5, 20) / 10, rules.step)) for _ in range(2 * LEVELS)
            ]

    def at(self, mid: Decimal) -> dict[str, dict[Decimal, Decimal]]:
        """side -> price -> quantity, best first."""
        with localcontext(CONTEXT):
            mid = floor_step(mid, self.rules.tick)
            bids = {mid - self.gap * (i + 1): self._quantities[2 * i] for i in range(LEVELS)}
            asks = {mid + self.gap * (i + 1): self._quantities[2 * i + 1] for i in range(LEVELS)}
        return {BUY: {p: q for p, q in bids.items() if p >= self.rules.min_price}, SELL: asks}


class Static:
    """The fixed ladders of some symbols (of all, by default)."""

    def __init__(self, sim: Simulator, seed: int, symbols: tuple[str, ...] | None = None) -> None:
        self._sim = sim
        starts = {market.rules.symbol: market.start for market in sim.config.markets}
        self._mids = {s: sim.remembered.mids.get(s, starts[s]) for s in (symbols or tuple(starts))}
        self._ladders = {symbol: Ladder(sim, symbol, starts[symbol], seed) for symbol in self._mids}
        self._targets = {symbol: self._ladders[symbol].at(mid) for symbol, mid in self._mids.items()}
        self._whole: dict[str, int] = {}  # symbol -> next trade id when its ladder was last without a hole

    def start(self, at_ns: int) -> list[Event]:
        return [event for symbol in self._mids for event in self.after(symbol, at_ns)]

    def after(self, symbol: str, at_ns: int) -> list[Event]:
        return self._fill(symbol, at_ns, may_cross=False)

    def _fill(self, symbol: str, at_ns: int, *, may_cross: bool) -> list[Event]:
        engine, events, whole = self._sim.engine, list[Event](), True
        if self._whole.get(symbol) == engine.next_trade_id:
            return events  # only trades take from the ladder, and there were none
        sides = engine.books[symbol].sides
        for side, target in self._targets.get(symbol, {}).items():
            for price, qty in target.items():
                level = sides[side].level_at(price)
                if level is None or level.house_total != qty:
                    events += self._sim.house.set_level(symbol, side, price, qty, at_ns, may_cross=may_cross)
                    level = sides[side].level_at(price)
                    whole = whole and level is not None and level.house_total == qty
        if whole:
            self._whole[symbol] = engine.next_trade_id
        return events

    def set_mid(self, symbol: str, mid: Decimal, at_ns: int) -> list[Event]:
        """Move a ladder; trades with the resting orders that it crosses."""
        self._mids[symbol] = mid
        self._targets[symbol] = self._ladders[symbol].at(mid)
        self._whole.pop(symbol, None)
        for side in (BUY, SELL):
            self._sim.house.clear(symbol, side)
        return self._fill(symbol, at_ns, may_cross=True)

    def has(self, symbol: str) -> bool:
        return symbol in self._mids

    async def run(self) -> None:
        await asyncio.Event().wait()


class Synthetic:
    """A seeded random walk with a market maker and anonymous flow."""

    def __init__(self, sim: Simulator, seed: int) -> None:
        self._sim = sim
        self._rng = random.Random(seed)
        self._ladders = {m.rules.symbol: Ladder(sim, m.rules.symbol, m.start, seed) for m in sim.config.markets}
        self._mids = {m.rules.symbol: m.start for m in sim.config.markets}

    def start(self, at_ns: int) -> list[Event]:
        return [event for symbol in self._mids for event in self._quote(symbol, at_ns)]

    def after(self, symbol: str, at_ns: int) -> list[Event]:
        sides = self._sim.engine.books[symbol].sides
        if sides[BUY].keys and sides[SELL].keys:
            return []
        return self._quote(symbol, at_ns)

    def _quote(self, symbol: str, at_ns: int) -> list[Event]:
        house, rng, events = self._sim.house, self._rng, list[Event]()
        rules = self._sim.engine.symbols[symbol]
        wanted = self._ladders[symbol].at(self._mids[symbol])
        for side in (BUY, SELL):
            for price in house.levels(symbol, side):
                if price not in wanted[side]:
                    house.set_level(symbol, side, price, Decimal(0), at_ns)
        for side in (BUY, SELL):
            for price, qty in wanted[side].items():
                with localcontext(CONTEXT):
                    some = max(rules.min_qty, floor_step(qty * rng.randint(2, 10) / 10, rules.step))
                events += house.set_level(symbol, side, price, some, at_ns)
        return events

    def step(self, symbol: str, at_ns: int) -> list[Event]:
        """One move of one symbol: the mid walks, quotes follow, and more often than not somebody trades."""
        rng, ladder = self._rng, self._ladders[symbol]
        with localcontext(CONTEXT):
            mid = self._mids[symbol] + ladder.gap * rng.choice((-2, -1, -1, 0, 0, 0, 1, 1, 2))
            self._mids[symbol] = max(mid, ladder.gap * 2 * LEVELS)
        events = self._quote(symbol, at_ns)
        if rng.random() < 0.6:
            rules = self._sim.engine.symbols[symbol]
            side = rng.choice((BUY, SELL))
            best = self._sim.engine.books[symbol].opposite(side).best()
            if best is not None:
                with localcontext(CONTEXT):
                    qty = max(rules.min_qty, floor_step(best.total * rng.randint(1, 80) / 100, rules.step))
                events += self._sim.house.take(symbol, side, qty, at_ns)
        return events

    async def run(self) -> None:
        """Step every symbol until cancelled."""
        while True:
            await asyncio.sleep(_STEP_S)
            for symbol in self._mids:
                now_ns = self._sim.clock_ns()
                self._sim.commit(self.step(symbol, now_ns), symbol, now_ns)
