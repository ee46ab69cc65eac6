"""The server of the admin socket: a few bounded threads that call the gateway's methods.

A method gets (params, user: see journaled_name) and returns what JSON can hold; Decimals leave as fixed-point text, never
with an exponent. It raises AdminError for what the user must know; ValueError, KeyError and TypeError are told as
BAD_PARAMS; anything else is told as FAILED and logged, because an operator's typo must never end the process that holds orders.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from ..accept import accept_each, hang_up, listen_private
from ..core.numbers import text
from ..printable import printable
from .protocol import MAX_REPLY_BYTES, MAX_REQUEST_BYTES, AdminError, Fault, Reply, Request

log = logging.getLogger(__name__)

Method = Callable[[dict[str, Any], str], object]

MAX_CONNECTIONS: Final = 16
# an operator's shell may sit idle; a peer that stops in the middle of a request may not
IDLE_TIMEOUT_S: Final = 600.0
WRITE_TIMEOUT_S: Final = 10.0
# of a name in the journal
MAX_NAME: Final = 64
_UCRED: Final = struct.Struct("3i")


class AdminServer:
    """Listens on `path` (mode 0600) after start(); close() ends every connection. All methods may run at the same time."""

    def __init__(
        self,
        path: str | Path,
        methods: Mapping[str, Method],
        *,
        max_connections: int = MAX_CONNECTIONS,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
    ) -> None:
        self._path = Path(path)
        self._methods = dict(methods)
        self._idle_timeout_s = idle_timeout_s
        self._slots = threading.BoundedSemaphore(max_connections)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._listener: socket.socket | None = None
        self._closing = False

    def start(self) -> None:
        """Bind and accept in the background; again when the socket's file was deleted. A file left by a dead process is replaced.
        Raises OSError, RuntimeError."""
        old, listener = self._listener, listen_private(self._path, MAX_CONNECTIONS)
        self._listener = listener
        try:
            threading.Thread(target=self._accept, args=(listener,), name="admin-accept", daemon=True).start()
        except BaseException:
            self._listener = old
            listener.close()
            raise
        hang_up(old)

    def close(self, timeout_s: float = 2.0) -> None:
        """Stop listening, end every connection, wait for running methods at most `timeout_s` in all."""
        with self._lock:
            self._closing = True
            connections, threads = list(self._open), list(self._threads)
        if self._listener is not None:
            hang_up(self._listener)
            self._path.unlink(missing_ok=True)
        for connection in connections:
            _shutdown(connection)
        deadline = time.monotonic() + timeout_s
        for thread in threads:
            # one that is only now being started cannot be joined; it ends by itself, its connection is shut down
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _accept(self, listener: socket.socket) -> None:
        accept_each(listener, self._take, lambda: self._closing or self._listener is not listener, "admin socket")

    def _take(self, connection: socket.socket) -> None:
        """Raises RuntimeError when there can be no thread for it."""
        if not self._slots.acquire(blocking=False):
            with connection, contextlib.suppress(OSError):  # it may have gone already
                _answer(connection, Reply(id=0, error=Fault("BUSY", "too many admin connections, try again")))
            return
        thread = threading.Thread(target=self._serve, args=(connection,), name="admin", daemon=True)
        with self._lock:
            self._open.add(connection)
            self._threads.add(thread)
        try:
            thread.start()
        except BaseException:
            with self._lock:
                self._open.discard(connection)
                self._threads.discard(thread)
            self._slots.release()
            raise

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(self._idle_timeout_s)
            uid = _peer_uid(connection)
            if uid not in (os.geteuid(), 0):
                _answer(connection, Reply(id=0, error=Fault("REFUSED", "only the owner of the gateway may connect")))
                return
            login = login_name(uid)
            with connection.makefile("rb") as lines:
                while not self._closing:
                    line = lines.readline(MAX_REQUEST_BYTES + 1)
                    if not line:
                        return
                    if not line.endswith(b"\n"):
                        if len(line) > MAX_REQUEST_BYTES:
                            fault = Fault("BAD_REQUEST", f"a request of at most {MAX_REQUEST_BYTES} bytes")
                            _answer(connection, Reply(id=0, error=fault))
                        return
                    _answer(connection, self._handle(line, login))
        except OSError as error:
            log.debug("admin connection ended: %s", error)
        finally:
            connection.close()
            with self._lock:
                self._open.discard(connection)
                self._threads.discard(threading.current_thread())
            self._slots.release()

    def _handle(self, line: bytes, login: str) -> Reply:
        """One request line of the peer whose login name is `login` to its reply; never raises."""
        try:
            request = msgspec.json.decode(line, type=Request)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return Reply(id=0, error=Fault("BAD_REQUEST", f"not a request: {error}"))
        method = self._methods.get(request.method)
        if method is None:
            known = ", ".join(sorted(self._methods))
            fault = Fault("UNKNOWN_METHOD", f"method {request.method[:40]!r}, expected one of {known}")
            return Reply(id=request.id, error=fault)
        try:
            return Reply(id=request.id, result=_exact(method(request.params, journaled_name(login, request.user))))
        except AdminError as error:
            return Reply(id=request.id, error=Fault(error.code, error.message))
        except (ValueError, KeyError, TypeError) as error:
            log.warning("admin %s refused: %r", request.method, error)
            why = f"missing parameter {error}" if isinstance(error, KeyError) else str(error)
            return Reply(id=request.id, error=Fault("BAD_PARAMS", why))
        except Exception as error:
            log.exception("admin %s failed", request.method)
            return Reply(id=request.id, error=Fault("FAILED", f"{type(error).__name__}: {error}"))


def login_name(uid: int) -> str:
    """Of a uid that the kernel told; "uid N" for one without an account."""
    try:
        return _cleaned(pwd.getpwuid(uid).pw_name) or f"uid {uid}"
    except (KeyError, OSError):
        return f"uid {uid}"


def journaled_name(login: str, claimed: str) -> str:
    """Who asked, for the journal: the login name, and beside it what the client calls itself where that is another name: a
    claim that anybody can make ($LOGNAME), but it tells a person behind sudo from a tool."""
    claimed = _cleaned(claimed)
    return login if claimed in ("", login) else f"{login} (as {claimed})"


def _cleaned(name: str) -> str:
    """At most MAX_NAME characters that can be printed."""
    return printable(name[:MAX_NAME]).strip()


def _exact(value: object) -> object:
    """The one door for figures: each Decimal as fixed-point text (str() and msgspec write 1E-8)."""
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(item) for item in value]
    return value


def _peer_uid(connection: socket.socket) -> int:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    uid: int = _UCRED.unpack(raw)[1]
    return uid


def _answer(connection: socket.socket, reply: Reply) -> None:
    """Write one reply line; a result that cannot be told is told as an error. Raises OSError."""
    try:
        line = msgspec.json.encode(reply)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        log.exception("admin reply cannot be encoded")
        line = msgspec.json.encode(Reply(id=reply.id, error=Fault("FAILED", f"reply cannot be encoded: {error}")))
    if len(line) > MAX_REPLY_BYTES:
        fault = Fault("FAILED", f"the reply exceeds {MAX_REPLY_BYTES} bytes, ask for less with `limit`")
        line = msgspec.json.encode(Reply(id=reply.id, error=fault))
    idle = connection.gettimeout()
    connection.settimeout(WRITE_TIMEOUT_S)
    connection.sendall(line + b"\n")
    connection.settimeout(idle)


def _shutdown(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # already gone
        pass
