"""One supervised process: what happens when it cannot be started, and how errors are told."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from fixgw import app
from fixgw.config import Paths
from fixgw.fix import front
from fixgw.journal.disk import Disk
from fixgw.journal.identity import note_pid, noted_pid
from fixgw.ready import write_ready
from fixgw.supervisor import plan
from fixgw.supervisor.child import BACKOFF_FIRST_S, Child, describe_error
from fixgw.supervisor.child_log import KEPT_BYTES
from fixgw.supervisor.lock import RunLock
from fixgw.supervisor.loop import Supervisor
from fixgw.supervisor.status import StatusLine


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    argv = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"]
    made = Child("venue", lambda: argv, lambda pid: True, tmp_path / "venue.log", dict(os.environ))
    yield made
    if made.process is not None:
        made.process.kill()
        made.process.wait()


@pytest.fixture
def lock_fd() -> Iterator[int]:
    fd = os.open(os.devnull, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("error", [OSError(errno.EAGAIN, "no more processes"), subprocess.SubprocessError("in preexec_fn")])
def test_a_fork_that_fails_is_tried_again_with_back_off(
    child: Child, lock_fd: int, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", fails)
        for turn in range(3):
            began = time.monotonic()
            with pytest.raises(type(error)):
                child.start(lock_fd)
            assert child.process is None and child.starts == 0
            assert child.next_start >= began + BACKOFF_FIRST_S * 2**turn
    assert child.start(lock_fd) is None
    assert child.starts == 1 and child.look() and child.is_ready


def test_who_cannot_be_started_at_all_is_late_in_the_end(child: Child, lock_fd: int) -> None:
    """So that the others do not wait for it for ever."""

    def no_room() -> list[str]:
        raise OSError(errno.ENOSPC, "No space left on device")

    child.argv, child.ready_within_s = no_room, 0.0
    assert not child.look()
    with pytest.raises(OSError, match="No space"):
        child.start(lock_fd)
    time.sleep(0.001)
    assert child.look() and child.late


def test_errors_name_the_file_and_what_to_do(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert describe_error(full, tmp_path) == f"{tmp_path}: No space left on device; make room there, or raise the quota"
    assert describe_error(OSError(errno.EACCES, "Permission denied", "/x/y")) == "/x/y: Permission denied"
    assert describe_error(plan.PlanError("no key")) == "no key"


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sim.toml"
    plan.write_changed(path, "one")

    def full(fd: int, *_: object, **__: object) -> object:
        os.close(fd)
        return open("/dev/full", "w")

    monkeypatch.setattr(plan, "open", full, raising=False)
    with pytest.raises(OSError, match="No space left") as caught:
        plan.write_changed(path, "two")
    assert caught.value.filename == str(path)
    assert [file.name for file in tmp_path.iterdir()] == ["sim.toml"] and path.read_text() == "one"
    # the same text needs no room
    plan.write_changed(path, "one")


def test_a_lock_s_pid_is_written_in_place(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("12345678901234567\n")
    with path.open("r+b") as file:
        note_pid(file.fileno())
        assert noted_pid(file.fileno()) == os.getpid()
    assert path.read_text() == f"{os.getpid()}\n"


def test_a_ready_file_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What died comes back: its file takes the place of the one before. The front as well as the gateway."""
    assert front.write_ready is app.write_ready is write_ready
    path = tmp_path / "gateway.json"
    write_ready(path, {"pid": 1234567, "admin": "/somewhere"})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Disk, "write_atomic", full)
    write_ready(path, {"pid": 42, "admin": "/x"})
    assert plan._read_ready(path, 42) == {"pid": 42, "admin": "/x"}
    path.unlink()
    with pytest.raises(OSError, match=r"No space left on device, expected room for the ready file: '.*gateway.json'"):
        write_ready(path, {"pid": 42})


TWO_LINES = """
import os, sys, time
print("first", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
print("second")
"""


