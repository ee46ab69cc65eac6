"""Where the gateway's time goes. `python -m fixgw.bench.gateway_profile DIR ...` is the gateway (fixgw.app) with a timer
around each stage of the order path, or, with FIXGW_BENCH_PROFILE=calls, with cProfile in its threads. Timers cost about
0.5 us a call and cProfile doubles what small functions cost, so that neither takes part in the measurement itself.

Stages nest: fromApp holds parse and submit, submit holds decide ... effects. Wall time includes waiting for the GIL, for
locks and for the disk; CPU time does not. SIGUSR1 writes the figures so far and starts from zero (warm-up left out).
"""

from __future__ import annotations

import cProfile
import importlib
import io
import json
import os
import pstats
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from .oms import PAUSE_S, Turn
from .order_path import GTC, Size, make_party, play
from .party import Party, spinner, start_gateway

MODE: Final = "FIXGW_BENCH_PROFILE"
OUTPUT: Final = "FIXGW_BENCH_PROFILE_FILE"
# (label, module, object in it, attribute)
_STAGES: Final = (
    ("callback fromApp", "fixgw.fix.callbacks", "Application", "fromApp"),
    ("  parse", "fixgw.fix.callbacks", "", "parse"),
    ("engine.submit (all threads)", "fixgw.engine", "Engine", "submit"),
    ("  decide", "fixgw.engine", "", "decide"),
    ("  encode_record", "fixgw.engine", "", "encode_record"),
    ("  evolve (each event)", "fixgw.engine", "", "evolve"),
    ("  journal.append", "fixgw.journal.store", "Journal", "append"),
    ("  journal.commit", "fixgw.journal.store", "Journal", "commit"),
    ("    fdatasync", "fixgw.journal.disk", "Disk", "fdatasync"),
    ("    pwrite", "fixgw.journal.disk", "Disk", "write_all"),
    ("  effect: venue link", "fixgw.venues.gateway_link", "VenueLinks", "effect"),
    ("  effect: edge", "fixgw.marketdata.edge", "Edge", "effect"),
    ("  reply in the connection's thread", "fixgw.fix.delivery", "Delivery", "reply"),
    ("router of reports", "fixgw.fix.delivery", "Router", "__call__"),
    ("deliver: one batch (reply or sender)", "fixgw.fix.delivery", "Delivery", "_hand_over"),
    ("  records", "fixgw.engine", "Engine", "records"),
    ("  encode FIX", "fixgw.fix.delivery", "", "encode"),
    ("  sendToTarget", "fixgw.fix.callbacks", "SessionLink", "send"),
    ("callback toApp", "fixgw.fix.callbacks", "Application", "toApp"),
    ("raw log: in and out", "fixgw.fix.rawlog", "RawLog", "write"),
    ("raw log: its thread", "fixgw.fix.rawlog", "RawLog", "_write_round"),
    ("venue link: what one read brought", "fixgw.venues.gateway_link", "VenueLinks", "_dispatch"),
)
# the functions in which the threads of the order path spend their lives
_LIVES: Final = frozenset(("callback fromApp", "deliver: one batch (reply or sender)", "venue link: what one read brought"))


