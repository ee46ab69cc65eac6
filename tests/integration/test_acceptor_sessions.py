"""The real acceptor with an in-memory engine: logon, orders in, reports out, numbers, refusals, operations."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from acceptor_kit import OMS42, OMS44, OMS50, PB44, WAIT_S, Client, FakeEngine, replace, running, until

from fixgw.core.commands import (
    AdminNote,
    CancelOrder,
    NewOrder,
    ReplaceOrder,
    SessionLogon,
    SessionLogout,
    StatusRequest,
    Unsupported,
)
from fixgw.core.errors import JournalFull, Overloaded
from fixgw.fix.acceptor import SessionError
from fixgw.fix.callbacks import Application
from fixgw.fix.front_logon import FrontSession
from fixgw.fix.front_refusal import refused_relogon


class RawLines:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []

    def write(self, session: str, direction: str, raw: str, ts_ns: int) -> None:
        self.lines.append((session, direction, raw))


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def raw_log():
    return RawLines()


@pytest.fixture
def acceptor(request, engine, raw_log, tmp_path):
    # the dictionaries take a second to load, so only what the test needs
    with running(engine, getattr(request, "param", (OMS44, PB44)), tmp_path / "fix", raw_log=raw_log) as made:
        yield made


def status(acceptor, name):
    return next(entry for entry in acceptor.status() if entry.name == name)


@pytest.mark.parametrize(
    ("acceptor", "spec"), [((spec,), spec) for spec in (OMS42, OMS44, OMS50)], indirect=["acceptor"], ids=lambda _: ""
)
def test_order_in_and_reports_out(acceptor, engine, raw_log, spec):
    with Client(acceptor.path, spec) as client:
        client.logon()
        client.order("a1")
        first = client.expect("8")
        second = client.expect("8")
        assert (first["11"], first["150"], first["39"], first["38"], first["44"]) == ("a1", "A", "A", "1.50", "100.10")
        assert second["150"] == "0" and second["17"] != first["17"]
        assert "97" not in first and first["34"] == "2"
        assert ("20" in first) == (spec is OMS42)
        order = engine.commands(NewOrder)[0]
        assert order.session == spec.name and order.order_qty == Decimal("1.50") and order.msg_seq == 2
        assert order.quotes["sim"].last == 100 and order.ts_ns > 10**18
        client.send("F", "11=c1|41=a1|55=BTC/USDT|54=1|38=1.5|60=20240101-00:00:00")
        client.send("G", "11=r1|41=a1|21=1|55=BTC/USDT|54=1|38=2|40=2|44=99|60=20240101-00:00:00")
        client.send("H", "11=a1|55=BTC/USDT|54=1")
        until(lambda: engine.commands(StatusRequest))
        assert engine.commands(CancelOrder)[0].orig_cl_ord_id == "a1"
        assert engine.commands(ReplaceOrder)[0].price == 99
        directions = {direction for name, direction, _ in raw_log.lines if name == spec.name}
        assert directions == {"I", "O"}
    logout = until(lambda: engine.commands(SessionLogout))
    assert logout[0].session == spec.name


def test_every_number_used_up_is_journaled(acceptor, engine):
    with Client(acceptor.path, OMS44, mute=True) as client:
        client.logon()
        client.send("0")
        client.send("1", "112=hello")
        assert client.expect("0")["112"] == "hello"
        client.send("2", "7=1|16=0")
        client.order("bad", t54="x")  # rejected by the dictionary: 35=3 from QuickFIX itself
        assert client.expect("3")["371"] == "54"
        until(lambda: engine.session_cursor("OMS44").last_in_seq == 5)
        client.send("4", "123=Y|36=9", header="43=Y|122=20240101-00:00:00")
        until(lambda: engine.session_cursor("OMS44").last_in_seq == 8)
        client.next_out = 9
        client.order("good")
        client.expect("8", t11="good")
        client.send("5")
        client.expect("5")
        until(lambda: engine.session_cursor("OMS44").last_in_seq == 10)
    until(lambda: not status(acceptor, "OMS44").logged_on)
    assert status(acceptor, "OMS44").next_in == 11
    assert status(acceptor, "OMS44").errors == 0


def test_a_logout_or_reject_behind_a_gap_does_not_swallow_the_missing_message(acceptor, engine):
    with Client(acceptor.path, OMS44) as client:
        client.logon()
        client.send("3", "45=1|58=why", seq=5)
        client.send("5", seq=6)
        client.expect("5")
    until(lambda: not status(acceptor, "OMS44").logged_on)
    assert status(acceptor, "OMS44").next_in == 2
    assert engine.session_cursor("OMS44").last_in_seq == 1


@pytest.mark.parametrize(("number", "next_in"), [(3, 4), (1, 3), (2**31 - 1, 3)])
def test_the_fronts_logout_in_place_of_a_logon_is_told_and_uses_up_its_own_number_only(acceptor, engine, number, next_in):
    with Client(acceptor.path, OMS44, mute=True) as client:
        client.logon()
        client.order("a1")
        client.expect("8", t11="a1", t150="0")
        session = FrontSession(begin_string="FIX.4.4", client_comp_id="C44", gateway_comp_id="FIXGW")
        client.sock.sendall(refused_relogon(session, number, "already logged on"))
        assert client.expect("5")["58"] == "already logged on"
    until(lambda: not acceptor._links["OMS44"].present)
    assert status(acceptor, "OMS44").next_in == next_in
    assert engine.session_cursor("OMS44").last_in_seq == next_in - 1
    assert engine.commands(SessionLogout)[-1].reason == "already logged on"


def test_a_logon_with_a_gap_asks_for_what_is_missing(acceptor, engine):
    with Client(acceptor.path, OMS44, next_out=4) as client:
        client.logon(seq=3)
        assert client.expect("2")["7"] == "1"
        assert engine.commands(SessionLogon)[0].msg_seq == 0
        stamp = "20240101-00:00:00.123456789"
        body = "11=late|55=BTC/USDT|54=1|38=1|40=1|60=20240101-00:00:00"
        client.send("4", "123=Y|36=2", seq=1, header=f"43=Y|122={stamp}")
        client.send("D", body, seq=2, header=f"43=Y|122={stamp}|97=Y")
        client.expect("8", t11="late")
        order = engine.commands(NewOrder)[0]
        assert order.poss_dup and order.poss_resend and order.origin_ns % 10**9 == 123456789
        client.order("next")
        client.expect("8", t11="next")


@pytest.mark.parametrize(("error", "code"), [(Overloaded(), "OVERLOADED"), (JournalFull(), "JOURNAL_FULL")])
def test_an_order_that_the_engine_does_not_take_is_refused_at_once(acceptor, engine, error, code):
    engine.refuse = error
    with Client(acceptor.path, OMS44) as client:
        client.logon()
        client.order("a1")
        reject = client.expect("j")
        assert (reject["380"], reject["20001"], reject["379"], reject["45"]) == ("4", code, "a1", "2")
        assert engine.session_cursor("OMS44").last_in_seq == 2  # must not be asked for again


def test_an_error_of_ours_is_told_and_does_not_end_the_process(acceptor, engine):
    engine.refuse = RuntimeError("planted")
    with Client(acceptor.path, OMS44) as client:
        client.logon()
        client.order("a1")
        assert "internal error" in client.expect("j")["58"]
        engine.refuse = None
        client.order("a2")
        client.expect("8", t11="a2")
    assert status(acceptor, "OMS44").errors == 1


def test_bad_messages_are_refused_and_the_session_goes_on(acceptor, engine):
    with Client(acceptor.path, OMS44) as client:
        client.logon()
        client.order("a1", t38="1" * 31)
        reject = client.expect("j")
        assert (reject["20001"], reject["20002"], reject["379"]) == ("INVALID_VALUE", "38", "a1")
        for value in ("1e5", "NaN", "Infinity", "--1"):
            client.order("a2", t38=value)
            assert client.expect("3")["371"] == "38", value
        client.order("a3", t111="1")
        assert client.expect("j")["20002"] == "111"
        client.order("h\xe9", t58="caf\xe9")
        assert client.expect("j")["20002"] == "11"
        client.send("R", "131=q|146=1|55=BTC/USDT")
        assert client.expect("j")["380"] == "3"
        client.send("zz", "58=x")
        assert client.expect("3")["372"] == "zz"
        client.send("j", "45=1|372=8|380=0")  # answered by nothing
        client.order("ok", t58="caf\xe9")
        client.expect("8", t11="ok")
        assert len(engine.commands(Unsupported)) == 4
    assert status(acceptor, "OMS44").errors == 0


@pytest.mark.parametrize("spec", [OMS42, OMS44, OMS50], ids=lambda spec: spec.name)
def test_user_defined_fields_pass_where_the_session_says_so(engine, tmp_path, spec):
    """Two sessions of one version and one dictionary: what one ignores the other refuses. Our own fields mean what they do."""
    lax = msgspec.structs.replace(spec, name="LAX", client_comp_id="CLAX", user_defined_fields="ignore")
    with (
        running(engine, (spec, lax), tmp_path / "fix") as acceptor,
        Client(acceptor.path, spec) as strict,
        Client(acceptor.path, lax) as client,
    ):
        strict.logon()
        strict.order("a0", t5001="x")
        assert strict.expect("3")["371"] == "5001"
        client.logon("20008=Y|5002=login")
        assert engine.commands(SessionLogon)[-1].cancel_on_disconnect is True
        client.order("a1", t5001="x", t30001="y")
        assert client.expect("8", t150="0")["11"] == "a1"
        client.order("a2", t4999="x")
        assert client.expect("3")["371"] == "4999"
        assert [order.cl_ord_id for order in engine.commands(NewOrder)] == ["a1"]


def test_a_drop_copy_session_sends_no_orders(acceptor, engine):
    with Client(acceptor.path, PB44) as client:
        client.logon()
        client.order("a1")
        reject = client.expect("j")
        assert (reject["20001"], reject["380"]) == ("READ_ONLY", "6")


def listening() -> set[str]:
    """The local addresses (hex) at which this process listens on IPv4."""
    inodes = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(f"/proc/self/fd/{name}"))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}


def test_quickfix_listens_nowhere_on_the_network(engine, tmp_path):
    before = listening()
    with running(engine, (OMS44,), tmp_path / "fix") as acceptor:
        until(lambda: listening() == before)
        assert acceptor.path.stat().st_mode & 0o777 == 0o600
        with Client(acceptor.path, OMS44, mute=True) as client:
            client.logon()
            client.logout()
        assert listening() == before
    assert listening() == before


def test_reset_logon_starts_a_new_epoch(acceptor, engine):
    with Client(acceptor.path, OMS44, mute=True) as client:
        client.logon()
        client.order("a1")
        client.expect("8")
        client.logout()
    with Client(acceptor.path, OMS44, mute=True) as client:
        assert client.logon("141=Y|8013=Y")["34"] == "1"
        client.order("a2")
        client.expect("8", t11="a2")
        logon = engine.commands(SessionLogon)[1]
        assert logon.reset and logon.cancel_on_disconnect is True
        assert engine.commands(NewOrder)[1].reset_epoch == 1 and engine.commands(NewOrder)[1].msg_seq == 2
        assert engine.commands(SessionLogon)[0].cancel_on_disconnect is None


@pytest.mark.parametrize("number", [1, 20])
def test_a_reset_in_a_live_connection_goes_on_at_2(acceptor, engine, number):
    """Whatever the number of the Logon with 141=Y is, QuickFIX expects 2 next; so must the journal, or it passes over 2 to
    `number` as seen before."""
    with Client(acceptor.path, OMS44, mute=True) as client:
        client.logon()
        client.order("a1")
        client.expect("8", t11="a1", t150="0")
        client.expect("1")  # the question after reports: it could take number 1 just after the reset
        client.send("A", "98=0|108=30|141=Y", seq=number)
        assert client.expect("A")["34"] == "1"
        client.next_out = 2
        for name in ("b1", "b2"):
            client.order(name)
            client.expect("8", t11=name, t150="0")
        client.send("H", "11=b1|55=BTC/USDT|54=1")
        until(lambda: engine.commands(StatusRequest))
        assert [(order.reset_epoch, order.msg_seq) for order in engine.commands(NewOrder)] == [(0, 2), (1, 2), (1, 3)]
        assert status(acceptor, "OMS44").next_in == 5 and engine.session_cursor("OMS44").last_in_seq == 4


def five_orders(acceptor):
    """Numbers 1 to 7 of OMS44: logon, five orders that are answered, logout."""
    with Client(acceptor.path, OMS44, mute=True) as client:
        client.logon()
        for number in range(5):
            client.order(f"a{number}")
            client.expect("8", t11=f"a{number}", t150="0")
        client.logout()
    until(lambda: not status(acceptor, "OMS44").logged_on)


@pytest.mark.parametrize("again_with_reset", [False, True])
def test_a_crash_between_the_wipe_and_its_record(engine, tmp_path, monkeypatch, again_with_reset):
    """141=Y empties QuickFIX's store before any callback; the process dies there."""
    as_the_crash_left_it, cursor = tmp_path / "crashed", None
    real = Application._logon

    def logon(self, link, fields):
        nonlocal cursor
        if fields.get("141") == "Y":
            shutil.copytree(tmp_path / "fix", as_the_crash_left_it)
            cursor = engine.session_cursor("OMS44")
        return real(self, link, fields)

    monkeypatch.setattr(Application, "_logon", logon)
    with running(engine, (OMS44,), tmp_path / "fix") as first:
        five_orders(first)
        with Client(first.path, OMS44) as client:
            client.logon("141=Y")
    assert cursor.last_in_seq == 7 and cursor.reset_epoch == 0
    with engine.lock:
        engine.cursors["OMS44"] = cursor
    monkeypatch.undo()
    with running(engine, (OMS44,), as_the_crash_left_it) as second:
        assert engine.session_cursor("OMS44").reset_epoch == 1
        notes = engine.commands(AdminNote)
        assert [(note.action, note.target, note.user) for note in notes] == [("session reset", "OMS44", "gateway")]
        with Client(second.path, OMS44, next_out=1 if again_with_reset else 2, mute=True) as client:
            client.logon("141=Y" if again_with_reset else "")
            if not again_with_reset:
                # its Logon with the reset was 1
                assert client.expect("2")["7"] == "1"
                client.send("4", "123=Y|36=3", seq=1, header="43=Y|122=20240101-00:00:00")
            client.order("after")
            client.expect("8", t11="after", t150="0")
            order = engine.commands(NewOrder)[-1]
            assert (order.reset_epoch, order.msg_seq) == ((2, 2) if again_with_reset else (1, 3))


