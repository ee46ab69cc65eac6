"""What a request of the connector leaves behind: nothing that only the collector could free."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import ccxt
import pytest

from fixgw.venues.base import Ambiguous, DefiniteReject, NeverSent, VenueError
from fixgw.venues.ccxt_exchange import CALL, Hooks
from fixgw.venues.ccxt_requests import Requests
from fixgw.venues.dialect_binance import Dialect
from fixgw.venues.limiter import RateLimiter


class Answer(dict[str, Any]):
    """A dict that a weak reference can point to."""


def requests() -> Requests:
    settings = SimpleNamespace(request_timeout_ms=1000, exchange="binance")
    dialect = SimpleNamespace(codes=Dialect.codes, orders=SimpleNamespace(wire_id=lambda our_id: our_id))
    hooks = Hooks(RateLimiter(6000, 100), 1.0, 5000)
    return Requests(cast(Any, settings), cast(Any, dialect), hooks, ())


def answered(held: Answer) -> Awaitable[Any]:
    async def work() -> Any:
        call = CALL.get()
        assert call is not None
        call.leaving()
        call.answer = held
        return held

    return work()


def failing(held: Answer) -> Awaitable[Any]:
    async def work() -> Any:
        call = CALL.get()
        assert call is not None
        call.leaving()
        call.answer = held
        call.status, call.code = 400, "-2013"
        raise ccxt.OrderNotFound("Order does not exist.")

    return work()


def endless(held: Answer) -> Awaitable[Any]:
    async def work() -> Any:
        call = CALL.get()
        assert call is not None
        call.answer = held
        await asyncio.Event().wait()

    return work()


@pytest.mark.parametrize(
    ("work", "end"), [(answered, None), (failing, DefiniteReject), (endless, NeverSent)], ids=["answered", "refused", "given up"]
)
def test_a_request_leaves_nothing_to_the_collector(
    work: Callable[[Answer], Any], end: type[VenueError] | None
) -> None:
    """Its task has a context with the call in it, and the call knows its task; a failure knows the frame that waited for the
    task. Hundreds of requests fail at once at an outage: what they took must not stay until a collection."""

    async def one() -> weakref.ref[Answer]:
        held = Answer(id="1")
        gone = weakref.ref(held)
        asker = requests()
        coroutine = work(held)
        del held
        try:
            await asker.run(coroutine, asker.call_for("query", "A1"), timeout_s=0.05)
        except VenueError as failure:
            assert end is not None and isinstance(failure, end)
        else:
            assert end is None
        return gone

    async def all_of_it() -> bool:
        gone = await one()
        for _ in range(3):
            await asyncio.sleep(0)  # the loop's own hold on what has just ended
        return gone() is None

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(all_of_it())
    finally:
        gc.enable()


def test_a_refusal_in_a_task_of_ccxt_is_told_all_the_same() -> None:
    """The guard refuses what ccxt sends in a task of its own: the task that waits is ended, with the guard's reason."""

    async def refused() -> None:
        asker = requests()
        call = asker.call_for("place", "A1")

        async def work() -> None:
            call.refused = Ambiguous("OTHER_ORDER", "not ours")
            assert call.task is not None
            call.task.cancel()
            await asyncio.Event().wait()

        with pytest.raises(Ambiguous, match="not ours"):
            await asker.run(work(), call)
        assert call.task is None

    asyncio.run(refused())
