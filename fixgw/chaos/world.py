"""One installation with its processes, to be killed.

`fixgw run` runs fixgw.chaos.gateway in the gateway's place where `traps` is set, and restarts what dies within 2 s.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..admin.client import AdminClient, NotRunning
from ..admin.protocol import AdminError
from ..fix.client import FixClient
from ..sim.client import SimClient
from ..supervisor.plan import BACKOFF_MAX_ENV, GATEWAY_MODULE_ENV
from ..supervisor.tree import Tree
from .gateway import PLANT_ENV
from .traps import TRAP_FILE

PARTS = ("gateway", "front", "venue:sim", "simulator")
BACKOFF_MAX_S = 2.0
_VERSIONS = {"OMS42": "FIX.4.2", "OMS44": "FIX.4.4", "OMS50": "FIXT.1.1", "PB44": "FIX.4.4"}


class World(Tree):
    """`fixgw run` on a demo configuration. A context manager: everything is stopped at the end."""

    def __init__(self, directory: Path, *, traps: bool = False, plant: str = "", env: Mapping[str, str] | None = None) -> None:
        """`plant`: a known bug of plants.py for the gateway, which implies `traps`. `env`: more of it."""
        self.directory = directory
        changed = {**os.environ, BACKOFF_MAX_ENV: str(BACKOFF_MAX_S), **(env or {})}
        if traps or plant:
            changed |= {GATEWAY_MODULE_ENV: "fixgw.chaos.gateway", PLANT_ENV: plant}
        super().__init__(directory, directory / "run.out", changed)

    def __enter__(self) -> World:
        if not (self.directory / "fixgw.toml").exists():
            command = [sys.executable, "-m", "fixgw.cli", "init", str(self.directory), "--demo"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, timeout_s: float = 90.0) -> None:
        """Start and wait until it is ready. Raises NotUp."""
        self.launch()
        self.wait_ready(timeout_s)

    def pid_of(self, part: str) -> int:
        """0: it is not there just now. (A ready file names the dead until others have taken their places.)"""
        pid: int = self.ready()["pids"].get(part, 0)
        return pid if is_ours(pid) else 0

    def kill(self, target: str) -> bool:
        """kill -9 of one part; False when it is not there just now."""
        pid = self.pid_of(target)
        if not pid:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def kill_at(self, point: str, after: int, timeout_s: float) -> bool | None:
        """Let the gateway die at a trap (traps.py); after the time it is killed wherever it is. True: the trap sprang. None:
        there was no gateway to die."""
        pid = self.pid_of("gateway")
        if not pid:
            return None
        trap = self.directory / "run" / TRAP_FILE
        temporary = trap.with_suffix(".tmp")
        temporary.write_text(json.dumps({"point": point, "after": after}))
        temporary.replace(trap)
        deadline = time.monotonic() + timeout_s
        while is_ours(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        if not is_ours(pid):
            return True
        trap.unlink(missing_ok=True)
        return False if self.kill("gateway") else None

    def unplanned_exits(self) -> list[str]:
        """Parts that ended by themselves, as the supervisor saw it: a bug, whatever the witnesses say."""
        return [line for line in self.said() if " ended: " in line and "SIGKILL" not in line]

    def client(self, session: str, store: Path, **options: Any) -> FixClient:
        """A FIX client of one of the demo's sessions, not started."""
        fix = self.ready()["fix"]
        return FixClient(fix["host"], fix["port"], _VERSIONS[session], session, "FIXGW", store_dir=store, **options)

    def all_up(self) -> bool:
        """Every part runs, the gateway answers and may trade."""
        if not all(self.pid_of(part) for part in PARTS):
            return False
        return all(venue["state"] == "READY" for venue in self.ask("status")["venues"])

    def sim(self) -> SimClient:
        """The simulator's control interface."""
        told = self.ready()["simulator"]
        return SimClient(told["host"], told["port"])

    def ask(self, method: str, **params: Any) -> Any:
        """One admin request. Raises NotRunning, AdminError."""
        with AdminClient(self.directory / "run" / "admin.sock", user="chaos") as admin:
            return admin.call(method, **params)

    def wait(self, what: str, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Until the condition holds; what is not there yet counts as "no". Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(NotRunning, AdminError, OSError, KeyError, ValueError):
                if condition():
                    return
            time.sleep(0.05)
        raise TimeoutError(f"not within {timeout_s} s: {what}")

    def wait_venue(self, timeout_s: float = 60.0) -> None:
        """Until the venue is reconciled, nothing is unknown and no request to it waits for its answer."""

        def settled() -> bool:
            status = self.ask("status")
            ready = all(venue["state"] == "READY" for venue in status["venues"])
            return ready and status["unknown_orders"] == status["in_flight"] == 0

        self.wait("the venue is READY, nothing is unknown or unanswered", settled, timeout_s)


def is_ours(pid: int) -> bool:
    """A living process of fixgw (a pid from a file may have passed on to somebody else)."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"fixgw" in file.read()
    except OSError:
        return False
