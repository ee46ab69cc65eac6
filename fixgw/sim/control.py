"""The control interface under /sim/: loopback only, no authentication, JSON in and out; 400 with "error" when wrong."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable

import msgspec
from aiohttp import web

from fixgw.sim import trading
from fixgw.sim.config import ConfigError, positive
from fixgw.sim.conn import encode
from fixgw.sim.core import Simulator
from fixgw.sim.faults import ACTION_KINDS, Fault, FaultError
from fixgw.sim.model import STREET, Event, Refused
from fixgw.sim.params import ApiError, Params

_LEDGER_PAGE = 10_000


class Switchboard(Protocol):
    """The server's side of faults that need connections."""

    def act(self, fault: Fault) -> int: ...


@runtime_checkable
class Movable(Protocol):
    def has(self, symbol: str) -> bool: ...

    def set_mid(self, symbol: str, mid: Decimal, at_ns: int) -> list[Event]: ...


class ControlError(ValueError):
    """A wrong control request: names the field, the value and what was expected."""


class Control:
    """The /sim handlers."""

    def __init__(self, sim: Simulator, board: Switchboard) -> None:
        self._sim = sim
        self._board = board
        self._routes: dict[str, Callable[[web.Request, dict[str, Any]], Any]] = {
            "GET /sim/state": self._state,
            "GET /sim/faults": self._list_faults,
            "POST /sim/faults": self._add_fault,
            "DELETE /sim/faults": self._clear_faults,
            "POST /sim/order": self._order,
            "POST /sim/cancel": self._cancel,
            "POST /sim/fill": self._fill,
            "POST /sim/price": self._price,
            "POST /sim/bust": self._bust,
            "GET /sim/ledger": self._ledger,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Dispatch one control request."""
        if not _is_loopback(request.remote):
            return _json(403, {"error": "the control interface answers on the loopback address only"})
        route = self._routes.get(f"{request.method} {request.path}")
        if route is None:
            return _json(404, {"error": f"{request.method} {request.path}: expected one of {', '.join(self._routes)}"})
        try:
            body = await _body(request.read) if request.can_read_body else {}
            return _json(200, route(request, body))
        except (ControlError, FaultError, ConfigError) as exc:
            return _json(400, {"error": str(exc)})
        except ApiError as exc:
            return _json(400, {"error": exc.msg, "code": exc.code})
        except Refused as exc:
            return _json(400, {"error": exc.msg, "code": exc.code})

    def _state(self, request: web.Request, body: dict[str, Any]) -> Any:
        return self._sim.state(_number(request, "depth", 20))

    def _list_faults(self, request: web.Request, body: dict[str, Any]) -> Any:
        return [fault.view() for fault in self._sim.faults.active(self._sim.clock_ns())]

    def _add_fault(self, request: web.Request, body: dict[str, Any]) -> Any:
        fault = self._sim.faults.add(body, self._sim.clock_ns())
        hit = self._board.act(fault) if fault.kind in ACTION_KINDS or fault.kind == "outage" else 0
        return fault.view() | {"hit": hit}

    def _clear_faults(self, request: web.Request, body: dict[str, Any]) -> Any:
        return {"cleared": self._sim.faults.clear()}

    def _account(self, body: dict[str, Any]) -> str:
        name = body.get("account", STREET)
        if not isinstance(name, str) or name not in self._sim.engine.accounts:
            raise ControlError(f"account {name!r}: expected one of {', '.join(self._sim.engine.accounts)}")
        return name

    def _order(self, request: web.Request, body: dict[str, Any]) -> Any:
        """Place an order as the street, or as any account (one that its owner's gateway does not know of)."""
        known = {"symbol", "side", "type", "price", "quantity", "quoteOrderQty", "timeInForce", "newClientOrderId"}
        _only(body, known | {"account"})
        values = {name: str(value) for name, value in body.items() if name in known and value is not None}
        values.setdefault("type", "LIMIT")
        if values["type"] == "LIMIT":
            values.setdefault("timeInForce", "GTC")
        values["newOrderRespType"] = "FULL"
        return trading.place(self._sim, self._account(body), Params(values))

    def _cancel(self, request: web.Request, body: dict[str, Any]) -> Any:
        """Cancel any account's order, as its owner would."""
        known = {"symbol", "orderId", "origClientOrderId"}
        _only(body, known | {"account"})
        values = {name: str(value) for name, value in body.items() if name in known and value is not None}
        return trading.cancel(self._sim, self._account(body), Params(values))

    def _fill(self, request: web.Request, body: dict[str, Any]) -> Any:
        """Fill a resting order by some quantity at its own price, whatever stands before it."""
        _only(body, {"order_id", "quantity"})
        order_id, now_ns = body.get("order_id"), self._sim.clock_ns()
        if type(order_id) is not int:
            raise ControlError(f"order_id {order_id!r}: expected a whole number")
        events = self._sim.engine.fill_resting(order_id, positive("quantity", body.get("quantity")), now_ns)
        order = self._sim.engine.orders[order_id]
        self._sim.commit(events, order.symbol, now_ns)
        return {"trade_id": order.fills[-1].trade_id, "status": order.status}

    def _price(self, request: web.Request, body: dict[str, Any]) -> Any:
        """Move a static ladder; remembered over a restart."""
        _only(body, {"symbol", "mid"})
        symbol = body.get("symbol")
        source: object = self._sim.liquidity
        movable = [s for s in self._sim.engine.symbols if isinstance(source, Movable) and source.has(s)]
        if symbol not in movable or not isinstance(source, Movable):
            raise ControlError(f"symbol {symbol!r}: expected one with a static ladder ({', '.join(movable) or 'none'})")
        now_ns, mid = self._sim.clock_ns(), positive("mid", body.get("mid"))
        self._sim.engine.symbols[symbol].check_price(mid)
        self._sim.write([{"ns": now_ns, "type": "mid", "symbol": symbol, "mid": format(mid, "f")}])
        self._sim.commit(source.set_mid(symbol, mid, now_ns), symbol, now_ns)
        return {"symbol": symbol, "mid": format(mid, "f")}

    def _bust(self, request: web.Request, body: dict[str, Any]) -> Any:
        """Mark a trade as busted, in the ledger only: the dialect has no event for it and balances stay."""
        _only(body, {"trade_id"})
        trade_id = body.get("trade_id")
        fills = [f for fills in self._sim.engine.trades.values() for f in fills if f.trade_id == trade_id]
        if not fills:
            raise ControlError(f"trade_id {trade_id!r}: expected the id of a trade of some account")
        if trade_id in self._sim.remembered.busted:
            raise ControlError(f"trade_id {trade_id!r}: busted already")
        self._sim.remembered.busted.add(fills[0].trade_id)
        orders = [{"account": f.account, "order_id": f.order_id, "cl_ord_id": f.cl_ord_id} for f in fills]
        record = {"ns": self._sim.clock_ns(), "type": "bust", "trade_id": trade_id, "symbol": fills[0].symbol}
        self._sim.write([record | {"orders": orders}])
        return {"busted": trade_id}

    def _ledger(self, request: web.Request, body: dict[str, Any]) -> Any:
        since, limit = _number(request, "since", 0), _number(request, "limit", 1000)
        records = self._sim.ledger.read(since, max(1, min(limit, _LEDGER_PAGE)))
        last = records[-1]["seq"] if records else since
        return {"records": records, "next": last, "more": last < self._sim.ledger.seq}


def _is_loopback(remote: str | None) -> bool:
    try:
        return remote is not None and ipaddress.ip_address(remote).is_loopback
    except ValueError:
        return False


def _json(status: int, body: Any) -> web.Response:
    return web.Response(status=status, body=encode(body), content_type="application/json")


async def _body(read: Callable[[], Awaitable[bytes]]) -> dict[str, Any]:
    raw = await read()
    if not raw:
        return {}
    try:
        body = msgspec.json.decode(raw)
    except msgspec.DecodeError as exc:
        raise ControlError(f"body: {exc}") from None
    if not isinstance(body, dict):
        raise ControlError(f"body {body!r}: expected an object")
    return body


def _only(body: dict[str, Any], known: set[str]) -> None:
    unknown = set(body) - known
    if unknown:
        raise ControlError(f"unknown field {sorted(unknown)[0]!r}: expected {', '.join(sorted(known))}")


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 18:
        raise ControlError(f"{name} {text!r}: expected a whole number")
    return int(text)
