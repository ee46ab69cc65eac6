"""The sockets of QuickFIX's connections are closed when nobody reads them any more.

QuickFIX 1.16 closes a connection's socket first (FIX::socket_close in Session::disconnect), then calls onLogout, and then
its thread polls and reads the same file descriptor number once more. Whatever this process opens meanwhile gets that
number, mostly the next client's connection: then two threads read one socket, a Logon is swallowed and never answered, or
orders go to another session's parser. So the calls of socket_close are led to `_close` below (call_table.py): the connection is
shut down at once, as before, but its number stays taken until the thread that closed it is gone, which is the one that reads it.
Where a thread of ours has QuickFIX end a connection (gap_keeper.py), which one reads it is not known, and the number is kept for
as long as any may.

At a stop QuickFIX closes once more what its threads have closed since it is stopping. By then the number may be given back, and
somebody else's: such a call does nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
import time
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
# numbers that QuickFIX is known to have got (opened()); those of them that were given back since
_theirs: Final[set[int]] = set()
_given_back: Final[set[int]] = set()
# a number is closed by QuickFIX's threads and given back by ours
_lock: Final = threading.Lock()


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


def opened(number: int) -> None:
    """QuickFIX has got this number, or still has it."""
    if number not in _theirs or number in _given_back:
        with _lock:
            _theirs.add(number)
            _given_back.discard(number)


def _close(number: int) -> None:
    """In the place of FIX::socket_close; the session's lock may be held. At a stop a connection is closed twice: by who stops,
    and by its own thread, which is the one to wait for."""
    # to Python those of QuickFIX are dummies, because it has not started them
    ours = not isinstance(threading.current_thread(), threading._DummyThread)
    with _lock:
        if number in _given_back:
            return
        _libc.shutdown(number, _SHUT_RDWR)
        _closed[number] = (_UNKNOWN if ours else threading.get_native_id(), time.monotonic())
    _some.set()


_callback: Final = _PROTOTYPE(_close)


def _reap() -> None:
    """Closes what was given up, each number once its thread is gone."""
    while _some.wait():
        if not _closed:
            _some.clear()
        for number, (thread, at) in list(_closed.items()):
            gone = thread != _UNKNOWN and not os.path.exists(f"/proc/self/task/{thread}")
            if gone or time.monotonic() - at > _LONGEST_S:
                close_now(number)
        time.sleep(_POLL_S)


def close_now(number: int) -> None:
    """Closes it and gives the number back: there is no thread that could read it."""
    with _lock:
        _closed.pop(number, None)
        if number in _theirs:
            _given_back.add(number)
        with contextlib.suppress(OSError):
            os.close(number)
