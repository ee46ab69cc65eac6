"""A decision in the making: the events so far, and working copies of the orders and children that they touch.

decide changes nothing, but later steps of one decision depend on earlier ones (a fill that completes an order whose replace
is pending...). The draft applies each event to copies with the very functions that evolve uses, so that both agree.
"""

from __future__ import annotations

import copy
from typing import Any, get_args

import msgspec

from ..risk.base import Denied
from . import events as e
from .child import Child, apply_child, apply_fill, new_child
from .cold import Row
from .commands import ClientCommand
from .ids import exec_id, order_id
from .order import NEW, Order, apply_order, new_order
from .pace import MessageRate
from .reasons import Reason
from .reports import BusinessReject, CancelReject, Report
from .state import State


class Refusal(Exception):
    """A command of operations that cannot be carried out; the text says why. Nothing is journaled."""


class NoSuch(Refusal):
    """It names something that there is not."""


class Draft:
    """Events of one command. Read through order() / child(), change only through emit()."""

    # one is made for each command
    __slots__ = (
        "_children", "_exec_count", "_orders", "epoch", "events", "external", "install", "refusing", "seq", "state", "ts_ns",
    )  # fmt: skip

    def __init__(self, state: State, ts_ns: int) -> None:
        self.state = state
        self.ts_ns = ts_ns
        self.seq = state.seq + 1
        self.install = state.install
        self.epoch = state.epoch
        self.events: list[e.AnyEvent] = []
        self._orders: dict[str, Order] = {}
        self._children: dict[str, Child] = {}
        self._exec_count = 0
        # the message rates that a client's message must fit
        self.refusing: tuple[MessageRate, ...] = ()
        # keys of external trades in this decision
        self.external: set[str] = set()

    # --- reading ---

    def order(self, order: str) -> Order:
        """The order as it stands after the events so far. Do not change it."""
        found = self._orders.get(order) or self.state.orders.get(order) or self._unpack(self.state.cold.order(order))
        if found is None:
            raise KeyError(order)
        return found

    def child(self, venue_cl_ord_id: str) -> Child:
        """The child as it stands after the events so far. Do not change it."""
        found = self.find_child(venue_cl_ord_id)
        if found is None:
            raise KeyError(venue_cl_ord_id)
        return found

    def find_child(self, venue_cl_ord_id: str) -> Child | None:
        """The same, None for an unknown one."""
        found = self._children.get(venue_cl_ord_id) or self.state.children.get(venue_cl_ord_id)
        if found is None and self._unpack(self.state.cold.child(venue_cl_ord_id)) is not None:
            return self._children[venue_cl_ord_id]
        return found

    def _unpack(self, row: Row | None) -> Order | None:
        """A packed order is copied into the draft with its children; one that is there already stays as it is."""
        if row is None:
            return None
        for child in row.children:
            self._children.setdefault(child.venue_cl_ord_id, child)
        return self._orders.setdefault(row.order.order_id, row.order)

    def live_children(self, order: Order) -> list[Child]:
        """The order's children that are not closed."""
        children = [self.child(child) for child in order.children]
        return [child for child in children if child.is_live]

    def new_order_id(self) -> str:
        """One per record."""
        return order_id(self.install, self.epoch, self.seq)

    def next_exec_id(self) -> str:
        """A fresh ExecID."""
        self._exec_count += 1
        return exec_id(self.install, self.epoch, self.seq, self._exec_count)

    # --- writing ---

    def emit(self, event: Any) -> None:
        """Add an event and apply it to the working copies."""
        self.events.append(event)
        kind = _TOUCHES.get(type(event))
        if kind == "order":
            apply_order(self._own_order(event.order_id), event)
        elif kind == "child":
            apply_child(self._own_child(event.venue_cl_ord_id), event)
        elif kind == "fill":
            fill = apply_fill(self._own_child(event.venue_cl_ord_id), event)
            apply_order(self._own_order(event.order_id), event, fill)
        elif kind == "new order":
            self._orders[event.order_id] = new_order(event)
        elif kind == "new child":
            self._children[event.venue_cl_ord_id] = new_child(event)
            self._own_order(event.order_id).children.append(event.venue_cl_ord_id)

    def alert(self, kind: str, text: str) -> None:
        """Operations should look at this."""
        self.events.append(e.Alerted(kind=kind, text=text, ts_ns=self.ts_ns))

    def report(
        self,
        order: Order,
        exec_type: str,
        *,
        exec_id: str = "",
        venue_order_id: str = "",
        venue_cl_ord_id: str = "",
        **fields: Any,
    ) -> None:
        """An ExecutionReport of the order as it stands; `fields` override or add (see reports.Report)."""
        # the first 21 fields by position: Python makes a dict when positions + 2 x names are more than 30
        message = Report(
            exec_id or self.next_exec_id(), exec_type, order.ord_status, order.order_id, order.cl_ord_id,
            order.client_symbol, order.side, "", order.client_account, order.symbol, order.ord_type, order.tif,
            order.order_qty, order.cash_qty, order.price, order.stop_px, order.expire_ns if order.tif == "6" else None,
            order.exec_inst, order.cum_qty, order.leaves_qty, order.avg_px,
            venue=order.venue, venue_order_id=venue_order_id, venue_cl_ord_id=venue_cl_ord_id, transact_ns=self.ts_ns,
        )  # fmt: skip
        if _is_replaced(order):
            fields["replaced"] = True
        if fields:
            message = msgspec.structs.replace(message, **fields)
        self.events.append(e.Reported(order.session, order.account, message))

    def cancel_reject(
        self,
        session: str,
        order: Order | None,
        cl_ord_id: str,
        orig_cl_ord_id: str,
        response_to: str,
        denied: Denied,
    ) -> None:
        """An OrderCancelReject; `order` None: unknown (OrderID NONE, OrdStatus Rejected as FIX asks)."""
        message = CancelReject(
            order_id=order.order_id if order else "NONE",
            cl_ord_id=cl_ord_id,
            orig_cl_ord_id=orig_cl_ord_id,
            ord_status=order.ord_status if order else "8",
            response_to=response_to,
            reason=denied.reason.value,
            reason_tag=denied.tag,
            reason_value=denied.value,
            reason_limit=denied.limit,
            text=denied.text,
            account=order.client_account if order else "",
            transact_ns=self.ts_ns,
            replaced=order is not None and _is_replaced(order),
        )
        self.events.append(e.Reported(session=session, account=order.account if order else "", message=message))

    def business_reject(
        self, cmd: ClientCommand, msg_type: str, ref_id: str, business_reason: int, denied: Denied
    ) -> None:
        """A BusinessMessageReject of this message; `business_reason` is tag 380."""
        message = BusinessReject(
            ref_msg_type=msg_type,
            ref_seq=cmd.msg_seq,
            business_reason=business_reason,
            reason=denied.reason.value,
            text=denied.text,
            ref_id=ref_id,
            reason_tag=denied.tag,
            reason_value=denied.value,
            reason_limit=denied.limit,
        )
        self.events.append(e.Reported(session=cmd.session, account="", message=message))

    def cancel_children(self, order: Order) -> int:
        """Send a cancel for every live child that has none under way; gives the number of live children. One that is said to
        have ended, with trades missing, is canceled too: it does no harm there if that is so, and is needed if it is not."""
        live = self.live_children(order)
        for child in live:
            if child.cancel != "sent":
                self.emit(e.ChildCancelSent(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=self.ts_ns))
        return len(live)

    # --- working copies ---

    def _own_order(self, order: str) -> Order:
        own = self._orders.get(order)
        if own is None and order not in self.state.orders:
            own = self.order(order)
        elif own is None:
            own = copy.copy(self.state.orders[order])
            own.children = list(own.children)
            own.cl_ord_ids = list(own.cl_ord_ids)
            self._orders[order] = own
        return own

    def _own_child(self, venue_cl_ord_id: str) -> Child:
        own = self._children.get(venue_cl_ord_id)
        if own is None and venue_cl_ord_id not in self.state.children:
            own = self.child(venue_cl_ord_id)
        elif own is None:
            own = copy.copy(self.state.children[venue_cl_ord_id])
            own.fills = dict(own.fills)
            self._children[venue_cl_ord_id] = own
        return own


