"""One installation with its processes, to be killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..admin.client import AdminClient, NotRunning
from ..admin.protocol import AdminError
from ..fix.client import FixClient
from ..sim.client import SimClient

TARGETS = ("gateway", "front", "venue:sim", "simulator")
_VERSIONS = {"OMS42": "FIX.4.2", "OMS44": "FIX.4.4", "OMS50": "FIXT.1.1", "PB44": "FIX.4.4"}


class World:
    """`fixgw run` on a demo configuration. A context manager: everything is stopped at the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> World:
        if not (self.directory / "fixgw.toml").exists():
            subprocess.run([sys.executable, "-m", "fixgw.cli", "init", str(self.directory), "--demo"], check=True, stdout=-3)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, timeout_s: float = 90.0) -> None:
        """Start and wait until it is ready. Raises RuntimeError."""
        (self.directory / "run" / "ready.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", "fixgw.cli", "run", str(self.directory)]
        with (self.directory / "run.out").open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"fixgw run ended with {self._process.returncode}: see {self.directory}/run.out")
            with contextlib.suppress(OSError, ValueError):
                if self.ready()["fix"]["port"]:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"fixgw run was not ready within {timeout_s} s: see {self.directory}/run.out")

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM and wait; the exit status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.terminate()
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(5)

    def ready(self) -> dict[str, Any]:
        """The newest ready file."""
        found: dict[str, Any] = json.loads((self.directory / "run" / "ready.json").read_text())
        return found

    def kill(self, target: str) -> bool:
        """kill -9 of one part; False when it is not there just now."""
        pid = self.ready()["pids"].get(target)
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def client(self, session: str, store: Path, **options: Any) -> FixClient:
        """A FIX client of one of the demo's sessions, not started."""
        fix = self.ready()["fix"]
        return FixClient(fix["host"], fix["port"], _VERSIONS[session], session, "FIXGW", store_dir=store, **options)

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
        """Until the venue is reconciled and nothing is unknown."""

        def settled() -> bool:
            status = self.ask("status")
            return all(venue["state"] == "READY" for venue in status["venues"]) and status["unknown_orders"] == 0

        self.wait("the venue is READY and nothing is unknown", settled, timeout_s)
