"""Faults, kill -9 and restart, rate limits and replay, seen by the real ccxt.pro client and judged by the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import pytest
from click.testing import CliRunner
from sim_client import connected, within_a_window

from fixgw.sim.cli import sim as sim_command
from fixgw.sim.client import SimError
from fixgw.sim.launch import RunningSim, launch

SYMBOL = "BTC/USDT"
RECORDING = Path(__file__).resolve().parents[2] / "../shared/data/binance_spot_btcusdt_20240808.gz"


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSim]:
    with launch(tmp_path_factory.mktemp("sim")) as running:
        yield running


@pytest.fixture(autouse=True)
def clear(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "sim" in request.fixturenames:
        request.getfixturevalue("sim").client.clear_faults()


# of ccxt: what hangs takes so long
TIMEOUT_MS = 1500


def run(sim: RunningSim, scenario: Callable[[Any], Any]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), connected(sim, timeout=TIMEOUT_MS) as exchange:
            await exchange.load_markets()
            await scenario(exchange)

    asyncio.run(main())


def accepted(sim: RunningSim, cl_ord_id: str) -> int:
    """How often the judge saw an order with this id accepted."""
    return sum(1 for r in sim.client.ledger() if r["type"] == "accepted" and r["cl_ord_id"] == cl_ord_id)


# kind, params, live afterwards, what ccxt makes of it over REST (None: an order without id), over WS (None: no answer)
REQUEST_FAULTS = [
    ("drop_before", {}, 0, ccxt.ExchangeNotAvailable, ccxt.NetworkError),
    ("drop_after", {}, 1, ccxt.ExchangeNotAvailable, ccxt.NetworkError),
    ("hang", {"accept": True}, 1, ccxt.RequestTimeout, None),
    ("hang", {"accept": False}, 0, ccxt.RequestTimeout, None),
    ("http_5xx", {"status": 502}, 1, ccxt.ExchangeNotAvailable, ccxt.OperationFailed),
    ("http_5xx", {"status": 503, "accept": False}, 0, ccxt.ExchangeNotAvailable, ccxt.OperationFailed),
    ("code_1007", {}, 1, ccxt.RequestTimeout, ccxt.RequestTimeout),
    ("code_1007", {"accept": False}, 0, ccxt.RequestTimeout, ccxt.RequestTimeout),
    ("truncated", {}, 1, ccxt.ExchangeError, None),
    ("truncated", {"cut": False}, 1, None, None),
    ("empty_200", {}, 1, None, "no id"),
    ("html_200", {}, 1, None, None),
    ("reply_429", {"retry_after": 3}, 0, ccxt.DDoSProtection, ccxt.RateLimitExceeded),
    ("reply_418", {}, 0, ccxt.DDoSProtection, ccxt.RateLimitExceeded),
]


@pytest.mark.parametrize(("kind", "params", "live", "rest", "ws"), REQUEST_FAULTS)
def test_request_faults(sim: RunningSim, kind: str, params: dict[str, Any], live: int, rest: Any, ws: Any) -> None:
    async def scenario(ex: Any) -> None:
        name = f"{kind}-{params.get('accept', '')}-{params.get('status', '')}"
        sim.client.fault(kind, count=1, **params)
        if rest is None:
            assert (await ex.create_order(SYMBOL, "limit", "buy", "0.1", "50000", {"newClientOrderId": name}))["id"] is None
        else:
            with pytest.raises(rest):
                await ex.create_order(SYMBOL, "limit", "buy", "0.1", "50000", {"newClientOrderId": name})
        assert accepted(sim, name) == live
        if kind == "reply_429":
            assert ex.last_response_headers["Retry-After"] == "3"

        name = "ws-" + name
        sim.client.fault(kind, count=1, **params)
        place = ex.create_order_ws(SYMBOL, "limit", "buy", "0.1", "50000", {"newClientOrderId": name})
        if ws == "no id":
            assert (await place)["id"] is None
        else:
            with pytest.raises(ws or TimeoutError):
                await asyncio.wait_for(place, TIMEOUT_MS / 1000 if ws is None else 20)
        assert sim.client.faults() == []
        assert accepted(sim, name) == live
        order = await ex.create_order(SYMBOL, "limit", "buy", "0.1", "50000")  # and all is well again
        assert order["status"] == "open"

    run(sim, scenario)


def test_a_fault_on_cancel_by_symbol_and_path(sim: RunningSim) -> None:
    async def scenario(ex: Any) -> None:
        order = await ex.create_order(SYMBOL, "limit", "buy", "0.1", "50000")
        sim.client.fault("drop_after", match={"op": "order.cancel", "symbol": "ETH*"})
        sim.client.fault("http_5xx", match={"method": "DELETE", "path": "/api/v3/order", "account": "demo"})
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await ex.cancel_order(order["id"], SYMBOL)
        assert (await ex.fetch_order(order["id"], SYMBOL))["status"] == "canceled"
        assert [fault["kind"] for fault in sim.client.faults()] == ["drop_after"]

    run(sim, scenario)


def test_a_late_reply(sim: RunningSim) -> None:
    async def scenario(ex: Any) -> None:
        sim.client.fault("delay", delay=0.3)
        begun = time.monotonic()
        await ex.create_order(SYMBOL, "limit", "buy", "0.1", "50000")
        assert time.monotonic() - begun >= 0.3

    run(sim, scenario)


def tap(ex: Any) -> list[dict[str, Any]]:
    """All execution reports that reach the socket."""
    seen: list[dict[str, Any]] = []
    handle = ex.handle_message

    def wrapped(client: Any, message: Any) -> Any:
        event = message.get("event") if isinstance(message, dict) else None
        if event and event["e"] in ("executionReport", "eventStreamTerminated"):
            seen.append(event)
        return handle(client, message)

    ex.handle_message = wrapped
    return seen


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_user_events_missing_doubled_and_late(sim: RunningSim) -> None:
    async def scenario(ex: Any) -> None:
        seen = tap(ex)
        watcher = asyncio.ensure_future(ex.watch_orders())
        await until(lambda: ex.orders is None and "spot" in ex.balance)  # subscribed
        order = await ex.create_order(SYMBOL, "limit", "buy", "0.5", "50000")
        await until(lambda: len(seen) == 1)
        number = int(order["id"])
        only_trades = {"event": "executionReport", "execution": "TRADE"}
        sim.client.fault("ws_missing", match=only_trades)
        sim.client.fill(number, "0.1")
        sim.client.fault("ws_duplicate", match=only_trades)
        sim.client.fill(number, "0.1")
        await until(lambda: len(seen) == 3)
        assert seen[1] == seen[2] and Decimal(seen[1]["z"]) == Decimal("0.2")
        sim.client.fault("ws_delay", match=only_trades, delay=0.2)
        begun = time.monotonic()
        sim.client.fill(number, "0.1")
        await until(lambda: len(seen) == 4)
        assert time.monotonic() - begun >= 0.2
        assert len(await ex.fetch_my_trades(SYMBOL, params={"orderId": number})) == 3
        assert sim.client.fault("ws_terminate", match={"account": "demo"})["hit"] == 1
        await until(lambda: seen[-1]["e"] == "eventStreamTerminated")
        sim.client.fill(number, "0.1")
        await asyncio.sleep(0.05)
        assert len(seen) == 5
        assert watcher.done()

    run(sim, scenario)


def test_sockets_are_cut(sim: RunningSim) -> None:
    async def scenario(ex: Any) -> None:
        await ex.watch_order_book(SYMBOL)
        waiting = asyncio.ensure_future(ex.watch_order_book(SYMBOL))
        await asyncio.sleep(0)
        assert sim.client.fault("ws_disconnect", target="streams")["hit"] == 1
        with pytest.raises(ccxt.NetworkError):
            await asyncio.wait_for(waiting, 20)
        assert (await ex.watch_order_book(SYMBOL))["bids"][0][0] == 59999.0  # and it comes back

    run(sim, scenario)


def test_book_gap_is_noticed_by_the_client(sim: RunningSim) -> None:
    async def scenario(ex: Any) -> None:
        await ex.watch_order_book(SYMBOL)
        one = await ex.create_order(SYMBOL, "limit", "buy", "0.1", "58000")
        await ex.watch_order_book(SYMBOL)
        sim.client.fault("book_gap", match={"symbol": "BTCUSDT"})
        await ex.cancel_order(one["id"], SYMBOL)
        await until(lambda: not sim.client.faults())
        waiting = asyncio.ensure_future(ex.watch_order_book(SYMBOL))
        two = await ex.create_order(SYMBOL, "limit", "buy", "0.1", "58001")
        with pytest.raises(ccxt.ChecksumError):
            await asyncio.wait_for(waiting, 20)
        await ex.cancel_order(two["id"], SYMBOL)

    run(sim, scenario)


@pytest.mark.parametrize("refuse", [False, True])
def test_outage(sim: RunningSim, refuse: bool) -> None:
    async def scenario(ex: Any) -> None:
        await ex.watch_order_book(SYMBOL)
        sim.client.fault("outage", seconds=3, refuse=refuse)
        await asyncio.sleep(0.1)
        with pytest.raises(ccxt.NetworkError) as caught:
            await ex.fetch_open_orders(SYMBOL)
        assert ("ClientConnectorError" in repr(caught.value.__cause__)) == refuse
        for _ in range(200):
            try:
                await ex.fetch_open_orders(SYMBOL)
                break
            except ccxt.NetworkError:
                await asyncio.sleep(0.05)
        assert (await ex.create_order(SYMBOL, "limit", "buy", "0.1", "50000"))["status"] == "open"

    run(sim, scenario)


@pytest.mark.parametrize(
    ("method", "path", "body", "text"),
    [
        ("POST", "/sim/faults", {"kind": "earthquake"}, "earthquake"),
        ("POST", "/sim/faults", {"kind": "hang", "count": 0}, "count 0"),
        ("POST", "/sim/faults", {"kind": "hang", "params": {"hold": "x"}}, "hold"),
        ("POST", "/sim/faults", {"kind": "hang", "match": {"colour": "red"}}, "colour"),
        ("POST", "/sim/faults", {"kind": "outage"}, "seconds"),
        ("POST", "/sim/order", {"symbol": "BTCUSDT", "side": "BUY", "quantity": "-1", "price": "5"}, "quantity"),
        ("POST", "/sim/order", {"symbol": "BTCUSDT", "side": "BUY", "account": "nobody"}, "nobody"),
        ("POST", "/sim/order", {"symbol": "BTCUSDT", "side": "BUY", "account": []}, "expected one of"),
        ("POST", "/sim/price", {"symbol": "XRPUSDT", "mid": "1"}, "XRPUSDT"),
        ("POST", "/sim/price", {"symbol": "BTCUSDT", "mid": "NaN"}, "mid"),
        ("POST", "/sim/bust", {"trade_id": 10**12}, "trade_id 1000000000000"),
        ("GET", "/sim/ledger?since=x", None, "since"),
        ("GET", "/sim/nothing", None, "expected one of"),
    ],
)
def test_bad_control_requests_say_what_is_wrong(sim: RunningSim, method: str, path: str, body: Any, text: str) -> None:
    with pytest.raises(SimError, match=text):
        sim.client.call(method, path, body)


def test_price_moves_the_ladder_and_fills_what_it_crosses(sim: RunningSim) -> None:
    async def scenario(ex: Any) -> None:
        order = await ex.create_order("ETH/USDT", "limit", "buy", "1", "2950")
        sim.client.price("ETHUSDT", "2900")
        done = await ex.fetch_order(order["id"], "ETH/USDT")
        assert (done["status"], Decimal(done["average"])) == ("closed", 2950)
        book = await ex.fetch_order_book("ETH/USDT")
        assert (book["bids"][0][0], book["asks"][0][0]) == ("2899.95000000", "2900.05000000") or (
            float(book["bids"][0][0]), float(book["asks"][0][0])
        ) == (2899.95, 2900.05)  # fmt: skip

    run(sim, scenario)


# ---- kill and restart ---------------------------------------------------------------------------------------------


def test_kill_and_restart_keep_everything(tmp_path: Path) -> None:
    first = launch(tmp_path)

    async def before(ex: Any) -> None:
        part = await ex.create_order(SYMBOL, "limit", "buy", "0.5", "60000", {"newClientOrderId": "part"})
        first.client.order("BTCUSDT", "SELL", "0.2", price="60000")
        await ex.create_order(SYMBOL, "limit", "sell", "0.3", "61000.55", {"newClientOrderId": "open"})
        done = await ex.create_order(SYMBOL, "market", "buy", "3", None, {"newClientOrderId": "done"})
        gone = await ex.create_order(SYMBOL, "limit", "buy", "1", "50000", {"newClientOrderId": "gone"})
        await ex.cancel_order(gone["id"], SYMBOL)
        first.client.bust(int(done["trades"][0]["id"]))
        seen.extend([part["id"], done["id"]])

    seen: list[str] = []
    try:
        run(first, before)
        state = first.client.state()
        trades = [r for r in first.client.ledger() if r["type"] == "filled"]
    finally:
        first.kill()
    with (tmp_path / "ledger.jsonl").open("ab") as ledger:
        ledger.write(b'{"seq":99,"ns":1,"type":"acc')  # a write that the kill tore
    with launch(tmp_path) as second:
        again = second.client.state()
        assert again["balances"] == state["balances"] and again["fees"] == state["fees"]
        assert again["house_net"] == state["house_net"] and again["busted"] == state["busted"]
        assert again["orders"] == state["orders"] and len(state["orders"]) == 2

        async def after(ex: Any) -> None:
            for name, status in (("part", "open"), ("open", "open"), ("done", "closed"), ("gone", "canceled")):
                assert (await ex.fetch_order(None, SYMBOL, {"origClientOrderId": name}))["status"] == status
            mine = await ex.fetch_my_trades(SYMBOL)
            assert [int(t["id"]) for t in mine] == [r["trade_id"] for r in trades if r["account"] == "demo"]
            new = await ex.create_order(SYMBOL, "market", "buy", "0.01")
            assert int(new["id"]) > max(map(int, seen)) and int(new["trades"][0]["id"]) > int(mine[-1]["id"])
            await ex.cancel_all_orders(SYMBOL)
            assert (await ex.fetch_balance())["USDT"]["used"] in ("0", "0.00000000", 0, "0.0")

        run(second, after)


def test_a_damaged_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").write_text('{"seq":1,"ns":1,"type":"start"}\nrubbish\n')
    with pytest.raises(RuntimeError, match="line 2 is damaged"):
        launch(tmp_path)


def test_sigterm_is_clean_and_options_are_checked(tmp_path: Path) -> None:
    running = launch(tmp_path / "a")
    assert running.stop() == 0
    with pytest.raises(RuntimeError, match="no-such-file"):
        launch(tmp_path / "b", "--replay", str(tmp_path / "no-such-file.gz"))
    for where, why in (("nowhere/ready.json", "No such file"), ("a/ledger.jsonl/ready.json", "Not a directory")):
        words = ["--dir", str(tmp_path / "d"), "--ready-file", str(tmp_path / where)]
        refused = CliRunner().invoke(sim_command, words)
        assert refused.exit_code == 1 and str(tmp_path / where) in refused.output and why in refused.output
        assert not (tmp_path / "d").exists()
    with pytest.raises(RuntimeError, match="BTCUSDT"):
        launch(tmp_path / "c", "--symbol", "BTCUSDT")


def test_accounts_file_and_rate_limits(tmp_path: Path) -> None:
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(
        '[[accounts]]\nname = "one"\nkey = "demo-key"\nsecret = "demo-secret"\nbalances = { USDT = "1000" }\n'
    )
    limits = "weight=500,orders10s=2,strikes=2,ban=5"
    with launch(tmp_path / "s", "--accounts", str(accounts), "--rate-limit", limits) as running:

        async def scenario(ex: Any) -> None:
            assert (await ex.fetch_balance())["USDT"]["free"] == "1000.00000000"
            await within_a_window(10, 5)
            for n in range(2):
                await ex.create_order(SYMBOL, "limit", "buy", "0.001", str(50000 + n))
            with pytest.raises(ccxt.DDoSProtection, match=r"429.*orders per 10 SECOND"):
                await ex.create_order(SYMBOL, "limit", "buy", "0.001", "50000")
            assert int(ex.last_response_headers["Retry-After"]) <= 10
            seen = []
            for _ in range(40):
                try:
                    await ex.fetch_my_trades(SYMBOL)
                except ccxt.DDoSProtection as exc:
                    seen.append(str(exc).split()[1])
            assert seen[0] == "429" and seen[-1] == "418"
            assert running.client.state()["counters"]["limited"] == len(seen) + 1

        run(running, scenario)


# ---- other liquidity ----------------------------------------------------------------------------------------------


def test_synthetic_flow_trades_with_resting_orders(tmp_path: Path) -> None:
    with launch(tmp_path, "--liquidity", "synthetic", "--seed", "7") as running:

        async def scenario(ex: Any) -> None:
            book = await ex.watch_order_book(SYMBOL)
            best = book["bids"][0][0]
            order = await ex.create_order(SYMBOL, "limit", "buy", "0.01", str(best + 1))
            for _ in range(60):
                await ex.watch_order_book(SYMBOL)
                if (await ex.fetch_order(order["id"], SYMBOL))["status"] == "closed":
                    break
            assert (await ex.fetch_my_trades(SYMBOL))[0]["takerOrMaker"] in ("maker", "taker")
            assert await ex.fetch_trades(SYMBOL)

        run(running, scenario)


@pytest.mark.skipif(not RECORDING.exists(), reason=f"no recording at {RECORDING}")
def test_replay_fills_resting_orders(tmp_path: Path) -> None:
    with launch(tmp_path, "--replay", str(RECORDING), "--speed", "100") as running:

        async def scenario(ex: Any) -> None:
            order: dict[str, Any] = {}
            for _ in range(50):
                book = await ex.watch_order_book(SYMBOL)
                assert len(book["bids"]) > 100 and 55_000 < book["bids"][0][0] < book["asks"][0][0] < 65_000
                with contextlib.suppress(ccxt.OrderImmediatelyFillable):  # the market went down meanwhile
                    price = str(book["bids"][0][0])
                    order = await ex.create_order(SYMBOL, "limit", "buy", "0.001", price, {"postOnly": True})
                    break
            taken = await ex.create_order(SYMBOL, "market", "sell", "0.001")
            assert taken["status"] == "closed" and 55_000 < Decimal(taken["average"]) < 65_000
            for _ in range(200):
                await ex.watch_order_book(SYMBOL)
                if (await ex.fetch_order(order["id"], SYMBOL))["status"] == "closed":
                    break
            trades = await ex.fetch_my_trades(SYMBOL, params={"orderId": int(order["id"])})
            assert trades and trades[0]["takerOrMaker"] == "maker"
            assert Decimal(trades[0]["price"]) == Decimal(str(order["price"]))

        run(running, scenario)
