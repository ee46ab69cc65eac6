"""Binance spot, tuned: order entry over the WebSocket API, raw user events, bookTicker and trade streams, exact codes.

User events are read from the raw messages before ccxt sees them (watch_orders coalesces). Requests on the WebSocket API
are answered by id; a refusal is turned into WsRefused with Binance's own code before ccxt could blur it.
"""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import Any

import ccxt

from ..core.commands import InstrumentSpec, VenueTrade
from ..core.numbers import plain
from . import binance_weights as weights
from . import host_clock, retry_after
from .base import Ambiguous, Balances, Done
from .binance_codes import CODES, WsRefused
from .binance_limits import counts_in, header_counts, header_weight, order_limits, weight_in, weight_limit
from .binance_market import presumed, spec_of
from .binance_public import PublicData
from .ccxt_dialect import MAX_PAGES, PAGING_S, TIFS, Amended, order_words
from .ccxt_dialect import Dialect as GeneralDialect
from .ccxt_exchange import CALL, Hooks, Unreadable, awaited, prune
from .ccxt_parse import dec, figure, ms_to_ns
from .covering import StreamBalances
from .doctrine import RATE_LIMIT_STATUS
from .limiter import Priority
from .order_lists import Listed, Page
from .order_rate import Limit
from .wire import AmendChild, CancelChild, PlaceChild

_SIDES = {"BUY": "1", "SELL": "2"}
_ENDS = {"FILLED": "filled", "CANCELED": "canceled", "EXPIRED": "expired", "EXPIRED_IN_MATCH": "expired", "REJECTED": "rejected"}
_WORKING = ("NEW", "PARTIALLY_FILLED")
_PRUNE_ABOVE = 256
_PAGE = 1000
_LOOK_S = 0.5
_SUBSCRIBE_S = 10.0


