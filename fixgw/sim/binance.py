"""The server: REST, WebSocket API, streams and control on one port, over one Simulator.

    async with SimServer(config) as server:   # ready when entered: books are filled, server.port is known
        await server.wait()
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp import web

from fixgw.sim.config import ConfigError, SimConfig
from fixgw.sim.control import Control
from fixgw.sim.core import Liquidity, Simulator
from fixgw.sim.faults import Fault
from fixgw.sim.liquidity import Static, Synthetic
from fixgw.sim.replay import Replay
from fixgw.sim.rest import Rest
from fixgw.sim.streams import Hub
from fixgw.sim.wsapi import WsApi

log = logging.getLogger("fixgw.sim")


def make_liquidity(sim: Simulator, config: SimConfig) -> Liquidity:
    """The liquidity the configuration names. Raises ConfigError."""
    if config.liquidity == "static":
        return Static(sim, config.seed)
    if config.liquidity == "synthetic":
        return Synthetic(sim, config.seed)
    if config.liquidity == "replay":
        if config.replay is None:
            raise ConfigError("liquidity replay: expected a recording (--replay FILE)")
        return Replay(sim, config.replay, speed=config.speed, loop=config.loop, seed=config.seed)
    raise ConfigError(f"liquidity {config.liquidity!r}: expected static, synthetic or replay")


class SimServer:
    """One simulated exchange on one port."""

    def __init__(self, config: SimConfig) -> None:
        self.config = config
        self.sim = Simulator(config)
        self.hub = Hub(self.sim)
        self.ws_api = WsApi(self.sim)
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.failed: asyncio.Future[None] | None = None

    async def __aenter__(self) -> SimServer:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Rebuild, fill the books, listen. Raises ConfigError, LedgerError, OSError."""
        loop = asyncio.get_running_loop()
        self.failed = loop.create_future()
        sim = self.sim
        sim.later = loop.call_later
        sim.open()
        liquidity = make_liquidity(sim, self.config)
        sim.market_sink = self.hub
        sim.begin(liquidity)
        self._runner = web.AppRunner(
            self._app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5, keepalive_timeout=75.0
        )
        await self._runner.setup()
        await self._listen()
        self._spawn(self.hub.run())
        self._spawn(liquidity.run())

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 20)
        control, rest = Control(self.sim, self), Rest(self.sim)
        app.router.add_route("*", "/sim/{tail:.*}", control.handle)
        for path in ("/ws", "/ws/{tail:.*}", "/stream", "/stream/{tail:.*}"):
            app.router.add_get(path, self._stream)
        app.router.add_get("/ws-api/v3", self._api)
        app.router.add_route("*", "/{tail:.*}", rest.handle)
        return app

    async def _listen(self) -> None:
        if self._runner is None:
            raise AssertionError("listening before the start")
        self._site = web.TCPSite(self._runner, self.config.host, self.port or self.config.port, reuse_address=True)
        await self._site.start()
        self.port = self._runner.addresses[0][1]

    def _spawn(self, coroutine: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() and self.failed and not self.failed.done():
            self.failed.set_exception(task.exception() or RuntimeError("task failed"))

    async def wait(self) -> None:
        """Until a background task fails (raises what it raised); cancel it to go on."""
        if self.failed is None:
            raise AssertionError("waiting before the start")
        await asyncio.shield(self.failed)

    async def stop(self) -> None:
        """Stop listening, drop everybody, close the ledger."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.hub.cut()
        self.ws_api.cut()
        if self._runner is not None:
            await self._runner.cleanup()
        if self.failed is not None and not self.failed.done():
            self.failed.cancel()
        self.sim.ledger.close()

    # ---- upgrades and connection faults ------------------------------------------------------------------------

    def _down(self, request: web.Request, channel: str) -> bool:
        """True (and the connection cut) while an outage is on."""
        facts = {"channel": channel, "op": "connect", "method": "GET", "path": request.path}
        if self.sim.faults.take(("outage",), facts, self.sim.clock_ns()) is None:
            return False
        if request.transport is not None:
            request.transport.abort()
        return True

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=500) if self._down(request, "stream") else await self.hub.handle(request)

    async def _api(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=500) if self._down(request, "ws") else await self.ws_api.handle(request)

    def act(self, fault: Fault) -> int:
        """Do what a fault does at once; returns how many connections or subscriptions it hit."""
        if fault.kind == "ws_terminate":
            return self.ws_api.terminate(fault.match.get("account", ()))
        target = fault.params.get("target", "all")
        hit = self.ws_api.cut() if target in ("all", "api") else 0
        hit += self.hub.cut() if target in ("all", "streams") else 0
        if fault.kind == "outage" and fault.params["refuse"]:
            now_ns = self.sim.clock_ns()
            self._spawn(self._refuse(((fault.until_ns or now_ns) - now_ns) / 1e9))
        return hit

    async def _refuse(self, seconds: float) -> None:
        """Do not listen for a while: connections are refused, and open ones are cut."""
        await asyncio.sleep(0.05)  # the reply to the control request leaves first
        if self._site is None or self._runner is None or self._runner.server is None:
            return
        await self._site.stop()
        for handler in list(self._runner.server.connections):
            if handler.transport is not None:
                handler.transport.abort()
        await asyncio.sleep(seconds)
        await self._listen()
