"""A cancel of an order that has not left the venue host yet: it never leaves, and is answered at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal as D
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from venue_rig import SECRET, Sink, in_process, run_venue, settled, until

from fixgw.core import commands as c
from fixgw.sim.binance import SimServer
from fixgw.venues.base import NeverSent, Placed
from fixgw.venues.ccxt_exchange import Call
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.fake_gateway import FakeGateway
from fixgw.venues.host import VenueHost
from fixgw.venues.order_rate import Limit
from fixgw.venues.wire import CancelChild, PlaceChild

# a slot or the venue is waited for so long, a word from the host comes at once
LONG_S = 30.0
LONG_NS = int(LONG_S * 1e9)


def order(name: str, within_s: float = 0.0) -> PlaceChild:
    return PlaceChild(
        venue_cl_ord_id=name, symbol="BTC/USDT", side="1", ord_type="2", tif="1", qty=D("0.01"), px=D("50000"),
        expires_ns=time.time_ns() + int(within_s * 1e9) if within_s else 0,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)


@pytest.fixture(params=["rest", "ws"])
def go(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., None]:
    return partial(run_venue, tmp_path, request.param == "ws")


async def is_withdrawn(venue: CcxtVenue, placing: asyncio.Future[Placed], name: str) -> None:
    began = time.monotonic()
    assert venue.withdraw(name) and venue.withdraw(name)
    with pytest.raises(NeverSent, match="WITHDRAWN"):
        await placing
    assert time.monotonic() - began < LONG_S / 3
    assert not venue.withdraw(name) and venue.tracker.get(name) is None


async def never_came(server: SimServer, venue: CcxtVenue) -> None:
    """Nothing that was withdrawn is at the venue, not even when all that was under way has run to its end."""
    for _ in range(20):
        await asyncio.sleep(0.005)
    await venue.balances()  # the venue has read what came before it
    assert not server.sim.engine.orders
    assert venue.hooks.order_rate._held == 0


def test_one_that_waits_for_a_slot(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        rate = venue.hooks.order_rate
        rate.learn([Limit(1, LONG_NS)])
        slot = rate.take()
        assert slot is not None
        first, second = (asyncio.ensure_future(venue.place(order(name, 3 * LONG_S))) for name in ("W1", "W2"))
        await asyncio.sleep(0.05)
        assert rate.waiting == 2
        await is_withdrawn(venue, first, "W1")
        assert rate.waiting == 1
        slot.give_back()
        async with asyncio.timeout(LONG_S / 3):  # the slot that the first would have had
            await second
        assert len(server.sim.engine.orders) == 1

    go(body)


def test_one_whose_slot_comes_in_the_same_moment(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        rate = venue.hooks.order_rate
        rate.learn([Limit(1, LONG_NS)])
        slot = rate.take()
        assert slot is not None
        placing = asyncio.ensure_future(venue.place(order("W1", 2 * LONG_S)))
        await asyncio.sleep(0.05)
        slot.give_back()  # handed on
        assert rate._held == 1 and rate.waiting == 0
        await is_withdrawn(venue, placing, "W1")
        await never_came(server, venue)
        assert await venue.place(order("W2")), "the slot is free again"

    go(body)


def test_one_that_waits_for_weight(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        limiter = venue.hooks.limiter
        limiter.freeze(LONG_S)
        placing = asyncio.ensure_future(venue.place(order("W1", 2 * LONG_S)))
        await asyncio.sleep(0.05)
        assert limiter.waiting
        waiting = limiter.waiting
        await is_withdrawn(venue, placing, "W1")
        await asyncio.sleep(0)
        assert limiter.waiting == waiting - 1
        limiter._frozen_until = 0.0
        await never_came(server, venue)

    go(body)


def test_one_that_is_being_signed(go: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """And what ccxt does for it in tasks of its own comes to nothing: a frame of the WebSocket API leaves from one."""

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        exchange, said = venue._exchange, []

        def during(method: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(*how: Any, **named: Any) -> Any:
                result = method(*how, **named)
                if not said:
                    said.append(venue.withdraw("W1"))
                return result

            return wrapped

        monkeypatch.setattr(exchange, "sign", during(exchange.sign))
        monkeypatch.setattr(exchange, "watch", during(exchange.watch))
        with pytest.raises(NeverSent, match="WITHDRAWN"):
            await venue.place(order("W1"))
        assert said == [True]
        await never_came(server, venue)

    go(body)


def test_one_that_leaves_is_not_withdrawn(go: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        leaving, said = Call.leaving, []

        def left(call: Call) -> None:
            leaving(call)
            said.append(venue.withdraw("W1"))

        monkeypatch.setattr(Call, "leaving", left)
        await venue.place(order("W1"))
        assert said == [False] and len(server.sim.engine.orders) == 1

    go(body)


def test_a_host_that_stops_is_no_cancel(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        venue.hooks.order_rate.learn([Limit(1, LONG_NS)])
        slot = venue.hooks.order_rate.take()
        placing = asyncio.ensure_future(venue.place(order("W1", 2 * LONG_S)))
        await asyncio.sleep(0.02)
        placing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await placing
        assert slot is not None and not venue._placing

    go(body)


# --- the host's words ---


class Waiting:
    """A venue's place that waits, and whether a cancel still finds it."""

    def __init__(self, venue: Any) -> None:
        self.places: dict[str, asyncio.Future[Placed]] = {}
        self.cancels: list[str] = []
        self.leaves = True
        venue.place, venue.withdraw, venue.cancel = self.place, self.withdraw, self.cancel

    async def place(self, message: PlaceChild) -> Placed:
        future = self.places[message.venue_cl_ord_id] = asyncio.get_running_loop().create_future()
        return await future

    def withdraw(self, our_id: str) -> bool:
        if self.leaves:
            self.places[our_id].set_exception(NeverSent("WITHDRAWN", "it was canceled"))
        return self.leaves

    async def cancel(self, message: CancelChild) -> None:
        self.cancels.append(message.venue_cl_ord_id)