class Dialect(GeneralDialect):
    """See the module's docstring."""

    codes = CODES
    weight_per_cost = weights.WEIGHT_PER_COST
    open_orders_weights = (weights.OPEN_ORDERS_ALL, weights.OPEN_ORDERS_ONE)
    streams_balances = True
    poll_s = 1.0
    lists_orders = True
    closed_is_filled = True
    fetch_requests = 1

    def config(self) -> dict[str, Any]:
        return {
            "options": {
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "defaultType": "spot",
                "warnOnFetchOpenOrdersWithoutSymbol": False,
                "recvWindow": self.settings.recv_window_ms,
                "ws": {"compress": 0},
                "createOrderWs": {"returnRateLimits": True},
                "tradesLimit": 1,
            }
        }

    def attach(self, exchange: Any, hooks: Hooks) -> None:
        super().attach(exchange, hooks)
        hooks.weight = weights.weight
        hooks.order_counts = header_counts
        hooks.used_weight = header_weight
        exchange.has["fetchCurrencies"] = False  # a signed sapi call that load_markets does not need
        if self.settings.base_url:
            ws = self.settings.base_url.replace("http", "ws", 1)
            # "/stream": ccxt tells spot from swap by it
            exchange.urls["api"]["ws"]["spot"] = f"{ws}/stream/ws"
            exchange.urls["api"]["ws"]["ws-api"]["spot"] = f"{ws}/ws-api/v3"
        self._ws_api = exchange.urls["api"]["ws"]["ws-api"]["spot"]
        self._request = exchange.create_order_request
        exchange.create_order_request = self._exact_request
        self._balances = StreamBalances()
        self._public = PublicData(self)
        self._subscribed = False

    def default_weight_per_minute(self, exchange: Any) -> float:
        return 6000.0

    def order_limits(self, answer: Any) -> tuple[Limit, ...]:
        return order_limits(answer)

    def weight_limit(self, answer: Any) -> float:
        return weight_limit(answer)

    def capabilities(self, exchange: Any) -> tuple[str, ...]:
        return ("amend", "quote_market", "post_only", "ioc", "fok")

    def spec(self, market: dict[str, Any]) -> InstrumentSpec:
        return spec_of(market)

    def presumed_market(self, symbol: str) -> dict[str, Any] | None:
        return presumed(self.exchange, symbol)

    # --- orders ---

    def _exact_request(self, symbol: Any, kind: Any, side: Any, amount: Any, price: Any = None, params: Any = None) -> Any:
        """ccxt cuts quoteOrderQty to the price's tick: keep it out of its hands and put the client's number back."""
        params = dict(params or {})
        cash = params.pop("quoteOrderQty", None)
        if cash is None:
            return self._request(symbol, kind, side, amount, price, params)
        request = self._request(symbol, kind, side, None, None, params | {"quoteOrderQty": "1"})
        request["quoteOrderQty"] = cash
        return request

    def ws_ready(self) -> bool:
        """The WebSocket API is connected and the user stream on it is confirmed."""
        client = self.exchange.clients.get(self._ws_api)
        return bool(self._subscribed and client is not None and client.isConnected and not client.closed())

    async def create(self, order: PlaceChild) -> dict[str, Any]:
        side, kind, amount, price = order_words(order)
        params: dict[str, Any] = {"newClientOrderId": order.venue_cl_ord_id}
        if kind == "limit" and order.post_only:
            kind = "LIMIT_MAKER"
        elif kind == "limit":
            params["timeInForce"] = TIFS[order.tif]
        if order.cash_qty is not None:
            params["quoteOrderQty"] = format(order.cash_qty, "f")
        call = self.exchange.create_order
        if self.settings.ws_orders and self.ws_ready():
            await self._enter_ws(Priority.PLACE)
            call = self.exchange.create_order_ws
        result: dict[str, Any] = await call(order.symbol, kind, side, amount, price, params)
        self._know_order(order.venue_cl_ord_id, order.symbol, result)
        return result

    async def cancel(self, request: CancelChild) -> dict[str, Any]:
        params = {"origClientOrderId": request.venue_cl_ord_id}
        call = self.exchange.cancel_order
        if self.settings.ws_orders and self.ws_ready():
            await self._enter_ws(Priority.CANCEL)
            call = self.exchange.cancel_order_ws
        result: dict[str, Any] = await call(None, request.symbol, params)
        self._know_order(request.venue_cl_ord_id, request.symbol, result)
        return result

    def amendable(self, symbol: str) -> bool:
        market = (self.exchange.markets or {}).get(symbol) or {}
        return (market.get("info") or {}).get("amendAllowed") is True

    async def amend(self, request: AmendChild) -> Amended:
        """Under its own client id again: without one Binance gives the amended order a random name.

        aiohttp itself sends a PUT once more when a kept connection was closed under it: with a total that does no harm."""
        params = {
            "symbol": self.exchange.market_id(request.symbol),
            "origClientOrderId": request.venue_cl_ord_id,
            "newClientOrderId": request.venue_cl_ord_id,
            "newQty": format(request.qty, "f"),
        }
        if self.settings.ws_orders and self.ws_ready():
            await self._enter_ws(Priority.PLACE, weights.AMEND)
            answer = await self._ask_ws("order.amend.keepPriority", params)
        else:
            cost = {"cost": weights.AMEND / self.weight_per_cost}
            answer = await self.exchange.request("order/amend/keepPriority", ["private"], "PUT", dict(params), cost)
        return _amended(answer, request, params["symbol"])

    async def _ask_ws(self, method: str, params: dict[str, Any]) -> Any:
        """The result of a signed WebSocket API request that ccxt has no method for, sent as it sends its own."""
        number = str(self.exchange.request_id(self._ws_api))
        signed = self.exchange.sign_params(params | {"returnRateLimits": False})
        taker = {"method": lambda client, answer: client.resolve(answer.get("result"), number)}
        message = {"id": number, "method": method, "params": signed}
        return await self.exchange.watch(self._ws_api, number, message, number, taker)

    async def _enter_ws(self, priority: Priority, weight: float = weights.ORDER) -> None:
        """Our turn in the one budget for REST and WebSocket; the deadline is looked at once more after the wait."""
        assert self.hooks is not None
        await self.hooks.limiter.acquire(weight, priority)
        call = CALL.get()
        if call is not None:
            call.check_deadline()
        client = self.exchange.clients.get(self._ws_api)
        if client is not None and len(client.subscriptions) > _PRUNE_ABOVE:
            prune(client)

    async def fetch(self, venue_cl_ord_id: str, venue_order_id: str, symbol: str, since_ns: int = 0) -> dict[str, Any]:
        """By our id where we know it: the venue's id alone would not show whose order it is."""
        params = {"origClientOrderId": venue_cl_ord_id} if venue_cl_ord_id else {}
        result: dict[str, Any] = await self.exchange.fetch_order(venue_order_id or None, symbol, params)
        self._know_order(venue_cl_ord_id, symbol, result)
        return result

    async def order_trades(self, venue_order_id: str, symbol: str, since_ns: int) -> list[dict[str, Any]]:
        return (await self._pages(symbol, {"orderId": venue_order_id}))[0]

    async def trades_since(self, symbol: str, since_ns: int) -> tuple[list[dict[str, Any]], bool]:
        return await self._pages(symbol, {"startTime": max(1, since_ns // 1_000_000)})

    async def newest_trades(self, symbol: str) -> list[dict[str, Any]]:
        return await self._page(symbol, {})

    async def _page(self, symbol: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        page: list[dict[str, Any]] = await self.exchange.fetch_my_trades(symbol, None, _PAGE, params)
        call = CALL.get()
        if call is not None and not isinstance(call.answer, list):
            raise ccxt.BadResponse("myTrades: the answer is not a list")
        page.sort(key=lambda trade: int(trade["id"]))
        return page

    async def orders_from(self, symbol: str, venue_order_id: str) -> Page:
        """allOrders, unread by ccxt: of each order only whose it is matters."""
        asked = {"symbol": self.exchange.market_id(symbol), "orderId": venue_order_id, "limit": _PAGE}
        found = await self.exchange.private_get_allorders(asked)
        if not isinstance(found, list):
            raise ccxt.BadResponse("allOrders: the answer is not a list")
        rows = [Listed(str(raw["orderId"]), str(raw["clientOrderId"] or ""), raw["status"] not in _ENDS) for raw in found]
        return Page(tuple(rows), len(found) < _PAGE)

    async def _pages(self, symbol: str, first: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
        """myTrades, oldest first, continued by fromId (which Binance does not combine with a time); and whether all. The last id
        is asked for again: of a trade between two of our orders the other side may stand on the next page."""
        out: list[dict[str, Any]] = []
        params, order_id, until = dict(first), first.get("orderId"), time.monotonic() + PAGING_S
        for _ in range(MAX_PAGES):
            page = await self._page(symbol, params)
            had = {(trade["id"], trade["side"]) for trade in out[-2:]}
            out.extend(trade for trade in page if (trade["id"], trade["side"]) not in had)
            if len(page) < _PAGE:
                return out, True
            if time.monotonic() > until:
                break
            params = {"fromId": int(page[-1]["id"])}
            if order_id is not None:
                params["orderId"] = order_id
        return out, False

    def instant_trades(self, order: dict[str, Any], our_id: str) -> tuple[VenueTrade, ...]:
        """The fills of a FULL answer: the same trades that the user stream tells, in case that loses them."""
        info = order.get("info") or {}
        return tuple(
            VenueTrade(
                account=self.settings.account,
                symbol=order["symbol"],
                venue_cl_ord_id=our_id,
                venue_order_id=str(info["orderId"]),
                venue_trade_id=str(fill["tradeId"]),
                side=_SIDES[info["side"]],
                qty=plain(dec(fill["qty"], "qty")),
                px=plain(dec(fill["price"], "price")),
                fee=plain(dec(fill["commission"], "commission")),
                fee_asset=str(fill["commissionAsset"]),
                liquidity="2",
                venue_ns=ms_to_ns(info.get("transactTime")),
            )
            for fill in info.get("fills") or ()
        )

    # --- streams ---

    async def open_private(self) -> None:
        self._subscribed = False
        await self._enter_ws(Priority.LINK, weights.SUBSCRIBE)
        try:
            await asyncio.wait_for(self.exchange.ensure_user_data_stream_ws_subscribe_signature("spot"), _SUBSCRIBE_S)
        except BaseException:
            self._forget_subscription()
            raise
        self._subscribed = True

    def _forget_subscription(self) -> None:
        """ccxt notes one before it is confirmed, and keeps the note of one that was given up: asked again it would say that all
        is well, with nobody to tell of our fills."""
        client = self.exchange.clients.get(self._ws_api)
        if client is None or client.subscriptions.pop("spot", None) is None:
            return
        client.futures.pop("authenticate:signature:spot", None)
        if client.isConnected:  # the venue may have taken it all the same: on a fresh socket it is made once
            client.on_error(ccxt.NetworkError("the subscription to our own events was not confirmed"))

    async def run_private(self) -> None:
        """The tap sees everything; what account events should have covered by now is asked for."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._balances.overdue(host_clock.steady_ns()):
                self.events.on_balances_overdue()

    def lost(self, url: str, reason: str) -> None:
        if url == self._ws_api:
            self._subscribed = False
            self.events.on_lost(f"WebSocket API: {reason}")
        else:
            self._public.streams.lost(url)

    async def _run_tops(self, symbols: tuple[str, ...]) -> None:
        await self._public.run_books(symbols)

    async def _last_prices(self, symbols: tuple[str, ...]) -> None:
        await self._public.run_trades(symbols)

    def tap(self, client: Any, message: Any) -> bool:
        if isinstance(message, str | bytes):
            raise Unreadable  # ccxt would look for keys in the text, and find them
        if not isinstance(message, dict):
            return False
        if "id" in message and ("status" in message or "error" in message):
            return self._public.streams.refused(client, message) or self._answer(client, message)
        if "id" in message and "result" in message:
            self._public.streams.answered(client)
            return False
        inner = message.get("event")
        event: dict[str, Any] = inner if isinstance(inner, dict) else message
        kind = event.get("e")
        if kind == "executionReport":
            self._execution(event)
            return True
        if kind == "outboundAccountPosition":
            self._position(event)
            return True
        if kind in ("eventStreamTerminated", "serverShutdown"):
            # a fresh socket is the one way to a fresh subscription that ccxt does not trip over
            client.on_error(ccxt.NetworkError(str(kind)))
            return True
        if kind == "trade":
            symbol = self._symbol(event["s"])
            self.events.on_last(symbol, figure(event["p"]))
            return not awaited(client, symbol)
        if kind is None and "b" in message and "a" in message and "s" in message:
            symbol = self._symbol(message["s"])
            self._public.book(symbol, message, client)
            return not awaited(client, symbol)
        return self._public.streams.refused(client, message)

    def _answer(self, client: Any, message: dict[str, Any]) -> bool:
        """An answer of the WebSocket API. True when it was a refusal, which is then delivered as WsRefused."""
        status = int(message.get("status") or 0)
        error = message.get("error")
        if status == 200 or not isinstance(error, dict):
            if "rateLimits" in message and self.hooks is not None:
                self.hooks.counted(counts_in(message))
                self.hooks.weighed(*weight_in(message))
            return False
        if status in RATE_LIMIT_STATUS and self.hooks is not None:
            data = error.get("data")
            said = retry_after.until(data.get("retryAfter"), time.time()) if isinstance(data, dict) else None
            self.hooks.limited(status, str(error.get("code", "")), said)
        number = str(message["id"])
        if number in client.futures:
            client.reject(WsRefused(status, str(error.get("code", "")), str(error.get("msg", ""))), number)
            client.subscriptions.pop(number, None)
        return True

    def _symbol(self, market_id: str) -> str:
        symbol: str = self.exchange.safe_market(market_id, None, None, "spot")["symbol"]
        return symbol

    def _execution(self, event: dict[str, Any]) -> None:
        """executionReport: C is the order's own id where c is that of a cancel request, or the new one of an amended order.

        We amend under the same id. An order that somebody else has amended goes by a name of theirs from then on: the one
        that we know by the venue's number is still ours."""
        symbol, order_id = self._symbol(event["s"]), str(event["i"])
        original = event.get("C")
        named = str(original) if original not in (None, "", "null") else str(event["c"])
        our_id = self.events.our_id(symbol, order_id) or named
        kind, status = event["x"], event["X"]
        if kind != "REJECTED":
            asset = _locked(symbol, event["S"])
            self._balances.order(our_id, asset, _ms(event.get("T")), host_clock.steady_ns(), streamed=True)
            self.events.on_working(our_id, symbol, order_id, _qty(event.get("q")))
        if kind == "REPLACED":
            self.events.on_amended(our_id, symbol, plain(dec(event["q"], "q")))
        if kind == "TRADE":
            self.events.on_trade(
                VenueTrade(
                    account=self.settings.account,
                    symbol=symbol,
                    venue_cl_ord_id=our_id,
                    venue_order_id=order_id,
                    venue_trade_id=str(event["t"]),
                    side=_SIDES[event["S"]],
                    qty=plain(dec(event["l"], "l")),
                    px=plain(dec(event["L"], "L")),
                    fee=plain(dec(event.get("n") or "0", "n")),
                    fee_asset=str(event.get("N") or ""),
                    liquidity="1" if event.get("m") else "2",
                    venue_ns=ms_to_ns(event.get("T")),
                )
            )
        end = _ENDS.get(status)
        if end is not None and kind != "REJECTED":
            cum_qty = plain(dec(event["z"], "z"))
            reason = str(event.get("r") or "")
            self.events.on_done(Done(our_id, order_id, end, cum_qty, "" if reason == "NONE" else reason), symbol)

    def _position(self, event: dict[str, Any]) -> None:
        """outboundAccountPosition tells the changed assets only, as of the venue's time u."""
        rows = []
        for row in event.get("B", ()):
            try:
                free = dec(row["f"], "f")
                rows.append((str(row["a"]), plain(free), plain(free + dec(row["l"], "l"))))
            except (ValueError, KeyError, TypeError):  # the others count; of this one stays what was known, and it is asked for
                self.events.on_odd_balance(str(row.get("a")) if isinstance(row, dict) else "")
        self.events.on_balances(self._balances.event(_ms(event.get("u")), rows, host_clock.steady_ns()))

    def know_orders(self, orders: list[dict[str, Any]]) -> None:
        for order in orders:
            self._know_order(str(order.get("clientOrderId") or ""), str(order.get("symbol")), order)

    def _know_order(self, our_id: str, symbol: str, order: Any) -> None:
        """An answer (ccxt's order structure) shows this order."""
        info = order.get("info") if isinstance(order, dict) else None
        if our_id and isinstance(info, dict):
            self._balances.order(
                our_id, _locked(symbol, info.get("side")), _ms(info.get("time") or info.get("transactTime")),
                host_clock.steady_ns(),
            )

    def know_trade(self, trade: VenueTrade) -> None:
        if trade.venue_cl_ord_id:
            asset = _locked(trade.symbol, "BUY" if trade.side == "1" else "SELL")
            self._balances.order(trade.venue_cl_ord_id, asset, trade.venue_ns // 1_000_000, host_clock.steady_ns(), news=True)

    def know_balances(self, free: dict[str, Decimal], total: dict[str, Decimal], asked_ns: int) -> Balances:
        """The whole picture by REST, to which the stream's changes are applied, those during the request included."""
        return self._balances.snapshot(free, total, asked_ns)


def _ms(value: Any) -> int:
    """A time of the venue; 0 where it is none."""
    return ms_to_ns(value) // 1_000_000


def _qty(value: Any) -> Decimal | None:
    """A quantity that is not needed; None where it is none."""
    try:
        return plain(dec(value)) or None
    except ValueError:
        return None


def _locked(symbol: str, side: Any) -> str:
    """The asset that an order locks."""
    base, _, quote = symbol.partition("/")
    return quote if side == "BUY" else base


def _amended(answer: Any, request: AmendChild, market_id: str) -> Amended:
    """The answer to an amend; Ambiguous unless it plainly is about our order, with its own name and the new quantity."""
    order = answer.get("amendedOrder") if isinstance(answer, dict) else None
    if not isinstance(order, dict):
        raise Ambiguous("BAD_ANSWER", "the answer to the amend shows no order")
    try:
        order_id, name, market = str(order["orderId"]), str(order["clientOrderId"]), str(order["symbol"])
        qty, cum_qty, status = plain(dec(order["qty"], "qty")), plain(dec(order["executedQty"], "executedQty")), order["status"]
    except (KeyError, ValueError) as error:
        raise Ambiguous("BAD_ANSWER", f"the answer to the amend: {type(error).__name__} {error}") from None
    if (name, market) != (request.venue_cl_ord_id, market_id) or request.venue_order_id not in ("", order_id):
        raise Ambiguous("OTHER_ORDER", f"the answer to the amend is about {name!r:.60}, {order_id!r:.60} in {market!r:.60}")
    if qty != request.qty:
        raise Ambiguous("OTHER_QTY", f"the answer to the amend shows {qty}, asked was {request.qty}")
    if status in _WORKING:
        return Amended(order_id)
    if status not in _ENDS:
        raise Ambiguous("BAD_ANSWER", f"the answer to the amend has status {status!r:.60}")
    return Amended(order_id, Done(request.venue_cl_ord_id, order_id, _ENDS[status], cum_qty, "ended by an amend"))
