"""How the ccxt connector speaks to one exchange. This base works with any ccxt exchange through its unified methods;
`dialect_<exchange>.py` with a class `Dialect` refines it (found by its name, no registration).

Private events of an exchange without a tuned dialect: ccxt's watch_orders coalesces reports (measured: 6 -> 3) and is
only a bell here: each ring, and each `poll_s`, makes the connector ask the venue for its open orders.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import importlib.util
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from ..core.commands import InstrumentSpec, Quote, VenueTrade
from . import host_clock
from .base import Balances, Done, NeverSent
from .book_life import BookLife
from .broker_ids import without_broker
from .ccxt_abilities import abilities, check_market, check_market_buy, check_symbols
from .ccxt_exchange import Hooks
from .ccxt_orders import Orders
from .ccxt_parse import figure, spec_from
from .ccxt_tops import Tops
from .doctrine import Codes, same_but_for_digits, scrub
from .odd_rows import read_around
from .order_lists import Page
from .order_rate import Limit
from .settings import VenueFileSettings
from .socket_life import SilentSockets
from .tasks import end_tasks
from .trade_pages import Bounds, count_rows, read_trades
from .wire import AmendChild, CancelChild, PlaceChild

log = logging.getLogger(__name__)
# how far one window of trades is read
MAX_PAGES = 100
PAGING_S = 40.0
_PAGE = 100
_ORDER_PAGE = 50
_LAST_PAUSE_S = 5.0
# last prices that fail are asked for anew, ever more slowly, until they have come for so long: each try asks for every symbol
_LONGEST_PAUSE_S = 60.0
_WORKED_NS = 30_000_000_000
TIFS = {"1": "GTC", "3": "IOC", "4": "FOK"}


@dataclass(frozen=True, slots=True)
class Amended:
    """The venue has confirmed an amend, plainly. `done`: the order ended with it."""

    venue_order_id: str
    done: Done | None = None


class Events(Protocol):
    """What a dialect tells the connector (CcxtVenue)."""

    def on_trade(self, trade: VenueTrade) -> None: ...

    def on_working(self, venue_cl_ord_id: str, symbol: str, venue_order_id: str, qty: Decimal | None = None) -> None: ...

    def on_amended(self, venue_cl_ord_id: str, symbol: str, qty: Decimal) -> None:
        """The venue has reduced an order to this total."""

    def our_id(self, symbol: str, venue_order_id: str) -> str | None:
        """Our id of the venue's order, where that is known."""

    def on_done(self, done: Done, symbol: str) -> None: ...

    def on_balances(self, balances: Balances) -> None: ...

    def on_odd_balance(self, asset: str) -> None:
        """The stream tells of an asset what is no number of a market."""

    def on_balances_overdue(self) -> None:
        """The stream should have told balances and has not: they are to be asked for."""

    def on_quote(self, symbol: str, quote: Quote) -> None: ...

    def on_last(self, symbol: str, last: Decimal) -> None:
        """A trade, just now."""

    def on_polled_last(self, symbol: str, last: Decimal, asked_ns: int = 0) -> None:
        """The price of the last trade, whenever that was; `asked_ns`: a trade that was told since then is newer."""

    def on_lost(self, reason: str) -> None: ...

    def ring(self) -> None:
        """Something happened to our orders: look at the venue."""


