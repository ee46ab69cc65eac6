"""The product as a user runs it: `fixgw init DIR --demo`, then `fixgw run DIR` as a process that ends with ours."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from fixgw.config.init import InitError, init
from fixgw.config.paths import Paths
from fixgw.demo.scenario import TIGHTENED
from fixgw.process import tied

STOP_S: Final = 40.0
_POLL_S: Final = 0.05
_TAIL_LINES: Final = 12


class DemoError(Exception):
    """The demo cannot go on; the text says why, and what to look at."""


class Stack:
    """One installation in a folder of its own, and its supervisor."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root.absolute())
        self._log = self.paths.log / "supervisor.log"
        self.process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Write the configuration. Raises DemoError: the folder has one already, or cannot be written."""
        try:
            init(self.paths.root, demo=True)
            for name, keys in TIGHTENED.items():
                path = self.paths.root / name
                text = path.read_text(encoding="utf-8")
                for key, value in keys.items():
                    text = _set(text, key, value)
                path.write_text(text, encoding="utf-8")
        except InitError as error:
            raise DemoError(str(error)) from error
        except OSError as error:
            raise DemoError(f"{error.filename or self.paths.root}: {error.strerror}") from error

    def start(self) -> None:
        """Start `fixgw run`; returns at once. Ctrl-C does not reach it: we stop it in order."""
        argv = tied("fixgw.cli", "run", str(self.paths.root))
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait_ready(self, timeout_s: float, tell: Callable[[str], None]) -> dict[str, Any]:
        """What the ready file says, once all is up; `tell` gets the supervisor's last line. Raises DemoError."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            lines = self.log_lines()
            if lines:
                tell(lines[-1].partition(" ")[2])
            if self.paths.ready.exists():
                ready: dict[str, Any] = json.loads(self.paths.ready.read_bytes())
                if "venue:sim" not in ready["pids"] or any("not ready yet" in line for line in lines):
                    raise self._error("the venue host did not become ready")
                return ready
            if not self.is_up():
                raise self._error("the gateway did not start")
            time.sleep(_POLL_S)
        raise self._error(f"the gateway was not ready within {timeout_s:.0f} s")

    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log_lines(self) -> list[str]:
        """What the supervisor has said so far."""
        try:
            return self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def last_line(self) -> str:
        """The newest of them."""
        return "".join(self.log_lines()[-1:])

    def _error(self, what: str) -> DemoError:
        said = "\n    ".join(self.log_lines()[-_TAIL_LINES:])
        return DemoError(f"{what}; the supervisor said:\n    {said}\n  logs: {self.paths.log}")

    def stop(self) -> str:
        """Stop everything, in order, within STOP_S. Returns what went wrong, "" if nothing."""
        process = self.process
        if process is None:
            return ""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()  # its children end with it
            process.wait()
            return f"`fixgw run` did not stop within {STOP_S:.0f} s and was killed"
        finally:
            self.process = None
        return f"`fixgw run` ended with status {status}: {self.last_line()}" if status else ""


def _set(text: str, key: str, value: str) -> str:
    """Change a key of a TOML text where it stands, or append it where there is no table that it could fall into."""
    line = f"{key} = {value}"
    changed, count = re.subn(rf"^{key} = [^#\n]*", f"{line}  ", text, flags=re.MULTILINE)
    if count == 1:
        return changed
    if count == 0 and not re.search(r"^\[", text, flags=re.MULTILINE):
        return f"{text}{line}\n"
    raise DemoError(f"the configuration of `fixgw init --demo` has {key} {count} times, expected once")
