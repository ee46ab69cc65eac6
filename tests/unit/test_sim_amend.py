"""The simulator's amend: an order shrinks where it stands, or is refused and is as it was."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from fixgw.sim import dialect
from fixgw.sim.ledger import records_of, restore
from fixgw.sim.matching import Engine
from fixgw.sim.model import BUY, SELL, Event, OrderRequest, PublicTrade, Refused, Report, SymbolRules

SYM = "BTCUSDT"


def engine(**rules: Any) -> Engine:
    made = Engine([SymbolRules("BTC", "USDT", **({"min_notional": D(10)} | rules))])
    for name in ("a", "b", "c"):
        made.add_account(name, {"BTC": D(100), "USDT": D(1_000_000)})
    return made


def place(made: Engine, account: str, side: str, qty: str, price: str, cl_ord_id: str) -> list[Event]:
    return made.place(OrderRequest(account, SYM, side, "LIMIT", cl_ord_id, D(qty), D(price)), 1)


def report(events: list[Event]) -> Report:
    (found,) = events
    assert isinstance(found, Report)
    return found


def queue(made: Engine, side: str) -> list[tuple[str, D]]:
    level = made.books[SYM].sides[side].best()
    assert level is not None
    assert level.total == sum((o.leaves for o in level.orders.values()), D(0))
    return [(order.cl_ord_id, order.leaves) for order in level.orders.values()]


@pytest.mark.parametrize(("side", "asset", "before", "after"), [(BUY, "USDT", "500", "200"), (SELL, "BTC", "5", "2")])
def test_it_keeps_its_place_and_its_ids_and_holds_less(side: str, asset: str, before: str, after: str) -> None:
    made = engine()
    for who in "abc":
        place(made, who, side, "5", "100", f"{who}1")
    held = made.accounts["b"].balance(asset)
    assert held.locked == D(before)
    update_id = made.books[SYM].update_id
    told = report(made.amend("b", SYM, D(2), 7, cl_ord_id="b1"))
    assert (told.kind, told.status, told.orig_id, told.order.cl_ord_id) == ("REPLACED", "NEW", "b1", "b1")
    assert queue(made, side) == [("a1", D(5)), ("b1", D(2)), ("c1", D(5))]
    assert (held.locked, told.order.locked) == (D(after), D(after)) and held.free + held.locked in (D(100), D(1_000_000))
    assert made.books[SYM].update_id > update_id and (told.order.qty, told.order.updated_ns) == (D(2), 7)
    events = place(made, "a", SELL if side == BUY else BUY, "7.5", "100", "taker")
    assert [(e.qty, e.price) for e in events if isinstance(e, PublicTrade)] == [(D(5), 100), (D(2), 100), (D("0.5"), 100)]
    assert (told.order.status, held.locked) == ("FILLED", 0)


def test_a_partly_filled_order_ends_at_its_new_total() -> None:
    made = engine()
    place(made, "a", BUY, "5", "100", "a1")
    place(made, "b", SELL, "1.5", "100", "b1")
    told = report(made.amend("a", SYM, D("1.6"), 2, order_id=1, new_cl_ord_id="a2"))
    assert (told.kind, told.status, told.cum_qty, told.orig_id) == ("REPLACED", "PARTIALLY_FILLED", D("1.5"), "a1")
    assert made.find("a", SYM, None, "a1") is None and made.find("a", SYM, None, "a2") is told.order
    assert made.accounts["a"].balance("USDT").locked == D(10)
    place(made, "b", SELL, "3", "100", "b2")
    assert (told.order.status, told.order.cum_qty) == ("FILLED", D("1.6"))
    assert made.accounts["a"].balance("USDT").locked == 0


@pytest.mark.parametrize(
    ("how", "code", "text"),
    [
        ({"cl_ord_id": "nobody"}, -2038, "Unknown order"),
        ({"cl_ord_id": "done"}, -2038, "Unknown order"),
        ({"cl_ord_id": "b1"}, -2038, "Unknown order"),  # somebody else's
        ({"order_id": 1, "cl_ord_id": "other"}, -2039, "not correct for this order ID"),
        ({"qty": "5.00001"}, -2038, "quantity increase"),
        ({"qty": "5"}, -2038, "change no state"),
        ({"qty": "1.5"}, -2038, "executed"),
        ({"qty": "1"}, -2038, "executed"),
        ({"qty": "2.000001"}, -1013, "LOT_SIZE"),
        ({"qty": "1.7", "cl_ord_id": "small"}, -1013, "NOTIONAL"),
        ({"new_cl_ord_id": "other"}, -2038, "Duplicate"),
    ],
)
def test_what_is_refused_changes_nothing(how: dict[str, Any], code: int, text: str) -> None:
    made = engine()
    place(made, "a", BUY, "5", "100", "a1")
    place(made, "b", SELL, "1.5", "100", "b0")
    place(made, "a", BUY, "5", "99", "other")
    place(made, "a", BUY, "5", "5", "small")
    place(made, "a", BUY, "5", "98", "done")
    made.cancel("a", SYM, 2, cl_ord_id="done")
    place(made, "b", BUY, "5", "97", "b1")
    before = (made.books[SYM].snapshot(9), repr(made.accounts), repr(made.orders), dict(made.by_client))
    how = {"cl_ord_id": "a1"} | how if "order_id" not in how else how
    qty = D(how.pop("qty", "2"))
    with pytest.raises(Refused, match=text) as caught:
        made.amend("a", SYM, qty, 3, **how)
    assert caught.value.code == code
    assert (made.books[SYM].snapshot(9), repr(made.accounts), repr(made.orders), dict(made.by_client)) == before


def test_amends_are_counted_and_may_be_off_for_a_symbol() -> None:
    made = engine(max_amends=2)
    place(made, "a", BUY, "5", "100", "a1")
    made.amend("a", SYM, D(4), 2, cl_ord_id="a1")
    made.amend("a", SYM, D(3), 2, cl_ord_id="a1")
    with pytest.raises(Refused, match="MAX_NUM_ORDER_AMENDS") as caught:
        made.amend("a", SYM, D(2), 2, cl_ord_id="a1")
    assert caught.value.code == -2038
    never = engine(amend_allowed=False)
    place(never, "a", BUY, "5", "100", "a1")
    with pytest.raises(Refused, match="not supported for this symbol"):
        never.amend("a", SYM, D(2), 2, cl_ord_id="a1")
    views = [dialect.symbol_view(m.symbols[SYM]) for m in (made, never)]
    assert [view["amendAllowed"] for view in views] == [True, False]
    assert {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 2} in views[0]["filters"]


def test_what_is_told_and_remembered() -> None:
    made, again = engine(), engine()
    events = place(made, "a", BUY, "5", "100", "a1")
    lines = records_of(events)
    told = report(made.amend("a", SYM, D(2), 2_000_000, cl_ord_id="a1", new_cl_ord_id="a2"))
    lines += records_of([told])
    assert {k: lines[1][k] for k in ("type", "cl_ord_id", "new_cl_ord_id", "qty", "order_id")} == {
        "type": "amended", "cl_ord_id": "a1", "new_cl_ord_id": "a2", "qty": "2", "order_id": 1,
    }  # fmt: skip
    seen = dialect.execution_report(told, 3)
    assert {k: seen[k] for k in "xXqzcCit"} == {
        "x": "REPLACED", "X": "NEW", "q": "2.00000000", "z": "0.00000000", "c": "a2", "C": "a1", "i": 1, "t": -1,
    }  # fmt: skip
    assert dialect.order_view(told.order)["origQty"] == "2.00000000"
    restore(again, [{"seq": n, **line} for n, line in enumerate(lines, 1)])
    assert again.orders == made.orders and again.accounts == made.accounts and again.by_client == made.by_client
    assert queue(again, BUY) == queue(made, BUY)
