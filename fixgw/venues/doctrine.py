"""Definite or ambiguous: what a failure of a ccxt call says about the order. One table, used by place, cancel and query.

Rule of thumb: "definite" needs evidence. Evidence is (a) nothing left this process, (b) a code on the venue's list of
definite codes, or (c) an exception class that ccxt raises only for a parsed refusal. Everything else, unknown exception
classes included, is ambiguous: the order may be live, and only a query by our id may settle it.
Measured: after a dropped connection, 502, 503, a hang, code -1007, a truncated body and an empty or HTML 200 the order
WAS live at the venue.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import ccxt

from .base import Ambiguous, DefiniteReject, NeverSent, VenueError
from .limiter import LimiterFull

_TEXT_MAX = 300
RATE_LIMIT_STATUS = frozenset((418, 429))
_DIGITS = re.compile(r"\d+")
_URL_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']*")
_NAMED = re.compile(
    r"(?i)\b(signature|api[-_]?key|x-mbx-apikey|secret|passphrase|listenkey|password|token|twofa|otp|memo|uid|login"
    r"|private[-_]?key|account[-_]?id)(\"?\s*[=:]\s*\"?)[^\s&\"',}]+"
)

# Exception classes that stand for a parsed refusal. Not BadResponse, not NetworkError (DDoSProtection, InvalidNonce),
# not bare ExchangeError. OperationRejected: its subclasses too.
_DEFINITE_CLASSES: tuple[type[BaseException], ...] = (
    ccxt.InsufficientFunds,
    ccxt.InvalidOrder,
    ccxt.BadRequest,
    ccxt.AuthenticationError,
    ccxt.OperationRejected,
    ccxt.ArgumentsRequired,
    ccxt.NotSupported,
)


@dataclass(frozen=True, slots=True)
class Codes:
    """A venue's own error codes. `definite`: refusals; `ambiguous`: overrides everything; `unknown_order`: a cancel or
    query finds nothing; `duplicate`: texts that say an order with our id exists already. `unknown_text`: texts of a definite
    refusal that say the same as `unknown_order`; `no_change`: that an amended order has that quantity already."""

    definite: frozenset[str] = frozenset()
    ambiguous: frozenset[str] = frozenset()
    unknown_order: frozenset[str] = frozenset()
    # the query's definite "no such order"; empty: by ccxt.OrderNotFound
    not_found: frozenset[str] = frozenset()
    duplicate: tuple[str, ...] = ()
    unknown_text: tuple[str, ...] = ()
    no_change: tuple[str, ...] = ()
    # of an instrument that the venue does not have (any more)
    unknown_symbol: frozenset[str] = frozenset()
    # HTTP statuses of a request that the venue refused before reading it
    definite_status: frozenset[int] = frozenset()
    # codes that say "too many requests"; HTTP 418 and 429 say it anyway
    rate_limit: frozenset[str] = frozenset()
    # codes that say it, with HTTP 429, of new orders alone: nothing else has to wait
    order_limit: frozenset[str] = frozenset()


@dataclass(slots=True)
class Evidence:
    """What is known of one call: was it sent, and the venue's own status, code and text if it answered."""

    sent: bool = False
    status: int = 0
    code: str = ""
    text: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)


def same_but_for_digits(one: str, other: str) -> bool:
    """Two texts that say the same of other requests or times."""
    return _DIGITS.sub("", one) == _DIGITS.sub("", other)


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """An error text without credentials: ccxt puts signed URLs and answers into its exceptions."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    text = _NAMED.sub(r"\1\2***", _URL_QUERY.sub(r"\1?***", text))
    return text if len(text) <= _TEXT_MAX else text[:_TEXT_MAX] + "..."


def judge(error: BaseException, evidence: Evidence, codes: Codes) -> VenueError:
    """The failure as one of ours; never raises. Cancellation is not handled here."""
    if isinstance(error, VenueError):
        return error
    status = getattr(error, "status", None)
    if isinstance(status, int):  # an answer that carries its own evidence (binance_codes.WsRefused)
        evidence.status, evidence.code = status, str(getattr(error, "code", ""))
        evidence.text = str(getattr(error, "text", ""))
    code = evidence.code or type(error).__name__
    text = scrub(evidence.text or str(error) or type(error).__name__, evidence.secrets)
    if not evidence.sent:
        if isinstance(error, LimiterFull):
            return NeverSent("RATE_LIMITED", text, rate_limited=True)
        if isinstance(error, (ccxt.NetworkError, OSError, asyncio.TimeoutError)):
            code = "NOT_CONNECTED"
        return NeverSent(code, text)
    if evidence.code in codes.ambiguous or any(mark in text for mark in codes.duplicate):
        return Ambiguous(code, text)
    if isinstance(error, ccxt.DuplicateOrderId):
        return Ambiguous(code, text)
    unknown = evidence.code in codes.unknown_order or (not evidence.code and isinstance(error, ccxt.OrderNotFound))
    if evidence.status >= 500:
        return Ambiguous(code, text)
    if unknown or evidence.code in codes.definite or evidence.status in codes.definite_status:
        limited = evidence.status in RATE_LIMIT_STATUS or evidence.code in codes.rate_limit
        unknown = unknown or any(mark in text for mark in codes.unknown_text)
        return DefiniteReject(code, text, unknown_order=unknown, rate_limited=limited)
    if isinstance(error, _DEFINITE_CLASSES):
        return DefiniteReject(code, text, unknown_order=isinstance(error, ccxt.OrderNotFound))
    if isinstance(error, (asyncio.TimeoutError, ccxt.RequestTimeout)):
        return Ambiguous("TIMEOUT", text)
    return Ambiguous(code, text)


def is_not_found(failure: VenueError, codes: Codes) -> bool:
    """True only when the venue itself said, definitely, that it knows no such order."""
    if not isinstance(failure, DefiniteReject) or not failure.unknown_order:
        return False
    return failure.code in codes.not_found if codes.not_found else True
