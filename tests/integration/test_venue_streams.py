"""Every socket that carries prices is missed when it is gone."""

import asyncio
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from venue_rig import SECRET, Sink, run_venue

from fixgw.sim.binance import SimServer
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.wire import PlaceChild


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)


def test_a_lost_socket_of_trades_is_opened_anew(tmp_path: Path) -> None:
    """Binance's trades come on another socket than its books; without them no stop sees a price."""

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        clients: dict[str, Any] = venue._exchange.clients

        def of_trades() -> Any:
            found = (client for client in clients.values() if any("trade" in key for key in client.subscriptions))
            return next((client for client in found if client.connection is not None and not client.closed()), None)

        async def until_open() -> Any:
            async with asyncio.timeout(10):
                while (client := of_trades()) is None or not client.isConnected:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            return client

        lost = await until_open()
        await lost.connection.close()
        assert await until_open() is not lost

        told = asyncio.Event()
        told_before = venue.session.books._quotes["BTC/USDT"].last_ns
        sink.book = lambda symbol, quote: told.set() if quote.last_ns > told_before else None  # type: ignore[method-assign]
        async with asyncio.timeout(5):
            for number in range(100):
                if told.is_set():
                    break
                order = PlaceChild(
                    venue_cl_ord_id=f"T{number}", symbol="BTC/USDT", side="1", ord_type="1", tif="1", qty=D("0.01")
                )
                await venue.place(order)
                await asyncio.sleep(0.05)
        assert told.is_set(), "no trade was told any more"

    run_venue(tmp_path, True, body)
