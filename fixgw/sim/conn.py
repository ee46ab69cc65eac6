"""One WebSocket connection of the simulator: a bounded outgoing queue, and the ways it can be cut."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import msgspec
from aiohttp import web

encode = msgspec.json.Encoder().encode
_QUEUE = 20_000  # frames; a reader this far behind is dropped, as the real exchange does


class Connection:
    """Frames leave in the order in which they were given."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.ws = web.WebSocketResponse(compress=False, heartbeat=20.0, max_msg_size=1 << 20)
        self._out: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self.closed = False

    async def open(self) -> bool:
        """The handshake; False: the peer has gone before it could be answered."""
        try:
            await self.ws.prepare(self._request)
        except ConnectionError:
            self.closed = True
        return not self.closed

    def send(self, message: Any) -> None:
        """Queue a JSON message."""
        self.send_raw(encode(message))

    def send_raw(self, frame: bytes) -> None:
        if self.closed:
            return
        if len(self._out) >= _QUEUE:
            self.abort()
            return
        self._out.append(frame)
        self._wake.set()

    def abort(self) -> None:
        """Cut the connection now; what is queued is lost."""
        self.closed = True
        self._out.clear()
        self._wake.set()
        if self._request.transport is not None:
            self._request.transport.abort()

    async def write_all(self) -> None:
        """Send what is queued until the connection ends."""
        try:
            while not self.closed:
                await self._wake.wait()
                self._wake.clear()
                while self._out and not self.closed:
                    await self.ws.send_str(self._out.popleft().decode())
        except (ConnectionError, RuntimeError):
            self.abort()
