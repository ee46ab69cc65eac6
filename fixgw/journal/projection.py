"""The journal as SQLite tables, for people and tools to query. Never the truth: it can be made anew from the journal
at any time.

One transaction holds a batch of records and `meta.last_seq`, so that a record is projected exactly once.
meta.last_crc is the checksum of that record's bytes: after a power cut the projection may know records that the
journal has lost, and then it differs. An order's row is the core's own order (projection_orders.py).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import google_crc32c
import msgspec
import sqlite_utils

from fixgw.core.codec import Record, decode_record
from fixgw.core.events import ChildPlaced, OrderEvent, Reported
from fixgw.core.reports import BusinessReject, CancelReject, Notice, Report

from .errors import JournalError, JournalGap
from .layout import read_layout
from .plain import plain
from .projection_orders import OrderRows
from .projection_tables import CHILD_STATUS, IGNORED, INDEXES, SCHEMA, SESSION_EVENTS, TABLES
from .reader import JournalReader

BATCH: Final = 2000
_MAX_INT: Final = (1 << 63) - 1
_encode_json = msgspec.json.encode
_MSG_TYPES: Final = {Report: "8", CancelReject: "9", BusinessReject: "j", Notice: "B"}


class Projector:
    """Turns records into rows of one database. Use from one thread; flush() ends the transaction."""

    def __init__(self, db: sqlite_utils.Database) -> None:
        self.db = db
        create_tables(db)
        self._last: tuple[int, str] | None = None
        self._orders = OrderRows(db.conn)
        self._inserts = {table: _insert_sql(table) for table in TABLES}

    @property
    def last_seq(self) -> int:
        """Last projected record, 0 if there is none; flushed or not."""
        return self._last[0] if self._last is not None else int(read_meta(self.db, "last_seq") or 0)

    def add_record(self, record: Record, payload: bytes) -> None:
        """Project one decoded record; payload: its bytes, for the checksum."""
        self.add(record.seq, record.ts_ns, record.part, type(record.command).__name__, record.events)
        self._last = (record.seq, f"{google_crc32c.value(payload):08x}")

    def add(self, seq: int, ts_ns: int, part: str, cmd_name: str, events: Iterable[msgspec.Struct]) -> None:
        """Project the events of one record; what they tell is everything that happened, the command stays in the journal.
        Raises ValueError if it is not the record after the last, or does not fit what is projected."""
        if self._last is not None and seq != self._last[0] + 1:
            raise ValueError(f"record {seq}, expected {self._last[0] + 1}")
        for index, event in enumerate(events):
            name, fields = type(event).__name__, plain(event)
            at = {"seq": seq, "idx": index, "ts_ns": fields.get("ts_ns", ts_ns)}
            if isinstance(event, OrderEvent):
                self._orders.apply(event, seq)
            elif isinstance(event, ChildPlaced):
                self._orders.placed(event)
            if isinstance(event, Reported):
                self._report(event, fields["message"], at)
            elif not self._known(name, fields, at):
                row = {**at, "part": part, "command": cmd_name, "event": name, "data": _json(fields)}
                self._insert("events", row)
        self._last = (seq, "")

    def flush(self) -> None:
        """Commit everything since the last flush, together with the place reached."""
        self._orders.flush()
        if self._last is not None:
            self._insert("meta", {"key": "last_seq", "value": str(self._last[0])})
            self._insert("meta", {"key": "last_crc", "value": self._last[1]})
        self.db.conn.commit()

    def rollback(self) -> None:
        """Forget everything since the last flush."""
        self.db.conn.rollback()
        self._orders.forget()
        self._last = None

    def _known(self, name: str, fields: dict[str, Any], at: dict[str, Any]) -> bool:
        """Project an event that has a table of its own; False if it has none."""
        if name in IGNORED:
            return True
        if name == "ChildPlaced":
            times = {"placed_ns": at["ts_ns"], "updated_ns": at["ts_ns"], "last_seq": at["seq"]}
            self._insert("children", {**fields, **times, "status": "placed"})
        elif name in CHILD_STATUS:
            self._child(name, fields, at)
        elif name in ("OrderFilled", "FillCorrected", "FillBusted"):
            self._fill(name, fields, at)
        elif name == "AdminActed":
            self._insert("admin_actions", {**fields, **at})
        elif name in SESSION_EVENTS:
            self._insert("sessions_log", {**at, "session": fields.get("session"), "event": name, "data": _json(fields)})
        else:
            return False
        return True

    def _report(self, event: Reported, message: dict[str, Any], at: dict[str, Any]) -> None:
        row = {**message, **at, "session": event.session, "account": event.account, "msg_type": _MSG_TYPES[type(event.message)]}
        self._insert("reports", {**row, "message": _json(message)})

    def _child(self, name: str, fields: dict[str, Any], at: dict[str, Any]) -> None:
        changed = {"status": CHILD_STATUS[name].format(**fields), "updated_ns": at["ts_ns"], "last_seq": at["seq"]}
        for field, column in (("venue_order_id", "venue_order_id"), ("reason", "reason"), ("op", "unknown_op")):
            if field in fields:
                changed[column] = fields[field]
        if name == "ChildAmended":
            changed["qty"] = fields["qty"]
        self._update("children", changed, {"venue_cl_ord_id": fields["venue_cl_ord_id"]})

    def _fill(self, name: str, fields: dict[str, Any], at: dict[str, Any]) -> None:
        if name == "OrderFilled":
            self._insert("fills", {**fields, "ts_ns": at["ts_ns"], "seq": at["seq"], "busted": 0, "corrected": 0})
            return
        changed = {"busted": 1} if name == "FillBusted" else {"corrected": 1, "qty": fields["qty"], "px": fields["px"]}
        key = {"venue_cl_ord_id": fields["venue_cl_ord_id"], "venue_trade_id": fields["venue_trade_id"]}
        self._update("fills", changed, key)

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        columns = TABLES[table][1]
        self.db.conn.execute(self._inserts[table], [_sql(row.get(name)) for name in columns])

    def _update(self, table: str, changed: dict[str, Any], key: dict[str, Any]) -> None:
        assignments = ", ".join(f"{name} = ?" for name in changed)
        where = " AND ".join(f"{name} = ?" for name in key)
        values = [_sql(value) for value in (*changed.values(), *key.values())]
        self.db.conn.execute(f"UPDATE {table} SET {assignments} WHERE {where}", values)


def create_tables(db: sqlite_utils.Database) -> None:
    """Make what is missing; an existing database of another schema is refused (JournalError: rebuild it)."""
    if "meta" in db.table_names():
        found = read_meta(db, "schema")
        if found != str(SCHEMA):
            raise JournalError(f"projection has schema {found}, expected {SCHEMA}: run `fixgw journal rebuild`")
        return
    for name, (key, columns) in TABLES.items():
        db[name].create(columns, pk=key)
        for index in INDEXES.get(name, []):
            db[name].create_index(index)
    db["meta"].insert({"key": "schema", "value": str(SCHEMA)})
    db.conn.commit()


def read_meta(db: sqlite_utils.Database, key: str) -> str | None:
    """One value of the table meta."""
    row = db.conn.execute("SELECT value FROM meta WHERE key = ?", [key]).fetchone()
    return None if row is None else str(row[0])


def matches_journal(db: sqlite_utils.Database, directory: Path) -> bool:
    """True if the last projected record is the very record that the journal holds under that number."""
    seq = int(read_meta(db, "last_seq") or 0)
    if not seq:
        return True
    found = next(iter(JournalReader(directory).read(seq, strict=False)), None)
    return found is not None and f"{google_crc32c.value(found[1]):08x}" == read_meta(db, "last_crc")


def rebuild(directory: Path, out: Path, progress: Callable[[int, int], None] | None = None) -> int:
    """Make the projection anew beside the old one, then replace it; returns the last sequence.

    progress(done, total) is called now and then. Raises JournalError (a follower is at work, or the journal is
    damaged), ValueError (a record that the codec cannot read), OSError, sqlite3.Error; then the old projection is
    untouched.
    """
    temporary = out.with_name(out.name + ".new")
    lock = lock_projection(out)
    try:
        temporary.unlink(missing_ok=True)
        try:
            last_seq = _fill_new(directory, temporary, progress)
        except JournalGap as error:
            raise JournalError(f"{error}: the projection cannot be made anew") from error
        remove_log(out)
        os.replace(temporary, out)
        return last_seq
    finally:
        temporary.unlink(missing_ok=True)
        os.close(lock)


def remove_log(path: Path) -> None:
    """Of a database that is no more: SQLite would take its pages into the next one of that name."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _fill_new(directory: Path, path: Path, progress: Callable[[int, int], None] | None) -> int:
    total = _last_first_seq(directory)
    connection = sqlite3.connect(path)
    try:
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        projector = Projector(sqlite_utils.Database(connection))
        seq = 0
        for seq, payload in JournalReader(directory).read():
            projector.add_record(decode_record(payload), payload)
            if seq % BATCH == 0:
                projector.flush()
                if progress is not None:
                    progress(seq, max(seq, total))
        projector.flush()
        if progress is not None:
            progress(seq, seq)
    finally:
        connection.close()
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return seq


def lock_projection(path: Path) -> int:
    """Descriptor that holds the projection's lock. Raises JournalError if a follower or another rebuild holds it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise JournalError(f"projection {path} is being written by another process: stop it, or name another file") from None
    return fd


def _last_first_seq(directory: Path) -> int:
    layout = read_layout(directory)
    segments = layout.archived + layout.live
    return segments[-1].first_seq if segments else 0


def _insert_sql(table: str) -> str:
    columns = TABLES[table][1]
    return f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _sql(value: Any) -> Any:
    """A value that SQLite keeps exactly."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and not -_MAX_INT <= value <= _MAX_INT:
        return str(value)
    if isinstance(value, (dict, list)):
        return _json(value)
    return value


def _json(value: Any) -> str:
    return _encode_json(plain(value)).decode()
