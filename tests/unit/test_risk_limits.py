"""The risk checks that compare a figure with a limit: at, just below and just above it, in every scope and kind."""

from __future__ import annotations

from decimal import Decimal

import pytest
from risk_requests import SCOPES, SYMBOL, D, ask, code, limits, order_of, run, settings, state_of

from fixgw.core.child import Child
from fixgw.core.settings import Limits
from fixgw.core.state import AccountState, SymbolExposure
from fixgw.risk import buying_power, notional, open_orders, order_qty, position

ALL_SCOPES = pytest.mark.parametrize("scope", list(SCOPES))


@ALL_SCOPES
@pytest.mark.parametrize(
    ("kind", "qty", "refused"),
    [
        ("new", "9.99999999", False),
        ("new", "10", False),
        ("new", "10.00000000", False),
        ("new", "10.00000001", True),
        ("replace", "10", False),
        ("replace", "10.00000001", True),
        ("trigger", "10", False),
        ("trigger", "10.00000001", True),
    ],
)
def test_order_qty(scope: str, kind: str, qty: str, refused: bool) -> None:
    state = state_of(settings(scope, max_order_qty="10"))
    order = None if kind == "new" else order_of(qty="10", held=kind == "trigger")
    denied = run(order_qty.check, ask(state, kind, qty=qty, order=order))
    assert code(denied) == ("MAX_ORDER_QTY" if refused else "")
    if denied is not None:
        assert (denied.tag, denied.value, denied.limit) == (38, "10.00000001", "10")
        assert scope in denied.text


def test_order_qty_of_a_cash_order_names_152() -> None:
    denied = run(order_qty.check, ask(state_of(settings(max_order_qty="1")), "replace", qty="2", order=order_of(cash="200")))
    assert denied is not None and denied.tag == 38  # the replace itself has a quantity
    denied = run(order_qty.check, ask(state_of(settings(max_order_qty="1")), "trigger", qty="2", order=order_of(cash="200")))
    assert denied is not None and denied.tag == 152


def test_limits_of_the_instrument_go_before_the_star_and_others_do_not_apply() -> None:
    both = settings(max_order_qty={"*": D(1), SYMBOL: D(5)})
    star = settings(max_order_qty={"*": D(1)})
    other = settings(max_order_qty={"ETH/USDT": D(1)})
    assert [code(run(order_qty.check, ask(state_of(core), qty="5"))) for core in (both, star, other)] == [
        "", "MAX_ORDER_QTY", "",
    ]


def test_the_first_scope_that_is_exceeded_is_named() -> None:
    core = settings(all_scopes={"session": limits(max_order_qty="9"), "firm": limits(max_order_qty="5")})
    denied = run(order_qty.check, ask(state_of(core), qty="6"))
    assert denied is not None and denied.limit == "5" and "firm" in denied.text


@ALL_SCOPES
@pytest.mark.parametrize(
    ("qty", "price", "value_px", "reason"),
    [
        ("10", "99.99", "99.99", ""),
        ("10", "100", "100", ""),
        ("10", "100.000000001", "100.000000001", "MAX_NOTIONAL"),
        ("10", None, "100", ""),  # market: at the reference
        ("10", None, "100.01", "MAX_NOTIONAL"),
        ("0.00000001", None, None, "STALE_MARKET_DATA"),  # never passes a market order unvalued
    ],
)
def test_max_notional(scope: str, qty: str, price: str | None, value_px: str | None, reason: str) -> None:
    state = state_of(settings(scope, max_notional="1000"))
    denied = run(notional.check, ask(state, qty=qty, price=price, value_px=value_px))
    assert code(denied) == reason
    if reason == "MAX_NOTIONAL":
        assert denied is not None and denied.tag == 38 and denied.limit == "1000" and D(denied.value) > 1000


