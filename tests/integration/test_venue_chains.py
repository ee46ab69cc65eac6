"""What waits for what of one order in the venue host, while an answer hangs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from venue_rig import SECRET, Sink, fault, in_process, placed, run_venue, settled, until

from fixgw.core import commands as c
from fixgw.sim.binance import SimServer
from fixgw.venues.base import Ambiguous, Done, Placed, Queried
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.fake_gateway import FakeGateway
from fixgw.venues.host import VenueHost
from fixgw.venues.wire import CancelChild, PlaceChild, QueryChild, Reconcile

PLACE = PlaceChild(venue_cl_ord_id="A", symbol="BTC/USDT", side="1", ord_type="2", tif="1", qty=D(1), px=D(100))
CANCEL = CancelChild(venue_cl_ord_id="A", symbol="BTC/USDT")
QUERY = QueryChild(venue_cl_ord_id="A", symbol="BTC/USDT")
TRADE = c.VenueTrade(
    account="", symbol="BTC/USDT", venue_cl_ord_id="A", venue_order_id="1", venue_trade_id="1", side="1", qty=D("0.5"),
    px=D(100), fee=D(0), fee_asset="", liquidity="1", venue_ns=1,
)  # fmt: skip
OPEN = c.OpenOrder(venue_cl_ord_id="A", venue_order_id="1", symbol="BTC/USDT", side="1", qty=D(1), cum_qty=D(0), px=D(100))


class Slow:
    """The venue's requests: each is noted as it leaves, and answered when the test says so."""

    def __init__(self, venue: Any) -> None:
        self.left: list[str] = []
        self.answers: dict[str, asyncio.Future[Any]] = {}
        self.news = asyncio.Event()
        for name in ("place", "cancel", "query"):
            self.answers[name] = asyncio.get_running_loop().create_future()
            setattr(venue, name, self._request(name))

        async def open_orders(symbols: tuple[str, ...], everything: bool = False) -> tuple[c.OpenOrder, ...]:
            return (OPEN,)

        venue.open_orders = open_orders

    def _request(self, name: str) -> Callable[[Any], Awaitable[Any]]:
        async def request(message: Any) -> Any:
            self.left.append(name)
            self.news.set()
            return await asyncio.shield(self.answers[name])

        return request

    async def has_left(self, *names: str) -> None:
        async with asyncio.timeout(20):
            while sorted(self.left) != sorted(names):
                self.news.clear()
                await self.news.wait()


def with_host(tmp_path: Path, body: Callable[[FakeGateway, VenueHost, Slow], Awaitable[None]]) -> None:
    async def within(gate: FakeGateway, host: VenueHost) -> None:
        slow = Slow(host._venue)
        await body(gate, host, slow)
        for answer in slow.answers.values():
            if not answer.done():
                answer.set_exception(Ambiguous("TIMEOUT", "no answer in time"))
                answer.exception()  # seen: nobody may have asked for it
        await settled(host)

    in_process(tmp_path, within)


async def _place_then_cancel(gate: FakeGateway, host: VenueHost, slow: Slow) -> None:
    """The place has left; the cancel is in the host and waits."""
    gate.send(PLACE)
    await slow.has_left("place")
    gate.send(CANCEL)
    await until(lambda: "A" in host._chains.cancels)
    await asyncio.sleep(0.05)
    assert slow.left == ["place"], "the cancel left before the venue was known to have the order"


@pytest.mark.parametrize("word", ["ack", "trade", "done", "listed"])
def test_any_word_of_the_order_lets_its_cancel_go(tmp_path: Path, word: str) -> None:
    async def body(gate: FakeGateway, host: VenueHost, slow: Slow) -> None:
        await _place_then_cancel(gate, host, slow)
        if word == "ack":
            host.ack("B", "2")  # of another order
            await asyncio.sleep(0.05)
            assert slow.left == ["place"]
            host.ack("A", "1")
        elif word == "trade":
            host.trade(TRADE)
        elif word == "done":
            host.done(Done("A", "1", "filled", D(1)))
        else:
            gate.send(Reconcile(since_ns=time.time_ns(), symbols=("BTC/USDT",)))
        await slow.has_left("place", "cancel")
        gate.send(QUERY)  # behind the cancel
        await asyncio.sleep(0.05)
        assert slow.left == ["place", "cancel"]
        slow.answers["cancel"].set_result(Done("A", "1", "canceled", D(0)))
        await slow.has_left("place", "cancel", "query")
        slow.answers["place"].set_result(Placed("1", told=True))
        slow.answers["query"].set_result(Queried("canceled", time.time_ns(), "1", D(0), (), True))

    with_host(tmp_path, body)


@pytest.mark.parametrize("settled", ["placed", "no answer"])
def test_without_a_word_the_cancel_waits_for_the_places_end(tmp_path: Path, settled: str) -> None:
    async def body(gate: FakeGateway, host: VenueHost, slow: Slow) -> None:
        await _place_then_cancel(gate, host, slow)
        if settled == "placed":
            slow.answers["place"].set_result(Placed("1"))
        else:
            slow.answers["place"].set_exception(Ambiguous("TIMEOUT", "no answer in time"))
        await slow.has_left("place", "cancel")

    with_host(tmp_path, body)


def test_a_cancel_does_not_wait_for_a_query_that_hangs(tmp_path: Path) -> None:
    async def body(gate: FakeGateway, host: VenueHost, slow: Slow) -> None:
        gate.send(QUERY)
        await slow.has_left("query")
        gate.send(CANCEL)
        await slow.has_left("query", "cancel")
        gate.send(CANCEL)  # but for an earlier cancel
        await asyncio.sleep(0.05)
        assert slow.left == ["query", "cancel"]

    with_host(tmp_path, body)


def test_a_place_that_hangs_is_seen_in_the_list_of_open_orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the stream is silent (or there is none) a sweep shows the order; its place's late end is nothing new."""
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)
    acks: list[str] = []
    monkeypatch.setattr(Sink, "ack", lambda self, our_id, order_id: acks.append(our_id))

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        fault(server, "ws_missing", count=100, match={"event": "executionReport"})
        fault(server, "hang", count=1, match={"op": "order.place"})
        placing = asyncio.ensure_future(placed(venue))
        await until(lambda: server.sim.engine.orders)
        monkeypatch.setattr("fixgw.venues.ccxt_venue._HANGS_NS", 10**12)
        await venue.sweep()
        assert not acks, "a place that is just under way is not looked for"
        monkeypatch.setattr("fixgw.venues.ccxt_venue._HANGS_NS", 0)
        await venue.sweep()
        assert acks == ["OURS1"] and not placing.done()
        done = await venue.cancel(CancelChild(venue_cl_ord_id="OURS1", symbol="BTC/USDT"))
        assert done is not None and done.status == "canceled" and not placing.done()
        order_id = await placing  # no Ambiguous: the order is known
        assert order_id == done.venue_order_id and acks == ["OURS1"]

    run_venue(tmp_path, False, body, file={"request_timeout_ms": 4000})
