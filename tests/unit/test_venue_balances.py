"""Balances: the newest word per asset, as of the moment the request left, and only what matters is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal as D
from typing import Any

import pytest

import fixgw.venues.balances as balances_module
from fixgw.venues.balances import REFRESH_NS, BalanceBook, BalanceDesk, assets_of
from fixgw.venues.base import Ambiguous, Balances
from fixgw.venues.ccxt_exchange import CALL
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.settings import parse_venue


def test_assets_of_symbols() -> None:
    assert assets_of(["BTC/USDT", "ETH/USDT"]) == {"BTC", "ETH", "USDT"}
    assert assets_of(["BTC/USD:BTC-260925"]) == {"BTC", "USD"}


def test_a_snapshot_does_not_overwrite_what_the_stream_told_after_the_request_left() -> None:
    book = BalanceBook()
    book.update("USDT", D(50), D(100), 20)
    book.update("BTC", D(1), D(1), 5)
    book.update("ETH", D(3), D(3), 5)
    book.snapshot({"USDT": D(100), "BTC": D(2)}, {"USDT": D(100), "BTC": D(2)}, 10)
    assert book.balances() == Balances(10, {"USDT": D(50), "BTC": D(2)}, {"USDT": D(100), "BTC": D(2)}, {"USDT": 20})
    book.snapshot({"BTC": D(9)}, {"BTC": D(9)}, 8)
    assert book.balances().free["BTC"] == D(2), "an older snapshot that arrives later"


class NoSink:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **named: None


@pytest.mark.parametrize("dialect", ["auto", "general"])
def test_an_answer_is_as_of_the_moment_its_request_left(dialect: str) -> None:
    async def run() -> None:
        raw = {"exchange": "binance", "symbols": ["BTC/USDT"], "dialect": dialect}
        venue = CcxtVenue(parse_venue(raw, "t", "t"), NoSink())
        left: list[int] = []

        async def fetch_balance() -> dict[str, Any]:
            call = CALL.get()
            assert call is not None
            call.leaving()
            left.append(call.sent_ns)
            await asyncio.sleep(0.05)
            if dialect == "auto":  # an order locked 40 while the answer was on its way
                row = {"a": "USDT", "f": "60", "l": "40"}
                venue._dialect.tap(None, {"event": {"e": "outboundAccountPosition", "u": 1, "B": [row]}})
            return {"free": {"USDT": "100", "BTC": "1"}, "total": {"USDT": "100", "BTC": "1"}}

        venue._exchange.fetch_balance = fetch_balance
        found = await venue.balances()
        assert found.asof_ns == left[0] < time.time_ns() - 40_000_000
        assert found.free == {"USDT": D(60 if dialect == "auto" else 100), "BTC": D(1)}
        await venue.close()

    asyncio.run(run())


class Desk:
    """A desk with everything at hand."""

    def __init__(self) -> None:
        self.told: list[Balances] = []
        self.asked = 0
        self.fail = 0
        self.ready = True
        self.desk = BalanceDesk(["BTC/USDT"], ask=self.ask, tell=self.told.append, ready=lambda: self.ready)

    async def ask(self) -> Balances:
        self.asked += 1
        if self.asked <= self.fail:
            raise Ambiguous("TIMEOUT", "no answer") if self.asked == 1 else TypeError("a bug")
        return some(self.asked)


def some(asof_ns: int, **free: int) -> Balances:
    values = {asset: D(value) for asset, value in ({"USDT": 1} | free).items()}
    return Balances(asof_ns, values, dict(values))


def test_only_changes_of_assets_that_matter_are_told() -> None:
    made = Desk()
    for number, balances in enumerate((some(1), some(2), some(3, DOGE=5), some(4, BTC=1), some(2, BTC=7))):
        made.desk.take(balances)
        assert len(made.told) == (1 if number < 3 else 2), number
    assert made.told[-1] == some(4, BTC=1)
    made.desk.take(some(4 + REFRESH_NS, BTC=1, DOGE=1))
    assert made.told[-1] == some(4 + REFRESH_NS, BTC=1), "asof advances all the same"
    made.desk.forget()
    made.desk.take(some(5 + REFRESH_NS, BTC=1))
    assert len(made.told) == 4, "a new link was told nothing yet"


def test_the_desk_asks_slowly_and_when_told_to_and_survives_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("POLL_S", 0.1), ("GATHER_S", 0.01), ("GAP_S", 0.02), ("RETRY_S", 0.01)):
        monkeypatch.setattr(balances_module, name, value)

    async def run() -> None:
        made = Desk()
        made.fail = 2
        task = asyncio.ensure_future(made.desk.run())

        async def until(probe: Callable[[], bool]) -> None:
            async with asyncio.timeout(20):
                while not probe():  # noqa: ASYNC110
                    await asyncio.sleep(0.005)

        try:
            await until(lambda: len(made.told) == 2)
            assert made.asked == 4, "two failures, and the same values are told again as of a later moment"
            monkeypatch.setattr(balances_module, "POLL_S", 60.0)
            count = made.asked
            await until(lambda: made.asked > count)  # the wait that had begun
            count = made.asked
            for _ in range(100):
                made.desk.refresh()
            await until(lambda: made.asked == count + 1)
            await asyncio.sleep(0.1)
            assert made.asked == count + 1, "gathered"
            made.ready = False
            made.desk.refresh()
            await asyncio.sleep(0.1)
            assert made.asked == count + 1
        finally:
            task.cancel()

    asyncio.run(run())
