"""In which order the requests for one order leave the venue host.

    place    at once; behind what is unsettled for that order, should there be anything
    cancel   when the venue is known to have the order or its place is settled, whichever comes first, and behind an earlier
             cancel: it cannot overtake its own order, and stands behind no answer that hangs
    query    behind all that came before it, a place as above
    amend    waits for nothing and nothing waits for it (not here): the order works already

That the venue has an order is known from any word of it: the user stream, a trade, its end, a list of open orders (`shown`).
Before that a cancel would find nothing, and the place would arrive after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

Work = Callable[[], Awaitable[None]]
_Unsettled = dict[str, asyncio.Future[None]]


class Chains:
    """Unsettled requests by our id of the order. `spawn` makes a task that does not fail. One event loop only."""

    def __init__(self, spawn: Callable[[Awaitable[None]], asyncio.Task[None]]) -> None:
        self._spawn = spawn
        # each holds the newest of its kind; `newest`: of any kind
        self.newest: _Unsettled = {}
        self.queries: _Unsettled = {}
        self.cancels: _Unsettled = {}
        # ended by `shown` too, before the place's own answer
        self.places: _Unsettled = {}

    def place(self, key: str, work: Work) -> None:
        task = self._start(work, self.newest.get(key))
        settled: asyncio.Future[None] = task.get_loop().create_future()
        task.add_done_callback(lambda _: _end(settled))
        self._enter(key, settled, self.newest, self.places)

    def cancel(self, key: str, work: Work) -> None:
        self._enter(key, self._start(work, self.places.get(key), self.cancels.get(key)), self.newest, self.cancels)

    def query(self, key: str, work: Work) -> None:
        self._enter(key, self._start(work, self.newest.get(key)), self.newest, self.queries)

    def is_asked(self, key: str) -> bool:
        """A query waits or is under way, with nothing behind it: its answer will do for another one too."""
        query = self.queries.get(key)
        # one that has ended may stand here until its callback runs; its answer is history
        return query is not None and not query.done() and query is self.newest.get(key)

    def shown(self, key: str) -> None:
        """The venue has the order: what waits for its place only may go."""
        place = self.places.get(key)
        if place is not None:
            _end(place)

    def _start(self, work: Work, *before: asyncio.Future[None] | None) -> asyncio.Task[None]:
        """At once, or when all of `before` have ended."""
        unsettled = {future for future in before if future is not None and not future.done()}

        async def run() -> None:
            if unsettled:
                await asyncio.wait(unsettled)
            await work()

        return self._spawn(run())

    @staticmethod
    def _enter(key: str, future: asyncio.Future[None], *tables: _Unsettled) -> None:
        def leave(ended: asyncio.Future[None]) -> None:
            for table in tables:
                if table.get(key) is ended:
                    del table[key]

        for table in tables:
            table[key] = future
        future.add_done_callback(leave)


def _end(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
