"""What is still owed to each session: the messages beyond its delivery cursor, counted for operations.

The journal is the truth and is too long to be read for a question: messages are counted as their records become durable,
and forgotten when the cursor passes them. What is kept per session are the journal sequences of the newest KEPT of them.
Older records are read when somebody asks for a session whose cursor stands that far back: a part at each question, and
what is not read yet is said (Count.more).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from fixgw.core.codec import Record, decode_record
from fixgw.core.events import DeliveryAdvanced, Reported
from fixgw.core.reports import Report
from fixgw.fix.acceptor_settings import AcceptorSession
from fixgw.journal.errors import JournalError

KEPT: Final = 10_000
# a record without this cannot hold a message
_MARK: Final = b"reported"
_LOOK_AT_CLOCK: Final = 256
# a question reads old records for so long at least, once it has found its place: each one comes farther
_AT_LEAST_S: Final = 0.1

Read = Callable[[int], Iterable[tuple[int, bytes]]]


class Count(msgspec.Struct, frozen=True):
    """`messages` are owed; `more`: at least so many."""

    messages: int
    more: bool


def concerns(session: AcceptorSession, event: Reported) -> str | None:
    """None: not for this session; "": its own; else the session whose report is copied to it."""
    if event.session == session.name:
        return ""
    if session.role != "drop_copy" or not isinstance(event.message, Report) or event.message.status_reply:
        return None
    sessions, accounts = session.scope_sessions, session.scope_accounts
    if event.session in sessions or "*" in sessions or event.account in accounts or "*" in accounts:
        return event.session
    return None


class _Tally:
    """One session. `seqs`: journal sequence of each message since `since`, the oldest first; `lost`: the newest that fell
    out of it. `older`: messages found between the cursor `older_from` and `older_upto`, all before `since`."""

    def __init__(self, session: AcceptorSession) -> None:
        self.session = session
        self.seqs: deque[int] = deque()
        self.lost = 0
        self.older = 0
        self.older_from = self.older_upto = -1

    def add(self, seq: int) -> None:
        if len(self.seqs) >= KEPT:
            self.lost = self.seqs.popleft()
        self.seqs.append(seq)

    def forget(self, delivered_seq: int) -> None:
        while self.seqs and self.seqs[0] <= delivered_seq:
            self.seqs.popleft()


class Owed:
    """`note` every durable record from `since` on, in order; ask `count` from any thread. `read`: the journal from a
    sequence on."""

    def __init__(self, sessions: Iterable[AcceptorSession], since: int, read: Read) -> None:
        self._tallies = {session.name: _Tally(session) for session in sessions}
        self._copies = [tally for tally in self._tallies.values() if tally.session.role == "drop_copy"]
        self._since = since
        self._read = read
        self._lock = threading.Lock()
        self._looking_back = threading.Lock()

    def note(self, record: Record) -> None:
        """Called for every order: cheap."""
        for event in record.events:
            if type(event) is Reported:
                with self._lock:
                    self._note(record.seq, event)
            elif type(event) is DeliveryAdvanced and event.session in self._tallies:
                with self._lock:
                    self._tallies[event.session].forget(event.seq)

    def _note(self, seq: int, event: Reported) -> None:
        own = self._tallies.get(event.session)
        if own is not None:
            own.add(seq)
        for copy in self._copies:
            if copy is not own and concerns(copy.session, event) is not None:
                copy.add(seq)

    def count(self, session: str, delivered_seq: int, until: float) -> Count:
        """What lies beyond the cursor `delivered_seq`. Old records are not begun to be read after `until` (time.monotonic)."""
        tally = self._tallies[session]
        older, complete = 0, True
        if delivered_seq < self._since - 1:
            with self._looking_back:
                complete = self._look_back(tally, delivered_seq, until)
                older = tally.older
        with self._lock:
            tally.forget(delivered_seq)
            known, lost = older + len(tally.seqs), tally.lost > delivered_seq
        return Count(min(known, KEPT), lost or not complete or known > KEPT)

    def _look_back(self, tally: _Tally, delivered_seq: int, until: float) -> bool:
        """Goes on where the last question stopped; False: not yet at the end. `_looking_back` is held."""
        if tally.older_from != delivered_seq:
            tally.older, tally.older_from, tally.older_upto = 0, delivered_seq, delivered_seq
        last = self._since - 1
        try:
            for seq, payload in self._until(until, tally.older_upto + 1):
                if seq > last or tally.older > KEPT:
                    break
                tally.older += _messages(tally.session, payload)
                tally.older_upto = seq
        except JournalError:
            # what is not kept any more, or cannot be read, is told by others; here it is "at least"
            return False
        return tally.older_upto >= last or tally.older > KEPT

    def _until(self, until: float, start: int) -> Iterator[tuple[int, bytes]]:
        """Records from `start` on, as long as there is time."""
        if time.monotonic() >= until:
            return
        for number, row in enumerate(self._read(start)):
            if number == 0:
                # finding the place may have meant to unpack an archived segment
                until = max(until, time.monotonic() + _AT_LEAST_S)
            elif number % _LOOK_AT_CLOCK == 0 and time.monotonic() >= until:
                return
            yield row


def _messages(session: AcceptorSession, payload: bytes) -> int:
    """How many of a record are for the session. A look at the bytes saves decoding most of them."""
    if _MARK not in payload or (session.role != "drop_copy" and session.name.encode() not in payload):
        return 0
    events = decode_record(payload).events
    return sum(1 for event in events if type(event) is Reported and concerns(session, event) is not None)
