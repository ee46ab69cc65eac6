"""Events: journaled facts in the past tense. `evolve` applies them; some of them are also effects, once durable:

    Reported                                      -> a FIX message to the session, and drop copies
    ChildPlaced, ChildAmendSent, ChildCancelSent,
    ChildQueried, OrphanCancelSent,
    ReconcileRequested                            -> a request to the venue host
    Alerted                                       -> operations

An event holds what changed and nothing else; the order of events within a record is the order in which they happened.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from .commands import InstrumentSpec, OpenOrder, VenueTrade
from .numbers import ZERO
from .reports import Message
from .settings import CoreSettings


class Event(msgspec.Struct, frozen=True, array_like=True, tag=True, kw_only=True, gc=False):
    """Base of all events. They hold no cycles, so that the collector need not know them. Those that every order brings may
    be made by position: with more than 15 named arguments Python makes a dict first, which costs more than the event."""


class OrderEvent(Event, frozen=True, tag=True):
    """Something happened to a client's order."""

    order_id: str
    ts_ns: int


class OrderReceived(OrderEvent, frozen=True, tag="received"):
    """A new order with its own life; a refusal follows in the same record as OrderRejected. `held`: a stop kept here.
    `risk_px`: the price at which it counts in exposures (quote per base)."""

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
    cash_qty: Decimal | None = None
    price: Decimal | None = None
    stop_px: Decimal | None = None
    expire_ns: int | None = None
    exec_inst: str = ""
    risk_px: Decimal = ZERO
    held: bool = False


class OrderConfirmed(OrderEvent, frozen=True, tag="confirmed"):
    """A venue has it, or the gateway holds it: 150=0."""


class OrderRejected(OrderEvent, frozen=True, tag="rejected", kw_only=True):
    """Denied by us or refused by the venue."""

    reason: str


class OrderFilled(OrderEvent, frozen=True, tag="filled", kw_only=True):
    """A trade, identified by (venue, account, symbol of the child, venue_trade_id). `base_fee`: the part of the fee that
    was taken in the base asset."""

    venue_cl_ord_id: str
    venue_trade_id: str
    exec_id: str
    qty: Decimal
    px: Decimal
    fee: Decimal = ZERO
    fee_asset: str = ""
    base_fee: Decimal = ZERO
    # the venue's own time of the trade
    venue_ns: int = 0


class FillBusted(OrderEvent, frozen=True, tag="busted", kw_only=True):
    """The trade is void: 150=H."""

    venue_cl_ord_id: str
    venue_trade_id: str


class FillCorrected(OrderEvent, frozen=True, tag="corrected", kw_only=True):
    """The trade has another quantity or price: 150=G."""

    venue_cl_ord_id: str
    venue_trade_id: str
    exec_id: str
    qty: Decimal
    px: Decimal


class OrderCanceled(OrderEvent, frozen=True, tag="canceled", kw_only=True):
    """The rest will not trade. `cl_ord_id`: the live id from here on."""

    cl_ord_id: str
    reason: str


class OrderExpired(OrderEvent, frozen=True, tag="expired", kw_only=True):
    """The time in force ended and the venue confirmed that nothing works any more."""


class CancelRequested(OrderEvent, frozen=True, tag="cancelrequested", kw_only=True):
    """The client asked; the order is pending cancel."""

    cl_ord_id: str


class CancelRefused(OrderEvent, frozen=True, tag="cancelrefused", kw_only=True):
    """The pending cancel failed; the order works on (or is filled)."""

    reason: str


class ReplaceRequested(OrderEvent, frozen=True, tag="replacerequested", kw_only=True):
    """The client asked; the order is pending replace. The fields are the order as it is to be; `reserve_qty` of
    `reserve_asset`: what it needs of the account besides what the order has reserved."""

    cl_ord_id: str
    order_qty: Decimal
    ord_type: str
    tif: str
    cash_qty: Decimal | None = None
    price: Decimal | None = None
    stop_px: Decimal | None = None
    expire_ns: int | None = None
    exec_inst: str = ""
    risk_px: Decimal = ZERO
    reserve_asset: str = ""
    reserve_qty: Decimal = ZERO


class OrderReplaced(OrderEvent, frozen=True, tag="replaced", kw_only=True):
    """The pending replace is in force: 150=5. `order_qty`: where it came to less than was asked (see cash_bound)."""

    order_qty: Decimal | None = None


class ReplaceRefused(OrderEvent, frozen=True, tag="replacerefused", kw_only=True):
    """The pending replace failed."""

    reason: str


