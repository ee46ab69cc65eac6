"""Orders that are refused, and messages that are no orders: every refusal names reason, tag, value and limit.

Rows F, G of the matrices (FIX 4.2: D22 to D26, D31); the demo's limits are in fixgw/config/init.py, the venue's rules are
tick 0.01, lot 0.00001, minimum notional 5.
"""

import pytest
from client import Conversation
from dialogue import (
    Desk,
    Step,
    ask_status,
    biz_reject,
    cancel,
    check,
    cxl_reject,
    er,
    kill,
    new,
    raw,
    replace,
    resume,
    session_reject,
    slow_cancel,
    utc,
    venue_fill,
    working,
)


def asks(name: str, **tags: str) -> Step:
    """OrderStatusRequest with other words than the order's."""

    def step(desk: Desk) -> None:
        said = {55: "BTC/USDT", 54: "1"} | {int(tag[1:]): value for tag, value in tags.items()}
        desk.client.send("H", [(11, desk.id(name)), *said.items()])

    return step


REFUSED: dict[str, list[Step]] = {
    "unknown symbol": [
        new("X", symbol="DOGE/USDT"),
        er("rejected", "8", "X", "1 0 0", code="UNKNOWN_SYMBOL", t103="1", t20002="55", t20003="DOGE/USDT"),
    ],
    "unknown account": [
        new("X", t1="nobody"),
        er("rejected", "8", "X", "1 0 0", code="UNKNOWN_ACCOUNT", t103="15|99", t20002="1", t20003="nobody", t1="nobody"),
    ],
    "unknown venue": [
        new("X", t100="NYSE"),
        er("rejected", "8", "X", "1 0 0", code="UNKNOWN_VENUE", t103="99", t20002="100", t20003="NYSE", t20004="sim"),
    ],
    "unsupported side": [
        new("X", side="5"),
        er("rejected", "8", "X", "1 0 0", code="UNSUPPORTED", t103="11", t20002="54", t20003="5"),
    ],
    "unsupported order type": [
        new("X", kind="P"),
        er("rejected", "8", "X", "1 0 0", code="UNSUPPORTED", t103="11", t20002="40", t20003="P"),
    ],
    "unsupported time in force": [
        new("X", tif="2"),
        er("rejected", "8", "X", "1 0 0", code="UNSUPPORTED", t103="11", t20002="59", t20003="2"),
    ],
    "limit order without a price": [
        new("X", px=""),
        er("rejected", "8", "X", "1 0 0", code="MISSING_FIELD", t103="99", t20002="44"),
    ],
    "stop order without a stop price": [
        new("X", kind="3"),
        er("rejected", "8", "X", "1 0 0", code="MISSING_FIELD", t103="99", t20002="99"),
    ],
    "market order with a price": [
        new("X", kind="1", t44="60001"),
        er("rejected", "8", "X", "1 0 0", code="INVALID_VALUE", t103="99", t20002="44", t20003="60001", t20004="no price"),
    ],
    "limit order with a stop price": [
        new("X", t99="59500"),
        er("rejected", "8", "X", "1 0 0", code="INVALID_VALUE", t103="99", t20002="99", t20003="59500", t20004="no stop price"),
    ],
    "neither OrderQty nor CashOrderQty": [
        new("X", qty=""),
        er("rejected", "8", "X", code="MISSING_FIELD", t103="99", t20002="38"),
    ],
    "both OrderQty and CashOrderQty": [
        new("X", t152="100"),
        er("rejected", "8", "X", "1 0 0", code="INVALID_VALUE", t103="99", t20002="152", t20003="100"),
    ],
    "negative quantity": [
        new("X", "-1"),
        er("rejected", "8", "X", "-1 0 0", code="INVALID_VALUE", t103="99", t20002="38", t20003="-1"),
    ],
    "GTD without a time": [
        new("X", tif="6"),
        er("rejected", "8", "X", "1 0 0", code="MISSING_FIELD", t103="99", t20002="126"),
    ],
    "GTD in the past": [
        new("X", tif="6", t126=lambda: utc(-5)),
        er("rejected", "8", "X", "1 0 0", code="INVALID_VALUE", t103="99", t20002="126"),
    ],
    "an expiry without GTD, which would bind nothing": [
        new("X", tif="1", t126=lambda: utc(60)),
        er("rejected", "8", "X", "1 0 0", code="INVALID_VALUE", t103="99", t20002="126", text="TimeInForce(59)=6"),
        new("Y", tif="", t432="20200101"),
        er("rejected", "8", "Y", "1 0 0", code="INVALID_VALUE", t103="99", t20002="432", t20003="20200101"),
        *working("Z", "1", tif="0"),
        replace("V", "Z", "2", t126=lambda: utc(60)),
        cxl_reject("V,Z", "0", to="2", why="99", code="INVALID_VALUE", t20002="126"),
    ],
    "off the tick": [
        new("X", px="59000.001"),
        er("rejected", "8", "X", "1 0 0", code="BAD_TICK", t103="99", t20002="44", t20003="59000.001", t20004="0.01"),
    ],
    "off the lot": [
        new("X", "0.000015"),
        er("rejected", "8", "X", "0.000015 0 0", code="BAD_LOT", t103="13", t20002="38", t20003="0.000015", t20004="0.00001"),
    ],
    "below the minimum notional": [
        new("X", "0.00008"),
        er("rejected", "8", "X", "0.00008 0 0", code="MIN_NOTIONAL", t103="99", t20002="38", t20003="4.72", t20004="5"),
    ],
    "market order below the minimum notional": [
        new("X", "0.00008", kind="1"),
        er("rejected", "8", "X", "0.00008 0 0", code="MIN_NOTIONAL", t103="99", t20002="38", t20003="4.80008", t20004="5"),
    ],
    "order quantity limit": [
        new("X", "10.00001"),
        er("rejected", "8", "X", "10.00001 0 0", code="MAX_ORDER_QTY", t103="3", t20002="38", t20003="10.00001", t20004="10"),
    ],
    "notional limit": [
        new("X", "100.0001", "11000", symbol="ETH/USDT"),
        er("rejected", "8", "X", "100.0001 0 0", code="MAX_ORDER_QTY", t20002="38", t20004="100"),
        new("Y", "9.9", "101020", side="2"),
        er("rejected", "8", "Y", "9.9 0 0", code="MAX_NOTIONAL", t103="3", t20002="38", t20003="1000098", t20004="1000000"),
    ],
    "price collar": [
        new("X", px="63001.06"),
        er("rejected", "8", "X", "1 0 0", code="PRICE_COLLAR", t103="99", t20002="44", t20003="63001.06", t20004="63001.05"),
    ],
    "unsupported term: MaxFloor": [
        new("X", t111="0.5"),
        er("rejected", "8", "X", "1 0 0", code="UNSUPPORTED", t103="11", t20002="111", t20003="0.5", t20004="no such field"),
        ask_status("X"),
        er("status", "8", "X", "1 0 0", code="UNSUPPORTED", reply=True, t103="11"),
        new("X", t111="0.5", header=[(97, "Y")]),
        er("status", "8", "X", "1 0 0", code="UNSUPPORTED", reply=True, t103="11"),
        new("X"),
        er("rejected", "8", "X", "1 0 0", code="DUPLICATE_CL_ORD_ID", t103="6"),
    ],
    "unsupported term: MinQty": [
        new("X", t110="0.05"),
        er("rejected", "8", "X", "1 0 0", code="UNSUPPORTED", t103="11", t20002="110", t20004="0 or no such field"),
    ],
    "another instrument than the spot that the symbol names": [
        new("X", px="60500", t167="OPT"),
        er("rejected", "8", "X", "1 0 0", code="UNSUPPORTED", t103="11", t20002="167", t20003="OPT",
           t20004="DIGITAL, FOR, FXSPOT, NONE or no such field"),
        new("Y", px="60500", t167="FUT", t200="202612"),
        er("rejected", "8", "Y", "1 0 0", code="UNSUPPORTED", t103="11"),
        new("Z", px="60500", t231="10"),
        er("rejected", "8", "Z", "1 0 0", code="UNSUPPORTED", t103="11", t20002="231", t20004="1 or no such field"),
        *working("V", "1", t167="DIGITAL", t231="1.0", t63="0", t120="USDT"),
        replace("W", "V", "2", t167="OPT"),
        cxl_reject("W,V", "0", to="2", why="2", code="UNSUPPORTED", t20002="167", t20003="OPT"),
        cancel("W", "V", t167="OPT"),
        er("pending cancel", "6", "W,V", "1 0 1"),
        er("canceled", "4", "W,V", "1 0 0"),
    ],
    "another settlement than the venue's": [
        new("X", t64="20261123"),
        er("rejected", "8", "X", "1 0 0", code="UNSUPPORTED", t103="11", t20002="64", t20003="20261123", t20004="no such field"),
        new("Y", t120="EUR"),
        er("rejected", "8", "Y", "1 0 0", code="UNSUPPORTED", t103="11", t20002="120", t20003="EUR",
           t20004="USDT or USD, the currency of the price"),
    ],
    "another currency than the price's": [
        new("X", t15="EUR"),
        er("rejected", "8", "X", "1 0 0", code="UNSUPPORTED", t103="11", t20002="15", t20003="EUR",
           t20004="USDT or USD, the currency of the price"),
        new("Y", t15="USDT"),
        er("pending new", "A", "Y", "1 0 1"),
        er("new", "0", "Y", "1 0 1"),
        replace("Z", "Y", "2", t15="EUR"),
        cxl_reject("Z,Y", "0", to="2", why="2", code="UNSUPPORTED", t20002="15", t20003="EUR"),
        new("V", symbol="BTC/USD", t15="USD"),
        er("pending new", "A", "V", "1 0 1"),
        er("new", "0", "V", "1 0 1"),
    ],
    "quantity that is no decimal of ours": [
        new("X", "1" * 31),
        er("rejected", "8", "X", code="INVALID_VALUE", t103="99", t20002="38", t20003="1" * 31, t20004="at most 30 digits"),
    ],
    "ClOrdID that no report could name": [
        raw("D", (11, "x" * 65), (21, "1"), (55, "BTC/USDT"), (54, "1"), (38, "1"), (40, "1"), (60, "20261121-00:00:00")),
        biz_reject("0", "INVALID_VALUE", "D", t20002="11", t20003="x" * 64, t20004="at most 64 printable ASCII characters"),
    ],
    "message type that is known to FIX and not supported": [
        raw("K", (66, "list"), (60, "20261121-00:00:00")),
        biz_reject("3", "UNSUPPORTED_MESSAGE", "K", t20002="35", t20003="K", t20004="D, F, G, H"),
    ],
    "message type that nobody knows": [raw("ZZ", (58, "?")), session_reject("11", "", "ZZ")],
    "unknown tag": [new("X", t4999="1"), session_reject("0", "4999", "D")],
    "tag of another message": [new("X", t434="1"), session_reject("2", "434", "D")],
    "missing required tag": [new("X", t54=""), session_reject("1", "54", "D")],
    "value that is no number": [new("X", "many"), session_reject("6", "38", "D")],
    "value out of the enumeration": [new("X", side="Z"), session_reject("5", "54", "D")],
}
KNOWN: dict[str, list[Step]] = {
    "replace with an unsupported term, and a cancel with a symbol that is none": [
        *working("X", "1"),
        replace("Y", "X", "2", t111="0.5"),
        cxl_reject("Y,X", "0", to="2", why="2", code="UNSUPPORTED", t20002="111", t20003="0.5", t20004="no such field"),
        cancel("Y", "X", t55="x" * 65),
        cxl_reject("Y,X", "0", to="1", why="99", code="INVALID_VALUE", t20002="55", t20003="x" * 64),
        cancel("Y", "no such", t55="x" * 65),
        cxl_reject("Y,no such", "8", to="1", why="99", code="INVALID_VALUE", t20002="55"),
        # the refused requests used up no ClOrdID
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "1 0 1"),
        er("canceled", "4", "Y,X", "1 0 0"),
    ],
    "cancel of an order that no OrigClOrdID of ours names": [
        raw("F", (11, "y"), (41, "x" * 70), (55, "BTC/USDT"), (54, "1"), (38, "1"), (60, "20261121-00:00:00")),
        biz_reject("0", "INVALID_VALUE", "F", t20002="41", t20004="at most 64 printable ASCII characters"),
    ],
    "F.1.a=D22: duplicate ClOrdID": [
        *working("X", "1"),
        venue_fill("X", "0.1"),
        er("partial fill", "1", "X", "1 0.1 0.9"),
        new("X", "2"),
        # a reject of the second order combined with the status of the first
        er("rejected", "1", "X", "1 0.1 0.9", code="DUPLICATE_CL_ORD_ID", t103="6", t20002="11"),
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "1 0.1 0.9"),
        er("canceled", "4", "Y,X", "1 0.1 0"),
    ],
    "F.1.a=D22: the ClOrdID of a finished order": [
        new("X", "0.1", "60001", tif="3"),
        er("pending new", "A", "X", "0.1 0 0.1"),
        er("new", "0", "X", "0.1 0 0.1"),
        er("fill", "2", "X", "0.1 0.1 0"),
        new("X", "2"),
        er("rejected", "2", "X", "0.1 0.1 0", code="DUPLICATE_CL_ORD_ID", t103="6"),
    ],
    "F.1.b=D31: possible resend": [
        *working("X", "1"),
        new("X", "1", header=[(97, "Y")]),
        er("status", "0", "X", "1 0 1", reply=True),
        new("Y", "1.5", header=[(97, "Y")]),
        er("pending new", "A", "Y", "1.5 0 1.5"),
        er("new", "0", "Y", "1.5 0 1.5"),
    ],
    "F.1.b=D31: possible resend that is too old": [
        new("X", "1", t60=lambda: utc(-40), header=[(97, "Y")]),
        er("rejected", "8", "X", "1 0 0", code="STALE_REQUEST", t103="4", t20002="60", t20004="at most 30 s old"),
    ],
    "possible resend of a cancel and of a replace": [
        *working("X", "1"),
        slow_cancel(),
        replace("Y", "X", "2"),
        er("pending replace", "E", "Y,X", "1 0 1"),
        replace("Y", "X", "2", header=[(97, "Y")]),
        er("status", "E", "Y,X", "1 0 1", reply=True),
        er("replaced", "0|5", "Y,X", "2 0 2"),
        cancel("Z", "Y"),
        er("pending cancel", "6", "Z,Y", "2 0 2"),
        er("canceled", "4", "Z,Y", "2 0 0"),
        cancel("Z", "Y", header=[(97, "Y")]),
        er("status", "4", "Z", "2 0 0", reply=True),
    ],
    "PossDup of a message that was not seen, and of an order that was": [
        new("X", "1", header=[(43, "Y"), (122, utc)]),
        er("pending new", "A", "X", "1 0 1"),
        er("new", "0", "X", "1 0 1"),
        new("X", "1", header=[(43, "Y"), (122, utc)]),
        er("status", "0", "X", "1 0 1", reply=True),
    ],
    "G.1.a=D26: status requests during the life of an order": [
        *working("X", "1"),
        ask_status("X"),
        er("status", "0", "X", "1 0 1", reply=True),
        venue_fill("X", "0.3"),
        er("partial fill", "1", "X", "1 0.3 0.7"),
        ask_status("X"),
        er("status", "1", "X", "1 0.3 0.7", reply=True, t32="", t31=""),
        slow_cancel(),
        cancel("Y", "X"),
        er("pending cancel", "6", "Y,X", "1 0.3 0.7"),
        ask_status("X"),
        er("status", "6", "X", "1 0.3 0.7", reply=True),
        ask_status("Y"),
        er("status", "6", "Y,X", "1 0.3 0.7", reply=True),
        er("canceled", "4", "Y,X", "1 0.3 0"),
        ask_status("Y"),
        er("status", "4", "Y", "1 0.3 0", reply=True),
    ],
    "G.1.b=D24: status of an unknown order": [
        ask_status("X"),
        er("status", "8", "X", code="UNKNOWN_ORDER", reply=True, t103="5", t37="NONE", t14="0", t151="0"),
    ],
    "status request that contradicts the order": [
        *working("X", "1"),
        asks("X", t54="2"),
        er("status", "0", "X", "1 0 1", reply=True, code="MISMATCH", text="the side is", t54="1",
           t20002="54", t20003="2", t20004="1"),
        asks("X", t55="ETH/USDT"),
        er("status", "0", "X", "1 0 1", reply=True, code="MISMATCH", t55="BTC/USDT", t20002="55", t20003="ETH/USDT",
           t20004="BTC/USDT"),
        asks("X", t55="BTC/USD", t37="NONE"),  # the same instrument
        er("status", "0", "X", "1 0 1", reply=True),
        asks("X", t37="other"),
        er("status", "0", "X", "1 0 1", reply=True, code="MISMATCH", text="different orders", t20002="37", t20003="other"),
        new("Y", symbol="DOGE/USDT"),
        er("rejected", "8", "Y", "1 0 0", code="UNKNOWN_SYMBOL", t103="1"),
        asks("Y", t55="DOGE/USDT", t54="2"),
        er("status", "8", "Y", "1 0 0", reply=True, code="UNKNOWN_SYMBOL", text="MISMATCH: the side is", t103="1", t20002=""),
    ],
    "status of a rejected order": [
        new("X", symbol="DOGE/USDT"),
        er("rejected", "8", "X", "1 0 0", code="UNKNOWN_SYMBOL", t103="1"),
        ask_status("X"),
        er("status", "8", "X", "1 0 0", code="UNKNOWN_SYMBOL", reply=True, t103="1"),
        cancel("Y", "X"),
        cxl_reject("Y,X", "8", to="1", why="0", code="TOO_LATE"),
    ],
}
KILLED: dict[str, list[Step]] = {
    "kill switch of the session": [
        *working("X", "1"),
        kill("session"),
        er("canceled", "4", "X", "1 0 0", code="KILLED", t378="8|4"),
        new("Y"),
        er("rejected", "8", "Y", "1 0 0", code="HALTED", t103="2"),
        resume("session"),
        *working("Z", "1"),
    ],
    "kill switch of the venue": [
        *working("X", "1"),
        venue_fill("X", "0.4"),
        er("partial fill", "1", "X", "1 0.4 0.6"),
        kill("venue"),
        er("canceled", "4", "X", "1 0.4 0", code="KILLED", t378="8|4"),
        new("Y"),
        er("rejected", "8", "Y", "1 0 0", code="HALTED", t103="2", t20002="100", t20003="sim"),
    ],
    "kill switch of the firm: a cancel passes, a replace does not": [
        new("X", "1", "", kind="3", t99="75000"),
        er("pending new", "A", "X", "1 0 1", t99="75000"),
        er("new", "0", "X", "1 0 1"),
        kill("firm", "REDUCING"),
        new("W", "10"),
        er("rejected", "8", "W", "10 0 0", code="REDUCING", t103="99", t20002="38", t20003="10"),
        replace("Y", "X", "2"),
        cxl_reject("Y,X", "0", to="2", why="99", code="REDUCING", t20002="38"),
        cancel("Z", "X"),
        er("canceled", "4", "Z,X", "1 0 0"),
    ],
}
ROWS = {**REFUSED, **KNOWN, **KILLED}


