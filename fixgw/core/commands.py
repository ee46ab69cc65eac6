"""Commands: requests to the core, stamped at the edge. Frozen; they are journaled beside the events they caused.

Every field that a decision needs is here: the receive time `ts_ns` (integer ns since the epoch), the client's fields with
their exact decimals, and the quotes of the candidate venues as the edge held them at that moment. FIX enumerations keep
their FIX characters (Side(54) "1" buy, "2" sell; OrdType(40); TimeInForce(59)). None means "the client did not send it".
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from .settings import CoreSettings


class Quote(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one venue showed for one instrument. `recv_ns`: when our host received bid and ask; None: nothing on that side.

    `last_ns`: when our host received the last trade (0: unknown); `last_low`, `last_high`: the extremes of the trades since
    the update sent before this one, None when there was none (books are conflated; a stop must see each price traded).
    """

    bid: Decimal | None = None
    bid_qty: Decimal | None = None
    ask: Decimal | None = None
    ask_qty: Decimal | None = None
    last: Decimal | None = None
    recv_ns: int = 0
    last_ns: int = 0
    last_low: Decimal | None = None
    last_high: Decimal | None = None
    # why what came since is not used; "" when nothing came that is not
    unusable: str = ""


class Command(msgspec.Struct, frozen=True, array_like=True, tag=True, kw_only=True, gc=False):
    """Base of all commands."""

    ts_ns: int


class ClientCommand(Command, frozen=True, tag=True, kw_only=True):
    """A message of a FIX session; (session, reset_epoch, msg_seq) makes it unique."""

    session: str
    reset_epoch: int
    msg_seq: int
    poss_dup: bool = False
    poss_resend: bool = False
    # OrigSendingTime(122), else TransactTime(60)
    origin_ns: int | None = None


class NewOrder(ClientCommand, frozen=True, tag="D", kw_only=True):
    """NewOrderSingle(D)."""

    cl_ord_id: str
    symbol: str
    side: str
    ord_type: str
    tif: str = "0"
    account: str = ""
    order_qty: Decimal | None = None
    cash_qty: Decimal | None = None
    price: Decimal | None = None
    stop_px: Decimal | None = None
    expire_ns: int | None = None
    exec_inst: str = ""
    ex_destination: str = ""
    security_id: str = ""
    security_id_source: str = ""
    text: str = ""
    # venue -> quote of this symbol
    quotes: dict[str, Quote] = {}
    # the fields of expire_ns (126 or 432) and origin_ns (122 or 60), for refusals
    expire_tag: int = 126
    origin_tag: int = 60


class CancelOrder(ClientCommand, frozen=True, tag="F", kw_only=True):
    """OrderCancelRequest(F)."""

    cl_ord_id: str
    orig_cl_ord_id: str
    order_id: str = ""
    symbol: str = ""
    side: str = ""


class ReplaceOrder(ClientCommand, frozen=True, tag="G", kw_only=True):
    """OrderCancelReplaceRequest(G): the whole order as it is to be; None keeps the old value."""

    cl_ord_id: str
    orig_cl_ord_id: str
    symbol: str
    side: str
    ord_type: str
    order_id: str = ""
    tif: str | None = None
    order_qty: Decimal | None = None
    cash_qty: Decimal | None = None
    price: Decimal | None = None
    stop_px: Decimal | None = None
    expire_ns: int | None = None
    exec_inst: str | None = None
    quotes: dict[str, Quote] = {}
    # as the order has them, or absent
    account: str = ""
    ex_destination: str = ""
    # the fields of expire_ns (126 or 432) and origin_ns (122 or 60), for refusals
    expire_tag: int = 126
    origin_tag: int = 60


class StatusRequest(ClientCommand, frozen=True, tag="H", kw_only=True):
    """OrderStatusRequest(H)."""

    cl_ord_id: str
    order_id: str = ""
    symbol: str = ""
    side: str = ""
    # OrdStatusReqID(790), echoed
    request_id: str = ""


class Unsupported(ClientCommand, frozen=True, tag="j", kw_only=True):
    """A message that cannot be used, and why: `reason` is a core Reason code, `tag` and `value` what is at fault, `limit` what
    was expected. `request`: what could be read of it, where it can be refused as the order, cancel or replace that it is;
    without one it is answered by BusinessMessageReject with `business_reason` (380)."""

    msg_type: str
    reason: str
    business_reason: int
    text: str = ""
    ref_id: str = ""
    tag: int = 0
    value: str = ""
    limit: str = ""
    request: NewOrder | CancelOrder | ReplaceOrder | None = None


class SeqSeen(ClientCommand, frozen=True, tag="seq", kw_only=True):
    """An administrative message used up this MsgSeqNum; nothing else happens."""


class SessionLogon(Command, frozen=True, tag="logon", kw_only=True):
    """A FIX logon; `reset`: 141=Y, both sides start at 1 and reset_epoch rises."""

    session: str
    reset: bool
    msg_seq: int = 1
    cancel_on_disconnect: bool | None = None


