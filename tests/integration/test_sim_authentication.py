"""Of several things wrong with a signed request, which one the simulator tells; the same by REST and over the WebSocket API."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from fixgw.sim.binance import SimServer
from fixgw.sim.config import DEMO_BALANCES, ApiAccount, SimConfig, parse_market
from fixgw.sim.limits import LimitConfig

Wrong = dict[str, str | None]
KEY, SECRET = "key", "secret"
ORDER = {
    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": "50000",
}  # fmt: skip
BAD_ORDER: Wrong = {"side": "HOLD"}
OLD: Wrong = {"timestamp": "1"}
NO_TIME: Wrong = {"timestamp": None}
UNSIGNED: Wrong = {"signature": None}
FORGED: Wrong = {"signature": "00"}
STRANGER: Wrong = {"apiKey": "somebody"}
KEYLESS: Wrong = {"apiKey": None}

WINS: list[tuple[Wrong, int | None, int | None]] = [
    # what is wrong, code by REST, code over the WebSocket API
    ({}, None, None),
    (KEYLESS | NO_TIME | UNSIGNED | BAD_ORDER, -1102, -1102),
    (KEYLESS | OLD | FORGED | BAD_ORDER, -2014, -1102),
    (STRANGER | OLD | UNSIGNED | BAD_ORDER, -1102, -1102),
    (STRANGER | OLD | FORGED | BAD_ORDER, -2015, -2015),
    (NO_TIME | FORGED | BAD_ORDER, -1102, -1102),
    (OLD | FORGED | BAD_ORDER, -1021, -1021),
    (FORGED | BAD_ORDER, -1022, -1022),
    (BAD_ORDER, -1117, -1117),
]


def request(wrong: Wrong, *, key_signed: bool) -> dict[str, str]:
    """Parameters, apiKey among them; None leaves one out. `key_signed`: the signature covers the key (WebSocket API)."""
    given = ORDER | {"apiKey": KEY, "timestamp": str(int(time.time() * 1000))} | wrong
    values = {name: value for name, value in given.items() if value is not None and name != "signature"}
    covered = {name: value for name, value in sorted(values.items()) if key_signed or name != "apiKey"}
    signature = wrong.get("signature", hmac.new(SECRET.encode(), urlencode(covered).encode(), hashlib.sha256).hexdigest())
    return values | ({"signature": signature} if signature is not None else {})


class Asker:
    """Places one order at a time by REST and over one connection of the WebSocket API; says the code of the error, if any."""

    def __init__(self, http: aiohttp.ClientSession, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._http = http
        self._ws = ws

    async def rest(self, wrong: Wrong) -> int | None:
        values = request(wrong, key_signed=False)
        key, signature = values.pop("apiKey", None), values.pop("signature", None)
        query = urlencode(sorted(values.items())) + (f"&signature={signature}" if signature is not None else "")
        headers = {"X-MBX-APIKEY": key} if key is not None else {}
        async with self._http.post(f"/api/v3/order?{query}", headers=headers) as answer:
            return (await answer.json()).get("code")  # type: ignore[no-any-return]

    async def ws(self, wrong: Wrong) -> int | None:
        await self._ws.send_json({"id": 1, "method": "order.place", "params": request(wrong, key_signed=True)})
        return (await self._ws.receive_json()).get("error", {}).get("code")  # type: ignore[no-any-return]


def go(directory: Path, scenario: Callable[[SimServer, Asker], Any], limits: LimitConfig | None = None) -> None:
    async def main() -> None:
        accounts = (ApiAccount("demo", KEY, SECRET, DEMO_BALANCES),)
        config = SimConfig(directory, accounts, (parse_market("BTC/USDT"),), limits=limits or LimitConfig())
        async with (
            asyncio.timeout(15), SimServer(config) as server,
            aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as http, http.ws_connect("/ws-api/v3") as ws,
        ):  # fmt: skip
            await scenario(server, Asker(http, ws))

    asyncio.run(main())


def test_which_fault_is_told(tmp_path: Path) -> None:
    async def scenario(server: SimServer, ask: Asker) -> None:
        for wrong, rest, ws in WINS:
            assert (await ask.rest(wrong), await ask.ws(wrong)) == (rest, ws), wrong

    go(tmp_path, scenario)


@pytest.mark.parametrize("way", [Asker.rest, Asker.ws])
def test_a_limit_is_told_before_all_else_and_what_fails_counts(tmp_path: Path, way: Any) -> None:
    async def scenario(server: SimServer, ask: Asker) -> None:
        now_ns = time.time_ns()
        server.sim.clock_ns = lambda: now_ns  # weight is counted by the minute
        told = [await way(ask, STRANGER | OLD | FORGED) for _ in range(8)]
        assert told == [-2015] * 3 + [-1003] * 5  # the connection weighs 2, each order 1

    go(tmp_path, scenario, LimitConfig(weight_1m=5, strikes=2))


@pytest.mark.parametrize("way", [Asker.rest, Asker.ws])
def test_orders_of_somebody_without_the_secret_are_not_counted(tmp_path: Path, way: Any) -> None:
    async def scenario(server: SimServer, ask: Asker) -> None:
        told = [await way(ask, wrong) for wrong in (FORGED, FORGED, {}, BAD_ORDER, FORGED)]
        assert told == [-1022, -1022, None, -1015, -1022]

    go(tmp_path, scenario, LimitConfig(orders_10s=1, orders_1d=1))
