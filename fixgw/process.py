"""What every process of the product does at its start, and how its end is told."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# how our processes are started: without the working directory among the places of modules, whose files would run in them
PYTHON = (sys.executable, "-P")
# sys.setswitchinterval of the gateway: how long a busy thread keeps an order waiting for the GIL
SWITCH_INTERVAL_S = 0.0005


def give_back_memory() -> None:
    """What was freed goes back to the system (glibc; elsewhere nothing happens): reading a journal takes large buffers for a
    moment, and the allocator would keep them."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


# a shell's usual soft limit of 1024 is for programs that use select(); none of ours does
MANY_FILES = 65_536


def allow_files() -> None:
    """MANY_FILES open files, or as many as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < MANY_FILES:
        allowed = MANY_FILES if hard == resource.RLIM_INFINITY else min(MANY_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def die_with_parent(number: int = signal.SIGTERM, parent: int = 0) -> None:
    """Have the kernel send `number` to this process when its parent dies; ends at once if the parent is gone already.

    `parent`: its pid, as it told us; without it a parent that died before this call goes unnoticed. Raises OSError where the
    kernel refuses. The kernel means the parent's thread that started us: start such a process from one that lives on.
    """
    parent = parent or os.getppid()
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        raise SystemExit(f"{Path(sys.argv[0]).name}: the parent process has already ended")


def tied(module: str, *args: str, nice: int = 0) -> list[str]:
    """The command for `python -m module *args`, as a process that gets SIGTERM when this one dies (see die_with_parent)."""
    code = (
        "import os, runpy, sys; from fixgw.process import die_with_parent;"
        f"die_with_parent(parent={os.getpid()}); os.nice({nice});"
        f"sys.argv = sys.argv[1:]; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return [*PYTHON, "-c", code, module, *args]


def describe_exit(status: int) -> str:
    """ "exit status 1" or "SIGKILL"."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


# sun_path of Linux, without the final zero
MAX_SOCKET_PATH = 107
_folders: dict[str, int] = {}


def socket_address(path: Path) -> str:
    """A Unix socket's address for any length of path: by way of the folder's handle (kept open) where it is too long.

    Raises OSError when the folder does not exist.
    """
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return str(path)
    folder = str(path.parent)
    if folder not in _folders:
        _folders[folder] = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{_folders[folder]}/{path.name}"


def bind_private(listener: socket.socket, path: Path) -> None:
    """Bind a Unix socket without a moment in which others could connect: made under another name, closed to others, then
    renamed over what an earlier process left there. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    old = os.umask(0o177)
    try:
        listener.bind(socket_address(temporary))
    finally:
        os.umask(old)
    temporary.rename(path)
