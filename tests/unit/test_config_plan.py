"""What `fixgw run` starts: environments without other people's keys, venue files that say the same, logs within bounds."""

from pathlib import Path

import pytest

from fixgw.config import load
from fixgw.config.init import init
from fixgw.supervisor import child_log, run
from fixgw.supervisor.child import Child
from fixgw.supervisor.child_log import rotate
from fixgw.supervisor.plan import Plan, venue_toml, write_atomic
from fixgw.venues.settings import VenueFileSettings, load_venue_file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    init(tmp_path / "d", demo=True)
    return tmp_path / "d"


def by_name(plan: Plan) -> dict[str, Child]:
    return {child.name: child for child in plan.children()}


def test_demo_needs_four_processes_in_this_order(root: Path) -> None:
    children = Plan(load(root)).children()
    assert [child.name for child in children] == ["simulator", "gateway", "venue:sim", "front"]
    assert [child.after for child in children] == [(), ("simulator",), ("gateway",), ("gateway", "venue:sim")]
    assert set(children[1].fatal) == {3, 4, 5, 6} and all(children[1].fatal.values())


def test_keys_reach_their_own_venue_host_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init(tmp_path / "d", demo=False)
    monkeypatch.setenv("BINANCE_API_KEY", "k1")
    monkeypatch.setenv("BINANCE_API_SECRET", "s1")
    children = by_name(Plan(load(tmp_path / "d")))
    assert "simulator" not in children
    assert children["venue:binance"].env["BINANCE_API_SECRET"] == "s1"
    for name in ("gateway", "front"):
        assert not {"BINANCE_API_KEY", "BINANCE_API_SECRET"} & set(children[name].env)


def test_simulator_and_venue_agree_on_keys_and_address(root: Path) -> None:
    plan = Plan(load(root))
    children = by_name(plan)
    argv = children["simulator"].argv()
    assert argv[argv.index("--port") + 1] == "0" and argv.count("--symbol") == 2
    write_atomic(root / "run" / "simulator.json", '{"host": "127.0.0.1", "port": 4567, "pid": 99}')
    assert not children["simulator"].ready(98), "the ready file of another process"
    assert children["simulator"].ready(99)
    assert plan.addresses()["simulator"] == {"host": "127.0.0.1", "port": 4567}
    argv = children["simulator"].argv()
    assert argv[argv.index("--port") + 1] == "4567", "the port is kept at a restart"
    command = children["venue:sim"].argv()
    read = load_venue_file(Path(command[command.index("--config") + 1]), "sim")
    assert read.base_url == "http://127.0.0.1:4567"
    from fixgw.sim.config import load_accounts

    account = load_accounts(root / "run" / "simulator_accounts.json")[0]
    assert (account.key, account.secret) == (read.credential("apiKey"), read.credential("secret"))
    assert account.balances["BTC"] == 100


def test_the_front_keeps_its_port_and_follows_the_gateway(root: Path) -> None:
    children = by_name(Plan(load(root)))
    write_atomic(root / "run" / "gateway.json", '{"pid": 7}')
    write_atomic(root / "run" / "front.json", '{"host": "127.0.0.1", "port": 5002, "pid": 8}')
    assert children["gateway"].ready(7) and children["front"].ready(8)
    assert "127.0.0.1:5002" in children["front"].argv() and str(root / "run" / "fix.sock") in children["front"].argv()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"pid": "7"}'])
def test_a_ready_file_that_is_none(root: Path, content: str) -> None:
    children = by_name(Plan(load(root)))
    (root / "run" / "gateway.json").write_text(content)
    assert not children["gateway"].ready(7)


def test_a_venue_file_says_the_same_when_it_is_written_again(tmp_path: Path) -> None:
    settings = VenueFileSettings(
        name="x",
        exchange="binance",
        symbols=("BTC/USDT", "ETH/USDT"),
        ws_orders=False,
        sweep_s=1.5,
        options={"text": 'a "quoted" \\ value\n\x7f', "list": [1, 2.5, True], "nested": {"odd key.": "é"}},
    )
    (tmp_path / "x.toml").write_text(venue_toml(settings), encoding="utf-8")
    assert load_venue_file(tmp_path / "x.toml") == settings


def test_logs_are_rotated_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_log, "LOG_MAX_BYTES", 10)
    log = tmp_path / "front.log"
    for number in range(8):
        log.write_text(f"{number}" * 11)
        rotate(log)
        assert not log.exists()
    kept = sorted(tmp_path.iterdir())
    assert [path.name for path in kept] == [f"front.log.{number}" for number in range(1, 6)]
    assert kept[0].read_text() == "7" * 11
    log.write_text("short")
    rotate(log)
    assert log.read_text() == "short"


def test_a_long_lived_log_is_cut_while_it_is_held_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_log, "LOG_MAX_BYTES", 10)
    log = tmp_path / "x.log"
    child = Child("x", list, lambda pid: True, log, {})
    with log.open("a") as file:
        file.write("a" * 20)
        file.flush()
        child.look_after_log()
        file.write("b")
    assert log.read_text() == "b" and (tmp_path / "x.log.1").read_text() == "a" * 20


def test_run_refuses_a_broken_configuration(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "fixgw.toml").write_text("firm = 1\n")
    assert run(root) == 1
    told = capsys.readouterr().err
    assert "fixgw.toml: firm = 1" in told and "fixgw check" in told
