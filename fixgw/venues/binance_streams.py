"""The life of Binance's public streams: a subscription that is answered, then what it will not tell, then its end.

The venue answers a SUBSCRIBE at once ({"result": null, "id": 1}), but tells changes only: in a quiet market the first message
may take hours, and is no reason to ask again. ccxt looks at messages alone, and once it has sent a SUBSCRIBE on a socket
takes itself for subscribed there: where the answer is missing, or is a refusal, a fresh socket is the one way to ask again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import ccxt

from .book_life import Sockets
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
        self._lost = {stream: asyncio.Event() for stream in (BOOKS, TRADES)}
        self._urls: dict[str, set[str]] = {BOOKS: set(), TRADES: set()}

    def answered(self, client: Any) -> None:
        """The venue has answered on this socket."""
        for stream, event in self._answered.items():
            if _carries(client, stream):
                event.set()

    def refused(self, client: Any, message: dict[str, Any]) -> bool:
        """Whether this is the venue's refusal of a subscription; then its socket ends at once, with the reason."""
        error = message.get("error")
        said = error if isinstance(error, dict) else message
        if not ("code" in said and "msg" in said and any(_carries(client, stream) for stream in self._answered)):
            return False
        client.on_error(ccxt.NetworkError(f"the venue refuses a subscription: {said['code']!s:.20} {said['msg']!s:.200}"))
        return True

    def lost(self, url: str) -> None:
        """A socket ended."""
        for stream, urls in self._urls.items():
            if url in urls:
                self._lost[stream].set()

    def clients(self, stream: str) -> Sockets:
        """The sockets with subscriptions to it."""
        return tuple(client for client in self._exchange.clients.values() if _carries(client, stream))

    async def run(
        self, stream: str, watch: Awaitable[Any], ask: Callable[[Sockets], Coroutine[Any, Any, None]]
    ) -> None:
        """Subscribe, by `watch`, and live until a socket ends: ccxt.NetworkError with the reason. Once the subscription stands
        `ask` asks for what was before it, while the stream goes on."""
        self._lost[stream].clear()
        before = self.clients(stream)
        await self._begin(stream, watch)
        now = self.clients(stream)
        sockets = tuple(client for client in now if client not in before) or now
        if not sockets:
            raise ccxt.NetworkError("the stream ended at once")
        self._urls[stream] = {client.url for client in sockets}
        for client in before:
            if client not in sockets and client in now:  # of a list of instruments that has grown: this one tells it all
                client.on_error(ccxt.NetworkError("another subscription has taken its place"))
        asking = asyncio.ensure_future(ask(sockets))
        try:
            await self._lost[stream].wait()
        finally:
            await end_tasks((asking,))
        why = next((str(client.error) for client in sockets if client.error), "closed by the venue")
        raise ccxt.NetworkError(f"the stream {stream.rstrip(':')} ended: {why}")

    async def _begin(self, stream: str, watch: Awaitable[Any]) -> None:
        """Until the venue's answer or the first message of the stream, which `watch` waits for. ccxt.NetworkError when the socket
        ends, or neither comes within ANSWER_S: then the socket has been ended, unless it is being dialed."""
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
            if first.done():
                first.result()
        finally:
            await end_tasks((first, answer))


def _carries(client: Any, stream: str) -> bool:
    return any(stream in key for key in client.subscriptions)
