"""Why a venue does not come up is told, the first time and when it changes, without a secret in it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from venue_rig import SECRET, Sink

from fixgw.sim.binance import SimServer
from fixgw.sim.config import DEMO_BALANCES, ApiAccount, SimConfig, parse_market
from fixgw.venues import ccxt_session
from fixgw.venues.base import DefiniteReject
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.settings import parse_venue


class Links(Sink):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[bool, str]] = []
        self.news = asyncio.Event()

    def link(self, up: bool, reason: str = "") -> None:
        self.links.append((up, reason))
        self.news.set()
        super().link(up, reason)

    async def reason(self, text: str) -> str:
        async with asyncio.timeout(20):
            while not self.links or text not in self.links[-1][1]:
                self.news.clear()
                await self.news.wait()
        return self.links[-1][1]


async def connector(port: int, sink: Links) -> CcxtVenue:
    fields = {
        "exchange": "binance", "symbols": ["BTC/USDT"], "base_url": f"http://127.0.0.1:{port}", "api_key_env": "RIG_KEY",
        "secret_env": "RIG_SECRET", "request_timeout_ms": 1000, "recv_window_ms": 1000,
    }  # fmt: skip
    venue = CcxtVenue(parse_venue(fields, "t", "t"), sink)
    await venue.start()
    return venue


def test_wrong_keys_are_told_at_the_first_connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = "a-secret-that-is-not-the-right-one"
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", wrong)
    account = ApiAccount("demo", "demo-key", SECRET, DEMO_BALANCES)

    async def main() -> None:
        async with asyncio.timeout(60), SimServer(SimConfig(tmp_path, (account,), (parse_market("BTC/USDT"),))) as server:
            sink = Links()
            venue = await connector(server.port, sink)
            try:
                reason = await sink.reason("-1022")
                assert sink.links == [(False, reason)] and wrong not in reason and "ignature" in reason
            finally:
                await venue.close()

    asyncio.run(main())


def test_another_reason_is_told_and_the_same_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)
    monkeypatch.setattr(ccxt_session, "_BACKOFF_MAX_S", 0.01)
    monkeypatch.setattr(ccxt_session, "_RETELL_S", 0.3)

    async def main() -> None:
        sink, again, tries, now = Links(), asyncio.Event(), 0, {"text": "{n} ms ahead of the server's time"}

        async def prepare() -> Any:
            nonlocal tries
            tries += 1
            if tries % 20 == 0:
                again.set()
            if now["text"]:
                raise DefiniteReject("-1021", now["text"].format(n=1000 + tries))

        async def heal(lost_ns: int) -> None: ...

        venue = await connector(1, sink)
        venue.prepare, venue.heal = prepare, heal  # type: ignore[method-assign]
        try:
            await sink.reason("ahead of")
            again.clear()
            await again.wait()
            assert len(sink.links) == 1, "the same reason with another number"
            now["text"] = "outside of the recvWindow of {n}"
            await sink.reason("outside of")
            now["text"] = "ahead again"
            await sink.reason("ahead again")
            now["text"] = ""
            await asyncio.wait_for(sink.up.wait(), 20)
            assert [up for up, _ in sink.links] == [False, False, False, True]
        finally:
            await venue.close()

    asyncio.run(asyncio.wait_for(main(), 60))
