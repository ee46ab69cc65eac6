"""The log of one supervised process: bounded, and kept where its file cannot be written.

The child writes to the handle that it got at its start. While that is not the file at the log's path (it could not be
opened: then it is a piece of memory; or it was deleted since), what is written is copied to the path at each look, as soon
as that can be.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
from pathlib import Path
from typing import Final

from ..printable import printable

LOG_MAX_BYTES: Final = 16 * 1024 * 1024
LOGS_KEPT: Final = 5
# of what waits to be copied
KEPT_BYTES: Final = 1024 * 1024
_TAIL_BYTES: Final = 16 * 1024
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_libc: Final = ctypes.CDLL(None, use_errno=True)


class ChildLog:
    """`path`: where it belongs. One child at a time: open() at its start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # what the child writes to, and how much of that was there when it began, and is at the path or was left out
        self._fd = -1
        self._start = 0
        self._copied = 0
        self._left_out = 0

    def open(self) -> tuple[int, OSError | None]:
        """A handle for a new child, valid until the next call, and why it is not the log itself. Raises OSError."""
        self.look()
        self.close()
        trouble = None
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            rotate(self._path)
            # also read from, by way of the handle, should the file be deleted
            self._fd = os.open(self._path, _FLAGS & ~os.O_WRONLY | os.O_RDWR, 0o600)
        except OSError as error:
            trouble = error
            self._fd = os.memfd_create(self._path.name, os.MFD_CLOEXEC)
            fcntl.fcntl(self._fd, fcntl.F_SETFL, os.O_APPEND)
        self._start = self._copied = os.fstat(self._fd).st_size
        return self._fd, trouble

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def last_lines(self, count: int) -> list[str]:
        """The end of what the child wrote since its start, fit for a terminal."""
        if self._fd < 0:
            return []
        try:
            size = os.fstat(self._fd).st_size
            begin = max(min(self._start, size), size - _TAIL_BYTES)
            text = os.pread(self._fd, size - begin, begin).decode("utf-8", "replace")
        except OSError:
            return []
        lines = [line for line in text.replace("\0", "").splitlines() if line.strip()]
        return [printable(line.expandtabs()) for line in lines[-count:]]

    def look(self) -> None:
        """Now and then: bring to the path what is not there, and keep all within bounds; never raises."""
        # a full disk: the next look tries again; the journal tells about the disk, not the log
        with contextlib.suppress(OSError):
            if self._fd >= 0 and not self._attached():
                self._copy()
            elif self._path.stat().st_size > LOG_MAX_BYTES:
                # copied away and cut, because the child holds it open
                _shift(self._path)
                shutil.copyfile(self._path, _numbered(self._path, 1))
                os.truncate(self._path, 0)
                self._start = self._copied = 0
            elif self._fd >= 0:
                self._copied = os.fstat(self._fd).st_size

    def _attached(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        mine = os.fstat(self._fd)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def _copy(self) -> None:
        size = os.fstat(self._fd).st_size
        too_many = max(0, size - KEPT_BYTES - self._copied)
        self._copied += too_many
        self._left_out += too_many
        if self._copied < size:
            try:
                self._path.parent.mkdir(mode=0o700, exist_ok=True)
                rotate(self._path)
                fd = os.open(self._path, _FLAGS, 0o600)
                try:
                    if self._left_out:
                        os.write(fd, b"(%d bytes are missing here: they could not be written)\n" % self._left_out)
                        self._left_out = 0
                    self._copied += os.write(fd, os.pread(self._fd, size - self._copied, self._copied))
                finally:
                    os.close(fd)
            finally:
                self._free()

    def _free(self) -> None:
        """What is copied or left out takes no room any more; the last lines stay."""
        before = self._copied - _TAIL_BYTES
        if before > 0:
            _libc.fallocate(self._fd, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_long(0), ctypes.c_long(before))


def rotate(log: Path) -> None:
    """Move a log that has grown over the bound to NAME.log.1, older ones up to LOGS_KEPT."""
    try:
        if log.stat().st_size <= LOG_MAX_BYTES:
            return
    except FileNotFoundError:
        return
    _shift(log)
    log.replace(_numbered(log, 1))


def _shift(log: Path) -> None:
    for number in range(LOGS_KEPT - 1, 0, -1):
        if _numbered(log, number).exists():
            _numbered(log, number).replace(_numbered(log, number + 1))


def _numbered(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")
