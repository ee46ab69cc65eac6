"""Records as plain data: dicts, lists, strings, numbers. Field names are kept, Decimals become exact text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from fixgw.core.codec import Record
from fixgw.core.numbers import text

# a figure beyond it is nonsense of a venue, which as fixed-point text could fill the memory
_MAX_EXPONENT: Final = 60


def plain(value: Any) -> Any:
    """A msgspec value as data that JSON can hold without losing a digit."""
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Decimal):
        return text(value) if value.is_finite() and abs(value.adjusted()) <= _MAX_EXPONENT else str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):  # of names; as they lie they differ from process to process
        return sorted((plain(item) for item in value), key=str)
    return value


def record_data(record: Record) -> dict[str, Any]:
    """{"seq", "ts_ns", "part", "command": {"type", ...}, "events": [{"type", ...}, ...]}."""
    return {
        "seq": record.seq,
        "ts_ns": record.ts_ns,
        "part": record.part,
        "command": {"type": type(record.command).__name__, **plain(record.command)},
        "events": [{"type": type(event).__name__, **plain(event)} for event in record.events],
    }
