"""A client that comes back the moment its connection was ended is read by one thread, and gets its answer."""

import os
import socket
import threading
import time
from pathlib import Path

import pytest
from acceptor_kit import ALL, OMS42, OMS44, OMS50, WAIT_S, Client, FakeEngine, running, until

from fixgw.core.commands import AnyCommand, NewOrder, SessionLogout
from fixgw.fix import socket_close

ROUNDS = 40


class SlowDisk(FakeEngine):
    """The record of a logout takes its time: meanwhile QuickFIX has closed the socket, and its thread still reads it."""

    def submit(self, command: AnyCommand, reply=None, more: bool = False) -> None:
        if isinstance(command, SessionLogout):
            time.sleep(0.005)
        super().submit(command, reply, more)


def test_quickfix_is_built_as_expected() -> None:
    assert socket_close.install()


def test_no_logon_is_lost_between_two_connections(tmp_path: Path) -> None:
    with running(SlowDisk(), ALL, tmp_path) as acceptor:
        for turn in range(ROUNDS):
            with Client(acceptor.path, (OMS42, OMS44, OMS50)[turn % 3]) as client:
                client.logon("141=Y")
                client.order(f"A{turn}")
                client.expect("8", t11=f"A{turn}")
                client.send("5")
                client.leaving = True
                while not client.closed:
                    assert client.read(WAIT_S) or client.closed


def test_numbers_are_given_back(tmp_path: Path) -> None:
    """Nothing keeps the descriptors of connections that have ended."""
    with running(FakeEngine(), ALL, tmp_path) as acceptor:
        before = _open()
        for _ in range(10):
            with Client(acceptor.path, OMS44) as client:
                client.logon("141=Y")
                client.logout()
        until(lambda: _open() <= before)


def test_a_number_stays_taken_when_a_thread_of_ours_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That thread is gone at once; the one that reads the connection may be in a callback for longer."""
    entered, go_on = threading.Event(), threading.Event()

    class Busy(FakeEngine):
        def submit(self, command: AnyCommand, reply=None, more: bool = False) -> None:
            if isinstance(command, NewOrder):
                entered.set()
                assert go_on.wait(60)
            super().submit(command, reply, more)

    with running(Busy(), ALL, tmp_path) as acceptor:
        try:
            with Client(acceptor.path, OMS44) as client:
                client.logon("141=Y")
                before = dict(socket_close._closed)
                client.order("A")
                assert entered.wait(WAIT_S)
                ended = threading.Thread(target=acceptor._links["OMS44"].session.disconnect)
                ended.start()
                ended.join(WAIT_S)
                (number,) = socket_close._closed.keys() - before.keys()
                threading.Event().wait(5 * socket_close._POLL_S)
                assert socket_close.is_closed(number), "given back while its reader is in a callback"
                go_on.set()
                monkeypatch.setattr(socket_close, "_LONGEST_S", 0.5)
                until(lambda: not socket_close.is_closed(number))
        finally:
            go_on.set()


def test_what_is_closed_twice_is_not_closed_for_who_has_its_number_by_then() -> None:
    """At a stop QuickFIX closes connections once more whose threads have ended."""
    socket_close.install()
    first, second = socket.socketpair()
    with second:
        number = first.detach()
        socket_close.opened(number)
        closer = threading.Thread(target=socket_close._close, args=(number,))
        closer.start()
        closer.join(WAIT_S)
        assert second.recv(1) == b"" and socket_close.is_closed(number)
        socket_close.close_now(number)
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(number)
    ours, theirs = socket.socketpair()
    with theirs:
        os.dup2(ours.fileno(), number)
        if ours.fileno() != number:
            ours.close()
        socket_close._close(number)
        assert not socket_close.is_closed(number)
        os.write(number, b"still here")
        assert theirs.recv(10) == b"still here"
        # and again QuickFIX's
        socket_close.opened(number)
        socket_close._close(number)
        assert theirs.recv(1) == b"" and socket_close.is_closed(number)
        socket_close.close_now(number)
    ours.detach()


def _open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
