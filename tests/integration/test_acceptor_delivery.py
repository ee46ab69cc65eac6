"""What reaches a counterparty across disconnects, restarts and resets: everything, in order, under one ExecID, and marked
PossResend where it may be a second time."""

from __future__ import annotations

import socket
import time
from decimal import Decimal

import pytest
from acceptor_kit import OMS42, OMS44, PB44, Client, FakeEngine, acceptor_over, until

from fixgw.core.commands import AdminNote, Delivered, SessionLogon, SessionLogout
from fixgw.core.reports import CancelReject, Report
from fixgw.fix.acceptor import REBOOT_GAP, Acceptor
from fixgw.fix.outbound import encode
from fixgw.journal.errors import JournalGap

TOO_LATE = CancelReject(order_id="O1", cl_ord_id="x", orig_cl_ord_id="c1", ord_status="0", response_to="1", reason="TOO_LATE")


def report(number: int, **changes: object) -> Report:
    fields = {
        "exec_id": f"E{number}",
        "exec_type": "0",
        "ord_status": "0",
        "order_id": f"O{number}",
        "cl_ord_id": f"c{number}",
        "symbol": "BTC/USDT",
        "side": "1",
        "leaves_qty": Decimal(1),
        "transact_ns": 1_700_000_000_123_456_789,
    }
    return Report(**{**fields, **changes})


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def running(engine, tmp_path):
    """Starts acceptors over one store; stops what is left."""
    started: list[Acceptor] = []

    def start(*specs, **options):
        made = acceptor_over(engine, specs or (OMS44,), tmp_path / "fix", **options)
        made.start()
        started.append(made)
        return made

    yield start
    for acceptor in started:
        acceptor.stop(1.0)


def gone(acceptor, name="OMS44"):
    until(lambda: not next(s for s in acceptor.status() if s.name == name).logged_on)


def exec_ids(messages):
    return [(m["17"], m.get("97", "N"), m.get("43", "N")) for m in messages if m["35"] == "8"]


def resend(client: Client, count: int):
    """All from 1 on, `count` reports."""
    client.send("2", "7=1|16=0")
    return client.drain(count)


def test_live_reports_carry_no_97_and_a_heartbeat_moves_the_cursor(engine, running):
    acceptor = running()
    engine.publish("OMS44", report(1))  # while logged out: its first sending is live
    with Client(acceptor.path, OMS44) as client:
        client.logon()
        engine.publish("OMS44", report(2))
        assert "97" not in client.expect("8", t17="E1") and "97" not in client.expect("8", t17="E2")
        until(lambda: (client.read(0.05), engine.session_cursor("OMS44").delivered_seq >= 3)[1])
        # confirmations are no reports: they cause no further TestRequest
        count = len(engine.commands(Delivered))
        client.received.clear()
        assert not [m for m in client.drain(quiet_s=1.3) if m["35"] == "1"]
        assert len(engine.commands(Delivered)) <= count + 1


def test_a_false_confirmation_moves_nothing(engine, running):
    acceptor = running()
    with Client(acceptor.path, OMS44, mute=True) as client:
        client.logon()
        engine.publish("OMS44", report(1))
        client.expect("8")
        asked = client.expect("1")["112"]
        for wrong in ("fixgw-999999", "fixgw-x", "TEST", "fixgw-" + "9" * 30):
            client.send("0", f"112={wrong}")
        client.send("1", "112=sync")
        client.expect("0", t112="sync")
        assert engine.session_cursor("OMS44").delivered_seq == 0
        client.send("0", f"112={asked}")
        until(lambda: engine.session_cursor("OMS44").delivered_seq == int(asked[6:]))


def test_reconnect_without_reset_leaves_recovery_to_the_store(engine, running):
    acceptor = running()
    with Client(acceptor.path, OMS44, mute=True) as client:
        client.logon()
        engine.publish("OMS44", report(1))
        client.expect("8", t17="E1")
    gone(acceptor)
    engine.publish("OMS44", report(2))
    with Client(acceptor.path, OMS44, next_out=2, mute=True) as client:
        client.logon()
        assert exec_ids(client.drain(1)) == [("E2", "N", "N")]
        assert exec_ids(resend(client, 2)) == [("E1", "N", "Y"), ("E2", "N", "Y")]


