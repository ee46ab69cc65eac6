"""Tables on real terminals of every width: a figure is never cut, folded or left out."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from fixgw.admin import commands

ROOT = Path(__file__).parents[2]
# prints each of the tables, with rows as the gateway gives them
SHOW = """
import sys
from fixgw.admin import commands
from fixgw.admin.render import print_table
for name in sys.argv[1:]:
    columns = getattr(commands, name)
    rows = [{column: FIGURES.get(column, f"{column}-text-{number}") for column in columns} for number in (1, 2)]
    rows = [row | {"symbol": "BTC/USDT"} | ({"limit": GREEK} if "limit" in row else {}) for row in rows]
    print_table(name, columns, rows, more=True)
"""
GREEK = "αβγδεζηθικλμνξοπρστυφχψω"
FIGURES = {
    "order_qty": "12345.678901", "price": "60000.12", "cum_qty": "0.43210000", "leaves_qty": "12345.246801",
    "avg_px": "59999.99", "last_qty": "0.00000001", "last_px": "61234.56", "fee": "0.0123", "next_sender": 1234567,
    "next_target": 7654321, "open_orders": 42, "pending_reports": "10000+", "net": "-0.78877", "open_buy": "1.5",
    "open_sell": "2.25", "free": "1000000.01", "total": "1000001.02", "in_flight": "1.01", "available": "999999.00",
    "used": "3.141", "max": "2.718", "unknown_orders": 77, "host_pid": 98765, "pid": 4194303, "restarts": 654,
    "restarts_lately": 321, "updated_ns": 1_700_000_000_123_456_789, "ts_ns": 1_700_000_000_123_456_789,
    "last_logon_ns": 0, "asof_ns": 1, "started_ns": 1,
}  # fmt: skip
TABLES = [
    "ORDER_COLUMNS", "FILL_COLUMNS", "SESSION_COLUMNS", "POSITION_COLUMNS", "BALANCE_COLUMNS", "LIMIT_COLUMNS", "VENUE_COLUMNS",
    "PROCESS_COLUMNS",
]  # fmt: skip


def on_a_terminal(width: int, *tables: str) -> str:
    """What the tables look like on a terminal so wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    env = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    env |= {"TERM": "xterm", "PYTHONPATH": str(ROOT)}
    code = f"FIGURES, GREEK = {FIGURES!r}, {GREEK!r}\n{SHOW}"
    process = subprocess.Popen([sys.executable, "-c", code, *tables], stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    said = b""
    try:
        while more := os.read(ours, 65536):
            said += more
    except OSError:
        pass  # the other end is closed
    finally:
        os.close(ours)
        assert process.wait(60) == 0, said
    return re.sub(r"\x1b\[[0-9;]*m", "", said.decode()).replace("\r", "")


@pytest.mark.parametrize("width", [1, 20, 40, 50, 60, 64, 80, 100, 120, 160, 400])
def test_every_figure_is_there_whole_on_a_terminal_of_any_width(width: int) -> None:
    said = on_a_terminal(width, *TABLES)
    words = re.split(r"[\s\u2500-\u257f]+", said)
    for name in TABLES:
        for column in getattr(commands, name):
            figure = FIGURES.get(column)
            if figure is not None and not column.endswith("_ns"):
                assert words.count(str(figure)) == 2 * sum(column in getattr(commands, other) for other in TABLES), column
    assert said.count("there are more: raise --limit") == len(TABLES)


@pytest.mark.parametrize("width", [10, 30, 46, 60, 80, 200])
def test_text_may_be_folded_and_nothing_of_it_is_lost(width: int) -> None:
    said = on_a_terminal(width, "LIMIT_COLUMNS", "ORDER_COLUMNS")
    assert {said.count(letter) for letter in GREEK} == {2}  # two rows


def test_where_there_is_room_it_is_a_table() -> None:
    narrow, wide = on_a_terminal(40, "POSITION_COLUMNS"), on_a_terminal(100, "POSITION_COLUMNS")
    assert "  net        -0.78877\n" in narrow and "\u2503" not in narrow
    assert "\u2503" in wide and "-0.78877 \u2502" in wide
