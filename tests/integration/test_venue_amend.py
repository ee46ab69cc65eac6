"""Amends of the real connector (unmodified ccxt) against the simulator in this process, over REST and the WebSocket API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal as D
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from venue_rig import SECRET, Sink, fault, placed, run_venue

from fixgw.sim import api
from fixgw.sim.binance import SimServer
from fixgw.venues.base import Ambiguous, DefiniteReject, Done, NeverSent
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.limiter import Priority
from fixgw.venues.wire import AmendChild


@pytest.fixture(params=["rest", "ws"])
def go(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """run_venue over REST and over the WebSocket API."""
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)
    return partial(run_venue, tmp_path, request.param == "ws")


def to(qty: str, our_id: str = "OURS1") -> AmendChild:
    return AmendChild(venue_cl_ord_id=our_id, symbol="BTC/USDT", qty=D(qty))


def test_it_is_signed_weighed_and_followed(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        order_id = int(await placed(venue))
        limiter, asked = venue.hooks.limiter, list[tuple[float, Priority]]()
        real = limiter.acquire

        async def acquire(weight: float, priority: Priority) -> None:
            asked.append((weight, priority))
            await real(weight, priority)

        limiter.acquire = acquire  # type: ignore[method-assign]
        await venue.amend(to("0.30"))
        assert [weight for weight, priority in asked if priority == Priority.PLACE] == [4.0]
        assert api.BY_NAME["order.amend.keepPriority"].weight == 4
        order = server.sim.engine.orders[order_id]
        assert (order.qty, order.cl_ord_id, order.amends) == (D("0.3"), "OURS1", 1)
        tracked = venue.tracker.get("OURS1")
        assert tracked is not None and (tracked.qty, tracked.total, tracked.open) == (D("0.3"), D("0.3"), True)
        await venue.amend(to("0.2"))
        server.sim.commit(server.sim.engine.fill_resting(order_id, D("0.2"), time.time_ns()), "BTCUSDT", time.time_ns())
        await sink.ended.wait()
        assert [(t.venue_cl_ord_id, t.qty) for t in sink.told if not isinstance(t, Done)] == [("OURS1", D("0.2"))]
        assert sink.told[-1] == Done("OURS1", str(order_id), "filled", D("0.2"))

    go(body)


def test_refusals_are_definite_and_leave_no_trace(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        with pytest.raises(DefiniteReject, match="Unknown order") as unknown:
            await venue.amend(to("0.3", "NOBODY"))
        assert unknown.value.unknown_order and unknown.value.code == "-2038" and venue.tracker.get("NOBODY") is None
        await placed(venue)
        with pytest.raises(DefiniteReject, match="NOTIONAL"):
            await venue.amend(to("0.00009"))
        for qty in ("0.4", "0.3"):
            await venue.amend(to(qty))
        with pytest.raises(DefiniteReject, match="MAX_NUM_ORDER_AMENDS") as spent:
            await venue.amend(to("0.2"))
        assert (spent.value.code, spent.value.unknown_order) == ("-2038", False)
        with pytest.raises(NeverSent, match=r"expected at most 0\.3"):
            await venue.amend(to("0.4"))
        tracked = venue.tracker.get("OURS1")
        assert tracked is not None and tracked.total == D("0.3") and not tracked.amending

    go(body, max_amends=2)


def test_a_market_that_does_not_allow_it_is_not_asked(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        await placed(venue)
        fault(server, "drop_after", count=1, match={"op": "order.amend*"})
        with pytest.raises(NeverSent) as refusal:
            await venue.amend(to("0.3"))
        assert refusal.value.code == "UNSUPPORTED" and server.sim.faults.fired == {}

    go(body, amend_allowed=False)


def test_an_amend_that_happened_unheard_is_confirmed_by_the_next_one(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        order_id = int(await placed(venue))
        fault(server, "ws_missing", count=1, match={"execution": "REPLACED"})
        fault(server, "code_1007", count=1, match={"op": "order.amend*"})
        with pytest.raises(Ambiguous):
            await venue.amend(to("0.3"))
        fault(server, "http_5xx", count=1, match={"op": "order.status"})
        with pytest.raises(Ambiguous) as unsettled:  # "would change no state", and no word of the quantity
            await venue.amend(to("0.3"))
        assert unsettled.value.code == "AMEND_UNSETTLED"
        await venue.amend(to("0.3"))
        assert server.sim.engine.orders[order_id].amends == 1

    go(body)


def test_what_the_stream_has_shown_needs_no_answer(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        await placed(venue)
        fault(server, "hang", count=1, match={"op": "order.amend*"})
        await venue.amend(to("0.3"))
        tracked = venue.tracker.get("OURS1")
        assert tracked is not None and tracked.total == D("0.3")

    go(body)


def test_an_order_that_ends_with_its_amend(go: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Binance does not say what an amend to the executed quantity does; should it end the order, that is told."""

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        order_id = await placed(venue)
        real = server.sim.engine.amend

        def amend(*args: Any, **how: Any) -> Any:
            events = real(*args, **how)
            order = server.sim.engine.orders[int(order_id)]
            server.sim.engine.books["BTCUSDT"].remove(order)
            return [*events, server.sim.engine._end(order, "EXPIRED", time.time_ns())]

        monkeypatch.setattr(server.sim.engine, "amend", amend)
        await venue.amend(to("0.3"))
        await sink.ended.wait()
        assert [(d.status, d.cum_qty) for d in sink.told] == [("expired", D(0))]
        with pytest.raises(DefiniteReject):
            monkeypatch.undo()
            await venue.amend(to("0.2"))

    go(body)


def test_nothing_leaves_when_the_venue_is_gone(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        await placed(venue)
        fault(server, "outage", seconds=60, params={"refuse": True})
        server.act(server.sim.faults.active(time.time_ns())[0])
        await asyncio.sleep(0.2)  # the listener is closed a moment after the request for it
        outcomes = set()
        for _ in range(3):
            with pytest.raises((NeverSent, Ambiguous)) as refusal:
                await venue.amend(to("0.3"))
            assert SECRET not in str(refusal.value) and "signature" not in str(refusal.value)
            outcomes.add(type(refusal.value))
        assert NeverSent in outcomes

    go(body)
