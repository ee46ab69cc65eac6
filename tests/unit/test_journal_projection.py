"""The SQLite projection: exact values, exactly once, and the same when it is made anew."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import sqlite_utils

from fixgw.core import commands as cmd
from fixgw.core import events as ev
from fixgw.core.codec import Record, encode_record
from fixgw.core.reports import Report
from fixgw.journal.errors import JournalError
from fixgw.journal.follower import ProjectionFollower
from fixgw.journal.projected import projected_seq
from fixgw.journal.projection import Projector, lock_projection, matches_journal, read_meta, rebuild
from fixgw.journal.projection_tables import CHILD_STATUS, IGNORED, SESSION_EVENTS, TABLES
from fixgw.journal.store import Journal

BIG = 10**30
SMALL = 1 << 16
ORDER = {
    "order_id": "O1", "ts_ns": 5, "session": "OMS44", "cl_ord_id": "c1", "client_account": "A", "account": "main", "venue": "sim",
    "symbol": "BTC/USDT", "client_symbol": "BTCUSDT", "side": "1", "ord_type": "2", "tif": "1", "order_qty": "0.10000000",
    "price": "60000.10",
}  # fmt: skip


def report(**fields: Any) -> Report:
    base = {"exec_type": "0", "ord_status": "0", "order_id": "O1", "cl_ord_id": "c1"} | {"symbol": "BTCUSDT", "side": "1"}
    return Report(**{**base, **fields})


def records() -> list[Record]:
    """One order: accepted, filled in part, replaced, canceled; a note of operations; an event without a table."""
    order = ev.OrderReceived(**{**ORDER, "order_qty": Decimal("0.10000000"), "price": Decimal("60000.10")})
    child = ev.ChildPlaced(
        venue_cl_ord_id="K1", ts_ns=5, order_id="O1", venue="sim", account="main", symbol="BTC/USDT",
        side="1", ord_type="2", tif="1", qty=Decimal("0.1"), px=Decimal("60000.10"),
    )  # fmt: skip
    fill = ev.OrderFilled(
        order_id="O1",
        ts_ns=7,
        venue_cl_ord_id="K1",
        venue_trade_id="T1",
        exec_id="E2",
        qty=Decimal("0.04"),
        px=Decimal("60000.10"),
    )
    partly = report(exec_id="E2", exec_type="F", ord_status="1", cum_qty=Decimal("0.04"), leaves_qty=Decimal("0.06"))
    pending = report(exec_id="E3", exec_type="E", ord_status="E", cl_ord_id="c2", cum_qty=Decimal("0.04"))
    replaced = report(exec_id="E4", exec_type="5", ord_status="1", cl_ord_id="c2", order_qty=Decimal("0.2"))
    status = report(exec_id="0", exec_type="I", ord_status="8", status_reply=True)

    def reported(message: Report) -> ev.Reported:
        return ev.Reported(session="OMS44", account="A", message=message)

    groups: list[tuple[Any, ...]] = [
        (order, reported(report(exec_id="E1", exec_type="A", ord_status="A")), child),
        (ev.ChildConfirmed(venue_cl_ord_id="K1", ts_ns=6, venue_order_id="V9"), ev.OrderConfirmed(order_id="O1", ts_ns=6)),
        (fill, reported(partly)),
        (ev.FillCorrected(order_id="O1", ts_ns=8, venue_cl_ord_id="K1", venue_trade_id="T1", exec_id="E2b", qty=Decimal("0.05"),
                          px=Decimal("60000")),),
        (ev.ReplaceRequested(order_id="O1", ts_ns=8, cl_ord_id="c2", order_qty=Decimal("0.2"), ord_type="2", tif="1",
                             price=Decimal("60000.10")), reported(pending)),
        (ev.OrderReplaced(order_id="O1", ts_ns=8), reported(replaced), reported(status)),
        (ev.ChildClosed(venue_cl_ord_id="K1", ts_ns=9, status="canceled"),),
        (ev.AdminActed(action="cancel", target="O1", user="ann", reason="test", ts_ns=10),),
        (ev.SessionChanged(session="OMS44", logged_on=True, ts_ns=11), ev.Alerted(kind="k", text="t", ts_ns=12)),
    ]  # fmt: skip
    note = cmd.AdminNote(ts_ns=1, action="a", target="t", user="u", reason="r")
    return [Record(seq=n, ts_ns=n, part="gw", command=note, events=group) for n, group in enumerate(groups, 1)]


def fill_journal(directory: Path) -> Journal:
    journal = Journal.open(directory, segment_bytes=SMALL, reserve_bytes=SMALL)
    for record in records():
        journal.append(record.seq, encode_record(record))
        journal.commit()
    return journal


def contents(path: Path) -> dict[str, list[dict[str, Any]]]:
    db = sqlite_utils.Database(sqlite3.connect(path))
    return {name: sorted(db[name].rows, key=str) for name in TABLES}


def test_an_order_s_life_in_tables(tmp_path: Path) -> None:
    fill_journal(tmp_path / "journal").close()
    assert rebuild(tmp_path / "journal", tmp_path / "p.db") == len(records())
    tables = contents(tmp_path / "p.db")
    (order,) = tables["orders"]
    assert {name: order[name] for name in ("ord_status", "cl_ord_id", "order_qty", "price", "first_seq", "last_seq")} == {
        "ord_status": "1", "cl_ord_id": "c2", "order_qty": "0.2", "price": "60000.10", "first_seq": 1, "last_seq": 6,
    }  # fmt: skip
    (fill,) = tables["fills"]
    assert (fill["qty"], fill["px"], fill["corrected"], fill["busted"]) == ("0.05", "60000", 1, 0)
    (child,) = tables["children"]
    assert (child["status"], child["venue_order_id"], child["qty"]) == ("canceled", "V9", "0.1")
    assert [row["exec_id"] for row in tables["reports"]] == ["E1", "E2", "E3", "E4", "0"]
    assert [(row["user"], row["action"]) for row in tables["admin_actions"]] == [("ann", "cancel")]
    assert [row["event"] for row in tables["sessions_log"]] == ["SessionChanged"]
    assert [row["event"] for row in tables["events"]] == ["ReplaceRequested", "OrderReplaced", "Alerted"]
    assert tables["events"][-1]["data"] == '{"kind":"k","text":"t","ts_ns":12}'


def test_every_projected_event_exists_in_the_core() -> None:
    known = {kind.__name__ for kind in get_args(ev.AnyEvent)}
    named = {
        "ChildPlaced",
        "OrderFilled",
        "FillCorrected",
        "FillBusted",
        "AdminActed",
    }
    assert (named | set(CHILD_STATUS) | SESSION_EVENTS | IGNORED) <= known


class Strange(msgspec.Struct):
    """No event of the core's."""

    amount_wei: int