def test_a_crash_behind_our_answer_to_a_reset_is_healed_too(engine, tmp_path):
    """The record of the reset is lost though the client has our Logon: nobody may be shut out for good."""
    as_the_crash_left_it = tmp_path / "crashed"
    with running(engine, (OMS44,), tmp_path / "fix") as first:
        five_orders(first)
        before = engine.session_cursor("OMS44")
        with Client(first.path, OMS44, mute=True) as client:
            client.logon("141=Y")
            until(lambda: status(first, "OMS44").next_in == 2)
            shutil.copytree(tmp_path / "fix", as_the_crash_left_it)
    with engine.lock:
        engine.cursors["OMS44"] = before
    with running(engine, (OMS44,), as_the_crash_left_it) as second:
        assert engine.session_cursor("OMS44").reset_epoch == before.reset_epoch + 1
        assert [note.action for note in engine.commands(AdminNote)] == ["session reset", "session set-seq in"]
        with Client(second.path, OMS44, next_out=2, mute=True) as client:
            client.logon()
            client.order("after")
            client.expect("8", t11="after", t150="0")
            order = engine.commands(NewOrder)[-1]
            assert (order.reset_epoch, order.msg_seq) == (1, 3)


def test_a_store_without_a_reset_is_no_reset(engine, tmp_path):
    """Killed between the record of a SequenceReset and QuickFIX's own count: the journal is ahead, the store low."""
    with running(engine, (OMS44,), tmp_path / "fix") as first, Client(first.path, OMS44, mute=True) as client:
        client.logon()
        until(lambda: status(first, "OMS44").next_in == 2)
        shutil.copytree(tmp_path / "fix", tmp_path / "crashed")
    with engine.lock:
        engine.cursors["OMS44"] = replace(engine.session_cursor("OMS44"), last_in_seq=50)
    with running(engine, (OMS44,), tmp_path / "crashed") as second:
        assert engine.commands(AdminNote) == [] and status(second, "OMS44").next_in == 51


