"""The supervisor: one thread, one loop. Start in order, restart what dies with back-off, tell where things are, stop in order.

    starting   children are started when those they come after have been ready (or are late) once
    running    a child that ends is started again after 0.1 s, 0.2 s ... 10 s; a minute of life makes it quick again. So
               is one that cannot be started (no room for its files, no process): the others go on
    stopping   front (nobody gets in any more) and gateway (says goodbye through the front, drains) together, then venue hosts,
               simulator; each has its time, then SIGKILL

Signals are blocked and taken by sigtimedwait, so that nothing happens in a handler. A gateway that ends with a status in
GATEWAY_FATAL is not restarted: everything is stopped and the reason is told.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

from ..process import describe_exit
from ..stopping import hold_signals
from .child import Child, describe_error
from .lock import RunLock
from .plan import Plan, PlanError, write_json
from .status import StatusLine

_TICK_S: Final = 0.05
# when everything is up, or late, only signals matter (SIGCHLD among them), and those wake the loop at once
_IDLE_TICK_S: Final = 0.5
_LOG_CHECK_S: Final = 10.0
# a ready file that could not be written
_TELL_AGAIN_S: Final = 1.0


class Supervisor:
    """run() blocks until a signal or a fatal end; returns the exit status."""

    def __init__(self, plan: Plan, lock: RunLock, ready_files: list[Path], status: StatusLine) -> None:
        self._plan = plan
        self._lock = lock
        self._ready_files = ready_files
        self._status = status
        self._children = plan.children()
        self._by_name = {child.name: child for child in self._children}
        self._pids: dict[str, int] = {}
        self._told: dict[str, object] = {}
        self._told_processes: object = None
        self._next_tell_processes = 0.0
        self._announced = False
        self._stop_reason: str | None = None
        self._exit_status = 0
        # name -> why a child ended that is not back yet
        self._ends: dict[str, str] = {}
        self._next_log_check = 0.0
        self._next_tell = 0.0
        self._tell_trouble = ""
        self._folder_trouble = ""

    def run(self) -> int:
        """0 after a clean stop; the gateway's status after a fatal one; 1 when a start failed or a stop was not clean."""
        old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        blocked = hold_signals() | {signal.SIGCHLD}
        try:
            with self._status:
                while self._stop_reason is None:
                    self._step()
                    if self._stop_reason is None:
                        self._wait(blocked)
                self._stop(blocked)
        finally:
            for child in self._children:
                child.signal(signal.SIGKILL)
            for path in self._ready_files:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            signal.pthread_sigmask(signal.SIG_SETMASK, old)
        return self._exit_status

    def _wait(self, blocked: set[signal.Signals]) -> None:
        # who is late is asked for at leisure: to be asked costs the gateway time, and an exchange may be away for hours
        idle = all(child.is_ready or child.late for child in self._children) and bool(self._told)
        got = signal.sigtimedwait(blocked, _IDLE_TICK_S if idle else _TICK_S)
        if got is not None and got.si_signo != signal.SIGCHLD:
            self._stop_reason = signal.Signals(got.si_signo).name

    def _step(self) -> None:
        """One look at everything."""
        for child in self._children:
            status = child.reap()
            if status is not None:
                self._ended(child, status)
                if self._stop_reason is not None:
                    return
        self._keep_run_folder()
        now = time.monotonic()
        for child in self._children:
            if child.process is None and now >= child.next_start and self._may_start(child):
                self._start(child)
                if self._stop_reason is not None:
                    return
            if child.look():
                if child.is_ready:
                    self._tell_end(child, None)
                    self._status.line(f"{child.name} is ready (pid {child.pid})")
                else:
                    self._status.line(f"{child.name} is not ready yet; the others go on without it", bad=True)
        self._tell()
        self._tell_processes()
        self._status.update(self._children, self._plan.addresses())
        if now >= self._next_log_check:
            self._next_log_check = now + _LOG_CHECK_S
            for child in self._children:
                child.look_after_log()

    def _keep_run_folder(self) -> None:
        """What was deleted from run/ while everything runs is told and made again: the folder and what is written from here. The
        gateway binds its sockets there anew by itself."""
        folder = self._plan.config.paths.run
        # os.path: what cannot be looked at (no right to, a file system that has gone) is not there, and ends nothing
        if not os.path.isdir(folder):
            try:
                self._plan.make_run_folder()
            except OSError as error:
                self._tell_folder(f"{describe_error(error, folder)}: it was deleted and cannot be made again yet")
                return
            self._tell_folder(f"{folder} was deleted while this ran: made again")
        elif self._told and not all(map(os.path.exists, self._ready_files)):
            self._tell_folder(f"the ready file was deleted while this ran: written again ({self._ready_files[0]})")
        else:
            self._folder_trouble = ""
            return
        self._told, self._told_processes = {}, None
        if self._ends:
            ends, self._ends = self._ends, {}
            for name, why in ends.items():
                self._tell_end(self._by_name[name], why)

    def _tell_folder(self, text: str) -> None:
        if text != self._folder_trouble:
            self._folder_trouble = text
            self._status.line(text, bad=True)

    def _may_start(self, child: Child) -> bool:
        return all(self._by_name[name].was_ready or self._by_name[name].late for name in child.after)

    def _start(self, child: Child) -> None:
        try:
            trouble = child.start(self._lock.children_fd)
        except (OSError, subprocess.SubprocessError, PlanError) as error:
            text = f"{child.name} cannot be started: {describe_error(error)}"
            if child.needed and not child.was_ready:
                self._fail(text, 1)
                return
            delay = max(0.0, child.next_start - time.monotonic())
            self._status.line(f"{text}\n  tried again in {delay:.1f} s", bad=True)
            self._tell_end(child, f"cannot be started: {describe_error(error)}")
            return
        again = f", start {child.starts}" if child.starts > 1 else ""
        self._status.line(f"{child.name} started (pid {child.pid}{again})")
        if trouble is not None:
            self._status.line(f"{child.name}: {trouble}; the end of what it says is kept until it can be written", bad=True)

    def _ended(self, child: Child, status: int) -> None:
        """A child has ended though nobody asked it to."""
        # a signal says it all; with an exit status the reason is in what it wrote last
        said = "".join(f"\n    {line}" for line in (child.last_lines() if status > 0 else ()))
        text = f"{child.name} ended: {describe_exit(status)}{said}"
        why = describe_exit(status)
        if status in child.unusable:
            why = f"its configuration cannot be used ({why}); {child.mend}"
            text = f"{text}\n  {why}"
        last = child.last_lines(1) if status > 0 else []
        self._tell_end(child, f"ended: {why}{f': {last[0].strip()}' if last else ''}")
        if status in child.fatal:
            self._fail(f"{text}\n  this would happen again: not restarted\n  next: {child.fatal[status]}", status)
        elif child.needed and not child.was_ready:
            self._fail(f"{text}\n  it never became ready", 1)
        else:
            delay = max(0.0, child.next_start - time.monotonic())
            self._status.line(f"{text}\n  restart in {delay:.1f} s", bad=True)

    def _tell_end(self, child: Child, why: str | None) -> None:
        """For `fixgw status`, which asks the gateway; None: it is back."""
        if self._ends.get(child.name) == why:
            return
        self._ends = {name: text for name, text in self._ends.items() if name != child.name}
        if why is not None:
            self._ends[child.name] = why
        try:
            write_json(self._plan.config.paths.ended, self._ends)
        except OSError as error:
            self._status.line(f"{describe_error(error)} (`fixgw status` does not tell why {child.name} ended)", bad=True)

    def _tell_processes(self) -> None:
        """For `fixgw status`, as _tell_end; a disk that is full is told there and by others."""
        told = [(child.name, child.pid, child.is_ready, child.starts) for child in self._children]
        now = time.monotonic()
        if told == self._told_processes or now < self._next_tell_processes:
            return
        rows = [
            dict(zip(("name", "pid", "ready", "starts", "starts_ns"), (*row, child.started_at_ns), strict=True))
            for row, child in zip(told, self._children, strict=True)
        ]
        try:
            write_json(self._plan.config.paths.processes, rows)
        except OSError:
            self._next_tell_processes = now + _TELL_AGAIN_S
            return
        self._told_processes = told

    def _fail(self, text: str, status: int) -> None:
        self._status.line(text, bad=True)
        self._stop_reason = "stopping everything"
        self._exit_status = status

    def _tell(self) -> None:
        """Write the ready files when all is up for the first time, and again when a child has been replaced."""
        for child in self._children:
            if child.pid and (child.is_ready or child.late):
                self._pids[child.name] = child.pid
        if not all(child.was_ready or child.late for child in self._children):
            return
        content: dict[str, object] = {**self._plan.addresses(), "pids": {"supervisor": self._lock.pid, **self._pids}}
        if content == self._told or time.monotonic() < self._next_tell:
            return
        try:
            for path in self._ready_files:
                write_json(path, content)
        except OSError as error:
            # everything runs, so it goes on, and this is tried again
            self._next_tell = time.monotonic() + _TELL_AGAIN_S
            fix = self._plan.addresses()["fix"]
            where = f"FIX is on {fix['host']}:{fix['port']}"
            text = f"{describe_error(error)}\n  the ready file cannot be written, nobody is told there; {where}"
            if text != self._tell_trouble:
                self._tell_trouble = text
                self._status.line(text, bad=True)
            return
        self._tell_trouble = ""
        self._told = content
        if not self._announced:
            self._announced = True
            fix = self._plan.addresses()["fix"]
            self._status.line(f"ready: FIX on {fix['host']}:{fix['port']}, all in {self._ready_files[0]}")

    def _stop(self, blocked: set[signal.Signals]) -> None:
        """Stop in order: the gateway and the front, the venue hosts, the simulator. The front is told first and lets nobody in
        from then on, but must outlive the gateway, whose goodbye to the clients passes through it."""
        self._status.line(f"{self._stop_reason}: draining")
        rank = {"gateway": 0, "front": 1, "simulator": 3}
        front = self._by_name.get("front")
        if front is not None and not _is_up(front):
            front = None
        if front is not None:
            front.signal(signal.SIGTERM)
        for child in sorted(self._children, key=lambda child: rank.get(child.name, 2)):
            if child is front:
                self._await_end(child, blocked)
            elif _is_up(child):
                child.signal(signal.SIGTERM)
                self._await_end(child, blocked)
        self._status.line("stopped" if not self._exit_status else "stopped, not cleanly")

    def _await_end(self, child: Child, blocked: set[signal.Signals]) -> None:
        """Of a child that was told to end."""
        assert child.process is not None
        deadline = time.monotonic() + child.grace_s
        while child.process.poll() is None and time.monotonic() < deadline:
            # a second signal changes nothing: the stop is bounded
            signal.sigtimedwait(blocked, _TICK_S)
        status = child.process.poll()
        if status is None:
            child.signal(signal.SIGKILL)
            child.process.wait()
            self._status.line(f"{child.name} did not stop within {child.grace_s:.0f} s: killed", bad=True)
            self._exit_status = self._exit_status or 1
        elif status not in (0, -signal.SIGTERM):
            said = "".join(f"\n    {line}" for line in child.last_lines())
            self._status.line(f"{child.name} stopped with {describe_exit(status)}{said}", bad=True)
            self._exit_status = self._exit_status or 1
        else:
            self._status.line(f"{child.name} stopped")


def _is_up(child: Child) -> bool:
    return child.process is not None and child.process.poll() is None
