"""Public market data: /ws and /stream with SUBSCRIBE messages; diffs every 100 ms, trades and best prices at once.

A diff carries every level that changed since the last one, with the update ids U..u; the next one begins at u + 1, so
that a client which starts from a REST snapshot can prove that it missed nothing (unless book_gap swallows one).
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from fixgw.sim import dialect
from fixgw.sim.conn import Connection, encode
from fixgw.sim.core import Simulator
from fixgw.sim.market import best
from fixgw.sim.model import PublicTrade

_DIFF_S = 0.1
_MAX_STREAMS = 1024
_PARTIAL = re.compile(r"depth(5|10|20)(@100ms|@1000ms)?")


class Hub:
    """Who subscribed to what; the MarketSink of the simulator. Stream name -> connection -> combined form or raw."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        self._subs: dict[str, dict[Connection, bool]] = {}
        self._best: dict[str, tuple[str, str, str, str]] = {}
        self.connections: set[Connection] = set()

    # ---- what happens -----------------------------------------------------------------------------------------

    def publish(self, stream: str, message: Any) -> None:
        subs = self._subs.get(stream)
        if not subs or self._sim.stream_fault("stream_silent", stream):
            return
        raw = encode(message)
        for conn, combined in list(subs.items()):
            conn.send_raw(b'{"stream":"%s","data":%s}' % (stream.encode(), raw) if combined else raw)

    def trade(self, trade: PublicTrade) -> None:
        stream = f"{trade.symbol.lower()}@trade"
        if stream in self._subs:
            self.publish(stream, dialect.trade_event(trade))

    def changed(self, symbol: str) -> None:
        stream = f"{symbol.lower()}@bookTicker"
        if stream not in self._subs:
            return
        now = best(self._sim, symbol)
        if self._best.get(symbol) != now:
            self._best[symbol] = now
            self.publish(stream, self._book_ticker(symbol, now))

    def _book_ticker(self, symbol: str, now: tuple[str, str, str, str]) -> dict[str, Any]:
        bid, bid_qty, ask, ask_qty = now
        update_id = self._sim.engine.books[symbol].update_id
        return {"u": update_id, "s": symbol, "b": bid, "B": bid_qty, "a": ask, "A": ask_qty}

    def tick(self) -> None:
        """Publish what changed in the books since the last tick."""
        now_ns = self._sim.clock_ns()
        for symbol, book in self._sim.engine.books.items():
            diff = book.drain()
            if diff is None:
                continue
            first, last, bids, asks = diff
            if self._sim.book_gap(symbol, now_ns):
                continue
            low = symbol.lower()
            wanted = [name for name in (f"{low}@depth@100ms", f"{low}@depth") if name in self._subs]
            if wanted:
                message = {
                    "e": "depthUpdate", "E": now_ns // 1_000_000, "s": symbol, "U": first, "u": last,
                    "b": dialect.levels(bids), "a": dialect.levels(asks),
                }  # fmt: skip
                for name in wanted:
                    self.publish(name, message)
            self._partial(symbol)

    def _partial(self, symbol: str) -> None:
        prefix = symbol.lower() + "@"
        for name in [n for n in self._subs if n.startswith(prefix + "depth")]:
            found = _PARTIAL.fullmatch(name.removeprefix(prefix))
            if found:
                update_id, bids, asks = self._sim.engine.books[symbol].snapshot(int(found[1]))
                view = {"lastUpdateId": update_id, "bids": dialect.levels(bids), "asks": dialect.levels(asks)}
                self.publish(name, view)

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(_DIFF_S)
            self.tick()

    # ---- connections ----------------------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.StreamResponse:
        conn = Connection(request)
        path = request.path.rstrip("/")
        combined = path == "/stream"
        tail = request.query.get("streams", "") if combined else path.rpartition("/")[2]
        if not await conn.open():
            return web.Response(status=400)  # to nobody
        self.connections.add(conn)
        mine: dict[str, None] = {}
        writer = asyncio.create_task(conn.write_all())
        try:
            for name in [part for part in tail.split("/") if "@" in part][:_MAX_STREAMS]:
                self._subscribe(conn, name, combined, mine)
            async for frame in conn.ws:
                if frame.type is WSMsgType.TEXT:
                    self._receive(conn, frame.data, combined, mine)
        finally:
            conn.closed = True
            self.connections.discard(conn)
            for name in list(mine):
                self._unsubscribe(conn, name, mine)
            writer.cancel()
        return conn.ws

    def _subscribe(self, conn: Connection, name: str, combined: bool, mine: dict[str, None]) -> None:
        mine[name] = None
        self._subs.setdefault(name, {})[conn] = combined
        symbol = name.partition("@")[0].upper()
        told = name.endswith("@bookTicker") and symbol in self._sim.engine.symbols
        if told and not self._sim.stream_fault("stream_silent", name):
            view = self._book_ticker(symbol, best(self._sim, symbol))
            conn.send({"stream": name, "data": view} if combined else view)

    def _unsubscribe(self, conn: Connection, name: str, mine: dict[str, None]) -> None:
        mine.pop(name, None)
        subs = self._subs.get(name, {})
        subs.pop(conn, None)
        if not subs:
            self._subs.pop(name, None)

    def _receive(self, conn: Connection, text: str, combined: bool, mine: dict[str, None]) -> None:
        try:
            message = msgspec.json.decode(text)
        except msgspec.DecodeError:
            message = None
        if not isinstance(message, dict):
            conn.send({"error": {"code": 3, "msg": "Invalid JSON: expected an object"}})
            return
        number, method, names = message.get("id"), message.get("method"), message.get("params", [])
        if method == "LIST_SUBSCRIPTIONS":
            conn.send({"result": list(mine), "id": number})
            return
        valid = isinstance(names, list) and all(isinstance(n, str) and 0 < len(n) < 100 for n in names)
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE") or not valid or len(names) + len(mine) > _MAX_STREAMS:
            msg = "Invalid request: expected SUBSCRIBE, UNSUBSCRIBE or LIST_SUBSCRIPTIONS with up to 1024 streams"
            conn.send({"error": {"code": 2, "msg": msg}, "id": number})
            return
        if method == "SUBSCRIBE" and names and self._sim.stream_fault("stream_deaf", names[0]):
            return
        conn.send({"result": None, "id": number})
        for name in names:
            if method == "SUBSCRIBE":
                self._subscribe(conn, name, combined, mine)
            else:
                self._unsubscribe(conn, name, mine)

    def cut(self) -> int:
        """Drop every connection; returns how many."""
        count = len(self.connections)
        for conn in list(self.connections):
            conn.abort()
        return count
