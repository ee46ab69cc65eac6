"""Small files that people write: configuration, keys. Only regular files of a bounded size are read.

A FIFO would hold up whoever reads it, /dev/zero has no end, and TOML of a certain make takes minutes to understand.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any, Final

CONFIG_BYTES: Final = 1 << 20
# tomllib takes the square of it
_DOTS_MAX = 32
_DOTTED = re.compile(r"""\.[ \t]*(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')[ \t]*""")
_KINDS = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)  # fmt: skip


class FileFault(Exception):
    """A file is of no use. The text says what was expected ("a file that can be read: ..."), and never what stands in it.
    `missing`: there is none."""

    def __init__(self, text: str, missing: bool = False) -> None:
        super().__init__(text)
        self.missing = missing


def read_text(path: Path, most: int = CONFIG_BYTES) -> str:
    """The text of a regular file (or a link to one) of at most `most` bytes, without the byte order mark that some editors put
    before it. Raises FileFault."""
    try:
        # a FIFO without a writer is opened at once, and no terminal becomes ours
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        kind = "a socket" if _is_socket(path) else ""
        why = f"it is {kind}" if kind else error.strerror or type(error).__name__
        raise FileFault(f"a file that can be read: {why}", isinstance(error, FileNotFoundError)) from None
    except ValueError:
        raise FileFault("a file that can be read: there is no file with a NUL character in its name") from None
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
            raise FileFault(f"a file that can be read: it is {kind}")
        with os.fdopen(os.dup(handle), "rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise FileFault(f"a file that can be read: {error.strerror or type(error).__name__}") from None
    finally:
        os.close(handle)
    if len(content) > most:
        raise FileFault(f"a file of at most {most} bytes")
    try:
        # as text files are read: one kind of line end
        return content.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise FileFault(f"a text in UTF-8: {error.reason} at byte {error.start}") from None


def _is_socket(path: Path) -> bool:
    try:
        return path.is_socket()
    except OSError:
        return False


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as read_text reads it. Raises FileFault."""
    text = read_text(path)
    _check_dots(text)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileFault(f"valid TOML: {error}") from None
    except RecursionError:
        raise FileFault("valid TOML: lists or tables in one another too deeply") from None
    except ValueError:  # a whole number of thousands of digits
        raise FileFault("valid TOML: a number is too long") from None


def _check_dots(text: str) -> None:
    end, dots = -1, 0
    for found in _DOTTED.finditer(text):
        dots = dots + 1 if found.start() == end else 1
        end = found.end()
        if dots > _DOTS_MAX:
            line = text.count("\n", 0, found.start()) + 1
            raise FileFault(f"valid TOML: keys of at most {_DOTS_MAX} parts (at line {line})")
