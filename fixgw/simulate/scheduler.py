"""Virtual time, seeded dice and the story so far. One heap of moments; nothing happens outside of them."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Final

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
START_NS: Final = 1_700_000_000 * SECOND
STORY: Final = 60

# kind -> what it does; each can be switched off (`--off`), which is how a failing seed is made simpler
FAULTS: Final = {
    "crash": "the gateway's process dies between any two steps; what it wrote survives",
    "power": "the gateway's machine loses power; what was not synced is lost or torn",
    "stall": "the disk takes up to seconds for a sync",
    "full": "the disk has no room for new orders for a while",
    "ioerror": "a sync fails: the process must end",
    "clock": "the machine's clock steps",
    "link": "the link between gateway and venue host breaks at any frame",
    "host": "the venue host restarts and forgets everything",
    "outage": "the venue cannot be reached for a while",
    "loss": "a request to the venue or its answer is lost or very late",
    "slow": "the host holds a request back (rate limits)",
    "events": "user events are lost, doubled, reordered, late",
    "reject": "the venue refuses orders and cancels",
    "fix": "a FIX connection breaks, what is on it is lost",
    "reset": "a client logs on with ResetSeqNumFlag(141)=Y",
    "kill": "operations halt, resume and cancel",
}


class Violation(Exception):
    """An invariant does not hold. `invariant`: its name; the text says where."""

    def __init__(self, invariant: str, text: str) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant
        self.text = text


class Sim:
    """The scheduler. `now`: true time (integer ns), which no party sees exactly."""

    def __init__(self, seed: int, off: frozenset[str] = frozenset()) -> None:
        self.rng = random.Random(seed)
        self.now = START_NS
        self.steps = 0
        self.quiet = False
        self.off = off
        self.story: deque[tuple[int, str, str, Any]] = deque(maxlen=STORY)
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._random = self.rng.random

    def at(self, delay_ns: int, action: Callable[..., None], *args: Any) -> None:
        """`action` happens `delay_ns` from now; equal moments keep their order."""
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay_ns, self._count, action, args))

    def step(self) -> None:
        """The next moment. Raises IndexError when nothing is left to happen."""
        self.now, _, action, args = heapq.heappop(self._heap)
        self.steps += 1
        action(*args)

    @property
    def next_ns(self) -> int:
        """When the next moment is."""
        return self._heap[0][0]

    def chance(self, fault: str, p: float) -> bool:
        """Does this fault happen now? Never in the quiet phase, never when it is switched off. Costs one throw anyway, so
        that the other dice fall as before."""
        hit = self._random() < p
        return hit and not self.quiet and fault not in self.off

    def ms(self, low: float, high: float) -> int:
        """A random duration between two bounds in ms, as ns."""
        return int((low + (high - low) * self._random()) * MS)

    def note(self, who: str, what: str, detail: Any = None) -> None:
        """One line of the story; `detail` is put into words only when the story is told."""
        self.story.append((self.now, who, what, detail))
