"""`fixgw decode`: a FIX log made readable, with the names of fields and values from fix_specs.

Reads our raw log, QuickFIX's FileLog and bare messages; fields may be apart by SOH, `|` or `^A`; several messages may stand
on one line. Secrets are masked. A wrong CheckSum or BodyLength is flagged, not hidden.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fixgw.fix.dictionary import FILES, Dictionary, load
from fixgw.fix.rawlog import mask, unescape

SPECS: Final = {**{version: files[-1] for version, files in FILES.items()}, "FIX.5.0SP2": "FIX50SP2"}
_OURS: Final = re.compile(rb"(\d{16,20}) ([IOio!]) (.*)", re.DOTALL)
_FILE_LOG: Final = re.compile(rb"(\d{8}-\d\d:\d\d:\d\d(?:\.\d+)?) : (.*)", re.DOTALL)
_MESSAGE: Final = re.compile(rb"8=(FIX[^|\x01^]{1,12})(\x01|\||\^A)9=")
_MAX_LINE: Final = 16 * 1024 * 1024


@dataclass(slots=True)
class Decoded:
    """One message. fields: (tag, field name, value, name of the value); flags: what is wrong with it."""

    when: str
    direction: str
    begin_string: str
    message: str
    fields: list[tuple[int, str, str, str]]
    flags: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        rows = [{"tag": tag, "name": name, "value": value, "meaning": meaning} for tag, name, value, meaning in self.fields]
        head = {"when": self.when, "direction": self.direction, "begin_string": self.begin_string}
        return {**head, "message": self.message, "flags": self.flags, "fields": rows}


def decode_line(line: bytes, spec: str | None = None) -> Iterator[Decoded | str]:
    """The messages of one log line; text for what is no message. spec: "FIX.4.4" and so on instead of tag 8."""
    line = line.rstrip(b"\r\n")
    if not line:
        return
    when, direction = "", ""
    if ours := _OURS.fullmatch(line):
        when, mark, line = _utc(int(ours.group(1))), ours.group(2).decode(), ours.group(3)
        if mark == "!":
            yield f"{when} {line.decode('utf-8', 'replace')}"
            return
        direction = mark.upper()
        if mark.islower():
            line = unescape(line)
    elif theirs := _FILE_LOG.fullmatch(line):
        when, line = theirs.group(1).decode(), theirs.group(2)
    starts = list(_MESSAGE.finditer(line))
    if not starts:
        yield f"{when} {direction} {_printable(mask(line))}".strip()
        return
    if starts[0].start() and (before := line[: starts[0].start()].strip()):
        yield _printable(mask(before))
    ends = [match.start() for match in starts[1:]] + [len(line)]
    for match, end in zip(starts, ends, strict=True):
        raw = line[match.start() : end].strip(b" ")
        separator = match.group(2)
        yield decode(raw if separator == b"\x01" else raw.replace(separator, b"\x01"), when, direction, spec)


def decode(raw: bytes, when: str = "", direction: str = "", spec: str | None = None) -> Decoded:
    """One message with SOH between its fields."""
    masked = mask(raw)
    flags = _flags(raw)
    pairs: list[tuple[int, str]] = []
    for part in masked.split(b"\x01"):
        tag, equals, value = part.partition(b"=")
        if equals and tag.isdigit() and len(tag) <= 9:
            pairs.append((int(tag), value.decode("utf-8", "backslashreplace")))
        elif part:
            flags.append(f"not TAG=VALUE: {_printable(part)[:60]}")
    values = dict(reversed(pairs))
    begin_string = values.get(8, "")
    names = _dictionary(spec or begin_string, flags)
    msg_type = values.get(35, "")
    message = f"{names.messages.get(msg_type, 'unknown message')} ({msg_type})" if msg_type else "no MsgType(35)"
    fields = [(tag, names.field_name(tag), value, names.value_name(tag, value)) for tag, value in pairs]
    for number, name, text, meaning in fields:
        if not name:
            flags.append(f"tag {number} is not in the dictionary")
        elif not meaning and number in names.values and number != 35:
            flags.append(f"{name}({number}): {text!r} is none of its values")
    return Decoded(when, direction, begin_string, message, fields, list(dict.fromkeys(flags)))


def _dictionary(version: str, flags: list[str]) -> Dictionary:
    if version not in SPECS:
        flags.append(f"no dictionary for {version!r}: names are FIX.4.4's")
    return load(SPECS.get(version, "FIX44"))


def _flags(raw: bytes) -> list[str]:
    head = re.match(rb"8=[^\x01]*\x019=(\d{1,9})\x01", raw)
    trailer = re.search(rb"\x0110=([^\x01]*)\x01?$", raw)
    if head is None:
        return ["BodyLength(9) is missing or no number"]
    if trailer is None:
        return ["CheckSum(10) is missing: the message is cut off"]
    if b"=***" in raw:
        return []  # its length and sum are those of the message before its secrets were masked
    flags = []
    length = trailer.start() + 1 - head.end()
    if length != int(head.group(1)):
        flags.append(f"BodyLength(9) is {int(head.group(1))}, but the body has {length} bytes")
    total = sum(raw[: trailer.start() + 1]) & 0xFF
    if trailer.group(1) != b"%03d" % total:
        flags.append(f"CheckSum(10) is {_printable(trailer.group(1))}, expected {total:03d}")
    return flags


def _utc(ns: int) -> str:
    seconds, rest = divmod(ns, 10**9)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
    except (ValueError, OverflowError, OSError):
        return str(ns)


def _printable(raw: bytes) -> str:
    text = raw.replace(b"\x01", b"|").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def read_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines of at most 16 MiB (longer ones come in pieces): a binary file must not fill the memory."""
    while line := stream.readline(_MAX_LINE):
        yield line


