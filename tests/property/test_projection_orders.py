"""The projection's rows of orders are the core's orders, whatever happened to them, however often it was written and opened
again, and its fills are what the orders executed."""

import random
import sqlite3
from decimal import Decimal
from typing import Any

import pytest
import sqlite_utils
from core_driver import MOVES, Driver
from core_script import Script
from core_world import SYMBOL, World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core.codec import decode_record
from fixgw.core.order import Order
from fixgw.core.reports import BusinessReject, CancelReject, Notice, Report
from fixgw.core.state import State
from fixgw.journal import projection_orders
from fixgw.journal.projection import Projector

MOVE = st.tuples(st.integers(0, MOVES - 1), st.integers(0, 11), st.integers(0, 11))


def projected(records: list[bytes], chooser: random.Random) -> sqlite3.Connection:
    """All records, in batches of any size, now and then by a projector that knows nothing but the tables."""
    connection = sqlite3.connect(":memory:")
    projector = Projector(sqlite_utils.Database(connection))
    for payload in records:
        projector.add_record(decode_record(payload), payload)
        if chooser.random() < 0.3:
            projector.flush()
        if chooser.random() < 0.1:
            projector.flush()
            projector = Projector(sqlite_utils.Database(connection))
    projector.flush()
    connection.row_factory = sqlite3.Row
    return connection


def wanted(order: Order) -> dict[str, Any]:
    """What the row must say, by values."""
    pending = order.pending
    return {
        "ord_status": order.ord_status, "status": order.status, "cl_ord_id": order.cl_ord_id, "reason": order.reason,
        "order_qty": order.order_qty, "cash_qty": order.cash_qty, "price": order.price, "stop_px": order.stop_px,
        "ord_type": order.ord_type, "tif": order.tif, "expire_ns": order.expire_ns, "exec_inst": order.exec_inst,
        "cum_qty": order.cum_qty, "leaves_qty": order.leaves_qty, "avg_px": order.avg_px, "notional": order.notional,
        "session": order.session, "account": order.account, "symbol": order.symbol, "side": order.side,
        "created_ns": order.received_ns, "finished_ns": order.finished_ns, "stopping": order.stopping,
        "held": int(order.held), "risk_px": order.risk_px, "pending": None if pending is None else pending.kind,
    }  # fmt: skip


def same(connection: sqlite3.Connection, state: State) -> int:
    """Compare every order that the state still has; gives how many there are."""
    rows = {row["order_id"]: dict(row) for row in connection.execute("SELECT * FROM orders")}
    found = {order_id: order for order_id in rows if (order := state.find_order(order_id)) is not None}
    assert set(state.orders) <= set(found)
    for order_id, order in found.items():
        row, expected = rows[order_id], wanted(order)
        told = {name: Decimal(row[name]) if isinstance(value, Decimal) else row[name] for name, value in expected.items()}
        if row["pending"] is not None:
            told["pending"] = "E" if '"kind":"E"' in row["pending"] else "6" if '"kind":"6"' in row["pending"] else row["pending"]
        assert told == expected, f"order {order_id}"
        fills = connection.execute("SELECT qty FROM fills WHERE order_id = ? AND NOT busted", [order_id]).fetchall()
        assert sum((Decimal(qty) for (qty,) in fills), Decimal(0)) == order.cum_qty, f"order {order_id}: fills"
    return len(found)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.lists(MOVE, min_size=1, max_size=60), st.randoms(use_true_random=False), st.booleans())
def test_any_story(moves: list[tuple[int, int, int]], chooser: random.Random, settled: bool) -> None:
    driver = Driver()
    for move in moves:
        driver.step(*move)
    if settled:
        driver.settle()
    same(projected(driver.world.records, chooser), driver.world.state)


@pytest.mark.parametrize("seed", range(8))
def test_long_stories(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few kinds of moves, so that rare ones meet often; few orders at hand, so that most are read from their rows."""
    monkeypatch.setattr(projection_orders, "_AT_HAND", seed % 3)
    chooser = random.Random(seed)
    kinds = [0, 2, 3, 5, 9, 14, *chooser.sample(range(MOVES), 8)]
    driver = Driver()
    for _ in range(160):
        driver.step(chooser.choice(kinds), chooser.randrange(12), chooser.randrange(12))
    assert same(projected(driver.world.records, chooser), driver.world.state)
    driver.settle()
    assert same(projected(driver.world.records, chooser), driver.world.state)


STORIES = {
    "filled while a cancel is pending": (
        ["new a buy 1 @100", "ack C1", "cancel b a", "trade C1 t1 1"],
        ("a", "2", "1", "0", ""),
    ),
    "a cancel without an answer is refused in the end": (
        ["new a buy 1 @100", "ack C1", "cancel b a", "ambiguous C1 cancel", "answer C1 open cum=0", "cancel-reject C1"],
        ("a", "0", "0", "1", ""),
    ),
    "a pending replace leaves the live id and terms": (
        ["new a buy 1 @100", "ack C1", "replace b a 2 @99"],
        ("a", "E", "0", "1", ""),
    ),
    "the old quantity fills while a replace to more is pending": (
        ["new a buy 1 @100", "ack C1", "replace b a 2 @100", "trade C1 t1 1", "done C1 filled 1", "ack C2"],
        ("b", "1", "1", "1", ""),
    ),
    "refused": (["new a buy 0.01 @100"], ("a", "8", "0", "0", "BAD_LOT")),
}


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("at_hand", [0, 4096])
def test_stories_in_which_the_reports_do_not_tell_it_all(name: str, at_hand: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection_orders, "_AT_HAND", at_hand)
    lines, row = STORIES[name]
    script = Script()
    for line in lines:
        script.line(line)
    for seed in range(6):
        connection = projected(script.world.records, random.Random(seed))
        assert same(connection, script.world.state) == 1
        found = connection.execute("SELECT cl_ord_id, ord_status, cum_qty, leaves_qty, reason FROM orders").fetchall()
        assert [tuple(item) for item in found] == [row]


def test_every_kind_of_message_has_its_type() -> None:
    world = World()
    world.run(c.SessionLogon(ts_ns=world.tick(), session="OMS44", reset=False, msg_seq=world.number("OMS44")))
    world.run(c.JournalSpace(ts_ns=world.tick(), full=True))
    world.run(world.client(c.NewOrder, cl_ord_id="a", symbol=SYMBOL, side="1", ord_type="2", tif="1", order_qty=Decimal(1)))
    world.run(world.client(c.CancelOrder, cl_ord_id="b", orig_cl_ord_id="zz"))
    connection = projected(world.records, random.Random(1))
    told = [
        type(event.message)
        for payload in world.records
        for event in decode_record(payload).events
        if isinstance(event, e.Reported)
    ]
    types = {Report: "8", CancelReject: "9", BusinessReject: "j", Notice: "B"}
    assert {Report, CancelReject, Notice} <= set(told)
    assert [row[0] for row in connection.execute("SELECT msg_type FROM reports ORDER BY seq, idx")] == [
        types[kind] for kind in told
    ]
