"""Time in force, post-only, cash quantities and stops. Rows I of the matrices (FIX 4.2: D32, D33).

The ladder of the simulated venue stands at 59999 / 60001 with gaps of 1. Stops watch the last trade; every stop row uses
prices beyond those of the rows before (of the other rows too), so that a late trade price of an earlier row cannot trigger it.
"""

import itertools
from collections.abc import Callable

import pytest
from dialogue import (
    Desk,
    Step,
    ask_status,
    cancel,
    cxl_reject,
    er,
    kill,
    new,
    replace,
    street,
    utc,
    venue_fill,
    void,
    working,
)

TIFS: dict[str, list[Step]] = {
    "I.1.a=D32: fill or kill that cannot be filled": [
        new("X", "9", "60001", tif="4"),
        er("pending new", "A", "X", "9 0 9", t59="4"),
        er("new", "0", "X", "9 0 9"),
        er("canceled", "4", "X", "9 0 0", code="IOC_REMAINDER"),
    ],
    "fill or kill that fills": [
        new("X", "0.1", "60001", tif="4"),
        er("pending new", "A", "X", "0.1 0 0.1"),
        er("new", "0", "X", "0.1 0 0.1"),
        er("fill", "2", "X", "0.1 0.1 0", t31="60001"),
    ],
    "I.1.b=D33: immediate or cancel that cannot be hit": [
        new("X", "1", "59998", tif="3"),
        er("pending new", "A", "X", "1 0 1", t59="3"),
        er("new", "0", "X", "1 0 1"),
        er("canceled", "4", "X", "1 0 0", code="IOC_REMAINDER"),
    ],
    "immediate or cancel that fills in part": [
        street("SELL", "0.2", "60000"),
        new("X", "0.5", "60000", tif="3"),
        er("pending new", "A", "X", "0.5 0 0.5"),
        er("new", "0", "X", "0.5 0 0.5"),
        er("partial fill", "1", "X", "0.5 0.2 0.3", t32="0.2", t31="60000"),
        er("canceled", "4", "X", "0.5 0.2 0", code="IOC_REMAINDER"),
    ],
    "day, also when no TimeInForce is given": [
        *working("X", "1", tif="0"),
        new("Y", "1", "58900", tif=""),
        er("pending new", "A", "Y", "1 0 1", t59="0"),
        er("new", "0", "Y", "1 0 1", t59="0", t126=""),
    ],
    "GTD expires": [
        *working("X", "1", tif="6", t126=lambda: utc(2.5)),
        er("expired", "C", "X", "1 0 0", code="EXPIRED"),
        cancel("Y", "X"),
        cxl_reject("Y,X", "C", to="1", why="0", code="TOO_LATE"),
        ask_status("X"),
        er("status", "C", "X", "1 0 0", code="EXPIRED", text="the time in force ended", reply=True),
    ],
    "GTD expires after a partial fill": [
        *working("X", "1", tif="6", t126=lambda: utc(2.5)),
        venue_fill("X", "0.4"),
        er("partial fill", "1", "X", "1 0.4 0.6"),
        er("expired", "C", "X", "1 0.4 0", code="EXPIRED"),
    ],
    "GTD by ExpireDate": [*working("X", "1", tif="6", t432=lambda: utc(86400)[:8])],
    "post-only rests": [
        new("X", "1", "59000", t18="6"),
        er("pending new", "A", "X", "1 0 1", t18="6"),
        er("new", "0", "X", "1 0 1", t18="6"),
        venue_fill("X", "1"),
        er("fill", "2", "X", "1 1 0"),
    ],
    "post-only that would trade is refused by the venue": [
        new("X", "1", "60500", t18="6"),
        er("pending new", "A", "X", "1 0 1"),
        er("rejected", "8", "X", "1 0 0", code="VENUE_REJECT", text="-2010", t103="0"),
    ],
    "post-only contradicts immediate or cancel": [
        new("X", "1", "59000", tif="3", t18="6"),
        er("rejected", "8", "X", "1 0 0", code="UNSUPPORTED", t103="11", t20002="18", t20003="6"),
    ],
    "held stop: replace and cancel happen at once": [
        new("X", "1", "", kind="3", t99="80000"),
        er("pending new", "A", "X", "1 0 1", t99="80000"),
        er("new", "0", "X", "1 0 1"),
        replace("Y", "X", "2", t99="81000"),
        er("replaced", "0|5", "Y,X", "2 0 2", t99="81000"),
        cancel("Z", "Y"),
        er("canceled", "4", "Z,Y", "2 0 0"),
    ],
    "cash: limit buy, fees inside": [
        new("X", "", "59000", t152="590"),
        er("pending new", "A", "X", "0.00999 0 0.00999", t152="590"),
        er("new", "0", "X", "0.00999 0 0.00999"),
        venue_fill("X", "0.00999"),
        er("fill", "2", "X", "0.00999 0.00999 0", t152="590"),
    ],
    "cash: market buy never spends more": [
        new("X", "", kind="1", t152="600"),
        er("pending new", "A", "X", "0.00951 0 0.00951", t152="600"),
        er("new", "0", "X", "0.00951 0 0.00951"),
        er("fill", "2", "X", "0.00951 0.00951 0", t31="60001"),
    ],
    "cash: market sell by the reference": [
        new("X", "", kind="1", side="2", t152="600"),
        er("pending new", "A", "X", "0.01 0 0.01", t152="600"),
        er("new", "0", "X", "0.01 0 0.01"),
        er("fill", "2", "X", "0.01 0.01 0", t31="59999"),
    ],
    "cash: less than one lot": [
        new("X", "", t152="0.5"),
        er("rejected", "8", "X", code="BAD_LOT", t103="13", t20002="152", t20003="0.5"),
    ],
    "exact decimals come back": [
        new("X", "0.12345", "59000.01"),
        er("pending new", "A", "X", "0.12345 0 0.12345", t44="59000.01"),
        er("new", "0", "X", "0.12345 0 0.12345"),
        venue_fill("X", "0.00001"),
        er("partial fill", "1", "X", "0.12345 0.00001 0.12344", t32="0.00001", t31="59000.01", t6="59000.01"),
    ],
    "a sell": [
        *working("X", "1", "60090", side="2"),
        venue_fill("X", "0.25"),
        er("partial fill", "1", "X", "1 0.25 0.75", t32="0.25", t31="60090", t54="2"),
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "1 0.25 0.75"),
        er("canceled", "4", "Y,X", "1 0.25 0"),
    ],
}


