"""What speed is measured against: a bare QuickFIX acceptor that answers each NewOrderSingle with one ExecutionReport, inside
the callback. `python -m fixgw.bench.reference --port N --store DIR --ready-file FILE [--sync-file FILE | --relay]`.

R1: as QuickFIX comes (thread state not pinned), messages read and built as text, a file store, our dictionary, no log, no
check of anything. R2 (--sync-file): appends 300 bytes to a preallocated file and fdatasyncs before it answers.
The floor (--relay): R1 with what no gateway over QuickFIX's Python can do without, and nothing else: it hands each order to
another process and sends a second ExecutionReport (150=0) when that has answered. Threads are set up as in the gateway.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import quickfix as fix

from ..fix.acceptor_settings import AcceptorSession, settings_text
from ..process import SWITCH_INTERVAL_S
from .firm import CLIENT

RECORD: Final = bytes(300)
FILE_BYTES: Final = 64 << 20
_SOH: Final = "\x01"


class SyncFile:
    """Appends to a file of zeros; begins again at its start when it is full."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        zeros = bytes(1 << 20)
        for start in range(0, FILE_BYTES, len(zeros)):
            os.pwrite(self._fd, zeros, start)
        os.fsync(self._fd)
        self._offset = 0

    def append(self) -> None:
        """Durable when it returns. Raises OSError."""
        if self._offset + len(RECORD) > FILE_BYTES:
            self._offset = 0
        os.pwrite(self._fd, b"\x01" * len(RECORD), self._offset)
        os.fdatasync(self._fd)
        self._offset += len(RECORD)


class Echo(fix.Application):  # type: ignore[misc]
    """Answers D with 150=A."""

    def __init__(self, sync: SyncFile | None) -> None:
        super().__init__()
        self._sync = sync
        self._numbers = itertools.count(1)

    def onCreate(self, session_id: fix.SessionID) -> None:
        pass

    def onLogon(self, session_id: fix.SessionID) -> None:
        pass

    def onLogout(self, session_id: fix.SessionID) -> None:
        pass

    def toAdmin(self, message: fix.Message, session_id: fix.SessionID) -> None:
        pass

    def fromAdmin(self, message: fix.Message, session_id: fix.SessionID) -> None:
        pass

    def toApp(self, message: fix.Message, session_id: fix.SessionID) -> None:
        pass

    def fromApp(self, message: fix.Message, session_id: fix.SessionID) -> None:
        order = dict(field.split("=", 1) for field in message.toString().split(_SOH)[:-1])
        if order["35"] != "D":
            return
        if self._sync is not None:
            self._sync.append()
        self._tell(order, session_id)

    def _tell(self, order: dict[str, str], session_id: fix.SessionID) -> None:
        self._report(order, next(self._numbers), "A", session_id)

    def _report(self, order: dict[str, str], number: int, what: str, session_id: fix.SessionID) -> None:
        qty = order["38"]
        text = (
            f"8=FIX.4.4|9=0|35=8|37=o{number}|11={order['11']}|17=e{number}{what}|150={what}|39={what}|55={order['55']}|"
            f"54={order['54']}|38={qty}|40={order['40']}|44={order['44']}|59={order['59']}|151={qty}|14=0|6=0|"
            f"60={order['60']}|10=000|"
        )
        fix.Session.sendToTarget(fix.Message(text.replace("|", _SOH), False), session_id)


class Relay(Echo):
    """Answers D with 150=A and, when another process (`cat`) has given the order's line back, with 150=0."""

    def __init__(self) -> None:
        super().__init__(None)
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._socket, theirs = socket.socketpair()
        self._other = subprocess.Popen(["cat"], stdin=theirs.fileno(), stdout=theirs.fileno())
        theirs.close()
        self._orders: dict[int, tuple[dict[str, str], fix.SessionID]] = {}
        threading.Thread(target=self._acknowledge, name="acknowledge", daemon=True).start()

    def onLogon(self, session_id: fix.SessionID) -> None:
        ctypes.pythonapi.PyGILState_Ensure()

    def _tell(self, order: dict[str, str], session_id: fix.SessionID) -> None:
        number = next(self._numbers)
        self._report(order, number, "A", session_id)
        self._orders[number] = (order, fix.SessionID("FIX.4.4", "FIXGW", CLIENT))
        self._socket.sendall(f"{number} {order['55']} {order['54']} {order['38']} {order['44']}\n".encode())

    def _acknowledge(self) -> None:
        with self._socket.makefile("rb") as lines:
            for line in lines:
                number = int(line.partition(b" ")[0])
                order, session_id = self._orders.pop(number)
                self._report(order, number, "0", session_id)

    def stop(self) -> None:
        """End the other process."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._other.wait(5)


def main() -> int:
    """Runs until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m fixgw.bench.reference", description="A bare echo acceptor.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--sync-file", type=Path)
    parser.add_argument("--relay", action="store_true")
    args = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    session = AcceptorSession(name=CLIENT, begin_string="FIX.4.4", client_comp_id=CLIENT, gateway_comp_id="FIXGW")
    settings = fix.SessionSettings()
    settings.setFromString(settings_text([session], args.port, args.store))
    relay = Relay() if args.relay else None
    application = relay or Echo(SyncFile(args.sync_file) if args.sync_file is not None else None)
    stores = fix.FileStoreFactory(settings)
    acceptor = fix.ThreadedSocketAcceptor(application, stores, settings)
    acceptor.start()
    args.ready_file.write_text(json.dumps({"pid": os.getpid(), "port": args.port}))
    while not stop.wait(3600):
        pass
    acceptor.stop(True)
    if relay is not None:
        relay.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
