"""What the ccxt connector asks of the whole account: balances, open orders, trades. What is wrong with one row, or with one
instrument, keeps nothing else from being told."""

from __future__ import annotations

import logging
from typing import Any

from msgspec.structs import replace

from ..core.commands import OpenOrder, VenueTrade
from . import host_clock
from .balances import assets_of
from .base import Ambiguous, Balances, Sink, VenueError
from .ccxt_dialect import Dialect
from .ccxt_parse import balances_from, listed_from
from .ccxt_requests import Requests
from .ccxt_trades import TradeReader
from .doctrine import scrub
from .limiter import Priority
from .listing import Listing
from .settings import VenueFileSettings

log = logging.getLogger(__name__)
# of one answer: each is read some dozen times
_ODD_ROWS = 100


class Pictures:
    """Of one connection; each method as in base.Venue."""

    def __init__(
        self,
        settings: VenueFileSettings,
        sink: Sink,
        dialect: Dialect,
        requests: Requests,
        listing: Listing,
        reader: TradeReader,
        secrets: tuple[str, ...],
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._dialect = dialect
        self._requests = requests
        self._listing = listing
        self._trades = reader
        self._secrets = secrets
        # instruments whose trades the venue does not tell, and since when
        self._unread: dict[str, int] = {}
        self._assets = assets_of(settings.symbols)
        self._odd_assets: set[str] = set()

    def on_odd_balance(self, asset: str) -> None:
        self._odd_assets.add(asset)
        self._tell_odd_balance(asset, True)
        if asset in self._assets:
            self._sink.balances_changed()

    def _tell_odd_balance(self, asset: str, odd: bool) -> None:
        """Of a list the asset is left out, and what needs it is refused: it is not known how much there is."""
        self._sink.odd(f"balance {asset}", f"the balance of {asset!r:.40} is no number of a market: left out" if odd else "")

    async def balances(self) -> Balances:
        call, asked_ns = self._requests.call(Priority.LINK), host_clock.steady_ns()
        raw = await self._requests.run(self._dialect.exchange.fetch_balance(), call)
        try:
            free, total, odd = balances_from(raw)
        except ValueError as error:
            raise Ambiguous("BAD_ANSWER", str(error)) from None
        for asset in {*odd, *self._odd_assets}:
            self._tell_odd_balance(asset, asset in odd)
        self._odd_assets = set(odd)
        # as of the moment the request left: what happened after it may be missing in the answer
        return self._dialect.know_balances(free, total, call.first_ns or asked_ns)

    async def open_orders(self, symbols: tuple[str, ...], everything: bool = False) -> tuple[OpenOrder, ...]:
        out: list[OpenOrder] = []
        for symbol in self._dialect.open_orders_by(symbols, everything):
            call = self._requests.call(Priority.LINK)
            call.odd_rows = _ODD_ROWS
            try:
                raw = await self._requests.run(self._dialect.exchange.fetch_open_orders(symbol), call)
            except VenueError as failure:
                if not self._listing.excuses(symbol, failure):
                    raise
                continue  # orders that a list does not show are asked for by themselves
            if self._dialect.open_orders_weights is not None and not isinstance(call.answer, list):
                raise Ambiguous("BAD_ANSWER", "open orders: the answer is not a list")
            try:
                out.extend(self._listed(order) for order in raw)
                self._dialect.know_orders(raw)
            except (ValueError, KeyError) as error:
                raise Ambiguous("BAD_ANSWER", f"open orders: {scrub(str(error), self._secrets)}") from None
        return tuple(out)

    def _listed(self, raw: dict[str, Any]) -> OpenOrder:
        """One that is nonsense but for its id makes no hole: whose it is the core knows. ValueError without an id."""
        order = listed_from(self._dialect.orders.named(raw))
        if order.unread:
            our_id = order.venue_cl_ord_id or self._dialect.events.our_id(order.symbol, order.venue_order_id) or ""
            order = replace(order, venue_cl_ord_id=our_id)
            log.warning("%s: open order %r (%r) is nonsense otherwise", self._settings.name, order.venue_order_id, our_id)
        return order

    async def trades(self, since_ns: int, symbols: tuple[str, ...]) -> tuple[VenueTrade, ...]:
        """Trades of ours since then, each with our id where it can be found (else ""); see ccxt_trades.py."""
        plain_ones = tuple(symbol for symbol in symbols if symbol in self._listing.specs and symbol not in self._unread)
        found = (await self._trades.since(since_ns, plain_ones))[0]
        for symbol in symbols:
            if symbol in plain_ones:
                continue
            from_ns = min(since_ns, self._unread.get(symbol, since_ns))
            try:
                found += (await self._trades.since(from_ns, (symbol,)))[0]
                self._unread.pop(symbol, None)
            except VenueError as failure:
                if not self._listing.excuses(symbol, failure):
                    raise
                log.warning("%s: trades of %s are not told now: %s", self._settings.name, symbol, failure)
                self._unread[symbol] = from_ns
        return found