@pytest.mark.parametrize("logon", ["", "141=Y"])
def test_a_logon_that_cannot_be_made_durable_is_refused_and_resets_nothing(acceptor, engine, logon):
    with Client(acceptor.path, OMS44, mute=True) as client:
        client.logon()
        client.order("a1")
        client.expect("8", t11="a1", t150="0")
        client.logout()
    until(lambda: not status(acceptor, "OMS44").logged_on)
    before = status(acceptor, "OMS44")
    engine.not_durable = TimeoutError("planted")
    number = 1 if logon else before.next_in
    with Client(acceptor.path, OMS44, next_out=number, mute=True) as client:
        assert refusal(client, logon).endswith("cannot take logons now")
    after = status(acceptor, "OMS44")
    assert after.next_in == before.next_in and after.next_out == before.next_out + 1
    engine.not_durable = None
    with Client(acceptor.path, OMS44, next_out=before.next_in, mute=True) as client:
        client.logon()
        client.order("a2")
        client.expect("8", t11="a2", t150="0")


def test_a_crash_before_the_first_answer_is_no_reset(engine, tmp_path):
    """The very first Logon is journaled, and QuickFIX has not counted it yet."""
    with running(engine, (OMS44,), tmp_path / "fix"):
        pass
    engine.cursors["OMS44"] = replace(engine.session_cursor("OMS44"), last_in_seq=1)
    with running(engine, (OMS44,), tmp_path / "fix") as acceptor:
        assert engine.commands(AdminNote) == [] and status(acceptor, "OMS44").next_in == 2


