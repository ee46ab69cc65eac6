"""Our orders at one ccxt exchange, found by our id or by the venue's: what client_ids.py says about the exchange, done.

"Not found" (ccxt.OrderNotFound) is raised only when the exchange was asked by an id of the order, or when complete lists do not
show it; what cannot be proven is Ambiguous NOT_PROVEN. Even where the exchange is asked by our id, its list of open orders is
read before a "not found" is believed: some keep client ids for an hour only, and an order can rest for weeks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ccxt

from .base import Ambiguous, DefiniteReject, NeverSent, VenueError
from .ccxt_exchange import CALL
from .client_ids import IdRules, rules_for
from .id_guard import IdGuard

Order = dict[str, Any]
# coinbase: pages of 100
_PAGES_MAX = 50
_PAGE = 100
# the venue's clock may be behind ours
_CLOCK_MS = 300_000


def _guard() -> IdGuard | None:
    call = CALL.get()
    return call.guard if call is not None else None


@contextmanager
def reading() -> Iterator[None]:
    """Requests in here read a list: they name no order, and prove nothing by themselves."""
    guard = _guard()
    if guard is not None:
        guard.reading = True
    try:
        yield
    finally:
        if guard is not None:
            guard.reading = False


def _absent(text: str) -> ccxt.OrderNotFound:
    """Complete lists do not show it."""
    guard = _guard()
    if guard is not None:
        guard.carried = True
    return ccxt.OrderNotFound(text)


class Orders:
    """See the module's docstring. Works within a Call of ccxt_exchange; failures as ccxt raises them, or a VenueError."""

    def __init__(self, exchange: Any, exchange_id: str) -> None:
        self.exchange = exchange
        self.id = exchange_id
        self.rules: IdRules = rules_for(exchange_id)

    def wire_id(self, our_id: str) -> str:
        """Our id in the form in which the exchange gets it."""
        return self.rules.prefix + our_id

    def place_params(self, our_id: str) -> dict[str, Any]:
        """ccxt's parameters that carry our id; NeverSent when the exchange would not take it."""
        if len(our_id) > self.rules.max_len:
            limit = self.rules.max_len
            raise NeverSent("BAD_CLIENT_ID", f"{our_id!r} has {len(our_id)} characters; {self.id} takes {limit} at most")
        return {self.rules.place: our_id}

    def named(self, order: Any) -> Order:
        """ccxt's unified order with our id as `clientOrderId`; None where it tells no client's id."""
        if not isinstance(order, dict):
            raise ValueError(f"order: {type(order).__name__}, expected an object")
        told: Any = order.get("clientOrderId")
        if self.rules.told:
            info = order.get("info")
            info = info if isinstance(info, dict) else {}
            told = next((info[field] for field in self.rules.told if info.get(field)), None)
        if told and self.rules.prefix:
            told = str(told).removeprefix(self.rules.prefix)
        return {**order, "clientOrderId": str(told) if told else None}

    # --- one order ---

    async def cancel(self, our_id: str, order_id: str, symbol: str) -> Order:
        """By the venue's id where that is known. DefiniteReject(unknown_order): there is no such order."""
        own = _CANCELS.get(self.id)
        if not order_id and own is not None:
            return self.named(await own(self, our_id))
        if order_id:
            return self.named(await self.exchange.cancel_order(order_id, symbol))
        if self.rules.cancel == "*":  # the prefixed id stands where the venue's id does
            return self.named(await self.exchange.cancel_order(self.wire_id(our_id), symbol))
        if self.rules.cancel:
            try:
                return self.named(await self.exchange.cancel_order(None, symbol, {self.rules.cancel: our_id}))
            except NeverSent as refused:
                if refused.code != "NO_ORDER_ID":  # this kind of instrument is not canceled by our id
                    raise
        found = await self._find_to_cancel(our_id, symbol)
        if found.get("status") not in ("open", None):
            return found
        return self.named(await self.exchange.cancel_order(self._learn(str(found["id"])), symbol))

    def _learn(self, order_id: str) -> str:
        """The venue's id has become known: it names the order too."""
        guard = _guard()
        if guard is not None and order_id not in guard.ids:
            guard.ids = (*guard.ids, order_id)
        return order_id

    async def _find_to_cancel(self, our_id: str, symbol: str) -> Order:
        """Nothing has been sent for the cancel when this fails."""
        try:
            found = await self.fetch(our_id, "", symbol)
        except ccxt.OrderNotFound as error:
            guard = _guard()
            if guard is not None and not guard.carried:
                raise NeverSent("NO_ORDER_ID", f"the venue's id of {our_id} is not known: {error}") from None
            raise DefiniteReject("UNKNOWN_ORDER", f"{self.id} has no order {our_id}", unknown_order=True) from None
        except (VenueError, ccxt.BaseError) as error:
            raise NeverSent("NO_ORDER_ID", f"the venue's id of {our_id} could not be asked for: {error}") from None
        if not found.get("id"):
            raise NeverSent("NO_ORDER_ID", f"the venue's id of {our_id} is not known")
        return found

    async def fetch(self, our_id: str, order_id: str, symbol: str, since_ns: int = 0) -> Order:
        """One order, by the venue's id where that is known. `since_ns`: it was not sent earlier; 0: not known."""
        if order_id and not self.rules.lists_only:
            return await self._by_their_id(our_id, order_id, symbol)
        own = _FETCHES.get(self.id)
        if not order_id and own is not None:
            found = await own(self, our_id, symbol, since_ns)
        elif not order_id and self.rules.fetch:
            found = await self._by_our_id(our_id, symbol)
        else:
            return await self._in_lists(our_id, order_id, symbol, since_ns)
        return found if found is not None else await self._among_open(our_id, "", symbol)

    async def _by_their_id(self, our_id: str, order_id: str, symbol: str) -> Order:
        try:
            return self.named(await self.exchange.fetch_order(order_id, symbol))
        except ccxt.OrderNotFound:
            if not our_id:  # whose a trade is: no more than a look
                raise
        return await self._among_open(our_id, order_id, symbol)

    async def _by_our_id(self, our_id: str, symbol: str) -> Order | None:
        try:
            order_id = our_id if self.rules.fetch_names_both else None
            return self.named(await self.exchange.fetch_order(order_id, symbol, {self.rules.fetch: our_id}))
        except ccxt.OrderNotFound:
            return None
        except NeverSent as refused:
            if refused.code != "NO_ORDER_ID":  # this kind of instrument is not asked for by our id: then by the lists
                raise
            return None

    # --- lists ---

    async def _in_lists(self, our_id: str, order_id: str, symbol: str, since_ns: int) -> Order:
        """Among open orders, then among those that ended meanwhile or before."""
        narrowed = self._narrowed(our_id, order_id)
        orders = await self._open(symbol, narrowed)
        found = self._pick(orders, our_id, order_id)
        closed = self._closed_method()
        if found is None and closed is not None:
            since = None if narrowed or not since_ns else max(since_ns // 1_000_000 - _CLOCK_MS, 0)
            try:
                with reading():
                    ended = self._whole(await closed(symbol, since, None, narrowed))
                found = self._pick(ended, our_id, order_id)
            except ccxt.NotSupported:
                pass  # of this kind of instrument: its trades are looked at all the same
        return found if found is not None else self._absent_from(orders, our_id, order_id, symbol)

    def _narrowed(self, our_id: str, order_id: str) -> dict[str, Any]:
        ours, theirs = self.rules.listed
        if order_id and theirs:
            return {theirs: order_id}
        return {ours: our_id} if our_id and ours else {}

    def _closed_method(self) -> Callable[..., Awaitable[Any]] | None:
        if self.rules.closed:
            found: Callable[..., Awaitable[Any]] = getattr(self.exchange, self.rules.closed)
            return found
        if self.rules.sure:
            return None
        for ability in ("fetchOrders", "fetchCanceledAndClosedOrders", "fetchClosedOrders"):
            if self.exchange.has.get(ability) is True:
                method: Callable[..., Awaitable[Any]] = getattr(self.exchange, ability)
                return method
        return None

    async def _open(self, symbol: str, narrowed: dict[str, Any]) -> list[Order]:
        if not self.exchange.has.get("fetchOpenOrders"):
            raise Ambiguous("NOT_PROVEN", f"{self.id} lists no open orders")
        with reading():
            return self._whole(await self.exchange.fetch_open_orders(symbol, None, self.rules.limit, narrowed))

    def _whole(self, orders: Any) -> list[Order]:
        """Each named. ccxt reads an answer without a list as an empty list: an empty answer is no proof of anything."""
        call = CALL.get()
        if isinstance(orders, list) and (orders or call is None or _holds_list(call.answer, self.rules.list_at)):
            return [self.named(order) for order in orders]
        raise ccxt.BadResponse("orders: the answer holds no list")

    @staticmethod
    def _pick(orders: list[Order], our_id: str, order_id: str) -> Order | None:
        for order in orders:
            if (order_id and str(order.get("id")) == order_id) or (our_id and order["clientOrderId"] == our_id):
                return order
        return None

    async def _among_open(self, our_id: str, order_id: str, symbol: str) -> Order:
        orders = await self._open(symbol, self._narrowed(our_id, order_id))
        found = self._pick(orders, our_id, order_id)
        return found if found is not None else self._absent_from(orders, our_id, order_id, symbol)

    def _absent_from(self, orders: list[Order], our_id: str, order_id: str, symbol: str) -> Order:
        """Always raises. OrderNotFound only when the list of open orders is whole and each in it is another's."""
        if self.rules.page and len(orders) >= self.rules.page:
            raise Ambiguous("NOT_PROVEN", f"{len(orders)} orders are open in {symbol}; there may be more than {self.id} lists")
        if not self.rules.sure and not order_id and any(order["clientOrderId"] is None for order in orders):
            raise Ambiguous("NOT_PROVEN", f"an open order in {symbol} without a client's id could be {our_id}")
        raise _absent(f"{self.id}: no order {our_id or order_id}")


def _holds_list(answer: Any, places: tuple[str, ...]) -> bool:
    """The raw answer holds a list (or a table of orders by id) at one of these places; without places: anywhere but in what is
    called an error."""
    for place in places:
        found = answer
        for key in filter(None, place.split(".")):
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, list) or (place and "." in place and isinstance(found, dict)):
            return True
    if places:
        return False
    if isinstance(answer, list):
        return True
    values = answer if isinstance(answer, dict) else {}
    inner = [value for key, value in values.items() if "err" not in str(key).lower()]
    return any(isinstance(value, dict | list) and _holds_list(value, ()) for value in inner)


