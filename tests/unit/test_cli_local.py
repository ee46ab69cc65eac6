"""init, check, run and the command list, as a user calls them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from fixgw import cli
from fixgw.cli import main

ROOT = Path(__file__).parents[2]


def fixgw(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == code, result.output
    return result.output


def test_init_check_and_what_is_next(tmp_path: Path) -> None:
    directory = str(tmp_path / "d")
    output = fixgw("init", directory, "--demo")
    assert f"next: fixgw run {directory}" in output and "sessions/OMS42.toml" in output
    assert "ok, 4 sessions, 1 venues, 2 instruments" in fixgw("check", directory)
    assert "already there" in fixgw("init", directory, "--demo", code=1)


def test_the_examples_are_what_init_writes(tmp_path: Path) -> None:
    fixgw("init", str(tmp_path / "d"), "--demo")
    made, examples = (
        {path.name: path.read_text() for path in (folder / "sessions").iterdir()} for folder in (tmp_path / "d", ROOT)
    )
    assert made == examples


def test_check_says_what_is_wrong_where(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    fixgw("init", str(directory), "--demo")
    file = directory / "sessions" / "OMS44.toml"
    file.write_text(file.read_text().replace('collar_bps = "500"', "collar_bps = 0.5").replace("enabled", "enable"))
    output = fixgw("check", str(directory), code=1)
    assert "sessions/OMS44.toml: limits.collar_bps = 0.5: expected a quoted number" in output
    assert "sessions/OMS44.toml: enable = true: unknown key, did you mean 'enabled'?" in output
    told = json.loads(fixgw("check", str(directory), "--json", code=1))
    assert not told["ok"] and {problem["key"] for problem in told["problems"]} == {"limits.collar_bps", "enable"}
    assert all(set(problem) == {"file", "key", "value", "expected"} for problem in told["problems"])


def test_check_json_of_a_good_one(tmp_path: Path) -> None:
    fixgw("init", str(tmp_path / "d"), "--demo")
    told = json.loads(fixgw("check", str(tmp_path / "d"), "--json"))
    assert told["ok"] and told["problems"] == [] and len(told["settings_hash"]) == 64


def test_init_into_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    assert "expected a folder" in fixgw("init", str(tmp_path / "f"), code=1)


def test_help_imports_nothing_and_lists_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.importlib, "import_module", lambda name: pytest.fail(f"imported {name}"))
    output = fixgw("--help")
    for name in ("init", "check", "run", "sim", "oms", "decode", "journal", "orders", "kill", "resolve"):
        assert f"\n  {name} " in output, name


def test_a_broken_part_does_not_break_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(cli._LAZY, "decode", ("fixgw.no_such_module:decode", "A line."))
    assert "not available" in fixgw("decode", "file", "--flag", code=1)
    fixgw("init", str(tmp_path / "d"), "--demo")


def test_letters_that_the_terminal_lacks_end_nothing(tmp_path: Path) -> None:
    result = CliRunner(charset="iso-8859-1").invoke(main, ["init", str(tmp_path / "交易所"), "--demo"])
    assert result.exit_code == 0, result.output
    assert "\\u4ea4\\u6613\\u6240/fixgw.toml" in result.output
