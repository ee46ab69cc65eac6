"""FixClient (the real QuickFIX engine) through the front to a QuickFIX acceptor, for the three versions."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from front_acceptor import SESSIONS, Acceptor

from fixgw.fix.client import ClientError, FixClient, FixMessage

WAIT_S = 20


class Rig:
    """Acceptor and front, once for all tests here."""

    def __init__(self, folder: Path) -> None:
        self.acceptor = Acceptor("C")
        sessions, ready = folder / "sessions.json", folder / "ready.json"
        sessions.write_text(json.dumps({"sessions": self.acceptor.front_sessions()}))
        self.log_file = folder / "front.log"
        command = [sys.executable, "-m", "fixgw.fix.front", "--listen", "127.0.0.1:0"]
        command += ["--backend", f"127.0.0.1:{self.acceptor.port}", "--sessions", str(sessions)]
        with self.log_file.open("wb") as log:
            self.front = subprocess.Popen([*command, "--ready-file", str(ready)], stderr=log)
        deadline = time.monotonic() + WAIT_S
        while not ready.exists():
            assert time.monotonic() < deadline and self.front.poll() is None, self.log_file.read_text()
            time.sleep(0.01)
        self.port = json.loads(ready.read_text())["port"]

    def client(self, name: str, **options: object) -> FixClient:
        return FixClient("127.0.0.1", self.port, SESSIONS[name], f"C{name}", "FIXGW", reset=True, **options)  # type: ignore[arg-type]

    def stop(self) -> None:
        self.front.send_signal(signal.SIGTERM)
        assert self.front.wait(WAIT_S) == 0
        self.acceptor.stop()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("front"))
    yield rig
    rig.stop()


def report(client: FixClient, cl_ord_id: str, exec_types: str) -> FixMessage:
    return client.wait_for(
        lambda m: m.msg_type == "8" and m.get(11) == cl_ord_id and m.get(150) in exec_types,
        WAIT_S,
        what=f"150={exec_types} of {cl_ord_id}",
    )


@pytest.mark.parametrize("name", SESSIONS)
def test_an_order_s_life_on_each_version(rig: Rig, name: str) -> None:
    with rig.client(name, username="me", password="hush", logon_fields={20008: "Y"}) as client:
        client.wait_logon(WAIT_S)
        assert rig.acceptor.logons[-1]["20008"] == "Y" and rig.acceptor.logons[-1]["554"] == "hush"
        first = client.new_order("buy", "5", "BTC/USDT", price="50", time_in_force="1")
        report(client, first, "0")
        second = client.replace(first, order_qty="7", price="51")
        assert report(client, second, "5").get(41) == first
        view = client.orders.get(first)
        assert view is client.orders.get(second) and view is not None
        assert (view.cl_ord_id, view.order_qty, view.price, view.ord_status) == (
            second,
            "7",
            "51",
            "5" if name == "OMS42" else "0",
        )
        before = client.last_number
        client.status(second)
        answer = client.wait_for(lambda m: m.msg_type == "8", WAIT_S, after=before)
        assert answer.get(20) == "3" if name == "OMS42" else answer.get(150) == "I"
        third = client.cancel(second)
        report(client, third, "4")
        assert view.terminal and view.leaves_qty == "0"
        again = client.cancel(second)
        rejected = client.wait_for(lambda m: m.msg_type == "9" and m.get(11) == again, WAIT_S)
        assert rejected.get(434) == "1" and rejected.get(102) == "1"
        market = client.new_order("sell", "2", "BTC/USDT")
        assert report(client, market, "F2").get(32) == "2"
        cash = client.new_order("buy", None, "BTC/USDT", cash_order_qty="100", extra={100: "SIM", 1: "ACC"})
        report(client, cash, "F2")
        assert rig.acceptor.received[-1]["152"] == "100" and "38" not in rig.acceptor.received[-1]
        stop = client.new_order("buy", "1", "BTC/USDT", price="20", stop_px="19")
        report(client, stop, "0")
        assert rig.acceptor.received[-1]["40"] == "4"
        refused = report(client, client.new_order("buy", "5000", "BTC/USDT", price="1"), "8")
        assert [refused.get(tag) for tag in (20001, 20002, 20003, 20004)] == ["QTY_MAX", "38", "5000", "1000"]
        assert not client.errors and not rig.acceptor.errors
        assert "hush" not in repr(client)
    assert not client.logged_on
    assert "hush" not in rig.log_file.read_text()


def test_groups_keep_their_order(rig: Rig) -> None:
    with rig.client("OMS44") as client:
        client.wait_logon(WAIT_S)
        parties = [(453, 2), (448, "FUND"), (447, "D"), (452, 3), (448, "DESK"), (447, "D"), (452, 24)]
        order = client.new_order("buy", "1", "BTC/USDT", price="1", extra=parties)
        report(client, order, "0")
        # a dict keeps the last of the repeated tags: the second party's
        assert rig.acceptor.received[-1]["448"] == "DESK" and rig.acceptor.received[-1]["453"] == "2"


def test_a_second_client_on_a_live_session(rig: Rig) -> None:
    with rig.client("OMS44") as live:
        live.wait_logon(WAIT_S)
        with rig.client("OMS44", qualifier="second") as second:
            second.wait_for(lambda m: m.msg_type == "5", WAIT_S, what="Logout")
            with pytest.raises(ClientError, match="already connected"):
                second.wait_logon(0.01)
        assert live.logged_on and live.logons == 1
        report(live, live.new_order("buy", "1", "BTC/USDT", price="1"), "0")


def test_bad_use_is_told(rig: Rig) -> None:
    client = rig.client("OMS44")
    with pytest.raises(ClientError, match="not logged on"):
        client.send({35: "0"})
    with pytest.raises(ClientError, match=r"MsgType\(35\) is missing"):
        client.send({11: "x"})
    with pytest.raises(ClientError, match="tag 58"):
        client.send({35: "D", 58: "a\x01b"})
    with pytest.raises(ClientError, match="'nope' is not known"):
        client.cancel("nope")
    with pytest.raises(TypeError, match="not exact"):
        client.new_order("buy", 0.1, "X")
    with pytest.raises(ClientError, match="begin_string"):
        FixClient("127.0.0.1", 1, "FIX.5.0", "A", "B")
    with pytest.raises(ClientError, match="no Logon within"):
        client.wait_logon(0.01)
    with pytest.raises(TimeoutError, match="no miracle within"):
        client.wait_for(lambda m: True, 0.01, what="miracle")


def test_it_reconnects_by_itself(rig: Rig) -> None:
    with rig.client("OMS50") as client:
        client.wait_logon(WAIT_S)
        before = client.last_number
        client.send({35: "5"})  # the acceptor answers our Logout and closes
        client.wait_logout(WAIT_S)
        client.wait_logon(WAIT_S)
        assert client.logons == 2 and client.last_number > before


def test_numbers_live_in_the_store_and_a_session_is_open_once(rig: Rig, tmp_path: Path) -> None:
    ids = ("FIX.4.2", "COMS42", "FIXGW")
    for reset in (True, False):
        client = FixClient("127.0.0.1", rig.port, *ids, store_dir=tmp_path / "numbers", reset=reset)
        with client:
            client.wait_logon(WAIT_S)
            with pytest.raises(ClientError, match="open in this process already"):
                rig.client("OMS42").start()
            report(client, client.new_order("buy", "1", "BTC/USDT", price="1"), "0")
    logon = rig.acceptor.logons[-1]
    assert int(logon["34"]) > 1 and "141" not in logon
