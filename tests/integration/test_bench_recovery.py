"""`fixgw bench recovery` on a small journal, and that the short way of replaying gives the same state."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from fixgw import app
from fixgw.bench.firm import make_firm
from fixgw.bench.recovery_journal import Made, make_journal
from fixgw.cli import main
from fixgw.config import Config
from fixgw.core.codec import SCHEMA_VERSION, decode_record
from fixgw.core.replay import OPS, apply_record
from fixgw.core.state import State, new_state
from fixgw.core.statehash import state_hash
from fixgw.journal.layout import read_layout
from fixgw.journal.reader import JournalReader
from fixgw.journal.snapshot import make_snapshot, snapshot_files


def made(tmp_path: Path, events: int = 3000, open_count: int = 40) -> tuple[Config, Made]:
    config = make_firm(tmp_path / "firm")
    return config, make_journal(config, events, open_count, lambda _: None)


def replayed(config: Config) -> State:
    """The long way: every record decoded whole."""
    state = new_state()
    for _, payload in JournalReader(config.paths.journal).read(1):
        apply_record(state, decode_record(payload))
    return state


def recovered(config: Config) -> State:
    journal, state = app.recover(config, lambda _: None)
    journal.close(clean=True)
    return state


def test_the_command_tells_what_it_measured(tmp_path: Path) -> None:
    told = tmp_path / "figures.json"
    arguments = ["bench", "recovery", "--events", "3000", "--open", "50", "--runs", "1", "--json", str(told)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(told.read_text())
    assert found["events"] >= 3000 and found["open_orders"] == 50
    assert found["cold_s"] > 0 and found["snapshot_s"] > 0
    grown = found["resident_grown"]
    # of so few orders the share of a page may be below nothing: the figure is the quotient that it says it is
    assert found["bytes_per_open_order"] == round(max(grown["cold"], grown["snapshot"]) / found["open_orders"])
    assert set(found["targets_met"]) == {"cold_s", "snapshot_s", "bytes_per_open_order"}


def test_memory_per_open_order_needs_one() -> None:
    result = CliRunner().invoke(main, ["bench", "recovery", "--open", "0"])
    assert result.exit_code == 2 and "--open" in result.output


def test_the_journal_has_as_many_open_orders_as_asked_for(tmp_path: Path) -> None:
    config, what = made(tmp_path)
    state = replayed(config)
    assert what.events >= 3000 and what.records == state.seq
    assert len(state.open_orders) == what.open_orders == 40
    assert len(state.orders) == what.orders > 40
    assert {state.orders[order].status for order in state.finished} == {"2", "4"}


def test_recovery_gives_the_state_that_a_full_replay_gives(tmp_path: Path) -> None:
    config, _ = made(tmp_path)
    whole = replayed(config)
    state = recovered(config)
    assert state_hash(state) == state_hash(whole) and state == whole


def test_recovery_from_a_snapshot_gives_the_same_state(tmp_path: Path) -> None:
    config, what = made(tmp_path)
    whole = replayed(config)
    make_snapshot(
        config.paths.journal, SCHEMA_VERSION, load_state=OPS.load_state, apply=OPS.apply, dump_state=OPS.dump_state,
        hash_state=OPS.hash_state, upto_seq=what.records - 100,
    )  # fmt: skip
    assert [seq for seq, _ in snapshot_files(config.paths.journal)] == [what.records - 100]
    state = recovered(config)
    assert state_hash(state) == state_hash(whole) and state == whole


def test_recovery_over_several_segments(tmp_path: Path) -> None:
    """Sealed segments and the last one, with the snapshot in the middle of a sealed one."""
    config = make_firm(tmp_path / "firm")
    what = make_journal(config, 3000, 40, lambda _: None, segment_bytes=1 << 16)
    whole = replayed(config)
    assert len(read_layout(config.paths.journal).live) > 3
    assert recovered(config) == whole
    make_snapshot(
        config.paths.journal, SCHEMA_VERSION, load_state=OPS.load_state, apply=OPS.apply, dump_state=OPS.dump_state,
        hash_state=OPS.hash_state, upto_seq=what.records // 2,
    )  # fmt: skip
    assert recovered(config) == whole
