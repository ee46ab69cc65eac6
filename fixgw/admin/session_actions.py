"""`session` of the admin protocol (protocol.py): what operations do to one FIX session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core import commands as c
from ..engine import Engine
from ..fix.acceptor import Acceptor, SessionError
from .asked import Params, text_of
from .engine_access import journaled
from .names import Names
from .protocol import AdminError
from .server import Method


class SessionActions:
    """`sessions`: the read of that name; its row answers."""

    def __init__(self, engine: Engine, acceptor: Acceptor, names: Names, sessions: Method) -> None:
        self._engine = engine
        self._acceptor = acceptor
        self._names = names
        self._sessions = sessions

    def table(self) -> dict[str, Method]:
        """Name -> method."""
        return {"session": self._session}

    def _session(self, params: Params, user: str) -> object:
        name, action = text_of(params, "name"), text_of(params, "action")
        self._names.known_session(name)
        if action != "show":
            if not self._names.is_configured(name):
                text = f"session {name!r} is not configured: expected `show`, or a file of it in sessions/ and a restart"
                raise AdminError("REFUSED", f"{text}; what is open of it ends by `fixgw kill --session {name}` or `fixgw cancel`")
            self.act(name, action, params, user, text_of(params, "reason"))
        rows: Any = self._sessions({"session": name}, user)
        return rows["sessions"][0]

    def act(self, name: str, action: str, params: Params, user: str, reason: str) -> None:
        """The journal first, then QuickFIX."""
        acceptor = self._acceptor

        def note(what: str, target: str = name) -> None:
            now_ns = self._engine.now_ns()
            journaled(self._engine, c.AdminNote(ts_ns=now_ns, action=what, target=target, user=user, reason=reason))

        try:
            if action == "logout":
                note("session logout")
                acceptor.logout(name, reason)
            elif action == "disable":
                note("session disable")
                acceptor.disable(name, reason)
            elif action == "enable":
                note("session enable")
                acceptor.enable(name)
            elif action == "reset":
                acceptor.reset(name, lambda: note("session reset"))
            elif action == "set_seq":
                self._set_seq(name, params, note)
            else:
                raise AdminError("BAD_PARAMS", f"action {action!r}: expected show, set_seq, reset, logout, enable or disable")
        except SessionError as error:
            raise AdminError("REFUSED", str(error)) from error

    def _set_seq(self, name: str, params: Params, note: Callable[[str, str], None]) -> None:
        sender, target = params.get("next_sender"), params.get("next_target")
        if sender is None and target is None:
            raise AdminError("BAD_PARAMS", "set_seq: expected next_sender or next_target, at least one")
        for key, value in (("next_sender", sender), ("next_target", target)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise AdminError("BAD_PARAMS", f"{key} {value!r}: expected an integer of 1 or more")

        def journal() -> None:
            if sender is not None:
                note("session set-seq out", f"{name} {sender}")
            if target is not None:
                note("session set-seq in", f"{name} {target}")

        self._acceptor.set_seq(name, journal, next_in=target, next_out=sender)
