"""From the text of a FIX message to typed fields. Exact decimals, ns times; an unusable field raises FieldError."""

from __future__ import annotations

import calendar
import functools
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from fixgw.core.commands import Quote

from . import terms

SOH: Final = "\x01"
NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * NS
LAST_YEAR: Final = 2261
MAX_DIGITS: Final = 30
MAX_ID: Final = 64
MAX_TEXT: Final = 512
_AN_ID: Final = f"at most {MAX_ID} printable ASCII characters"
# length field -> data field, whose value may itself hold SOH
DATA_FIELDS: Final = {90: 91, 93: 89, 95: 96, 212: 213, 348: 349, 350: 351, 352: 353, 354: 355, 1401: 1402, 1525: 1527,
               2351: 2352, 2715: 2716}  # fmt: skip
_DATA_LENGTHS: Final = frozenset(map(str, DATA_FIELDS))
_DECIMAL: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)\Z", re.ASCII)
# to the second; a fraction may follow
_TIME: Final = re.compile(r"(\d{8})-(\d\d):(\d\d):(\d\d)\Z", re.ASCII)
_SECOND_LEN: Final = 17
MAX_FRACTION: Final = 9
# number of digits of a fraction of a second -> ns of its last one
_UNITS: Final = tuple(int(f"1{'0' * (MAX_FRACTION - digits)}") for digits in range(MAX_FRACTION + 1))
# tag -> its text: cheaper to look up than to make
_KEYS: Final = tuple(map(str, range(1024)))
_DATE: Final = re.compile(r"\d{8}\Z", re.ASCII)

_TERMS: Final = frozenset(terms.UNSUPPORTED)
_CURRENCY_KEYS: Final = {tag: str(tag) for tag in terms.CURRENCIES}

Fields = Mapping[str, str]


class FieldError(Exception):
    """The message cannot be used because of one field: its tag, its value ("" if missing) and what was expected."""

    def __init__(self, tag: int, value: str, expected: str) -> None:
        shown = f"{value!r:.80}" if value else "missing"
        super().__init__(f"tag {tag} is {shown}, expected {expected}")
        self.tag = tag
        self.value = clean(value, 64)
        self.expected = expected


class Context(msgspec.Struct, frozen=True, gc=False):
    """Where a message came from, and the edge's stamp. `quotes`: client symbol -> venue -> quote; `order_quotes`: the same of the
    order that (session, OrigClOrdID, OrderID, client symbol) name; `currencies`: client symbol -> what its price may be said
    to be in, () for an unknown symbol."""

    session: str
    reset_epoch: int
    ts_ns: int
    quotes: Callable[[str], dict[str, Quote]]
    order_quotes: Callable[[str, str, str, str], dict[str, Quote]]
    currencies: Callable[[str], tuple[str, ...]] = lambda _symbol: ()
    role: str = "trading"


class Common(msgspec.Struct, frozen=True, gc=False):
    """What all commands of a client share: the fields of core ClientCommand."""

    ts_ns: int
    session: str
    reset_epoch: int
    msg_seq: int
    poss_dup: bool
    poss_resend: bool
    origin_ns: int | None

    def named(self) -> dict[str, Any]:
        """Keyword arguments of a command."""
        return msgspec.structs.asdict(self)


def split(raw: str) -> dict[str, str]:
    """Tag -> value. The first occurrence counts, so that no group member can overwrite what stands before it."""
    fields = {}
    # from the last to the first, without what follows the last SOH
    for part in raw.split(SOH)[-2::-1]:
        tag, equal, value = part.partition("=")
        if equal:  # else a piece of a data field
            fields[tag] = value
    if _DATA_LENGTHS.isdisjoint(fields):
        return fields
    return _split_data(raw) or fields


def _split_data(raw: str) -> dict[str, str] | None:
    """As split, for messages with data fields: walks over them by their declared lengths (in bytes). None when the
    lengths are wrong."""
    data = raw.encode("utf-8", "surrogateescape")
    out: dict[str, str] = {}
    at = 0
    data_tag, data_len = "", 0
    while at < len(data):
        equal = data.find(b"=", at)
        tag = data[at:equal].decode("ascii", "replace")
        end = equal + 1 + data_len if tag == data_tag else data.find(b"\x01", equal)
        if equal < 0 or end < 0 or data[end : end + 1] != b"\x01":
            return None
        value = data[equal + 1 : end].decode("utf-8", "surrogateescape")
        out.setdefault(tag, value)
        known = DATA_FIELDS.get(int(tag)) if tag.isdigit() else None
        data_tag = str(known or "")
        data_len = int(value) if known and value.isascii() and value.isdigit() and len(value) < 10 else 0
        at = end + 1
    return out


