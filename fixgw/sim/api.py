"""The table of operations, and what is done to every request whatever it came by: limits, authentication, dispatch."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fixgw.sim import market, trading, weights
from fixgw.sim.config import ApiAccount
from fixgw.sim.core import Simulator
from fixgw.sim.limits import Limited
from fixgw.sim.params import ApiError, Params
from fixgw.sim.weights import Weight, weigh

Handler = Callable[[Simulator, str, Params], Any]
_MAX_WINDOW_MS = 60_000
_AHEAD_MS = 1_000  # how far a client's clock may be ahead


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing the exchange can do: its name, where REST has it, what it weighs (see weights.py), whether it is signed."""

    name: str
    http: str  # "GET /api/v3/time", or "" where only the WebSocket API has it
    weight: Weight
    signed: bool
    run: Handler
    orders: bool = False  # counts as a new order
    in_ws: bool = True


OPERATIONS = (
    Operation("ping", "GET /api/v3/ping", 1, False, market.ping),
    Operation("time", "GET /api/v3/time", 1, False, market.server_time),
    Operation("exchangeInfo", "GET /api/v3/exchangeInfo", 20, False, market.exchange_info),
    Operation("depth", "GET /api/v3/depth", weights.depth, False, market.depth),
    Operation("trades.recent", "GET /api/v3/trades", 25, False, market.trades),
    Operation("trades.aggregate", "GET /api/v3/aggTrades", 4, False, market.agg_trades),
    Operation("ticker.book", "GET /api/v3/ticker/bookTicker", weights.ticker, False, market.book_ticker),
    Operation("ticker.price", "GET /api/v3/ticker/price", weights.ticker, False, market.price_ticker),
    Operation("ticker.24hr", "GET /api/v3/ticker/24hr", weights.ticker_24hr, False, market.day_ticker),
    Operation("order.place", "POST /api/v3/order", 1, True, trading.place, orders=True),
    Operation("order.test", "POST /api/v3/order/test", weights.order_test, True, trading.check_order),
    Operation("order.cancel", "DELETE /api/v3/order", 1, True, trading.cancel),
    Operation("order.cancelReplace", "POST /api/v3/order/cancelReplace", 1, True, trading.cancel_replace, orders=True),
    Operation("order.amend.keepPriority", "PUT /api/v3/order/amend/keepPriority", 4, True, trading.amend),
    Operation("order.status", "GET /api/v3/order", 4, True, trading.order_status),
    Operation("openOrders.status", "GET /api/v3/openOrders", weights.open_orders, True, trading.open_orders),
    Operation("openOrders.cancelAll", "DELETE /api/v3/openOrders", 1, True, trading.cancel_all),
    Operation("allOrders", "GET /api/v3/allOrders", 20, True, trading.all_orders),
    Operation("myTrades", "GET /api/v3/myTrades", weights.my_trades, True, trading.my_trades),
    Operation("account.status", "GET /api/v3/account", 20, True, trading.account_status),
    Operation("sapi.coins", "GET /sapi/v1/capital/config/getall", 10, True, market.coins, in_ws=False),
    Operation("sapi.marginPairs", "GET /sapi/v1/margin/allPairs", 1, True, market.no_margin_pairs, in_ws=False),
    Operation(
        "sapi.isolatedPairs", "GET /sapi/v1/margin/isolated/allPairs", 10, True, market.no_margin_pairs, in_ws=False
    ),
    Operation("sapi.tradeFee", "GET /sapi/v1/asset/tradeFee", 1, True, market.trade_fees, in_ws=False),
)
BY_HTTP = {op.http: op for op in OPERATIONS}
BY_NAME = {op.name: op for op in OPERATIONS if op.in_ws}
PATHS = {op.http.partition(" ")[2] for op in OPERATIONS}


def sign(secret: str, payload: bytes) -> str:
    """HMAC SHA256 in hexadecimal."""
    return hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()


def find_account(sim: Simulator, key: str | None) -> ApiAccount:
    """The account of an API key. Raises ApiError(-2014, -2015)."""
    if not key:
        raise ApiError(401, -2014, "API-key format invalid.")
    account = sim.keys.get(key)
    if account is None:
        raise ApiError(401, -2015, "Invalid API-key, IP, or permissions for action.")
    return account


def check_time(sim: Simulator, params: Params) -> None:
    """timestamp and recvWindow. Raises ApiError(-1102, -1021, -1131)."""
    params.required("timestamp")
    stamp, window = params.integer("timestamp"), params.integer("recvWindow")
    window = 5_000 if window is None else window
    if window > _MAX_WINDOW_MS:
        raise ApiError(400, -1131, "recvWindow must be less than 60000.")
    now_ms = sim.clock_ns() // 1_000_000
    if stamp is None or stamp > now_ms + _AHEAD_MS:
        raise ApiError(400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - stamp > window:
        raise ApiError(400, -1021, "Timestamp for this request is outside of the recvWindow.")


def check_signature(account: ApiAccount, payload: bytes, given: str) -> None:
    """Raises ApiError(-1022)."""
    if not hmac.compare_digest(sign(account.secret, payload), given.lower()):
        raise ApiError(400, -1022, "Signature for this request is not valid.")


def authenticate(sim: Simulator, key: str | None, params: Params, payload: bytes) -> ApiAccount:
    """Whose signed request this is. Raises ApiError: of several faults the missing signature is told first, as Binance does it
    (a request without anything gets -1102 about that and not -2014); then the key, the time, the signature."""
    signature = params.required("signature")
    account = find_account(sim, key)
    check_time(sim, params)
    check_signature(account, payload, signature)
    return account


def charge(sim: Simulator, weight: Weight, values: Mapping[str, str]) -> None:
    """Count the request, before anything else of it matters: a ban is told whoever asks, and what fails counts too. Raises
    ApiError(429 or 418) with Retry-After."""
    _refuse(sim.limiter.charge(weigh(weight, values), sim.clock_ns()))


def charge_order(sim: Simulator, account: ApiAccount) -> None:
    """Count a new order of this account, once it has proven that it is its own. Raises ApiError(429) with Retry-After."""
    _refuse(sim.limiter.charge_order(account.name, sim.clock_ns()))


def _refuse(limited: Limited | None) -> None:
    if limited is not None:
        raise ApiError(limited.status, limited.code, limited.msg, headers={"Retry-After": str(limited.retry_after_s)})


def as_text(value: Any) -> str:
    """A JSON value of a request as the text that was signed for it."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    return "" if value is None else str(value)


def ws_payload(values: Mapping[str, str]) -> bytes:
    """What a WebSocket API request signs: its parameters sorted by name, without the signature."""
    return "&".join(f"{name}={values[name]}" for name in sorted(values) if name != "signature").encode()
