"""One supervised process: start, readiness, back-off, log. The supervisor's loop (loop.py) decides when.

A child dies with the supervisor (PDEATHSIG), and holds the handle of data/children.lock while it lives, so that the next
supervisor knows when everything of an earlier run is gone.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MAX_S: Final = 10.0
# a child that lived so long has earned a quick restart
BACKOFF_RESET_S: Final = 60.0
LOG_MAX_BYTES: Final = 16 * 1024 * 1024
LOGS_KEPT: Final = 5
_TAIL_BYTES: Final = 16 * 1024
_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None, use_errno=True)


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
    last_exit: int | None = None
    next_start: float = 0.0
    started: float = 0.0
    # since when it is not ready, over all its restarts
    waits_since: float = 0.0
    _delay: float = BACKOFF_FIRST_S
    _log_start: int = field(default=0)

    @property
    def pid(self) -> int:
        """0 when it does not run."""
        return self.process.pid if self.process is not None else 0

    def start(self, lock_fd: int) -> str | None:
        """Start it; what is wrong with its log, if anything: it is started all the same, what it says is lost then. Raises
        OSError, subprocess.SubprocessError and what argv raises; then nothing runs, and next_start says when to try again."""
        self.waits_since = self.waits_since or time.monotonic()
        try:
            return self._start(self.argv(), lock_fd)
        except BaseException:
            self._back_off()
            raise

    def _start(self, argv: list[str], lock_fd: int) -> str | None:
        fd, trouble = self._open_log()
        try:
            self._log_start = 0 if trouble else os.fstat(fd).st_size
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
        finally:
            os.close(fd)
        self.starts += 1
        self.started = time.monotonic()
        self.is_ready = False
        return trouble

    def _open_log(self) -> tuple[int, str | None]:
        """A handle for what it says, and why that is not its log."""
        flags, trouble = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, None
        try:
            rotate(self.log)
            return os.open(self.log, flags, 0o600), None
        except OSError as error:
            trouble = f"its log {describe_error(error, self.log)}"
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), trouble

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
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(min(self._log_start, size), size - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return []
        return [line for line in text.splitlines() if line.strip()][-count:]

    def bound_log(self) -> None:
        """Keep the log of a long-lived child within bounds: copied away and cut, because the child holds it open."""
        try:
            if self.log.stat().st_size > LOG_MAX_BYTES:
                _shift(self.log)
                shutil.copyfile(self.log, _numbered(self.log, 1))
                os.truncate(self.log, 0)
                self._log_start = 0
        except OSError:
            # a full disk: the next look tries again; the journal tells about the disk, not the log
            pass


def describe_error(error: Exception, path: Path | None = None) -> str:
    """An error with the file that it is about (`path` where it does not say) and what to do, in one line."""
    if not isinstance(error, OSError):
        return str(error)
    # that of a rename names both
    file = error.filename if error.filename is not None else path
    what = error.strerror or str(error)
    mend = "; make room there, or raise the quota" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return f"{file}: {what}{mend}" if file is not None else f"{what}{mend}"


def rotate(log: Path) -> None:
    """Move a log that has grown over the bound to NAME.log.1, older ones up to LOGS_KEPT."""
    try:
        if log.stat().st_size <= LOG_MAX_BYTES:
            return
    except FileNotFoundError:
        return
    _shift(log)
    log.replace(_numbered(log, 1))


def _shift(log: Path) -> None:
    for number in range(LOGS_KEPT - 1, 0, -1):
        if _numbered(log, number).exists():
            _numbered(log, number).replace(_numbered(log, number + 1))


def _numbered(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")


def _before_exec(parent: int) -> Callable[[], None]:
    """Run in the child between fork and exec: die with the parent, and take signals again (the supervisor blocks them)."""

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    return prepare
