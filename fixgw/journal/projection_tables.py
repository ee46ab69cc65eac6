"""Which event goes into which table of the projection, as data. Unknown events go whole into `events`.

All money is TEXT (exact decimals), so are integers beyond 64 bits. Times are INTEGER nanoseconds.
"""

from __future__ import annotations

from typing import Final

SCHEMA: Final = 2


def _names(text: str) -> list[str]:
    return text.split()


_ORDER_TEXT = _names(
    "session cl_ord_id client_account account venue symbol client_symbol side ord_type tif "
    "order_qty cash_qty price stop_px exec_inst"
)
_CHILD_TEXT = _names("order_id venue account symbol side ord_type tif qty px")
_REPORT_TEXT = _names(
    "exec_id exec_type ord_status order_id cl_ord_id orig_cl_ord_id symbol side last_qty last_px "
    "cum_qty leaves_qty avg_px venue venue_trade_id exec_ref_id reason text"
)


def _text(names: list[str]) -> dict[str, type]:
    return dict.fromkeys(names, str)


# table -> (primary key, columns)
TABLES: Final[dict[str, tuple[str | tuple[str, ...], dict[str, type]]]] = {
    "orders": (
        "order_id",
        # ord_status: with precedence, as in OrdStatus(39); status: what it is beneath what is pending (JSON)
        {"order_id": str, **_text(_ORDER_TEXT), "expire_ns": int, "ord_status": str, "cum_qty": str, "leaves_qty": str}
        | {"avg_px": str, "reason": str, "trigger_px": str, "created_ns": int, "updated_ns": int}
        | {"first_seq": int, "last_seq": int, "status": str, "pending": str, "stopping": str, "held": int, "risk_px": str}
        | {"notional": str, "finished_ns": int},
    ),
    "reports": (
        ("seq", "idx"),
        {"seq": int, "idx": int, "ts_ns": int, "session": str, "account": str, "msg_type": str, **_text(_REPORT_TEXT)}
        | {"status_reply": int, "message": str},
    ),
    "fills": (
        ("venue_cl_ord_id", "venue_trade_id"),
        {"venue_cl_ord_id": str, "venue_trade_id": str, "order_id": str, "exec_id": str, "qty": str, "px": str}
        | {"fee": str, "fee_asset": str, "base_fee": str, "busted": int, "corrected": int, "ts_ns": int, "seq": int},
    ),
    "children": (
        "venue_cl_ord_id",
        {"venue_cl_ord_id": str, **_text(_CHILD_TEXT), "post_only": int, "status": str, "venue_order_id": str}
        | {"unknown_op": str, "reason": str, "placed_ns": int, "updated_ns": int, "last_seq": int},
    ),
    "sessions_log": (
        ("seq", "idx"),
        {"seq": int, "idx": int, "ts_ns": int, "session": str, "event": str, "data": str},
    ),
    "admin_actions": (
        ("seq", "idx"),
        {"seq": int, "idx": int, "ts_ns": int, "action": str, "target": str, "user": str, "reason": str},
    ),
    "events": (
        ("seq", "idx"),
        {"seq": int, "idx": int, "ts_ns": int, "part": str, "command": str, "event": str, "data": str},
    ),
    "meta": ("key", {"key": str, "value": str}),
}

INDEXES: Final[dict[str, list[list[str]]]] = {
    "orders": [["session", "cl_ord_id"], ["ord_status"]],
    "reports": [["order_id"], ["session"], ["exec_id"]],
    "fills": [["order_id"]],
    "children": [["order_id"]],
    "sessions_log": [["session"]],
    "events": [["event"]],
}

# Event -> what it makes of the child's status. A name in {} is a field of the event.
CHILD_STATUS: Final = {
    "ChildConfirmed": "confirmed",
    "ChildCancelSent": "cancel_sent",
    "ChildAmendSent": "amend_sent",
    "ChildAmended": "amended",
    "ChildAmendRefused": "amend_refused",
    "ChildCancelRefused": "cancel_refused",
    "ChildUnknown": "unknown",
    "ChildQueried": "queried",
    "ChildNotFound": "not_found",
    "ChildSettled": "settled",
    "ChildClosing": "closing",
    "ChildReopened": "reopened",
    "ChildClosed": "{status}",
}

SESSION_EVENTS: Final = frozenset({"SessionChanged", "SessionReset", "SessionSeqSet", "SessionEnabled", "DeliveryAdvanced"})

# Told in full by the order's own columns.
IGNORED: Final = frozenset({"Received", "OrderReceived", "OrderConfirmed", "StopTriggered"})
