"""Every read of the admin CLI over a real socket, of a core that has traded tiny prices and quantities."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from core_world import ACCOUNT, SYMBOL, VENUE, VENUE_ACCOUNT, World, core_settings, session_settings

from fixgw.admin.methods import admin_methods
from fixgw.admin.server import AdminServer
from fixgw.app import Gateway
from fixgw.cli import main
from fixgw.config import Paths
from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core.codec import decode_record
from fixgw.core.settings import Limits
from fixgw.core.state import State
from fixgw.fix import owed
from fixgw.journal.plain import record_data

# "1E-8" or "0E-10" as a word of its own: ids and texts may have such letters within
EXPONENT = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?[eE][+-]?\d+(?![\w.])")
TINY = Decimal("0.00000001")


class Engine:
    """What the admin methods need of the engine, over a World."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.on_durable: list[Callable[..., None]] = []
        self.waiting = 0
        self.full = ""
        self.journal = SimpleNamespace(read=self._read, durable_seq=len(world.records))

    def _read(self, start: int) -> Iterator[tuple[int, bytes]]:
        return ((seq, payload) for seq, payload in enumerate(self.world.records, 1) if seq >= start)

    @property
    def state(self) -> State:
        return self.world.state

    def now_ns(self) -> int:
        return self.world.now_ns

    @property
    def durable_seq(self) -> int:
        return len(self.world.records)

    @contextmanager
    def reading(self) -> Iterator[State]:
        yield self.world.state


class Config:
    """Sessions, instruments and accounts of the World's settings."""

    def __init__(self, world: World, root: Path) -> None:
        self.paths = Paths(root)
        settings = world.settings
        self.firm_file = SimpleNamespace(firm="Demo", journal=SimpleNamespace(sync="commit"))
        self.sessions = {
            name: SimpleNamespace(
                name=name, role=item.role, begin_string="FIX.4.4", client_comp_id=name, enabled=True, appl_ver=None,
                scope=SimpleNamespace(sessions=tuple(item.scope_sessions), accounts=tuple(item.scope_accounts)),
                user_defined_fields="reject", codes="newest",
            )
            for name, item in settings.sessions.items()
        }  # fmt: skip

    def gateway_comp_id(self, session: object) -> str:
        return "FIXGW"

    def instrument_names(self) -> frozenset[str]:
        return frozenset((SYMBOL, "ETH/USDT"))

    def account_names(self) -> frozenset[str]:
        return frozenset((ACCOUNT,))


def traded() -> World:
    """A world with limits, a fill of a tiny order, a balance and an order that still works."""
    limits = Limits(
        max_order_qty={"*": Decimal("1E+5")}, max_open_notional={"*": Decimal("1E+9")}, max_gross={"*": Decimal("1E+6")},
        max_net={SYMBOL: Decimal("1E+6")}, collar_bps={"*": Decimal("1E+3")},
    )  # fmt: skip
    # COIN: another instrument to each
    names = {SYMBOL: SYMBOL, "ETH/USDT": "ETH/USDT"}
    sessions = {
        "OMS44": session_settings("OMS44", limits=limits, symbols=names | {"BTC-USDT": SYMBOL, "COIN": SYMBOL}),
        "OMS42": session_settings("OMS42", symbols=names | {"XBTUSDT": SYMBOL, "COIN": "ETH/USDT"}),
    }
    stages = ("session_state", "throttle", "order_qty", "notional", "position")
    world = World(core_settings(sessions=sessions, risk_stages=stages))
    spec = c.InstrumentSpec(
        symbol=SYMBOL, venue_symbol="BTCUSDT", base="BTC", quote="USDT", tick=TINY, lot=TINY, min_notional=Decimal(0)
    )
    world.run(c.InstrumentsReport(ts_ns=world.tick(), venue=VENUE, instruments=(spec,)))
    money = {"BTC": Decimal("1E+2"), "USDT": Decimal("1E+6")}
    world.run(
        c.BalancesReport(ts_ns=world.tick(), venue=VENUE, account=VENUE_ACCOUNT, asof_ns=world.now_ns, free=money, total=money)
    )
    for number in range(2):
        world.run(
            world.client(
                c.NewOrder, cl_ord_id=f"c{number}", symbol=SYMBOL, side="1", ord_type="2", tif="1",
                order_qty=Decimal("0.00000030"), price=Decimal("0.00000012"), quotes=world.quotes,
            )
        )  # fmt: skip
    child = next(iter(world.placed.values()))
    world.run(c.ChildAck(ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=child.venue_cl_ord_id, venue_order_id="v1"))
    trade = c.VenueTrade(
        account=VENUE_ACCOUNT, symbol=SYMBOL, venue_cl_ord_id=child.venue_cl_ord_id, venue_order_id="v1", venue_trade_id="t1",
        side="1", qty=Decimal("1E-7"), px=Decimal("1.2E-7"), fee=Decimal("0E-10"), fee_asset="BTC", venue_ns=world.now_ns,
    )  # fmt: skip
    world.run(c.ChildTrade(ts_ns=world.tick(), venue=VENUE, trade=trade))
    return world


