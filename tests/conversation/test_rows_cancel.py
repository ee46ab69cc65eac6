"""Order state change matrices A, B: orders that fill, cancel requests. Ids name the row in FIX 4.4 and in FIX 4.2."""

import pytest
from dialogue import (
    Desk,
    Step,
    cancel,
    cxl_reject,
    er,
    new,
    slow_cancel,
    slow_place,
    street,
    until_faulty,
    venue_cancel,
    venue_fill,
    working,
)

ROWS: dict[str, list[Step]] = {
    "A.1.a=D1: filled order": [
        *working("X", "1"),
        venue_fill("X", "0.2"),
        er("partial fill", "1", "X", "1 0.2 0.8", t32="0.2", t31="59000", t6="59000"),
        venue_fill("X", "0.3"),
        er("partial fill", "1", "X", "1 0.5 0.5", t32="0.3", t31="59000"),
        venue_fill("X", "0.5"),
        er("fill", "2", "X", "1 1 0", t32="0.5", t31="59000", t6="59000"),
    ],
    "A.1.a=D1: market order": [
        new("X", "0.1", kind="1", tif=""),
        er("pending new", "A", "X", "0.1 0 0.1", t40="1", t44=""),
        er("new", "0", "X", "0.1 0 0.1"),
        er("fill", "2", "X", "0.1 0.1 0", t32="0.1", t31="60001", t6="60001"),
    ],
    "A.1.a: average price of two levels": [
        street("SELL", "0.1", "60000"),
        new("X", "0.2", "60001"),
        er("pending new", "A", "X", "0.2 0 0.2"),
        er("new", "0", "X", "0.2 0 0.2"),
        er("partial fill", "1", "X", "0.2 0.1 0.1", t32="0.1", t31="60000", t6="60000"),
        er("fill", "2", "X", "0.2 0.2 0", t32="0.1", t31="60001", t6="60000.5"),
    ],
    "B.1.a=D3: cancel of a zero-filled order": [
        *working("X", "1"),
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "1 0 1"),
        er("canceled", "4", "Y,X", "1 0 0"),
    ],
    "B.1.b=D4: cancel of a part-filled order, executions whilst it is pending": [
        *working("X", "1"),
        venue_fill("X", "0.2"),
        er("partial fill", "1", "X", "1 0.2 0.8", t32="0.2"),
        slow_cancel(),
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "1 0.2 0.8"),
        venue_fill("X", "0.3"),
        er("partial fill", "6", "X", "1 0.5 0.5", t32="0.3"),
        er("canceled", "4", "Y,X", "1 0.5 0"),
    ],
    "B.1.c=D5: the order fills before the cancel is accepted": [
        *working("X", "1"),
        slow_cancel(),
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "1 0 1"),
        venue_fill("X", "0.4"),
        er("partial fill", "6", "X", "1 0.4 0.6"),
        venue_fill("X", "0.6"),
        er("fill", "6", "X", "1 1 0"),
        cxl_reject("Y,X", "2", to="1", why="0", code="TOO_LATE"),
    ],
    "B.1.c=D5: cancel of a filled order": [
        *working("X", "1"),
        venue_fill("X", "1"),
        er("fill", "2", "X", "1 1 0"),
        cancel("Y", "X"),
        cxl_reject("Y,X", "2", to="1", why="0", code="TOO_LATE"),
    ],
    "B.1.c: cancel of a canceled order": [
        *working("X", "1"),
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "1 0 1"),
        er("canceled", "4", "Y,X", "1 0 0"),
        cancel("Z", "Y"),
        cxl_reject("Z,Y", "4", to="1", why="0", code="TOO_LATE"),
    ],
    "B.1.d: cancel of an order that is not yet acknowledged": [
        slow_place(),
        new("X", "1"),
        er("pending new", "A", "X", "1 0 1"),
        until_faulty("delay"),
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "1 0 1"),
        er("new", "6", "X", "1 0 1"),
        er("canceled", "4", "Y,X", "1 0 0"),
    ],
    "B.1.f: cancel of an unknown order": [
        cancel("Y", "X"),
        cxl_reject("Y,X", "8", to="1", why="1", code="UNKNOWN_ORDER", t20002="41"),
    ],
    "cancel of another client's side": [
        *working("X", "1"),
        cancel("Y", "X", t54="2"),
        cxl_reject("Y,X", "0", to="1", why="99", code="MISMATCH", t20002="54", t20003="2", t20004="1"),
        cancel("Z", "X"),
        er("pending cancel", "6", "Z,X", "1 0 1"),
        er("canceled", "4", "Z,X", "1 0 0"),
    ],
    "second cancel whilst the first is pending": [
        *working("X", "1"),
        slow_cancel(),
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "1 0 1"),
        cancel("Z", "X"),
        cxl_reject("Z,X", "6", to="1", why="3", code="PENDING"),
        er("canceled", "4", "Y,X", "1 0 0"),
    ],
    "cancel with the ClOrdID of the order itself": [
        *working("X", "1"),
        cancel("X", "X"),
        cxl_reject("X,X", "0", to="1", why="6", code="DUPLICATE_CL_ORD_ID", t20002="11"),
    ],
    "E.1.b=D19: unsolicited cancel of a part-filled order": [
        *working("X", "1"),
        venue_fill("X", "0.2"),
        er("partial fill", "1", "X", "1 0.2 0.8"),
        venue_cancel("X"),
        er("canceled", "4", "X", "1 0.2 0", code="VENUE_CANCEL"),
    ],
}


@pytest.mark.parametrize("row", ROWS)
def test_row(desk: Desk, row: str) -> None:
    desk.play(ROWS[row])
