"""The gateway's helpers beside the order path: the SQLite projection's follower and, now and then, a snapshot.

Both are processes of their own (nice 10), so that neither holds the GIL that an order waits for, and neither can take the
gateway down. They die with it.
"""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from pathlib import Path
from typing import IO

from ..process import tied
from .layout import remove_leftovers, snapshot_files
from .store import Journal

log = logging.getLogger(__name__)

CHECK_S = 5.0
RESTART_S = 10.0
# after a snapshot that failed: each try fills the disk by the size of the state for a moment
SNAPSHOT_RETRY_S = 60.0


class Housekeeping:
    """`every`: records between two snapshots."""

    def __init__(
        self, journal: Journal, database: Path, log_file: Path, *, every: int, archive: bool
    ) -> None:
        self._journal = journal
        self._database = database
        self._log_file = log_file
        self._every = every
        self._archive = archive
        self._stop = threading.Event()
        self._follower: subprocess.Popen[bytes] | None = None
        self._snapshotter: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0
        self._snapshot_after_s = 0.0
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End both processes."""
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        with self._log_file.open("ab") as output:
            while True:
                try:
                    self._look(output)
                except OSError as error:
                    log.warning("housekeeping: %s", error)
                if self._stop.wait(CHECK_S):
                    break
            for process in (self._follower, self._snapshotter):
                if process is not None and process.poll() is None:
                    process.terminate()
                    try:
                        process.wait(timeout=5)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait(timeout=5)
            remove_leftovers(self._journal.directory, start=False)

    def _look(self, output: IO[bytes]) -> None:
        if (self._follower is None or self._follower.poll() is not None) and time.monotonic() > self._started_s + RESTART_S:
            self._started_s = time.monotonic()
            self._follower = self._spawn(output, "fixgw.journal.follower", str(self._journal.directory), str(self._database))
        if self._snapshotter is not None and self._snapshotter.poll() is None:
            return
        if self._snapshotter is not None:
            self._snapshot_ended(self._snapshotter.returncode)
        newest = snapshot_files(self._journal.directory)[:1]
        done = newest[0][0] if newest else 0
        durable = self._journal.durable_seq
        # a full disk is for fills and cancels
        if durable - done < self._every or time.monotonic() < self._snapshot_after_s or self._journal.full:
            return
        options = ["--upto", str(durable)]
        if not self._archive:
            options += ["--floor", "0"]
        self._snapshotter = self._spawn(output, "fixgw.journal.snapshotter", str(self._journal.directory), *options)

    def _snapshot_ended(self, status: int) -> None:
        self._snapshotter = None
        if status:
            log.warning("the snapshotter ended with %d (see %s); again in %.0f s", status, self._log_file, SNAPSHOT_RETRY_S)
            self._snapshot_after_s = time.monotonic() + SNAPSHOT_RETRY_S
            # killed, it could not clean up
            remove_leftovers(self._journal.directory, start=False)

    @staticmethod
    def _spawn(output: IO[bytes], module: str, *args: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(tied(module, *args, nice=10), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
