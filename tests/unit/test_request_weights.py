"""What requests weigh: in the simulator by their parameters, in the venue host never less than there."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from fixgw.sim.api import BY_HTTP, BY_NAME
from fixgw.sim.limits import RateLimiter as VenueLimits
from fixgw.sim.limits import parse_limits
from fixgw.sim.weights import CONNECT, SESSION, weigh
from fixgw.venues import binance_weights
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.limiter import Priority, RateLimiter
from fixgw.venues.settings import parse_venue

SYM = {"symbol": "BTCUSDT"}
MANY = '["A' + '","A'.join(str(n) for n in range(21)) + '"]'

# Binance spot's documentation, row by row: name in the WebSocket API, parameters, weight
TABLE: list[tuple[str, dict[str, str], int]] = [
    ("ping", {}, 1), ("time", {}, 1), ("exchangeInfo", {}, 20), ("exchangeInfo", SYM, 20),
    ("depth", SYM, 5), ("depth", SYM | {"limit": "1"}, 5), ("depth", SYM | {"limit": "100"}, 5),
    ("depth", SYM | {"limit": "101"}, 25), ("depth", SYM | {"limit": "500"}, 25), ("depth", SYM | {"limit": "501"}, 50),
    ("depth", SYM | {"limit": "1000"}, 50), ("depth", SYM | {"limit": "1001"}, 250), ("depth", SYM | {"limit": "5000"}, 250),
    ("depth", SYM | {"limit": "99999"}, 250), ("depth", SYM | {"limit": "x"}, 5),
    ("trades.recent", SYM, 25), ("trades.aggregate", SYM, 4),
    ("ticker.24hr", SYM, 2), ("ticker.24hr", {"symbols": '["BTCUSDT","ETHUSDT"]'}, 2), ("ticker.24hr", {"symbols": MANY}, 40),
    ("ticker.24hr", {}, 80), ("ticker.24hr", {"symbol": ""}, 80), ("ticker.24hr", {"symbols": "nonsense"}, 2),
    ("ticker.price", SYM, 2), ("ticker.price", {}, 4), ("ticker.price", {"symbols": '["BTCUSDT"]'}, 4),
    ("ticker.book", SYM, 2), ("ticker.book", {}, 4),
    ("order.place", SYM, 1), ("order.test", SYM, 1), ("order.test", SYM | {"computeCommissionRates": "true"}, 20),
    ("order.cancel", SYM, 1), ("order.cancelReplace", SYM, 1), ("order.amend.keepPriority", SYM, 4),
    ("order.status", SYM | {"orderId": "1"}, 4), ("openOrders.status", SYM, 6), ("openOrders.status", {}, 80),
    ("openOrders.status", {"symbol": ""}, 80), ("openOrders.cancelAll", SYM, 1), ("allOrders", SYM, 20),
    ("myTrades", SYM, 20), ("myTrades", SYM | {"orderId": "1"}, 5), ("myTrades", SYM | {"fromId": "1"}, 20),
    ("account.status", {}, 20),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values", "weight"), TABLE)
def test_the_simulator_charges_by_parameter(name: str, values: dict[str, str], weight: int) -> None:
    assert weigh(BY_NAME[name].weight, values) == weight


def test_every_operation_of_the_exchange_has_a_row() -> None:
    assert {name for name, _, _ in TABLE} == set(BY_NAME)


def _charged(name: str, values: dict[str, str]) -> float:
    """What the connector's hooked exchange asks its limiter for: through ccxt's own tables."""

    async def run() -> float:
        raw = {"exchange": "binance", "symbols": ["BTC/USDT"]}
        venue = CcxtVenue(parse_venue(raw, "t", "b"), None)  # type: ignore[arg-type]
        asked: list[float] = []

        async def acquire(weight: float, priority: Priority) -> None:
            asked.append(weight)
            raise InterruptedError

        venue.hooks.limiter.acquire = acquire  # type: ignore[method-assign]
        operation = BY_NAME[name]
        method, _, path = operation.http.partition(" ")
        path = path.removeprefix("/api/v3/")
        api = "private" if operation.signed else "public"
        exchange: Any = venue._exchange
        # the costs as the implicit methods hand them over
        config = exchange.api[api].get(method.lower(), {}).get(path, {})
        params: dict[str, Any] = dict(values)
        if values.get("limit", "").isdigit():
            params["limit"] = int(values["limit"])
        with pytest.raises(InterruptedError):
            await exchange.fetch2(path, [api], method, params, config)
        await exchange.close()
        return asked[0]

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "values", "weight"),
    [row for row in TABLE if "" not in row[1].values() and row[1].get("limit") != "x"],
)
def test_the_host_charges_itself_at_least_as_much(name: str, values: dict[str, str], weight: int) -> None:
    assert _charged(name, values) >= weight


def test_the_trades_of_one_order_are_not_overcharged() -> None:
    assert _charged("myTrades", {"symbol": "BTCUSDT", "orderId": "1"}) == 5
    assert binance_weights.SUBSCRIBE >= CONNECT + SESSION
    assert weigh(BY_NAME["order.place"].weight, {}) <= binance_weights.ORDER
    assert weigh(BY_NAME["order.amend.keepPriority"].weight, {}) <= binance_weights.AMEND
    assert weigh(BY_HTTP["GET /api/v3/openOrders"].weight, {}) == binance_weights.OPEN_ORDERS_ALL
    assert weigh(BY_HTTP["GET /api/v3/openOrders"].weight, SYM) == binance_weights.OPEN_ORDERS_ONE


@pytest.mark.parametrize("phase_s", [-1.4, -0.7, 0.0, 29.0])
def test_a_host_that_always_wants_more_is_never_refused(phase_s: float) -> None:
    """Saturated for five minutes; the first requests are under way for longer, so that they arrive in the venue's next minute."""
    rng = random.Random(1)
    start = now = 1020 + phase_s
    limiter = RateLimiter(6000, 0, clock=lambda: now)
    venue = VenueLimits(parse_limits("binance"))
    arrivals: list[tuple[float, int]] = []
    while now < start + 300:
        weight = rng.choice((1, 4, 5, 6, 20, 80))
        while limiter.take(weight, Priority.REST):
            arrivals.append((now + (1.5 if now < start + 2 else 0.05), weight))
        now += 0.05
    for at, weight in sorted(arrivals):
        assert venue.charge(weight, int(at * 1e9)) is None
    assert sum(weight for _, weight in arrivals) > 22_000  # a bucket of 1500, refilled within the limit
