"""The sockets of QuickFIX's connections are closed when nobody reads them any more.

QuickFIX 1.16 closes a connection's socket first (FIX::socket_close in Session::disconnect), then calls onLogout, and then
its thread polls and reads the same file descriptor number once more. Whatever this process opens meanwhile gets that
number, mostly the next client's connection: then two threads read one socket, a Logon is swallowed and never answered, or
orders go to another session's parser. So the calls of socket_close are led to `_close` below (call_table.py): the connection is
shut down at once, as before, but its number stays taken until the thread that closed it is gone, which is the one that reads it.
Where a thread of ours has QuickFIX end a connection (gap_keeper.py), which one reads it is not known, and the number is kept for
as long as any may.

A QuickFIX that is stopping closes once more what its threads have closed since it began to. By then the number would be somebody
else's, so that none is given back meanwhile (`held`).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
import time
from collections.abc import Iterator
from typing import Final

from fixgw.fix import call_table

# FIX::socket_close(int)
SYMBOL: Final = "_ZN3FIX12socket_closeEi"
_PROTOTYPE: Final = ctypes.CFUNCTYPE(None, ctypes.c_int)
_SHUT_RDWR: Final = 2
_POLL_S: Final = 0.1
# Longer than any thread is held up in a callback; the number is given up then
_LONGEST_S: Final = 30.0
# in place of a thread: not known
_UNKNOWN: Final = 0

_libc: Final = ctypes.CDLL(None, use_errno=True)
# file descriptor -> the thread of QuickFIX that closed it last, monotonic time
_closed: Final[dict[int, tuple[int, float]]] = {}
_some: Final = threading.Event()
# by who has QuickFIX stop, and by who gives numbers back
_giving_back: Final = threading.RLock()


@functools.cache
def install() -> bool:
    """Before QuickFIX opens a socket; it holds until the process ends. False (and a warning): the library is built in another way
    than is known here, and QuickFIX closes its sockets itself, as described above."""
    otherwise = "QuickFIX closes its sockets itself: who logs on right after a logout may get no answer"
    led = call_table.lead({SYMBOL: _callback}, otherwise)
    if led:
        threading.Thread(target=_reap, name="fix-sockets", daemon=True).start()
    return led


def is_closed(number: int) -> bool:
    """Given up by QuickFIX, and its number still taken."""
    return number in _closed


@contextlib.contextmanager
def held() -> Iterator[None]:
    """No number is given back within: around a stop of QuickFIX."""
    with _giving_back:
        yield


def _close(number: int) -> None:
    """In the place of FIX::socket_close; the session's lock may be held. At a stop a connection is closed twice: by who stops,
    and by its own thread, which is the one to wait for."""
    _libc.shutdown(number, _SHUT_RDWR)
    # to Python those of QuickFIX are dummies, because it has not started them
    ours = not isinstance(threading.current_thread(), threading._DummyThread)
    _closed[number] = (_UNKNOWN if ours else threading.get_native_id(), time.monotonic())
    _some.set()


_callback: Final = _PROTOTYPE(_close)


def _reap() -> None:
    """Closes what was given up, each number once its thread is gone."""
    while _some.wait():
        if not _closed:
            _some.clear()
        with _giving_back:
            for number, (thread, at) in list(_closed.items()):
                gone = thread != _UNKNOWN and not os.path.exists(f"/proc/self/task/{thread}")
                if gone or time.monotonic() - at > _LONGEST_S:
                    del _closed[number]
                    with contextlib.suppress(OSError):
                        os.close(number)
        time.sleep(_POLL_S)
