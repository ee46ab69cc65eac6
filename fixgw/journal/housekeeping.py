"""The gateway's helpers beside the order path: the SQLite projection's follower and, now and then, a snapshot.

Both are processes of their own (nice 10), so that neither holds the GIL that an order waits for, and neither can take the
gateway down. They die with it. A projection that does not keep up is told in `fixgw status` and, when it lasts, by an alert
(projection_watch.py).
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ..process import describe_exit, tied
from .layout import remove_leftovers
from .projection_watch import Ear, ProjectionWatch
from .snapshot import newest_seq
from .store import Journal

log = logging.getLogger(__name__)

CHECK_S = 5.0
RESTART_S = 10.0
# after a snapshot that failed: each try fills the disk by the size of the state for a moment
SNAPSHOT_RETRY_S = 60.0
# of what its processes say: a follower that fails for days tells the same again and again
LOG_BYTES = 16 << 20


class Housekeeping:
    """`every`: records between two snapshots; `schema_version`: of those that a start of this build can use. `tell(what, why)`:
    the projection's trouble, and its end, for the journal."""

    def __init__(
        self,
        journal: Journal,
        database: Path,
        log_file: Path,
        *,
        every: int,
        schema_version: int,
        archive: bool,
        tell: Callable[[str, str], object],
    ) -> None:
        self._journal = journal
        self._database = database
        self._log_file = log_file
        self._every = every
        self._schema_version = schema_version
        self._archive = archive
        self._tell = tell
        self.projection = ProjectionWatch(database, lambda: journal.durable_seq)
        self._ear: Ear | None = None
        self._stop = threading.Event()
        self._follower: subprocess.Popen[bytes] | None = None
        self._snapshotter: subprocess.Popen[bytes] | None = None
        self._started_s = -RESTART_S
        self._snapshot_after_s = 0.0
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End both processes."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        with self._output() as output:
            while True:
                try:
                    self._look(output)
                except Exception:
                    # this thread must go on: without it nobody would see that nothing is projected any more
                    log.exception("housekeeping: tried again in %.0f s", CHECK_S)
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
            if self._ear is not None:
                self._ear.close()
            remove_leftovers(self._journal.directory, start=False)

    def _output(self) -> IO[bytes]:
        try:
            return self._log_file.open("ab")
        except OSError as error:
            log.error("housekeeping: what its processes say is lost: %s", error)
            return open(os.devnull, "ab")

    def _look(self, output: IO[bytes]) -> None:
        try:
            with contextlib.suppress(OSError):  # nothing depends on it
                if os.fstat(output.fileno()).st_size > LOG_BYTES:
                    os.ftruncate(output.fileno(), 0)  # whoever writes there appends
            self._look_after_follower(output)
            self._look_after_snapshots(output)
        finally:
            self.projection.look()
            if (news := self.projection.news()) is not None:
                self._tell(*news)

    def _look_after_follower(self, output: IO[bytes]) -> None:
        if self._ear is not None and (said := self._ear.last()) is not None:
            self.projection.heard(said)
        if self._follower is not None and (status := self._follower.poll()) is not None:
            self._follower = None
            self.projection.heard(f"its follower ended ({describe_exit(status)}) and is started again; see {self._log_file}")
        if self._follower is not None or time.monotonic() < self._started_s + RESTART_S:
            return
        self._started_s = time.monotonic()
        if self._ear is not None:
            self._ear.close()
        self._ear = ear = Ear()
        try:
            args = (str(self._journal.directory), str(self._database), "--tell", str(ear.theirs))
            self._follower = self._spawn(output, "fixgw.journal.follower", *args, pass_fds=(ear.theirs,))
        except (OSError, subprocess.SubprocessError) as error:
            self.projection.heard(f"its follower cannot be started: {error}")
            raise
        finally:
            ear.started()

    def _look_after_snapshots(self, output: IO[bytes]) -> None:
        if self._snapshotter is not None and self._snapshotter.poll() is None:
            return
        if self._snapshotter is not None:
            self._snapshot_ended(self._snapshotter.returncode)
        # those of an older build save no start any work
        done = newest_seq(self._journal.directory, self._schema_version)
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
    def _spawn(output: IO[bytes], module: str, *args: str, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        argv = tied(module, *args, nice=10)
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=pass_fds)
