"""How fast a client takes what is sent to it: told apart are one that reads slowly and one that does not read.

While more than write_cap bytes are unsent, the front reads nothing more from QuickFIX, which therefore waits with this
session (its connection and its sender thread; no other session, and not the engine). That is what a resend of many
megabytes over a slow line needs, and it must end for a client that has stopped reading:

    nothing taken for `slow_reader_s`                   dropped
    less than MIN_BYTES_S for LONG times that           dropped (a byte now and then is no reading)

10 s by default: a retransmission after lost packets or a pause of the client's garbage collector is over by then, and the
client's own heartbeat timer (30 s as a rule) has not yet run out.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import Final

# the slowest line worth serving: about 10 kbit/s
MIN_BYTES_S: Final = 1024
LONG: Final = 6


class ReaderWatch:
    """Judges one client from the moment when it has too much unread. `taken`: bytes it has acknowledged, ever."""

    def __init__(self, limit_s: float, now: float, taken: int) -> None:
        self._limit_s = limit_s
        self._moved_at = self._since = now
        self._last = self._first = taken

    def verdict(self, now: float, taken: int) -> str:
        """What is wrong with the client; "": nothing."""
        if taken > self._last:
            self._last, self._moved_at = taken, now
        if now - self._moved_at >= self._limit_s:
            return f"nothing taken for {now - self._moved_at:.1f} s"
        long_s = self._limit_s * LONG
        if now - self._since >= long_s:
            moved = taken - self._first
            if moved < MIN_BYTES_S * long_s:
                return f"{moved} bytes taken in {now - self._since:.0f} s"
            self._since, self._first = now, taken
        return ""


def unacknowledged(fd: int) -> int:
    """Bytes in the kernel that the peer has not taken. The write buffer alone would not tell: the kernel takes more only
    when a good part of its own, some megabytes, is free again. 0 when the socket is closed."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0\0\0\0"))[0])
    except (OSError, ValueError):
        return 0
