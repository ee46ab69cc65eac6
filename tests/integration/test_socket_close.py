"""A client that comes back the moment its connection was ended is read by one thread, and gets its answer."""

import time
from pathlib import Path

from acceptor_kit import ALL, OMS42, OMS44, OMS50, WAIT_S, Client, FakeEngine, running, until

from fixgw.core.commands import AnyCommand, SessionLogout
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


def _open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
