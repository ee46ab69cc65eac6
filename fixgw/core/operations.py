"""decide for starts, configuration, FIX sessions, timers and the operations desk."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeGuard

from . import commands as c
from . import events as e
from .child import CLOSING, SENT, UNKNOWN, Child
from .commands import VenueTrade
from .draft import Draft, NoSuch, Refusal, reason_fields
from .order import Order
from .reasons import Reason
from .reconcile import link_down, request_reconciliation
from .reports import Notice
from .sanity import MAX_DIGITS, MAX_EXPONENT, is_number
from .settle import close, confirm, finish_if_idle, is_replacing, replaced, stop_the_rest, trade
from .state import ACTIVE, HALTED, READY, REDUCING, STRICTNESS
from .venue_reports import become_unknown, query_now, works_on

KILL_LEVELS = (REDUCING, HALTED)
RESOLUTIONS = ("not_placed", "canceled", "open", "fill", "bust", "correct")


def engine_start(draft: Draft, cmd: c.EngineStart) -> None:
    """A run begins: whatever was under way has no answer yet, and every venue is down until its host says otherwise.

    After a power loss with sync = "os" the tail of the journal may be gone, and it is where the projection knows of records
    that the journal has not: the firm begins HALTED and operations resume.
    """
    last_seq = draft.state.seq
    draft.emit(e.EngineStarted(install=cmd.install, epoch=cmd.epoch, ts_ns=cmd.ts_ns))
    draft.install, draft.epoch = cmd.install, cmd.epoch
    for session in draft.state.sessions.values():
        if session.logged_on:
            # its connection died with the last run
            session_logout(draft, c.SessionLogout(ts_ns=cmd.ts_ns, session=session.name, reason="gateway started"))
    for venue in draft.state.venues:
        link_down(draft, venue, "gateway started")
    if cmd.sync == "os" and not cmd.clean and cmd.rebooted:
        text = 'unclean stop with sync = "os": the end of the journal may be lost; check venue orders, then resume'
        draft.emit(e.KillSet(scope="firm", target="", level=HALTED, ts_ns=cmd.ts_ns, user="gateway", reason=text))
        draft.alert("UNCLEAN_START", text)
    if cmd.projected > last_seq:
        text = f"the journal ends at record {last_seq}, the projection knew {cmd.projected}: check venue orders, then resume"
        draft.emit(e.KillSet(scope="firm", target="", level=HALTED, ts_ns=cmd.ts_ns, user="gateway", reason=text))
        draft.alert("RECORDS_LOST", text)


def load_settings(draft: Draft, cmd: c.LoadSettings) -> None:
    """Journaled when it differs from what is in force."""
    if cmd.settings.hash != draft.state.settings.hash:
        draft.emit(e.SettingsLoaded(settings=cmd.settings))


def session_logon(draft: Draft, cmd: c.SessionLogon) -> None:
    session = draft.state.sessions.get(cmd.session)
    epoch = session.reset_epoch if session is not None else 0
    if cmd.reset:
        epoch += 1
        draft.emit(e.SessionReset(session=cmd.session, reset_epoch=epoch))
    draft.emit(e.Received(session=cmd.session, reset_epoch=epoch, msg_seq=cmd.msg_seq, ts_ns=cmd.ts_ns))
    settings = draft.state.settings.sessions.get(cmd.session)
    by_default = settings.cancel_on_disconnect if settings is not None else False
    on = by_default if cmd.cancel_on_disconnect is None else cmd.cancel_on_disconnect
    draft.emit(e.SessionChanged(session=cmd.session, logged_on=True, ts_ns=cmd.ts_ns, cancel_on_disconnect=on))


def session_logout(draft: Draft, cmd: c.SessionLogout) -> None:
    """Cancel on disconnect, where it was asked for."""
    session = draft.state.sessions.get(cmd.session)
    if session is None or not session.logged_on:
        return
    draft.emit(e.SessionChanged(session=cmd.session, logged_on=False, ts_ns=cmd.ts_ns, reason=cmd.reason))
    if session.cancel_on_disconnect:
        reason = Reason.LOGOUT if cmd.reason.startswith(c.CLIENT_LOGOUT) else Reason.DISCONNECT
        for order_id in session.open_orders:
            stop_order(draft, order_id, reason)


def delivered(draft: Draft, cmd: c.Delivered) -> None:
    session = draft.state.sessions.get(cmd.session)
    if session is None or cmd.seq > session.delivered_seq:
        draft.emit(e.DeliveryAdvanced(session=cmd.session, seq=min(cmd.seq, draft.state.seq)))


def journal_space(draft: Draft, cmd: c.JournalSpace) -> None:
    """Every session that is logged on is told; orders are refused one by one besides (35=j, 380=4)."""
    if cmd.full:
        headline, text = "no new orders", f"{Reason.JOURNAL_FULL.meaning}; fills and cancels go on"
    else:
        headline, text = "new orders again", "the journal has room again"
    draft.alert(Reason.JOURNAL_FULL.value, f"{headline}: {text}")
    for session in draft.state.sessions.values():
        if session.logged_on:
            notice = Notice(headline=headline, text=text, transact_ns=cmd.ts_ns)
            draft.emit(e.Reported(session=session.name, account="", message=notice))


def stop_order(draft: Draft, order_id: str, reason: Reason) -> None:
    """Cancel an order not at the client's wish; what has no child ends at once, the rest when the venue has confirmed."""
    order = draft.order(order_id)
    if not order.is_open:
        return
    if order.stopping:
        draft.cancel_children(order)  # only where no cancel is under way: one that was refused or lost
        return
    if any(is_replacing(order, child) for child in draft.live_children(order)):
        replaced(draft, order)  # whatever the replacing child trades from here on, it trades on the new terms
    draft.emit(e.OrderStopping(order_id=order_id, ts_ns=draft.ts_ns, reason=reason.value))
    if not draft.cancel_children(draft.order(order_id)):
        finish_if_idle(draft, order_id)