@pytest.mark.parametrize("crash", [False, True])
def test_a_new_process_sends_again_only_what_the_store_does_not_hold(engine, running, crash, tmp_path):
    acceptor = running()
    with Client(acceptor.path, OMS44, mute=True) as client:
        client.logon()
        for number in (1, 2):
            engine.publish("OMS44", report(number))
            client.expect("8", t17=f"E{number}")
        number = int(client.received[-1]["34"]) if client.received else 4
    gone(acceptor)
    engine.publish("OMS44", report(3))  # durable, never handed to QuickFIX
    engine.publish("OMS44", TOO_LATE)
    acceptor.stop()
    acceptor = running(rebooted=crash)
    next_in = engine.session_cursor("OMS44").last_in_seq + 1
    with Client(acceptor.path, OMS44, next_out=next_in, mute=True) as client:
        logon = client.logon()
        engine.publish("OMS44", report(4))
        messages = client.drain(4 if crash else 2)
        live = exec_ids(messages)
        rejects = [m for m in messages if m["35"] == "9"]
        assert len(rejects) == 1 and rejects[0]["97"] == "Y" and rejects[0]["102"] == "0"
        if crash:  # the store was not synced: it is not trusted, and no number is used twice
            assert live == [("E1", "Y", "N"), ("E2", "Y", "N"), ("E3", "Y", "N"), ("E4", "N", "N")]
            assert int(logon["34"]) >= number + REBOOT_GAP
        else:
            assert live == [("E3", "Y", "N"), ("E4", "N", "N")]
            assert int(logon["34"]) < number + 10
        resent = [entry[0] for entry in exec_ids(resend(client, 4))]
        assert resent == ["E1", "E2", "E3", "E4"]


def test_reset_redelivers_what_was_not_confirmed(engine, running):
    acceptor = running()
    with Client(acceptor.path, OMS44) as client:
        client.logon()
        engine.publish("OMS44", report(1))
        client.expect("8", t17="E1")
        until(lambda: client.read(0.05) or engine.session_cursor("OMS44").delivered_seq)
        client.mute = True
        for number in (2, 3):
            engine.publish("OMS44", report(number))
            client.expect("8", t17=f"E{number}")
    gone(acceptor)
    engine.publish("OMS44", report(4))
    with Client(acceptor.path, OMS44, mute=True) as client:
        assert client.logon("141=Y")["34"] == "1"
        assert exec_ids(client.drain(3)) == [("E2", "Y", "N"), ("E3", "Y", "N"), ("E4", "N", "N")]
    gone(acceptor)
    with Client(acceptor.path, OMS44, mute=True) as client:  # and again
        client.logon("141=Y")
        assert exec_ids(client.drain(3)) == [("E2", "Y", "N"), ("E3", "Y", "N"), ("E4", "Y", "N")]


@pytest.mark.parametrize(("to", "restart"), [("down", False), ("down", True), ("up", False)])
def test_numbers_set_by_operations_redeliver_what_was_not_confirmed(engine, running, to, restart):
    """E1 and E2 were handed over, nobody has said that they arrived, and their numbers now mean something else, or nothing."""
    acceptor = running()
    with Client(acceptor.path, OMS44, mute=True) as client:
        client.logon()
        engine.publish("OMS44", report(1))
        engine.publish("OMS44", report(2))
        first = int(client.expect("8", t17="E1")["34"])
        client.expect("8", t17="E2")
        client.logout()
    until(lambda: not acceptor._links["OMS44"].present)
    number = first if to == "down" else first + 50
    acceptor.set_seq("OMS44", lambda: None, next_out=number)
    if restart:
        acceptor.stop(1.0)
        acceptor = running()
    with Client(acceptor.path, OMS44, next_out=acceptor.status()[0].next_in) as client:
        assert client.logon()["34"] == str(number)
        assert client.expect("8", t17="E1")["97"] == "Y" and client.expect("8", t17="E2")["97"] == "Y"
        engine.publish("OMS44", report(3))
        last = engine.durable_seq
        assert "97" not in client.expect("8", t17="E3")
        until(lambda: (client.read(0.05), engine.session_cursor("OMS44").delivered_seq >= last)[1])


def test_the_same_number_set_by_operations_sends_nothing_again(engine, running):
    acceptor = running()
    with Client(acceptor.path, OMS44, mute=True) as client:
        client.logon()
        engine.publish("OMS44", report(1))
        client.expect("8", t17="E1")
        client.logout()
    until(lambda: not acceptor._links["OMS44"].present)
    now = acceptor.status()[0]
    acceptor.set_seq("OMS44", lambda: None, next_out=now.next_out, next_in=now.next_in)
    with Client(acceptor.path, OMS44, next_out=now.next_in, mute=True) as client:
        client.logon()
        engine.publish("OMS44", report(2))
        assert [found[0] for found in exec_ids(client.drain(1))] == ["E2"]


def test_next_expected_on_logon_confirms(engine, running):
    acceptor = running()
    with Client(acceptor.path, OMS44, mute=True) as client:
        client.logon()
        engine.publish("OMS44", report(1))
        client.expect("8")
        asked = client.expect("1")
    gone(acceptor)
    with Client(acceptor.path, OMS44, next_out=2, mute=True) as client:
        client.logon(f"789={int(asked['34']) + 1}")
        until(lambda: engine.session_cursor("OMS44").delivered_seq == int(asked["112"][6:]))


