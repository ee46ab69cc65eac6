"""The venue's limit of new orders: the real connector (unmodified ccxt) against the simulator, over REST and WebSocket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal as D
from functools import partial
from pathlib import Path

import pytest
from sim_client import within_a_window
from venue_rig import SECRET, Sink, run_venue

from fixgw.sim.binance import SimServer
from fixgw.sim.limits import parse_limits
from fixgw.venues.base import DefiniteReject, Done, NeverSent, Placed
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.order_rate import Limit
from fixgw.venues.wire import AmendChild, CancelChild, PlaceChild

LIMIT = 8
TEN_NS = 10_000_000_000
DAY_NS = 86_400_000_000_000
SIM = parse_limits(f"orders10s={LIMIT}")


@pytest.fixture(params=["rest", "ws"])
def go(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """run_venue over REST and over the WebSocket API, with a venue that takes LIMIT orders in 10 s."""
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)
    return partial(run_venue, tmp_path, request.param == "ws", limits=SIM)


async def place(venue: CcxtVenue, name: str, within_s: float = 0.0) -> Placed:
    """`within_s`: until its deadline; 0: it has none."""
    order = PlaceChild(
        venue_cl_ord_id=name, symbol="BTC/USDT", side="1", ord_type="2", tif="1", qty=D("0.01"), px=D("50000"),
        expires_ns=time.time_ns() + int(within_s * 1e9) if within_s else 0,
    )  # fmt: skip
    return await venue.place(order)


async def cancelled(venue: CcxtVenue, sink: Sink, name: str) -> bool:
    done = await venue.cancel(CancelChild(venue_cl_ord_id=name, symbol="BTC/USDT"))
    ends = [done] if done else [item for item in sink.told if isinstance(item, Done) and item.venue_cl_ord_id == name]
    return [end.status for end in ends] == ["canceled"]


def use_up(server: SimServer, orders: int) -> None:
    """Somebody else on the account places so many."""
    for _ in range(orders):
        server.sim.limiter.charge_order("demo", time.time_ns())


def test_a_burst_of_twice_the_limit(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        assert venue.hooks.order_rate.limits == (Limit(LIMIT, TEN_NS), Limit(SIM.orders_1d, DAY_NS))
        began = time.monotonic()
        names = [f"BURST{number}" for number in range(2 * LIMIT)]
        results = await asyncio.gather(*(place(venue, name, 6.0) for name in names), return_exceptions=True)
        assert time.monotonic() - began < 5, "none waited for nothing"
        for name, result in zip(names, results, strict=True):
            if name in names[:LIMIT]:
                assert isinstance(result, Placed), (name, result)
            else:
                assert isinstance(result, NeverSent) and result.code == "RATE_LIMITED", (name, result)
                assert f"the venue takes {LIMIT} orders in 10 s: the next could leave in" in result.text
        for name in names[:LIMIT]:
            async with asyncio.timeout(5):
                assert await cancelled(venue, sink, name)
        assert server.sim.limiter.refused == 0

    go(body)


def test_an_order_that_can_wait_goes_when_there_is_a_slot(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        venue.hooks.order_rate.learn([Limit(2, 2_500_000_000)])  # and 0.5 s of margin
        began = time.monotonic()
        placing = [asyncio.ensure_future(place(venue, f"WAIT{number}", 20.0 if number < 3 else 0.0)) for number in range(4)]
        await asyncio.gather(*placing[:2])
        async with asyncio.timeout(2.5):  # while two orders wait
            assert await cancelled(venue, sink, "WAIT0")
        assert not placing[2].done()
        await asyncio.gather(*placing)
        assert time.monotonic() - began > 2.9
        assert len(server.sim.engine.orders) == 4

    go(body, file={"request_timeout_ms": 6000})  # so long waits who has no deadline


def test_an_amend_counts_nothing(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        for number in range(LIMIT):
            await place(venue, f"FULL{number}")
        with pytest.raises(NeverSent, match="RATE_LIMITED"):
            await place(venue, "MORE", 1.0)
        async with asyncio.timeout(5):
            await venue.amend(AmendChild(venue_cl_ord_id="FULL0", symbol="BTC/USDT", qty=D("0.005")))
        assert server.sim.limiter.refused == 0

    go(body)


def test_a_refusal_for_the_number_of_orders_holds_up_no_cancel(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        await place(venue, "OURS1")
        await within_a_window(10, 5)
        use_up(server, LIMIT)
        refusals = server.sim.limiter.refused
        with pytest.raises(DefiniteReject) as refused:
            await place(venue, "MORE1")
        assert refused.value.code == "-1015" and refused.value.rate_limited
        began = time.monotonic()
        assert venue.hooks.limiter.frozen_s() == 0
        with pytest.raises(NeverSent, match="RATE_LIMITED: the venue takes no new order for now"):
            await place(venue, "MORE2", 1.0)
        await venue.balances()
        assert await cancelled(venue, sink, "OURS1")
        assert time.monotonic() - began < 4
        assert server.sim.limiter.refused == refusals + 1

    go(body)


def test_orders_of_others_on_the_account_count_once_the_venue_tells(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        await within_a_window(10, 5)
        use_up(server, LIMIT - 2)
        results = [await asyncio.gather(place(venue, f"MINE{number}", 1.0), return_exceptions=True) for number in range(4)]
        kinds = [type(result) for (result,) in results]
        assert kinds == [Placed, Placed, NeverSent, NeverSent], results
        assert server.sim.limiter.refused == 0

    go(body)


@pytest.mark.parametrize(("own", "expected"), [(3, 3), (1000, 1000)])
def test_the_venue_files_own_limit_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: int, expected: int
) -> None:
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        assert venue.hooks.order_rate.limits == (Limit(expected, TEN_NS), Limit(SIM.orders_1d, DAY_NS))

    run_venue(tmp_path, True, body, limits=SIM, file={"max_orders_per_10s": own})
