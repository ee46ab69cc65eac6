"""A Logon is let in when its record is durable, whoever leads the sync."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from core_world import FIRST_NS, INSTALL, core_settings

from fixgw.core import commands as c
from fixgw.core.state import new_state
from fixgw.engine import Engine
from fixgw.fix import callbacks
from fixgw.fix.callbacks import Application
from fixgw.fix.front_logon import FrontConfig
from fixgw.fix.session_link import QuickFixThread

WAIT_S = 20.0


class Disk:
    """A journal in memory whose commits wait for `free`."""

    full, failed, durable_seq = False, None, 0

    def __init__(self) -> None:
        self.buffer: list[int] = []
        self.free, self.entered = threading.Event(), threading.Event()
        self.free.set()

    def check(self, seq: int, payload: bytes) -> None:
        pass

    def append(self, seq: int, payload: bytes) -> None:
        self.buffer.append(seq)

    def commit(self) -> int:
        taken, self.buffer = self.buffer, []
        self.entered.set()
        assert self.free.wait(WAIT_S)
        if taken:
            self.durable_seq = taken[-1]
        return self.durable_seq


class Link(SimpleNamespace):
    """What _logon needs of a SessionLink."""

    def __init__(self) -> None:
        nothing = SimpleNamespace(wiped=lambda: None, logged_out=lambda: None)
        session = SimpleNamespace(
            getExpectedTargetNum=lambda: 1, setNextSenderMsgSeqNum=lambda _: None, setNextTargetMsgSeqNum=lambda _: None
        )
        spec = SimpleNamespace(name="OMS44", enabled=True)
        super().__init__(spec=spec, session=session, delivery=nothing, gate=threading.Lock())
        self.held = self.barred = self.store_failed = ""
        self.present = self.logged_on = False
        self.errors = self.epoch = 0
        self.next_out = 1


@pytest.fixture
def engine() -> Any:
    made = Engine(Disk(), new_state(), on_fatal=lambda _: None)  # type: ignore[arg-type]
    made.call(c.EngineStart(ts_ns=FIRST_NS, install=INSTALL, epoch=1, clean=True, rebooted=False))
    made.call(c.LoadSettings(ts_ns=FIRST_NS, settings=core_settings()))
    for number in range(1, 101):
        made.submit(c.SeqSeen(ts_ns=made.now_ns(), session="OMS44", reset_epoch=0, msg_seq=number))
    yield made
    made.journal.free.set()
    made.stop()


def log_on(engine: Engine, link: Link) -> tuple[threading.Thread, list[str | None]]:
    said: list[str | None] = []
    application = Application.__new__(Application)
    application._engine, application._links = engine, {}  # type: ignore[assignment]
    fields = {"35": "A", "34": "1", "108": "30", "98": "0", "141": "Y"}
    thread = threading.Thread(target=lambda: said.append(application._logon(link, fields)))  # type: ignore[arg-type]
    thread.start()
    return thread, said


def held_sync(engine: Engine) -> tuple[Any, threading.Thread]:
    """A sync that another session's thread leads, and that stands still until `disk.free` is set; the disk and the thread."""
    disk: Any = engine.journal
    disk.entered.clear()
    disk.free.clear()
    other = c.SeqSeen(ts_ns=engine.now_ns(), session="OMS42", reset_epoch=0, msg_seq=1)
    leader = threading.Thread(target=lambda: engine.submit(other))
    leader.start()
    assert disk.entered.wait(WAIT_S)
    return disk, leader


def test_a_logon_waits_for_a_sync_that_another_thread_leads(engine: Engine) -> None:
    disk, leader = held_sync(engine)
    link = Link()
    thread, said = log_on(engine, link)
    thread.join(0.3)
    assert thread.is_alive() and not said, "let in before its reset was durable"
    disk.free.set()
    thread.join(WAIT_S)
    leader.join(WAIT_S)
    assert said == [None] and link.epoch == 1 and engine.durable_seq == disk.durable_seq == engine.state.seq


def test_a_logon_leads_the_sync_itself(engine: Engine) -> None:
    link = Link()
    thread, said = log_on(engine, link)
    thread.join(WAIT_S)
    assert said == [None] and link.epoch == 1 and engine.durable_seq == engine.state.seq


def test_a_logon_that_does_not_become_durable_in_time_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fixgw.fix.callbacks.LOGON_DURABLE_S", 0.1)
    monkeypatch.setattr("fixgw.fix.callbacks.this_thread", QuickFixThread())
    disk, leader = held_sync(engine)
    link = Link()
    thread, said = log_on(engine, link)
    thread.join(WAIT_S)
    disk.free.set()
    thread.join(WAIT_S)
    leader.join(WAIT_S)
    assert said == ["the gateway cannot take logons now"] and not link.present and link.errors == 1


def test_the_refusal_is_said_before_the_front_gives_up() -> None:
    assert FrontConfig(sessions=()).logon_answer_s - 1 >= callbacks.LOGON_DURABLE_S
