"""What a request weighs at Binance spot where ccxt's own costs say another thing.

More than ccxt says, so that the venue does not refuse us before our own limiter does; less for the trades of one order, which
are asked for in a row after a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WEIGHT_PER_COST = 5.0
ORDER = 1.0
AMEND = 4.0
# the handshake of the WebSocket API (2 for spot, 5 for futures), and userDataStream.subscribe.signature
SUBSCRIBE = 5.0 + 2.0
OPEN_ORDERS_ALL, OPEN_ORDERS_ONE = 80.0, 6.0
_DEPTH_MOST = 250.0
_DEPTH_LEVELS = 1000


def weight(cost: float, api: Any, method: str, path: str, params: Mapping[str, Any]) -> float:
    """Of a REST request, `cost` being ccxt's figure for it; `api` as in ccxt's fetch2 (["public"], ["private"] are spot's)."""
    own = cost * WEIGHT_PER_COST
    if (api if isinstance(api, str) else api[0]) not in ("public", "private"):
        return own
    asked = f"{method} {path}"
    if asked == "GET myTrades":
        return 5.0 if params.get("orderId") else max(own, 20.0)
    if asked in ("GET trades", "GET historicalTrades"):
        return max(own, 25.0)
    if asked == "GET aggTrades":
        return max(own, 4.0)
    if asked == "GET depth" and int(params.get("limit") or 0) > _DEPTH_LEVELS:
        return max(own, _DEPTH_MOST)
    if asked == "POST order/test":
        return max(own, 20.0)
    if asked == "PUT order/amend/keepPriority":
        return max(own, AMEND)
    return own
