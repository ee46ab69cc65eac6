"""ccxt reads a list whole or not at all: one row with a NaN makes it throw. Here such a row is taken out, and told of, first."""

from __future__ import annotations

from typing import Any

from .ccxt_parse import dec_or

_FIGURES = ("free", "used", "total", "debt")
# of a unified balance, what is no asset
_BESIDE = frozenset(("info", "timestamp", "datetime", "free", "used", "total"))
ODD = "odd"


def read_around(exchange: Any) -> None:
    """Of a balance the rows that are no numbers of a market go by their names under ODD, and nowhere else."""
    inner = exchange.safe_balance

    def safe_balance(balance: dict[str, Any]) -> dict[str, Any]:
        odd = [code for code, row in balance.items() if code not in _BESIDE and not _is_readable(row)]
        for code in odd:
            del balance[code]
        result: dict[str, Any] = inner(balance)
        result[ODD] = odd
        return result

    exchange.safe_balance = safe_balance


def _is_readable(row: Any) -> bool:
    try:
        for name in _FIGURES:
            dec_or(row.get(name))
    except (ValueError, AttributeError):
        return False
    return True
