"""The unmodified ccxt.pro exchange class with our hooks around it, as a subclass made at run time.

What is hooked, and why (each hazard was reproduced, see the tests):
  fetch2            our rate limiter sees path and cost; ccxt's FIFO bucket put cancels behind snapshots
  open              and get_socks_proxy_session: sessions follow no redirect and read no endless answer (http_guard.py)
  fetch             records whether a request left, lets none go that does not name its order (id_guard.py), and refuses
                    answers that are not JSON (an empty 200 looked like an order)
  handle_errors     records the venue's own status and code, and freezes the limiter on 429 / 418 (Retry-After): new orders
                    alone where it refuses for the number of orders; tells the limiter what the venue counts
  *_to_precision    raises when ccxt would cut or round a client's number; wrapped in its own decimal context,
                    because ccxt mutates the shared one
  client            short keep-alive on every socket, and a send that records what left
  handle_message    raw tap before ccxt; an exception in ccxt's handler breaks the socket instead of deafening it
                    and when it was heard of last is noted (socket_life.py)
  on_close/on_error tell the connector at once that a stream is lost
"""

from __future__ import annotations

import asyncio
import decimal
import logging
import socket
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import aiohttp
import ccxt
import ccxt.pro

from . import host_clock, retry_after
from .base import NeverSent, VenueError
from .doctrine import RATE_LIMIT_STATUS, Evidence, scrub
from .http_guard import ANSWER_BYTES, MESSAGE_BYTES, broken, guarded, most_bytes
from .id_guard import IdGuard
from .limiter import Priority, RateLimiter
from .order_rate import OrderRate, Slot
from .socket_life import heard
from .tasks import seen

log = logging.getLogger(__name__)
_MINUTE_NS = 60_000_000_000
# from the count to the time in the answer, and how coarse that time is; together no more than limiter.MINUTE_S allows for
_LATE_NS, _COARSE_NS = 2_000_000_000, 1_000_000_000
_WORTH_TELLING_S = 5.0
_FLATE, _GZIP = -zlib.MAX_WBITS, 16 + zlib.MAX_WBITS
_PARTS_MAX = 16
# ccxt logs request headers, keys included, at DEBUG
logging.getLogger("ccxt").setLevel(logging.WARNING)


@dataclass(slots=True)
class Call(Evidence):
    """One request of ours, found by the hooks through a context variable (it follows the tasks that ccxt spawns)."""

    priority: Priority = Priority.REST
    deadline_ns: int = 0
    # when it left for the first and for the last time (ccxt may need several requests for one answer)
    first_ns: int = 0
    sent_ns: int = 0
    answer: Any = None
    # of a place, a cancel or a query
    guard: IdGuard | None = None
    # why nothing of it may leave any more: what the guard refused on a WebSocket (the task that waits is ended), a place that
    # was withdrawn, a request that was given up before it left
    refused: VenueError | None = None
    task: asyncio.Task[Any] | None = None
    # of a place
    slot: Slot | None = None
    # of an answer
    most_bytes: int = ANSWER_BYTES
    # so many rows of the list that it is may be nonsense beside an id (odd_rows.py)
    odd_rows: int = 0

    def check_deadline(self) -> None:
        """NeverSent when the deadline has passed; VenueError when nothing may leave."""
        if self.refused is not None:
            raise self.refused
        late_ns = host_clock.steady_ns() - self.deadline_ns
        if self.deadline_ns and late_ns > 0:
            raise NeverSent("EXPIRED_IN_HOST", f"its deadline passed {late_ns / 1e6:.0f} ms ago in the host")

    def leaving(self) -> None:
        """The request leaves now; what an earlier one was answered is no evidence of it."""
        self.status, self.code, self.text, self.answer = 0, "", "", None
        self.sent = True
        self.sent_ns = host_clock.steady_ns()
        self.first_ns = self.first_ns or self.sent_ns
        if self.slot is not None:
            self.slot.left()


