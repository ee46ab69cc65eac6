"""What `fixgw status` tells of the front and the other processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from admin_rig import Engine, fixgw, serving, told
from core_world import World

from fixgw.admin.processes import told_processes
from fixgw.config import Paths

NOW_S = 1_700_000_000.0
TAKEN = "ended: exit status 1: cannot_start error=[Errno 98] address already in use"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "run").mkdir()
    return Paths(tmp_path)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    made = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    yield made
    made.kill()
    made.communicate()


def row(name: str, pid: int, starts: int = 1, *, ready: bool = True, ago_s: float = 1.0) -> dict[str, Any]:
    starts_ns = [int((NOW_S - ago_s) * 1e9)] * min(starts, 20)
    return {"name": name, "pid": pid, "ready": ready, "starts": starts, "starts_ns": starts_ns}


def told_of(
    paths: Paths, rows: list[dict[str, Any]], why: dict[str, str], front_pid: int = 0, still_s: float = 1.0
) -> dict[str, Any]:
    paths.processes.write_text(json.dumps(rows))
    paths.ended.write_text(json.dumps(why))
    if front_pid:
        paths.front_ready.write_text(json.dumps({"host": "127.0.0.1", "port": 5001, "pid": front_pid}))
        os.utime(paths.front_ready, (NOW_S - still_s,) * 2)
    return told_processes(paths, NOW_S)


def test_a_front_that_is_well(paths: Paths) -> None:
    found = told_of(paths, [row("front", os.getpid(), 2), row("gateway", 7)], {}, os.getpid())
    assert (found["front"], found["front_trouble"]) == (f"listens on 127.0.0.1:5001, pid {os.getpid()}, 1 restarts", "")
    assert [(item["name"], item["up"], item["restarts"]) for item in found["processes"]] == [
        ("front", True, 1), ("gateway", True, 0),
    ]  # fmt: skip
    assert found["process_trouble"] == ""


def test_a_front_whose_port_is_taken(paths: Paths) -> None:
    found = told_of(paths, [row("front", 0, 8, ready=False)], {"front": TAKEN}, 999)
    assert found["front_trouble"] == f"no client can log on: the front is down, 8 starts; {TAKEN}"
    assert found["front"] == "is down" and found["processes"][0]["pid"] is None
    # just started once more
    found = told_of(paths, [row("front", os.getpid(), 9, ready=False)], {"front": TAKEN}, 999)
    assert found["front_trouble"] == f"no client can log on: the front does not listen, 9 starts; {TAKEN}"


def test_a_front_that_is_stopped_or_has_gone(paths: Paths, process: subprocess.Popen[bytes]) -> None:
    rows = [row("front", process.pid)]
    assert told_of(paths, rows, {}, process.pid)["front_trouble"] == ""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    assert "its process is stopped (SIGSTOP, or a debugger)" in told_of(paths, rows, {}, process.pid)["front_trouble"]
    process.kill()
    process.wait()
    assert "its process has gone, and nothing starts it again" in told_of(paths, rows, {}, process.pid)["front_trouble"]


def test_a_front_whose_loop_does_not_turn(paths: Paths) -> None:
    rows = [row("front", os.getpid())]
    assert told_of(paths, rows, {}, os.getpid(), still_s=9)["front_trouble"] == ""
    assert "it has not moved for 11 s" in told_of(paths, rows, {}, os.getpid(), still_s=11)["front_trouble"]
    paths.front_ready.unlink()
    assert told_of(paths, rows, {})["front_trouble"] == ""


@pytest.mark.parametrize(("starts", "ago_s", "told_so"), [(3, 1, False), (4, 1, True), (50, 599, True), (50, 601, False)])
def test_what_is_restarted_again_and_again(paths: Paths, starts: int, ago_s: float, told_so: bool) -> None:
    rows = [row("front", os.getpid(), starts, ago_s=ago_s), row("venue:sim", 7, starts, ago_s=ago_s)]
    found = told_of(paths, rows, {"venue:sim": "ended: SIGSEGV"}, os.getpid())
    lately = min(starts - 1, 20)
    assert found["front_trouble"] == ""
    often = f"restarted {lately} times within 10 minutes"
    expected = f"front {often}; venue:sim {often}: ended: SIGSEGV"
    assert found["process_trouble"] == (expected if told_so else "")


def test_status_has_it(tmp_path: Path) -> None:
    with serving(tmp_path, Engine(World())) as directory:
        assert told(directory, "status")["front_trouble"] == ""
        Paths(directory).processes.write_text(json.dumps([row("front", 0, 8, ready=False)]))
        Paths(directory).ended.write_text(json.dumps({"front": TAKEN}))
        shown = fixgw(directory, "status").output
    assert f"no client can log on: the front is down, 8 starts; {TAKEN}" in shown and "restarts_lately" in shown
    assert time.time() > NOW_S
