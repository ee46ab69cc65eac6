"""Whether the SQLite projection keeps up with the journal: for `fixgw status`, and for an alert where it does not.

Three things are looked at, because each alone can be blind: what the database itself has (a follower that hangs says
nothing), what its follower says (a record that it cannot project is no lag while nothing else happens), and whether there is
a follower at all. Housekeeping looks every few seconds, others ask at any time; what is told counts from when it is asked.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from .projected import projected_seq

# the oldest record that the projection lacks is as old as this: not a burst that it is about to catch up with
BEHIND_S: Final = 60.0
# nobody has looked for so long: housekeeping itself is in trouble
UNSEEN_S: Final = 60.0
# trouble that ends before is for the log; a follower that is killed is back after 15 s
ALERT_AFTER_S: Final = 30.0
# between two alerts
ALERT_AGAIN_S: Final = 600.0
_MOST_LOOKS: Final = 256
# all that a pipe holds
_PIPE_BYTES: Final = 65536


class ProjectionState(msgspec.Struct, frozen=True):
    """`behind`: durable records that a query cannot see yet. `trouble`: why it is not to be relied on, "" where it is."""

    seq: int
    behind: int
    trouble: str


class ProjectionWatch:
    """Of the file `database`; `durable_seq`: the journal's last durable record now."""

    def __init__(self, database: Path, durable_seq: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._durable_seq = durable_seq
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_s = clock()
        # (when, durable then), oldest first: those that the projection has not reached, as far as they were seen
        self._owed: deque[tuple[float, int]] = deque()
        self._said = ""
        self._since_s: float | None = None
        self._alerted = False
        self._next_alert_s = clock()

    def heard(self, trouble: str) -> None:
        """What its follower is troubled by, or why there is none; "" when a follower is up with the journal or at work."""
        with self._lock:
            self._said = trouble

    def look(self) -> None:
        """To be called every few seconds: how long the oldest record is owed is known from these looks."""
        # durable first: what is projected meanwhile is no lag
        durable, now_s = self._durable_seq(), self._clock()
        seq = projected_seq(self._database)
        with self._lock:
            self._looked_s = now_s
            self._reached(seq)
            if durable > seq and (not self._owed or durable > self._owed[-1][1]):
                self._owed.append((now_s, durable))
            if len(self._owed) > _MOST_LOOKS:  # coarser, but the oldest stays
                self._owed = deque(list(self._owed)[::2])

    def _reached(self, seq: int) -> None:
        while self._owed and self._owed[0][1] <= seq:
            self._owed.popleft()

    def state(self) -> ProjectionState:
        """As of now: the database is asked."""
        durable, now_s = self._durable_seq(), self._clock()
        seq = projected_seq(self._database)
        with self._lock:
            self._reached(seq)
            behind = max(durable - seq, 0)
            late_s = now_s - self._owed[0][0] if self._owed else 0.0
            reasons = [self._said] if self._said else []
            if late_s > BEHIND_S:
                reasons.append(f"{behind} records behind the journal, the oldest of them for {late_s:.0f} s")
            if now_s - self._looked_s > UNSEEN_S:
                reasons.append(f"not looked at for {now_s - self._looked_s:.0f} s: see log/gateway.log")
            return ProjectionState(seq=seq, behind=behind, trouble="; ".join(reasons))

    def news(self) -> tuple[str, str] | None:
        """What is to be journaled now, once: ("projection stale", why), ("projection current", "") after it, else None."""
        trouble, now_s = self.state().trouble, self._clock()
        if not trouble:
            self._since_s = None
            told, self._alerted = self._alerted, False
            return ("projection current", "data/projection.db is up with the journal again") if told else None
        if self._since_s is None:
            self._since_s = now_s
        if self._alerted or now_s < max(self._since_s + ALERT_AFTER_S, self._next_alert_s):
            return None
        self._alerted, self._next_alert_s = True, now_s + ALERT_AGAIN_S
        return "projection stale", trouble


class Ear:
    """The gateway's end of the pipe on which a follower says what troubles it: lines of text, an empty one for nothing."""

    def __init__(self) -> None:
        self._fd, self.theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._rest = b""

    def started(self) -> None:
        """The follower has its end."""
        os.close(self.theirs)

    def last(self) -> str | None:
        """The newest line that has come since the last call, None where there is none."""
        try:
            data = os.read(self._fd, _PIPE_BYTES)
        except BlockingIOError:
            return None
        *whole, self._rest = (self._rest + data).split(b"\n")
        return whole[-1].decode("utf-8", "replace") if whole else None

    def close(self) -> None:
        os.close(self._fd)
