"""One request of the ccxt connector: under our own time limit, in a task of its own, judged by the doctrine."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import ccxt

from .base import NeverSent
from .ccxt_dialect import Dialect
from .ccxt_exchange import CALL, Call, Hooks
from .doctrine import judge
from .id_guard import IdGuard, Op
from .limiter import Priority
from .settings import VenueFileSettings

T = TypeVar("T")
_PRIORITIES: dict[Op, Priority] = {"place": Priority.PLACE, "cancel": Priority.CANCEL, "query": Priority.QUERY}


class Requests:
    """Of one connection."""

    def __init__(self, settings: VenueFileSettings, dialect: Dialect, hooks: Hooks, secrets: tuple[str, ...]) -> None:
        self._settings = settings
        self._dialect = dialect
        self._hooks = hooks
        self._secrets = secrets

    def call(self, priority: Priority, deadline_ns: int = 0) -> Call:
        return Call(priority=priority, deadline_ns=deadline_ns, secrets=self._secrets)

    def call_for(self, op: Op, our_id: str, order_id: str = "", deadline_ns: int = 0) -> Call:
        """A call whose requests must name the order."""
        call = self.call(_PRIORITIES[op], deadline_ns)
        call.guard = IdGuard(op, self._settings.exchange, (self._dialect.orders.wire_id(our_id), order_id))
        return call

    async def ask(self, work: Coroutine[Any, Any, T], priority: Priority, timeout_s: float = 0.0) -> T:
        return await self.run(work, self.call(priority), timeout_s)

    async def run(self, work: Coroutine[Any, Any, T], call: Call, timeout_s: float = 0.0) -> T:
        """Run one request under our own time limit; VenueError by the doctrine.

        In a task of its own: ccxt cancels the futures of a socket that it closes, and that must not cancel us.
        """
        token = CALL.set(call)
        try:
            task = asyncio.ensure_future(work)
            call.task = task
        finally:
            CALL.reset(token)
        try:
            await asyncio.wait({task}, timeout=timeout_s or self._settings.request_timeout_ms / 1000 + 1.0)
            if not task.done():
                if self._hooks.limiter.frozen_s() and not call.sent:
                    raise self.frozen()
                raise TimeoutError(f"no answer in time{'' if call.sent else ' (not sent)'}")
            if call.refused is not None:
                raise call.refused
            if task.cancelled():
                raise ccxt.NetworkError("the connection was closed while the request waited")
            return task.result()
        except Exception as error:
            raise judge(error, call, self._dialect.codes) from None
        finally:
            if not (call.sent or task.done() or call.guard is None or call.refused is not None):
                # told as never sent; what ccxt does for it in other tasks must not send it after all
                call.refused = NeverSent("GIVEN_UP", "it was given up before it left")
            task.cancel()
            # its context holds the call, and what it raised holds this frame: left so, everything about every request would stay
            # until the collector comes, that of hundreds after an outage
            call.task = None
            del task

    def frozen(self) -> NeverSent:
        text = f"the venue wants no request for another {self._hooks.limiter.frozen_s():.0f} s"
        return NeverSent("RATE_LIMITED", text, rate_limited=True)