@pytest.mark.parametrize("row", TIFS)
def test_row(desk: Desk, row: str) -> None:
    desk.play(TIFS[row])


def mid(px: int) -> Step:
    """Move the venue's ladder."""
    return lambda desk: void(desk.sim.price("BTCUSDT", px))


def stop_status(name: str, triggered: bool, *, reply: bool = False, **tags: str) -> Step:
    """What a client is told when its stop-limit, which may rest from then on, has triggered, and what the status of a stop
    says. FIX 4.2 has no WorkingIndicator(636)."""
    text = "the stop has triggered" if triggered else "the stop has not triggered"

    def step(desk: Desk) -> None:
        working = "" if desk.version.is_42 else "Y" if triggered else "N"
        er("status", "0", name, "0.1 0 0.1", text=text, reply=reply, t636=working, **tags)(desk)

    return step


def stop_buy(up: int, down: int) -> list[Step]:
    return [
        new("X", "0.1", "", kind="3", t99=str(up)),
        er("pending new", "A", "X", "0.1 0 0.1", t40="3", t99=str(up)),
        er("new", "0", "X", "0.1 0 0.1"),
        mid(up + 20),
        street("BUY", "0.01"),
        er("fill", "2", "X", "0.1 0.1 0", t31=str(up + 21), t99=str(up)),
    ]


def stop_sell(up: int, down: int) -> list[Step]:
    return [
        new("X", "0.1", "", side="2", kind="3", t99=str(down)),
        er("pending new", "A", "X", "0.1 0 0.1"),
        er("new", "0", "X", "0.1 0 0.1"),
        mid(down - 20),
        street("SELL", "0.01"),
        er("fill", "2", "X", "0.1 0.1 0", t31=str(down - 21)),
    ]


