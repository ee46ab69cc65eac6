"""What a venue tells that cannot be, as long as it does: told to operations once each, and again to each gateway that links."""

from __future__ import annotations

from collections.abc import Callable

MAX_KEPT = 200


class Oddities:
    """By key, the newest MAX_KEPT. `send` tells one; it may go nowhere where no gateway is linked."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._known: dict[str, str] = {}

    def tell(self, key: str, text: str) -> None:
        """As base.Sink.odd."""
        if text == self._known.get(key, ""):
            return
        self._known.pop(key, None)
        if text:
            if len(self._known) >= MAX_KEPT:
                del self._known[next(iter(self._known))]
            self._known[key] = text
            self._send(text)

    def tell_all(self) -> None:
        for text in self._known.values():
            self._send(text)
