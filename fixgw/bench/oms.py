"""The client of the measurement: a process of its own with one raw FIX connection per party, as cheap as Python allows, so
that what it costs itself stays small. `python -m fixgw.bench.oms PLAN.json` prints one JSON object.

A turn sends `orders` NewOrderSingles to one party, never more than `window` of them unanswered, and ends when all answers
are here. Messages are made before the clock starts. The time of an order is from its send() to the moment at which the
bytes of its first ExecutionReport (150=A) were read.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

SOH = b"\x01"
TURN_S = 120.0
PAUSE_S = 0.5
_PX_TICKS = 1_000_000


class Turn(msgspec.Struct):
    """One turn as planned; one without orders is a pause of PAUSE_S, for figures to be taken. `after`: further reports that
    each order brings (150=0, ...), awaited as well before the turn ends, outside the time measured."""

    party: str
    label: str
    orders: int
    window: int
    tif: str = "1"
    after: int = 0


class Plan(msgspec.Struct):
    """The parties (name -> port) and the turns in their order."""

    client: str
    gateway: str
    symbol: str
    price: int
    parties: dict[str, int]
    turns: list[Turn]


class Link:
    """One FIX 4.4 session on a raw socket. Raises RuntimeError for every message that has no place in a measurement."""

    def __init__(self, plan: Plan, name: str) -> None:
        self.name = name
        self._plan = plan
        self._head = f"|49={plan.client}|56={plan.gateway}|".replace("|", "\x01")
        self._seq = 1
        self._order = 0
        self._buffer = b""
        self.accepted = 0
        self.other = 0
        # TestRequests: answered between turns, because the orders of a turn have their numbers already
        self._asked: list[str] = []
        self._sock = socket.create_connection(("127.0.0.1", plan.parties[name]), timeout=10)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock.sendall(self._message("A", "98=0|108=3600|"))
        deadline = time.monotonic() + 10
        while b"\x0135=A\x01" not in self._buffer:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name}: no Logon came back")
            self._buffer += self._read()
        self._take()

    def _message(self, msg_type: str, body: str) -> bytes:
        """One message under the next number; `body` with | for SOH."""
        now = time.time_ns()
        stamp = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(now // 1_000_000_000)) + f".{now // 1_000_000 % 1000:03d}"
        text = f"35={msg_type}{self._head}34={self._seq}\x0152={stamp}\x01{body}".replace("|", "\x01")
        if msg_type == "D":
            text += f"60={stamp}\x01"
        self._seq += 1
        data = f"8=FIX.4.4\x019={len(text)}\x01{text}".encode()
        return data + b"10=%03d\x01" % (sum(data) % 256)

    def orders(self, count: int, tif: str) -> list[bytes]:
        """`count` limit orders, no two with the same price; buys below the reference price and sells above it."""
        made = []
        for _ in range(count):
            self._order += 1
            ticks, buy = self._order % _PX_TICKS + 1, self._order % 2
            cents = self._plan.price * 100 + (-ticks if buy else ticks)
            made.append(
                self._message(
                    "D",
                    f"11=b{self._order}|55={self._plan.symbol}|54={'1' if buy else '2'}|38=0.001|40=2|"
                    f"44={cents // 100}.{cents % 100:02d}|59={tif}|",
                )
            )
        return made

    def _read(self) -> bytes:
        data = self._sock.recv(1 << 16)
        if not data:
            raise RuntimeError(f"{self.name}: the connection was closed")
        return data

    def _take(self) -> None:
        """Go through the whole messages in the buffer."""
        frames = self._buffer.split(b"\x0110=")
        # what follows the last "10=" is a checksum and the next message, or the beginning of one of them
        end = 0
        for index in range(len(frames) - 1):
            if len(frames[index + 1]) < 4:
                break
            self._message_in(frames[index])
            end += len(frames[index]) + 4
        if end:
            # the three digits and the SOH of the last one
            self._buffer = self._buffer[end + 4 :]

    def _message_in(self, frame: bytes) -> None:
        if b"\x0135=8\x01" in frame:
            if b"\x01150=A\x01" in frame:
                self.accepted += 1
            elif b"\x01150=0\x01" in frame or b"\x01150=C\x01" in frame or b"\x01150=4\x01" in frame:
                self.other += 1
            else:
                self._fail(frame)
        elif b"\x0135=1\x01" in frame:
            self._asked.append(frame.split(b"\x01112=", 1)[1].split(SOH, 1)[0].decode())
        elif b"\x0135=0\x01" not in frame and b"\x0135=A\x01" not in frame:
            self._fail(frame)

    def _fail(self, frame: bytes) -> None:
        text = frame.replace(SOH, b"|").decode(errors="replace")
        raise RuntimeError(f"{self.name}: unexpected message {text[:600]}")

    def run(self, turn: Turn) -> list[int]:
        """One turn: ns per order; then the time from the first send to the last answer, in ns."""
        self._settle()
        batch = self.orders(turn.orders, turn.tif)
        sent_ns = [0] * len(batch)
        took_ns: list[int] = []
        base, others = self.accepted, self.other + turn.after * len(batch)
        sock, clock, sent = self._sock, time.perf_counter_ns, 0
        sock.settimeout(TURN_S)
        start_ns = clock()
        while len(took_ns) < len(batch):
            room = min(turn.window - (sent - len(took_ns)), len(batch) - sent)
            if room:
                now_ns = clock()
                sock.sendall(b"".join(batch[sent : sent + room]))
                for index in range(sent, sent + room):
                    sent_ns[index] = now_ns
                sent += room
            self._buffer += self._read()
            now_ns = clock()
            self._take()
            # one session's orders are answered in the order in which they came
            while len(took_ns) < self.accepted - base:
                took_ns.append(now_ns - sent_ns[len(took_ns)])
        took_ns.append(now_ns - start_ns)
        while self.other < others:
            self._buffer += self._read()
            self._take()
        self._settle()
        return took_ns

    def _settle(self) -> None:
        """Read what there is without waiting, and answer the TestRequests."""
        self._sock.settimeout(0)
        try:
            while True:
                self._buffer += self._read()
                self._take()
        except BlockingIOError:
            pass
        self._sock.settimeout(TURN_S)
        for request in self._asked:
            self._sock.sendall(self._message("0", f"112={request}|"))
        self._asked.clear()

    def close(self) -> None:
        """Say goodbye and wait for the answer, 2 s at most."""
        self._sock.settimeout(2)
        try:
            self._sock.sendall(self._message("5", ""))
            while self._sock.recv(1 << 16):
                pass
        except OSError:
            pass
        self._sock.close()


def play(plan: Plan) -> list[list[int]]:
    """All turns; Link.run's figures of each. Progress (turns done) goes to stderr, a line each."""
    links = {name: Link(plan, name) for name in plan.parties}
    done = []
    try:
        for turn in plan.turns:
            done.append(links[turn.party].run(turn) if turn.orders else [])
            print(f"{turn.party} {turn.label}", file=sys.stderr, flush=True)
            if not turn.orders:
                time.sleep(PAUSE_S)
    finally:
        for link in links.values():
            link.close()
    return done


def main() -> int:
    """0; 1 with the reason on stderr."""
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    try:
        answer: dict[str, Any] = {"turns": play(plan)}
    except (RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    json.dump(answer, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
