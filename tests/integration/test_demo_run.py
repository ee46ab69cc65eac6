"""`python -m fixgw.demo`, whole: the real processes, the real day, the exit status, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from process_list import started_in

from fixgw.config.init import init
from fixgw.demo.scenario import DAY

WHOLE_S = 160.0
QUICK_S = 40.0


def run(tmp_path: Path, *args: str, timeout_s: float = WHOLE_S) -> subprocess.CompletedProcess[str]:
    """Run the demo; its temporary folders stand in tmp_path. If it takes too long it is killed, and its processes end with it."""
    argv = [sys.executable, "-m", "fixgw.demo", *args]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL)


@pytest.mark.timeout(200)
def test_the_whole_day(tmp_path: Path) -> None:
    outcome = tmp_path / "outcome.json"
    done = run(tmp_path, "--json", str(outcome))
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(outcome.read_bytes())
    assert told["ok"] and told["problems"] == []
    assert [step["name"] for step in told["steps"]] == [step.name.strip() for step in DAY]
    for step, wanted in zip(told["steps"], DAY, strict=True):
        assert step["ok"] and step["problems"] == []
        assert len(step["came"]) == len(step["expected"]) == len(wanted.expected)
    reasons = {line.get("reason") for step in told["steps"] for line in step["came"]}
    assert {"MAX_ORDER_QTY", "MAX_NOTIONAL", "PRICE_COLLAR", "VENUE_REJECT"} <= reasons
    assert {"OUTCOME_UNKNOWN", "NOT_PLACED", "KILLED", "HALTED", "IOC_REMAINDER"} <= reasons
    ids = [line["exec_id"] for step in told["steps"] for line in step["came"] if line["what"] != "cancel rejected"]
    assert len(ids) == len(set(ids)) == told["drop_copy"]["reports"] == told["drop_copy"]["copies"]
    assert [exec_id for step in told["steps"] for exec_id in step["drop_copy"]] == ids
    assert told["ledger"]["client_fills"] == told["ledger"]["ledger_fills"] == 8 and told["ledger"]["working"] == 0
    assert told["positions"]["net"] == {"BTC/USDT": "0.74885", "ETH/USDT": "-2"}
    assert "all came" in done.stdout and "\x1b" not in done.stdout
    assert list(tmp_path.glob("fixgw-demo-*")) == [] and started_in(tmp_path) == {}


@pytest.mark.timeout(200)
def test_an_interrupt_stops_everything(tmp_path: Path) -> None:
    """In the middle of the day, with FIX sessions up: importing quickfix makes SIGINT end a process at once."""
    said = tmp_path / "said.txt"
    argv = [sys.executable, "-m", "fixgw.demo", "--pace", "5"]
    with said.open("wb") as file:
        demo = subprocess.Popen(argv, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=file, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + WHOLE_S / 2
        while b"pending new" not in said.read_bytes() and time.monotonic() < deadline and demo.poll() is None:
            time.sleep(0.05)
        assert started_in(tmp_path), said.read_text()
        demo.send_signal(signal.SIGINT)
        assert demo.wait(WHOLE_S / 2) == 130, said.read_text()
    finally:
        demo.kill()
        demo.wait()
    assert "interrupted" in said.read_text()
    assert list(tmp_path.glob("fixgw-demo-*")) == [] and started_in(tmp_path) == {}


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    init(tmp_path / "dir", demo=True)
    before = (tmp_path / "dir" / "fixgw.toml").read_bytes()
    done = run(tmp_path, "--dir", str(tmp_path / "dir"), timeout_s=QUICK_S)
    assert done.returncode == 1 and "already there" in done.stdout
    assert (tmp_path / "dir" / "fixgw.toml").read_bytes() == before


@pytest.mark.parametrize(("args", "said"), [(["--json", "/nowhere/x.json"], "/nowhere"), (["--session", "PB44"], "PB44")])
def test_wrong_options(tmp_path: Path, args: list[str], said: str) -> None:
    done = run(tmp_path, *args, timeout_s=QUICK_S)
    assert done.returncode == 2 and said in done.stderr
    assert list(tmp_path.iterdir()) == []