def timer(draft: Draft, cmd: c.Timer) -> None:
    """Deadlines: "expire:ORDER", "query:CHILD", "inflight:CHILD", "reconcile:VENUE" (now and then, for a word of the venue
    that was lost). A deadline that no longer means anything is passed over."""
    kind, _, key = cmd.key.partition(":")
    if kind == "expire":
        order = draft.state.orders.get(key)
        if order is not None and order.deadline_ns is not None and order.deadline_ns <= cmd.ts_ns:
            stop_order(draft, key, Reason.EXPIRED)
        return
    if kind == "reconcile":
        venue = draft.state.venues.get(key)
        if venue is not None and venue.state == READY and key in draft.state.settings.venues:
            request_reconciliation(draft, key)
        return
    child = draft.state.children.get(key)
    if child is None or not child.is_live:
        return
    if kind == "query" and child.is_uncertain and child.next_query_ns <= cmd.ts_ns:
        query_now(draft, child)
    elif kind == "inflight":
        op = "place" if child.state == SENT else "cancel" if child.amend is None else "amend"
        become_unknown(draft, child, op, "no answer from the venue host in time")


def _kill_targets(draft: Draft, scope: str, target: str) -> list[str]:
    orders = draft.state.orders
    if scope == "firm":
        return list(draft.state.open_orders)
    if scope == "session":
        return list(draft.state.sessions[target].open_orders)
    return [order_id for order_id in draft.state.open_orders if orders[order_id].venue == target]


def _level(draft: Draft, scope: str, target: str) -> str:
    """The scope's own, not those that hold for it too."""
    if scope == "firm":
        return draft.state.level
    found = draft.state.sessions.get(target) if scope == "session" else draft.state.venues.get(target)
    return found.level if found is not None else ACTIVE


def _check_scope(draft: Draft, scope: str, target: str) -> None:
    # what is configured no more may still have orders
    known = {"firm": {""}, "session": draft.state.sessions, "venue": draft.state.venues}.get(scope)
    if known is None:
        raise Refusal(f"scope {scope!r}: expected firm, session or venue")
    if target not in known:
        raise NoSuch(f"{scope} {target!r} is unknown: expected one of {', '.join(sorted(known)) or 'none'}")


