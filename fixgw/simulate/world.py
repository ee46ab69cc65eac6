"""One seed from start to agreement: the parties, the connections between them, the active phase and the quiet one."""

from __future__ import annotations

import hashlib
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from ..core import cold
from ..core import settings as s
from .agreement import Agreement
from .channel import Channel
from .client import Client
from .exchange import LOT, RECV_WINDOW_NS, SYMBOL, VENUE, VENUE_ACCOUNT
from .gateway import INSTALL
from .havoc import Havoc
from .host import Host
from .plants import PLANTS, SOUND
from .scheduler import SECOND, START_NS, Sim, Violation
from .trader import Trader

ACCOUNT: Final = "main"
TRADERS: Final = ("OMS1", "OMS2")
COPY: Final = "PB"
ACTIVE_S: Final = 60
# the invariant that an exception breaks which nobody foresaw
FAILS: Final = "no part fails"
# twice the pace of reconciliations, and the back-off of queries
QUIET_S: Final = 900
POLL_NS: Final = 2 * SECOND
# (finished orders at hand, orders to a block of packed ones), by turns: stories are too short for the product's own numbers
PACKING: Final = ((cold.WARM, cold.BLOCK), (0, 3), (4, 8), (20, 16))


@dataclass(slots=True)
class Outcome:
    """What became of a seed. `violation`: (invariant, text) or None; `trace`: hash of everything that happened."""

    seed: int
    plant: str
    violation: tuple[str, str] | None
    trace: str
    steps: int
    records: int
    virtual_s: float
    counts: Counter[str] = field(default_factory=Counter)
    story: list[tuple[int, str, str, Any]] = field(default_factory=list)


def core_settings(rng_choice: Callable[[Any], Any]) -> s.CoreSettings:
    """Two trading sessions on one account and a drop copy; limits tight enough to be met."""
    limits = s.Limits(
        max_order_qty={"*": LOT * 11}, max_net={"*": LOT * rng_choice((20, 40, 80))}, max_open_orders=rng_choice((5, 12, 30)),
        max_open_notional={"*": Decimal(rng_choice((500, 2000)))}, msg_rate=50, msg_burst=20, repeat_max=50,
    )  # fmt: skip
    firm = s.Limits(
        max_net={"*": LOT * rng_choice((30, 60))}, max_open_orders=40, max_gross={"*": LOT * 200},
        collar_bps={"*": Decimal(1500)}, buying_power=rng_choice((True, True, False)),
        msg_rate=80, msg_burst=30, repeat_max=80,
    )  # fmt: skip
    sessions = {
        name: s.SessionSettings(
            name=name, symbols={SYMBOL: SYMBOL}, accounts={"": ACCOUNT}, limits=limits, cancel_on_disconnect=name == "OMS2"
        )
        for name in TRADERS
    }
    sessions[COPY] = s.SessionSettings(name=COPY, role="drop_copy", scope_sessions=frozenset("*"))
    return s.CoreSettings(
        hash="simulated", sessions=sessions, firm=firm,
        accounts={
            ACCOUNT: s.AccountSettings(
                name=ACCOUNT, venue=VENUE, venue_account=VENUE_ACCOUNT,
                limits=s.Limits(msg_rate=70, msg_burst=25, repeat_max=70),
                entitlements=s.Entitlements(symbols=frozenset((SYMBOL,))),
            )
        },
        venues={VENUE: s.VenueSettings(name=VENUE, recv_window_ns=RECV_WINDOW_NS, can_amend=True)},
        instruments={SYMBOL: s.InstrumentSettings(symbol=SYMBOL, base="BTC", quote="USDT", venues=(VENUE,))},
        risk_stages=("session_state", "throttle", "entitlements", "order_qty", "collar", "open_orders", "notional", "position",
            "repeated_order", "buying_power"),
    )  # fmt: skip


@contextmanager
def packing(warm: int, block: int) -> Iterator[None]:
    """Within: more than `warm` finished orders are packed, `block` to a block."""
    before = cold.WARM, cold.BLOCK
    cold.WARM, cold.BLOCK = warm, block
    try:
        yield
    finally:
        cold.WARM, cold.BLOCK = before