def stop_limit_buy(up: int, down: int) -> list[Step]:
    return [
        new("X", "0.1", str(up + 50), kind="4", t99=str(up)),
        er("pending new", "A", "X", "0.1 0 0.1", t40="4", t44=str(up + 50)),
        er("new", "0", "X", "0.1 0 0.1"),
        mid(up + 20),
        street("BUY", "0.01"),
        stop_status("X", True, t44=str(up + 50), t99=str(up)),
        er("fill", "2", "X", "0.1 0.1 0", t31=str(up + 21), t44=str(up + 50)),
    ]


def stop_limit_sell_rests(up: int, down: int) -> list[Step]:
    """The limit is not met after the trigger: the order rests at the venue and is canceled there."""
    return [
        new("X", "0.1", str(down + 300), side="2", kind="4", t99=str(down)),
        er("pending new", "A", "X", "0.1 0 0.1"),
        er("new", "0", "X", "0.1 0 0.1"),
        ask_status("X"),
        stop_status("X", False, reply=True),
        mid(down - 20),
        street("SELL", "0.01"),
        stop_status("X", True, t99=str(down)),
        at_venue("X"),
        ask_status("X"),
        stop_status("X", True, reply=True),
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "0.1 0 0.1"),
        er("canceled", "4", "Y,X", "0.1 0 0"),
    ]


def stop_limit_that_triggered_is_moved(up: int, down: int) -> list[Step]:
    """A protective stop that has triggered is at the market: moved away it would trade at once, so it is refused."""
    return [
        new("X", "0.1", str(down + 300), side="2", kind="4", t99=str(down)),
        er("pending new", "A", "X", "0.1 0 0.1"),
        er("new", "0", "X", "0.1 0 0.1"),
        mid(down - 20),
        street("SELL", "0.01"),
        stop_status("X", True),
        at_venue("X"),
        replace("Y", "X", px=str(down - 110), t99=str(down - 100)),
        cxl_reject("Y,X", "0", to="2", why="2", code="UNSUPPORTED", t20002="99", t20003=str(down - 100)),
        replace("Z", "X", px=str(down + 310)),
        er("pending replace", "E", "Z,X", "0.1 0 0.1"),
        er("replaced", "0|5", "Z,X", "0.1 0 0.1", t44=str(down + 310), t99=str(down)),
        cancel("V", "Z"),
        er("pending cancel", "6", "V,Z", "0.1 0 0.1"),
        er("canceled", "4", "V,Z", "0.1 0 0"),
    ]


def stop_replaced_then_triggered(up: int, down: int) -> list[Step]:
    return [
        new("X", "0.1", "", kind="3", t99=str(up + 3000)),
        er("pending new", "A", "X", "0.1 0 0.1"),
        er("new", "0", "X", "0.1 0 0.1"),
        replace("Y", "X", "0.2", t99=str(up)),
        er("replaced", "0|5", "Y,X", "0.2 0 0.2"),
        mid(up + 20),
        street("BUY", "0.01"),
        er("fill", "2", "Y", "0.2 0.2 0", t31=str(up + 21)),
    ]


def stop_refused_at_the_trigger(up: int, down: int) -> list[Step]:
    """Risk runs again when a stop triggers."""
    return [
        new("X", "0.1", "", kind="3", t99=str(up)),
        er("pending new", "A", "X", "0.1 0 0.1"),
        er("new", "0", "X", "0.1 0 0.1"),
        kill("session", "REDUCING"),
        mid(up + 20),
        street("BUY", "0.01"),
        er("canceled", "4", "X", "0.1 0 0", code="TRIGGER_DENIED", text="REDUCING"),
    ]


def at_venue(name: str) -> Step:
    """Wait until the order works at the venue."""

    def step(desk: Desk) -> None:
        def state() -> bool:
            shown = desk.admin.call("order", order_id=desk.order_ids[name])
            return any(child["state"] == "working" for child in shown["children"])

        desk.until(state, "working child")

    return step


STOPS: list[Callable[[int, int], list[Step]]] = [
    stop_buy,
    stop_sell,
    stop_limit_buy,
    stop_limit_sell_rests,
    stop_limit_that_triggered_is_moved,
    stop_replaced_then_triggered,
    stop_refused_at_the_trigger,
]
_levels = itertools.count(1)


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.__name__)
def test_stop(desk: Desk, stop: Callable[[int, int], list[Step]]) -> None:
    level = 60 * next(_levels)
    try:
        desk.play(stop(60100 + level, 59900 - level))
    finally:
        desk.sim.price("BTCUSDT", 60000)