def kill(draft: Draft, cmd: c.AdminKill) -> None:
    """HALTED cancels everything in the scope, unknown outcomes included; REDUCING only bars what increases a position. A kill
    only ever tightens: two people in an emergency must not undo each other. It takes `resume` to loosen one."""
    _check_scope(draft, cmd.scope, cmd.target)
    if cmd.level not in KILL_LEVELS:
        raise Refusal(f"level {cmd.level!r}: expected one of {', '.join(KILL_LEVELS)}")
    scope = f"{cmd.scope} {cmd.target}".strip()
    if STRICTNESS[cmd.level] < STRICTNESS[now := _level(draft, cmd.scope, cmd.target)]:
        option = f"--{scope}"
        text = f"{scope} is {now} already, and stays so: a kill at level {cmd.level} would loosen that"
        then = f"`fixgw kill {option} --level {cmd.level}` after it where that is meant"
        raise Refusal(f"{text}; only `fixgw resume {option}` does, and {then}")
    _admin(draft, "kill", f"{cmd.scope} {cmd.target} {cmd.level}".replace("  ", " "), cmd.user, cmd.reason)
    draft.emit(
        e.KillSet(
            scope=cmd.scope, target=cmd.target, level=cmd.level, ts_ns=cmd.ts_ns, user=cmd.user, reason=cmd.reason
        )
    )
    if cmd.level == HALTED:
        for order_id in _kill_targets(draft, cmd.scope, cmd.target):
            stop_order(draft, order_id, Reason.KILLED)


def resume(draft: Draft, cmd: c.AdminResume) -> None:
    _check_scope(draft, cmd.scope, cmd.target)
    _admin(draft, "resume", f"{cmd.scope} {cmd.target}".strip(), cmd.user, cmd.reason)
    draft.emit(
        e.KillSet(scope=cmd.scope, target=cmd.target, level=ACTIVE, ts_ns=cmd.ts_ns, user=cmd.user, reason=cmd.reason)
    )


def admin_cancel(draft: Draft, cmd: c.AdminCancel) -> None:
    order = _order(draft, cmd.order_id)
    if not order.is_open:
        raise Refusal(f"order {cmd.order_id} is finished (OrdStatus {order.status})")
    if order.stopping and all(child.cancel == "sent" for child in draft.live_children(order)):
        raise Refusal(f"order {cmd.order_id} is being canceled already ({order.stopping})")
    _admin(draft, "cancel", cmd.order_id, cmd.user, cmd.reason)
    stop_order(draft, cmd.order_id, Reason.ADMIN_CANCEL)


def admin_note(draft: Draft, cmd: c.AdminNote) -> None:
    """Session actions: the edge carries them out, the journal remembers; what state holds of them changes here."""
    _admin(draft, cmd.action, cmd.target, cmd.user, cmd.reason)
    name, _, value = cmd.target.partition(" ")
    if cmd.action == "session store failed":
        draft.alert("STORE_FAILED", f"session {name}: {cmd.reason}; no orders and no Logon of it until it can")
    elif cmd.action == "session numbers lost":
        draft.alert("SESSION_NUMBERS_LOST", f"session {name}: {cmd.reason}")
    elif cmd.action == "session not configured":
        draft.alert("SESSION_NOT_CONFIGURED", f"session {cmd.target} is not configured any more and has {cmd.reason}")
    elif cmd.action == "raw log failed":
        draft.alert("RAW_LOG_FAILED", f"{cmd.target} cannot be written, orders and reports are not touched: {cmd.reason}")
    elif cmd.action == "sockets lost":
        draft.alert("SOCKETS_LOST", f"{cmd.target}: {cmd.reason}")
    elif cmd.action == "projection stale":
        draft.alert("PROJECTION_STALE", f"{cmd.target} is not up to date, orders and reports are not touched: {cmd.reason}")
    elif cmd.action in ("clock differs", "clock agrees"):
        draft.alert("CLOCK_STEPPED", cmd.reason)
    if cmd.action in ("session enable", "session disable"):
        draft.emit(e.SessionEnabled(session=name, enabled=cmd.action == "session enable"))
    elif cmd.action == "session set-seq in":
        draft.emit(e.SessionSeqSet(session=name, last_in_seq=int(value) - 1))
    elif cmd.action == "session reset":
        session = draft.state.sessions.get(name)
        draft.emit(e.SessionReset(session=name, reset_epoch=(session.reset_epoch if session is not None else 0) + 1))