@ALL_SCOPES
@pytest.mark.parametrize(
    ("kind", "open_notional", "qty", "price", "reason"),
    [
        ("new", "900", "1", "99.99", ""),
        ("new", "900", "1", "100", ""),
        ("new", "900", "1", "100.01", "MAX_OPEN_NOTIONAL"),
        ("new", "900.01", "1", "100", "MAX_OPEN_NOTIONAL"),
        # order_of: 5 at 100 is in the 900 already
        ("replace", "900", "6", "100", ""),
        ("replace", "900", "6.01", "100", "MAX_OPEN_NOTIONAL"),
        ("replace", "900", "5", "120", ""),
        ("replace", "900", "5", "120.1", "MAX_OPEN_NOTIONAL"),
        # while it is pending it counts 5 x 150, although 3 x 150 is less than it was
        ("replace", "900", "3", "150", "MAX_OPEN_NOTIONAL"),
        ("replace", "2000", "4", "100", ""),  # over the limit already, but this adds nothing
        ("trigger", "1000", "5", "100", ""),
        ("trigger", "1000", "5", "101", "MAX_OPEN_NOTIONAL"),  # worth more by now
    ],
)
def test_max_open_notional(scope: str, kind: str, open_notional: str, qty: str, price: str, reason: str) -> None:
    state = state_of(settings(scope, max_open_notional="1000"), open_notional=open_notional)
    order = None if kind == "new" else order_of(held=kind == "trigger")
    denied = run(notional.check, ask(state, kind, qty=qty, price=price, order=order))
    assert code(denied) == reason
    if denied is not None:
        assert denied.limit == "1000" and scope in denied.text


@pytest.mark.parametrize(
    ("stop_px", "qty", "reason"),
    [("90", "5", ""), ("90", "4", ""), ("95", "5", "STALE_MARKET_DATA"), ("90", "6", "STALE_MARKET_DATA")],
)
def test_without_market_data_only_a_replace_that_is_no_riskier_passes(stop_px: str, qty: str, reason: str) -> None:
    state = state_of(settings(max_notional="1000", max_open_notional="1000"))
    order = order_of(price=None, ord_type="3", stop_px="90", held=True)
    request = ask(
        state, "replace", qty=qty, price=None, value_px=None, ord_type="3", stop_px=D(stop_px), order=order
    )
    assert code(run(notional.check, request)) == reason


def test_no_notional_limit_needs_no_value() -> None:
    assert run(notional.check, ask(state_of(settings()), price=None, value_px=None)) is None


@ALL_SCOPES
@pytest.mark.parametrize(
    ("kind", "orders", "refused"),
    [("new", 1, False), ("new", 2, False), ("new", 3, True), ("replace", 3, False), ("trigger", 3, False)],
)
def test_open_orders(scope: str, kind: str, orders: int, refused: bool) -> None:
    state = state_of(settings(scope, max_open_orders=3), orders=orders)
    denied = run(open_orders.check, ask(state, kind, order=None if kind == "new" else order_of()))
    assert code(denied) == ("MAX_OPEN_ORDERS" if refused else "")
    if denied is not None:
        assert (denied.tag, denied.value, denied.limit) == (11, "4", "3")


def test_open_orders_zero_refuses_the_first() -> None:
    state = state_of(settings(max_open_orders=0))
    state.exposures.clear()
    assert code(run(open_orders.check, ask(state))) == "MAX_OPEN_ORDERS"


@ALL_SCOPES
@pytest.mark.parametrize(
    ("exposure", "side", "qty", "refused"),
    [
        ({}, "1", "10", False),
        ({}, "1", "10.00000001", True),
        ({"position": "4", "open_buy": "2", "open_sell": "3"}, "1", "1", False),
        ({"position": "-4", "open_buy": "2", "open_sell": "3"}, "1", "1", False),
        ({"position": "-4", "open_buy": "2", "open_sell": "3"}, "2", "1.1", True),
        ({"position": "4", "open_buy": "2", "open_sell": "3"}, "2", "1.1", True),
    ],
)
def test_gross_position(scope: str, exposure: dict[str, str], side: str, qty: str, refused: bool) -> None:
    denied = run(position.check, ask(state_of(settings(scope, max_gross="10"), **exposure), side=side, qty=qty))
    assert code(denied) == ("MAX_GROSS_POSITION" if refused else "")
    if denied is not None:
        assert denied.tag == 38 and denied.limit == "10" and D(denied.value) > 10


