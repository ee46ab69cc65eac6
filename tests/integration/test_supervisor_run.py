"""The supervisor with real processes: order, readiness, restarts, back-off, locks, stops. The children are small scripts
that keep the promises of the real ones (a ready file with their pid, SIGTERM ends them)."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fixgw.config.init import init

# DIR NAME... : supervises one script per name, "gateway" fatal on 3 to 5; a child's behaviour stands in DIR/NAME.json
RUNNER = """
import sys
from pathlib import Path
from fixgw.config import load
from fixgw.supervisor.child import Child
from fixgw.supervisor.lock import AlreadyRunning, take
from fixgw.supervisor.loop import Supervisor
from fixgw.supervisor.plan import HOST_UNUSABLE, Plan, _read_ready, GATEWAY_FATAL, write_changed
from fixgw.supervisor.status import StatusLine
import os

root = Path(sys.argv[1])
paths = load(root).paths

class Scripts(Plan):
    def children(self):
        made, before = [], ()
        for name in sys.argv[2:]:
            log, ready = paths.log / f"{name}.log", paths.run / f"{name}.json"
            argv = [sys.executable, "-I", "-S", str(root / "child.py"), name, str(root), str(ready)]
            is_ready = lambda pid, ready=ready: bool(_read_ready(ready, pid))
            def command(argv=argv, name=name):
                # as the real ones: a file in the folder that a test may spoil
                (root / "files").mkdir(exist_ok=True)
                write_changed(root / "files" / name, "settings")
                return argv
            child = Child(name, command, is_ready, log, dict(os.environ), before)
            child.grace_s = 2.0
            if name == "gateway":
                child.fatal = GATEWAY_FATAL
            if name.startswith("venue"):
                child.needed, child.ready_within_s = False, 0.5
                child.unusable, child.mend = HOST_UNUSABLE, "mend venues/x.toml"
            made.append(child)
            before = (*before, name)
        return made

try:
    lock = take(paths, float(os.environ.get("WAIT_S", "5")))
except AlreadyRunning as error:
    sys.exit(f"refused: {error}")
told = Path(os.environ.get("TOLD", root / "told.json"))
raise SystemExit(Supervisor(Scripts(load(root)), lock, [paths.ready, told], StatusLine()).run())
"""

CHILD = """
import json, os, signal, sys, time
name, root, ready = sys.argv[1:]
with open(f"{root}/order.txt", "a") as file:
    file.write(f"start {name}\\n")
try:
    plan = json.load(open(f"{root}/{name}.plan"))
except FileNotFoundError:
    plan = {}
def stop(number, frame):
    if plan.get("deaf"):
        return
    for _ in range(500):
        if f"stop {plan.get('outlives')}" in open(f"{root}/order.txt").read() or "outlives" not in plan:
            break
        time.sleep(0.01)
    with open(f"{root}/order.txt", "a") as file:
        file.write(f"stop {name}\\n")
    sys.exit(plan.get("stop_status", 0))
signal.signal(signal.SIGTERM, stop)
if "exit" in plan:
    print("secret of the ending: disk on fire", file=sys.stderr, flush=True)
    sys.exit(plan["exit"])
if not plan.get("never_ready"):
    with open(ready + ".tmp", "w") as file:
        json.dump({"pid": os.getpid()}, file)
    os.replace(ready + ".tmp", ready)
for _ in range(600):
    time.sleep(0.1)
