"""Answers of the gateway for people: tables on a terminal (a line per field where it is too narrow for one), aligned plain text
otherwise. Decimals stay exact text, whole and on one line."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..printable import printable

_NAMES: Final[dict[str, dict[str, str]]] = {
    "side": {"1": "buy", "2": "sell"},
    "ord_type": {"1": "market", "2": "limit", "3": "stop", "4": "stop_limit"},
    "tif": {"0": "day", "1": "gtc", "3": "ioc", "4": "fok", "6": "gtd"},
    "ord_status": {
        "0": "new",
        "1": "partially_filled",
        "2": "filled",
        "3": "done_for_day",
        "4": "canceled",
        "5": "replaced",
        "6": "pending_cancel",
        "7": "stopped",
        "8": "rejected",
        "9": "suspended",
        "A": "pending_new",
        "B": "calculated",
        "C": "expired",
        "D": "accepted_for_bidding",
        "E": "pending_replace",
    },
    "liquidity": {"1": "added", "2": "removed"},
}
# text is folded into no less than this, in a table with lines and in one without
_LEAST_TEXT: Final = 8
_LEAST_TEXT_DENSE: Final = 6
_RIGHT: Final = frozenset(
    [
        "order_qty",
        "cash_qty",
        "price",
        "stop_px",
        "cum_qty",
        "leaves_qty",
        "avg_px",
        "last_qty",
        "last_px",
        "fee",
        "qty",
        "px",
        "net",
        "open_buy",
        "open_sell",
        "free",
        "total",
        "in_flight",
        "available",
        "used",
        "max",
        "next_sender",
        "next_target",
        "open_orders",
        "pending_reports",
        "seq",
        "unknown_orders",
        "host_pid",
        "pid",
        "restarts",
        "restarts_lately",
    ]
)


def iso(ns: int) -> str:
    """ISO 8601 in UTC with all nine decimals of a time in ns."""

    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"


def with_times(value: Any) -> Any:
    """The same answer with a key `x_utc` beside each `x_ns`."""
    if isinstance(value, list):
        return [with_times(item) for item in value]
    if not isinstance(value, dict):
        return value
    told: dict[str, Any] = {}
    for key, item in value.items():
        told[key] = with_times(item)
        if key.endswith("_ns") and isinstance(item, int) and item > 0:
            told[f"{key[:-3]}_utc"] = iso(item)
    return told


def print_json(result: Any) -> None:
    """--json."""
    click.echo(json.dumps(with_times(result), indent=2, ensure_ascii=False))


def cell(key: str, value: Any) -> str:
    """One value for a person."""
    if value is None or value == "":
        return "-"
    if key.endswith("_ns"):
        return iso(value) if isinstance(value, int) and value > 0 else "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _NAMES.get(key, {}).get(str(value), str(value))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, more: bool = False) -> None:
    """Rows with the given keys as columns; a key `x_ns` is headed `x`."""
    if not rows:
        click.echo(f"no {title}")
        return
    heads = [column.removesuffix("_ns") for column in columns]
    cells = [[printable(cell(column, row.get(column))) for column in columns] for row in rows]
    console = Console()
    if console.is_terminal:
        table = _table_that_fits(console.width, columns, [heads, *cells])
        if table is None:
            _print_records(title, heads, cells)
        else:
            table.title = title
            for line in cells:
                table.add_row(*(Text(text) for text in line))
            console.print(table)
    else:
        for text in _aligned(columns, [heads, *cells]):
            click.echo(text)
    if more:
        click.echo("there are more: raise --limit")


def _table_that_fits(width: int, columns: Sequence[str], lines: list[list[str]]) -> Table | None:
    """An empty table in which no figure is folded or cut and no text is folded into less than a few characters; one without lines
    where that takes too much. None: not even that fits (rich makes columns as narrow as nothing then)."""
    widths = [max(cell_len(line[number]) for line in lines) for number in range(len(columns))]
    for least, between, edge in ((_LEAST_TEXT, 3, 1), (_LEAST_TEXT_DENSE, 1, 0)):
        needed = sum(full if column in _RIGHT else min(full, least) for column, full in zip(columns, widths, strict=True))
        if needed + between * len(columns) + edge > width:
            continue
        table = Table(title_justify="left")
        if not edge:
            table = Table(title_justify="left", box=None, padding=(0, 1, 0, 0), leading=1)
        for column, head in zip(columns, lines[0], strict=True):
            # what may be folded is narrowed first, the widest before others
            right = column in _RIGHT
            table.add_column(head, justify="right" if right else "left", overflow="fold", no_wrap=right)
        return table
    return None


def _print_records(title: str, heads: list[str], cells: list[list[str]]) -> None:
    """A line per field: what is too long for the terminal goes on in its next line."""
    longest = max(map(len, heads))
    click.secho(title, bold=True)
    for number, line in enumerate(cells):
        if number:
            click.echo()
        for head, text in zip(heads, line, strict=True):
            click.echo(f"  {head:<{longest}}  {text}")


def print_fields(title: str, fields: Mapping[str, Any]) -> None:
    """One thing as lines `key  value`; lists and tables within it are left to the caller."""
    plain = {key: value for key, value in fields.items() if not isinstance(value, (list, dict))}
    width = max((len(key) for key in plain), default=0)
    click.secho(title, bold=True)
    for key, value in plain.items():
        click.echo(f"  {key.removesuffix('_ns'):<{width}}  {printable(cell(key, value))}")


def print_warning(text: str) -> None:
    """On stderr: what was asked for is complete without it."""
    click.secho(f"warning: {printable(text)}", fg="yellow", err=True)


def _aligned(columns: Sequence[str], lines: list[list[str]]) -> list[str]:
    widths = [max(len(line[number]) for line in lines) for number in range(len(columns))]
    out = []
    for line in lines:
        parts = [
            text.rjust(width) if column in _RIGHT else text.ljust(width)
            for column, text, width in zip(columns, line, widths, strict=True)
        ]
        out.append("  ".join(parts).rstrip())
    return out
