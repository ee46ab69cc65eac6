"""The venue says once of an order that works that it has ended; every later word is right. The whole way: simulator, ccxt, venue
host, gateway, FIX. The order goes on to fill, and its cancel goes out and is answered, by the client and by operations.
"""

from pathlib import Path
from typing import Any

import pytest
from dialogue import Desk, Step, cancel, er, fault, kill, lost_events, new, until_faulty, venue_fill, working, wrong_event

ANSWERS = (("FILLED", "99999"), ("FILLED", "0"), ("FILLED", "1"), ("CANCELED", "0.5"), ("EXPIRED", "1"))
EVENTS = (("FILLED", "99999"), ("FILLED", "0.4"), ("CANCELED", "0.7"), ("CANCELED", "99999"))
CANCELED: list[Step] = [
    cancel("Y", "X"),
    er("pending cancel", "6", "Y,X", "1 0.4 0.6"),
    er("canceled", "4", "Y,X", "1 0.4 0"),
]
KILLED: list[Step] = [kill("session"), er("canceled", "4", "X", "1 0.4 0", code="KILLED")]


def _answer(status: str, executed: str) -> list[Step]:
    """The place's answer and event are lost, and the query is answered so."""
    return [
        fault("code_1007"),
        lost_events(1, "NEW"),
        fault("wrong_end", "order.status", status=status, executed=executed),
        new("X", "1"),
        er("pending new", "A", "X", "1 0 1"),
        er("unknown", "A", "X", "1 0 1", code="OUTCOME_UNKNOWN"),
        er("new", "0", "X", "1 0 1"),
        until_faulty("wrong_end"),
        venue_fill("X", "0.4"),
        er("partial fill", "1", "X", "1 0.4 0.6"),
    ]


def _event(status: str, executed: str) -> list[Step]:
    """The event of a trade says besides that the order is over."""
    return [
        *working("X", "1"),
        wrong_event(status, executed),
        venue_fill("X", "0.4"),
        er("partial fill", "1", "X", "1 0.4 0.6"),
    ]


# what the venue says, and what happens then
ROWS = {f"answer: {status} {executed}": (_answer(status, executed), CANCELED) for status, executed in ANSWERS}
ROWS |= {f"event: {status} {executed}": (_event(status, executed), CANCELED) for status, executed in EVENTS}
ROWS |= {f"event: {status} {executed}, killed": (_event(status, executed), KILLED) for status, executed in EVENTS[:1]}


@pytest.mark.parametrize("row", ROWS)
def test_row(desk: Desk, ready: dict[str, Any], row: str) -> None:
    log = Path(ready["dir"]) / "log" / "gateway.log"
    before = log.stat().st_size
    told, then = ROWS[row]
    desk.play(told)
    # before the cancel: an end that can be is seen to be false only when the order is shown open after it
    desk.until(lambda: "BAD_VENUE_DATA" in log.read_text()[before:], "an alert")
    desk.play(then)
