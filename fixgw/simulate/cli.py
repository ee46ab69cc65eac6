"""`fixgw simulate`."""

from __future__ import annotations

import json
import os
import time
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .campaign import Chunk, Found, run_plants, run_seeds, simplify, workers
from .plants import PLANTS
from .scheduler import FAULTS
from .shrink import Case, shrink
from .tell import lines
from .world import ACTIVE_S

_STORY = 200_000
_NOT_OUTCOMES = ("fault ", "died: ", "event ")


def _kinds(_: click.Context, __: click.Parameter, value: str) -> frozenset[str]:
    kinds = frozenset(filter(None, value.split(",")))
    for kind in sorted(kinds - set(FAULTS)):
        raise click.BadParameter(f"{kind!r}: expected some of {', '.join(FAULTS)}")
    return kinds


@click.command(epilog="Example: fixgw simulate --seeds 1000 --json simulate.json")
@click.option("--seeds", type=click.IntRange(0, 10_000_000), default=1000, show_default=True, help="How many stories.")
@click.option("--first", type=click.IntRange(0), default=1, show_default=True, help="The first seed.")
@click.option("--jobs", type=click.IntRange(1, 256), default=os.cpu_count() or 1, show_default=True, help="Processes.")
@click.option("--plants/--no-plants", default=True, show_default=True, help="Look for each planted bug after the seeds.")
@click.option("--seed", type=click.IntRange(0), help="Replay one seed and tell its story.")
@click.option("--plant", default="", type=click.Choice(["", *PLANTS]), help="Only this planted bug (with --seed: in that seed).")
@click.option("--off", default="", callback=_kinds, help="With --seed: kinds of faults that do not happen, by commas.")
@click.option("--active", type=click.FloatRange(1, 3600), default=ACTIVE_S, show_default=True, help="With --seed: s of faults.")
@click.option("--deep", is_flag=True, help="With --seed: check purity and hashes at every single step.")
@click.option("--full", is_flag=True, help="With --seed: tell all of it, not only what concerns the violation.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the verdict here.")
def simulate(
    seeds: int, first: int, jobs: int, plants: bool, seed: int | None, plant: str, off: frozenset[str], active: float,
    deep: bool, full: bool, json_file: Path | None,
) -> None:  # fmt: skip
    """Run the gateway's core through thousands of stories full of faults, on a virtual clock.

    \b
    Each seed is one story: clients, a drop copy, gateway, journal disk, venue host and exchange, crashes between any two
    steps, power cuts, lost, doubled, late and reordered messages. Invariants are checked at every step; at the end
    everybody must agree with the exchange. A failing seed names the command that replays it. Then each planted bug must be
    found within 200 seeds. Exit status 0 only if no seed failed and every plant was found.
    """
    console = Console()
    if seed is not None:
        raise SystemExit(_replay(console, Case(seed, plant, off, active), deep, full))
    if plant:
        seeds = 0
    started = time.monotonic()
    with workers(jobs) as pool, _progress(console) as progress:
        task = progress.add_task("seeds", total=seeds, failures=0)
        shown = task

        def say(sum_: Chunk) -> None:
            progress.update(shown, completed=sum_.seeds, failures=len(sum_.failures))

        total = run_seeds(pool, first, seeds, say)
        seeds_s = time.monotonic() - started
        found: list[Found] = []
        names = (plant,) if plant else tuple(PLANTS) if plants else ()
        task = progress.add_task("plants", total=len(names), failures=0)
        for item in run_plants(pool, first, names):
            found.append(item)
            progress.update(task, completed=len(found))
    simplify(total.failures)
    _tell(console, total, found, seeds_s)
    if json_file is not None:
        json_file.write_text(json.dumps(_json(total, found, seeds_s, first, jobs), indent=2) + "\n")
    fine = not total.failures and all(item.seed is not None for item in found)
    raise SystemExit(0 if fine else 1)


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("failures {task.fields[failures]}"),
    )  # fmt: skip
    return Progress(*columns, console=console)


