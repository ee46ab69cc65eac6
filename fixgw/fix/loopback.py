"""QuickFIX's listening socket, kept off the network.

QuickFIX 1.16 always binds its port on all interfaces and has no setting for it; what listens there would be reached past
the front with all its limits. So once QuickFIX listens, a socket of ours takes the place of that one, under the same file
descriptor: a Unix socket in a folder of its owner's.

A Unix socket besides has no windows and no retransmissions. Over TCP both directions could fill up with small messages and
the kernel then drop what did not fit, acknowledgements with it: a session stood still for as long as both ends backed off.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path
from typing import Final

from fixgw.process import bind_private

_LOOPBACK: Final = "127.0.0.1"
_BACKLOG: Final = 1024
_WAKE_S: Final = 2.0


def listener(path: Path) -> socket.socket:
    """A Unix socket that listens at `path`, for its owner only; one that an earlier run left there is taken away. Raises
    OSError."""
    made = socket.socket(socket.AF_UNIX)
    try:
        bind_private(made, path)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise OSError(error.errno, f"{error.strerror}, expected to listen there", str(path)) from error
    return made


def take_over(port: int, replacement: socket.socket) -> int:
    """`replacement` takes the place of this process's socket that listens on `port`, and is closed under its own number; returns
    the number under which it goes on.

    Raises OSError when there is no such socket."""
    with replacement:
        number = os.dup2(replacement.fileno(), _listening(port), inheritable=False)
    # a thread that waits in accept() holds the old socket: one connection sends it to the new one, and ends the old
    with contextlib.suppress(OSError):
        socket.create_connection((_LOOPBACK, port), timeout=_WAKE_S).close()
    return number


def _listening(port: int) -> int:
    for name in os.listdir("/dev/fd"):
        number = int(name)
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(number).st_mode) and _listens(number, port):
                return number
    raise OSError(f"port {port}: no socket of this process listens there")


def _listens(number: int, port: int) -> bool:
    with socket.socket(fileno=os.dup(number)) as probe:
        if probe.family != socket.AF_INET or not probe.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return False
        found: int = probe.getsockname()[1]
        return found == port
