"""When a WebSocket was heard of last, by the steady clock: ccxt looks at the wall clock, which may be set while a socket is dead,
and only between pings, the sending of which may hang on a dead socket."""

from __future__ import annotations

from typing import Any

import ccxt

from . import host_clock

_PINGS = 2.0


def heard(client: Any) -> None:
    """A frame has come: a message, or the answer to a ping."""
    client.fixgw_heard_ns = host_clock.steady_ns()


def heard_ns(client: Any) -> int:
    """0: it was not heard of."""
    ns: int = getattr(client, "fixgw_heard_ns", 0)
    return ns


class SilentSockets:
    """Ends what ccxt should have ended before, and has not; `exchange`: ccxt's."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange
        self._silent: set[Any] = set()

    def end(self) -> None:
        """To be called often. What is silent at one call is ended at the next: this process may have slept, and what came
        meanwhile is read first."""
        now_ns, before, self._silent = host_clock.steady_ns(), self._silent, set()
        for client in list(self._exchange.clients.values()):
            known_ns = heard_ns(client)
            if client.closed() or not client.keepAlive or not known_ns:
                continue
            limit_ms = client.keepAlive * (client.maxPingPongMisses + _PINGS)
            if now_ns - known_ns <= limit_ms * 1e6:
                continue
            if client in before:
                client.on_error(ccxt.RequestTimeout(f"nothing was heard for {(now_ns - known_ns) / 1e9:.1f} s"))
            else:
                self._silent.add(client)
