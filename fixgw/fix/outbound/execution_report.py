"""Report -> ExecutionReport(8), for all versions and for drop copies."""

from __future__ import annotations

from typing import Final

import quickfix as fix

from fixgw.core.reasons import Reason
from fixgw.core.reports import Report

from .versions import SOH, Version, exec_types, is_known, known
from .wire import decimal, finished, reason_parts, reason_text, utc, word

MESSAGE: Final = Report
_REASONS: Final = {reason.value: reason for reason in Reason}
# Values of the client's enumerated words that every version knows. A drop copy may be of another version than the order:
# what that does not know is left out.
_ORD_TYPES: Final = frozenset("1234")
_TIFS: Final = frozenset("012346")
_EXEC_INSTS: Final = frozenset("6")
_SIDES: Final = frozenset("12")
_UNDISCLOSED: Final = "7"
_TRADES: Final = frozenset("FG")
# rejected, status: the status of what was rejected needs a reason as well
_WITH_REASON: Final = frozenset("8I")
_LIQUIDITY: Final = frozenset("123")
# MiscFeeType(139): exchange fees
_EXCHANGE_FEE: Final = 4


def encode(report: Report, version: Version, *, copy_of: str = "", poss_resend: bool = False) -> fix.Message:
    """`copy_of`: the session whose report this is a drop copy of ("" for the client itself).

    This runs for each report that leaves: what nearly every report has is one f-string, in the order of the tags, since
    QuickFIX sorts them and takes longer over what comes unsorted. The rest follows field by field."""
    trans, exec_type, ord_status = exec_types(report, version)
    account = f"1={word(report.account)}{SOH}" if report.account else ""
    cl_ord_id = f"11={word(report.cl_ord_id)}{SOH}" if report.cl_ord_id else ""
    order_qty = f"38={decimal(report.order_qty)}{SOH}" if report.order_qty is not None else ""
    ord_type = f"40={report.ord_type}{SOH}" if _is_sent(version, 40, report.ord_type, _ORD_TYPES) else ""
    price = f"44={decimal(report.price)}{SOH}" if report.price is not None else ""
    tif = f"59={report.tif}{SOH}" if _is_sent(version, 59, report.tif, _TIFS) else ""
    venue = f"20009={word(report.venue)}{SOH}" if report.venue else ""
    text = (
        f"{account}6={decimal(report.avg_px)}{SOH}{cl_ord_id}14={decimal(report.cum_qty)}{SOH}"
        f"17={word(report.exec_id)}{SOH}37={word(report.order_id)}{SOH}{order_qty}39={ord_status}{SOH}{ord_type}{price}"
        f"54={_side(report.side, version)}{SOH}55={word(report.symbol) or '[N/A]'}{SOH}{tif}60={utc(report.transact_ns)}{SOH}"
        f"150={exec_type}{SOH}151={decimal(report.leaves_qty)}{SOH}{venue}"
    )
    if trans:
        text += f"20={trans}{SOH}"
    parts = _seldom(report, version) + _why(report, version)
    if report.fee is not None:
        parts += _fee(report, version)
    if not version.is_42 and (report.liquidity or report.request_id or report.working is not None):
        parts += _since_44(report)
    if copy_of:
        parts += _copy(copy_of, version)
    if parts:
        text += SOH.join(parts) + SOH
    return finished(version, "8", text, poss_resend=poss_resend, groups=bool(copy_of) and not version.is_42)


def _is_sent(version: Version, tag: int, value: str, common: frozenset[str]) -> bool:
    """True for a client's enumerated word that is there and that the version knows."""
    return value in common or (value != "" and is_known(version, tag, value))


def _seldom(report: Report, version: Version) -> list[str]:
    """What only some reports have: the ids of a venue and of what was before, the terms of stops, the last trade."""
    parts = []
    if report.venue_order_id:
        parts.append(f"20005={word(report.venue_order_id)}")
    if report.venue_trade_id:
        parts.append(f"20006={word(report.venue_trade_id)}")
    if report.venue_cl_ord_id:
        parts.append(f"20007={word(report.venue_cl_ord_id)}")
    if report.orig_cl_ord_id:
        parts.append(f"41={word(report.orig_cl_ord_id)}")
    if report.exec_ref_id:
        parts.append(f"19={word(report.exec_ref_id)}")
    if report.exec_inst and _is_sent(version, 18, report.exec_inst, _EXEC_INSTS):
        parts.append(f"18={report.exec_inst}")
    if report.cash_qty is not None:
        parts.append(f"152={decimal(report.cash_qty)}")
    if report.stop_px is not None:
        parts.append(f"99={decimal(report.stop_px)}")
    if report.last_qty is not None:
        parts.append(f"32={decimal(report.last_qty)}")
    if report.last_px is not None:
        parts.append(f"31={decimal(report.last_px)}")
    if report.expire_ns is not None:
        parts.append(f"126={utc(report.expire_ns)}")
    if report.exec_type in _TRADES and report.venue:
        parts.append(f"30={word(report.venue)}")
    return parts


def _side(side: str, version: Version) -> str:
    """Side(54) is required everywhere."""
    return side if side in _SIDES or is_known(version, 54, side) else _UNDISCLOSED


def _why(report: Report, version: Version) -> list[str]:
    """Reasons: 103 on rejections and on the status of what was rejected or is unknown, 378, 58 and our own fields."""
    parts = reason_parts(report.reason, report.reason_tag, report.reason_value, report.reason_limit)
    if not (parts or report.text or report.exec_type in _WITH_REASON or report.restatement is not None):
        return parts  # nearly every report: nothing has to be explained
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
    if report.working is not None:
        parts.append(f"636={'Y' if report.working else 'N'}")
    return parts


def _copy(origin: str, version: Version) -> list[str]:
    """CopyMsgIndicator(797), and whose order it is: ClientID(109), later PartyRole(452)=3 client id."""
    if version.is_42:
        return ["797=Y", f"109={word(origin)}"]
    return ["797=Y", "453=1", f"448={word(origin)}", "447=D", "452=3"]
