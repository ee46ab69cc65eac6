"""The risk checks that ask "may it at all": kill switches, entitlements, collar, staleness, throttle, repeated orders."""

from __future__ import annotations

import pytest
from risk_requests import NOW, SCOPES, SYMBOL, D, ask, code, limits, order_of, run, settings, state_of

from fixgw.core.commands import Quote
from fixgw.core.events import OrderReceived, Received, SettingsLoaded
from fixgw.core.evolve import evolve
from fixgw.core.pace import MAX_REPEATS
from fixgw.core.settings import Entitlements
from fixgw.core.state import State, dump_state, new_state
from fixgw.risk import base, collar, entitlements, repeated_order, session_state, staleness, throttle

LABELS = {"session": "session S", "account": "account A", "firm": "firm"}
ALL_SCOPES = pytest.mark.parametrize("scope", list(SCOPES))


def _at_level(level: str, where: str, **exposure: str) -> State:
    state = state_of(settings(), **exposure)
    if where == "session":
        state.session("S").level = level
    elif where == "venue":
        state.venue("V").level = level
    else:
        state.level = level
    return state


@pytest.mark.parametrize(("where", "tag", "name"), [("session", 49, "S"), ("venue", 100, "V"), ("firm", 35, "")])
@pytest.mark.parametrize("kind", ["new", "replace", "trigger"])
def test_halted_refuses_everything(where: str, tag: int, name: str, kind: str) -> None:
    order = None if kind == "new" else order_of(side="2")
    state = _at_level("HALTED", where, position="100", open_sell="5")
    denied = run(session_state.check, ask(state, kind, side="2", order=order))
    assert denied is not None
    value = name or ("G" if kind == "replace" else "D")
    assert (denied.reason.value, denied.tag, denied.value, denied.limit) == ("HALTED", tag, value, "ACTIVE")


def test_the_strictest_level_counts_and_other_sessions_and_venues_do_not() -> None:
    state = _at_level("REDUCING", "firm", position="5")
    state.venue("V").level = "HALTED"
    assert code(run(session_state.check, ask(state, side="2"))) == "HALTED"
    other = state_of(settings())
    other.session("T").level = other.venue("W").level = "HALTED"
    assert run(session_state.check, ask(other)) is None


@pytest.mark.parametrize("where", ["session", "venue", "firm"])
@pytest.mark.parametrize(
    ("position", "open_buy", "open_sell", "side", "qty", "limit"),
    [
        ("5", "0", "0", "2", "4.99", None),
        ("5", "0", "0", "2", "5", None),
        ("5", "0", "0", "2", "5.00000001", "5"),
        ("5", "0", "2", "2", "3", None),
        ("5", "0", "2", "2", "3.1", "3"),
        ("5", "9", "0", "2", "5.1", "5"),  # open buys give no room: they may never fill
        ("5", "0", "9", "2", "0.1", "0"),
        ("5", "0", "0", "1", "0.1", "0"),
        ("-5", "0", "0", "1", "5", None),
        ("-5", "2", "0", "1", "3.1", "3"),
        ("-5", "0", "0", "2", "0.1", "0"),
        ("0", "0", "0", "1", "0.1", "0"),
        ("0", "0", "0", "2", "0.1", "0"),
    ],
)
def test_reducing(
    where: str, position: str, open_buy: str, open_sell: str, side: str, qty: str, limit: str | None
) -> None:
    state = _at_level("REDUCING", where, position=position, open_buy=open_buy, open_sell=open_sell)
    denied = run(session_state.check, ask(state, side=side, qty=qty))
    if limit is None:
        assert denied is None
    else:
        assert denied is not None
        assert (denied.reason.value, denied.tag, denied.value) == ("REDUCING", 38, qty)
        assert D(denied.limit) == D(limit)


@pytest.mark.parametrize(
    ("kind", "side", "qty", "price", "exposure", "passes"),
    [
        # a trigger's own 5 are in open_sell already
        ("trigger", "2", "5", "100", {"position": "5", "open_sell": "5"}, True),
        ("trigger", "2", "5", "100", {"position": "5", "open_sell": "6"}, False),
        ("trigger", "1", "5", "100", {"position": "5", "open_buy": "5"}, False),
        # so are the old 5 of a replace
        ("replace", "2", "8", "90", {"position": "8", "open_sell": "5"}, True),
        ("replace", "2", "8.1", "90", {"position": "8", "open_sell": "5"}, False),
        # an order that would increase the position: only less of it, or further from the market
        ("replace", "1", "4", "100", {"position": "5", "open_buy": "5"}, True),
        ("replace", "1", "5", "99", {"position": "5", "open_buy": "5"}, True),
        ("replace", "1", "5", "100.01", {"position": "5", "open_buy": "5"}, False),
        ("replace", "1", "5.1", "100", {"position": "5", "open_buy": "5"}, False),
        ("replace", "2", "4", "100.01", {"open_sell": "5"}, True),
        ("replace", "2", "4", "99", {"open_sell": "5"}, False),
    ],
)
def test_reducing_of_replaces_and_triggers(
    kind: str, side: str, qty: str, price: str, exposure: dict[str, str], passes: bool
) -> None:
    state = _at_level("REDUCING", "firm", **exposure)
    request = ask(state, kind, side=side, qty=qty, price=price, order=order_of(side=side, held=kind == "trigger"))
    assert code(run(session_state.check, request)) == ("" if passes else "REDUCING")


