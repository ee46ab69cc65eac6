"""A start after an update: what an older build made of the journal is not built upon, the journal is read anew."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from core_script import Script
from core_world import SECOND, VENUE, World, core_settings

from fixgw import app
from fixgw.bench.firm import make_firm
from fixgw.config import Config
from fixgw.core import commands as c
from fixgw.core.codec import SCHEMA_VERSION
from fixgw.core.replay import OPS
from fixgw.core.state import State, dump_state
from fixgw.core.statehash import state_hash
from fixgw.journal.archive import archive_segments
from fixgw.journal.errors import JournalError
from fixgw.journal.layout import snapshot_files
from fixgw.journal.snapshot import latest_snapshot, write_snapshot
from fixgw.journal.snapshotter import run
from fixgw.journal.store import Journal

SHARED = "BTC/USDT|vC1"


def two_orders_of_one_venue_order_id() -> tuple[World, str, int]:
    """(world, the newer order's child, the record that forgets the older order): the venue began its numbers anew."""
    script = Script(World(core_settings(cl_ord_id_retention_ns=5 * SECOND)))
    world = script.world
    for line in ("new a buy 1 @100", "ack C1", "cancel x a", "done C1 canceled 0", "+10s", "new b buy 1 @100"):
        script.line(line)
    newer = script.children[1]
    world.run(c.ChildAck(ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=newer, venue_order_id="vC1"))
    for line in ("new c buy 1 @100", "ack C3", "cancel y c", "done C3 canceled 0"):
        script.line(line)
    assert script.orders[0] not in world.state.orders
    assert world.state.venues[VENUE].order_ids[SHARED] == newer
    forgot = world.state.seq
    script.line("trade ?C1 t1 0.4")
    return world, newer, forgot


def journal_of(world: World, directory: Path, segment_bytes: int = 1 << 20) -> None:
    journal = Journal.open(directory, segment_bytes=segment_bytes, reserve_bytes=segment_bytes)
    for seq, payload in enumerate(world.records, 1):
        journal.append(seq, payload)
        journal.commit()
    journal.close(clean=True)


def state_of(world: World, seq: int) -> State:
    state = OPS.load_state(None)
    for payload in world.records[:seq]:
        OPS.apply(state, payload)
    return state


def older_snapshot(world: World, seq: int, directory: Path, schema_version: int) -> None:
    """As builds of schema 7 wrote it: what they forgot took the venue order id from the order that had it by then."""
    state = state_of(world, seq)
    del state.venues[VENUE].order_ids[SHARED]
    write_snapshot(directory, seq, schema_version, dump_state(state), OPS.hash_state(state))


def restored(config: Config) -> State:
    journal, state = app.recover(config, lambda _: None)
    journal.close(clean=True)
    return state


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return make_firm(tmp_path / "firm")


def test_a_snapshot_of_an_older_reading_is_not_built_upon(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    world, newer, forgot = two_orders_of_one_venue_order_id()
    directory = config.paths.journal
    journal_of(world, directory)
    older_snapshot(world, forgot, directory, 7)
    with caplog.at_level(logging.INFO):
        state = restored(config)
    assert "reading the journal from the first record on" in caplog.text
    assert state_hash(state) == state_hash(world.state) and state.venues[VENUE].order_ids[SHARED] == newer
    assert f"{snapshot_files(directory)[0][1]} is skipped: schema 7, expected {SCHEMA_VERSION}" in caplog.text
    # the version is all that tells them apart
    older_snapshot(world, forgot, directory, SCHEMA_VERSION)
    with caplog.at_level(logging.INFO):
        assert state_hash(restored(config)) != state_hash(world.state)
    assert f"reading the journal from record {forgot + 1} on, with the snapshot" in caplog.text


def test_the_next_snapshot_is_made_of_the_whole_journal(config: Config) -> None:
    world, _, forgot = two_orders_of_one_venue_order_id()
    directory = config.paths.journal
    journal_of(world, directory)
    older_snapshot(world, forgot, directory, 7)
    run(directory, OPS, upto_seq=len(world.records), floor_seq=0)
    found = latest_snapshot(directory, SCHEMA_VERSION)
    assert found is not None and found.seq == len(world.records)
    assert found.state_hash == bytes.fromhex(state_hash(world.state))
    assert state_hash(restored(config)) == state_hash(world.state)


def test_archived_records_are_read_and_their_lack_is_told(config: Config) -> None:
    world, _, forgot = two_orders_of_one_venue_order_id()
    directory = config.paths.journal
    journal_of(world, directory, segment_bytes=4096)
    for seq in (forgot - 1, forgot):
        older_snapshot(world, seq, directory, 7)
    archived = archive_segments(directory, floor_seq=forgot)
    assert archived
    assert state_hash(restored(config)) == state_hash(world.state)
    archived[0].unlink()
    with pytest.raises(JournalError, match=f"record 1 is not kept.*schema {SCHEMA_VERSION}.*there is none.*bring back"):
        restored(config)
