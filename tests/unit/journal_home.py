"""A folder with a journal of COUNT records that was cleanly closed, and `fixgw journal` on it."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from fixgw.core import commands as cmd
from fixgw.core import events as ev
from fixgw.core.codec import Record, encode_record
from fixgw.journal.commands import journal
from fixgw.journal.store import Journal

COUNT = 30


def fill_journal(home: Path) -> None:
    """COUNT records, numbered from 1, in several segments."""
    store = Journal.open(home / "data" / "journal", segment_bytes=4096, reserve_bytes=4096)
    for seq in range(1, COUNT + 1):
        note = cmd.AdminNote(ts_ns=seq, action="x" * 300, target=f"t{seq}", user="ann", reason="r")
        acted = ev.AdminActed(action="note", target=f"t{seq}", user="ann", reason="r", ts_ns=seq)
        store.append(seq, encode_record(Record(seq=seq, ts_ns=seq, part="gw", command=note, events=(acted,))))
        store.commit()
    store.close(clean=True)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(journal, list(arguments))