class OrderStopping(OrderEvent, frozen=True, tag="stopping", kw_only=True):
    """Not by the client: the order is being canceled for `reason` (kill switch, operations, disconnect, expiry)."""

    reason: str


class StopTriggered(OrderEvent, frozen=True, tag="triggered", kw_only=True):
    """A held stop goes to the venue; from here on it counts at `risk_px`."""

    trigger_px: Decimal
    risk_px: Decimal = ZERO


class ChildEvent(Event, frozen=True, tag=True):
    """Something happened to a slice at a venue."""

    venue_cl_ord_id: str
    ts_ns: int


class ChildPlaced(ChildEvent, frozen=True, tag="childplaced"):
    """To be sent once this is durable; never sent again. After `expires_ns` the host must not send it."""

    order_id: str
    venue: str
    account: str
    symbol: str
    side: str
    ord_type: str
    tif: str
    qty: Decimal
    px: Decimal | None = None
    post_only: bool = False
    expires_ns: int = 0
    # what it may take from the available balance
    reserve_asset: str = ""
    reserve_qty: Decimal = ZERO


class ChildConfirmed(ChildEvent, frozen=True, tag="childconfirmed"):
    """The venue has it."""

    venue_order_id: str


class ChildCancelSent(ChildEvent, frozen=True, tag="childcancelsent", kw_only=True):
    """A cancel is to be sent (cancels may be repeated)."""


class ChildCancelRefused(ChildEvent, frozen=True, tag="childcancelrefused", kw_only=True):
    """The venue definitely refused the cancel."""

    reason: str


class ChildAmendSent(ChildEvent, frozen=True, tag="childamendsent", kw_only=True):
    """The venue is to reduce it in place to `qty` in all (executed included); sent once, never again."""

    qty: Decimal


class ChildAmended(ChildEvent, frozen=True, tag="childamended", kw_only=True):
    """The venue has reduced it to `qty` in all."""

    qty: Decimal


class ChildAmendRefused(ChildEvent, frozen=True, tag="childamendrefused", kw_only=True):
    """The venue definitely has not reduced it."""

    reason: str


class ChildUnknown(ChildEvent, frozen=True, tag="childunknown", kw_only=True):
    """Sent, no answer. `op`: "place", "cancel" or "amend"."""

    op: str
    reason: str


class ChildQueried(ChildEvent, frozen=True, tag="childqueried", kw_only=True):
    """The venue is asked what became of it; asked again at `next_ns` unless settled."""

    next_ns: int


class ChildNotFound(ChildEvent, frozen=True, tag="childnotfound", kw_only=True):
    """A "not found" that counts: asked after the send window, with the trades checked. `next_ns`: asked again then at the
    latest, however long the back-off has become; 0: not before."""

    asked_ns: int
    next_ns: int = 0


class ChildSettled(ChildEvent, frozen=True, tag="childsettled", kw_only=True):
    """A query found it working: nothing is unknown about it any more."""


class ChildClosing(ChildEvent, frozen=True, tag="childclosing", kw_only=True):
    """The venue says it is over with `final_cum` executed, but not all of these trades are here yet. `heard_ns`: when it said
    so; 0: unknown (journals from before this was kept)."""

    status: str
    final_cum: Decimal
    text: str = ""
    heard_ns: int = 0


class ChildReopened(ChildEvent, frozen=True, tag="childreopened"):
    """The venue said that it was over, and shows it working since: the end does not count."""


class ChildClosed(ChildEvent, frozen=True, tag="childclosed", kw_only=True):
    """Over, all trades are in. `status`: filled, canceled, expired, rejected, not_placed."""

    status: str


class Reported(Event, frozen=True, tag="reported"):
    """A message to a session, and its drop copies."""

    session: str
    account: str
    message: Message


class Received(Event, frozen=True, tag="seen"):
    """A client's message was taken in; `counts`: against the throttle; `account`: ours that it is for, where an account has a
    message rate and the message names one ("": it counts in its session and the firm alone)."""

    session: str
    reset_epoch: int
    msg_seq: int
    ts_ns: int
    counts: bool = False
    account: str = ""


class SessionReset(Event, frozen=True, tag="sessionreset", kw_only=True):
    """Both sequence numbers start at 1 again."""

    session: str
    reset_epoch: int


class SessionSeqSet(Event, frozen=True, tag="sessionseqset", kw_only=True):
    """Operations set the number of the last message received."""

    session: str
    last_in_seq: int


