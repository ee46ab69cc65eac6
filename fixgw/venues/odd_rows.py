"""ccxt reads a list whole or not at all: one row with a NaN makes it throw. Here such a row is read without what is nonsense in
it, and marked (ODD), or taken out where nothing would be left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from .ccxt_exchange import CALL
from .ccxt_parse import ODD, dec_or

_FIGURES = ("free", "used", "total", "debt")
# of a unified balance, what is no asset
_BESIDE = frozenset(("info", "timestamp", "datetime", "free", "used", "total"))
_FAULTS = (ValueError, TypeError, ArithmeticError, KeyError, AttributeError)


def read_around(exchange: Any) -> None:
    """Of a balance the rows that are no numbers of a market go by their names under ODD, and nowhere else. An order, where the
    call allows it (Call.odd_rows), is read without its figures."""
    inner, whole = exchange.safe_balance, exchange.parse_order

    def parse_order(order: Any, market: Any = None) -> Any:
        try:
            return whole(order, market)
        except _FAULTS:
            call = CALL.get()
            if call is None or call.odd_rows <= 0 or not isinstance(order, dict):
                raise
            call.odd_rows -= 1
            found = _read(order, lambda row: whole(row, market))
            if found is None:
                raise
            return {**found, ODD: True}

    def safe_balance(balance: dict[str, Any]) -> dict[str, Any]:
        odd = [code for code, row in balance.items() if code not in _BESIDE and not _is_readable(row)]
        for code in odd:
            del balance[code]
        result: dict[str, Any] = inner(balance)
        result[ODD] = odd
        return result

    exchange.safe_balance, exchange.parse_order = safe_balance, parse_order


def _read(row: dict[str, Any], read: Callable[[dict[str, Any]], Any]) -> dict[str, Any] | None:
    """The row without all that is plainly no figure, else without one thing more; None where that does not help."""
    for part in _parts({name: value for name, value in row.items() if not _is_nonsense(value)}):
        try:
            found: dict[str, Any] = read(part)
        except _FAULTS:
            continue
        return found
    return None


def _parts(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield row
    for left_out in row:
        yield {name: value for name, value in row.items() if name != left_out}


def _is_nonsense(value: Any) -> bool:
    """NaN, an infinity."""
    try:
        return isinstance(value, str | float) and not Decimal(value).is_finite()
    except InvalidOperation:
        return False


def _is_readable(row: Any) -> bool:
    try:
        for name in _FIGURES:
            dec_or(row.get(name))
    except (ValueError, AttributeError):
        return False
    return True
