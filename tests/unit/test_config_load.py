"""The configuration: what init writes is valid; every mistake is told with file, key, value and what was expected."""

import resource
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from fixgw.config import Config, ConfigErrors, Problem, load
from fixgw.config.crosscheck import risk_stages
from fixgw.config.init import InitError, configuration, init, session_files
from fixgw.config.models import SIDES, LimitsTable
from fixgw.fix.from_config import acceptor_session
from fixgw.risk import base
from fixgw.venues.settings import VenueConfigError, load_venue_file

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    init(tmp_path / "d", demo=True)
    return tmp_path / "d"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) >= 1, old
    path.write_text(text.replace(old, new, 1))


def problems(directory: Path) -> list[Problem]:
    with pytest.raises(ConfigErrors) as caught:
        load(directory)
    return caught.value.problems


def only(directory: Path) -> Problem:
    found = problems(directory)
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]


def test_demo_is_what_the_issue_asks_for(demo: Path) -> None:
    config = load(demo)
    wire = {(s.name, s.begin_string, s.client_comp_id, config.gateway_comp_id(s), s.role) for s in config.sessions.values()}
    assert wire == {
        ("OMS42", "FIX.4.2", "OMS42", "FIXGW", "trading"),
        ("OMS44", "FIX.4.4", "OMS44", "FIXGW", "trading"),
        ("OMS50", "FIXT.1.1", "OMS50", "FIXGW", "trading"),
        ("PB44", "FIX.4.4", "PB44", "FIXGW", "drop_copy"),
    }
    assert config.sessions["OMS50"].appl_ver == "FIX.5.0SP2"
    assert config.instrument_names() == {"BTC/USDT", "ETH/USDT"}
    assert config.firm_file.fix.listen_host == "127.0.0.1" and config.firm_file.fix.listen_port == 0
    limits = config.core_settings().sessions["OMS44"].limits
    assert limits.max_order_qty == {"BTC/USDT": Decimal(10), "ETH/USDT": Decimal(100)}
    assert limits.max_notional == {"*": Decimal(1_000_000)} and limits.collar_bps == {"*": Decimal(500)}
    assert limits.max_open_notional == {"*": Decimal(20_000_000)}
    assert limits.max_open_orders == 10_000 and limits.msg_rate == 500 and limits.buying_power
    assert len((demo / "data" / "journal" / "install").read_text().strip()) == 5
    for folder in (demo, demo / "run", demo / "data", demo / "log", demo / "secrets"):
        assert folder.stat().st_mode & 0o777 == 0o700, folder
    for file in demo.rglob("*.toml"):
        assert file.stat().st_mode & 0o077 == 0, file


def test_init_without_demo_is_valid_and_uses_no_simulator(tmp_path: Path) -> None:
    init(tmp_path / "real", demo=False)
    config = load(tmp_path / "real")
    assert config.firm_file.simulator is None and list(config.venues) == ["binance"]


def test_init_overwrites_nothing(demo: Path) -> None:
    before = {path: path.read_bytes() for path in demo.rglob("*") if path.is_file()}
    with pytest.raises(InitError, match=r"fixgw\.toml"):
        init(demo, demo=True)
    (demo / "fixgw.toml").unlink()
    with pytest.raises(InitError, match=r"sessions/OMS42\.toml"):
        init(demo, demo=False)
    before.pop(demo / "fixgw.toml")
    assert {path: path.read_bytes() for path in demo.rglob("*") if path.is_file()} == before


def test_init_keeps_the_install_id_of_a_journal(tmp_path: Path) -> None:
    (tmp_path / "data" / "journal").mkdir(parents=True)
    (tmp_path / "data" / "journal" / "install").write_text("AB12C\n")
    init(tmp_path, demo=True)
    assert (tmp_path / "data" / "journal" / "install").read_text() == "AB12C\n"


def test_repository_examples_are_those_of_init() -> None:
    there = {path.name: path.read_text() for path in (REPOSITORY / "sessions").glob("*.toml")}
    assert there == session_files(demo=True)


def test_every_file_of_init_is_commented() -> None:
    for demo in (True, False):
        for name, text in configuration(demo=demo).items():
            assert text.startswith("# "), name


def test_missing_folder_says_how_to_make_one(tmp_path: Path) -> None:
    assert "fixgw init" in only(tmp_path / "nowhere").expected


