"""A small synchronous client of the control interface (/sim/), for tests, chaos runs and demonstrations.

    sim = SimClient("127.0.0.1", port)
    sim.fault("drop_after", count=1)
    sim.order("BTCUSDT", "SELL", "0.5", price="59000")
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode


class SimError(Exception):
    """The simulator refused a control request, or could not be reached."""


class SimClient:
    """One method per control endpoint. Prices and quantities are given as texts or Decimals, never floats."""

    def __init__(self, host: str, port: int, timeout_s: float = 10.0) -> None:
        self._host, self._port, self._timeout_s = host, port, timeout_s

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One request, any path. Raises SimError."""
        conn = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            conn.request(method, path, json.dumps(body) if body is not None else None)
            response = conn.getresponse()
            raw = response.read()
            answer = json.loads(raw)
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise SimError(f"{method} {path}: {exc!r}") from exc
        finally:
            conn.close()
        if response.status != 200:
            raise SimError(f"{method} {path}: {response.status}: {answer}")
        return answer

    def state(self, depth: int = 20) -> dict[str, Any]:
        """Books, open orders (at most 1000), balances, counters."""
        return dict(self.call("GET", f"/sim/state?depth={depth}"))

    def fault(
        self,
        kind: str,
        *,
        count: int | None = None,
        seconds: float | None = None,
        match: dict[str, Any] | None = None,
        **params: Any,
    ) -> dict[str, Any]:
        """Switch a fault on (or do an action); see fixgw.sim.faults for the kinds and their params."""
        body: dict[str, Any] = {"kind": kind, "match": match or {}, "params": params}
        body |= {name: value for name, value in (("count", count), ("seconds", seconds)) if value is not None}
        return dict(self.call("POST", "/sim/faults", body))

    def faults(self) -> list[dict[str, Any]]:
        return list(self.call("GET", "/sim/faults"))

    def clear_faults(self) -> int:
        return int(self.call("DELETE", "/sim/faults")["cleared"])

    def order(self, symbol: str, side: str, quantity: Any, price: Any = None, **more: Any) -> dict[str, Any]:
        """Place an order as the street (or account=NAME); a market order without a price."""
        body = {"symbol": symbol, "side": side, "quantity": str(quantity), **more}
        body |= {"type": "MARKET"} if price is None else {"price": str(price)}
        return dict(self.call("POST", "/sim/order", body))

    def cancel(self, symbol: str, order_id: int, account: str = "street") -> dict[str, Any]:
        return dict(self.call("POST", "/sim/cancel", {"symbol": symbol, "orderId": order_id, "account": account}))

    def fill(self, order_id: int, quantity: Any) -> dict[str, Any]:
        """Fill a resting order by quantity at its own price."""
        return dict(self.call("POST", "/sim/fill", {"order_id": order_id, "quantity": str(quantity)}))

    def price(self, symbol: str, mid: Any) -> dict[str, Any]:
        """Move the static ladder."""
        return dict(self.call("POST", "/sim/price", {"symbol": symbol, "mid": str(mid)}))

    def bust(self, trade_id: int) -> dict[str, Any]:
        return dict(self.call("POST", "/sim/bust", {"trade_id": trade_id}))

    def ledger(self, since: int = 0, page: int = 10_000) -> Iterator[dict[str, Any]]:
        """Every record after since, oldest first."""
        while True:
            answer = self.call("GET", "/sim/ledger?" + urlencode({"since": since, "limit": page}))
            yield from answer["records"]
            since = answer["next"]
            if not answer["more"]:
                return
