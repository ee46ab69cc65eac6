"""Reason codes: one enum. Every refusal carries one in ReasonCode(20001) and at the head of Text(58).

`ord_rej` is OrdRejReason(103), `cxl_rej` CxlRejReason(102) of FIX 4.4 / 5.0SP2; what FIX 4.2 lacks is mapped in
fix/outbound. The documentation table is generated from this enum.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """code, OrdRejReason(103), CxlRejReason(102), meaning."""

    ord_rej: int
    cxl_rej: int
    meaning: str

    def __new__(cls, code: str, ord_rej: int, cxl_rej: int, meaning: str) -> Reason:
        member = str.__new__(cls, code)
        member._value_ = code
        member.ord_rej = ord_rej
        member.cxl_rej = cxl_rej
        member.meaning = meaning
        return member

    # the request itself
    DUPLICATE_CL_ORD_ID = ("DUPLICATE_CL_ORD_ID", 6, 6, "ClOrdID(11) was used by this session within the retention time")
    UNKNOWN_SYMBOL = ("UNKNOWN_SYMBOL", 1, 99, "Symbol(55) is not mapped for this session")
    UNKNOWN_ACCOUNT = ("UNKNOWN_ACCOUNT", 15, 99, "Account(1) is not mapped for this session")
    UNKNOWN_VENUE = ("UNKNOWN_VENUE", 99, 99, "ExDestination(100) names no venue of this installation")
    MISSING_FIELD = ("MISSING_FIELD", 99, 99, "a conditionally required field is missing")
    INVALID_VALUE = ("INVALID_VALUE", 99, 99, "a field's value is not usable")
    UNSUPPORTED = ("UNSUPPORTED", 11, 2, "an order characteristic that is not supported")
    BAD_TICK = ("BAD_TICK", 99, 99, "the price is not a multiple of the venue's tick, or outside its range")
    BAD_LOT = ("BAD_LOT", 13, 99, "the quantity is not a multiple of the venue's lot, or outside its range")
    MIN_NOTIONAL = ("MIN_NOTIONAL", 99, 99, "the order is below the venue's minimum notional")
    STALE_REQUEST = ("STALE_REQUEST", 4, 99, "a possible resend is older than max_order_age")
    # cancel and replace
    UNKNOWN_ORDER = ("UNKNOWN_ORDER", 5, 1, "no such order in this session")
    TOO_LATE = ("TOO_LATE", 4, 0, "the order is already finished")
    PENDING = ("PENDING", 99, 3, "a cancel or replace of this order is already pending")
    MISMATCH = ("MISMATCH", 99, 99, "a field contradicts the order that is named")
    SUPERSEDED = ("SUPERSEDED", 99, 99, "the replace gave way to a cancel")
    CANCEL_FAILED = ("CANCEL_FAILED", 99, 99, "the venue refused the cancel")
    REPLACE_FAILED = ("REPLACE_FAILED", 99, 99, "the replacing order could not be placed; the rest is canceled")
    # risk
    HALTED = ("HALTED", 2, 2, "a kill switch is on: no new orders and no replaces")
    REDUCING = ("REDUCING", 99, 99, "only what cannot increase the position is let through")
    ENTITLEMENT = ("ENTITLEMENT", 99, 99, "the session may not trade this")
    MAX_ORDER_QTY = ("MAX_ORDER_QTY", 3, 99, "order quantity limit")
    MAX_NOTIONAL = ("MAX_NOTIONAL", 3, 99, "order notional limit")
    MAX_OPEN_NOTIONAL = ("MAX_OPEN_NOTIONAL", 3, 99, "open notional limit, orders in flight included")
    PRICE_COLLAR = ("PRICE_COLLAR", 99, 99, "the price is too far from the reference price")
    MAX_OPEN_ORDERS = ("MAX_OPEN_ORDERS", 3, 99, "open orders limit")
    THROTTLE = ("THROTTLE", 99, 99, "message rate limit")
    REPEATED_ORDER = ("REPEATED_ORDER", 99, 99, "the same order too often in a short time")
    MAX_GROSS_POSITION = ("MAX_GROSS_POSITION", 3, 99, "gross position limit, orders in flight included")
    MAX_NET_POSITION = ("MAX_NET_POSITION", 3, 99, "net position limit, orders in flight included")
    BUYING_POWER = ("BUYING_POWER", 3, 99, "the venue account's available balance is too small")
    STALE_MARKET_DATA = ("STALE_MARKET_DATA", 99, 99, "no fresh market data to value the order with")
    # venue
    VENUE_DOWN = ("VENUE_DOWN", 2, 2, "the venue host is not connected")
    RECONCILING = ("RECONCILING", 2, 2, "the venue is being reconciled after a start or an outage")
    VENUE_REJECT = ("VENUE_REJECT", 0, 2, "refused by the venue")
    OUTCOME_UNKNOWN = ("OUTCOME_UNKNOWN", 99, 99, "sent, no answer; being reconciled")
    NOT_PLACED = ("NOT_PLACED", 99, 99, "the venue never received the order")
    MISSING_FILL = ("MISSING_FILL", 99, 99, "the venue reports more executed than the trades received; being reconciled")
    # life
    KILLED = ("KILLED", 99, 99, "canceled by a kill switch")
    ADMIN_CANCEL = ("ADMIN_CANCEL", 99, 99, "canceled by operations")
    DISCONNECT = ("DISCONNECT", 99, 99, "canceled on disconnect")
    LOGOUT = ("LOGOUT", 99, 99, "canceled on the client's logout")
    VENUE_CANCEL = ("VENUE_CANCEL", 99, 99, "canceled by the venue")
    IOC_REMAINDER = ("IOC_REMAINDER", 99, 99, "the rest of an immediate order")
    EXPIRED = ("EXPIRED", 99, 99, "the time in force ended")
    BUSTED = ("BUSTED", 99, 99, "a trade was busted; the rest has no working order")
    CORRECTED = ("CORRECTED", 99, 99, "a trade was corrected; the rest has no working order")
    TRIGGER_DENIED = ("TRIGGER_DENIED", 99, 99, "the stop triggered but a limit refused it")
    RESOLVED = ("RESOLVED", 99, 99, "resolved by operations with evidence")
    # gateway
    JOURNAL_FULL = ("JOURNAL_FULL", 2, 2, "the journal has no room for new orders")
    OVERLOADED = ("OVERLOADED", 2, 2, "the engine's inbox is full")
    INTERNAL_ERROR = ("INTERNAL_ERROR", 99, 99, "a fault of the gateway: nothing was done, operations have been told")
    UNSUPPORTED_MESSAGE = ("UNSUPPORTED_MESSAGE", 99, 99, "this message type is not supported")
    READ_ONLY = ("READ_ONLY", 99, 99, "a drop-copy session sends no orders")