@pytest.mark.parametrize(
    ("file", "old", "new", "key", "value", "expected"),
    [
        ("fixgw.toml", "listen_port = 0", "listen_port = 65536", "fix.listen_port", "65536", "less than or equal to 65535"),
        ("fixgw.toml", "listen_port = 0", 'listen_port = "0"', "fix.listen_port", "'0'", "expected a valid integer"),
        ("fixgw.toml", "listen_port", "listen_prot", "fix.listen_prot", "0", "did you mean 'listen_port'?"),
        ("fixgw.toml", "[engine]", "[motor]", "motor", "a table of 4", "unknown key"),
        ("fixgw.toml", 'sync = "commit"', 'sync = "maybe"', "journal.sync", "'maybe'", "'commit' or 'os'"),
        ("fixgw.toml", 'firm = "Demo Firm"', "", "firm", "", "this key is required"),
        ("fixgw.toml", 'trigger = "last"', 'trigger = "mid"', "instruments.0.trigger", "'mid'", "'last', 'bid' or 'ask'"),
        ("fixgw.toml", 'base = "BTC"', 'base = "XBT"', "instruments.0.symbol", "'BTC/USDT'", "'XBT/USDT'"),
        ("fixgw.toml", 'venues = ["sim"]', 'venues = ["sin"]', "instruments.0.venues", "'sin'", "expected one of sim"),
        ("fixgw.toml", 'venue_account = "main"', 'venue_account = "x"', "accounts.0.venue_account", "'x'", "'main'"),
        ("fixgw.toml", '"session_state", ', '"session_state", "session_state", ', "risk.stages.1", "'session_state'", "twice"),
        ("fixgw.toml", "inbox_reserved = 5000", "inbox_reserved = 20000", "engine.inbox_reserved", "20000", "inbox_max"),
        ("fixgw.toml", '"ETH" = "1000"', '"ETH" = 1000.5', "simulator.balances.ETH", "1000.5", '"1000.5"'),
        ("fixgw.toml", 'liquidity = "static"', 'liquidity = "replay"', "simulator.replay", "", "expected a file"),
        ("fixgw.toml", "[[venues]]\nname = \"sim\"", "[[venues]]\nname = \"no\"", "venues.0.name", "'no'", "one of sim"),
        ("sessions/OMS44.toml", 'collar_bps = "500"', "collar_bps = 500.5", "limits.collar_bps", "500.5", "TOML float"),
        ("sessions/OMS44.toml", 'collar_bps = "500"', 'collar_bps = "-1"', "limits.collar_bps", "'-1'", "zero or more"),
        ("sessions/OMS44.toml", 'collar_bps = "500"', 'collar_bps = "NaN"', "limits.collar_bps", "'NaN'", "zero or more"),
        ("sessions/OMS44.toml", 'collar_bps = "500"', 'collar_bps = "1e9"', "limits.collar_bps", "'1e9'", "zero or more"),
        ("sessions/OMS44.toml", 'collar_bps = "500"', "collar_bps = true", "limits.collar_bps", "true", "zero or more"),
        ("sessions/OMS44.toml", "max_open_orders = 10000", "max_open_orders = 1.5", "limits.max_open_orders", "1.5", "integer"),
        ("sessions/OMS44.toml", '"BTC/USDT" = "10"', '"BTC/EUR" = "10"', 'limits.max_order_qty."BTC/EUR"', "", "unknown"),
        ("sessions/OMS44.toml", 'role = "trading"', 'role = "drop"', "role", "'drop'", "'trading' or 'drop_copy'"),
        ("sessions/OMS44.toml", '"FIX.4.4"', '"FIX.4.3"', "begin_string", "'FIX.4.3'", "'FIX.4.2', 'FIX.4.4' or 'FIXT.1.1'"),
        ("sessions/OMS44.toml", 'sides = ["buy"', 'sides = ["long"', "entitlements.sides.0", "'long'", "'buy' or 'sell'"),
        ("sessions/OMS44.toml", 'roll_time = "00:00"', 'roll_time = "24:00"', "roll_time", "'24:00'", "00:00"),
        ("sessions/OMS44.toml", 'venues = ["sim"]', 'venues = ["x"]', "entitlements.venues", "'x'", "expected one of sim"),
        ("sessions/OMS44.toml", '= "sim-main"\n\n', '= "other"\n\n', "accounts.sim-main", "'other'", "expected one of sim-main"),
        ("sessions/OMS44.toml", '"XBTUSDT" = "BTC/USDT"', '"XBTUSDT" = "XBT/USDT"', "symbols.XBTUSDT", "'XBT/USDT'", "one of"),
        ("sessions/OMS44.toml", "heartbeat_min_s = 1 ", "heartbeat_min_s = 3600 #", None, None, None),
        ("sessions/OMS44.toml", "heartbeat_max_s = 3600", "heartbeat_max_s = 0", "heartbeat_max_s", "0", "equal to 1"),
        ("sessions/OMS50.toml", 'appl_ver = "FIX.5.0SP2"', "", "appl_ver", "", "FIX.5.0SP2"),
        ("sessions/OMS44.toml", 'name = "OMS44"', 'name = "../x"', "name", "'../x'", "of the form"),
        ("sessions/OMS44.toml", 'name = "OMS44"', 'name = "OMS45"', "name", "'OMS45'", "name of the file"),
        ("sessions/PB44.toml", 'sessions = ["*"]', 'sessions = ["OMS99"]', "scope.sessions", "'OMS99'", "OMS42, OMS44, OMS50"),
        ("sessions/PB44.toml", 'sessions = ["*"]', 'sessions = ["PB44"]', "scope.sessions", "'PB44'", "OMS42, OMS44, OMS50"),
        ("sessions/PB44.toml", "accounts = []", 'accounts = ["x"]', "scope.accounts", "'x'", "sim-main"),
        ("sessions/PB44.toml", 'sessions = ["*"]', "sessions = []", "scope", "", "needs [scope]"),
        ("venues/sim.toml", '"binance"', '"bynance"', "exchange", "'bynance'", "did you mean 'binance' or 'binanceus'"),
        ("venues/sim.toml", '"binance"', '"9"', "exchange", "'9'", "expected an exchange id of ccxt, such as 'binance'"),
        ("venues/sim.toml", '"ccxt"', '"zz"', "kind", "'zz'", "expected the kind of connector"),
        ("fixgw.toml", 'taker_fee_bps = "10"', 'taker_fee_bps = "100000"', "venues.0.taker_fee_bps", "'100000'", "at most 1000"),
        ("venues/sim.toml", "recv_window_ms", "recv_windows_ms", "recv_windows_ms", "5000", "did you mean 'recv_window_ms'?"),
        ("venues/sim.toml", 'kind = "ccxt"', 'kind = "ccxt"\ntick = 0.01', "tick", "0.01", "TOML float"),
    ],
)  # fmt: skip
def test_one_mistake_is_told_once_with_its_place(
    demo: Path, file: str, old: str, new: str, key: str | None, value: str | None, expected: str | None
) -> None:
    edit(demo / file, old, new)
    if key is None:
        assert isinstance(load(demo), Config)
        return
    problem = only(demo)
    assert (problem.file, problem.key, problem.value) == (file, key, value), str(problem)
    assert expected is not None and expected in problem.expected


