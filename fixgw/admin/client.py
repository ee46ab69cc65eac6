"""Client of the admin socket: one call at a time, with a deadline."""

from __future__ import annotations

import getpass
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from ..process import socket_address
from .protocol import MAX_REPLY_BYTES, AdminError, Reply

DEFAULT_TIMEOUT_S: Final = 30.0
AGAIN_S: Final = 0.1
# what shows whether a change was carried out; a read changes nothing
_SHOWN_BY: Final = {
    "cancel": "`fixgw order ID`",
    "kill": "`fixgw status`",
    "resume": "`fixgw status`",
    "session": "`fixgw session NAME show`",
    "resolve": "`fixgw order ID`",
}


class NotRunning(Exception):
    """Nobody listens on the admin socket: start the gateway with `fixgw run DIR`."""


class AdminClient:
    """with AdminClient(path) as client: client.call("orders", open=True)."""

    def __init__(self, path: str | Path, *, user: str | None = None, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Connects at once. Raises NotRunning."""
        self._user = default_user() if user is None else user
        self._next_id = 1
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(timeout_s)
        try:
            self._connect(socket_address(Path(path)), time.monotonic() + timeout_s)
        except OSError as error:
            self._socket.close()
            reason = error.strerror or str(error)
            raise NotRunning(f"no gateway answers at {path}: {reason}; start it with `fixgw run DIR`") from error
        self._lines = self._socket.makefile("rb")

    def _connect(self, address: str, deadline_s: float) -> None:
        """Raises OSError."""
        while True:
            try:
                self._socket.connect(address)
                return
            except BlockingIOError:
                # nobody takes connections for now, and as many wait as may
                if time.monotonic() >= deadline_s:
                    raise
                time.sleep(AGAIN_S)

    def call(self, method: str, **params: Any) -> Any:
        """The result of one method; parameters that are None are left out. Raises AdminError, NotRunning (connection
        lost, no answer in time, or interrupted: whether a change was carried out is then unknown, and the text says what shows
        it)."""
        request_id, self._next_id = self._next_id, self._next_id + 1
        given = {name: value for name, value in params.items() if value is not None}
        line = msgspec.json.encode({"id": request_id, "method": method, "params": given, "user": self._user})
        try:
            self._socket.sendall(line + b"\n")
            answer = self._lines.readline(MAX_REPLY_BYTES + 2)
        except OSError as error:
            raise NotRunning(f"the gateway did not answer {method!r}: {error}{_unknown(method, given)}") from error
        except KeyboardInterrupt as error:
            if not shown_by(method, given):
                raise
            # the request is on its way, and nobody can call it back
            raise NotRunning(f"interrupted before the gateway answered {method!r}{_unknown(method, given)}") from error
        if not answer.endswith(b"\n"):
            raise NotRunning(f"the gateway closed the admin connection during {method!r}{_unknown(method, given)}")
        try:
            reply = msgspec.json.decode(answer, type=Reply)
        except msgspec.MsgspecError as error:
            raise AdminError("FAILED", f"not a reply: {error}") from error
        if reply.error is not None:
            raise AdminError(reply.error.code, reply.error.message)
        if reply.id != request_id:
            raise AdminError("FAILED", f"a reply to request {reply.id}, expected {request_id}")
        return reply.result

    def close(self) -> None:
        """End the connection."""
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> AdminClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def shown_by(method: str, params: dict[str, Any]) -> str:
    """The command that shows whether this change was carried out; "" for a read."""
    return "" if params.get("action") == "show" else _SHOWN_BY.get(method, "")


def _unknown(method: str, params: dict[str, Any]) -> str:
    """What to know of a request that was sent and has no answer."""
    if not (command := shown_by(method, params)):
        return ""
    return (
        "; the outcome is unknown: what was asked for may have been done, or may still be, as soon as the gateway goes on. "
        f"{command} shows it; look there before you ask again"
    )


def default_user() -> str:
    """What we call ourselves: $LOGNAME and the like, else the uid. The server knows better and takes it as a claim."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"
