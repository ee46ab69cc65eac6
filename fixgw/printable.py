"""Text of others (a client, a process, a caller of the admin socket) made harmless for a terminal and a log."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with "?" for each character that is not printed: control characters, ESC first of all, and those that turn the
    direction of writing. One line stays one line."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