def test_big_integers_and_unknown_events_are_kept_exactly() -> None:
    db = sqlite_utils.Database(memory=True)
    projector = Projector(db)
    order = ev.OrderReceived(**{**ORDER, "order_qty": Decimal(BIG), "price": Decimal("60000.10")})
    projector.add(1, 9, "gw", "Note", [order, Strange(BIG)])
    projector.flush()
    assert next(db["orders"].rows)["order_qty"] == str(BIG)
    assert next(db["events"].rows)["data"] == f'{{"amount_wei":{BIG}}}'
    assert read_meta(db, "last_seq") == "1"


def test_an_event_of_an_order_that_is_not_there_is_refused() -> None:
    projector = Projector(sqlite_utils.Database(memory=True))
    with pytest.raises(ValueError, match="order O1 is not in the projection"):
        projector.add(1, 9, "gw", "Note", [ev.OrderConfirmed(order_id="O1", ts_ns=1)])
    projector.rollback()
    projector.add(1, 9, "gw", "Note", [])


def test_an_event_that_does_not_fit_the_order_is_refused() -> None:
    projector = Projector(sqlite_utils.Database(memory=True))
    order = ev.OrderReceived(**{**ORDER, "order_qty": Decimal(1)})
    with pytest.raises(ValueError, match="record 1 does not fit the projection: order O1: refuse"):
        projector.add(1, 9, "gw", "Note", [order, ev.CancelRefused(order_id="O1", ts_ns=1, reason="x")])


def test_a_projection_of_the_schema_before_is_made_anew(tmp_path: Path) -> None:
    fill_journal(tmp_path / "journal").close()
    rebuild(tmp_path / "journal", tmp_path / "p.db")
    with sqlite3.connect(tmp_path / "p.db") as connection:
        connection.execute("UPDATE meta SET value = '1' WHERE key = 'schema'")
        connection.execute("UPDATE orders SET ord_status = 'wrong'")
    connection.close()
    follower = ProjectionFollower(tmp_path / "journal", tmp_path / "p.db", poll_s=0.01)
    follower.start()
    assert follower.wait_for(len(records()), 30)
    follower.stop()
    assert [row["ord_status"] for row in contents(tmp_path / "p.db")["orders"]] == ["1"]


