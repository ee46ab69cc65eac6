"""The projection's table `orders`: each row is the core's Order, changed by the core's own transition table.

Reports would not do: a cancel that is refused because the order has filled is told by 35=9 alone, and a notice about an
unknown outcome is no change of the order. So every order event goes through core.order.apply_order, to an order that is
read from its row when it is not at hand, and what was touched is written once per flush.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import Any, Final

import msgspec

from fixgw.core import events as e
from fixgw.core.order import IllegalTransition, Order, Pending, apply_order, new_order

from .plain import plain
from .projection_tables import TABLES

# orders kept at hand between two flushes; others are read from their rows
_AT_HAND: Final = 4096
_COLUMNS: Final = tuple(TABLES["orders"][1])
_READ: Final = f"SELECT {', '.join(_COLUMNS)} FROM orders WHERE order_id = ?"
_NEWEST_CHILD: Final = "SELECT venue_cl_ord_id FROM children WHERE order_id = ? ORDER BY placed_ns DESC, rowid DESC LIMIT 1"
_WRITE: Final = f"INSERT OR REPLACE INTO orders ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
# lists that the table has elsewhere (children, reports); of these a transition reads the newest child only (see placed)
_LISTS: Final = frozenset(("children", "cl_ord_ids"))


class _Row(msgspec.Struct):
    """One order with what the table has besides."""

    order: Order
    first_seq: int
    last_seq: int
    updated_ns: int
    trigger_px: Decimal | None = None


class OrderRows:
    """Applies order events in their order. flush() writes the rows (without a commit), forget() drops what is not written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: dict[str, _Row] = {}
        self._touched: dict[str, _Row] = {}

    def apply(self, event: e.OrderEvent, seq: int) -> None:
        """One event. A bust or correction needs the trade's row as it stood before, so it comes before the table `fills`
        is changed. Raises ValueError for an order or trade that is not there, or an event that does not fit the order."""
        if isinstance(event, e.OrderReceived):
            row = self._rows[event.order_id] = _Row(new_order(event), seq, seq, event.ts_ns)
        else:
            row = self._row(event.order_id)
            fill = self._fill(event) if isinstance(event, e.FillBusted | e.FillCorrected) else None
            try:
                apply_order(row.order, event, fill)
            except IllegalTransition as error:
                raise ValueError(f"record {seq} does not fit the projection: {error}") from error
            row.last_seq, row.updated_ns = seq, event.ts_ns
            if isinstance(event, e.StopTriggered):
                row.trigger_px = event.trigger_px
        self._touched[event.order_id] = row

    def placed(self, event: e.ChildPlaced) -> None:
        """Which child a fill is of decides whether it ends an order that is being replaced (core.order.kind_of)."""
        self._row(event.order_id).order.children = [event.venue_cl_ord_id]

    def flush(self) -> None:
        """Write every row that was touched."""
        self._connection.executemany(_WRITE, [_values(row) for row in self._touched.values()])
        self._touched.clear()
        while len(self._rows) > _AT_HAND:
            del self._rows[next(iter(self._rows))]

    def forget(self) -> None:
        """After a rollback: nothing at hand is true any more."""
        self._rows.clear()
        self._touched.clear()

    def _row(self, order_id: str) -> _Row:
        found = self._rows.get(order_id)
        if found is None:
            values = self._connection.execute(_READ, [order_id]).fetchone()
            if values is None:
                raise ValueError(f"order {order_id} is not in the projection: run `fixgw journal rebuild`")
            found = self._rows[order_id] = _decode(dict(zip(_COLUMNS, values, strict=True)))
            newest = self._connection.execute(_NEWEST_CHILD, [order_id]).fetchone()
            found.order.children = list(newest) if newest is not None else []
        return found

    def _fill(self, event: e.FillBusted | e.FillCorrected) -> tuple[Decimal, Decimal]:
        key = [event.venue_cl_ord_id, event.venue_trade_id]
        sql = "SELECT qty, px FROM fills WHERE venue_cl_ord_id = ? AND venue_trade_id = ?"
        found = self._connection.execute(sql, key).fetchone()
        if found is None:
            raise ValueError(f"trade {event.venue_trade_id} of {event.venue_cl_ord_id} is not in the projection")
        return Decimal(found[0]), Decimal(found[1])


def order_columns(order: Order) -> dict[str, Any]:
    """What the table says of an order: its fields, and what follows from them."""
    values = {name: plain(getattr(order, name)) for name in Order.__struct_fields__ if name not in _LISTS}
    values["created_ns"] = values.pop("received_ns")
    values["held"] = int(order.held)
    values["pending"] = msgspec.json.encode(values["pending"]).decode() if order.pending is not None else None
    values["ord_status"] = order.ord_status
    values["leaves_qty"], values["avg_px"] = plain(order.leaves_qty), plain(order.avg_px)
    return values


def _values(row: _Row) -> list[Any]:
    values = order_columns(row.order)
    for name in ("first_seq", "last_seq", "updated_ns"):
        values[name] = getattr(row, name)
    values["trigger_px"] = plain(row.trigger_px)
    return [values[name] for name in _COLUMNS]


def _decode(values: dict[str, Any]) -> _Row:
    """A row as order_columns and _values made it."""
    fields: dict[str, Any] = {**values, "received_ns": values["created_ns"], "held": bool(values["held"])}
    fields |= {name: [] for name in _LISTS}
    if fields["pending"] is not None:
        pending = msgspec.json.decode(fields["pending"])
        fields["pending"] = [pending[name] for name in Pending.__struct_fields__]
    order = msgspec.convert([fields[name] for name in Order.__struct_fields__], Order)
    trigger_px = None if values["trigger_px"] is None else Decimal(values["trigger_px"])
    return _Row(order, values["first_seq"], values["last_seq"], values["updated_ns"], trigger_px)