# --- exchanges whose own requests are needed ---


async def _deribit_fetch(orders: Orders, our_id: str, symbol: str, since_ns: int) -> Order | None:
    """get_order_state_by_label wants a currency; of an instrument it may be any of its own."""
    market = orders.exchange.market(symbol)
    currencies = dict.fromkeys(market.get(key) for key in ("settleId", "quoteId", "baseId"))
    answered, refused = False, None
    for currency in filter(None, currencies):
        try:
            answer = await orders.exchange.private_get_get_order_state_by_label({"currency": currency, "label": our_id})
        except ccxt.BadRequest as error:
            refused = error
            continue
        except ccxt.OrderNotFound:
            answered = True
            continue
        if not isinstance(answer.get("result"), list):
            raise ccxt.BadResponse("orders by label: the answer holds no list")
        answered = True
        for raw in answer["result"]:
            if isinstance(raw, dict) and raw.get("label") == our_id:
                return orders.named(orders.exchange.parse_order(raw, market))
    if not answered and refused is not None:
        raise refused
    return None


async def _deribit_cancel(orders: Orders, our_id: str) -> Order:
    """The answer is the number of orders that were canceled."""
    answer = await orders.exchange.private_get_cancel_by_label({"label": our_id})
    if str(answer.get("result")) == "0":
        raise DefiniteReject("UNKNOWN_ORDER", f"deribit has no open order with the label {our_id}", unknown_order=True)
    return {}


