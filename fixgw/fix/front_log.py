"""One-line logs of the front process: `<ns> <level> <event> key=value ...` on stderr.

The event loop must never wait for whoever reads our stderr, so lines go through a bounded queue to one writer
thread; lines lost to a full queue or to the rate limit (an attacker must not fill the disk) are counted, and the
count is said in a later line. Values from outside are shortened and escaped, so a line stays a line; callers pass
single fields, never whole messages, so no secret can get here.
"""

import json
import os
import queue
import sys
import threading
import time
from typing import Final

_QUEUE_LINES: Final = 4096
_LINES_PER_SECOND: Final = 200
_MAX_VALUE: Final = 120


class LineLog:
    """Writes lines to a file descriptor from a thread of its own. info() and warn() never block."""

    def __init__(self, fd: int | None = None) -> None:
        self._fd = sys.stderr.fileno() if fd is None else fd
        self._queue: queue.Queue[bytes | None] = queue.Queue(_QUEUE_LINES)
        self._lost = 0
        self._second = 0
        self._in_second = 0
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def info(self, event: str, **fields: object) -> None:
        self._line("info", event, fields)

    def warn(self, event: str, **fields: object) -> None:
        self._line("warn", event, fields)

    def close(self, timeout_s: float = 1.0) -> None:
        """Writes out what is queued, for at most timeout_s."""
        try:
            self._queue.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _line(self, level: str, event: str, fields: dict[str, object]) -> None:
        now_ns = time.time_ns()
        second = now_ns // 1_000_000_000
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        if self._in_second > _LINES_PER_SECOND:
            self._lost += 1
            return
        if self._lost:
            fields = {**fields, "log_lines_lost": self._lost}
        text = " ".join([f"{now_ns} {level} {event}", *(f"{key}={_value(value)}" for key, value in fields.items())])
        try:
            self._queue.put_nowait(text.encode("utf-8", "replace") + b"\n")
            self._lost = 0
        except queue.Full:
            self._lost += 1

    def _write_all(self) -> None:
        while (line := self._queue.get()) is not None:
            try:
                os.write(self._fd, line)
            except OSError:
                continue  # nobody reads our stderr any more: there is nowhere left to say so


def _value(value: object) -> str:
    text = str(value)
    if len(text) > _MAX_VALUE:
        text = text[:_MAX_VALUE] + "..."
    return text if text.isascii() and text.isprintable() and text and not set(text) & set(' "=') else json.dumps(text)