@pytest.mark.parametrize("row", ROWS)
def test_row(desk: Desk, row: str) -> None:
    desk.play(ROWS[row])


@pytest.mark.parametrize("desk", ["FIX50"], indirect=True)
def test_an_order_named_by_its_order_id_alone(desk: Desk) -> None:
    """FIX 5.0SP2 needs no OrigClOrdID where OrderID is given; the reports say it all the same."""
    for step in working("X", "1"):
        step(desk)
    named = [(37, desk.order_ids["X"]), (55, "BTC/USDT"), (54, "1")]
    desk.client.send("H", [(790, "ask-1"), *named])
    er("status", "0", "X", "1 0 1", reply=True, t790="ask-1")(desk)
    desk.chain["Y"] = "X"
    desk.client.send("F", [(11, desk.id("Y")), *named, (60, utc())])
    desk.play([er("pending cancel", "6", "Y,X", "1 0 1"), er("canceled", "4", "Y,X", "1 0 0")])


@pytest.mark.parametrize("desk", ["FIX44"], indirect=True)
def test_another_session_cannot_touch_the_order(desk: Desk, clients: dict[str, Conversation]) -> None:
    for step in working("X", "1"):
        step(desk)
    other = clients["FIX50"]
    mark = len(other.seen)
    other.send("F", [(11, desk.id("Y")), (37, desk.order_ids["X"]), (55, "BTC/USDT"), (54, "1"), (60, utc())])
    found = other.wait(lambda: [m for m in other.seen[mark:] if m[35] == "9"], "cancel reject")
    check(found[0], {37: "NONE", 102: "1", 39: "8", 20001: "UNKNOWN_ORDER"}, "35=9")
    desk.play([])