# how the reason of a SessionLogout begins when the client itself said goodbye; anything else is a lost connection or our doing
CLIENT_LOGOUT = "logout by the counterparty"


class SessionLogout(Command, frozen=True, tag="logout", kw_only=True):
    """The FIX session ended or its connection was lost."""

    session: str
    reason: str = ""


class Delivered(Command, frozen=True, tag="delivered", kw_only=True):
    """The counterparty has received every report of the journal records up to `seq`."""

    session: str
    seq: int


# --- what venues tell; made by venue hosts (fixgw/venues/wire.py carries these very structs) ---


class VenueCommand(Command, frozen=True, tag=True, kw_only=True):
    """A venue's word. `ts_ns`: when the venue host received it; the engine keeps its order of arrival."""

    venue: str


class VenueTrade(msgspec.Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """One trade of ours; identity = (venue, account, symbol, venue_trade_id). `fee` in `fee_asset`, 0 if unknown."""

    account: str
    symbol: str
    venue_cl_ord_id: str
    venue_order_id: str
    venue_trade_id: str
    side: str
    qty: Decimal
    px: Decimal
    fee: Decimal = Decimal(0)
    fee_asset: str = ""
    # LastLiquidityInd(851): "1" added, "2" removed, "" unknown
    liquidity: str = ""
    venue_ns: int = 0


class ChildAck(VenueCommand, frozen=True, tag="ack", kw_only=True):
    """The venue has the order."""

    venue_cl_ord_id: str
    venue_order_id: str


class ChildReject(VenueCommand, frozen=True, tag="reject", kw_only=True):
    """The venue definitely did not take the order. `code`: the venue's or connector's code. Not `sent`: it never left us;
    `withdrawn` besides: because our own cancel of it came before it left, whose answer this is too."""

    venue_cl_ord_id: str
    code: str
    text: str
    sent: bool = True
    withdrawn: bool = False


class ChildAmbiguous(VenueCommand, frozen=True, tag="ambiguous", kw_only=True):
    """Sent, no definite answer. `op`: "place", "cancel" or "amend"."""

    venue_cl_ord_id: str
    op: str
    code: str
    text: str


class ChildTrade(VenueCommand, frozen=True, tag="trade", kw_only=True):
    """A trade, from the stream or from reconciliation (duplicates are recognised by the core)."""

    trade: VenueTrade


class ChildDone(VenueCommand, frozen=True, tag="done", kw_only=True):
    """The order no longer works at the venue. `status`: "filled", "canceled", "expired" or "rejected"; `cum_qty`: the
    executed quantity by the venue's own word (None when it did not say)."""

    venue_cl_ord_id: str
    venue_order_id: str
    status: str
    cum_qty: Decimal | None = None
    text: str = ""


class ChildCancelReject(VenueCommand, frozen=True, tag="cancelreject", kw_only=True):
    """A definite refusal of a cancel. `unknown_order`: the venue says it has no such open order."""

    venue_cl_ord_id: str
    code: str
    text: str
    unknown_order: bool


class ChildAmended(VenueCommand, frozen=True, tag="amended", kw_only=True):
    """The venue has reduced a working order in place. `qty`: its total now, what is executed included."""

    venue_cl_ord_id: str
    qty: Decimal


class ChildAmendReject(VenueCommand, frozen=True, tag="amendreject", kw_only=True):
    """A definite refusal of an amend, or one that was never sent: the order is as it was."""

    venue_cl_ord_id: str
    code: str
    text: str


class ChildQueryResult(VenueCommand, frozen=True, tag="query", kw_only=True):
    """Answer to a query by our id. `outcome`: "open", "filled", "canceled", "expired", "rejected", "not_found", or
    "error" (no answer: ask again). `trades`: all trades of that order that the venue lists; `asked_ns`: when the query
    left; `trades_checked`: the trades were fetched as well."""

    venue_cl_ord_id: str
    outcome: str
    asked_ns: int
    venue_order_id: str = ""
    cum_qty: Decimal | None = None
    trades: tuple[VenueTrade, ...] = ()
    trades_checked: bool = False
    text: str = ""


class VenueLink(VenueCommand, frozen=True, tag="link", kw_only=True):
    """The link to the venue host or the host's link to the venue came up or went down."""

    up: bool
    reason: str = ""


class OpenOrder(msgspec.Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """One open order as a venue lists it. `unread`: its figures are nonsense (here zero); it is open, no more is known."""

    venue_cl_ord_id: str
    venue_order_id: str
    symbol: str
    side: str
    qty: Decimal
    cum_qty: Decimal
    px: Decimal | None = None
    unread: bool = False


class VenueReconciled(VenueCommand, frozen=True, tag="reconciled", kw_only=True):
    """The full picture after a (re)connect, asked for by ReconcileRequested: every open order of the account and the
    trades since the time asked. `asked_ns`: when the host began to ask."""

    account: str
    asked_ns: int
    open_orders: tuple[OpenOrder, ...] = ()
    trades: tuple[VenueTrade, ...] = ()


class BalancesReport(VenueCommand, frozen=True, tag="balances", kw_only=True):
    """Free and total balance per asset as of `asof_ns` (host clock): what the venue did until then shows in
    it, e.g. when the request left that it answers. `later`: assets of which that is true until a later moment, as events of a
    stream tell some assets only. Only assets of the configured symbols."""

    account: str
    asof_ns: int
    free: dict[str, Decimal]
    total: dict[str, Decimal]
    later: dict[str, int] = {}


class InstrumentSpec(msgspec.Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """A venue's rules for one instrument. Zero = no rule."""

    symbol: str
    venue_symbol: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_qty: Decimal = Decimal(0)
    max_qty: Decimal = Decimal(0)
    min_px: Decimal = Decimal(0)
    max_px: Decimal = Decimal(0)
    min_notional: Decimal = Decimal(0)
    # the lot of market orders where it differs
    market_lot: Decimal = Decimal(0)
    market_max_qty: Decimal = Decimal(0)


class InstrumentsReport(VenueCommand, frozen=True, tag="instruments", kw_only=True):
    """The venue's instruments."""

    instruments: tuple[InstrumentSpec, ...]


class VenueOddity(VenueCommand, frozen=True, tag="oddity", kw_only=True):
    """The venue tells something that cannot be; the host has left it out. For operations: an alert, nothing else."""

    text: str


# --- the edge and operations ---


class TriggerStop(Command, frozen=True, tag="trigger", kw_only=True):
    """The edge saw a price at or through the stop price of a held order."""

    order_id: str
    trigger_px: Decimal
    quotes: dict[str, Quote] = {}


class Timer(Command, frozen=True, tag="timer", kw_only=True):
    """The deadline `key` (see state.timers) has passed."""

    key: str


class EngineStart(Command, frozen=True, tag="start", kw_only=True):
    """First command of each run. `clean`: the last run ended by a clean stop; `rebooted`: the machine went down since;
    `sync`: the mode of that last run; `projected`: the last record that the projection had seen, where it counts (the machine
    has not gone down since)."""

    install: str
    epoch: int
    clean: bool
    rebooted: bool
    sync: str = "commit"
    projected: int = 0


class LoadSettings(Command, frozen=True, tag="settings", kw_only=True):
    """The configuration in force from here on."""

    settings: CoreSettings


class AdminKill(Command, frozen=True, tag="kill", kw_only=True):
    """Kill switch. `scope`: "firm", "session" or "venue"; `level`: "HALTED" or "REDUCING"."""

    scope: str
    target: str
    level: str
    user: str
    reason: str


class AdminResume(Command, frozen=True, tag="resume", kw_only=True):
    """Back to ACTIVE."""

    scope: str
    target: str
    user: str
    reason: str


class AdminCancel(Command, frozen=True, tag="admincancel", kw_only=True):
    """Operations cancel one order."""

    order_id: str
    user: str
    reason: str


class AdminResolve(Command, frozen=True, tag="resolve", kw_only=True):
    """Operations settle what the venue will not tell. `outcome`: "not_placed", "canceled", "open", "fill", "bust" or
    "correct"; qty / px / trade_id as that outcome needs. fee / fee_asset: what a "fill" cost; they and liquidity of "correct", as
    the trade's last report told them: the state does not keep them."""

    order_id: str
    outcome: str
    evidence: str
    user: str
    trade_id: str = ""
    qty: Decimal | None = None
    px: Decimal | None = None
    fee: Decimal | None = None
    fee_asset: str = ""
    liquidity: str = ""


class AdminNote(Command, frozen=True, tag="note", kw_only=True):
    """An admin action that the engine carries out at the edge (session reset, logout...), journaled for the record."""

    action: str
    target: str
    user: str
    reason: str


class JournalSpace(Command, frozen=True, tag="space", kw_only=True):
    """The journal ran short of room for new orders, or has room again."""

    full: bool


class ClockSet(Command, frozen=True, tag="clock", kw_only=True):
    """The gateway's clock was set: `ts_ns` is the new time, `step_ns` by how much it differs from the old. Also the first command
    of each run, with step_ns 0. `rebooted`: the machine went down in between."""

    step_ns: int = 0
    rebooted: bool = False


AnyCommand = (
    NewOrder
    | CancelOrder
    | ReplaceOrder
    | StatusRequest
    | Unsupported
    | SeqSeen
    | SessionLogon
    | SessionLogout
    | Delivered
    | ChildAck
    | ChildReject
    | ChildAmbiguous
    | ChildTrade
    | ChildDone
    | ChildCancelReject
    | ChildAmended
    | ChildAmendReject
    | ChildQueryResult
    | VenueLink
    | VenueReconciled
    | BalancesReport
    | InstrumentsReport
    | VenueOddity
    | TriggerStop
    | Timer
    | EngineStart
    | LoadSettings
    | AdminKill
    | AdminResume
    | AdminCancel
    | AdminResolve
    | AdminNote
    | JournalSpace
    | ClockSet
)
