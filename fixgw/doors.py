"""The gateway's sockets in run/, bound anew when their files have gone: deleted by hand or by a cleaning job.

Who is connected notices nothing. Without this nobody else could connect: no command of operations, no client after its
connection is lost, no venue host.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0


class Doors:
    """`doors`: path of a socket -> what binds it anew (raises OSError). `renewed` is told which were, once per look."""

    def __init__(self, doors: Mapping[Path, Callable[[], None]], renewed: Callable[[list[str]], None]) -> None:
        self._doors = dict(doors)
        self._renewed = renewed
        self._bound: dict[Path, tuple[int, int] | None] = {}
        self._trouble: dict[Path, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="doors", daemon=True)

    def start(self) -> None:
        """When all are bound."""
        self._bound = {path: _identity(path) for path in self._doors}
        self._thread.start()

    def stop(self) -> None:
        """Before any of them is closed."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            found = [str(path) for path, bind in self._doors.items() if self._see_to(path, bind)]
            if found:
                try:
                    self._renewed(found)
                except Exception:  # this thread must go on
                    log.exception("%s: bound anew, and not told", found)

    def _see_to(self, path: Path, bind: Callable[[], None]) -> bool:
        """True when it was bound anew; where it cannot be, that is said once and tried again at the next look."""
        if (bound := self._bound[path]) is not None and _identity(path) == bound:
            return False
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            bind()
        except Exception as error:
            if str(error) != self._trouble.get(path):
                self._trouble[path] = str(error)
                log.error("%s was deleted, and cannot be bound anew yet: %s", path, error)
            return False
        self._bound[path] = _identity(path)
        self._trouble.pop(path, None)
        return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
