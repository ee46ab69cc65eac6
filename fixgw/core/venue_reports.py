"""decide for what venue hosts tell: acknowledgements, refusals, trades, ends, ambiguities, answers to queries."""

from __future__ import annotations

from . import commands as c
from . import events as e
from .child import CLOSING, SENT, UNKNOWN, WORKING, Child
from .draft import Draft, reason_fields
from .numbers import ZERO
from .order import PENDING_CANCEL, PENDING_REPLACE, Order
from .reasons import Reason
from .sanity import ENDS
from .settle import (
    AGAIN_NS,
    close,
    confirm,
    end_child,
    end_is_nonsense,
    find_child,
    is_replacing,
    refuse_pending,
    replaced,
    trade,
)

# asked again after these many seconds, the last one for ever
QUERY_BACKOFF_S = (1, 1, 2, 4, 8, 15, 30)
# an end that is hard to believe is believed when a venue keeps to it in answer to so many questions, over some eight seconds
KEPT_QUERIES = 4
# a "not found" must be heard twice
NOT_FOUND_NEEDED = 2
# a venue's answers may lag behind its own word by so much
LAG_NS = 2_000_000_000
# cancels of one child that were found without effect, before the client's request is refused
MAX_CANCELS = 8
ALERT_AFTER_QUERIES = 5
# with more outcomes unknown than this, a place is not asked about again before a "not found" counts: the questions that cannot
# settle anything yet would use up the rate limit of those that can
MANY_UNKNOWN = 20
# so many queries of a place without an answer follow its deadline, then only the back-off
SURE_QUERIES = 12


def child_ack(draft: Draft, cmd: c.ChildAck) -> None:
    child = find_child(draft, cmd.venue, cmd.venue_cl_ord_id)
    if child is None:
        return
    if child.is_live:
        confirm(draft, child, cmd.venue_order_id)
    else:
        _works_after_all(draft, child, cmd.venue_order_id)


def _works_after_all(draft: Draft, child: Child, venue_order_id: str) -> None:
    """The venue has an order that was told to be refused or never placed: it must not work on."""
    if child.closed_as not in ("rejected", "not_placed"):
        return  # a late word of an order that ended since
    found = c.OpenOrder(
        venue_cl_ord_id=child.venue_cl_ord_id,
        venue_order_id=venue_order_id,
        symbol=child.symbol,
        side=child.side,
        qty=child.qty,
        cum_qty=child.cum_qty,
        px=child.px,
    )
    draft.emit(e.OrphanCancelSent(venue=child.venue, order=found))
    draft.alert("ORPHAN", f"{child.venue}: {child.venue_cl_ord_id} works, but ended as {child.closed_as}: canceled")


def child_reject(draft: Draft, cmd: c.ChildReject) -> None:
    child = find_child(draft, cmd.venue, cmd.venue_cl_ord_id)
    if child is None or not child.is_live:
        return
    if child.state not in (SENT, UNKNOWN):
        draft.alert("REJECT_AFTER_ACK", f"{cmd.venue}: {cmd.venue_cl_ord_id} refused after it was confirmed: {cmd.code}")
        query_now(draft, child)
        return
    if cmd.withdrawn and not cmd.sent and child.cancel:
        # never placed; to the order it is the end that was asked for: 150=4, or the replacing order goes out
        close(draft, child, "not_placed", ended_as="canceled")
        return
    close(draft, child, "rejected" if cmd.sent else "not_placed", f"{cmd.code}: {cmd.text}")


def child_trade(draft: Draft, cmd: c.ChildTrade) -> None:
    doubtful = trade(draft, cmd.venue, cmd.trade)
    if doubtful is not None:
        ask_anew(draft, doubtful)


def ask_anew(draft: Draft, child: Child) -> None:
    """What was told of the child cannot be: ask, unless its time-out will. One that has ended is asked about a few times; the
    next picture brings its trades anyhow."""
    if not child.is_live and child.queries < SURE_QUERIES:
        draft.emit(e.ChildQueried(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns, next_ns=0))
    elif child.is_live and not child.is_uncertain:
        query_now(draft, child)


def child_done(draft: Draft, cmd: c.ChildDone) -> None:
    child = find_child(draft, cmd.venue, cmd.venue_cl_ord_id)
    if child is None or not child.is_live:
        return
    if end_is_nonsense(draft, child, cmd.status, cmd.cum_qty):
        ask_anew(draft, child)
        return
    if cmd.status != "rejected":
        confirm(draft, child, cmd.venue_order_id)
        child = draft.child(child.venue_cl_ord_id)
    if cmd.cum_qty is None and cmd.status in ("canceled", "expired"):
        query_now(draft, child)  # what it executed must be certain before anything is placed in its stead
        return
    end_child(draft, child, cmd.status, cmd.cum_qty, cmd.text)


