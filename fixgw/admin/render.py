"""Answers of the gateway for people: tables on a terminal, aligned plain text otherwise. Decimals stay exact text."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
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
        table = Table(title=title, title_justify="left")
        for column, head in zip(columns, heads, strict=True):
            table.add_column(head, justify="right" if column in _RIGHT else "left", overflow="fold")
        for line in cells:
            table.add_row(*(Text(text) for text in line))
        console.print(table)
    else:
        for text in _aligned(columns, [heads, *cells]):
            click.echo(text)
    if more:
        click.echo("there are more: raise --limit")


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
