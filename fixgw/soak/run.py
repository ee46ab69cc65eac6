"""One soak run: three trading sessions at a steady rate, reconnects, front kills, faults of the exchange; samples."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import quickfix

from ..chaos.havoc import Havoc
from ..chaos.load import Load
from ..chaos.run import DROP_COPY, SESSIONS
from ..chaos.world import World
from ..fix.client import ClientError, FixClient
from ..sim.client import SimError
from ..supervisor.plan import GATEWAY_MODULE_ENV, VENUE_MODULE_ENV
from .gateway import RETENTION_ENV, STATE_FILE
from .latency import Latency
from .sample import JournalSize, Sample, look
from .trend import GROWS, Point, Trend, judge_trend

PRODUCT = ("supervisor", "front", "gateway", "venue:sim", "follower")
# the simulator keeps every order it ever saw: it is a stand-in, shown and not judged
STAND_IN = "simulator"
MEMORY_LIMIT_MB_H = 1.0
HANDLE_LIMIT_H = 4.0
LATENCY_LIMIT_MS_H = 1.0
# of the bytes that a request takes in the journal
REQUEST_LIMIT_PART_H = 0.1
# preallocated segments and snapshots come and go: one segment of 64 MB an hour
SPARE_LIMIT_MB_H = 64.0
# samples over which journal bytes are set against requests: their replies, cancels and fills come later
PER_REQUEST_SAMPLES = 10
SAMPLES = 360


class Plan(msgspec.Struct, frozen=True):
    """What a run does. Times in s; `every_*`: mean distance of the disturbances, 0: none."""

    duration_s: float
    seed: int = 1
    rate_per_s: float = 20.0
    retention_s: float = 60.0
    warmup_s: float = 540.0
    every_fault_s: float = 10.0
    every_reconnect_s: float = 30.0
    every_front_kill_s: float = 300.0

    @property
    def interval_s(self) -> float:
        return max(0.5, self.duration_s / SAMPLES)


class Mark(msgspec.Struct, frozen=True):
    """Something that was done to it. `kind`: "fault", "reconnect", "front"."""

    at_s: float
    kind: str
    what: str


class PerOrder(msgspec.Struct, frozen=True):
    """What grows with the load by design, in bytes. `state`: per order in the gateway's memory, kept for the retention time
    (finished ones, and the few open ones); None where it was not told. `index`: QuickFIX's, per order and for all sessions."""

    state: float | None
    journal: float
    index: float
    new_orders: int


class Soak(msgspec.Struct):
    """The outcome."""

    plan: Plan
    samples: list[Sample] = []
    marks: list[Mark] = []
    died: list[str] = []
    # before its time was over
    interrupted: bool = False
    trends: list[Trend] = []
    # names of the series that grow beyond their limit
    flags: list[str] = []
    per_order: PerOrder | None = None


def run_soak(directory: Path, plan: Plan, say: Callable[[str], None]) -> Soak:
    """Run, sample and judge. Raises NotUp, TimeoutError, ClientError when the installation does not come up."""
    soak = Soak(plan=plan, samples=[], marks=[], died=[], trends=[], flags=[])
    env = {}
    if plan.retention_s:
        env = {GATEWAY_MODULE_ENV: "fixgw.soak.gateway", VENUE_MODULE_ENV: "fixgw.soak.venue_host"}
        env[RETENTION_ENV] = str(plan.retention_s)
    latency = Latency()
    with World(directory, env=env) as world:
        world.wait_venue()
        clients = {
            name: world.client(name, directory / "clients", qualifier="soak", on_message=latency.heard, inbox_max=1000)
            for name in SESSIONS
        }
        copy = world.client(DROP_COPY, directory / "clients", qualifier="soak", inbox_max=1000)
        everybody = [*clients.values(), copy]
        loads = [
            Load(client, plan.seed * 1000 + number, plan.rate_per_s / len(clients))
            for number, client in enumerate(clients.values())
        ]
        try:
            for client in everybody:
                client.start()
            for client in everybody:
                client.wait_logon(20)
            for load in loads:
                load.on_sent = latency.sent
                load.start()
            try:
                _steady(world, plan, soak, latency, loads, everybody, say)
            except KeyboardInterrupt:
                say("interrupted: judging what there is (once more: give up)")
                soak.interrupted = True
            for load in loads:
                load.stop()
            soak.died = world.unplanned_exits() + [error for load in loads for error in load.errors]
            soak.died += [repr(error) for client in everybody for error in client.errors]
        finally:
            for client in everybody:
                client.stop(logout=False)
        orders = sum(1 for load in loads for request in load.requests if request.kind == "D")
    soak.trends = trends(soak.samples, plan.warmup_s)
    soak.flags = [trend.name for trend in soak.trends if trend.verdict == GROWS]
    soak.per_order = _per_order(soak, orders, directory / "run" / STATE_FILE)
    return soak


