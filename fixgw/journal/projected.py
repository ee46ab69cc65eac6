"""What the projection has seen of the journal, asked by the gateway: without what making a projection needs."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

import msgspec

# whatever names an order goes into one of these tables, and each has an index for it (projection_tables.py)
_LAST_NAMED: Final = """
SELECT max(coalesce((SELECT last_seq FROM orders WHERE order_id = :id), 0),
           coalesce((SELECT max(last_seq) FROM children WHERE order_id = :id), 0),
           coalesce((SELECT max(seq) FROM reports WHERE order_id = :id), 0)),
       (SELECT value FROM meta WHERE key = 'last_seq'), (SELECT value FROM meta WHERE key = 'last_crc')
"""


class LastNamed(msgspec.Struct, frozen=True):
    """`last`: the last record that names an order, of those up to `seen`; `seen_crc`: the checksum of record `seen`, in hex."""

    last: int
    seen: int
    seen_crc: str


def projected_seq(path: Path) -> int:
    """The last record that a projection has seen; 0 where there is none that can be read."""
    if not path.exists():
        return 0
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = 'last_seq'").fetchone()
            return 0 if row is None else int(row[0])
    except (sqlite3.Error, ValueError):
        return 0


def last_named(path: Path, order_id: str) -> LastNamed | None:
    """What a projection tells of an order; None where it cannot be read, or does not know the order."""
    if not path.exists():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            # one statement, so of one moment
            last, seen, crc = connection.execute(_LAST_NAMED, {"id": order_id}).fetchone()
            found = LastNamed(int(last), int(seen or 0), str(crc))
    except (sqlite3.Error, ValueError):
        return None
    return found if 0 < found.last <= found.seen else None
