"""Long commands that are told to stop stop in order: they end what they have started and remove their temporary folders."""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, ParamSpec, TypeVar

import click

# as a shell tells of a process that SIGINT has ended
INTERRUPTED: Final = 130
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_P = ParamSpec("_P")
_R = TypeVar("_R")


def interruptible(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """The command, in which SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread; it then ends with INTERRUPTED.
    What it starts gets SIGTERM when it dies (process.tied), so that nothing is left behind however it ends.

    Python's own SIGINT does not do: importing quickfix sets it to end the process at once, even where it was ignored. What
    is ignored (nohup, jobs in the background) stays so.
    """

    @functools.wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        before = {number: signal.getsignal(number) for number in _SIGNALS}

        def stop(number: int, frame: FrameType | None) -> None:
            raise KeyboardInterrupt

        _set({number: signal.SIG_IGN if handler is signal.SIG_IGN else stop for number, handler in before.items()})
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            raise SystemExit(INTERRUPTED) from None
        finally:
            _set(before)

    return wrapped


def _set(handlers: dict[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
