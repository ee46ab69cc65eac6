"""A socket of which nothing is heard any more ends, whatever the wall clock and ccxt's pings do."""

from __future__ import annotations

import asyncio
from typing import Any

import ccxt
import pytest

from fixgw.venues import socket_life
from fixgw.venues.ccxt_exchange import Hooks, make_exchange
from fixgw.venues.limiter import RateLimiter
from fixgw.venues.socket_life import SilentSockets, heard, heard_ns

SECOND = 1_000_000_000


class Client:
    keepAlive = 1000
    maxPingPongMisses = 2.0

    def __init__(self) -> None:
        self.errors: list[Any] = []

    def closed(self) -> bool:
        return False

    def on_error(self, error: Any) -> None:
        self.errors.append(error)


class Exchange:
    def __init__(self, *clients: Client) -> None:
        self.clients = dict(enumerate(clients))


def test_what_is_silent_at_two_looks_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = 100 * SECOND
    monkeypatch.setattr(socket_life.host_clock, "steady_ns", lambda: now_ns)
    dead, alive, slept, dialed = (Client() for _ in range(4))
    sockets = SilentSockets(Exchange(dead, alive, slept, dialed))
    for client in (dead, alive, slept):
        heard(client)
    assert heard_ns(dead) == now_ns and heard_ns(dialed) == 0
    now_ns += 4 * SECOND
    heard(alive)
    sockets.end()
    sockets.end()
    assert not dead.errors, "ccxt may still end it by its own pings"
    now_ns += 1
    sockets.end()
    assert not dead.errors, "what came while this process slept is not read yet"
    heard(slept)
    sockets.end()
    (error,) = dead.errors
    assert isinstance(error, ccxt.NetworkError) and "nothing was heard for 4.0 s" in str(error)
    assert not (alive.errors or slept.errors or dialed.errors)


def test_a_late_word_of_a_socket_is_no_end_of_the_one_in_its_place() -> None:
    async def run() -> None:
        hooks, lost = Hooks(RateLimiter(6000, 100), 1.0, 1000), []
        hooks.lost = lambda url, reason: lost.append(url)
        exchange = make_exchange("binance", {}, hooks)
        url = "ws://127.0.0.1:1/ws"
        old = exchange.client(url)
        exchange.on_close(old, 1006)
        assert lost == [url] and url not in exchange.clients
        new = exchange.client(url)
        exchange.on_close(old, 1006)
        old.on_error(ccxt.NetworkError("late"))
        assert lost == [url] and exchange.clients == {url: new}
        new.on_error(ccxt.NetworkError("now"))
        assert lost == [url, url] and not exchange.clients

    asyncio.run(run())
