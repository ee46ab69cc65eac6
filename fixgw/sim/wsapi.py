"""The WebSocket API, /ws-api/v3: signed requests as frames, user data subscriptions, the same faults as REST."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from fixgw.sim import api, limits, weights
from fixgw.sim.config import ApiAccount
from fixgw.sim.conn import Connection, encode
from fixgw.sim.core import Simulator
from fixgw.sim.faults import REQUEST_KINDS, Fault, wrong_order
from fixgw.sim.params import ApiError, Params
from fixgw.sim.rest import HTML, TIMEOUT_MSG, error_reply

# floats stay as written: the signature covers the text
_decode = msgspec.json.Decoder(float_hook=str).decode
_SESSION = ("session.logon", "session.status", "session.logout")
_SUBSCRIBE = ("userDataStream.subscribe", "userDataStream.subscribe.signature")
_SPECIAL = (*_SESSION, *_SUBSCRIBE, "userDataStream.unsubscribe")
_MAX_SUBSCRIPTIONS = 100


class UserStream:
    """One user data subscription of one connection."""

    def __init__(self, conn: Connection, account: str, number: int) -> None:
        self.conn = conn
        self.account = account
        self.number = number

    def user_event(self, event: dict[str, Any]) -> None:
        self.conn.send({"subscriptionId": self.number, "event": event})


class ApiSession:
    """The state of one connection."""

    def __init__(self, sim: Simulator, conn: Connection) -> None:
        self.sim = sim
        self.conn = conn
        self.account: ApiAccount | None = None  # after session.logon
        self.since_ms = 0
        self.streams: dict[int, UserStream] = {}
        self._next_stream = 0

    # ---- frames ---------------------------------------------------------------------------------------------

    def receive(self, text: str) -> None:
        """One request frame: run it (or what a fault makes of it) and queue the answer."""
        try:
            message = _decode(text)
        except msgspec.DecodeError:
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            self._answer(None, {"status": 400, "error": {"code": -1000, "msg": "Malformed request."}})
            return
        number, method = message.get("id"), message["method"]
        params = message.get("params")
        values = {k: api.as_text(v) for k, v in params.items()} if isinstance(params, dict) else {}
        account = self.sim.keys.get(values.get("apiKey", "")) or self.account
        facts = {
            "channel": "ws", "op": method, "method": method, "path": "/ws-api/v3", "symbol": values.get("symbol", ""),
            "account": account.name if account else "",
        }  # fmt: skip
        fault = self.sim.faults.take(REQUEST_KINDS, facts, self.sim.clock_ns())
        if fault is None:
            self._answer(number, self._execute(method, values))
        else:
            self._faulty(fault, number, method, values)

    def _answer(self, number: Any, body: dict[str, Any]) -> None:
        self.conn.send({"id": number, **body})

    def _execute(self, method: str, values: dict[str, str]) -> dict[str, Any]:
        """The body of the reply: status with result or error."""
        sim, account = self.sim, ""
        status = 200
        try:
            operation = api.BY_NAME.get(method)
            if operation is None and method not in _SPECIAL:
                raise ApiError(400, -1000, f"Unknown method {method[:60]!r}.")
            api.charge(sim, operation.weight if operation else weights.SESSION, values)
            signer = self._signer(method, values, signed=operation is None or operation.signed)
            account = signer.name if signer else ""
            if signer and operation and operation.orders:
                api.charge_order(sim, signer)
            result = operation.run(sim, account, Params(values)) if operation else self._special(method, values, signer)
            body: dict[str, Any] = {"result": result}
        except ApiError as error:
            status = error.status
            body = {"error": error.body()}
            if "Retry-After" in error.headers:
                now_ms = sim.clock_ns() // 1_000_000
                body["error"]["data"] = {
                    "serverTime": now_ms, "retryAfter": now_ms + 1000 * int(error.headers["Retry-After"])
                }  # fmt: skip
        out = {"status": status, **body}
        if values.get("returnRateLimits") != "false":
            out["rateLimits"] = sim.limiter.view(account, sim.clock_ns(), counts=True)
        return out

    def _signer(self, method: str, values: dict[str, str], *, signed: bool) -> ApiAccount | None:
        """Whose request this is. Raises ApiError when it must be signed and is not."""
        if not signed or method in ("session.status", "session.logout", "userDataStream.unsubscribe"):
            return self.account
        if method == "userDataStream.subscribe":
            if self.account is None:
                raise ApiError(400, -1193, "WebSocket session not authenticated. Recommendation: use `session.logon`.")
            return self.account
        params = Params(values)
        if self.account is not None and not params.text("apiKey") and method != "session.logon":
            api.check_time(self.sim, params)
            return self.account
        return api.authenticate(self.sim, params.required("apiKey"), params, api.ws_payload(values))

    # ---- session and user data --------------------------------------------------------------------------------

    def _special(self, method: str, values: dict[str, str], signer: ApiAccount | None) -> Any:
        if method in _SESSION:
            return self._session(method, signer)
        if method in _SUBSCRIBE and signer:
            if len(self.streams) >= _MAX_SUBSCRIPTIONS:
                raise ApiError(400, -1102, "Too many subscriptions on this connection.")
            stream = UserStream(self.conn, signer.name, self._next_stream)
            self._next_stream += 1
            self.streams[stream.number] = stream
            self.sim.user_sinks.setdefault(signer.name, []).append(stream)
            return {"subscriptionId": stream.number}
        number = Params(values).integer("subscriptionId")  # userDataStream.unsubscribe: of one, or of all
        for stream in [s for s in self.streams.values() if number is None or s.number == number]:
            self.terminate(stream)
        return {}

    def _session(self, method: str, signer: ApiAccount | None) -> Any:
        now_ms = self.sim.clock_ns() // 1_000_000
        if method == "session.logon":
            self.account, self.since_ms = signer, now_ms
        elif method == "session.logout":
            self.account = None
        key = self.account.key if self.account else None
        return {
            "apiKey": key, "authorizedSince": self.since_ms if key else None, "connectedSince": now_ms,
            "returnRateLimits": True, "serverTime": now_ms, "userDataStream": bool(self.streams),
        }  # fmt: skip

    def terminate(self, stream: UserStream) -> None:
        """End a subscription as the exchange does: with a last event."""
        self._forget(stream)
        stream.user_event({"e": "eventStreamTerminated", "E": self.sim.clock_ns() // 1_000_000})

    def _forget(self, stream: UserStream) -> None:
        self.streams.pop(stream.number, None)
        sinks = self.sim.user_sinks.get(stream.account, [])
        if stream in sinks:
            sinks.remove(stream)

    def end(self) -> None:
        for stream in list(self.streams.values()):
            self._forget(stream)

    # ---- faults ---------------------------------------------------------------------------------------------

    def _faulty(self, fault: Fault, number: Any, method: str, values: dict[str, str]) -> None:
        kind, params = fault.kind, fault.params
        loop = asyncio.get_running_loop()
        if kind in ("drop_before", "outage"):
            self.conn.abort()
        elif kind in ("reply_429", "reply_418"):
            now_ms = self.sim.clock_ns() // 1_000_000
            data = {"serverTime": now_ms, "retryAfter": now_ms + 1000 * int(params["retry_after"])}
            code, msg = limits.forced(params)
            error = {"code": code, "msg": msg, "data": data}
            self._answer(number, {"status": int(kind[-3:]), "error": error})
        elif kind == "delay" and not params["accept"]:
            loop.call_later(params["delay"], lambda: self._answer(number, self._execute(method, values)))
        else:
            accepted = params.get("accept", True)
            body = self._execute(method, values) if accepted else {"status": 200, "result": {}}
            if kind == "delay":
                loop.call_later(params["delay"], lambda: self._answer(number, body))
            elif kind == "drop_after":
                self.conn.abort()
            elif kind == "hang":
                loop.call_later(params["hold"], self.conn.abort)
            else:
                self._odd(kind, params, number, body)

    def _odd(self, kind: str, params: dict[str, Any], number: Any, body: dict[str, Any]) -> None:
        if kind == "http_5xx":
            error = {"code": -1000, "msg": "An unknown error occurred while processing the request."}
            self._answer(number, {"status": params["status"], "error": error})
        elif kind == "wrong_end":
            self._answer(number, {**body, "result": wrong_order(body.get("result"), params)} if "result" in body else body)
        elif kind == "empty_200":
            self._answer(number, {"status": 200, "result": {}})
        elif kind == "html_200":
            self.conn.send_raw(HTML)
        elif kind == "truncated":
            frame = encode({"id": number, **body})
            self.conn.send_raw(frame[: len(frame) // 2])
        elif kind == "code_1007":
            self._answer(number, {"status": 408, "error": {"code": -1007, "msg": TIMEOUT_MSG}})
        else:
            raise AssertionError(f"request fault {kind} has no effect")


class WsApi:
    """All WebSocket API connections."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        self.sessions: set[ApiSession] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            api.charge(self._sim, weights.CONNECT, {})
        except ApiError as error:  # no handshake then
            return error_reply(error).response()
        conn = Connection(request)
        if not await conn.open():
            return web.Response(status=400)  # to nobody
        session = ApiSession(self._sim, conn)
        self.sessions.add(session)
        writer = asyncio.create_task(conn.write_all())
        try:
            async for frame in conn.ws:
                if frame.type is WSMsgType.TEXT:
                    session.receive(frame.data)
        finally:
            conn.closed = True
            self.sessions.discard(session)
            session.end()
            writer.cancel()
        return conn.ws

    def cut(self) -> int:
        """Drop every connection; returns how many."""
        count = len(self.sessions)
        for session in list(self.sessions):
            session.conn.abort()
        return count

    def terminate(self, accounts: tuple[str, ...]) -> int:
        """eventStreamTerminated to the subscriptions of these accounts (none named: all); returns how many."""
        count = 0
        for session in list(self.sessions):
            for stream in list(session.streams.values()):
                if not accounts or stream.account in accounts:
                    session.terminate(stream)
                    count += 1
        return count
