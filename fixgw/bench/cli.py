"""`fixgw bench`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ..interrupt import interruptible
from ..outputs import check_outputs, new_folder, write_outputs

_PARTIES = ("commit", "os", "r1", "r2", "floor", "few", "many")
_JSON = click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures here.")
_DIR = click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), help="Keep all in this new folder.")


@click.group()
def bench() -> None:
    """Measure this machine: the order path, and restarts.

    \b
    Example:
      fixgw bench order-path --json order-path.json
    """


def _write(json_file: Path | None, found: dict[str, Any], profile_file: Path | None = None, text: str = "") -> None:
    """Ends with status 1 when something could not be written."""
    figures = json.dumps(found, indent=2) + "\n"
    profile = ("--profile", profile_file, lambda path: path.write_text(text))
    if not write_outputs([("--json", json_file, lambda path: path.write_text(figures)), profile]):
        raise SystemExit(1)


@bench.command("order-path", epilog="Example: fixgw bench order-path --json order-path.json --profile profile.txt")
@click.option("--quick", is_flag=True, help="A few orders only: does it work at all?")
@click.option("--rounds", type=click.IntRange(1, 1000), help="Rounds; figures are medians.  [default: 10; with --quick 1]")
@click.option("--party", "names", multiple=True, type=click.Choice(_PARTIES), help="Only these; default: all of them.")
@click.option("--profile", "profile_file", type=click.Path(path_type=Path, dir_okay=False), help="Write where the time goes.")
@_DIR
@_JSON
@interruptible
def order_path(
    quick: bool,
    rounds: int | None,
    names: tuple[str, ...],
    profile_file: Path | None,
    directory: Path | None,
    json_file: Path | None,
) -> None:
    """NewOrderSingle to first ExecutionReport, through the front, the full risk set and the journal.

    \b
    commit   the gateway, sync = "commit"       r1  a bare QuickFIX acceptor
    os       the gateway, sync = "os"           r2  the same, 300 bytes synced before each answer
    floor    r1, with another process that acknowledges each order and a second report for it, nothing else
    few, many  the gateway with 100 and with 100,000 orders open
    """
    from .gateway_profile import profile
    from .order_path import QUICK, TARGETS, Size, measure
    from .party import BenchError

    check_outputs({"--json": json_file, "--profile": profile_file}, directory)
    console = Console()
    text = ""
    size = QUICK if quick else Size()
    if rounds is not None:
        size = replace(size, rounds=rounds)
    with new_folder(directory, "fixgw-bench-") as folder, console.status("starting") as status:
        try:
            found = measure(size, folder, status.update, tuple(dict.fromkeys(names)) or _PARTIES)
            if profile_file is not None:
                text = profile(size, folder, status.update)
        except BenchError as error:
            raise click.ClickException(str(error)) from error
    table = Table(title=f"order path, medians of {size.rounds} rounds")
    for column in ("party", "p50 us", "p99 us", f"orders/s, window {size.window}"):
        table.add_column(column, justify="left" if column == "party" else "right")
    for name, row in found["raw"].items():
        table.add_row(name, f"{row['p50_us']:.0f}", f"{row['p99_us']:.0f}", f"{row.get('orders_per_s', '-')}")
    console.print(table)
    for key, (sign, bound) in TARGETS.items():
        if found[key] is not None:
            console.print(f"{key} {found[key]:.2f} (target {sign} {bound}){'' if found['targets_met'][key] else '  missed'}")
    if found["floor_rate_ratio"] is not None:
        console.print(
            f"the floor (no check, no journal, no log) has {found['floor_p50_ratio']:.2f} times r1's p50 and "
            f"{found['floor_rate_ratio']:.2f} of its rate",
            soft_wrap=True,
        )
    _write(json_file, found, profile_file, text)


@bench.command("recovery", epilog="Example: fixgw bench recovery --events 1000000 --json recovery.json")
@click.option("--events", type=click.IntRange(1000, 100_000_000), default=1_000_000, show_default=True, help="At least.")
@click.option("--open", "open_count", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, help="Orders open.")
@click.option("--runs", type=click.IntRange(1, 100), default=3, show_default=True, help="Restarts of each kind; medians count.")
@_DIR
@_JSON
@interruptible
def recovery(events: int, open_count: int, runs: int, directory: Path | None, json_file: Path | None) -> None:
    """How long a restart takes until the state is ready, with and without a snapshot."""
    from .party import BenchError
    from .recovery import TARGETS, measure

    check_outputs({"--json": json_file}, directory)
    console = Console()
    with new_folder(directory, "fixgw-bench-") as folder, console.status("starting") as status:
        try:
            found = measure(events, open_count, runs, folder, status.update)
        except BenchError as error:
            raise click.ClickException(str(error)) from error
    title = f"recovery: {found['events']:,} events in {found['records']:,} records, {found['open_orders']:,} orders open"
    table = Table(title=title)
    for column in ("", "measured", "target"):
        table.add_column(column, justify="left" if not column else "right")
    for key, bound in TARGETS.items():
        value = found[key]
        missed = "" if found["targets_met"][key] else "  missed"
        table.add_row(key, f"{value:,.0f}" if key.startswith("bytes") else f"{value:.2f}", f"<= {bound:,}{missed}")
    console.print(table)
    console.print(
        f"memory counts {found['orders_held']:,} orders that are held, finished ones with them; without those "
        f"{found['bytes_open_orders_only']:,} bytes per open order",
        soft_wrap=True,
    )
    _write(json_file, found)
