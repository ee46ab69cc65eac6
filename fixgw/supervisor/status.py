"""What `fixgw run` prints: dated lines, and on a terminal one live line below them. No thread of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from .child import Child

_REFRESH_S: Final = 0.5


class StatusLine:
    """A context manager. line() at any time within it; update() as often as one likes."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        # auto_refresh would start a thread, and a process with threads should not fork
        self._live = Live(Text(""), console=self._console, auto_refresh=False, transient=True)
        self._is_live = self._console.is_terminal
        self._began = time.monotonic()
        self._next = 0.0

    def __enter__(self) -> StatusLine:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._is_live:
            self._live.stop()

    def line(self, text: str, *, bad: bool = False) -> None:
        """One dated line (UTC)."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        # a full disk or a reader that has gone: what cannot be told is lost, nobody is stopped for it
        with contextlib.suppress(OSError):
            if self._is_live:
                self._console.print(Text(f"{stamp} {text}", style="red" if bad else ""))
            else:
                print(f"{stamp} {text}", flush=True)

    def update(self, children: Sequence[Child], addresses: dict[str, Any]) -> None:
        """The live line: every child with its state, restarts, the address, the time."""
        now = time.monotonic()
        if not self._is_live or now < self._next:
            return
        self._next = now + _REFRESH_S
        text = Text()
        for child in children:
            state, style = _state(child)
            again = f" x{child.starts}" if child.starts > 1 else ""
            text.append(f"{child.name} {state}{again}", style=style)
            text.append("  ")
        fix, up = addresses["fix"], int(now - self._began)
        text.append(f"FIX {fix['host']}:{fix['port'] or '-'}  up {up // 3600}:{up // 60 % 60:02}:{up % 60:02}", style="dim")
        with contextlib.suppress(OSError):
            self._live.update(text, refresh=True)


def _state(child: Child) -> tuple[str, str]:
    if child.process is None:
        return ("waiting", "dim") if child.starts == 0 else ("down", "red")
    if child.is_ready:
        return "up", "green"
    return ("late", "red") if child.late else ("starting", "yellow")
