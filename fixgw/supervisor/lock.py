"""Who runs DIR: data/run.lock is held by the supervisor, data/children.lock by it and every child while they live."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Set
from dataclasses import dataclass
from typing import Final

from ..config import Paths
from ..journal.identity import note_pid, noted_pid
from ..stopping import check_held

# children of a supervisor that was killed get SIGTERM from the kernel and drain
EARLIER_RUN_S: Final = 30.0


class AlreadyRunning(Exception):
    """Somebody runs this DIR; the text names the pid."""


@dataclass(frozen=True, slots=True)
class RunLock:
    """Both locks are held. `children_fd` is to be inherited by every child."""

    pid: int
    fd: int
    children_fd: int

    def release(self) -> None:
        """Give both back (children that still live keep theirs)."""
        os.close(self.fd)
        os.close(self.children_fd)


def take(paths: Paths, wait_s: float = EARLIER_RUN_S, held: Set[signal.Signals] = frozenset()) -> RunLock:
    """Take DIR; waits at most wait_s for the children of an earlier run to end, unless one of the `held` signals comes. Raises
    AlreadyRunning, OSError, Stopping."""
    fd = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = noted_pid(fd) or "unknown"
        os.close(fd)
        raise AlreadyRunning(f"{paths.root} is run already by the process {holder}; stop that one first") from None
    note_pid(fd)
    children = os.open(paths.children_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    lock = RunLock(os.getpid(), fd, children)
    deadline = time.monotonic() + wait_s
    try:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(children, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock
            if time.monotonic() >= deadline:
                pids = ", ".join(str(pid) for pid in holders(paths)) or "unknown"
                since = f"are still alive after {wait_s:.0f} s (pids: {pids}); end them first"
                raise AlreadyRunning(f"{paths.root}: processes of an earlier run {since}")
            check_held(held)
            time.sleep(0.05)
    except BaseException:
        lock.release()
        raise


def holders(paths: Paths) -> list[int]:
    """Processes of ours that have data/children.lock open."""
    target = paths.children_lock.stat()
    found: list[int] = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            for fd in os.listdir(f"/proc/{entry}/fd"):
                seen = os.stat(f"/proc/{entry}/fd/{fd}")
                if (seen.st_dev, seen.st_ino) == (target.st_dev, target.st_ino):
                    found.append(int(entry))
                    break
        except OSError:
            # it ended meanwhile, or is somebody else's
            continue
    return sorted(found)
