"""Orders between warm (objects in the state) and cold (packed, cold.py). Called by evolve alone, so that it is a function of
the events: nothing here depends on time or on memory."""

from __future__ import annotations

from . import cold
from .child import CLOSED, Child
from .numbers import ZERO
from .order import Order
from .state import State


def freeze_oldest(state: State) -> None:
    """Pack the orders that finished first while more than cold.WARM are at hand; two a step keep up with any flow."""
    for _ in range(2):
        if len(state.finished) <= cold.WARM:
            return
        oldest = next(iter(state.finished))
        del state.finished[oldest]
        if not _freeze(state, state.orders[oldest]):
            state.finished[oldest] = None  # not settled yet: its turn comes again


def _freeze(state: State, order: Order) -> bool:
    """False if something of it is still under way."""
    children = [state.children[child] for child in order.children]
    covered = []
    for child in children:
        account = state.accounts[child.account]
        # when a balance covers what it reserved; 0: nothing is reserved; None: that is not known yet
        covered_ns = account.covered_from.get(child.venue_cl_ord_id) if child.venue_cl_ord_id in account.uncovered else 0
        if child.state != CLOSED or covered_ns is None:
            return False
        covered.append(covered_ns)
    if order.pending is not None:
        return False
    order_id, session = order.order_id, order.session
    keys = []
    ids, mine = state.sessions[session].cl_ord_ids, True
    for cl_ord_id in order.cl_ord_ids:
        if ids.get(cl_ord_id) == order_id:
            del ids[cl_ord_id]
            keys.append(cold.cl_ord_id_key(session, cl_ord_id))
        else:
            mine = False
    if not mine:
        # one that was used again since names the newer order, and this one no more
        order.cl_ord_ids = [cl_ord_id for cl_ord_id in order.cl_ord_ids if cold.cl_ord_id_key(session, cl_ord_id) in keys]
    for child, covered_ns in zip(children, covered, strict=True):
        child_id = child.venue_cl_ord_id
        del state.children[child_id]
        if cold.parent_id(child_id) != order_id:
            keys.append(cold.child_key(child_id))
        order_ids, name = state.venues[child.venue].order_ids, f"{child.symbol}|{child.venue_order_id}"
        if order_ids.get(name) == child_id:
            del order_ids[name]
            keys.append(cold.venue_key(child.venue, child.symbol, child.venue_order_id))
        if covered_ns:
            account = state.accounts[child.account]
            del account.uncovered[child_id], account.covered_from[child_id]
            account.settling.add(covered_ns, child.reserve_asset, child.reserve_qty)
    del state.orders[order_id]
    state.cold.add(cold.Row(order, children, covered), keys)
    return True


def thaw_order(state: State, order_id: str) -> Order:
    """Take an order out, as if it had never been packed. KeyError if it is not there."""
    row = state.cold.take_order(order_id)
    if row is None:
        raise KeyError(order_id)
    _thaw(state, row)
    return row.order


def thaw_child(state: State, venue_cl_ord_id: str) -> Child:
    """The same by the id of one of its children."""
    row = state.cold.take_child(venue_cl_ord_id)
    if row is None:
        raise KeyError(venue_cl_ord_id)
    _thaw(state, row)
    return state.children[venue_cl_ord_id]


def _thaw(state: State, row: cold.Row) -> None:
    """It stands last among the finished ones: packed again only when WARM others have finished."""
    order = row.order
    state.orders[order.order_id] = order
    state.finished[order.order_id] = None
    ids = state.session(order.session).cl_ord_ids
    for cl_ord_id in order.cl_ord_ids:
        other = state.cold.named(order.session, cl_ord_id)
        if cl_ord_id not in ids and (other is None or other.order.received_ns < order.received_ns):
            ids[cl_ord_id] = order.order_id
    for child, covered_ns in zip(row.children, row.covered, strict=True):
        state.children[child.venue_cl_ord_id] = child
        name = f"{child.symbol}|{child.venue_order_id}"
        order_ids = state.venue(child.venue).order_ids
        found = state.cold.venue_named(child.venue, child.symbol, child.venue_order_id) if child.venue_order_id else None
        if child.venue_order_id and name not in order_ids and (found is None or found[1].sent_ns < child.sent_ns):
            order_ids[name] = child.venue_cl_ord_id
        if covered_ns:
            account = state.account(child.account)
            if account.settling.take(covered_ns, child.reserve_asset, child.reserve_qty):
                account.uncovered[child.venue_cl_ord_id] = None
                account.covered_from[child.venue_cl_ord_id] = covered_ns


def forget_cold(state: State, horizon_ns: int) -> None:
    """Drop the oldest packed orders once all of a block finished at or before `horizon_ns`."""
    if not state.cold.forget(horizon_ns):
        return
    # what they reserved is covered by now, or never will be
    for account in state.accounts.values():
        for asset, qty in account.settling.release(horizon_ns).items():
            account.reserved[asset] = account.reserved.get(asset, ZERO) - qty
