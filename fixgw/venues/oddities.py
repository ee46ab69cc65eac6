"""What a venue tells that cannot be, as long as it does: told to operations once each, and again to each gateway that links."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

MAX_KEPT = 200
REPEAT_S = 600.0
T = TypeVar("T")


def _put(table: dict[str, T], key: str, value: T) -> None:
    if len(table) >= MAX_KEPT:
        del table[next(iter(table))]
    table[key] = value


class Oddities:
    """By key, the newest MAX_KEPT. `send` tells one; it may go nowhere where no gateway is linked."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._known: dict[str, str] = {}
        # text -> when it was told: what comes and goes is not told each time
        self._told: dict[str, float] = {}

    def tell(self, key: str, text: str) -> None:
        """As base.Sink.odd."""
        if text == self._known.get(key, ""):
            return
        self._known.pop(key, None)
        if not text:
            return
        _put(self._known, key, text)
        now_s = time.monotonic()
        if now_s - self._told.get(text, -REPEAT_S) >= REPEAT_S:
            self._told.pop(text, None)
            _put(self._told, text, now_s)
            self._send(text)

    def tell_all(self) -> None:
        for text in self._known.values():
            self._send(text)
