"""The connector and a venue that says once what is not so: ends of orders that work, refusals of orders that it took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from venue_rig import SECRET, Sink, fault, placed, run_venue

from fixgw.core.commands import VenueTrade
from fixgw.sim.binance import SimServer
from fixgw.venues.base import DefiniteReject, Done
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.wire import CancelChild, PlaceChild, QueryChild

CANCEL = CancelChild(venue_cl_ord_id="OURS1", symbol="BTC/USDT")


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)


async def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(("status", "executed"), [("FILLED", "99999"), ("FILLED", "0"), ("CANCELED", "0.3")])
def test_an_order_that_is_shown_open_after_its_end_is_followed_on(tmp_path: Path, status: str, executed: str) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        order_id = await placed(venue)
        match = {"event": "executionReport", "execution": "TRADE"}
        fault(server, "ws_wrong_end", match=match, params={"status": status, "executed": executed})
        server.sim.commit(server.sim.engine.fill_resting(int(order_id), D("0.1"), time.time_ns()), "BTCUSDT", time.time_ns())
        await sink.ended.wait()
        tracked = venue.tracker.get("OURS1")
        assert tracked is not None
        if executed == "0":  # nothing is missing, so that only the gateway asks
            assert (await venue.query(QueryChild(venue_cl_ord_id="OURS1", symbol="BTC/USDT", qty=D("0.5")))).outcome == "open"
        await until(lambda: tracked.open, "it is followed no longer")
        assert [t.venue_cl_ord_id for t in venue.tracker.open_orders()] == ["OURS1"]
        end = await venue.cancel(CANCEL)
        ends: list[Any] = [told for told in (*sink.told, end) if isinstance(told, Done)]
        assert (ends[-1].status, ends[-1].cum_qty) == ("canceled", D("0.1"))

    run_venue(tmp_path, True, body)


@pytest.mark.parametrize(("status", "executed", "told"), [("FILLED", "0", "filled"), ("FILLED", "0.2", "filled")])
def test_filled_is_handed_on_as_it_is_told(tmp_path: Path, status: str, executed: str, told: str) -> None:
    """Not as "canceled", which would be an end: it is the gateway that judges."""

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        await placed(venue)
        fault(server, "wrong_end", match={"op": "order.status"}, params={"status": status, "executed": executed})
        question = QueryChild(venue_cl_ord_id="OURS1", symbol="BTC/USDT", qty=D("0.5"))
        found = await venue.query(question)
        assert (found.outcome, found.cum_qty) == (told, D(executed))
        assert (await venue.query(question)).outcome == "open"
        assert venue.tracker.open_orders()

    run_venue(tmp_path, False, body)


def test_an_order_that_was_refused_and_is_open_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        shown: list[str] = []
        sink.ack = lambda our_id, order_id: shown.append(our_id)  # type: ignore[method-assign]
        create = venue._dialect.create

        async def refused(order: PlaceChild) -> dict[str, Any]:
            await create(order)
            raise DefiniteReject("-2010", "told to be refused")

        monkeypatch.setattr(venue._dialect, "create", refused)
        fault(server, "ws_missing", count=10, match={"event": "executionReport"})
        with pytest.raises(DefiniteReject):
            await placed(venue)
        await venue.sweep()
        assert shown == ["OURS1"]
        await venue.sweep()
        assert shown == ["OURS1"], "told once"

    run_venue(tmp_path, False, body)


def test_the_right_trade_after_an_impossible_one(tmp_path: Path) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        order_id = await placed(venue)

        def trade(qty: str) -> VenueTrade:
            return VenueTrade(
                account="main", symbol="BTC/USDT", venue_cl_ord_id="OURS1", venue_order_id=order_id, venue_trade_id="7",
                side="1", qty=D(qty), px=D(50000),
            )  # fmt: skip

        for qty in ("99999", "0.2", "0.2", "99999"):
            venue.on_trade(trade(qty))
        assert [told.qty for told in sink.told] == [D(99999), D("0.2"), D(99999)]
        tracked = venue.tracker.get("OURS1")
        assert tracked is not None and tracked.cum_qty == D("0.2"), "a false figure would hide trades that are missing"

    run_venue(tmp_path, False, body)
