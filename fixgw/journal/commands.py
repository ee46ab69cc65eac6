"""`fixgw journal tail|verify|export|rebuild`: they read the files and need no running gateway."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fixgw.answers import unwritten
from fixgw.core.codec import decode_record

from .errors import JournalError
from .layout import read_layout
from .plain import record_data
from .projection import rebuild
from .reader import JournalReader
from .verify import Verification, verify

_POLL_S = 0.2
_directory = click.argument(
    "directory",
    metavar="[DIR]",
    default=".",
    envvar="FIXGW_DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def journal_folder(directory: Path) -> Path:
    """DIR/data/journal of a configuration folder, or DIR itself if it is a journal. Raises click.UsageError."""
    inner = directory / "data" / "journal"
    if inner.is_dir():
        return inner
    if (directory / "install").exists() or any(directory.glob("*.seg")):
        return directory
    raise click.UsageError(f"{directory}: no journal here, expected one in {inner} (it is made by the first `fixgw run`)")


@click.group(epilog="Example: fixgw journal verify demo")
def journal() -> None:
    """Look into the journal: everything that fixgw knows, in order. Works without a running gateway."""


@journal.command(epilog="Example: fixgw journal tail demo -n 20 --follow")
@_directory
@click.option("-n", "count", default=10, show_default=True, type=click.IntRange(0), help="How many of the last records.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new records until interrupted.")
@_json
def tail(directory: Path, count: int, follow: bool, as_json: bool) -> None:
    """Show the last records of the journal in DIR, oldest first."""
    folder = journal_folder(directory)
    reader = JournalReader(folder)
    with _errors():
        newest: deque[tuple[int, bytes]] = deque(maxlen=max(count, 1))
        try:
            newest.extend(reader.read(_start_of_last(folder, max(count, 1))))
        finally:  # where the journal is damaged: what stands before the damage, then the error
            for seq, payload in newest if count else ():
                _print(seq, payload, as_json)
        last = newest[-1][0] if newest else 0
        while follow:
            for seq, payload in reader.read(last + 1, strict=False):
                last = seq
                _print(seq, payload, as_json)
            sys.stdout.flush()
            time.sleep(_POLL_S)


@journal.command("verify", epilog="Example: fixgw journal verify demo")
@_directory
@_json
def verify_command(directory: Path, as_json: bool) -> None:
    """Check every segment of the journal in DIR. Exit status 1 and file and offset if anything is damaged."""
    with _errors():
        result = verify(journal_folder(directory))
    if as_json:
        click.echo(msgspec.json.encode(result))
    else:
        _show_verification(result)
    sys.exit(0 if result.ok else 1)


@journal.command(epilog="Example: fixgw journal export demo --from 1 --to 500 --out day.jsonl")
@_directory
@click.option("--from", "from_seq", default=1, show_default=True, type=click.IntRange(1), help="First sequence.")
@click.option("--to", "to_seq", type=click.IntRange(1), help="Last sequence; default: the last one there is.")
@click.option(
    "--format",
    "form",
    default="jsonl",
    show_default=True,
    type=click.Choice(["jsonl"]),
    help="One JSON object per line.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write; default: standard output.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format jsonl.")
def export(directory: Path, from_seq: int, to_seq: int | None, form: str, out: Path | None, as_json: bool) -> None:
    """Write records of the journal in DIR, archived ones included, with every field."""
    del form, as_json  # there is one format so far
    folder = journal_folder(directory)
    if to_seq is not None and to_seq < from_seq:
        raise click.UsageError(f"--to {to_seq} is below --from {from_seq}")
    with _errors(), _output(out) as file:
        count = unreadable = 0
        for seq, payload in JournalReader(folder).read(from_seq):
            if to_seq is not None and seq > to_seq:
                break
            data = _data(seq, payload)
            unreadable += "error" in data
            file.write(msgspec.json.encode(data) + b"\n")
            count += 1
    click.echo(f"{count} records", err=True)
    if unreadable:
        raise click.ClickException(f"{unreadable} records could not be decoded: they were written as hex")


@journal.command("rebuild", epilog="Example: fixgw journal rebuild demo")
@_directory
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="SQLite file; default: DIR/data/projection.db.")
@_json
def rebuild_command(directory: Path, out: Path | None, as_json: bool) -> None:
    """Make the SQLite projection anew from the journal in DIR and replace the old one when it is complete."""
    folder = journal_folder(directory)
    target = out or folder.parent / "projection.db"
    started_ns = time.monotonic_ns()
    with _errors(), Progress(console=Console(stderr=True), transient=True, disable=as_json) as progress:
        task = progress.add_task("rebuild", total=None)
        last_seq = rebuild(folder, target, lambda done, total: progress.update(task, completed=done, total=total))
    seconds = (time.monotonic_ns() - started_ns) / 1e9
    if as_json:
        click.echo(msgspec.json.encode({"file": str(target), "last_seq": last_seq, "seconds": round(seconds, 3)}))
    else:
        click.echo(f"{target}: {last_seq} records in {seconds:.1f} s")


def _start_of_last(folder: Path, count: int) -> int:
    """Where the youngest segment begins that has `count` records behind it."""
    layout = read_layout(folder)
    segments = layout.archived + layout.live
    if not segments:
        return 1
    return next((s for s in reversed(segments) if segments[-1].first_seq - s.first_seq >= count), segments[0]).first_seq


def _data(seq: int, payload: bytes) -> dict[str, Any]:
    try:
        return record_data(decode_record(payload))
    except ValueError as error:
        return {"seq": seq, "error": str(error), "payload_hex": payload.hex()}


def _print(seq: int, payload: bytes, as_json: bool) -> None:
    data = _data(seq, payload)
    if as_json:
        click.echo(msgspec.json.encode(data))
        return
    if "error" in data:
        click.echo(f"{seq:>9}  cannot be decoded: {data['error']}")
        return
    moment = datetime.fromtimestamp(data["ts_ns"] // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    events = ", ".join(_short(event) for event in data["events"]) or "no event"
    nanos = data["ts_ns"] % 1_000_000_000
    click.echo(f"{seq:>9}  {moment}.{nanos:09d}  {data['part']:<12} {data['command']['type']} -> {events}")


def _short(event: dict[str, Any]) -> str:
    """An event's name and the one field that tells which."""
    for name in ("order_id", "venue_cl_ord_id", "session", "venue", "target"):
        if event.get(name):
            return f"{event['type']}({event[name]})"
    return str(event["type"])


