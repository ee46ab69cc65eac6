"""What the journal tells of one order: its history and its fills.

The record that made the order stands in its id, so reading begins there. Where it ends is asked of the projection for an order
that is older than one may read: the last record that names it, and the last one that the projection has seen. Between those
two there is nothing of it. So what is told to be incomplete is: an order that lived for longer, records that were moved
away, a projection that is missing, wrong or far behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import google_crc32c
import msgspec

from ..core import events as e
from ..core.codec import decode_record
from ..engine import Engine
from ..journal.errors import JournalGap
from ..journal.projected import last_named
from . import views
from .recent import kept

# records that are read for one order: half a second of the gateway's time
MAX_RECORDS = 500_000
MAX_ROWS = 1_000
SYNC_WAIT_S = 1.0

_Records = Iterator[tuple[int, bytes]]


class History(msgspec.Struct):
    """`rows`: as in the protocol; `reports`: messages that name the order, fills among them; `lacks`: which records may have
    more of it, and why they were not looked at."""

    rows: list[views.Row] = []
    reports: list[e.Reported] = []
    lacks: list[str] = []


class _Reader:
    """Reads for one order, within MAX_RECORDS and MAX_ROWS."""

    def __init__(self, order_id: str) -> None:
        self.found = History()
        self._order_id = order_id
        self._name = order_id.encode()
        self._read = 0

    def read(self, records: Iterable[tuple[int, bytes]], upto: int | None = None) -> bool:
        """Take in what is of the order. False: there are more records than it may look through, which `found` tells."""
        for seq, payload in records:
            if upto is not None and seq > upto:
                break
            if self._read >= MAX_RECORDS or len(self.found.rows) >= MAX_ROWS:
                which, to = (f"from {seq} on", "") if upto is None else (f"{seq} to {upto}", f" --to {upto}")
                told = f"records {which} were not looked through: `fixgw journal export --from {seq}{to}` has them"
                self.found.lacks.append(told)
                return False
            self._read += 1
            if self._name in payload:
                self._take(seq, payload)
        return True

    def _take(self, seq: int, payload: bytes) -> None:
        for event in decode_record(payload).events:
            row = views.history_row(seq, event, self._order_id)
            if row is not None:
                self.found.rows.append(row)
            if isinstance(event, e.Reported) and getattr(event.message, "order_id", "") == self._order_id:
                self.found.reports.append(event)


def history_of(engine: Engine, database: Path, order_id: str) -> History:
    """See the module's docstring. `database`: the projection."""
    made = int(order_id[8:15], 36)
    start, records = kept(engine, made)
    reader = _Reader(order_id)
    if start > made:
        reader.found.lacks.append(f"records {made} to {start - 1} are not in the journal's folder any more")
    end = _end(engine, database, order_id) if engine.durable_seq - start >= MAX_RECORDS else None
    if end is None:
        reader.read(records)
    else:
        last, unseen = end
        if reader.read(records, last):
            reader.read(unseen)
    return reader.found


def _end(engine: Engine, database: Path, order_id: str) -> tuple[int, _Records] | None:
    """The last record that the projection knows to name the order, and the records that it has not seen. None: it cannot tell, or
    what it has seen is not what the journal holds (a power cut can take records that it has read)."""
    told = last_named(database, order_id)
    if told is None:
        return None
    if engine.durable_seq < told.seen:
        # the follower reads what is written, synced or not
        engine.journal.subscribe(told.seen - 1, SYNC_WAIT_S)
    records = iter(engine.journal.read(told.seen))
    try:
        newest = list(islice(records, 1))
    except JournalGap:
        return None
    return (told.last, records) if newest and f"{google_crc32c.value(newest[0][1]):08x}" == told.seen_crc else None
