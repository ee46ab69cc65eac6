"""The file by which a process tells whoever started it that it is up, and where it is to be found."""

from __future__ import annotations

import json
from pathlib import Path

from .journal.disk import Disk


def write_ready(path: Path, content: dict[str, object]) -> None:
    """Whoever reads it sees all of it or nothing. On a full disk it takes the place of that of the run before, so that what died
    comes back. Raises OSError with the file's name."""
    try:
        Disk().replace_small(path, json.dumps(content).encode() + b"\n")
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}, expected room for the ready file", str(path)) from error
