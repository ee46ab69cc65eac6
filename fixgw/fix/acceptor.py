"""The acceptor: QuickFIX's ThreadedSocketAcceptor behind the front, one connection thread and one sender per session.

    connection thread:  fromApp -> parse -> engine.submit [-> reply]          (callbacks.py)
    reply, or sender thread:  engine.records -> encode -> sendToTarget   (delivery.py)

The journal is the truth about message numbers coming in: at the start NextTargetMsgSeqNum is set to the last one
journaled + 1, so that the counterparty is asked again for what was received and not journaled. Numbers going out are
QuickFIX's (its FileStore, which a Logon with 141=Y empties before we hear of it: see _finish_reset); after the
machine went down they are raised, because the store is not synced, and where its files are lost (out_numbers.py).
"""

from __future__ import annotations

import collections
import logging
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec
import quickfix as fix

from fixgw.fix import loopback, quickfix_accept, socket_close
from fixgw.fix.acceptor_settings import AcceptorSession, settings_text
from fixgw.fix.callbacks import Application
from fixgw.fix.delivery import Delivery, Router
from fixgw.fix.gap_keeper import GapKeeper
from fixgw.fix.out_numbers import OutNumbers
from fixgw.fix.outbound import dictionaries
from fixgw.fix.port import EnginePort, RawLogPort, note
from fixgw.fix.raw_messages import RawMessages
from fixgw.fix.session_link import SessionLink
from fixgw.fix.session_store import Key, StoreFiles
from fixgw.fix.store_keeper import StoreKeeper

log = logging.getLogger("fixgw.fix.acceptor")

BIND_TRIES: Final = 5
SENDERS_END_S: Final = 1.0
POLL_S: Final = 0.02
# More messages than a session sends between two write-backs of the operating system.
REBOOT_GAP: Final = 100_000
MAX_NUMBER: Final = 2**31 - 1


class SessionError(Exception):
    """An operation on a session cannot be done; recoverable. Names the session, the value and what was expected."""


class SessionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One session as operations see it."""

    name: str
    role: str
    begin_string: str
    logged_on: bool
    enabled: bool
    next_in: int
    next_out: int
    connected_ns: int | None
    delivered_seq: int
    sent: int
    failed: int
    refused: int
    errors: int
    undeliverable: int
    # why its store cannot be written; it takes no orders and no Logon then
    fault: str = ""


class Acceptor:
    """Start it once; a stopped one is not started again. It listens at the Unix socket `path`. `rebooted`: the machine went down
    since the last run."""

    def __init__(
        self,
        engine: EnginePort,
        sessions: Iterable[AcceptorSession],
        store_dir: Path,
        path: Path,
        *,
        raw_log: RawLogPort | None = None,
        rebooted: bool = False,
        on_lost: Callable[[str], None] | None = None,
    ) -> None:
        self._engine = engine
        self._store_dir = store_dir
        self._raw_log = raw_log
        self._rebooted = rebooted
        self._links = {spec.name: SessionLink(spec, engine) for spec in sessions}
        self._on_lost = on_lost or log.critical
        self._keeper = StoreKeeper(engine, self._links, store_dir, self._reopen, self._on_lost)
        self._numbers = OutNumbers(store_dir.with_name(f"{store_dir.name}-numbers.json"), self._next_out)
        self._watch: quickfix_accept.Watch | None = None
        self._gaps = GapKeeper(self._links)
        self._acceptor: fix.ThreadedSocketAcceptor | None = None
        # QuickFIX keeps references to these, not copies
        self._kept: tuple[object, ...] = ()
        self.path = path

    # --- life ---

    def start(self, check: Callable[[], None] = lambda: None) -> None:
        """`check` is called now and then, while nothing is up yet: what it raises ends the start. Raises OSError when the path
        cannot be had."""
        self._store_dir.mkdir(parents=True, exist_ok=True)
        for link in self._links.values():
            link.delivery = Delivery(self._engine, link.spec, link.send, self._held(link))
            check()
            dictionaries(link.spec.version)  # read now (up to a second): the first report that needs it must not wait
        check()
        self._engine.listen(Router(link.delivery for link in self._links.values()))
        by_wire = {link.spec.wire_id: link for link in self._links.values()}
        socket_close.install()
        watched = quickfix_accept.install()
        listener = loopback.listener(self.path)
        for attempt in range(1, BIND_TRIES + 1):
            theirs = _free_port()
            acceptor = self._make(by_wire, theirs)
            self._set_numbers()
            try:
                acceptor.start()
                break
            except fix.RuntimeError as error:
                del acceptor
                if attempt == BIND_TRIES:
                    listener.close()
                    raise OSError(f"FIX port {theirs}: {error}") from error
        self._acceptor = acceptor
        number = loopback.take_over(theirs, listener)
        if watched:
            self._watch = quickfix_accept.Watch(number, self._on_lost)
            self._watch.start()
        self._numbers.start()
        for link in self._links.values():
            link.delivery.start()
        self._keeper.start()
        self._gaps.start()
        log.info("acceptor: %d sessions at %s", len(self._links), self.path)

    def bind_again(self) -> None:
        """The socket's file was deleted: listen there anew; who is connected stays. Raises OSError."""
        if self._watch is None:
            raise OSError(f"{self.path}: only a restart binds it anew: QuickFIX is built in another way than is known here")
        quickfix_accept.renew(self._watch.listener, loopback.listener(self.path))

    def _make(self, by_wire: dict[str, SessionLink], port: int) -> fix.ThreadedSocketAcceptor:
        settings = fix.SessionSettings()
        specs = [link.spec for link in self._links.values()]
        settings.setFromString(settings_text(specs, port, self._store_dir))
        application = Application(self._engine, by_wire)
        stores = fix.FileStoreFactory(settings)
        names = {wire: link.spec.name for wire, link in by_wire.items()}
        logs = RawMessages(names, self._raw_log, self._engine, self._heard, self._gaps.incoming)
        self._kept = (settings, application, stores, logs)
        return fix.ThreadedSocketAcceptor(application, stores, settings, logs)

    def _heard(self, name: str, text: str) -> None:
        self._keeper.heard(name, text)
        self._gaps.heard(name, text)

    def _held(self, link: SessionLink) -> collections.Counter[Key]:
        """Before QuickFIX opens the store."""
        files = self._files(link)
        # without a message from the client under these numbers there was no connection that could miss them
        link.numbers_lost = files.numbers_lost() and self._engine.session_cursor(link.spec.name).last_in_seq > 0
        if self._rebooted:
            files.forget()
        elif files.repair():
            log.warning("session %s: the index of its store was cut, and is repaired", link.spec.name)
        return files.held(self._engine.session_cursor(link.spec.name).delivered_seq)

    def _files(self, link: SessionLink) -> StoreFiles:
        spec = link.spec
        return StoreFiles(self._store_dir, spec.begin_string, spec.gateway_comp_id, spec.client_comp_id)

    def _set_numbers(self) -> None:
        for link in self._links.values():
            session = link.session
            if link.numbers_lost:
                self._restore_number_out(link)
            self._set_number_in(link)
            if self._rebooted and not link.numbers_lost and session.getExpectedSenderNum() > 1:
                session.setNextSenderMsgSeqNum(session.getExpectedSenderNum() + REBOOT_GAP)
            link.next_out = session.getExpectedSenderNum()
            link.numbers_lost = False
        self._rebooted = False

    def _next_out(self) -> dict[str, tuple[int, int]]:
        epoch = {name: self._engine.session_cursor(name).reset_epoch for name in self._links}
        return {name: (epoch[name], link.session.getExpectedSenderNum()) for name, link in self._links.items()}

    def _restore_number_out(self, link: SessionLink) -> None:
        """QuickFIX's files are lost and it begins at 1, which no counterparty may accept: no number that can have been sent."""
        name, engine = link.spec.name, self._engine
        known = self._numbers.below(name, engine.session_cursor(name).reset_epoch)
        # two reports a record, and heartbeats, are more than most sessions have seen
        guess = 2 * engine.durable_seq + REBOOT_GAP
        number = min(max(known if known is not None else guess, self._files(link).highest() + 1), MAX_NUMBER // 2)
        link.session.setNextSenderMsgSeqNum(number)
        why = "no lower one was used" if known is not None else "an estimate: data/fix-numbers.json does not know the session"
        note(
            engine,
            "session numbers lost",
            name,
            f"QuickFIX's files of it are missing or cut; the next message out is {number} ({why}), "
            f"in {engine.session_cursor(name).last_in_seq + 1} by the journal. "
            "The client asks for what is in between and gets it as gap fills; what it did not confirm comes again with 97=Y. "
            f"Where it expects another number: `fixgw session {name} set-seq --next-sender N` while it is logged out",
        )

    def _set_number_in(self, link: SessionLink) -> None:
        session = link.session
        if not link.numbers_lost:
            self._finish_reset(link)
        wanted = max(1, self._engine.session_cursor(link.spec.name).last_in_seq + 1)
        if session.getExpectedTargetNum() != wanted:
            log.warning(
                "session %s: next message in is %d by the journal, QuickFIX had %d",
                link.spec.name,
                wanted,
                session.getExpectedTargetNum(),
            )
            session.setNextTargetMsgSeqNum(wanted)

    def _reopen(self, link: SessionLink, room: bool) -> bool:
        """A store that could not be written: its files closed, repaired and opened anew, the numbers as at a start. With `room`
        the session may log on again. False: somebody is there, or its numbers are being changed. Raises what QuickFIX does."""
        files, session = self._files(link), link.session
        if not link.changing.acquire(blocking=False):
            return False
        try:
            with link.gate:
                # without room a file that is not there could not be made, and QuickFIX would crash on it
                if link.present or link.logged_on or not (room or files.there()):
                    return False
                next_out = session.getExpectedSenderNum()
                session.refresh()  # what QuickFIX still held back is written or lost, so only now the index stands still
                if room and files.repair():
                    session.refresh()
                if session.getExpectedSenderNum() < next_out:
                    session.setNextSenderMsgSeqNum(next_out)
                self._set_number_in(link)
                cursor = self._engine.session_cursor(link.spec.name)
                link.epoch, link.next_out = cursor.reset_epoch, session.getExpectedSenderNum()
                link.delivery.wiped(files.held(cursor.delivered_seq))
                if room:
                    link.store_failed = ""
                return True
        finally:
            link.changing.release()

    def _finish_reset(self, link: SessionLink) -> None:
        """A Logon with 141=Y had QuickFIX wipe its store, and the process died before that was journaled: the counterparty
        counts from 1 as QuickFIX does, so the journal must as well; raising QuickFIX's number to the journal's old one would
        shut it out for good. Two states of the store tell so, under a journal that is beyond it:
        - 1:1, by its own file (without that it is _restore_number_out's). No other way leads there beyond the first Logon.
        - our answer to a Logon with 141=Y is the store's first message, and nothing has come in after that Logon. Were it in
          truth journaled, and the journal ahead of QuickFIX by a SequenceReset or by operations, then none of the numbers
          between them brought an order, and asking for them again does no harm."""
        name, session = link.spec.name, link.session
        last, expected = self._engine.session_cursor(name).last_in_seq, session.getExpectedTargetNum()
        if last <= expected or expected > 2:
            return
        if (expected, session.getExpectedSenderNum()) != (1, 1) and not self._files(link).began_with_reset():
            return
        log.warning("session %s: QuickFIX's numbers were reset, the journal's last one in is %d: reset as well", name, last)
        reason = f"a reset (141=Y) was cut short by the end of the process; the last message in was {last}"
        note(self._engine, "session reset", name, reason)
        if expected > 1:
            note(self._engine, "session set-seq in", f"{name} {expected}", reason)

    def stop(self, timeout_s: float = 5.0, reason: str = "the gateway is going down") -> None:
        """Says goodbye to all, at most `timeout_s`, then ends all threads."""
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is None:
            return
        if self._watch is not None:
            self._watch.stop()
        self._keeper.stop()
        self._gaps.stop()
        self._numbers.stop()
        self.broadcast_logout(reason, timeout_s)
        for link in self._links.values():
            link.delivery.stop(0.0)
        # one that waits in QuickFIX for a client that does not read is let go when QuickFIX cuts the connection
        self._await_senders()
        with socket_close.held():
            acceptor.stop(True)
        if not self._await_senders():
            # QuickFIX's sessions must outlive whoever is still in them
            log.error("acceptor: a sender did not end")
            self._kept += (acceptor,)

    def _await_senders(self) -> bool:
        deadline = time.monotonic() + SENDERS_END_S
        return all([link.delivery.stop(max(0.0, deadline - time.monotonic())) for link in self._links.values()])

    def broadcast_logout(self, reason: str, timeout_s: float = 2.0) -> bool:
        """Logs every session out and bars logons (a fatal failure; the process is to end). True when all are out."""
        for link in self._links.values():
            link.barred = link.logout_reason = reason
            link.session.logout(reason)
        return self._await_logged_out(self._links.values(), timeout_s)

    # --- operations ---

    def logout(self, name: str, reason: str) -> None:
        """Ends the connection within about a second, one that is just logging on as soon as it is; the client may log on again.
        Raises SessionError."""
        link = self._link(name)
        link.leaving = reason
        if link.logged_on:
            link.leaving = ""
            link.log_out(reason)
        elif not link.present:
            link.leaving = ""

    def disable(self, name: str, reason: str) -> None:
        """Logs out and refuses logons with this reason until enable() (besides the journal's own switch)."""
        self._link(name).barred = reason or "the session is disabled by operations"
        self.logout(name, reason)

    def enable(self, name: str) -> None:
        self._link(name).barred = ""

    def set_seq(
        self, name: str, journal: Callable[[], object], *, next_in: int | None = None, next_out: int | None = None
    ) -> None:
        """Next numbers of a session that is logged out; `journal` makes them durable (see _change). With another next number
        out, reports that were not confirmed are sent again, with 97=Y. Raises SessionError."""
        link = self._link(name)
        for number in (next_in, next_out):
            if number is not None and not 1 <= number <= MAX_NUMBER:
                raise SessionError(f"session {name}: number is {number}, expected 1 to {MAX_NUMBER}")
        if link.present or link.logged_on:
            raise SessionError(f"session {name} is logged on, expected logged out")

        def change() -> None:
            if next_in is not None:
                link.session.setNextTargetMsgSeqNum(next_in)
            if next_out is not None:
                before = link.session.getExpectedSenderNum()
                link.session.setNextSenderMsgSeqNum(next_out)
                link.next_out = next_out
                if next_out != before:
                    # what was handed over under the old numbers is not asked for under the new ones, and would be confirmed
                    # by the next Heartbeat unseen
                    link.delivery.wiped()

        self._change(link, "sequence numbers are being set by operations", journal, change, 0.0)

    def reset(self, name: str, journal: Callable[[], object], timeout_s: float = 5.0) -> None:
        """Both numbers to 1, the store empty; logs out first. `journal` must raise the journal's reset_epoch (see _change).
        Raises SessionError."""
        link = self._link(name)

        def change() -> None:
            link.session.reset()
            link.next_out = 1
            link.delivery.wiped()

        self._change(link, "sequence numbers are reset by operations", journal, change, timeout_s)

    def _change(
        self, link: SessionLink, why: str, journal: Callable[[], object], change: Callable[[], None], timeout_s: float
    ) -> None:
        """The journal first, then QuickFIX, and nobody logs on in between: were QuickFIX to accept numbers that the journal
        has as used up, the core would pass over what they carry. When it fails half-way logons stay refused until it is
        repeated (or the process started anew, which takes the numbers from the journal)."""
        name = link.spec.name
        if not link.changing.acquire(blocking=False):
            raise SessionError(f"session {name}: another change of its numbers is under way")
        try:
            before = link.held
            with link.gate:
                link.held = why
            if not self._await_away(link, why, timeout_s):
                link.held = before
                raise SessionError(f"session {name} is logged on and did not log out within {timeout_s} s")
            link.held = f"{why}; not finished"
            try:
                journal()
                with link.gate:
                    change()
            except Exception as error:
                log.exception("session %s: %s", name, link.held)
                text = f"session {name}: {link.held}, logons are refused until it is repeated: {type(error).__name__}: {error}"
                raise SessionError(text) from error
            link.held = ""
        finally:
            link.changing.release()

    def _await_away(self, link: SessionLink, reason: str, timeout_s: float) -> bool:
        """False: still there. A Logon that was let in a moment before is waited for, and logged out like any other."""
        deadline = time.monotonic() + timeout_s
        asked = False
        while link.present or link.logged_on:
            if time.monotonic() >= deadline:
                return False
            if link.logged_on and not asked:
                asked = True
                self.logout(link.spec.name, reason)
            time.sleep(POLL_S)
        return True

    def status(self) -> list[SessionStatus]:
        """All sessions, by name; none when stopped."""
        if self._acceptor is None:
            return []
        return [self._status(link) for _, link in sorted(self._links.items())]

    def _status(self, link: SessionLink) -> SessionStatus:
        session, delivery = link.session, link.delivery
        return SessionStatus(
            name=link.spec.name,
            role=link.spec.role,
            begin_string=link.spec.begin_string,
            logged_on=link.logged_on,
            enabled=not link.barred and self._engine.session_cursor(link.spec.name).enabled,
            next_in=session.getExpectedTargetNum(),
            next_out=session.getExpectedSenderNum(),
            connected_ns=link.connected_ns,
            delivered_seq=delivery.delivered_seq,
            sent=delivery.sent,
            failed=delivery.failed,
            refused=link.refused,
            errors=link.errors,
            undeliverable=delivery.undeliverable,
            fault=link.store_failed,
        )

    def _link(self, name: str) -> SessionLink:
        found = self._links.get(name)
        if found is None or self._acceptor is None:
            raise SessionError(f"session is {name!r}, expected one of {', '.join(sorted(self._links))}")
        return found

    @staticmethod
    def _await_logged_out(links: Iterable[SessionLink], timeout_s: float) -> bool:
        links = list(links)
        deadline = time.monotonic() + timeout_s
        while any(link.logged_on for link in links):
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_S)
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port
