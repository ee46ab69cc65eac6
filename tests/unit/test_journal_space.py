"""The watch over free space: when new orders are refused, and when they are taken again."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixgw.app import Gateway
from fixgw.journal import space
from fixgw.journal.space import SpaceWatch

BALLAST = 1 << 20


class Room:
    """Stands for os.statvfs: `free` bytes, or an error."""

    def __init__(self) -> None:
        self.free = 10 * BALLAST
        self.error = 0

    def __call__(self, path: object) -> os.statvfs_result:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        return os.statvfs_result((1, 1, 0, 0, self.free, 0, 0, 0, 0, 255))


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    made = Room()
    monkeypatch.setattr(os, "statvfs", made)
    return made


def test_the_ballast_is_given_up_and_made_again(tmp_path: Path, room: Room) -> None:
    told: list[bool] = []
    watch = SpaceWatch(tmp_path / "ballast", BALLAST, told.append)
    watch.check()
    assert not watch.low and (tmp_path / "ballast").stat().st_size == BALLAST
    room.free = BALLAST // 2 - 1
    watch.check()
    assert watch.low and not (tmp_path / "ballast").exists()
    room.free = 2 * BALLAST - 1
    watch.check()
    assert watch.low
    room.free = 2 * BALLAST
    watch.check()
    assert not watch.low and (tmp_path / "ballast").exists() and told == [True, False]


@pytest.mark.parametrize("ballast_stands", [True, False])
def test_after_a_look_that_failed_the_next_good_one_counts(tmp_path: Path, room: Room, ballast_stands: bool) -> None:
    told: list[bool] = []
    watch = SpaceWatch(tmp_path / "ballast", BALLAST, told.append)
    if ballast_stands:
        watch.check()
    room.error = errno.EIO
    watch.check()
    assert watch.low
    room.error = 0
    watch.check()
    assert not watch.low and told == [True, False]


def test_a_ballast_that_could_not_be_made_takes_no_room(tmp_path: Path, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_sync(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    watch = SpaceWatch(tmp_path / "ballast", BALLAST, lambda low: None)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", no_sync)
        watch.check()
    assert watch.low and not list(tmp_path.iterdir())
    watch.check()
    assert not watch.low


def test_a_listener_that_fails_does_not_end_the_watch(tmp_path: Path, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "CHECK_S", 0.01)
    told: list[bool] = []
    failed = threading.Event()

    def on_low(low: bool) -> None:
        told.append(low)
        if low:
            failed.set()
            raise RuntimeError("no thread for it")

    watch = SpaceWatch(tmp_path / "ballast", BALLAST, on_low)
    watch.start()
    try:
        room.free = 0
        assert failed.wait(10)
        room.free = 10 * BALLAST
        deadline = time.monotonic() + 5
        while told != [True, False]:
            assert time.monotonic() < deadline, told
            time.sleep(0.01)
    finally:
        watch.stop()


def test_clients_are_told_each_change_in_its_order(tmp_path: Path) -> None:
    """The journal and the disk for everything else are watched by two threads."""
    told: list[bool] = []
    threads: list[threading.Thread] = []

    def now_ns() -> int:
        if not threads:
            gateway.space.low = False
            threads.append(threading.Thread(target=Gateway._space_changed, args=(gateway, False)))
            threads[0].start()
            threads[0].join(0.3)
        return 1

    engine = SimpleNamespace(now_ns=now_ns, submit=lambda command: told.append(command.full))
    gateway: Any = SimpleNamespace(
        engine=engine, space=SimpleNamespace(low=True), journal=SimpleNamespace(full=False), _told_full=False,
        _telling_full=threading.Lock(), _is_full=lambda: Gateway._is_full(gateway),
    )  # fmt: skip
    Gateway._space_changed(gateway, True)
    threads[0].join(5)
    assert told == [True, False]