class SessionChanged(Event, frozen=True, tag="sessionchanged", kw_only=True):
    """Logged on or off. `cancel_on_disconnect` holds until the next logon."""

    session: str
    logged_on: bool
    ts_ns: int
    reason: str = ""
    cancel_on_disconnect: bool = False


class SessionEnabled(Event, frozen=True, tag="sessionenabled", kw_only=True):
    """Operations let a session log on, or bar it."""

    session: str
    enabled: bool


class DeliveryAdvanced(Event, frozen=True, tag="deliveryadvanced", kw_only=True):
    """The session has received every report of the records up to `seq`."""

    session: str
    seq: int


class KillSet(Event, frozen=True, tag="killset", kw_only=True):
    """`level`: ACTIVE, REDUCING or HALTED."""

    scope: str
    target: str
    level: str
    ts_ns: int
    user: str = ""
    reason: str = ""


class VenueStateChanged(Event, frozen=True, tag="venuestate", kw_only=True):
    """`state`: DOWN, RECONCILING or READY."""

    venue: str
    state: str
    ts_ns: int
    reason: str = ""


class ReconcileRequested(Event, frozen=True, tag="reconcilerequested", kw_only=True):
    """The host is asked for the full picture."""

    venue: str
    since_ns: int
    symbols: tuple[str, ...]
    # 0: asked before this was journaled
    ts_ns: int = 0


class ReconcileCompleted(Event, frozen=True, tag="reconcilecompleted", kw_only=True):
    """The full picture that was asked for at `asked_ns` has been worked in."""

    venue: str
    asked_ns: int


class OrphanCancelSent(Event, frozen=True, tag="orphan", kw_only=True):
    """An open order with our prefix that we do not know as live is canceled."""

    venue: str
    order: OpenOrder


class ExternalFill(Event, frozen=True, tag="externalfill", kw_only=True):
    """A trade on our venue account that is no order of ours."""

    venue: str
    trade: VenueTrade
    ts_ns: int = 0


class BalancesUpdated(Event, frozen=True, tag="balances", kw_only=True):
    """The venue account's balances as of `asof_ns`; `later`: the assets that are as of a later moment."""

    venue: str
    account: str
    asof_ns: int
    free: dict[str, Decimal]
    total: dict[str, Decimal]
    later: dict[str, int] = {}


class InstrumentsLoaded(Event, frozen=True, tag="instruments", kw_only=True):
    """The venue's rules; replaces what was known of the venue."""

    venue: str
    instruments: tuple[InstrumentSpec, ...]


class SettingsLoaded(Event, frozen=True, tag="settings", kw_only=True):
    """The configuration in force."""

    settings: CoreSettings


class EngineStarted(Event, frozen=True, tag="enginestarted", kw_only=True):
    """A run began; ids carry its epoch."""

    install: str
    epoch: int
    ts_ns: int


class ClockWasSet(Event, frozen=True, tag="clockset", kw_only=True):
    """The clock was set by `step_ns` (0: at a start); `ts_ns`: the new time. What was measured by the old one goes on by it."""

    ts_ns: int
    step_ns: int


class AdminActed(Event, frozen=True, tag="admin", kw_only=True):
    """What operations did, and why."""

    action: str
    target: str
    user: str
    reason: str
    ts_ns: int


class Alerted(Event, frozen=True, tag="alert", kw_only=True):
    """Somebody should look at this."""

    kind: str
    text: str
    ts_ns: int


AnyEvent = (
    OrderReceived
    | OrderConfirmed
    | OrderRejected
    | OrderFilled
    | FillBusted
    | FillCorrected
    | OrderCanceled
    | OrderExpired
    | CancelRequested
    | CancelRefused
    | ReplaceRequested
    | OrderReplaced
    | ReplaceRefused
    | OrderStopping
    | StopTriggered
    | ChildPlaced
    | ChildConfirmed
    | ChildCancelSent
    | ChildCancelRefused
    | ChildUnknown
    | ChildQueried
    | ChildNotFound
    | ChildSettled
    | ChildClosing
    | ChildReopened
    | ChildClosed
    | ChildAmendSent
    | ChildAmended
    | ChildAmendRefused
    | Reported
    | Received
    | SessionReset
    | SessionSeqSet
    | SessionChanged
    | SessionEnabled
    | DeliveryAdvanced
    | KillSet
    | VenueStateChanged
    | ReconcileRequested
    | ReconcileCompleted
    | OrphanCancelSent
    | ExternalFill
    | BalancesUpdated
    | InstrumentsLoaded
    | SettingsLoaded
    | EngineStarted
    | AdminActed
    | Alerted
    | ClockWasSet
)
