"""What the core keeps or takes a short way for, against the long way: markets, limits, ids, texts of numbers."""

from __future__ import annotations

from decimal import Context, Decimal

import pytest
from core_world import ACCOUNT, SYMBOL, VENUE, core_settings, session_settings
from hypothesis import given
from hypothesis import strategies as st

from fixgw.core import ids, sanity
from fixgw.core.market import find_market
from fixgw.core.numbers import is_multiple, plain, plain_text
from fixgw.core.settings import AccountSettings, CoreSettings, Entitlements, Limits
from fixgw.core.state import new_state
from fixgw.fix.outbound.wire import decimal as wire_decimal
from fixgw.risk.base import Denied
from fixgw.risk.bounds import Bounds, bounds_of

D = Decimal
SIXTY = Context(prec=60)
numbers = st.builds(
    lambda digits, places: D(digits).scaleb(-places), st.integers(-(10**30), 10**30), st.integers(-8, 45)
)


def limited(qty: str) -> CoreSettings:
    return core_settings(sessions={"OMS44": session_settings("OMS44", limits=Limits(max_order_qty={"*": D(qty)}))})


def bounds_in(settings: CoreSettings) -> Bounds:
    state = new_state()
    state.settings = settings
    market = find_market(state, "OMS44", SYMBOL, "", "")
    assert not isinstance(market, Denied)
    return market.bounds


def test_a_new_configuration_is_in_force_at_once():
    first, second = limited("1"), limited("2")
    for settings, limit in ((first, 1), (second, 2), (first, 1), (limited("3"), 3)):
        for _ in range(2):
            assert [scope.max_order_qty for scope in bounds_in(settings).order_qty] == [D(limit)]


def test_what_is_not_in_the_configuration_is_not_kept():
    state = new_state()
    state.settings = core_settings()
    for symbol, account, destination, tag in (("X/Y", "", "", 55), (SYMBOL, "nobody", "", 1), (SYMBOL, "", "mars", 100)):
        for _ in range(2):
            denied = find_market(state, "OMS44", symbol, account, destination)
            assert isinstance(denied, Denied) and denied.tag == tag
    market = find_market(state, "OMS44", SYMBOL, "", VENUE)
    assert not isinstance(market, Denied)
    assert (market.account.name, market.spec_key, market.with_fee) == (ACCOUNT, f"{VENUE}|{SYMBOL}", D("1.001"))


def test_bounds_are_of_the_instrument_and_the_tightest_count():
    session = session_settings(
        "S", limits=Limits(max_net={"*": D(9), SYMBOL: D(5)}, collar_bps={"*": D(300)}, max_quote_age_ns=7, max_open_orders=3)
    )
    tight = Limits(collar_bps={SYMBOL: D(100)}, max_gross={"ETH/USDT": D(1)}, buying_power=True)
    account = AccountSettings(name="A", venue="V", venue_account="m", limits=tight)
    firm = Limits(max_quote_age_ns=5, max_notional={SYMBOL: D(8)}, collar_bps={"*": D(100)})
    bounds = bounds_of(session, account, firm, SYMBOL, Entitlements())
    assert [scope.key for scope in bounds.scopes] == ["s:S", "a:A", "firm"]
    assert [scope.index for scope in bounds.scopes] == [0, 1, 2]
    assert [(scope.key, scope.max_net, scope.max_gross) for scope in bounds.position] == [("s:S", D(5), None)]
    assert [(scope.key, scope.max_notional) for scope in bounds.notional] == [("firm", D(8))]
    assert [scope.key for scope in bounds.open_orders] == ["s:S"] and bounds.order_qty == ()
    assert bounds.quote_age == (5, "firm") and bounds.buying_power == "account A"
    assert bounds.collar is not None and (bounds.collar.bps, bounds.collar.label) == (D(100), "account A")
    assert (bounds.collar.px("1", D(200)), bounds.collar.px("2", D(200))) == (D(202), D(198))
    other = bounds_of(session, account, Limits(), "ETH/USDT", Entitlements())
    assert [(scope.max_net, scope.max_gross) for scope in other.position] == [(D(9), None), (None, D(1))]
    assert other.collar is not None and other.collar.bps == D(300)


def slow36(value: int) -> str:
    digits = ""
    while value:
        value, digit = divmod(value, 36)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + digits
    return digits


@given(st.integers(0, 36**9), st.integers(0, 36**4), st.integers(0, 2000))
def test_ids_are_install_epoch_sequence_index(seq, epoch, index):
    begin = f"ABCDE{slow36(epoch):0>3}{slow36(seq):0>7}"
    assert ids.order_id("ABCDE", epoch, seq) == begin
    assert ids.exec_id("ABCDE", epoch, seq, index) == f"{begin}X{slow36(index):0>2}"
    assert ids.venue_cl_ord_id(begin, index) == f"{begin}C{slow36(index):0>2}"


@pytest.mark.parametrize("seq", [0, 1, 35, 36, 1295, 1296, 36**5 - 1, 36**7 - 1, 36**7])
def test_ids_at_the_edges(seq):
    assert ids.order_id("ABCDE", 1, seq) == f"ABCDE001{slow36(seq):0>7}"


@given(numbers)
def test_texts_of_numbers_by_the_short_way(value):
    whole = value.normalize(SIXTY)
    if whole.as_tuple().exponent > 0:
        whole = whole.quantize(D(1), context=SIXTY)
    assert plain_text(value) == str(plain(value)) == str(whole)
    assert wire_decimal(value) == format(value, "f")
    digits = len(value.as_tuple().digits)
    small = not value or -sanity.MAX_EXPONENT <= value.adjusted() <= sanity.MAX_EXPONENT
    assert sanity.is_number(value, None) == (small and digits <= sanity.MAX_DIGITS)


@given(st.integers(0, 10**20), st.integers(0, 8), st.sampled_from(["0", "1", "0.5", "0.01", "0.00001", "3"]))
def test_multiples(units, places, step):
    value = D(units).scaleb(-places)
    whole = D(step) == 0 or (value / D(step)) == (value / D(step)).to_integral_value()
    assert is_multiple(value, D(step)) == whole