def test_reducing_counts_what_is_left_of_a_partly_filled_order() -> None:
    state = _at_level("REDUCING", "firm", position="3", open_sell="3")
    order = order_of(side="2", qty="5", cum="2")
    asked = [ask(state, "replace", side="2", qty=qty, price="90", order=order) for qty in ("5", "5.1")]
    assert [code(run(session_state.check, request)) for request in asked] == ["", "REDUCING"]


# --- entitlements ---


@pytest.mark.parametrize(
    ("may", "given", "tag", "value", "limit"),
    [
        ({"symbols": {"ETH/USDT", "ADA/USDT"}}, {}, 55, SYMBOL, "ADA/USDT,ETH/USDT"),
        ({"venues": {"W"}}, {}, 100, "V", "W"),
        ({"sides": {"2"}}, {}, 54, "1", "2"),
        ({"ord_types": {"3", "2"}}, {"price": None}, 40, "1", "2,3"),
        ({"tifs": {"3", "0"}}, {}, 59, "1", "0,3"),
        ({"symbols": set()}, {}, 55, SYMBOL, "none"),
    ],
)
@pytest.mark.parametrize("kind", ["new", "replace", "trigger"])
@ALL_SCOPES
def test_entitlements_refuse(scope: str, kind: str, may: dict, given: dict, tag: int, value: str, limit: str) -> None:
    core = settings(scope, entitlements=Entitlements(**{key: frozenset(allowed) for key, allowed in may.items()}))
    order = None if kind == "new" else order_of(ord_type="1" if "price" in given else "2")
    denied = run(entitlements.check, ask(state_of(core), kind, order=order, **given))
    assert denied is not None
    assert (denied.reason.value, denied.tag, denied.value, denied.limit) == ("ENTITLEMENT", tag, value, limit)
    assert denied.text.startswith(f"{LABELS[scope]} may not trade ")


@ALL_SCOPES
def test_entitlements_admit(scope: str) -> None:
    may = Entitlements(
        symbols=frozenset({SYMBOL}), venues=frozenset({"V"}), sides=frozenset({"1"}), ord_types=frozenset({"2", "3"}),
        tifs=frozenset({"1"}),
    )
    state = state_of(settings(scope, entitlements=may))
    assert run(entitlements.check, ask(state)) is None
    assert run(entitlements.check, ask(state_of(settings()))) is None
    stop = order_of(ord_type="3", price=None, stop_px="90", held=True)
    assert run(entitlements.check, ask(state, "trigger", price=None, ord_type="3", order=stop)) is None


# --- collar: 200 bps, ask 101 (bound 103.02), bid 99 (bound 97.02) ---


@ALL_SCOPES
@pytest.mark.parametrize("kind", ["new", "replace"])
@pytest.mark.parametrize(
    ("side", "price", "limit"),
    [
        ("1", "103.01", None),
        ("1", "103.02", None),
        ("1", "103.0200001", "103.02"),
        ("1", "0.01", None),  # passive: harmless
        ("2", "97.03", None),
        ("2", "97.02", None),
        ("2", "97.0199999", "97.02"),
        ("2", "999999", None),
        ("1", None, None),  # market: goes out at the collar
    ],
)
def test_collar(scope: str, kind: str, side: str, price: str | None, limit: str | None) -> None:
    order = None if kind == "new" else order_of(side=side)
    denied = run(collar.check, ask(state_of(settings(scope, collar_bps="200")), kind, side=side, price=price, order=order))
    assert code(denied) == ("PRICE_COLLAR" if limit else "")
    if denied is not None and limit is not None:
        assert (denied.tag, denied.value, D(denied.limit)) == (44, price, D(limit))
        assert scope in denied.text


def test_the_tightest_collar_counts_and_zero_is_the_reference_itself() -> None:
    core = settings(all_scopes={"session": limits(collar_bps="200"), "account": limits(collar_bps="0")})
    state = state_of(core)
    assert run(collar.check, ask(state, price="101")) is None
    denied = run(collar.check, ask(state, price="101.01"))
    assert denied is not None and "account" in denied.text


