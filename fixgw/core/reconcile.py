"""decide for the link to a venue host: down, up, and the full picture that follows.

    down   every child without an answer becomes unknown, clients are told; new orders are refused (VENUE_DOWN)
    up     RECONCILING: the host is asked for open orders and trades; cancels work, new orders are refused
    READY  the picture is in: each live child is settled, or queried one by one; orphans of ours are canceled
"""

from __future__ import annotations

from . import commands as c
from . import events as e
from .child import CLOSING, SENT, UNKNOWN, Child
from .draft import Draft
from .ids import is_ours
from .settle import close, confirm, is_replacing, trade
from .state import DOWN, READY, RECONCILING
from .venue_reports import LAG_NS, ask_anew, become_unknown, may_wait, query_now, reopen

# asked again from this long before the last picture: venues' clocks and pages are not exact
OVERLAP_NS = 600_000_000_000
# so many places are asked about before a "not found" counts: most would be asked a third time, at the cost of the rate limit
EARLY_MAX = 100


def venue_link(draft: Draft, cmd: c.VenueLink) -> None:
    """The link changed."""
    if cmd.up:
        _up(draft, cmd)
    else:
        link_down(draft, cmd.venue, cmd.reason)


def link_down(draft: Draft, venue: str, reason: str) -> None:
    """Nothing that is under way can be answered any more."""
    state = draft.state.venues.get(venue)
    if state is None:
        return
    if state.state != DOWN or state.reason != reason:
        draft.emit(e.VenueStateChanged(venue=venue, state=DOWN, ts_ns=draft.ts_ns, reason=reason))
    sent = sum(draft.child(child_id).state == SENT for child_id in state.live)
    for child_id in state.live:
        child = draft.child(child_id)
        if child.state == SENT:
            become_unknown(draft, child, "place", reason, sent)
        elif child.cancel == "sent" or child.amend is not None:
            become_unknown(draft, child, "cancel" if child.amend is None else "amend", reason)


def _up(draft: Draft, cmd: c.VenueLink) -> None:
    if cmd.venue not in draft.state.settings.venues:
        draft.alert("UNKNOWN_VENUE", f"a host for venue {cmd.venue!r} connected, which is not configured")
        return
    link_down(draft, cmd.venue, "reconnected")
    draft.emit(e.VenueStateChanged(venue=cmd.venue, state=RECONCILING, ts_ns=draft.ts_ns, reason=cmd.reason))
    request_reconciliation(draft, cmd.venue)


def request_reconciliation(draft: Draft, venue: str) -> None:
    """Ask for every open order, and for the trades since the last complete picture (at the very first start: from now on,
    since what others traded before us is in the balances, and in no position: foreign.py). Trades of an older live child come
    by its own query."""
    state = draft.state.venues[venue]
    since_ns = state.reconciled_ns - OVERLAP_NS if state.reconciled_ns else draft.ts_ns
    symbols = {name: None for name, item in draft.state.settings.instruments.items() if venue in item.venues or not item.venues}
    for child_id in state.live:
        symbols[draft.child(child_id).symbol] = None
    draft.emit(
        e.ReconcileRequested(venue=venue, since_ns=max(since_ns, 0), symbols=tuple(symbols), ts_ns=draft.ts_ns)
    )


def venue_reconciled(draft: Draft, cmd: c.VenueReconciled) -> None:
    """Trades first, then each live child against the list of open orders, then orphans."""
    state = draft.state.venues.get(cmd.venue)
    if state is None or cmd.venue not in draft.state.settings.venues:
        return
    live = dict(state.live)
    doubtful: dict[str, None] = {}
    for item in cmd.trades:
        child_of_it = trade(draft, cmd.venue, item)
        if child_of_it is not None:
            doubtful[child_of_it.venue_cl_ord_id] = None
    listed = {item.venue_cl_ord_id: item for item in cmd.open_orders}
    early = 0
    for child_id in live:
        child = draft.child(child_id)
        if child_id not in listed and may_wait(draft, child):
            early += 1
            if early > EARLY_MAX:
                continue  # its time-out asks, when the answer can settle it whatever it is
        if child.is_live and not (child.state == SENT and child.sent_ns >= cmd.asked_ns):
            _settle(draft, child, listed.get(child_id), cmd.asked_ns)
    for found in cmd.open_orders:
        if found.venue_cl_ord_id not in live and is_ours(draft.state.install, found.venue_cl_ord_id):
            known = draft.find_child(found.venue_cl_ord_id)
            if known is not None and cmd.asked_ns <= max(known.sent_ns, known.closed_ns + LAG_NS) <= draft.ts_ns + LAG_NS:
                continue  # sent or ended while the picture was taken
            draft.emit(e.OrphanCancelSent(venue=cmd.venue, order=found))
            draft.alert("ORPHAN", f"{cmd.venue}: open order {found.venue_cl_ord_id} of ours is not known as live: canceled")
    for child_id in doubtful:
        ask_anew(draft, draft.child(child_id))
    draft.emit(e.ReconcileCompleted(venue=cmd.venue, asked_ns=cmd.asked_ns))
    if state.state == RECONCILING:
        draft.emit(e.VenueStateChanged(venue=cmd.venue, state=READY, ts_ns=draft.ts_ns))


def _settle(draft: Draft, child: Child, listed: c.OpenOrder | None, asked_ns: int) -> None:
    """One live child after the full picture."""
    if child.state == CLOSING and asked_ns > child.closed_ns + LAG_NS:
        if listed is not None:
            child = reopen(draft, child)
        elif child.final_cum is not None and child.told_qty >= child.final_cum:
            close(draft, child, child.closed_as)
            return
    if listed is not None and listed.unread:
        text = f"{child.venue}: open order {child.venue_cl_ord_id} is listed with figures that are no numbers of a market"
        draft.alert("BAD_VENUE_DATA", f"{text}: asked for")
        if child.state in (SENT, UNKNOWN) and listed.venue_order_id:
            confirm(draft, child, listed.venue_order_id)  # it is there: "not found" counts no longer
            child = draft.child(child.venue_cl_ord_id)
    if listed is None or listed.unread or child.state == CLOSING or listed.cum_qty > child.told_qty:
        query_now(draft, child)  # over, or trades are missing: its own answer says which
        return
    if child.state in (SENT, UNKNOWN):
        confirm(draft, child, listed.venue_order_id)
        draft.emit(e.ChildSettled(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns))
        child = draft.child(child.venue_cl_ord_id)
    if child.amend is not None:
        return  # its answer is under way
    order = draft.order(child.order_id)
    wanted = child.cancel == "unknown" or bool(order.stopping) or order.pending is not None or not order.is_open
    if wanted and (child.cancel != "sent" or child.cancel_ns < asked_ns):
        if order.is_open and is_replacing(order, child):
            return
        draft.emit(e.ChildCancelSent(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns))
    elif child.next_query_ns > 0:
        query_now(draft, child)  # what was asked before went with the link: without this it waits for the back-off
