"""Trades on our accounts that are no order's of ours: they move the position, and operations are told."""

from __future__ import annotations

from . import events as e
from .child import Child
from .commands import VenueTrade
from .draft import Draft
from .evolve import external_key
from .ids import is_ours

# a picture holds every trade up to when it was asked for; the margin is for clocks and for venues' lists that lag
JUDGED_NS = 1_800_000_000_000


def is_of_another(child: Child, item: VenueTrade) -> bool:
    """Of an order that somebody else placed under the child's id: exchanges take an id again whose order has ended."""
    if not item.venue_order_id or not child.venue_order_id or item.venue_order_id == child.venue_order_id:
        return False
    return not child.is_live or (item.symbol, item.side) != (child.symbol, child.side)


def _may_be_forgotten(draft: Draft, item: VenueTrade) -> bool:
    """An order is forgotten a retention time after its end; a trade of half that age or less has none that was. Half, because
    the venue's clock is not ours."""
    return not item.venue_ns or item.venue_ns < draft.ts_ns - draft.state.settings.cl_ord_id_retention_ns // 2


def foreign_trade(draft: Draft, venue: str, item: VenueTrade, why: str = "") -> None:
    """Not ours (`why`: although it bears the id of an order of ours): the position moves, nobody gets a fill, operations are
    told."""
    state = draft.state.venues.get(venue)
    key = external_key(item.account, item.symbol, item.venue_trade_id)
    if state is not None and key in state.external_trades:
        return
    if key in draft.external:
        return
    draft.external.add(key)
    bears_ours = is_ours(draft.install, item.venue_cl_ord_id)
    ours = bears_ours and not why
    if ours and _may_be_forgotten(draft, item):
        # its position was counted then
        text = f"{venue}: trade {item.venue_trade_id} of {item.venue_cl_ord_id}, an order of ours that is forgotten"
        draft.alert("FORGOTTEN_ORDER", text)
        return
    if state is not None and item.venue_ns and item.venue_ns < state.reconciled_ns - JUDGED_NS:
        # a complete picture of later has told it; an answer to a question from before that brings it again, perhaps after
        # external_trades has forgotten it (evolve.EXTERNAL_KEPT_NS, which is longer)
        return
    if state is not None and not bears_ours and item.venue_ns and item.venue_ns < state.counts_from.get(item.symbol, 0):
        # from before we were here: the overlap of a later picture must not move what the first left alone. One that bears an id
        # of ours is never passed over so, since the venue's clock is not ours
        return
    draft.emit(e.ExternalFill(venue=venue, trade=item, ts_ns=draft.ts_ns))
    if not why:
        why = f"bears the id {item.venue_cl_ord_id} of ours, under which no order is known" if ours else "is no order of ours"
    text = f"{venue}: trade {item.venue_trade_id} {item.symbol} {item.qty:f} @ {item.px:f} {why}"
    draft.alert("EXTERNAL_FILL", text)
