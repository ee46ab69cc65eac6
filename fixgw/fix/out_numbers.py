"""How high the numbers of messages going out can have come, should QuickFIX's files be lost.

The journal does not know these numbers: heartbeats use them up too. A client that is sent a lower number than it has seen must
drop the connection, while a gap upwards is harmless: it asks, and gets gap fills and, by the delivery cursor, the reports. So a
small file beside the stores says, synced, below which number all were that a session sent since its last reset. It is
ahead of the truth by MARGIN at most, and written once in some ten thousand messages.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from fixgw.journal.disk import Disk

log = logging.getLogger("fixgw.fix.acceptor")

# more than a session sends between two looks
MARGIN: Final = 50_000
LOOK_S: Final = 0.5


class Mark(msgspec.Struct, frozen=True):
    """All numbers out under `epoch` (the session's resets by the journal) were less than `below`."""

    epoch: int
    below: int


class OutNumbers:
    """`now`: session -> (reset epoch, next number out), of all sessions."""

    def __init__(self, path: Path, now: Callable[[], dict[str, tuple[int, int]]]) -> None:
        self._path = path
        self._now = now
        self._marks = _read(path)
        self._failed = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fix-numbers", daemon=True)

    def below(self, session: str, epoch: int) -> int | None:
        """None: nothing is known of the session."""
        mark = self._marks.get(session)
        if mark is None:
            return None
        # a reset that is newer than the last look
        return mark.below if mark.epoch == epoch else MARGIN

    def start(self) -> None:
        """When the numbers are set, before anybody is let in."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def look(self) -> None:
        """Write where the truth comes near; never raises."""
        try:
            due = {}
            for session, (epoch, number) in self._now().items():
                mark = self._marks.get(session)
                if mark is None or mark.epoch != epoch or not number + MARGIN // 2 < mark.below <= number + MARGIN:
                    due[session] = Mark(epoch, number + MARGIN)
            if due:
                marks = {**self._marks, **due}
                Disk().write_atomic(self._path, msgspec.json.encode(marks) + b"\n")
                self._marks = marks
            self._failed = ""
        except Exception as error:  # tried again: the stores themselves are what counts
            if str(error) != self._failed:
                self._failed = str(error)
                log.error("%s cannot be written: %s", self._path, error)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            self.look()


def _read(path: Path) -> dict[str, Mark]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Mark])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        log.error("%s cannot be read: %s", path, error)
        return {}