def _replay(console: Console, case: Case, deep: bool, full: bool) -> int:
    """Tell the story of one seed; when it fails, look for a simpler one."""
    outcome = case.run(_STORY, deep)
    for line in lines(outcome, full):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"seed {case.seed}: {outcome.steps} steps, {outcome.records} records, {outcome.virtual_s:.0f} virtual s, "
                  f"trace {outcome.trace}", markup=False, highlight=False, soft_wrap=True)  # fmt: skip
    if outcome.violation is None:
        console.print("every invariant holds")
        return 0
    console.print(f"violated: {': '.join(outcome.violation)}", markup=False, highlight=False, soft_wrap=True)
    simpler, tries = shrink(case, outcome.violation[0])
    if simpler != case:
        console.print(f"simpler ({tries} tries): {simpler.command()}", markup=False, highlight=False, soft_wrap=True)
    return 1


def _tell(console: Console, total: Chunk, found: list[Found], seconds: float) -> None:
    if total.seeds:
        console.print(_summary(total, seconds))
        console.print(_exercised(total))
    if found:
        table = Table(title="planted bugs")
        for name in ("plant", "found at seed", "seeds tried", "by the invariant"):
            table.add_column(name)
        for item in found:
            where = str(item.seed) if item.seed is not None else "NOT FOUND"
            table.add_row(item.plant, where, str(item.tried), item.invariant)
        console.print(table)
    for failure in total.failures:
        console.print(f"seed {failure.seed} violates: {failure.invariant}: {failure.text[:400]}", markup=False, soft_wrap=True)
        console.print(f"  replay:  {failure.command}", markup=False, highlight=False)
        if failure.simpler:
            console.print(f"  simpler: {failure.simpler}", markup=False, highlight=False, soft_wrap=True)


def _summary(total: Chunk, seconds: float) -> Table:
    table = Table(title=f"simulate: {total.seeds} seeds")
    figures = {
        "failures": f"{len(total.failures)}",
        "virtual minutes": f"{total.virtual_s / 60:,.0f}",
        "virtual minutes / minute": f"{total.virtual_s / max(seconds, 0.001):,.0f}",
        "steps": f"{total.steps:,}",
        "records": f"{total.records:,}",
        "s": f"{seconds:.1f}",
        "CPU ms / seed": f"{1000 * total.cpu_s / max(total.seeds, 1):.0f}",
    }
    for name in figures:
        table.add_column(name, justify="right")
    table.add_row(*figures.values())
    return table


def _exercised(total: Chunk) -> Table:
    table = Table(title="exercised")
    table.add_column("faults and crash points")
    table.add_column("times", justify="right")
    table.add_column("outcomes", overflow="fold")
    table.add_column("times", justify="right")
    left: list[tuple[str, int]] = [(kind, total.counts["fault " + kind]) for kind in FAULTS]
    left += sorted((key, count) for key, count in total.counts.items() if key.startswith("died: "))
    right = sorted((key, count) for key, count in total.counts.items() if not key.startswith(_NOT_OUTCOMES))
    for cells in zip_longest(left, right):
        table.add_row(*(str(cell) for pair in cells for cell in (pair or ("", ""))))
    return table


def _json(total: Chunk, found: list[Found], seconds: float, first: int, jobs: int) -> dict[str, Any]:
    counts = total.counts
    return {
        "seeds": total.seeds,
        "failures": len(total.failures),
        "planted_found": sum(item.seed is not None for item in found),
        "planted": len(found),
        "plants": {
            item.plant: {"found": item.seed is not None, "seed": item.seed, "tried": item.tried, "invariant": item.invariant}
            for item in found
        },
        "failed": [
            {"seed": item.seed, "invariant": item.invariant, "text": item.text, "command": item.command, "simpler": item.simpler}
            for item in total.failures
        ],
        "first_seed": first,
        "jobs": jobs,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(total.cpu_s, 1),
        "virtual_minutes": round(total.virtual_s / 60, 1),
        "steps": total.steps,
        "records": total.records,
        "faults": {kind: counts["fault " + kind] for kind in FAULTS},
        "crash_points": {key[6:]: counts[key] for key in sorted(counts) if key.startswith("died: ")},
        "events": {key[6:]: counts[key] for key in sorted(counts) if key.startswith("event ")},
        "outcomes": {key: counts[key] for key in sorted(counts) if not key.startswith(_NOT_OUTCOMES)},
    }
