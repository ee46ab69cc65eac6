"""Who writes this journal: the lock, the install id, the epoch, and how the last run ended. One small file each.

lock     flock of the writer, holding its pid
install  five characters A-Z 0-9, random, made once
epoch    a number raised and synced at every open, in every sync mode
run      JSON: state "running" or "clean", boot id, sync mode, last_seq of a clean stop
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import string
import time
from pathlib import Path
from typing import Final

import msgspec

from .disk import Disk
from .errors import CorruptJournal, JournalDiskError, JournalLocked

INSTALL_ID: Final = re.compile(r"[A-Z0-9]{5}")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class RunMark(msgspec.Struct, frozen=True, kw_only=True):
    """Contents of the file `run`."""

    state: str
    boot_id: str
    sync: str
    epoch: int
    pid: int
    time_ns: int
    last_seq: int = 0


def take_lock(directory: Path) -> int:
    """Take the folder for this process: a descriptor, to be closed to give it back. Raises JournalLocked naming the holder."""
    path = directory / "lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _flock(fd)
    except BlockingIOError:
        holder = noted_pid(fd)
        os.close(fd)
        raise JournalLocked(directory, holder) from None
    note_pid(fd)
    return fd


def note_pid(fd: int) -> None:
    """Who holds a lock, for who is refused; it holds without this. Not truncated first: that would need a new block on a full
    disk."""
    try:
        os.ftruncate(fd, os.pwrite(fd, f"{os.getpid()}\n".encode(), 0))
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)


def noted_pid(fd: int) -> int | None:
    """What note_pid has written."""
    text = os.pread(fd, 32, 0).split(b"\n")[0]
    return int(text) if text.isdigit() else None


def _flock(fd: int) -> None:
    """Take it, trying for 0.1 s: lock_holder may hold it for a moment."""
    for _ in range(5):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.02)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_holder(directory: Path) -> int | None:
    """Pid of the running writer, or None. Takes the lock shared for a moment."""
    try:
        fd = os.open(directory / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return noted_pid(fd)
    finally:
        os.close(fd)
    return None


def boot_id() -> str:
    """The kernel's id of this boot; "unknown" where there is none, which never counts as the same boot."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "unknown"


def read_install_id(directory: Path) -> str | None:
    """The install id, or None if it was not made yet. Raises CorruptJournal if the file holds anything else."""
    path = directory / "install"
    try:
        text = path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return None
    if not INSTALL_ID.fullmatch(text):
        raise CorruptJournal(path, 0, f"install id {text[:20]!r}, expected five characters A-Z 0-9")
    return text


def make_install_id(directory: Path, disk: Disk | None = None) -> str:
    """The install id, made now if there is none."""
    known = read_install_id(directory)
    if known is not None:
        return known
    alphabet = string.ascii_uppercase + string.digits
    made = "".join(secrets.choice(alphabet) for _ in range(5))
    (disk or Disk()).write_atomic(directory / "install", f"{made}\n".encode())
    return made


def raise_epoch(directory: Path, disk: Disk, at_least: int) -> int:
    """Raise the epoch and make it durable; the result is above every epoch ever used here (at_least: seen in
    segments)."""
    path = directory / "epoch"
    try:
        text = path.read_text(errors="replace").strip()
    except FileNotFoundError:
        text = "0"
    if not text.isascii() or not text.isdigit():
        raise CorruptJournal(path, 0, f"epoch {text[:20]!r}, expected a whole number")
    epoch = max(int(text), at_least) + 1
    disk.replace_small(path, f"{epoch}\n".encode())
    return epoch


def read_run(directory: Path) -> RunMark | None:
    """How the last run stood or ended; None before the first. Raises CorruptJournal."""
    path = directory / "run"
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunMark)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise CorruptJournal(path, 0, f"not a run mark: {error}") from None


def write_run(directory: Path, disk: Disk, mark: RunMark) -> None:
    """Replace the run mark durably."""
    disk.replace_small(directory / "run", msgspec.json.encode(mark) + b"\n")


def check_directory(directory: Path, disk: Disk) -> Path:
    """The folder as an absolute path, made (0700) if it is not there. Raises JournalDiskError if it cannot be."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        disk.sync_dir(directory.resolve().parent)
    except OSError as error:
        raise JournalDiskError(f"journal folder {directory}: {error.strerror}, expected a folder that can be written") from error
    return directory.resolve()
