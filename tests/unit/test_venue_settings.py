"""The venue file: clear errors, credentials by reference only."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixgw.venues.base import connect_venue, kinds
from fixgw.venues.settings import VenueConfigError, VenueFileSettings, load_venue_file, parse_venue

GOOD = 'kind = "ccxt"\nexchange = "binance"\nsymbols = ["BTC/USDT"]\n'


def load(tmp_path: Path, text: str) -> VenueFileSettings:
    file = tmp_path / "venue1.toml"
    file.write_text(text, encoding="utf-8")
    return load_venue_file(file)


def test_good_file_takes_its_name_from_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, GOOD)
    assert settings.name == "venue1" and settings.ws_orders and settings.symbols == ("BTC/USDT",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD + "exchnge = 1\n", "exchnge: unknown key; expected one of"),
        (GOOD + "recv_window_ms = 5\n", "recv_window_ms: 5:"),
        (GOOD + 'base_url = "http://h/p"\n', "base_url: 'http://h/p':"),
        ('kind = "ccxt"\nsymbols = ["BTC/USDT"]\n', "exchange: missing"),
        ('exchange = "binance"\nsymbols = ["BTCUSDT"]\n', "expected BASE/QUOTE"),
        ('exchange = "binance"\nsymbols = []\n', "symbols:"),
        ('exchange = "binance"\n', "symbols: Field required"),
        (GOOD + 'secret_env = "A"\nsecret_file = "b"\n', "expected one of them"),
        (GOOD + "recv_window_ms = 20000\n", "exceeds request_timeout_ms"),
        (GOOD + "max_orders_per_10s = -1\n", "max_orders_per_10s: -1:"),
        ("kind = ", "expected valid TOML"),
    ],
)
def test_errors_name_file_key_and_expectation(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(VenueConfigError) as caught:
        load(tmp_path, text)
    assert "venue1.toml" in str(caught.value) and expected in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(VenueConfigError, match="expected a file that can be read"):
        load_venue_file(tmp_path / "none.toml")


def test_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key.txt").write_text("k-123\n")
    monkeypatch.setenv("SECRET_X", "s-456")
    settings = load(tmp_path, GOOD + 'api_key_file = "key.txt"\nsecret_env = "SECRET_X"\n')
    assert settings.credential("apiKey") == "k-123" and settings.credential("secret") == "s-456"
    assert settings.credential("password") == ""
    assert "k-123" not in repr(settings) and "s-456" not in repr(settings)


def test_credential_that_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_X", raising=False)
    settings = load(tmp_path, GOOD + 'api_key_file = "gone.txt"\nsecret_env = "NO_SUCH_X"\n')
    with pytest.raises(VenueConfigError, match=r"gone\.txt"):
        settings.credential("apiKey")
    with pytest.raises(VenueConfigError, match="NO_SUCH_X"):
        settings.credential("secret")


def test_kinds_are_found_by_listing() -> None:
    assert kinds()["ccxt"] == "ccxt_venue" and kinds()["null"] == "null_venue"


def test_unknown_kind_names_the_known_ones() -> None:
    settings = parse_venue({"kind": "nope", "symbols": ["BTC/USDT"]}, "x", "x")
    with pytest.raises(ValueError, match=r"'nope'.*ccxt, null"):
        connect_venue(settings, None)  # type: ignore[arg-type]
