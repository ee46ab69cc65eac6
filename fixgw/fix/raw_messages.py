"""QuickFIX's log: every raw message in and out (also those that it rejects itself) and its events.

The factory and its logs live as long as the process: QuickFIX keeps bare pointers to them, and a LogFactory that Python
owns deadlocks in its constructor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

import quickfix as fix

from fixgw.fix.port import EnginePort, RawLogPort

log = logging.getLogger("fixgw.fix.quickfix")
_keep: list[object] = []


class _SessionLog(fix.Log):  # type: ignore[misc]
    def __init__(self, name: str, raw_log: RawLogPort | None, engine: EnginePort, heard: Callable[[str, str], None]) -> None:
        super().__init__()
        self._name = name
        self._heard = heard
        self._raw_log = raw_log
        self._engine = engine

    def clear(self) -> None:
        pass

    def backup(self) -> None:
        pass

    def onIncoming(self, raw: str) -> None:
        self._write("I", raw)

    def onOutgoing(self, raw: str) -> None:
        self._write("O", raw)

    def onEvent(self, text: str) -> None:
        try:
            self._heard(self._name, text)
            log.info("%s: %s", self._name, text)
        except Exception:  # an exception that escapes ends the process
            pass

    def _write(self, direction: Literal["I", "O"], raw: str) -> None:
        if self._raw_log is None or not self._name:
            return
        try:
            self._raw_log.write(self._name, direction, raw, self._engine.now_ns())
        except Exception:
            log.exception("session %s: the raw message log failed", self._name)


class RawMessages(fix.LogFactory):  # type: ignore[misc]
    """`names`: wire id -> session name. `heard` is told each event of a session, under QuickFIX's locks: it must not block."""

    def __init__(
        self,
        names: dict[str, str],
        raw_log: RawLogPort | None,
        engine: EnginePort,
        heard: Callable[[str, str], None] = lambda name, text: None,
    ) -> None:
        super().__init__()
        self._heard = heard
        self._names = names
        self._raw_log = raw_log
        self._engine = engine
        self.thisown = False
        _keep.append(self)

    def create(self, *args: object) -> fix.Log:
        name = ""
        if args and isinstance(args[0], fix.SessionID):
            name = self._names.get(args[0].toString(), "")
        made = _SessionLog(name, self._raw_log, self._engine, self._heard)
        made.thisown = False
        _keep.append(made)
        return made

    def destroy(self, made: fix.Log) -> None:
        pass