def _per_order(soak: Soak, new_orders: int, told: Path) -> PerOrder | None:
    if not soak.samples or not new_orders:
        return None
    last, state = soak.samples[-1], None
    with contextlib.suppress(OSError, ValueError, KeyError, ZeroDivisionError):
        found = json.loads(told.read_text())
        state = found["bytes"] / found["orders"]
    return PerOrder(state, last.journal_mb * 1e6 / new_orders, last.index_mb * 1e6 / new_orders, new_orders)


def _steady(
    world: World,
    plan: Plan,
    soak: Soak,
    latency: Latency,
    loads: list[Load],
    clients: list[FixClient],
    say: Callable[[str], None],
) -> None:
    """The time itself: disturb and sample."""
    trouble = _Trouble(world, plan, clients)
    journal = JournalSize(world.directory / "data" / "journal")
    began = time.monotonic()
    next_sample = 0.0
    try:
        while (at_s := time.monotonic() - began) < plan.duration_s:
            soak.marks += trouble.due(at_s)
            if at_s >= next_sample:
                next_sample += plan.interval_s
                took = latency.take()
                sent = sum(load.sent for load in loads)
                with contextlib.suppress(OSError, ValueError, KeyError):  # the ready file is just being written
                    soak.samples.append(look(world, at_s, journal, sent, took.p50_ms, took.p99_ms))
                    if len(soak.samples) % 10 == 1:
                        say(_line(soak.samples[-1], plan))
            time.sleep(0.05)
    finally:
        trouble.end()


def _line(sample: Sample, plan: Plan) -> str:
    memory = ", ".join(f"{name} {process.rss_mb:.0f}" for name, process in sample.processes.items())
    p50 = f"{sample.p50_ms:.1f}" if sample.p50_ms is not None else "-"
    return f"{sample.at_s:.0f}/{plan.duration_s:.0f} s: {sample.requests} requests, p50 {p50} ms; MB: {memory}"


class _Trouble:
    """Seeded disturbances at random times around their mean distance."""

    def __init__(self, world: World, plan: Plan, clients: list[FixClient]) -> None:
        self._world = world
        self._plan = plan
        self._clients = clients
        self._random = random.Random(f"{plan.seed}/soak")
        self._havoc = Havoc(world, ("front",), plan.seed)
        self._away: dict[float, FixClient] = {}
        self._next = {
            "fault": self._after(0, plan.every_fault_s),
            "reconnect": self._after(0, plan.every_reconnect_s),
            "front": self._after(0, plan.every_front_kill_s),
        }

    def _after(self, at_s: float, mean_s: float) -> float:
        return at_s + mean_s * self._random.uniform(0.5, 1.5) if mean_s else float("inf")

    def due(self, at_s: float) -> list[Mark]:
        """Do what is due; what was done."""
        done = []
        for back_s in [back_s for back_s in self._away if back_s <= at_s]:
            _session(self._away.pop(back_s)).logon()
        if at_s >= self._next["fault"]:
            self._next["fault"] = self._after(at_s, self._plan.every_fault_s)
            if kind := self._havoc.fault():
                done.append(Mark(at_s, "fault", kind))
        if at_s >= self._next["reconnect"]:
            self._next["reconnect"] = self._after(at_s, self._plan.every_reconnect_s)
            client = self._random.choice(self._clients)
            with contextlib.suppress(ClientError):
                _session(client).logout("soak: a reconnect")
                self._away[at_s + 1.5] = client
                done.append(Mark(at_s, "reconnect", client.sender))
        if at_s >= self._next["front"]:
            self._next["front"] = self._after(at_s, self._plan.every_front_kill_s)
            if self._world.kill("front"):
                done.append(Mark(at_s, "front", "kill -9"))
        return done

    def end(self) -> None:
        """Everybody back."""
        for client in self._away.values():
            _session(client).logon()
        with contextlib.suppress(SimError, OSError):
            self._world.sim().clear_faults()


