"""Requests for an order that waits in the venue host: the venue wants no request for a second (429). The ids are ours: FIX
has no such rows; B.1.a and D.1.a are the nearest."""

import pytest
from dialogue import Desk, Step, cancel, er, fault, new, replace

# an order may wait in the host for 2 s (SEND_NS), which the last ones of each row do
WAITS_S = 1


def _never_sent(desk: Desk) -> None:
    """0.77 is no other order's quantity."""
    accepted = [record["qty"] for record in desk.sim.ledger() if record["type"] == "accepted"]
    assert accepted and "0.77" not in accepted, f"X was at the venue: {accepted}"


FROZEN: list[Step] = [
    fault("reply_429", retry_after=WAITS_S),
    new("W", "1", "59000"),
    er("pending new", "A", "W", "1 0 1"),
    er("rejected", "8", "W", "1 0 0", code="VENUE_REJECT", t103="0|99"),
    new("X", "0.77", "59000"),
    er("pending new", "A", "X", "0.77 0 0.77"),
]
# not behind the wait: the venue has never heard of X; what comes next waits for the venue
ROWS: dict[str, list[Step]] = {
    "a cancel": [
        *FROZEN,
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "0.77 0 0.77"),
        er("canceled", "4", "Y,X", "0.77 0 0"),
        new("Z", "1", "59000"),
        er("pending new", "A", "Z", "1 0 1"),
        er("new", "0", "Z", "1 0 1"),
        _never_sent,
    ],
    "a replace": [
        *FROZEN,
        replace("Y", "X", "0.5", "59000"),
        er("pending replace", "E", "Y,X", "0.77 0 0.77"),
        er("replaced", "0|5", "Y,X", "0.5 0 0.5"),
        _never_sent,
    ],
}


@pytest.mark.parametrize("row", ROWS)
def test_row(desk: Desk, row: str) -> None:
    desk.play(ROWS[row])