CALL: ContextVar[Call | None] = ContextVar("fixgw_venue_call", default=None)


class Hooks:
    """What the hooked exchange calls. `tap(client, message)` returns True when ccxt must not see the message."""

    def __init__(self, limiter: RateLimiter, weight_per_cost: float, keep_alive_ms: int) -> None:
        self.limiter = limiter
        # what a REST request weighs: ccxt's cost for it, then as in fetch2
        self.weight: Callable[[float, Any, str, str, Any], float] = lambda cost, *_: cost * weight_per_cost
        self.keep_alive_ms = keep_alive_ms
        self._until_s = 0.0
        # what no log may show
        self.secrets: tuple[str, ...] = ()
        self.order_rate = OrderRate()
        self.order_limit: frozenset[str] = frozenset()
        # (interval in ns, new orders that the venue counts in it), as the headers of the answer to a place tell
        self.order_counts: Callable[[Mapping[Any, Any]], Iterable[tuple[int, int]]] = lambda headers: ()
        # of URL and headers of an answer: `weighed`'s arguments
        self.used_weight: Callable[[str, Mapping[Any, Any]], tuple[int, int]] = lambda url, headers: (0, 0)
        self.tap: Callable[[Any, Any], bool] = lambda client, message: False
        self.lost: Callable[[str, str], None] = lambda url, reason: None
        self.rest_ok: Callable[[bool, str], None] = lambda ok, reason: None

    def limited(self, status: int, code: str, seconds: float | None) -> None:
        """The venue refuses for too much and says for how long (None: it does not): too many new orders hold up new orders
        alone."""
        for_orders = status == HTTPStatus.TOO_MANY_REQUESTS and code in self.order_limit
        kept = retry_after.kept_s(seconds, status, for_orders)
        if for_orders:
            self.order_rate.freeze(kept)
            return
        self.limiter.freeze(kept)
        self._until_s = max(self._until_s, time.time() + kept)
        log.warning("HTTP %s: the venue wants no request for %.0f s", status, kept)

    def forbidden(self) -> str:
        """Until when the venue wants no request, where that is not over at once; else ""."""
        if self._until_s - time.time() < _WORTH_TELLING_S:
            return ""
        return f"the venue wants no request until {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(self._until_s))} UTC"

    def weighed(self, used: int, at_ns: int) -> None:
        """The venue's count of weight in its minute, in an answer of `at_ns` by the venue's own clock (0: it tells none). A
        minute that has just begun is taken for the one before, so that what was counted there is not carried on."""
        if at_ns:
            minute = (at_ns - _LATE_NS) // _MINUTE_NS
            self.limiter.told(float(used), minute, ((minute + 1) * _MINUTE_NS + _COARSE_NS - at_ns) / 1e9)

    def counted(self, counts: Iterable[tuple[int, int]]) -> None:
        for interval_ns, orders in counts:
            self.order_rate.told(interval_ns, orders)


def check_built(url: str, headers: dict[Any, Any], body: Any) -> None:
    """NeverSent when aiohttp could not write this request: it would say so in the middle of sending it."""
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str) or "\n" in value or "\r" in value:
            raise NeverSent("BAD_REQUEST", f"header {name!r:.60}: {type(value).__name__}, expected a text of one line")
    if not isinstance(body, str | bytes | dict | None):
        raise NeverSent("BAD_REQUEST", f"body: {type(body).__name__}, expected a text")
    if not isinstance(url, str) or "://" not in url:
        raise NeverSent("BAD_REQUEST", "the request has no usable URL")


