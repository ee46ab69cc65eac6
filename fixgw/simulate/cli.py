"""`fixgw simulate`."""

from __future__ import annotations

import json
import os
import time
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..interrupt import interruptible
from ..outputs import check_outputs, write_outputs
from .campaign import Chunk, Found, WorkerDied, run_plants, run_seeds, simplify, workers
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


# they belong to a campaign of many seeds, and to the replay of one
_OF_MANY = ("seeds", "first", "jobs", "plants")
_OF_ONE = ("off", "active", "deep", "full")


@click.command(epilog="Example: fixgw simulate --seeds 1000 --json simulate.json")
@click.option("--seeds", type=click.IntRange(0, 10_000_000), default=1000, show_default=True, help="How many stories.")
@click.option("--first", type=click.IntRange(0), default=1, show_default=True, help="The first seed.")
@click.option("--jobs", type=click.IntRange(1, 256), default=os.cpu_count() or 1, show_default=True, help="Processes.")
@click.option("--plants/--no-plants", default=True, show_default=True, help="Look for the planted bugs after the seeds.")
@click.option("--seed", type=click.IntRange(0), help="Replay one seed and tell its story.")
@click.option("--plant", default="", type=click.Choice(["", *PLANTS]), help="Only this planted bug.")
@click.option("--off", default="", callback=_kinds, help="With --seed: kinds of faults that do not happen, by commas.")
@click.option("--active", type=click.FloatRange(1, 3600), default=ACTIVE_S, show_default=True, help="With --seed: s of faults.")
@click.option("--deep", is_flag=True, help="With --seed: check purity and hashes at every single step.")
@click.option("--full", is_flag=True, help="With --seed: tell all of it, not only what concerns the violation.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the verdict here.")
@click.pass_context
@interruptible
def simulate(
    context: click.Context, seeds: int, first: int, jobs: int, plants: bool, seed: int | None, plant: str, off: frozenset[str],
    active: float, deep: bool, full: bool, json_file: Path | None,
) -> None:  # fmt: skip
    """Run the gateway's core through thousands of stories full of faults, on a virtual clock.

    \b
    Each seed is one story: clients, a drop copy, gateway, journal disk, venue host and exchange, crashes between any two
    steps, power cuts, lost, doubled, late and reordered messages. Invariants are checked at every step; at the end
    everybody must agree with the exchange. A failing seed names the command that replays it. Then each planted bug must be
    found within 200 seeds. Exit status 0 only if no seed failed and every plant was found.

    \b
    --plant BUG            looks for this bug only, without running seeds first
    --plant BUG --seeds N  runs N seeds without a bug, then looks for this one only
    --plant BUG --seed S   replays seed S with this bug in it; exit status 1 if it shows
    """
    given = {name for name in (*_OF_MANY, *_OF_ONE) if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    _check_together(given, seed, seeds, plant, plants)
    check_outputs({"--json": json_file})
    console = Console()
    if seed is not None:
        raise SystemExit(_replay(console, Case(seed, plant, off, active, deep), full, json_file))
    if plant and "seeds" not in given:
        seeds = 0
    try:
        total, found, seeds_s = _campaign(console, first, seeds, jobs, (plant,) if plant else tuple(PLANTS) if plants else ())
    except WorkerDied as error:
        raise click.ClickException(str(error)) from error
    simplify(total.failures)
    _tell(console, total, found, seeds_s)
    fine = _write(json_file, _json(total, found, seeds_s, first, jobs))
    fine = fine and not total.failures and all(item.seed is not None for item in found)
    raise SystemExit(0 if fine else 1)


def _campaign(
    console: Console, first: int, seeds: int, jobs: int, plants: tuple[str, ...]
) -> tuple[Chunk, list[Found], float]:
    """The sum of all seeds, what was found of each plant, and the seconds that the seeds took."""
    started = time.monotonic()
    with workers(jobs) as pool, _progress(console) as progress:
        running = progress.add_task("seeds", total=seeds, failures=0)

        def say(sum_: Chunk) -> None:
            progress.update(running, completed=sum_.seeds, failures=len(sum_.failures))

        total = run_seeds(pool, first, seeds, say)
        seeds_s = time.monotonic() - started
        found: list[Found] = []
        looking = progress.add_task("plants", total=len(plants), failures=0)
        for item in run_plants(pool, first, plants):
            found.append(item)
            progress.update(looking, completed=len(found))
    return total, sorted(found, key=lambda item: plants.index(item.plant)), seeds_s


def _check_together(given: set[str], seed: int | None, seeds: int, plant: str, plants: bool) -> None:
    """Options that say nothing together, or of which one would be passed over. Raises click.UsageError."""
    told, what = (_OF_MANY, "--seed replays one seed") if seed is not None else (_OF_ONE, "it goes with --seed")
    for name in told:
        if name in given:
            option = {"plants": "--plants/--no-plants"}.get(name, f"--{name}")
            raise click.UsageError(f"{option} cannot be used here: {what}")
    if plant and not plants:
        raise click.UsageError(f"--no-plants and --plant {plant}: expected one of them")
    if seed is None and seeds == 0 and not plants:
        raise click.UsageError("--seeds 0 and --no-plants: there would be nothing to run")


def _write(json_file: Path | None, told: dict[str, Any]) -> bool:
    """False: it could not be written."""
    return write_outputs([("--json", json_file, lambda path: path.write_text(json.dumps(told, indent=2) + "\n"))])


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("failures {task.fields[failures]}"),
    )  # fmt: skip
    return Progress(*columns, console=console)


def _replay(console: Console, case: Case, full: bool, json_file: Path | None) -> int:
    """Tell the story of one seed; when it fails, look for a simpler one. The exit status."""
    outcome = case.run(_STORY)
    for line in lines(outcome, full):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"seed {case.seed}: {outcome.steps} steps, {outcome.records} records, {outcome.virtual_s:.0f} virtual s, "
                  f"trace {outcome.trace}", markup=False, highlight=False, soft_wrap=True)  # fmt: skip
    told: dict[str, Any] = {
        "seed": case.seed, "plant": case.plant, "off": sorted(case.off), "active_s": case.active_s,
        "failures": int(outcome.violation is not None), "steps": outcome.steps, "records": outcome.records,
        "virtual_s": round(outcome.virtual_s, 1), "trace": outcome.trace, "invariant": "", "text": "", "simpler": "",
    }  # fmt: skip
    if outcome.violation is None:
        console.print("every invariant holds")
        return 0 if _write(json_file, told) else 1
    console.print(f"violated: {': '.join(outcome.violation)}", markup=False, highlight=False, soft_wrap=True)
    simpler, tries = shrink(case, outcome.violation[0])
    if simpler != case:
        console.print(f"simpler ({tries} tries): {simpler.command()}", markup=False, highlight=False, soft_wrap=True)
        told["simpler"] = simpler.command()
    told["invariant"], told["text"] = outcome.violation
    _write(json_file, told)
    return 1


def _tell(console: Console, total: Chunk, found: list[Found], seconds: float) -> None:
    if total.seeds:
        console.print(_summary(total, seconds))
        console.print(_exercised(total))
    if found:
        table = Table(title="planted bugs")
        table.add_column("plant", no_wrap=True)  # as --plant takes it
        for name in ("found at seed", "seeds tried", "by the invariant"):
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
