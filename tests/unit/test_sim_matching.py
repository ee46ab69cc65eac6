"""The simulator's matching engine: order types, priority, balances, fees, cancel-replace, and conservation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixgw.sim.house import House
from fixgw.sim.matching import Engine
from fixgw.sim.model import BUY, SELL, Event, OrderRequest, PublicTrade, Refused, Report, SymbolRules

SYM = "BTCUSDT"
RULES = SymbolRules("BTC", "USDT", min_notional=D(1))


def engine(**options: Any) -> Engine:
    made = Engine([RULES], **options)
    for name in ("a", "b", "c"):
        made.add_account(name, {"BTC": D(100), "USDT": D(1_000_000)})
    return made


def req(account: str, side: str, qty: str | None, price: str | None = None, **more: Any) -> OrderRequest:
    kind = more.pop("type", "LIMIT" if price else "MARKET")
    more.setdefault("cl_ord_id", f"{account}{side}{qty}{price}{more}"[:36])
    return OrderRequest(
        account, SYM, side, kind, qty=D(qty) if qty else None, price=D(price) if price else None, **more
    )


def trades(events: list[Event]) -> list[tuple[str, str]]:
    return [(str(e.price), str(e.qty)) for e in events if isinstance(e, PublicTrade)]


def kinds(events: list[Event]) -> list[tuple[str, str, str]]:
    return [(e.order.account, e.kind, e.status) for e in events if isinstance(e, Report)]


def seeded() -> Engine:
    """Asks 1 @ 101 (a), 1 @ 101 (b), 2 @ 102 (a); bids 1 @ 99 (b)."""
    made = engine()
    for n, (account, side, qty, price) in enumerate(
        [("a", SELL, "1", "101"), ("b", SELL, "1", "101"), ("a", SELL, "2", "102"), ("b", BUY, "1", "99")]
    ):
        made.place(req(account, side, qty, price, cl_ord_id=f"s{n}"), n)
    return made


N, T, C, X = "NEW", "TRADE", "CANCELED", "EXPIRED"
PF, F = "PARTIALLY_FILLED", "FILLED"


@pytest.mark.parametrize(
    ("request_", "expected_trades", "own_reports", "rests"),
    [
        # rests when it does not cross
        (req("c", BUY, "1", "100"), [], [(N, N)], "1"),
        # price first, then time: a's 101 before b's 101 before 102
        (req("c", BUY, "1.5", "102"), [("101", "1"), ("101", "0.5")], [(N, N), (T, PF), (T, F)], None),
        (req("c", BUY, "3", "101"), [("101", "1"), ("101", "1")], [(N, N), (T, PF), (T, PF)], "1"),
        (req("c", SELL, "1", "99"), [("99", "1")], [(N, N), (T, F)], None),
        # IOC: the rest expires; FOK: all or nothing
        (req("c", BUY, "3", "101", tif="IOC"), [("101", "1"), ("101", "1")], [(N, N), (T, PF), (T, PF), (X, X)], None),
        (req("c", BUY, "1", "100", tif="IOC"), [], [(N, N), (X, X)], None),
        (req("c", BUY, "3", "101", tif="FOK"), [], [(N, N), (X, X)], None),
        (req("c", BUY, "2", "101", tif="FOK"), [("101", "1"), ("101", "1")], [(N, N), (T, PF), (T, F)], None),
        # MARKET by quantity; what the book does not have expires
        (req("c", BUY, "3"), [("101", "1"), ("101", "1"), ("102", "1")], [(N, N), (T, PF), (T, PF), (T, F)], None),
        (req("c", SELL, "2"), [("99", "1")], [(N, N), (T, PF), (X, X)], None),
        # MARKET by quote: whole steps for the money
        (req("c", BUY, None, quote_qty=D("50.50")), [("101", "0.5")], [(N, N), (T, F)], None),
        (req("c", BUY, None, quote_qty=D("50.509")), [("101", "0.50008")], [(N, N), (T, F)], None),
        (req("c", SELL, None, quote_qty=D("200")), [("99", "1")], [(N, N), (T, F), (X, X)], None),
        # post only
        (req("c", SELL, "1", "100", type="LIMIT_MAKER"), [], [(N, N)], "1"),
    ],
)
def test_order_types(
    request_: OrderRequest, expected_trades: list[Any], own_reports: list[Any], rests: str | None
) -> None:
    made = seeded()
    events = made.place(request_, 10)
    assert [(D(p), D(q)) for p, q in trades(events)] == [(D(p), D(q)) for p, q in expected_trades]
    assert [(kind, status) for who, kind, status in kinds(events) if who == "c"] == own_reports
    open_ = list(made.open_orders.get(("c", SYM), {}).values())
    assert [order.leaves for order in open_] == ([D(rests)] if rests else [])
    if not rests:
        assert all(b.locked == 0 for b in made.accounts["c"].balances.values())


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (req("c", BUY, "1", "100.001"), -1013, "PRICE_FILTER"),
        (req("c", BUY, "1", "2000000"), -1013, "PRICE_FILTER"),
        (req("c", BUY, "0.000001", "100"), -1013, "LOT_SIZE"),
        (req("c", BUY, "10000", "100"), -1013, "LOT_SIZE"),
        (req("c", BUY, "101"), -1013, "MARKET_LOT_SIZE"),
        (req("c", BUY, "0.001", "100"), -1013, "NOTIONAL"),
        (req("c", BUY, None, quote_qty=D("0.5")), -1013, "NOTIONAL"),
        (req("c", SELL, "0.001"), -1013, "NOTIONAL"),
        (req("c", BUY, "8999", "200"), -2010, "insufficient balance"),
        (req("c", SELL, "101", "200"), -2010, "insufficient balance"),
        (req("c", BUY, "1", "101", type="LIMIT_MAKER"), -2010, "immediately match"),
        (req("b", BUY, "1", "90", cl_ord_id="s3"), -2010, "Duplicate"),
    ],
)
def test_refusals_change_nothing(request_: OrderRequest, code: int, text: str) -> None:
    made = seeded()
    before = (made.books[SYM].snapshot(9), repr(made.accounts), made.next_order_id, made.next_trade_id)
    with pytest.raises(Refused, match=text) as caught:
        made.place(request_, 10)
    assert caught.value.code == code
    assert (made.books[SYM].snapshot(9), repr(made.accounts), made.next_order_id, made.next_trade_id) == before


def test_locks_fees_and_price_improvement() -> None:
    made = seeded()
    made.place(req("c", BUY, "1.5", "105"), 10)  # locks 157.50, gets 1.5 at 101
    usdt, btc = made.accounts["c"].balance("USDT"), made.accounts["c"].balance("BTC")
    assert (usdt.free, usdt.locked) == (D(1_000_000) - D("151.5"), 0)
    assert btc.free == D("101.5") - D("0.0015")
    seller = made.accounts["a"]
    assert seller.balance("USDT").free == D(1_000_000) + D(101) - D("0.101")
    assert (seller.balance("BTC").free, seller.balance("BTC").locked) == (D(97), D(2))
    made.place(req("c", BUY, "2", "100"), 11)
    assert usdt.locked == D(200)
    made.cancel_all("c", SYM, 12)
    assert usdt.locked == 0


def test_client_id_is_unique_among_open_orders_only() -> None:
    made = engine()
    made.place(req("a", BUY, "1", "100", cl_ord_id="x"), 1)
    with pytest.raises(Refused, match="Duplicate"):
        made.place(req("a", BUY, "1", "100", cl_ord_id="x"), 2)
    made.place(req("b", BUY, "1", "100", cl_ord_id="x"), 3)  # another account may
    made.cancel("a", SYM, 4, cl_ord_id="x")
    made.place(req("a", BUY, "2", "100", cl_ord_id="x"), 5)
    found = made.find("a", SYM, None, "x")
    assert found is not None and found.qty == 2
    with pytest.raises(Refused, match="Unknown order"):
        made.cancel("c", SYM, 6, cl_ord_id="x")
    with pytest.raises(Refused, match="Unknown order"):
        made.cancel("b", SYM, 6, order_id=found.order_id)


@pytest.mark.parametrize(
    ("mode", "own", "maker"),
    [
        ("NONE", "FILLED", "FILLED"),
        ("EXPIRE_TAKER", "EXPIRED_IN_MATCH", "NEW"),
        ("EXPIRE_MAKER", "NEW", "EXPIRED_IN_MATCH"),
        ("EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH"),
    ],
)
def test_self_trade_prevention(mode: str, own: str, maker: str) -> None:
    made = engine()
    made.place(req("a", SELL, "1", "100"), 1)
    made.place(req("a", BUY, "1", "100", stp=mode), 2)
    assert [order.status for order in made.orders.values()] == [maker, own]


@pytest.mark.parametrize(
    ("target", "stop", "qty", "canceled", "placed"),
    [
        ("open", True, "1", True, True),
        ("gone", True, "1", False, None),
        ("gone", False, "1", False, True),
        ("open", True, "8000", True, False),
        ("gone", False, "8000", False, False),
    ],
)
def test_cancel_replace(target: str, stop: bool, qty: str, canceled: bool, placed: bool | None) -> None:
    made = engine()
    made.place(req("a", BUY, "1", "100", cl_ord_id="open"), 1)
    new = req("a", BUY, qty, "900", cl_ord_id="new")
    both = made.cancel_replace(new, 2, cl_ord_id=target, stop_on_failure=stop)
    assert isinstance(both.canceled, list) == canceled
    assert (None if both.placed is None else isinstance(both.placed, list)) == placed
    assert {o.cl_ord_id for o in made.open_orders[("a", SYM)].values()} == (
        ({"open"} if not canceled else set()) | ({"new"} if placed else set())
    )


def test_cancel_restrictions_and_filters_come_first() -> None:
    made = engine()
    made.place(req("a", BUY, "1", "100", cl_ord_id="o"), 1)
    with pytest.raises(Refused, match="cancel restrictions"):
        made.cancel("a", SYM, 2, cl_ord_id="o", only="ONLY_PARTIALLY_FILLED")
    with pytest.raises(Refused, match="PRICE_FILTER"):
        made.cancel_replace(req("a", BUY, "1", "0.001"), 3, cl_ord_id="o")
    assert made.orders[1].is_open
    made.fill_resting(1, D("0.4"), 4)
    assert (made.orders[1].status, made.orders[1].leaves) == ("PARTIALLY_FILLED", D("0.6"))
    with pytest.raises(Refused, match="Quantity"):
        made.fill_resting(1, D("0.7"), 5)
    made.cancel("a", SYM, 6, cl_ord_id="o", only="ONLY_PARTIALLY_FILLED")


def test_house_levels_and_queue_position() -> None:
    made = engine()
    house = House(made)
    house.set_level(SYM, BUY, D(100), D(5), 1)
    made.place(req("a", BUY, "1", "100"), 2)
    house.set_level(SYM, BUY, D(100), D(8), 3)  # three more behind the client
    assert made.books[SYM].snapshot(1)[1] == [(D(100), D(9))]
    assert kinds(house.tape_trade(SYM, SELL, D(100), D(5), 4)) == []  # the five that stood before
    assert kinds(house.tape_trade(SYM, SELL, D(100), D("0.4"), 5)) == [("a", T, PF)]
    house.set_level(SYM, BUY, D(100), D(0), 6)  # a level that is withdrawn does not fill anybody
    assert made.books[SYM].snapshot(1)[1] == [(D(100), D("0.6"))]
    # a trade through the price reaches the client at its own price
    house.set_level(SYM, BUY, D(101), D(3), 7)  # stale by now: the tape trades below it
    assert trades(house.tape_trade(SYM, SELL, D(98), D(2), 8)) == [("100", "0.6"), ("98", "1.4")]
    assert made.books[SYM].snapshot(1)[1] == []


def test_house_meets_clients_only_where_it_may() -> None:
    made = engine()
    house = House(made)
    made.place(req("a", BUY, "1", "100"), 1)
    assert house.set_level(SYM, SELL, D(99), D(3), 2, may_cross=False) == []
    assert made.books[SYM].snapshot(1)[2] == []
    events = house.set_level(SYM, SELL, D(99), D(3), 3)
    assert kinds(events) == [("a", T, F)] and trades(events) == [("100", "1")]
    assert made.books[SYM].snapshot(1)[2] == [(D(99), D(2))]
    house.set_level(SYM, BUY, D(99), D(1), 4)  # newer house quantity pushes the older away
    assert made.books[SYM].snapshot(2)[1:] == ([(D(99), D(1))], [])


def test_diffs_rebuild_the_book() -> None:
    made = seeded()
    book = made.books[SYM]
    first = book.drain()
    assert first is not None and first[1] == book.update_id
    mine = {BUY: dict(first[2]), SELL: dict(first[3])}
    last = first[1]
    for n in range(30):
        side = (BUY, SELL)[n % 2]
        made.place(req("c", side, f"0.{n + 11:02}", str(97 + n % 7), cl_ord_id=f"d{n}"), 20 + n)
        diff = book.drain()
        assert diff is not None and diff[0] == last + 1
        last = diff[1]
        for key, rows in ((BUY, diff[2]), (SELL, diff[3])):
            mine[key] |= dict(rows)
        _, bids, asks = book.snapshot(100)
        assert {p: q for p, q in mine[BUY].items() if q} == dict(bids)
        assert {p: q for p, q in mine[SELL].items() if q} == dict(asks)
    assert book.drain() is None


def test_history_is_bounded_and_open_orders_are_kept() -> None:
    made = engine(history=10)
    made.place(req("a", BUY, "1", "50", cl_ord_id="old"), 0)
    for n in range(50):
        made.place(req("a", BUY, "1", "100", cl_ord_id=f"h{n}"), n)
        made.cancel("a", SYM, n, cl_ord_id=f"h{n}")
    assert len(made.orders) == 11 and made.find("a", SYM, None, "old") is not None
    assert made.find("a", SYM, None, "h0") is None and made.find("a", SYM, None, "h49") is not None
    assert len(made.by_client) == 11


def steps(work: Callable[[], object]) -> int:
    """Lines of Python that it takes: as good as time on a machine that is alone."""
    count = 0

    def trace(_frame: object, event: str, _arg: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_a_hundred_thousand_open_orders_stay_fast() -> None:
    made = Engine([RULES])
    made.add_account("a", {"USDT": D(10**12), "BTC": D(10**9)})

    def burst(n: int, base: int) -> None:
        for i in range(n):
            made.place(
                OrderRequest("a", SYM, BUY, "LIMIT", f"o{base + i}", D(1), D(100 + (base + i) * 7919 % 50_000)), 1
            )

    def cancel(first: int) -> None:
        for order_id in range(first, first + 300):
            if made.orders[order_id].is_open:
                made.cancel("a", SYM, 3, order_id=order_id)

    burst(1_000, 0)
    small, small_cancel = steps(lambda: burst(300, 1_000)), steps(lambda: cancel(500))
    burst(97_700, 1_300)
    large, large_cancel = steps(lambda: burst(300, 99_000)), steps(lambda: cancel(50_000))
    assert len(made.open_orders[("a", SYM)]) == 99_300 - 600
    assert large < small * 2 and large_cancel < small_cancel * 2
    taken = steps(lambda: made.place(OrderRequest("a", SYM, SELL, "LIMIT", "taker", D(500), D(200)), 2))
    assert taken < 500 * 400  # what it takes, not what there is


# ---- conservation -----------------------------------------------------------------------------------------------

_prices = st.integers(95, 105).map(str)
_quantities = st.integers(1, 400).map(lambda n: str(D(n) / 100))
_actions = st.lists(
    st.one_of(
        st.tuples(
            st.just("limit"), st.sampled_from("abc"), st.sampled_from((BUY, SELL)), _quantities, _prices,
            st.sampled_from(("GTC", "IOC", "FOK", "MAKER")), st.sampled_from(("NONE", "EXPIRE_TAKER", "EXPIRE_BOTH")),
        ),
        st.tuples(st.just("market"), st.sampled_from("abc"), st.sampled_from((BUY, SELL)), _quantities, st.booleans()),
        st.tuples(st.just("cancel"), st.sampled_from("abc"), st.integers(1, 60)),
        st.tuples(st.just("amend"), st.sampled_from("abc"), st.integers(1, 60), _quantities),
        st.tuples(st.just("house"), st.sampled_from((BUY, SELL)), _prices, _quantities),
        st.tuples(st.just("tape"), st.sampled_from((BUY, SELL)), _prices, _quantities),
    ),
    max_size=60,
)  # fmt: skip


def act(made: Engine, house: House, n: int, action: tuple[Any, ...]) -> list[Event]:
    match action:
        case ("limit", who, side, qty, price, tif, stp):
            kind = {"type": "LIMIT_MAKER"} if tif == "MAKER" else {"tif": tif}
            return made.place(req(who, side, qty, price, stp=stp, cl_ord_id=f"h{n}", **kind), n)
        case ("market", who, side, qty, by_quote):
            size = {"quote_qty": D(qty) * 100} if by_quote else {}
            return made.place(req(who, side, None if by_quote else qty, cl_ord_id=f"h{n}", **size), n)
        case ("cancel", who, order_id):
            return made.cancel(who, SYM, n, order_id=order_id)
        case ("amend", who, order_id, qty):
            return made.amend(who, SYM, D(qty), n, order_id=order_id)
        case ("house", side, price, qty):
            return house.set_level(SYM, side, D(price), D(qty), n)
        case (_, side, price, qty):
            return house.tape_trade(SYM, side, D(price), D(qty), n)
    raise AssertionError(action)


@settings(max_examples=120)
@given(_actions)
def test_quantity_and_money_are_conserved(actions: list[tuple[Any, ...]]) -> None:
    made = engine()
    house = House(made)
    total = {"BTC": D(300), "USDT": D(3_000_000)}
    last_trade = 0
    for n, action in enumerate(actions, 1):
        try:
            events = act(made, house, n, action)
        except Refused:
            events = []
        for event in events:
            if isinstance(event, PublicTrade):
                assert event.trade_id == last_trade + 1
                last_trade = event.trade_id
        for asset, amount in total.items():
            held = sum((acc.balance(asset).free + acc.balance(asset).locked for acc in made.accounts.values()), D(0))
            assert held + made.fees.get(asset, D(0)) + made.house_net.get(asset, D(0)) == amount
        for account in made.accounts.values():
            assert all(b.free >= 0 and b.locked >= 0 for b in account.balances.values())
        for order in made.orders.values():
            assert order.cum_qty == sum((f.qty for f in order.fills), D(0)) <= order.qty
            assert order.cum_quote == sum((f.qty * f.price for f in order.fills), D(0))
            assert order.is_open or order.locked == 0
        _check_book(made)


def _check_book(made: Engine) -> None:
    book = made.books[SYM]
    _, bids, asks = book.snapshot(1000)
    assert not bids or not asks or bids[0][0] < asks[0][0]
    resting = set()
    for side in book.sides.values():
        assert side.keys == sorted(side.levels) and len(side.keys) == len(side.levels)
        for level in side.levels.values():
            orders = list(level.orders.values())
            assert orders and all(o.leaves > 0 for o in orders)
            assert level.total == sum((o.leaves for o in orders), D(0))
            assert level.house_total == sum((o.leaves for o in orders if o.is_house), D(0))
            own = [o.order_id for o in orders if not o.is_house]
            assert own == sorted(own)  # time priority
            resting.update(own)
    assert resting == {o.order_id for orders in made.open_orders.values() for o in orders.values()}
