"""A gateway that is told to stop while it starts ends soon, with status 0, and leaves its journal so that the next start knows
what this one would have known. `fixgw run` that is told so before it has started anything starts nothing."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from core_script import Script
from core_world import World, core_settings, session_settings

from fixgw.cli import main
from fixgw.config import Paths
from fixgw.journal.identity import read_run
from fixgw.journal.store import Journal

RECORDS = 400
# `place`: where the start is when SIGTERM comes; a replay takes minutes
GATEWAY = """
import os, signal, sys, time
from fixgw import app
place = sys.argv.pop(2)

def before(owner, name, does):
    real = getattr(owner, name)
    def wrapped(*args, **kwargs):
        does()
        return real(*args, **kwargs)
    setattr(owner, name, wrapped)

def told():
    print("told", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

replayed = []
def slowly():
    replayed.append(1)
    if len(replayed) == 3:
        print("replaying", file=sys.stderr, flush=True)
    time.sleep(0.2)

if place == "replay":
    before(app, "replay_record", slowly)
elif place == "state":
    before(app, "give_back_memory", told)
elif place == "sessions":
    from fixgw.fix.acceptor import Acceptor
    before(Acceptor, "start", told)
elif place == "last":
    before(app, "write_ready", told)
sys.exit(app.main())
"""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    assert CliRunner().invoke(main, ["init", str(tmp_path / "demo"), "--demo"]).exit_code == 0
    found = Paths(tmp_path / "demo")
    found.make_directories()
    world = World()
    while len(world.records) < RECORDS:
        world.start()
    write_journal(found, world)
    return found


def write_journal(paths: Paths, world: World) -> None:
    journal = Journal.open(paths.journal)
    for seq, payload in enumerate(world.records, 1):
        journal.append(seq, payload)
    journal.commit()
    journal.close()


def start(paths: Paths, place: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", GATEWAY, str(paths.root), place], stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip


def test_in_the_midst_of_a_long_replay(paths: Paths) -> None:
    before = read_run(paths.journal)
    assert before is not None and before.state == "running"
    process = start(paths, "replay")
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "replaying" in line:
                break
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        said = process.communicate(timeout=40)[1]
        assert process.returncode == 0 and time.monotonic() - began < 30, said
        assert "Traceback" not in said
    finally:
        process.kill()
        process.wait()
    assert read_run(paths.journal) == before


@pytest.mark.parametrize("place", ["state", "sessions", "last"])
def test_while_it_comes_up(paths: Paths, place: str) -> None:
    before = read_run(paths.journal)
    assert before is not None
    process = start(paths, place)
    try:
        said = process.communicate(timeout=110)[1]
    finally:
        process.kill()
    assert process.returncode == 0 and "told" in said and "Traceback" not in said, said
    after = read_run(paths.journal)
    assert after is not None
    if place == "state":
        # nothing was written: how the run before ended is still to be seen
        assert (after.state, after.time_ns, after.epoch) == (before.state, before.time_ns, before.epoch + 1)
    else:
        assert after.state == "clean" and after.last_seq > RECORDS
    assert paths.gateway_ready.exists() == (place == "last")


def test_a_session_of_the_journal_that_is_configured_no_more_is_told_of(paths: Paths) -> None:
    script = Script(World(core_settings(sessions={name: session_settings(name) for name in ("GONE", "DONE", "OMS44")})))
    for line in ("new a buy 1 @100 as=GONE", "ack C1", "new b buy 1 @100 as=OMS44"):
        script.line(line)
    shutil.rmtree(paths.journal)
    write_journal(paths, script.world)
    process = start(paths, "last")
    try:
        said = process.communicate(timeout=110)[1]
    finally:
        process.kill()
    told = [line for line in said.splitlines() if "SESSION_NOT_CONFIGURED" in line]
    assert len(told) == 1, said
    assert "session GONE is not configured any more and has 1 open orders, 2 reports that it has not confirmed" in told[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_end_before_anything_is_started_is_a_clean_stop(paths: Paths, number: int) -> None:
    with paths.children_lock.open("w") as left:
        # children of an earlier run that are not gone yet: so nothing is started meanwhile
        fcntl.flock(left, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "fixgw.cli", "run", str(paths.root)]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            deadline = time.monotonic() + 15
            while not holds_back(run.pid, number):
                assert time.monotonic() < deadline and run.poll() is None
                time.sleep(0.01)
            run.send_signal(number)
            output, _ = run.communicate(timeout=15)
        finally:
            run.kill()
            run.wait()
    assert (run.returncode, output) == (0, "told to end before anything was started\n")
    assert not (paths.log / "gateway.log").exists()


def holds_back(pid: int, number: int) -> bool:
    """Is the signal blocked in that process?"""
    words = Path(f"/proc/{pid}/status").read_text().split()
    return bool(int(words[words.index("SigBlk:") + 1], 16) & 1 << number - 1)