def test_a_disabled_session_is_told_why_and_keeps_its_numbers(acceptor, engine):
    with Client(acceptor.path, OMS44, mute=True) as client:
        client.logon()
        client.order("a1")
        client.expect("8", t150="0")
        acceptor.disable("OMS44", "limits under review")
        assert client.expect("5")["58"] == "limits under review"
    until(lambda: not status(acceptor, "OMS44").logged_on)
    before = status(acceptor, "OMS44")
    for logon in ("141=Y", ""):
        with Client(acceptor.path, OMS44, next_out=1 if logon else before.next_in, mute=True) as client:
            assert refusal(client, logon).endswith("limits under review")
    after = status(acceptor, "OMS44")
    assert after.next_in == before.next_in and after.next_out > before.next_out
    acceptor.enable("OMS44")
    engine.cursors["OMS44"] = replace(engine.cursors["OMS44"], enabled=False)
    with Client(acceptor.path, OMS44, next_out=before.next_in, mute=True) as client:
        assert "disabled" in refusal(client)
    engine.cursors["OMS44"] = replace(engine.cursors["OMS44"], enabled=True)
    with Client(acceptor.path, OMS44, next_out=before.next_in, mute=True) as client:
        client.logon()


def test_a_reset_in_a_live_connection_that_is_refused_uses_no_number_twice(acceptor, engine):
    with Client(acceptor.path, OMS44, mute=True) as client:
        client.logon()
        client.order("a1")
        client.expect("8", t11="a1", t150="0")
        until(lambda: status(acceptor, "OMS44").next_in == 3)
        before = status(acceptor, "OMS44")
        client.send("A", "98=0|108=0|141=Y", seq=1)
        logout = client.expect("5")
        assert "HeartBtInt" in logout["58"] and int(logout["34"]) > before.next_out
    until(lambda: not acceptor._links["OMS44"].present)
    assert status(acceptor, "OMS44").next_in == before.next_in


