"""What the operations desk does with orders and fills, over a real socket, of a core that has traded."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from admin_rig import Engine, fixgw, serving, told
from click.testing import Result
from core_script import Script
from core_world import World, core_settings, session_settings

from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core.codec import Record, decode_record
from fixgw.core.reports import Report
from fixgw.fix.outbound import VERSIONS, encode


class Desk(Engine):
    """An engine that takes commands too."""

    def now_ns(self) -> int:
        return self.world.tick()

    def call(self, command: c.Command) -> Record:
        self.world.run(command)
        record = decode_record(self.world.records[-1])
        for listener in self.on_durable:
            listener(record)
        return record


@pytest.fixture
def world() -> World:
    """One order of 2, of which 1 has traded."""
    script = Script()
    for line in ("new a buy 2 @100", "ack C1"):
        script.line(line)
    for number in (1, 2):
        script.line(f"trade C1 t{number} 0.5 fee=0.05{number} fee_asset=USDT liquidity={number}")
    return script.world


@pytest.fixture
def directory(tmp_path: Path, world: World) -> Iterator[Path]:
    with serving(tmp_path, Desk(world)) as found:
        yield found


def resolve(directory: Path, order_id: str, outcome: str, **options: str) -> Result:
    words = [part for key, value in options.items() for part in (f"--{key.replace('_', '-')}", value)]
    return fixgw(directory, "resolve", order_id, "--as", outcome, "--evidence", "ticket", *words)


def counted(fills: list[dict[str, Any]]) -> Decimal:
    return sum((Decimal(row["last_qty"]) for row in fills if not row["busted"] and not row["corrected_by"]), Decimal(0))


def test_fills_that_count_add_up_to_what_the_order_has_executed(directory: Path, world: World) -> None:
    order_id = next(iter(world.state.orders))
    steps = [
        ("correct", {"trade_id": "t1", "qty": "0.4", "px": "99"}),
        ("correct", {"trade_id": "t1", "qty": "0.3", "px": "98"}),
        ("bust", {"trade_id": "t2"}),
        ("correct", {"trade_id": "t1", "qty": "0.2", "px": "98"}),
        ("bust", {"trade_id": "t1"}),
    ]
    for outcome, options in steps:
        done = resolve(directory, order_id, outcome, **options)
        assert done.exit_code == 0, done.output
        shown = told(directory, "order", order_id)
        cum = world.state.orders[order_id].cum_qty
        assert counted(shown["fills"]) == counted(told(directory, "fills")["fills"]) == cum


def test_a_corrected_fill_names_what_corrected_it(directory: Path, world: World) -> None:
    order_id = next(iter(world.state.orders))
    for qty in ("0.4", "0.3"):
        assert resolve(directory, order_id, "correct", trade_id="t1", qty=qty, px="99").exit_code == 0
    rows = [row for row in told(directory, "order", order_id)["fills"] if row["venue_trade_id"] == "t1"]
    first, second, third = (row["exec_id"] for row in rows)
    assert [row["corrected_by"] for row in rows] == [third, third, ""]
    assert [row["corrects"] for row in rows] == ["", first, second]
    assert "corrected_by" in fixgw(directory, "fills").output


def test_a_correction_keeps_the_fee(directory: Path, world: World) -> None:
    order_id = next(iter(world.state.orders))
    for px in ("99", "98"):  # the second one finds it in the report of the first
        assert resolve(directory, order_id, "correct", trade_id="t2", qty="0.4", px=px).exit_code == 0
    told_now = [report.message for report in reports(world) if report.message.exec_type == "G"]
    assert [(m.last_px, m.fee, m.fee_asset, m.liquidity) for m in told_now] == [
        (Decimal(px), Decimal("0.052"), "USDT", "2") for px in ("99", "98")
    ]
    wire = encode(told_now[-1], VERSIONS["FIX.4.4"]).toString().split("\x01")
    assert {"150=G", "136=1", "137=0.052", "138=USDT", "851=2", "31=98"} <= set(wire)
    row = next(row for row in told(directory, "fills")["fills"] if not row["corrected_by"] and row["venue_trade_id"] == "t2")
    assert (row["last_px"], row["fee"], row["fee_asset"], row["liquidity"]) == ("98", "0.052", "USDT", "2")


def test_a_manual_fill_says_that_it_is_one_and_why(directory: Path, world: World) -> None:
    order_id = next(iter(world.state.orders))
    assert resolve(directory, order_id, "fill", trade_id="m1", qty="0.5", px="99").exit_code == 0
    *by_venue, message = (report.message for report in reports(world) if report.message.exec_type == "F")
    text = "resolved by operations with evidence: ticket"
    assert (message.venue_trade_id, message.reason, message.text) == ("m1", "RESOLVED", text)
    assert [found.reason for found in by_venue] == ["", ""]
    for version, exec_type in (("FIX.4.2", "150=1"), ("FIX.4.4", "150=F")):
        wire = encode(message, VERSIONS[version]).toString().split("\x01")
        assert {exec_type, "20001=RESOLVED"} <= set(wire) and any(field.startswith("58=") and text in field for field in wire)
    history = told(directory, "order", order_id)["history"]
    assert [row["text"] for row in history if "RESOLVED" in row["text"]] == [f"150=F 39=1 RESOLVED {text}"]


def test_a_manual_fill_tells_its_fee_and_positions_are_net_of_it(directory: Path, world: World) -> None:
    order_id = next(iter(world.state.orders))
    order = world.state.orders[order_id]
    base = order.symbol.split("/")[0]

    def net() -> Decimal:
        rows = told(directory, "positions")["positions"]
        return next(Decimal(row["net"]) for row in rows if row["scope"] == "account" and base in row["symbol"])

    before = net()
    fill = {"trade_id": "m1", "qty": "0.5", "px": "99"}
    assert resolve(directory, order_id, "fill", **fill, fee="0.001").exit_code == 2
    assert resolve(directory, order_id, "fill", **fill, fee="NaN", fee_asset=base).exit_code == 2
    assert resolve(directory, order_id, "bust", trade_id="t1", fee="1", fee_asset=base).exit_code == 2
    assert resolve(directory, order_id, "fill", **fill, fee="0.001", fee_asset=base).exit_code == 0
    message = [report.message for report in reports(world) if report.message.exec_type == "F"][-1]
    assert (message.fee, message.fee_asset) == (Decimal("0.001"), base)
    assert net() - before == (Decimal("0.499") if order.side == "1" else Decimal("-0.501"))


def reports(world: World) -> list[e.Reported]:
    events = (event for payload in world.records for event in decode_record(payload).events)
    return [event for event in events if isinstance(event, e.Reported) and isinstance(event.message, Report)]


def test_what_contradicts_the_order_is_refused_and_what_is_not_there_is_not_found(directory: Path, world: World) -> None:
    order_id = next(iter(world.state.orders))
    working = resolve(directory, order_id, "canceled")
    assert working.exit_code == 1 and "REFUSED" in working.output and "fixgw cancel" in working.output
    too_much = resolve(directory, order_id, "fill", trade_id="m1", qty="20", px="100")
    assert too_much.exit_code == 1 and "REFUSED" in too_much.output and "at most 1" in too_much.output
    assert resolve(directory, order_id, "fill", trade_id="m1", qty="1", px="100").exit_code == 0
    for outcome in ("not_placed", "open", "canceled"):
        finished = resolve(directory, order_id, outcome)
        assert finished.exit_code == 1 and "REFUSED: order" in finished.output, finished.output
    missing = resolve(directory, "ABCDE0010000099", "open")
    assert missing.exit_code == 1 and "NOT_FOUND: order" in missing.output
    for words in (["kill", "--session", "NOPE"], ["resume", "--venue", "NOPE"]):
        assert "NOT_FOUND" in fixgw(directory, *words, "--reason", "r").output


class Slow(Desk):
    def call(self, command: c.Command) -> Record:
        raise TimeoutError(f"{type(command).__name__} is not durable after 10.0 s: it may be yet")


def test_who_is_told_that_it_takes_too_long_is_told_that_it_may_still_be_done(tmp_path: Path, world: World) -> None:
    with serving(tmp_path, Slow(world)) as directory:
        shown = fixgw(directory, "cancel", next(iter(world.state.orders)), "--reason", "by phone")
    assert shown.exit_code == 1
    assert "BUSY: AdminCancel is not durable after 10.0 s: it may be yet, once the gateway goes on" in shown.output


@pytest.fixture
def left(tmp_path: Path) -> Iterator[tuple[Path, World]]:
    """OMS42 has an open order and reports, and its file is gone; one that is done with is gone too."""
    script = Script(World(core_settings(sessions=core_settings().sessions | {"OLD": session_settings("OLD")})))
    for line in ("new a buy 2 @100 as=OMS42", "ack C1", "trade C1 t1 0.5"):
        script.line(line)
    world = script.world
    world.settings = core_settings(hash="without", sessions={"OMS44": session_settings("OMS44")})
    world.start()
    with serving(tmp_path, Desk(world)) as found:
        yield found, world


def test_a_session_that_is_configured_no_more_is_seen_and_can_be_killed(left: tuple[Path, World]) -> None:
    directory, world = left
    rows = {row["name"]: row for row in told(directory, "sessions")["sessions"]}
    assert set(rows) == {"OMS44", "OMS42"}
    row = rows["OMS42"]
    assert (row["configured"], row["enabled"], row["fault"]) == (False, False, "not configured")
    assert (row["open_orders"], row["pending_reports"], row["pending_more"]) == (1, 3, True)
    assert rows["OMS44"]["configured"] and rows["OMS44"]["fault"] == ""
    assert "not configured" in fixgw(directory, "sessions").output
    assert [row["name"] for row in told(directory, "sessions", "--session", "OLD")["sessions"]] == ["OLD"]
    assert len(told(directory, "orders", "--session", "OMS42")["orders"]) == 1
    assert len(told(directory, "fills", "--session", "OMS42")["fills"]) == 1
    assert told(directory, "limits", "--session", "OMS42")["levels"]
    assert told(directory, "session", "OMS42", "show")["open_orders"] == 1
    refused = fixgw(directory, "session", "OMS42", "disable")
    assert refused.exit_code == 1 and "REFUSED: session 'OMS42' is not configured" in refused.output
    killed = told(directory, "kill", "--session", "OMS42")
    assert (killed["level"], killed["canceling"]) == ("HALTED", 1)
    assert world.state.sessions["OMS42"].enabled
    assert told(directory, "resume", "--session", "OMS42")["level"] == "ACTIVE"
    nobody = fixgw(directory, "orders", "--session", "NOPE")
    assert "NOT_FOUND: session 'NOPE' is unknown, expected one of OLD, OMS42, OMS44" in nobody.output


def test_a_venue_that_is_configured_no_more_can_be_killed() -> None:
    script = Script()
    for line in ("new a buy 2 @100", "ack C1"):
        script.line(line)
    script.world.settings = core_settings(hash="without", venues={})
    script.world.start()
    assert script.line("kill HALTED venue sim")[0] == "venue sim HALTED"
    assert script.world.state.venues["sim"].level == "HALTED"


def test_the_alert_of_a_session_that_is_left_with_orders(world: World) -> None:
    note = c.AdminNote(
        ts_ns=world.tick(), action="session not configured", target="OMS50", user="gateway", reason="2 open orders, 3 reports"
    )
    (alert,) = (event for event in world.run(note) if isinstance(event, e.Alerted))
    assert alert.kind == "SESSION_NOT_CONFIGURED"
    assert alert.text == "session OMS50 is not configured any more and has 2 open orders, 3 reports"
