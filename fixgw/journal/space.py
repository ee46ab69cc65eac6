"""Room on the disk for what is not the journal: QuickFIX's stores, raw logs, the projection.

The journal has its own reserve, but QuickFIX drops a session when its store cannot be written. So a ballast file is kept;
when the free space falls below half of it, the ballast is given up, which leaves room for the reports of fills and cancels,
and new orders are refused until there is room for a new ballast. Checked a few times a second: a disk that fills faster
than that costs a reconnect, nothing else.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

CHECK_S = 0.25
_CHUNK = bytes(1 << 20)


class SpaceWatch:
    """`low` is a state; `on_low` is told each change, from the watching thread."""

    def __init__(self, ballast: Path, ballast_bytes: int, on_low: Callable[[bool], None]) -> None:
        self._ballast = ballast
        self._bytes = ballast_bytes
        self._on_low = on_low
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="space", daemon=True)
        self.low = False

    def start(self) -> None:
        """Make the ballast where there is room, and watch."""
        self.check()
        self._thread.start()

    def stop(self) -> None:
        """No more watching; the ballast stays."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def check(self) -> None:
        """Look once."""
        try:
            free = self._free()
            there = self._ballast.exists() and self._ballast.stat().st_size >= self._bytes
            if there and free < self._bytes // 2:
                self._ballast.unlink()
                self._set(True)
            elif not there and free >= 2 * self._bytes:
                self._make()
                self._set(False)
            else:
                # the ballast stands, or there is no room for it; the first also after a look that failed
                self._set(not there)
        except OSError as error:
            log.error("space: %s", error)
            self._set(True)

    def _free(self) -> int:
        found = os.statvfs(self._ballast.parent)
        return found.f_bavail * found.f_frsize

    def _make(self) -> None:
        temporary = self._ballast.with_suffix(".tmp")
        try:
            with temporary.open("wb") as file:
                for start in range(0, self._bytes, len(_CHUNK)):
                    file.write(_CHUNK[: self._bytes - start])
                file.flush()
                os.fdatasync(file.fileno())
            temporary.replace(self._ballast)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def _set(self, low: bool) -> None:
        if low != self.low:
            self.low = low
            log.warning("space: %s", "the disk is nearly full: no new orders" if low else "there is room again")
            self._on_low(low)

    def _run(self) -> None:
        while not self._stop.wait(CHECK_S):
            try:
                self.check()
            except Exception:
                # this thread must go on: nobody else would see that there is room again
                log.exception("space: %s", self._ballast)