def _session(client: FixClient) -> Any:
    session = quickfix.Session.lookupSession(client.session_id)
    if session is None:
        raise ClientError(f"{client!r} is not started")
    return session


def bytes_per_request(samples: list[Sample]) -> list[Point]:
    """Journal bytes per request, over each PER_REQUEST_SAMPLES samples."""
    ends = samples[::PER_REQUEST_SAMPLES]
    return [
        Point(b.at_s, (b.journal_mb - a.journal_mb) * 1e6 / (b.requests - a.requests))
        for a, b in pairwise(ends)
        if b.requests > a.requests
    ]


def trends(samples: list[Sample], warmup_s: float) -> list[Trend]:
    """Every series judged. What grows by design (journal, QuickFIX's index, its files) is told and not judged; what the
    index takes is taken off the gateway's memory, so that the rest can be judged."""

    def of(pick: Callable[[Sample], float | None]) -> list[Point]:
        return [Point(s.at_s, value) for s in samples if (value := pick(s)) is not None]

    found = []
    names = [name for name in (*PRODUCT, STAND_IN) if any(name in s.processes for s in samples)]
    for name in names:
        limit = MEMORY_LIMIT_MB_H if name in PRODUCT else None
        points = [Point(s.at_s, p.rss_mb, p.pid) for s in samples if (p := s.processes.get(name)) is not None]
        used = [Point(s.at_s, p.used_mb, p.pid) for s in samples if (p := s.processes.get(name)) and p.used_mb is not None]
        if name == "gateway":
            found.append(judge_trend("gateway memory, all", "MB", points, warmup_s, None))
            at = {s.at_s: s for s in samples}
            without = [Point(p.at_s, p.value - at[p.at_s].index_mb, p.life) for p in points]
            found.append(judge_trend("gateway memory, without QuickFIX's index", "MB", without, warmup_s, limit))
            # the index fills what the start left free on the heap, and could so hide what grows besides
            used = [Point(p.at_s, p.value - at[p.at_s].index_mb, p.life) for p in used]
            if used:
                found.append(judge_trend("gateway memory in use, without index", "MB", used, warmup_s, limit))
        else:
            found.append(judge_trend(f"{name} memory", "MB", points, warmup_s, limit))
            if used:
                found.append(judge_trend(f"{name} memory in use", "MB", used, warmup_s, limit))
    found.append(judge_trend("QuickFIX's index in memory", "MB", of(lambda s: s.index_mb), warmup_s, None))
    found.append(judge_trend("QuickFIX's store files", "MB", of(lambda s: s.store_mb), warmup_s, None))
    found.append(judge_trend("journal, records", "MB", of(lambda s: s.journal_mb), warmup_s, None))
    per_request = bytes_per_request(samples)
    typical = median(p.value for p in per_request) if per_request else 0.0
    # more load is more journal; what may not grow is what one request takes, and the room besides the records
    found.append(judge_trend("journal, bytes per request", "B", per_request, warmup_s, typical * REQUEST_LIMIT_PART_H or None))
    spare = of(lambda s: s.journal_disk_mb - s.journal_mb)
    found.append(judge_trend("journal, disk besides records", "MB", spare, warmup_s, SPARE_LIMIT_MB_H))
    for name in names:
        limit = HANDLE_LIMIT_H if name in PRODUCT else None
        handles = [Point(s.at_s, p.handles, p.pid) for s in samples if (p := s.processes.get(name)) is not None]
        threads = [Point(s.at_s, p.threads, p.pid) for s in samples if (p := s.processes.get(name)) is not None]
        found.append(judge_trend(f"{name} handles", "", handles, warmup_s, limit))
        found.append(judge_trend(f"{name} threads", "", threads, warmup_s, limit))
    found.append(judge_trend("latency p50", "ms", of(lambda s: s.p50_ms), warmup_s, LATENCY_LIMIT_MS_H))
    return found
