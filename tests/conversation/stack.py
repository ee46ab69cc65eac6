"""`fixgw run` as conversations need it: everything up, and stopped in the end whatever happens."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fixgw.admin.client import AdminClient
from fixgw.process import tied

START_S = 90.0
STOP_S = 30.0


def fixgw(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from fixgw.cli import main; main()", *arguments]


@contextlib.contextmanager
def running(root: Path) -> Iterator[dict[str, Any]]:
    """The content of the ready file while everything of this folder runs; the folder under "dir". It ends with this process."""
    file = root / "told.json"
    log = root.parent / "run.log"
    with log.open("wb") as output:
        process = subprocess.Popen(tied("fixgw.cli", "run", str(root), "--ready-file", str(file)), stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_S
        while not file.exists():
            assert process.poll() is None and time.monotonic() < deadline, f"not ready\n{log.read_text()[-3000:]}"
            time.sleep(0.05)
        yield {**json.loads(file.read_text()), "dir": str(root)}
        assert process.poll() is None, f"ended by itself\n{log.read_text()[-3000:]}"
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def await_ready(admin: AdminClient) -> None:
    """The venue takes orders."""
    deadline = time.monotonic() + 30
    while (venue := admin.call("status")["venues"][0])["state"] != "READY":
        assert time.monotonic() < deadline, venue
        time.sleep(0.05)
