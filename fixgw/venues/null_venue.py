"""Kind "null": acknowledges each order at once and fills nothing. For measuring the order path without an exchange."""

from __future__ import annotations

import asyncio
import itertools
from decimal import Decimal

from ..core.commands import InstrumentSpec, OpenOrder, Quote, VenueTrade
from . import host_clock
from .base import Balances, DefiniteReject, Done, NeverSent, Placed, Queried, Sink
from .checks import check_place
from .settings import VenueFileSettings
from .wire import AmendChild, CancelChild, PlaceChild, QueryChild

KIND = "null"
MAX_OPEN = 1_000_000
MAX_FINISHED = 10_000
_FUNDS = Decimal(1_000_000_000_000)


def connect(settings: VenueFileSettings, sink: Sink) -> NullVenue:
    return NullVenue(settings, sink)


class NullVenue:
    """base.Venue in memory. Market, IOC and FOK orders end at once (expired, nothing executed); limit orders rest."""

    capabilities: tuple[str, ...] = ("quote_market", "post_only", "ioc", "fok")

    def __init__(self, settings: VenueFileSettings, sink: Sink) -> None:
        self._settings = settings
        self._sink = sink
        self._numbers = itertools.count(1)
        self._open: dict[str, OpenOrder] = {}
        self._finished: dict[str, Done] = {}
        self._task: asyncio.Task[None] | None = None
        self._specs = {symbol: _spec(symbol, settings) for symbol in settings.symbols}

    async def start(self) -> None:
        self._sink.link(True)
        self._task = asyncio.ensure_future(self._show_books())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _show_books(self) -> None:
        tick, price = self._settings.tick, self._settings.price
        while True:
            for symbol in self._settings.symbols:
                now_ns = host_clock.steady_ns()
                quote = Quote(
                    bid=price - tick, bid_qty=Decimal(100), ask=price + tick, ask_qty=Decimal(100), last=price,
                    recv_ns=now_ns, last_ns=now_ns, last_low=price, last_high=price,
                )  # fmt: skip
                self._sink.book(symbol, quote)
            await asyncio.sleep(0.5)

    async def place(self, order: PlaceChild) -> Placed:
        spec = self._specs.get(order.symbol)
        if spec is None:
            raise NeverSent("UNKNOWN_SYMBOL", f"symbol: {order.symbol!r} is not an instrument here")
        check_place(order, spec, self.capabilities)
        if order.venue_cl_ord_id in self._open or order.venue_cl_ord_id in self._finished:
            raise DefiniteReject("DUPLICATE", f"{order.venue_cl_ord_id} was used before")
        if len(self._open) >= MAX_OPEN:
            raise DefiniteReject("TOO_MANY_ORDERS", f"{MAX_OPEN} orders are open")
        venue_order_id = str(next(self._numbers))
        if order.ord_type == "1" or order.tif in ("3", "4") or order.qty is None:
            return Placed(venue_order_id, done=self._finish(order.venue_cl_ord_id, venue_order_id, "expired"))
        self._open[order.venue_cl_ord_id] = OpenOrder(
            venue_cl_ord_id=order.venue_cl_ord_id,
            venue_order_id=venue_order_id,
            symbol=order.symbol,
            side=order.side,
            qty=order.qty,
            cum_qty=Decimal(0),
            px=order.px,
        )
        return Placed(venue_order_id)

    def _finish(self, our_id: str, venue_order_id: str, status: str) -> Done:
        done = Done(our_id, venue_order_id, status, Decimal(0))
        self._finished[our_id] = done
        if len(self._finished) > MAX_FINISHED:
            del self._finished[next(iter(self._finished))]
        return done

    def withdraw(self, venue_cl_ord_id: str) -> bool:
        return False  # nothing waits here

    async def cancel(self, request: CancelChild) -> Done | None:
        order = self._open.pop(request.venue_cl_ord_id, None)
        if order is None:
            raise DefiniteReject("UNKNOWN_ORDER", f"no open order {request.venue_cl_ord_id}", unknown_order=True)
        return self._finish(request.venue_cl_ord_id, order.venue_order_id, "canceled")

    async def amend(self, request: AmendChild) -> None:
        raise NeverSent("UNSUPPORTED", "this connector does not amend")

    async def query(self, request: QueryChild) -> Queried:
        now = host_clock.steady_ns()
        order, done = self._open.get(request.venue_cl_ord_id), self._finished.get(request.venue_cl_ord_id)
        if order is not None:
            return Queried("open", now, order.venue_order_id, order.cum_qty, trades_checked=True)
        if done is not None:
            return Queried(done.status, now, done.venue_order_id, done.cum_qty, trades_checked=True)
        return Queried("not_found", now, trades_checked=True)

    async def instruments(self) -> tuple[InstrumentSpec, ...]:
        return tuple(self._specs.values())

    async def balances(self) -> Balances:
        assets = {asset for spec in self._specs.values() for asset in (spec.base, spec.quote)}
        funds = dict.fromkeys(sorted(assets), _FUNDS)
        return Balances(host_clock.steady_ns(), funds, dict(funds))

    async def open_orders(self, symbols: tuple[str, ...], everything: bool = False) -> tuple[OpenOrder, ...]:
        return tuple(self._open.values())

    async def trades(self, since_ns: int, symbols: tuple[str, ...]) -> tuple[VenueTrade, ...]:
        return ()


def _spec(symbol: str, settings: VenueFileSettings) -> InstrumentSpec:
    base, _, quote = symbol.partition("/")
    return InstrumentSpec(
        symbol=symbol,
        venue_symbol=base + quote,
        base=base,
        quote=quote.partition(":")[0],
        tick=settings.tick,
        lot=settings.lot,
        min_qty=settings.lot,
        min_px=settings.tick,
    )
