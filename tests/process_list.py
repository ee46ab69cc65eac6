"""The processes of this machine that belong to a test."""

from __future__ import annotations

import os
from pathlib import Path


def started_in(temporary: Path) -> dict[int, str]:
    """Pid -> command of each process whose TMPDIR is this folder; what a process starts inherits it."""
    mark, found = f"TMPDIR={temporary}".encode(), {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and folder.name != str(os.getpid()):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
    return found
