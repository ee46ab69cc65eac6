"""The admin protocol: newline-delimited JSON over DIR/run/admin.sock, which only its owner can open.

Request   {"id": 1, "method": "orders", "params": {...}, "user": "alice"}
Reply     {"id": 1, "result": ...}   or   {"id": 1, "error": {"code": "NOT_FOUND", "message": "..."}}

`user` is what the client calls itself. The journal names the login of the peer's uid, as the kernel tells it, with a claim
of another name beside it: "root (as alice)". Quantities, prices and amounts are text ("0.5"), times are integer ns since the
epoch in keys that end in _ns (the CLI adds ISO text), absent values are null. FIX enumerations keep their FIX characters
(side "1", ord_status "0"). `symbol`: an instrument, or what any session calls it (the one that is asked for, first of all).
One request at a time per connection; replies come in order. Error codes: BAD_REQUEST, UNKNOWN_METHOD, BAD_PARAMS, NOT_FOUND,
REFUSED, BUSY, FAILED.

Reads show durable state only. Each list is {"<name>": [...], "more": bool} with at most `limit` rows, newest first.

    status        {} -> {firm, version, pid, started_ns, install, epoch, sync, settings_hash, firm_state,
                  last_seq, durable_seq, open_orders, unknown_orders, in_flight (requests to venues without an
                  answer), inbox, journal_full: bool (new orders are refused for want of room), full_because: text or "",
                  projection_behind: durable records that data/projection.db lacks, projection_trouble: why it is not to
                  be relied on (behind for over a minute, follower ended or stuck), or "", clock_trouble: the
                  machine's clock differs from the gateway's time, or was followed by a step in this run; or "",
                  front: where it listens, its process; front_trouble: why no client can log on (it is down, its port is
                  taken, it hangs), or ""; process_trouble: what is restarted again and again, or "";
                  processes: [{name, pid, up, restarts, restarts_lately (10 minutes), started_ns, reason: why it ended}],
                  venues: [{name, account, up, state, reason, level, host_pid, unknown_orders, unlisted}]}; unlisted: symbols
                  that take no new orders, because the venue does not list them, or not with usable rules
                  state of a venue: "DOWN", "RECONCILING", "READY"; level, firm_state: "ACTIVE", "REDUCING", "HALTED"
    sessions      {session?} -> {sessions: [{name, role, begin_string, client_comp_id, gateway_comp_id, configured: bool, enabled,
                  connected, fault, level, next_sender, next_target, reset_epoch, open_orders, delivered_seq, pending_reports,
                  pending_more: bool, last_logon_ns, last_logout_ns}], more}; pending_reports: messages that the session
                  has not confirmed to have (its delivery cursor), at most 10000; pending_more: at least so many.
                  A session of the journal that is configured no more is listed too while it has open orders, pending
                  reports or a kill switch, and when it is asked for; its role is "" when no configuration tells it
    orders        {session?, open?: bool, symbol?, limit?: 1..10000 = 100} -> {orders: [ORDER], more}
                  ORDER = {order_id, session, account, venue, cl_ord_id, orig_cl_ord_id, symbol, side, ord_type, tif,
                  order_qty, cash_qty, price, stop_px, cum_qty, leaves_qty, avg_px, ord_status, pending, unknown: bool,
                  reason, created_ns, updated_ns}; pending: "", "new", "cancel" or "replace";
                  updated_ns: the latest change of a finished one (its end, a late fill, a correction), created_ns of an open one
    order         {order_id} -> {order: ORDER, children: [{venue_cl_ord_id, venue_order_id, venue, qty, px, cum_qty, state}],
                  fills: [FILL], history: [{seq, ts_ns, event, text}], incomplete}; NOT_FOUND
                  incomplete: which records may have more of it and were not looked through, or ""
    fills         {session?, symbol?, limit?} -> {fills: [FILL], more, projection_trouble: as in status, for the older ones}
                  FILL = {exec_id, order_id, cl_ord_id, session, account, venue, symbol, side, last_qty, last_px, fee,
                  fee_asset, liquidity, venue_trade_id, busted: bool, corrected_by, corrects, ts_ns}
                  corrected_by: ExecID of the report that tells this trade now, "" if it is this one; corrects: ExecID of
                  the report that this one took the place of, or "". What is neither busted nor corrected adds up to cum_qty
    positions     {account?, symbol?} -> {positions: [{scope, name, symbol, net, open_buy, open_sell}],
                  balances: [{account, venue, asset, free, total, in_flight, available, asof_ns}]}; scope: "firm",
                  "account" or "session"; asof_ns: what the venue did until then is in free and total of that asset
    limits        {session?} -> {limits: [{scope, name, limit, symbol, used, max}], levels: [{scope, name, level}]}
                  used: text or null where nothing is counted (a limit per order); scope as in positions
    cancel        {order_id, reason} -> {order_id, accepted: true}; NOT_FOUND, REFUSED (finished already)
    kill          {scope: "firm"|"session"|"venue", target: name or "", level: "HALTED"|"REDUCING", reason}
                  -> {scope, target, level, canceling: number of orders}; NOT_FOUND, REFUSED (a stricter level is in force)
    resume        {scope, target, reason} -> {scope, target, level: "ACTIVE"}; NOT_FOUND
    session       {name, action: "show"|"set_seq"|"reset"|"logout"|"enable"|"disable", next_sender?: int >= 1,
                  next_target?: int >= 1, reason} -> the row of `sessions`; NOT_FOUND, REFUSED (set_seq and reset want
                  the session logged out); `show` is a read and wants no reason
    resolve       {order_id, outcome: "not_placed"|"canceled"|"open"|"fill"|"bust"|"correct", evidence, trade_id?, qty?,
                  px?} -> {order_id, outcome, ord_status, cum_qty}; NOT_FOUND, REFUSED (the outcome contradicts the order);
                  "correct" keeps the trade's fee and liquidity and adds {fee, fee_asset}, if they can be had
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

MAX_REQUEST_BYTES: Final = 64 * 1024
MAX_REPLY_BYTES: Final = 64 * 1024 * 1024
METHODS: Final = (
    "status",
    "sessions",
    "orders",
    "order",
    "fills",
    "positions",
    "limits",
    "cancel",
    "kill",
    "resume",
    "session",
    "resolve",
)


class AdminError(Exception):
    """A request that was not carried out; recoverable. Methods raise it, the client raises it again on the other side."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line from a client."""

    id: int
    method: str
    params: dict[str, Any] = {}
    user: str = ""


class Fault(msgspec.Struct, frozen=True):
    """Why a request was not carried out."""

    code: str
    message: str


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line to a client: `result`, or `error`."""

    id: int
    result: Any = None
    error: Fault | None = None