@pytest.fixture
def world() -> World:
    return traded()


@pytest.fixture
def engine(world: World) -> Engine:
    return Engine(world)


@pytest.fixture
def directory(tmp_path: Path, engine: Engine) -> Iterator[Path]:
    (tmp_path / "run").mkdir(mode=0o700)
    acceptor, links = SimpleNamespace(status=lambda: []), SimpleNamespace(hosts=dict)
    methods = admin_methods(Config(engine.world, tmp_path), engine, acceptor, links, lambda: engine.full)  # type: ignore[arg-type]
    server = AdminServer(tmp_path / "run" / "admin.sock", methods)
    server.start()
    yield tmp_path
    server.close()


def fixgw(directory: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--dir", str(directory)])


def rows_of(directory: Path, session: str) -> dict[str, Any]:
    return next(row for row in told(directory, "sessions")["sessions"] if row["name"] == session)


def told(directory: Path, *words: str) -> Any:
    result = fixgw(directory, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


READS = ["status", "sessions", "orders", "order", "fills", "positions", "limits"]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_figure_has_an_exponent(directory: Path, world: World, read: str, form: list[str]) -> None:
    words = [read, next(iter(world.state.orders))] if read == "order" else [read]
    result = fixgw(directory, *words, *form)
    assert result.exit_code == 0, result.output
    assert EXPONENT.findall(result.output) == []


def test_the_figures_are_exact(directory: Path, world: World) -> None:
    rows = told(directory, "orders")["orders"]
    # as the client wrote them, its zeros included
    assert [row["order_qty"] for row in rows] == ["0.00000030"] * 2 and rows[0]["price"] == "0.00000012"
    fill = told(directory, "fills")["fills"][0]
    assert (fill["last_qty"], fill["last_px"], Decimal(fill["fee"])) == ("0.0000001", "0.00000012", 0)
    balances = {row["asset"]: row for row in told(directory, "positions")["balances"]}
    assert balances["BTC"]["free"] == "100" and balances["USDT"]["total"] == "1000000"
    position = next(row for row in told(directory, "positions")["positions"] if row["scope"] == "firm")
    assert (position["net"], position["open_buy"]) == ("0.0000001", "0.0000005")
    limit = next(row for row in told(directory, "limits")["limits"] if row["limit"] == "max_open_notional")
    assert limit["max"] == "1000000000" and Decimal(limit["used"]) == Decimal("0.0000005") * Decimal("0.00000012")
    history = told(directory, "order", next(iter(world.state.orders)))["history"]
    assert any("qty=0.0000001" in row["text"] and "px=0.00000012" in row["text"] for row in history)


def test_a_balance_is_as_of_the_newest_that_is_in_it(directory: Path, world: World) -> None:
    asked_ns, event_ns = world.tick(), world.tick()
    money = {"BTC": Decimal(5), "USDT": Decimal(7)}
    report = c.BalancesReport(
        ts_ns=world.tick(), venue=VENUE, account=VENUE_ACCOUNT, asof_ns=asked_ns, free=money, total=money, later={"BTC": event_ns}
    )
    world.run(report)
    rows = {row["asset"]: row for row in told(directory, "positions")["balances"]}
    assert (rows["BTC"]["free"], rows["BTC"]["asof_ns"]) == ("5", event_ns)
    assert (rows["USDT"]["free"], rows["USDT"]["asof_ns"]) == ("7", asked_ns)


def test_the_journals_tools_write_no_exponents_either(world: World) -> None:
    shown = json.dumps([record_data(decode_record(payload)) for payload in world.records])
    assert '"0.0000001"' in shown and re.findall(r'"-?\d+(?:\.\d+)?E[+-]?\d+"', shown) == []


def test_status_tells_why_a_venue_host_is_not_there(directory: Path) -> None:
    assert told(directory, "status")["venues"][0]["reason"] == ""
    why = "ended: its configuration cannot be used (exit status 2); mend venues/sim.toml"
    (directory / "run" / "ended.json").write_text(json.dumps({f"venue:{VENUE}": why}))
    assert told(directory, "status")["venues"][0]["reason"] == why
    assert why in fixgw(directory, "status").output
    (directory / "run" / "ended.json").write_text("{")
    assert told(directory, "status")["venues"][0]["reason"] == ""


def test_status_tells_when_and_why_new_orders_find_no_room(directory: Path, engine: Engine) -> None:
    status = told(directory, "status")
    assert (status["journal_full"], status["full_because"]) == (False, "") and "state_hash" not in status
    engine.full = "disk low"
    status = told(directory, "status")
    assert (status["journal_full"], status["full_because"]) == (True, "disk low")
    lines = [line.split(maxsplit=1) for line in fixgw(directory, "status").output.splitlines()]
    assert ["journal_full", "yes"] in lines and ["full_because", "disk low"] in lines


@pytest.mark.parametrize("journal", [False, True])
@pytest.mark.parametrize("disk", [False, True])
def test_what_status_tells_of_room_is_what_the_engine_refuses_by(journal: bool, disk: bool) -> None:
    table = SimpleNamespace(reserve_mb=64)
    config = SimpleNamespace(firm_file=SimpleNamespace(journal=table))
    gateway: Any = SimpleNamespace(
        journal=SimpleNamespace(full=journal), space=SimpleNamespace(low=disk), config=config, paths=SimpleNamespace(data="/d")
    )
    why = Gateway._full_because(gateway)
    assert bool(why) == Gateway._is_full(gateway) == (journal or disk)
    assert ("reserve" in why, "disk low" in why) == (journal, disk)


def reported(world: World, after: int = 0) -> int:
    records = (decode_record(payload) for payload in world.records[after:])
    return sum(isinstance(event, e.Reported) and event.session == "OMS44" for item in records for event in item.events)


def test_pending_reports_are_what_the_session_has_not_confirmed(directory: Path, engine: Engine) -> None:
    world = engine.world
    row = rows_of(directory, "OMS44")
    assert (row["pending_reports"], row["pending_more"]) == (reported(world), False) and reported(world) >= 4
    assert rows_of(directory, "OMS42")["pending_reports"] == 0
    cursor = len(world.records)
    for command in (
        c.Delivered(ts_ns=world.tick(), session="OMS44", seq=cursor),
        world.client(c.NewOrder, cl_ord_id="c9", symbol=SYMBOL, side="1", ord_type="9", order_qty=TINY),
        # records of others are nothing to it
        world.client(c.NewOrder, "OMS42", cl_ord_id="c9", symbol=SYMBOL, side="1", ord_type="9", order_qty=TINY),
    ):
        world.run(command)
        for listener in engine.on_durable:
            listener(decode_record(world.records[-1]))
    assert rows_of(directory, "OMS44")["pending_reports"] == reported(world, cursor) == 1
    assert " 1 " in fixgw(directory, "sessions", "--session", "OMS44").output


def test_at_least_so_many_is_shown_as_such(directory: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owed, "KEPT", 2)
    for _ in range(3):
        engine.world.run(engine.world.client(c.NewOrder, cl_ord_id="", symbol=SYMBOL, side="1", ord_type="9", order_qty=TINY))
        engine.on_durable[0](decode_record(engine.world.records[-1]))
    row = rows_of(directory, "OMS44")
    assert (row["pending_reports"], row["pending_more"]) == (2, True)
    assert " 2+ " in fixgw(directory, "sessions").output


@pytest.mark.parametrize("words", [["orders"], ["fills"], ["limits"], ["sessions"]])
def test_an_unknown_session_is_an_error(directory: Path, words: list[str]) -> None:
    result = fixgw(directory, *words, "--session", "NOPE")
    assert result.exit_code == 1 and "session 'NOPE' is unknown, expected one of OMS42, OMS44" in result.output


@pytest.mark.parametrize("words", [["orders"], ["orders", "--open"], ["fills"], ["positions"]])
def test_an_unknown_symbol_is_an_error(directory: Path, words: list[str]) -> None:
    result = fixgw(directory, *words, "--symbol", "NOPE")
    assert result.exit_code == 1 and "symbol 'NOPE' is unknown, expected one of BTC/USDT, ETH/USDT" in result.output
    none = fixgw(directory, *words, "--symbol", "ETH/USDT")
    assert none.exit_code == 0 and "no " in none.output


@pytest.mark.parametrize("words", [["orders"], ["orders", "--open"], ["fills"], ["positions"]])
def test_what_a_session_calls_an_instrument_finds_it(directory: Path, words: list[str]) -> None:
    wanted = told(directory, *words, "--symbol", SYMBOL)[words[0]]
    assert wanted
    # BTC-USDT: nobody has written it in an order; XBTUSDT: only a session without orders knows it; COIN: two mean two by it
    for name in ("BTC-USDT", "XBTUSDT", "COIN"):
        assert told(directory, *words, "--symbol", name)[words[0]] == wanted
    if words != ["positions"]:
        assert told(directory, *words, "--symbol", "XBTUSDT", "--session", "OMS44")[words[0]] == wanted
        assert told(directory, *words, "--symbol", "COIN", "--session", "OMS44")[words[0]] == wanted
        assert told(directory, *words, "--symbol", "COIN", "--session", "OMS42")[words[0]] == []


def test_an_unknown_account_is_an_error(directory: Path) -> None:
    result = fixgw(directory, "positions", "--account", "NOPE")
    assert result.exit_code == 1 and f"account 'NOPE' is unknown, expected one of {ACCOUNT}" in result.output
    assert told(directory, "positions", "--account", ACCOUNT)["positions"]


def test_a_name_that_is_configured_no_more_still_finds_what_it_has(directory: Path, world: World) -> None:
    world.run(
        world.client(c.NewOrder, cl_ord_id="gone", symbol="OLD/USDT", side="1", ord_type="2", order_qty=TINY, price=TINY)
    )
    assert [row["cl_ord_id"] for row in told(directory, "orders", "--symbol", "OLD/USDT")["orders"]] == ["gone"]
