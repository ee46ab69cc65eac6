"""What the soak run reads of a process's heap: what is kept, without the garbage that waits for its collection."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from fixgw.soak import heap


def test_garbage_is_not_kept_and_a_leak_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = iter([900_000, 400_000, *range(500_000, 520_000, 1000)])
    last = 600_000
    monkeypatch.setattr(heap, "_TELL_S", 0.01)
    monkeypatch.setattr(heap, "FLOOR_S", 0.1)
    seen: list[float] = []

    def count() -> int:
        return next(blocks, last)

    monkeypatch.setattr("fixgw.soak.heap.sys.getallocatedblocks", count)
    stop = threading.Event()
    heap.start_telling(tmp_path, stop)
    try:
        until = time.monotonic() + 10
        base: float | None = None
        while time.monotonic() < until:
            used = heap.used_mb(tmp_path, os.getpid())
            if used is not None:
                base = used if base is None else base
                seen.append(used)
                # the floor has passed the garbage's troughs and stands on what is kept now
                if used - min(seen) > 0.9 * (last - 400_000) * heap.BLOCK_BYTES / 1e6:
                    return
            time.sleep(0.002)
        pytest.fail(f"what is kept was not told: {seen[-5:]}")
    finally:
        stop.set()