def resolve(draft: Draft, cmd: c.AdminResolve) -> None:
    """What the venue will not tell, by a person with evidence:

        not_placed, canceled, open ... of each child of which something is unknown; never of one that is known to work, which a
                                       word of ours would leave working at the venue, counted and watched by nobody
        fill ......................... a missing trade of the newest child, as much as is left of it
        bust, correct ................ of a trade that is known, at any time
    """
    order = _order(draft, cmd.order_id)
    if cmd.outcome not in RESOLUTIONS:
        raise Refusal(f"outcome {cmd.outcome!r}: expected one of {', '.join(RESOLUTIONS)}")
    if not cmd.evidence.strip():
        raise Refusal("evidence: expected what shows this outcome")
    _admin(draft, f"resolve {cmd.outcome}", cmd.order_id, cmd.user, cmd.evidence)
    if cmd.outcome in ("bust", "correct"):
        _bust_or_correct(draft, order, cmd)
        return
    live = draft.live_children(order)
    if cmd.outcome == "fill":
        _manual_fill(draft, order, live, cmd)
        return
    if not live:
        raise Refusal(f"order {cmd.order_id}: nothing of it works or is unknown at a venue")
    uncertain = [child for child in live if child.is_uncertain]
    if not uncertain:
        raise Refusal(f"order {cmd.order_id}: nothing of it is unknown; {_known_of(live[-1])}")
    for child in uncertain:
        _settle(draft, child, cmd)


def _known_of(child: Child) -> str:
    """What is known of a child without an open question, and what to do instead of resolving it."""
    if child.state == SENT:
        return f"{child.venue_cl_ord_id} is on its way; without an answer it becomes unknown"
    if child.cancel or child.amend is not None:
        what = "cancel" if child.cancel else "amend"
        return f"the {what} of {child.venue_cl_ord_id} is on its way; without an answer it becomes unknown"
    return f"{child.venue_cl_ord_id} works at {child.venue}; to end it use `fixgw cancel`"


def _settle(draft: Draft, child: Child, cmd: c.AdminResolve) -> None:
    """not_placed, canceled or open, of a child that is uncertain. Raises Refusal if it contradicts what the venue has said."""
    name, said = child.venue_cl_ord_id, f"order {cmd.order_id}: the venue said that {child.venue_cl_ord_id}"
    if cmd.outcome == "open":
        if child.state == CLOSING:
            raise Refusal(f"{said} ended; its trades are missing")
        confirm(draft, child, child.venue_order_id)
        works_on(draft, draft.child(name))
        return
    text = f"{Reason.RESOLVED.meaning}: {cmd.evidence}"
    if cmd.outcome == "not_placed":
        if child.told_qty > 0:
            raise Refusal(f"order {cmd.order_id}: {name} has trades, so it was placed")
        if child.state != UNKNOWN:
            raise Refusal(f"{said} was placed: expected canceled, open or fill")
        close(draft, child, "not_placed", text)
        return
    order = draft.order(child.order_id)
    if order.is_open and is_replacing(order, child):
        # it was at the venue, so that the replace was in force: as when the venue says it, not another child
        replaced(draft, order, venue_order_id=child.venue_order_id, venue_cl_ord_id=name)
        order = draft.order(child.order_id)
    others = any(item.venue_cl_ord_id != name for item in draft.live_children(order))
    by_venue = child.state == CLOSING and child.closed_as != "filled"
    if others or by_venue or not order.is_open or order.pending is not None or order.stopping:
        close(draft, child, "canceled", text)  # the end that the venue has told or somebody has asked for, or not the order's
        return
    draft.emit(e.ChildClosed(venue_cl_ord_id=name, ts_ns=draft.ts_ns, status="canceled"))
    _end(draft, order, Reason.RESOLVED, text)


def _end(draft: Draft, order: Order, reason: Reason, text: str = "") -> None:
    """The rest of an order that has no child any more is canceled, neither by its client nor by the venue."""
    draft.emit(
        e.OrderCanceled(order_id=order.order_id, ts_ns=draft.ts_ns, cl_ord_id=order.cl_ord_id, reason=reason.value)
    )
    draft.report(draft.order(order.order_id), "4", **reason_fields(reason, text=text))


def _order(draft: Draft, order_id: str) -> Order:
    order = draft.state.find_order(order_id)
    if order is None:
        raise NoSuch(f"order {order_id!r} is unknown")
    return order


_AMOUNT = f"at most {MAX_DIGITS} digits, from 1E-{MAX_EXPONENT} to below 1E+{MAX_EXPONENT + 1}"


def _is_amount(value: Decimal | None) -> TypeGuard[Decimal]:
    """What a trade's quantity or price may be, whoever tells it."""
    return value is not None and is_number(value) and value > 0


