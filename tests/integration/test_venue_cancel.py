"""Cancels that a rate limit refuses: the real connector (unmodified ccxt) against the simulator, over REST and WebSocket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from venue_rig import SECRET, Sink, fault, placed, run_venue

from fixgw.sim.binance import SimServer
from fixgw.venues.base import Ambiguous, DefiniteReject, Done, NeverSent, VenueError
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.wire import CancelChild

CANCEL = CancelChild(venue_cl_ord_id="OURS1", symbol="BTC/USDT")
CANCELS = {"op": "order.cancel"}
# the time limit of requests
LIMIT_S = 4.0


@pytest.fixture(params=["rest", "ws"])
def go(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """run_venue over REST and over the WebSocket API; requests have a time limit of LIMIT_S."""
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)
    return partial(run_venue, tmp_path, request.param == "ws", file={"request_timeout_ms": int(LIMIT_S * 1000)})


def ended(sink: Sink, done: Done | None) -> str:
    """How it ended, told in the answer or by the stream before it."""
    found = done or next(item for item in sink.told if isinstance(item, Done))
    return found.status


@pytest.mark.parametrize("kind", ["reply_429", "reply_418"])
def test_it_waits_for_retry_after_and_goes_again(go: Callable[..., None], kind: str) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        await placed(venue)
        fault(server, kind, count=1, match=CANCELS, params={"retry_after": 1})
        began = time.monotonic()
        assert ended(sink, await venue.cancel(CANCEL)) == "canceled"
        assert time.monotonic() - began > 0.5

    go(body)


def test_without_a_word_on_when_it_goes_again_after_a_pause(go: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        await placed(venue)
        monkeypatch.setattr(venue.hooks.limiter, "freeze", lambda seconds: None)
        fault(server, "reply_429", count=2, match=CANCELS)
        assert ended(sink, await venue.cancel(CANCEL)) == "canceled"

    go(body)


def test_it_ends_with_the_time_limit(go: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        order_id = int(await placed(venue))
        monkeypatch.setattr(venue.hooks.limiter, "freeze", lambda seconds: None)
        fault(server, "reply_429", seconds=60, match=CANCELS)
        began = time.monotonic()
        with pytest.raises(DefiniteReject) as refused:
            await venue.cancel(CANCEL)
        assert refused.value.rate_limited and not refused.value.unknown_order
        assert 0.5 < time.monotonic() - began < 3 * LIMIT_S
        assert server.sim.engine.orders[order_id].cum_qty == 0 and not sink.ended.is_set()

    go(body)


def test_what_cannot_go_in_time_is_refused_at_once(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        await placed(venue)
        fault(server, "reply_429", count=1, match=CANCELS, params={"retry_after": 60})
        began = time.monotonic()
        with pytest.raises(DefiniteReject):
            await venue.cancel(CANCEL)
        with pytest.raises(NeverSent, match="RATE_LIMITED: the venue wants no request for another"):
            await venue.cancel(CANCEL)
        assert time.monotonic() - began < LIMIT_S - 0.5

    go(body)


def test_other_refusals_are_told_at_once(go: Callable[..., None]) -> None:
    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        async with asyncio.timeout(LIMIT_S - 0.5):
            with pytest.raises(DefiniteReject) as refused:
                await venue.cancel(CancelChild(venue_cl_ord_id="NEVER", symbol="BTC/USDT"))
        assert refused.value.unknown_order and not refused.value.rate_limited

    go(body)


@pytest.mark.parametrize("refusal", [DefiniteReject("-1003", "too much"), NeverSent("NOT_CONNECTED", "no connection")])
@pytest.mark.parametrize("streamed", [False, True])
def test_what_the_venue_took_is_not_refused_because_it_cannot_be_asked(
    go: Callable[..., None], refusal: VenueError, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many exchanges answer a cancel without the order; then it is asked for, and that question can fail."""

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        await placed(venue)
        if not streamed:
            fault(server, "ws_missing", count=10, match={"event": "executionReport"})
        inner = venue._dialect.cancel

        async def cancel(request: CancelChild) -> dict[str, Any]:
            await inner(request)
            return {}

        async def fetch(*asked: Any) -> dict[str, Any]:
            if streamed:
                await sink.ended.wait()
            raise refusal

        monkeypatch.setattr(venue._dialect, "cancel", cancel)
        monkeypatch.setattr(venue._dialect, "fetch", fetch)
        if streamed:
            assert await venue.cancel(CANCEL) is None and ended(sink, None) == "canceled"
        else:
            with pytest.raises(Ambiguous, match=refusal.text):
                await venue.cancel(CANCEL)

    go(body)
