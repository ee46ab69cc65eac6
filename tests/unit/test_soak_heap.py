"""What the soak run reads of a process's heap: what is kept, without the garbage that waits for its collection."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixgw.soak import heap

STEP = 500_000
STEP_MB = STEP * heap.BLOCK_BYTES / 1e6


class Blocks:
    """A heap of so many small blocks; `looks`: how often it was asked."""

    def __init__(self) -> None:
        self.number, self.looks = STEP, 0

    def count(self) -> int:
        self.looks += 1
        return self.number

    def looked_at(self) -> None:
        """Returns once the present number has been told."""
        seen = self.looks
        wait(lambda: self.looks >= seen + 3)


def wait(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not done():
        assert time.monotonic() < until, "in vain"
        time.sleep(0.002)


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> Blocks:
    made = Blocks()
    monkeypatch.setattr(heap, "_TELL_S", 0.01)
    monkeypatch.setattr("fixgw.soak.heap.sys.getallocatedblocks", made.count)
    return made


@pytest.fixture
def telling(tmp_path: Path, blocks: Blocks, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Told to this folder; the parameter is the span of the floor in s."""
    monkeypatch.setattr(heap, "FLOOR_S", request.param)
    stop = threading.Event()
    heap.start_telling(tmp_path, stop)
    yield tmp_path
    stop.set()


def told(folder: Path) -> float:
    used = heap.used_mb(folder, os.getpid())
    assert used is not None
    return used


@pytest.mark.parametrize("telling", [60.0], indirect=True)
def test_garbage_that_is_collected_within_the_span_is_not_told(telling: Path, blocks: Blocks) -> None:
    blocks.looked_at()
    before = told(telling)
    blocks.number = 2 * STEP
    blocks.looked_at()
    assert told(telling) == pytest.approx(before, abs=STEP_MB / 2)


@pytest.mark.parametrize("telling", [0.05], indirect=True)
def test_what_is_kept_longer_is_told(telling: Path, blocks: Blocks) -> None:
    blocks.looked_at()
    before = told(telling)
    blocks.number = 2 * STEP
    wait(lambda: told(telling) > before + STEP_MB / 2)
    assert told(telling) == pytest.approx(before + STEP_MB, abs=STEP_MB / 4)
