"""A venue that answers nonsense: what the parser refuses, what the core does not book, what the gateway's link survives.

Every table names what comes in; what may come of it is an alert, a question to the venue, or a refusal: never a figure.
"""

from __future__ import annotations

import math
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
from core_script import Script
from core_world import SYMBOL, VENUE, VENUE_ACCOUNT, World
from hostile import Stack

from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.venues import wire
from fixgw.venues.ccxt_parse import balances_from, open_order_from, outcome, spec_from, trade_from
from fixgw.venues.gateway_link import VenueLinks

BAD_NUMBERS = ["NaN", "sNaN", "Infinity", "-Infinity", "-1", "1e400", "1e999999", "9" * 400]
NONSENSE: list[Any] = [
    None,
    "",
    "NaN",
    "Infinity",
    "-1",
    "abc",
    "1e400",
    "0x10",
    -1,
    math.nan,
    math.inf,
    [],
    {},
    [1],
    {"a": 1},
    True,
    b"1",
    object(),
]


# --- ccxt's structures ---

TRADE: dict[str, Any] = {
    "id": "t1",
    "symbol": SYMBOL,
    "side": "buy",
    "amount": "1",
    "price": "100",
    "order": "7",
    "timestamp": 1700000000000,
    "fee": {"cost": "0.1", "currency": "USDT"},
    "takerOrMaker": "maker",
}
ORDER: dict[str, Any] = {
    "id": "7",
    "clientOrderId": "x",
    "symbol": SYMBOL,
    "side": "buy",
    "amount": "1",
    "filled": "0.5",
    "price": "100",
    "status": "open",
}


def _sane(value: object) -> bool:
    """What would travel to the gateway is what its decoder takes, with finite numbers."""
    message = c.ChildTrade(ts_ns=1, venue="v", trade=value) if isinstance(value, c.VenueTrade) else None
    if message is None:
        assert isinstance(value, c.OpenOrder)
        message = c.VenueReconciled(ts_ns=1, venue="v", account="a", asked_ns=1, open_orders=(value,))
    decoded = wire.from_host_decoder.decode(wire.frame(message)[4:])
    numbers = [item for item in msgspec.structs.astuple(value) if isinstance(item, Decimal)]
    return decoded == message and all(number.is_finite() and abs(number) < 10**30 for number in numbers)


@pytest.mark.parametrize("field", TRADE)
def test_trades_with_nonsense(field: str) -> None:
    """A trade with a hole is a ValueError, never a guess; the rest passes through the wire as it is."""
    for value in NONSENSE:
        try:
            made = trade_from({**TRADE, field: value}, "main", "x")
        except ValueError:
            continue
        assert _sane(made), (field, value, made)
        assert made.qty > 0 and made.px > 0, (field, value, made)
    missing = {key: value for key, value in TRADE.items() if key != field}
    if field in ("id", "symbol", "side", "amount", "price"):
        with pytest.raises(ValueError):
            trade_from(missing, "main", "x")


@pytest.mark.parametrize("field", ORDER)
def test_open_orders_with_nonsense(field: str) -> None:
    for value in NONSENSE:
        try:
            made = open_order_from({**ORDER, field: value})
        except ValueError:
            continue
        assert _sane(made), (field, value, made)
        assert made.qty > 0 and made.cum_qty >= 0, (field, value, made)


def test_other_shapes_are_value_errors() -> None:
    """A list where an object belongs, HTML, nothing: always the one exception that callers understand."""
    exchange = type("Exchange", (), {"precisionMode": 4})()
    readers: list[Callable[[Any], Any]] = [
        lambda x: trade_from(x, "main", "x"),
        open_order_from,
        outcome,
        balances_from,
        lambda x: spec_from(exchange, x),
    ]
    for read in readers:
        for shape in (None, [], "<html>502</html>", 5, [{}], {"info": None}, {"limits": 5}, {"free": [], "total": {}}):
            with pytest.raises(ValueError):
                read(shape)


def test_balances_with_nonsense() -> None:
    for value in NONSENSE:
        if value is None:
            continue
        try:
            free, total = balances_from({"free": {"BTC": value}, "total": {"BTC": value}})
        except ValueError:
            continue
        assert all(number.is_finite() for number in (*free.values(), *total.values())), value


# --- the core ---


def _working() -> tuple[Script, World, str]:
    script = Script()
    script.line("new a buy 1 @100")
    script.line("ack C1")
    return script, script.world, script.children[0]


def _trade(child: str, **changes: Any) -> c.VenueTrade:
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


def _alerts(events: list[e.AnyEvent]) -> list[str]:
    return [event.kind for event in events if isinstance(event, e.Alerted)]


def _run(world: World, command: c.Command) -> list[e.AnyEvent]:
    events = world.run(command)
    world.check()
    return events


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


