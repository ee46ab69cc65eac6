"""Segments are made ahead of need by a thread of their own, so that no order ever waits for one.

Two files are kept ready: the spare (the next segment) and the reserve (small; used only when no spare can be made).
If the disk has no room, `full` is True until both are there again; the thread tries again at intervals. on_full is told
so by another thread: who is told may lead commits, and these may wait for the next segment. Any other error is reported
by on_error and is final.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .disk import NO_SPACE, Disk


@dataclass(frozen=True, slots=True)
class Slot:
    """An open, zero-filled, durable file; the taker closes fd."""

    path: Path
    fd: int
    size: int


class Preallocator:
    """See the module's docstring. Thread-safe."""

    def __init__(
        self,
        directory: Path,
        disk: Disk,
        *,
        segment_bytes: int,
        reserve_bytes: int,
        next_number: int,
        retry_s: float,
        on_full: Callable[[bool], None],
        on_error: Callable[[OSError], None],
    ) -> None:
        self._directory, self._disk = directory, disk
        self._segment_bytes, self._reserve_bytes = segment_bytes, reserve_bytes
        self._number, self._retry_s = next_number, retry_s
        self._on_full, self._on_error = on_full, on_error
        self._cond = threading.Condition()
        self._spare: Slot | None = None
        self._reserve: Slot | None = None
        self._full = self._told = self._stop = self._broken = self._hurry = False
        self._thread = threading.Thread(target=self._run, name="journal-prealloc", daemon=True)
        self._teller = threading.Thread(target=self._tell, name="journal-full", daemon=True)

    @property
    def full(self) -> bool:
        return self._full

    def adopt(self, slot: Slot) -> bool:
        """Keep a zero file left by an earlier run; False if it is of no use."""
        if self._reserve is None and slot.size == self._reserve_bytes:
            self._reserve = slot
        elif self._spare is None and slot.size == self._segment_bytes:
            self._spare = slot
        else:
            return False
        return True

    def start(self, *, fresh: bool) -> None:
        """Start the thread. fresh: there is no segment yet, so make spare and reserve now; raises OSError if that
        fails."""
        if fresh:
            self._spare = self._spare or self._make(self._segment_bytes, lambda: True)
            self._reserve = self._reserve or self._make(self._reserve_bytes, lambda: True)
        self._thread.start()
        self._teller.start()

    def take(self, timeout_s: float) -> Slot | None:
        """The next segment: the spare; the reserve if no spare can be made; None if there is neither."""
        with self._cond:
            self._hurry = True
            self._cond.wait_for(lambda: self._spare is not None or self._full or self._stop or self._broken, timeout_s)
            slot, self._spare = self._spare, None
            if slot is None:
                slot, self._reserve = self._reserve, None
            self._hurry = False
            self._cond.notify_all()
            return slot

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until spare and reserve are there; False if they are not in time."""
        with self._cond:
            return self._cond.wait_for(lambda: self._spare is not None and self._reserve is not None, timeout_s)

    def stop(self) -> None:
        """Stop the thread and close what is ready (the files stay for the next run)."""
        with self._cond:
            self._stop = True
            self._cond.notify_all()
        for thread in (self._thread, self._teller):
            if thread.is_alive():
                thread.join()
        for slot in (self._spare, self._reserve):
            if slot is not None:
                self._disk.close(slot.fd)
        self._spare = self._reserve = None

    def _make(self, size: int, pause: Callable[[], bool]) -> Slot:
        path = self._directory / f"{self._number:08d}.seg"
        self._number += 1
        self._disk.preallocate(path, size, pause)
        return Slot(path, self._disk.open(path), size)

    def _pause(self) -> bool:
        """Between chunks: let the orders' syncs through, unless somebody waits for this segment."""
        with self._cond:
            if not self._hurry:
                self._cond.wait_for(lambda: self._stop or self._hurry, 0.002)
            return not self._stop

    def _run(self) -> None:
        while True:
            with self._cond:
                self._cond.wait_for(lambda: self._stop or self._spare is None or self._reserve is None)
                if self._stop:
                    return
                # The reserve first: it is small, and it is what keeps fills going.
                size = self._reserve_bytes if self._reserve is None else self._segment_bytes
                want_reserve = self._reserve is None
            try:
                slot = self._make(size, self._pause)
            except InterruptedError:
                return
            except OSError as error:
                if error.errno not in NO_SPACE:
                    self._break(error)
                    return
                self._set_full(True)
                with self._cond:
                    self._cond.wait(self._retry_s)
                continue
            with self._cond:
                if want_reserve:
                    self._reserve = slot
                else:
                    self._spare = slot
                ready = self._spare is not None and self._reserve is not None
                self._cond.notify_all()
            if ready:
                self._set_full(False)

    def _break(self, error: OSError) -> None:
        with self._cond:
            self._broken = True
            self._cond.notify_all()
        self._on_error(error)

    def _set_full(self, full: bool) -> None:
        with self._cond:
            self._full = full
            self._cond.notify_all()

    def _tell(self) -> None:
        """Tell each change of `full`; one that was taken back before it could be told is left out."""
        while True:
            with self._cond:
                self._cond.wait_for(lambda: self._stop or self._full != self._told)
                if self._stop:
                    return
                told = self._told = self._full
            self._on_full(told)
