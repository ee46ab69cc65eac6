"""The loop of a thread that accepts connections: it lives as long as its listener, whatever is short for a while.

A moment without a free file handle, memory or thread must not close an entrance for good: nobody would notice before somebody
is at the door.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

AGAIN_S: Final = 0.1
# a shortage that comes and goes is told of at most this often
TELL_S: Final = 10.0


def accept_each(listener: socket.socket, take: Callable[[socket.socket], None], closing: Callable[[], bool], what: str) -> None:
    """Give each connection to `take` until `closing`; what `take` raises (RuntimeError: no new thread; OSError) costs that
    connection, which is closed. `what`: the listener's name for the log."""
    told_s, failing = -TELL_S, False
    while not closing():
        connection: socket.socket | None = None
        try:
            connection, _ = listener.accept()
            take(connection)
        except (OSError, RuntimeError, MemoryError) as error:
            if connection is not None:
                connection.close()
            if closing():
                return
            if not failing and time.monotonic() - told_s >= TELL_S:
                told_s = time.monotonic()
                log.error("%s: nobody gets in for now, tried again: %s", what, error or type(error).__name__)
            failing = True
            time.sleep(AGAIN_S)
        else:
            if failing:
                log.warning("%s: connections are taken again", what)
            failing = False
