"""Venue files and keys that hang on each other: a wrong type is told, and every text says what was expected."""

from pathlib import Path

import pytest

from fixgw.config import ConfigErrors, load
from fixgw.config.init import init
from fixgw.venues.settings import VenueConfigError, load_venue_file

FIRM, VENUE, SESSION, DROP_COPY = "fixgw.toml", "venues/sim.toml", "sessions/OMS44.toml", "sessions/PB44.toml"


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    init(tmp_path / "d", demo=True)
    return tmp_path / "d"


def told(demo: Path, file: str, old: str, new: str) -> str:
    """The only problem after one change; old = "": new is appended."""
    path = demo / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else text + new)
    with pytest.raises(ConfigErrors) as caught:
        load(demo)
    assert len(caught.value.problems) == 1, caught.value
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("recv_window_ms = 5000", 'recv_window_ms = "5000"', "recv_window_ms = '5000': expected a valid integer"),
        ("recv_window_ms = 5000", "recv_window_ms = 5000.0", "recv_window_ms = 5000.0: expected a valid integer"),
        ("", '\nws_orders = "off"\n', "ws_orders = 'off': expected a valid boolean"),
        ("", "\ntrade_streams = 1\n", "trade_streams = 1: expected a valid boolean"),
        ("", '\nsweep_s = "30"\n', "sweep_s = '30': expected a valid number"),
        ("", "\ntick = 0.01\n", 'tick = 0.01: expected a quoted number: a TOML float is not exact, write "0.01"'),
        ("", '\nlot = "small"\n', "lot = 'small': expected a number, as text"),
        ('"ETH/USDT"', '"ETHUSDT"', "'ETHUSDT' is not a symbol; expected BASE/QUOTE such as BTC/USDT"),
        ('"ETH/USDT"', '"BTC/USDT"', "names a symbol twice; expected each once"),
        ("", '\napi_key_env = "X"\n', "api_key_env: api_key_file is set too; expected one of them"),
        ("recv_window_ms = 5000", "recv_window_ms = 20000", "recv_window_ms = 20000: 20000 exceeds request_timeout_ms 10000"),
    ],
)
def test_a_venue_file_tells_key_value_and_what_was_expected(demo: Path, old: str, new: str, text: str) -> None:
    problem = told(demo, VENUE, old, new)
    assert problem.startswith(f"{VENUE}: ") and text in problem
    assert problem.count("expected") == 1
    with pytest.raises(VenueConfigError):  # the venue host reads the file itself
        load_venue_file(demo / VENUE)


def test_what_a_venue_file_may_say(demo: Path) -> None:
    path = demo / VENUE
    path.write_text(f'sweep_s = 20\ntick = "0.001"\nlot = 1\nws_orders = false\n{path.read_text()}')
    load(demo)
    read = load_venue_file(path)
    assert (read.sweep_s, str(read.tick), str(read.lot), read.ws_orders) == (20, "0.001", "1", False)


def test_a_credential_of_the_wrong_type_is_not_shown(demo: Path) -> None:
    path = demo / VENUE
    path.write_text(path.read_text().replace('"../secrets/sim.secret"', "1234567"))
    with pytest.raises(ConfigErrors) as caught:
        load(demo)
    with pytest.raises(VenueConfigError) as told_by_host:
        load_venue_file(path)
    assert "1234567" not in str(caught.value) and "secret_file" in str(caught.value)
    assert "1234567" not in str(told_by_host.value) and "secret_file" in str(told_by_host.value)


@pytest.mark.parametrize(
    ("file", "old", "new", "text"),
    [
        (SESSION, "msgs_per_s = 500", "", "limits.msg_burst = 500: expected msgs_per_s beside it"),
        (SESSION, "repeat_max = 500", "", "limits.repeat_window_ms = 1000: expected repeat_max beside it"),
        (FIRM, "msgs_per_s = 10000", "", "limits.msg_burst = 10000: expected msgs_per_s beside it"),
        (FIRM, "[accounts.limits]", "[accounts.limits]\nrepeat_window_ms = 5", "accounts.0.limits.repeat_window_ms = 5: "),
        (DROP_COPY, "", "\n[limits]\nmax_open_orders = 3\n", "expected no [limits]: a drop copy sends no orders"),
        (DROP_COPY, "", '\n[entitlements]\nsides = ["buy"]\n', "expected no [entitlements]: a drop copy sends no orders"),
    ],
)
def test_what_would_limit_nothing_is_told(demo: Path, file: str, old: str, new: str, text: str) -> None:
    assert text in told(demo, file, old, new)
