"""The demo's judge must be able to fail: every kind of difference is found, and a good day passes."""

import dataclasses
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from fixgw.demo import compare
from fixgw.demo.lines import Line, number, read
from fixgw.demo.play import Played, Seen
from fixgw.demo.scenario import DAY, TIGHTENED, Order, Step
from fixgw.demo.stack import DemoError, Stack, _set
from fixgw.fix.client import FixMessage


def message(**fields: object) -> FixMessage:
    """t11="a" is tag 11."""
    pairs = tuple((int(name[1:]), str(value)) for name, value in fields.items())
    return FixMessage(pairs, "", 0, 1)


def seen(**fields: object) -> Seen:
    made = message(**fields)
    return Seen(read(made), made)


def report(exec_id: str, **more: object) -> Seen:
    base: dict[str, object] = {"t35": "8", "t17": exec_id, "t37": "O1", "t11": "a", "t55": "BTC/USDT", "t54": "1"}
    return seen(**base | {"t39": "0", "t150": "0", "t14": "0", "t151": "1"} | more)


NEW = report("E1")
FILL = report("E2", t150="F", t39="2", t14="1", t151="0", t32="1", t31="100", t20006="7", t137="0.001", t138="BTC")
COPIES = [Seen(s.line, message(**{f"t{t}": v for t, v in s.message.pairs} | {"t797": "Y"})) for s in (NEW, FILL)]
LEDGER: list[dict[str, Any]] = [
    {"type": "accepted", "account": "main", "cl_ord_id": "O1C01"},
    {"type": "filled", "account": "main", "cl_ord_id": "O1C01", "trade_id": 7, "qty": "1.00", "price": "100.0"},
    {"type": "filled", "account": "street", "cl_ord_id": "x", "trade_id": 7, "qty": "1.00", "price": "100.0"},
]
STEP = Step("a step", (), (Line("new", "a", "0", "0", "1"), Line("fill", "a", "2", "1", "0", "1", "100")))


@pytest.mark.parametrize(
    ("fields", "what", "status"),
    [
        ({"t150": "F", "t39": "1"}, "fill", "1"),
        ({"t20": "0", "t150": "1", "t39": "1"}, "fill", "1"),
        ({"t20": "0", "t150": "2", "t39": "2"}, "fill", "2"),
        ({"t20": "3", "t150": "A", "t39": "A"}, "unknown", "A"),
        ({"t150": "I", "t39": "A"}, "unknown", "A"),
        ({"t20": "0", "t150": "5", "t39": "5"}, "replaced", "0"),
        ({"t150": "5", "t39": "0"}, "replaced", "0"),
        ({"t150": "8", "t39": "8"}, "rejected", "8"),
        ({"t150": "?", "t39": "8"}, "ExecType ?", "8"),
    ],
)
def test_versions_say_the_same(fields: dict[str, object], what: str, status: str) -> None:
    line = read(message(t35="8", t11="a", **fields))
    assert (line.what, line.status) == (what, status)


def test_refusals_and_numbers() -> None:
    line = read(message(t35="9", t11="b", t39="2", t20001="TOO_LATE"))
    assert line == Line("cancel rejected", "b", "2", reason="TOO_LATE") and not line.is_report
    assert [number(text) for text in ("0.20", "100", "0.0", "", "x", "NaN")] == ["0.2", "100", "0", "", "x", "NaN"]
    assert "31=100" in FILL.line.full() and "fill 1 @ 100" in FILL.line.text()


def judged(step: Step, came: list[Seen], copied: list[Seen]) -> list[str]:
    played = Played(step, came=came, copied=copied)
    assert played.judge() == (not played.problems)
    return played.problems


def test_steps() -> None:
    assert judged(STEP, [NEW, FILL], COPIES) == []
    assert "missing: fill" in judged(STEP, [NEW], COPIES[:1])[0]
    assert any("wrong order" in problem for problem in judged(STEP, [FILL, NEW], COPIES[::-1]))
    assert any("wrong order or number" in problem for problem in judged(STEP, [NEW, FILL, FILL], COPIES))
    assert any("not expected" in problem for problem in judged(STEP, [NEW, FILL, report("E3", t11="b")], COPIES))
    assert any("drop copy" in problem for problem in judged(STEP, [NEW, FILL], COPIES[:1]))
    loose = dataclasses.replace(STEP, any_order=True)
    assert judged(loose, [FILL, NEW], COPIES[::-1]) == []
    assert judged(loose, [FILL, FILL], COPIES[::-1]) != []


