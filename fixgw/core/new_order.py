"""decide for NewOrderSingle(D), and for stops that trigger."""

from __future__ import annotations

from decimal import Decimal

from ..risk import throttle
from ..risk.base import NEW, TRIGGER, Denied
from . import events as e
from . import rules
from .commands import NewOrder, TriggerStop
from .draft import Draft, is_forgotten, reason_fields
from .market import Market, find_market, market_of, venue_ready
from .numbers import ZERO
from .numbers import text as fmt
from .order import Order
from .placing import Assessment, assess, place_child, triggered_qty
from .reasons import Reason
from .status import stop_fields, tell_status

# BusinessRejectReason(380)
THROTTLED = 8


def new_order(draft: Draft, cmd: NewOrder, unusable: Denied | None = None) -> None:
    """Accept (150=A, and 150=0 for what the gateway holds), deny (150=8) or, for what is known, tell the status again.

    `unusable`: why the message cannot be used; `cmd` then holds what could be read of it, and is denied for that."""
    state = draft.state
    known = state.order_of(cmd.session, cmd.cl_ord_id)
    if known is not None and is_forgotten(draft, known):
        known = None
    if known is not None and (cmd.poss_resend or cmd.poss_dup):
        tell_status(draft, draft.order(known), cmd.cl_ord_id)
        return
    throttled = throttle.admit(state, draft.refusing, cmd.session, cmd.ts_ns, "D")
    if throttled is not None:
        # never becomes an order (35=j): a client that floods must not fill our memory
        draft.business_reject(cmd, "D", cmd.cl_ord_id, THROTTLED, throttled)
        return
    if known is not None:
        _refuse_duplicate(draft, cmd, draft.order(known))
        return
    market = find_market(state, cmd.session, cmd.symbol, cmd.account, cmd.ex_destination)
    if isinstance(market, Denied):
        _deny(draft, cmd, None, unusable or market)
        return
    if unusable is not None:
        _deny(draft, cmd, market, unusable)
        return
    denied = (
        rules.check_age(cmd, state.settings.max_order_age_ns)
        or rules.check_terms(cmd, cmd.ts_ns)
        or venue_ready(state, market.venue.name)
    )
    if denied is not None:
        _deny(draft, cmd, market, denied)
        return
    verdict = assess(state, market, cmd.quotes, cmd, cmd.ts_ns, NEW, None)
    if isinstance(verdict, Denied):
        _deny(draft, cmd, market, verdict)
        return
    _accept(draft, cmd, market, verdict)


def _accept(draft: Draft, cmd: NewOrder, market: Market, verdict: Assessment) -> None:
    held = cmd.ord_type in (rules.STOP, rules.STOP_LIMIT)
    order = _receive(draft, cmd, market, verdict.qty, verdict.risk_px, held)
    draft.report(order, "A")
    if held:
        draft.emit(e.OrderConfirmed(order_id=order.order_id, ts_ns=cmd.ts_ns))
        draft.report(draft.order(order.order_id), "0")
    else:
        place_child(draft, order, market, cmd.quotes, order.order_qty)


def _receive(
    draft: Draft, cmd: NewOrder, market: Market | None, qty: Decimal, risk_px: Decimal = ZERO, held: bool = False
) -> Order:
    expire_ns = cmd.expire_ns if cmd.tif == rules.GTD else None
    if cmd.tif == rules.DAY and market is not None:
        expire_ns = rules.day_end_ns(cmd.ts_ns, market.session.roll_time_s)
    account, venue, symbol = ("", "", "")
    if market is not None:
        account, venue, symbol = market.account.name, market.venue.name, market.instrument.symbol
    order_id = draft.new_order_id()
    draft.emit(
        # by position (see the fields of OrderReceived): every order comes through here
        e.OrderReceived(
            order_id, cmd.ts_ns, cmd.session, cmd.cl_ord_id, cmd.account, account, venue, symbol, cmd.symbol,
            cmd.side, cmd.ord_type, cmd.tif, qty, cmd.cash_qty, cmd.price, cmd.stop_px, expire_ns, cmd.exec_inst, risk_px, held,
        )
    )  # fmt: skip
    return draft.order(order_id)


