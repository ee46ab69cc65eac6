"""Credentials by ccxt's names: references that are followed, exchanges that need them, and values that nobody sees."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import ccxt
import pytest
from click.testing import CliRunner

from fixgw.cli import main
from fixgw.config import ConfigErrors, load
from fixgw.config.init import init
from fixgw.supervisor.plan import Plan, venue_toml
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.credentials import NAMES, OWN_KEYS, needed, traces
from fixgw.venues.doctrine import Evidence, judge, scrub
from fixgw.venues.settings import VenueConfigError, VenueFileSettings, load_venue_file, parse_venue

KEYS = 'api_key_file = "../secrets/sim.key"\nsecret_file = "../secrets/sim.secret"\n'
SECRET = "hunter2/+ 3f9a=\"quoted\""


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    init(tmp_path / "d", demo=True)
    return tmp_path / "d"


def table(demo: Path, text: str, exchange: str = "woo", keys: str = KEYS) -> None:
    """The demo's venue file with this table of credentials, for this exchange."""
    path = demo / "venues/sim.toml"
    content = path.read_text().replace(KEYS, keys).replace('exchange = "binance"', f'exchange = "{exchange}"')
    path.write_text(f"{content}\n[credentials]\n{text}\n")


def problems(demo: Path) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        load(demo)
    return [str(problem) for problem in caught.value.problems]


def checked(demo: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["check", str(demo), *words])
    return result.exit_code, result.output


# --- which there are, and who needs them ---


def test_the_table_is_ccxts() -> None:
    """Of every exchange, as the venue host makes it."""
    import ccxt.async_support
    import ccxt.pro

    for name in {*ccxt.async_support.exchanges, *ccxt.pro.exchanges}:
        made = getattr(ccxt.pro if name in ccxt.pro.exchanges else ccxt.async_support, name)
        required: dict[str, bool] = made({}).requiredCredentials
        assert set(required) == set(NAMES), name
        assert {key for key, must in required.items() if must} == set(needed(name)), name


@pytest.mark.parametrize(
    ("exchange", "text", "missing"),
    [
        ("woo", "", ["credentials.uid"]),
        ("woo", 'uid = "env:X_UID"', []),
        ("ndax", 'uid = "env:X_UID"', ["credentials.login", "password_env"]),
        ("okx", "", ["password_env"]),
        ("okx", 'password = "env:X_UID"', []),
        ("woofipro", "", ["credentials.accountId"]),
        ("binance", 'privateKey = "env:X_UID"', []),
    ],
)
def test_check_names_what_the_exchange_needs(
    demo: Path, monkeypatch: pytest.MonkeyPatch, exchange: str, text: str, missing: list[str]
) -> None:
    monkeypatch.setenv("X_UID", SECRET)
    table(demo, text, exchange)
    code, output = checked(demo, "--json")
    told = json.loads(output)["errors" if "errors" in json.loads(output) else "problems"] if code else []
    found = [(one["file"], one["key"]) for one in told if "missing: " in one["expected"]]
    assert found == [("venues/sim.toml", key) for key in missing], output
    assert (code == 0) is (not missing) and SECRET not in output
    for one in told:
        assert f"missing: {exchange} needs it; expected " in one["expected"] and '"env:NAME" or "file:PATH"' in one["expected"]


def test_a_venue_without_any_is_told_which(demo: Path) -> None:
    table(demo, "", "woo", keys="")
    code, output = checked(demo)
    assert code == 0
    assert "no credentials (woo needs apiKey by api_key_env, secret by secret_env, uid by credentials.uid)" in output


def test_the_host_asks_ccxt_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_ANY", SECRET)
    raw: dict[str, Any] = {"exchange": "woo", "symbols": ["BTC/USDT"], "api_key_env": "X_ANY", "secret_env": "X_ANY"}
    with pytest.raises(VenueConfigError, match="t: uid: missing: woo needs it") as caught:
        CcxtVenue(parse_venue(raw, "t", "t"), None)  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)

    async def made() -> str:
        venue = CcxtVenue(parse_venue(raw | {"credentials": {"uid": "env:X_ANY"}}, "t", "t"), None)  # type: ignore[arg-type]
        try:
            uid: str = venue._exchange.uid
            return uid
        finally:
            await venue._exchange.close()

    assert asyncio.run(made()) == SECRET


# --- what the table may say ---


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ('memo = "env:X"', "credentials.memo", f"expected one of {', '.join(NAMES)} (woo needs apiKey, secret, uid)"),
        ('UID = "env:X"', "credentials.UID", "no credential of ccxt"),
        (f"uid = '{SECRET}'", "credentials.uid", 'expected "env:NAME" or "file:PATH"'),
        ('uid = "env:"', "credentials.uid", 'expected "env:NAME" or "file:PATH"'),
        ('uid = "env:A B"', "credentials.uid", 'expected "env:NAME" or "file:PATH"'),
        ('uid = "file:"', "credentials.uid", 'expected "env:NAME" or "file:PATH"'),
        ('apiKey = "env:X"', "credentials.apiKey", "api_key_file is set too; expected one of them"),
        ("uid = 73127312", "credentials.uid", "expected a valid string"),
    ],
)
def test_an_entry_that_is_of_no_use(demo: Path, text: str, key: str, expected: str) -> None:
    table(demo, text)
    (problem,) = problems(demo)
    with pytest.raises(VenueConfigError) as told_by_host:
        load_venue_file(demo / "venues/sim.toml")
    assert problem.startswith(f"venues/sim.toml: {key}: ") and expected in problem
    for told in (problem, str(told_by_host.value), checked(demo)[1], checked(demo, "--json")[1]):
        assert key in told and SECRET not in told and "73127312" not in told


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(OWN_KEYS)))
def test_a_credential_beside_the_table_is_told_where_it_belongs(demo: Path, name: str) -> None:
    path = demo / "venues/sim.toml"
    path.write_text(f"{name} = '{SECRET}'\n{path.read_text()}")
    (problem,) = problems(demo)
    assert f"{name}: unknown key, expected it in the table [credentials]" in problem and SECRET not in problem
    with pytest.raises(VenueConfigError, match=r"expected it in the table \[credentials\]") as told_by_host:
        load_venue_file(path)
    assert SECRET not in str(told_by_host.value)


