"""evolve(state, event): the one place where state changes. Replay and live run through the same code.

Orders and children change by their own `apply_*`; here is what hangs on them: indices, exposures per scope, positions,
reservations, timers. Exposures are kept incrementally: what an order counted before the event is taken out, what it
counts after it is put in.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

from . import cold
from . import events as e
from .balances import apply_balances
from .child import CLOSED, SENT, Child, apply_child, apply_fill, new_child
from .clock import apply_clock
from .freezing import freeze_oldest, thaw_child, thaw_order
from .numbers import CTX, ZERO
from .order import OPEN, REJECTED, Order, Pending, apply_order, new_order
from .pace import count_message, note_repeat, settings_changed
from .retention import forget, keep_refused, release
from .settings import quote_of
from .sharing import share_child, share_order
from .state import Exposure, State, SymbolExposure

MINUTE_NS = 60_000_000_000
# more than twice the overlap of reconciliations (reconcile.py)
EXTERNAL_KEPT_NS = 3_600_000_000_000


def evolve(state: State, event: e.Event) -> None:
    """Apply one event in place. Raises only for our own bugs (IllegalTransition, KeyError): the engine then stops."""
    HANDLERS[type(event)](state, event)


def scopes_of(order: Order) -> tuple[str, str, str]:
    """The scopes in which an order counts."""
    return _scopes(order.session, order.account)


@lru_cache(maxsize=4096)
def _scopes(session: str, account: str) -> tuple[str, str, str]:
    return ("s:" + session, "a:" + account, "firm")


def at_risk(order: Order) -> Decimal:
    """The quantity that may still trade, a pending replace at the larger of both."""
    if order.status not in OPEN:
        return ZERO
    qty = order.order_qty
    if order.pending is not None and order.pending.order_qty > qty:
        qty = order.pending.order_qty
    left = qty - order.cum_qty
    return left if left > 0 else ZERO


def notional_at_risk(order: Order) -> Decimal:
    """at_risk valued at the order's risk price (quote asset)."""
    return _risk(order)[1]


def _risk(order: Order) -> tuple[Decimal, Decimal]:
    """at_risk and notional_at_risk in one."""
    qty = at_risk(order)
    if not qty:
        return ZERO, ZERO
    px = order.risk_px
    if order.pending is not None and order.pending.risk_px > px:
        px = order.pending.risk_px
    return qty, CTX.multiply(qty, px)


def _symbol_exposure(state: State, scope: str, symbol: str) -> SymbolExposure:
    exposure = state.exposures.get(scope)
    if exposure is None:
        exposure = state.exposures[scope] = Exposure(symbols={}, open_notional={})
    found = exposure.symbols.get(symbol)
    if found is None:
        found = exposure.symbols[symbol] = SymbolExposure()
    return found


def _count(state: State, order: Order, orders: int, qty: Decimal, notional: Decimal, position: Decimal = ZERO) -> None:
    """Add to what an order counts in its scopes."""
    if not order.symbol or (not orders and not qty and not notional and not position):
        return  # refused before it had an instrument, or nothing changes
    buy, exposures, quote = order.side == "1", state.exposures, quote_of(order.symbol)
    for scope in scopes_of(order):
        exposure = exposures.get(scope)
        symbol = exposure.symbols.get(order.symbol) if exposure is not None else None
        if symbol is None or exposure is None:
            symbol, exposure = _symbol_exposure(state, scope, order.symbol), exposures[scope]
        if buy:
            symbol.open_buy += qty
        else:
            symbol.open_sell += qty
        if notional:
            symbol.open_notional += notional
            total = exposure.open_notional.get(quote, ZERO) + notional
            if total:
                exposure.open_notional[quote] = total
            else:
                del exposure.open_notional[quote]
        if orders:
            exposure.open_orders += orders
        if position:
            symbol.position += position


