"""Keeps the projection behind the journal, in a thread or (`python -m fixgw.journal.follower`) in a process of its own.

It only reads the journal's files, so nothing on the order path ever waits for it; a failure here is logged, told to the
gateway (projection_watch.py), tried again at intervals, and harms nobody else. If the projection does not fit the journal
(a power cut, another schema) or was deleted it is made anew.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
import sqlite_utils

from fixgw.core.codec import decode_record

from .errors import JournalError
from .projection import BATCH, Projector, lock_projection, matches_journal, rebuild, remove_log
from .reader import JournalReader

log = logging.getLogger(__name__)
RETRY_S: Final = 5.0
# a line on the pipe to the gateway, in bytes: written whole or not at all
MOST_TOLD: Final = 500


class ProjectionFollower:
    """Follows `directory` into the SQLite file `path`. run() blocks; start() runs it in a daemon thread. `tell`: is called with
    what troubles it, "" once it works, each time that this changes."""

    def __init__(
        self,
        directory: Path,
        path: Path,
        *,
        poll_s: float = 0.1,
        retry_s: float = RETRY_S,
        tell: Callable[[str], object] = lambda trouble: None,
    ) -> None:
        self._directory, self._path, self._poll_s, self._retry_s = directory, path, poll_s, retry_s
        self._stop = threading.Event()
        self._progress = threading.Condition()
        self._seq = 0
        self._thread: threading.Thread | None = None
        self.last_error: str | None = None
        self._tell = tell
        self._told: str | None = None

    @property
    def seq(self) -> int:
        """Last record that a query can see."""
        return self._seq

    def start(self) -> None:
        self._thread = threading.Thread(target=self.run, name="journal-projection", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end and, if start() was used, wait for it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def wait_for(self, seq: int, timeout_s: float) -> bool:
        """Wait until record seq is projected; False if not in time."""
        with self._progress:
            return self._progress.wait_for(lambda: self._seq >= seq, timeout_s)

    def run(self) -> None:
        """Follow until stopped."""
        while not self._stop.is_set():
            try:
                self._follow()
            except (JournalError, OSError, sqlite3.Error, ValueError) as error:
                if self.last_error != str(error):
                    log.error("journal: projection %s: %s; trying again every %s s", self._path, error, self._retry_s)
                self.last_error = str(error)
                self._say(f"its follower cannot go on: {error}")
                self._stop.wait(self._retry_s)

    def _say(self, trouble: str) -> None:
        if trouble != self._told:
            self._told = trouble
            self._tell(trouble)

    def _follow(self) -> None:
        if not self._fits():
            self._say("it did not fit the journal and is being made anew")
            log.warning("journal: projection %s does not fit the journal, making it anew", self._path)
            rebuild(self._directory, self._path)
        lock = lock_projection(self._path)
        try:
            if not self._path.exists():
                remove_log(self._path)
            with contextlib.closing(sqlite3.connect(self._path)) as connection:
                connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
                opened = self._path.stat().st_ino
                projector = Projector(sqlite_utils.Database(connection))
                reader = JournalReader(self._directory)
                self._advance(projector.last_seq)
                while not self._stop.is_set():
                    more = self._step(projector, reader)
                    if self._path.stat().st_ino != opened:
                        raise JournalError("another file was put in its place")
                    self._say("")
                    if not more:
                        self._stop.wait(self._poll_s)
        finally:
            os.close(lock)

    def _fits(self) -> bool:
        if not self._path.exists():
            return True
        try:
            with contextlib.closing(sqlite3.connect(self._path)) as connection:
                db = sqlite_utils.Database(connection)
                Projector(db)
                return matches_journal(db, self._directory)
        except (sqlite3.DatabaseError, JournalError):
            return False

    def _step(self, projector: Projector, reader: JournalReader) -> bool:
        """Project what came, at most one batch; True if there may be more."""
        count, first = 0, projector.last_seq + 1
        try:
            for count, (_, payload) in enumerate(reader.read(first, strict=False), 1):
                projector.add_record(decode_record(payload), payload)
                if count >= BATCH or self._stop.is_set():
                    break
            if count:
                projector.flush()
        except BaseException:
            projector.rollback()
            raise
        if count:
            self.last_error = None
            self._advance(projector.last_seq)
        return count >= BATCH

    def _advance(self, seq: int) -> None:
        with self._progress:
            self._seq = seq
            self._progress.notify_all()


@click.command(epilog="Example: python -m fixgw.journal.follower demo/data/journal demo/data/projection.db")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("database", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--poll", default=0.1, show_default=True, type=click.FloatRange(0.01, 60), help="Seconds between looks.")
@click.option("--tell", "tell_fd", type=click.IntRange(3), help="A pipe's descriptor: what troubles it is written there.")
def main(directory: Path, database: Path, poll: float, tell_fd: int | None) -> None:
    """Keep DATABASE (SQLite) behind the journal in DIRECTORY until SIGTERM."""

    def tell(trouble: str) -> None:
        if tell_fd is None:
            return
        line = " ".join(trouble.split()).encode()[:MOST_TOLD] + b"\n"
        with contextlib.suppress(OSError):  # nobody reads any more: the gateway is gone, or sees by itself that we are behind
            os.write(tell_fd, line)

    follower = ProjectionFollower(directory, database, poll_s=poll, tell=tell)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    follower.run()


def _end(number: int, frame: object) -> None:
    """Not by the event that run() waits for: the handler may run while this very thread holds the event's lock, and would
    then wait for itself. What is being projected is rolled back and comes again at the next start."""
    raise SystemExit(0)


if __name__ == "__main__":
    main()
