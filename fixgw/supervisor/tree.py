"""An installation under `fixgw run`, for a tool that starts it: start, wait until it is ready, stop."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from ..config.paths import Paths
from ..process import describe_exit, tied

STOP_S: Final = 40.0
_POLL_S: Final = 0.05
_TAIL_LINES: Final = 12


class NotUp(Exception):
    """The installation does not come up; the text says why, and what the supervisor said last: a temporary folder does not
    outlive the run."""


class Tree:
    """The supervisor and all that it runs, as a process that ends with ours. `log`: where what it says goes; `env`: its
    environment, where that is not ours."""

    def __init__(self, root: Path, log: Path, env: Mapping[str, str] | None = None) -> None:
        self.paths = Paths(root.absolute())
        self._log = log
        self._env = env
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start `fixgw run`; returns at once. Ctrl-C does not reach it: we stop it in order."""
        self.paths.ready.unlink(missing_ok=True)
        argv = tied("fixgw.cli", "run", str(self.paths.root))
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=self._env, start_new_session=True
            )

    def wait_ready(self, timeout_s: float, tell: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
        """What the ready file says, once all is up; meanwhile `tell` gets the supervisor's last line. Raises NotUp."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            tell(self.last_line())
            with contextlib.suppress(OSError, ValueError):
                ready = self.ready()
                if ready["fix"]["port"]:
                    return ready
            status = self.process.poll() if self.process is not None else 0
            if status is not None:
                raise self.not_up(f"ended with {describe_exit(status)}")
            time.sleep(_POLL_S)
        raise self.not_up(f"was not ready within {timeout_s:g} s")

    def ready(self) -> dict[str, Any]:
        """The newest ready file. Raises OSError where there is none."""
        found: dict[str, Any] = json.loads(self.paths.ready.read_bytes())
        return found

    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def said(self) -> list[str]:
        """What the supervisor has said so far, in lines."""
        try:
            return self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def last_line(self) -> str:
        """The newest of them; "" before the first."""
        return "".join(self.said()[-1:])

    def not_up(self, what: str) -> NotUp:
        said = "\n    ".join(self.said()[-_TAIL_LINES:])
        return NotUp(f"`fixgw run` {what}; it said last:\n    {said}")

    def stop(self) -> str:
        """Stop everything, in order, within STOP_S. Returns what went wrong, "" if nothing."""
        process, self.process = self.process, None
        if process is None:
            return ""
        process.terminate()
        try:
            status = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()  # its children end with it
            process.wait()
            return f"`fixgw run` did not stop within {STOP_S:.0f} s and was killed"
        return f"`fixgw run` ended with {describe_exit(status)}: {self.last_line()}" if status else ""