def common(fields: Fields, context: Context, msg_seq: int, *, with_origin: bool = True) -> Common:
    """The header's part. TransactTime(60) stands in for OrigSendingTime(122). Raises FieldError for such a time, unless it is
    left out."""
    origin = fields.get("122") if with_origin else None
    origin_tag = 122
    if origin is None and with_origin:
        origin, origin_tag = fields.get("60"), 60
    return Common(
        context.ts_ns,
        context.session,
        context.reset_epoch,
        msg_seq,
        fields.get("43") == "Y",
        fields.get("97") == "Y",
        None if origin is None else time_ns(origin_tag, origin),
    )


def whole(text: str) -> int:
    """A number as QuickFIX has admitted it: FIX allows any zeros before it, and Python reads 4,300 digits. Raises ValueError."""
    return int(text.lstrip("0") or "0")


def sequence_number(fields: Fields) -> int:
    """MsgSeqNum(34)."""
    value = fields.get("34", "")
    if not (value.isascii() and value.isdigit()) or (len(value) > 18 and len(value.lstrip("0")) > 18):
        raise FieldError(34, value, "a message number")
    return whole(value)


def required(fields: Fields, tag: int) -> str:
    """An identifier or enumeration that must be there."""
    value = fields.get(_KEYS[tag], "")
    if not value:
        raise FieldError(tag, "", _AN_ID)
    if not (len(value) <= MAX_ID and value.isascii() and value.isprintable()):
        raise FieldError(tag, value, _AN_ID)
    return value


def optional(fields: Fields, tag: int) -> str:
    """An identifier or enumeration; "" when missing. It will be echoed and journaled, so only printable ASCII passes."""
    value = fields.get(_KEYS[tag], "")
    if value and not (len(value) <= MAX_ID and value.isascii() and value.isprintable()):
        raise FieldError(tag, value, _AN_ID)
    return value


def orig_cl_ord_id(fields: Fields, order_id: str) -> str:
    """OrigClOrdID(41), which must be there unless OrderID(37) names the order, as FIX 5.0SP2 allows."""
    return optional(fields, 41) if order_id else required(fields, 41)


def one_char(fields: Fields, tag: int) -> str:
    """A required one-character enumeration."""
    value = required(fields, tag)
    if len(value) != 1:
        raise FieldError(tag, value, "one character")
    return value


def text(fields: Fields) -> str:
    """Text(58), cut and made printable: it carries no meaning for us."""
    return clean(fields.get("58", ""), MAX_TEXT)


def clean(value: str, limit: int) -> str:
    """At most `limit` characters of printable ASCII; "?" for others."""
    value = value[:limit]
    if value.isascii() and value.isprintable():
        return value
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in value)


def decimal(fields: Fields, tag: int) -> Decimal | None:
    """The exact decimal; None when missing."""
    value = fields.get(_KEYS[tag])
    if value is None:
        return None
    if len(value) <= MAX_DIGITS and value.isascii() and value.replace(".", "", 1).isdigit():
        return Decimal(value)  # nearly all of them: no sign, no need to look closer
    if not _DECIMAL.match(value):
        raise FieldError(tag, value, "a decimal number without exponent")
    if len(value.lstrip("+-").replace(".", "")) > MAX_DIGITS:
        raise FieldError(tag, value, f"at most {MAX_DIGITS} digits")
    return Decimal(value)


@functools.lru_cache(maxsize=64)
def _day_ns(day: str) -> int:
    """Start of the UTC day YYYYMMDD in ns. Raises ValueError for a day that does not exist or lies beyond LAST_YEAR."""
    year, month, number = int(day[:4]), int(day[4:6]), int(day[6:])
    # the last whole year of a 64-bit count of ns
    if not (1970 <= year <= LAST_YEAR and 1 <= month <= 12 and 1 <= number <= calendar.monthrange(year, month)[1]):
        raise ValueError(day)
    return calendar.timegm((year, month, number, 0, 0, 0)) * NS


