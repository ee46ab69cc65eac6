"""`scripts/demo`: runs the day, shows it, judges it, and stops everything again."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.text import Text

from fixgw.admin.client import NotRunning
from fixgw.admin.protocol import AdminError
from fixgw.demo import compare
from fixgw.demo.play import BEGIN_STRINGS, Day, Played
from fixgw.demo.result import Result
from fixgw.demo.scenario import DAY
from fixgw.demo.screen import Screen, summary
from fixgw.demo.stack import DemoError, Stack
from fixgw.fix.client import ClientError
from fixgw.interrupt import INTERRUPTED, interruptible
from fixgw.outputs import check_outputs, write_outputs
from fixgw.sim.client import SimError

READY_S: Final = 90.0
# for all steps together; each has a limit of its own besides
DAY_S: Final = 120.0
_FILLS: Final = 1000
_FILE_COLUMNS: Final = 140
_TERMINAL_PACE_S: Final = 0.5
_SESSIONS: Final = click.Choice(sorted(BEGIN_STRINGS))
_FOLDER: Final = click.Path(path_type=Path, file_okay=False)
_PACE: Final = click.FloatRange(0, 5)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the outcome as data, too.")
@click.option("--keep", is_flag=True, help="Leave everything up until Ctrl-C, and tell how to connect.")
@click.option("--session", type=_SESSIONS, default="OMS44", show_default=True, help="Who trades: FIX 4.2, 4.4 or 5.0SP2.")
@click.option("--dir", "directory", type=_FOLDER, help="A new folder for the installation  [default: a temporary one]")
@click.option("--pace", type=_PACE, help="Seconds between the steps  [default: 0.5 on a terminal, else 0]")
@interruptible
def demo(json_file: Path | None, keep: bool, session: str, directory: Path | None, pace: float | None) -> None:
    """A scripted trading day against a simulated exchange, with what was expected against what came.

    Starts simulator, venue host, gateway and front, logs on as an OMS and as a prime broker, and trades. Exit status 0
    only if every expected report came, and nothing else; 1 otherwise.

    \b
    Example:
      scripts/demo --json outcome.json
      scripts/demo --session OMS42 --keep
    """
    check_outputs({"--json": json_file}, directory)
    root = directory if directory is not None else Path(tempfile.mkdtemp(prefix="fixgw-demo-"))
    console = _console()
    result = Result(session, [Played(step) for step in DAY])
    status = 1
    stack = Stack(root)
    try:
        _run(stack, result, console, pace)
        written = _write(json_file, result)
        status = 0 if result.ok and written else 1
        if keep and stack.is_up():
            _keep(stack, result, console)
    except DemoError as error:
        console.print(Text(f"demo: {error}", "red"), soft_wrap=True)
        result.problems.append(str(error))
        _write(json_file, result)
    except KeyboardInterrupt:
        console.print("interrupted")
        status = INTERRUPTED
    finally:
        problem = stack.stop()
    if problem and status != 1:
        console.print(Text(f"demo: {problem}", "red"), soft_wrap=True)
        status = 1
    if directory is None:
        _clean(root, status, console)
    sys.exit(status)


def _console() -> Console:
    """A terminal as it is; a file or a pipe is wide enough for the tables."""
    console = Console(highlight=False)
    return console if console.is_terminal or os.environ.get("COLUMNS") else Console(highlight=False, width=_FILE_COLUMNS)


def _run(stack: Stack, result: Result, console: Console, pace: float | None) -> None:
    """Set up, play, compare, show. Raises DemoError when nothing could be played."""
    began = time.monotonic()
    if pace is None:
        pace = _TERMINAL_PACE_S if console.is_terminal else 0.0
    stack.prepare()
    title = f"fixgw: a trading day of {result.session} ({BEGIN_STRINGS[result.session]})"
    with Screen(console, title, result.day) as screen:
        stack.launch()
        screen.doing("starting simulator, gateway, venue host and front")
        ready = stack.wait_ready(READY_S, screen.doing)
        day = Day(result.session, stack.paths, ready, screen.report)
        try:
            before = compare.balances(day.sim.state(1))
            screen.doing(f"logging on as {result.session} and PB44")
            day.connect()
            deadline = time.monotonic() + DAY_S
            for played in result.day:
                if time.monotonic() > deadline or not stack.is_up():
                    result.problems.append("the day was not finished in time" if stack.is_up() else "`fixgw run` has ended")
                    break
                played.state = "running"
                screen.step(played)
                day.play(played, deadline)
                screen.step(played)
                time.sleep(pace)  # for people: at full speed nobody can follow
            screen.doing("comparing client, drop copy, ledger and positions")
            _compare(day, result, before)
        except (ClientError, SimError, AdminError, NotRunning) as error:
            result.problems.append(f"{type(error).__name__}: {error}")
        finally:
            screen.doing("logging off")
            day.close()
    result.seconds = time.monotonic() - began
    summary(console, result.day, list(result.checks.values()), result.problems)
    console.print(_verdict(result))


def _compare(day: Day, result: Result, before: compare.Balances) -> None:
    result.problems += day.settle()
    day.collect(result.day)
    client, broker = day.inbox.seen, day.copies.seen
    state = day.sim.state(1)
    result.checks["drop_copy"] = compare.drop_copy(client, broker)
    result.checks["ledger"] = compare.ledger(client, list(day.sim.ledger()), state["orders"])
    told = day.admin("positions")
    fills = day.admin("fills", session=day.session, limit=_FILLS)
    result.checks["positions"] = compare.positions(day.session, client, told, fills, before, compare.balances(state))


def _verdict(result: Result) -> Text:
    good = sum(1 for played in result.day if played.state == "ok" and not played.problems)
    checks = sum(1 for check in result.checks.values() if check.ok)
    reports = sum(len(played.came) for played in result.day)
    text = f"{good} of {len(result.day)} steps and {checks} of 3 comparisons as expected"
    text += f", {reports} messages, {result.seconds:.1f} s"
    return Text(f"all came: {text}", "bold green") if result.ok else Text(f"NOT as expected: {text}", "bold red")


def _write(json_file: Path | None, result: Result) -> bool:
    """False: it could not be written."""
    content = json.dumps(result.as_dict(), indent=2, ensure_ascii=False) + "\n"
    return write_outputs([("--json", json_file, lambda path: path.write_text(content, encoding="utf-8"))])


def _keep(stack: Stack, result: Result, console: Console) -> None:
    """Tell how to connect, and wait for Ctrl-C or for the end of the gateway. Raises DemoError for that."""
    root, ready = stack.paths.root, json.loads(stack.paths.ready.read_bytes())
    fixgw = Path(sys.executable).with_name("fixgw")
    command = str(fixgw) if fixgw.exists() else f"{sys.executable} -m fixgw.cli"
    fix, sim = ready["fix"], ready["simulator"]
    others = ", ".join(f"{name} ({BEGIN_STRINGS[name]})" for name in sorted(BEGIN_STRINGS))
    rows = [
        "", "[bold]Everything is up until Ctrl-C.[/bold]", "",
        f"  FIX         {fix['host']}:{fix['port']}, plain TCP, TargetCompID FIXGW",
        f"  trade as    {others}",
        "  drop copy   PB44 (FIX.4.4)",
        f"              {result.session} and PB44 were used by the demo: their sequence numbers go on; or log on with",
        "              ResetSeqNumFlag(141)=Y, the others begin with 1",
        f"  exchange    http://{sim['host']}:{sim['port']}/sim/state (BTC/USDT near 60000, ETH/USDT near 3000)",
        "", "  try it      (in another terminal)",
        f"    {command} oms {root} OMS50",
        "    fix> buy 0.5 BTC/USDT @ 59990 as a", "",
    ]  # fmt: skip
    rows += [f"    {command} {name} --dir {root}" for name in ("status", "sessions", "orders", "positions")]
    rows += [f"    {command} kill --session OMS50 --reason 'to see it' --dir {root}", f"    {command} journal tail {root}", ""]
    for row in rows:
        console.print(row, soft_wrap=True)
    assert stack.process is not None
    try:
        stack.process.wait()
    except KeyboardInterrupt:
        console.print("stopping")
        return
    raise DemoError(f"`fixgw run` has ended by itself: {stack.last_line()}")


def _clean(root: Path, status: int, console: Console) -> None:
    """Remove the temporary folder; after a failure it stays, for its logs."""
    if status == 1:
        console.print(f"configuration, journal and logs are kept in {root}", soft_wrap=True)
    else:
        shutil.rmtree(root, ignore_errors=True)
