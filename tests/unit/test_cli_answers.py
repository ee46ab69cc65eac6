"""What becomes of a command whose answer does not get out, or that is interrupted: a change that was made, or may be, is never
told as one that was refused (exit status 1)."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fixgw.admin import commands
from fixgw.admin.protocol import METHODS
from fixgw.admin.server import AdminServer
from fixgw.cli import main

FULL = "/dev/full"
NO_ROOM = "Error: the answer cannot be written: No space left on device"
ROOT = Path(__file__).parents[2]


def command(*words: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "fixgw.cli", *words], text=True, stdin=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, **options,
    )  # fmt: skip


def run(*words: str, stdout: Any, stderr: Any = subprocess.PIPE) -> tuple[int, str]:
    with command(*words, stdout=stdout, stderr=stderr) as process:
        said = process.communicate(timeout=60)[1]
        return process.returncode, said or ""


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def directory(tmp_path: Path, asked: list[str]) -> Iterator[Path]:
    (tmp_path / "run").mkdir(mode=0o700)

    def method(name: str) -> Any:
        def answer(params: dict[str, Any], user: str) -> object:
            asked.append(name)
            return {"level": "HALTED", "orders": []}

        return answer

    server = AdminServer(tmp_path / "run" / "admin.sock", {name: method(name) for name in METHODS})
    server.start()
    yield tmp_path
    server.close()


def test_a_kill_whose_answer_finds_no_room_was_made(directory: Path, asked: list[str]) -> None:
    with open(FULL, "w") as full:
        status, said = run("kill", "--firm", "--dir", str(directory), stdout=full)
        expected = f"{NO_ROOM}; `kill` was carried out, `fixgw status` shows it\n"
        assert (status, said, asked) == (74, expected, ["kill"])
        # nobody can be told anything: the exit status says it
        status, _ = run("kill", "--firm", "--json", "--dir", str(directory), stdout=full, stderr=full)
        assert (status, asked) == (74, ["kill"] * 2)
        status, said = run("orders", "--dir", str(directory), stdout=full)
        assert (status, said) == (74, f"{NO_ROOM}\n")


def test_every_command_tells_it_so(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    assert CliRunner().invoke(main, ["init", str(demo), "--demo"]).exit_code == 0
    for words in (["check", str(demo)], ["--help"], ["kill", "--help"], ["init", str(tmp_path / "two"), "--demo"]):
        with open(FULL, "w") as full:
            status, said = run(*words, stdout=full)
        assert (status, said) == (74, f"{NO_ROOM}\n"), words
    # a refusal stays one, though nobody can be told
    with open(FULL, "w") as full:
        assert run("check", str(tmp_path / "none"), stdout=full, stderr=subprocess.DEVNULL)[0] == 1
        assert run("status", "--dir", str(tmp_path), stdout=full, stderr=full)[0] == 2
        status, said = run("init", str(demo), "--demo", stdout=full)
        assert status == 1 and "Traceback" not in said


def test_a_reader_that_has_gone_is_not_mentioned(directory: Path, asked: list[str]) -> None:
    for words in (["kill", "--firm"], ["orders"], ["orders", "--json"]):
        read, write = os.pipe()
        os.close(read)
        try:
            assert run(*words, "--dir", str(directory), stdout=write) == (74, "")
        finally:
            os.close(write)
    assert asked == ["kill", "orders", "orders"]


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["kill", "--firm"], 2, "interrupted before the gateway answered 'kill'; the outcome is unknown"),
        (["cancel", "O1"], 2, "the outcome is unknown"),
        (["orders"], 1, "Aborted!"),
        (["session", "S", "show"], 1, "Aborted!"),
    ],
)
def test_ctrl_c_on_what_was_sent(tmp_path: Path, words: list[str], status: int, text: str) -> None:
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "run" / "admin.sock"))
        listener.listen(1)
        listener.settimeout(60)
        with command(*words, "--dir", str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            connection = listener.accept()[0]
            with connection:
                assert connection.recv(1 << 16)
                process.send_signal(signal.SIGINT)
                said = process.communicate(timeout=60)[1]
    assert process.returncode == status and text in said, said
    assert ("Aborted" in said) == (status == 1)


def test_ctrl_c_behind_the_answer(directory: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "print_fields", interrupted)
    result = CliRunner().invoke(main, ["kill", "--firm", "--dir", str(directory)])
    assert result.exit_code == 74 and asked == ["kill"]
    assert "interrupted before all of the answer was written; `kill` was carried out, `fixgw status` shows it" in result.output


def test_ctrl_c_at_the_prompt(directory: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> str:
        raise commands.click.Abort

    monkeypatch.setattr(commands, "_on_terminal", lambda: True)
    monkeypatch.setattr(commands.click, "prompt", interrupted)
    result = CliRunner().invoke(main, ["kill", "--firm", "--dir", str(directory)])
    assert (result.exit_code, result.output) == (1, "\nError: stopped before anything was asked for: nothing was changed\n")
    assert asked == []


TWICE = """
import errno, os, sys
import click
from fixgw.cli import main

@main.command()
def twice():
    try:
        click.echo("lost")
    except OSError:
        pass
    os.dup2(int(os.environ["ROOM"]), 1)
    if os.environ.get("FAILS"):
        raise FileNotFoundError(errno.ENOENT, "something else", "x")
    click.echo("kept")

main(["twice"])
"""


@pytest.mark.parametrize("fails", ["", "yes"])
def test_who_copes_with_a_full_disk_goes_on_when_there_is_room(tmp_path: Path, fails: str) -> None:
    """`run` for one: what it says is no reason to end, and what it says later is wanted again."""
    room = (tmp_path / "room").open("w")
    with open(FULL, "w") as full, room:
        done = subprocess.run(
            [sys.executable, "-c", TWICE], stdout=full, stderr=subprocess.PIPE, text=True, pass_fds=[room.fileno()], timeout=60,
            env=os.environ | {"PYTHONPATH": str(ROOT), "ROOM": str(room.fileno()), "FAILS": fails}, check=False,
        )  # fmt: skip
    said = (tmp_path / "room").read_text()
    if fails:
        # of no matter of the output
        assert done.returncode == 1 and "FileNotFoundError" in done.stderr and "answer" not in done.stderr
    else:
        assert (done.returncode, done.stderr) == (0, "") and said.endswith("kept\n")
