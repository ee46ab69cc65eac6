"""Traps: places on the order path at which a gateway under test kills itself, as `kill -9` would, once armed.

Arming from outside: write {"point": NAME, "after": N} to the trap file (DIR/run/chaos_trap.json); the N-th time that the
gateway comes by the point it is gone. The file is taken away when it has been read.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Final

# point -> where it is
POINTS: Final = {
    "received": "a client's message is parsed, nothing is decided",
    "decided": "decided and evolved, not written",
    "torn": "half of the group is written",
    "written": "written, not synced",
    "synced": "durable, no effect yet",
    "queued": "venue requests wait in the queue to the host, reports may leave",
    "placed": "a request was written to the venue host's socket",
    "answered": "the venue's answer is read, nothing is decided",
    "handing": "a report is about to be given to QuickFIX",
    "handed": "a report was given to QuickFIX",
    "cursor": "the counterparty confirmed reports, the cursor is not yet journaled",
}
# a planted bug (plants.py) has just done what a death at this moment, or the start after it, must bring to light; only a run
# with a plant comes by it
PLANTED: Final = "planted"
TRAP_FILE: Final = "chaos_trap.json"
_POLL_S: Final = 0.01


class Trap:
    """One per process. `hit` costs one comparison while nothing is armed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._point = ""
        self._left = 0
        self._lock = threading.Lock()

    def start(self) -> None:
        """Watch the trap file; one that lies there from before this process is of no account."""
        self._path.unlink(missing_ok=True)
        threading.Thread(target=self._watch, name="chaos-trap", daemon=True).start()

    def arm(self, point: str, after: int) -> None:
        """Kill this process at the `after`-th hit of the point from now. Raises ValueError."""
        if point not in (*POINTS, PLANTED) or after < 1:
            raise ValueError(f"trap {point!r} after {after!r}: expected one of {', '.join((*POINTS, PLANTED))}, and 1 or more")
        with self._lock:
            self._point, self._left = point, after

    def armed(self, point: str) -> bool:
        """True when this process is to die at the point."""
        return point == self._point

    def due(self, point: str) -> bool:
        """Count one hit; True when it is the last."""
        if point != self._point:
            return False
        with self._lock:
            self._left -= 1
            return self._left <= 0

    def hit(self, point: str) -> None:
        """Come by the point; does not return when it is due."""
        if self.due(point):
            spring()

    def _watch(self) -> None:
        while True:
            time.sleep(_POLL_S)
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                if self._path.exists():
                    wanted = json.loads(self._path.read_text())
                    self._path.unlink()
                    self.arm(str(wanted["point"]), int(wanted["after"]))


def spring() -> None:
    """kill -9 of this process; nothing after it runs."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