@ALL_SCOPES
@pytest.mark.parametrize(
    ("exposure", "side", "qty", "value"),
    [
        ({}, "1", "10", ""),
        ({}, "1", "10.01", "10.01"),
        ({}, "2", "10", ""),
        ({}, "2", "10.01", "10.01"),
        ({"position": "6", "open_buy": "3"}, "1", "1", ""),
        ({"position": "6", "open_buy": "3"}, "1", "1.5", "10.5"),
        ({"position": "6", "open_buy": "3", "open_sell": "6"}, "2", "10", ""),  # 6 - 16 = -10
        ({"position": "6", "open_buy": "3", "open_sell": "6"}, "2", "10.5", "10.5"),
        ({"position": "30"}, "2", "40", ""),  # far over the limit: back is free, to the other limit
        ({"position": "30"}, "2", "40.1", "10.1"),
        ({"position": "30"}, "1", "0.1", "30.1"),
        ({"position": "-30"}, "1", "5", ""),
        ({"open_buy": "9"}, "2", "10", ""),  # open buys do not cover a sell: they may fill last
        ({"open_buy": "9"}, "2", "10.1", "10.1"),
    ],
)
def test_net_position(scope: str, exposure: dict[str, str], side: str, qty: str, value: str) -> None:
    denied = run(position.check, ask(state_of(settings(scope, max_net="10"), **exposure), side=side, qty=qty))
    assert code(denied) == ("MAX_NET_POSITION" if value else "")
    if denied is not None:
        assert (denied.tag, denied.value, denied.limit) == (38, value, "10")


@pytest.mark.parametrize(
    ("kind", "side", "qty", "exposure", "reason"),
    [
        ("replace", "1", "6", {"open_buy": "9"}, ""),
        ("replace", "1", "6.1", {"open_buy": "9"}, "MAX_NET_POSITION"),
        ("replace", "1", "5", {"open_buy": "99"}, ""),  # adds nothing
        ("replace", "1", "4", {"open_buy": "99"}, ""),
        ("trigger", "1", "5", {"open_buy": "10"}, ""),
        ("trigger", "1", "5", {"position": "6", "open_buy": "5"}, "MAX_NET_POSITION"),  # the position grew meanwhile
        ("trigger", "2", "5", {"position": "30", "open_sell": "5"}, ""),  # a protective stop works
    ],
)
def test_position_of_replaces_and_triggers(kind: str, side: str, qty: str, exposure: dict[str, str], reason: str) -> None:
    state = state_of(settings(max_net="10"), **exposure)
    order = order_of(side=side, held=kind == "trigger")
    added = {"added": D(0)} if kind == "trigger" else {}
    assert code(run(position.check, ask(state, kind, side=side, qty=qty, order=order, **added))) == reason


def test_a_protective_stop_triggers_over_a_gross_limit_that_was_lowered() -> None:
    state = state_of(settings(max_gross="10"), position="10", open_sell="5")
    request = ask(state, "trigger", side="2", qty="5", order=order_of(side="2", held=True), added=D(0))
    assert run(position.check, request) is None
    state.exposures["s:S"].symbols[SYMBOL] = SymbolExposure(position=D(10), open_sell=D(11))
    # a request shows the exposures of the moment at which it was made
    request = ask(state, "trigger", side="2", qty="5", order=order_of(side="2", held=True), added=D(0))
    assert code(run(position.check, request)) == "MAX_GROSS_POSITION"


# --- buying power ---


def _child(name: str, asset: str, qty: str) -> Child:
    return Child(
        venue_cl_ord_id=name, order_id="O", venue="V", account="A", symbol=SYMBOL, side="1", ord_type="2", tif="1",
        qty=D(1), px=D(1), sent_ns=0, expires_ns=0, reserve_asset=asset, reserve_qty=D(qty),
    )


def _money(scope: str = "session", free: dict[str, Decimal] | None = None, in_flight: tuple[Child, ...] = (), **more: str):
    core = settings(scope, buying_power=True, **more)
    state = state_of(core)
    if free is not None:
        reserved: dict[str, Decimal] = {}
        for child in in_flight:
            reserved[child.reserve_asset] = reserved.get(child.reserve_asset, D(0)) + child.reserve_qty
        state.accounts["A"] = AccountState(
            name="A",
            asof_ns=1,
            free=free,
            uncovered={child.venue_cl_ord_id: None for child in in_flight},
            reserved=reserved,
        )
    state.children = {child.venue_cl_ord_id: child for child in in_flight}
    return state