def _manual_fill(draft: Draft, order: Order, live: list[Child], cmd: c.AdminResolve) -> None:
    children = live or [draft.child(child) for child in order.children]
    if not children:
        raise Refusal(f"order {cmd.order_id} was never sent to a venue")
    if not cmd.trade_id or not _is_amount(cmd.qty) or not _is_amount(cmd.px):
        raise Refusal(f"fill: expected --trade-id, --qty above 0 and --px above 0; {_AMOUNT}")
    fee = cmd.fee if cmd.fee is not None else Decimal(0)
    if bool(cmd.fee_asset) != (cmd.fee is not None) or not is_number(fee, None):
        raise Refusal(f"fill: expected --fee and --fee-asset, or neither; {_AMOUNT}")
    child = children[-1]
    if cmd.trade_id in child.fills:
        raise Refusal(f"trade {cmd.trade_id} is known already")
    # of one that may work on, what the venue ever told counts: more would end it here and leave it working there
    left = child.qty - (child.told_qty if child.is_live else child.cum_qty)
    if cmd.qty > left:
        text = f"fill: --qty {cmd.qty:f}: expected at most {max(left, Decimal(0)):f}, all that is left of {child.venue_cl_ord_id}"
        raise Refusal(f"{text}; more than that by --as correct")
    account = draft.state.settings.accounts.get(order.account)
    trade(
        draft,
        child.venue,
        VenueTrade(
            account=account.venue_account if account is not None else "",
            symbol=child.symbol,
            venue_cl_ord_id=child.venue_cl_ord_id,
            venue_order_id=child.venue_order_id,
            venue_trade_id=cmd.trade_id,
            side=child.side,
            qty=cmd.qty,
            px=cmd.px,
            fee=fee,
            fee_asset=cmd.fee_asset,
        ),
        evidence=cmd.evidence,
    )


def _bust_or_correct(draft: Draft, order: Order, cmd: c.AdminResolve) -> None:
    child = next((draft.child(item) for item in order.children if cmd.trade_id in draft.child(item).fills), None)
    if child is None:
        raise Refusal(f"trade {cmd.trade_id!r} is no trade of order {cmd.order_id}")
    fill = child.fills[cmd.trade_id]
    if fill.busted:
        raise Refusal(f"trade {cmd.trade_id} is busted already")
    common: dict[str, Any] = {
        "exec_ref_id": fill.exec_id,
        "venue_trade_id": cmd.trade_id,
        "venue_order_id": child.venue_order_id,
        "venue_cl_ord_id": child.venue_cl_ord_id,
    }
    reason = reason_fields(Reason.RESOLVED, text=f"{Reason.RESOLVED.meaning}: {cmd.evidence}")
    if cmd.outcome == "bust":
        draft.emit(
            e.FillBusted(
                order_id=order.order_id,
                ts_ns=draft.ts_ns,
                venue_cl_ord_id=child.venue_cl_ord_id,
                venue_trade_id=cmd.trade_id,
            )
        )
        draft.report(draft.order(order.order_id), "H", last_qty=fill.qty, last_px=fill.px, **common, **reason)
    else:
        qty, px = fill.qty if cmd.qty is None else cmd.qty, fill.px if cmd.px is None else cmd.px
        if (cmd.qty is None and cmd.px is None) or not _is_amount(qty) or not _is_amount(px):
            raise Refusal(f"correct: expected --qty, --px or both, above 0; {_AMOUNT}")
        exec_id = draft.next_exec_id()
        draft.emit(
            e.FillCorrected(
                order_id=order.order_id,
                ts_ns=draft.ts_ns,
                venue_cl_ord_id=child.venue_cl_ord_id,
                venue_trade_id=cmd.trade_id,
                exec_id=exec_id,
                qty=qty,
                px=px,
            )
        )
        # another quantity or price: the fee stays as the venue took it
        kept: dict[str, Any] = {"fee": cmd.fee, "fee_asset": cmd.fee_asset, "liquidity": cmd.liquidity}
        draft.report(draft.order(order.order_id), "G", exec_id=exec_id, last_qty=qty, last_px=px, **common, **kept, **reason)
    stop_the_rest(draft, order.order_id)
    after = draft.order(order.order_id)
    if cmd.outcome == "correct" and after.cum_qty > after.order_qty:
        draft.alert("OVERFILL", f"order {after.order_id}: executed {after.cum_qty:f} of {after.order_qty:f}")
    if after.is_open and not draft.live_children(after) and not after.held:
        _end(draft, after, Reason.BUSTED if cmd.outcome == "bust" else Reason.CORRECTED)


def _admin(draft: Draft, action: str, target: str, user: str, reason: str) -> None:
    draft.emit(e.AdminActed(action=action, target=target, user=user, reason=reason, ts_ns=draft.ts_ns))
