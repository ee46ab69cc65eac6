"""A story in readable lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec

from ..core.codec import Record
from ..core.reports import Report
from .client import Request
from .scheduler import SECOND, START_NS
from .world import Outcome

_SKIPPED: Final = frozenset(
    ("ts_ns", "reset_epoch", "transact_ns", "settings", "quotes", "instruments", "symbol", "venue", "account")
)
_NAMED: Final = re.compile(r"SIMUL[0-9A-Z]{11,}?(?:C\d\d)?\b")
LAST: Final = 40


def lines(outcome: Outcome, full: bool = False) -> Iterator[str]:
    """The lines that name the orders of the violation, and how it ended; or all of them."""
    named = {name.split("C0")[0][:15] for name in _NAMED.findall(outcome.violation[1])} if outcome.violation else set()
    told = [
        f"{(ns - START_NS) / SECOND:10.6f}  {who:9} {what} {_detail(detail)}".rstrip()
        for ns, who, what, detail in outcome.story
    ]
    start = max(len(told) - LAST, 0)
    for at, line in enumerate(told):
        if full or at >= start or any(name in line for name in named):
            yield line


def _detail(detail: Any) -> str:
    if detail is None:
        return ""
    if isinstance(detail, Record):
        return f"{_words(detail.command)}  ->  " + "; ".join(_words(event) for event in detail.events)
    if isinstance(detail, Request):
        again = " (97=Y)" if detail.poss_resend else ""
        return f"{detail.kind}{again} " + " ".join(f"{key}={_value(value)}" for key, value in detail.fields.items())
    return _words(detail)


def _words(struct: Any) -> str:
    if not isinstance(struct, msgspec.Struct):
        return str(struct)
    if isinstance(struct, Report):
        fill = f" {struct.last_qty}@{struct.last_px}" if struct.last_qty is not None else ""
        why = f" {struct.reason}" if struct.reason else ""
        return (
            f"150={struct.exec_type} 39={struct.ord_status} {struct.order_id} {struct.cl_ord_id}{fill} "
            f"cum={struct.cum_qty} leaves={struct.leaves_qty}{why}"
        )
    parts = []
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if name not in _SKIPPED and value not in (None, "", 0, (), {}, False):
            parts.append(f"{name}={_value(value)}")
    return f"{type(struct).__name__}({', '.join(parts)})"


def _value(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return _words(value)