def render(items: Iterable[Decoded | str], as_json: bool, console: Console) -> int:
    """Prints messages as tables (terminal), indented text (pipe) or JSON; returns how many messages there were."""
    count = 0
    for item in items:
        if isinstance(item, str):
            click.echo(json.dumps({"note": item}) if as_json else item)
            continue
        count += 1
        if as_json:
            click.echo(json.dumps(item.as_json()))
        elif console.is_terminal:
            console.print(_table(item))
        else:
            click.echo(" ".join(part for part in (item.when, item.direction, item.begin_string, item.message) if part))
            for tag, name, value, meaning in item.fields:
                line = f"    {tag:>5} {name or '?':<24} {_shown(value)}"
                click.echo(f"{line}  {meaning}" if meaning else line)
            for flag in item.flags:
                click.echo(f"    ! {flag}")
    return count


def _table(item: Decoded) -> Table:
    title = " ".join(part for part in (item.when, item.direction, item.begin_string, item.message) if part)
    table = Table("Tag", "Field", "Value", "Meaning", title=Text(title, "bold"), title_justify="left")
    for tag, name, value, meaning in item.fields:
        table.add_row(str(tag), Text(name or "?"), Text(_shown(value)), Text(meaning, "cyan"))
    for flag in item.flags:
        table.add_row("!", "", Text(flag, "bold red"), "")
    return table


def _shown(value: str) -> str:
    return value if value.isprintable() else value.encode("unicode_escape").decode()


@click.command(name="decode")
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--spec", type=click.Choice(sorted(SPECS)), help="Dictionary to use instead of the one of tag 8.")
def decode_command(file: BinaryIO, as_json: bool, spec: str | None) -> None:
    """Makes a FIX log readable: names of fields and values, secrets masked, wrong checksums flagged.

    FILE is a log or - (default: standard input).

    \b
    Example:
      fixgw decode demo/log/fix/OMS44.log
      echo '8=FIX.4.4|9=5|35=0|10=163|' | fixgw decode --json
    """
    console = Console(file=sys.stdout, highlight=False)
    count = render((item for line in read_lines(file) for item in decode_line(line, spec)), as_json, console)
    if count == 0:
        name = getattr(file, "name", "input")
        raise click.ClickException(f"{name}: no FIX message found (expected 8=FIX...9=... with SOH, | or ^A)")
