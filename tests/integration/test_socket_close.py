"""A client that comes back the moment its connection was ended is read by one thread, and gets its answer."""

import ctypes
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


def test_python_keeps_nothing_of_a_thread_that_has_ended(tmp_path: Path) -> None:
    with running(FakeEngine(), ALL, tmp_path) as acceptor:
        before = _states()
        for turn in range(10):
            with Client(acceptor.path, OMS44) as client:
                client.logon("141=Y")
                client.logout()
            # one that is refused, in the Logon itself
            with Client(acceptor.path, OMS50) as client:
                client.send("A", "98=0", "108=-1")
                while not client.closed:
                    assert client.read(WAIT_S) or client.closed, turn
        until(lambda: _states() <= before)


def _states() -> int:
    """How many threads the interpreter holds to exist."""
    api = ctypes.pythonapi
    api.PyInterpreterState_Get.restype = api.PyInterpreterState_ThreadHead.restype = ctypes.c_void_p
    api.PyThreadState_Next.restype = ctypes.c_void_p
    state, count = api.PyInterpreterState_ThreadHead(ctypes.c_void_p(api.PyInterpreterState_Get())), 0
    while state:
        state, count = api.PyThreadState_Next(ctypes.c_void_p(state)), count + 1
    return count


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


def test_no_number_is_given_back_during_a_stop(tmp_path: Path) -> None:
    """QuickFIX then closes once more what its threads have closed since it began to stop."""

    class Stopping:
        def stop(self, force: bool) -> None:
            client.send("5")
            client.leaving = True
            while not client.closed:
                assert client.read(WAIT_S) or client.closed
            nonlocal number
            (number,) = until(lambda: socket_close._closed.keys() - before.keys())
            reader, _ = socket_close._closed[number]
            until(lambda: not Path(f"/proc/self/task/{reader}").exists())
            threading.Event().wait(5 * socket_close._POLL_S)
            kept.append(socket_close.is_closed(number))
            theirs.stop(force)

    kept: list[bool] = []
    number = -1
    with running(FakeEngine(), ALL, tmp_path) as acceptor, Client(acceptor.path, OMS44) as client:
        client.logon("141=Y")
        before = dict(socket_close._closed)
        theirs, acceptor._acceptor = acceptor._acceptor, Stopping()
        acceptor.broadcast_logout = lambda *_: True
        acceptor.stop(1.0)
        theirs = None  # QuickFIX's own goes now, not when a later test's sessions are there
    assert kept == [True]
    until(lambda: not socket_close.is_closed(number))


def _open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
