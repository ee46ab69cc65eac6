"""What is forgotten, and when: finished orders after the retention time of ClOrdIDs, refused ones by their number. Called by
evolve alone."""

from __future__ import annotations

from .child import CLOSED, Child
from .freezing import forget_cold
from .order import Order
from .state import AccountState, State

# refused orders at hand; older ones are forgotten, and their ClOrdIDs with them
MAX_REFUSED = 10_000


def forget(state: State, now_ns: int) -> None:
    """Drop orders that finished longer ago than the retention time; two a step keep up with any flow."""
    horizon = now_ns - state.kept_ns
    if state.cold.blocks:
        forget_cold(state, horizon)
    for _ in range(2):
        oldest = next(iter(state.finished), None)
        if oldest is None or state.orders[oldest].finished_ns > horizon:
            return
        order = state.orders[oldest]
        del state.finished[oldest]
        if any(state.children[child].state != CLOSED for child in order.children):
            state.finished[oldest] = None  # not settled yet: its turn comes again
            continue
        del state.orders[oldest]
        for child_id in order.children:
            child = state.children.pop(child_id)
            release(state.account(child.account), child)
            order_ids, name = state.venue(child.venue).order_ids, f"{child.symbol}|{child.venue_order_id}"
            if order_ids.get(name) == child_id:
                del order_ids[name]
        _drop_ids(state, order)


def _drop_ids(state: State, order: Order) -> None:
    ids = state.session(order.session).cl_ord_ids
    for cl_ord_id in order.cl_ord_ids:
        if ids.get(cl_ord_id) == order.order_id:
            del ids[cl_ord_id]


def keep_refused(state: State, order: Order) -> None:
    """Denied, nothing was ever sent of it: kept by number, so that a client that floods cannot fill the memory."""
    state.refused[order.order_id] = None
    horizon = order.finished_ns - state.kept_ns
    for _ in range(2):
        oldest = next(iter(state.refused))
        if len(state.refused) <= MAX_REFUSED and state.orders[oldest].finished_ns > horizon:
            return
        _drop_ids(state, state.orders.pop(oldest))
        del state.refused[oldest]


def release(account: AccountState, child: Child) -> None:
    """The venue's balance shows it now, or it will never take anything."""
    account.covered_from.pop(child.venue_cl_ord_id, None)
    if child.venue_cl_ord_id in account.uncovered:
        del account.uncovered[child.venue_cl_ord_id]
        account.reserved[child.reserve_asset] -= child.reserve_qty