def with_host(tmp_path: Path, body: Callable[[FakeGateway, VenueHost, Waiting], Awaitable[None]]) -> None:
    async def within(gate: FakeGateway, host: VenueHost) -> None:
        await body(gate, host, Waiting(host._venue))
        await settled(host)

    in_process(tmp_path, within)


@pytest.mark.parametrize("together", [True, False])
def test_one_word_answers_both(tmp_path: Path, together: bool) -> None:
    """`together`: place and cancel are read at once, before the place has begun."""

    async def body(gate: FakeGateway, host: VenueHost, venue: Waiting) -> None:
        if together:
            host._receive(order("A"))
        else:
            gate.send(order("A"))
            await until(lambda: venue.places)
        cancel = CancelChild(venue_cl_ord_id="A", symbol="BTC/USDT")
        host._receive(cancel)
        host._receive(cancel)  # a second one says no more
        word = await gate.answer("A", c.ChildReject)
        assert (word.code, word.sent, word.withdrawn) == ("WITHDRAWN", False, True)
        await until(lambda: not host._tasks)
        assert gate.of("A") == [word] and not venue.cancels
        assert bool(venue.places) is not together

    with_host(tmp_path, body)


def test_a_place_that_has_left_is_canceled_at_the_venue(tmp_path: Path) -> None:
    async def body(gate: FakeGateway, host: VenueHost, venue: Waiting) -> None:
        venue.leaves = False
        gate.send(order("A"))
        await until(lambda: venue.places)
        gate.send(CancelChild(venue_cl_ord_id="A", symbol="BTC/USDT"))
        await until(lambda: "A" in host._chains.cancels)
        assert not venue.cancels
        venue.places["A"].set_result(Placed("1"))
        await until(lambda: venue.cancels == ["A"])
        assert [type(word) for word in gate.of("A")] == [c.ChildAck]

    with_host(tmp_path, body)


def test_a_refusal_while_the_cancel_waits_is_no_withdrawal(tmp_path: Path) -> None:
    """Nothing is asked of the venue for it either."""

    async def body(gate: FakeGateway, host: VenueHost, venue: Waiting) -> None:
        venue.leaves = False
        gate.send(order("A"))
        await until(lambda: venue.places)
        gate.send(CancelChild(venue_cl_ord_id="A", symbol="BTC/USDT"))
        await until(lambda: "A" in host._chains.cancels)
        venue.places["A"].set_exception(NeverSent("NOT_CONNECTED", "no connection"))
        word = await gate.answer("A", c.ChildReject)
        assert (word.sent, word.withdrawn) == (False, False)
        await until(lambda: not host._tasks)
        assert not venue.cancels

    with_host(tmp_path, body)


def test_a_second_place_of_one_id_is_never_withdrawn_for_the_first(tmp_path: Path) -> None:
    async def body(gate: FakeGateway, host: VenueHost, venue: Waiting) -> None:
        venue.leaves = False
        host._receive(order("A"))
        await until(lambda: venue.places)
        host._receive(order("A"))
        host._receive(CancelChild(venue_cl_ord_id="A", symbol="BTC/USDT"))
        first = venue.places.pop("A")
        first.set_result(Placed("1"))
        await until(lambda: venue.places)  # it goes on to the venue, which knows the id
        venue.places["A"].set_result(Placed("1"))
        await until(lambda: venue.cancels)
        await gate.answer("A", c.ChildAck, after=1)
        assert not any(isinstance(word, c.ChildReject) for word in gate.of("A"))

    with_host(tmp_path, body)
