"""CancelReject -> OrderCancelReject(9)."""

from __future__ import annotations

from typing import Final

import quickfix as fix

from fixgw.core.reasons import Reason
from fixgw.core.reports import CancelReject

from .versions import Version, known, ord_status_of
from .wire import message, refusal_parts, utc, word

MESSAGE: Final = CancelReject
_REASONS: Final = {reason.value: reason for reason in Reason}


def encode(reject: CancelReject, version: Version, *, copy_of: str = "", poss_resend: bool = False) -> fix.Message:
    """Never copied."""
    assert not copy_of, "cancel rejects are not drop-copied"
    reason = _REASONS.get(reject.reason)
    parts = [
        f"37={word(reject.order_id) or 'NONE'}",
        f"11={word(reject.cl_ord_id) or 'NONE'}",
        f"41={word(reject.orig_cl_ord_id) or 'NONE'}",
        f"39={ord_status_of(reject, version)}",
        f"434={reject.response_to}",
        f"102={known(reason.cxl_rej if reason else 99, version.cxl_rej, version.cxl_rej_other)}",
        f"60={utc(reject.transact_ns)}",
    ]
    if reject.account:
        parts.append(f"1={word(reject.account)}")
    parts += refusal_parts(reject)
    return message(version, "9", parts, poss_resend=poss_resend, groups=False)