class HookMixin:
    """Mixed in before the ccxt.pro class; see the module's docstring."""

    fixgw: Hooks | None = None

    def open(self, lazy: bool = False) -> None:
        before = self.session  # type: ignore[has-type]
        super().open(lazy)  # type: ignore[misc]
        if self.session is not before:  # type: ignore[has-type]
            self.session = guarded(self.session)  # type: ignore[has-type]

    def get_socks_proxy_session(self, proxy: str) -> Any:
        before = (self.socks_proxy_sessions or {}).get(proxy)  # type: ignore[attr-defined]
        session = super().get_socks_proxy_session(proxy)  # type: ignore[misc]
        if session is not before:
            session = self.socks_proxy_sessions[proxy] = guarded(session)  # type: ignore[attr-defined]
        return session

    async def fetch2(
        self, path: str, api: Any = ("public",), method: str = "GET", params: Any = None, config: Any = None
    ) -> Any:
        hooks, call = self.fixgw, CALL.get()
        params, config = params or {}, config or {}
        api = list(api) if isinstance(api, tuple) else api
        if hooks is not None:
            cost = float(self.calculate_rate_limiter_cost(api, method, path, params, config) or 0)  # type: ignore[attr-defined]
            weight = hooks.weight(cost, api, method, path, params)
            await hooks.limiter.acquire(weight, call.priority if call else Priority.REST)
        with decimal.localcontext():
            return await super().fetch2(path, api, method, params, config)  # type: ignore[misc]

    async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        call, hooks = CALL.get(), self.fixgw
        before = call is not None and call.sent
        if call is not None:
            call.check_deadline()
            check_built(url, {**(getattr(self, "headers", None) or {}), **(headers or {})}, body)
            if call.guard is None or call.guard.admit(method, url, body, headers):
                call.leaving()
        token = most_bytes.set(call.most_bytes if call is not None else ANSWER_BYTES)
        try:
            answer = await super().fetch(url, method, headers, body)  # type: ignore[misc]
        except ccxt.NetworkError as error:
            # never sent: the connection itself failed. aiohttp.ServerTimeoutError on connecting is such a case too.
            refused = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, socket.gaierror)
            if call is not None and isinstance(error.__cause__, refused):
                call.sent = before  # an order may need several requests, and this may be one that follows it
            if hooks is not None and not isinstance(error, (ccxt.DDoSProtection, ccxt.RateLimitExceeded, ccxt.InvalidNonce)):
                hooks.rest_ok(False, type(error).__name__)
            raise
        except ccxt.ExchangeError as error:
            fault = broken(error)
            if fault is None:
                raise
            if hooks is not None:
                hooks.rest_ok(False, type(fault).__name__)
                log.warning("%s: %s", self.id, scrub(str(fault), hooks.secrets))  # type: ignore[attr-defined]
            raise fault from None
        finally:
            most_bytes.reset(token)
        if not isinstance(answer, (dict, list)):
            raise ccxt.BadResponse(f"{method}: the answer is not JSON ({len(answer or '')} characters)")
        if call is not None:
            call.answer = answer
        if hooks is not None:
            hooks.rest_ok(True, "")
        return answer

    def handle_errors(self, code: Any, reason: Any, url: Any, method: Any, headers: Any, body: Any, *rest: Any) -> Any:
        call, hooks = CALL.get(), self.fixgw
        answer, own_code = rest[0] if rest else None, ""
        if isinstance(answer, dict) and code != 200:
            found = answer.get("code", answer.get("error_code", ""))
            own_code = str(found) if isinstance(found, (int, str)) else ""
        if call is not None and isinstance(code, int):
            call.status = code
            if isinstance(answer, dict) and code != 200:
                call.code = own_code
                call.text = str(answer.get("msg") or answer.get("message") or "")
        if hooks is not None and code == HTTPStatus.OK and call is not None and call.slot is not None:
            hooks.counted(hooks.order_counts(headers or {}))
        if hooks is not None:
            hooks.weighed(*hooks.used_weight(str(url), headers or {}))
        if hooks is not None and code in RATE_LIMIT_STATUS:
            hooks.limited(code, own_code, retry_after.from_headers(headers or {}, time.time()))
        return super().handle_errors(code, reason, url, method, headers, body, *rest)  # type: ignore[misc]

    def _exact(self, name: str, symbol: Any, value: Any) -> Any:
        code = "BAD_TICK" if name == "price_to_precision" else "BAD_LOT"
        try:
            with decimal.localcontext():
                result = getattr(super(), name)(symbol, value)
        except NeverSent as refusal:
            raise NeverSent(code, f"{symbol}: {refusal.text}") from None
        if CALL.get() is not None and Decimal(str(result)) != Decimal(str(value)):
            raise NeverSent(code, f"{symbol}: ccxt would send {result} for {value}")
        return result

    def amount_to_precision(self, symbol: Any, amount: Any) -> Any:
        return self._exact("amount_to_precision", symbol, amount)

    def price_to_precision(self, symbol: Any, price: Any) -> Any:
        return self._exact("price_to_precision", symbol, price)

    def cost_to_precision(self, symbol: Any, cost: Any) -> Any:
        return self._exact("cost_to_precision", symbol, cost)

    def client(self, url: str) -> Any:
        client = super().client(url)  # type: ignore[misc]
        if self.fixgw is not None and not getattr(client, "fixgw_hooked", False):
            client.fixgw_hooked = True
            client.keepAlive = self.fixgw.keep_alive_ms
            client.send = _recording(client.send)
            client.handle_message = _guarded(client)
            client.future = _quiet(client.future)
        return client

    def handle_message(self, client: Any, message: Any) -> None:
        try:
            with decimal.localcontext():
                if self.fixgw is not None and self.fixgw.tap(client, message):
                    return
                super().handle_message(client, message)  # type: ignore[misc]
        except Unreadable:
            raise  # to _guarded
        except Exception as error:  # an exception here would leave the connection deaf; a new one is reconciled
            log.exception("venue message could not be handled; the connection is made anew")
            client.on_error(ccxt.NetworkError(f"message not understood: {type(error).__name__}"))

    def _replaced(self, client: Any) -> bool:
        """By another one at its address: its end was told then, and what comes late is no end of the other."""
        return self.clients.get(client.url, client) is not client  # type: ignore[attr-defined]

    def on_close(self, client: Any, error: Any) -> None:
        if self._replaced(client):
            return  # ccxt would forget the other
        super().on_close(client, error)  # type: ignore[misc]
        if self.fixgw is not None:
            self.fixgw.lost(client.url, f"closed ({error})")

    def on_error(self, client: Any, error: Any) -> None:
        asked = client.last_retry_after  # of a refused handshake; ccxt takes any float, and fails on "inf" or dials never again
        if asked is not None:
            said = retry_after.from_headers({"Retry-After": f"{asked:f}"}, time.time())
            client.last_retry_after = retry_after.kept_s(said, HTTPStatus.TOO_MANY_REQUESTS, False)
        replaced = self._replaced(client)
        super().on_error(client, error)  # type: ignore[misc]
        if self.fixgw is not None and not replaced:
            fault = broken(error)
            self.fixgw.lost(client.url, type(error).__name__ if fault is None else scrub(str(fault), self.fixgw.secrets))