def child_cancel_reject(draft: Draft, cmd: c.ChildCancelReject) -> None:
    """A definite refusal of a cancel: when the venue does not know the order it is over (or never was): ask. Otherwise the
    client's request is refused and the order works on."""
    child = find_child(draft, cmd.venue, cmd.venue_cl_ord_id)
    if child is None or not child.is_live:
        return
    if not child.cancel:
        if cmd.unknown_order and child.state != CLOSING:
            query_now(draft, child)
        return  # a late or doubled word: no cancel is under way, and none is wanted
    if cmd.unknown_order:
        draft.emit(e.ChildUnknown(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns, op="cancel", reason=cmd.code))
        if child.state != CLOSING:  # else it is asked about already
            query_now(draft, draft.child(child.venue_cl_ord_id))
        return
    order = draft.order(child.order_id)
    if _must_end(order) or (child.amend_maybe is not None and child.cancels < MAX_CANCELS):
        # kill switch, expiry, what works of an order that ended; or the venue may have reduced it: to say that it works on
        # as it was would be a guess. Not given up: the time-out asks the venue and sends the cancel again
        text = f"order {child.order_id}: the venue refused our cancel, it is tried again: {cmd.code}: {cmd.text}"
        draft.alert("CANCEL_REFUSED", text)
        return
    draft.emit(e.ChildCancelRefused(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns, reason=cmd.code))
    refuse_cancel(draft, child.order_id, f"{cmd.code}: {cmd.text}")


def refuse_cancel(draft: Draft, order_id: str, text: str) -> None:
    """The client's pending cancel or replace is refused; the order works on."""
    order = draft.order(order_id)
    if order.pending is None:
        draft.alert("CANCEL_REFUSED", f"order {order_id}: the venue refused our cancel: {text}")
        return
    fault = (41, order.cl_ord_id, "a cancel that the venue takes")
    refuse_pending(draft, order, Reason.CANCEL_FAILED, fault, f"{Reason.CANCEL_FAILED.meaning}: {text}")


def child_amended(draft: Draft, cmd: c.ChildAmended) -> None:
    """150=5. When a cancel went over the amend meanwhile, the word still tells how much the venue would execute."""
    child = find_child(draft, cmd.venue, cmd.venue_cl_ord_id)
    if child is None or not child.is_live or (child.amend is None and cmd.qty != child.amend_maybe):
        return
    given_up = child.amend is None
    if not given_up and cmd.qty != child.amend:
        text = f"{cmd.venue}: {cmd.venue_cl_ord_id} amended to {cmd.qty:f} instead of {child.amend or ZERO:f}"
        draft.alert("BAD_VENUE_DATA", text)
        become_unknown(draft, child, "amend", "the venue amended to another quantity")
        return
    draft.emit(e.ChildAmended(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns, qty=cmd.qty))
    order, child = draft.order(child.order_id), draft.child(child.venue_cl_ord_id)
    if not given_up and order.pending is not None and order.pending.kind == PENDING_REPLACE:
        replaced(draft, order, venue_order_id=child.venue_order_id, venue_cl_ord_id=child.venue_cl_ord_id)
    if child.told_qty >= child.qty:
        close(draft, child, "filled")


def child_amend_reject(draft: Draft, cmd: c.ChildAmendReject) -> None:
    """It works on as it was: the replace goes the long way, by a cancel."""
    child = find_child(draft, cmd.venue, cmd.venue_cl_ord_id)
    if child is None or not child.is_live or (child.amend is None and child.amend_maybe is None):
        return
    waiting = child.amend is not None
    draft.emit(e.ChildAmendRefused(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns, reason=cmd.code))
    if waiting:
        draft.emit(e.ChildCancelSent(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns))


def child_ambiguous(draft: Draft, cmd: c.ChildAmbiguous) -> None:
    child = find_child(draft, cmd.venue, cmd.venue_cl_ord_id)
    if child is None or not child.is_live:
        return
    become_unknown(draft, child, cmd.op, f"{cmd.code}: {cmd.text}")


def become_unknown(draft: Draft, child: Child, op: str, text: str, others: int = 0) -> None:
    """Sent, no answer: the client is told (150=I) and the venue is asked. Nothing is guessed, nothing is sent again. `others`:
    so many become unknown together with it."""
    if op == "place" and child.state != SENT:
        return  # something was heard of it meanwhile
    if (op == "cancel" and child.cancel != "sent") or (op == "amend" and child.amend is None):
        return
    draft.emit(e.ChildUnknown(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns, op=op, reason=text))
    order = draft.order(child.order_id)
    if order.is_open:
        fields = reason_fields(Reason.OUTCOME_UNKNOWN, text=f"{Reason.OUTCOME_UNKNOWN.meaning} ({op}): {text}")
        if order.pending is not None and (op != "place" or is_replacing(order, child)):
            fields |= {"cl_ord_id": order.pending.cl_ord_id, "orig_cl_ord_id": order.cl_ord_id}
        draft.report(order, "I", venue_cl_ord_id=child.venue_cl_ord_id, **fields)
    query_now(draft, draft.child(child.venue_cl_ord_id), others)


