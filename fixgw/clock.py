"""The gateway's clock: time that goes on whatever the wall clock does.

Within a run it is a base plus the machine's steady clock (CLOCK_BOOTTIME), so that a step of the wall clock neither freezes it
nor makes it jump. It follows the wall clock by its rate (at most MAX_PPM) while the two are within STEP_NS of each other.
Further apart, somebody has set the machine's clock, or it is wrong: that is told at once, and followed only when it has stayed
so for FOLLOW_NS, by a step that is journaled (core/clock.py). A clock that is wrong for a moment is so never followed.

Another run of the same boot goes on where the last one was (`resume`, `save`): a place of the last run may still be under way.
Venue hosts stamp with this clock (venues/host_clock.py): the steady clock is the machine's, the difference to it is told to them.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from .core import commands as c
from .core.clock import SLACK_NS, seconds
from .journal.identity import boot_id

# further apart than this the wall clock was set; else it is followed by the rate
STEP_NS = 1_000_000_000
# so long must the wall clock stay where it was set to
FOLLOW_NS = 10_000_000_000
# the rate: what is apart is made up for within SLEW_NS, but no faster than this
MAX_PPM = 10_000
SLEW_NS = 10_000_000_000
# the two clocks are read one after the other: a look that took longer says nothing
READ_NS = 5_000_000
# a clock that is set to and fro is told of no more often than this
TELL_NS = 60_000_000_000
# a host's word is hardly ever longer on its way
WORD_NS = 2_000_000_000
# a saved clock that is older is not gone on with: nothing of that run can be under way any more
RESUME_NS = 600_000_000_000


# since the machine started, suspension included; the same for all of its processes
boot_ns: Callable[[], int] = functools.partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """The file run/clock.json."""

    boot_id: str
    steady_ns: int
    offset_ns: int


class Seen(msgspec.Struct, frozen=True):
    """What a look has found. `what`: "differs", "agrees" (both to be told), "step": to be followed now; `apart_ns`: the wall
    clock less ours."""

    what: str
    apart_ns: int


class GatewayClock:
    """`now_ns` may be asked by any thread; `look` and `step` belong to one."""

    def __init__(self, wall: Callable[[], int] = time.time_ns, steady: Callable[[], int] = boot_ns) -> None:
        self._wall = wall
        self._steady = steady
        at_ns = steady()
        # (steady clock, our time then, rate since then): one value, replaced as a whole
        self._anchor = (at_ns, wall(), 0)
        # since when (steady clock) the wall clock is elsewhere, and by how much
        self._since_ns: int | None = None
        self._apart_ns = 0
        self._told_ns: int | None = None
        self._is_told = False
        # the last step, and when it was (our time before it)
        self._stepped: tuple[int, int] | None = None

    def now_ns(self) -> int:
        """Integer ns since the epoch. Asked ten times for each order: _at, without the call."""
        steady_ns = self._steady()
        from_ns, ours_ns, ppm = self._anchor
        passed_ns = steady_ns - from_ns
        return ours_ns + passed_ns + passed_ns * ppm // 1_000_000

    def _at(self, steady_ns: int) -> int:
        from_ns, ours_ns, ppm = self._anchor
        passed_ns = steady_ns - from_ns
        return ours_ns + passed_ns + passed_ns * ppm // 1_000_000

    @property
    def offset_ns(self) -> int:
        """Our time less the steady clock's."""
        steady_ns = self._steady()
        return self._at(steady_ns) - steady_ns

    @property
    def trouble(self) -> str:
        """For people; "" while the wall clock and this one agree and were never apart in this run."""
        if self._since_ns is not None:
            return f"the wall clock is {way(self._apart_ns)} and not followed yet"
        if self._stepped is None:
            return ""
        step_ns, _ = self._stepped
        return f"was set {'forward' if step_ns > 0 else 'back'} by {seconds(abs(step_ns))} in this run, after the wall clock"

    def look(self) -> Seen | None:
        """Compare with the wall clock; to be called several times a second."""
        before_ns, wall_ns, steady_ns = self._steady(), self._wall(), self._steady()
        if steady_ns - before_ns > READ_NS:
            return None
        ours_ns = self._at(steady_ns)
        apart_ns = wall_ns - ours_ns
        if abs(apart_ns) <= STEP_NS:
            ppm = max(-MAX_PPM, min(MAX_PPM, apart_ns * 1_000_000 // SLEW_NS))
            self._anchor, self._since_ns = (steady_ns, ours_ns, ppm), None
            if self._is_told:
                self._is_told = False
                return Seen("agrees", apart_ns)
            return None
        self._anchor = (steady_ns, ours_ns, 0)
        if self._since_ns is None or abs(apart_ns - self._apart_ns) > STEP_NS:
            self._since_ns, self._apart_ns = steady_ns, apart_ns
            if self._told_ns is None or steady_ns - self._told_ns >= TELL_NS:
                self._told_ns, self._is_told = steady_ns, True
                return Seen("differs", apart_ns)
        elif steady_ns - self._since_ns >= FOLLOW_NS:
            return Seen("step", apart_ns)
        return None

    def step(self, step_ns: int) -> None:
        """Set it."""
        steady_ns = self._steady()
        ours_ns = self._at(steady_ns)
        self._stepped = step_ns, ours_ns
        self._anchor, self._since_ns, self._is_told = (steady_ns, ours_ns + step_ns, 0), None, False

    def put_right(self, command: c.Command) -> c.Command:
        """What was stamped before the last step and comes after it: as if it had been stamped after it."""
        if self._stepped is None:
            return command
        step_ns, before_ns = self._stepped
        border_ns = before_ns + step_ns // 2
        if step_ns < 0:
            border_ns = max(border_ns, self.now_ns() + SLACK_NS // 2)
        moved = {
            name: ns + step_ns
            for name in ("ts_ns", "asked_ns", "asof_ns")
            if (ns := getattr(command, name, 0)) and (ns < border_ns if step_ns > 0 else ns > border_ns)
        }
        return msgspec.structs.replace(command, **moved) if moved else command

    def save(self, path: Path) -> None:
        """For the next run. Raises OSError."""
        steady_ns = self._steady()
        data = msgspec.json.encode(Saved(boot_id=boot_id(), steady_ns=steady_ns, offset_ns=self._at(steady_ns) - steady_ns))
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(data)
        temporary.replace(path)

    def resume(self, path: Path) -> bool:
        """Go on where the last run of this boot was, if it was lately."""
        try:
            saved = msgspec.json.decode(path.read_bytes(), type=Saved)
        except (OSError, msgspec.MsgspecError):
            return False
        steady_ns = self._steady()
        if saved.boot_id != boot_id() or saved.boot_id == "unknown" or not 0 <= steady_ns - saved.steady_ns <= RESUME_NS:
            return False
        self.go_on(saved.offset_ns)
        return True

    def go_on(self, offset_ns: int) -> None:
        """With a clock that differs so much from the steady one."""
        steady_ns = self._steady()
        self._anchor = (steady_ns, steady_ns + offset_ns, 0)


def by_ours(word: c.VenueCommand, now_ns: int) -> c.VenueCommand:
    """A word of a venue host whose clock is not this one (yet): it is of now. What it says of earlier moments is moved only where
    it is later than it can be: a word may also have waited, and nothing may seem later than it was."""
    ahead_ns = word.ts_ns - now_ns
    if abs(ahead_ns) <= WORD_NS:
        return word
    moved: dict[str, object] = {"ts_ns": now_ns}
    if ahead_ns > 0:
        moved |= {name: ns - ahead_ns for name in ("asked_ns", "asof_ns") if (ns := getattr(word, name, 0))}
        if isinstance(word, c.BalancesReport):
            moved["later"] = {asset: ns - ahead_ns for asset, ns in word.later.items()}
    return msgspec.structs.replace(word, **moved)


def way(apart_ns: int) -> str:
    """Where the wall clock is, for people."""
    return f"{seconds(abs(apart_ns))} {'ahead of' if apart_ns > 0 else 'behind'} the gateway's time"
