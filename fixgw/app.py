"""Composition root of the gateway process: configuration -> objects. `python -m fixgw.app DIR`, started by `fixgw run`.

Start: journal (lock, epoch) -> state from the last snapshot and the records after it -> engine -> EngineStart and
LoadSettings commands -> venue links -> acceptor -> admin socket -> ready file. Stop (SIGTERM): acceptor says goodbye,
links close, the journal is marked clean. A start that is told to stop does so before its next step (stopping.py).

Exit status: 0 clean stop; 3 configuration; 4 journal damaged or locked; 5 disk failure while running; 6 a fault of
ours in applying an event; 1 anything else.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from .admin.server import AdminServer
from .clock import GatewayClock
from .clock_watch import ClockWatch
from .config import Config, ConfigErrors, load
from .core import commands as c
from .core.child import Child
from .core.codec import SCHEMA_VERSION, Record
from .core.events import Alerted
from .core.replay import replay_record
from .core.state import State, load_state, new_state
from .doors import Doors
from .engine import Engine
from .fix.port import RecordCursor, SessionCursor
from .fix.rawlog import RawLog
from .journal.errors import JournalDiskError, JournalError, JournalGap
from .journal.housekeeping import Housekeeping
from .journal.snapshot import latest_snapshot
from .journal.space import SpaceWatch
from .journal.store import Journal
from .marketdata.edge import Edge
from .process import SWITCH_INTERVAL_S, allow_files, die_with_parent, give_back_memory
from .ready import write_ready
from .stopping import Stopping, StopRequest
from .venues.gateway_link import VenueLinks

log = logging.getLogger("fixgw.app")

EXIT_RESTART, EXIT_CONFIG, EXIT_JOURNAL, EXIT_DISK, EXIT_INTERNAL = 1, 3, 4, 5, 6
# of this process
told_to_stop = StopRequest()


class Gateway:
    """Every object of the gateway process. Also the port that the FIX side sees (fix/port.py: EnginePort)."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.paths = config.paths
        self.clock = GatewayClock()
        if self.clock.resume(self.paths.clock):
            log.info("the clock goes on where the last run was")
        table = config.firm_file.journal
        self.journal, state = recover(config, self._space_changed)
        # from EngineStart on the journal is this run's
        self._began = False
        # QuickFIX takes half a second to import, so it comes after the state
        from .admin.methods import admin_methods
        from .fix.acceptor import Acceptor
        from .fix.from_config import acceptor_session

        self._failing = threading.Event()
        self._telling_full = threading.Lock()
        self._told_full = False
        self.space = SpaceWatch(self.paths.data / "ballast", table.reserve_mb << 20, self._space_changed)
        self.engine = self._make_engine(state)
        self.edge = Edge(self.engine)
        self.links = VenueLinks(
            self.paths.venues_socket,
            submit=self.engine.submit_words,
            on_book=self.edge.on_book,
            now_ns=self.clock.now_ns,
            busy=lambda: self.engine.busy,
            settle=self.engine.settle,
            offset_ns=lambda: self.clock.offset_ns,
        )
        self.clock_watch = ClockWatch(self.clock, self.engine, self.paths.clock)
        self.clock_watch.on_step += [lambda _: self.links.tell_clock(), self.edge.clock_set]
        self.links.lookup = self._child
        self.engine.on_durable += [self.links.effect, self.edge.effect, _log_alerts]
        self.raw_log = self._make_raw_log()
        self.acceptor = Acceptor(
            self,
            [acceptor_session(config, name) for name in config.sessions],
            self.paths.data / "fix",
            self.paths.fix_socket,
            raw_log=self.raw_log,
            rebooted=self.journal.boot_id_changed and not self.journal.was_clean,
            on_lost=lambda reason: self._fatal(reason, EXIT_RESTART),
        )
        self.housekeeping = Housekeeping(
            self.journal,
            self.paths.projection,
            self.paths.log / "housekeeping.log",
            every=table.snapshot_every_records,
            schema_version=SCHEMA_VERSION,
            archive=table.archive,
            tell=self._tell_projection,
        )
        methods = admin_methods(
            config, self.engine, self.acceptor, self.links, self._full_because, self.housekeeping.projection.state,
            lambda: self.clock.trouble,
        )
        self._sessions = methods["sessions"]
        self.admin = AdminServer(self.paths.admin_socket, methods)
        self.doors = Doors(
            {
                self.paths.venues_socket: self.links.start,
                self.paths.fix_socket: self.acceptor.bind_again,
                self.paths.admin_socket: self.admin.start,
            },
            self._doors_renewed,
        )

    def _make_engine(self, state: State) -> Engine:
        room = self.config.firm_file.engine
        return Engine(
            self.journal,
            state,
            on_fatal=self._fatal,
            is_full=self._is_full,
            clock=self.clock.now_ns,
            put_right=self.clock.put_right,
            inbox_max=room.inbox_max,
            inbox_reserved=room.inbox_reserved,
        )

    def start(self) -> None:
        """Bring everything up. Raises OSError, JournalError, and Stopping, after which stop() is to be called."""
        from .journal.projected import projected_seq

        journal, engine = self.journal, self.engine
        told_to_stop.check()
        self._began = True
        # before anything is decided by times that a clock which was ahead has left
        engine.call(c.ClockSet(ts_ns=engine.now_ns(), rebooted=journal.boot_id_changed))
        engine.call(
            c.EngineStart(
                ts_ns=engine.now_ns(),
                install=journal.install_id,
                epoch=journal.epoch,
                clean=journal.was_clean,
                rebooted=journal.boot_id_changed,
                sync=journal.last_sync,
                projected=0 if journal.boot_id_changed else projected_seq(self.paths.projection),
            )
        )
        for cut in journal.cuts:
            log.warning("the journal's unfinished end was cut: %s", cut)
        engine.call(c.LoadSettings(ts_ns=engine.now_ns(), settings=self.config.core_settings()))
        self.clock_watch.start()
        # after the machine went down the stores' numbers are raised, once, and this start alone knows that they must be
        check = told_to_stop.check if not journal.boot_id_changed or journal.was_clean else _no_check
        check()
        self.space.start()
        self._space_changed(self.journal.full)
        self.edge.start()
        self.links.start()
        self.acceptor.start(check)
        told_to_stop.check()
        self.admin.start()
        self.housekeeping.start()
        self.doors.start()
        self._tell_unconfigured()
        self._write_ready()
        log.info("ready: journal at %d, epoch %d", journal.durable_seq, journal.epoch)

    def stop(self) -> None:
        """Clean stop, a few seconds at most; also of what was not started, or only in part."""
        self.doors.stop()
        # first: the front keeps the clients' connections for this, and not for long
        self.acceptor.stop()
        self.housekeeping.stop()
        self.space.stop()
        self.clock_watch.stop()
        self.edge.stop()
        self.admin.close()
        self.links.stop()
        self.engine.stop()
        if self._began:
            self.journal.close(clean=True)
        else:
            self.journal.close_untouched()
        self.raw_log.close()

    def _write_ready(self) -> None:
        write_ready(self.paths.gateway_ready, {"admin": str(self.paths.admin_socket), "pid": os.getpid()})

    def _doors_renewed(self, names: list[str]) -> None:
        why = "deleted while the gateway ran, listened at anew; who is connected notices nothing"
        self._note("sockets lost", ", ".join(names), why)
        self._write_ready()

    # --- EnginePort ---

    @property
    def durable_seq(self) -> int:
        return self.engine.durable_seq

    def submit(self, command: c.Command, reply: Callable[[], object] | None = None, more: bool = False) -> None:
        self.engine.submit(command, reply, more)

    def call(self, command: c.Command, timeout_s: float) -> object:
        return self.engine.call(command, timeout_s)

    def listen(self, listener: Callable[[Sequence[Record]], None]) -> None:
        self.engine.on_visible.append(listener)

    def session_cursor(self, session: str) -> SessionCursor:
        return self.engine.session_cursor(session)

    def quotes(self, session: str, client_symbol: str) -> dict[str, c.Quote]:
        """Quotes of the instrument that the session calls `client_symbol`; empty for an unknown one."""
        return self.edge.quotes_of(self.edge.instrument_of(session, client_symbol))

    def order_quotes(self, session: str, cl_ord_id: str, order_id: str, client_symbol: str) -> dict[str, c.Quote]:
        return self.edge.quotes_of_order(session, cl_ord_id, order_id, client_symbol)

    def currencies(self, session: str, client_symbol: str) -> tuple[str, ...]:
        """The quote asset, and USD where this session calls the instrument BASE/USD too; () for an unknown symbol."""
        settings = self.engine.state.settings
        symbols = settings.sessions[session].symbols if session in settings.sessions else {}
        instrument = settings.instruments.get(symbols.get(client_symbol, ""))
        if instrument is None:
            return ()
        as_usd = symbols.get(f"{instrument.base}/USD") == instrument.symbol and instrument.quote != "USD"
        return (instrument.quote, "USD") if as_usd else (instrument.quote,)

    def records(self, after_seq: int, timeout_s: float, cursor: RecordCursor | None = None) -> list[Record]:
        return self.engine.records(after_seq, timeout_s, cursor)

    def now_ns(self) -> int:
        return self.clock.now_ns()

    # --- parts ---

    def _make_raw_log(self) -> RawLog:
        fix = self.config.firm_file.fix
        return RawLog(
            self.paths.log / "fix",
            max_bytes=fix.raw_log_mb << 20,
            files=fix.raw_log_files,
            on_failing=lambda why: self._note("raw log failed", "log/fix", why),
        )

    def _child(self, venue_cl_ord_id: str) -> Child | None:
        """Called for effects, while others may decide: what is found is never changed in place."""
        found = self.engine.state.children.get(venue_cl_ord_id)
        if found is None:
            with self.engine.reading() as state:
                found = state.find_child(venue_cl_ord_id)
        return found

    def _is_full(self) -> bool:
        """The journal, or the disk for everything else, has no room for new orders."""
        return self.journal.full or self.space.low

    def _full_because(self) -> str:
        """Why _is_full, for people; "" where it is not."""
        # the ballast comes back when twice its size is free
        wanted_mb = 2 * self.config.firm_file.journal.reserve_mb
        reasons = {
            "journal full: its reserve is in use": self.journal.full,
            f"disk low: new orders again once {wanted_mb} MB are free for {self.paths.data}": self.space.low,
        }
        return "; ".join(reason for reason, holds in reasons.items() if holds)

    def _space_changed(self, _: bool) -> None:
        """From the journal's thread for it or the space watch, possibly before there is an engine (start() tells it then)."""
        engine = getattr(self, "engine", None)
        if engine is None:
            return
        with self._telling_full:  # else two changes at a time could be told as one, or the older one last
            if self._is_full() != self._told_full:
                self._told_full = not self._told_full
                engine.submit(c.JournalSpace(ts_ns=engine.now_ns(), full=self._told_full))

    def _tell_projection(self, what: str, why: str) -> None:
        self._note(what, "data/projection.db", why)

    def _tell_unconfigured(self) -> None:
        """A file that was taken out of sessions/ leaves what its session has at the venues, and what it was not told."""
        if self.engine.state.sessions.keys() <= self.config.sessions.keys():
            return
        told: Any = self._sessions({}, "gateway")
        for row in told["sessions"]:
            if not row["configured"] and (row["open_orders"] or row["pending_reports"]):
                pending = f"{row['pending_reports']}{' or more' if row['pending_more'] else ''} reports that it has not confirmed"
                self._note("session not configured", row["name"], f"{row['open_orders']} open orders, {pending}")

    def _note(self, action: str, target: str, why: str) -> None:
        note = c.AdminNote(ts_ns=self.engine.now_ns(), action=action, target=target, user="gateway", reason=why)
        self.engine.submit(note)

    def _fatal(self, reason: str, status: int | None = None) -> None:
        """Memory or disk cannot be trusted: tell every session, then end (`status`: not for a failed journal). Runs once,
        on a thread of its own, since the caller may be a FIX connection thread."""
        if self._failing.is_set():
            return
        self._failing.set()
        try:
            threading.Thread(target=self._die, args=(reason, status), name="fatal", daemon=True).start()
        except RuntimeError:
            # no thread for the goodbyes either
            log.critical("ending without a goodbye: %s", reason)
            self._end(status)

    def _die(self, reason: str, status: int | None) -> None:
        log.critical("ending: %s", reason)
        with contextlib.suppress(Exception):
            fault = "cannot write its journal" if status is None else "has a fault and will be back soon"
            self.acceptor.broadcast_logout(f"the gateway {fault}: it is going down")
        self.raw_log.close()
        self._end(status)

    def _end(self, status: int | None) -> NoReturn:
        sys.stderr.flush()
        os._exit(EXIT_DISK if self.journal.failed is not None else status or EXIT_INTERNAL)