def query_now(draft: Draft, child: Child, others: int = 0) -> None:
    """Ask the venue by our id; the next time after the back-off. `others`: as in become_unknown."""
    wait_s = QUERY_BACKOFF_S[min(child.queries, len(QUERY_BACKOFF_S) - 1)]
    next_ns = draft.ts_ns + wait_s * 1_000_000_000
    if child.state in (SENT, UNKNOWN) and child.queries < SURE_QUERIES:
        # not later than when a "not found" begins to count, and soon again after it
        counts_ns = _counts_from(draft, child)
        if draft.ts_ns >= counts_ns:
            next_ns = min(next_ns, draft.ts_ns + AGAIN_NS)
        else:
            many = len(draft.state.uncertain) + others > MANY_UNKNOWN
            next_ns = counts_ns if many else min(next_ns, counts_ns)
    draft.emit(e.ChildQueried(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns, next_ns=next_ns))
    if child.queries + 1 == ALERT_AFTER_QUERIES:
        draft.alert("OUTCOME_UNKNOWN", f"{child.venue}: {child.venue_cl_ord_id} unsettled after {ALERT_AFTER_QUERIES} queries")


def may_wait(draft: Draft, child: Child) -> bool:
    """A place without an answer whose "not found" does not count yet, and which is asked about as soon as it does."""
    counts_ns = _counts_from(draft, child)
    return child.state == UNKNOWN and not child.cancel and draft.ts_ns < counts_ns and 0 < child.next_query_ns <= counts_ns


def child_query_result(draft: Draft, cmd: c.ChildQueryResult) -> None:
    child = find_child(draft, cmd.venue, cmd.venue_cl_ord_id)
    if child is None:
        return
    venue_cl_ord_id = child.venue_cl_ord_id
    if cmd.outcome == "open" and not child.is_live:
        _works_after_all(draft, child, cmd.venue_order_id)
    # an end that cannot be does not even confirm the order; trades that were missing may make it one that can
    over = cmd.outcome in ENDS
    if child.is_live and not over and cmd.outcome not in ("not_found", "error"):
        confirm(draft, child, cmd.venue_order_id)
    doubtful = [found for item in cmd.trades if (found := trade(draft, cmd.venue, item, True)) is not None]
    child = draft.child(venue_cl_ord_id)
    if not child.is_live or cmd.outcome == "error":
        return
    kept = child.queries >= KEPT_QUERIES and cmd.trades_checked
    if (over and end_is_nonsense(draft, child, cmd.outcome, cmd.cum_qty, kept)) or doubtful:
        ask_anew(draft, child)
        return
    if over and cmd.outcome != "rejected":
        confirm(draft, child, cmd.venue_order_id)
        child = draft.child(venue_cl_ord_id)
    if cmd.outcome == "not_found":
        _not_found(draft, child, cmd)
    elif cmd.outcome == "open":
        _found_working(draft, child, cmd)
    elif cmd.outcome in ("canceled", "expired") and cmd.cum_qty is None and not cmd.trades_checked:
        if not child.is_uncertain:
            query_now(draft, child)  # else its time-out asks again
    else:
        end_child(draft, child, cmd.outcome, cmd.cum_qty, cmd.text, cmd.asked_ns)
        child = draft.child(venue_cl_ord_id)
        if child.state == CLOSING and cmd.trades_checked and child.queries >= ALERT_AFTER_QUERIES:
            said = "all of it" if cmd.cum_qty is None else f"{cmd.cum_qty:f}"
            draft.alert("MISSING_FILL", f"{cmd.venue}: {venue_cl_ord_id} executed {said}, trades show {child.told_qty:f}")


def _found_working(draft: Draft, child: Child, cmd: c.ChildQueryResult) -> None:
    """It works. A cancel that was sent before the query was asked has had no effect: send it again."""
    if child.state == CLOSING:
        if cmd.asked_ns <= child.closed_ns:
            return  # asked before the end was heard: its time-out asks again
        child = reopen(draft, child)
    if child.cancel == "sent" and child.cancel_ns >= cmd.asked_ns:
        return  # the query passed the cancel; its answer is still to come
    if child.closed_ns and cmd.asked_ns <= child.closed_ns + LAG_NS:
        ask_anew(draft, child)  # it was said to have ended so short before that the answer may be the older word
        return
    works_on(draft, child)


