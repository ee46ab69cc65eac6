"""`fixgw init --demo` and `fixgw run` with the real processes: it comes up, tells where, survives, and stops cleanly."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from acceptor_kit import Client, until
from click.testing import CliRunner

from fixgw.cli import main
from fixgw.fix.acceptor_settings import AcceptorSession

OMS44 = AcceptorSession(name="OMS44", begin_string="FIX.4.4", client_comp_id="OMS44", gateway_comp_id="FIXGW")


def wait_for(path: Path, process: subprocess.Popen[str], timeout_s: float = 90.0) -> dict[str, Any]:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists():
            content: dict[str, Any] = json.loads(path.read_text())
            return content
        time.sleep(0.05)
    process.kill()
    raise AssertionError(process.communicate()[0])


def connected(directory: Path, name: str) -> bool:
    result = CliRunner().invoke(main, ["sessions", "--json", "--dir", str(directory)])
    (row,) = (row for row in json.loads(result.output)["sessions"] if row["name"] == name)
    found: bool = row["connected"]
    return found


def test_demo_comes_up_and_stops(tmp_path: Path) -> None:
    directory, ready = tmp_path / "demo", tmp_path / "ready.json"
    assert CliRunner().invoke(main, ["init", str(directory), "--demo"]).exit_code == 0
    command = [sys.executable, "-m", "fixgw.cli", "run", str(directory), "--ready-file", str(ready)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        told = wait_for(ready, process)
        assert set(told["pids"]) == {"supervisor", "simulator", "gateway", "venue:sim", "front"}
        with socket.create_connection((told["fix"]["host"], told["fix"]["port"]), timeout=5):
            pass
        result = CliRunner().invoke(main, ["status", "--json", "--dir", str(directory)])
        assert result.exit_code == 0, result.output
        assert json.loads(result.output)["venues"][0]["state"] == "READY"
        result = CliRunner().invoke(main, ["sessions", "--json", "--dir", str(directory)])
        assert {row["name"] for row in json.loads(result.output)["sessions"]} == {"OMS42", "OMS44", "OMS50", "PB44"}
        os.kill(told["pids"]["front"], signal.SIGKILL)
        deadline = time.monotonic() + 30
        while json.loads(ready.read_text())["pids"]["front"] == told["pids"]["front"]:
            assert time.monotonic() < deadline, "the front was not replaced"
            time.sleep(0.05)
        again = json.loads(ready.read_text())
        assert again["fix"] == told["fix"] and again["pids"]["gateway"] == told["pids"]["gateway"]
        with Client(told["fix"]["port"], OMS44) as client:
            client.logon()
            client.send("A", "98=0|108=30")
            assert client.expect("5")["58"].startswith("already logged on")
        until(lambda: not connected(directory, "OMS44"))
        # the Logout that answers ours is the 3rd message, and has not been read any more
        with Client(told["fix"]["port"], OMS44, next_out=3) as client:
            client.logon()
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert client.expect("5")["58"] == "the gateway is going down"
            output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        assert time.monotonic() - began < 40
        log = (directory / "log" / "gateway.log").read_text()
        assert "session OMS44: logged out (the gateway is going down)" in log
        assert not ready.exists()
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
