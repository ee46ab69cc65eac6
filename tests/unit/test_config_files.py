"""Files that are none, or have no end; TOML that takes for ever; numbers, keys and aliases that look like others."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fixgw.cli import main
from fixgw.config.init import init
from fixgw.textfile import FileFault, read_text, read_toml
from fixgw.venues.credentials import NAMES, form_fault
from fixgw.venues.settings import CredentialFault, VenueConfigError, load_venue_file, parse_venue


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    init(tmp_path / "d", demo=True)
    return tmp_path / "d"


def check(directory: Path) -> Result:
    began = time.process_time()
    result = CliRunner().invoke(main, ["check", str(directory)])
    assert time.process_time() - began < 5
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, old
    path.write_text(text.replace(old, new, 1))


def fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def link(target: str) -> Callable[[Path], None]:
    def made(path: Path) -> None:
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return made


def listening(path: Path) -> None:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        folder = os.open(path.parent, os.O_RDONLY)  # a path of a socket is short
        server.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)


NO_FILES = [
    (fifo, "it is a FIFO"), (link("/dev/zero"), "it is a device"), (link("/dev/null"), "it is a device"),
    (listening, "it is a socket"), (lambda path: (path.unlink(missing_ok=True), path.mkdir()), "it is a folder"),
    (link("nowhere"), "No such file"), (lambda path: path.write_bytes(b"x = 1 #" + b"y" * (1 << 20)), "at most 1048576 bytes"),
    (lambda path: path.write_bytes(b"\xff\xfe"), "a text in UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "why"), NO_FILES)
@pytest.mark.parametrize("name", ["sessions/x.toml", "venues/x.toml", "sessions/OMS44.toml", "venues/sim.toml"])
def test_what_is_no_file_is_told(demo: Path, name: str, spoil: Callable[[Path], object], why: str) -> None:
    spoil(demo / name)
    result = check(demo)
    assert result.exit_code == 1
    assert any(line.startswith(f"{name}: ") and why in line for line in result.output.splitlines()), result.output


@pytest.mark.parametrize(("spoil", "why"), NO_FILES[:6])
def test_a_key_that_is_no_file_is_told(demo: Path, spoil: Callable[[Path], object], why: str) -> None:
    spoil(demo / "secrets" / "sim.key")
    result = check(demo)
    assert result.exit_code == 1 and "venues/sim.toml: api_key_file = '../secrets/sim.key': expected a file" in result.output
    assert why in result.output
    with pytest.raises(CredentialFault, match=why):
        load_venue_file(demo / "venues" / "sim.toml").credential("apiKey")


@pytest.mark.parametrize("key", ["api_key_file", "secret_file"])
def test_a_path_with_a_nul_character(demo: Path, key: str) -> None:
    edit(demo / "venues" / "sim.toml", f'{key} = "', f'{key} = "a\\u0000b')
    result = check(demo)
    assert result.exit_code == 1 and f"venues/sim.toml: {key} = " in result.output and "NUL character" in result.output


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a" + ".a" * 50_000 + " = 1", "keys of at most 32 parts"),
        ("b = 1\n[a" + ' . "a"' * 50_000 + "]", "keys of at most 32 parts (at line 2)"),
        ("x = { a" + ".'a'" * 1000 + " = 1 }", "keys of at most 32 parts"),
        ("a = " + "[" * 100_000, "in one another too deeply"),
        ("a = " + "{a=" * 100_000, "in one another too deeply"),
        ("a = " + "9" * 100_000, "a number is too long"),
        ("a = ", "Invalid value"),
    ],
)  # fmt: skip
def test_toml_that_takes_for_ever(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    began = time.process_time()
    with pytest.raises(FileFault) as refused:
        read_toml(tmp_path / "x.toml")
    assert str(refused.value).startswith("valid TOML: ") and why in str(refused.value)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "text", ["." * 1_000_000, '."' * 500_000, "a" * 1_000_000, ".a " * 300_000, "# " + "." * 500 + "\na = 1", ". " * 500_000]
)
def test_looking_for_such_keys_takes_no_time(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    began = time.process_time()
    if text.startswith("#"):
        assert read_toml(tmp_path / "x.toml") == {"a": 1}
    else:
        with pytest.raises(FileFault):
            read_toml(tmp_path / "x.toml")
    assert time.process_time() - began < 2


def test_texts_of_any_line_end(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a\r\nb\n")
    assert read_text(tmp_path / "x") == "a\nb\n"
    with pytest.raises(FileFault, match="at most 4 bytes"):
        read_text(tmp_path / "x", 4)
    with pytest.raises(FileFault) as refused:
        read_text(tmp_path / "none")
    assert refused.value.missing


@pytest.mark.parametrize("ends", [[], ["OMS42.toml", "OMS44.toml", "OMS50.toml", "PB44.toml"]])
def test_without_a_session_nobody_can_log_on(demo: Path, ends: list[str]) -> None:
    for path in (demo / "sessions").iterdir():
        path.unlink()
    if not ends:
        (demo / "sessions").rmdir()
    result = check(demo)
    assert result.exit_code == 1 and "sessions: expected a file NAME.toml for each session" in result.output


@pytest.mark.parametrize("value", ['"٣"', '"१"', "{}", '{ "*" = "٣" }', '{ "BTC/USDT" = "1٣" }'])
def test_limits_are_of_plain_digits_and_limit_something(demo: Path, value: str) -> None:
    edit(demo / "sessions" / "OMS44.toml", "max_net = {", f"max_net = {value} # {{")
    result = check(demo)
    assert result.exit_code == 1 and "sessions/OMS44.toml: limits.max_net" in result.output and "expected" in result.output


@pytest.mark.parametrize("value", ["a\\u0000b", "a\\nb", "a\\u001b[2J", "a\\n"])
def test_names_are_of_one_line(demo: Path, value: str) -> None:
    edit(demo / "fixgw.toml", 'firm = "Demo Firm"', f'firm = "{value}"')
    result = check(demo)
    assert result.exit_code == 1 and "fixgw.toml: firm = " in result.output and "expected text of the form" in result.output


def test_other_numbers_are_of_plain_digits(demo: Path) -> None:
    edit(demo / "sessions" / "OMS44.toml", 'roll_time = "00:00"', 'roll_time = "00:0٣"')
    assert "roll_time" in check(demo).output
    for value in ("٣", "1_0", "nan", "inf", "1e5"):
        with pytest.raises(VenueConfigError, match=r"tick.*expected a number"):
            parse_venue({"kind": "null", "symbols": ["BTC/USDT"], "tick": value}, "t", "t")


@pytest.mark.parametrize("alias", ["ETHUSDT", "ETH-USDT", "ETHUSD", "ETH-USD", "ETH/USD", "ETH/USDT", "ethusdt", "Eth-Usd"])
@pytest.mark.parametrize("usd_alias", ["true", "false"])
def test_an_alias_is_no_name_of_another_instrument(demo: Path, alias: str, usd_alias: str) -> None:
    """A market buy of 55=ETHUSDT would buy BTC."""
    path = demo / "sessions" / "OMS44.toml"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("usd_alias")))
    edit(path, 'name = "OMS44"', f'name = "OMS44"\nusd_alias = {usd_alias}')
    edit(path, '"XBTUSDT" = "BTC/USDT"', f'"{alias}" = "BTC/USDT"')
    result = check(demo)
    assert result.exit_code == 1, result.output
    problem = f"sessions/OMS44.toml: symbols.{alias} = 'BTC/USDT': an alias must not be a name of another instrument"
    assert problem in result.output and "means 'ETH/USDT'" in result.output


@pytest.mark.parametrize("alias", ["BTCUSDT", "BTC/USDT", "BTC-USD", "btcusdt", "XBT", "BTC-EUR"])
def test_an_alias_may_be_its_own_instruments_name(demo: Path, alias: str) -> None:
    edit(demo / "sessions" / "OMS44.toml", '"XBTUSDT" = "BTC/USDT"', f'"{alias}" = "BTC/USDT"')
    assert check(demo).exit_code == 0, check(demo).output


@pytest.mark.parametrize("value", ["ab\ncd", "abé☃", "a\x00b", "a\tb"])
def test_a_key_is_one_line_of_plain_characters(demo: Path, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (demo / "secrets" / "sim.key").write_text(f"{value}\n")
    result = check(demo)
    assert result.exit_code == 1 and "api_key_file = '../secrets/sim.key': expected a credential" in result.output
    if "\x00" not in value:
        monkeypatch.setenv("OUR_KEY", value)
        edit(demo / "venues" / "sim.toml", 'api_key_file = "../secrets/sim.key"', 'api_key_env = "OUR_KEY"')
        result = check(demo)
        assert "note: venues/sim.toml: api_key_env = 'OUR_KEY': expected a credential" in result.output
        with pytest.raises(CredentialFault, match="expected a credential") as refused:
            load_venue_file(demo / "venues" / "sim.toml").credential("apiKey")
        assert value not in str(refused.value)


PEM = "\n".join(("-----BEGIN {0}-----", "MHcCAQEE", "IA==", "-----END {0}-----")).format("EC PRIVATE KEY")


def test_keys_in_files_and_chosen_passwords_keep_their_form() -> None:
    assert not form_fault("secret", PEM) and not form_fault("privateKey", PEM)
    assert not form_fault("password", "pass wörd") and not form_fault("secret", "a+b/c==")
    assert form_fault("secret", "ab\ncd") and form_fault("secret", f"{PEM}\x00") and form_fault("token", "é")
    assert all(form_fault(name, "a\nb") and not form_fault(name, "abc-123_XYZ=") for name in NAMES)


def test_a_byte_order_mark_before_a_text_is_no_part_of_it(demo: Path) -> None:
    for name in ("fixgw.toml", "sessions/OMS44.toml", "venues/sim.toml", "secrets/sim.key"):
        path = demo / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    result = check(demo)
    assert result.exit_code == 0, result.output
    assert load_venue_file(demo / "venues" / "sim.toml").credential("apiKey").isalnum()


def test_an_init_that_finds_a_damaged_journal_leaves_nothing(tmp_path: Path) -> None:
    identity = tmp_path / "d" / "data" / "journal" / "install"
    identity.parent.mkdir(parents=True)
    identity.write_text("bad!")
    for _ in range(2):
        result = CliRunner().invoke(main, ["init", str(tmp_path / "d"), "--demo"])
        assert result.exit_code == 1 and str(identity) in result.output and "already there" not in result.output
    assert not list((tmp_path / "d").glob("**/*.toml"))


@pytest.fixture
def public() -> Iterator[Path]:
    """A configuration that everybody may read, not below pytest's folders, which nobody else may enter."""
    with tempfile.TemporaryDirectory() as made:
        init(made, demo=True)
        for path in (Path(made), *Path(made).rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield Path(made)


@pytest.mark.parametrize(("closed", "said"), [(".", "fixgw.toml: a file"), ("venues", "venues: a folder")])
def test_a_folder_without_a_right_to_it_is_said_to_be_that(public: Path, closed: str, said: str) -> None:
    (public / closed).chmod(0)
    user = os.geteuid()
    try:
        os.seteuid(user or 65534)
        result = check(public)
    finally:
        os.seteuid(user)
        (public / closed).chmod(0o700)
    assert result.exit_code == 1
    assert result.output.startswith(f"{said} that can be read: Permission denied\n")