def test_an_instrument_that_stands_twice(demo: Path) -> None:
    edit(demo / "fixgw.toml", '"ETH/USDT"\nbase = "ETH"', '"BTC/USDT"\nbase = "BTC"')
    assert "fixgw.toml: instruments.1.symbol = 'BTC/USDT': stands there twice, expected once" in map(str, problems(demo))


def test_all_problems_are_told_at_once(demo: Path) -> None:
    edit(demo / "fixgw.toml", "listen_port = 0", "listen_port = -1")
    edit(demo / "sessions/OMS42.toml", "enabled = true", 'enabled = "yes"')
    edit(demo / "sessions/PB44.toml", 'role = "drop_copy"', "role = 1")
    (demo / "sessions/BAD.toml").write_text("name = \n")
    edit(demo / "venues/sim.toml", "symbols =", "symbol =")
    files = [problem.file for problem in problems(demo)]
    assert files[0] == "fixgw.toml"
    assert set(files) == {"fixgw.toml", "sessions/OMS42.toml", "sessions/PB44.toml", "sessions/BAD.toml", "venues/sim.toml"}


def test_a_broken_venue_file_does_not_make_its_name_unknown(demo: Path) -> None:
    edit(demo / "venues/sim.toml", "recv_window_ms = 5000", "recv_window_ms = 5")
    assert only(demo).key == "recv_window_ms"