class World:
    """Everything of one seed. `off`: fault kinds that do not happen; `active_s`: length of the active phase."""

    def __init__(
        self, seed: int, plant: str = "", off: frozenset[str] = frozenset(), active_s: float = ACTIVE_S,
        deep: bool = False, story: int = 60,
    ) -> None:  # fmt: skip
        self.seed, self.plant = seed, plant
        sim = self.sim = Sim(seed, off, story)
        self._active_ns = int(active_s * SECOND)
        self._hash = hashlib.blake2b(digest_size=16)
        mode = "os" if sim.throw(0.15) else "commit"
        parts = PLANTS[plant] if plant else SOUND
        disk = parts.disk(sim, INSTALL, mode)
        copies = dict.fromkeys(TRADERS, False) | {COPY: True}
        gateway = self.gateway = parts.gateway(sim, disk, core_settings(sim.rng.choice), copies, deep)
        gateway.session_type = parts.session
        gateway.on_payload = self._hash.update
        gateway.on_died = self._gateway_died
        gateway.on_lost = self._lost
        gateway.hang_up = self._drop
        self._connections: dict[str, tuple[Channel, Channel, Client]] = {}
        self.host = Host(sim, gateway)
        self.clients = [Client(sim, name, self._dial, name != COPY) for name in (*TRADERS, COPY)]
        stop_ns = START_NS + self._active_ns
        for client in self.clients[:-1]:
            Trader(sim, client, stop_ns)
        self.havoc = Havoc(sim, gateway, self.host, self._drop, (*TRADERS, COPY))
        self.agreement = Agreement(gateway, self.host.exchange, self.clients)

    # --- FIX connections ---

    def _dial(self, client: Client) -> Channel | None:
        gateway = self.gateway
        if not gateway.listening:
            return None
        session = gateway.sessions[client.name]
        if session.connection is not None:
            return None
        alive = gateway.generation
        inwards = Channel(self.sim, lambda frame: self._to_session(alive, client.name, outwards, frame))
        outwards = Channel(self.sim, lambda frame: self._to_client(client, inwards, frame))
        session.connection = outwards
        self._connections[client.name] = (inwards, outwards, client)
        return inwards

    def _to_session(self, alive: int, name: str, outwards: Channel, frame: Any) -> None:
        gateway = self.gateway
        if alive == gateway.generation and gateway.sessions[name].connection is outwards:
            gateway.enter(gateway.sessions[name].receive, frame)

    def _to_client(self, client: Client, inwards: Channel, frame: Any) -> None:
        if client.connection is inwards:
            client.receive(frame)

    def _drop(self, name: str, why: str) -> None:
        """A FIX connection ends on both sides."""
        found = self._connections.pop(name, None)
        if found is None:
            return
        inwards, outwards, client = found
        self.sim.note(name, why)
        inwards.cut()
        outwards.cut()
        gateway = self.gateway
        session = gateway.sessions.get(name)
        if session is not None and session.connection is outwards:
            gateway.enter(session.disconnected)
        client.disconnected()

    def _gateway_died(self, power: bool) -> None:
        """What was written to a socket may still arrive after a crash, not after a power cut."""
        drained = not power and self.sim.throw(0.7)
        self.host.link_broken("the gateway died", gateway_died=True, drained=drained)
        if power:
            self.host.restart()
        connections, self._connections = self._connections, {}
        for inwards, outwards, client in connections.values():
            inwards.cut()
            if drained:
                outwards.close()
                self.sim.at(self.sim.ms(5, 10), self._hung_up, client, inwards)
            else:
                outwards.cut()
                client.disconnected()

    def _hung_up(self, client: Client, inwards: Channel) -> None:
        if client.connection is inwards:
            client.disconnected()

    # --- the story ---

    def run(self) -> Outcome:
        """To the end, or to the first violation."""
        with packing(*PACKING[self.seed % len(PACKING)]):
            return self._run()

    def _run(self) -> Outcome:
        violation: tuple[str, str] | None = None
        try:
            self.gateway.start(False)
            self._active()
            self._quiet()
        except Violation as found:
            violation = (found.invariant, found.text)
        except Exception as bug:  # of the core or of a model: the seed that shows it must be named, and the others told
            where = traceback.extract_tb(bug.__traceback__)[-1]
            violation = (FAILS, f"{type(bug).__name__}: {bug} ({Path(where.filename).name}:{where.lineno})")
        sim = self.sim
        self._hash.update(f"{sim.steps} {sim.now} {sim.rng.random()} {violation}".encode())
        if violation is None:
            self._count_orders()
        return Outcome(
            seed=self.seed, plant=self.plant, violation=violation, trace=self._hash.hexdigest(), steps=sim.steps,
            records=self.gateway.state.seq, virtual_s=(sim.now - START_NS) / SECOND, counts=sim.counts, story=list(sim.story),
        )  # fmt: skip

    def _active(self) -> None:
        self.sim.run_until(START_NS + self._active_ns)

    def _lost(self) -> None:
        """The gateway has lost records that had left (sync = "os" and a power cut): its word cannot match any more."""
        for client in self.clients:
            client.trusting = False

    def _quiet(self) -> None:
        sim = self.sim
        sim.quiet = True
        sim.note("world", "faults stop")
        self.host.exchange.trading = False
        self.havoc.mend()
        end_ns = sim.now + QUIET_S * SECOND
        found: str | None = "nothing was compared"
        while sim.now < end_ns:
            sim.run_until(sim.now + POLL_NS)
            if self.gateway.listening:
                self.havoc.resume_all()
            found = self.agreement.first()
            if found is None:
                self.gateway.checker.at_rest(self.gateway.state)
                return
        raise Violation("all come to agree", found or "")

    def _count_orders(self) -> None:
        counts, state = self.sim.counts, self.gateway.state
        for order in state.all_orders():
            what = f"order {order.status}" + (f" {order.reason}" if order.reason else "")
            counts[what + (", executed in part" if order.cum_qty and order.status != "2" and not order.is_open else "")] += 1
        if state.cold.count:
            counts["orders packed"] += state.cold.count
        for record in self.gateway.log:
            for event in record.events:
                counts["event " + type(event).__name__] += 1