"""


WAIT_S = 40.0


class Run:
    """One supervisor over scripts. `out`: a file for what it says, to be read while it runs."""

    def __init__(self, root: Path, *names: str, out: Path | None = None, **env: str) -> None:
        self.root = root
        command = [sys.executable, "-c", RUNNER, str(root), *names]
        with open(out or os.devnull, "w") as file:
            pipes: dict[str, Any] = {"stdout": file if out else subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
            self.process = subprocess.Popen(command, env={**os.environ, **env}, **pipes)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"{what}; status {self.process.poll()}\n{self.end()}")

    def ready(self) -> dict[str, Any]:
        self.until((self.root / "told.json").exists, "not ready")
        content: dict[str, Any] = json.loads((self.root / "run" / "ready.json").read_text())
        return content

    def pid(self, name: str) -> int:
        return int(self.ready()["pids"][name])

    def new_pid(self, name: str, old: int) -> int:
        return int(self.until(lambda: (p := self.pid(name)) != old and p, f"{name} was not replaced"))

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, output

    def end(self) -> str:
        self.process.kill()
        output, _ = self.process.communicate(timeout=WAIT_S)
        return output

    def wait(self) -> tuple[int, str]:
        output, _ = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, output


@pytest.fixture
def root(tmp_path: Path) -> Path:
    init(tmp_path / "d", demo=True)
    (tmp_path / "d" / "child.py").write_text(CHILD)
    return tmp_path / "d"


@pytest.fixture
def runs() -> Iterator[list[Run]]:
    made: list[Run] = []
    yield made
    for run in made:
        if run.process.poll() is None:
            run.end()


def plan(root: Path, name: str, **what: Any) -> None:
    (root / f"{name}.plan").write_text(json.dumps(what))


def alive(pid: int) -> bool:
    try:
        return f"{Path(f'/proc/{pid}/stat').read_text()}".rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    deadline = time.monotonic() + WAIT_S
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(pid)


ALL = ("simulator", "gateway", "venue", "front")


def test_starts_in_order_tells_and_stops_in_order(root: Path, runs: list[Run]) -> None:
    plan(root, "front", outlives="gateway")  # the gateway's goodbye passes through the front
    run = Run(root, *ALL)
    runs.append(run)
    told = run.ready()
    assert set(told["pids"]) == {"supervisor", *ALL} and told["pids"]["supervisor"] == run.process.pid
    assert told["fix"]["host"] == "127.0.0.1" and told["admin"].endswith("run/admin.sock")
    assert json.loads((root / "told.json").read_text()) == told
    assert (root / "run" / "ready.json").stat().st_mode & 0o777 == 0o600
    assert all(alive(pid) for pid in told["pids"].values())
    status, output = run.stop()
    assert status == 0, output
    stops = ["stop gateway", "stop front", "stop venue", "stop simulator"]
    assert (root / "order.txt").read_text().splitlines() == [f"start {name}" for name in ALL] + stops
    assert not any(alive(pid) for pid in told["pids"].values())
    assert not (root / "run" / "ready.json").exists() and not (root / "told.json").exists()


def test_a_run_folder_that_is_deleted_is_made_again_and_nobody_else_gets_in(root: Path, runs: list[Run]) -> None:
    out = root / "out.txt"
    run = Run(root, *ALL, out=out)
    runs.append(run)
    first = run.ready()
    shutil.rmtree(root / "run")
    (root / "told.json").unlink()
    assert run.ready() == first
    assert out.read_text().count("was deleted while this ran") == 1
    second = Run(root, *ALL, TOLD=str(root / "other.json"))
    runs.append(second)
    status, said = second.wait()
    assert status == 1 and f"is run already by the process {run.process.pid}" in said
    os.kill(first["pids"]["venue"], signal.SIGKILL)
    assert alive(run.new_pid("venue", first["pids"]["venue"]))
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(timeout=WAIT_S) == 0


def test_a_ready_file_that_cannot_be_looked_at_ends_nothing(root: Path, runs: list[Run]) -> None:
    (root / "tell").mkdir()
    run = Run(root, "gateway", out=root / "out.txt", TOLD=str(root / "tell" / "told.json"))
    runs.append(run)
    run.until((root / "tell" / "told.json").exists, "not ready")
    (root / "tell").rename(root / "away")
    (root / "tell").symlink_to("x" * 300)
    run.until(lambda: "cannot be written" in (root / "out.txt").read_text(), "not told")
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(timeout=20) == 0


def test_ctrl_c_is_a_clean_stop(root: Path, runs: list[Run]) -> None:
    run = Run(root, "gateway")
    runs.append(run)
    run.ready()
    assert run.stop(signal.SIGINT)[0] == 0


def test_what_is_ignored_at_the_start_ends_nothing(root: Path, runs: list[Run]) -> None:
    """As nohup does, and a shell with what it puts into the background."""
    ignored = [signal.SIGHUP, signal.SIGINT]
    before = [signal.signal(number, signal.SIG_IGN) for number in ignored]
    try:
        run = Run(root, "gateway")
    finally:
        for number, handler in zip(ignored, before, strict=True):
            signal.signal(number, handler)
    runs.append(run)
    pid = run.pid("gateway")
    for number in ignored:
        run.process.send_signal(number)
    os.kill(pid, signal.SIGKILL)
    assert alive(run.new_pid("gateway", pid))
    status, output = run.stop()
    assert status == 0 and "SIGTERM: draining" in output


def test_a_killed_child_is_replaced_and_told_the_others_stay(root: Path, runs: list[Run]) -> None:
    run = Run(root, *ALL)
    runs.append(run)
    first = run.ready()["pids"]
    os.kill(first["venue"], signal.SIGKILL)
    second = run.new_pid("venue", first["venue"])
    assert alive(second)
    now = run.ready()["pids"]
    assert {name: pid for name, pid in now.items() if name != "venue"} == {n: p for n, p in first.items() if n != "venue"}
    os.kill(first["gateway"], signal.SIGKILL)
    assert alive(run.new_pid("gateway", first["gateway"]))
    status, output = run.stop()
    assert status == 0 and "venue ended: SIGKILL" in output and "gateway ended: SIGKILL" in output


def test_restarts_come_slower_and_slower(root: Path, runs: list[Run]) -> None:
    run = Run(root, "gateway")
    runs.append(run)
    pid = run.pid("gateway")
    for _ in range(4):
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        pid = run.new_pid("gateway", pid)
    assert time.monotonic() - began >= 0.8
    assert re.findall(r"restart in (\S+) s", run.stop()[1]) == ["0.1", "0.2", "0.4", "0.8"]


def test_a_gateway_that_must_not_be_restarted(root: Path, runs: list[Run]) -> None:
    run = Run(root, "simulator", "gateway")
    runs.append(run)
    pids = run.ready()["pids"]
    plan(root, "gateway", exit=4)
    os.kill(pids["gateway"], signal.SIGKILL)
    status, output = run.wait()
    assert status == 4, output
    assert "disk on fire" in output and "not restarted" in output
    assert "next: `fixgw journal verify DIR`" in output and "cut nothing by hand" in output
    assert not alive(pids["simulator"])


def test_what_never_becomes_ready_ends_the_first_start(root: Path, runs: list[Run]) -> None:
    plan(root, "gateway", exit=1)
    run = Run(root, "simulator", "gateway", "front")
    runs.append(run)
    status, output = run.wait()
    assert status == 1 and "gateway ended: exit status 1" in output and "disk on fire" in output
    assert "start front" not in (root / "order.txt").read_text()


@pytest.mark.parametrize("trouble", [{"never_ready": True}, {"exit": 1}])
def test_a_venue_in_trouble_does_not_keep_the_gateway_down(root: Path, runs: list[Run], trouble: dict[str, Any]) -> None:
    plan(root, "venue", **trouble)
    run = Run(root, "gateway", "venue", "front")
    runs.append(run)
    assert run.ready()["pids"]["front"]
    plan(root, "venue")
    if "never_ready" in trouble:
        os.kill(run.pid("venue"), signal.SIGKILL)
    run.until(lambda: (root / "run" / "venue.json").exists(), "the venue did not come back")
    told = json.loads((root / "run" / "venue.json").read_text())["pid"]
    run.until(lambda: run.ready()["pids"].get("venue") == told, "the new pid is not told")
    status, output = run.stop()
    assert status == 0 and "venue is not ready yet; the others go on without it" in output


def test_a_venue_host_with_an_unusable_configuration_is_told_as_such(root: Path, runs: list[Run]) -> None:
    """In the log and, by run/ended.json, in `fixgw status`; it is tried again with back-off, and forgotten when it is back."""
    ended = root / "run" / "ended.json"
    plan(root, "venue", exit=2)
    run = Run(root, "gateway", "venue", "front")
    runs.append(run)
    run.ready()
    why = json.loads(ended.read_text())["venue"]
    assert why == (
        "ended: its configuration cannot be used (exit status 2); mend venues/x.toml: secret of the ending: disk on fire"
    )
    plan(root, "venue")
    run.until(lambda: json.loads(ended.read_text()) == {}, "what is over is still told")
    status, output = run.stop()
    assert status == 0 and "\n  its configuration cannot be used (exit status 2); mend venues/x.toml\n" in output
    assert "restart in 0.1 s" in output and "restart in 0.2 s" in output


def test_every_process_and_its_starts_are_told(root: Path, runs: list[Run]) -> None:
    processes = root / "run" / "processes.json"
    plan(root, "venue", exit=1)
    run = Run(root, "gateway", "venue", "front")
    runs.append(run)
    run.ready()

    def rows() -> dict[str, Any]:
        return {row["name"]: row for row in json.loads(processes.read_text())}

    found = run.until(lambda: (r := rows())["venue"]["starts"] >= 3 and r, "the starts are not told")
    assert (found["front"]["starts"], found["front"]["ready"], found["front"]["pid"]) == (1, True, run.pid("front"))
    assert not found["venue"]["ready"] and len(found["venue"]["starts_ns"]) == found["venue"]["starts"]
    assert abs(found["venue"]["starts_ns"][-1] - time.time_ns()) < 60e9
    old = run.pid("front")
    os.kill(old, signal.SIGKILL)
    run.until(lambda: (r := rows()["front"])["starts"] == 2 and r["ready"] and r["pid"] != old, "the new front is not told")
    shutil.rmtree(root / "run")
    run.until(processes.exists, "not told again")
    assert run.stop()[0] == 0


def test_second_supervisor_is_refused_with_the_pid(root: Path, runs: list[Run]) -> None:
    run = Run(root, "gateway")
    runs.append(run)
    run.ready()
    other = Run(root, "gateway")
    runs.append(other)
    status, output = other.wait()
    assert status == 1 and f"already by the process {run.process.pid}" in output
    assert run.stop()[0] == 0


def test_children_die_with_a_killed_supervisor_and_the_next_one_starts(root: Path, runs: list[Run]) -> None:
    run = Run(root, *ALL)
    runs.append(run)
    pids = run.ready()["pids"]
    (root / "told.json").unlink()
    run.process.kill()
    following = Run(root, *ALL)
    runs.append(following)
    assert all(gone(pid) for pid in pids.values())
    assert not set(following.ready()["pids"].values()) & set(pids.values())
    assert following.stop()[0] == 0


def test_a_child_of_an_earlier_run_that_lives_on_is_named(root: Path, runs: list[Run]) -> None:
    plan(root, "gateway", deaf=True)
    run = Run(root, "gateway")
    runs.append(run)
    pid = run.pid("gateway")
    run.process.kill()
    run.process.wait()
    following = Run(root, "gateway", WAIT_S="0.3")
    runs.append(following)
    status, output = following.wait()
    os.kill(pid, signal.SIGKILL)
    assert status == 1 and f"pids: {pid}" in output, output


def test_a_deaf_child_is_killed_after_its_time(root: Path, runs: list[Run]) -> None:
    plan(root, "gateway", deaf=True)
    run = Run(root, "gateway")
    runs.append(run)
    pid, began = run.pid("gateway"), time.monotonic()
    status, output = run.stop()
    assert status == 1 and "did not stop within 2 s: killed" in output
    assert time.monotonic() - began < 20 and not alive(pid)


def test_a_front_that_does_not_end_after_the_gateway_is_killed(root: Path, runs: list[Run]) -> None:
    plan(root, "front", deaf=True)
    run = Run(root, *ALL)
    runs.append(run)
    pid, began = run.pid("front"), time.monotonic()
    status, output = run.stop()
    assert status == 1 and "front did not stop within 2 s: killed" in output
    assert time.monotonic() - began < 20 and not alive(pid)
    assert (root / "order.txt").read_text().splitlines()[-3:] == ["stop gateway", "stop venue", "stop simulator"]


def test_a_child_that_stops_badly_is_told(root: Path, runs: list[Run]) -> None:
    plan(root, "gateway", stop_status=7)
    run = Run(root, "gateway")
    runs.append(run)
    run.ready()
    status, output = run.stop()
    assert status == 1 and "gateway stopped with exit status 7" in output


def test_a_stop_in_the_middle_of_the_start(root: Path, runs: list[Run]) -> None:
    plan(root, "gateway", never_ready=True)
    run = Run(root, "gateway", "front")
    runs.append(run)
    run.until(lambda: (root / "order.txt").exists(), "gateway not started")
    # the script may not have its handler yet: then the signal's default ends it, which is a stop too
    assert run.stop()[0] == 0


@pytest.mark.parametrize("name", ["venue", "gateway"])
def test_what_was_up_once_and_cannot_be_started_is_tried_again(root: Path, runs: list[Run], name: str) -> None:
    run = Run(root, *ALL)
    runs.append(run)
    first = run.ready()["pids"]
    (root / "files").rename(root / "spoiled")
    (root / "files").write_text("no folder")
    os.kill(first[name], signal.SIGKILL)
    ended = root / "run" / "ended.json"
    why = run.until(
        lambda: ended.exists() and "cannot be started" in (told := json.loads(ended.read_text()).get(name, "")) and told,
        "the trouble is not told",
    )
    assert str(root / "files") in why
    assert all(alive(pid) for other, pid in first.items() if other not in (name, "supervisor"))
    (root / "files").unlink()
    assert alive(run.new_pid(name, first[name]))
    assert {k: v for k, v in run.ready()["pids"].items() if k != name} == {k: v for k, v in first.items() if k != name}
    status, output = run.stop()
    assert status == 0 and f"{name} cannot be started: {root}/files" in output and "tried again in 0.2 s" in output


def test_a_child_is_started_again_though_nothing_new_can_be_written(root: Path, runs: list[Run], tmp_path: Path) -> None:
    """Its files are there and say just what they would say again; its log and the ready file cannot be written."""
    out = tmp_path / "out.txt"
    run = Run(root, *ALL, out=out)
    runs.append(run)
    first = run.ready()["pids"]
    (root / "log" / "venue.log").unlink()
    (root / "log" / "venue.log").mkdir()
    (root / "told.json").unlink()
    (root / "told.json").mkdir()
    os.kill(first["venue"], signal.SIGKILL)
    trouble = "told.json: Is a directory\n  the ready file cannot be written"
    run.until(lambda: trouble in out.read_text(), "the trouble is not told")
    (root / "told.json").rmdir()
    run.until(lambda: (root / "told.json").is_file(), "the ready file was not written in the end")
    second = json.loads((root / "run" / "venue.json").read_text())["pid"]
    assert second != first["venue"] and json.loads((root / "told.json").read_text())["pids"] == {**first, "venue": second}
    assert run.stop()[0] == 0
    assert f"venue: its log {root}/log/venue.log: Is a directory; the end of what it says is kept" in out.read_text()


def test_a_ready_file_that_cannot_be_written_at_the_start_is_named_and_written_later(
    root: Path, runs: list[Run], tmp_path: Path
) -> None:
    out, told = tmp_path / "out.txt", root / "nowhere" / "told.json"
    run = Run(root, "gateway", "front", out=out, TOLD=str(told))
    runs.append(run)
    trouble = f"{told}: No such file or directory\n  the ready file cannot be written"
    run.until(lambda: trouble in out.read_text(), "the trouble is not told")
    told.parent.mkdir()
    run.until(told.exists, "not written in the end")
    assert run.stop()[0] == 0
    assert out.read_text().count(trouble) == 1


def test_what_cannot_be_started_at_first_ends_the_start_and_names_the_file(root: Path, runs: list[Run]) -> None:
    (root / "files").write_text("no folder")
    run = Run(root, "gateway")
    runs.append(run)
    status, output = run.wait()
    assert status == 1 and f"gateway cannot be started: {root}/files" in output


def test_output_that_cannot_be_written_stops_nothing(root: Path, runs: list[Run]) -> None:
    run = Run(root, *ALL)
    runs.append(run)
    first = run.ready()["pids"]
    assert run.process.stdout is not None
    run.process.stdout.close()
    os.kill(first["venue"], signal.SIGKILL)
    run.new_pid("venue", first["venue"])
    assert all(alive(pid) for name, pid in first.items() if name != "venue")
    run.process.terminate()
    # the output that was lost is an error of the interpreter's own end
    assert run.process.wait(timeout=WAIT_S) in (0, 120)