def said(child: Child, text: str) -> None:
    deadline = time.monotonic() + 30
    while text not in "\n".join(child.last_lines()):
        assert time.monotonic() < deadline, child.last_lines()
        time.sleep(0.01)


def test_what_it_says_is_kept_until_its_log_can_be_written(child: Child, lock_fd: int, tmp_path: Path) -> None:
    child.log = tmp_path / "log" / "venue.log"
    child.__post_init__()
    child.log.parent.write_text("in the way")
    go = tmp_path / "go"
    child.argv = lambda: [sys.executable, "-I", "-S", "-c", TWO_LINES, str(go)]
    assert "File exists" in (child.start(lock_fd) or "")
    said(child, "first")
    child.look_after_log()
    child.log.parent.unlink()
    child.look_after_log()
    assert child.log.read_text() == "first\n"
    go.touch()
    said(child, "second")
    child.look_after_log()
    child.look_after_log()
    assert child.log.read_text() == "first\nsecond\n"


def test_what_it_says_last_does_nothing_to_a_terminal(child: Child, lock_fd: int) -> None:
    """The log has it as it was said."""
    code = "print('\\x1b[2J\\x1b]0;title\\x07 a\\tb \\u202e\\x9b31m \\u00fcber\\rend')"
    child.argv = lambda: [sys.executable, "-I", "-S", "-X", "utf8", "-c", code]
    child.start(lock_fd)
    said(child, "end")
    assert child.last_lines() == ["?[2J?]0;title? a        b ??31m über", "end"]
    assert child.last_lines(1) == ["end"]
    assert "\x1b[2J" in child.log.read_text(encoding="utf-8")


def test_a_log_that_is_deleted_comes_back(child: Child, lock_fd: int, tmp_path: Path) -> None:
    go = tmp_path / "go"
    child.argv = lambda: [sys.executable, "-I", "-S", "-c", TWO_LINES, str(go)]
    assert child.start(lock_fd) is None
    said(child, "first")
    child.look_after_log()
    child.log.unlink()
    go.touch()
    said(child, "second")
    child.look_after_log()
    assert child.log.read_text() == "second\n"


def test_what_waits_for_its_log_is_bounded(child: Child, lock_fd: int) -> None:
    child.log.mkdir()
    code = f"for number in range({KEPT_BYTES // 5}): print(f'{{number:010}}')"
    child.argv = lambda: [sys.executable, "-I", "-S", "-c", code]
    assert "Is a directory" in (child.start(lock_fd) or "")
    said(child, f"{KEPT_BYTES // 5 - 1:010}")
    child.look_after_log()
    blocks = os.fstat(child._out._fd).st_blocks * 512
    assert blocks < KEPT_BYTES * 1.2
    child.log.rmdir()
    child.look_after_log()
    text = child.log.read_text()
    assert "bytes are missing here" in text.splitlines()[0] and text.endswith(f"{KEPT_BYTES // 5 - 1:010}\n")
    assert KEPT_BYTES * 0.9 < len(text) < KEPT_BYTES * 1.1


def test_who_is_late_is_not_asked_for_all_the_time(child: Child, lock_fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look asks the gateway, which has orders to see to."""
    asked: list[int] = []
    child.ready, child.ready_within_s = lambda pid: bool(asked.append(pid)), 0.0
    fix = {"fix": {"host": "127.0.0.1", "port": 1}}
    made = SimpleNamespace(children=lambda: [child], addresses=lambda: fix, config=SimpleNamespace(paths=Paths(child.log.parent)))
    (child.log.parent / "run").mkdir()
    supervisor = Supervisor(made, RunLock(1, lock_fd, lock_fd), [child.log.parent / "ready.json"], StatusLine())  # type: ignore[arg-type]
    waits: list[float] = []
    monkeypatch.setattr(signal, "sigtimedwait", lambda signals, timeout_s: waits.append(timeout_s))
    for _ in range(5):
        supervisor._step()
        supervisor._wait(set())
    assert child.late and len(asked) == 5
    assert set(waits) == {0.5}