def test_a_collar_over_100_percent_leaves_sells_free() -> None:
    assert run(collar.check, ask(state_of(settings(collar_bps="20000")), side="2", price="0.01")) is None


@pytest.mark.parametrize(
    ("kind", "held", "price", "reference", "reason"),
    [
        # a buy stop-limit at stop 200: bound 204 while it is held, else the reference's 103.02
        ("new", False, "204", None, ""),
        ("new", False, "204.01", "101", "PRICE_COLLAR"),
        ("replace", True, "204", None, ""),
        ("replace", True, "204.01", "101", "PRICE_COLLAR"),
        ("replace", False, "103.03", "101", "PRICE_COLLAR"),
        ("trigger", True, "204", "200", ""),
        ("trigger", True, "204", "199", "PRICE_COLLAR"),
        ("trigger", True, "204", None, "STALE_MARKET_DATA"),
    ],
)
def test_collar_of_stop_limits(kind: str, held: bool, price: str, reference: str | None, reason: str) -> None:
    order = None if kind == "new" else order_of(ord_type="4", price="100", stop_px="190", held=held)
    request = ask(
        state_of(settings(collar_bps="200")), kind, price=price, reference=reference, ord_type="4", stop_px=D(200), order=order
    )
    assert code(run(collar.check, request)) == reason


@pytest.mark.parametrize(
    ("kind", "qty", "price", "reason"),
    [
        ("new", "5", "100", "STALE_MARKET_DATA"),
        ("new", "5", None, "STALE_MARKET_DATA"),  # a market order would go out without a bound
        ("trigger", "5", None, "STALE_MARKET_DATA"),
        ("replace", "5", "100.01", "STALE_MARKET_DATA"),
        ("replace", "5.1", "100", "STALE_MARKET_DATA"),
        ("replace", "5", "99.99", ""),
        ("replace", "4", "100", ""),
    ],
)
def test_collar_without_a_reference(kind: str, qty: str, price: str | None, reason: str) -> None:
    order = None if kind == "new" else order_of(ord_type="3" if price is None else "2", price=price and "100", stop_px=None)
    request = ask(state_of(settings(collar_bps="200")), kind, qty=qty, price=price, reference=None, order=order)
    assert code(run(collar.check, request)) == reason
    assert run(collar.check, ask(state_of(settings()), kind, qty=qty, price=price, reference=None, order=order)) is None


# --- staleness ---


@ALL_SCOPES
@pytest.mark.parametrize("kind", ["new", "replace", "trigger"])
@pytest.mark.parametrize(
    ("recv_ns", "stale"), [(NOW, False), (NOW - 1000, False), (NOW - 1001, True), (NOW + 10**9, False), (None, True)]
)
def test_staleness(scope: str, kind: str, recv_ns: int | None, stale: bool) -> None:
    quote = Quote(bid=D(99), ask=D(101), recv_ns=recv_ns) if recv_ns is not None else None
    order = None if kind == "new" else order_of()
    denied = run(staleness.check, ask(state_of(settings(scope, max_quote_age_ns=1000)), kind, qty="6", quote=quote, order=order))
    assert code(denied) == ("STALE_MARKET_DATA" if stale else "")
    if denied is not None:
        shown = "no quote" if recv_ns is None else "0.001001 ms old"
        assert (denied.tag, denied.value, denied.limit) == (55, shown, "at most 0.001 ms old") and SYMBOL in denied.text


def test_staleness_takes_the_strictest_scope_and_lets_risk_be_reduced() -> None:
    core = settings(all_scopes={"session": limits(max_quote_age_ns=10**9), "firm": limits(max_quote_age_ns=5)})
    old = Quote(bid=D(99), ask=D(101), recv_ns=NOW - 6)
    state = state_of(core)
    denied = run(staleness.check, ask(state, quote=old))
    assert denied is not None and "firm" in denied.text
    asked = (("4", "100", ""), ("5", "99", ""), ("5", "101", "STALE_MARKET_DATA"), ("6", "100", "STALE_MARKET_DATA"))
    for qty, price, reason in asked:
        request = ask(state, "replace", qty=qty, price=price, quote=old, order=order_of())
        assert code(run(staleness.check, request)) == reason
    assert run(staleness.check, ask(state_of(settings()), quote=None)) is None


# --- throttle and repeated orders, through the real evolve ---


def _loaded(scope: str = "session", **given: int) -> State:
    state = new_state()
    evolve(state, SettingsLoaded(settings=settings(scope, **given)))
    return state