@functools.lru_cache(maxsize=64)
def _second_ns(value: str) -> int:
    """YYYYMMDD-HH:MM:SS -> ns since the epoch, -1 for what is none. Kept: most messages of a moment tell the same second."""
    found = _TIME.match(value)
    if found is None:
        return -1
    day, hour, minute, second = found.groups()
    try:
        start = _day_ns(day)
    except ValueError:
        return -1
    # a leap second is second 60
    if int(hour) >= 24 or int(minute) >= 60 or int(second) > 60:
        return -1
    return start + (int(hour) * 3600 + int(minute) * 60 + int(second)) * NS


def time_ns(tag: int, value: str) -> int:
    """UTCTimestamp with up to 9 digits of a second -> ns since the epoch."""
    start = _second_ns(value[:_SECOND_LEN])
    if start >= 0:
        if len(value) == _SECOND_LEN:
            return start
        digits = value[_SECOND_LEN + 1 :]
        if value[_SECOND_LEN] == "." and len(digits) <= MAX_FRACTION and digits.isascii() and digits.isdigit():
            return start + int(digits) * _UNITS[len(digits)]
    raise FieldError(tag, value, f"a UTC time YYYYMMDD-HH:MM:SS[.fraction up to 9 digits], 1970 to {LAST_YEAR}")


def expire_ns(fields: Fields) -> int | None:
    """ExpireTime(126), else the end of the UTC day ExpireDate(432); None when neither is there."""
    value = fields.get("126")
    if value is not None:
        return time_ns(126, value)
    value = fields.get("432")
    if value is None:
        return None
    try:
        if _DATE.match(value):
            return _day_ns(value) + DAY_NS
    except ValueError:
        pass
    raise FieldError(432, value, f"a date YYYYMMDD, 1970 to {LAST_YEAR}")


def expire_tag(fields: Fields) -> int:
    """The field that expire_ns is taken from."""
    return 432 if "126" not in fields and "432" in fields else 126


def origin_tag(fields: Fields) -> int:
    """The field that Common.origin_ns is taken from."""
    return 122 if "122" in fields else 60


class TermError(FieldError):
    """An order term that is not supported."""


def refuse_unsupported_terms(fields: Fields) -> None:
    """Raises TermError for a field that would make another order of it (terms.REFUSED) with a value that has a meaning."""
    if _TERMS.isdisjoint(fields):
        return
    for tag, value in fields.items():
        if tag in _TERMS and value not in (admitted := terms.UNSUPPORTED[tag]) and not _says_one_of(int(tag), value, admitted):
            raise TermError(int(tag), value, _or_none(tag, admitted))


def _says_one_of(tag: int, value: str, admitted: tuple[str, ...]) -> bool:
    """Whether a value that is not literally one of the admitted ones means the same: 1.0 is 1."""
    if tag in terms.PREFIXES:
        return value.startswith(admitted)
    if tag in terms.LISTS:
        return bool(value) and all(part in admitted for part in value.split(" "))
    if len(value) > MAX_DIGITS or not _DECIMAL.match(value):
        return False
    return any(_DECIMAL.match(word) and Decimal(word) == Decimal(value) for word in admitted)


def _or_none(tag: str, admitted: tuple[str, ...]) -> str:
    """What was expected, in words."""
    if not admitted:
        return "no such field"
    return f"{', '.join(admitted)}{'...' if int(tag) in terms.PREFIXES else ''} or no such field"


def refuse_other_currency(fields: Fields, symbol: str, context: Context) -> None:
    """Currency(15) is the currency of the price (FIX: "absence ... is interpreted as the default for the security"), and so is
    what it is settled in, SettlCurrency(120): another one than the instrument's would be another order. Raises TermError. An
    unknown symbol is left to the core."""
    for tag in terms.CURRENCIES:
        value = fields.get(_CURRENCY_KEYS[tag])
        if value is None:
            continue
        allowed = context.currencies(symbol) if symbol else ()
        if symbol and (not allowed or value in allowed):
            continue
        raise TermError(tag, value, f"{' or '.join(allowed)}, the currency of the price" if symbol else "Symbol(55) beside it")
