"""The client's order: its state and its one transition table.

Theory of operation. An order's `status` is what OrdStatus(39) would be if nothing were pending; a pending cancel or replace
lies over it (`pending`) and takes precedence in reports, as in the order state change matrices of FIX (4.4 volume 4,
appendix D: "pending cancel" over "filled", "pending replace" over "partially filled"). `apply_order` is the only place that
changes an order: it looks up (status, kind of event) in TABLE; a pair that is not there raises IllegalTransition and
changes nothing. cum_qty is always the sum of the fills that are not busted.

A finished order can still change: the real world sends fills after a cancel, busts after a fill.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from . import events as e
from .numbers import CTX, ZERO, average
from .reasons import Reason

PENDING_NEW, NEW, PARTIAL, FILLED, CANCELED, REJECTED, EXPIRED = "A", "0", "1", "2", "4", "8", "C"
PENDING_CANCEL, PENDING_REPLACE = "6", "E"
OPEN = frozenset((PENDING_NEW, NEW, PARTIAL))

# (status, kind) -> status. "fill" leaves something open, "fill_all" nothing; "replace_all": the new quantity is already
# executed, "refuse_all": the old one is; "unfill": bust or correction that leaves nothing executed, "unfill_part": something,
# "unfill_none": all.
TABLE: dict[tuple[str, str], str] = {
    (PENDING_NEW, "confirm"): NEW,
    (PENDING_NEW, "reject"): REJECTED,
    (PENDING_NEW, "fill"): PARTIAL,
    (PENDING_NEW, "fill_all"): FILLED,
    (PENDING_NEW, "cancel"): CANCELED,
    (PENDING_NEW, "expire"): EXPIRED,
    (PENDING_NEW, "request"): PENDING_NEW,
    (PENDING_NEW, "refuse"): PENDING_NEW,
    (PENDING_NEW, "stop"): PENDING_NEW,
    (PENDING_NEW, "replace"): NEW,
    (NEW, "reject"): REJECTED,  # real world: found out to be unplaced after a venue's premature word
    (NEW, "fill"): PARTIAL,
    (NEW, "fill_all"): FILLED,
    (NEW, "cancel"): CANCELED,
    (NEW, "expire"): EXPIRED,
    (NEW, "request"): NEW,
    (NEW, "refuse"): NEW,
    (NEW, "stop"): NEW,
    (NEW, "trigger"): NEW,
    (NEW, "replace"): NEW,
    (PARTIAL, "fill"): PARTIAL,
    (PARTIAL, "fill_all"): FILLED,
    (PARTIAL, "cancel"): CANCELED,
    (PARTIAL, "expire"): EXPIRED,
    (PARTIAL, "request"): PARTIAL,
    (PARTIAL, "refuse"): PARTIAL,
    (PARTIAL, "refuse_all"): FILLED,  # the replace to more came to nothing, and the old quantity is executed
    (PARTIAL, "stop"): PARTIAL,
    (PARTIAL, "replace"): PARTIAL,
    (PARTIAL, "replace_all"): FILLED,
    (PARTIAL, "unfill"): NEW,
    (PARTIAL, "unfill_part"): PARTIAL,
    (PARTIAL, "unfill_none"): FILLED,  # a correction upwards: decide cancels what still works
    (FILLED, "refuse"): FILLED,
    (FILLED, "refuse_all"): FILLED,  # a pending request is refused because the order filled
    (FILLED, "fill"): FILLED,  # real world: the venue executed more than was ordered
    (FILLED, "fill_all"): FILLED,
    (FILLED, "unfill"): NEW,  # the remainder has no working order: decide cancels it
    (FILLED, "unfill_part"): PARTIAL,
    (FILLED, "unfill_none"): FILLED,
    (CANCELED, "fill"): CANCELED,  # real world: fill after cancel
    (CANCELED, "fill_all"): FILLED,
    (CANCELED, "unfill"): CANCELED,
    (CANCELED, "unfill_part"): CANCELED,
    (CANCELED, "unfill_none"): FILLED,
    (REJECTED, "fill"): CANCELED,  # real world: a trade on an order that was reported as never placed
    (REJECTED, "fill_all"): FILLED,
    (EXPIRED, "fill"): EXPIRED,
    (EXPIRED, "fill_all"): FILLED,
    (EXPIRED, "unfill"): EXPIRED,
    (EXPIRED, "unfill_part"): EXPIRED,
    (EXPIRED, "unfill_none"): FILLED,
}


class IllegalTransition(Exception):
    """An event does not fit the order's state: our bug, or a venue's nonsense that decide let through. Crash."""


class Pending(msgspec.Struct, array_like=True, gc=False):
    """A client's request that is not settled. `kind`: "6" cancel, "E" replace; the other fields are those of a replace."""

    kind: str
    cl_ord_id: str
    order_qty: Decimal = ZERO
    ord_type: str = ""
    tif: str = ""
    cash_qty: Decimal | None = None
    price: Decimal | None = None
    stop_px: Decimal | None = None
    expire_ns: int | None = None
    exec_inst: str = ""
    risk_px: Decimal = ZERO
    # what it needs besides what the child that it replaces has reserved, until the new child reserves for itself
    reserve_asset: str = ""
    reserve_qty: Decimal = ZERO


