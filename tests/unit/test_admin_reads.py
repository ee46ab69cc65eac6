"""Every read of the admin CLI over a real socket, of a core that has traded tiny prices and quantities."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import sqlite_utils
from admin_rig import Engine, fixgw, serving, told
from core_script import Script
from core_world import ACCOUNT, SYMBOL, VENUE, VENUE_ACCOUNT, World, core_settings, session_settings

from fixgw.admin import history
from fixgw.app import Gateway
from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core.codec import decode_record
from fixgw.core.settings import Limits
from fixgw.fix import owed
from fixgw.journal.errors import JournalGap
from fixgw.journal.plain import record_data
from fixgw.journal.projected import last_named
from fixgw.journal.projection import Projector
from fixgw.journal.projection_watch import ProjectionState

# "1E-8" or "0E-10" as a word of its own: ids and texts may have such letters within
EXPONENT = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?[eE][+-]?\d+(?![\w.])")
TINY = Decimal("0.00000001")


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
    script = Script(world)
    for line in (
        "new c0 buy 0.00000030 @0.00000012", "new c1 buy 0.00000030 @0.00000012", "ack C1",
        "trade C1 t1 1E-7@1.2E-7 fee=0E-10 fee_asset=BTC age=0",
    ):  # fmt: skip
        script.line(line)
    return world


@pytest.fixture
def world() -> World:
    return traded()


@pytest.fixture
def engine(world: World) -> Engine:
    return Engine(world)


@pytest.fixture
def directory(tmp_path: Path, engine: Engine) -> Iterator[Path]:
    with serving(tmp_path, engine) as found:
        yield found


def rows_of(directory: Path, session: str) -> dict[str, Any]:
    return next(row for row in told(directory, "sessions")["sessions"] if row["name"] == session)


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
    usual = told(directory, "status")["venues"][0]["reason"]
    why = "ended: its configuration cannot be used (exit status 2); mend venues/sim.toml"
    (directory / "run" / "ended.json").write_text(json.dumps({f"venue:{VENUE}": why}))
    assert told(directory, "status")["venues"][0]["reason"] == why
    assert why in fixgw(directory, "status").output
    (directory / "run" / "ended.json").write_text("{")
    assert told(directory, "status")["venues"][0]["reason"] == usual


def test_status_tells_which_instruments_the_venue_has_no_rules_for(directory: Path, world: World) -> None:
    """Its rules came for BTC/USDT alone."""
    (venue,) = told(directory, "status")["venues"]
    assert venue["unlisted"] == ["ETH/USDT"] and "no new orders of ETH/USDT" in venue["reason"]
    assert "no new orders of ETH/USDT" in fixgw(directory, "status").output
    (known,) = world.state.instruments.values()
    both = (known, msgspec.structs.replace(known, symbol="ETH/USDT", base="ETH"))
    world.run(c.InstrumentsReport(ts_ns=world.tick(), venue=VENUE, instruments=both))
    (venue,) = told(directory, "status")["venues"]
    assert (venue["unlisted"], venue["reason"]) == ([], "")


def test_status_tells_when_and_why_new_orders_find_no_room(directory: Path, engine: Engine) -> None:
    status = told(directory, "status")
    assert (status["journal_full"], status["full_because"]) == (False, "") and "state_hash" not in status
    engine.full = "disk low"
    status = told(directory, "status")
    assert (status["journal_full"], status["full_because"]) == (True, "disk low")
    lines = [line.split(maxsplit=1) for line in fixgw(directory, "status").output.splitlines()]
    assert ["journal_full", "yes"] in lines and ["full_because", "disk low"] in lines


def test_a_projection_that_is_not_up_to_date_is_told(directory: Path, engine: Engine) -> None:
    status = told(directory, "status")
    assert (status["projection_behind"], status["projection_trouble"]) == (0, "")
    assert told(directory, "fills")["projection_trouble"] == "" and "warning" not in fixgw(directory, "fills").stderr
    engine.projection = ProjectionState(seq=3, behind=7, trouble="its follower ended (SIGKILL)")
    status = told(directory, "status")
    assert (status["projection_behind"], status["projection_trouble"]) == (7, "its follower ended (SIGKILL)")
    lines = [line.split(maxsplit=1) for line in fixgw(directory, "status").output.splitlines()]
    assert ["projection_behind", "7"] in lines and ["projection_trouble", "its follower ended (SIGKILL)"] in lines
    # the one read that sends people to it; its rows are the gateway's own
    assert told(directory, "fills")["projection_trouble"] == "its follower ended (SIGKILL)"
    shown = fixgw(directory, "fills")
    assert "data/projection.db, where the older ones stand, is not up to date: its follower ended" in shown.stderr
    assert "warning" not in shown.stdout and SYMBOL in shown.stdout


def test_an_order_is_shown_without_the_records_that_were_moved_away(directory: Path, world: World, engine: Engine) -> None:
    order_id = next(iter(world.state.orders))
    whole, records = told(directory, "order", order_id), engine.journal.read
    assert whole["incomplete"] == "" and len(whole["fills"]) == 1
    first, last = whole["history"][0]["seq"], whole["history"][-1]["seq"]

    def read(start: int) -> Iterator[tuple[int, bytes]]:
        if start < last:
            raise JournalGap(start, last, "is not kept any more")
        yield from records(start)

    engine.journal.read = read
    part = told(directory, "order", order_id)
    assert part["order"] == whole["order"] and part["children"] == whole["children"] and len(part["fills"]) == 1
    assert part["incomplete"] == f"records {first} to {last - 1} are not in the journal's folder any more"
    assert "more fills and history: records" in fixgw(directory, "order", order_id).stderr


def test_an_old_order_is_not_searched_for_without_end(
    directory: Path, world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = next(iter(world.state.orders))
    monkeypatch.setattr(history, "MAX_RECORDS", 2)
    part = told(directory, "order", order_id)
    assert part["fills"] == [] and part["order"]["cum_qty"] != "0"
    after = part["history"][0]["seq"] + 2
    assert part["incomplete"].startswith(f"records from {after} on were not looked through")


def project(world: World, directory: Path, upto: int) -> Path:
    """A projection of the first records of the world; where it is."""
    path = directory / "data" / "projection.db"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    db = sqlite_utils.Database(path)
    projector = Projector(db)
    for payload in world.records[:upto]:
        projector.add_record(decode_record(payload), payload)
    projector.flush()
    db.close()
    return path


@pytest.fixture
def old(world: World) -> str:
    """An order that ended long ago, after all that can happen to one; another one has lived for as long as it and goes on."""
    script = Script(world)
    lines = (
        "new o buy 0.00000030 @0.00000012", "ack C1", "trade C1 o1 1E-7@1.2E-7", "replace o2 o 0.00000040 @0.00000012",
        "cancel o3 o", "status o", "done C1 canceled 1E-7", "cancel o4 o",
    )  # fmt: skip
    for line in lines:
        script.line(line)
    order_id = script.orders[0]
    other = list(world.state.orders)[1]
    for n in range(30):
        script.line(f"new later{n} buy 0.00000030 @0.00000012")
    script.line(f"ack {world.state.orders[other].children[0]}")
    assert world.state.orders[order_id].finished_ns
    return order_id


def test_the_projection_knows_the_last_record_that_names_an_order(directory: Path, world: World, old: str) -> None:
    path = project(world, directory, len(world.records))
    assert not any(told(directory, "order", order_id)["incomplete"] for order_id in world.state.orders)
    for order_id in world.state.orders:
        found = last_named(path, order_id)
        assert found is not None and found.seen == len(world.records)
        assert found.last == told(directory, "order", order_id)["history"][-1]["seq"], order_id
    assert last_named(path, "nobody") is None and last_named(path.with_name("none"), old) is None
    path.write_bytes(b"no database")
    assert last_named(path, old) is None


def test_an_old_order_is_complete_where_the_projection_knows_its_end(
    directory: Path, world: World, old: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = told(directory, "order", old)
    rows = [row["seq"] for row in whole["history"]]
    length = rows[-1] - rows[0] + 1
    assert whole["incomplete"] == "" and len(whole["fills"]) == 1 and length + 30 < len(world.records)
    monkeypatch.setattr(history, "MAX_RECORDS", length + 10)
    assert told(directory, "order", old)["incomplete"].startswith(f"records from {rows[0] + length + 10} on were not")
    for unseen in (10, 1, 0):
        project(world, directory, len(world.records) - unseen)
        assert told(directory, "order", old) == whole, unseen
        assert "warning" not in fixgw(directory, "order", old).stderr
    # what it has not seen is looked through as well
    Script(world).line(f"cancel later {world.state.orders[old].cl_ord_id}")
    late = told(directory, "order", old)
    assert late["incomplete"] == "" and late["history"][-1]["seq"] == len(world.records) > rows[-1]
    behind = len(world.records) - 15
    project(world, directory, behind)
    assert told(directory, "order", old)["incomplete"].startswith(f"records from {behind + 11} on were not")


def test_what_is_left_out_of_an_order_that_lived_long_is_told(
    directory: Path, world: World, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(world, directory, len(world.records))
    lives = list(world.state.orders)[1]
    rows = [row["seq"] for row in told(directory, "order", lives)["history"]]
    monkeypatch.setattr(history, "MAX_RECORDS", 5)
    lacks = told(directory, "order", lives)["incomplete"]
    first, last = rows[0] + 5, rows[-1]
    expected = f"records {first} to {last} were not looked through: `fixgw journal export --from {first} --to {last}` has them"
    assert lacks == expected


def test_a_projection_of_another_journal_is_not_believed(
    directory: Path, world: World, old: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have read records that a power cut took, and others stand in their place."""
    path = project(world, directory, len(world.records))
    monkeypatch.setattr(history, "MAX_RECORDS", len(world.records) - 20)
    assert told(directory, "order", old)["incomplete"] == ""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE meta SET value = '00000000' WHERE key = 'last_crc'")
    assert "were not looked through" in told(directory, "order", old)["incomplete"]
    project(world, directory, len(world.records))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE meta SET value = ? WHERE key = 'last_seq'", [str(len(world.records) + 1)])
    assert "were not looked through" in told(directory, "order", old)["incomplete"]


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
