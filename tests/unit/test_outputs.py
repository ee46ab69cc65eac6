"""Files that a command writes at its end: a wrong one is refused before anything starts, one that fails spoils no other."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fixgw.chaos import cli as chaos_cli
from fixgw.chaos.check import Verdict
from fixgw.chaos.run import Outcome
from fixgw.cli import main
from fixgw.demo.command import demo
from fixgw.outputs import check_outputs, check_ready_file, write_outputs

COMMANDS = [
    ("chaos", "--json"), ("simulate", "--json"), ("simulate --seed 3", "--json"), ("soak", "--json"), ("soak", "--png"),
    ("bench recovery", "--json"), ("bench order-path", "--json"), ("bench order-path", "--profile"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object, **__: object) -> None:
        pytest.fail("it has started")

    for name in (
        "fixgw.chaos.cli.run_chaos", "fixgw.soak.cli.run_soak", "fixgw.simulate.cli.workers", "fixgw.simulate.cli.Case.run",
        "fixgw.bench.recovery.measure", "fixgw.bench.order_path.measure", "fixgw.demo.command._run",
    ):  # fmt: skip
        monkeypatch.setattr(name, started)


@pytest.mark.parametrize(("command", "option"), COMMANDS)
def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path, command: str, option: str) -> None:
    (tmp_path / "file").write_text("kept")
    for path, said in (("nowhere/x", "No such file or directory"), ("file/x", "Not a directory"), ("", "Is a directory")):
        given = str(tmp_path / path) if path else ""
        result = CliRunner().invoke(main, [*command.split(), option, given])
        assert result.exit_code == 2, result.output
        told = "".join(result.output.split())  # as wide as the terminal is
        assert option in told and said.replace(" ", "") in told and (not given or given in told), result.output
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_the_demo_refuses_as_well(tmp_path: Path) -> None:
    result = CliRunner().invoke(demo, ["--json", str(tmp_path / "nowhere" / "x")])
    assert result.exit_code == 2 and "--json" in result.output


def refused(path: Path, directory: Path | None = None) -> str:
    with pytest.raises(click.BadParameter) as caught:
        check_outputs({"--json": path}, directory)
    return caught.value.message


def test_what_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("kept")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    for path in (old, tmp_path / "new", pipe, link, Path("/dev/null"), None):
        check_outputs({"--json": path})
    assert old.read_text() == "kept" and sorted(file.name for file in tmp_path.iterdir()) == ["link", "old", "pipe"]
    link.unlink()
    link.symlink_to(tmp_path / "nowhere" / "target")
    assert "No such file" in refused(link)
    assert "File name too long" in refused(tmp_path / ("x" * 300))


def test_a_folder_that_the_command_makes_counts_as_there(tmp_path: Path) -> None:
    made = tmp_path / "made"
    check_outputs({"--json": made / "x.json"}, made)
    assert not made.exists()
    assert "No such file" in refused(made / "x.json")
    assert "No such file" in refused(made / "deep" / "x.json", made)
    (tmp_path / "file").write_text("")
    assert "Not a directory" in refused(tmp_path / "file" / "made" / "x.json", tmp_path / "file" / "made")


@pytest.mark.parametrize("command", ["chaos", "soak", "bench order-path", "bench recovery"])
def test_a_folder_with_something_in_it_is_refused(tmp_path: Path, command: str) -> None:
    """Reports of an earlier run would be lost ones of this run."""
    (tmp_path / "left").write_text("")
    for folder, said in ((tmp_path, "not empty"), (tmp_path / "left" / "x", "Not a directory")):
        result = CliRunner().invoke(main, [*command.split(), "--dir", str(folder)])
        assert result.exit_code == 2 and "--dir" in result.output and said in result.output, result.output


def test_one_file_for_two_things_is_refused(tmp_path: Path) -> None:
    with pytest.raises(click.BadParameter, match="the file of --json"):
        check_outputs({"--json": tmp_path / "x", "--png": tmp_path / "." / "x"})


def test_what_fails_spoils_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def write(text: str) -> Callable[[Path], object]:
        return lambda path: path.write_text(text)

    fine = write_outputs(
        [("--json", tmp_path / "gone" / "x", write("1")), ("--png", tmp_path / "y", write("2")), ("--z", None, write("3"))]
    )
    assert not fine and (tmp_path / "y").read_text() == "2"
    assert "--json" in (told := capsys.readouterr().err) and "No such file or directory: not written" in told


@pytest.mark.parametrize("words", [["run", "d"], ["sim", "--dir", "s"]])
def test_a_ready_file_without_a_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["init", "d", "--demo"]).exit_code == 0
    result = CliRunner().invoke(main, [*words, "--ready-file", ""])
    assert result.exit_code == 1 and "--ready-file" in result.output and "Is a directory" in result.output, result.output
    # nothing of a run that has ended keeps the next child of this process from hearing SIGTERM
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
    for path in ("", ".", "..", "/"):
        with pytest.raises(IsADirectoryError):
            check_ready_file(Path(path))


def test_a_planted_bug_that_is_not_found_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the verdict's file may have gone: the table is there, and the exit status is that of the bug."""
    file = tmp_path / "d" / "verdict.json"
    verdict = Verdict()

    def run(*words: str) -> tuple[int, str]:
        file.parent.mkdir(exist_ok=True)
        result = CliRunner().invoke(main, ["chaos", *words, "--json", str(file)])
        return result.exit_code, result.output

    def outcome(*_: object) -> Outcome:
        return Outcome(verdict, 20, 0, {}, [], 1.0, plant_met=True)

    monkeypatch.setattr(chaos_cli, "run_chaos", outcome)
    code, output = run("--plant", "resend-unknown")
    assert code == chaos_cli.NOT_FOUND == 3 and "planted bug NOT found: resend-unknown" in output
    assert json.loads(file.read_text())["plant_found"] is False
    code, output = run()
    assert code == 0 and "planted bug" not in output and "plant_found" not in json.loads(file.read_text())
    assert run("--kills", "21")[0] == 1, "one was not made"

    def gone(*_: object) -> Outcome:
        shutil.rmtree(file.parent)
        return outcome()

    monkeypatch.setattr(chaos_cli, "run_chaos", gone)
    code, output = run()
    assert code == 1 and "doubled" in output and "not written" in output
    verdict.add("lost", "a report")
    monkeypatch.setattr(chaos_cli, "run_chaos", outcome)
    code, output = run("--plant", "resend-unknown")
    assert code == 1 and "planted bug found: resend-unknown" in output
    assert "3 that it was NOT found" in CliRunner().invoke(main, ["chaos", "--help"]).output


def test_a_soak_without_the_drawing_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = CliRunner().invoke(main, ["soak", "--png", "x.png"])
    assert result.exit_code == 1 and "--png" in result.output and "matplotlib" in result.output
