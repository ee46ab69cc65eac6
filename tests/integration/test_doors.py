"""run/ deleted while the gateway runs: its sockets come back, and who was connected stays."""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from acceptor_kit import ALL, OMS42, OMS44, WAIT_S, Client, FakeEngine, until
from core_world import World

from fixgw import doors
from fixgw.admin.client import AdminClient
from fixgw.admin.server import AdminServer
from fixgw.core import commands as c
from fixgw.core.events import Alerted
from fixgw.doors import Doors
from fixgw.fix.acceptor import Acceptor
from fixgw.fix.front_start import unix_socket
from fixgw.venues import wire
from fixgw.venues.gateway_link import VenueLinks


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    monkeypatch.setattr(doors, "LOOK_S", 0.05)
    run = tmp_path / "run"
    run.mkdir()
    links = VenueLinks(run / "v.sock", submit=lambda _: None, on_book=lambda _: None, now_ns=time.time_ns)
    acceptor = Acceptor(FakeEngine(), ALL, tmp_path / "fix", run / "fix.sock")
    admin = AdminServer(run / "a.sock", {"ping": lambda params, user: "pong"})
    told: list[list[str]] = []
    made = Doors({run / "v.sock": links.start, run / "fix.sock": acceptor.bind_again, run / "a.sock": admin.start}, told.append)
    for part in (links, acceptor, admin, made):
        part.start()
    yield SimpleNamespace(run=run, links=links, acceptor=acceptor, told=told)
    made.stop()
    admin.close()
    acceptor.stop()
    links.stop()


def host(path: Path, venue: str) -> socket.socket:
    made = unix_socket()
    made.connect(str(path))
    made.sendall(wire.frame(wire.Hello(venue=venue, account="a", pid=1)))
    return made


def all_get_in(gateway: SimpleNamespace, venue: str, caplog: pytest.LogCaptureFixture) -> None:
    with Client(gateway.run / "fix.sock", OMS42) as client:
        client.logon("141=Y")
        client.logout()
    with host(gateway.run / "v.sock", venue):
        until(lambda: venue in gateway.links.hosts())
    with AdminClient(gateway.run / "a.sock", timeout_s=WAIT_S) as admin:
        assert admin.call("ping") == "pong"
    assert "nobody gets in" not in caplog.text and "nobody can log on" not in caplog.text


def delete_folder(run: Path) -> None:
    shutil.rmtree(run)


def delete_sockets(run: Path) -> None:
    for path in run.iterdir():
        path.unlink()


@pytest.mark.parametrize("delete", [delete_folder, delete_sockets])
def test_sockets_come_back(gateway: SimpleNamespace, delete: Callable[[Path], None], caplog: pytest.LogCaptureFixture) -> None:
    with Client(gateway.run / "fix.sock", OMS44) as there, host(gateway.run / "v.sock", "old"):
        there.logon("141=Y")
        until(lambda: "old" in gateway.links.hosts())
        for turn in range(2):
            delete(gateway.run)
            until(lambda: len([name for names in gateway.told for name in names]) == 3 * (turn + 1))  # noqa: B023
            all_get_in(gateway, f"new{turn}", caplog)
        there.order("A1")
        there.expect("8", t11="A1")
        assert "old" in gateway.links.hosts()


def test_a_folder_that_cannot_be_made_is_tried_again(gateway: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(gateway.run)
    gateway.run.write_text("in the way")
    until(lambda: caplog.text.count("cannot be bound anew yet") >= 3)
    gateway.run.unlink()
    until(lambda: sum(map(len, gateway.told)) == 3)
    all_get_in(gateway, "new", caplog)


@pytest.mark.parametrize(("action", "kind"), [("sockets lost", "SOCKETS_LOST"), ("raw log failed", "RAW_LOG_FAILED")])
def test_it_is_an_alert(action: str, kind: str) -> None:
    note = c.AdminNote(ts_ns=1, action=action, target="run/admin.sock", user="gateway", reason="deleted")
    assert [event.kind for event in World().run(note) if isinstance(event, Alerted)] == [kind]
