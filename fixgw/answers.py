"""What a command says: an answer that cannot be written (a full disk, a reader that has gone) is told as just that, with an exit
status of its own. Whoever ran `fixgw kill` with its output on a full disk must not take it for refused.
"""

from __future__ import annotations

import contextlib
import errno
import io
import sys
from collections.abc import Iterator
from typing import Any, Final

import click
from click.exceptions import Exit

# EX_IOERR of sysexits.h; no other command ends so
EXIT_UNWRITTEN: Final = 74
_DONE: Final = "fixgw.answers.done"


class _Watched(io.FileIO):
    """A standard stream's file, below all buffers. `trouble`: why something could not be written, lately. `deaf`: nothing is
    tried any more (the end of the process would try what is left, and change the exit status)."""

    trouble: OSError | None = None
    deaf: bool = False

    def write(self, data: Any, /) -> int:
        if self.deaf:
            return len(data)
        try:
            # None: a file that would block
            return super().write(data)
        except OSError as error:
            self.trouble = error
            raise


_watched: list[_Watched] = []


def watch_output() -> None:
    """Put a watched file below standard output and standard error, where they are the process's own. Once is enough."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if type(stream) is not io.TextIOWrapper or isinstance(getattr(stream.buffer, "raw", None), _Watched):
            continue
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
            raw = _Watched(stream.fileno(), "w", closefd=False)
            lines = stream.line_buffering or stream.write_through
            made = io.TextIOWrapper(
                io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors, line_buffering=lines
            )
            setattr(sys, name, made)
            _watched.append(raw)


def unwritten(error: BaseException) -> bool:
    """Is this why something that the command said could not be written?"""
    return any(raw.trouble is error for raw in _watched)


def _give_up() -> None:
    for raw in _watched:
        raw.deaf = raw.trouble is not None


def carried_out(ctx: click.Context, what: str) -> None:
    """From here on an answer that does not get out is one of something that was done: `what`, with what shows it."""
    ctx.meta[_DONE] = what


@contextlib.contextmanager
def answering(ctx: click.Context | None) -> Iterator[None]:
    """Around a command (None: around what click says before there is one). Raises Exit, with its error told, and what is no
    matter of its output."""
    told: dict[str, Any] = ctx.meta if ctx is not None else {}
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if not unwritten(error):
            raise
        _give_up()
        # a reader that has gone wants no more; the exit status is for who ran the command
        if error.errno != errno.EPIPE:
            what = told.get(_DONE)
            _say(f"Error: the answer cannot be written: {error.strerror}{f'; {what}' if what else ''}")
        raise Exit(EXIT_UNWRITTEN) from error
    except KeyboardInterrupt as error:
        what = told.get(_DONE)
        if what is None:
            raise
        _say(f"Error: interrupted before all of the answer was written; {what}")
        raise Exit(EXIT_UNWRITTEN) from error
    except click.ClickException as error:
        # not by click: where nobody can be told, the exit status has to say it
        with _untold():
            error.show()
        raise Exit(error.exit_code) from error


@contextlib.contextmanager
def _untold() -> Iterator[None]:
    """What it is about is told by the exit status, if nobody can be told otherwise."""
    try:
        yield
    except OSError:
        _give_up()


def _say(text: str) -> None:
    with _untold():
        click.echo(text, err=True)
