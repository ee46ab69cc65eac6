"""What a request weighs by its parameters, as Binance's documentation of spot says; REST and the WebSocket API cost the same.

A weight is a number, or a function of the request's parameters (texts by name, as sent). Parameters that the operation itself
refuses are charged too: the request was made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

Values: TypeAlias = Mapping[str, str]
Weight: TypeAlias = int | Callable[[Values], int]

CONNECT = 2  # the handshake of the WebSocket API
SESSION = 2  # session.* and userDataStream.* there
_DEPTH = ((100, 5), (500, 25), (1000, 50))
_DEPTH_MOST = 250
_TICKERS = ((20, 2), (100, 40))
_TICKERS_MOST = 80


def weigh(weight: Weight, values: Values) -> int:
    """The weight of one request."""
    return weight if isinstance(weight, int) else weight(values)


def _stepped(steps: tuple[tuple[int, int], ...], most: int, number: int) -> int:
    return next((weight for top, weight in steps if number <= top), most)


def depth(values: Values) -> int:
    """By `limit`; 100 when it is missing or no number."""
    text = values.get("limit", "")
    return _stepped(_DEPTH, _DEPTH_MOST, int(text) if re.fullmatch(r"[0-9]{1,19}", text) else 100)


def _symbols(values: Values) -> int | None:
    """How many symbols are asked for; None: all."""
    if values.get("symbol"):
        return 1
    if not values.get("symbols"):
        return None
    try:
        names = json.loads(values["symbols"])
    except ValueError:
        return 1
    return len(names) if isinstance(names, list) else 1


def ticker_24hr(values: Values) -> int:
    """By the number of symbols; all of them weigh most."""
    count = _symbols(values)
    return _TICKERS_MOST if count is None else _stepped(_TICKERS, _TICKERS_MOST, count)


def ticker(values: Values) -> int:
    """Price and book tickers: one symbol by `symbol`, or more."""
    return 2 if values.get("symbol") else 4


def open_orders(values: Values) -> int:
    """Of one symbol, or of the whole account."""
    return 6 if values.get("symbol") else 80


def my_trades(values: Values) -> int:
    """Of one order, or of a symbol."""
    return 5 if values.get("orderId") else 20


def order_test(values: Values) -> int:
    """With the commission rates, or without."""
    return 20 if values.get("computeCommissionRates", "").lower() == "true" else 1
