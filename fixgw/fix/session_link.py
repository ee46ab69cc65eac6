"""One session at run time, and what is known of the threads in which QuickFIX calls."""

from __future__ import annotations

import collections
import threading
from typing import Final

import quickfix as fix

from fixgw.core.reports import BusinessReject
from fixgw.fix.acceptor_settings import AcceptorSession
from fixgw.fix.delivery import Delivery
from fixgw.fix.inbound.fields import whole
from fixgw.fix.port import EnginePort

# A client may ask again and again, and may ask for very much, but not both within this time
RESEND_WINDOW_S: Final = 60.0
MAX_RESENDS: Final = 20
MAX_RESENT: Final = 50_000


class QuickFixThread(threading.local):
    """What a thread of QuickFIX need not ask QuickFIX for: each such question lets other threads take the interpreter."""

    pinned = False
    # of a connection's thread: its session, from onLogon on
    link: SessionLink | None = None
    # while it is in SessionLink.send
    sending: SessionLink | None = None
    # of a connection's thread: it brought a Logon that was refused
    refused = False
    # wall and CPU time at which the last fromApp was left, and how often in a row (MORE_MAX at most) the next message was
    # there already
    left_ns = 0
    left_cpu_ns = 0
    streak = 0


this_thread: Final = QuickFixThread()


class SessionLink:
    """One session at run time. Written by its connection thread; the flags are read by others."""

    def __init__(self, spec: AcceptorSession, engine: EnginePort) -> None:
        self.spec = spec
        self.session_id = spec.session_id
        self.delivery: Delivery
        self.engine = engine
        self.epoch = engine.session_cursor(spec.name).reset_epoch
        self.logged_on = False
        # from the Logon that was let in until onLogout has returned
        self.present = False
        self.barred = ""
        # like barred, while operations change the message numbers; `gate`: no Logon is judged, no number changed meanwhile
        self.held = ""
        # why its store cannot be written, and how often that was tried (store_keeper.py); refusals that it could not take
        self.store_failed = ""
        self.store_failures = 0
        self.unsaid: collections.deque[BusinessReject] = collections.deque(maxlen=1000)
        self.gate = threading.Lock()
        self.changing = threading.Lock()
        self.reopen = False
        self.connected_ns: int | None = None
        self.logout_reason = ""
        # asked to leave while its Logon was being answered: why
        self.leaving = ""
        self.next_out = 1
        self.errors = 0
        self.refused = 0
        # QuickFIX's file of its numbers was missing at the start
        self.numbers_lost = False
        self.resends: collections.deque[tuple[float, int]] = collections.deque(maxlen=1000)

    @property
    def session(self) -> fix.Session:
        return fix.Session.lookupSession(self.session_id)

    def resends_too_often(self, begin: str, end: str, now_s: float) -> bool:
        """Counts one ResendRequest from BeginSeqNo(7) to EndSeqNo(16); True when it is one too many."""
        span = 0
        if all(text.isascii() and text.isdigit() for text in (begin, end)):  # else QuickFIX refuses it
            newest, last = self.session.getExpectedSenderNum() - 1, whole(end)
            # FIX 4.2 says 999999 for "to the end", later versions 0
            span = (newest if last in (0, 999_999) else min(last, newest)) - whole(begin) + 1
        while self.resends and now_s - self.resends[0][0] > RESEND_WINDOW_S:
            self.resends.popleft()
        self.resends.append((now_s, max(span, 1)))
        return len(self.resends) > MAX_RESENDS and sum(count for _, count in self.resends) > MAX_RESENT

    def log_out(self, reason: str) -> None:
        """Has the connection ended with a Logout that says so; the client may log on again when it is gone."""
        self.logout_reason = reason
        self.session.logout(reason)
        self.reopen = True
        if not self.present:  # it was gone before, and its onLogout has found nothing to undo
            self.logout_reason = ""
            self.may_log_on()

    def may_log_on(self) -> None:
        """QuickFIX refuses every Logon of a session that it was told to log out, until it is told otherwise."""
        if self.reopen:
            self.reopen = False
            self.session.logon()

    def send(self, message: fix.Message) -> bool:
        """True when QuickFIX has the message in its store under a number."""
        this_thread.sending = self
        try:
            return bool(fix.Session.sendToTarget(message, self.session_id))
        finally:
            this_thread.sending = None
