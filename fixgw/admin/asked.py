"""What a request to the admin socket says, checked: each raises AdminError naming the field, the value and what was expected."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from .protocol import AdminError

Params = dict[str, Any]
DEFAULT_ROWS, MAX_ROWS = 100, 10_000


def known(kind: str, name: str, among: Iterable[str]) -> None:
    names = sorted(among)
    if name not in names:
        raise AdminError("NOT_FOUND", f"{kind} {name!r} is unknown, expected one of {', '.join(names) or '(none)'}")


def text_of(params: Params, key: str) -> str:
    value = params.get(key)
    if not isinstance(value, str) or not value.strip():
        raise AdminError("BAD_PARAMS", f"{key} {value!r}: expected text")
    return value


def decimal_of(params: Params, key: str) -> Decimal | None:
    value = params.get(key)
    if value is None:
        return None
    try:
        found = Decimal(str(value))
    except ArithmeticError as error:
        raise AdminError("BAD_PARAMS", f"{key} {value!r}: expected a decimal number") from error
    if not found.is_finite():
        raise AdminError("BAD_PARAMS", f"{key} {value!r}: expected a finite number")
    return found


def limit_of(params: Params) -> int:
    value = params.get("limit")
    if value is None:
        return DEFAULT_ROWS
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_ROWS:
        raise AdminError("BAD_PARAMS", f"limit {value!r}: expected 1 to {MAX_ROWS}")
    return value
