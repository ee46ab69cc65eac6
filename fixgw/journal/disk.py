"""The few operations that the journal's writer needs of a disk, in one place so that tests can make each of them fail.

No call is repeated after an error: after a failed write or sync nobody knows what the disk holds, and a second
fdatasync may report success for pages that the kernel has already dropped.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

CHUNK: Final = 1 << 20
NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Disk:
    """The real disk. All errors are OSError, as the kernel gave them."""

    def open(self, path: Path) -> int:
        """Descriptor for reading and writing an existing file."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def pwrite(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """Bytes written, which may be fewer than asked for."""
        return os.pwrite(fd, data, offset)

    def fdatasync(self, fd: int) -> None:
        os.fdatasync(fd)

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def sync_dir(self, path: Path) -> None:
        """Make the names in a directory durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.fsync(fd)
        finally:
            os.close(fd)

    def write_atomic(self, path: Path, data: bytes) -> None:
        """The file holds either the old or the new bytes, durably, whatever happens meanwhile. Leaves nothing on failure."""
        temporary = path.with_name(path.name + ".tmp")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            try:
                self.write_all(fd, data, 0)
                self.fsync(fd)
            finally:
                os.close(fd)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self.sync_dir(path.parent)

    def replace_small(self, path: Path, data: bytes) -> None:
        """write_atomic; on a full disk overwrite the old file in place (one sector, no new block), so that a start is
        possible."""
        try:
            self.write_atomic(path, data)
        except OSError as error:
            if error.errno not in NO_SPACE or not path.exists() or max(len(data), path.stat().st_size) > 512:
                raise
            fd = self.open(path)
            try:
                self.write_all(fd, data.ljust(os.fstat(fd).st_size, b"\n"), 0)
                self.fsync(fd)
            finally:
                os.close(fd)

    def write_all(self, fd: int, data: bytes, offset: int) -> None:
        """Write every byte; a short write is continued (the next call gives its reason), no progress is an error."""
        view = memoryview(data)
        while view:
            written = self.pwrite(fd, view, offset)
            if written <= 0:
                raise OSError(errno.EIO, "write made no progress")
            view, offset = view[written:], offset + written

    def preallocate(self, path: Path, size: int, pause: Callable[[], bool]) -> None:
        """Make a durable file of `size` zero bytes that appears under its name only when complete.

        Blocks are reserved first, so that a full disk shows at once, then written: writing into blocks that were only
        reserved would cost every later sync a change of metadata. pause() is called between chunks of 1 MiB, so that
        this does not crowd out the orders' syncs; if it returns False, this raises InterruptedError. Leaves nothing
        on failure.
        """
        temporary = path.with_name(path.name + ".tmp")
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            try:
                self._reserve(fd, size)
                zeros = bytes(CHUNK)
                for offset in range(0, size, CHUNK):
                    self.write_all(fd, zeros[: min(CHUNK, size - offset)], offset)
                    self.fdatasync(fd)
                    if not pause():
                        raise InterruptedError("preallocation was stopped")
                self.fsync(fd)
            finally:
                os.close(fd)
            if path.exists():  # a segment is never replaced, whatever went wrong with the numbers
                raise FileExistsError(errno.EEXIST, "segment exists already", str(path))
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self.sync_dir(path.parent)

    def _reserve(self, fd: int, size: int) -> None:
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