# --- nobody sees them ---


def given(name: str, how: str) -> str:
    return f'{name} = "{how}"'


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["env", "file"])
def test_a_value_is_read_and_never_shown(demo: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str) -> None:
    value = f"{SECRET}-of-{name}"
    monkeypatch.setenv("X_ONE", value)
    secret_file = demo / "secrets/one"
    secret_file.write_text(value + "\n")
    secret_file.chmod(0o600)
    other = "".join(f'{OWN_KEYS[key]}_env = "X_OTHER"\n' for key in ("apiKey", "secret") if key != name)
    monkeypatch.setenv("X_OTHER", "plain-key-1")
    table(demo, given(name, "env:X_ONE" if kind == "env" else "file:../secrets/one"), "binance", keys=other)
    config = load(demo)
    settings = config.venues["sim"]
    first = config.core_settings().hash
    assert settings.credential(name) == value
    assert load_venue_file(demo / "venues/sim.toml").credential(name) == value
    # what `fixgw run` hands to the host
    host_file = demo / "run.toml"
    host_file.write_text(venue_toml(settings))
    assert load_venue_file(host_file).credential(name) == value
    shown = [repr(settings), str(settings), repr(config), venue_toml(settings), checked(demo)[1], checked(demo, "--json")[1]]
    # not in the hash either, only where it stands
    monkeypatch.setenv("X_ONE", "another")
    secret_file.write_text("another")
    assert load(demo).core_settings().hash == first
    # nor in a complaint
    monkeypatch.delenv("X_ONE")
    secret_file.write_text(" ")
    with pytest.raises(VenueConfigError) as caught:
        settings.credential(name)
    shown += [str(caught.value), checked(demo)[1]]
    assert f"credentials.{name}" in str(caught.value) and f"credentials.{name}" in checked(demo)[1]
    assert not any("hunter2" in text for text in shown)


def test_the_hash_counts_where_they_stand_but_not_the_folder(tmp_path: Path) -> None:
    hashes = []
    for folder, file in (("a", "one"), ("b", "one"), ("c", "two")):
        init(tmp_path / folder, demo=True)
        table(tmp_path / folder, given("uid", f"file:../secrets/{file}"))
        hashes.append(load(tmp_path / folder).core_settings().hash)
    assert hashes[0] == hashes[1] != hashes[2]


def test_they_reach_their_own_venue_host_only(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_UID", SECRET)
    table(demo, given("uid", "env:X_UID"))
    children = {child.name: child.env for child in Plan(load(demo)).children()}
    assert {name for name, env in children.items() if "X_UID" in env} == {"venue:sim"}


def test_a_file_that_others_may_read_is_a_note(demo: Path) -> None:
    file = demo / "secrets/uid"
    file.write_text("1234")
    file.chmod(0o640)
    table(demo, given("uid", "file:../secrets/uid"))
    assert "credentials.uid = '../secrets/uid': others may read it (mode 0640)" in checked(demo)[1]


# made up, and taken apart: no key is committed
PEM = "-----BEGIN {0}\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49\nAwEHBG0wawIBAQQg\n-----END {0}".format("PRIVATE KEY-----")


@pytest.mark.parametrize("name", NAMES)
def test_errors_of_the_venue_show_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    value = PEM if name == "privateKey" else f"{SECRET}-of-{name}"
    monkeypatch.setenv("X_ONE", value)
    monkeypatch.setenv("X_KEY", "plain-key-1")
    credentials = {key: "env:X_KEY" for key in ("apiKey", "secret")} | {name: "env:X_ONE"}
    raw = {"exchange": "binance", "symbols": ["BTC/USDT"], "credentials": credentials}

    async def run() -> list[str]:
        venue = CcxtVenue(parse_venue(raw, "t", "t"), None)  # type: ignore[arg-type]
        try:
            assert getattr(venue._exchange, name) == value
            texts = [
                f"auth failed for {value}", f"https://h/api?x={quote(value, safe='')} refused", json.dumps({"got": value}),
                f"line {value.splitlines()[1 if name == 'privateKey' else 0]}", f'"{name}":"abcd1234", {name}=abcd1234',
            ]  # fmt: skip
            shown = []
            for text in texts:
                evidence = Evidence(sent=True, secrets=venue._secrets)
                told = judge(ccxt.ExchangeError(text), evidence, venue._dialect.codes)
                shown += [str(told), repr(told), repr(evidence), scrub(text, venue._secrets)]
            return [*shown, repr(venue._requests.call_for("place", "X"))]
        finally:
            await venue._exchange.close()

    for text in asyncio.run(run()):
        assert "hunter2" not in text and "MIGHAgEAMBMGByqGSM49" not in text and "plain-key-1" not in text, text
        assert name == "walletAddress" or "abcd1234" not in text, text


def test_traces() -> None:
    assert traces(["a b", ""]) == ("a%20b", "a b", "a+b")
    assert PEM.splitlines()[1] in traces([PEM]) and "-----BEGIN" not in traces([PEM])


def test_the_settings_know_no_other_place() -> None:
    assert [name for name in VenueFileSettings.model_fields if name.endswith(("_env", "_file"))] == [
        f"{key}{ending}" for key in OWN_KEYS.values() for ending in ("_env", "_file")
    ]
