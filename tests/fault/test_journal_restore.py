"""README.md, "When the journal refuses to start", step 5, as it is written: an older backup, with real processes."""

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fixgw.chaos.world import World, is_ours
from fixgw.fix.client import FixClient, FixMessage
from fixgw.journal.segment import HEADER_BYTES
from fixgw.journal.verify import verify

SESSION = "OMS44"


def enable(directory: Path, on: bool) -> None:
    for path in (directory / "sessions").glob("*.toml"):
        text, count = re.subn(r"(?m)^enabled = \w+", f"enabled = {str(on).lower()}", path.read_text())
        assert count == 1
        path.write_text(text)


def heard(client: FixClient, fields: dict[int, str]) -> FixMessage:
    return client.wait_for(lambda message: all(message.get(tag) == value for tag, value in fields.items()), 30)


def place(client: FixClient, quantity: str, price: str, until: dict[int, str]) -> str:
    """A buy; its ClOrdID."""
    cl_ord_id = client.new_order("buy", quantity, "BTC/USDT", price=price)
    heard(client, {35: "8", 11: cl_ord_id} | until)
    return cl_ord_id


def orders(world: World) -> dict[str, Any]:
    return {row["cl_ord_id"]: row for row in world.ask("orders")["orders"]}


def trade_lose_and_damage(world: World, stores: Path, backup: Path) -> tuple[list[str], int]:
    """ClOrdIDs of an order whose fill is lost with the journal, one that is lost open, one lost with its fill; and the number
    that the client sends next."""
    client = world.client(SESSION, stores)
    client.start()
    client.wait_logon(30)
    known = place(client, "0.3", "59000", {150: "0"})
    shutil.copytree(world.directory / "data" / "journal", backup)
    lost = [place(client, "0.1", "58000", {150: "0"}), place(client, "0.4", "60500", {39: "2"})]
    order = orders(world)[known]["order_id"]
    world.sim().fill(int(world.ask("order", order_id=order)["children"][0]["venue_order_id"]), "0.3")
    heard(client, {35: "8", 11: known, 39: "2"})
    client.stop()
    world.wait("logged out", lambda: not world.ask("sessions", session=SESSION)["sessions"][0]["connected"])
    number = int(world.ask("sessions", session=SESSION)["sessions"][0]["next_target"])
    world.wait("projected", lambda: world.ask("status")["projection_behind"] == 0)
    pids = list(world.ready()["pids"].values())
    assert world.process is not None
    world.process.send_signal(signal.SIGKILL)
    world.wait("all are gone", lambda: not any(map(is_ours, pids)))
    with (world.directory / "data" / "journal" / "00000001.seg").open("r+b") as file:
        file.seek(HEADER_BYTES + 3000)
        file.write(b"\xff" * 40)
    return [known, *lost], number


@pytest.mark.timeout(280)
def test_an_older_journal(tmp_path: Path) -> None:
    directory, backup, aside = tmp_path / "d", tmp_path / "backup", tmp_path / "aside"
    journal = directory / "data" / "journal"
    with World(directory) as world:
        world.wait_venue()
        (known, lost_open, lost_fill), number = trade_lose_and_damage(world, tmp_path / "clients", backup)
        found = verify(journal)
        assert not found.ok and "is the last one with records" in found.notes[-1]
        shutil.copytree(directory / "data", aside)
        epoch = (aside / "journal" / "epoch").read_text()
        # the steps of the README
        enable(directory, False)
        shutil.rmtree(journal)
        shutil.copytree(backup, journal)
        (journal / "epoch").write_text(epoch)
        restored = verify(journal)
        assert restored.ok
        with closing(sqlite3.connect(aside / "projection.db")) as db:
            rows = db.execute("SELECT cl_ord_id, cum_qty FROM orders WHERE last_seq > ?", [restored.last_seq]).fetchall()
            lost_trades = db.execute("SELECT qty FROM fills WHERE seq > ?", [restored.last_seq]).fetchall()
        assert {cl_ord_id: Decimal(cum) for cl_ord_id, cum in rows} == {
            known: Decimal("0.3"), lost_open: Decimal(0), lost_fill: Decimal("0.4")
        }  # fmt: skip
        assert sorted(lost_trades) == [("0.3",), ("0.4",)]
        world.start()
        world.wait_venue()
        assert world.ask("status")["firm_state"] == "HALTED"
        log = directory / "log" / "gateway.log"
        for alert in ("RECORDS_LOST", "ORPHAN", "EXTERNAL_FILL"):
            world.wait(alert, lambda alert=alert: f"ALERT {alert}" in log.read_text())  # type: ignore[misc]
        world.wait("the missing fill is booked", lambda: Decimal(orders(world)[known]["cum_qty"]) == Decimal("0.3"))
        assert set(orders(world)) == {known} and world.sim().state()["open_orders"] == 0
        told = re.findall(rf"session {SESSION}: next message in is \d+ by the journal, QuickFIX had (\d+)", log.read_text())
        assert told == [str(number)]
        world.ask("session", name=SESSION, action="set_seq", next_target=number, reason="step 5")
        world.stop()
        enable(directory, True)
        world.start()
        world.wait_venue()
        world.ask("resume", scope="firm", target="", reason="compared")
        with world.client(SESSION, tmp_path / "clients") as client:
            client.wait_logon(30)
            again = heard(client, {35: "8", 11: known, 39: "2"})
            assert again.get(97) == "Y"
            place(client, "0.01", "60500", {39: "2"})
            # nothing was asked for again, so nothing was refused as stale
            assert [message for message in client.messages if message.get(150) == "8"] == []
        assert not {row["order_id"][5:8] for row in orders(world).values()} - {"001", "003"}
