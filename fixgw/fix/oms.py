"""`fixgw oms DIR SESSION`: a small FIX client for people who try the gateway, and for scripts."""

import json
import re
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fixgw.fix.client import ClientError, FixClient, FixMessage
from fixgw.fix.client_orders import OrderView
from fixgw.fix.dictionary import FILES, Dictionary, load
from fixgw.fix.oms_shell import CommandError, ExpectationFailed, Shell
from fixgw.textfile import FileFault, read_toml

_KEYS = ("begin_string", "client_comp_id", "gateway_comp_id")
_STYLE = {"2": "bold green", "1": "green", "8": "bold red", "4": "yellow", "C": "yellow", "0": "cyan", "5": "cyan"}
_TOO_LOW = re.compile(r"MsgSeqNum too low, expecting (\d{1,9})")
_COLUMNS = (("cl_ord_id", "ClOrdID"), ("order_id", "OrderID"), ("side", "Side"), ("order_qty", "Qty"), ("symbol", "Symbol"))
_MORE = (("price", "Price"), ("ord_status", "Status"), ("cum_qty", "Cum"), ("leaves_qty", "Leaves"), ("avg_px", "Avg"))


class Screen:
    """What the user sees; as_json: one JSON object a line instead."""

    def __init__(self, names: Dictionary, as_json: bool) -> None:
        self.names, self.as_json = names, as_json
        self.console = Console(highlight=False, soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        if self.as_json:
            self._json({"type": "error" if style == "red" else "info", "text": text})
        else:
            self.console.print(Text(text, style))

    def message(self, message: FixMessage) -> None:
        """Prints a message that came in; heartbeats are left out. Runs on the engine's thread."""
        if message.msg_type in ("0", "1"):
            return
        if self.as_json:
            self._json(self._as_json(message))
        else:
            status = message.get(39)
            clock = time.strftime("%H:%M:%S", time.gmtime(message.received_ns // 10**9))
            moment = f"{clock}.{message.received_ns // 10**6 % 1000:03d}"
            self.console.print(Text(f"{moment} {self._line(message)}", _STYLE.get(status, "")))

    def _line(self, message: FixMessage) -> str:
        kind = self.names.messages.get(message.msg_type, message.msg_type)
        if message.msg_type == "8":
            names = [self._named(tag, message.get(tag)) for tag in (54, 150, 39)]
            price = f" @ {message.get(44)}" if message.get(44) else ""
            parts = [message.get(11), names[0], f"{message.get(38)} {message.get(55)}{price}:", names[1], "->", names[2]]
            parts += [f"cum {message.get(14)} leaves {message.get(151)}"]
            if message.get(32):
                parts.append(f"last {message.get(32)} @ {message.get(31)}")
            if message.get(20) not in ("", "0"):
                parts.append(self.names.value_name(20, message.get(20)))
        else:
            parts = [kind, message.get(11)]
            for tag in (434, 102, 39, 380, 372, 379, 371, 373):
                if message.get(tag):
                    parts.append(f"{self.names.field_name(tag)}={self._named(tag, message.get(tag))}")
        parts += [f"{self.names.field_name(tag)}={message.get(tag)}" for tag in range(20001, 20005) if message.get(tag)]
        parts.append(message.get(58))
        return " ".join(part for part in parts if part)

    def _named(self, tag: int, value: str) -> str:
        return self.names.value_name(tag, value) or value

    def _as_json(self, message: FixMessage) -> dict[str, Any]:
        fields = {self.names.field_name(tag) or str(tag): value for tag, value in message.pairs}
        meant = {self.names.field_name(tag): self.names.value_name(tag, message.get(tag)) for tag in (54, 150, 39)}
        kind = self.names.messages.get(message.msg_type, message.msg_type)
        meant = {name: value for name, value in meant.items() if value}
        return {"type": "message", "ns": message.received_ns, "message": kind, "fields": fields, "meaning": meant}

    def orders(self, views: list[OrderView]) -> None:
        if self.as_json:
            for view in views:
                self._json({"type": "order"} | {name: getattr(view, name) for name, _ in (*_COLUMNS, *_MORE)})
            return
        table = Table(*(title for _, title in (*_COLUMNS, *_MORE)))
        for view in views:
            row = [str(getattr(view, name)) for name, _ in (*_COLUMNS, *_MORE)]
            row[2], row[6] = self._named(54, view.side), self._named(39, view.ord_status)
            table.add_row(*(Text(cell) for cell in row), style=_STYLE.get(view.ord_status, ""))
        self.console.print(table)

    def log(self, messages: list[FixMessage]) -> None:
        for message in messages:
            if self.as_json:
                self._json(self._as_json(message))
            else:
                self.console.print(Text(message.raw.replace("\x01", "|")))

    def _json(self, content: dict[str, Any]) -> None:
        click.echo(json.dumps(content))


def read_session(folder: Path, session: str) -> dict[str, str]:
    """begin_string, client_comp_id and gateway_comp_id of DIR/sessions/SESSION.toml. Raises ClickException."""
    path = folder / "sessions" / f"{session}.toml"
    try:
        content = read_toml(path)
    except FileFault as fault:
        raise click.ClickException(f"{path}: expected {fault}") from None
    for key in _KEYS:
        if not isinstance(content.get(key), str) or not content[key]:
            raise click.ClickException(f"{path}: {key}: {content.get(key)!r}, expected text")
    if content["begin_string"] not in FILES:
        expected = ", ".join(FILES)
        raise click.ClickException(f"{path}: begin_string: {content['begin_string']!r}, expected one of {expected}")
    return {key: content[key] for key in _KEYS}


def read_address(folder: Path, host: str | None, port: int | None) -> tuple[str, int]:
    """Where to connect: the options, or "fix" in DIR/run/ready.json. Raises ClickException."""
    if port is not None:
        return host or "127.0.0.1", port
    path = folder / "run" / "ready.json"
    try:
        fix = json.loads(path.read_text(encoding="utf-8"))["fix"]
        return host or str(fix["host"]), int(fix["port"])
    except OSError as error:
        raise click.ClickException(f"{path}: cannot be read ({error.strerror}): is the gateway running?") from error
    except (ValueError, KeyError, TypeError) as error:
        raise click.ClickException(f'{path}: expected {{"fix": {{"host": ..., "port": ...}}}}: {error!r}') from error


def run_lines(shell: Shell, lines: Iterable[str], screen: Screen, *, numbered: bool, stop_at_failure: bool) -> int:
    """Runs command lines; returns how many failed: a command that cannot be done, or an expectation that did not come true.
    `numbered`: a failure is told with its line; `stop_at_failure`: the first one is the end."""
    failures = 0
    for number, line in enumerate(lines, 1):
        try:
            if not shell.run(line):
                break
        except (CommandError, ExpectationFailed) as error:
            failures += 1
            screen.say(f"line {number}: {error}" if numbered else str(error), "red")
            if stop_at_failure:
                screen.say(f"stopped at line {number}; --keep-going goes on after a failure", "yellow")
                break
    return failures


def _typed(stream: TextIO) -> Iterable[str]:
    """Lines of a person, with a prompt; of a pipe, without."""
    if not stream.isatty():
        yield from stream
        return
    while True:  # ends with end of file (Ctrl-D) or quit
        try:
            yield input("fix> ")
        except (EOFError, KeyboardInterrupt):
            return


def _log_on(client: FixClient, timeout_s: float) -> None:
    """Raises ClientError, with what to do where it is about numbers."""
    try:
        client.wait_logon(timeout_s)
    except ClientError as error:
        advice = "; `--reset` begins with new numbers on both sides" if "MsgSeqNum" in str(error) else ""
        raise ClientError(f"{error}{advice}") from error


def catch_up(client: FixClient, message: FixMessage, screen: Screen) -> None:
    """Another client has used this session, so that our store is behind: the next Logon takes the number that the gateway's
    Logout names, where QuickFIX would try one number a second. What was missed on the way in is asked for after the Logon."""
    found = _TOO_LOW.search(message.get(58)) if message.msg_type == "5" else None
    if found is not None:
        number = int(found[1])
        screen.say(f"another client has used this session: going on with its number {number} (--reset begins at 1)", "yellow")
        client.set_next_sender(number)


@click.command(name="oms")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("session")
@click.option("--host", help="Where the gateway listens (default: from DIR/run/ready.json).")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the gateway (default: from DIR/run/ready.json).")
@click.option("--script", type=click.File("r"), help="Run the commands of this file, up to the first that fails.")
@click.option("--keep-going", is_flag=True, help="--script: go on after a command that failed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--reset", is_flag=True, help="Log on with ResetSeqNumFlag(141)=Y.")
@click.option("--timeout", "timeout_s", default=10.0, show_default=True, help="Seconds to wait for the Logon.")
def oms(
    folder: Path,
    session: str,
    host: str | None,
    port: int | None,
    script: TextIO | None,
    keep_going: bool,
    as_json: bool,
    reset: bool,
    timeout_s: float,
) -> None:
    """A small FIX client: type `help` at its prompt.

    Commands may also come from a file (--script, which ends at the first that fails) or from a pipe (which goes on). The
    exit status of both is 1 if one failed.

    \b
    Example:
      fixgw oms demo OMS44
      fix> buy 0.5 BTC/USDT @ 60000 as a
      fix> replace a price 60100
      fix> cancel last
    """
    if keep_going and script is None:
        raise click.UsageError("--keep-going is of --script, expected both: commands from a pipe go on after a failure anyway")
    # importing quickfix sets SIGINT to its default action, which would end us without a logout
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ids = read_session(folder, session)
    where = read_address(folder, host, port)
    names = load(FILES[ids["begin_string"]][-1])
    screen = Screen(names, as_json)

    def show(message: FixMessage) -> None:
        screen.message(message)
        catch_up(client, message, screen)

    client = FixClient(
        *where,
        ids["begin_string"],
        ids["client_comp_id"],
        ids["gateway_comp_id"],
        store_dir=folder / "run" / f"oms-{session}",  # the session's numbers go on from one run to the next
        reset=reset,
        on_message=show,
    )
    shell = Shell(client, names, screen.say, screen.orders, screen.log)
    try:
        client.start()
        _log_on(client, timeout_s)
        screen.say(f"logged on as {ids['client_comp_id']} ({ids['begin_string']}) at {where[0]}:{where[1]}")
        by_hand = script is None and sys.stdin.isatty()
        lines, stop = script or _typed(sys.stdin), script is not None and not keep_going
        failures = run_lines(shell, lines, screen, numbered=not by_hand, stop_at_failure=stop)
    except ClientError as error:
        raise click.ClickException(str(error)) from error
    finally:
        client.stop()
    if client.errors:
        raise click.ClickException(f"the client itself failed: {client.errors[0]!r}")
    if failures and not by_hand:
        sys.exit(1)
