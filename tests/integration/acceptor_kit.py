"""For the acceptor's tests: an engine that journals in memory and answers every new order, and a raw FIX client."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from fixgw.core.codec import Record
from fixgw.core.commands import (
    AdminNote,
    AnyCommand,
    ClientCommand,
    Delivered,
    NewOrder,
    Quote,
    SessionLogon,
    SessionLogout,
    Unsupported,
)
from fixgw.core.events import Reported
from fixgw.core.reports import BusinessReject, Message, Report
from fixgw.fix.acceptor import Acceptor
from fixgw.fix.acceptor_settings import AcceptorSession
from fixgw.fix.front_start import unix_socket
from fixgw.fix.port import EnginePort, RecordCursor, SessionCursor
from fixgw.process import socket_address

S = "\x01"
# every condition is awaited; so long only on a machine that has much else to do
WAIT_S = 20.0
OMS44 = AcceptorSession(name="OMS44", begin_string="FIX.4.4", client_comp_id="C44", gateway_comp_id="FIXGW")
OMS42 = AcceptorSession(name="OMS42", begin_string="FIX.4.2", client_comp_id="C42", gateway_comp_id="FIXGW")
OMS50 = AcceptorSession(
    name="OMS50", begin_string="FIXT.1.1", appl_ver="FIX.5.0SP2", client_comp_id="C50", gateway_comp_id="FIXGW"
)
PB44 = AcceptorSession(
    name="PB44",
    begin_string="FIX.4.4",
    client_comp_id="PB",
    gateway_comp_id="FIXGW",
    role="drop_copy",
    scope_sessions=frozenset({"OMS44"}),
)
ALL = (OMS42, OMS44, OMS50, PB44)


class FakeEngine:
    """EnginePort over a list."""

    def __init__(self) -> None:
        self.lock = threading.Condition()
        self.log: list[Record] = []
        self.cursors: dict[str, SessionCursor] = {}
        self.refuse: Exception | None = None
        self.not_durable: Exception | None = None
        self.listeners: list[Callable[[Sequence[Record]], None]] = []

    @property
    def durable_seq(self) -> int:
        return len(self.log)

    def now_ns(self) -> int:
        return time.time_ns()

    def quotes(self, session: str, client_symbol: str) -> dict[str, Quote]:
        return {"sim": Quote(last=Decimal(100), recv_ns=1)}

    def order_quotes(self, session: str, cl_ord_id: str, order_id: str, client_symbol: str) -> dict[str, Quote]:
        return self.quotes(session, client_symbol)

    def currencies(self, session: str, client_symbol: str) -> tuple[str, ...]:
        return ()

    def session_cursor(self, session: str) -> SessionCursor:
        return self.cursors.get(session, SessionCursor())

    def records(self, after_seq: int, timeout_s: float, cursor: RecordCursor | None = None) -> list[Record]:
        with self.lock:
            if len(self.log) <= after_seq:
                self.lock.wait(timeout_s)
            return self.log[after_seq : after_seq + 512]

    def listen(self, listener: Callable[[Sequence[Record]], None]) -> None:
        self.listeners.append(listener)

    def submit(self, command: AnyCommand, reply: Callable[[], object] | None = None, more: bool = False) -> None:
        with self.lock:
            self._submit(command)
            self.lock.notify_all()
        if reply is not None:
            reply()

    def call(self, command: AnyCommand, timeout_s: float) -> None:
        self.submit(command)
        if self.not_durable is not None:
            raise self.not_durable

    def _submit(self, command: AnyCommand) -> None:
        if isinstance(command, NewOrder) and self.refuse is not None:
            raise self.refuse
        name = getattr(command, "session", "")
        cursor = self.session_cursor(name)
        messages: list[Message] = []
        if isinstance(command, ClientCommand):
            if (command.reset_epoch, command.msg_seq) <= (cursor.reset_epoch, cursor.last_in_seq):
                return
            cursor = replace(cursor, last_in_seq=command.msg_seq)
        elif isinstance(command, SessionLogon):
            epoch = cursor.reset_epoch + command.reset
            last = command.msg_seq if command.reset else max(command.msg_seq, cursor.last_in_seq)
            cursor = replace(cursor, reset_epoch=epoch, last_in_seq=last)
        elif isinstance(command, Delivered):
            cursor = replace(cursor, delivered_seq=max(cursor.delivered_seq, command.seq))
        elif isinstance(command, AdminNote) and command.action == "session reset":
            target = self.session_cursor(command.target)
            self.cursors[command.target] = replace(target, reset_epoch=target.reset_epoch + 1, last_in_seq=0)
        elif isinstance(command, AdminNote) and command.action == "session set-seq in":
            target_name, _, number = command.target.partition(" ")
            self.cursors[target_name] = replace(self.session_cursor(target_name), last_in_seq=int(number) - 1)
        if isinstance(command, NewOrder):
            messages = [self.report(command, kind, i) for i, kind in enumerate("A0")]
        elif isinstance(command, Unsupported):
            messages = [
                BusinessReject(
                    ref_msg_type=command.msg_type,
                    ref_seq=command.msg_seq,
                    business_reason=command.business_reason,
                    reason=command.reason,
                    text=command.text,
                    ref_id=command.ref_id,
                    reason_tag=command.tag,
                    reason_value=command.value,
                )
            ]
        if name:
            self.cursors[name] = cursor
        self.append(command, name, messages)

    def append(self, command: AnyCommand, name: str, messages: list[Message]) -> None:
        events = tuple(Reported(session=name, account="main", message=message) for message in messages)
        self.log.append(Record(seq=len(self.log) + 1, ts_ns=1, part=f"s:{name}", command=command, events=events))
        for listener in self.listeners:
            listener(self.log[-1:])

    def report(self, order: NewOrder, kind: str, index: int) -> Report:
        return Report(
            exec_id=f"X{len(self.log) + 1:05}{index}",
            exec_type=kind,
            ord_status=kind,
            order_id="O" + order.cl_ord_id,
            cl_ord_id=order.cl_ord_id,
            symbol=order.symbol,
            side=order.side,
            ord_type=order.ord_type,
            order_qty=order.order_qty,
            price=order.price,
            leaves_qty=order.order_qty or Decimal(0),
            transact_ns=order.ts_ns,
        )

    def publish(self, name: str, message: Message) -> None:
        """A record with one report, as a venue's word would make it."""
        with self.lock:
            self.append(SessionLogout(ts_ns=1, session=name), name, [message])
            self.lock.notify_all()

    def commands(self, kind: type) -> list[AnyCommand]:
        with self.lock:
            return [record.command for record in self.log if isinstance(record.command, kind)]