async def _cryptocom_fetch(orders: Orders, our_id: str, symbol: str, since_ns: int) -> Order | None:
    try:
        answer = await orders.exchange.v1_private_post_private_get_order_detail({"client_oid": our_id})
    except ccxt.OrderNotFound:
        return None
    return orders.named(orders.exchange.parse_order(answer.get("result") or {}, orders.exchange.market(symbol)))


async def _cryptocom_cancel(orders: Orders, our_id: str) -> Order:
    await orders.exchange.v1_private_post_private_cancel_order({"client_oid": our_id})
    return {}


async def _coinbase_fetch(orders: Orders, our_id: str, symbol: str, since_ns: int) -> Order:
    """All open orders of the product, then all since it was sent: an order that is PENDING is in the second list only."""
    market = orders.exchange.market(symbol)
    lists: list[dict[str, Any]] = [{"order_status": "OPEN"}]
    if since_ns:
        lists.insert(0, {"start_date": orders.exchange.iso8601(max(since_ns // 1_000_000 - _CLOCK_MS, 0))})
    for chosen in lists:
        query: dict[str, Any] = {"product_id": market["id"], "limit": _PAGE, **chosen}
        for _ in range(_PAGES_MAX):
            with reading():
                answer = await orders.exchange.v3_private_get_brokerage_orders_historical_batch(query)
            page = answer.get("orders")
            if not isinstance(page, list):
                raise ccxt.BadResponse("orders: the answer is not a list")
            for raw in page:
                if raw.get("client_order_id") == our_id:
                    return orders.named(orders.exchange.parse_order(raw, market))
            if not answer.get("has_next"):
                break
            if not answer.get("cursor"):
                raise Ambiguous("NOT_PROVEN", "coinbase has more orders but does not say where they begin")
            query["cursor"] = answer["cursor"]
        else:
            raise Ambiguous("NOT_PROVEN", f"more than {_PAGES_MAX * _PAGE} orders since {our_id} was sent")
    if not since_ns:
        raise Ambiguous("NOT_PROVEN", f"when {our_id} was sent is not known")
    raise _absent(f"coinbase: no order {our_id}")


_FETCHES: dict[str, Callable[[Orders, str, str, int], Awaitable[Order | None]]] = {
    "deribit": _deribit_fetch,
    "cryptocom": _cryptocom_fetch,
    "coinbase": _coinbase_fetch,
}
_CANCELS: dict[str, Callable[[Orders, str], Awaitable[Order]]] = {
    "deribit": _deribit_cancel,
    "cryptocom": _cryptocom_cancel,
}