def test_records_that_were_taken_away_are_told_of_and_passed_over(engine, running):
    """The session's cursor stands before them; what comes behind arrives."""
    for number in range(1, 6):
        engine.publish("OMS44", report(number))
    kept, read = 4, engine.records

    def records(after_seq, timeout_s, cursor=None):
        if after_seq + 1 < kept:
            raise JournalGap(after_seq + 1, kept, f"is not kept any more: the oldest one here is {kept}")
        return read(after_seq, timeout_s, cursor)

    engine.records = records
    acceptor = running()
    with Client(acceptor.path, OMS44) as client:
        client.logon()
        client.expect("8", t17="E4")
        client.expect("8", t17="E5")
        engine.publish("OMS44", report(6))
        client.expect("8", t17="E6")
    (note,) = (command for command in engine.commands(AdminNote) if command.action == "session reports lost")
    assert "record 1 is not kept" in note.reason


@pytest.mark.parametrize("again", ["", "141=Y"])
def test_drop_copy(engine, running, again):
    acceptor = running(OMS44, PB44)
    with Client(acceptor.path, PB44, mute=True) as client:
        client.logon()
        engine.publish("OMS44", report(1))
        engine.publish("OMS42", report(2))  # not in scope
        engine.publish("OMS44", report(3, status_reply=True))
        engine.publish("OMS44", TOO_LATE)
        engine.publish("OMS44", report(4, fee=Decimal("0.001"), fee_asset="BNB"))
        messages = client.drain(2)
        assert exec_ids(messages) == [("E1", "N", "N"), ("E4", "N", "N")]
        assert not [m for m in messages if m["35"] == "9"]
        copy = next(m for m in messages if m["35"] == "8")
        assert (copy["797"], copy["448"], copy["452"]) == ("Y", "OMS44", "3")
        assert "\x01453=1\x01448=OMS44\x01447=D\x01452=3\x01" in copy["raw"]
    gone(acceptor, "PB44")
    engine.publish("OMS44", report(5))
    sent = len(engine.commands(SessionLogon))
    with Client(acceptor.path, PB44, next_out=1 if again else 2, mute=True) as client:
        client.logon(again)
        expected = [*([("E1", "Y", "N"), ("E4", "Y", "N")] if again else []), ("E5", "N", "N")]
        assert exec_ids(client.drain(len(expected))) == expected
        resent = resend(client, 3)
        assert [entry[0] for entry in exec_ids(resent)] == ["E1", "E4", "E5"]
        assert "\x01453=1\x01448=OMS44\x01447=D\x01452=3\x01" in next(m for m in resent if m["35"] == "8")["raw"]
    assert len(engine.commands(SessionLogon)) == sent + 1


def test_many_reports_arrive_once_and_in_order(engine, running):
    acceptor = running(OMS44, OMS42)
    with Client(acceptor.path, OMS44) as first, Client(acceptor.path, OMS42) as second:
        first.logon()
        second.logon()
        for number in range(600):
            engine.publish("OMS44" if number % 2 else "OMS42", report(number))
        for client, rest in ((first, 1), (second, 0)):
            got = [entry[0] for entry in exec_ids(client.drain(300))]
            assert got == [f"E{number}" for number in range(600) if number % 2 == rest]


def test_quickfix_takes_no_report_for_a_session_that_is_not_logged_on(engine, running):
    """It would slip into the numbers of the next connection, even before its Logon."""
    acceptor = running()
    link = acceptor._links["OMS44"]
    before = acceptor.status()[0].next_out
    assert link.send(encode(report(1), OMS44.version)) is False
    assert acceptor.status()[0].next_out == before


@pytest.mark.parametrize("how", ["status", "stop"])
def test_a_client_that_does_not_read_holds_up_nobody_else(engine, running, how):
    """The front drops it after a while; until then QuickFIX waits for it."""
    acceptor = running(OMS44, PB44, OMS42)
    with Client(acceptor.path, OMS44) as stuck, Client(acceptor.path, OMS42) as other:
        stuck.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.logon()
        other.logon()
        with engine.lock:
            for number in range(20_000):
                engine.append(SessionLogout(ts_ns=1, session="OMS44"), "OMS44", [report(number, text="x" * 500)])
            engine.lock.notify_all()
        sent = -1
        while (now := next(s for s in acceptor.status() if s.name == "OMS44").sent) != sent or not sent:
            sent = now
            time.sleep(0.3)
        assert 0 < sent < 20_000, "the sender waits for the client"
        started = time.monotonic()
        if how == "stop":
            acceptor.stop(0.5)
            assert time.monotonic() - started < 15
            return
        assert len(acceptor.status()) == 3
        acceptor.logout("OMS44", "please read")
        with Client(acceptor.path, PB44) as third:
            third.logon()
            third.expect("8")
        for number in range(20):
            other.order(f"a{number}")
            other.expect("8", t11=f"a{number}", t150="0")
        assert time.monotonic() - started < 15
