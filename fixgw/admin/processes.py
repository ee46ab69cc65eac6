"""The other processes of an installation, for `fixgw status`: which run, how often they were started, and whether the front,
through which every client comes, lets anybody in.

What the supervisor tells (run/processes.json, run/ended.json) can be old, if it is stopped itself; so the front's process is
looked at, and the time of its ready file, which it renews every second (fix/front.py).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import msgspec

from ..config import Paths

# the front's ready file is renewed every second
STILL_S: Final = 10.0
# so many restarts within so long are a trouble, though it be up just now
OFTEN: Final = 3
LATELY_S: Final = 600.0


class Process(msgspec.Struct, frozen=True):
    """A row of run/processes.json; `pid`: 0 while it does not run; `starts_ns`: of the last 20, the newest last."""

    name: str
    pid: int
    ready: bool
    starts: int
    starts_ns: list[int]


class FrontReady(msgspec.Struct, frozen=True):
    """run/front.json."""

    host: str
    port: int
    pid: int


def told_processes(paths: Paths, now_s: float) -> dict[str, Any]:
    """The keys of `status` (protocol.py) that tell of processes. `now_s`: time.time(). All are empty where no supervisor runs."""
    rows, why = _read(paths.processes, list[Process]) or [], _read(paths.ended, dict[str, str]) or {}
    told: dict[str, Any] = {"front": "", "front_trouble": "", "process_trouble": "", "processes": []}
    troubles = []
    for row in rows:
        lately = sum(1 for start_ns in row.starts_ns[1 if row.starts == len(row.starts_ns) else 0 :] if _is_late(start_ns, now_s))
        ended = why.get(row.name, "")
        told["processes"].append(
            {
                "name": row.name, "pid": row.pid or None, "up": row.ready, "restarts": max(row.starts - 1, 0),
                "restarts_lately": lately, "started_ns": row.starts_ns[-1] if row.starts_ns else 0, "reason": ended,
            }
        )  # fmt: skip
        if row.name == "front":
            told["front"], told["front_trouble"] = _front(paths, row, ended, now_s)
        if lately >= OFTEN:
            often = f"{row.name} restarted {lately} times within {LATELY_S / 60:.0f} minutes"
            troubles.append(f"{often}{f': {ended}' if ended else ''}")
    told["process_trouble"] = "; ".join(troubles)
    return told


def _front(paths: Paths, row: Process, ended: str, now_s: float) -> tuple[str, str]:
    """Where the front listens, with its process, and why nobody can log on: "" if they can."""
    if not row.pid or not row.ready:
        state = "is down" if not row.pid else "does not listen"
        return state, f"no client can log on: the front {state}, {row.starts} starts{f'; {ended}' if ended else ''}"
    found = _read(paths.front_ready, FrontReady)
    text = f"listens on {found.host}:{found.port}, " if found is not None and found.pid == row.pid else ""
    text += f"pid {row.pid}, {row.starts - 1} restarts"
    still_s = now_s - _changed_s(paths.front_ready, now_s)
    state = _state_of(row.pid)
    if state in ("", "Z"):
        trouble = "its process has gone, and nothing starts it again"
    elif state in "Tt":
        trouble = "its process is stopped (SIGSTOP, or a debugger)"
    elif still_s > STILL_S:
        trouble = f"it has not moved for {still_s:.0f} s"
    else:
        return text, ""
    return text, f"no client can log on or is served: the front does not answer: {trouble}"


def _is_late(start_ns: int, now_s: float) -> bool:
    return now_s - start_ns / 1e9 <= LATELY_S


def _state_of(pid: int) -> str:
    """R, S, D, T, Z ...; "" for none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def _changed_s(path: Path, otherwise_s: float) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return otherwise_s  # deleted a moment ago, it comes back


def _read(path: Path, kind: Any) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None

