"""Our trades at a ccxt exchange since some time, each with our id; and what a trade without an id could be.

A window with more trades than can be read (Dialect.trades_since gives up after MAX_PAGES) must not keep a venue from ever
being reconciled. Then what can be read is told: the oldest part, the newest, and all of our live orders by their ids.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol, TypeAlias, TypeVar

from ..core.commands import VenueTrade
from . import host_clock, order_lists
from .base import Ambiguous, DefiniteReject, VenueError
from .ccxt_dialect import PAGING_S, Dialect
from .ccxt_parse import trade_from
from .doctrine import scrub
from .limiter import Priority
from .settings import VenueFileSettings
from .tasks import seen
from .tracker import Tracker, trade_key

log = logging.getLogger(__name__)
T = TypeVar("T")
_HOUR_NS = 3600 * 1_000_000_000
# tried one after the other, until the trades since then can be read
_NEWEST_NS = (24 * _HOUR_NS, _HOUR_NS, _HOUR_NS // 6)
_LOOKUPS_MAX = 500
_LIVE_MAX = 500
# scans whose beginnings are so near to each other are shared
_SHARED_NS = _HOUR_NS // 6


# trades, and whether these are all
Found: TypeAlias = tuple[tuple[VenueTrade, ...], bool]


@dataclass(slots=True)
class _Scan:
    """A scan of one symbol's trades that several wait for."""

    since_ns: int
    task: asyncio.Task[Found] | None = None


class Asker(Protocol):
    """Requests.ask: one request under our time limit; VenueError by the doctrine."""

    def __call__(self, work: Coroutine[Any, Any, T], priority: Priority, timeout_s: float = 0.0) -> Coroutine[Any, Any, T]: ...