@ALL_SCOPES
@pytest.mark.parametrize(
    ("side", "qty", "price", "free", "refused"),
    [
        ("1", "10", "100", {"USDT": D("1001")}, False),  # 1000 and 10 bps of fee
        ("1", "10", "100", {"USDT": D("1000.99999999")}, True),
        ("1", "10", "100", {"BTC": D(10**6)}, True),
        ("2", "10", "100", {"BTC": D(10)}, False),
        ("2", "10", "100", {"BTC": D("9.99999999")}, True),
        ("2", "10", "100", {"USDT": D(10**6)}, True),
        ("1", "10", None, {"USDT": D("1011.01")}, False),  # market: the ask is 101
        ("1", "10", None, {"USDT": D("1011.009")}, True),
    ],
)
def test_buying_power(
    scope: str, side: str, qty: str, price: str | None, free: dict[str, Decimal], refused: bool
) -> None:
    request = ask(_money(scope, free), side=side, qty=qty, price=price, with_fee=D("1.001"))
    denied = run(buying_power.check, request)
    assert code(denied) == ("BUYING_POWER" if refused else "")
    if denied is not None:
        assert denied.tag == 38 and D(denied.value) > D(denied.limit)


def test_what_is_in_flight_and_not_in_the_report_is_not_available() -> None:
    flying = (_child("a", "USDT", "300"), _child("b", "USDT", "200"), _child("c", "BTC", "7"))
    state = _money(free={"USDT": D(1000), "BTC": D(8)}, in_flight=flying)
    asked = [("1", "5"), ("1", "5.01"), ("2", "1"), ("2", "1.01")]
    codes = [code(run(buying_power.check, ask(state, side=side, qty=qty))) for side, qty in asked]
    assert codes == ["", "BUYING_POWER", "", "BUYING_POWER"]


def test_a_market_buy_must_afford_its_collar_since_the_venue_locks_that() -> None:
    request_of = lambda usdt: ask(_money(free={"USDT": D(usdt)}, collar_bps="1000"), price=None, qty="10")  # noqa: E731
    assert run(buying_power.check, request_of("1111")) is None  # 10 x 101 x 1.1
    denied = run(buying_power.check, request_of("1110.99"))
    assert denied is not None and D(denied.value) == 1111


@pytest.mark.parametrize(
    ("kind", "held", "side", "qty", "price", "need"),
    [
        # order_of: 5 at 100, reserved already when it works at the venue
        ("replace", False, "1", "5", "100", "0"),
        ("replace", False, "1", "4", "90", "0"),
        ("replace", False, "1", "6", "100", "100"),
        ("replace", False, "1", "5", "110", "50"),
        # the 5 may all be executed at 100 before the cancel, and 5 more are bought at 40
        ("replace", False, "1", "10", "40", "200"),
        ("replace", False, "2", "6", "100", "1"),
        ("replace", False, "2", "5", "1", "0"),
        # a held stop has nothing reserved
        ("replace", True, "1", "5", "100", "500"),
        ("trigger", True, "1", "5", "100", "500"),
        ("trigger", True, "2", "5", "100", "5"),
    ],
)
def test_buying_power_of_replaces_and_triggers(kind: str, held: bool, side: str, qty: str, price: str, need: str) -> None:
    asset = "USDT" if side == "1" else "BTC"
    for have, refused in ((D(need), False), (D(need) - D("0.01"), D(need) > 0)):
        state = _money(free={asset: have})
        order = order_of(side=side, held=held)
        added = {"added": D(0), "added_notional": D(0)} if kind == "trigger" else {}
        request = ask(state, kind, side=side, qty=qty, price=price, order=order, **added)
        assert code(run(buying_power.check, request)) == ("BUYING_POWER" if refused else "")


def test_no_balance_report_yet() -> None:
    for state in (_money(), _money(free={})):
        if "A" in state.accounts:
            state.accounts["A"].asof_ns = 0
        denied = run(buying_power.check, ask(state))
        assert denied is not None and (denied.tag, denied.value) == (38, "unknown")
        # what needs nothing is not held up
        assert run(buying_power.check, ask(state, "replace", qty="4", order=order_of())) is None
    reported_empty = _money(free={})
    assert code(run(buying_power.check, ask(reported_empty, side="2"))) == "BUYING_POWER"


def test_a_buy_that_cannot_be_valued() -> None:
    state = _money(free={"USDT": D(10**9), "BTC": D(10)})
    unvalued = {"price": None, "value_px": None, "reference": None}
    assert code(run(buying_power.check, ask(state, **unvalued))) == "STALE_MARKET_DATA"
    assert run(buying_power.check, ask(state, side="2", **unvalued)) is None  # a sell needs its quantity, no price


def test_nothing_is_enforced_without_limits() -> None:
    state = state_of(settings(all_scopes={"session": Limits()}), orders=10**6, position="1000000")
    request = ask(state, qty="1000000", price="1000000")
    for check in (order_qty.check, notional.check, open_orders.check, position.check, buying_power.check):
        assert run(check, request) is None
