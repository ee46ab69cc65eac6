"""The REST side: /api/v3 and /sapi/v1, with the request faults."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from fixgw.sim import api, limits
from fixgw.sim.conn import encode
from fixgw.sim.core import Simulator
from fixgw.sim.faults import REQUEST_KINDS, Fault, wrong_order
from fixgw.sim.params import ApiError, Params

TIMEOUT_MSG = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
HTML = b"<html><head><title>venue</title></head><body>Something went wrong.</body></html>"


@dataclass(slots=True)
class Reply:
    """What goes back over HTTP."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    cut: bool = False  # the connection ends after half of the body

    async def send_half(self, request: web.Request) -> web.StreamResponse:
        """Announce the whole body, send half of it, close."""
        response = web.StreamResponse(status=self.status, headers=self.headers)
        response.content_type = self.content_type
        response.content_length = len(self.body)
        response.force_close()
        with contextlib.suppress(ConnectionError):  # who asked has gone already
            await response.prepare(request)
            await response.write(self.body[: len(self.body) // 2])
        if request.transport is not None:
            request.transport.close()
        return response

    def response(self) -> web.Response:
        return web.Response(
            status=self.status, body=self.body, headers=self.headers, content_type=self.content_type
        )


def error_reply(error: ApiError) -> Reply:
    return Reply(error.status, encode(error.body()), error.headers)


@dataclass(slots=True)
class Request:
    """One HTTP request, taken apart; payload is what its signature covers."""

    http: str
    path: str
    key: str | None
    values: dict[str, str]
    payload: bytes


def _without_signature(text: str) -> str:
    return "&".join(part for part in text.split("&") if not part.startswith("signature="))


async def read_request(request: web.Request) -> Request:
    """Parameters from the query and the form body, as sent (the signature covers the raw text)."""
    path, _, query = request.raw_path.partition("?")
    body = (await request.read()).decode("utf-8", "replace") if request.can_read_body else ""
    values = dict(parse_qsl(query, keep_blank_values=True)) | dict(parse_qsl(body, keep_blank_values=True))
    payload = _without_signature(query) + _without_signature(body)
    return Request(f"{request.method} {path}", path, request.headers.get("X-MBX-APIKEY"), values, payload.encode())


def execute(sim: Simulator, operation: api.Operation | None, req: Request) -> Reply:
    """Limits, authentication, the operation itself. Never raises ApiError: errors are replies."""
    try:
        if operation is None:
            if req.path in api.PATHS:
                raise ApiError(405, -1000, f"Method not supported on {req.path}.")
            raise ApiError(404, -1000, f"Path {req.path[:100]} not found.")
        api.charge(sim, operation.weight, req.values)
        params, name = Params(req.values), ""
        if operation.signed:
            account = api.authenticate(sim, req.key, params, req.payload)
            name = account.name
            if operation.orders:
                api.charge_order(sim, account)
        body = encode(operation.run(sim, name, params))
        return Reply(200, body, sim.limiter.headers(name, operation.orders, sim.clock_ns()))
    except ApiError as error:
        reply = error_reply(error)
        reply.headers = sim.limiter.headers("", False, sim.clock_ns()) | reply.headers
        return reply


class Rest:
    """The catch-all HTTP handler."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim

    async def handle(self, request: web.Request) -> web.StreamResponse:
        req = await read_request(request)
        operation = api.BY_HTTP.get(req.http)
        account = self._sim.keys.get(req.key or "")
        facts = {
            "channel": "rest", "op": operation.name if operation else "", "method": request.method, "path": req.path,
            "symbol": req.values.get("symbol", ""), "account": account.name if account else "",
        }  # fmt: skip
        fault = self._sim.faults.take(REQUEST_KINDS, facts, self._sim.clock_ns())
        reply: Reply | None
        if fault is None:
            reply = execute(self._sim, operation, req)
        else:
            reply = await self._faulty(fault, operation, req)
        if reply is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)  # goes nowhere
        return await reply.send_half(request) if reply.cut else reply.response()

    async def _faulty(self, fault: Fault, operation: api.Operation | None, req: Request) -> Reply | None:
        """The reply of a misbehaving exchange; None: cut the connection."""
        kind, params = fault.kind, fault.params
        if kind in ("drop_before", "outage"):
            return None
        if kind in ("reply_429", "reply_418"):
            code, msg = limits.forced(params)
            wait = {"Retry-After": str(params["retry_after"])}
            return error_reply(ApiError(int(kind[-3:]), code, msg, headers=wait))
        if kind == "delay" and not params["accept"]:
            await asyncio.sleep(params["delay"])
        accepted = params.get("accept", True) or kind == "delay"
        true_reply = execute(self._sim, operation, req) if accepted else Reply(200, b'{"symbol":"BTCUSDT","orderId":')
        if kind == "delay":
            if params["accept"]:
                await asyncio.sleep(params["delay"])
            return true_reply
        if kind == "hang":
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(params["hold"])
            return None
        if kind == "drop_after":
            return None
        if kind == "wrong_end":
            order = wrong_order(msgspec.json.decode(true_reply.body), params)
            return Reply(true_reply.status, encode(order), true_reply.headers)
        if kind == "truncated":
            half = true_reply.body[: max(len(true_reply.body) // 2, 1)]
            return Reply(200, true_reply.body, cut=True) if params["cut"] else Reply(200, half)
        return _odd_reply(kind, int(params.get("status", 200)))


def _odd_reply(kind: str, status: int) -> Reply:
    if kind == "http_5xx":
        return Reply(status, HTML, content_type="text/html")
    if kind == "empty_200":
        return Reply(200, b"")
    if kind == "html_200":
        return Reply(200, HTML, content_type="text/html")
    if kind == "code_1007":
        return error_reply(ApiError(408, -1007, TIMEOUT_MSG))
    raise AssertionError(f"request fault {kind} has no effect")
