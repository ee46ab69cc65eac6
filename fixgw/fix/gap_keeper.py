"""Bounds what QuickFIX keeps of a session whose messages have a gap.

It queues whatever comes behind a missing number, without end, until the gap is filled or the connection is gone; and when it is
filled, each Heartbeat, TestRequest and Reject in the queue is processed within the call that processes the one before it, so
that some twenty thousand of them overflow the stack and end the process. It tells of each message that it queues and takes
out again in its log, and that is what is counted here. Beyond a limit the session is logged out with the reason; the front gives
QuickFIX only little of what the client sends behind that Logout (front_connection.py). The client logs on again, and what it is
asked to send again comes in sequence and waits nowhere: only what it sends anew meanwhile does, and the limits leave it minutes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Final

import quickfix as fix

from fixgw.fix.session_link import SessionLink
from fixgw.process import give_back_memory

log = logging.getLogger("fixgw.fix.acceptor")

MAX_MESSAGES: Final = 20_000
# of those that are processed within each other; 10,000 of them do no harm, 30,000 do
MAX_NESTED: Final = 4_000
MAX_BYTES: Final = 64 * 1024 * 1024
# what QuickFIX needs for a message, and for a field of it, beside its bytes
MESSAGE_BYTES: Final = 600
FIELD_BYTES: Final = 110
# from this much on it is worth to be given back
WORTH_BYTES: Final = 8 * 1024 * 1024
SETTLE_S: Final = 1.0

_QUEUED: Final = "MsgSeqNum too high"
_TAKEN_OUT: Final = "Processing QUEUED message: "
_GONE: Final = "Disconnecting"
_NESTED_TYPES: Final = ("\x0135=0\x01", "\x0135=1\x01", "\x0135=3\x01")
_TYPE_WITHIN: Final = 64


class Waiting:
    """What waits behind the gap of one session. Written in the thread of its connection."""

    def __init__(self) -> None:
        self._costs: dict[int, tuple[int, bool]] = {}
        self.bytes = self.nested = self.peak = 0

    def add(self, number: int, raw: str) -> None:
        self.remove(number)  # QuickFIX keeps the newer one
        nested = any(kind in raw[:_TYPE_WITHIN] for kind in _NESTED_TYPES)
        cost = MESSAGE_BYTES + len(raw) + FIELD_BYTES * raw.count("\x01")
        self._costs[number] = cost, nested
        self.bytes += cost
        self.nested += nested
        self.peak = max(self.peak, self.bytes)

    def remove(self, number: int) -> None:
        cost, nested = self._costs.pop(number, (0, False))
        self.bytes -= cost
        self.nested -= nested

    def clear(self) -> None:
        self._costs.clear()
        self.bytes = self.nested = 0

    def too_much(self) -> str:
        """What is beyond its limit; "": nothing."""
        if len(self._costs) > MAX_MESSAGES:
            return f"{len(self._costs)} messages, at most {MAX_MESSAGES} are kept"
        if self.nested > MAX_NESTED:
            return f"{self.nested} Heartbeats, TestRequests and Rejects, at most {MAX_NESTED} are kept"
        if self.bytes > MAX_BYTES:
            return f"{self.bytes >> 20} MB, at most {MAX_BYTES >> 20} MB are kept"
        return ""

    def empty(self) -> bool:
        return not self._costs


class GapKeeper:
    """For all sessions. `links`: session name -> SessionLink."""

    def __init__(self, links: Mapping[str, SessionLink]) -> None:
        self._links = links
        self._waiting = {name: Waiting() for name in links}
        self._last = dict.fromkeys(links, "")
        self._over: dict[str, str] = {}
        # connections of each that have ended
        self._gone = dict.fromkeys(links, 0)
        self._give_back = False
        self._wake = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fix-gaps", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        self._end.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def incoming(self, name: str, raw: str) -> None:
        """Each message, before QuickFIX looks at it."""
        self._last[name] = raw

    def heard(self, name: str, text: str) -> None:
        """An event of QuickFIX's log. It holds its locks here: this only remembers."""
        waiting = self._waiting.get(name)
        if waiting is None:
            return
        if text.startswith(_QUEUED):
            waiting.add(int(text.rpartition(" ")[2]), self._last[name])
            if name not in self._over and (why := waiting.too_much()):
                self._over[name] = f"too much waits behind a gap in MsgSeqNum(34): {why}; log on again and send what is missing"
                self._wake.set()
        elif text.startswith(_TAKEN_OUT):
            waiting.remove(int(text[len(_TAKEN_OUT) :]))
            if waiting.empty():
                self._emptied(waiting)
        elif text == _GONE:
            self._gone[name] += 1
            waiting.clear()
            self._over.pop(name, None)
            self._emptied(waiting)

    def _emptied(self, waiting: Waiting) -> None:
        peak, waiting.peak = waiting.peak, 0
        if peak >= WORTH_BYTES:
            self._give_back = True
            self._wake.set()

    def _run(self) -> None:
        while not self._end.is_set():
            for name, why in list(self._over.items()):
                # each by itself: a client that does not read holds up its own Logout
                threading.Thread(target=self._log_out, args=(name, why), name="fix-gap-logout", daemon=True).start()
            if self._give_back:
                self._give_back = False
                self._end.wait(SETTLE_S)  # QuickFIX frees them right after it has said so
                give_back_memory()
            # again, where a Logout could not be said
            self._wake.wait(SETTLE_S if self._over else None)
            self._wake.clear()

    def _log_out(self, name: str, why: str) -> None:
        link, gone = self._links[name], self._gone[name]
        try:
            session = link.session
            if link.logged_on and session.isEnabled():
                log.warning("session %s: logged out: %s", name, why)
                link.log_out(why)
                # says it now: its connection's thread would look for that when it is idle only, and so never
                session.next(fix.UtcTimeStamp.now())
                if self._gone[name] != gone and session.sentLogout():
                    # the answer was quicker than QuickFIX's note that it has said Logout, which would be taken for one of the
                    # next connection: its Logout would get no answer. Ending it again clears the note
                    session.disconnect()
        except Exception:
            log.exception("session %s: cannot be logged out", name)
