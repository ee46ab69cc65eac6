"""No answer from the venue: the order stays pending, the client is told (150=I, in FIX 4.2 20=3) with our reason code, and
the resolution follows when the venue has told. Nothing is guessed and nothing is sent twice. Also rows J of the matrices:
trades that operations bust or correct.
"""

import pytest
from dialogue import (
    Desk,
    Step,
    ask_status,
    cancel,
    cxl_reject,
    er,
    fault,
    lost_events,
    new,
    replace,
    venue_fill,
    working,
)

UNKNOWN = "OUTCOME_UNKNOWN"
ROWS: dict[str, list[Step]] = {
    "the order was accepted": [
        fault("code_1007"),
        lost_events(1),
        new("X", "1"),
        er("pending new", "A", "X", "1 0 1"),
        er("unknown", "A", "X", "1 0 1", code=UNKNOWN, text="-1007"),
        er("new", "0", "X", "1 0 1"),
        venue_fill("X", "1"),
        er("fill", "2", "X", "1 1 0"),
    ],
    "the answer is lost, but the stream shows the order: nothing is unknown": [
        fault("code_1007"),
        *working("X", "1"),
    ],
    "the order was accepted and traded": [
        fault("code_1007"),
        lost_events(2),
        new("X", "0.1", "60001"),
        er("pending new", "A", "X", "0.1 0 0.1"),
        er("unknown", "A", "X", "0.1 0 0.1", code=UNKNOWN),
        er("new", "0", "X", "0.1 0 0.1"),
        er("fill", "2", "X", "0.1 0.1 0", t31="60001"),
    ],
    "the order was never accepted": [
        fault("code_1007", accept=False),
        new("X", "1"),
        er("pending new", "A", "X", "1 0 1"),
        er("unknown", "A", "X", "1 0 1", code=UNKNOWN),
        ask_status("X"),
        er("status", "A", "X", "1 0 1", code=UNKNOWN, reply=True),
        er("rejected", "8", "X", "1 0 0", code="NOT_PLACED", t103="99"),
        cancel("Y", "X"),
        cxl_reject("Y,X", "8", to="1", why="0", code="TOO_LATE"),
    ],
    "the cancel was not carried out: it is sent again": [
        *working("X", "1"),
        fault("code_1007", "order.cancel", accept=False),
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "1 0 1"),
        er("unknown", "6", "Y,X", "1 0 1", code=UNKNOWN),
        er("canceled", "4", "Y,X", "1 0 0"),
    ],
    "the cancel was carried out, its answer is lost": [
        *working("X", "1"),
        fault("code_1007", "order.cancel"),
        lost_events(1, "CANCELED"),
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "1 0 1"),
        er("unknown", "6", "Y,X", "1 0 1", code=UNKNOWN),
        er("canceled", "4", "Y,X", "1 0 0"),
    ],
    "a cancel finds the order filled, of which the stream had lost the trade": [
        *working("X", "1"),
        lost_events(1, "TRADE"),
        venue_fill("X", "1"),
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "1 0 1"),
        er("fill", "6", "X", "1 1 0", t32="1", t31="59000"),
        cxl_reject("Y,X", "2", to="1", why="0", code="TOO_LATE"),
    ],
    "a replace finds trades that the stream had lost": [
        *working("X", "1"),
        lost_events(1, "TRADE"),
        venue_fill("X", "0.4"),
        replace("Y", "X", "2"),
        er("pending replace", "E", "Y,X", "1 0 1"),
        er("partial fill", "E", "X", "1 0.4 0.6", t32="0.4"),
        er("replaced", "1", "Y,X", "2 0.4 1.6"),
    ],
    "a replace whose cancel has no answer": [
        *working("X", "1"),
        fault("code_1007", "order.cancel", accept=False),
        replace("Y", "X", "2"),
        er("pending replace", "E", "Y,X", "1 0 1"),
        er("unknown", "E", "Y,X", "1 0 1", code=UNKNOWN),
        er("replaced", "0|5", "Y,X", "2 0 2"),
    ],
    "a replace whose new order has no answer and was accepted": [
        *working("X", "1"),
        fault("code_1007"),
        lost_events(1, "NEW"),
        replace("Y", "X", "2"),
        er("pending replace", "E", "Y,X", "1 0 1"),
        er("unknown", "E", "Y,X", "1 0 1", code=UNKNOWN),
        er("replaced", "0|5", "Y,X", "2 0 2"),
    ],
}


@pytest.mark.parametrize("row", ROWS)
def test_row(desk: Desk, row: str) -> None:
    desk.play(ROWS[row])


