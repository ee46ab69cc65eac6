"""In this process: the real connector (unmodified ccxt) with the simulator, or a venue's host with a gateway."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path
from typing import Any

from fixgw.sim.binance import SimServer
from fixgw.sim.config import DEMO_BALANCES, ApiAccount, SimConfig, parse_market
from fixgw.sim.limits import LimitConfig
from fixgw.venues.base import Done
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.fake_gateway import FakeGateway
from fixgw.venues.host import VenueHost
from fixgw.venues.settings import parse_venue
from fixgw.venues.wire import PlaceChild

SECRET = "demo-secret-of-the-test"
Body = Callable[[SimServer, CcxtVenue, "Sink"], Awaitable[None]]


class Sink:
    """Keeps trades and ends."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.up = asyncio.Event()
        self.ended = asyncio.Event()

    def ack(self, venue_cl_ord_id: str, venue_order_id: str) -> None: ...

    def trade(self, trade: Any) -> None:
        self.told.append(trade)

    def done(self, done: Done) -> None:
        self.told.append(done)
        self.ended.set()

    def book(self, symbol: str, quote: Any) -> None: ...

    def balances(self, balances: Any) -> None: ...

    def balances_changed(self) -> None: ...

    def link(self, up: bool, reason: str = "") -> None:
        if up:
            self.up.set()


def run_venue(
    folder: Path,
    ws: bool,
    body: Body,
    limits: LimitConfig | None = None,
    file: dict[str, Any] | None = None,
    more: tuple[str, ...] = (),
    **rules: Any,
) -> None:
    """Run a body with a simulator and a connector that is up; `rules` change those of BTC/USDT, `file` adds to the venue file,
    `more` are further instruments. The keys stand in RIG_KEY and RIG_SECRET of the environment."""
    market = parse_market("BTC/USDT")
    market = replace(market, rules=replace(market.rules, **rules))
    account = ApiAccount("demo", "demo-key", SECRET, DEMO_BALANCES)
    markets = (market, *(parse_market(symbol) for symbol in more))
    config = SimConfig(folder, (account,), markets, limits=limits or LimitConfig())

    async def main() -> None:
        async with asyncio.timeout(60), SimServer(config) as server:
            sink = Sink()
            fields = {
                "exchange": "binance", "symbols": ["BTC/USDT", *more], "base_url": f"http://127.0.0.1:{server.port}",
                "api_key_env": "RIG_KEY", "secret_env": "RIG_SECRET", "ws_orders": ws,
                "request_timeout_ms": 1500, "recv_window_ms": 1000,
            }  # fmt: skip
            venue = CcxtVenue(parse_venue(fields | (file or {}), "t", "t"), sink)
            try:
                await venue.start()
                await sink.up.wait()
                await body(server, venue, sink)
            finally:
                await venue.close()

    asyncio.run(main())


def in_process(tmp_path: Path, body: Callable[[FakeGateway, VenueHost], Awaitable[None]], **gateway: bool) -> None:
    """Run `body` with a null venue's host and a gateway in one loop."""

    async def run() -> None:
        gate = FakeGateway(str(tmp_path / "g.sock"), **gateway)
        host = VenueHost(parse_venue({"kind": "null", "symbols": ["BTC/USDT"]}, "test", "nil"), gate.path)
        serving = asyncio.ensure_future(host.run())
        try:
            await gate.start()
            await gate.until(lambda: gate.hellos, "Hello")
            await body(gate, host)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            await gate.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


async def until(probe: Callable[[], Any]) -> None:
    """For what a test can only look at."""
    async with asyncio.timeout(20):
        while not probe():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def settled(host: VenueHost) -> None:
    """All that the host was told has come to its end, and nothing is kept of it."""
    await until(lambda: not host._tasks)
    chains = host._chains
    assert not any((host._under_way, host._places, chains.newest, chains.places, chains.cancels, chains.queries))


async def placed(venue: CcxtVenue, our_id: str = "OURS1", qty: str = "0.5") -> str:
    order = PlaceChild(
        venue_cl_ord_id=our_id, symbol="BTC/USDT", side="1", ord_type="2", tif="1", qty=D(qty), px=D("50000")
    )
    return (await venue.place(order)).venue_order_id


def fault(server: SimServer, kind: str, **how: Any) -> None:
    server.sim.faults.add({"kind": kind, **how}, time.time_ns())
