"""`fixgw chaos`."""

from __future__ import annotations

import json
import random
import tempfile
import time
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from .check import Verdict, judge, read_journal
from .load import Load, wait_quiet
from .world import TARGETS, World

SETTLE_S = 120.0


def run_chaos(
    directory: Path, kills: int, seed: int, rate_per_s: float, targets: tuple[str, ...], console: Console
) -> tuple[Verdict, int]:
    """Kill `kills` times under load and judge; gives the verdict and the number of requests sent."""
    dice = random.Random(seed)
    with World(directory) as world:
        world.wait_venue()
        drop_copy = world.client("PB44", directory / "clients", qualifier="chaos")
        client = world.client("OMS44", directory / "clients", qualifier="chaos")
        try:
            drop_copy.start()
            client.start()
            drop_copy.wait_logon(20)
            client.wait_logon(20)
            load = Load(client, seed, rate_per_s)
            load.start()
            queue: list[str] = []
            for number in range(1, kills + 1):
                time.sleep(dice.uniform(0.2, 2.0))
                # in rounds, so that a short run hits each of them
                if not queue:
                    queue = dice.sample(targets, len(targets))
                target = queue.pop()
                hit = world.kill(target)
                console.print(f"kill {number}/{kills}: {target}{'' if hit else ' (was down)'}, {load.sent} requests sent")
                if dice.random() < 0.7:
                    _wait_up(world)
            _wait_up(world)
            time.sleep(1.0)
            load.stop()
            world.wait_venue(SETTLE_S)
            client.wait_logon(30)
            drop_copy.wait_logon(30)
            wait_quiet(client, 3.0, SETTLE_S)
            wait_quiet(drop_copy, 3.0, SETTLE_S)
            world.wait_venue(SETTLE_S)
            ledger = list(world.sim().ledger())
            journal = read_journal(directory / "data" / "journal", "OMS44")
            verdict = judge(ledger, journal, client.messages, drop_copy.messages, "main")
            return verdict, load.sent
        finally:
            client.stop()
            drop_copy.stop()


def _wait_up(world: World) -> None:
    """Until the killed part is there again."""
    world.wait("all parts are up", lambda: {"gateway", "front", "venue:sim", "simulator"} <= set(world.ready()["pids"]), 60)
    world.wait("the gateway answers", lambda: bool(world.ask("status")), 60)


@click.command(epilog="Example: fixgw chaos --kills 20 --seed 1 --json chaos.json")
@click.option("--kills", type=click.IntRange(0, 10_000), default=20, show_default=True, help="How many processes to kill.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the load and of the kills.")
@click.option("--rate", type=click.FloatRange(1, 1000), default=40.0, show_default=True, help="Requests a second.")
@click.option("--target", "targets", multiple=True, type=click.Choice(TARGETS), help="What to kill; default: any of them.")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), help="Keep everything here.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the verdict here.")
def chaos(
    kills: int, seed: int, rate: float, targets: tuple[str, ...], directory: Path | None, json_file: Path | None
) -> None:
    """Kill parts of a demo installation under load and check that nothing was lost or doubled.

    \b
    Afterwards the exchange's ledger, the journal, the client's reports and the drop copy must agree.
    Exit status 0 only if lost, doubled, mismatched and stuck are all 0.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="fixgw-chaos-") as temporary:
        verdict, sent = run_chaos(directory or Path(temporary), kills, seed, rate, targets or TARGETS, console)
    table = Table(title=f"chaos: {kills} kills, seed {seed}, {sent} requests")
    for name in ("lost", "doubled", "mismatched", "stuck", "orders", "trades", "reports"):
        table.add_column(name, justify="right")
    table.add_row(
        *(str(getattr(verdict, name)) for name in ("lost", "doubled", "mismatched", "stuck", "orders", "trades", "reports"))
    )
    console.print(table)
    for example in verdict.examples:
        console.print(example, markup=False)
    if json_file is not None:
        json_file.write_text(json.dumps({**msgspec.to_builtins(verdict), "kills": kills, "seed": seed, "requests": sent}))
    raise SystemExit(0 if verdict.clean else 1)
