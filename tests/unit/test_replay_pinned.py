"""Journals as older builds wrote them (tests/journals): each later one reads them, and is told where it reads them otherwise.

Should this fail, a journal replays to another state than it did: raise SCHEMA_VERSION (core/codec.py), so that no start builds
upon a snapshot of the older reading, and put the new number and hash here. The journals stay as they are. What a newer build
journals besides comes in a file of its own, which `write(JOURNALS / NAME, record())` makes.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import msgspec
import pytest
import test_core_foreign_trades
import test_core_lifecycle
import test_core_recovery
import test_core_replace
import test_core_wrong_words
from core_script import Script, play
from core_world import SECOND, VENUE, World, core_settings

from fixgw.core import commands as c
from fixgw.core.codec import SCHEMA_VERSION, decode_record
from fixgw.core.replay import OPS
from fixgw.core.statehash import state_hash

JOURNALS = Path(__file__).parent.parent / "journals"
# SCHEMA_VERSION -> the hash over the states of all journals of the file
READ_AS = {
    "schema8.gz": (9, "cd075ffbdb1ce423eb281b119ed5c18fa79ebc8d89a11406d652020b86e3fd46"),
    "schema9.gz": (9, "d8ea5b38fdb4aa5f9db65590d8d77cec61c9e44e523f532d94c872048203aacb"),
}
TOLD = "journals replay to another state than before: raise SCHEMA_VERSION and put it here, with this hash"


def record() -> list[list[bytes]]:
    """The journals of all stories, one of orders that are packed, forgotten, and taken out again, and one of two orders that bear
    one venue order id."""
    stories = (test_core_foreign_trades, test_core_lifecycle, test_core_recovery, test_core_replace, test_core_wrong_words)
    found = [play(story).world.records for module in stories for story in module.STORIES.values()]
    script = Script(World(core_settings(cl_ord_id_retention_ns=150 * SECOND, risk_stages=())))
    for number in range(1, 601):
        script.line(f"new a{number} buy 1 @100")
        if number == 300:
            script.line("trade C20 late 0.5")
        script.line(f"ack C{number}" if number % 40 == 0 else f"reject C{number}")
        if number % 5 == 0:
            script.line("+2s")
    assert script.world.state.cold.count and len(script.world.state.orders) + script.world.state.cold.count < 500
    shared = Script(World(core_settings(cl_ord_id_retention_ns=5 * SECOND)))
    for line in ("new a buy 1 @100", "ack C1", "cancel x a", "done C1 canceled 0", "+10s", "new b buy 1 @100"):
        shared.line(line)
    again = c.ChildAck(
        ts_ns=shared.world.tick(), venue=VENUE, venue_cl_ord_id=shared.children[1], venue_order_id="vC1"
    )
    shared.world.run(again)
    for line in ("new c buy 1 @100", "ack C3", "cancel y c", "done C3 canceled 0"):
        shared.line(line)
    return [*found, script.world.records, shared.world.records]


def write(path: Path, journals: list[list[bytes]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(msgspec.msgpack.encode(journals), 9, mtime=0))


@pytest.mark.parametrize("name", READ_AS)
def test_a_journal_of_an_older_build_is_read_and_means_what_it_meant(name: str) -> None:
    journals = msgspec.msgpack.decode(gzip.decompress((JOURNALS / name).read_bytes()), type=list[list[bytes]])
    assert len(journals) > 50
    total = hashlib.sha256()
    for records in journals:
        state = OPS.load_state(None)
        for payload in records:
            decode_record(payload)
            OPS.apply(state, payload)
        assert state.seq == len(records)
        total.update(state_hash(state).encode())
    assert READ_AS[name] == (SCHEMA_VERSION, total.hexdigest()), TOLD
