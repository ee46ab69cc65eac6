"""Building FIX text: the fast way is one string, parsed by fix.Message; session fields are added at sending."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import quickfix as fix

from fixgw.core.numbers import text as number
from fixgw.core.reports import BusinessReject, CancelReject

from .versions import SOH, Version, dictionaries

_MS: Final = 1_000_000
_FRACTIONS: Final = tuple(f".{ms:03d}" for ms in range(1000))
MAX_TEXT: Final = 512


def message(version: Version, msg_type: str, parts: Iterable[str], *, poss_resend: bool, groups: bool) -> fix.Message:
    """A message of "tag=value" parts. `groups`: it has a repeating group, which only the dictionary puts in order."""
    return finished(version, msg_type, SOH.join(parts) + SOH, poss_resend=poss_resend, groups=groups)


def finished(version: Version, msg_type: str, body: str, *, poss_resend: bool, groups: bool) -> fix.Message:
    """As message, of the whole body; each of its fields ends with SOH."""
    head = f"8={version.begin_string}{SOH}9=0{SOH}35={msg_type}{SOH}"
    if poss_resend:
        head += f"97=Y{SOH}"
    text = f"{head}{body}10=000{SOH}"
    if groups:
        return fix.Message(text, *dictionaries(version), False)
    return fix.Message(text, False)


def word(value: str) -> str:
    """A string field's value: printable ASCII (an SOH would end the field, other bytes break the wire or the store)."""
    if value.isascii() and value.isprintable():
        return value
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in value)


def decimal(value: Decimal) -> str:
    """Fixed-point text. str() costs a third of formatting, and only an exponent makes a difference between the two."""
    text = str(value)
    return number(value) if "E" in text else text


@functools.lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(seconds))


def utc(ns: int) -> str:
    """UTCTimestamp in milliseconds (cut, not rounded: a report must not lie in the future)."""
    seconds, ms = divmod(ns // _MS, 1000)
    return _second(seconds) + _FRACTIONS[ms]


def reason_text(reason: str, text: str) -> str:
    """Text(58): "CODE: text"."""
    if not reason:
        return word(text[:MAX_TEXT])
    return word(f"{reason}: {text}"[:MAX_TEXT] if text else reason)


def reason_parts(reason: str, tag: int, value: str, limit: str = "") -> list[str]:
    """Our fields ReasonCode, ReasonTag, ReasonValue, ReasonLimit, those that are there."""
    parts = [f"20001={word(reason)}"] if reason else []
    if tag:
        parts.append(f"20002={tag}")
    if value:
        parts.append(f"20003={word(value)}")
    if limit:
        parts.append(f"20004={word(limit)}")
    return parts


def refusal_parts(reject: CancelReject | BusinessReject) -> list[str]:
    """Why: Text(58) and our fields."""
    text = reason_text(reject.reason, reject.text)
    fields = reason_parts(reject.reason, reject.reason_tag, reject.reason_value, reject.reason_limit)
    return [f"58={text}", *fields] if text else fields
