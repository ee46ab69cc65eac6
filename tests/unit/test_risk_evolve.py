"""What the checks need of evolve: the counts they read must not be cheated by form, order of arrival or insistence."""

from __future__ import annotations

import pytest
from risk_requests import NOW, SYMBOL, D, ask, code, run, settings

from fixgw.core.events import BalancesUpdated, ChildConfirmed, ChildPlaced, OrderReceived, Received, SettingsLoaded
from fixgw.core.evolve import evolve
from fixgw.core.state import State, new_state
from fixgw.risk import buying_power, repeated_order, throttle


def _loaded(**given: object) -> State:
    state = new_state()
    evolve(state, SettingsLoaded(settings=settings(**given)))
    return state


def _received(state: State, number: int, qty: str, price: str) -> None:
    evolve(
        state,
        OrderReceived(
            order_id=f"O{number}", ts_ns=NOW, session="S", cl_ord_id=f"c{number}", client_account="", account="A", venue="V",
            symbol=SYMBOL, client_symbol=SYMBOL, side="1", ord_type="2", tif="1", order_qty=D(qty), price=D(price),
        ),
    )


def test_a_client_that_hammers_may_send_again_after_one_quiet_step() -> None:
    """Refused messages count, but the debt is bounded: a thousand of them do not shut a session out for minutes."""
    state = _loaded(msg_rate=10, msg_burst=3)
    for number in range(1000):
        evolve(state, Received(session="S", reset_epoch=0, msg_seq=number, ts_ns=NOW, counts=True))
    assert code(run(throttle.check, ask(state, ts_ns=NOW))) == "THROTTLE"
    assert run(throttle.check, ask(state, ts_ns=NOW + 100_000_000)) is None


def test_trailing_zeros_do_not_make_another_order() -> None:
    state = _loaded(repeat_max=2, repeat_window_ns=10**9)
    _received(state, 1, "1", "100")
    _received(state, 2, "1.0", "1E+2")
    assert code(run(repeated_order.check, ask(state, qty="1.00", price="100.000"))) == "REPEATED_ORDER"


def test_of_a_balance_report_that_was_overtaken_what_is_news_counts() -> None:
    """A snapshot that is told once more, by a clock that was put right since, with an asset's newer figure in it."""
    state = _loaded(buying_power=True)
    evolve(state, BalancesUpdated(venue="V", account="A", asof_ns=NOW, free={"USDT": D(1000), "BTC": D(1)}, total={}))
    told = {"USDT": D(100), "BTC": D(9)}
    evolve(state, BalancesUpdated(venue="V", account="A", asof_ns=NOW - 1, free=told, total=told, later={"USDT": NOW + 5}))
    account = state.account("A")
    assert account.free == {"USDT": D(100), "BTC": D(1)} and account.total == {"USDT": D(100)}
    assert (account.asof_ns, account.later) == (NOW, {"USDT": NOW + 5})
    # older than what is known of it
    older = {"USDT": NOW + 4}
    evolve(state, BalancesUpdated(venue="V", account="A", asof_ns=NOW - 1, free={"USDT": D(7)}, total={}, later=older))
    assert account.free["USDT"] == D(100)
    assert code(run(buying_power.check, ask(state, qty="1.01"))) == "BUYING_POWER"


@pytest.mark.parametrize(
    "late",
    [False, True],
)
def test_a_balance_report_that_was_overtaken_gives_nothing_back(late: bool) -> None:
    """1000 free, 900 sent and acknowledged, the report of 100 free; then one from before the order arrives."""
    state = _loaded(buying_power=True)
    evolve(state, BalancesUpdated(venue="V", account="A", asof_ns=NOW, free={"USDT": D(1000)}, total={}))
    _received(state, 1, "9", "100")
    evolve(
        state,
        ChildPlaced(
            venue_cl_ord_id="O1-1", ts_ns=NOW + 1, order_id="O1", venue="V", account="A", symbol=SYMBOL, side="1",
            ord_type="2", tif="1", qty=D(9), px=D(100), reserve_asset="USDT", reserve_qty=D(900),
        ),
    )
    evolve(state, ChildConfirmed(venue_cl_ord_id="O1-1", ts_ns=NOW + 2, venue_order_id="v1"))
    evolve(state, BalancesUpdated(venue="V", account="A", asof_ns=NOW + 3, free={"USDT": D(100)}, total={}))
    if late:
        evolve(state, BalancesUpdated(venue="V", account="A", asof_ns=NOW, free={"USDT": D(1000)}, total={}))
    assert run(buying_power.check, ask(state, qty="1")) is None
    assert code(run(buying_power.check, ask(state, qty="1.01"))) == "BUYING_POWER"
