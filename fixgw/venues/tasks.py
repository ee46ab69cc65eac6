"""What tasks of the host's loop need: ending for certain, and their memory given back.

One `cancel()` is a request, not an end: `asyncio.wait_for` of Python 3.11 gives the result instead when both come in one
turn of the loop (https://github.com/python/cpython/issues/86296), and ccxt awaits in places of its own. A loop that lost
its cancellation would run on, and who gathers it would wait for ever.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterable
from typing import Any

from ..process import give_back_memory

log = logging.getLogger(__name__)
_ROUND_S = 0.25
_ROUNDS = 20
GIVE_BACK_S = 60.0


def seen(done: asyncio.Future[Any]) -> None:
    """What it raised, if anything, is known or of no interest: asyncio need not log it as never retrieved."""
    if not done.cancelled():
        done.exception()


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel until all have ended, 5 s at most; what a task raises is dropped, one that will not end is logged. Who is cancelled
    meanwhile goes on all the same: what it would leave behind has nobody else."""
    running, cancelled = set(tasks), False
    for _ in range(_ROUNDS):
        for task in running:
            task.cancel()
        if not running:
            break
        try:
            await asyncio.wait(running, timeout=_ROUND_S)
        except asyncio.CancelledError:
            cancelled = True
        for task in [task for task in running if task.done()]:
            running.discard(task)
            seen(task)
    if running:
        log.error("%d tasks did not end when cancelled: %s", len(running), ", ".join(task.get_name() for task in running))
    if cancelled:
        raise asyncio.CancelledError


async def give_back_often() -> None:
    """An outage makes hundreds of requests and connections at once: what they took does not stay with this process. Until
    cancelled."""
    while True:
        await asyncio.sleep(GIVE_BACK_S)
        gc.collect()  # connections that break leave cycles; waiting for each other's collection they would break new ground
        give_back_memory()