def _no_check() -> None:
    pass


def recover(config: Config, on_full: Callable[[bool], None]) -> tuple[Journal, State]:
    """The journal, opened, and the state: the last good snapshot of this build's schema, evolved by the records after it; without
    one, all records. Raises JournalLocked, CorruptJournal and the like, and Stopping, with the journal as it was."""
    table, directory = config.firm_file.journal, config.paths.journal
    snapshot = latest_snapshot(directory, SCHEMA_VERSION)
    what = "the first record on" if snapshot is None else f"record {snapshot.seq + 1} on, with the snapshot of what was before"
    log.info("reading the journal from %s", what)
    # nothing of what is built here becomes garbage: collecting would walk it again and again
    collecting = gc.isenabled()
    gc.disable()
    try:
        base_seq = snapshot.seq if snapshot is not None else 0
        state = new_state() if snapshot is None else load_state(snapshot.payload)
        snapshot = None  # its bytes are as much as the state

        def take(seq: int, payload: bytes) -> None:
            told_to_stop.check()
            if seq == state.seq + 1:
                replay_record(state, payload)

        journal = Journal.open(
            directory,
            sync=table.sync,
            segment_bytes=table.segment_mb << 20,
            reserve_bytes=table.reserve_mb << 20,
            check_from_seq=base_seq + 1 if base_seq else 0,
            on_full=on_full,
            on_record=take,
        )
        try:
            # what checking did not read, such as archived segments
            for _seq, payload in journal.read(state.seq + 1):
                told_to_stop.check()
                replay_record(state, payload)
        except BaseException as error:
            with contextlib.suppress(OSError):
                journal.close_untouched()
            if isinstance(error, JournalGap):
                newest = f"the newest is of record {base_seq}" if base_seq else "there is none"
                needed = f"it is needed by a start without a later snapshot of schema {SCHEMA_VERSION} ({newest})"
                raise JournalError(f"{error}: {needed}; bring back what was moved out of {directory}") from error
            raise
        gc.freeze()
    finally:
        if collecting:
            gc.enable()
    give_back_memory()
    return journal, state


def _log_alerts(record: Record) -> None:
    for event in record.events:
        if type(event) is Alerted:
            log.warning("ALERT %s: %s", event.kind, event.text)


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m fixgw.app", description="The gateway process; `fixgw run` starts it.")
    parser.add_argument("directory", type=Path)
    args = parser.parse_args()
    die_with_parent()
    allow_files()
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s.%(msecs)03d %(levelname)s %(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )  # fmt: skip
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    told_to_stop.listen()
    try:
        config = load(args.directory)
        told_to_stop.check()
        gateway = Gateway(config)
    except Stopping:
        log.info("told to stop while starting")
        return 0
    except ConfigErrors as error:
        print(f"configuration: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except JournalDiskError as error:
        print(f"journal: {error}", file=sys.stderr)
        return EXIT_DISK
    except JournalError as error:
        print(f"journal: {error}", file=sys.stderr)
        return EXIT_JOURNAL
    try:
        gateway.start()
        told_to_stop.wait()
    except Stopping:
        log.info("told to stop while starting")
    gateway.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
