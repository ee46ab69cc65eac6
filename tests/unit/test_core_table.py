"""The order's transition table, every cell: what each kind of event does at each status, and that what is not allowed
raises and leaves the order byte for byte as it was."""

from decimal import Decimal

import msgspec
import pytest

from fixgw.core import events as e
from fixgw.core.order import OPEN, TABLE, IllegalTransition, Order, apply_order, kind_of, new_order

# Rows are kinds of events, columns the status before: A pending new, 0 new, 1 partly filled, 2 filled, 4 canceled,
# 8 rejected, C expired. A cell is the status after; "-" is illegal.
CELLS = """
    kind         A  0  1  2  4  8  C
    confirm      0  -  -  -  -  -  -
    reject       8  8  -  -  -  -  -
    fill         1  1  1  2  4  4  C
    fill_all     2  2  2  2  2  2  2
    cancel       4  4  4  -  -  -  -
    expire       C  C  C  -  -  -  -
    request      A  0  1  -  -  -  -
    refuse       A  0  1  2  -  -  -
    refuse_all   -  -  2  2  -  -  -
    stop         A  0  1  -  -  -  -
    trigger      -  0  -  -  -  -  -
    replace      0  0  1  -  -  -  -
    replace_all  -  -  2  -  -  -  -
    unfill       -  -  0  0  4  -  C
    unfill_part  -  -  1  1  4  -  C
    unfill_none  -  -  2  2  2  -  2
"""

# What lies over the order while it happens. A request is legal only when nothing is pending; all else does not mind.
PENDING = ("", "6", "E")

QTY = Decimal(10)
CUM = {"A": 0, "0": 0, "1": 4, "2": 10, "4": 4, "8": 0, "C": 4}


def cells() -> list[tuple[str, str, str]]:
    lines = [line.split() for line in CELLS.strip().splitlines()]
    return [(kind, status, after) for kind, *row in lines[1:] for status, after in zip(lines[0][1:], row, strict=True)]


def order_at(status: str, pending: str = "", cum: Decimal | None = None) -> Order:
    """An order brought to `status` by hand, with `cum` executed at 100."""
    order = new_order(
        e.OrderReceived(
            order_id="o", ts_ns=1, session="s", cl_ord_id="c", client_account="", account="a", venue="v", symbol="B/U",
            client_symbol="B/U", side="1", ord_type="2", tif="1", order_qty=QTY, price=Decimal(100), risk_px=Decimal(100),
            held=True,
        )
    )  # fmt: skip
    if pending == "6":
        apply_order(order, e.CancelRequested(order_id="o", ts_ns=2, cl_ord_id="r"))
    elif pending == "E":
        apply_order(order, replace_request("r"))
    order.status = status
    order.cum_qty = Decimal(CUM[status]) if cum is None else cum
    order.notional = order.cum_qty * 100
    order.finished_ns = 0 if status in OPEN else 5
    return order


def replace_request(cl_ord_id: str, qty: Decimal = Decimal(12)) -> e.ReplaceRequested:
    return e.ReplaceRequested(
        order_id="o", ts_ns=3, cl_ord_id=cl_ord_id, order_qty=qty, ord_type="2", tif="1", price=Decimal(101), risk_px=Decimal(101)
    )


def prepared(kind: str, status: str, pending: str) -> tuple[Order, e.OrderEvent, tuple[Decimal, Decimal] | None]:
    """An order at `status` and an event that is of that kind for it; what a fill stood for before, where it matters."""
    head = {"order_id": "o", "ts_ns": 9}
    order = order_at(status, pending)
    trade = {"venue_cl_ord_id": "o1", "venue_trade_id": "t", "exec_id": "x", "px": Decimal(100)}
    left = QTY - order.cum_qty
    match kind:
        case "confirm":
            return order, e.OrderConfirmed(**head), None
        case "reject":
            return order, e.OrderRejected(**head, reason="VENUE_REJECT"), None
        case "fill":
            # at "filled" only a correction can have left less than all; the kind is made by a larger order
            order.order_qty += 5
            return order, e.OrderFilled(**head, **trade, qty=Decimal(1)), None
        case "fill_all":
            return order, e.OrderFilled(**head, **trade, qty=max(left, Decimal(1))), None
        case "cancel":
            return order, e.OrderCanceled(**head, cl_ord_id="r", reason="KILLED"), None
        case "expire":
            return order, e.OrderExpired(**head), None
        case "request":
            return order, e.CancelRequested(**head, cl_ord_id="q"), None
        case "refuse":
            order.order_qty += 5
            refused = e.ReplaceRefused if pending == "E" else e.CancelRefused
            return order, refused(**head, reason="TOO_LATE"), None
        case "refuse_all":
            # the old quantity is executed and a replace to more had kept it open
            order.order_qty = order.cum_qty
            refused = e.ReplaceRefused if pending == "E" else e.CancelRefused
            return order, refused(**head, reason="TOO_LATE"), None
        case "stop":
            return order, e.OrderStopping(**head, reason="KILLED"), None
        case "trigger":
            return order, e.StopTriggered(**head, trigger_px=Decimal(1)), None
        case "replace" | "replace_all":
            return order, e.OrderReplaced(**head), None
    bust = {key: value for key, value in trade.items() if key.startswith("venue")}
    if kind == "unfill":
        return order, e.FillBusted(**head, **bust), (order.cum_qty, Decimal(100))
    if kind == "unfill_part":
        return order, e.FillCorrected(**head, **trade, qty=Decimal(1)), (order.cum_qty, Decimal(100))
    assert kind == "unfill_none"
    return order, e.FillCorrected(**head, **trade, qty=QTY), (order.cum_qty, Decimal(100))