class Order(msgspec.Struct, array_like=True, gc=False):
    """One client order. Quantities in the base asset; `notional` is the sum of qty x px of its fills."""

    order_id: str
    session: str
    cl_ord_id: str
    client_account: str
    account: str
    venue: str
    symbol: str
    client_symbol: str
    side: str
    ord_type: str
    tif: str
    order_qty: Decimal
    cash_qty: Decimal | None
    price: Decimal | None
    stop_px: Decimal | None
    expire_ns: int | None
    exec_inst: str
    risk_px: Decimal
    held: bool
    received_ns: int
    status: str = PENDING_NEW
    pending: Pending | None = None
    # why it is being canceled if not by the client
    stopping: str = ""
    reason: str = ""
    cum_qty: Decimal = ZERO
    notional: Decimal = ZERO
    children: list[str] = []
    # when it ended; of one that changed since (a late fill, a correction): when it last did. 0: it is open
    finished_ns: int = 0
    # every ClOrdID that named it or a request of it that was taken in
    cl_ord_ids: list[str] = []

    @property
    def is_open(self) -> bool:
        """May still trade, as far as we have told the client."""
        return self.status in OPEN

    @property
    def leaves_qty(self) -> Decimal:
        """LeavesQty(151): what may still trade; zero once finished."""
        if self.status not in OPEN:
            return ZERO
        left = self.order_qty - self.cum_qty
        return left if left > 0 else ZERO

    @property
    def avg_px(self) -> Decimal:
        return average(self.notional, self.cum_qty)

    @property
    def deadline_ns(self) -> int | None:
        """When its time in force ends it; None: never. While a replace waits for the venue that is the later of the old time
        and the new one: the client has asked in time, and the cancel that a replace begins with is under way already. Should
        the replace come to nothing, the old time holds again."""
        pending = self.pending
        if pending is None or pending.kind != PENDING_REPLACE or self.expire_ns is None:
            return self.expire_ns
        return None if pending.expire_ns is None else max(self.expire_ns, pending.expire_ns)

    @property
    def ord_status(self) -> str:
        """OrdStatus(39) with precedence: what is pending stands over everything."""
        return self.pending.kind if self.pending is not None else self.status


def new_order(ev: e.OrderReceived) -> Order:
    """The order as it begins."""
    # by position, in the order of Order's fields: with more than 15 named arguments Python makes a dict first
    return Order(
        ev.order_id, ev.session, ev.cl_ord_id, ev.client_account, ev.account, ev.venue, ev.symbol, ev.client_symbol,
        ev.side, ev.ord_type, ev.tif, ev.order_qty, ev.cash_qty, ev.price, ev.stop_px, ev.expire_ns, ev.exec_inst,
        ev.risk_px, ev.held, ev.ts_ns, children=[], cl_ord_ids=[ev.cl_ord_id],
    )  # fmt: skip


_KINDS: dict[type, str] = {
    e.OrderConfirmed: "confirm",
    e.OrderRejected: "reject",
    e.OrderCanceled: "cancel",
    e.OrderExpired: "expire",
    e.CancelRequested: "request",
    e.ReplaceRequested: "request",
    e.CancelRefused: "refuse",
    e.ReplaceRefused: "refuse",
    e.OrderStopping: "stop",
    e.StopTriggered: "trigger",
}


def kind_of(order: Order, ev: e.OrderEvent) -> str:
    """The row label of an event for this order."""
    kind = _KINDS.get(type(ev))
    if kind is not None:
        all_of_it = kind == "refuse" and order.cum_qty >= order.order_qty
        return "refuse_all" if all_of_it else kind
    if isinstance(ev, e.OrderFilled):
        wanted, pending = order.order_qty, order.pending
        if pending is not None and pending.order_qty > wanted and order.children[-1:] == [ev.venue_cl_ord_id]:
            # a replace to more goes on with the rest; not where its own child is out already, which would be too much
            wanted = pending.order_qty
        return "fill_all" if order.cum_qty + ev.qty >= wanted else "fill"
    if isinstance(ev, e.OrderReplaced):
        pending = order.pending
        return "replace_all" if pending is not None and pending.order_qty <= order.cum_qty else "replace"
    raise IllegalTransition(f"{type(ev).__name__} is no order event")


def apply_order(order: Order, ev: e.OrderEvent, fill: tuple[Decimal, Decimal] | None = None) -> None:
    """Apply one event. `fill`: for a bust or correction, the (quantity, price) as it stood before.

    Raises IllegalTransition, with the order unchanged, when TABLE has no such row.
    """
    if type(ev) not in _KINDS and isinstance(ev, e.FillBusted | e.FillCorrected):
        assert fill is not None
        _unfill(order, ev, *fill)
        return
    kind = kind_of(order, ev)
    status = TABLE.get((order.status, kind))
    if status is None or (type(ev) in _PENDING and not _pending_fits(order, ev)):
        raise IllegalTransition(f"order {order.order_id}: {kind} at status {order.status} (pending {order.ord_status})")
    if isinstance(ev, e.OrderFilled):
        order.cum_qty += ev.qty
        order.notional += CTX.multiply(ev.qty, ev.px)
    elif kind != "confirm":
        _change(order, ev)
    order.status = status
    if status not in OPEN:
        _ended(order, ev.ts_ns)


