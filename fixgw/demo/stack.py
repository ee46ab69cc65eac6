"""The product as a user runs it: `fixgw init DIR --demo`, then `fixgw run DIR` as a process that ends with ours."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fixgw.config.init import InitError, init
from fixgw.demo.scenario import TIGHTENED
from fixgw.supervisor.tree import NotUp, Tree


class DemoError(Exception):
    """The demo cannot go on; the text says why, and what to look at."""


class Stack(Tree):
    """One installation in a folder of its own, and its supervisor."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, root / "log" / "supervisor.log")

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

    def wait_ready(self, timeout_s: float, tell: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
        """What the ready file says, once all is up; `tell` gets the supervisor's last line. Raises DemoError."""
        try:
            ready = super().wait_ready(timeout_s, lambda line: tell(line.partition(" ")[2]) if line else None)
            if "venue:sim" not in ready["pids"] or any("not ready yet" in line for line in self.said()):
                raise self.not_up("came up without its venue host")
        except NotUp as error:
            raise DemoError(f"{error}\n  logs: {self.paths.log}") from error
        return ready


def _set(text: str, key: str, value: str) -> str:
    """Change a key of a TOML text where it stands, or append it where there is no table that it could fall into."""
    line = f"{key} = {value}"
    changed, count = re.subn(rf"^{key} = [^#\n]*", f"{line}  ", text, flags=re.MULTILINE)
    if count == 1:
        return changed
    if count == 0 and not re.search(r"^\[", text, flags=re.MULTILINE):
        return f"{text}{line}\n"
    raise DemoError(f"the configuration of `fixgw init --demo` has {key} {count} times, expected once")
