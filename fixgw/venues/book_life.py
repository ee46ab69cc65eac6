"""Which quotes the life of a stream keeps fresh: those that its own sockets have told.

A stream tells changes only, so that an unchanged quote is as fresh as the last sign of life of its sockets. One that was told
by a socket which has ended since is from before a gap: it stays as old as it is until its own instrument is told anew,
whatever the others do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .socket_life import heard_ns

# ccxt's clients that carry one subscription
Sockets = tuple[Any, ...]


class BookLife:
    """Of one connection; `exchange`: ccxt's."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange
        self._told: dict[str, Sockets] = {}

    def tell(self, symbol: str, sockets: Sockets) -> bool:
        """The book of `symbol` has come by these. False: it is a last word of a lost socket, and a living one has told it."""
        held = self._told.get(symbol, ())
        if held != sockets:
            if held and not self._live(sockets) and self._live(held):
                return False
            self._told[symbol] = sockets
        return True

    def untold(self, symbols: Iterable[str], sockets: Sockets) -> list[str]:
        """Those whose books have not come by these sockets, nor by some of them."""
        return [symbol for symbol in symbols if not _within(self._told.get(symbol, ()), sockets)]

    def alive_ns(self, symbol: str) -> int:
        """The oldest sign of life (pong or message) of the sockets that told this book, by host_clock.steady_ns; 0 where one of
        them is gone, or there is none."""
        sockets = self._told.get(symbol, ())
        if not self._live(sockets):
            return 0
        return min(map(heard_ns, sockets), default=0)

    def _live(self, sockets: Sockets) -> bool:
        return not any(client.closed() or self._exchange.clients.get(client.url) is not client for client in sockets)


def _within(held: Sockets, sockets: Sockets) -> bool:
    return bool(held) and all(client in sockets for client in held)
