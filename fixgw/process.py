"""What every process of the product does at its start."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(number: int = signal.SIGTERM, parent: int = 0) -> None:
    """Have the kernel send `number` to this process when its parent dies; ends at once if the parent is gone already.

    `parent`: its pid, as it told us; without it a parent that died before this call goes unnoticed. Raises OSError where the
    kernel refuses.
    """
    parent = parent or os.getppid()
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit(0)