def replace(cursor: SessionCursor, **changes: object) -> SessionCursor:
    fields = {name: getattr(cursor, name) for name in cursor.__struct_fields__}
    return SessionCursor(**{**fields, **changes})


def until(condition):
    """The first true value of `condition()`."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError("condition not met in time")


def acceptor_over(engine: EnginePort, specs: Sequence[AcceptorSession], folder: Path, **options: Any) -> Acceptor:
    """Not started; its stores in `folder`, its socket beside it."""
    return Acceptor(engine, specs, folder, folder.with_name(f"{folder.name}.sock"), **options)


@contextlib.contextmanager
def running(engine: EnginePort, specs: Sequence[AcceptorSession], folder: Path, **options: Any) -> Iterator[Acceptor]:
    """Started, and stopped in the end."""
    acceptor = acceptor_over(engine, specs, folder, **options)
    acceptor.start()
    try:
        yield acceptor
    finally:
        acceptor.stop(1.0)


def utc_now() -> str:
    return time.strftime("%Y%m%d-%H:%M:%S.000", time.gmtime())


class Client:
    """A FIX client by hand; `where`: the acceptor's socket or a front's port. It
    answers nothing by itself but TestRequests (unless `mute`) and Logout."""

    def __init__(self, where: Path | int, spec: AcceptorSession, *, next_out: int = 1, mute: bool = False) -> None:
        self.spec = spec
        self.next_out = next_out
        self.mute = mute
        self.leaving = False
        self.received: list[dict[str, str]] = []
        self.buffer, self.closed = b"", False
        if isinstance(where, int):
            self.sock = socket.create_connection(("127.0.0.1", where), timeout=WAIT_S)
        else:
            self.sock = unix_socket()
            self.sock.settimeout(WAIT_S)
            self.sock.connect(socket_address(where))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.sock.close()

    def send(self, msg_type: str, body: str = "", seq: int | None = None, header: str = "") -> None:
        """`body`: "11=a|55=b" """
        number = self.next_out if seq is None else seq
        if seq is None:
            self.next_out += 1
        spec = self.spec
        text = f"35={msg_type}|34={number}|49={spec.client_comp_id}|52={utc_now()}|56={spec.gateway_comp_id}|"
        payload = (text + (header + "|" if header else "") + (body + "|" if body else "")).replace("|", S).encode("latin-1")
        frame = f"8={spec.begin_string}{S}9={len(payload)}{S}".encode() + payload
        self.sock.sendall(frame + f"10={sum(frame) % 256:03}{S}".encode())

    def logon(self, extra: str = "", seq: int | None = None) -> dict[str, str]:
        """QuickFIX lets a Logon wait for seconds while it has not done with the session's last connection."""
        appl = "|1137=9" if self.spec.begin_string == "FIXT.1.1" else ""
        self.send("A", "98=0|108=30" + appl + (f"|{extra}" if extra else ""), seq=seq)
        return self.expect("A")

    def order(self, cl_ord_id: str, **changes: str) -> None:
        fields = {"11": cl_ord_id, "21": "1", "55": "BTC/USDT", "54": "1", "60": utc_now(), "38": "1.50", "40": "2"}
        fields |= {"44": "100.10"} | {tag.lstrip("t"): value for tag, value in changes.items()}
        self.send("D", "|".join(f"{tag}={value}" for tag, value in fields.items() if value))

    def read(self, timeout_s: float) -> bool:
        """Takes in what comes within the time; False: nothing did (or the connection is closed)."""
        self.sock.settimeout(timeout_s)
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            return False
        except OSError:
            self.closed = True
            return False
        self.closed = not data
        self.buffer += data
        while (end := self.buffer.find(b"\x0110=")) >= 0 and len(self.buffer) >= end + 8:
            raw, self.buffer = self.buffer[: end + 8], self.buffer[end + 8 :]
            fields = dict(part.split("=", 1) for part in raw.decode("latin-1").split(S) if part)
            fields["raw"] = raw.decode("latin-1")
            self.received.append(fields)
            with contextlib.suppress(OSError):  # who asked may be gone by now
                if fields["35"] == "1" and not self.mute:
                    self.send("0", f"112={fields['112']}")
                if fields["35"] == "5" and not self.leaving:
                    self.leaving = True
                    self.send("5")
        return bool(data)

    def expect(self, msg_type: str, **want: str) -> dict[str, str]:
        """The next message of this type with these fields (t11="a"); it and what came before it is taken out."""
        deadline = time.monotonic() + WAIT_S
        while True:
            for index, fields in enumerate(self.received):
                matches = all(fields.get(tag.lstrip("t")) == value for tag, value in want.items())
                if fields["35"] == msg_type and matches:
                    del self.received[: index + 1]
                    return fields
            left = deadline - time.monotonic()
            if left <= 0 or (not self.read(min(left, 0.1)) and left < 0):
                raise AssertionError(f"no {msg_type} {want}; got {[m['raw'] for m in self.received]}")

    def drain(self, count: int = 0, of: str = "8", quiet_s: float = 0.3) -> list[dict[str, str]]:
        """Everything until nothing came for `quiet_s`; `count` messages of type `of` are waited for longer."""
        deadline = time.monotonic() + WAIT_S
        while self.read(quiet_s) or (sum(fields["35"] == of for fields in self.received) < count and not self.closed):
            assert time.monotonic() < deadline, f"fewer than {count} of 35={of}; got {[m['raw'] for m in self.received]}"
        found, self.received = self.received, []
        return found

    def logout(self) -> None:
        self.leaving = True
        self.send("5")
        self.expect("5")
        self.sock.close()
