"""The conformance suite: the ccxt connector (binance dialect) against the simulator, and the null connector."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import fixgw.venues.conformance_amend
import fixgw.venues.conformance_faults
import fixgw.venues.conformance_picture  # noqa: F401  these three enter their checks
from fixgw.sim.launch import launch
from fixgw.venues.conformance import CHECKS, Bench
from fixgw.venues.fake_gateway import FakeGateway

SIM = frozenset({"limits", "fills", "faults", "ledger", "balances", "quote_market", "post_only", "ioc", "fok", "amend"})
NULL = frozenset({"quote_market", "post_only", "ioc", "fok"})


class Rig:
    """A bench whose loop the tests step."""

    def __init__(self, loop: asyncio.AbstractEventLoop, bench: Bench) -> None:
        self.loop = loop
        self.bench = bench

    def run(self, name: str) -> None:
        async def one() -> None:
            await self.bench.ready()
            await CHECKS[name].run(self.bench)

        self.loop.run_until_complete(asyncio.wait_for(one(), 90))


@contextmanager
def rig(directory: Path, config: str, abilities: frozenset[str], lab: object = None) -> Iterator[Rig]:
    """A host process with this configuration, linked to a gateway in this process."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "venue.toml"
    file.write_text(config, encoding="utf-8")
    loop = asyncio.new_event_loop()
    gateway = FakeGateway(str(directory / "v.sock"))
    loop.run_until_complete(gateway.start())
    environment = dict(os.environ, FIXGW_TEST_KEY="demo-key", FIXGW_TEST_SECRET="demo-secret")
    command = [sys.executable, "-m", "fixgw.venues.host", "--config", str(file), "--socket", gateway.path]
    with (directory / "host.log").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
    try:
        # the interpreter and ccxt: long on a machine that has much else to do
        loop.run_until_complete(gateway.until(lambda: gateway.hellos, "Hello", 60.0))
        yield Rig(loop, Bench(gateway, "BTC/USDT", abilities, lab))  # type: ignore[arg-type]
    finally:
        process.terminate()
        try:
            status = process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait(10)
        loop.run_until_complete(gateway.stop())
        loop.close()
    log = (directory / "host.log").read_text(errors="replace")
    assert status == 0, f"the host ended with {status}:\n{log[-3000:]}"
    assert "Traceback" not in log and "never retrieved" not in log, log[-6000:]
    assert "demo-secret" not in log and "signature=" not in log


BINANCE = """
kind = "ccxt"
exchange = "binance"
base_url = "http://127.0.0.1:{port}"
api_key_env = "FIXGW_TEST_KEY"
secret_env = "FIXGW_TEST_SECRET"
symbols = ["BTC/USDT", "ETH/USDT"]
recv_window_ms = 1500
request_timeout_ms = 2500
keep_alive_ms = 1000
down_grace_ms = 300
rate_weight_per_minute = 600000
{more}
"""
GENERAL = """
dialect = "general"
sweep_s = 0.3
[options]
defaultType = "spot"
fetchMarkets = {types = ["spot"]}
warnOnFetchOpenOrdersWithoutSymbol = false
recvWindow = 1500
"""


@contextmanager
def against_simulator(directory: Path, more: str) -> Iterator[Rig]:
    with launch(directory / "sim", "--liquidity", "static") as sim:
        config = BINANCE.format(port=sim.port, more=more)
        with rig(directory / "host", config, SIM, sim.client) as made:
            yield made


@pytest.fixture(scope="module")
def ccxt_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with against_simulator(tmp_path_factory.mktemp("ccxt"), "") as made:
        yield made


@pytest.fixture(scope="module")
def rest_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with against_simulator(tmp_path_factory.mktemp("rest"), "ws_orders = false") as made:
        yield made


@pytest.fixture(scope="module")
def general_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with against_simulator(tmp_path_factory.mktemp("general"), GENERAL) as made:
        yield made


@pytest.fixture(scope="module")
def null_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    config = 'kind = "null"\nsymbols = ["BTC/USDT"]\n'
    with rig(tmp_path_factory.mktemp("null"), config, NULL) as made:
        yield made


@pytest.mark.parametrize("name", [name for name, check in CHECKS.items() if check.needs <= SIM])
def test_ccxt_binance(ccxt_rig: Rig, name: str) -> None:
    ccxt_rig.run(name)


@pytest.mark.parametrize("name", [name for name, check in CHECKS.items() if check.needs <= SIM])
def test_ccxt_binance_rest_orders(rest_rig: Rig, name: str) -> None:
    rest_rig.run(name)


@pytest.mark.parametrize("name", [name for name, check in CHECKS.items() if check.needs <= SIM - {"limits", "amend"}])
def test_ccxt_general_dialect(general_rig: Rig, name: str) -> None:
    general_rig.run(name)


@pytest.mark.parametrize("name", [name for name, check in CHECKS.items() if check.needs <= NULL])
def test_null(null_rig: Rig, name: str) -> None:
    null_rig.run(name)


def test_every_check_runs_somewhere() -> None:
    assert all(check.needs <= SIM for check in CHECKS.values())
    assert len(CHECKS) >= 50
