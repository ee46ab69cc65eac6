"""A peer that goes in an awkward moment (both processes were stopped for a while) leaves no traceback in a log."""

import asyncio
import gc
import logging
import socket

import aiohttp
import pytest
from aiohttp import web

from fixgw.sim.conn import Connection
from fixgw.sim.streams import Hub
from fixgw.venues import loop_errors

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def serve(handler: object) -> tuple[web.AppRunner, int]:
    app = web.Application()
    app.router.add_get("/ws", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, runner.addresses[0][1]


async def gone(request: web.Request) -> None:
    for _ in range(2000):
        if request.transport is None or request.transport.is_closing():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the peer stays")


def test_a_peer_that_leaves_before_the_handshake_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    hub = Hub(None)  # type: ignore[arg-type]
    done = asyncio.Event()
    opened: list[bool] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        await gone(request)
        try:
            opened.append(await Connection(request).open())
            return await hub.handle(request)
        finally:
            done.set()

    async def run() -> None:
        runner, port = await serve(handler)
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(HANDSHAKE)
            await asyncio.sleep(0)
        await asyncio.wait_for(done.wait(), 30)
        await runner.cleanup()

    asyncio.run(run())
    assert opened == [False] and not hub.connections
    assert "Error handling request" not in caplog.text and "Traceback" not in caplog.text


def test_a_pong_to_nobody_is_quiet_and_other_errors_are_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        async for _ in answer:
            pass
        return answer

    async def fails() -> None:
        raise ConnectionResetError("of something else")

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(loop_errors.handle)
        runner, port = await serve(handler)
        async with aiohttp.ClientSession() as session:
            peer = await session.ws_connect(f"http://127.0.0.1:{port}/ws")
            assert peer._conn is not None and peer._conn.transport is not None
            peer._conn.transport.abort()
            for work in (peer.pong(b"x"), fails()):
                task = asyncio.ensure_future(work)
                await asyncio.wait([task])
                del task
            gc.collect()
        await runner.cleanup()

    asyncio.run(run())
    assert "a ping was not answered" in caplog.text and "ClientConnectionResetError" not in caplog.text
    assert caplog.text.count("of something else") >= 1 and "never retrieved" in caplog.text
