"""The connector's memory: duplicates, names, ends, bounds."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

import fixgw.venues.tracker as tracker_module
from fixgw.core.commands import VenueTrade
from fixgw.venues.base import Done
from fixgw.venues.memory import Names, Seen
from fixgw.venues.tracker import Tracker


def trade(number: str, our_id: str = "A", symbol: str = "BTC/USDT", side: str = "1") -> VenueTrade:
    return VenueTrade(
        account="main", symbol=symbol, venue_cl_ord_id=our_id, venue_order_id="1", venue_trade_id=number, side=side,
        qty=D("0.5"), px=D(10),
    )  # fmt: skip


def tell(tracker: Tracker, told: VenueTrade) -> bool:
    """As the connector does; whether it was fresh."""
    fresh = tracker.fresh(told)
    if fresh:
        tracker.told(told)
    return fresh


def test_a_trade_is_fresh_until_it_was_told_and_counts_once() -> None:
    tracker = Tracker()
    tracked = tracker.begin("A", "BTC/USDT")
    assert tracker.fresh(trade("1")) and tracked.cum_qty == 0
    assert tell(tracker, trade("1")) and not tell(tracker, trade("1"))
    assert tell(tracker, trade("1", symbol="ETH/USDT")), "trade ids are unique per symbol only"
    assert tell(tracker, trade("2"))
    assert tracked.cum_qty == D("1.5")
    tracker.told(trade("2"))
    assert tracked.cum_qty == D("1.5")


def test_two_orders_that_trade_with_each_other_are_both_filled() -> None:
    tracker = Tracker()
    buy, sell = tracker.begin("A", "BTC/USDT"), tracker.begin("B", "BTC/USDT")
    for _ in range(2):
        tell(tracker, trade("1"))
        tell(tracker, trade("1", "B", side="2"))
    assert buy.cum_qty == sell.cum_qty == D("0.5")


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


class Clock:
    """The steady clock of the tracker."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = 1_700_000_000_000_000_000
        monkeypatch.setattr(tracker_module.host_clock, "steady_ns", lambda: self.now_ns)

    def pass_s(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


def end(tracker: Tracker, our_id: str, venue_id: str, cum_qty: D | None = D(1)) -> None:
    tracker.begin(our_id, "BTC/USDT")
    tracker.finish(Done(our_id, venue_id, "filled" if cum_qty else "canceled", cum_qty), "BTC/USDT")


def test_an_ended_order_leaves_its_name_and_its_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    """After FULL_NS the order goes; its trades are still ours, still told once, and it is never placed again."""
    clock = Clock(monkeypatch)
    tracker = Tracker()
    end(tracker, "A", "1")
    assert tell(tracker, trade("t1"))
    end(tracker, "N", "2", D(0))
    clock.pass_s(119)
    end(tracker, "B", "3")
    assert tracker.get("A") is not None
    clock.pass_s(2)
    end(tracker, "C", "4")
    assert tracker.get("A") is None and tracker.get("B") is not None
    assert tracker.our_id("BTC/USDT", "1") == "A" and tracker.our_id("BTC/USDT", "3") == "B"
    assert tracker.our_id("BTC/USDT", "2") is None, "an order without trades has none to be named"
    assert not tracker.fresh(trade("t1"))
    assert tracker.was_placed("A") and tracker.was_placed("N") and tracker.was_placed("B") and not tracker.was_placed("Z")


def test_names_outlast_every_reconciliation_and_then_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trade of 15 minutes and more ago is asked for again; after NAMED_NS and a bit the memory is free again."""
    clock = Clock(monkeypatch)
    tracker = Tracker()
    for number in range(3000):
        end(tracker, f"O{number}", str(number))
        clock.pass_s(0.5)
        if number > 2600:
            assert tracker.our_id("BTC/USDT", str(number - 2400)) == f"O{number - 2400}"
    assert tracker.our_id("BTC/USDT", "100") is None
    assert len(tracker._names) < 3000 and len(tracker._orders) <= 242 and len(tracker._by_venue_id) <= 242


def test_an_open_order_is_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    tracker = Tracker()
    tracker.name(tracker.begin("OPEN", "BTC/USDT"), "7")
    for number in range(100):
        clock.pass_s(100)
        end(tracker, f"O{number}", f"v{number}")
    assert tracker.get("OPEN") is not None and tracker.our_id("BTC/USDT", "7") == "OPEN"
    assert [tracked.venue_cl_ord_id for tracked in tracker.open_orders()] == ["OPEN"]


def test_finished_orders_are_bounded_in_number_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker_module, "MAX_FINISHED", 3)
    tracker = Tracker()
    for number in range(10):
        end(tracker, f"O{number}", str(number))
    assert tracker.get("O6") is None and tracker.get("O9") is not None
    assert len(tracker._orders) == 3 and len(tracker._by_venue_id) == 3


def test_what_was_seen_is_known_for_at_least_the_capacity() -> None:
    """Never fewer than the newest `capacity`; the size never changes; nothing is known that was not shown."""
    seen = Seen(1000)
    size = len(seen._new)
    for number in range(10_000):
        assert seen.add(f"t{number}")
        if number % 97 == 0 and number >= 1000:
            assert all(f"t{back}" in seen and not seen.add(f"t{back}") for back in range(number - 500, number, 7))
    assert "t9001" in seen and "t9999" in seen
    assert not any(f"x{number}" in seen for number in range(10_000)) and "t100" not in seen
    assert len(seen._new) == len(seen._old) == size


def test_what_is_shown_again_counts_as_new() -> None:
    seen = Seen(100)
    assert seen.add("kept")
    for number in range(1000):
        assert seen.add(f"t{number}")
        assert not seen.add("kept")


def test_names_are_found_in_every_block() -> None:
    names = Names(kept_ns=10_000, most=1000, block=16)
    for number in range(500):
        names.put(f"BTC/USDT|{number}", "OURS" + "x" * (number % 7) + str(number), number)
    assert all(names.get(f"BTC/USDT|{number}") == "OURS" + "x" * (number % 7) + str(number) for number in range(500))
    assert names.get("BTC/USDT|500") is None and names.get("ETH/USDT|1") is None
    for number in range(500, 3000):
        names.put(f"BTC/USDT|{number}", "y", number)
    assert len(names) <= 1000 + 16


def test_what_the_venue_refused_was_placed_all_the_same() -> None:
    """The refusal may not be so, and then the id sent again is a second order."""
    tracker = Tracker()
    for our_id, end in (("REFUSED", tracker.refused), ("NEVER_SENT", tracker.drop)):
        tracker.begin(our_id, "BTC/USDT")
        end(our_id)
    assert tracker.was_placed("REFUSED") and not tracker.was_placed("NEVER_SENT")
