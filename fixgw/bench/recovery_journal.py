"""A journal as a busy time leaves it: made by the real core (decide, evolve, codec), with a venue that is played here.

Each order is taken, sent, acknowledged; most are filled in one or two trades, some are canceled by the client. There are
never more than `open_count` open, and exactly so many at the end.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from decimal import Decimal

import msgspec

from ..config import Config
from ..core import commands as c
from ..core import events as e
from ..core.codec import Record, encode_record
from ..core.decide import decide, partition_of
from ..core.evolve import evolve
from ..core.state import State, new_state
from ..journal.store import Journal
from .firm import CLIENT, REFERENCE_PX, SYMBOL, VENUE

STEP_NS = 2_000_000
COMMIT_EVERY = 256
_FUNDS = Decimal(10**12)
_QTY = Decimal("0.01")
_PX_TICKS = 1_000_000


class Made(msgspec.Struct):
    """What is in the journal."""

    events: int
    records: int
    open_orders: int
    orders: int


class Maker:
    """The core, driven by hand, on a journal of its own."""

    def __init__(self, config: Config, segment_bytes: int) -> None:
        self.journal = Journal.open(
            config.paths.journal, sync="os", segment_bytes=segment_bytes, reserve_bytes=min(segment_bytes, 16 << 20)
        )
        self.state: State = new_state()
        self.events = 0
        self.orders = 0
        self._config = config
        self._now_ns = time.time_ns() - 3600 * 1_000_000_000
        self._msg_seq = 0
        self._trades = 0
        # working children, the oldest first
        self._working: deque[tuple[str, str, str]] = deque()

    def run(self, command: c.Command) -> list[e.AnyEvent]:
        """One command through the core into the journal, as the engine does it."""
        events = decide(self.state, command)
        if not events:
            return events
        seq = self.state.seq + 1
        record = Record(
            seq=seq, ts_ns=command.ts_ns, part=partition_of(command), command=command, events=tuple(events)  # type: ignore[arg-type]
        )
        self.journal.append(seq, encode_record(record))
        for event in events:
            evolve(self.state, event)
        self.state.seq = seq
        self.events += len(events)
        if seq % COMMIT_EVERY == 0:
            self.journal.commit()
        return events

    def now_ns(self) -> int:
        """Time goes on with every question."""
        self._now_ns += STEP_NS
        return self._now_ns

    def begin(self) -> None:
        """Engine start, settings, the venue comes up."""
        journal = self.journal
        self.run(
            c.EngineStart(ts_ns=self.now_ns(), install=journal.install_id, epoch=journal.epoch, clean=True, rebooted=False)
        )
        self.run(c.LoadSettings(ts_ns=self.now_ns(), settings=self._config.core_settings()))
        self.run(c.VenueLink(ts_ns=self.now_ns(), venue=VENUE, up=True))
        spec = c.InstrumentSpec(
            symbol=SYMBOL, venue_symbol="BTCUSDT", base="BTC", quote="USDT", tick=Decimal("0.01"), lot=Decimal("0.00001")
        )
        self.run(c.InstrumentsReport(ts_ns=self.now_ns(), venue=VENUE, instruments=(spec,)))
        funds = {"BTC": _FUNDS, "USDT": _FUNDS}
        now_ns = self.now_ns()
        self.run(c.BalancesReport(ts_ns=now_ns, venue=VENUE, account="main", asof_ns=now_ns, free=funds, total=funds))
        self.run(c.VenueReconciled(ts_ns=self.now_ns(), venue=VENUE, account="main", asked_ns=now_ns))

    def client(self, kind: type[c.ClientCommand], **fields: object) -> list[e.AnyEvent]:
        """A command of the one session."""
        self._msg_seq += 1
        return self.run(
            kind(ts_ns=self.now_ns(), session=CLIENT, reset_epoch=0, msg_seq=self._msg_seq, **fields)  # type: ignore[arg-type]
        )

    def place(self) -> None:
        """A new order and the venue's acknowledgement."""
        self.orders += 1
        number = self.orders
        ticks, buy = number % _PX_TICKS + 1, number % 2
        price = Decimal(REFERENCE_PX * 100 + (-ticks if buy else ticks)).scaleb(-2)
        mid = Decimal(REFERENCE_PX)
        quote = c.Quote(mid, _QTY, mid + Decimal("0.01"), _QTY, mid, self._now_ns)
        events = self.client(
            c.NewOrder, cl_ord_id=f"order-{number}", symbol=SYMBOL, side="1" if buy else "2", ord_type="2", tif="1",
            order_qty=_QTY, price=price, quotes={VENUE: quote},
        )  # fmt: skip
        placed = [event for event in events if isinstance(event, e.ChildPlaced)]
        assert placed, f"order {number} was not accepted: {events}"
        child, order_id = placed[0].venue_cl_ord_id, placed[0].order_id
        self.run(c.ChildAck(ts_ns=self.now_ns(), venue=VENUE, venue_cl_ord_id=child, venue_order_id=f"v{number}"))
        self._working.append((child, order_id, f"v{number}"))

    def finish(self) -> None:
        """The oldest order ends: six of ten are filled at once, two in two trades, two are canceled by the client."""
        child, order_id, venue_order_id = self._working.popleft()
        kind = self.orders % 10
        if kind < 8:
            parts = [_QTY] if kind < 6 else [_QTY / 4, _QTY - _QTY / 4]
            for qty in parts:
                self._trade(child, venue_order_id, qty)
            self.run(self._done(child, venue_order_id, "filled", _QTY))
            return
        order = self.state.orders[order_id]
        self.client(
            c.CancelOrder, cl_ord_id=f"cancel-{order.cl_ord_id}", orig_cl_ord_id=order.cl_ord_id, symbol=SYMBOL, side=order.side
        )
        self.run(self._done(child, venue_order_id, "canceled", Decimal(0)))

    def _trade(self, child: str, venue_order_id: str, qty: Decimal) -> None:
        known = self.state.children[child]
        self._trades += 1
        trade = c.VenueTrade(
            account="main", symbol=SYMBOL, venue_cl_ord_id=child, venue_order_id=venue_order_id,
            venue_trade_id=f"t{self._trades}", side=known.side, qty=qty, px=known.px or Decimal(REFERENCE_PX),
            fee=Decimal("0.01"), fee_asset="USDT", liquidity="1", venue_ns=self._now_ns,
        )  # fmt: skip
        self.run(c.ChildTrade(ts_ns=self.now_ns(), venue=VENUE, trade=trade))

    def _done(self, child: str, venue_order_id: str, status: str, cum_qty: Decimal) -> c.ChildDone:
        return c.ChildDone(
            ts_ns=self.now_ns(), venue=VENUE, venue_cl_ord_id=child, venue_order_id=venue_order_id, status=status, cum_qty=cum_qty
        )


def make_journal(
    config: Config, events: int, open_count: int, tell: Callable[[str], None], segment_bytes: int = 64 << 20
) -> Made:
    """Fill the journal of `config` with at least `events` events; `open_count` orders (1 or more) are open at the end."""
    maker = Maker(config, segment_bytes)
    try:
        maker.begin()
        while maker.events < events or len(maker.state.open_orders) < open_count:
            if len(maker.state.open_orders) >= open_count:
                maker.finish()
            maker.place()
            if maker.orders % 2000 == 0:
                tell(f"writing the journal: {maker.events:,} of {events:,} events")
        maker.journal.commit()
        state = maker.state
        orders = len(state.orders) + state.cold.count
        return Made(events=maker.events, records=state.seq, open_orders=len(state.open_orders), orders=orders)
    finally:
        maker.journal.close(clean=True)