def _is_replaced(order: Order) -> bool:
    """Nothing executed and nothing pending, and a replace is in force: that alone gives an open order another ClOrdID than its
    first."""
    return order.ord_status == NEW and bool(order.cl_ord_ids) and order.cl_ord_id != order.cl_ord_ids[0]


def is_forgotten(draft: Draft, order_id: str) -> bool:
    """A ClOrdID may be used again once its order finished longer ago than the retention time, whether it is still here or
    not."""
    order = draft.state.find_order(order_id)
    if order is None:
        return True
    return bool(order.finished_ns) and order.finished_ns + draft.state.kept_ns < draft.ts_ns


def _touch(kind: type[e.Event]) -> str:
    if issubclass(kind, e.OrderFilled | e.FillBusted | e.FillCorrected):
        return "fill"
    if issubclass(kind, e.OrderEvent):
        return "new order" if kind is e.OrderReceived else "order"
    if issubclass(kind, e.ChildEvent):
        return "new child" if kind is e.ChildPlaced else "child"
    return ""


# what emit does with each kind of event; "" is nothing
_TOUCHES: dict[type, str] = {kind: _touch(kind) for kind in get_args(e.AnyEvent)}


def reason_fields(reason: Reason, tag: int = 0, value: object = "", limit: object = "", text: str = "") -> dict[str, Any]:
    """Report fields of a coded reason."""
    return {
        "reason": reason.value,
        "reason_tag": tag,
        "reason_value": str(value),
        "reason_limit": str(limit),
        "text": text or reason.meaning,
    }