def test_the_table_is_the_one_below() -> None:
    assert {(status, kind): after for kind, status, after in cells() if after != "-"} == TABLE


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize(("kind", "status", "after"), cells())
def test_every_cell(kind: str, status: str, after: str, pending: str) -> None:
    needs = {"replace": "E", "replace_all": "E", "refuse": pending or "6", "refuse_all": pending or "6"}.get(kind, pending)
    order, event, fill = prepared(kind, status, pending)
    if kind == "replace_all" and order.pending is not None:
        order.pending.order_qty = min(order.cum_qty, Decimal(3))
    if kind == "unfill_none" and order.pending is not None:
        order.pending.order_qty = QTY  # a replace to more would keep it open
    if kind.startswith("unfill"):
        fill = fill if order.cum_qty else (Decimal(1), Decimal(100))
    elif pending == needs:
        assert kind_of(order, event) == kind
    before = msgspec.msgpack.encode(order)
    if after == "-" or (kind == "request" and pending) or pending != needs:
        with pytest.raises(IllegalTransition):
            apply_order(order, event, fill)
        assert msgspec.msgpack.encode(order) == before
    else:
        apply_order(order, event, fill)
        assert order.status == after
        assert bool(order.finished_ns) == (after not in OPEN)


@pytest.mark.parametrize("status", CUM)
@pytest.mark.parametrize("pending", ["", "6"])
def test_replaced_needs_a_pending_replace(status: str, pending: str) -> None:
    order = order_at(status, pending)
    before = msgspec.msgpack.encode(order)
    with pytest.raises(IllegalTransition):
        apply_order(order, e.OrderReplaced(order_id="o", ts_ns=9))
    assert msgspec.msgpack.encode(order) == before


@pytest.mark.parametrize(("pending", "wrong"), [("", "6"), ("", "E"), ("6", "E"), ("E", "6")])
def test_a_refusal_needs_its_own_pending_request(pending: str, wrong: str) -> None:
    order = order_at("0", pending)
    before = msgspec.msgpack.encode(order)
    refused = e.ReplaceRefused if wrong == "E" else e.CancelRefused
    with pytest.raises(IllegalTransition):
        apply_order(order, refused(order_id="o", ts_ns=9, reason="TOO_LATE"))
    assert msgspec.msgpack.encode(order) == before


@pytest.mark.parametrize("status", ["A", "0", "1"])
def test_ord_status_shows_what_is_pending_first(status: str) -> None:
    assert [order_at(status, pending).ord_status for pending in PENDING] == [status, "6", "E"]


def test_a_replacement_below_what_is_executed_ends_at_what_is_executed() -> None:
    order = order_at("1", "")
    apply_order(order, replace_request("r", Decimal(2)))
    apply_order(order, e.OrderReplaced(order_id="o", ts_ns=9))
    assert (order.status, order.order_qty, order.cum_qty, order.leaves_qty) == ("2", Decimal(4), Decimal(4), Decimal(0))
    assert (order.cl_ord_id, order.price, order.pending) == ("r", Decimal(101), None)


def test_more_busted_than_executed_is_illegal() -> None:
    order = order_at("1")
    before = msgspec.msgpack.encode(order)
    bust = e.FillBusted(order_id="o", ts_ns=9, venue_cl_ord_id="x", venue_trade_id="t")
    with pytest.raises(IllegalTransition):
        apply_order(order, bust, (Decimal(5), Decimal(100)))
    assert msgspec.msgpack.encode(order) == before


def test_ord_status_and_leaves_of_a_finished_order() -> None:
    assert [order_at(status).leaves_qty for status in "A012"] == [10, 10, 6, 0]
    assert [order_at(status).leaves_qty for status in "48C"] == [0, 0, 0]
