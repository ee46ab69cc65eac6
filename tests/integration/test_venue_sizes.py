"""Answers and messages without end: what is read of one is bounded, and it is a broken answer. Unmodified ccxt."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import ccxt
import pytest
from aiohttp import WSMsgType, web
from test_client_ids import BEFORE, OURS, SYMBOL, Server, order, outcome, question, scene
from test_venue_redirects import bare, serving
from venue_rig import Sink, fault, run_venue

from fixgw.sim.binance import SimServer
from fixgw.venues.base import Ambiguous, VenueError
from fixgw.venues.ccxt_exchange import CALL, Call
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.http_guard import ANSWER_BYTES, MARKETS_BYTES, MESSAGE_BYTES
from fixgw.venues.limiter import Priority
from fixgw.venues.wire import CancelChild

MB = 1 << 20
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def pieces(request: web.Request, body: AsyncIterator[bytes], **headers: str) -> web.StreamResponse:
    """A chunked answer, until the other end has had enough."""
    answer = web.StreamResponse(headers={"Content-Type": "application/json"} | headers)
    await answer.prepare(request)
    try:
        async for piece in body:
            await answer.write(piece)
            await asyncio.sleep(0)
        await answer.write_eof()
    except ConnectionError:
        pass
    return answer


async def endless(request: web.Request) -> web.StreamResponse:
    async def body() -> AsyncIterator[bytes]:
        yield b"["
        for _ in range(20_000):  # 1.3 GB
            yield b'{"a":[1,2]},' * 5461

    return await pieces(request, body())


async def bomb(request: web.Request) -> web.StreamResponse:
    """1 GB in 1 MB."""

    async def body() -> AsyncIterator[bytes]:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        block = b"A" * MB
        yield packer.compress(b'{"a":"')
        for _ in range(1024):
            yield packer.compress(block)
        yield packer.compress(b'"}') + packer.flush()

    return await pieces(request, body(), **{"Content-Encoding": "gzip"})


async def announced(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(1 << 40)})
    await answer.prepare(request)
    await answer.write(b"[")
    await asyncio.sleep(3)
    return answer


async def drip(request: web.Request) -> web.StreamResponse:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b" "
            await asyncio.sleep(0.05)

    return await pieces(request, body())


async def fetched(answer: Answer, most: int = 0, timeout_ms: int = 3000) -> Any:
    """What ccxt makes of this answer, as that to a request that may have so many bytes (0: any)."""
    async with serving(answer) as host:
        exchange = bare()
        exchange.timeout = timeout_ms
        token = CALL.set(Call(priority=Priority.LINK, most_bytes=most) if most else None)
        try:
            return await exchange.fetch(f"http://{host}/api/v3/order")
        finally:
            CALL.reset(token)
            await exchange.close()


@pytest.mark.parametrize("answer", [endless, bomb, announced])
def test_an_answer_without_end_is_given_up(answer: Answer) -> None:
    """At once, and without holding it; it counts as broken, so that nothing is believed of it."""
    tracemalloc.start()
    began = time.monotonic()
    try:
        with pytest.raises(ccxt.BadResponse, match=f"an answer of .* {ANSWER_BYTES}( bytes)?$"):
            asyncio.run(fetched(answer, timeout_ms=20_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * ANSWER_BYTES, peak
    assert time.monotonic() - began < 20


def test_a_dripping_answer_ends_with_the_time_of_the_request() -> None:
    began = time.monotonic()
    with pytest.raises(ccxt.RequestTimeout):
        asyncio.run(fetched(drip, timeout_ms=500))
    assert time.monotonic() - began < 8


@pytest.mark.parametrize("charset", ["punycode", "idna", "utf-16", "no-such"])
def test_an_answer_is_utf_8_whatever_it_names(charset: str) -> None:
    """Decoding 200 kB of punycode takes seconds, during which nothing else is done."""
    body = b'{"a":"' + b"a" * 1000 + "é".encode() + b"b" * 200_000 + b'-zzzzzzzz"}'

    async def named(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Type": f"application/json; charset={charset}"})

    began = time.process_time()
    assert asyncio.run(fetched(named))["a"].startswith("aaa")
    assert time.process_time() - began < 1.5


def test_the_markets_may_be_large() -> None:
    """What an exchange lists is more than what it says of orders."""
    large = json.dumps([{"symbol": f"A{n}", "filters": "x" * 200} for n in range(60_000)]).encode()
    assert ANSWER_BYTES < len(large) < MARKETS_BYTES

    async def plain(request: web.Request) -> web.StreamResponse:
        return web.Response(body=large, content_type="application/json")

    async def packed(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        return web.Response(body=gzip.compress(large, 1), headers=headers)

    for answer in (plain, packed):
        assert len(asyncio.run(fetched(answer, most=MARKETS_BYTES))) == 60_000
        with pytest.raises(ccxt.BadResponse):
            asyncio.run(fetched(answer))


@pytest.mark.parametrize("exchange", ["binance", "okx", "bybit", "kraken"])
def test_an_order_with_such_an_answer_is_unknown(exchange: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Place and cancel are ambiguous, a query is an error, and the connector answers the next one."""

    def much(request: web.Request) -> web.Response:
        return web.Response(body=b"[" + b'{"a":1},' * (ANSWER_BYTES // 8) + b"{}]", content_type="application/json")

    async def body(venue: CcxtVenue, server: Server) -> None:
        server.say = {**BEFORE.get(exchange, {}), "/": much}
        answer = await outcome(venue.place(order()))
        assert type(answer) is Ambiguous and answer.code == "AnswerTooLarge", answer
        venue.tracker.drop(OURS)
        assert isinstance(await outcome(venue._look_up(question())), VenueError)
        answer = await outcome(venue.cancel(CancelChild(venue_cl_ord_id=OURS, symbol=SYMBOL, venue_order_id="987654321")))
        assert isinstance(answer, Ambiguous), answer

    scene(exchange, body, monkeypatch)


async def _streamed(send: Callable[[web.WebSocketResponse], Awaitable[None]], exchange_id: str) -> tuple[list[Any], list[str]]:
    """What of a stream's messages comes to the tap, and why it was lost."""
    seen, lost = list[Any](), list[str]()

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        try:
            await send(socket)
            async for message in socket:
                if message.type == WSMsgType.CLOSE:
                    break
        except ConnectionError:
            pass
        return socket

    async with serving(handle) as host:
        exchange = bare(exchange_id)

        def tap(client: Any, message: Any) -> bool:
            seen.append(message)
            return True

        exchange.fixgw.tap, exchange.fixgw.lost = tap, lambda url, reason: lost.append(reason)
        try:
            with pytest.raises(ccxt.NetworkError):
                await asyncio.wait_for(exchange.watch(f"ws://{host}/ws", "x", {}, "x"), 20)
        finally:
            await exchange.close()
    return seen, lost


@pytest.mark.parametrize(
    ("exchange", "kind"), [("binance", "plain"), ("kraken", "deflate"), ("htx", "gzip"), ("bingx", "members")]
)
def test_a_message_of_a_stream_without_end_ends_the_connection(exchange: str, kind: str) -> None:
    """Plain, packed by the protocol, or packed by itself: the one before it is read, and the connection is lost."""
    packed = kind in ("gzip", "members")

    async def send(socket: web.WebSocketResponse) -> None:
        small = b'{"small":1}'
        await (socket.send_bytes(gzip.compress(small)) if packed else socket.send_str(small.decode()))
        if kind == "plain":
            await socket.send_str("x" * (MESSAGE_BYTES + 1))
        elif kind == "deflate":
            await socket.send_str("x" * (200 * MB), compress=15)
        else:
            block = gzip.compress(b"x" * (200 * MB if kind == "gzip" else 10), 1)
            await socket.send_bytes(block if kind == "gzip" else block * 100_000)

    tracemalloc.start()
    try:
        seen, lost = asyncio.run(_streamed(send, exchange))
        current = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert seen == [{"small": 1}] and len(lost) >= 1
    assert current < 50 * MB


@pytest.mark.parametrize("said", ["inf", "1e308", "nan", "999999999", "-5"])
def test_a_handshake_that_is_refused_for_ever_is_tried_again(said: str) -> None:
    """ccxt takes any float of Retry-After here: it fails on "inf", and waits for a million years otherwise."""

    async def main() -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            return web.Response(status=429, headers={"Retry-After": said})

        async with serving(handle) as host:
            exchange = bare()
            try:
                with pytest.raises(ccxt.NetworkError):
                    await asyncio.wait_for(exchange.watch(f"ws://{host}/ws", "x", {}, "x"), 20)
                assert 0 < exchange.ws_dial_delay(f"ws://{host}/ws") <= 11
            finally:
                await exchange.close()

    asyncio.run(main())


def test_a_venue_that_is_down_for_a_ban_says_so(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `fixgw status` shows as the reason is the ban, not the connection that it ended."""
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", "demo-secret-of-the-test")

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        told, forbidden = list[tuple[bool, str]](), asyncio.Event()

        def link(up: bool, reason: str = "") -> None:
            told.append((up, reason))
            if "wants no request" in reason:
                forbidden.set()

        monkeypatch.setattr(sink, "link", link)
        fault(server, "reply_418", params={"retry_after": 120})
        for client in list(venue._exchange.clients.values()):
            client.on_error(ccxt.NetworkError("cut"))
        await asyncio.wait_for(forbidden.wait(), 30)
        up, reason = told[-1]
        assert not up and reason.startswith("the venue wants no request until 20") and reason.endswith("UTC")
        await asyncio.sleep(1.0)
        assert len(told) <= 2, told

    run_venue(tmp_path, True, body, file={"down_grace_ms": 200})