# these wait until the venue can no longer accept the order: seconds, and no version says it in another way
SLOW: dict[str, list[Step]] = {
    "the cancel has no answer at all: it is sent again": [
        *working("X", "1"),
        fault("hang", "order.cancel", accept=False),
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "1 0 1"),
        er("unknown", "6", "Y,X", "1 0 1", code=UNKNOWN, text="TIMEOUT"),
        er("canceled", "4", "Y,X", "1 0 0"),
    ],
    "the connection breaks before the order arrives": [
        fault("drop_before"),
        new("X", "1"),
        er("pending new", "A", "X", "1 0 1"),
        er("unknown", "A", "X", "1 0 1", code=UNKNOWN),
        er("rejected", "8", "X", "1 0 0", code="NOT_PLACED"),
    ],
    "a replace whose new order was never accepted": [
        *working("X", "1"),
        venue_fill("X", "0.4"),
        er("partial fill", "1", "X", "1 0.4 0.6"),
        fault("code_1007", accept=False),
        replace("Y", "X", "2"),
        er("pending replace", "E", "Y,X", "1 0.4 0.6"),
        er("unknown", "E", "Y,X", "1 0.4 0.6", code=UNKNOWN),
        cxl_reject("Y,X", "1", to="2", why="99", code="REPLACE_FAILED"),
        er("canceled", "4", "X", "1 0.4 0", code="REPLACE_FAILED"),
    ],
    "a cancel of an order whose outcome is unknown": [
        fault("code_1007", accept=False),
        new("X", "1"),
        er("pending new", "A", "X", "1 0 1"),
        er("unknown", "A", "X", "1 0 1", code=UNKNOWN),
        replace("Y", "X", "2"),
        cxl_reject("Y,X", "A", to="2", why="99", code=UNKNOWN),
        new("X", "1", header=[(97, "Y")]),
        er("status", "A", "X", "1 0 1", code=UNKNOWN, reply=True),
        cancel("Z", "X"),
        er("pending cancel", "6", "Z,X", "1 0 1"),
        cancel("Z", "X", header=[(97, "Y")]),
        er("status", "6", "Z,X", "1 0 1", code=UNKNOWN, reply=True),
        er("canceled", "4", "Z,X", "1 0 0", code="NOT_PLACED"),
    ],
    "the order is refused while the client waits for an answer": [
        fault("hang", accept=False),
        new("X", "1"),
        er("pending new", "A", "X", "1 0 1"),
        er("unknown", "A", "X", "1 0 1", code=UNKNOWN, text="TIMEOUT"),
        er("rejected", "8", "X", "1 0 0", code="NOT_PLACED"),
    ],
}


@pytest.mark.parametrize("desk", ["FIX44"], indirect=True)
@pytest.mark.parametrize("row", SLOW)
def test_slow_row(desk: Desk, row: str) -> None:
    desk.play(SLOW[row])


def trade_of(report_index: int = -1) -> Step:
    """Remember ExecID and venue trade id of a report of this dialogue."""

    def step(desk: Desk) -> None:
        report = desk.reports[report_index]
        desk.notes |= {"exec": report[17], "trade": report[20006]}

    return step


def resolve(name: str, outcome: str, **params: str) -> Step:
    """What a person decides, with evidence, about the remembered trade."""

    def step(desk: Desk) -> None:
        given = {"order_id": desk.order_ids[name], "outcome": outcome, "trade_id": desk.notes["trade"], **params}
        desk.admin.call("resolve", **given, evidence="mail of the venue")

    return step


def refers(step: Step) -> Step:
    """The report refers to the remembered ExecID."""

    def checked(desk: Desk) -> None:
        step(desk)
        assert desk.reports[-1][19] == desk.notes["exec"]
        desk.notes["exec"] = desk.reports[-1][17]

    return checked


BUSTS: dict[str, list[Step]] = {
    "J.1.a=D34: a filled order, corrected and then busted": [
        *working("X", "1"),
        venue_fill("X", "0.4"),
        er("partial fill", "1", "X", "1 0.4 0.6"),
        trade_of(),
        venue_fill("X", "0.6"),
        er("fill", "2", "X", "1 1 0", t6="59000"),
        resolve("X", "correct", qty="0.4", px="58000"),
        refers(er("trade correct", "2", "X", "1 1 0", code="RESOLVED", t6="58600", t32="0.4", t31="58000")),
        resolve("X", "bust"),
        refers(er("trade cancel", "1", "X", "1 0.6 0.4", code="RESOLVED", t6="59000")),
        er("canceled", "4", "X", "1 0.6 0", code="BUSTED"),
    ],
    "J.1.b=D35: a canceled order with a busted execution": [
        *working("X", "1"),
        venue_fill("X", "0.5"),
        er("partial fill", "1", "X", "1 0.5 0.5"),
        trade_of(),
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "1 0.5 0.5"),
        er("canceled", "4", "Y,X", "1 0.5 0"),
        resolve("X", "bust"),
        refers(er("trade cancel", "4", "Y", "1 0 0", code="RESOLVED", t6="0")),
    ],
}


@pytest.mark.parametrize("row", BUSTS)
def test_bust(desk: Desk, row: str) -> None:
    desk.play(BUSTS[row])
