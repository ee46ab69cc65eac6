"""How a subscription to Binance's public streams begins.

The venue answers a SUBSCRIBE at once ({"result": null, "id": 1}), but tells changes only: in a quiet market the first message
may take hours, and is no reason to ask again. ccxt looks at messages alone, and once it has sent a SUBSCRIBE on a socket
takes itself for subscribed there: where the answer is missing, a fresh socket is the one way to ask again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

import ccxt

from .tasks import end_tasks

ANSWER_S = 10.0
# what ccxt has in the names of a stream's subscriptions
BOOKS: Final = "bookTicker"
TRADES: Final = "trade::"


class Subscriptions:
    """Of one connection; `exchange`: ccxt's."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange
        self._answered = {stream: asyncio.Event() for stream in (BOOKS, TRADES)}

    def answered(self, client: Any) -> None:
        """The venue has answered on this socket."""
        for stream, event in self._answered.items():
            if _carries(client, stream):
                event.set()

    def clients(self, stream: str) -> list[Any]:
        """The sockets with subscriptions to it."""
        return [client for client in self._exchange.clients.values() if _carries(client, stream)]

    async def first(self, stream: str, watch: Awaitable[Any]) -> None:
        """Until the first message of the stream, which `watch` waits for. Raises ccxt.NetworkError when the socket ends, or the
        answer does not come within ANSWER_S: then the socket has been ended, unless it is being dialed."""
        event = self._answered[stream]
        event.clear()
        first, answer = asyncio.ensure_future(watch), asyncio.ensure_future(event.wait())
        try:
            begun, _ = await asyncio.wait({first, answer}, timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
            if not begun:
                why = ccxt.NetworkError(f"a subscription was not answered within {ANSWER_S:g} s")
                for client in self.clients(stream):
                    if client.isConnected:
                        client.on_error(why)
                raise why
            await first
        finally:
            await end_tasks((first, answer))


def _carries(client: Any, stream: str) -> bool:
    return any(stream in key for key in client.subscriptions)
