"""A tool that is stopped before its time, by Ctrl-C, by a job's time limit or by kill -9, leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from process_list import started_in

WAIT_S = 90.0
INTERRUPTED = 130
# name -> (its arguments; what it has said when it is under way, or the CPU seconds that it and its processes have used)
TOOLS: dict[str, tuple[tuple[str, ...], bytes | float]] = {
    "chaos": (("chaos", "--kills", "1000"), b"kill 2/1000"),
    "soak": (("soak", "--minutes", "60"), b" requests"),
    "order path": (("bench", "order-path"), 6.0),
    "recovery": (("bench", "recovery", "--events", "500000"), 2.0),
    "simulate": (("simulate", "--seeds", "1000000", "--jobs", "2"), 6.0),
}


@contextmanager
def under_way(folder: Path, name: str, *more: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The tool with a process group of its own, and what it says."""
    args, sign = TOOLS[name]
    said, temporary = folder / "said.txt", folder / "tmp"
    temporary.mkdir()
    with said.open("wb") as file:
        tool = subprocess.Popen(
            [sys.executable, "-m", "fixgw.cli", *args, *more], cwd=folder, env={**os.environ, "TMPDIR": str(temporary)},
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        if isinstance(sign, bytes):
            await_that(lambda: sign in said.read_bytes(), said)
        else:
            await_that(lambda: sum(map(cpu_s, started_in(temporary))) >= sign, said)
        yield tool, said
    finally:
        tool.kill()
        tool.wait()


def cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def nothing_is_left(temporary: Path, said: Path) -> None:
    """multiprocessing's resource tracker ends by itself a moment later."""
    await_that(lambda: all("resource_tracker" in command for command in started_in(temporary).values()), said, 0.0)
    await_that(lambda: started_in(temporary) == {}, said, 10.0)
    assert list(temporary.iterdir()) == []


def await_that(there: Callable[[], bool], said: Path, wait_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + wait_s
    while not there():
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.05)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["soak", "order path", "recovery", "simulate"])
def test_sigterm_stops_all_that_was_started(tmp_path: Path, name: str) -> None:
    with under_way(tmp_path, name) as (tool, said):
        tool.send_signal(signal.SIGTERM)
        assert tool.wait(WAIT_S) == INTERRUPTED, said.read_text()
    assert b"interrupted" in said.read_bytes() and b"Traceback" not in said.read_bytes()
    nothing_is_left(tmp_path / "tmp", said)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["chaos", "order path"])
def test_nothing_outlives_a_killed_tool(tmp_path: Path, name: str) -> None:
    with under_way(tmp_path, name) as (tool, said):
        tool.kill()
        tool.wait()
        await_that(lambda: started_in(tmp_path / "tmp") == {}, said)


@pytest.mark.timeout(240)
def test_interrupted_chaos_judges_what_there_was(tmp_path: Path) -> None:
    """Ctrl-C at a terminal goes to the whole process group: the installation must not hear of it."""
    verdict = tmp_path / "verdict.json"
    with under_way(tmp_path, "chaos", "--json", str(verdict)) as (tool, said):
        os.killpg(tool.pid, signal.SIGINT)
        assert tool.wait(WAIT_S) == INTERRUPTED, said.read_text()
    nothing_is_left(tmp_path / "tmp", said)
    told = json.loads(verdict.read_bytes())
    assert 1 <= told["kills"] < 1000 and told["requests"] > 0
    assert told["lost"] == told["doubled"] == told["mismatched"] == told["stuck"] == 0 and told["died"] == []
