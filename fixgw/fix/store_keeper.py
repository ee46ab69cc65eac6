"""Mends a session whose FileStore could not be written.

QuickFIX's FileStore writes by FILE*, looks at ferror() and never clears it: after one write that failed (a disk that was full
for a moment) nothing is sent in that session any more, while what comes in is processed as ever. So from the first failure on
(QuickFIX says "IO Error" to its log, and nothing else)

    the session takes no new orders and no Logons  (callbacks.py, by `link.store_failed`, set in the failing call itself)
    it is logged out; a Logout that cannot be stored is not sent, then QuickFIX cuts the connection after 2 s
    its files are repaired and opened anew, as at a start of the process: once it is away, so that a refusal can be told where
    the last block has room, and again when the disk has room for a megabyte; then it may come back
    what was handed over and is not in the store is sent again with 97=Y, what was not sent follows  (delivery.py)

Where there is room and opening fails all the same, `on_lost` is told: the process must end, since a start mends it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from fixgw.fix.port import EnginePort, note
from fixgw.fix.session_link import SessionLink

log = logging.getLogger("fixgw.fix.acceptor")

IO_ERROR: Final = "IO Error"
STORE_FAILED: Final = "the message store of the session cannot be written (is the disk full?)"
ROOM_BYTES: Final = 1 << 20
LOOK_S: Final = 0.25
# between two openings of a store that goes on failing
AGAIN_S: Final = 1.0
# openings that fail though there is room
TRIES: Final = 3


class _Case:
    """One session whose store failed; `failures`: how often, the last time it was opened anew."""

    def __init__(self) -> None:
        self.told = False
        self.failures = -1
        self.next_s = 0.0
        self.tries = 0


class StoreKeeper:
    """`reopen` opens a session's store anew, with nobody logged on; False: not now. It raises what QuickFIX does."""

    def __init__(
        self,
        engine: EnginePort,
        links: Mapping[str, SessionLink],
        folder: Path,
        reopen: Callable[[SessionLink, bool], bool],
        on_lost: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._links = links
        self._folder = folder
        self._reopen = reopen
        self._on_lost = on_lost
        self._cases: dict[str, _Case] = {}
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="fix-stores", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def heard(self, name: str, text: str) -> None:
        """An event of QuickFIX's log. It holds its locks here: this only remembers."""
        link = self._links.get(name)
        if link is None or not text.startswith(IO_ERROR):
            return
        link.store_failures += 1
        if not link.store_failed:
            link.store_failed = STORE_FAILED
            log.error("session %s: %s: no new orders until it can: %s", name, STORE_FAILED, text)
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping:
            failed = [link for link in self._links.values() if link.store_failed]
            for link in failed:
                try:
                    self._see_to(link, self._cases.setdefault(link.spec.name, _Case()))
                except Exception:
                    log.exception("session %s: its store is not mended yet", link.spec.name)
            self._wake.wait(LOOK_S if failed else None)
            if failed and not self._stopping:
                time.sleep(LOOK_S / 10)  # a store that goes on failing wakes this thread again and again
            self._wake.clear()

    def _see_to(self, link: SessionLink, case: _Case) -> None:
        session = link.session
        if link.logged_on and session.isEnabled():
            link.delivery.logged_out()  # each try to send would put off the end of QuickFIX's patience
            link.log_out(link.logout_reason or STORE_FAILED)  # said and cut by the connection's own thread
        if not case.told:
            case.told = True
            self._note("session store failed", link, STORE_FAILED)
        now_s = time.monotonic()
        if link.present or link.logged_on or now_s < case.next_s:
            return
        room = self._room()
        failures = link.store_failures
        if not room and failures == case.failures:
            return
        case.next_s = now_s + AGAIN_S
        try:
            done = self._reopen(link, room)
        except Exception as error:
            case.tries += room
            log.exception("session %s: its store cannot be opened anew", link.spec.name)
            if case.tries >= TRIES:
                self._on_lost(f"session {link.spec.name}: its store cannot be opened anew: {type(error).__name__}: {error}")
            return
        if done:
            case.failures = failures
        if done and room:
            del self._cases[link.spec.name]
            self._note("session store mended", link, "the message store can be written again: the session may log on")

    def _room(self) -> bool:
        probe = self._folder / ".room"
        try:
            with probe.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, ROOM_BYTES)
        except OSError:
            return False
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)
        return True

    def _note(self, action: str, link: SessionLink, reason: str) -> None:
        log.warning("session %s: %s", link.spec.name, reason)
        note(self._engine, action, link.spec.name, reason)
