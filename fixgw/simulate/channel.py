"""An ordered pipe between two parties: frames arrive in order, late, or not at all once it is broken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from .scheduler import Sim


class Channel:
    """One direction of a connection. `lost` hears of each frame that will never arrive."""

    def __init__(
        self, sim: Sim, deliver: Callable[[Any], None], lost: Callable[[Any], None] | None = None, slow_ms: float = 3.0
    ) -> None:
        self.open = True
        self._sim = sim
        self._deliver = deliver
        self._lost = lost
        self._slow_ms = slow_ms
        self._last_ns = 0
        self._frames: deque[Any] = deque()

    def send(self, frame: Any) -> None:
        """Put a frame on the way; on a broken pipe it is lost."""
        if not self.open:
            if self._lost is not None:
                self._lost(frame)
            return
        sim = self._sim
        self._last_ns = max(self._last_ns, sim.now + sim.ms(0.05, self._slow_ms))
        self._frames.append(frame)
        sim.at(self._last_ns - sim.now, self._arrive)

    def _arrive(self) -> None:
        if self._frames:
            self._deliver(self._frames.popleft())

    def close(self) -> None:
        """The sender is gone: what is on the way still arrives, as the kernel has it."""
        self.open = False

    def cut(self) -> None:
        """Break it: what is on it is lost."""
        self.open = False
        frames, self._frames = self._frames, deque()
        if self._lost is not None:
            for frame in frames:
                self._lost(frame)
