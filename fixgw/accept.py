"""The loop of a thread that accepts connections: it lives as long as its listener, whatever is short for a while.

A moment without a free file handle, memory or thread must not close an entrance for good: nobody would notice before somebody
is at the door.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .process import bind_private

log = logging.getLogger(__name__)

AGAIN_S: Final = 0.1
# a shortage that comes and goes is told of at most this often
TELL_S: Final = 10.0


def accept_each(listener: socket.socket, take: Callable[[socket.socket], None], closing: Callable[[], bool], what: str) -> None:
    """Give each connection to `take` until `closing`; what `take` raises (RuntimeError: no new thread; OSError) costs that
    connection, which is closed. `what`: the listener's name for the log."""
    told_s, told = -TELL_S, False
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
            if time.monotonic() - told_s >= TELL_S:
                told_s, told = time.monotonic(), True
                log.error("%s: nobody gets in for now, tried again: %s", what, error or type(error).__name__)
            time.sleep(AGAIN_S)
        else:
            if told:
                log.warning("%s: connections are taken again", what)
            told = False


def listen_private(path: Path, backlog: int) -> socket.socket:
    """A Unix socket that listens at `path`, for its owner only. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        bind_private(listener, path)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def hang_up(listener: socket.socket | None) -> None:
    """Close a listener; close() alone would not wake who waits in accept()."""
    if listener is not None:
        with contextlib.suppress(OSError), listener:
            listener.shutdown(socket.SHUT_RDWR)
