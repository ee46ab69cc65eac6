"""A venue that answers nonsense: what the parser refuses, what the core does not book.

Every table names what comes in; what may come of it is an alert, a question to the venue, or a refusal: never a figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from core_script import Script
from core_world import SYMBOL, VENUE, VENUE_ACCOUNT, World
from hostile import BAD_NUMBERS, BAD_TRADES, venue_trade

from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.venues import wire
from fixgw.venues.ccxt_parse import balances_from, open_order_from, outcome, spec_from, trade_from

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
    """The asset is in neither, and named; the others count."""
    for value in NONSENSE:
        if value is None:
            continue
        for kinds in (("free",), ("total",), ("free", "total")):
            both = {kind: {"ETH": "2", "BTC": value if kind in kinds else "1"} for kind in ("free", "total")}
            free, total, odd = balances_from(both)
            assert free["ETH"] == total["ETH"] == 2
            assert all(number.is_finite() for number in (*free.values(), *total.values())), value
            assert (odd == ("BTC",)) == ("BTC" not in free) == ("BTC" not in total), value


# --- the core ---


def _working() -> tuple[Script, World, str]:
    script = Script()
    script.line("new a buy 1 @100")
    script.line("ack C1")
    return script, script.world, script.children[0]


def _alerts(events: list[e.AnyEvent]) -> list[str]:
    return [event.kind for event in events if isinstance(event, e.Alerted)]


def _run(world: World, command: c.Command) -> list[e.AnyEvent]:
    events = world.run(command)
    world.check()
    return events


@pytest.mark.parametrize("ours", [True, False])
def test_impossible_trades_are_not_booked(ours: bool) -> None:
    """Refused with an alert: no fill, no position, no report."""
    _, world, child = _working()
    before = {scope: msgspec.json.encode(exposure) for scope, exposure in world.state.exposures.items()}
    for number, change in enumerate(BAD_TRADES):
        if not ours and set(change) & {"symbol", "side"} and change.get("side") not in ("", "3"):
            continue  # somebody else's trade may be in anything
        item = venue_trade(child if ours else "other", **change)
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
    _run(world, c.ChildTrade(ts_ns=world.tick(), venue=VENUE, trade=venue_trade(child)))
    assert world.state.children[child].cum_qty == Decimal("0.5")


def test_a_trade_twice_and_a_trade_too_many() -> None:
    """The same number counts once. More than was ordered is the venue's word: booked, with an alert."""
    _, world, child = _working()
    trade = venue_trade(child, qty=Decimal("0.7"))
    for _ in range(3):
        _run(world, c.ChildTrade(ts_ns=world.tick(), venue=VENUE, trade=trade))
    assert world.state.children[child].cum_qty == Decimal("0.7")
    events = _run(
        world, c.ChildTrade(ts_ns=world.tick(), venue=VENUE, trade=venue_trade(child, venue_trade_id="t2", qty=Decimal("0.7")))
    )
    assert "OVERFILL" in _alerts(events)
    reports = [event.message for event in events if isinstance(event, e.Reported)]
    assert all(report.leaves_qty >= 0 for report in reports)  # type: ignore[union-attr]


@pytest.mark.parametrize("status", ["filled", "canceled", "expired", "rejected", "", "banana", "FILLED", "x" * 100_000])
def test_ends_with_impossible_figures(status: str) -> None:
    """What was executed is asked for; nothing is taken from a figure that cannot be."""
    for number in BAD_NUMBERS:
        _, world, child = _working()
        _run(world, c.ChildTrade(ts_ns=world.tick(), venue=VENUE, trade=venue_trade(child)))
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
    _run(world, c.ChildTrade(ts_ns=world.tick(), venue=VENUE, trade=venue_trade(child)))
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
