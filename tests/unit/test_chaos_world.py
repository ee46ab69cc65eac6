"""Chaos kills what is there, says truly what it killed, and leaves nothing running where an installation does not come up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from fixgw.chaos import cli as chaos_cli
from fixgw.chaos.havoc import _FAULTS, Havoc
from fixgw.chaos.traps import TRAP_FILE
from fixgw.chaos.world import World
from fixgw.cli import main
from fixgw.soak import cli as soak_cli
from fixgw.supervisor import tree
from fixgw.supervisor.tree import NotUp


def told(directory: Path, **pids: int) -> World:
    (directory / "run").mkdir()
    (directory / "run" / "ready.json").write_text(json.dumps({"pids": pids}))
    return World(directory)


def dead() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_no_trap_springs_where_no_gateway_runs(tmp_path: Path) -> None:
    """The ready file names the dead until others have taken their places."""
    world = told(tmp_path, gateway=dead())
    assert world.pid_of("gateway") == 0 and world.pid_of("front") == 0
    assert not world.kill("gateway") and world.kill_at("written", 1, 1.0) is None
    assert not (tmp_path / "run" / TRAP_FILE).exists()


class Rising:
    """A world whose parts are up from the third look on."""

    def __init__(self) -> None:
        self.looks = 0
        self.killed: list[str] = []

    def pid_of(self, part: str) -> int:
        self.looks += 1
        return 7 if self.looks > 2 else 0

    def kill(self, part: str) -> bool:
        if self.pid_of(part):
            self.killed.append(part)
        return bool(self.killed)

    def kill_at(self, point: str, after: int, timeout_s: float) -> bool | None:
        if not self.pid_of("gateway"):
            return None
        self.killed.append(point)
        return True

    def sim(self) -> Rising:
        return self

    def fault(self, kind: str, **_: object) -> dict[str, Any]:
        return {"hit": int(self.kill(kind))}

    wait = World.wait


@pytest.mark.parametrize("target", ["front", "trap", "connection"])
def test_a_kill_waits_for_what_is_just_getting_up(target: str) -> None:
    world = Rising()
    what = Havoc(cast(World, world), (target,), 1).kill()
    assert len(world.killed) == 1 and world.looks >= 3 and "down" not in what


def test_what_stays_away_is_no_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fixgw.chaos.havoc.BACK_S", 0.2)
    world = told(tmp_path, gateway=dead())
    for target in ("front", "trap"):
        with pytest.raises(TimeoutError, match="there to be killed"):
            Havoc(world, (target,), 1).kill()


def test_an_installation_that_does_not_come_up_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fixgw.toml").write_text("")
    pids = tmp_path / "pid"
    endless = f"import os, time; open({str(pids)!r}, 'w').write(str(os.getpid())); print('so far', flush=True); time.sleep(60)"
    monkeypatch.setattr(tree, "tied", lambda *_: [sys.executable, "-c", endless])

    def interrupted(_: World) -> Any:
        if pids.exists() and pids.read_text():
            raise KeyboardInterrupt
        raise OSError

    monkeypatch.setattr(World, "ready", interrupted)
    with pytest.raises(KeyboardInterrupt), World(tmp_path):
        pytest.fail("it is not up")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pids.read_text()), 0)


def test_what_it_said_last_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary folder is gone by the time that anybody could look."""
    (tmp_path / "fixgw.toml").write_text("")
    monkeypatch.setattr(tree, "tied", lambda *_: [sys.executable, "-c", "print('no port'); raise SystemExit(5)"])
    with pytest.raises(NotUp, match=r"(?s)ended with exit status 5.*no port"), World(tmp_path):
        pytest.fail("it is not up")


@pytest.mark.parametrize(("words", "status"), [(["chaos"], 1), (["chaos", "--plant", "no-trade-dedup"], 3), (["soak"], 1)])
def test_an_installation_that_does_not_come_up_finds_no_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], status: int
) -> None:
    def not_up(*_: object) -> None:
        raise NotUp("no port")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(chaos_cli, "run_chaos", not_up)
    monkeypatch.setattr(soak_cli, "run_soak", not_up)
    result = CliRunner().invoke(main, words)
    assert result.exit_code == status and "Error: no port" in result.output


def test_each_kind_of_fault_comes_once_a_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a soak run has not met in its warm-up would look like growth when it comes."""
    asked: list[str] = []

    class Sim:
        def fault(self, kind: str, **options: Any) -> dict[str, Any]:
            asked.append(kind)
            return {}

    world = told(tmp_path)
    monkeypatch.setattr(world, "sim", Sim)
    havoc = Havoc(world, (), 1)
    kinds = sorted(kind for kind, _, _ in _FAULTS)
    for _ in range(3):
        while len(asked) < len(kinds):
            havoc.fault()
        assert sorted(asked) == kinds
        asked.clear()
