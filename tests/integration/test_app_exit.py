"""The exit status of a gateway process that cannot start tells operations what to do."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fixgw.cli import main
from fixgw.config import Paths

MEGABYTE = 1 << 20


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "demo"
    assert CliRunner().invoke(main, ["init", str(home), "--demo"]).exit_code == 0
    return home


def start(home: Path, largest_file: int = -1) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        if largest_file >= 0:  # as if the disk were full: nothing may grow beyond it
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    return subprocess.run(
        [sys.executable, "-m", "fixgw.app", str(home)], capture_output=True, text=True, timeout=110, preexec_fn=limit,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip


@pytest.mark.parametrize("room", [MEGABYTE, 0])
def test_a_disk_without_room_for_the_journal_is_status_5(home: Path, room: int) -> None:
    ended = start(home, room)
    assert "cannot be opened" in ended.stderr
    assert ended.returncode == 5


def test_a_damaged_journal_is_status_4(home: Path) -> None:
    folder = Paths(home).journal
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "00000001.seg").write_bytes(b"x" * 4096)
    ended = start(home)
    assert "journal is damaged" in ended.stderr
    assert ended.returncode == 4
