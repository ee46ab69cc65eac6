"""A counterparty without manners, its victim, and the stack between them.

Stack     the whole installation, started once for a module, with the vital signs of its processes
Victim    a well-behaved session that trades all the time and measures how long each answer takes
Attacker  a raw socket that sends exactly the bytes it is given; it knows just enough FIX to be let in
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from core_world import SYMBOL, VENUE_ACCOUNT

from fixgw.chaos.world import World
from fixgw.core import commands as c
from fixgw.fix.client import ClientError, FixClient

SOH = b"\x01"
Pairs = Sequence[tuple[Any, Any]]
Fields = dict[int, str]
VICTIM = "OMS42"
BEGIN = {"OMS42": "FIX.4.2", "OMS44": "FIX.4.4", "OMS50": "FIXT.1.1", "PB44": "FIX.4.4"}
# the victim's answers come from a shared machine, so these are generous: a stall of a session is tens of seconds
WORST_ANSWER_S = 2.0
# every condition is awaited; so long only on a machine that has much else to do
WAIT_S = 20.0
MAX_GROWTH_KB = 60 * 1024
_BUG = re.compile(r"Traceback|could not be processed|decide failed|INTERNAL_ERROR|cannot encode|delivery failed|fatal")


def utc(shift_s: float = 0.0) -> str:
    """UTCTimestamp of now, or some seconds from now."""
    at = time.time() + shift_s
    return time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}"


def raw(value: Any) -> bytes:
    """Bytes as they are, text as UTF-8."""
    return value if isinstance(value, bytes) else str(value).encode()


def frame(begin: Any, fields: Pairs, *, length: int | None = None, checksum_off: int = 0) -> bytes:
    """One message of these fields in this order: BodyLength right unless it is given, CheckSum wrong by `checksum_off`."""
    body = b"".join(raw(tag) + b"=" + raw(value) + SOH for tag, value in fields)
    head = b"8=" + raw(begin) + SOH + b"9=%d" % (len(body) if length is None else length) + SOH + body
    return head + b"10=%03d" % ((sum(head) + checksum_off) % 256) + SOH


def cut_messages(buffer: bytearray) -> Iterator[Fields]:
    """Takes whole messages off the front; of a repeated tag the first value counts."""
    while (end := buffer.find(b"\x0110=")) >= 0 and (stop := buffer.find(SOH, end + 4)) >= 0:
        parts = bytes(buffer[:stop]).split(SOH)
        del buffer[: stop + 1]
        pairs = [part.partition(b"=") for part in parts]
        yield {int(tag): value.decode("latin-1") for tag, _, value in reversed(pairs) if tag.isdigit()}


def _brief(message: Fields) -> Fields:
    """What tells messages apart."""
    return {tag: message[tag] for tag in (35, 34, 45, 11, 150, 39, 97, 112, 7, 58) if tag in message}


class Attacker:
    """One connection after the other. `received` keeps what came on the present one; `closed` once it has ended."""

    def __init__(self, address: tuple[str, int], comp_id: str) -> None:
        self.address, self.comp_id, self.begin = address, comp_id, BEGIN[comp_id]
        self.next_out = 1
        self.received: list[Fields] = []
        self.closed = True
        self.reading = True
        self._news = threading.Condition()
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._ids = 0
        self._confirmed = ""
        self._run = f"{comp_id}-{time.time_ns() // 1000 % 10**9}"

    # --- connection ---

    def open(self, *, receive_buffer: int = 0, reading: bool = True, source: str = "") -> None:
        """A plain connection."""
        self.close()
        made = socket.socket()
        if receive_buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            made.bind((source, 0))
        made.settimeout(10)
        made.connect(self.address)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket, self.closed, self.received, self.reading = made, False, [], reading
        self._thread = threading.Thread(target=self._read, args=(made,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cut it."""
        connection, self._socket = self._socket, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self.reading = True
        if self._thread is not None:
            self._thread.join(10)
            self._thread = None
        self.closed = True

    def logon(self, *, reset: bool = True, **options: Any) -> None:
        """Connected and logged on; with `reset` both sides begin at 1. Tried again while the session is still taken."""
        deadline = time.monotonic() + WAIT_S
        while True:
            self.open(**options)
            if reset:
                self.next_out = 1
            number = self.next_out
            self.send("A", self.logon_fields(reset))
            self.wait(lambda: self.closed or any(m[35] in "A5" for m in self.received), "an answer to the Logon")
            if any(m[35] == "A" for m in self.received):
                return
            assert time.monotonic() < deadline, f"{self.comp_id}: no Logon, but {self.received}"
            self.next_out = number
            time.sleep(0.05)

    def logon_fields(self, reset: bool, heartbeat: Any = 30) -> list[tuple[int, Any]]:
        fields: list[tuple[int, Any]] = [(98, 0), (108, heartbeat)]
        if reset:
            fields.append((141, "Y"))
        if self.begin == "FIXT.1.1":
            fields.append((1137, 9))
        return fields

    # --- out ---

    def header(self, msg_type: Any, number: Any, sent: Any = None) -> list[tuple[int, Any]]:
        return [(35, msg_type), (49, self.comp_id), (56, "FIXGW"), (34, number), (52, utc() if sent is None else sent)]

    def bytes_of(self, msg_type: Any, body: Pairs, number: Any = None) -> bytes:
        """A proper message; it uses up the next number unless one is given."""
        if number is None:
            number, self.next_out = self.next_out, self.next_out + 1
        return frame(self.begin, [*self.header(msg_type, number), *body])

    def send(self, msg_type: Any, body: Pairs = (), number: Any = None) -> int:
        """Send a proper message; the number that it carries."""
        used = self.next_out if number is None else number
        self.push(self.bytes_of(msg_type, body, number))
        return int(used) if isinstance(used, int) else 0

    def push(self, data: bytes) -> bool:
        """These very bytes; False when the other side has hung up."""
        if self._socket is None:
            return False
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    def cl_ord_id(self) -> str:
        self._ids += 1
        return f"{self._run}-{self._ids}"

    def order(self, **changes: Any) -> list[tuple[int, Any]]:
        """The body of a limit order that rests; `changes` as t38="NaN", None leaves the field out."""
        fields: dict[int, Any] = {
            11: self.cl_ord_id(),
            21: 1,
            55: "BTC/USDT",
            54: 1,
            60: utc(),
            38: "0.01",
            40: 2,
            44: 59000,
            59: 1,
        }
        fields |= {int(name[1:]): value for name, value in changes.items()}
        return [(tag, value) for tag, value in fields.items() if value is not None]

    # --- in ---

    def _read(self, connection: socket.socket) -> None:
        buffer = bytearray()
        while True:
            while not self.reading:
                if self._socket is not connection:
                    break
                time.sleep(0.02)
            try:
                data = connection.recv(65536)
            except TimeoutError:
                if self._socket is connection:
                    continue
                data = b""
            except OSError:
                data = b""
            if not data:
                break
            buffer += data
            for message in cut_messages(buffer):
                self._take(message)
        with self._news:
            if self._socket is connection or self._socket is None:
                self.closed = True
            self._news.notify_all()

    def _take(self, message: Fields) -> None:
        with self._news:
            self.received.append(message)
            self._news.notify_all()

    def wait(self, condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
        """Until the condition gives something true; it is looked at when something arrives."""
        deadline = time.monotonic() + timeout_s
        with self._news:
            while not (found := condition()):
                left = deadline - time.monotonic()
                if left <= 0:
                    last = [_brief(m) for m in self.received[-8:]]
                    raise AssertionError(f"{self.comp_id}: no {what} within {timeout_s} s; last: {last}")
                self._news.wait(min(left, 0.5))
            return found

    def answers(self, number: int | None, cl_ord_id: str | None, after: int = 0) -> list[Fields]:
        """Rejects of our message `number`, and reports that name `cl_ord_id`."""
        found = []
        for m in self.received[after:]:
            if m.get(97) == "Y":
                continue  # of an earlier run of numbers
            refused = m[35] in "3j" and number is not None and m.get(45) == str(number)
            reported = m[35] in "89" and cl_ord_id is not None and m.get(11) == cl_ord_id
            if refused or reported:
                found.append(m)
        return found

    def answer(self, number: int | None, cl_ord_id: str | None = None) -> Fields:
        """The first answer to a message; a closed connection is none."""
        found: Fields = self.wait(lambda: self.answers(number, cl_ord_id), f"answer to {number} {cl_ord_id}")[0]
        return found

    def alive(self) -> bool:
        """The session answers a TestRequest."""
        probe = f"alive-{time.monotonic_ns()}"
        self.send("1", [(112, probe)])
        self.wait(lambda: self.closed or any(m[35] == "0" and m.get(112) == probe for m in self.received), "Heartbeat")
        return not self.closed

    def confirm(self) -> None:
        """Answers the newest TestRequest, so that what came before it is not delivered once more after a reset."""
        asked = [m for m in self.received if m[35] == "1"]
        if asked and asked[-1][112] != self._confirmed:
            self._confirmed = asked[-1][112]
            self.send("0", [(112, self._confirmed)])

    def fill_gap(self) -> None:
        """Answers the ResendRequest of the other side, if there is one: everything before now was nothing."""
        asked = [m for m in self.received if m[35] == "2"]
        if asked:
            body = [(43, "Y"), (122, utc()), (123, "Y"), (36, self.next_out)]
            self.send("4", body, number=int(asked[-1][7]))

    def await_closed(self) -> None:
        self.wait(lambda: self.closed, "end of the connection")


class Victim(threading.Thread):
    """Places and cancels, one after the other, all the time. `latencies_s`: of every request; `unanswered`: none is."""

    def __init__(self, client: FixClient) -> None:
        super().__init__(name="victim", daemon=True)
        self.client = client
        self.latencies_s: list[float] = []
        self.unanswered: list[str] = []
        self._halt = threading.Event()

    def stop(self) -> None:
        self._halt.set()
        self.join(30)

    def run(self) -> None:
        number = 0
        while not self._halt.is_set():
            number += 1
            try:
                self._trade(number)
            except (ClientError, TimeoutError) as error:
                self.unanswered.append(str(error))
            self._halt.wait(0.03)

    def _trade(self, number: int) -> None:
        qty = Decimal("0.001") * (1 + number % 40)
        since = self.client.last_number
        started = time.monotonic()
        order = self.client.new_order("1", qty, "BTC/USDT", price=Decimal(59000 + number % 300))
        self.client.wait_for(lambda m: m.get(11) == order and m.get(39) == "0", 10, after=since, what=f"order {order}")
        self.latencies_s.append(time.monotonic() - started)
        started = time.monotonic()
        cancel = self.client.cancel(order)
        self.client.wait_for(lambda m: m.get(11) == cancel and m.get(39) == "4", 10, after=since, what=f"cancel {cancel}")
        self.latencies_s.append(time.monotonic() - started)


class Stack:
    """The installation under attack."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.world = World(root / "firm")
        self._client: FixClient | None = None
        self.victim: Victim | None = None
        self._pids: dict[str, int] = {}
        self._memory_kb: dict[str, int] = {}
        self._log_marks: dict[Path, int] = {}
        self._seen_answers = 0

    def start(self) -> None:
        """Start everything, and the victim's trading."""
        self._prepare()
        self.world.__enter__()
        self.world.wait_venue()
        self._client = self.world.client(VICTIM, self.root / "victim", qualifier=f"victim{time.monotonic_ns()}")
        self._client.start()
        self._client.wait_logon(20)
        self.victim = Victim(self._client)
        self.victim.start()
        # the first orders warm caches up; they are no measure
        self.world.wait("the victim's first orders", lambda: len(self.victim.latencies_s) > 20)  # type: ignore[union-attr]
        self.victim.latencies_s.clear()
        self._pids = self.pids()
        self._memory_kb = {name: self.memory_kb(name) for name in ("gateway", "front")}

    def _prepare(self) -> None:
        """Demo configuration, with limits that do not answer in the stead of what lies behind them."""
        directory = self.world.directory
        subprocess.run([sys.executable, "-m", "fixgw.cli", "init", str(directory), "--demo"], check=True, capture_output=True)
        for file in (directory / "sessions").glob("OMS*.toml"):
            text = file.read_text()
            for name, value in (("msgs_per_s", 5000), ("msg_burst", 5000), ("repeat_max", 1000), ("max_open_orders", 5000)):
                text, count = re.subn(rf"^{name} = \d+", f"{name} = {value}", text, flags=re.MULTILINE)
                assert count == 1, f"{file}: {name}"
            file.write_text(text)

    def stop(self) -> None:
        if self.victim is not None:
            self.victim.stop()
        if self._client is not None:
            self._client.stop()
        self.world.stop()

    @property
    def address(self) -> tuple[str, int]:
        fix = self.world.ready()["fix"]
        return fix["host"], fix["port"]

    def pids(self) -> dict[str, int]:
        return dict(self.world.ready()["pids"])

    def memory_kb(self, name: str) -> int:
        status = Path(f"/proc/{self.pids()[name]}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def growth_kb(self) -> dict[str, int]:
        """Resident memory of gateway and front since the beginning."""
        return {name: self.memory_kb(name) - before for name, before in self._memory_kb.items()}

    def bugs(self) -> list[str]:
        """New lines in the processes' logs that tell of an error of ours."""
        found = []
        for file in sorted((self.world.directory / "log").glob("*.log")):
            with file.open("rb") as log:
                log.seek(self._log_marks.get(file, 0))
                text = log.read()
                self._log_marks[file] = log.tell()
            lines = text.decode("utf-8", "replace").splitlines()
            found += [" / ".join([file.name, *lines[at : at + 12]]) for at, line in enumerate(lines) if _BUG.search(line)]
        return found

    def check(self, worst_s: float = WORST_ANSWER_S) -> None:
        """The victim noticed nothing, nothing ended or was restarted, nothing grew, no error of ours was logged."""
        victim, client = self.victim, self._client
        assert victim is not None and client is not None
        count = len(victim.latencies_s)
        self.world.wait("the victim goes on", lambda: len(victim.latencies_s) > count, 15)
        assert not victim.unanswered, victim.unanswered[:3]
        assert client.logons == 1 and client.logged_on, f"the victim's connection was lost ({client.logons} logons)"
        worst = max(victim.latencies_s)
        victim.latencies_s.clear()
        assert worst < worst_s, f"the victim waited {worst:.2f} s"
        assert self.pids() == self._pids, "a process was restarted"
        assert not (bugs := self.bugs()), bugs[:5]
        growth = self.growth_kb()
        assert all(grown < MAX_GROWTH_KB for grown in growth.values()), f"memory grew: {growth} kB"


# --- what a venue may say and nobody may believe ---

BAD_NUMBERS = ["NaN", "sNaN", "Infinity", "-Infinity", "-1", "1e400", "1e999999", "9" * 400]
BAD_TRADES: list[dict[str, Any]] = [
    *({"qty": Decimal(n)} for n in [*BAD_NUMBERS, "0"]),
    *({"px": Decimal(n)} for n in [*BAD_NUMBERS, "0"]),
    *({"fee": Decimal(n)} for n in BAD_NUMBERS if n != "-1"),
    {"side": ""},
    {"side": "3"},
    {"side": "2"},
    {"symbol": "ETH/USDT"},
    {"symbol": ""},
    {"symbol": "NO/SUCH"},
    {"venue_trade_id": ""},
]


def venue_trade(child: str, **changes: Any) -> c.VenueTrade:
    """Half of an order for 1, at 100."""
    values: dict[str, Any] = {
        "account": VENUE_ACCOUNT,
        "symbol": SYMBOL,
        "venue_cl_ord_id": child,
        "venue_order_id": "",
        "venue_trade_id": "t1",
        "side": "1",
        "qty": Decimal("0.5"),
        "px": Decimal(100),
    }
    return c.VenueTrade(**(values | changes))
