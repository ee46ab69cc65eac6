"""One supervised process: start, readiness, back-off, log. The supervisor's loop (loop.py) decides when.

A child dies with the supervisor (PDEATHSIG), and holds the handle of data/children.lock while it lives, so that the next
supervisor knows when everything of an earlier run is gone.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..process import die_with_parent
from .child_log import ChildLog

KEPT_STARTS: Final = 20
BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MAX_S: Final = 10.0
# a child that lived so long has earned a quick restart
BACKOFF_RESET_S: Final = 60.0


@dataclass(slots=True)
class Child:
    """`argv`: built at each start, because ports become known on the way. `ready`: asked until it is true, with the pid.
    `after`: names of children that must have been ready once. `grace_s`: how long it may take to stop. `needed`: without
    it the first start fails; `fatal`: exit statuses after which a restart would do harm, each with what to do.
    `ready_within_s`: after it the others do not wait for this one any more. `unusable`: exit statuses that say that its
    configuration cannot be used; `mend`: where to look then."""

    name: str
    argv: Callable[[], list[str]]
    ready: Callable[[int], bool]
    log: Path
    env: Mapping[str, str]
    after: tuple[str, ...] = ()
    grace_s: float = 5.0
    needed: bool = True
    fatal: Mapping[int, str] = field(default_factory=dict)
    ready_within_s: float | None = None
    backoff_max_s: float = BACKOFF_MAX_S
    unusable: frozenset[int] = frozenset()
    mend: str = ""
    process: subprocess.Popen[bytes] | None = None
    is_ready: bool = False
    was_ready: bool = False
    late: bool = False
    starts: int = 0
    # when, in ns since the epoch, the newest last
    started_at_ns: list[int] = field(default_factory=list)
    last_exit: int | None = None
    next_start: float = 0.0
    started: float = 0.0
    # since when it is not ready, over all its restarts
    waits_since: float = 0.0
    _delay: float = BACKOFF_FIRST_S
    _out: ChildLog = field(init=False)

    def __post_init__(self) -> None:
        self._out = ChildLog(self.log)

    @property
    def pid(self) -> int:
        """0 when it does not run."""
        return self.process.pid if self.process is not None else 0

    def start(self, lock_fd: int) -> str | None:
        """Start it; what is wrong with its log, if anything: it is started all the same, what it says is kept. Raises
        OSError, subprocess.SubprocessError and what argv raises; then nothing runs, and next_start says when to try again."""
        self.waits_since = self.waits_since or time.monotonic()
        try:
            return self._start(self.argv(), lock_fd)
        except BaseException:
            self._back_off()
            raise

    def _start(self, argv: list[str], lock_fd: int) -> str | None:
        fd, trouble = self._out.open()
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=fd,
            stderr=fd,
            env=dict(self.env),
            # Ctrl-C in the terminal is for the supervisor, which stops the others in order
            start_new_session=True,
            pass_fds=(lock_fd,),
            preexec_fn=_before_exec(os.getpid()),
        )
        self.starts += 1
        self.started_at_ns = [*self.started_at_ns[1 - KEPT_STARTS :], time.time_ns()]
        self.started = time.monotonic()
        self.is_ready = False
        return f"its log {describe_error(trouble, self.log)}" if trouble is not None else None

    def _back_off(self) -> None:
        self.next_start = time.monotonic() + self._delay
        self._delay = min(self._delay * 2, self.backoff_max_s)

    def reap(self) -> int | None:
        """Exit status if it has ended since the last look (negative: the signal), and when to start it again."""
        if self.process is None or self.process.poll() is None:
            return None
        self.last_exit = self.process.returncode
        self.process = None
        now = time.monotonic()
        if self.is_ready:
            self.waits_since = now
        self.is_ready = False
        if now - self.started >= BACKOFF_RESET_S:
            self._delay = BACKOFF_FIRST_S
        self._back_off()
        return self.last_exit

    def look(self) -> bool:
        """Ask whether it has become ready; True when that (or being late) is news."""
        if self.is_ready or not self.waits_since:
            return False
        if self.process is not None and self.ready(self.process.pid):
            self.is_ready = self.was_ready = True
            self.late = False
            return True
        waited = time.monotonic() - self.waits_since
        if not self.late and self.ready_within_s is not None and waited > self.ready_within_s:
            self.late = True
            return True
        return False

    def signal(self, number: int) -> None:
        """Send a signal if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def last_lines(self, count: int = 8) -> list[str]:
        """The end of what it wrote since its last start."""
        return self._out.last_lines(count)

    def look_after_log(self) -> None:
        """Keep its log within bounds, and bring there what could not be written."""
        self._out.look()


def describe_error(error: Exception, path: Path | None = None) -> str:
    """An error with the file that it is about (`path` where it does not say) and what to do, in one line."""
    if not isinstance(error, OSError):
        return str(error)
    # that of a rename names both
    file = error.filename if error.filename is not None else path
    what = error.strerror or str(error)
    mend = "; make room there, or raise the quota" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return f"{file}: {what}{mend}" if file is not None else f"{what}{mend}"


def _before_exec(parent: int) -> Callable[[], None]:
    """Run in the child between fork and exec: die with the parent, and take signals again (the supervisor blocks them)."""

    def prepare() -> None:
        die_with_parent(parent=parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    return prepare
