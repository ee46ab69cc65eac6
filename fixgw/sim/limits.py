"""Binance's request limits: weight per minute (shared), orders per 10 s and per day (per account), 429 and then 418.

Windows are aligned to the clock, as Binance's are. Who goes on after a 429 is banned for a while (418).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SEC = 1_000_000_000
_MINUTE_NS, _TEN_NS, _DAY_NS = 60 * _SEC, 10 * _SEC, 86_400 * _SEC


@dataclass(frozen=True, slots=True)
class LimitConfig:
    """Limits; off counts but never refuses."""

    weight_1m: int = 600_000
    orders_10s: int = 100_000
    orders_1d: int = 100_000_000
    strikes: int = 10  # requests after a 429 until the ban
    ban_s: int = 120
    off: bool = False


_NAMED = {
    "high": LimitConfig(),
    "off": LimitConfig(off=True),
    "binance": LimitConfig(weight_1m=6000, orders_10s=100, orders_1d=200_000),
}
_KEYS = {
    "weight": "weight_1m", "orders10s": "orders_10s", "orders1d": "orders_1d", "strikes": "strikes", "ban": "ban_s"
}  # fmt: skip


def parse_limits(text: str) -> LimitConfig:
    """off, high, binance, or changes to high such as weight=1200,orders10s=50. Raises ValueError."""
    if text in _NAMED:
        return _NAMED[text]
    changes: dict[str, Any] = {}
    for part in text.split(","):
        found = re.fullmatch(r"([a-z0-9]+)=([1-9][0-9]{0,11})", part.strip())
        if not found or found[1] not in _KEYS:
            raise ValueError(
                f"rate limit {part!r}: expected off, high, binance or name=number with a name of {', '.join(_KEYS)}"
            )
        changes[_KEYS[found[1]]] = int(found[2])
    return LimitConfig(**changes)


@dataclass(frozen=True, slots=True)
class Limited:
    """A refusal: HTTP status (429 or 418), Binance code and text, seconds to wait."""

    status: int
    code: int
    msg: str
    retry_after_s: int


class RateLimiter:
    """Counts requests in aligned windows; time is given by the caller."""

    def __init__(self, config: LimitConfig) -> None:
        self.config = config
        self._weight = (0, 0)  # (window, used)
        self._orders: dict[tuple[str, int], tuple[int, int]] = {}
        self._strikes = 0
        self._banned_until_ns = 0
        self.refused = 0

    def charge(self, weight: int, now_ns: int) -> Limited | None:
        """Count one request, whoever makes it; the refusal when it is over a limit."""
        cfg = self.config
        window = now_ns // _MINUTE_NS
        if self._weight[0] != window:
            self._weight, self._strikes = (window, 0), 0
        if not cfg.off and now_ns < self._banned_until_ns:
            return self._banned(now_ns)
        self._weight = (window, self._weight[1] + weight)
        if cfg.off:
            return None
        if self._weight[1] > cfg.weight_1m:
            self._strikes += 1
            if self._strikes > cfg.strikes:
                self._banned_until_ns = now_ns + cfg.ban_s * _SEC
                return self._banned(now_ns)
            self.refused += 1
            msg = (
                f"Too much request weight used; current limit is {cfg.weight_1m} request weight per 1 MINUTE. "
                "Please use WebSocket Streams for live updates to avoid polling the API."
            )
            return Limited(429, -1003, msg, _rest_s(now_ns, _MINUTE_NS))
        return None

    def charge_order(self, account: str, now_ns: int) -> Limited | None:
        """Count a new order of this account; one that is refused is not counted."""
        if self.config.off:
            return None
        limits = ((_TEN_NS, self.config.orders_10s, "10 SECOND"), (_DAY_NS, self.config.orders_1d, "1 DAY"))
        for span, limit, name in limits:
            if self._orders_used(account, span, now_ns) >= limit:
                self.refused += 1
                msg = f"Too many new orders; current limit is {limit} orders per {name}."
                return Limited(429, -1015, msg, _rest_s(now_ns, span))
        for span, _, _ in limits:
            self._orders[(account, span)] = (now_ns // span, self._orders_used(account, span, now_ns) + 1)
        return None

    def _orders_used(self, account: str, span: int, now_ns: int) -> int:
        window, used = self._orders.get((account, span), (0, 0))
        return used if window == now_ns // span else 0

    def _banned(self, now_ns: int) -> Limited:
        self.refused += 1
        until_ms = self._banned_until_ns // 1_000_000
        msg = (
            f"Way too much request weight used; IP banned until {until_ms}. "
            "Please use WebSocket Streams for live updates."
        )
        return Limited(418, -1003, msg, -((now_ns - self._banned_until_ns) // _SEC))

    def _weight_used(self, now_ns: int) -> int:
        window, used = self._weight
        return used if window == now_ns // _MINUTE_NS else 0

    def headers(self, account: str, is_order: bool, now_ns: int) -> dict[str, str]:
        """Binance's counters, for a REST reply."""
        used = str(self._weight_used(now_ns))
        headers = {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used}
        if is_order:
            headers["X-MBX-ORDER-COUNT-10S"] = str(self._orders_used(account, _TEN_NS, now_ns))
            headers["X-MBX-ORDER-COUNT-1D"] = str(self._orders_used(account, _DAY_NS, now_ns))
        return headers

    def view(self, account: str, now_ns: int, *, counts: bool) -> list[dict[str, object]]:
        """The rateLimits array of exchangeInfo (counts false) and of WebSocket API replies."""
        cfg = self.config
        rows = [
            ("REQUEST_WEIGHT", "MINUTE", 1, cfg.weight_1m, self._weight_used(now_ns)),
            ("ORDERS", "SECOND", 10, cfg.orders_10s, self._orders_used(account, _TEN_NS, now_ns)),
            ("ORDERS", "DAY", 1, cfg.orders_1d, self._orders_used(account, _DAY_NS, now_ns)),
        ]
        return [
            {"rateLimitType": kind, "interval": unit, "intervalNum": num, "limit": limit}
            | ({"count": used} if counts else {})
            for kind, unit, num, limit, used in rows
        ]


def forced(params: Mapping[str, Any]) -> tuple[int, str]:
    """Code and text of a refusal that a fault switch demands: for new orders or for weight."""
    if params.get("orders"):
        return -1015, "Too many new orders; current limit is 100 orders per 10 SECOND."
    return -1003, "Too many requests; current limit is 6000 request weight per 1 MINUTE."


def _rest_s(now_ns: int, span: int) -> int:
    """Whole seconds until the aligned window ends, at least 1."""
    return -((now_ns % span - span) // _SEC)
