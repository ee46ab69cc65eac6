"""What `fixgw check` and `fixgw run` say of a configuration that is consistent and still cannot run here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fixgw.cli import main
from fixgw.config import load
from fixgw.config.init import init
from fixgw.config.preflight import preflight
from fixgw.supervisor import run


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    init(tmp_path / "d", demo=True)
    return tmp_path / "d"


def check(directory: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["check", str(directory), *words])


def told(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(check(directory, "--json").stdout)
    return content


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, old
    path.write_text(text.replace(old, new, 1))


def host(name: str) -> Callable[[Path], None]:
    return lambda root: edit(root / "fixgw.toml", 'listen_host = "127.0.0.1"', f'listen_host = "{name}"')


def replayed(root: Path) -> None:
    edit(root / "fixgw.toml", 'liquidity = "static"', 'liquidity = "replay"\nreplay = "day.gz"')


ROWS: list[tuple[str, Callable[[Path], object], str, str, str, str]] = [
    ("key file missing", lambda root: (root / "secrets/sim.key").unlink(),
     "venues/sim.toml", "api_key_file", "'../secrets/sim.key'", "No such file"),
    ("secret file empty", lambda root: (root / "secrets/sim.secret").write_text(" \n"),
     "venues/sim.toml", "secret_file", "'../secrets/sim.secret'", "it is empty"),
    ("key file is a folder", lambda root: ((root / "secrets/sim.key").unlink(), (root / "secrets/sim.key").mkdir()),
     "venues/sim.toml", "api_key_file", "'../secrets/sim.key'", "it is a folder"),
    ("key file is no text", lambda root: (root / "secrets/sim.key").write_bytes(b"\xff\xfe\xff"),
     "venues/sim.toml", "api_key_file", "'../secrets/sim.key'", "expected a text in UTF-8"),
    ("no address", host("not an ip"), "fixgw.toml", "fix.listen_host", "'not an ip'", "expected an IP address or a host name"),
    ("no recording", replayed, "fixgw.toml", "simulator.replay", "'day.gz'", "expected a file that can be read"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "file", "key", "value", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_cannot_run_is_an_error(
    demo: Path, spoil: Callable[[Path], object], file: str, key: str, value: str, expected: str
) -> None:
    assert check(demo).exit_code == 0
    spoil(demo)
    assert check(demo).exit_code == 1
    answer = told(demo)
    assert not answer["ok"] and len(answer["problems"]) == 1
    problem = answer["problems"][0]
    assert (problem["file"], problem["key"]) == (file, key) and problem["value"] == value
    assert expected in problem["expected"]


@pytest.mark.parametrize("spoil", [row[1] for row in ROWS], ids=[row[0] for row in ROWS])
def test_run_refuses_what_cannot_run(demo: Path, spoil: Callable[[Path], object], capsys: pytest.CaptureFixture[str]) -> None:
    spoil(demo)
    assert run(demo) == 1
    assert "cannot be run: see `fixgw check" in capsys.readouterr().err
    assert not (demo / "run" / "ready.json").exists() and not list((demo / "log").iterdir())


@pytest.mark.parametrize(
    ("where", "why"),
    [("nowhere/ready.json", "No such file"), ("fixgw.toml/ready.json", "Not a directory"), (".", "Is a directory")],
)
def test_a_ready_file_that_cannot_be_written_starts_nothing(
    demo: Path, capsys: pytest.CaptureFixture[str], where: str, why: str
) -> None:
    before = sorted(demo.rglob("*"))
    assert run(demo, demo / where) == 1
    error = capsys.readouterr().err
    assert str(demo / where) in error and why in error and "expected a file" in error
    assert sorted(demo.rglob("*")) == before


def test_an_unset_variable_is_a_note_for_check_and_an_end_for_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    init(tmp_path, demo=False)
    monkeypatch.delenv("BINANCE_API_KEY", raising=False)
    monkeypatch.setenv("BINANCE_API_SECRET", "hunter2")
    result = check(tmp_path)
    assert result.exit_code == 0 and "note: venues/binance.toml: api_key_env = 'BINANCE_API_KEY'" in result.output
    assert "unset or empty" in result.output and "hunter2" not in result.output
    assert run(tmp_path) == 1
    error = capsys.readouterr().err
    assert "BINANCE_API_KEY" in error and "BINANCE_API_SECRET" not in error
    monkeypatch.setenv("BINANCE_API_KEY", "k")
    assert told(tmp_path) == told(tmp_path) | {"ok": True, "notes": []}


def test_an_address_of_another_machine_is_a_note_for_check(demo: Path) -> None:
    host("192.0.2.1")(demo)  # for documentation: nobody has it
    found = preflight(load(demo))
    assert not found.problems and [problem.key for problem in found.here] == ["fix.listen_host"]
    assert check(demo).exit_code == 0 and "expected an address of this machine" in check(demo).output
    assert run(demo) == 1


def test_a_key_file_that_others_may_read_is_a_note(demo: Path) -> None:
    assert told(demo)["notes"] == []
    (demo / "secrets/sim.key").chmod(0o644)
    assert any("api_key_file" in note and "mode 0644" in note and "expected 0600" in note for note in told(demo)["notes"])
    assert not preflight(load(demo)).problems


def test_a_venue_without_credentials_is_a_note(demo: Path) -> None:
    edit(demo / "venues/sim.toml", 'api_key_file = "../secrets/sim.key"\nsecret_file = "../secrets/sim.secret"\n', "")
    assert any("no credentials" in note for note in told(demo)["notes"])


@pytest.mark.parametrize("name", ["0.0.0.0", "localhost", "127.0.0.1"])
def test_addresses_of_this_machine_are_fine(demo: Path, name: str) -> None:
    host(name)(demo)
    found = preflight(load(demo))
    assert not found.problems and not found.here


def test_the_exchange_ids_are_those_of_ccxt() -> None:
    """Read without importing ccxt, which takes a second."""
    import ccxt.async_support
    import ccxt.pro

    from fixgw.config.venuecheck import exchange_ids

    assert exchange_ids() == {*ccxt.async_support.exchanges, *ccxt.pro.exchanges}
