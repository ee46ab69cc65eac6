"""`fixgw soak`."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from ..fix.client import ClientError
from ..interrupt import INTERRUPTED, interruptible
from ..outputs import check_outputs, new_folder, write_outputs
from ..supervisor.tree import NotUp
from .draw import draw
from .run import Plan, Soak, run_soak
from .trend import GROWS, MIN_SPAN_S, SHORT, Trend

# more reconciliations than this would eat up the venue's rate limit
MIN_RETENTION_S = 45.0


@click.command(epilog="Example: fixgw soak --minutes 30 --png soak.png --json soak.json")
@click.option("--minutes", type=click.FloatRange(0.05, 60 * 24 * 31), default=30.0, show_default=True, help="How long.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the load and of the disturbances.")
@click.option("--rate", type=click.FloatRange(1, 1000), default=20.0, show_default=True, help="Requests a second.")
@click.option(
    "--retention",
    type=click.FloatRange(0, 86_400),
    default=60.0,
    show_default=True,
    help="Seconds after which finished orders are forgotten, so that memory can level off; 0: as configured (days).",
)
@click.option("--warmup", type=click.FloatRange(0), help="Seconds; default: three tenths of the time, at most 540.")
@click.option("--png", type=click.Path(path_type=Path, dir_okay=False), help="Where the picture goes; default soak.png.")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), help="Keep all in this new folder.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write samples and trends.")
@interruptible
def soak(
    minutes: float,
    seed: int,
    rate: float,
    retention: float,
    warmup: float | None,
    png: Path | None,
    directory: Path | None,
    json_file: Path | None,
) -> None:
    """Run a demo installation under steady load with reconnects and venue faults, and watch what grows.

    \b
    Memory, file handles, threads and latency are sampled and drawn; each is judged by its slope after the warm-up.
    Slopes are Theil-Sen's with a 95 % interval; a series is flagged when the whole interval lies above its limit,
    so that one step is no trend, unless its later half plainly stands still ("levelled off"). What grows by design
    (the journal, finished orders, QuickFIX's index of sent messages) is told per order. The warm-up ends when
    retention times have passed, caches are full and the allocators have seen the load and each kind of fault.
    A verdict needs 15 minutes after it; a shorter run shows figures only.
    Exit status 1 if something is flagged or a part ended by itself. Ctrl-C ends the run and judges what there was (once
    more: gives up); exit status 130.
    """
    if 0 < retention < MIN_RETENTION_S:
        text = f"{retention:g}, expected 0 or at least {MIN_RETENTION_S:g}: reconciliations follow it, each third of it"
        raise click.BadParameter(text, param_hint="'--retention'")
    target: Path | None = png or Path("soak.png")
    if importlib.util.find_spec("matplotlib") is None:
        text = "a picture needs matplotlib, which is not installed: pip install matplotlib"
        if png is not None:
            raise click.ClickException(f"--png: {text}")
        click.echo(f"no picture will be drawn: {text}", err=True)
        target = None
    check_outputs({"--png": target, "--json": json_file}, directory)
    console = Console()
    duration_s = minutes * 60
    plan = Plan(
        duration_s=duration_s,
        seed=seed,
        rate_per_s=rate,
        retention_s=retention,
        warmup_s=min(540.0, 0.3 * duration_s) if warmup is None else warmup,
    )
    try:
        with new_folder(directory, "fixgw-soak-") as folder:
            outcome = run_soak(folder, plan, lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True))
    except (NotUp, TimeoutError, ClientError) as error:
        raise click.ClickException(str(error)) from None
    _show(console, outcome)
    data = msgspec.json.format(msgspec.json.encode(outcome), indent=1) + b"\n"

    def picture(path: Path) -> None:
        draw(outcome, path)
        console.print(f"picture: {path}", markup=False)

    fine = write_outputs([("--json", json_file, lambda path: path.write_bytes(data)), ("--png", target, picture)])
    if not fine or outcome.flags or outcome.died:
        raise SystemExit(1)
    raise SystemExit(INTERRUPTED if outcome.interrupted else 0)


def _show(console: Console, outcome: Soak) -> None:
    marks = Counter(mark.kind for mark in outcome.marks)
    done = f"{marks['fault']} faults, {marks['reconnect']} reconnects, {marks['front']} front kills"
    table = Table(title=f"soak: {outcome.plan.duration_s / 60:.1f} min, {len(outcome.samples)} samples, {done}")
    for name in ("series", "now", "slope per hour (95 %)", "limit", "verdict"):
        table.add_column(name, justify="left" if name in ("series", "verdict") else "right")
    for trend in outcome.trends:
        table.add_row(*_row(trend), style="red" if trend.verdict == GROWS else "")
    console.print(table)
    if (per_order := outcome.per_order) is not None:
        state = f"{per_order.state:.0f} B in the gateway's state, " if per_order.state is not None else ""
        index = f"{per_order.index:.0f} B in QuickFIX's index"
        console.print(f"per new order, by design: {state}{per_order.journal:.0f} B in the journal, {index}", highlight=False)
    if any(trend.verdict == SHORT for trend in outcome.trends):
        console.print(f"too short: a verdict needs {MIN_SPAN_S / 60:.0f} minutes after the warm-up, of one process's life")
    for line in outcome.died[:20]:
        console.print(f"not by a kill: {line}", markup=False, soft_wrap=True)


def _row(trend: Trend) -> tuple[str, str, str, str, str]:
    unit = f" {trend.unit}" if trend.unit else ""
    now = f"{trend.last:.1f}{unit}" if trend.last is not None else "-"
    between = f" ({trend.low:+.2f} .. {trend.high:+.2f})" if trend.low is not None and trend.high is not None else ""
    slope = f"{trend.slope:+.2f}{unit}{between}" if trend.slope is not None else "-"
    limit = f"{trend.limit:g}{unit}" if trend.limit is not None else ""
    return trend.name, now, slope, limit, trend.verdict