@pytest.mark.parametrize("ours", [True, False])
def test_impossible_trades_are_not_booked(ours: bool) -> None:
    """Refused with an alert: no fill, no position, no report."""
    _, world, child = _working()
    before = {scope: msgspec.json.encode(exposure) for scope, exposure in world.state.exposures.items()}
    for number, change in enumerate(BAD_TRADES):
        if not ours and set(change) & {"symbol", "side"} and change.get("side") not in ("", "3"):
            continue  # somebody else's trade may be in anything
        item = _trade(child if ours else "other", **change)
        for command in (
            c.ChildTrade(ts_ns=world.tick(), venue=VENUE, trade=item),
            c.ChildQueryResult(
                ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=child, outcome="open", asked_ns=0, trades=(item,)
            ),
        ):
            events = _run(world, command)
            assert "BAD_TRADE" in _alerts(events), (number, change)
            assert not any(isinstance(event, e.OrderFilled | e.ExternalFill) for event in events), change
    after = {scope: msgspec.json.encode(exposure) for scope, exposure in world.state.exposures.items()}
    assert after == before
    _run(world, c.ChildTrade(ts_ns=world.tick(), venue=VENUE, trade=_trade(child)))
    assert world.state.children[child].cum_qty == Decimal("0.5")


def test_a_trade_twice_and_a_trade_too_many() -> None:
    """The same number counts once. More than was ordered is the venue's word: booked, with an alert."""
    _, world, child = _working()
    trade = _trade(child, qty=Decimal("0.7"))
    for _ in range(3):
        _run(world, c.ChildTrade(ts_ns=world.tick(), venue=VENUE, trade=trade))
    assert world.state.children[child].cum_qty == Decimal("0.7")
    events = _run(
        world, c.ChildTrade(ts_ns=world.tick(), venue=VENUE, trade=_trade(child, venue_trade_id="t2", qty=Decimal("0.7")))
    )
    assert "OVERFILL" in _alerts(events)
    reports = [event.message for event in events if isinstance(event, e.Reported)]
    assert all(report.leaves_qty >= 0 for report in reports)  # type: ignore[union-attr]


@pytest.mark.parametrize("status", ["filled", "canceled", "expired", "rejected", "", "banana", "FILLED", "x" * 100_000])
def test_ends_with_impossible_figures(status: str) -> None:
    """What was executed is asked for; nothing is taken from a figure that cannot be."""
    for number in BAD_NUMBERS:
        _, world, child = _working()
        _run(world, c.ChildTrade(ts_ns=world.tick(), venue=VENUE, trade=_trade(child)))
        done = c.ChildDone(
            ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=child, venue_order_id="", status=status, cum_qty=Decimal(number)
        )
        events = _run(world, done)
        assert "BAD_VENUE_DATA" in _alerts(events)
        assert world.state.children[child].cum_qty == Decimal("0.5")
        order = world.state.orders[world.state.children[child].order_id]
        assert order.cum_qty == Decimal("0.5")


def test_an_end_with_less_than_was_executed() -> None:
    """The trades count: cum_qty never goes back."""
    _, world, child = _working()
    _run(world, c.ChildTrade(ts_ns=world.tick(), venue=VENUE, trade=_trade(child)))
    events = _run(
        world,
        c.ChildDone(
            ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=child, venue_order_id="", status="canceled", cum_qty=Decimal("0.1")
        ),
    )
    assert "CUM_QTY_WENT_BACK" in _alerts(events)
    assert world.state.orders[world.state.children[child].order_id].cum_qty == Decimal("0.5")


def test_queries_with_nonsense_are_asked_again() -> None:
    _, world, child = _working()
    for outcome_, cum in (
        ("banana", None),
        ("", None),
        *(("filled", Decimal(n)) for n in BAD_NUMBERS),
        *(("canceled", Decimal(n)) for n in BAD_NUMBERS),
    ):
        events = _run(
            world,
            c.ChildQueryResult(ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=child, outcome=outcome_, asked_ns=0, cum_qty=cum),
        )
        assert _alerts(events) == ["BAD_VENUE_DATA"]
        assert world.state.children[child].is_live


