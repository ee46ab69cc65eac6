"""BusinessReject -> BusinessMessageReject(j)."""

from __future__ import annotations

from typing import Final

import quickfix as fix

from fixgw.core.reports import BusinessReject

from .versions import Version, known
from .wire import message, refusal_parts, word

MESSAGE: Final = BusinessReject
_OTHER: Final = 0


def encode(reject: BusinessReject, version: Version, *, copy_of: str = "", poss_resend: bool = False) -> fix.Message:
    """Never copied."""
    assert not copy_of, "business rejects are not drop-copied"
    parts = [
        f"45={reject.ref_seq}",
        f"372={word(reject.ref_msg_type)}",
        f"380={known(reject.business_reason, version.business, _OTHER)}",
    ]
    if reject.ref_id:
        parts.append(f"379={word(reject.ref_id)}")
    parts += refusal_parts(reject)
    return message(version, "j", parts, poss_resend=poss_resend, groups=False)
