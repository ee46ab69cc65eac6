"""Binance's refusals: its codes, and the error answer of its WebSocket API as an exception of ccxt."""

from __future__ import annotations

import ccxt

from .doctrine import RATE_LIMIT_STATUS, Codes

# parameters (1100-1199 besides), filters, signature and key, time, limits, order refused, cancel refused, no such order,
# amend refused, our id is not that order's
_REFUSALS = (1002, 1003, 1013, 1014, 1015, 1020, 1021, 1022, 1034, 2010, 2011, 2013, 2014, 2015, 2026, 2038, 2039)

# -1000 (unknown), -1001, -1006, -1007 (timeouts behind the front), -1008 (overload) and everything unlisted: ambiguous
CODES = Codes(
    definite=frozenset(
        str(-code)
        for code in (*_REFUSALS, *range(1100, 1200))
    ),
    ambiguous=frozenset({"-1000", "-1001", "-1006", "-1007", "-1008"}),
    unknown_order=frozenset({"-2011", "-2013"}),
    not_found=frozenset({"-2013"}),
    duplicate=("Duplicate order sent",),
    # of -2038, which stands for every refusal of an amend
    unknown_text=("Unknown order sent",),
    no_change=("would change no state",),
    unknown_symbol=frozenset({"-1121"}),
    definite_status=RATE_LIMIT_STATUS,
    rate_limit=frozenset({"-1003"}),
    order_limit=frozenset({"-1015"}),
)  # fmt: skip


class WsRefused(ccxt.ExchangeError):  # type: ignore[misc]
    """An error answer of the WebSocket API, exactly as Binance gave it."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(f"{status} {code}: {text}")
        self.status, self.code, self.text = status, code, text