@pytest.mark.parametrize("ask", ["logout", "disable"])
def test_a_session_that_is_just_logging_on_is_logged_out(acceptor, engine, monkeypatch, ask):
    """Its Logon was let in before, and nobody would look again."""
    entered, go_on, call = threading.Event(), threading.Event(), engine.call

    def slow(command, timeout_s):
        entered.set()
        assert go_on.wait(WAIT_S)
        return call(command, timeout_s)

    monkeypatch.setattr(engine, "call", slow)
    with Client(acceptor.path, OMS44) as client:
        client.send("A", "98=0|108=30|141=Y", seq=1)
        assert entered.wait(WAIT_S)
        getattr(acceptor, ask)("OMS44", "risk says no")
        go_on.set()
        client.expect("A")
        assert client.expect("5")["58"] == "risk says no"
    until(lambda: not status(acceptor, "OMS44").logged_on)
    acceptor.enable("OMS44")
    until(lambda: not acceptor._links["OMS44"].present)
    with Client(acceptor.path, OMS44) as client:
        client.logon("141=Y")


def test_operations(acceptor, engine):
    with Client(acceptor.path, OMS44) as client:
        client.logon()
        until(lambda: status(acceptor, "OMS44").logged_on)
        with pytest.raises(SessionError, match="logged on"):
            acceptor.set_seq("OMS44", lambda: None, next_in=5)
        acceptor.logout("OMS44", "please reconnect")
        assert client.expect("5")["58"] == "please reconnect"
    until(lambda: not status(acceptor, "OMS44").logged_on)
    until(lambda: engine.commands(SessionLogout))
    assert engine.commands(SessionLogout)[0].reason == "please reconnect"
    acceptor.set_seq("OMS44", lambda: None, next_in=50, next_out=70)
    with Client(acceptor.path, OMS44, next_out=50) as client:
        assert client.logon()["34"] == "70"
        until(lambda: status(acceptor, "OMS44").logged_on)
        acceptor.reset("OMS44", lambda: None)
        client.expect("5")
    assert (status(acceptor, "OMS44").next_in, status(acceptor, "OMS44").next_out) == (1, 1)
    with pytest.raises(SessionError, match="expected"):
        acceptor.set_seq("OMS44", lambda: None, next_in=0)
    with pytest.raises(SessionError, match="expected one of"):
        acceptor.logout("nobody", "x")