class Dialect:
    """See the module's docstring. One per connection; `exchange` is set once it is made."""

    codes = Codes()
    weight_per_cost = 1.0
    # what it weighs to list the open orders of the whole account in one call, and those of one symbol; None: it cannot
    open_orders_weights: tuple[float, float] | None = None
    # outboundAccountPosition or the like; else balances are polled with the sweeps
    streams_balances = False
    poll_s = 2.0
    # orders_from can be asked
    lists_orders = False
    # "closed" is said of what is filled alone; elsewhere of all that is over
    closed_is_filled = False
    # requests that it may take to find one order
    fetch_requests = 4

    def __init__(self, settings: VenueFileSettings, events: Events) -> None:
        self.settings = settings
        self.events = events
        self.exchange: Any = None
        self.hooks: Hooks | None = None
        self.life = BookLife(None)
        # of Tops: the sockets that carry books; ccxt's tickers that were told last, with their figures
        self.book_urls: set[str] = set()
        self.told_tickers: dict[str, tuple[Any, tuple[Any, ...]]] = {}

    @functools.cached_property
    def orders(self) -> Orders:
        """How this exchange takes our ids, and tells them back."""
        return Orders(self.exchange, self.settings.exchange)

    def config(self) -> dict[str, Any]:
        """Constructor arguments of the exchange besides the credentials."""
        return {}

    def attach(self, exchange: Any, hooks: Hooks) -> None:
        """The exchange was made: point it at base_url, switch injected broker ids and fees off. VenueConfigError for a symbol
        that must not be traded."""
        self.exchange = exchange
        self.life, self._silent = BookLife(exchange), SilentSockets(exchange)
        self.hooks = hooks
        hooks.order_limit = self.codes.order_limit
        hooks.tap = self.tap
        hooks.lost = self.lost
        if self.settings.base_url:
            exchange.urls["api"] = _rebase(exchange.urls["api"], self.settings.base_url)
        check_symbols(self.settings.symbols)
        without_broker(exchange)
        read_around(exchange)
        count_rows(exchange)

    def default_weight_per_minute(self, exchange: Any) -> float:
        return 60_000.0 / float(exchange.rateLimit or 100) * self.weight_per_cost

    def weight_limit(self, answer: Any) -> float:
        """The venue's limit of request weight per minute, as in order_limits; 0 where it tells none."""
        return 0.0

    def order_limits(self, answer: Any) -> tuple[Limit, ...]:
        """The venue's limits of new orders, from its last answer to the loading of the markets; () where it tells none.
        ValueError when they are not understood."""
        return ()

    def capabilities(self, exchange: Any) -> tuple[str, ...]:
        """What is proven of ccxt's code for every configured symbol."""
        return abilities(exchange, self.settings.symbols)

    def open_orders_by(self, symbols: tuple[str, ...], everything: bool) -> tuple[str | None, ...]:
        """How to ask for open orders: symbol by symbol, or (None,) for the whole account at once, where that can be done and
        either `everything` is wanted (orders in instruments that we do not know any more) or it weighs less."""
        if self.open_orders_weights is None:
            return symbols
        whole, one = self.open_orders_weights
        return (None,) if everything or whole <= one * len(symbols) else symbols

    def spec(self, market: dict[str, Any]) -> InstrumentSpec:
        """The rules of one market; NeverSent for one that must not be traded here."""
        check_market(market)
        return spec_from(self.exchange, market)

    def presumed_market(self, symbol: str) -> dict[str, Any] | None:
        """ccxt's market of an instrument that the venue's list lacks, where its name there follows from ours; else None."""
        return None

    def amendable(self, symbol: str) -> bool:
        """This instrument's orders can be reduced in place (asked only where "amend" is a capability)."""
        return False

    # --- orders: each returns ccxt's unified order (amend: Amended), or raises ---

    async def create(self, order: PlaceChild) -> dict[str, Any]:
        side, kind, amount, price = order_words(order)
        params = self.orders.place_params(order.venue_cl_ord_id)
        if kind == "limit" and order.tif != "1":
            params["timeInForce"] = TIFS[order.tif]
        if order.post_only:
            params["postOnly"] = True
        if kind == "market" and side == "buy" and order.qty is not None:
            check_market_buy(self.exchange.id, order.symbol)
        if order.cash_qty is not None:
            params["cost"] = format(order.cash_qty, "f")
        return self.orders.named(await self.exchange.create_order(order.symbol, kind, side, amount, price, params))

    async def cancel(self, request: CancelChild) -> dict[str, Any]:
        return await self.orders.cancel(request.venue_cl_ord_id, request.venue_order_id, request.symbol)

    async def amend(self, request: AmendChild) -> Amended:
        raise NeverSent("UNSUPPORTED", f"{self.settings.exchange}: orders are not amended here; cancel and place instead")

    async def fetch(self, venue_cl_ord_id: str, venue_order_id: str, symbol: str, since_ns: int = 0) -> dict[str, Any]:
        """One order by either id ("": not known); `since_ns`: it was not sent earlier, 0: not known."""
        return await self.orders.fetch(venue_cl_ord_id, venue_order_id, symbol, since_ns)

    async def order_trades(self, venue_order_id: str, symbol: str, since_ns: int) -> list[dict[str, Any]]:
        """All trades of one order."""
        found: list[dict[str, Any]] = []
        if self.exchange.has.get("fetchOrderTrades") is True:
            found = await self.exchange.fetch_order_trades(venue_order_id, symbol)
        if not 0 < len(found) < _ORDER_PAGE:  # nothing may be a list that is behind, a long one may be the first page
            found = found + (await self.trades_since(symbol, since_ns))[0]
        unique = {str(trade["id"]): trade for trade in found if str(trade.get("order")) == venue_order_id}
        return list(unique.values())

    async def trades_since(self, symbol: str, since_ns: int) -> tuple[list[dict[str, Any]], bool]:
        """Trades of ours in one symbol since then, oldest first, and whether these are all: after MAX_PAGES pages or
        PAGING_S seconds the rest is left."""
        return await read_trades(self.exchange, symbol, since_ns // 1_000_000, Bounds(_PAGE, MAX_PAGES, PAGING_S))

    async def newest_trades(self, symbol: str) -> list[dict[str, Any]]:
        """The newest page of our trades."""
        found: list[dict[str, Any]] = await self.exchange.fetch_my_trades(symbol, None, _PAGE)
        return found

    async def orders_from(self, symbol: str, venue_order_id: str) -> Page:
        """Orders of the account in one symbol from that one on; only where `lists_orders`."""
        raise NeverSent("UNSUPPORTED", f"{self.settings.exchange}: there is no list of orders by their numbers")

    def know_orders(self, orders: list[dict[str, Any]]) -> None:
        """The venue's list of open orders (ccxt's order structures) shows these. Called before anybody is told."""

    def know_trade(self, trade: VenueTrade) -> None:
        """The same of a trade."""

    def know_balances(self, free: dict[str, Decimal], total: dict[str, Decimal], asked_ns: int) -> Balances:
        """What is known after the venue's answer to a request that left at `asked_ns`."""
        return Balances(asked_ns, free, total)

    def instant_trades(self, order: dict[str, Any], our_id: str) -> tuple[VenueTrade, ...]:
        """Trades that the answer to a place holds already."""
        return ()

    # --- streams ---

    def tap(self, client: Any, message: Any) -> bool:
        """Every raw WebSocket message, before ccxt. True: ccxt must not see it."""
        return False

    def lost(self, url: str, reason: str) -> None:
        """A WebSocket ended."""
        self.events.ring()

    async def open_private(self) -> None:
        """Subscribe to our own events; returns when that is confirmed, raises when it fails."""

    async def run_private(self) -> None:
        """Rings the bell for ever; ended by cancellation."""
        watch = self.exchange.has.get("watchOrders")
        while True:
            try:
                if watch:
                    await asyncio.wait_for(self.exchange.watch_orders(), self.poll_s)
                else:
                    await asyncio.sleep(self.poll_s)
            except TimeoutError:
                pass
            except Exception:
                await asyncio.sleep(self.poll_s)
            self.events.ring()

    async def run_books(self, symbols: tuple[str, ...]) -> None:
        """Tops of books until the stream breaks (raises); polls where the exchange has no stream."""
        last = asyncio.ensure_future(self._run_last(symbols)) if self.settings.trade_streams else None
        try:
            await self._run_tops(symbols)
        finally:
            if last is not None:
                await end_tasks((last,))

    async def _run_last(self, symbols: tuple[str, ...]) -> None:
        """Last prices for ever: without them no stop sees a price, so that what fails is begun anew."""
        told, again_s = "", self.poll_s
        while True:
            pause_s, began_ns = _LAST_PAUSE_S, host_clock.steady_ns()
            try:
                await self._last_prices(symbols)
            except Exception as error:
                if host_clock.steady_ns() - began_ns > _WORKED_NS:
                    told, again_s = "", self.poll_s
                pause_s, again_s = again_s, min(2 * again_s, _LONGEST_PAUSE_S)
                told = self._failed("last prices", error, told)
            await asyncio.sleep(pause_s)

    def _failed(self, what: str, error: Exception, told: str) -> str:
        """Log why, unless it is what was `told` last; returns why."""
        why = scrub(str(error), self.hooks.secrets if self.hooks else ()) or type(error).__name__
        level = logging.DEBUG if same_but_for_digits(why, told) else logging.WARNING
        log.log(level, "%s: %s: %s", self.settings.name, what, why)
        return why

    async def insist(self, what: str, ask: Callable[[], Awaitable[bool]]) -> None:
        """Until it returns True: what fails or is not enough is asked again, ever more slowly."""
        told, pause_s = "", self.poll_s
        while True:
            try:
                if await ask():
                    return
            except Exception as error:
                told = self._failed(what, error, told)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _last_prices(self, symbols: tuple[str, ...]) -> None:
        """One ticker each, then the public trades until their stream breaks; returns where there is no stream of them."""
        exchange = self.exchange
        for symbol in symbols:
            last = (await exchange.fetch_ticker(symbol)).get("last")
            if last is not None:
                self.events.on_polled_last(symbol, figure(last))
        while exchange.has.get("watchTradesForSymbols"):
            for trade in await exchange.watch_trades_for_symbols(list(symbols)):
                self.events.on_last(trade["symbol"], figure(trade["price"]))

    async def _run_tops(self, symbols: tuple[str, ...]) -> None:
        await Tops(self).run(symbols)

    def end_silent(self) -> None:
        """To be called often: sockets of which nothing is heard any more are ended."""
        self._silent.end()

    def book_alive_ns(self, symbol: str) -> int:
        """An unchanged quote is as fresh as the last sign of life of what told it; by host_clock.steady_ns, 0: of nothing."""
        return self.life.alive_ns(symbol)


def order_words(order: PlaceChild) -> tuple[str, str, str | None, str | None]:
    """side, type, amount and price as create_order takes them; the numbers as texts, which ccxt does not make floats of."""
    amount = format(order.qty, "f") if order.qty is not None else None
    price = format(order.px, "f") if order.px is not None else None
    return "buy" if order.side == "1" else "sell", "limit" if order.ord_type == "2" else "market", amount, price


def _rebase(value: Any, base_url: str) -> Any:
    """Every URL of a tree moved to another host; ws and wss become ws, or wss where the base is https."""
    if isinstance(value, dict):
        return {key: _rebase(inner, base_url) for key, inner in value.items()}
    if isinstance(value, str) and "://" in value:
        scheme, rest = value.split("://", 1)
        host = base_url if scheme in ("http", "https") else base_url.replace("http", "ws", 1)
        path = rest.partition("/")[2]
        return f"{host}/{path}" if path else host
    return value


def dialect_for(exchange_id: str) -> type[Dialect]:
    """The tuned dialect of an exchange if there is one, else the general one."""
    name = f"{__package__}.dialect_{exchange_id}"
    if importlib.util.find_spec(name) is None:
        return Dialect
    found: type[Dialect] = importlib.import_module(name).Dialect
    return found
