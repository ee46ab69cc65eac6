"""Tick, lot, limits and notional, checked in Decimal before sending."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from fixgw.core.commands import InstrumentSpec
from fixgw.venues.base import NeverSent
from fixgw.venues.checks import check_place
from fixgw.venues.wire import PlaceChild

ALL = ("quote_market", "post_only", "ioc", "fok")
SPEC = InstrumentSpec(
    symbol="BTC/USDT", venue_symbol="BTCUSDT", base="BTC", quote="USDT", tick=D("0.01"), lot=D("0.00001"),
    min_qty=D("0.00001"), max_qty=D(9000), min_px=D("0.01"), max_px=D(1000000), min_notional=D(5),
    market_max_qty=D(100),
)  # fmt: skip


def order(**fields: Any) -> PlaceChild:
    base = {"venue_cl_ord_id": "A", "symbol": "BTC/USDT", "side": "1", "ord_type": "2", "tif": "1"}
    return PlaceChild(**(base | fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"qty": D("0.001"), "px": D("50000.10")},
        {"qty": D("0.00010"), "px": D("50000")},  # exactly the minimum notional
        {"qty": D("0.001"), "px": D("50000"), "tif": "3"},
        {"qty": D("0.001"), "px": D("50000"), "post_only": True},
        {"qty": D(1), "ord_type": "1"},
        {"cash_qty": D("5"), "ord_type": "1"},
        {"qty": D("9000"), "px": D("1E+2")},
    ],
)
def test_good(fields: dict[str, Any]) -> None:
    check_place(order(**fields), SPEC, ALL)


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("BAD_TICK", {"qty": D("0.001"), "px": D("50000.001")}),
        ("BAD_TICK", {"qty": D("0.001"), "px": D("1000000.01")}),
        ("BAD_LOT", {"qty": D("0.000015"), "px": D("50000")}),
        ("BAD_LOT", {"qty": D("9000.00001"), "px": D("50000")}),
        ("BAD_LOT", {"qty": D("101"), "ord_type": "1"}),
        ("MIN_NOTIONAL", {"qty": D("0.00009"), "px": D("50000")}),
        ("MIN_NOTIONAL", {"cash_qty": D("4.99"), "ord_type": "1"}),
        ("INVALID", {"qty": D(0), "px": D(1)}),
        ("INVALID", {"qty": D("NaN"), "px": D(1)}),
        ("INVALID", {"qty": D("Infinity"), "px": D(1)}),
        ("INVALID", {"qty": D(1), "px": D("-1")}),
        ("INVALID", {"qty": D(1), "cash_qty": D(1), "ord_type": "1"}),
        ("INVALID", {"px": D(1)}),
        ("INVALID", {"qty": D(1)}),
        ("INVALID", {"qty": D(1), "px": D(1), "ord_type": "1"}),
        ("INVALID", {"qty": D(1), "px": D(1), "side": "5"}),
        ("INVALID", {"qty": D(1), "px": D(1), "post_only": True, "tif": "3"}),
        ("UNSUPPORTED", {"qty": D(1), "px": D(1), "ord_type": "3"}),
        ("UNSUPPORTED", {"qty": D(1), "px": D(1), "tif": "6"}),
        ("UNSUPPORTED", {"cash_qty": D(100), "px": D(1)}),
    ],
)
def test_bad(code: str, fields: dict[str, Any]) -> None:
    with pytest.raises(NeverSent) as caught:
        check_place(order(**fields), SPEC, ALL)
    assert caught.value.code == code and "BTC/USDT" in caught.value.text


@pytest.mark.parametrize(
    "fields",
    [
        {"qty": D("0.001"), "px": D("50000"), "tif": "4"},
        {"qty": D("0.001"), "px": D("50000"), "post_only": True},
        {"cash_qty": D(100), "ord_type": "1"},
    ],
)
def test_what_the_venue_cannot_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(NeverSent, match="UNSUPPORTED"):
        check_place(order(**fields), SPEC, ())