class TradeReader:
    """See the module's docstring."""

    def __init__(
        self, settings: VenueFileSettings, dialect: Dialect, tracker: Tracker, secrets: tuple[str, ...], ask: Asker
    ) -> None:
        self._settings = settings
        self._dialect = dialect
        self._tracker = tracker
        self._secrets = secrets
        self._ask = ask
        # (symbol, venue_order_id) -> the question that is under way
        self._lookups: dict[tuple[str, str], asyncio.Task[str]] = {}
        # scans that have not left yet, by symbol and age, and all that are not done
        self._waiting: dict[tuple[str, int], _Scan] = {}
        self._scans: set[asyncio.Task[Found]] = set()
        self._turns: dict[str, asyncio.Lock] = {}
        self._listing: dict[str, asyncio.Lock] = {}

    async def since(self, since_ns: int, symbols: Iterable[str], priority: Priority = Priority.LINK) -> Found:
        """Trades with our id where it can be found (else ""), and whether these are all. VenueError: no answer."""
        raw: list[dict[str, Any]] = []
        complete = True
        for symbol in symbols:
            found, all_of_it = await self._page(symbol, since_ns, priority)
            raw += found
            if not all_of_it:
                complete = False
                raw += await self._what_is_possible(symbol, since_ns, len(found), priority)
        raw = list({trade_key(trade["symbol"], trade["id"], trade.get("side")): trade for trade in raw}.values())
        ids = await self._our_ids(raw, priority)
        try:
            trades = tuple(trade_from(trade, self._settings.account, ids[_key(trade)]) for trade in raw)
        except (ValueError, KeyError) as error:
            raise Ambiguous("BAD_ANSWER", f"trades: {scrub(str(error), self._secrets)}") from None
        for trade in trades:
            self._dialect.know_trade(trade)
        return trades, complete

    async def shared(self, since_ns: int, symbol: str) -> Found:
        """As `since`, for one symbol and asked from now on, and perhaps more trades than that: whoever asks while a scan of
        the symbol is under way shares the next one. After an outage hundreds of orders have no answer, and a scan for each
        would eat up the rate limit for minutes."""
        key = (symbol, since_ns // _SHARED_NS)
        scan = self._waiting.get(key)
        if scan is None:
            scan = self._waiting[key] = _Scan(since_ns)
            scan.task = asyncio.ensure_future(self._scan(key, scan))
            self._scans.add(scan.task)
            scan.task.add_done_callback(self._scans.discard)
            scan.task.add_done_callback(seen)  # even when nobody waits any more
        scan.since_ns = min(scan.since_ns, since_ns)
        assert scan.task is not None
        return await asyncio.shield(scan.task)

    async def _scan(self, key: tuple[str, int], scan: _Scan) -> Found:
        async with self._turns.setdefault(key[0], asyncio.Lock()):
            del self._waiting[key]  # it leaves: who comes now needs a later one
            return await self.since(scan.since_ns, (key[0],), Priority.QUERY)

    async def _page(self, symbol: str, since_ns: int, priority: Priority) -> tuple[list[dict[str, Any]], bool]:
        limit_s = PAGING_S + 20.0 + self._settings.request_timeout_ms / 1000
        return await self._ask(self._dialect.trades_since(symbol, since_ns), priority, limit_s)

    async def _what_is_possible(self, symbol: str, since_ns: int, oldest: int, priority: Priority) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for span_ns in _NEWEST_NS:
            from_ns = time.time_ns() - span_ns
            if from_ns <= since_ns:
                continue
            newer, all_of_it = await self._page(symbol, from_ns, priority)
            found += newer
            if all_of_it:
                break
        else:
            found += await self._ask(self._dialect.newest_trades(symbol), priority)
        live = [t for t in self._tracker.open_orders() if t.symbol == symbol and t.venue_order_id]
        for tracked in live[-_LIVE_MAX:]:
            work = self._dialect.order_trades(tracked.venue_order_id, symbol, host_clock.to_wall(tracked.began_ns))
            found += await self._ask(work, priority)
        log.error(
            "%s: %s has more trades since %d than can be read: told are the oldest %d, the newest %d and those of live "
            "orders; compare positions with the venue", self._settings.name, symbol, since_ns, oldest, len(found),
        )  # fmt: skip
        return found

    async def _our_ids(self, trades: list[dict[str, Any]], priority: Priority) -> dict[tuple[str, str], str]:
        """Our ids of the venue's orders: from the cache, else from its list of orders where there are many, else by asking for
        the order, the newest first."""
        newest_first = sorted(trades, key=lambda trade: -int(trade.get("timestamp") or 0))
        keys = dict.fromkeys(map(_key, newest_first))
        for symbol in dict.fromkeys(symbol for symbol, _ in keys):
            await self._list(symbol, [order_id for found, order_id in keys if found == symbol], priority)
        out: dict[tuple[str, str], str] = {}
        lookups = 0
        for symbol, order_id in keys:
            known = self._tracker.our_id(symbol, order_id)
            if known is None and order_id and lookups < _LOOKUPS_MAX:
                lookups += 1
                known = await self._lookup(symbol, order_id)
            out[symbol, order_id] = known or ""
        return out

    async def _list(self, symbol: str, order_ids: list[str], priority: Priority) -> None:
        """Name those that are not known from the venue's list of orders, if they are many; scans take turns, so that the second
        finds what the first has asked for."""

        def page(first: str) -> Coroutine[Any, Any, order_lists.Page]:
            return self._ask(self._dialect.orders_from(symbol, first), priority)

        if not self._dialect.lists_orders:
            return
        async with self._listing.setdefault(symbol, asyncio.Lock()):
            missing = [found for found in order_ids if self._tracker.our_id(symbol, found) is None]
            try:
                found = await order_lists.find(missing, page)
            except VenueError as failure:
                log.warning("%s: %s: orders not listed, asked for one by one: %s", self._settings.name, symbol, failure)
                return
        for order_id, order in found.items():
            self._name(symbol, order_id, order.our_id, order.open)

    def _name(self, symbol: str, order_id: str, our_id: str, is_open: bool) -> None:
        """The venue says whose the order is."""
        if our_id:
            tracked = self._tracker.begin(our_id, symbol)
            self._tracker.name(tracked, order_id)
            if not is_open:
                self._tracker.ended(tracked)

    async def _lookup(self, symbol: str, order_id: str) -> str:
        """Everybody who asks for the same order waits for the same answer: after a restart many scans of trades run side by
        side, and each on its own would eat up the rate limit for minutes."""
        key = (symbol, order_id)
        task = self._lookups.get(key)
        if task is None:
            task = self._lookups[key] = asyncio.ensure_future(self._look_up(symbol, order_id))
            task.add_done_callback(lambda _: self._lookups.pop(key, None))
            task.add_done_callback(seen)
        return await asyncio.shield(task)

    async def _look_up(self, symbol: str, order_id: str) -> str:
        try:
            # not QUERY: there may be hundreds, and balances or instruments must not starve behind them
            answer = await self._ask(self._dialect.fetch("", order_id, symbol), Priority.REST)
        except DefiniteReject:
            return ""
        our_id = str(answer.get("clientOrderId") or "")
        self._name(symbol, order_id, our_id, answer.get("status") in ("open", None))
        return our_id

    def stop(self) -> list[asyncio.Task[Any]]:
        """Cancel what is under way; the tasks to wait for."""
        running: list[asyncio.Task[Any]] = [*self._lookups.values(), *self._scans]
        for task in running:
            task.cancel()
        return running


def _key(trade: dict[str, Any]) -> tuple[str, str]:
    return trade["symbol"], str(trade.get("order") or "")


def may_hide_fills(
    trades: Iterable[VenueTrade],
    *,
    symbol: str,
    since_ns: int,
    side: str = "",
    qty: Decimal | None = None,
    venue_order_id: str = "",
) -> bool:
    """Could a trade without our id be of the order that is looked for? Not when it is of another symbol or side, from
    before the order was sent, of another venue order than the one known, or of an order that executed more than `qty`.
    What is not known ("" or None) excludes nothing."""
    sums: dict[str, Decimal] = {}
    for number, trade in enumerate(trades):
        if trade.venue_cl_ord_id or trade.symbol != symbol or (side and trade.side != side):
            continue
        if trade.venue_ns and trade.venue_ns < since_ns:
            continue
        if venue_order_id and trade.venue_order_id not in ("", venue_order_id):
            continue
        group = trade.venue_order_id or f"#{number}"
        sums[group] = sums.get(group, Decimal(0)) + trade.qty
    return any(qty is None or executed <= qty for executed in sums.values())
