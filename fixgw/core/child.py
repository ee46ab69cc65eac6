"""The child: a slice of an order sent to one venue, and what we know of its fate.

    sent ----ack----> working ----done----> (closing: trades missing) ----> closed
      \\--unknown--/         \\<-- shown as open since ---/
                        a query or reconciliation settles what is unknown; nothing is ever guessed

`cancel`: "" none asked, "sent", "unknown" (sent, no answer). `amend`: the quantity to which the venue is to reduce it in
place, while that has no answer. An amend is never asked about: what came of it is unknown or refused becomes a cancel, after
which the executed quantity is certain and the rest is placed anew. `amend_maybe`: given up so, but the venue may have done it.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from . import events as e
from .numbers import ZERO

SENT, UNKNOWN, WORKING, CLOSING, CLOSED = "sent", "unknown", "working", "closing", "closed"


class Fill(msgspec.Struct, array_like=True, gc=False):
    """One trade, keyed by its venue_trade_id in the child. `exec_id` is that of the report that last told of it."""

    qty: Decimal
    px: Decimal
    exec_id: str
    base_fee: Decimal = ZERO
    busted: bool = False


class Child(msgspec.Struct, array_like=True, gc=False):
    """One child order. `closed_as`: filled, canceled, expired, rejected, not_placed."""

    venue_cl_ord_id: str
    order_id: str
    venue: str
    account: str
    symbol: str
    side: str
    ord_type: str
    tif: str
    qty: Decimal
    px: Decimal | None
    sent_ns: int
    expires_ns: int
    reserve_asset: str
    reserve_qty: Decimal
    state: str = SENT
    venue_order_id: str = ""
    cum_qty: Decimal = ZERO
    cancel: str = ""
    cancel_ns: int = 0
    cancels: int = 0
    fills: dict[str, Fill] = {}
    not_found: int = 0
    queries: int = 0
    next_query_ns: int = 0
    final_cum: Decimal | None = None
    closed_as: str = ""
    # the sum of its trades as the venue told them, busted ones included: what the venue's own cum_qty is held against
    told_qty: Decimal = ZERO
    # when the last "not found" that counted was asked
    not_found_ns: int = 0
    # when we learned of its end (working: of one that did not count)
    closed_ns: int = 0
    amend: Decimal | None = None
    amend_maybe: Decimal | None = None

    @property
    def is_live(self) -> bool:
        return self.state != CLOSED

    @property
    def is_uncertain(self) -> bool:
        """Something about it is unknown, so that it is queried until it is settled; a query may get no answer."""
        return self.state in (UNKNOWN, CLOSING) or self.cancel == "unknown" or self.next_query_ns > 0


def new_child(ev: e.ChildPlaced) -> Child:
    """The child as it is sent."""
    # by position, in the order of Child's fields: with more than 15 named arguments Python makes a dict first
    return Child(
        ev.venue_cl_ord_id, ev.order_id, ev.venue, ev.account, ev.symbol, ev.side, ev.ord_type, ev.tif, ev.qty, ev.px,
        ev.ts_ns, ev.expires_ns, ev.reserve_asset, ev.reserve_qty, fills={},
    )  # fmt: skip


def apply_child(child: Child, ev: e.ChildEvent) -> None:
    """Apply one event. A closed child changes only by fills (see apply_fill)."""
    if isinstance(ev, e.ChildConfirmed):
        child.venue_order_id = ev.venue_order_id or child.venue_order_id
        if child.state in (SENT, UNKNOWN):
            child.state = WORKING
            child.not_found = 0
            if child.cancel != "unknown":
                child.queries = 0
                child.next_query_ns = 0
    elif isinstance(ev, e.ChildClosed):
        child.state = CLOSED
        child.closed_as = ev.status
        child.closed_ns = ev.ts_ns
        child.cancel = ""
        child.amend = None
        child.next_query_ns = 0
    else:
        _change(child, ev)


def _change(child: Child, ev: e.ChildEvent) -> None:
    """The rarer events."""
    match ev:
        case e.ChildCancelSent():
            child.cancel = "sent"
            child.cancel_ns = ev.ts_ns
            child.cancels += 1
            _give_up_amend(child)
        case e.ChildAmendSent():
            child.amend = ev.qty
        case e.ChildAmended():
            child.amend = child.amend_maybe = None
            child.qty = ev.qty
        case e.ChildAmendRefused():
            child.amend = child.amend_maybe = None
        case e.ChildCancelRefused():
            child.cancel = ""
        case e.ChildUnknown():
            if ev.op == "place":
                child.state = UNKNOWN
            else:
                child.cancel = "unknown"
                _give_up_amend(child)
        case e.ChildQueried():
            child.queries += 1
            child.next_query_ns = ev.next_ns
        case e.ChildNotFound():
            child.not_found += 1
            child.not_found_ns = ev.asked_ns
            if ev.next_ns:
                child.next_query_ns = min(child.next_query_ns, ev.next_ns)
        case e.ChildSettled():
            child.queries = 0
            child.next_query_ns = 0
            child.not_found = 0
            if child.cancel == "unknown":
                child.cancel = ""
        case e.ChildClosing():
            child.state = CLOSING
            child.final_cum = ev.final_cum
            child.closed_as = ev.status
            child.closed_ns = ev.heard_ns
        case e.ChildReopened():
            child.state = WORKING
            child.final_cum = None
            child.closed_as = ""
            child.queries = 0
        case _:
            raise AssertionError(f"{type(ev).__name__} is no child event")


def _give_up_amend(child: Child) -> None:
    if child.amend is not None:
        child.amend, child.amend_maybe = None, child.amend


def apply_fill(child: Child, ev: e.OrderFilled | e.FillBusted | e.FillCorrected) -> tuple[Decimal, Decimal]:
    """Record, bust or correct a trade; gives the (quantity, price) that stood before (zeros for a new one)."""
    if isinstance(ev, e.OrderFilled):
        assert ev.venue_trade_id not in child.fills, f"trade {ev.venue_trade_id} twice"
        child.fills[ev.venue_trade_id] = Fill(qty=ev.qty, px=ev.px, exec_id=ev.exec_id, base_fee=ev.base_fee)
        child.cum_qty += ev.qty
        child.told_qty += ev.qty
        return ZERO, ZERO
    fill = child.fills[ev.venue_trade_id]
    before = (fill.qty, fill.px)
    # a new Fill each time: copies of a child share those that did not change
    if isinstance(ev, e.FillBusted):
        child.fills[ev.venue_trade_id] = msgspec.structs.replace(fill, busted=True)
        child.cum_qty -= fill.qty
    else:
        child.fills[ev.venue_trade_id] = msgspec.structs.replace(fill, qty=ev.qty, px=ev.px, exec_id=ev.exec_id)
        child.cum_qty += ev.qty - fill.qty
    return before
