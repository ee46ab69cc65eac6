"""What a process's heap holds, told to a file: what it takes of the system tells of the allocators as well, whose free room
within pages comes and goes with the load."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
from collections import deque
from pathlib import Path

# Python tells their number only; of a venue host they are 89 bytes on average
BLOCK_BYTES = 88
_TELL_S = 1.0
# garbage comes and goes with a collection a minute: what is kept is the least of a span that holds one
FLOOR_S = 65.0
_MB = 1e6


class _MallInfo(ctypes.Structure):
    """struct mallinfo2 of glibc 2.33 and later."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ["arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"]
    ]


def _file(folder: Path, pid: int) -> Path:
    return folder / f"soak_heap_{pid}.json"


def start_telling(folder: Path, stop: threading.Event) -> None:
    """A thread that writes the file once a second until stopped."""
    threading.Thread(target=_tell, args=(_file(folder, os.getpid()), stop), name="soak-heap", daemon=True).start()


def _tell(path: Path, stop: threading.Event) -> None:
    """What is in use at least, within FLOOR_S, of malloc's heap (glibc's mallinfo2) and of Python's small blocks; nothing where
    the C library does not tell."""
    try:
        ask = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return
    ask.restype = _MallInfo
    temporary = path.with_suffix(".tmp")
    readings: deque[int] = deque(maxlen=round(FLOOR_S / _TELL_S))
    while not stop.wait(_TELL_S):
        heap = ask()
        readings.append(heap.uordblks + heap.hblkhd + sys.getallocatedblocks() * BLOCK_BYTES)
        temporary.write_text(json.dumps({"used": min(readings)}))
        temporary.replace(path)


def used_mb(folder: Path, pid: int) -> float | None:
    """What a process has told last; None: nothing."""
    try:
        used: float = json.loads(_file(folder, pid).read_text())["used"] / _MB
    except (OSError, ValueError, KeyError):
        return None
    return used
