"""A moment without a free file handle or thread: whoever is at a door of the gateway then is let in, or gets in afterwards."""

import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from acceptor_kit import ALL, OMS42, OMS44, OMS50, WAIT_S, Client, FakeEngine, running, until

from fixgw.admin.client import AdminClient
from fixgw.admin.server import AdminServer
from fixgw.core import commands as c
from fixgw.fix import quickfix_accept
from fixgw.fix.acceptor import Acceptor
from fixgw.fix.front_start import unix_socket
from fixgw.process import allow_files
from fixgw.venues import wire
from fixgw.venues.gateway_link import VenueLinks


@contextmanager
def no_handles() -> Iterator[None]:
    """Nothing can be opened within."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """No thread can be started within; the names of those that were asked for."""
    asked: list[str] = []

    def fails(thread: threading.Thread) -> None:
        asked.append(thread.name)
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fails)
        yield asked


def crowd(path: Path, heard: Callable[[], bool]) -> None:
    """Three come while nothing can be opened, until the accept loop has met that; they leave again. The first is taken: a
    waiting accept() has its handle already."""
    sockets = [unix_socket() for _ in range(3)]
    with no_handles():
        for one in sockets:
            one.connect(str(path))
        until(heard)
    for one in sockets:
        one.close()


@pytest.fixture
def lost() -> list[str]:
    return []


@pytest.fixture
def acceptor(tmp_path: Path, lost: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Acceptor]:
    # each test is a first time
    monkeypatch.setattr(quickfix_accept, "_told_s", -quickfix_accept.TELL_S)
    monkeypatch.setattr(quickfix_accept, "LOOK_S", 0.05)
    with running(FakeEngine(), ALL, tmp_path, on_lost=lost.append) as made:
        yield made


def logs_on(acceptor: Acceptor) -> None:
    with Client(acceptor.path, OMS42) as client:
        client.logon("141=Y")
        client.logout()


def test_quickfix_is_built_as_expected() -> None:
    assert quickfix_accept.install()


def test_sessions_log_on_after_a_lack_of_handles(acceptor: Acceptor, lost: list[str], caplog: pytest.LogCaptureFixture) -> None:
    with Client(acceptor.path, OMS44) as there:
        there.logon("141=Y")
        crowd(acceptor.path, lambda: "nobody can log on for now" in caplog.text)
        logs_on(acceptor)
        there.order("A1")
        there.expect("8", t11="A1")
    assert caplog.text.count("nobody can log on for now") == 1 and not lost


def test_an_acceptor_stops_while_there_are_no_handles(acceptor: Acceptor, caplog: pytest.LogCaptureFixture) -> None:
    sockets = [unix_socket() for _ in range(3)]
    began = time.monotonic()
    with no_handles():
        for one in sockets:
            one.connect(str(acceptor.path))
        until(lambda: "nobody can log on for now" in caplog.text)
        acceptor.stop()
    assert time.monotonic() - began < 15
    for one in sockets:
        one.close()


def test_a_connection_without_a_thread_is_closed_and_the_next_is_served(
    acceptor: Acceptor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quickfix_accept, "SPAWN_S", 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(quickfix_accept, "_quickfix_spawn", lambda *_: False)
        with unix_socket() as refused:
            refused.settimeout(WAIT_S)
            refused.connect(str(acceptor.path))
            assert refused.recv(1) == b""
    logs_on(acceptor)


def test_an_acceptor_stops_after_a_connection_without_a_thread(acceptor: Acceptor, monkeypatch: pytest.MonkeyPatch) -> None:
    """QuickFIX joins a thread for each connection that it has taken."""
    joined: list[int] = []
    join = quickfix_accept._quickfix_join
    monkeypatch.setattr(quickfix_accept, "_quickfix_join", lambda thread: (joined.append(thread), join(thread)))
    monkeypatch.setattr(quickfix_accept, "SPAWN_S", 0.0)
    monkeypatch.setattr(quickfix_accept, "_quickfix_spawn", lambda *_: False)
    with unix_socket() as refused:
        refused.settimeout(WAIT_S)
        refused.connect(str(acceptor.path))
        assert refused.recv(1) == b""
    acceptor.stop()
    # that of the accept loop, and the one that started it
    assert len(joined) == 2 and quickfix_accept.NOBODY not in joined


def test_a_thread_comes_late(acceptor: Acceptor, monkeypatch: pytest.MonkeyPatch) -> None:
    spawn, tries = quickfix_accept._quickfix_spawn, []

    def third_time(function: int, argument: int, thread: int) -> bool:
        tries.append(function)
        return len(tries) > 2 and spawn(function, argument, thread)

    monkeypatch.setattr(quickfix_accept, "_quickfix_spawn", third_time)
    with Client(acceptor.path, OMS50) as client:
        client.logon("141=Y")
    assert len(tries) >= 3


def test_an_accept_loop_that_has_ended_is_told_of(acceptor: Acceptor, lost: list[str]) -> None:
    logs_on(acceptor)
    watch = acceptor._watch
    assert watch is not None and until(lambda: watch.seen) and not lost
    number = watch.listener
    with socket.socket(fileno=os.dup(number)) as listener:
        listener.shutdown(socket.SHUT_RDWR)
    until(lambda: lost)
    assert "does not accept" in lost[0]


@pytest.fixture
def links(tmp_path: Path) -> Iterator[VenueLinks]:
    made = VenueLinks(tmp_path / "v.sock", submit=lambda _: None, on_book=lambda _: None, now_ns=time.time_ns)
    made.start()
    yield made
    made.stop()


def host_gets_in(links: VenueLinks, path: Path, venue: str) -> None:
    with unix_socket() as host:
        host.connect(str(path))
        host.sendall(wire.frame(wire.Hello(venue=venue, account="a", pid=1)))
        host.sendall(wire.frame(c.VenueLink(ts_ns=time.time_ns(), venue=venue, up=True)))
        until(lambda: venue in links.hosts())


def test_a_venue_host_gets_in_after_a_lack_of_handles(
    links: VenueLinks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crowd(tmp_path / "v.sock", lambda: "venue links: nobody gets in" in caplog.text)
    host_gets_in(links, tmp_path / "v.sock", "sim")
    assert caplog.text.count("nobody gets in") == 1


def test_a_venue_host_gets_in_after_a_lack_of_threads(links: VenueLinks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with no_threads(monkeypatch) as asked, unix_socket() as host:
        host.settimeout(WAIT_S)
        host.connect(str(tmp_path / "v.sock"))
        assert host.recv(1) == b"" and asked == ["venue-read"]
    host_gets_in(links, tmp_path / "v.sock", "sim")


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[AdminServer]:
    made = AdminServer(tmp_path / "a.sock", {"ping": lambda params, user: "pong"}, max_connections=2)
    made.start()
    yield made
    made.close()


def ping(path: Path) -> object:
    with AdminClient(path, timeout_s=WAIT_S) as client:
        return client.call("ping")


def test_operations_get_in_after_a_lack_of_handles(admin: AdminServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    crowd(tmp_path / "a.sock", lambda: "admin socket: nobody gets in" in caplog.text)
    assert until(lambda: _pong(tmp_path / "a.sock"))


def _pong(path: Path) -> bool:
    try:
        return ping(path) == "pong"
    except Exception:  # BUSY: who left is not yet known to be gone
        return False


def test_operations_get_in_after_a_lack_of_threads(admin: AdminServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with no_threads(monkeypatch) as asked:
        for _ in range(5):  # more than there are slots: each is given back
            with unix_socket() as one:
                one.settimeout(WAIT_S)
                one.connect(str(tmp_path / "a.sock"))
                assert one.recv(1) == b""
    assert asked == ["admin"] * 5
    assert ping(tmp_path / "a.sock") == "pong"
    # nothing that never began is waited for at the end
    admin.close()


def test_who_leaves_while_all_are_busy_does_no_harm(admin: AdminServer, tmp_path: Path) -> None:
    with AdminClient(tmp_path / "a.sock") as one, AdminClient(tmp_path / "a.sock") as two:
        assert one.call("ping") == two.call("ping") == "pong"
        for _ in range(20):
            with unix_socket() as gone:
                gone.connect(str(tmp_path / "a.sock"))
    assert until(lambda: _pong(tmp_path / "a.sock"))


def test_the_limit_of_handles_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
        allow_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] in (65_536, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