def _message(state: State, ts_ns: int, kind: str = "new") -> str:
    """Ask, then let evolve count the message, as decide and the engine do."""
    verdict = code(run(throttle.check, ask(state, kind, ts_ns=ts_ns)))
    evolve(state, Received(session="S", reset_epoch=0, msg_seq=1, ts_ns=ts_ns, counts=True, account="A"))
    return verdict


@ALL_SCOPES
def test_throttle_admits_the_burst_then_the_rate(scope: str) -> None:
    state = _loaded(scope, msg_rate=10, msg_burst=3)
    step = 100_000_000
    assert [_message(state, NOW) for _ in range(4)] == ["", "", "", "THROTTLE"]
    # the refused one spent nothing: the next place is free one step later
    assert run(throttle.check, ask(state, ts_ns=NOW + step)) is None
    assert code(run(throttle.check, ask(state, ts_ns=NOW + step - 1))) == "THROTTLE"
    # at the rate itself it never refuses
    quiet = _loaded(scope, msg_rate=10, msg_burst=1)
    assert {_message(quiet, NOW + index * step) for index in range(50)} == {""}


@ALL_SCOPES
def test_throttle_names_the_message_and_the_limit_and_leaves_triggers_alone(scope: str) -> None:
    state = _loaded(scope, msg_rate=10, msg_burst=1)
    _message(state, NOW)
    for kind, msg_type in (("new", "D"), ("replace", "G")):
        denied = run(throttle.check, ask(state, kind))
        assert denied is not None and (denied.tag, denied.value, denied.limit) == (35, msg_type, "10/s burst 1")
        assert denied.text.startswith(f"{LABELS[scope]}: more messages than 10/s burst 1; the next one fits in 100 ms")
    assert run(throttle.check, ask(state, "trigger", order=order_of())) is None
    assert run(throttle.check, ask(_loaded())) is None


def _same_order(state: State, ts_ns: int, qty: str = "1", price: str | None = "100", side: str = "1") -> str:
    verdict = code(run(repeated_order.check, ask(state, ts_ns=ts_ns, qty=qty, price=price, side=side)))
    if not verdict:
        number = len(state.orders)
        evolve(
            state,
            OrderReceived(
                order_id=f"O{number}", ts_ns=ts_ns, session="S", cl_ord_id=f"c{number}", client_account="", account="A",
                venue="V", symbol=SYMBOL, client_symbol=SYMBOL, side=side, ord_type="2", tif="1", order_qty=D(qty),
                price=D(price) if price is not None else None,
            ),
        )
    return verdict


@ALL_SCOPES
def test_repeated_order(scope: str) -> None:
    state = _loaded(scope, repeat_max=2, repeat_window_ns=1000)
    assert [_same_order(state, NOW + at) for at in (0, 400, 999)] == ["", "", "REPEATED_ORDER"]
    # another quantity, price or side is another order
    assert [_same_order(state, NOW + 999, **other) for other in ({"qty": "2"}, {"price": "101"}, {"side": "2"})] == [""] * 3
    assert _same_order(state, NOW + 1000) == ""  # the first has left the window
    denied = run(repeated_order.check, ask(state, ts_ns=NOW + 1001))
    assert denied is not None and (denied.tag, denied.value) == (38, "3") and denied.limit.startswith("2 in ")
    assert denied.text.endswith(f"{LABELS[scope]} allows 2")
    assert run(repeated_order.check, ask(state, "replace", ts_ns=NOW + 1001, order=order_of())) is None
    assert run(repeated_order.check, ask(_loaded())) is None


@ALL_SCOPES
def test_repeated_order_above_what_is_kept_is_still_bounded(scope: str) -> None:
    state = _loaded(scope, repeat_max=10_000, repeat_window_ns=10**9)
    verdicts = [_same_order(state, NOW + at) for at in range(MAX_REPEATS + 1)]
    assert verdicts == [""] * MAX_REPEATS + ["REPEATED_ORDER"]


# --- the set ---


def test_the_stages_are_found_and_run_in_the_configured_order() -> None:
    assert set(base.discover()) >= {
        "session_state", "entitlements", "order_qty", "notional", "collar", "open_orders", "throttle", "repeated_order",
        "position", "buying_power", "staleness",
    }
    core = settings(max_order_qty="1", max_notional="1")
    for stages, first in ((("order_qty", "notional"), "MAX_ORDER_QTY"), (("notional", "order_qty"), "MAX_NOTIONAL")):
        state = new_state()
        state.settings = type(core)(
            hash="t", sessions=core.sessions, accounts=core.accounts, venues=core.venues, risk_stages=stages
        )
        before = dump_state(state)
        assert code(base.run_stages(ask(state, qty="2"))) == first
        assert dump_state(state) == before
