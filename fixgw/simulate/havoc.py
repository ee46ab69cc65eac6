"""Faults that come by themselves, and operations at their switches. Each kind has its own pace, drawn anew for each seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..core import commands as c
from ..core.state import ACTIVE
from .exchange import VENUE
from .gateway import Gateway
from .host import Host
from .scheduler import SECOND, Sim

# a crash comes within so many steps of the gateway after its fuse was lit
_FUSE: Final = 60
# the clock is off by a little, or for a while by so much that nothing signed by it is taken
_STEP_MS = 3000.0
_WRONG_S: Final = (60, 600, 86_400)


class Havoc:
    """Breaks things until the quiet phase; `mend` ends what still lasts."""

    def __init__(self, sim: Sim, gateway: Gateway, host: Host, drop: Callable[[str, str], None], names: tuple[str, ...]) -> None:
        self.sim = sim
        self.gateway = gateway
        self.host = host
        self._drop = drop
        self._names = names
        self._wrong_ns = 0
        for kind, every_s, act in (
            ("crash", 25, lambda: self._light(False)),
            ("power", 35, lambda: self._light(True)),
            ("full", 60, self._full),
            ("clock", 40, self._clock),
            ("link", 30, self._link),
            ("host", 40, self._host),
            ("outage", 50, self._outage),
            ("fix", 15, self._fix),
            ("kill", 50, self._kill),
        ):
            self._later(kind, every_s * SECOND * sim.rng.choice((1, 1, 2, 4)) // 2, act)

    def _later(self, kind: str, every_ns: int, act: Callable[[], None]) -> None:
        self.sim.at(int(self.sim.rng.expovariate(1.0) * every_ns) + 1, self._happen, kind, every_ns, act)

    def _happen(self, kind: str, every_ns: int, act: Callable[[], None]) -> None:
        if self.sim.quiet:
            return
        if self.sim.present(kind):
            act()
        self._later(kind, every_ns, act)

    def _count(self, kind: str) -> None:
        self.sim.counts["fault " + kind] += 1

    def _light(self, power: bool) -> None:
        """Counted where it burns down."""
        if not self.gateway.fuse:
            self.gateway.fuse = self.sim.rng.randint(1, _FUSE)
            self.gateway.fuse_power = power

    def _full(self) -> None:
        self._count("full")
        self.sim.note("disk", "is full")
        self.gateway.disk.full = True
        self.sim.at(self.sim.ms(500, 8000), self._room)

    def _room(self) -> None:
        self.gateway.disk.full = False

    def _clock(self) -> None:
        self._count("clock")
        gateway, sim = self.gateway, self.sim
        step = self._wrong_ns + sim.ms(-_STEP_MS, _STEP_MS) - gateway.clock.offset
        if sim.throw(0.5) and not self._wrong_ns:
            step = self._wrong_ns = sim.rng.choice(_WRONG_S) * sim.rng.choice((-1, 1)) * SECOND
            sim.at(sim.ms(500, 30_000), self._put_right)
            if sim.throw(0.4):  # a run begins with it
                self._light(sim.throw(0.5) and sim.present("power"))
        gateway.clock.offset += step
        sim.note("machine", f"clock steps by {step / SECOND:.3f} s")

    def _put_right(self) -> None:
        """The clock that was wrong is set."""
        if self._wrong_ns:
            self.sim.note("machine", f"clock is put right by {-self._wrong_ns / SECOND:.3f} s")
            self.gateway.clock.offset -= self._wrong_ns
            self._wrong_ns = 0

    def _link(self) -> None:
        self._count("link")
        self.host.link_broken("link cut")

    def _host(self) -> None:
        self._count("host")
        self.host.dies("venue host restarts")

    def _outage(self) -> None:
        if self.host.venue_up:
            self._count("outage")
            self.host.outage(True)
            self.sim.at(self.sim.ms(200, 12_000), self._outage_ends)

    def _outage_ends(self) -> None:
        if not self.host.venue_up:
            self.host.outage(False)

    def _fix(self) -> None:
        self._count("fix")
        self._drop(self.sim.rng.choice(self._names), "FIX connection cut")

    # --- operations ---

    def _kill(self) -> None:
        """Halt, reduce or cancel one; resume a little later."""
        self._count("kill")
        sim, gateway = self.sim, self.gateway
        open_orders = list(gateway.state.open_orders)
        if open_orders and sim.throw(0.3):
            self._operate(lambda ns: c.AdminCancel(ts_ns=ns, order_id=sim.rng.choice(open_orders), user="u", reason="r"))
            return
        scope, target = sim.rng.choice((("firm", ""), ("session", self._names[0]), ("venue", VENUE)))
        level = sim.rng.choice(("HALTED", "REDUCING"))
        self._operate(lambda ns: c.AdminKill(ts_ns=ns, scope=scope, target=target, level=level, user="u", reason="r"))
        sim.at(sim.ms(500, 8000), self.resume_all)

    def _operate(self, make: Callable[[int], c.Command]) -> None:
        gateway = self.gateway
        if gateway.listening:
            gateway.enter(gateway.submit, make(gateway.now_ns()))

    def resume_all(self) -> None:
        """Operations let trading go on where it was stopped."""
        state = self.gateway.state
        if state.level != ACTIVE:
            self._operate(lambda ns: c.AdminResume(ts_ns=ns, scope="firm", target="", user="u", reason="r"))
        for session in [item.name for item in state.sessions.values() if item.level != ACTIVE]:
            self._resume("session", session)
        for venue in [item.name for item in state.venues.values() if item.level != ACTIVE]:
            self._resume("venue", venue)

    def _resume(self, scope: str, target: str) -> None:
        self._operate(lambda ns: c.AdminResume(ts_ns=ns, scope=scope, target=target, user="u", reason="r"))

    def mend(self) -> None:
        """Faults stop."""
        self.gateway.fuse = 0
        self._put_right()
        self._room()
        self._outage_ends()
        self.resume_all()