def test_drop_copy() -> None:
    assert compare.drop_copy([NEW, FILL], COPIES).ok
    changed = Seen(FILL.line, message(**{f"t{t}": v for t, v in FILL.message.pairs} | {"t797": "Y", "t6": "99"}))
    for client, broker, said in (
        ([NEW, FILL], COPIES[:1], "0 copies"),
        ([NEW, FILL], [*COPIES, COPIES[1]], "2 copies"),
        ([NEW], COPIES, "expected 0"),
        ([NEW, NEW, FILL], COPIES, "2 times"),
        ([NEW, FILL], [NEW, COPIES[1]], "797"),
        ([NEW, FILL], [COPIES[0], changed], "tag 6"),
    ):
        differences = compare.drop_copy(client, broker).differences
        assert any(said in difference for difference in differences), (said, differences)


def test_ledger() -> None:
    assert compare.ledger([NEW, FILL], LEDGER, []).ok
    denied = report("E9", t37="O2", t11="b", t150="8", t39="8", t20001="MAX_NOTIONAL")
    refused = report("E9", t37="O2", t11="b", t150="8", t39="8", t20001="VENUE_REJECT")
    again = report("E9", t150="8", t39="2", t20001="DUPLICATE_CL_ORD_ID")
    there = {"type": "accepted", "account": "main", "cl_ord_id": "O2C01"}
    assert compare.ledger([NEW, FILL, denied, again], LEDGER, []).ok
    assert compare.ledger([NEW, FILL, refused], [*LEDGER, there | {"type": "rejected"}], []).ok
    working = {"account": "main", "clientOrderId": "O1C01"}
    assert compare.ledger([NEW], LEDGER[:1], [working]).ok
    for client, records, rows, said in (
        ([NEW, FILL], LEDGER[:1], [], "the ledger has []"),
        ([NEW], LEDGER, [working], "the client got []"),
        ([NEW, FILL, FILL], LEDGER, [], "the client got"),
        ([NEW, FILL], [LEDGER[0], *LEDGER], [], "placed 2 times"),
        ([NEW, FILL], [*LEDGER, there], [], "of no order"),
        ([NEW, FILL, denied], [*LEDGER, there], [], "MAX_NOTIONAL, but it reached"),
        ([NEW, FILL, refused], LEDGER, [], "never reached"),
        ([NEW, FILL], LEDGER, [working], "working at the exchange"),
        ([NEW, FILL], [LEDGER[0], LEDGER[1] | {"price": "100.5"}], [], "100.5"),
    ):
        differences = compare.ledger(client, records, rows).differences
        assert any(said in difference for difference in differences), (said, differences)


def test_positions() -> None:
    before = {"BTC": Decimal(10), "USDT": Decimal(1000)}
    after = {"BTC": Decimal("10.999"), "USDT": Decimal(900)}

    def told(net: str) -> dict[str, Any]:
        scopes = (("session", "OMS44"), ("firm", ""), ("session", "OMS42"))
        return {"positions": [{"scope": scope, "name": name, "symbol": "BTC/USDT", "net": net} for scope, name in scopes]}

    fills = {"fills": [{"exec_id": "E2"}], "more": False}
    good = compare.positions("OMS44", [NEW, FILL], told("0.999"), fills, before, after)
    assert good.ok and good.data == {"net": {"BTC/USDT": "0.999"}, "booked": {"BTC": "0.999", "USDT": "-100"}}
    for position, listed, booked, said in (
        ("1", fills, after, "session OMS44: positions 1"),
        ("0.999", {"fills": [], "more": False}, after, "`fixgw fills`"),
        ("0.999", fills, before, "the exchange booked flat"),
    ):
        differences = compare.positions("OMS44", [NEW, FILL], told(position), listed, before, booked).differences
        assert any(said in difference for difference in differences), (said, differences)


def test_the_day_is_as_promised() -> None:
    """What the scenario must show, and that the client ids of new orders are used once but for the duplicate."""
    ids = Counter(action.cl_ord_id for step in DAY for action in step.actions if isinstance(action, Order))
    assert {cl_ord_id: count for cl_ord_id, count in ids.items() if count > 1} == {"limit": 2}
    assert all(step.expected for step in DAY)  # a step without reports would end before anything could come


def test_the_configuration_is_tightened(tmp_path: Any) -> None:
    stack = Stack(tmp_path / "dir")
    stack.prepare()
    for name, keys in TIGHTENED.items():
        text = (tmp_path / "dir" / name).read_text()
        assert all(f"{key} = {value}" in text for key, value in keys.items())
    with pytest.raises(DemoError, match="already there"):
        stack.prepare()
    with pytest.raises(DemoError, match="0 times"):
        _set("a = 1\n[table]\nb = 2\n", "c", "3")
    with pytest.raises(DemoError, match="2 times"):
        _set("a = 1\n[table]\na = 2\n", "a", "3")
