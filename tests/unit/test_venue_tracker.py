"""The connector's memory: duplicates, names, ends, bounds."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

import fixgw.venues.tracker as tracker_module
from fixgw.core.commands import VenueTrade
from fixgw.venues.base import Done
from fixgw.venues.tracker import Tracker


def trade(number: str, our_id: str = "A", symbol: str = "BTC/USDT") -> VenueTrade:
    return VenueTrade(
        account="main", symbol=symbol, venue_cl_ord_id=our_id, venue_order_id="1", venue_trade_id=number, side="1",
        qty=D("0.5"), px=D(10),
    )  # fmt: skip


def test_a_trade_is_fresh_once_and_counts() -> None:
    tracker = Tracker()
    tracked = tracker.begin("A", "BTC/USDT")
    assert tracker.fresh(trade("1")) and not tracker.fresh(trade("1"))
    assert tracker.fresh(trade("1", symbol="ETH/USDT")), "trade ids are unique per symbol only"
    assert tracker.fresh(trade("2"))
    assert tracked.cum_qty == D("1.5")


def test_names_work_both_ways() -> None:
    tracker = Tracker()
    tracker.name(tracker.begin("A", "BTC/USDT"), "77")
    assert tracker.our_id("BTC/USDT", "77") == "A" and tracker.our_id("ETH/USDT", "77") is None
    tracker.drop("A")
    assert tracker.our_id("BTC/USDT", "77") is None and tracker.get("A") is None


def test_an_end_is_told_once_but_a_better_one_again() -> None:
    tracker = Tracker()
    tracker.begin("A", "BTC/USDT")
    assert tracker.finish(Done("A", "1", "canceled", None), "BTC/USDT")
    assert not tracker.finish(Done("A", "1", "canceled", None), "BTC/USDT")
    assert tracker.finish(Done("A", "1", "canceled", D(1)), "BTC/USDT")
    assert not tracker.open_orders()


def test_finished_orders_are_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker_module, "MAX_FINISHED", 3)
    monkeypatch.setattr(tracker_module, "MAX_SEEN", 3)
    tracker = Tracker()
    for number in range(10):
        tracker.finish(Done(f"O{number}", str(number), "filled", D(1)), "BTC/USDT")
        tracker.fresh(trade(str(number)))
    assert tracker.get("O6") is None and tracker.get("O9") is not None
    assert len(tracker._seen) == 3 and len(tracker._by_venue_id) == 3
