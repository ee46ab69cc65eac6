"""A venue host that talks nonsense to the gateway, an exchange that does to its host, and a typo in the configuration."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from core_world import SYMBOL, VENUE, VENUE_ACCOUNT
from hostile import BAD_NUMBERS, BAD_TRADES, Stack, venue_trade

from fixgw.core import commands as c
from fixgw.venues import wire
from fixgw.venues.gateway_link import VenueLinks


class FakeHost:
    """The host's end, byte by byte."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))

    def push(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError:
            pass

    def say(self, *messages: wire.FromHost) -> None:
        for message in messages:
            self.push(wire.frame(message))

    def ended(self) -> bool:
        """True when the gateway hangs up (heartbeats are passed over)."""
        try:
            while self.socket.recv(4096):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True


HELLO = wire.Hello(venue=VENUE, account=VENUE_ACCOUNT, pid=1)


@pytest.fixture
def links(tmp_path: Path) -> Iterator[tuple[VenueLinks, Path, list[c.Command], list[wire.BookUpdate]]]:
    heard: list[c.Command] = []
    books: list[wire.BookUpdate] = []
    made = VenueLinks(tmp_path / "v.sock", submit=heard.extend, on_book=books.append, now_ns=time.time_ns)
    made.lookup = lambda child: None
    made.start()
    yield made, tmp_path / "v.sock", heard, books
    made.stop()


def _until(condition: Callable[[], Any], what: str, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


GARBAGE = {
    "nothing": b"",
    "noise": random.Random(3).randbytes(50_000),
    "an oversize frame": (2**32 - 1).to_bytes(4, "big") + b"x" * 1000,
    "an empty frame": bytes(4),
    "no msgpack": b"\x00\x00\x00\x05\xc1\xc1\xc1\xc1\xc1",
    "a deep list": (50_000).to_bytes(4, "big") + b"\x91" * 50_000,
    "an unknown tag": (lambda b: len(b).to_bytes(4, "big") + b)(msgspec.msgpack.encode(["banana", 1, 2])),
    "wrong types": (lambda b: len(b).to_bytes(4, "big") + b)(msgspec.msgpack.encode(["ack", "x", 5, None, []])),
    "half a frame": b"\x00\x00\x10\x00abc",
    "another venue's word": wire.frame(c.VenueLink(ts_ns=1, venue="other", up=True)),
    "another venue's book": wire.frame(wire.BookUpdate(venue="other", symbol=SYMBOL, quote=c.Quote(bid=Decimal(1)))),
}


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.parametrize("greeted", [True, False])
def test_garbage_on_the_link(links: Any, name: str, greeted: bool) -> None:
    """That link ends and its venue is down; another venue's host goes on, and the next host is taken."""
    made, path, heard, books = links
    other = FakeHost(path)
    other.say(wire.Hello(venue="fine", account="a", pid=2))
    host = FakeHost(path)
    if greeted:
        host.say(HELLO)
        _until(lambda: VENUE in made.hosts(), "the host is taken")
    host.push(GARBAGE[name])
    if not GARBAGE[name] or name == "half a frame":
        host.socket.shutdown(socket.SHUT_WR)
    assert host.ended()
    _until(lambda: VENUE not in made.hosts(), "the venue is down")
    if greeted:
        _until(lambda: any(isinstance(m, c.VenueLink) and m.venue == VENUE and not m.up for m in heard), "told")
    assert not books and not any(isinstance(m, c.VenueCommand) and m.venue == "other" for m in heard)
    other.say(c.VenueLink(ts_ns=time.time_ns(), venue="fine", up=True))
    _until(lambda: any(isinstance(m, c.VenueLink) and m.venue == "fine" and m.up for m in heard), "the other goes on")
    again = FakeHost(path)
    again.say(HELLO)
    _until(lambda: VENUE in made.hosts(), "the next host is taken")


def test_quotes_that_are_none(links: Any) -> None:
    """Not used, so that the last good one grows stale, with the reason; the link stays."""
    made, path, _, books = links
    host = FakeHost(path)
    host.say(HELLO)
    for number in [*BAD_NUMBERS, "0"]:
        for side in ("bid", "ask", "last"):
            host.say(
                wire.BookUpdate(venue=VENUE, symbol=SYMBOL, quote=c.Quote(**{side: Decimal(number)}, recv_ns=time.time_ns()))
            )
    host.say(wire.BookUpdate(venue=VENUE, symbol=SYMBOL, quote=c.Quote(bid=Decimal(1), recv_ns=time.time_ns() + 10**12)))
    good = wire.BookUpdate(venue=VENUE, symbol=SYMBOL, quote=c.Quote(bid=Decimal(100), recv_ns=time.time_ns()))
    host.say(good)
    _until(lambda: good in books, "the good quote")
    assert books.pop() == good and VENUE in made.hosts()
    reasons = {book.quote.unusable for book in books}
    assert reasons == {"bid is no price", "ask is no price", "last is no price", "received in the future"}
    assert all(book.quote == c.Quote(unusable=book.quote.unusable) for book in books)


@pytest.mark.parametrize("number", [*BAD_NUMBERS, "0"])
def test_a_last_price_that_is_none_leaves_the_book_in_use(links: Any, number: str) -> None:
    _, path, _, books = links
    host = FakeHost(path)
    now_ns = time.time_ns()
    bad, book = Decimal(number), c.Quote(bid=Decimal(99), ask=Decimal(101), recv_ns=now_ns)
    quote = msgspec.structs.replace(book, last=bad, last_ns=now_ns, last_low=bad, last_high=bad)
    host.say(HELLO, wire.BookUpdate(venue=VENUE, symbol=SYMBOL, quote=quote))
    _until(lambda: books, "the book")
    assert books[0].quote == book


def test_a_host_with_another_clock(links: Any) -> None:
    """Its times would make orders be forgotten: the gateway's own count."""
    _, path, heard, _ = links
    host = FakeHost(path)
    host.say(HELLO, *(c.VenueLink(ts_ns=ts_ns, venue=VENUE, up=True) for ts_ns in (0, 2**62, -(2**62))))
    _until(lambda: len(heard) == 3, "three commands")
    assert all(abs(command.ts_ns - time.time_ns()) < 10**10 for command in heard)


# --- the whole installation ---


@pytest.mark.timeout(240)
def test_a_venue_that_answers_nonsense_and_a_host_that_is_none(tmp_path: Path) -> None:
    """The exchange answers with HTML, halves and nothing; then a stranger takes the host's place on the link and invents
    fills. No process ends, nothing is booked that cannot be, and what was unclear is settled in the end."""
    stack = Stack(tmp_path)
    try:
        stack.start()
        assert stack.victim is not None
        stack.victim.stop()
        before = stack.pids()
        sim, client = stack.world.sim(), stack.world.client("OMS44", tmp_path / "c", qualifier="nonsense")
        with client:
            client.wait_logon(20)
            for kind in ("html_200", "truncated", "empty_200", "http_5xx", "code_1007"):
                sim.fault(kind, count=1)
                order = client.new_order("1", "0.01", "BTC/USDT", price="59000")
                client.wait_for(lambda m: m.get(11) == order and m.get(39) in "048", 30, what=f"answer under {kind}")  # noqa: B023
            sim.clear_faults()
            stack.world.wait_venue()
            stranger = FakeHost(stack.world.directory / "run" / "venues.sock")
            stranger.say(wire.Hello(venue="sim", account="main", pid=1))
            for row in stack.world.ask("orders", open=True)["orders"]:
                child = row["order_id"] + "C01"
                for change in BAD_TRADES:
                    stranger.say(
                        c.ChildTrade(ts_ns=time.time_ns(), venue="sim", trade=venue_trade(child, account="main", **change))
                    )
                for number in BAD_NUMBERS:
                    stranger.say(
                        c.ChildDone(
                            ts_ns=time.time_ns(),
                            venue="sim",
                            venue_cl_ord_id=child,
                            venue_order_id="",
                            status="filled",
                            cum_qty=Decimal(number),
                        )
                    )
            stranger.push(GARBAGE["noise"])
            stranger.ended()
            stack.world.wait_venue()
            rows = stack.world.ask("orders", open=True)["orders"]
            assert rows and all(row["cum_qty"] == "0" for row in rows)
            assert not any(m.get(150) == "F" for m in client.messages)
        assert stack.pids() == before
    finally:
        stack.stop()


# --- a typo in the configuration ---


def test_a_typo_in_the_configuration(tmp_path: Path) -> None:
    """Refused by check and by run with its place and what was expected; nothing is started."""
    directory = tmp_path / "firm"
    cli = [sys.executable, "-m", "fixgw.cli"]
    subprocess.run([*cli, "init", str(directory), "--demo"], check=True, capture_output=True)
    session = directory / "sessions" / "OMS44.toml"
    session.write_text(session.read_text().replace("max_open_orders", "max_open_order"))
    for command in ("check", "run"):
        done = subprocess.run([*cli, command, str(directory)], capture_output=True, text=True, timeout=60)
        said = done.stdout + done.stderr
        assert done.returncode == 1, (command, done.returncode, said)
        assert "OMS44.toml" in said and "max_open_order" in said and "Traceback" not in said, said
    assert not (directory / "run" / "ready.json").exists()
