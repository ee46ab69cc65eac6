"""Virtual time, seeded dice and the story so far. One heap of moments; nothing happens outside of them."""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
START_NS: Final = 1_700_000_000 * SECOND
STORY: Final = 60
MAX_STEPS: Final = 400_000

# kind -> what it does; each can be switched off (`--off`), which is how a failing seed is made simpler
FAULTS: Final = {
    "crash": "the gateway's process dies between any two steps, within a write, too; what it wrote survives",
    "power": "the machine loses power; what was not synced is lost or torn at any byte",
    "stall": "a sync takes up to seconds",
    "full": "the disk has no room for new orders for a while",
    "ioerror": "a write or a sync fails: the process must end",
    "clock": "the machine's clock steps, or is wrong for a while",
    "link": "the link between gateway and venue host breaks, what is on it is lost",
    "host": "the venue host restarts and forgets everything",
    "outage": "the venue cannot be reached for a while",
    "loss": "a request to the venue is lost on its way",
    "silence": "an answer of the venue is lost: its outcome is unknown to the host",
    "late": "a request or an answer of the venue takes seconds",
    "slow": "the host holds requests back (rate limits)",
    "event-lost": "a word of the venue's user stream is lost",
    "event-doubled": "a word of the venue's user stream comes twice",
    "event-late": "a word of the venue's user stream is late, so that others overtake it",
    "stale-read": "a query does not find an order that the venue has; once for each order",
    "wrong-status": "the venue tells once of an order that works that it has ended, with an executed quantity that is not so",
    "reject": "the venue refuses an order",
    "cancel-reject": "the venue refuses a cancel",
    "amend-reject": "the venue refuses an amend",
    "venue-cancel": "the venue cancels an order by itself",
    "fix": "a FIX connection breaks, what is on it is lost",
    "repeated": "the FIX engine shows a message twice under the same number",
    "reset": "a client logs on with ResetSeqNumFlag(141)=Y",
    "kill": "operations halt, reduce, cancel and resume",
}
# each seed goes without some kinds, so that rare ones are not always drowned by frequent ones
_PRESENT: Final = 0.75


class Violation(Exception):
    """An invariant does not hold. `invariant`: its name; the text says where."""

    def __init__(self, invariant: str, text: str) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant
        self.text = text


class Sim:
    """The scheduler. `now`: true time (integer ns), which no party sees exactly. `counts`: what was exercised how often."""

    def __init__(self, seed: int, off: frozenset[str] = frozenset(), story: int = STORY) -> None:
        self.rng = random.Random(seed)
        self.now = START_NS
        self.steps = 0
        self.quiet = False
        self.counts: Counter[str] = Counter()
        self.story: deque[tuple[int, str, str, Any]] = deque(maxlen=story)
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._random = self.rng.random
        self._present = {kind: self._random() < _PRESENT and kind not in off for kind in FAULTS}

    def at(self, delay_ns: int, action: Callable[..., None], *args: Any) -> None:
        """`action` happens `delay_ns` from now; equal moments keep their order."""
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay_ns, self._count, action, args))

    def run_until(self, end_ns: int) -> None:
        """Everything up to `end_ns`. Raises Violation when it never comes to that (MAX_STEPS)."""
        heap = self._heap
        while heap and heap[0][0] <= end_ns:
            self.now, _, action, args = heapq.heappop(heap)
            self.steps += 1
            if self.steps > MAX_STEPS:
                raise Violation("everything ends", f"{MAX_STEPS} steps, and no end")
            action(*args)
        self.now = end_ns

    def present(self, fault: str) -> bool:
        """May this fault happen now? Not in the quiet phase, nor in a seed that goes without it."""
        return not self.quiet and self._present[fault]

    def chance(self, fault: str, p: float) -> bool:
        """Does this fault happen now? Costs one throw in any case, so that the other dice fall as before."""
        if self._random() < p and not self.quiet and self._present[fault]:
            self.counts["fault " + fault] += 1
            return True
        return False

    def throw(self, p: float) -> bool:
        """True with probability `p`."""
        return self._random() < p

    def ms(self, low: float, high: float) -> int:
        """A random duration between two bounds in ms, as ns."""
        return int((low + (high - low) * self._random()) * MS)

    def note(self, who: str, what: str, detail: Any = None) -> None:
        """One line of the story; `detail` is put into words only when the story is told."""
        self.story.append((self.now, who, what, detail))
