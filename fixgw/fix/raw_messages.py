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
# told the session's name, and an event or a message
Heard = Callable[[str, str], None]


class _SessionLog(fix.Log):  # type: ignore[misc]
    def __init__(self, name: str, raw_log: RawLogPort | None, engine: EnginePort, heard: Heard, incoming: Heard) -> None:
        super().__init__()
        self._name = name
        self._heard = heard
        self._incoming = incoming
        self._raw_log = raw_log
        self._now_ns = engine.now_ns

    def clear(self) -> None:
        pass

    def backup(self) -> None:
        pass

    def onIncoming(self, raw: str) -> None:
        if self._name:
            self._incoming(self._name, raw)
        self._write("I", raw)

    def onOutgoing(self, raw: str) -> None:
        self._write("O", raw)

    def onEvent(self, text: str) -> None:
        try:
            self._heard(self._name, text)
        except Exception:  # one that escapes ends the process
            log.exception("session %s: nobody acts on this event of QuickFIX's", self._name)
        log.info("%s: %s", self._name, text)

    def _write(self, direction: Literal["I", "O"], raw: str) -> None:
        if self._raw_log is None or not self._name:
            return
        try:
            self._raw_log.write(self._name, direction, raw, self._now_ns())
        except Exception:
            log.exception("session %s: the raw message log failed", self._name)


class RawMessages(fix.LogFactory):  # type: ignore[misc]
    """`names`: wire id -> session name. `heard` is told each event of a session, `incoming` each message, under QuickFIX's locks:
    they must not block, `incoming` must not raise."""

    def __init__(
        self,
        names: dict[str, str],
        raw_log: RawLogPort | None,
        engine: EnginePort,
        heard: Heard,
        incoming: Heard,
    ) -> None:
        super().__init__()
        self._heard = heard
        self._incoming = incoming
        self._names = names
        self._raw_log = raw_log
        self._engine = engine
        self.thisown = False
        _keep.append(self)

    def create(self, *args: object) -> fix.Log:
        name = ""
        if args and isinstance(args[0], fix.SessionID):
            name = self._names.get(args[0].toString(), "")
        made = _SessionLog(name, self._raw_log, self._engine, self._heard, self._incoming)
        made.thisown = False
        _keep.append(made)
        return made

    def destroy(self, made: fix.Log) -> None:
        pass
