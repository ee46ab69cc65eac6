"""Looks at the gateway's clock (clock.py), tells what it sees, and sets it for all parts at once."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from .clock import FOLLOW_NS, GatewayClock, Seen, way
from .core import commands as c
from .engine import Engine

log = logging.getLogger(__name__)

LOOK_S = 0.1
SAVE_S = 30.0


class ClockWatch:
    """`on_step`: called with a step while nothing is being decided; must be quick."""

    def __init__(self, clock: GatewayClock, engine: Engine, path: Path) -> None:
        self.on_step: list[Callable[[int], None]] = []
        self._clock = clock
        self._engine = engine
        self._path = path
        self._saved_s = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def start(self) -> None:
        """Begin looking."""
        self._save()
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._save()

    def _run(self) -> None:
        while not self._ended.wait(LOOK_S):
            try:
                self.look()
            except Exception:
                log.exception("clock")

    def look(self) -> None:
        """Once."""
        seen = self._clock.look()
        if seen is None:
            if time.monotonic() - self._saved_s >= SAVE_S:
                self._save()
        elif seen.what == "step":
            self._step(seen.apart_ns)
        else:
            self._tell(seen)

    def _tell(self, seen: Seen) -> None:
        if seen.what == "agrees":
            text = "the wall clock is right again: the gateway did not follow it"
        else:
            wait_s = FOLLOW_NS // 1_000_000_000
            where = f"the wall clock is {way(seen.apart_ns)}, which goes on"
            text = f"{where}; followed if it stays so for {wait_s} s"
        note = c.AdminNote(
            ts_ns=self._clock.now_ns(), action="clock " + seen.what, target="this machine", user="gateway", reason=text
        )
        self._engine.submit(note)

    def _step(self, step_ns: int) -> None:
        with self._engine.reading():
            self._clock.step(step_ns)
            for listener in self.on_step:
                try:
                    listener(step_ns)
                except Exception:
                    log.exception("a listener failed on a step of the clock")
            self._engine.submit_first(c.ClockSet(ts_ns=self._clock.now_ns(), step_ns=step_ns))
        self._save()

    def _save(self) -> None:
        self._saved_s = time.monotonic()
        with contextlib.suppress(OSError):
            self._clock.save(self._path)