def test_a_record_out_of_order_is_refused() -> None:
    projector = Projector(sqlite_utils.Database(memory=True))
    projector.add(1, 1, "gw", "Note", [])
    with pytest.raises(ValueError, match="record 3, expected 2"):
        projector.add(3, 1, "gw", "Note", [])


def test_the_follower_gives_what_rebuild_gives_also_over_restarts(tmp_path: Path) -> None:
    journal = fill_journal(tmp_path / "journal")
    for _ in range(2):
        follower = ProjectionFollower(tmp_path / "journal", tmp_path / "f.db", poll_s=0.01)
        follower.start()
        assert follower.wait_for(journal.last_seq, 30)
        record = records()[-1]
        journal.append(
            journal.last_seq + 1,
            encode_record(Record(seq=journal.last_seq + 1, ts_ns=1, part="gw", command=record.command, events=record.events)),
        )
        journal.commit()
        assert follower.wait_for(journal.last_seq, 30)
        with pytest.raises(JournalError, match="written by another process"):
            rebuild(tmp_path / "journal", tmp_path / "f.db")
        follower.stop()
        assert follower.last_error is None
    journal.close()
    rebuild(tmp_path / "journal", tmp_path / "r.db")
    assert contents(tmp_path / "f.db") == contents(tmp_path / "r.db")


def test_a_projection_that_knows_records_the_journal_lost_is_made_anew(tmp_path: Path) -> None:
    fill_journal(tmp_path / "other").close()
    rebuild(tmp_path / "other", tmp_path / "p.db")
    journal = Journal.open(tmp_path / "journal", segment_bytes=SMALL, reserve_bytes=SMALL)
    journal.append(1, encode_record(records()[0]))
    journal.commit()
    db = sqlite_utils.Database(sqlite3.connect(tmp_path / "p.db"))
    assert matches_journal(db, tmp_path / "other") and not matches_journal(db, tmp_path / "journal")
    db.conn.close()
    follower = ProjectionFollower(tmp_path / "journal", tmp_path / "p.db", poll_s=0.01)
    follower.start()
    assert follower.wait_for(1, 30)
    follower.stop()
    journal.close()
    assert {row["key"]: row["value"] for row in contents(tmp_path / "p.db")["meta"]}["last_seq"] == "1"


@pytest.mark.parametrize("left", [[], ["-wal", "-shm"]])
def test_a_projection_that_is_deleted_is_made_anew(tmp_path: Path, left: list[str]) -> None:
    """`left`: what is not deleted with it."""
    journal, path = fill_journal(tmp_path / "journal"), tmp_path / "p.db"
    follower = ProjectionFollower(tmp_path / "journal", path, poll_s=0.01, retry_s=0.05)
    follower.start()
    assert follower.wait_for(journal.last_seq, 10)
    for suffix in {"", "-wal", "-shm"} - set(left):
        path.with_name(path.name + suffix).unlink()
    deadline = time.monotonic() + 10
    while projected_seq(path) != journal.last_seq:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    follower.stop()
    journal.close()
    rebuild(tmp_path / "journal", tmp_path / "r.db")
    assert contents(path) == contents(tmp_path / "r.db")


def test_a_failed_rebuild_leaves_the_old_projection(tmp_path: Path) -> None:
    fill_journal(tmp_path / "journal").close()
    rebuild(tmp_path / "journal", tmp_path / "p.db")
    before = (tmp_path / "p.db").read_bytes()
    used = next(path for path in (tmp_path / "journal").glob("*.seg") if any(path.read_bytes()))
    data = bytearray(used.read_bytes())
    data[100] ^= 1
    used.write_bytes(data)
    with pytest.raises(JournalError):
        rebuild(tmp_path / "journal", tmp_path / "p.db")
    assert (tmp_path / "p.db").read_bytes() == before
    assert not (tmp_path / "p.db.new").exists()
    lock = lock_projection(tmp_path / "p.db")
    os.close(lock)


def test_sets_are_written_in_one_order_by_every_process() -> None:
    names = [f"SYMBOL{number}/USDT" for number in range(20)]
    script = f"""
from fixgw.core.settings import Entitlements
from fixgw.journal.plain import plain
print(plain(Entitlements(symbols=frozenset({names!r})))["symbols"])
"""
    said = {
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert said == {f"{sorted(names)}\n"}