def test_unknown_risk_stage_lists_the_known_ones(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fixgw.config.crosscheck.risk_stage_names", lambda: frozenset({"throttle"}))
    edit(demo / "fixgw.toml", '"session_state", "throttle"', '"throttle", "throtle"')
    found = [problem for problem in problems(demo) if problem.key == "risk.stages.1"]
    assert [str(problem) for problem in found] == ["fixgw.toml: risk.stages.1 = 'throtle': expected one of throttle"]


def _set(config: Config, names: tuple[str, ...]) -> dict[tuple[str, str], object]:
    """(file, key) -> value of those of these limits that the configuration sets."""
    firm = config.firm_file
    tables = {("fixgw.toml", "limits"): firm.limits}
    tables |= {("fixgw.toml", f"accounts.{number}.limits"): table.limits for number, table in enumerate(firm.accounts)}
    tables |= {(f"sessions/{name}.toml", "limits"): session.limits for name, session in config.sessions.items()}
    return {
        (file, f"{key}.{name}"): getattr(table, name)
        for (file, key), table in tables.items()
        for name in names
        if getattr(table, name) != getattr(LimitsTable(), name)
    }


@pytest.mark.parametrize("stage", [stage for stage, limits in sorted(risk_stages().items()) if limits])
def test_a_limit_needs_its_risk_stage(demo: Path, stage: str) -> None:
    """Else it would stand in the file, and hold nobody back."""
    edit(demo / "fixgw.toml", "[accounts.limits]", '[accounts.limits]\nmax_open_orders = 5\nmax_net = "7"')
    edit(demo / "sessions/OMS44.toml", "repeat_window_ms = 1000", "repeat_window_ms = 2000")
    names = risk_stages()[stage]
    wanted = _set(load(demo), names)
    assert {key.rpartition(".")[2] for _, key in wanted} == set(names), "each limit is set somewhere"
    text = (demo / "fixgw.toml").read_text()
    last = f', "{stage}"' if f', "{stage}"' in text else f'"{stage}",'
    edit(demo / "fixgw.toml", last, "")
    found = problems(demo)
    assert {(problem.file, problem.key) for problem in found} == wanted.keys() and len(found) == len(wanted)
    for problem in found:
        assert f'"{stage}" in [risk] stages of fixgw.toml' in problem.expected and problem.value not in ("", "{}"), str(problem)


def test_what_is_told_of_a_limit_without_its_stage(demo: Path) -> None:
    edit(demo / "fixgw.toml", '"collar", ', "")
    edit(demo / "sessions/OMS44.toml", 'collar_bps = "500"', 'collar_bps = { "BTC/USDT" = "7", "*" = "500" }')
    for name in ("OMS42", "OMS50"):
        edit(demo / f"sessions/{name}.toml", 'collar_bps = "500"', '#')
    assert str(only(demo)) == (
        "sessions/OMS44.toml: limits.collar_bps = {'BTC/USDT': '7', '*': '500'}: no risk stage enforces it: "
        'expected "collar" in [risk] stages of fixgw.toml, or no such limit'
    )


def test_every_limit_has_a_stage_and_stages_are_read_as_they_are() -> None:
    """Who adds a limit must say which stage enforces it (LIMITS in its module), or nothing would miss the stage."""
    assert sorted(name for names in risk_stages().values() for name in names) == sorted(LimitsTable.model_fields)
    assert risk_stages().keys() == base.discover().keys()
    for stage, names in risk_stages().items():
        assert base.limits_enforced((stage,)) == frozenset(names), stage
    assert base.limits_enforced(tuple(risk_stages())) == frozenset(LimitsTable.model_fields)
    assert base.limits_enforced(()) == base.limits_enforced(("nosuch",)) == frozenset()


def test_entitlements_need_their_risk_stage(demo: Path) -> None:
    edit(demo / "fixgw.toml", '"entitlements", ', "")
    problem = only(demo)
    assert (problem.file, problem.key) == ("fixgw.toml", "risk.stages") and "'session_state', 'throttle'" in problem.value
    assert 'expected "entitlements" among them' in problem.expected and "OMS42, OMS44, OMS50" in problem.expected
    # an account and the firm are told as well
    edit(demo / "fixgw.toml", "[accounts.limits]", '[accounts.entitlements]\nsides = ["buy"]\n\n[accounts.limits]')
    edit(demo / "fixgw.toml", "# [entitlements]", "[entitlements]")
    assert "OMS42, OMS44, OMS50, account sim-main restrict" in only(demo).expected
    edit(demo / "fixgw.toml", '# sides = ["buy", "sell"]', 'sides = ["buy", "sell"]')
    assert "account sim-main, the firm restrict" in only(demo).expected
    edit(demo / "fixgw.toml", '[entitlements]\nsides = ["buy", "sell"]\n', "")
    edit(demo / "fixgw.toml", '[accounts.entitlements]\nsides = ["buy"]\n', "")
    # a session that is restricted in nothing needs no stage
    for file in (demo / "sessions").glob("OMS*.toml"):
        lines = file.read_text().splitlines()
        start = lines.index("[entitlements]")
        file.write_text("\n".join(lines[: start + 1] + lines[lines.index("", start) :]))
    load(demo)


@pytest.mark.parametrize(
    ("where", "key"), [("# [entitlements]", "entitlements"), ("[accounts.limits]", "accounts.0.entitlements")]
)
@pytest.mark.parametrize(
    ("said", "field", "value", "expected"),
    [
        ('symbols = ["DOGE/USDT"]', "symbols", "'DOGE/USDT'", "expected one of BTC/USDT, ETH/USDT"),
        ('venues = ["nosuch"]', "venues", "'nosuch'", "expected one of sim"),
        ('sides = ["long"]', "sides.0", "'long'", "'buy' or 'sell'"),
        ('tiffs = ["day"]', "tiffs", "", "did you mean 'tifs'?"),
    ],
)
def test_entitlements_of_account_and_firm_are_checked(
    demo: Path, where: str, key: str, said: str, field: str, value: str, expected: str
) -> None:
    table = "[entitlements]" if key == "entitlements" else "[accounts.entitlements]"
    edit(demo / "fixgw.toml", where, f"{table}\n{said}\n\n{where}")
    problem = only(demo)
    assert (problem.file, problem.key) == ("fixgw.toml", f"{key}.{field}")
    assert value in problem.value and expected in problem.expected


def test_throttles_and_entitlements_of_account_and_firm(demo: Path) -> None:
    limits = "msgs_per_s = 7\nmsg_burst = 8\nrepeat_max = 9\nrepeat_window_ms = 10\n"
    edit(demo / "fixgw.toml", "[accounts.limits]\n", f'[accounts.entitlements]\nsides = ["sell"]\n\n[accounts.limits]\n{limits}')
    edit(demo / "fixgw.toml", "msgs_per_s = 10000", "msgs_per_s = 70")
    edit(demo / "fixgw.toml", "msg_burst = 10000", "msg_burst = 80\nrepeat_max = 90\nrepeat_window_ms = 100")
    edit(demo / "fixgw.toml", "# [entitlements]", '[entitlements]\ntifs = ["day"]')
    core = load(demo).core_settings()
    account = core.accounts["sim-main"]
    for found, factor in ((account.limits, 1), (core.firm, 10)):
        assert (found.msg_rate, found.msg_burst, found.repeat_max) == (7 * factor, 8 * factor, 9 * factor)
        assert found.repeat_window_ns == 10_000_000 * factor
    assert account.entitlements.sides == frozenset("2") and account.entitlements.tifs is None
    assert core.firm_entitlements.tifs == frozenset("0") and core.firm_entitlements.sides is None


@pytest.mark.parametrize(("stage", "key"), [("throttle", "msgs_per_s"), ("repeated_order", "repeat_max")])
def test_a_throttle_of_account_or_firm_needs_its_stage(demo: Path, stage: str, key: str) -> None:
    for file in (demo / "sessions").glob("OMS*.toml"):
        text = file.read_text()
        file.write_text(text[: text.index("msgs_per_s")])
    edit(demo / "fixgw.toml", f'"{stage}", ', "")
    firm = demo / "fixgw.toml"
    firm.write_text("\n".join(line for line in firm.read_text().splitlines() if not line.startswith("msg")))
    load(demo)
    edit(firm, "[accounts.limits]", f"[accounts.limits]\n{key} = 5")
    problem = only(demo)
    assert (problem.key, problem.value) == (f"accounts.0.limits.{key}", "5") and f'"{stage}" in [risk]' in problem.expected
    edit(firm, f"{key} = 5", "")
    edit(firm, "[limits]", f"[limits]\n{key} = 5")
    assert only(demo).key == f"limits.{key}"


def test_two_sessions_with_the_same_wire_ids(demo: Path) -> None:
    edit(demo / "sessions/PB44.toml", 'client_comp_id = "PB44"', 'client_comp_id = "OMS44"')
    problem = only(demo)
    assert problem.file == "sessions/PB44.toml" and "sessions/OMS44.toml has the same BeginString" in problem.expected


def test_a_secret_in_the_wrong_place_is_not_printed(demo: Path) -> None:
    edit(demo / "venues/sim.toml", 'kind = "ccxt"', 'kind = "ccxt"\nsecret = "hunter2"')
    edit(demo / "sessions/OMS44.toml", "enabled = true", 'credentials = "hunter2"')
    found = problems(demo)
    assert len(found) == 2 and "hunter2" not in "\n".join(map(str, found))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('motor = "V8"', ""), ("motor = 8", "8"), ("motor = 0.5", "0.5"), ("motor = true", "true"),
        ('motor = ["a", "b"]', "a list of 2"), ("motor = { a = 1 }", "a table of 1"),
        ("motor = [{ a = 1 }, { a = 2 }]", "a list of 2"),
        # credentials where nobody expects them
        ('apisecret = "hunter2"', ""), ('my_key = "hunter2"', ""), ('passwd = "hunter2"', ""), ("auth = { a = 1 }", ""),
        ('motor = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zv"', ""), ('url = "https://u:p4ss@h.io/x"', ""),
        ('memo = "my-pw-9"', ""), ("key = 1234", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("file", ["sessions/OMS44.toml", "venues/sim.toml"])
def test_an_unknown_key_is_told_with_its_value(demo: Path, file: str, line: str, value: str) -> None:
    (demo / file).write_text(f"{line}\n{(demo / file).read_text()}")
    problem = only(demo)
    assert (problem.key, problem.value) == (line.split()[0], value) and "unknown key" in problem.expected


def test_a_wrong_kind_of_venue_is_told_what_kinds_there_are(demo: Path) -> None:
    edit(demo / "venues/sim.toml", 'kind = "ccxt"', 'kind = "binance"')
    problem = only(demo)
    assert (problem.file, problem.key, problem.value) == ("venues/sim.toml", "kind", "'binance'")
    for part in ('"ccxt" (an exchange by ccxt', "key exchange", '"null" (no exchange'):
        assert part in problem.expected


def test_the_hash_is_of_the_content(demo: Path) -> None:
    first = load(demo).core_settings()
    edit(demo / "fixgw.toml", 'name = "sim"\ntaker_fee_bps = "10"', '# a comment\ntaker_fee_bps = 10\nname = "sim"')
    assert load(demo).core_settings() == first
    edit(demo / "sessions/OMS44.toml", 'sides = ["buy", "sell"]', 'sides = ["sell", "buy"]')
    assert load(demo).core_settings().hash != first.hash, "the order of lists counts"
    edit(demo / "sessions/OMS44.toml", 'sides = ["sell", "buy"]', 'sides = ["buy", "sell"]')
    assert load(demo).core_settings().hash == first.hash
    shutil.copytree(demo, demo.with_name("elsewhere"))
    assert load(demo.with_name("elsewhere")).core_settings().hash == first.hash
    edit(demo / "sessions/OMS44.toml", 'sides = ["buy", "sell"]', 'sides = ["sell"]')
    changed = load(demo).core_settings()
    assert changed.hash != first.hash
    assert changed.sessions["OMS44"].entitlements.sides == frozenset(SIDES["sell"])


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("fixgw.toml", "max_connections = 512", "max_connections = 511"),
        ("fixgw.toml", 'gateway_comp_id = "FIXGW"', 'gateway_comp_id = "FIXGX"'),
        ("fixgw.toml", 'sync = "commit"', 'sync = "os"'),
        ("fixgw.toml", '"session_state", "throttle"', '"throttle", "session_state"'),
        ("sessions/OMS44.toml", 'client_comp_id = "OMS44"', 'client_comp_id = "OMS45"'),
        ("sessions/OMS44.toml", 'begin_string = "FIX.4.4"', 'begin_string = "FIX.4.2"'),
        ("sessions/OMS44.toml", "enabled = true", "enabled = false"),
        ("venues/sim.toml", 'exchange = "binance"', 'exchange = "okx"'),
        ("venues/sim.toml", 'kind = "ccxt"', 'kind = "ccxt"\noptions = { sandbox = true }'),
        ("venues/sim.toml", "../secrets/sim.key", "../secrets/other.key"),
    ],
)
def test_the_hash_changes_with_everything(demo: Path, file: str, old: str, new: str) -> None:
    first = load(demo).core_settings().hash
    edit(demo / file, old, new)
    assert load(demo).core_settings().hash != first