def test_balances_instruments_and_lists_with_nonsense() -> None:
    """An asset that has no number counts as nothing; an instrument as not there; an open order is asked about."""
    _, world, child = _working()
    for number in BAD_NUMBERS:
        bad = Decimal(number)
        if number != "-1":  # a margin account may owe
            balances = {"BTC": bad, "USDT": Decimal(5)}
            events = _run(
                world,
                c.BalancesReport(
                    ts_ns=world.tick(), venue=VENUE, account=VENUE_ACCOUNT, asof_ns=world.now_ns, free=balances, total=balances
                ),
            )
            assert "BAD_VENUE_DATA" in _alerts(events)
            assert world.state.accounts["main"].free == {"USDT": Decimal(5)}
        spec = c.InstrumentSpec(symbol=SYMBOL, venue_symbol="B", base="BTC", quote="USDT", tick=bad, lot=Decimal(1))
        events = _run(world, c.InstrumentsReport(ts_ns=world.tick(), venue=VENUE, instruments=(spec,)))
        assert "BAD_VENUE_DATA" in _alerts(events)
        listed = c.OpenOrder(venue_cl_ord_id=child, venue_order_id="7", symbol=SYMBOL, side="1", qty=Decimal(1), cum_qty=bad)
        events = _run(
            world,
            c.VenueReconciled(
                ts_ns=world.tick(), venue=VENUE, account=VENUE_ACCOUNT, asked_ns=world.now_ns, open_orders=(listed,)
            ),
        )
        assert "BAD_VENUE_DATA" in _alerts(events)
        assert any(isinstance(event, e.ChildQueried) for event in events)


def test_times_beyond_now() -> None:
    """They must not hide what comes after them."""
    _, world, child = _working()
    _run(world, c.VenueReconciled(ts_ns=world.tick(), venue=VENUE, account=VENUE_ACCOUNT, asked_ns=2**62))
    assert world.state.venues[VENUE].reconciled_ns <= world.now_ns
    for _ in range(4):
        answer = c.ChildQueryResult(
            ts_ns=world.tick(), venue=VENUE, venue_cl_ord_id=child, outcome="not_found", asked_ns=2**62, trades_checked=True
        )
        _run(world, answer)
    assert world.state.children[child].is_live, "not found counted before its time"
    for asof_ns in (2**62, world.now_ns):
        free = {"USDT": Decimal(asof_ns % 1000 + 1)}
        _run(
            world,
            c.BalancesReport(ts_ns=world.tick(), venue=VENUE, account=VENUE_ACCOUNT, asof_ns=asof_ns, free=free, total=free),
        )
    assert world.state.accounts["main"].asof_ns <= world.now_ns


def test_words_about_unknown_orders() -> None:
    """Nothing, or an alert; never an error."""
    _, world, _ = _working()
    for unknown in ("", "x", "x" * 100_000, "ABCDE0010000099C01"):
        ids = {"venue": VENUE, "venue_cl_ord_id": unknown}
        for command in (
            c.ChildAck(ts_ns=world.tick(), venue_order_id="1", **ids),
            c.ChildReject(ts_ns=world.tick(), code="x", text="y", **ids),
            c.ChildAmbiguous(ts_ns=world.tick(), op="place", code="x", text="y", **ids),
            c.ChildDone(ts_ns=world.tick(), venue_order_id="", status="filled", cum_qty=Decimal(5), **ids),
            c.ChildCancelReject(ts_ns=world.tick(), code="x", text="y", unknown_order=True, **ids),
            c.ChildQueryResult(ts_ns=world.tick(), outcome="filled", asked_ns=0, cum_qty=Decimal(5), **ids),
        ):
            assert not any(isinstance(event, e.Reported | e.OrderFilled) for event in _run(world, command))


# --- the link ---


class FakeHost:
    """The host's end, byte by byte."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
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
NEAR_NS = time.time_ns()


@pytest.fixture
def links(tmp_path: Path) -> Iterator[tuple[VenueLinks, Path, list[c.Command], list[wire.BookUpdate]]]:
    heard: list[c.Command] = []
    books: list[wire.BookUpdate] = []
    made = VenueLinks(tmp_path / "v.sock", submit=heard.append, on_book=books.append, now_ns=time.time_ns)
    made.lookup = lambda child: None
    made.start()
    yield made, tmp_path / "v.sock", heard, books
    made.stop()


def _until(condition: Callable[[], Any], what: str, timeout_s: float = 10.0) -> None:
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
    """Not used, so that the last good one grows stale; the link stays."""
    made, path, heard, books = links
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
    _until(lambda: books, "the good quote")
    assert books == [good] and VENUE in made.hosts()


def test_a_host_with_another_clock(links: Any) -> None:
    """Its times would make orders be forgotten: the gateway's own count."""
    _, path, heard, _ = links
    host = FakeHost(path)
    host.say(HELLO, *(c.VenueLink(ts_ns=ts_ns, venue=VENUE, up=True) for ts_ns in (0, 2**62, -(2**62))))
    _until(lambda: len(heard) == 3, "three commands")
    assert all(abs(command.ts_ns - time.time_ns()) < 10**10 for command in heard)


# --- the whole installation ---


@pytest.mark.timeout(120)
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
                    stranger.say(c.ChildTrade(ts_ns=time.time_ns(), venue="sim", trade=_trade(child, account="main", **change)))
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
