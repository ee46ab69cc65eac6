"""What a FIX message says, in the same few words for every FIX version; expected and received lines compare as equal."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from fixgw.fix.client import FixMessage

# ExecType(150) of 4.4 and 5.0SP2; 4.2 says fills by 1 and 2, and unknown by ExecTransType(20)=3
_WORDS: Final = {
    "A": "pending new", "0": "new", "F": "fill", "4": "canceled", "5": "replaced", "6": "pending cancel",
    "E": "pending replace", "8": "rejected", "C": "expired", "H": "bust", "G": "correction", "I": "unknown",
}  # fmt: skip
_REFUSALS: Final = {"9": "cancel rejected", "3": "session reject", "j": "business reject"}
_STATUS: Final = {
    "A": "pending new", "0": "new", "1": "partly filled", "2": "filled", "4": "canceled", "6": "pending cancel",
    "8": "rejected", "E": "pending replace", "C": "expired",
}  # fmt: skip
_WITH_QUANTITIES: Final = ("fill", "replaced", "canceled", "bust", "correction")
APPLICATION: Final = frozenset(("8", *_REFUSALS))


@dataclass(frozen=True, slots=True)
class Line:
    """One report. Quantities and prices are plain decimal text, "" where the message has none; status is OrdStatus(39)."""

    what: str
    cl_ord_id: str
    status: str = ""
    cum_qty: str = ""
    leaves_qty: str = ""
    last_qty: str = ""
    last_px: str = ""
    reason: str = ""

    @property
    def is_report(self) -> bool:
        """An ExecutionReport, of which there is a drop copy."""
        return self.what not in _REFUSALS.values()

    def text(self) -> str:
        """For people, without the ClOrdID: what, how much at which price, why, and how the order stands now."""
        parts = [self.what]
        if self.last_qty:
            parts.append(f"{self.last_qty} @ {self.last_px}")
        if self.reason:
            parts.append(self.reason)
        if self.what in _WITH_QUANTITIES:
            parts.append(f"(cum {self.cum_qty}, leaves {self.leaves_qty})")
        elif (stands := _STATUS.get(self.status, self.status)) not in ("", self.what):
            parts.append(f"(the order: {stands})")
        return " ".join(parts)

    def full(self) -> str:
        """All of it, for a difference."""
        shown = {"11": self.cl_ord_id, "39": self.status, "14": self.cum_qty, "151": self.leaves_qty}
        shown |= {"32": self.last_qty, "31": self.last_px, "20001": self.reason}
        return f"{self.what} [{' '.join(f'{tag}={value}' for tag, value in shown.items() if value)}]"

    def short(self) -> str:
        """For the live table."""
        if self.last_qty:
            return f"{self.what} {self.last_qty}"
        return f"{self.what} {self.reason}" if self.reason else self.what


def number(text: str) -> str:
    """Decimal text in its shortest form ("0.20" is "0.2"); other text as it is."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return text
    return format(value.normalize() + 0, "f") if value.is_finite() else text


def read(message: FixMessage) -> Line:
    """The line of an ExecutionReport, or of a refusal."""
    if message.msg_type != "8":
        what = _REFUSALS.get(message.msg_type, message.msg_type)
        reason = message.get(20001) or message.get(58)
        return Line(what, message.get(11) or message.get(379), message.get(39), reason=reason)
    what, status = _what(message), message.get(39)
    if message.get(20) and status == "5":
        status = "0"  # 4.2 calls an order "replaced" while nothing of it is executed
    return Line(
        what,
        message.get(11),
        status,
        number(message.get(14)),
        number(message.get(151)),
        number(message.get(32)) if what == "fill" else "",
        number(message.get(31)) if what == "fill" else "",
        message.get(20001),
    )


def _what(message: FixMessage) -> str:
    exec_type = message.get(150)
    if message.get(20) == "3":
        return "unknown"
    if message.get(20) and exec_type in ("1", "2"):
        return "fill"
    return _WORDS.get(exec_type, f"ExecType {exec_type}")