def test_the_hash_changes_with_a_venues_endpoint(tmp_path: Path) -> None:
    init(tmp_path, demo=False)
    first = load(tmp_path).core_settings().hash
    edit(tmp_path / "venues/binance.toml", 'kind = "ccxt"', 'kind = "ccxt"\nbase_url = "https://testnet.example"')
    assert load(tmp_path).core_settings().hash != first


def venue_key(demo: Path, key: str, value: str) -> None:
    """Set this key of the venue's file."""
    path = demo / "venues/sim.toml"
    kept = [line for line in path.read_text().splitlines() if not line.startswith(f"{key} =")]
    path.write_text("\n".join([f"{key} = {value}", *kept]))


def options(demo: Path, text: str) -> str:
    """The hash with these options for the venue."""
    venue_key(demo, "options", f"{{ {text} }}")
    return load(demo).core_settings().hash


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = [1, 2]", "x = [2, 1]"), ("x = inf", "x = nan"), ("x = inf", "x = -inf"), ("x = 1", "x = 1.0"),
        ("x = 2020-01-01", 'x = "2020-01-01"'), ("usePrivate = true", "usePrivate = false"),
        ('authSecret = "hunter2"', ""), ("x = { accessToken = { a = true } }", "x = { accessToken = { a = false } }"),
    ],
)  # fmt: skip
def test_the_hash_tells_options_apart(demo: Path, one: str, other: str) -> None:
    assert options(demo, one) != options(demo, other) == options(demo, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('nested = { mySecretHere = "hunter2" }', 'nested = { mySecretHere = "hunter3" }'),
        ("tokenNumber = 1234", "tokenNumber = 1235"),
        ('private = { a = ["hunter2"] }', 'private = { a = ["hunter3"] }'),
        ('httpProxy = "http://u:hunter2@h"', 'httpProxy = "http://u:hunter3@h"'),
    ],
)
def test_no_credential_goes_into_the_hash(demo: Path, one: str, other: str) -> None:
    first = options(demo, one)
    (demo / "secrets/sim.key").write_text("another")
    assert options(demo, other) == first


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('apiKey = "hunter2"', "options.apiKey"), ('api-key = "hunter2"', "options.api-key"), ('uid = "hunter2"', "options.uid"),
        ('a = { b = [{ privateKey = "hunter2" }] }', "options.a.b.privateKey"), ("password = 7312", "options.password"),
        ('a = { lighterPrivateKey = ["hunter2"] }', "options.a.lighterPrivateKey"), ('token = "hunter2"', "options.token"),
    ],
)  # fmt: skip
def test_no_credential_may_stand_in_the_options(demo: Path, text: str, key: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        options(demo, text)
    (problem,) = caught.value.problems
    assert (problem.file, problem.key, problem.value) == ("venues/sim.toml", key, "")
    assert "api_key_env or api_key_file" in problem.expected
    with pytest.raises(VenueConfigError, match="api_key_env or api_key_file") as told_by_host:
        load_venue_file(demo / "venues/sim.toml")
    for told in (str(problem), str(told_by_host.value)):
        assert "hunter2" not in told and "7312" not in told


def test_what_only_sounds_like_a_credential_may_stand_in_the_options(demo: Path) -> None:
    assert options(demo, 'walletAddress = "0x1", cacheSecretAsPem = true, token = "", privateKey = {}, networks = ["uid"]')


@pytest.mark.parametrize("url", ["https://u:p4ss@h.io/x", "https://u:p4ss@h.io"])
def test_a_password_in_a_base_url_is_refused_and_not_shown(demo: Path, url: str) -> None:
    venue_key(demo, "base_url", f'"{url}"')
    problem = only(demo)
    assert problem.key == "base_url" and "p4ss" not in str(problem) and "expected http://HOST:PORT" in problem.expected
    with pytest.raises(VenueConfigError) as told_by_host:
        load_venue_file(demo / "venues/sim.toml")
    assert "p4ss" not in str(told_by_host.value)



def test_user_defined_fields(demo: Path) -> None:
    edit(demo / "sessions/OMS44.toml", 'user_defined_fields = "reject"', 'user_defined_fields = "ignore"')
    config = load(demo)
    assert [acceptor_session(config, name).user_defined_fields for name in ("OMS42", "OMS44", "PB44")] == [
        "reject", "ignore", "reject",
    ]  # fmt: skip
    edit(demo / "sessions/OMS44.toml", 'user_defined_fields = "ignore"', 'user_defined_fields = "keep"')
    with pytest.raises(ConfigErrors, match="user_defined_fields"):
        load(demo)


def test_core_settings_units(demo: Path) -> None:
    edit(demo / "sessions/OMS44.toml", 'roll_time = "00:00"', 'roll_time = "17:30"')
    edit(demo / "sessions/OMS44.toml", "cancel_on_disconnect = false", "cancel_on_disconnect = true")
    settings = load(demo).core_settings()
    session = settings.sessions["OMS44"]
    assert session.roll_time_s == 63_000 and session.cancel_on_disconnect
    assert session.accounts == {"": "sim-main", "sim-main": "sim-main"}
    assert session.limits.repeat_window_ns == 1_000_000_000 and session.limits.max_quote_age_ns == 10_000_000_000
    assert settings.max_order_age_ns == 30_000_000_000
    assert settings.cl_ord_id_retention_ns == 7 * 86_400 * 1_000_000_000
    assert settings.venues["sim"].recv_window_ns == 5_000_000_000
    assert settings.sessions["PB44"].scope_sessions == frozenset("*") and settings.sessions["PB44"].symbols == {}


def test_front_sessions_are_what_the_front_reads(demo: Path, tmp_path: Path) -> None:
    import json

    from fixgw.fix.front_logon import FrontConfig, load_config

    edit(demo / "sessions/OMS42.toml", "enabled = true", "enabled = false")
    edit(demo / "fixgw.toml", "logon_deadline_s = 5", "logon_deadline_s = 1")
    file = tmp_path / "front.json"
    file.write_text(json.dumps(load(demo).front_sessions()))
    read = load_config(file)
    assert {session.name: session.enabled for session in read.sessions} == {
        "OMS42": False, "OMS44": True, "OMS50": True, "PB44": True,
    }  # fmt: skip
    assert read.frame_cap == 65536 and read.max_connections == 512
    # however little time a client has for its Logon, the gateway has its own to answer
    assert read.logon_deadline_s == 1 and read.logon_answer_s == FrontConfig(sessions=()).logon_answer_s


def test_notes_for_what_is_valid_but_dangerous(demo: Path) -> None:
    assert load(demo).notes() == []
    edit(demo / "fixgw.toml", 'listen_host = "127.0.0.1"', 'listen_host = "0.0.0.0"')
    edit(demo / "sessions/OMS44.toml", "enabled = true", 'credentials = "env:OMS44_PASSWORD"')
    notes = load(demo).notes()
    assert len(notes) == 2 and "plain TCP" in notes[1]


def test_a_symbol_that_the_session_is_not_entitled_to_is_known_to_it(demo: Path) -> None:
    edit(demo / "sessions" / "OMS44.toml", 'symbols = ["BTC/USDT", "ETH/USDT"]', 'symbols = ["BTC/USDT"]')
    session = load(demo).core_settings().sessions["OMS44"]
    assert session.entitlements.symbols == {"BTC/USDT"}
    assert session.symbols["ETH-USDT"] == "ETH/USDT" and session.symbols["XBTUSDT"] == "BTC/USDT"


def test_what_init_cannot_finish_it_takes_back(tmp_path: Path) -> None:
    """Else the next try would find a configuration there already."""
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, most[1]))
    try:
        with pytest.raises(InitError, match="File too large"):
            init(tmp_path / "d", demo=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert [path for path in (tmp_path / "d").rglob("*") if path.is_file()] == []
    init(tmp_path / "d", demo=True)
    load(tmp_path / "d")
