"""Numbers with zeros before them, and messages behind the end of a session."""

from __future__ import annotations

from pathlib import Path

import pytest
from acceptor_kit import OMS44, Client, FakeEngine, running, until

from fixgw.core.commands import NewOrder, SeqSeen, Unsupported
from fixgw.core.errors import Overloaded


@pytest.mark.parametrize("zeros", ["0" * 20, "0" * 5000])
def test_a_number_with_zeros_is_journaled_as_what_it_is(tmp_path: Path, zeros: str) -> None:
    engine = FakeEngine()
    with running(engine, [OMS44], tmp_path / "store") as acceptor:
        with Client(acceptor.path, OMS44, mute=True) as client:
            client.logon()
            order = "|".join(("11=a", "55=BTC/USDT", "54=1", "60=20260101-00:00:00", "38=1", "40=2", "44=100"))
            client.send("D", order, seq=zeros + "2")  # type: ignore[arg-type]
            assert client.expect("8", t11="a")["150"] == "A"
            client.send("ZZ" if len(zeros) < 100 else "q", "11=b", seq=zeros + "3")  # type: ignore[arg-type]
            client.drain()
            engine.refuse = Overloaded("not now")
            client.send("D", order.replace("11=a", "11=c"), seq=zeros + "4")  # type: ignore[arg-type]
            assert "380" in client.expect("j", t45="4")
            client.send("1", "112=x", seq=zeros + "5")  # type: ignore[arg-type]
            client.expect("0", t112="x")
            client.send("4", f"123=Y|36={zeros}9", seq=zeros + "6")  # type: ignore[arg-type]
            until(lambda: engine.session_cursor("OMS44").last_in_seq == 8)
        assert [command.msg_seq for command in engine.commands(NewOrder)] == [2]  # type: ignore[union-attr]
        numbers = {command.msg_seq for kind in (SeqSeen, Unsupported) for command in engine.commands(kind)}  # type: ignore[union-attr]
        assert {3, 4, 5, 8} <= numbers


@pytest.mark.parametrize("behind", ["123=N|36=1", "123=Y|36=1", ""])
def test_what_stands_right_behind_a_logout_changes_nothing(tmp_path: Path, behind: str) -> None:
    """QuickFIX takes a SequenceReset (or a Reject) in a session that is over; the process would be gone."""
    engine = FakeEngine()
    with running(engine, [OMS44], tmp_path / "store") as acceptor:
        with Client(acceptor.path, OMS44) as client:
            client.logon()
            client.leaving = True
            both: list[bytes] = []
            sock, client.sock = client.sock, _Kept(both)  # type: ignore[assignment]
            client.send("5")
            client.send("4" if behind else "3", behind or "45=1")
            client.sock = sock
            sock.sendall(b"".join(both))
            client.expect("5")
            until(lambda: not client.read(0.1) and client.closed)
        assert engine.session_cursor("OMS44").last_in_seq == 2
        with Client(acceptor.path, OMS44, next_out=3) as client:
            client.logon()
            client.logout()


class _Kept:
    """In a socket's place: what would be sent."""

    def __init__(self, kept: list[bytes]) -> None:
        self.sendall = kept.append