def _ended(order: Order, ts_ns: int) -> None:
    """It ended, or changed after its end: what is executed in full has no reason why the rest ended."""
    order.finished_ns = ts_ns
    if order.status == FILLED:
        order.reason = ""


def _change(order: Order, ev: e.OrderEvent) -> None:
    """What the rarer events change besides the status."""
    match ev:
        case e.CancelRequested():
            order.pending = Pending(kind=PENDING_CANCEL, cl_ord_id=ev.cl_ord_id)
            order.cl_ord_ids.append(ev.cl_ord_id)
        case e.ReplaceRequested():
            order.pending = _pending_replace(ev)
            order.cl_ord_ids.append(ev.cl_ord_id)
        case e.CancelRefused() | e.ReplaceRefused():
            order.pending = None
        case e.OrderReplaced():
            _replace(order)
            order.order_qty = order.order_qty if ev.order_qty is None else ev.order_qty
        case e.OrderCanceled():
            order.cl_ord_id = ev.cl_ord_id
            order.reason = ev.reason
            order.pending = None
        case e.OrderRejected():
            order.reason = ev.reason
            order.pending = None
        case e.OrderExpired():
            order.reason = Reason.EXPIRED.value
            order.pending = None
        case e.OrderStopping():
            order.stopping = ev.reason
        case e.StopTriggered():
            order.held = False
            order.risk_px = ev.risk_px or order.risk_px
        case _:
            pass


# what must be pending ("": nothing) for these events; others come whatever is
_PENDING: dict[type, str] = {
    e.CancelRequested: "",
    e.ReplaceRequested: "",
    e.CancelRefused: PENDING_CANCEL,
    e.OrderReplaced: PENDING_REPLACE,
    e.ReplaceRefused: PENDING_REPLACE,
}


def _pending_fits(order: Order, ev: e.OrderEvent) -> bool:
    """A request needs that nothing is pending; its end needs that just it is."""
    wanted = _PENDING.get(type(ev))
    return wanted is None or wanted == (order.pending.kind if order.pending is not None else "")


def _pending_replace(ev: e.ReplaceRequested) -> Pending:
    return Pending(
        kind=PENDING_REPLACE,
        cl_ord_id=ev.cl_ord_id,
        order_qty=ev.order_qty,
        ord_type=ev.ord_type,
        tif=ev.tif,
        cash_qty=ev.cash_qty,
        price=ev.price,
        stop_px=ev.stop_px,
        expire_ns=ev.expire_ns,
        exec_inst=ev.exec_inst,
        risk_px=ev.risk_px,
        reserve_asset=ev.reserve_asset,
        reserve_qty=ev.reserve_qty,
    )


def _replace(order: Order) -> None:
    """The pending parameters come into force; the live ClOrdID switches."""
    pending = order.pending
    assert pending is not None and pending.kind == PENDING_REPLACE
    order.cl_ord_id = pending.cl_ord_id
    # a quantity below what is executed means "cancel the balance": OrderQty becomes CumQty (FIX matrices D11 / C.2.a)
    order.order_qty = max(pending.order_qty, order.cum_qty)
    order.ord_type = pending.ord_type
    order.tif = pending.tif
    order.cash_qty = pending.cash_qty
    order.price = pending.price
    order.stop_px = pending.stop_px
    order.expire_ns = pending.expire_ns
    order.exec_inst = pending.exec_inst
    order.risk_px = pending.risk_px
    order.pending = None


def _unfill(order: Order, ev: e.FillBusted | e.FillCorrected, old_qty: Decimal, old_px: Decimal) -> None:
    """A bust takes a fill back; a correction exchanges it."""
    cum_qty = order.cum_qty - old_qty
    notional = order.notional - CTX.multiply(old_qty, old_px)
    if isinstance(ev, e.FillCorrected):
        cum_qty += ev.qty
        notional += CTX.multiply(ev.qty, ev.px)
    wanted = order.order_qty
    if order.status in OPEN and order.pending is not None:
        wanted = max(wanted, order.pending.order_qty)  # a replace to more keeps it open (kind_of)
    kind = "unfill_none" if cum_qty >= wanted else "unfill_part" if cum_qty > 0 else "unfill"
    status = TABLE.get((order.status, kind))
    if status is None or cum_qty < 0:
        raise IllegalTransition(f"order {order.order_id}: {type(ev).__name__} at status {order.status}")
    order.cum_qty = cum_qty
    order.notional = notional
    order.status = status
    if status in OPEN:
        order.finished_ns = 0
    else:
        _ended(order, ev.ts_ns)