def _deny(draft: Draft, cmd: NewOrder, market: Market | None, denied: Denied) -> None:
    """The order exists, was never open and is rejected; its ClOrdID is used up."""
    order = _receive(draft, cmd, market, cmd.order_qty or ZERO)
    draft.emit(e.OrderRejected(order_id=order.order_id, ts_ns=cmd.ts_ns, reason=denied.reason.value))
    order = draft.order(order.order_id)
    fields = reason_fields(denied.reason, denied.tag, denied.value, denied.limit, denied.text)
    draft.report(order, "8", order_qty=cmd.order_qty, **fields)


def _refuse_duplicate(draft: Draft, cmd: NewOrder, order: Order) -> None:
    """A used ClOrdID: the reject of the new order combined with the status of the one that has the ClOrdID (FIX matrices
    D22 / F.1.a): with OrdStatus 8 a client would take its own live order for dead."""
    text = f"ClOrdID {cmd.cl_ord_id!r} was used before"
    fields = reason_fields(Reason.DUPLICATE_CL_ORD_ID, 11, cmd.cl_ord_id, "unused", text)
    draft.report(order, "8", cl_ord_id=cmd.cl_ord_id, **fields)


def trigger_stop(draft: Draft, cmd: TriggerStop) -> None:
    """A held stop goes to the venue after the risk stages have run again; refused, it is canceled with the reason."""
    order = draft.state.orders.get(cmd.order_id)
    if order is None or not order.held or not order.is_open or order.stopping:
        return
    market = market_of(draft.state, order)
    if isinstance(market, Denied):
        return  # a name of it has left the configuration: it stays held
    if venue_ready(draft.state, order.venue) is not None or market.spec_key not in draft.state.instruments:
        return  # stays held: the next fresh price asks again
    price, stop_px = rules.priced(order.ord_type, order.price, order.stop_px)
    terms = rules.Terms(
        side=order.side,
        ord_type=order.ord_type,
        tif=order.tif,
        order_qty=order.order_qty,
        cash_qty=None,
        price=price,
        stop_px=stop_px,
        expire_ns=order.expire_ns,
        exec_inst=order.exec_inst,
    )
    verdict = assess(draft.state, market, cmd.quotes, terms, cmd.ts_ns, TRIGGER, order)
    qty = triggered_qty(draft.state, market, cmd.quotes, order)
    if not isinstance(verdict, Denied) and qty <= 0:
        cash = fmt(order.cash_qty or ZERO)
        verdict = Denied(Reason.BAD_LOT, 152, cash, "the price of a lot and its fee", f"{cash} pays for less than a lot by now")
    if isinstance(verdict, Denied):
        if verdict.reason is Reason.STALE_MARKET_DATA:
            return  # never triggered on stale data
        draft.emit(
            e.OrderCanceled(
                order_id=order.order_id, ts_ns=cmd.ts_ns, cl_ord_id=order.cl_ord_id, reason=Reason.TRIGGER_DENIED.value
            )
        )
        text = f"{Reason.TRIGGER_DENIED.meaning}: {verdict.reason.value}: {verdict.text}"
        fields = reason_fields(Reason.TRIGGER_DENIED, verdict.tag, verdict.value, verdict.limit, text)
        draft.report(draft.order(order.order_id), "4", **fields)
        return
    draft.emit(e.StopTriggered(
            order_id=order.order_id, ts_ns=cmd.ts_ns, trigger_px=cmd.trigger_px, risk_px=verdict.risk_px
        ))
    order = draft.order(order.order_id)
    if order.ord_type == rules.STOP_LIMIT:
        # it may rest now, which nothing else would tell; a stop market order trades or ends at once
        draft.report(order, "I", **stop_fields(order))
    place_child(draft, order, market, cmd.quotes, qty)
