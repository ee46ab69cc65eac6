"""No request of a connector is ever redirected, REST or WebSocket: unmodified ccxt against servers that try to."""

from __future__ import annotations

import ast
import asyncio
import inspect
import logging
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import ccxt
import ccxt.pro
import pytest
from aiohttp import web
from test_client_ids import BEFORE, LEAVES, OURS, SYMBOL, THEIRS, Server, order, outcome, question, scene
from venue_rig import SECRET, Sink, run_venue

from fixgw.sim.binance import SimServer
from fixgw.venues.base import Ambiguous, Placed, Queried, VenueError
from fixgw.venues.ccxt_exchange import HookMixin, Hooks, make_exchange
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.limiter import RateLimiter
from fixgw.venues.wire import CancelChild

KEY = "apikey-1234567890"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handle: Handler) -> AsyncIterator[str]:
    """HOST:PORT at which `handle` answers."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def bare(exchange: str = "binance") -> Any:
    """The hooked exchange alone."""
    hooks = Hooks(RateLimiter(6000, 100), 1.0, 1000)
    hooks.secrets = (KEY,)
    return make_exchange(exchange, {"apiKey": KEY, "secret": SECRET, "timeout": 3000}, hooks)


def redirect(status: int, location: str) -> Callable[[web.Request], web.Response]:
    """An answer that looks like an order and sends elsewhere, with what it was asked."""

    def answer(request: web.Request) -> web.Response:
        body = '{"orderId": 1, "code": -2010, "msg": "Account has insufficient balance for requested action."}'
        headers = {"Location": f"{location}{request.path_qs}", "Content-Type": "application/json"}
        return web.Response(status=status, headers=headers, text=body)

    return answer


@pytest.mark.parametrize("exchange", sorted(LEAVES))
def test_orders_are_not_sent_elsewhere(
    exchange: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Place, cancel and query of every exchange of the table: one request each, and nothing is known of what came of it."""
    caplog.set_level(logging.INFO)
    place = LEAVES[exchange][0]

    async def body(venue: CcxtVenue, server: Server) -> None:
        elsewhere = Server()
        async with serving(elsewhere.handle) as host:
            for status, where in ((307, f"http://{host}"), (303, f"http://{host}"), (308, ""), (302, ""), (300, "")):
                server.got.clear()
                server.say = {**BEFORE.get(exchange, {}), "/": redirect(status, where)}
                answer = await outcome(venue.place(order()))
                assert type(answer) is Ambiguous and answer.code == "Redirected", (status, answer)
                assert f"HTTP {status}" in answer.text and "not followed" in answer.text
                assert len([line for line in server.got if re.search(place, line)]) == 1, server.got
                venue.tracker.drop(OURS)
                asked = await outcome(venue._look_up(question()))
                known = isinstance(asked, Queried) and asked.outcome == "open" and "Redirected" in asked.text
                assert known or (isinstance(asked, VenueError) and not getattr(asked, "unknown_order", False)), asked
                server.got.clear()
                request = CancelChild(venue_cl_ord_id=OURS, symbol=SYMBOL, venue_order_id=THEIRS)
                answer = await outcome(venue.cancel(request))
                assert isinstance(answer, Ambiguous), answer
                venue.tracker.drop(OURS)
            assert elsewhere.got == []

    scene(exchange, body, monkeypatch)
    told = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith(("fixgw", "ccxt")))
    assert "HTTP 307" in told and "not followed" in told
    assert not re.search("apikey-1234567890|c2VjcmV0", told)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_an_executed_order_whose_answer_is_a_redirect(status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the simulator: the order is there once, its place says that nothing is known, and its query finds it."""
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        calls: list[str] = []

        async def between(request: web.Request) -> web.StreamResponse:
            calls.append(request.method)
            url = f"http://127.0.0.1:{server.port}{request.path_qs}"
            async with venue._exchange.session.request(
                request.method, url, data=await request.read(), headers={"X-MBX-APIKEY": "demo-key",
                "Content-Type": request.headers.get("Content-Type", "")},
            ) as answer:  # fmt: skip
                assert answer.status == 200, await answer.text()
            return web.Response(status=status, headers={"Location": request.path_qs})

        async with serving(between) as host:
            api = venue._exchange.urls["api"]
            real = api["private"]
            api["private"] = real.replace(f"127.0.0.1:{server.port}", host)
            answer = await outcome(venue.place(order(px=D("50000"))))
            # the stream may have shown it meanwhile
            assert isinstance(answer, Placed) or (type(answer) is Ambiguous and answer.code == "Redirected"), answer
            api["private"] = real
        assert calls == ["POST"]
        found = await venue.query(question())
        assert found.outcome == "open" and len(server.sim.engine.orders) == 1

    run_venue(tmp_path, False, body)


@pytest.mark.parametrize("where", ["elsewhere", "here", "nowhere"])
def test_a_websocket_is_not_redirected(where: str) -> None:
    """The handshake too: nothing goes to the other host, and the loss says why."""

    async def main() -> None:
        elsewhere, asked, lost = Server(), list[str](), list[str]()

        async def handle(request: web.Request) -> web.StreamResponse:
            asked.append(request.path)
            return web.Response(status=307, headers={"Location": targets[where]})

        async with serving(elsewhere.handle) as other, serving(handle) as host:
            targets = {"elsewhere": f"http://{other}/ws?k={KEY}", "here": "/again", "nowhere": f"http://{KEY}:x/"}
            exchange = bare()
            exchange.fixgw.lost = lambda url, reason: lost.append(reason)
            try:
                with pytest.raises(ccxt.NetworkError, match="HTTP 307"):
                    await asyncio.wait_for(exchange.watch(f"ws://{host}/ws", "x", {}, "x"), 20)
            finally:
                await exchange.close()
        assert asked == ["/ws"] and elsewhere.got == []
        assert len(lost) == 1 and "redirects are not followed" in lost[0] and KEY not in lost[0]

    asyncio.run(main())


def test_the_key_is_not_in_the_text() -> None:
    """A Location is the venue's to fill."""

    async def main() -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": f"http://host.example/{KEY}?a={KEY}"})

        async with serving(handle) as host:
            exchange = bare()
            try:
                with pytest.raises(ccxt.BadResponse) as refused:
                    await exchange.fetch(f"http://{host}/api?signature=abc&k={KEY}")
            finally:
                await exchange.close()
        text = "GET: HTTP 302, a redirect to http://host.example: redirects are not followed"
        assert str(refused.value) == text

    asyncio.run(main())


def test_every_exchange_of_ccxt_goes_through_the_guarded_sessions() -> None:
    """Sessions are made in two methods of ccxt's base class, which no exchange class has of its own, and nowhere else."""
    hooked = ("open", "fetch", "get_socks_proxy_session")
    for name in ccxt.pro.exchanges:
        for owner in getattr(ccxt.pro, name).__mro__:
            if owner.__module__.startswith("ccxt.") and ".base." not in owner.__module__:
                assert not set(hooked) & vars(owner).keys(), (name, owner)
    assert set(hooked) <= vars(HookMixin).keys()
    base = next(owner for owner in ccxt.pro.binance.__mro__ if owner.__module__ == "ccxt.async_support.base.exchange")
    makers = set()
    for function in ast.walk(ast.parse(inspect.getsource(sys.modules[base.__module__]))):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and "ClientSession(" in ast.unparse(function):
            makers.add(function.name)
    assert makers == {"open", "get_socks_proxy_session"}
    folder = Path(inspect.getfile(ccxt)).parent
    files = [path for name in ("async_support", "pro") for path in (folder / name).rglob("*.py") if "test" not in path.parts]
    others = [path.name for path in files if re.search(r"ClientSession\(|import requests|urllib.request", path.read_text())]
    assert len(files) > 150 and others == ["exchange.py"]


def test_a_session_for_a_proxy_is_guarded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import aiohttp

    async def main() -> None:
        exchange = bare()
        base = next(owner for owner in type(exchange).__mro__ if owner.__module__ == "ccxt.async_support.base.exchange")
        made = aiohttp.ClientSession()
        monkeypatch.setattr(
            base, "get_socks_proxy_session", lambda self, proxy: self.socks_proxy_sessions.setdefault(proxy, made)
        )
        exchange.socks_proxy_sessions = {}
        session = exchange.get_socks_proxy_session("socks5://127.0.0.1:1")
        assert session is not made and exchange.get_socks_proxy_session("socks5://127.0.0.1:1") is session

        async def handle(request: web.Request) -> web.StreamResponse:
            return web.Response(status=301, headers={"Location": "/x"})

        async with serving(handle) as host:
            with pytest.raises(ccxt.BadResponse):
                await session.get(f"http://{host}/")
        await exchange.close()
        assert session.closed

    asyncio.run(main())