def _move_position(state: State, order: Order, qty: Decimal, base_fee: Decimal) -> None:
    change = (qty if order.side == "1" else -qty) - base_fee
    for scope in scopes_of(order):
        _symbol_exposure(state, scope, order.symbol).position += change


def _order_received(state: State, ev: e.OrderReceived) -> None:
    order = share_order(new_order(ev))
    state.orders[ev.order_id] = order
    state.open_orders[ev.order_id] = None
    session = state.session(ev.session)
    session.open_orders[ev.order_id] = None
    session.cl_ord_ids[ev.cl_ord_id] = ev.order_id
    if ev.held:
        state.stops[ev.order_id] = None
    if ev.expire_ns is not None:
        state.expiries.setdefault(ev.expire_ns // MINUTE_NS, {})[ev.order_id] = ev.expire_ns
    _count(state, order, 1, *_risk(order))
    note_repeat(state, session, ev)


def _order_confirmed(state: State, ev: e.OrderConfirmed) -> None:
    """Open before and after, at the same risk: only the order itself changes."""
    apply_order(state.orders[ev.order_id], ev)


def _order_filled(state: State, ev: e.OrderFilled) -> None:
    """The most frequent of the order events, by itself."""
    order = state.orders.get(ev.order_id) or thaw_order(state, ev.order_id)
    child = state.children[ev.venue_cl_ord_id]
    was_open = order.status in OPEN
    qty, notional = _risk(order)
    apply_fill(child, ev)
    apply_order(order, ev)
    change = (ev.qty if order.side == "1" else -ev.qty) - ev.base_fee
    qty_now, notional_now = _risk(order)
    ended = was_open and order.status not in OPEN
    _count(state, order, -1 if ended else 0, qty_now - qty, notional_now - notional, change)
    if state.venues[child.venue].external_trades:
        _claim_external(state, child, ev)
    if order.held:
        state.stops.pop(order.order_id, None)
    if ended:
        _finish(state, order)
    elif not was_open:
        _changed_late(state, order)


def _order_event(state: State, ev: e.OrderEvent) -> None:
    order = state.orders.get(ev.order_id) or thaw_order(state, ev.order_id)
    was_open, expire_ns = order.status in OPEN, order.expire_ns
    qty, notional = _risk(order)
    kept = order.pending if order.pending is not None and order.pending.reserve_qty else None
    fill = None
    if isinstance(ev, e.FillBusted | e.FillCorrected):
        fill = _fill(state, order, ev)
    elif isinstance(ev, e.CancelRequested | e.ReplaceRequested):
        state.session(order.session).cl_ord_ids[ev.cl_ord_id] = ev.order_id
    apply_order(order, ev, fill)
    if order.pending is not kept:
        _keep_for_replace(state, order, kept, order.pending)
    now_open = order.status in OPEN
    qty_now, notional_now = _risk(order)
    _count(state, order, int(now_open) - int(was_open), qty_now - qty, notional_now - notional)
    if order.expire_ns != expire_ns:
        _move_expiry(state, order, expire_ns)
    if state.stops and (not order.held or not now_open):
        state.stops.pop(order.order_id, None)
    if was_open and not now_open:
        _finish(state, order)
    elif now_open and not was_open:
        state.open_orders[order.order_id] = None
        state.session(order.session).open_orders[order.order_id] = None
        state.finished.pop(order.order_id, None)
        _move_expiry(state, order, None)
    elif not now_open:
        _changed_late(state, order)


def _keep_for_replace(state: State, order: Order, before: Pending | None, after: Pending | None) -> None:
    """What a pending replace reserves, from its request until its child or its end."""
    reserved = state.account(order.account).reserved
    if before is not None and before.reserve_qty:
        reserved[before.reserve_asset] -= before.reserve_qty
    if after is not None and after.reserve_qty:
        reserved[after.reserve_asset] = reserved.get(after.reserve_asset, ZERO) + after.reserve_qty


def _fill(state: State, order: Order, ev: e.FillBusted | e.FillCorrected) -> tuple[Decimal, Decimal]:
    """Take the trade back or change it in its child and in the positions; gives what stood before."""
    child = state.children[ev.venue_cl_ord_id]
    before = apply_fill(child, ev)
    if isinstance(ev, e.FillBusted):
        _move_position(state, order, -before[0], -child.fills[ev.venue_trade_id].base_fee)
    else:
        _move_position(state, order, ev.qty - before[0], ZERO)
    return before


def _claim_external(state: State, child: Child, ev: e.OrderFilled) -> None:
    """A trade that was taken for somebody else's turned out to be ours: its position must not count twice."""
    account = state.settings.accounts.get(child.account)
    if account is None:
        return
    key = external_key(account.venue_account, child.symbol, ev.venue_trade_id)
    if key in state.venue(child.venue).external_trades:
        del state.venue(child.venue).external_trades[key]
        fee = ev.fee if ev.fee_asset == child.symbol.split("/")[0] else ZERO
        change = (ev.qty if child.side == "1" else -ev.qty) - fee
        _move_external(state, child.venue, account.venue_account, child.symbol, -change)


def _finish(state: State, order: Order) -> None:
    state.open_orders.pop(order.order_id, None)
    state.session(order.session).open_orders.pop(order.order_id, None)
    if order.expire_ns is not None:
        _move_expiry(state, order, order.expire_ns, keep=False)
    forget(state, order.finished_ns)
    if order.children or order.status != REJECTED:
        state.finished[order.order_id] = None
        if len(state.finished) > cold.WARM:
            freeze_oldest(state)
        return
    keep_refused(state, order)


def _changed_late(state: State, order: Order) -> None:
    """Of a finished order the latest change counts (Order.finished_ns), and state.finished is in the order of that."""
    if order.order_id in state.finished:
        del state.finished[order.order_id]
        state.finished[order.order_id] = None


def _move_expiry(state: State, order: Order, old_ns: int | None, keep: bool = True) -> None:
    if old_ns is not None:
        bucket = state.expiries.get(old_ns // MINUTE_NS)
        if bucket is not None:
            bucket.pop(order.order_id, None)
            if not bucket:
                del state.expiries[old_ns // MINUTE_NS]
    if keep and order.expire_ns is not None:
        state.expiries.setdefault(order.expire_ns // MINUTE_NS, {})[order.order_id] = order.expire_ns


def _child_placed(state: State, ev: e.ChildPlaced) -> None:
    order = state.orders.get(ev.order_id) or thaw_order(state, ev.order_id)
    child = share_child(new_child(ev), order)
    state.children[ev.venue_cl_ord_id] = child
    order.children.append(ev.venue_cl_ord_id)
    account = state.account(ev.account)
    if order.pending is not None and order.pending.reserve_qty:
        _keep_for_replace(state, order, order.pending, None)
        order.pending.reserve_qty = ZERO  # the child reserves for itself
    state.venue(ev.venue).live[ev.venue_cl_ord_id] = None
    state.inflight[ev.venue_cl_ord_id] = ev.ts_ns
    if ev.reserve_qty:
        account.uncovered[ev.venue_cl_ord_id] = None
        account.reserved[ev.reserve_asset] = account.reserved.get(ev.reserve_asset, ZERO) + ev.reserve_qty


def _child_confirmed(state: State, ev: e.ChildConfirmed) -> None:
    child = state.children.get(ev.venue_cl_ord_id) or thaw_child(state, ev.venue_cl_ord_id)
    apply_child(child, ev)
    if ev.venue_order_id:
        state.venues[child.venue].order_ids[f"{child.symbol}|{ev.venue_order_id}"] = child.venue_cl_ord_id
        account = state.accounts[child.account]
        if ev.venue_cl_ord_id in account.uncovered:
            account.covered_from.setdefault(child.venue_cl_ord_id, ev.ts_ns)
    _index_child(state, child, ev.ts_ns)


def _index_child(state: State, child: Child, ts_ns: int) -> None:
    """Where a child stands after an event of its own."""
    child_id = child.venue_cl_ord_id
    if child.state != SENT and child.cancel != "sent" and child.amend is None:
        state.inflight.pop(child_id, None)
    if child.state == CLOSED:
        state.uncertain.pop(child_id, None)
        state.venues[child.venue].live.pop(child_id, None)
        _uncover(state, child, ts_ns)
    elif child.is_uncertain:
        state.uncertain[child_id] = None
    elif state.uncertain:
        state.uncertain.pop(child_id, None)


def _child_event(state: State, ev: e.ChildEvent) -> None:
    child = state.children.get(ev.venue_cl_ord_id) or thaw_child(state, ev.venue_cl_ord_id)
    apply_child(child, ev)
    if isinstance(ev, e.ChildCancelSent | e.ChildAmendSent):
        # behind those that were sent before
        state.inflight.pop(ev.venue_cl_ord_id, None)
        state.inflight[child.venue_cl_ord_id] = ev.ts_ns
    _index_child(state, child, ev.ts_ns)


def _uncover(state: State, child: Child, ts_ns: int) -> None:
    account = state.account(child.account)
    # what a closed child spent shows in the next balance report; until then its fills stay reserved
    if not child.cum_qty:
        release(account, child)
    elif child.venue_cl_ord_id in account.uncovered:
        account.covered_from[child.venue_cl_ord_id] = ts_ns


def _received(state: State, ev: e.Received) -> None:
    session = state.session(ev.session)
    session.reset_epoch = ev.reset_epoch
    session.last_in_seq = max(session.last_in_seq, ev.msg_seq)
    if ev.counts:
        count_message(state, session, ev)


def _session_reset(state: State, ev: e.SessionReset) -> None:
    session = state.session(ev.session)
    session.reset_epoch = ev.reset_epoch
    session.last_in_seq = 0


def _session_seq_set(state: State, ev: e.SessionSeqSet) -> None:
    state.session(ev.session).last_in_seq = ev.last_in_seq


def _session_changed(state: State, ev: e.SessionChanged) -> None:
    session = state.session(ev.session)
    session.logged_on = ev.logged_on
    session.cancel_on_disconnect = ev.cancel_on_disconnect


def _session_enabled(state: State, ev: e.SessionEnabled) -> None:
    state.session(ev.session).enabled = ev.enabled


def _delivery(state: State, ev: e.DeliveryAdvanced) -> None:
    session = state.session(ev.session)
    session.delivered_seq = max(session.delivered_seq, ev.seq)


def _kill_set(state: State, ev: e.KillSet) -> None:
    if ev.scope == "firm":
        state.level = ev.level
    elif ev.scope == "session":
        state.session(ev.target).level = ev.level
    else:
        state.venue(ev.target).level = ev.level


def _venue_state(state: State, ev: e.VenueStateChanged) -> None:
    venue = state.venue(ev.venue)
    venue.state = ev.state
    venue.reason = ev.reason


def _asked(state: State, ev: e.ReconcileRequested) -> None:
    """Trades of others count from the first picture on, those of an instrument that comes later from its own first."""
    venue = state.venue(ev.venue)
    for symbol in ev.symbols:
        if symbol not in venue.counts_from or not venue.reconciled_ns:
            venue.counts_from[symbol] = ev.ts_ns or ev.since_ns


def _reconciled(state: State, ev: e.ReconcileCompleted) -> None:
    """Trades that no later picture can bring again are forgotten: it is asked from an overlap before this one on."""
    venue = state.venue(ev.venue)
    horizon = venue.reconciled_ns - EXTERNAL_KEPT_NS
    venue.reconciled_ns = max(venue.reconciled_ns, ev.asked_ns)
    for key in [key for key, ts_ns in venue.external_trades.items() if ts_ns < horizon]:
        del venue.external_trades[key]


def _external_fill(state: State, ev: e.ExternalFill) -> None:
    trade = ev.trade
    venue = state.venue(ev.venue)
    venue.external_trades[external_key(trade.account, trade.symbol, trade.venue_trade_id)] = ev.ts_ns
    base = trade.symbol.split("/")[0]
    fee = trade.fee if trade.fee_asset == base else ZERO
    change = (trade.qty if trade.side == "1" else -trade.qty) - fee
    _move_external(state, ev.venue, trade.account, trade.symbol, change)


def external_key(venue_account: str, symbol: str, venue_trade_id: str) -> str:
    """The identity of a trade within its venue."""
    return f"{venue_account}|{symbol}|{venue_trade_id}"


def _move_external(state: State, venue: str, venue_account: str, symbol: str, change: Decimal) -> None:
    for account in state.settings.accounts.values():
        if account.venue == venue and account.venue_account == venue_account:
            _symbol_exposure(state, "a:" + account.name, symbol).position += change
    _symbol_exposure(state, "firm", symbol).position += change


def _instruments(state: State, ev: e.InstrumentsLoaded) -> None:
    prefix = ev.venue + "|"
    for key in [key for key in state.instruments if key.startswith(prefix)]:
        del state.instruments[key]
    for spec in ev.instruments:
        state.instruments[prefix + spec.symbol] = spec


def _settings(state: State, ev: e.SettingsLoaded) -> None:
    before, state.settings = state.settings, ev.settings
    settings_changed(state, before)
    for name in ev.settings.sessions:
        state.session(name)
    for name in ev.settings.venues:
        state.venue(name)
    for name in ev.settings.accounts:
        state.account(name)


def _started(state: State, ev: e.EngineStarted) -> None:
    state.install = ev.install
    state.epoch = ev.epoch
    for session in state.sessions.values():
        session.logged_on = False


def _nothing(state: State, ev: e.Event) -> None:
    """For the record and for its effect; the state is not concerned."""


HANDLERS: dict[type, Callable[..., None]] = {
    e.OrderReceived: _order_received,
    e.OrderConfirmed: _order_confirmed,
    e.OrderFilled: _order_filled,
    **{
        kind: _order_event
        for kind in (
            e.OrderRejected, e.FillBusted, e.FillCorrected, e.OrderCanceled,
            e.OrderExpired, e.CancelRequested, e.CancelRefused, e.ReplaceRequested, e.OrderReplaced, e.ReplaceRefused,
            e.OrderStopping, e.StopTriggered,
        )
    },
    e.ChildPlaced: _child_placed,
    e.ChildConfirmed: _child_confirmed,
    **{
        kind: _child_event
        for kind in (
            e.ChildCancelSent, e.ChildCancelRefused, e.ChildUnknown, e.ChildQueried, e.ChildNotFound,
            e.ChildSettled, e.ChildClosing, e.ChildReopened, e.ChildClosed, e.ChildAmendSent, e.ChildAmended,
            e.ChildAmendRefused,
        )
    },
    e.Reported: _nothing,
    e.Received: _received,
    e.SessionReset: _session_reset,
    e.SessionSeqSet: _session_seq_set,
    e.SessionChanged: _session_changed,
    e.SessionEnabled: _session_enabled,
    e.DeliveryAdvanced: _delivery,
    e.KillSet: _kill_set,
    e.VenueStateChanged: _venue_state,
    e.ReconcileRequested: _asked,
    e.ReconcileCompleted: _reconciled,
    e.OrphanCancelSent: _nothing,
    e.ExternalFill: _external_fill,
    e.BalancesUpdated: apply_balances,
    e.InstrumentsLoaded: _instruments,
    e.SettingsLoaded: _settings,
    e.EngineStarted: _started,
    e.AdminActed: _nothing,
    e.ClockWasSet: apply_clock,
    e.Alerted: _nothing,
}
