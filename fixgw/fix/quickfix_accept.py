"""QuickFIX's accepting thread, kept alive and watched.

QuickFIX 1.16 leaves its accept loop for good at the first accept() that fails (socketAcceptorThread in
ThreadedSocketAcceptor.cpp), so a moment without a free file handle would keep everybody out until a restart. It does not
look at whether that thread could be started (onStart), and where a connection gets no thread it leaves the
socket open, unread, and later joins or detaches whatever number stood in the place of that thread. So its calls of
socket_accept, thread_spawn, thread_join and thread_detach are led to ours (call_table.py), which try again, and leave alone a
thread that there is not; and Watch tells when the accepting thread has gone all the same.

Each thread runs within one Python state from its beginning to its end (`_run`): without it each callback makes and destroys one
(50-75 % less throughput), and one that is kept alive from within a callback is never freed, some 5 KB for each connection.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import itertools
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from fixgw.accept import AGAIN_S, TELL_S
from fixgw.fix import call_table, socket_close
from fixgw.fix.session_link import this_thread

log = logging.getLogger("fixgw.fix.acceptor")

# FIX::socket_accept(int); FIX::thread_spawn(void* (*)(void*), void*, unsigned long&); FIX::thread_join and thread_detach(unsigned
# long)
ACCEPT: Final = "_ZN3FIX13socket_acceptEi"
SPAWN: Final = "_ZN3FIX12thread_spawnEPFPvS0_ES0_Rm"
JOIN: Final = "_ZN3FIX11thread_joinEm"
DETACH: Final = "_ZN3FIX13thread_detachEm"
# in place of a thread: there is none
NOBODY: Final = 0
# a connection holds QuickFIX's lock meanwhile, and the front gives up after 5 s
SPAWN_S: Final = 3.0
# until QuickFIX's thread has come to its first accept()
BEGIN_S: Final = 15.0
LOOK_S: Final = 1.0
# the listener itself is gone: closed or shut down
_ENDED: Final = frozenset((errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP))

_ACCEPT_TYPE: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
_SPAWN_TYPE: Final = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_RUN_TYPE: Final = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
_THREAD_TYPE: Final = ctypes.CFUNCTYPE(None, ctypes.c_ulong)
_libc: Final = ctypes.CDLL(None, use_errno=True)
# listener -> the native id of QuickFIX's thread that accepts there
_accepting: Final[dict[int, int]] = {}
# listeners that have got another socket under their number
_renewed: Final[set[int]] = set()
# native id of an accepting thread -> the connection that it took last, while that has no thread
_taken: Final[dict[int, int]] = {}
# a number of its own -> what a thread that is being started is to run, and with what
_beginning: Final[dict[int, tuple[int, int]]] = {}
_numbers: Final = itertools.count(1)
_told_s = -TELL_S


@functools.cache
def install() -> bool:
    """Before QuickFIX starts an acceptor; it holds until the process ends. False (and a warning): the library is built in another
    way than is known here, and it is as described above."""
    otherwise = "QuickFIX accepts by itself: a moment without a free file handle keeps everybody out from then on"
    callbacks = {ACCEPT: _accept_callback, SPAWN: _spawn_callback, JOIN: _join_callback, DETACH: _detach_callback}
    return call_table.lead(callbacks, otherwise)


def _accept(listener: int) -> int:
    """In the place of FIX::socket_accept. -1: the listener is closed; QuickFIX's thread ends then."""
    me = _accepting[listener] = threading.get_native_id()
    try:
        while True:
            found: int = _libc.accept(listener, None, None)
            if found >= 0:
                _taken[me] = found
                return found
            number = ctypes.get_errno()
            if listener in _renewed:
                _renewed.discard(listener)
                continue
            # at a stop QuickFIX has closed it; without a free handle accept() would not come to see that
            if number in _ENDED or socket_close.is_closed(listener):
                _accepting.pop(listener, None)
                return -1
            if number != errno.EINTR:
                _tell(f"nobody can log on for now, tried again: accept: {os.strerror(number)}")
                time.sleep(AGAIN_S)
    except BaseException:
        # a result of none would be taken for descriptor 0
        _accepting.pop(listener, None)
        log.exception("QuickFIX's accept")
        return -1


