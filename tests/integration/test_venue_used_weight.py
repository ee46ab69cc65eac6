"""The venue's count of request weight: the real connector (unmodified ccxt) against the simulator, over REST and WebSocket."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal as D
from pathlib import Path

import pytest
from venue_rig import SECRET, Sink, placed, run_venue

from fixgw.sim.binance import SimServer
from fixgw.sim.limits import parse_limits
from fixgw.venues.base import DefiniteReject, NeverSent
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.limiter import Priority
from fixgw.venues.wire import CancelChild, PlaceChild

SIM = parse_limits("binance")


@pytest.mark.parametrize("ws", [False, True])
def test_what_others_at_the_address_use_is_not_ours_to_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ws: bool) -> None:
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        second = time.time() % 60
        if not 3 < second < 52:  # what is told in the first seconds of a minute is not used, and the minute must last
            await asyncio.sleep((63.2 - second) % 60)
        limiter = venue.hooks.limiter
        assert limiter.burst == 1500
        await placed(venue, "OURS1")
        assert limiter.take(1, Priority.PLACE)
        # somebody else, or this host before it was restarted
        server.sim.limiter.charge(5900 - server.sim.limiter._weight[1], time.time_ns())
        await placed(venue, "OURS2")  # its answer tells
        assert not limiter.take(1, Priority.PLACE) and limiter._tokens > 1000
        with pytest.raises(NeverSent):
            await venue.place(
                PlaceChild(
                    venue_cl_ord_id="MORE", symbol="BTC/USDT", side="1", ord_type="2", tif="1", qty=D("0.5"), px=D(50000),
                    expires_ns=time.time_ns() + 200_000_000,
                )
            )
        async with asyncio.timeout(5):  # a cancel may
            for name in ("OURS1", "OURS2"):
                await venue.cancel(CancelChild(venue_cl_ord_id=name, symbol="BTC/USDT"))
        assert server.sim.limiter.refused == 0 and len(server.sim.engine.orders) == 2

    run_venue(tmp_path, ws, body, limits=SIM)


def test_a_refusal_tells_the_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a venue that takes less than the connector's default is asked for no more than that."""
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        assert venue.hooks.limiter.burst == 300
        told: list[float] = []
        monkeypatch.setattr(venue.hooks.limiter, "told", lambda used, minute, left_s: told.append(used))
        with pytest.raises(DefiniteReject, match="-2011"):
            await venue.cancel(CancelChild(venue_cl_ord_id="LOST1", symbol="BTC/USDT"))
        assert told == [server.sim.limiter._weight[1]]

    run_venue(tmp_path, False, body, limits=parse_limits("weight=1200"))
