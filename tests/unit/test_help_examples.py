"""The examples in --help: what they name exists, in a folder as `fixgw init` and `fixgw run` make it, and what can be run is."""

import json
import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from command_tree import commands

from fixgw.cli import main
from fixgw.config import Config, Paths, load
from fixgw.fix.rawlog import RawLog
from fixgw.journal.store import Journal
from fixgw.sim.faults import parse_fault

HEARTBEAT = "8=FIX.4.4\x019=5\x0135=0\x0110=163\x01"
# options that name a file which the command writes
OUTPUTS = ("--json", "--png", "--out", "--profile", "--ready-file")


def examples(command: click.Command, name: str) -> list[str]:
    """The lines after "Example:" of one help text, at its full width."""
    with click.Context(command, info_name=f"fixgw {name}", terminal_width=400, max_content_width=400) as context:
        text = command.get_help(context)
    found = re.search(r"(?m)^\s*Examples?:(.*(?:\n(?!\s*$).*)*)", text)
    assert found is not None, f"fixgw {name} --help has no Example:"
    return [line.strip() for line in found.group(1).splitlines() if line.strip()]


LINES = [(name, line) for name, command in commands() for line in examples(command, name)]
CALLS = [
    (name, part.strip())
    for name, line in LINES
    for part in re.split(r"&&|\|(?=\s*fixgw)", line)
    if part.strip().startswith("fixgw ")
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with `demo` in it as `fixgw init demo --demo` and a run leave it."""
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["init", "demo", "--demo"]).exit_code == 0
    paths = Paths(tmp_path / "demo")
    log = RawLog(paths.log / "fix")  # as app.py places it
    for session in load("demo").sessions:
        log.write(session, "I", HEARTBEAT, 1)
    log.close()
    Journal.open(paths.journal, segment_bytes=16 << 20, reserve_bytes=16 << 20).close(clean=True)
    return tmp_path


def resolve(words: list[str]) -> tuple[click.Command, list[str], str]:
    """The command that `words` call, with the words that are left for it."""
    command: click.Command = main
    name: list[str] = []
    while isinstance(command, click.Group) and words:
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"fixgw {' '.join([*name, words[0]])} is no command"
        command, name, words = found, [*name, words[0]], words[1:]
    return command, words, " ".join(name)


def test_there_are_examples_of_all_of_them() -> None:
    assert len(LINES) >= 30 and len(CALLS) >= 30


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[call for _, call in CALLS])
def test_an_example_is_of_its_command_and_can_be_parsed(here: Path, name: str, call: str) -> None:
    """Options, choices, and the existence of files, as the command itself checks them."""
    command, words, called = resolve(shlex.split(call)[1:])
    assert called == name or called.startswith(f"{name} ".lstrip()), f"an example of {called!r}"
    command.make_context(called, list(words)).close()


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[call for _, call in CALLS])
def test_what_an_example_names_exists(here: Path, name: str, call: str) -> None:
    words = shlex.split(call)[1:]
    config: Config = load("demo")
    for before, word in zip(["", *words], words, strict=False):
        if word.startswith("demo/") and before not in OUTPUTS:
            assert Path(word).exists(), f"{word} is not made by init or run"
        if re.fullmatch(r"(OMS|PB)\d+", word):
            assert word in config.sessions
        if re.fullmatch(r"[A-Z]+/[A-Z]+", word):
            assert word in config.instrument_names()


RUNNABLE = [call for _, call in CALLS if call.split()[1] in ("check", "decode", "journal") and "--follow" not in call]


@pytest.mark.parametrize("call", [call for call in RUNNABLE if "--json" not in call or "decode" not in call])
def test_an_example_that_needs_no_gateway_works(here: Path, call: str) -> None:
    result = CliRunner().invoke(main, shlex.split(call)[1:])
    assert result.exit_code == 0, result.output


def test_the_piped_example_works() -> None:
    line = next(line for name, line in LINES if name == "decode" and line.startswith("echo"))
    said, call = re.split(r"\|(?=\s*fixgw)", line)
    result = CliRunner().invoke(main, shlex.split(call)[1:], input=shlex.split(said)[1] + "\n")
    assert result.exit_code == 0 and "Heartbeat" in result.output and '"flags": []' in result.output, result.output


def test_the_simulators_fault_in_the_example_is_one() -> None:
    line = next(line for name, line in LINES if name == "sim" and "/sim/faults" in line)
    assert parse_fault(json.loads(shlex.split(line)[-1]), 1, 1).kind == "drop_after"
