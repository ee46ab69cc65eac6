"""What leaves towards FIX counterparties, in version-free form. Journaled whole (event Reported), so that a resend, a drop
copy or an audit never depends on state: what was told once is told again in the same words.

FIX enumerations keep their FIX 4.4 characters; fix/outbound maps them per version.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from .numbers import ZERO


class Report(msgspec.Struct, frozen=True, array_like=True, tag="8", gc=False):
    """ExecutionReport(8). `symbol` and `account` are the client's own words; `instrument` is ours.

    exec_type(150): A pending new, 0 new, F trade, 4 canceled, 5 replaced, 6 pending cancel, E pending replace, 8 rejected,
    C expired, H trade cancel, G trade correct, I status (our notice of an unknown outcome or of a stop-limit's trigger, or an
    answer to H), D restated.
    `status_reply`: an answer to OrderStatusRequest or to a possible resend; not drop-copied.
    """

    exec_id: str
    exec_type: str
    ord_status: str
    order_id: str
    cl_ord_id: str
    symbol: str
    side: str
    orig_cl_ord_id: str = ""
    account: str = ""
    instrument: str = ""
    ord_type: str = ""
    tif: str = ""
    order_qty: Decimal | None = None
    cash_qty: Decimal | None = None
    price: Decimal | None = None
    stop_px: Decimal | None = None
    expire_ns: int | None = None
    exec_inst: str = ""
    cum_qty: Decimal = ZERO
    leaves_qty: Decimal = ZERO
    avg_px: Decimal = ZERO
    last_qty: Decimal | None = None
    last_px: Decimal | None = None
    exec_ref_id: str = ""
    venue: str = ""
    liquidity: str = ""
    fee: Decimal | None = None
    fee_asset: str = ""
    venue_order_id: str = ""
    venue_trade_id: str = ""
    venue_cl_ord_id: str = ""
    reason: str = ""
    reason_tag: int = 0
    reason_value: str = ""
    reason_limit: str = ""
    text: str = ""
    # ExecRestatementReason(378)
    restatement: int | None = None
    status_reply: bool = False
    request_id: str = ""
    transact_ns: int = 0
    # ord_status "0" of an order that a replace has changed: FIX 4.2 says 5
    replaced: bool = False
    # WorkingIndicator(636), in the status of a stop: has it triggered
    working: bool | None = None


class CancelReject(msgspec.Struct, frozen=True, array_like=True, tag="9", kw_only=True, gc=False):
    """OrderCancelReject(9). `response_to`(434): "1" cancel request, "2" replace request; order_id "NONE" if unknown."""

    order_id: str
    cl_ord_id: str
    orig_cl_ord_id: str
    ord_status: str
    response_to: str
    reason: str
    reason_tag: int = 0
    reason_value: str = ""
    reason_limit: str = ""
    text: str = ""
    account: str = ""
    transact_ns: int = 0
    # as in Report
    replaced: bool = False


class BusinessReject(msgspec.Struct, frozen=True, array_like=True, tag="j", kw_only=True, gc=False):
    """BusinessMessageReject(j). `business_reason` is tag 380."""

    ref_msg_type: str
    ref_seq: int
    business_reason: int
    reason: str
    text: str
    ref_id: str = ""
    reason_tag: int = 0
    reason_value: str = ""
    reason_limit: str = ""


class Notice(msgspec.Struct, frozen=True, array_like=True, tag="B", kw_only=True, gc=False):
    """News(B): something that a session must know and did not ask for. `urgency`(61): "0" normal, "1" flash."""

    headline: str
    text: str
    urgency: str = "1"
    transact_ns: int = 0


Message = Report | CancelReject | BusinessReject | Notice
