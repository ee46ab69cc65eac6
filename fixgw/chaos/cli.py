"""`fixgw chaos`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from ..fix.client import ClientError
from ..interrupt import INTERRUPTED, interruptible
from ..outputs import check_outputs, new_folder, write_outputs
from ..supervisor.tree import NotUp
from .check import KINDS
from .havoc import TARGETS
from .plants import PLANTS
from .run import Outcome, run_chaos

NOT_FOUND = 3  # the planted bug was not found; click itself ends with 2
_COLUMNS = (*KINDS, "orders", "trades", "reports")


@click.command(epilog="Example: fixgw chaos --kills 20 --seed 1 --json chaos.json")
@click.option("--kills", type=click.IntRange(0, 10_000), default=20, show_default=True, help="How many processes to kill.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the load, the kills and the faults.")
@click.option("--rate", type=click.FloatRange(1, 1000), default=30.0, show_default=True, help="Requests a second.")
@click.option("--target", "targets", multiple=True, type=click.Choice(TARGETS), help="What to kill; default: all of them.")
@click.option("--plant", default="", type=click.Choice(["", *PLANTS]), help="Plant a known bug: the run must find it.")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), help="Keep all in this new folder.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the verdict here.")
@interruptible
def chaos(
    kills: int,
    seed: int,
    rate: float,
    targets: tuple[str, ...],
    plant: str,
    directory: Path | None,
    json_file: Path | None,
) -> None:
    """Kill parts of a demo installation under load and check that nothing was lost or doubled.

    \b
    Three sessions trade; front, gateway (also at chosen steps between receipt and report), venue host, exchange and
    its connections are killed, and the exchange makes faults of its own. Afterwards the exchange's ledger, the
    journal, the clients' reports and the drop copy must agree. Exit status 0 only if lost, doubled, mismatched and
    stuck are all 0, no part ended by itself and all kills were made, else 1. Ctrl-C ends the kills and judges what there
    was (once more: gives up); exit status 130.

    \b
    With --plant the gateway has a known bug and is killed once more where that bug shows. Exit status 1 then means that
    the bug was found, 3 that it was NOT found: the checker itself has failed.
    """
    check_outputs({"--json": json_file}, directory)
    console = Console()
    say = _printer(console)
    try:
        with new_folder(directory, "fixgw-chaos-") as folder:
            outcome = run_chaos(folder, kills, seed, rate, targets or TARGETS, say, plant)
    except (NotUp, TimeoutError, ClientError) as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(NOT_FOUND if plant else 1) from None
    verdict = outcome.verdict
    console.print(_table(outcome, seed, plant))
    for example in verdict.examples:
        say(example)
    for line in outcome.died[:20]:
        say(f"not by a kill: {line}")
    if plant:
        what = "NOT found" if verdict.clean else "found"
        why = "" if outcome.plant_met else " (the gateway did not come to where it shows)"
        say(f"planted bug {what}: {plant}{why if verdict.clean else ''}")
    told = msgspec.to_builtins(verdict) | {"kills": outcome.kills, "seed": seed, "plant": plant}
    told |= {"faults": outcome.faults, "at_traps": outcome.at_traps, "died": outcome.died}
    told |= {"plant_met": outcome.plant_met, "plant_found": not verdict.clean} if plant else {}
    told["seconds"] = round(outcome.seconds, 1)
    fine = write_outputs([("--json", json_file, lambda path: path.write_text(json.dumps(told, indent=2) + "\n"))])
    if plant and verdict.clean:
        raise SystemExit(NOT_FOUND)
    if not (fine and verdict.clean and not outcome.died):
        raise SystemExit(1)
    if outcome.interrupted:
        raise SystemExit(INTERRUPTED)
    raise SystemExit(1 if outcome.kills < kills else 0)  # what was not killed proves nothing


def _printer(console: Console) -> Callable[[str], None]:
    """Lines are for logs as well: as long as they are."""
    return lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True)


def _table(outcome: Outcome, seed: int, plant: str) -> Table:
    title = f"chaos: {outcome.kills} kills ({sum(outcome.at_traps.values())} at traps), {outcome.faults} faults, seed {seed}, "
    title += f"{outcome.verdict.requests} requests, {outcome.seconds:.0f} s"
    table = Table(title=f"{title}, planted: {plant}" if plant else title)
    for name in _COLUMNS:
        table.add_column(name, justify="right")
    table.add_row(*(str(getattr(outcome.verdict, name)) for name in _COLUMNS))
    return table
