"""The clocks of the simulated machine: the wall clock, which may be wrong, and the gateway's own (fixgw/clock.py, the real one)
with what watches it (clock_watch.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..clock import GatewayClock, way
from ..core import commands as c
from ..venues import wire
from .scheduler import MS

if TYPE_CHECKING:
    from .gateway import Gateway


class SimClock:
    """`offset`: how far the wall clock is off; the steady one is true. `of_run`: that of the process that runs."""

    def __init__(self, gateway: Gateway) -> None:
        self.offset = 0
        self._gateway = gateway
        # what the last process left in run/clock.json
        self._saved: int | None = None
        self.of_run: GatewayClock
        self._told = 0

    def begin(self) -> None:
        """A process starts."""
        sim = self._gateway.sim
        self.of_run = GatewayClock(lambda: sim.now + self.offset, lambda: sim.now)
        self._told = 0
        if self._saved is not None:
            self.of_run.go_on(self._saved)

    def end(self, power: bool) -> None:
        """The process is gone; after a power cut the next one is of another boot."""
        self._saved = None if power else self.of_run.offset_ns

    def look(self) -> None:
        """Now and then."""
        gateway, seen = self._gateway, self.of_run.look()
        if seen is not None and seen.what == "step":
            gateway.sim.counts["clock followed"] += 1
            self.step(seen.apart_ns)
        elif seen is not None:
            gateway.sim.counts["clock " + seen.what] += 1
            action, reason = "clock " + seen.what, way(seen.apart_ns)
            gateway.submit(c.AdminNote(ts_ns=gateway.now_ns(), action=action, target="", user="gateway", reason=reason))
        if abs(self.of_run.offset_ns - self._told) > MS:
            self.tell()

    def step(self, step_ns: int) -> None:
        """It is set for all parts at once."""
        gateway = self._gateway
        self.of_run.step(step_ns)
        self.tell()
        gateway.edge.clock_set(step_ns)
        gateway.reconcile_ns += step_ns
        gateway.enter_at(0, c.ClockSet(ts_ns=gateway.now_ns(), step_ns=step_ns))

    def tell(self) -> None:
        """Hosts stamp by it."""
        self._told = self.of_run.offset_ns
        self._gateway.send(wire.Heartbeat(ts_ns=self._gateway.now_ns(), offset_ns=self._told))
