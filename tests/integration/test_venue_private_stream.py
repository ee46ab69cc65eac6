"""The subscription to our own events: nothing counts as subscribed before the venue has said so."""

from pathlib import Path

import pytest
from venue_rig import SECRET, Sink, fault, placed, run_venue, until

from fixgw.sim.binance import SimServer
from fixgw.venues import dialect_binance
from fixgw.venues.ccxt_venue import CcxtVenue


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)


def test_a_subscription_that_nobody_answered_is_made_on_a_fresh_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ccxt notes it before it is confirmed, and keeps the note of one that was given up: asked again it would say that all is
    well, with nobody to tell of our fills."""
    monkeypatch.setattr(dialect_binance, "_SUBSCRIBE_S", 0.3)

    async def body(server: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        clients = venue._exchange.clients
        lost = clients[venue._dialect._ws_api]  # type: ignore[attr-defined]
        fault(server, "hang", count=1, match={"method": "userDataStream.subscribe.signature"}, params={"accept": False})
        await lost.connection.close()
        await until(lambda: server.sim.faults.fired.get("hang"))
        await until(lambda: venue._dialect.ws_ready())  # type: ignore[attr-defined]
        assert server.sim.user_sinks.get("demo"), "it takes itself for subscribed, and is not"
        heard: list[str] = []
        monkeypatch.setattr(venue, "on_working", lambda our_id, *rest: heard.append(our_id))
        await placed(venue)
        await until(lambda: heard)

    run_venue(tmp_path, True, body)
