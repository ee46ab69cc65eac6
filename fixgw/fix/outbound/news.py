"""Notice -> News(B)."""

from __future__ import annotations

from typing import Final

import quickfix as fix

from fixgw.core.reports import Notice

from .versions import Version
from .wire import message, utc, word

MESSAGE: Final = Notice


def encode(notice: Notice, version: Version, *, copy_of: str = "", poss_resend: bool = False) -> fix.Message:
    """Never copied: each session gets its own."""
    assert not copy_of, "notices are not drop-copied"
    parts = [
        f"42={utc(notice.transact_ns)}",
        f"61={notice.urgency}",
        f"148={word(notice.headline)}",
        "33=1",
        f"58={word(notice.text)}",
    ]
    return message(version, "B", parts, poss_resend=poss_resend, groups=True)