def renew(listener: int, replacement: socket.socket) -> None:
    """`replacement` takes the place of the socket `listener`, on which QuickFIX's thread waits, and is closed under its own
    number. Raises OSError."""
    with replacement, socket.socket(fileno=os.dup(listener)) as old:
        _renewed.add(listener)
        os.dup2(replacement.fileno(), listener, inheritable=False)
        # wakes the thread, which still waits on the old one
        old.shutdown(socket.SHUT_RDWR)


def _spawn(function: int, argument: int, thread: int) -> bool:
    """In the place of FIX::thread_spawn."""
    taken = _taken.pop(threading.get_native_id(), -1)
    number = next(_numbers)
    try:
        _beginning[number] = (function, argument)
        deadline = time.monotonic() + SPAWN_S
        while not _quickfix_spawn(ctypes.cast(_run_callback, ctypes.c_void_p).value, number, thread):
            if time.monotonic() >= deadline:
                del _beginning[number]
                log.error("QuickFIX gets no thread%s", " for a connection: closed" if taken >= 0 else "")
                if taken >= 0:
                    os.close(taken)
                ctypes.c_ulong.from_address(thread).value = NOBODY
                return False
            _tell("QuickFIX gets no thread, tried again")
            time.sleep(AGAIN_S)
        return True
    except BaseException:
        log.exception("QuickFIX's threads")
        return False


def _run(number: int) -> int:
    """The whole life of a thread of QuickFIX."""
    try:
        function, argument = _beginning.pop(number)
        this_thread.pinned = True
        _RUN_TYPE(function)(argument)
    except BaseException:
        log.exception("a thread of QuickFIX")
    return 0


def _join(thread: int) -> None:
    """In the place of FIX::thread_join."""
    if thread != NOBODY:
        _quickfix_join(thread)


def _detach(thread: int) -> None:
    """In the place of FIX::thread_detach."""
    if thread != NOBODY:
        _quickfix_detach(thread)


def _tell(text: str) -> None:
    """Once in TELL_S."""
    global _told_s
    if time.monotonic() - _told_s >= TELL_S:
        _told_s = time.monotonic()
        log.error("%s", text)


_accept_callback: Final = _ACCEPT_TYPE(_accept)
_spawn_callback: Final = _SPAWN_TYPE(_spawn)
_run_callback: Final = _RUN_TYPE(_run)
_join_callback: Final = _THREAD_TYPE(_join)
_detach_callback: Final = _THREAD_TYPE(_detach)


def _original(symbol: str, kind: Callable[[int], Any]) -> Callable[..., Any]:
    with contextlib.suppress(OSError, AttributeError):
        found: Callable[..., Any] = kind(call_table.address_of(symbol))
        return found
    return lambda *_: False  # never called: there is nothing to lead here


_quickfix_spawn: Final = _original(SPAWN, _SPAWN_TYPE)
_quickfix_join: Final = _original(JOIN, _THREAD_TYPE)
_quickfix_detach: Final = _original(DETACH, _THREAD_TYPE)


class Watch:
    """Tells `on_lost`, once, when nobody accepts at `listener` (its descriptor) any more; start() it when the acceptor starts."""

    def __init__(self, listener: int, on_lost: Callable[[str], None], begin_s: float = BEGIN_S) -> None:
        self.listener = listener
        self._on_lost = on_lost
        self._begin_s = begin_s
        self.seen = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fix-accept-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Call it before the acceptor is stopped."""
        self._stop.set()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stop.wait(LOOK_S):
            thread = _accepting.get(self.listener)
            if thread is None and not self.seen and time.monotonic() - began < self._begin_s:
                continue
            self.seen = True
            if thread is None or not os.path.exists(f"/proc/self/task/{thread}"):
                if not self._stop.is_set():
                    self._on_lost("QuickFIX does not accept connections any more: nobody could log on")
                return
