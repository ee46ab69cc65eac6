"""The background loops of a connection: what a loss begins anew has ended before."""

from __future__ import annotations

import asyncio
from typing import Any

from fixgw.venues.ccxt_session import Session
from fixgw.venues.settings import parse_venue


class Fake:
    """Sink, dialect and healer; what is not asked for here does nothing."""

    streams_balances = True
    running = 0
    begun = 0

    def __getattr__(self, name: str) -> Any:
        async def nothing(*args: Any) -> None: ...

        return nothing

    def listed(self) -> tuple[str, ...]:
        return ()

    def end_silent(self) -> None: ...

    def book_alive_ns(self, symbol: str) -> int:
        return 0

    def link(self, up: bool, reason: str = "") -> None: ...

    async def run_private(self) -> None:
        """Its first cancellation is lost, as wait_for of Python 3.11 can lose it."""
        self.begun += 1
        self.running += 1
        try:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await asyncio.sleep(60)
        finally:
            self.running -= 1


def test_the_private_stream_has_ended_before_it_begins_anew() -> None:
    async def run() -> None:
        fake: Any = Fake()
        session = Session(parse_venue({"exchange": "kraken", "symbols": ["BTC/USDT"]}, "t", "t"), fake, fake, (), fake)
        session.start()
        try:
            async with asyncio.timeout(10):
                for count in (1, 2, 3):
                    while fake.begun < count:  # noqa: ASYNC110
                        await asyncio.sleep(0.005)
                    await asyncio.sleep(0.01)
                    assert fake.running == 1
                    session.on_lost("a test")
        finally:
            await session.close()
        assert fake.running == 0

    asyncio.run(run())
