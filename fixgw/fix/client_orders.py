"""A FIX client's own view of its orders, from what it sent and from the reports that it received.

A view of the gateway's truth, for people and tools: it never decides anything. One OrderView per order; every
ClOrdID of its chain (replaces, cancels) leads to it.
"""

import threading
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

_MAX_IDS: Final = 100_000
# of one order; the oldest are forgotten
_MAX_REPLACES: Final = 1000
_TERMINAL: Final = frozenset(["2", "4", "8", "C", "3"])


@dataclass(slots=True)
class OrderView:
    """Values as they stand on the wire (FIX codes, decimal text); "" where unknown."""

    cl_ord_id: str
    symbol: str
    side: str
    order_id: str = ""
    ord_type: str = ""
    time_in_force: str = ""
    order_qty: str = ""
    cash_order_qty: str = ""
    price: str = ""
    stop_px: str = ""
    ord_status: str = ""
    cum_qty: str = ""
    leaves_qty: str = ""
    avg_px: str = ""
    text: str = ""
    reports: int = 0
    # ClOrdID of each replace that was asked for or told of -> was it confirmed (150=5)? `newest_replace`: the last of them
    replaces: dict[str, bool] = field(default_factory=dict)
    newest_replace: str = ""

    def add_replace(self, cl_ord_id: str, *, confirmed: bool = False) -> None:
        """A replace under this ClOrdID; what is confirmed stays so."""
        if cl_ord_id not in self.replaces:
            if len(self.replaces) >= _MAX_REPLACES:
                del self.replaces[next(iter(self.replaces))]
            self.newest_replace = cl_ord_id
        self.replaces[cl_ord_id] = confirmed or self.replaces.get(cl_ord_id, False)

    def is_replaced(self, cl_ord_id: str) -> bool:
        """Was the replace of this ClOrdID confirmed; for any other id of the order: its newest replace? By ExecType(150)=5, which
        all versions have: OrdStatus(39)=5 is of FIX 4.2 alone, and gone with the next fill."""
        return self.replaces.get(cl_ord_id, self.replaces.get(self.newest_replace, False))

    @property
    def terminal(self) -> bool:
        """Nothing more will be traded."""
        return self.ord_status in _TERMINAL

    def set_terms(self, order_qty: object, price: object, stop_px: object, cash_order_qty: object) -> None:
        """Takes int, Decimal or text; None and "" mean: not given."""
        self.order_qty, self.cash_order_qty = _number(order_qty), _number(cash_order_qty)
        self.price, self.stop_px = _number(price), _number(stop_px)


class OrderBook:
    """ClOrdID -> OrderView. Bounded: the oldest ids are forgotten. Safe from several threads."""

    def __init__(self) -> None:
        self._by_id: dict[str, OrderView] = {}
        self._lock = threading.Lock()

    def get(self, cl_ord_id: str) -> OrderView | None:
        with self._lock:
            return self._by_id.get(cl_ord_id)

    def add(self, view: OrderView) -> None:
        """A new order. A ClOrdID that is used again (on purpose, in a test) leaves the first order's view in place."""
        with self._lock:
            if view.cl_ord_id not in self._by_id:
                self._put(view.cl_ord_id, view)

    def alias(self, cl_ord_id: str, view: OrderView, *, replace: bool = False) -> None:
        """A further ClOrdID of an order: a replace or cancel of it."""
        with self._lock:
            if replace:
                view.add_replace(cl_ord_id)
            if cl_ord_id not in self._by_id:
                self._put(cl_ord_id, view)

    def all(self) -> list[OrderView]:
        """Every order once, oldest first."""
        with self._lock:
            return list({id(view): view for view in self._by_id.values()}.values())

    def report(self, fields: dict[int, str]) -> OrderView | None:
        """Takes an ExecutionReport, OrderCancelReject or BusinessMessageReject in; returns the order that it is about."""
        with self._lock:
            if fields.get(35) == "j":
                return self._not_taken(fields)
            ids = [fields[tag] for tag in (11, 41) if fields.get(tag)]
            view = next((self._by_id[cl_ord_id] for cl_ord_id in ids if cl_ord_id in self._by_id), None)
            if fields.get(35) == "9":
                if view is not None:
                    view.text = fields.get(58, "")
                    view.ord_status = fields.get(39, view.ord_status)
                return view
            if view is None:
                if not ids:
                    return None
                view = OrderView(ids[0], fields.get(55, ""), fields.get(54, ""))
            for cl_ord_id in ids:
                if cl_ord_id not in self._by_id:
                    self._put(cl_ord_id, view)
            _update(view, fields)
            return view

    def _not_taken(self, fields: dict[int, str]) -> OrderView | None:
        """A 35=j. It ends a new order as rejected if it says why (ReasonCode(20001): nothing was done; without one the outcome
        is not known) and nothing else was told of the order: a ClOrdID that is used again names an order that may live."""
        view = self._by_id.get(fields.get(379, ""))
        if view is None:
            return None
        refused_new = fields.get(372) == "D" and bool(fields.get(20001))
        if refused_new and (view.reports or view.cl_ord_id != fields[379]):
            return None
        view.text = fields.get(58, "")
        if refused_new:
            view.ord_status, view.leaves_qty = "8", "0"
        return view

    def _put(self, cl_ord_id: str, view: OrderView) -> None:
        while len(self._by_id) >= _MAX_IDS:
            del self._by_id[next(iter(self._by_id))]
        self._by_id[cl_ord_id] = view


def _update(view: OrderView, fields: dict[int, str]) -> None:
    names = {37: "order_id", 39: "ord_status", 14: "cum_qty", 151: "leaves_qty", 6: "avg_px", 40: "ord_type"}
    names |= {38: "order_qty", 44: "price", 99: "stop_px", 59: "time_in_force", 152: "cash_order_qty"}
    pending = fields.get(150) in ("6", "E")  # terms and id of a pending request are not the order's yet
    for tag, name in names.items():
        if fields.get(tag) and not (pending and tag in (38, 44, 99)):
            setattr(view, name, fields[tag])
    if fields.get(150) in ("4", "5") and fields.get(11):
        view.cl_ord_id = fields[11]
    if fields.get(150) == "5":
        view.add_replace(fields.get(11, ""), confirmed=True)
    view.text = fields.get(58, "")
    view.reports += 1


def _number(value: object) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, float):
        raise TypeError(f"{value!r}: a float is not exact, expected text, int or Decimal")
    return format(value, "f") if isinstance(value, Decimal) else str(value)