class Timers:
    """Calls, wall ns and CPU ns per label. Updates from several threads may lose a call now and then: it is a profile."""

    def __init__(self) -> None:
        self.rows: dict[str, list[int]] = {}

    def around(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, timed."""
        row = self.rows.setdefault(label, [0, 0, 0])
        wall, cpu = time.perf_counter_ns, time.thread_time_ns

        def timed(*args: Any, **kwargs: Any) -> Any:
            wall_ns, cpu_ns = wall(), cpu()
            try:
                return function(*args, **kwargs)
            finally:
                row[0] += 1
                row[1] += wall() - wall_ns
                row[2] += cpu() - cpu_ns

        return timed

    def take(self) -> dict[str, list[int]]:
        """The figures since the last time."""
        taken = {}
        for label, row in self.rows.items():
            taken[label] = list(row)
            row[:] = [0, 0, 0]
        return taken


class Calls:
    """cProfile for _LIVES."""

    def __init__(self) -> None:
        self._profiles: dict[str, cProfile.Profile] = {}

    def around(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, profiled; one that runs within another profiled one is part of that."""
        busy = threading.local()

        def profiled(*args: Any, **kwargs: Any) -> Any:
            if getattr(busy, "on", False):
                return function(*args, **kwargs)
            key = f"{label.strip()} {threading.get_native_id()}"
            profile = self._profiles.get(key)
            if profile is None:
                profile = self._profiles[key] = cProfile.Profile()
            busy.on = True
            try:
                profile.enable()
            except ValueError:  # another one is active in this thread
                busy.on = False
                return function(*args, **kwargs)
            try:
                return function(*args, **kwargs)
            finally:
                profile.disable()
                busy.on = False

        return profiled

    def take(self) -> str:
        """Own time by function, per thread."""
        out = io.StringIO()
        for key, profile in self._profiles.items():
            out.write(f"\n=== {key}\n")
            pstats.Stats(profile, stream=out).sort_stats("tottime").print_stats(28)
        return out.getvalue()


def install(around: Callable[[str, Callable[..., Any]], Callable[..., Any]], labels: frozenset[str] | None = None) -> None:
    """Put `around` around the stages (all of them, or those named)."""
    for label, module_name, owner_name, attribute in _STAGES:
        if labels is not None and label.strip() not in labels:
            continue
        owner = importlib.import_module(module_name)
        if owner_name:
            owner = getattr(owner, owner_name)
        setattr(owner, attribute, around(label, getattr(owner, attribute)))


def profile(size: Size, directory: Path, tell: Callable[[str], None], modes: Sequence[str] = ("stages", "calls")) -> str:
    """Further gateways (sync = "commit"), one with timers and one with cProfile: a text. Raises BenchError."""
    text = []
    for mode in modes:
        party = make_party(f"profile-{mode}", directory)
        output = party.directory / "profile"
        environment = {MODE: mode, OUTPUT: str(output)}
        os.environ.update(environment)
        tell(f"starting the gateway with its profiler ({mode})")
        try:
            with spinner():
                pid = start_gateway(party, "commit", "fixgw.bench.gateway_profile")
                text.append(_played(size, party, pid, mode, output, directory, tell))
        finally:
            party.stop()
            for name in environment:
                del os.environ[name]
    return "\n".join(text)


def _played(
    size: Size, party: Party, pid: int, mode: str, output: Path, directory: Path, tell: Callable[[str], None]
) -> str:
    """Warm-up, window 1, window 64, the figures taken in the pauses."""
    name, single, windowed = party.name, size.single * 5, max(1, size.windowed) * 5
    turns = [
        Turn(name, "warm", max(size.windowed, 100), size.window, GTC, after=1),
        Turn(name, "mark", 0, 1),
        Turn(name, "single", single, 1, GTC, after=1),
        Turn(name, "mark", 0, 1),
        Turn(name, "window", windowed, size.window, GTC, after=1),
        Turn(name, "mark", 0, 1),
    ]
    taken: list[tuple[str, dict[str, float]]] = []

    def told(line: str) -> None:
        tell(line)
        if line.endswith(" mark"):
            output.unlink(missing_ok=True)
            os.kill(pid, signal.SIGUSR1)
            deadline = time.monotonic() + PAUSE_S
            while not output.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            taken.append((output.read_text() if output.exists() else "", party.cpu_s()))

    played = play({name: party}, turns, directory, told)
    text = []
    for index, (label, orders) in enumerate((("window 1", single), (f"window {size.window}", windowed)), 1):
        took_us = played[2 * index][-1] / 1000 / orders
        text.append(f"--- {mode}, {label}: {orders} orders, {took_us:.0f} us each")
        before, after = taken[index - 1][1], taken[index][1]
        used = ", ".join(f"{what} {(after[what] - before[what]) * 1e6 / orders:.0f}" for what in after)
        text.append(f"CPU us per order: {used}")
        text.append(_stage_table(taken[index][0], orders) if mode == "stages" else taken[index][0])
    return "\n".join(text)


def _stage_table(written: str, orders: int) -> str:
    lines = [f"{'stage':34} {'calls/order':>11} {'wall us/order':>13} {'CPU us/order':>12}"]
    for label, (calls, wall_ns, cpu_ns) in json.loads(written or "{}").items():
        lines.append(f"{label:34} {calls / orders:11.2f} {wall_ns / 1000 / orders:13.1f} {cpu_ns / 1000 / orders:12.1f}")
    return "\n".join(lines)


def main() -> int:
    """fixgw.app with the timers in."""
    import fixgw.app as app

    output = Path(os.environ[OUTPUT])
    calls, timers = Calls(), Timers()
    if os.environ.get(MODE) == "calls":
        install(calls.around, _LIVES)
    else:
        install(timers.around)

    def write(*_: object) -> None:
        text = calls.take() if os.environ.get(MODE) == "calls" else json.dumps(timers.take())
        temporary = output.with_suffix(".tmp")
        temporary.write_text(text)
        temporary.replace(output)

    signal.signal(signal.SIGUSR1, write)
    return app.main()


if __name__ == "__main__":
    sys.exit(main())
