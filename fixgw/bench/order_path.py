"""`fixgw bench order-path`: who takes part, the rounds, the figures.

    commit, os      the gateway in both sync modes          r1, r2      the bare acceptor without and with a sync
    few, many       the gateway (commit) with `few_open` and `many_open` orders open
    floor           the bare acceptor that also has another process acknowledge each order (reference.py): what is left of
                    R1's speed before a gateway has checked, journaled or logged anything

One client process plays all turns, the parties in turning order within each round; figures are medians over rounds. The
ratios compare medians of the same run. few and many measure with IOC orders, which the venue ends at once, so that the
number of open orders stays what it is.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from ..process import tied
from .firm import CLIENT, REFERENCE_PX, SYMBOL
from .oms import Plan, Turn
from .party import BenchError, Party, cpu_count, spinner, start_gateway, start_reference

GTC, IOC = "1", "3"
REFERENCES: Final = ("r1", "r2", "floor")
PRELOAD_TURN: Final = 5_000
TARGETS: Final = {
    "p50_ratio_durable": ("<=", 1.3),
    "p50_ratio_os": ("<=", 1.6),
    "rate_ratio": (">=", 0.8),
    "open_orders_ratio": ("<=", 1.2),
}


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: rounds, orders per turn with window 1 and window 64, open orders of few and many."""

    rounds: int = 10
    single: int = 300
    windowed: int = 2000
    window: int = 64
    few_open: int = 100
    many_open: int = 100_000


QUICK: Final = Size(rounds=1, single=20, windowed=64, window=16, few_open=10, many_open=100)


def turns_of(size: Size, parties: Sequence[str]) -> list[Turn]:
    """Preload, one warm-up round (label "warm"), then the rounds ("single", "window")."""
    turns = []
    for name, total in (("few", size.few_open), ("many", size.many_open)):
        if name in parties:
            for start in range(0, total, PRELOAD_TURN):
                turns.append(Turn(name, "preload", min(PRELOAD_TURN, total - start), 256, GTC, after=1))
    for number in range(size.rounds + 1):
        order = list(parties)
        # each party comes first, second, ... equally often
        shift = number % len(order)
        for name in order[shift:] + order[:shift]:
            label = "warm" if number == 0 else "single"
            after = 0 if name in ("r1", "r2") else 1
            if name in ("few", "many"):
                # acknowledged and at once expired: 150=0 and 150=C
                turns.append(Turn(name, label, size.single, 1, IOC, after=2))
            else:
                turns.append(Turn(name, label, size.single, 1, GTC, after=after))
                if size.windowed:
                    turns.append(
                        Turn(name, label.replace("single", "window"), size.windowed, size.window, GTC, after=after)
                    )
    return turns


def measure(size: Size, directory: Path, tell: Callable[[str], None], names: Sequence[str]) -> dict[str, Any]:
    """Start the parties `names`, play, stop; the figures as the JSON file has them. Raises BenchError."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(spinner())
        parties = {}
        for name in names:
            tell(f"starting {name}")
            party = parties[name] = make_party(name, directory)
            stack.callback(party.stop)
            if name in REFERENCES:
                start_reference(party)
            else:
                start_gateway(party, "os" if name == "os" else "commit")
        turns = turns_of(size, names)
        played = play(parties, turns, directory, tell)
        for party in parties.values():
            party.check()
    return figures(size, turns, played, names)


def make_party(name: str, directory: Path) -> Party:
    """A party with a folder of its own below `directory`."""
    folder = directory / name
    folder.mkdir(parents=True)
    return Party(name, folder)


def play(parties: dict[str, Party], turns: list[Turn], directory: Path, tell: Callable[[str], None]) -> list[list[int]]:
    """Run the client process; its figures per turn. Raises BenchError."""
    plan = Plan(CLIENT, "FIXGW", SYMBOL, REFERENCE_PX, {name: party.port for name, party in parties.items()}, turns)
    plan_file = directory / "plan.json"
    plan_file.write_bytes(msgspec.json.encode(plan))
    answer_file = directory / "answer.json"
    with answer_file.open("wb") as answer:
        process = subprocess.Popen(
            tied("fixgw.bench.oms", str(plan_file)),
            stdin=subprocess.DEVNULL, stdout=answer, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        problem = ""
        try:
            assert process.stderr is not None
            for done, line in enumerate(process.stderr, 1):
                if line.startswith("error: "):
                    problem = line.removeprefix("error: ").strip()
                tell(f"turn {done} of {len(turns)}: {line.strip()}")
            status = process.wait(10)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(5)
    if status:
        raise BenchError(problem or f"the client ended with {status}")
    played: list[list[int]] = json.loads(answer_file.read_bytes())["turns"]
    return played


def percentile(values: Sequence[int], percent: float) -> float:
    """By the nearest rank."""
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))])


def figures(size: Size, turns: list[Turn], played: list[list[int]], names: Sequence[str]) -> dict[str, Any]:
    """Ratios and raw figures: us per order, orders per second."""
    raw: dict[str, dict[str, Any]] = {}
    for name in names:
        singles = [done[:-1] for turn, done in zip(turns, played, strict=True) if (turn.party, turn.label) == (name, "single")]
        windows = [done for turn, done in zip(turns, played, strict=True) if (turn.party, turn.label) == (name, "window")]
        p50s = [percentile(done, 50) / 1000 for done in singles]
        rates = [turns_orders / (done[-1] / 1e9) for done in windows if (turns_orders := len(done) - 1)]
        raw[name] = {
            "p50_us": round(statistics.median(p50s), 1),
            "p99_us": round(statistics.median(percentile(done, 99) / 1000 for done in singles), 1),
            "p50_us_by_round": [round(value, 1) for value in p50s],
        }
        if rates:
            raw[name]["orders_per_s"] = round(statistics.median(rates))
            raw[name]["window_p50_us"] = round(statistics.median(percentile(done[:-1], 50) / 1000 for done in windows), 1)
            raw[name]["orders_per_s_by_round"] = [round(rate) for rate in rates]
    found: dict[str, Any] = {
        "p50_ratio_durable": _ratio(raw, "commit", "r2", "p50_us"),
        "p50_ratio_os": _ratio(raw, "os", "r1", "p50_us"),
        "rate_ratio": _ratio(raw, "commit", "r1", "orders_per_s"),
        "open_orders_ratio": _ratio(raw, "many", "few", "p50_us"),
        "floor_p50_ratio": _ratio(raw, "floor", "r1", "p50_us"),
        "floor_rate_ratio": _ratio(raw, "floor", "r1", "orders_per_s"),
    }
    return {**found, "targets_met": targets_met(found), "raw": raw, "size": _size(size), "cpus": cpu_count()}


def _ratio(raw: dict[str, dict[str, Any]], one: str, other: str, key: str) -> float | None:
    """None when one of them was not measured."""
    if key not in raw.get(one, {}) or key not in raw.get(other, {}):
        return None
    return round(float(raw[one][key]) / float(raw[other][key]), 3)


def targets_met(found: dict[str, Any]) -> dict[str, bool]:
    """Ratio -> whether it is within its target; those that were measured."""
    met = {}
    for key, (sign, bound) in TARGETS.items():
        value = found.get(key)
        if value is not None:
            met[key] = value <= bound if sign == "<=" else value >= bound
    return met


def _size(size: Size) -> dict[str, int]:
    return {name: getattr(size, name) for name in Size.__slots__}