def _show_verification(result: Verification) -> None:
    console = Console()
    table = Table("segment", "first", "last", "records", "bytes", "state")
    for check in result.segments:
        place = f"archive/{Path(check.file).name}" if check.archived else Path(check.file).name
        table.add_row(place, str(check.first_seq), str(check.last_seq), str(check.records), str(check.bytes_used), check.state)
    console.print(table)
    writer = f", written by process {result.writer_pid}" if result.writer_pid is not None else ""
    click.echo(f"{result.records} records, {result.first_seq} to {result.last_seq}, install {result.install_id}{writer}")
    for note in result.notes:
        click.echo(f"note: {note}")
    if result.ok:
        click.echo("ok: every checksum matches")
    else:
        click.echo(f"DAMAGED: {result.file} at byte {result.offset}: {result.error}", err=True)


@contextmanager
def _output(out: Path | None) -> Iterator[BinaryIO]:
    if out is None:
        yield sys.stdout.buffer
        return
    with out.open("wb") as file:
        yield file


@contextmanager
def _errors() -> Iterator[None]:
    """Errors of the journal, in one line."""
    try:
        yield
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None
    except BrokenPipeError:
        raise click.exceptions.Exit(0) from None
    except (JournalError, OSError, sqlite3.Error, ValueError) as error:
        if unwritten(error):
            raise  # no matter of the journal
        raise click.ClickException(str(error)) from error
