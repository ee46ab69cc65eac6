"""The simulator in this process, spoken to directly: sessions, stream forms, hostile input."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from fixgw.sim.binance import SimServer
from fixgw.sim.config import DEMO_BALANCES, ApiAccount, ConfigError, SimConfig, parse_market
from fixgw.sim.core import Simulator
from fixgw.sim.limits import parse_limits
from fixgw.sim.model import OrderRequest
from fixgw.sim.replay import Replay, frames

KEY, SECRET = "key", "secret"
RECORDING = Path(__file__).resolve().parents[2] / "../shared/data/binance_spot_btcusdt_20240808.gz"


@asynccontextmanager
async def running(directory: Path, **options: Any) -> AsyncIterator[tuple[SimServer, aiohttp.ClientSession]]:
    accounts = (ApiAccount("demo", KEY, SECRET, DEMO_BALANCES),)
    markets = (parse_market("BTC/USDT"), parse_market("ETH/USDT"))
    async with (
        SimServer(SimConfig(directory, accounts, markets, **options)) as server,
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as http,
    ):
        yield server, http


def sign(payload: str) -> str:
    return hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()


def signed(params: dict[str, Any]) -> dict[str, Any]:
    params = {"apiKey": KEY, "timestamp": int(time.time() * 1000), **params}
    text = "&".join(f"{k}={str(v).lower() if isinstance(v, bool) else v}" for k, v in sorted(params.items()))
    return params | {"signature": sign(text)}


def go(directory: Path, scenario: Callable[[SimServer, aiohttp.ClientSession], Any], **options: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(15), running(directory, **options) as (server, http):
            await scenario(server, http)

    asyncio.run(main())


def test_session_logon_and_two_subscriptions(tmp_path: Path) -> None:
    async def scenario(server: SimServer, http: aiohttp.ClientSession) -> None:
        async with http.ws_connect("/ws-api/v3") as ws:

            async def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
                await ws.send_json({"id": method, "method": method, "params": params})
                while True:
                    answer = await ws.receive_json()
                    if answer.get("id") == method:
                        return dict(answer)
                    events.append(answer)

            events: list[dict[str, Any]] = []
            order = {
                "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1",
                "price": "50000",
            }  # fmt: skip
            now = {"timestamp": int(time.time() * 1000)}
            assert (await ask("order.place", order | now))["error"]["code"] == -1102
            assert (await ask("userDataStream.subscribe", {}))["error"]["code"] == -1193
            assert (await ask("session.logon", signed({})))["result"]["apiKey"] == KEY
            assert (await ask("userDataStream.subscribe", {}))["result"] == {"subscriptionId": 0}
            assert (await ask("userDataStream.subscribe.signature", signed({})))["result"] == {"subscriptionId": 1}
            placed = await ask("order.place", order | now)
            assert placed["status"] == 200 and placed["rateLimits"][0]["count"] > 0
            reports = [(e["subscriptionId"], e["event"]["x"]) for e in events if e["event"]["e"] == "executionReport"]
            assert reports == [(0, "NEW"), (1, "NEW")]
            assert (await ask("userDataStream.unsubscribe", {"subscriptionId": 1}))["status"] == 200
            assert events[-1] == {"subscriptionId": 1, "event": {**events[-1]["event"], "e": "eventStreamTerminated"}}
            assert (await ask("no.such", {}))["error"]["code"] == -1000
            wrong = signed(order) | {"quantity": "0.2"}
            assert (await ask("order.place", wrong))["error"]["code"] == -1022
            quiet = await ask("openOrders.status", signed({"returnRateLimits": False, "recvWindow": 5000}))
            assert "rateLimits" not in quiet and len(quiet["result"]) == 1
            await ask("session.logout", {})
            assert (await ask("order.place", order | now))["error"]["code"] == -1102
        assert server.sim.user_sinks["demo"] == [] or await _emptied(server)

    go(tmp_path, scenario)


async def _emptied(server: SimServer) -> bool:
    for _ in range(100):
        if not server.sim.user_sinks["demo"]:
            return True
        await asyncio.sleep(0.01)
    return False


def test_weight_by_parameter_and_of_the_handshake(tmp_path: Path) -> None:
    """REST and the WebSocket API count into one weight; a connection that there is no weight for is not made."""

    async def scenario(server: SimServer, http: aiohttp.ClientSession) -> None:
        async def used(path: str) -> int:
            async with http.get(path) as reply:
                assert reply.status == 200
                return int(reply.headers["X-MBX-USED-WEIGHT-1M"])

        server.sim.clock_ns = lambda: 1_700_000_040_000_000_000
        before = await used("/api/v3/time")
        assert await used("/api/v3/depth?symbol=BTCUSDT&limit=1000") == before + 50
        assert await used("/api/v3/ticker/24hr") == before + 130
        async with http.ws_connect("/ws-api/v3") as ws:
            await ws.send_json({"id": 1, "method": "depth", "params": {"symbol": "BTCUSDT", "limit": 5000}})
            answer = await ws.receive_json()
            assert answer["status"] == 200 and answer["rateLimits"][0]["count"] == before + 130 + 2 + 250
        limit = server.sim.limiter.config.weight_1m
        assert await used("/api/v3/time") == before + 383
        for _ in range((limit - before - 383) // 80):
            await used("/api/v3/ticker/24hr")
        async with http.get("/api/v3/depth?symbol=BTCUSDT&limit=5000") as reply:
            assert reply.status == 429 and int(reply.headers["Retry-After"]) > 0
        with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
            await http.ws_connect("/ws-api/v3")

    go(tmp_path, scenario, limits=parse_limits("weight=1000"))


def test_stream_forms(tmp_path: Path) -> None:
    async def scenario(server: SimServer, http: aiohttp.ClientSession) -> None:
        async with http.ws_connect("/stream?streams=btcusdt@trade/btcusdt@bookTicker") as ws:
            first = await ws.receive_json()
            assert first["stream"] == "btcusdt@bookTicker" and Decimal(first["data"]["b"]) == 59999
            await http.post("/sim/order", json={"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"})
            trade = await ws.receive_json()
            assert trade["stream"] == "btcusdt@trade" and trade["data"]["p"] == "60001.00000000"
            assert trade["data"]["m"] is False
            await ws.send_json({"id": 1, "method": "LIST_SUBSCRIPTIONS"})
            answer = await ws.receive_json()
            if "stream" in answer:  # the best prices after that trade
                answer = await ws.receive_json()
            assert answer["result"] == ["btcusdt@trade", "btcusdt@bookTicker"]
            for bad in ("no json", "[]", '{"id": 2, "method": "SUBSCRIBE", "params": [5]}', '{"id":3}'):
                await ws.send_str(bad)
                assert "error" in await ws.receive_json()
        async with http.ws_connect("/ws/btcusdt@depth5") as ws:
            await http.post("/sim/price", json={"symbol": "BTCUSDT", "mid": "61000"})
            partial = await ws.receive_json()
            assert partial["bids"][0][0] == "60999.00000000" and len(partial["asks"]) == 5

    go(tmp_path, scenario)


def test_snapshot_and_diffs_agree(tmp_path: Path) -> None:
    async def scenario(server: SimServer, http: aiohttp.ClientSession) -> None:
        async with http.ws_connect("/ws") as ws:
            await ws.send_json({"id": 1, "method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"]})
            assert await ws.receive_json() == {"result": None, "id": 1}
            start = await (await http.get("/api/v3/depth", params={"symbol": "BTCUSDT", "limit": 1000})).json()
            book = {"b": dict(start["bids"]), "a": dict(start["asks"])}
            last = start["lastUpdateId"]
            for n in range(6):
                side = ("BUY", "SELL")[n % 2]
                price = str(59_999.5 + n * 0.5)
                await http.post(
                    "/sim/order", json={"symbol": "BTCUSDT", "side": side, "quantity": "3.3", "price": price}
                )
                diff = await ws.receive_json()
                if diff["u"] <= last:
                    continue
                assert diff["U"] <= last + 1 <= diff["u"]
                last = diff["u"]
                for side in "ba":
                    book[side] |= dict(diff[side])
            end = await (await http.get("/api/v3/depth", params={"symbol": "BTCUSDT", "limit": 1000})).json()
            assert end["lastUpdateId"] == last
            for side, name in (("b", "bids"), ("a", "asks")):
                assert {p: q for p, q in book[side].items() if Decimal(q)} == dict(end[name])

    go(tmp_path, scenario)


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({}, 400, -1102),
        ({"symbol": "BTCUSDT", "side": "HOLD", "type": "LIMIT"}, 400, -1117),
        ({"symbol": "BTCUSDT", "side": "BUY", "type": "STOP_LOSS"}, 400, -1116),
        ({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "1", "price": "5"}, 400, -1102),
        ({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTD"}, 400, -1115),
        ({"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1", "price": "5"}, 400, -1106),
        ({"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1", "quoteOrderQty": "5"}, 400, -1128),
        ({"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "-1"}, 400, -1100),
        ({"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0"}, 400, -1013),
        ({"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1", "icebergQty": "1"}, 400, -1106),
        ({"symbol": "\x00\x01", "side": "BUY"}, 400, -1121),
        ({"recvWindow": "70000"}, 400, -1131),
        ({"timestamp": "soon"}, 400, -1100),
        ({"timestamp": "99999999999999"}, 400, -1021),
    ],
)
def test_bad_order_parameters(tmp_path: Path, params: dict[str, str], status: int, code: int) -> None:
    async def scenario(server: SimServer, http: aiohttp.ClientSession) -> None:
        body = urlencode({"timestamp": int(time.time() * 1000), **params})
        answer = await http.post(
            "/api/v3/order", data=f"{body}&signature={sign(body)}",
            headers={"X-MBX-APIKEY": KEY, "Content-Type": "application/x-www-form-urlencoded"},
        )  # fmt: skip
        assert (answer.status, (await answer.json())["code"]) == (status, code)
        assert server.sim.counters["orders"] == 0

    go(tmp_path, scenario)


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({}, 400, -1102),
        ({"newQty": "0.1"}, 400, -1102),  # of which order
        ({"newQty": "0", "orderId": "1"}, 400, -1013),
        ({"newQty": "-1", "orderId": "1"}, 400, -1100),
        ({"newQty": "0.1", "orderId": "x"}, 400, -1100),
        ({"newQty": "0.1", "orderId": "1", "newClientOrderId": "a b"}, 400, -1100),
        ({"newQty": "0.1", "orderId": "1", "symbol": "NOPE"}, 400, -1121),
        ({"newQty": "0.1", "orderId": "7"}, 400, -2038),
        ({"newQty": "0.1", "orderId": "1", "origClientOrderId": "other"}, 400, -2039),
        ({"newQty": "0.1", "orderId": "1", "signature": "00"}, 400, -1022),
        ({"newQty": "0.1", "origClientOrderId": "mine"}, 200, 0),
    ],
)
def test_amends_by_rest(tmp_path: Path, params: dict[str, str], status: int, code: int) -> None:
    async def scenario(server: SimServer, http: aiohttp.ClientSession) -> None:
        order = OrderRequest("demo", "BTCUSDT", "BUY", "LIMIT", "mine", Decimal("0.2"), Decimal(50_000))
        server.sim.commit(server.sim.engine.place(order, time.time_ns()), "BTCUSDT", time.time_ns())
        rest = {k: v for k, v in params.items() if k != "signature"}
        body = urlencode({"symbol": "BTCUSDT", "timestamp": int(time.time() * 1000), **rest})
        answer = await http.put(
            "/api/v3/order/amend/keepPriority", data=f"{body}&signature={params.get('signature') or sign(body)}",
            headers={"X-MBX-APIKEY": KEY, "Content-Type": "application/x-www-form-urlencoded"},
        )  # fmt: skip
        told = await answer.json()
        assert (answer.status, told.get("code", 0)) == (status, code)
        assert server.sim.counters["amended"] == (1 if status == 200 else 0)
        if status != 200:
            assert server.sim.engine.orders[1].qty == Decimal("0.2")
            return
        amended = told["amendedOrder"]
        assert (amended["origClientOrderId"], amended["qty"], amended["status"]) == ("mine", "0.10000000", "NEW")
        assert amended["clientOrderId"] not in ("", "mine")  # without one of ours, a name of the venue's
        assert server.sim.engine.accounts["demo"].balance("USDT").locked == 5000

    go(tmp_path, scenario)


def test_hostile_requests_get_a_clear_answer(tmp_path: Path) -> None:
    async def scenario(server: SimServer, http: aiohttp.ClientSession) -> None:
        for method, path, status in (
            ("GET", "/nothing", 404), ("PUT", "/api/v3/order", 405), ("GET", "/api/v3/depth", 400),
            ("GET", "/api/v3/depth?symbol=BTCUSDT&limit=-1", 400), ("GET", "/api/v3/ticker/price?symbols=[1", 400),
            ("GET", "/api/v3/exchangeInfo?symbols=[%22NOPE%22]", 400),
        ):  # fmt: skip
            answer = await http.request(method, path)
            assert answer.status == status, path
            assert (await answer.json())["code"] < 0
        odd = await http.post("/api/v3/order", data=b"\xff\xfe=1", headers={"X-MBX-APIKEY": KEY})
        assert odd.status == 400
        async with http.ws_connect("/ws-api/v3") as ws:
            for frame in ("", "{", "[]", "null", '{"method": 5}', '{"id": 1, "method": "order.place", "params": [1]}'):
                await ws.send_str(frame)
                assert (await ws.receive_json())["status"] in (400, 401), frame
            deep = '{"method":' * 500 + "1" + "}" * 500
            await ws.send_str(deep)
            assert (await ws.receive_json())["status"] == 400
            await ws.send_str(json.dumps({"id": 9, "method": "ping"}))
            assert (await ws.receive_json())["result"] == {}

    go(tmp_path, scenario)


@pytest.mark.skipif(not RECORDING.exists(), reason=f"no recording at {RECORDING}")
def test_a_whole_recording_ends_at_its_last_best_prices(tmp_path: Path) -> None:
    """Every frame through the engine, with resting orders of a client in it: book, fills and money come out right."""
    config = SimConfig(tmp_path, (ApiAccount("demo", KEY, SECRET, DEMO_BALANCES),), (parse_market("BTC/USDT"),))
    sim = Simulator(config, clock_ns=lambda: 1_700_000_000_000_000_000)
    sim.open()
    replay = Replay(sim, RECORDING, speed=1.0, loop=False, seed=1)
    sim.begin(replay)
    low, last = Decimal(10**9), {}
    order = OrderRequest("demo", "BTCUSDT", "BUY", "LIMIT", "rest", Decimal("0.01"), Decimal("61650"))
    sim.commit(sim.engine.place(order, 1), "BTCUSDT", 1)
    for _, message in frames(RECORDING):
        data = message.get("data", message)
        if data.get("e") == "trade":
            low = min(low, Decimal(data["p"]))
        elif "A" in data:
            last = data
        sim.commit(replay.play(message, 2), "BTCUSDT", 2)
    _, bids, asks = sim.engine.books["BTCUSDT"].snapshot(1)
    assert bids[0][0] == Decimal(last["b"]) and asks[0][0] == Decimal(last["a"])
    rested = sim.engine.orders[1]
    assert (rested.status == "FILLED") == (low < rested.price)
    assert all(fill.is_maker and fill.price == rested.price for fill in rested.fills)
    btc = sim.engine.accounts["demo"].balance("BTC")
    assert btc.free == DEMO_BALANCES["BTC"] + rested.cum_qty - sim.engine.fees.get("BTC", Decimal(0))
    sim.ledger.close()


FORM = "expected a receive time in ns, a space and a Binance frame"


def test_a_recording_that_is_not_one(tmp_path: Path) -> None:
    bad = tmp_path / "bad.txt"
    for text, why in (
        ("", "no frame"), ("1 {}\n", "no frame"), ('5 {"data":{"s":"XRPUSDT"}}\n', "XRPUSDT"),
        ('5 {"data":{"s":"BTCUSDT"}}\n', "no depth snapshot"), ("x {}\n", f"line 1: b'x .*{FORM}"),
        ('{"e":"trade"}\n', FORM), ("time,price\n1,2\n", f"line 1.*{FORM}"), ("5 []\n", FORM), ("5\n", FORM), ("\n", FORM),
        ("5 {}\n1700000000.5 {}\n", f"line 2: b'1700000000.5 .*{FORM}"), ('5 {"data":[]}\n', FORM),
        ("5 {}\n" + "y" * 5000, r"line 2: b'y{60}'\.\.\., "),
    ):  # fmt: skip
        bad.write_text(text)

        async def nothing(server: SimServer, http: aiohttp.ClientSession) -> None:
            raise AssertionError("it started")

        with pytest.raises(ConfigError, match=why) as caught:
            go(tmp_path / "s", nothing, liquidity="replay", replay=bad)
        assert str(bad) in str(caught.value)