def refusal(client, logon=""):
    """Why a Logon is refused: the text of the Logout that answers it."""
    client.leaving = True
    client.send("A", "98=0|108=30" + (f"|{logon}" if logon else ""))
    return client.expect("5")["58"]


def refused_text(acceptor, spec, **options) -> str:
    with Client(acceptor.path, spec, mute=True, **options) as client:
        return refusal(client)


@pytest.mark.parametrize("what", ["reset", "set_seq"])
def test_numbers_change_in_the_journal_first_and_nobody_logs_on_meanwhile(acceptor, engine, what):
    with Client(acceptor.path, OMS44) as client:
        client.logon()
        client.order("a1")
        client.expect("8", t150="0")
        until(lambda: status(acceptor, "OMS44").logged_on)
        seen = []

        def journal():
            now = status(acceptor, "OMS44")
            seen.append((now.logged_on, now.next_in))
            assert "by operations" in refused_text(acceptor, OMS44, next_out=now.next_in)
            with pytest.raises(SessionError, match="under way"):
                acceptor.reset("OMS44", journal)
            with engine.lock:
                last = 0 if what == "reset" else 49
                engine.cursors["OMS44"] = replace(engine.cursors["OMS44"], last_in_seq=last)

        if what == "set_seq":
            client.logout()
            until(lambda: not acceptor._links["OMS44"].present)
            acceptor.set_seq("OMS44", journal, next_in=50)
        else:
            acceptor.reset("OMS44", journal)
    assert len(seen) == 1 and seen[0][0] is False and seen[0][1] >= 3, "QuickFIX is changed after the journal"
    expected = 1 if what == "reset" else 50
    assert status(acceptor, "OMS44").next_in == expected
    with Client(acceptor.path, OMS44, next_out=expected) as client:
        client.logon()
        client.order("a2")
        client.expect("8", t11="a2", t150="0")


def test_a_change_of_numbers_that_fails_half_way_lets_nobody_in_until_it_is_repeated(acceptor, engine):
    def broken():
        raise TimeoutError("planted")

    with pytest.raises(SessionError, match="until it is repeated: TimeoutError: planted"):
        acceptor.set_seq("OMS44", broken, next_in=5)
    assert "not finished" in refused_text(acceptor, OMS44, next_out=5)
    acceptor.enable("OMS44")
    assert "not finished" in refused_text(acceptor, OMS44, next_out=5)
    acceptor.set_seq("OMS44", lambda: None, next_in=5)
    with Client(acceptor.path, OMS44, next_out=5) as client:
        client.logon()


@pytest.mark.parametrize("acceptor", [(OMS44, OMS42)], indirect=True)
def test_stop_says_goodbye(acceptor):
    with Client(acceptor.path, OMS44) as client, Client(acceptor.path, OMS42) as other:
        client.logon()
        other.logon()
        until(lambda: status(acceptor, "OMS42").logged_on)
        outcome: list[bool] = []
        caller = threading.Thread(target=lambda: outcome.append(acceptor.broadcast_logout("the journal failed", 10.0)))
        caller.start()
        assert client.expect("5")["58"] == "the journal failed"
        assert other.expect("5")["58"] == "the journal failed"
        caller.join(15.0)
        assert outcome == [True]
