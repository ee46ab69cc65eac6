"""What the event loop of a venue host does with errors that nobody took."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp import ClientWebSocketResponse

log = logging.getLogger(__name__)
# ccxt answers a ping by a task of its own and does not look at it again
_PONG = ClientWebSocketResponse.pong.__qualname__


def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Logs them, but for a pong to a connection that is closing: whoever reads that connection learns of its end by itself."""
    error, task = context.get("exception"), context.get("future")
    name = getattr(task.get_coro(), "__qualname__", "") if isinstance(task, asyncio.Task) else ""
    if name == _PONG and isinstance(error, ConnectionError):
        log.debug("a ping was not answered: %s", error)
        return
    loop.default_exception_handler(context)
