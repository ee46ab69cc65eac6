"""The `fixgw` command: thin. Commands of other parts are imported only when they are used."""

from __future__ import annotations

import importlib
import io
import json
import sys
from pathlib import Path
from typing import Any, Final

import click

from .answers import answering, watch_output

# command -> (where it is, one line for the list); admin commands share one module
_LAZY: Final = {
    "sim": ("fixgw.sim.cli:sim", "Run a simulated exchange by itself."),
    "oms": ("fixgw.fix.oms:oms", "A small FIX client for trying the gateway."),
    "decode": ("fixgw.fix.decode:decode_command", "Make a FIX log readable."),
    "chaos": ("fixgw.chaos.cli:chaos", "Kill parts under load and check that nothing is lost or doubled."),
    "simulate": ("fixgw.simulate.cli:simulate", "Run the core through thousands of stories full of faults, on a virtual clock."),
    "soak": ("fixgw.soak.cli:soak", "Steady load with reconnects and faults; what grows is measured and drawn."),
    "bench": ("fixgw.bench.cli:bench", "Measure the order path and restarts on this machine."),
    "journal": ("fixgw.journal.commands:journal", "Tail, verify, export or rebuild the journal."),
    "status": ("fixgw.admin.commands:status", "How the running gateway is."),
    "sessions": ("fixgw.admin.commands:sessions", "List the FIX sessions."),
    "orders": ("fixgw.admin.commands:orders", "List orders."),
    "order": ("fixgw.admin.commands:order", "Show one order with its children, fills and history."),
    "fills": ("fixgw.admin.commands:fills", "List fills."),
    "positions": ("fixgw.admin.commands:positions", "List positions and venue balances."),
    "limits": ("fixgw.admin.commands:limits", "List limits and how much of them is used."),
    "cancel": ("fixgw.admin.commands:cancel", "Cancel one order."),
    "kill": ("fixgw.admin.commands:kill", "Kill switch: stop new orders and cancel open ones."),
    "resume": ("fixgw.admin.commands:resume", "Let trading go on after a kill."),
    "session": ("fixgw.admin.commands:session", "Show or change one FIX session."),
    "resolve": ("fixgw.admin.commands:resolve", "Settle an order by evidence that the venue will not give."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported on use; one that cannot be imported does not break the others."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        watch_output()
        with answering(None):
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> object:
        with answering(ctx):
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_LAZY})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _LAZY.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, _, name = place[0].partition(":")
        try:
            command = getattr(importlib.import_module(module), name)
        except ImportError as error:
            return _unavailable(cmd_name, place[1], str(error))
        assert isinstance(command, click.Command), place
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any of them."""
        rows = [(name, command.get_short_help_str()) for name, command in self.commands.items()]
        rows += [(name, line) for name, (_, line) in _LAZY.items()]
        with formatter.section("Commands"):
            formatter.write_dl(sorted(rows))


def _unavailable(name: str, line: str, reason: str) -> click.Command:
    @click.command(name, help=line, context_settings={"ignore_unknown_options": True})
    @click.argument("args", nargs=-1, type=click.UNPROCESSED)
    def command(args: tuple[str, ...]) -> None:
        raise click.ClickException(f"{name} is not available in this installation: {reason}")

    return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fixgw")
def main() -> None:
    """FIX in, crypto out: a FIX gateway between order management systems and crypto venues.

    \b
    Example:
      fixgw init demo --demo && fixgw run demo
    """
    # what a venue says may have letters that the terminal lacks: nothing ends for them, least of all `run`
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@main.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--demo", is_flag=True, help="A simulated exchange and FIX on loopback: runs as it is.")
def init(directory: Path, demo: bool) -> None:
    """Write a commented configuration to DIR. Overwrites nothing.

    \b
    Example:
      fixgw init demo --demo
    """
    from .config.init import InitError
    from .config.init import init as write

    try:
        written = write(directory, demo=demo)
    except InitError as error:
        raise click.ClickException(str(error)) from error
    for path in written:
        click.echo(f"wrote {path}")
    next_step = f"fixgw run {directory}" if demo else f"edit the files, then: fixgw check {directory}"
    click.echo(f"next: {next_step}")


@main.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
def check(directory: Path, as_json: bool) -> None:
    """Validate a configuration: what is wrong where.

    Unknown keys are errors, and so is what cannot run: an unknown exchange, a key file that is not there. What may be
    different where `fixgw run` is started, such as an environment variable, is a note. Exit status 1 if anything is wrong.

    \b
    Example:
      fixgw check demo
    """
    from .config import ConfigErrors, load
    from .config.preflight import preflight

    try:
        config = load(directory)
        found = preflight(config)
        if found.problems:
            raise ConfigErrors(found.problems)
    except ConfigErrors as error:
        if as_json:
            problems = [problem.as_dict() for problem in error.problems]
            click.echo(json.dumps({"ok": False, "problems": problems, "notes": []}, indent=2))
        else:
            for problem in error.problems:
                click.echo(str(problem), err=True)
            click.echo(f"{len(error.problems)} problem(s) in {directory}", err=True)
        raise SystemExit(1) from None
    settings, notes = config.core_settings(), [*config.notes(), *found.notes, *map(str, found.here)]
    if as_json:
        told = {"ok": True, "problems": [], "notes": notes, "settings_hash": settings.hash}
        click.echo(json.dumps(told, indent=2))
        return
    for note in notes:
        click.echo(f"note: {note}", err=True)
    click.echo(
        f"{directory}: ok, {len(config.sessions)} sessions, {len(config.venues)} venues, "
        f"{len(settings.instruments)} instruments, settings {settings.hash[:12]}"
    )


@main.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--ready-file", type=click.Path(path_type=Path, dir_okay=False), help="Also written when all is ready.")
def run(directory: Path, ready_file: Path | None) -> None:
    """Run the gateway in the foreground.

    Starts front, gateway, venue hosts and, where configured, the simulator, and restarts what dies. Where to connect
    stands in DIR/run/ready.json once all is ready. SIGTERM or Ctrl-C drains and stops.

    \b
    Example:
      fixgw run demo --ready-file /tmp/ready.json
    """
    from .stopping import hold_signals, release_signals

    # from here on: what comes next takes the better part of a second to import
    held = hold_signals()
    try:
        from .supervisor import run as supervise

        raise SystemExit(supervise(directory, ready_file, held))
    finally:
        release_signals(held)


if __name__ == "__main__":
    main()
