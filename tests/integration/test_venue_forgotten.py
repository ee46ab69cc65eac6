"""A venue host that was killed under load comes back and knows nothing of thousands of trades: what it costs to be sure again."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal as D
from pathlib import Path

import pytest
from sim_client import within_a_window
from venue_rig import SECRET, Sink, run_venue

from fixgw.sim.binance import SimServer
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.settings import parse_venue
from fixgw.venues.wire import PlaceChild, QueryChild

SYMBOL = "BTC/USDT"
TRADED, LOST = 400, 30
# fifty orders at once on a busy machine
PATIENT = {"request_timeout_ms": 15_000, "recv_window_ms": 10_000}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)


def anew(server: SimServer, sink: Sink) -> CcxtVenue:
    """The connector of a host that has just been started, with Binance's own limit."""
    fields = {
        "exchange": "binance", "symbols": [SYMBOL], "base_url": f"http://127.0.0.1:{server.port}",
        "api_key_env": "RIG_KEY", "secret_env": "RIG_SECRET", "rate_weight_per_minute": 6000,
    }  # fmt: skip
    return CcxtVenue(parse_venue(fields, "again", "again"), sink)


async def trade(venue: CcxtVenue, count: int) -> None:
    """Orders of ours that are filled at once."""
    for start in range(0, count, 50):
        orders = [
            PlaceChild(
                venue_cl_ord_id=f"OURS{number}", symbol=SYMBOL, side="1" if number % 2 else "2", ord_type="1", tif="3",
                qty=D("0.001"),
            )
            for number in range(start, min(start + 50, count))
        ]  # fmt: skip
        for placed in await asyncio.gather(*map(venue.place, orders)):
            assert placed.venue_order_id


def used(server: SimServer) -> int:
    """Request weight that the exchange has counted in this minute."""
    return server.sim.limiter._weight[1]


def test_what_became_of_lost_orders_is_known_at_once(tmp_path: Path) -> None:
    """Asked for one by one, whose the trades are took the rate limit of minutes, and no lost order was settled until then."""

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        began_ns = time.time_ns()
        await trade(venue, TRADED)
        heard = Sink()
        again = anew(server, heard)
        try:
            await again.start()
            await heard.up.wait()
            await within_a_window(60, 10)
            before, started = used(server), time.monotonic()
            trades = asyncio.ensure_future(again.trades(began_ns, (SYMBOL,)))
            lost = [
                QueryChild(
                    venue_cl_ord_id=f"LOST{number}", symbol=SYMBOL, side="1", qty=D("0.001"), sent_ns=began_ns
                )
                for number in range(LOST)
            ]  # fmt: skip
            answers = await asyncio.gather(*map(again.query, lost))
            picture = await trades
            took_s, weight = time.monotonic() - started, used(server) - before
            assert [(found.outcome, found.trades_checked) for found in answers] == [("not_found", True)] * LOST
            assert {found.venue_cl_ord_id for found in picture} == {f"OURS{number}" for number in range(TRADED)}
            # 4 for each lost order, and pages of 20 of trades and of orders
            assert weight <= LOST * 4 + 10 * 20, weight
            assert took_s < 20, took_s
        finally:
            await again.close()

    run_venue(tmp_path, True, body, file=PATIENT)


def test_a_trade_that_could_be_of_a_lost_order_still_keeps_it_unknown(tmp_path: Path) -> None:
    """The list of orders does not name an order without a client's id: nothing is said of what it could hide."""

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        began_ns = time.time_ns()
        await trade(venue, 10)
        heard = Sink()
        again = anew(server, heard)
        exchange = again._exchange
        inner = exchange.private_get_allorders

        async def nameless(params: dict[str, object]) -> list[dict[str, object]]:
            return [raw | {"clientOrderId": ""} for raw in await inner(params)]

        async def unknown(*_: object) -> dict[str, object]:
            return {"id": "1", "clientOrderId": None, "status": "closed"}

        exchange.private_get_allorders = nameless
        try:
            await again.start()
            await heard.up.wait()
            single = again._dialect.fetch

            async def fetch(our_id: str, order_id: str, symbol: str, since_ns: int = 0) -> dict[str, object]:
                return await (single(our_id, order_id, symbol, since_ns) if our_id else unknown())

            again._dialect.fetch = fetch  # type: ignore[method-assign]
            question = QueryChild(venue_cl_ord_id="LOST", symbol=SYMBOL, side="1", qty=D("0.001"), sent_ns=began_ns)
            found = await again.query(question)
            assert (found.outcome, found.trades_checked) == ("not_found", False)
        finally:
            await again.close()

    run_venue(tmp_path, True, body, file=PATIENT)
