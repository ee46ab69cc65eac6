"""An end that an answer tells, whose trades neither the answer nor the stream brings: they are fetched, at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from venue_rig import SECRET, Sink, fault, run_venue

from fixgw.core.commands import VenueTrade
from fixgw.sim.binance import SimServer
from fixgw.venues.base import Done
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.wire import PlaceChild

# the sweep comes after 30 s
SOON_S = 15.0


@pytest.mark.parametrize("ws", [True, False])
def test_a_place_that_fills_without_showing_its_trades(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ws: bool
) -> None:
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        nothing: Callable[..., tuple[VenueTrade, ...]] = lambda order, our_id: ()  # noqa: E731  as newOrderRespType=RESULT
        monkeypatch.setattr(venue._dialect, "instant_trades", nothing)
        fault(server, "ws_missing", count=10, match={"event": "executionReport"})
        order = PlaceChild(
            venue_cl_ord_id="OURS1", symbol="BTC/USDT", side="1", ord_type="2", tif="1", qty=D("0.01"), px=D("70000")
        )
        placed = await venue.place(order)
        assert placed.done is None, "an end without its trades would hide them"
        await asyncio.wait_for(sink.ended.wait(), SOON_S)
        trades: list[Any] = [told for told in sink.told if isinstance(told, VenueTrade)]
        ends = [told for told in sink.told if isinstance(told, Done)]
        assert sum(trade.qty for trade in trades) == D("0.01") and len({t.venue_trade_id for t in trades}) == len(trades)
        assert sink.told.index(trades[-1]) < sink.told.index(ends[0])
        assert [(end.status, end.cum_qty) for end in ends] == [("filled", D("0.01"))]

    run_venue(tmp_path, ws, body)
