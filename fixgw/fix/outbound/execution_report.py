"""Report -> ExecutionReport(8), for all versions and for drop copies."""

from __future__ import annotations

from typing import Final

import quickfix as fix

from fixgw.core.reasons import Reason
from fixgw.core.reports import Report

from .versions import Version, exec_types, is_known, known
from .wire import decimal, message, reason_parts, reason_text, utc, word

MESSAGE: Final = Report
_REASONS: Final = {reason.value: reason for reason in Reason}
# tag -> attribute, sent when not empty
_STRINGS: Final = (
    (11, "cl_ord_id"),
    (41, "orig_cl_ord_id"),
    (1, "account"),
    (19, "exec_ref_id"),
    (20009, "venue"),
    (20005, "venue_order_id"),
    (20006, "venue_trade_id"),
    (20007, "venue_cl_ord_id"),
)
# Client's words with enumerated values -> attribute, and the values that every version knows. A drop copy may be of
# another version than the order: what that does not know is left out.
_ENUMS: Final = (
    (40, "ord_type", frozenset("1234")),
    (59, "tif", frozenset("012346")),
    (18, "exec_inst", frozenset("6")),
)
_SIDES: Final = frozenset("12")
_UNDISCLOSED: Final = "7"
# tag -> attribute, sent when not None
_DECIMALS: Final = (
    (38, "order_qty"),
    (152, "cash_qty"),
    (44, "price"),
    (99, "stop_px"),
    (32, "last_qty"),
    (31, "last_px"),
)
_TRADES: Final = frozenset("FG")
_LIQUIDITY: Final = frozenset("123")
# MiscFeeType(139): exchange fees
_EXCHANGE_FEE: Final = 4


def encode(report: Report, version: Version, *, copy_of: str = "", poss_resend: bool = False) -> fix.Message:
    """`copy_of`: the session whose report this is a drop copy of ("" for the client itself)."""
    trans, exec_type, ord_status = exec_types(report, version)
    parts = [
        f"37={word(report.order_id)}",
        f"17={word(report.exec_id)}",
        f"150={exec_type}",
        f"39={ord_status}",
        f"55={word(report.symbol) or '[N/A]'}",
        f"54={_side(report.side, version)}",
        f"151={decimal(report.leaves_qty)}",
        f"14={decimal(report.cum_qty)}",
        f"6={decimal(report.avg_px)}",
        f"60={utc(report.transact_ns)}",
    ]
    if trans:
        parts.append(f"20={trans}")
    for tag, name in _STRINGS:
        if value := getattr(report, name):
            parts.append(f"{tag}={word(value)}")
    for tag, name, common in _ENUMS:
        if (value := getattr(report, name)) and (value in common or is_known(version, tag, value)):
            parts.append(f"{tag}={value}")
    for tag, name in _DECIMALS:
        if (value := getattr(report, name)) is not None:
            parts.append(f"{tag}={decimal(value)}")
    if report.expire_ns is not None:
        parts.append(f"126={utc(report.expire_ns)}")
    if report.exec_type in _TRADES and report.venue:
        parts.append(f"30={word(report.venue)}")
    parts += _why(report, version)
    parts += _fee(report, version)
    if not version.is_42:
        parts += _since_44(report)
    if copy_of:
        parts += _copy(copy_of, version)
    return message(version, "8", parts, poss_resend=poss_resend, groups=bool(copy_of) and not version.is_42)


def _side(side: str, version: Version) -> str:
    """Side(54) is required everywhere."""
    return side if side in _SIDES or is_known(version, 54, side) else _UNDISCLOSED


def _why(report: Report, version: Version) -> list[str]:
    """Reasons: 103 on rejections and on the status of what was rejected or is unknown, 378, 58 and our own fields."""
    parts = reason_parts(report.reason, report.reason_tag, report.reason_value, report.reason_limit)
    if report.exec_type == "8" or (report.exec_type == "I" and report.ord_status == "8"):
        reason = _REASONS.get(report.reason)
        parts.append(f"103={known(reason.ord_rej if reason else 99, version.ord_rej, version.ord_rej_other)}")
    if report.restatement is not None:
        parts.append(f"378={known(report.restatement, version.restatement, version.restatement_other)}")
    if text := reason_text(report.reason, report.text):
        parts.append(f"58={text}")
    return parts


def _fee(report: Report, version: Version) -> list[str]:
    """NoMiscFees with one entry (its tags are consecutive, so that it needs no dictionary to stay in order); FIX 4.2 has
    only Commission(12), absolute, and no field for its currency: that is ours."""
    if report.fee is None or (not report.fee and not report.fee_asset):
        return []
    if version.is_42:
        return [f"12={decimal(report.fee)}", "13=3", *([f"20010={word(report.fee_asset)}"] if report.fee_asset else [])]
    parts = ["136=1", f"137={decimal(report.fee)}"]
    if report.fee_asset:
        parts.append(f"138={word(report.fee_asset)}")
    parts.append(f"139={_EXCHANGE_FEE}")
    return parts


def _since_44(report: Report) -> list[str]:
    """Fields that FIX 4.2 has not."""
    parts = [f"851={report.liquidity}"] if report.liquidity in _LIQUIDITY else []
    if report.request_id:
        parts.append(f"790={word(report.request_id)}")
    return parts


def _copy(origin: str, version: Version) -> list[str]:
    """CopyMsgIndicator(797), and whose order it is: ClientID(109), later PartyRole(452)=3 client id."""
    if version.is_42:
        return ["797=Y", f"109={word(origin)}"]
    return ["797=Y", "453=1", f"448={word(origin)}", "447=D", "452=3"]
