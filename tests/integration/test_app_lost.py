"""A journal that has lost durable records without a trace in itself: the projection knows of them, and nothing new is traded
before operations have looked."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fixgw.admin.client import AdminClient
from fixgw.cli import main
from fixgw.config import Paths
from fixgw.journal.layout import read_layout
from fixgw.journal.projected import projected_seq
from fixgw.journal.segment import HEADER_BYTES, scan


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(what)


@contextmanager
def gateway(paths: Paths) -> Iterator[AdminClient]:
    """Killed at the end."""
    paths.gateway_ready.unlink(missing_ok=True)
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-m", "fixgw.app", str(paths.root)], env=os.environ | {"PYTHONPATH": str(root)})
    try:
        until(lambda: paths.gateway_ready.exists() or process.poll() is not None, "not ready")
        with AdminClient(paths.admin_socket, user="test", timeout_s=10) as client:
            yield client
    finally:
        process.kill()
        process.wait()


def records(paths: Paths) -> list[tuple[int, int]]:
    """(sequence, end) of each record of the first segment."""
    segment = read_layout(paths.journal).live[0]
    return [(seq, end) for seq, _, end in scan(segment.read(), HEADER_BYTES, 1, segment.header.salt)]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("lost", [0, 2])
def test_records_that_the_projection_knew(tmp_path: Path, lost: int) -> None:
    assert CliRunner().invoke(main, ["init", str(tmp_path / "demo"), "--demo"]).exit_code == 0
    paths = Paths(tmp_path / "demo")
    projection = paths.root / "data" / "projection.db"
    with gateway(paths) as client:
        for _ in range(3):
            client.call("resume", scope="firm", target="", reason="a record")
        until(lambda: 4 < projected_seq(projection) == records(paths)[-1][0], "not projected")
    found = records(paths)
    with read_layout(paths.journal).live[0].path.open("r+b") as file:
        file.seek(found[-1 - lost][1])
        file.write(bytes(found[-1][1] - found[-1 - lost][1]))
    with gateway(paths) as client:
        status = client.call("status")
    assert status["firm_state"] == ("HALTED" if lost else "ACTIVE"), status
