"""What the projection has seen of the journal, asked at the gateway's start: without what making a projection needs."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path


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