def reopen(draft: Draft, child: Child) -> Child:
    """The venue has said that it is over, and shows it as open in answer to a question of after that. It is asked about on;
    if it has ended all the same, that does no harm: its end is told again."""
    text = f"told to be {child.closed_as} with {child.final_cum or ZERO:f} executed, and is open since: it works on"
    draft.emit(e.ChildReopened(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns))
    draft.alert("BAD_VENUE_DATA", f"{child.venue}: {child.venue_cl_ord_id} was {text}")
    child = draft.child(child.venue_cl_ord_id)
    if not child.cancel and _cancel_wanted(draft, child):
        draft.emit(e.ChildCancelSent(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns))
    return draft.child(child.venue_cl_ord_id)


def _cancel_wanted(draft: Draft, child: Child) -> bool:
    order = draft.order(child.order_id)
    pending = order.pending is not None and order.pending.kind == PENDING_CANCEL
    return child.cancel != "" or _must_end(order) or pending


def _must_end(order: Order) -> bool:
    """Whatever its client asked for last: we stop it, or it ended and leaves nothing working."""
    return bool(order.stopping) or not order.is_open


def works_on(draft: Draft, child: Child) -> None:
    """It certainly works: a cancel that is still wanted goes out again, up to MAX_CANCELS of a client's request."""
    order = draft.order(child.order_id)
    wanted = _cancel_wanted(draft, child)
    draft.emit(e.ChildSettled(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns))
    if not wanted:
        return
    if child.cancels < MAX_CANCELS or _must_end(order):
        draft.emit(e.ChildCancelSent(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns))
    else:
        draft.emit(e.ChildCancelRefused(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns, reason="NO_EFFECT"))
        refuse_cancel(draft, order.order_id, f"{child.cancels} cancels had no effect")


def _not_found(draft: Draft, child: Child, cmd: c.ChildQueryResult) -> None:
    """Counts only for a child that was never confirmed, after the time in which it could still be sent and
    then still be accepted, with the trades checked; twice."""
    if child.state == WORKING:
        if not child.is_uncertain:
            query_now(draft, child)
        if child.cancel or child.queries >= ALERT_AFTER_QUERIES:
            draft.alert("ORDER_LOST", f"{cmd.venue}: {child.venue_cl_ord_id} was confirmed and is not found now")
        return
    if child.state == CLOSING and child.told_qty == child.final_cum and cmd.asked_ns > child.closed_ns + LAG_NS:
        close(draft, child, child.closed_as)  # its end, its trades and its absence agree: some venues show no ended orders
        return
    if child.state not in (SENT, UNKNOWN) or not cmd.trades_checked or cmd.asked_ns < _counts_from(draft, child):
        return
    if cmd.asked_ns <= child.not_found_ns:
        return  # the same answer once more
    # half the proof: after a long outage the back-off would keep the other half waiting
    next_ns = draft.ts_ns + AGAIN_NS
    draft.emit(
        e.ChildNotFound(venue_cl_ord_id=child.venue_cl_ord_id, ts_ns=draft.ts_ns, asked_ns=cmd.asked_ns, next_ns=next_ns)
    )
    if draft.child(child.venue_cl_ord_id).not_found >= NOT_FOUND_NEEDED:
        close(draft, draft.child(child.venue_cl_ord_id), "not_placed")


def _counts_from(draft: Draft, child: Child) -> int:
    """When the venue can no longer come to accept it: a "not found" asked from then on counts."""
    venue = draft.state.settings.venues.get(child.venue)
    return child.expires_ns + (venue.recv_window_ns + venue.margin_ns if venue is not None else 10_000_000_000)


def balances(draft: Draft, cmd: c.BalancesReport) -> None:
    for account in draft.state.settings.accounts.values():
        if account.venue == cmd.venue and account.venue_account == cmd.account:
            draft.emit(
                e.BalancesUpdated(
                    venue=cmd.venue, account=account.name, asof_ns=cmd.asof_ns, free=cmd.free, total=cmd.total,
                    later=cmd.later,
                )
            )


def instruments(draft: Draft, cmd: c.InstrumentsReport) -> None:
    """Journaled only when something changed."""
    known = {key: spec for key, spec in draft.state.instruments.items() if key.startswith(cmd.venue + "|")}
    if known != {f"{cmd.venue}|{spec.symbol}": spec for spec in cmd.instruments}:
        draft.emit(e.InstrumentsLoaded(venue=cmd.venue, instruments=cmd.instruments))


def oddity(draft: Draft, cmd: c.VenueOddity) -> None:
    draft.alert("BAD_VENUE_DATA", f"{cmd.venue}: {cmd.text}")