class Unreadable(ValueError):
    """A frame that is not what the venue sends: a proxy's HTML page, half an answer."""


def _recording(send: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`send` that marks the Call of the current context as sent just before the frame leaves."""

    async def wrapped(message: Any) -> Any:
        call = CALL.get()
        if call is not None:
            if call.refused is not None:
                return None  # ccxt sends from a task of its own: it may come here after the one that asked has ended
            try:
                counts = call.guard is None or call.guard.admit("SEND", "", message)
            except VenueError as refusal:
                # raised from here it would end the connection, and all that waits on it
                call.refused = refusal
                if call.task is not None:
                    call.task.cancel()
                return None
            if counts:
                call.leaving()
            try:
                return await send(message)
            except ConnectionError:
                # ccxt raises this before it writes; aiohttp raises ClientConnectionResetError on a closing transport
                call.sent = False
                raise
        return await send(message)

    return wrapped


def _uncut(convert: Callable[..., Any]) -> Callable[..., Any]:
    """`decimal_to_precision`, where ccxt cuts numbers: while an order is being made, a cut is a refusal."""

    def wrapped(value: Any, *how: Any, **named: Any) -> Any:
        with decimal.localcontext():
            result = convert(value, *how, **named)
        call = CALL.get()
        making = call is not None and call.priority == Priority.PLACE and not call.sent
        if making and Decimal(result) != Decimal(str(value)):
            raise NeverSent("BAD_LOT", f"ccxt would send {result} for {value}")
        return result

    return wrapped


def _quiet(future: Callable[[str], Any]) -> Callable[[str], Any]:
    """`client.future` whose failures count as seen: ccxt keeps futures that nobody awaits, and asyncio logs those."""

    def wrapped(message_hash: str) -> Any:
        made = future(message_hash)
        made.remove_done_callback(seen)
        made.add_done_callback(seen)
        return made

    return wrapped


def _guarded(client: Any) -> Callable[[Any], None]:
    """`client.handle_message` that breaks the socket on an unreadable frame: ccxt would stop reading and stay deaf."""
    inner = client.handle_message

    def handle(message: Any) -> None:
        heard(client)
        try:
            inner(_unpacked(client, message))
        except Exception as error:
            log.warning("unreadable frame from %s (%s); the connection is made anew", client.url, type(error).__name__)
            client.on_error(ccxt.NetworkError("unreadable frame"))

    return handle


def _unpacked(client: Any, message: Any) -> Any:
    """A message that is packed for itself (htx, bingx), as ccxt would unpack it, but not without end; others as they are."""
    if message.type != aiohttp.WSMsgType.BINARY or not (client.gunzip or client.inflate):
        return message
    text, rest = b"", message.data
    for _ in range(_PARTS_MAX):
        unpacker = zlib.decompressobj(_GZIP if client.gunzip else _FLATE)
        text += unpacker.decompress(rest, MESSAGE_BYTES + 1 - len(text))
        if not unpacker.eof or len(text) > MESSAGE_BYTES:
            raise Unreadable(f"a message of more than {MESSAGE_BYTES} bytes, or half of one")
        rest = unpacker.unused_data
        if not rest:
            return aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, text.decode(), None)
    raise Unreadable(f"a message of more than {_PARTS_MAX} parts")


def awaited(client: Any, symbol: str) -> bool:
    """ccxt only needs the first message of a symbol, which confirms the subscription; it would keep a thousand of each."""
    return any(symbol in key for key in client.futures)


def prune(client: Any) -> None:
    """ccxt keeps an entry for each WebSocket request for ever: forget those that are answered or given up."""
    for key in [key for key, future in client.futures.items() if future.done()]:
        del client.futures[key]
    for key in [key for key in client.subscriptions if key.isdigit() and key not in client.futures]:
        del client.subscriptions[key]


def make_exchange(exchange_id: str, config: dict[str, Any], hooks: Hooks) -> Any:
    """An instance of ccxt.pro's class `exchange_id` (REST-only exchanges: ccxt.async_support) with the hooks on.

    ValueError when ccxt has no such exchange."""
    import ccxt.async_support

    base = getattr(ccxt.pro, exchange_id, None) if exchange_id in ccxt.pro.exchanges else None
    if base is None and exchange_id in ccxt.async_support.exchanges:
        base = getattr(ccxt.async_support, exchange_id)
    if base is None:
        raise ValueError(f"exchange: {exchange_id!r} is not an exchange of ccxt {ccxt.__version__}")
    made = type(f"Hooked_{exchange_id}", (HookMixin, base), {})
    exchange = made({"enableRateLimit": False, "newUpdates": True, **config})
    exchange.number = str
    exchange.decimal_to_precision = _uncut(exchange.decimal_to_precision)  # ccxt keeps it on the instance
    exchange.verbose = False
    exchange.fixgw = hooks
    return exchange
