"""How long a venue that refuses for too much wants no request: Retry-After and its like, as far as they make sense.

What a venue says here stops cancels too, so it is believed within reason only. A text that is no number of seconds up to three
days, and no date within them, is taken as not said (RFC 9110: digits or an HTTP-date). Of what makes sense no more is kept
than honest venues ask for; whoever asks on then is told again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

# what Binance's longest ban lasts
LONGEST_S: Final = 3 * 86_400.0
# after a 429, which is a warning and counted in minutes; a ban (418) may last LONGEST_S
_WARNED_S: Final = 900.0
# too many new orders: the longest count of them is of a day
_ORDERS_S: Final = 86_400.0
_NOT_SAID_S: Final = 10.0
# a date that is over, or about to be
_SOON_S: Final = 1.0
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_DATE_MAX = 40


def from_headers(headers: Mapping[Any, Any], now_s: float) -> float | None:
    """Seconds that the header Retry-After asks for at `now_s` (of the epoch); None: not said."""
    for key, value in headers.items():
        if str(key).lower() == "retry-after":
            return _parsed(str(value).strip(), now_s)
    return None


def until(epoch_ms: Any, now_s: float) -> float | None:
    """The same of a moment in milliseconds of the epoch."""
    if isinstance(epoch_ms, bool) or not isinstance(epoch_ms, int) or not 0 < epoch_ms < 10**15:
        return None
    return _sensible(max(epoch_ms / 1000 - now_s, _SOON_S))


def kept_s(seconds: float | None, status: int, for_orders: bool) -> float:
    """How long to keep to it."""
    most = _ORDERS_S if for_orders else LONGEST_S if status == HTTPStatus.IM_A_TEAPOT else _WARNED_S
    return min(_NOT_SAID_S if seconds is None else seconds, most)


def _parsed(text: str, now_s: float) -> float | None:
    if _SECONDS.fullmatch(text):
        return _sensible(float(text))
    if len(text) > _DATE_MAX or not text.isascii():
        return None
    try:
        date = parsedate_to_datetime(text)
        moment = (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return _sensible(max(moment - now_s, _SOON_S))


def _sensible(seconds: float) -> float | None:
    return seconds if 0 <= seconds <= LONGEST_S else None
