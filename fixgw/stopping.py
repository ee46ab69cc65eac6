"""Being told to end: heard at any moment, a start included, and acted on at places that are fit for it.

The gateway hears it by a handler (StopRequest); `fixgw run` has the signals blocked and looks for them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Set
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_OF_A_RUN: Final = (*SIGNALS, signal.SIGHUP)


class Stopping(Exception):
    """The process was told to end before it was ready; nothing is wrong."""


class StopRequest:
    """Whether the process was told to end. The handler only sets a flag and writes a byte: threading.Event takes a lock there
    that the interrupted thread may hold."""

    def __init__(self) -> None:
        self.asked = False
        self._pipe: tuple[int, int] | None = None

    def listen(self) -> None:
        """From the main thread, once. Raises OSError."""
        self._pipe = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._pipe[1], False)
        for number in SIGNALS:
            signal.signal(number, self._heard)

    def check(self) -> None:
        """Raises Stopping when it was."""
        if self.asked:
            raise Stopping

    def wait(self) -> None:
        """Until it is."""
        assert self._pipe is not None
        while not self.asked:
            os.read(self._pipe[0], 64)

    def _heard(self, number: int, frame: object) -> None:
        self.asked = True
        assert self._pipe is not None
        try:
            os.write(self._pipe[1], b"x")
        except BlockingIOError:
            # it holds thousands of them
            pass


def hold_signals() -> set[signal.Signals]:
    """Block what tells `fixgw run` to end, and return it: it waits until it is looked for. What is ignored (nohup, jobs in the
    background) stays so: blocked, it would be heard."""
    held = {number for number in _OF_A_RUN if signal.getsignal(number) is not signal.SIG_IGN}
    signal.pthread_sigmask(signal.SIG_BLOCK, held)
    return held


def release_signals(held: Set[signal.Signals]) -> None:
    """Block them no longer; one that came meanwhile is dropped, since what it asked for is done."""
    while signal.sigtimedwait(held, 0) is not None:
        pass
    signal.pthread_sigmask(signal.SIG_UNBLOCK, held)


def check_held(held: Set[signal.Signals]) -> None:
    """Raises Stopping when one of them has come."""
    if signal.sigpending() & held:
        raise Stopping
