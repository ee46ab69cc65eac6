"""The venue's rules for one order, checked in Decimal before anything is sent: nothing is rounded to fit."""

from __future__ import annotations

from decimal import Decimal

from ..core.commands import InstrumentSpec
from ..core.numbers import CTX, is_multiple
from .base import NeverSent
from .wire import AmendChild, PlaceChild


def check_place(order: PlaceChild, spec: InstrumentSpec, capabilities: tuple[str, ...]) -> None:
    """NeverSent with INVALID, UNSUPPORTED, BAD_TICK, BAD_LOT or MIN_NOTIONAL when the venue could not take the order."""
    _check_shape(order, capabilities)
    if order.px is not None:
        _check_px(order.px, spec)
    market = order.ord_type == "1"
    if order.qty is not None:
        _check_qty(order.qty, spec, market)
        if order.px is not None:
            _check_notional(CTX.multiply(order.qty, order.px), spec)
    if order.cash_qty is not None:
        _check_notional(order.cash_qty, spec)


def check_amend(request: AmendChild, spec: InstrumentSpec) -> None:
    """NeverSent with INVALID or BAD_LOT when no order of the instrument could have the new quantity."""
    if not (request.qty.is_finite() and request.qty > 0):
        raise NeverSent("INVALID", f"qty {request.qty} of {request.symbol}: expected a finite number above 0")
    _check_qty(request.qty, spec, market=False)


def _check_shape(order: PlaceChild, capabilities: tuple[str, ...]) -> None:
    for name in ("qty", "cash_qty", "px"):
        value = getattr(order, name)
        if value is not None and not (value.is_finite() and value > 0):
            raise NeverSent("INVALID", f"{name} {value} of {order.symbol}: expected a finite number above 0")
    if (order.qty is None) == (order.cash_qty is None):
        raise NeverSent("INVALID", f"{order.symbol}: expected exactly one of qty and cash_qty")
    if order.side not in ("1", "2"):
        raise NeverSent("INVALID", f"side {order.side!r} of {order.symbol}: expected 1 or 2")
    if order.ord_type == "2":
        if order.px is None:
            raise NeverSent("INVALID", f"{order.symbol}: a limit order needs px")
        if order.cash_qty is not None:
            raise NeverSent("UNSUPPORTED", f"{order.symbol}: cash_qty is for market orders")
    elif order.ord_type == "1":
        if order.px is not None or order.post_only:
            raise NeverSent("INVALID", f"{order.symbol}: a market order has neither px nor post_only")
    else:
        raise NeverSent("UNSUPPORTED", f"ord_type {order.ord_type!r} of {order.symbol}: expected 1 or 2")
    if order.tif not in ("1", "3", "4"):
        raise NeverSent("UNSUPPORTED", f"tif {order.tif!r} of {order.symbol}: expected 1, 3 or 4")
    if order.post_only and order.tif != "1":
        raise NeverSent("INVALID", f"tif {order.tif!r} of {order.symbol}: post_only needs 1")
    wanted = {"post_only": order.post_only, "quote_market": order.cash_qty is not None}
    if order.ord_type == "2":
        wanted |= {"ioc": order.tif == "3", "fok": order.tif == "4"}
    for name, needed in wanted.items():
        if needed and name not in capabilities:
            raise NeverSent("UNSUPPORTED", f"{order.symbol}: this venue has no {name} orders")


def _bounds(low: Decimal, high: Decimal) -> str:
    """A bound of zero is none."""
    return f"{low:f} to {f'{high:f}' if high else 'any'}"


def _check_px(px: Decimal, spec: InstrumentSpec) -> None:
    if not is_multiple(px, spec.tick):
        raise NeverSent("BAD_TICK", f"price {px:f} of {spec.symbol}: expected a multiple of {spec.tick:f}")
    if px < spec.min_px or (spec.max_px and px > spec.max_px):
        raise NeverSent("BAD_TICK", f"price {px:f} of {spec.symbol}: expected {_bounds(spec.min_px, spec.max_px)}")


def _check_qty(qty: Decimal, spec: InstrumentSpec, market: bool) -> None:
    lot = spec.market_lot if market and spec.market_lot else spec.lot
    if not is_multiple(qty, lot) or not is_multiple(qty, spec.lot):
        raise NeverSent("BAD_LOT", f"quantity {qty:f} of {spec.symbol}: expected a multiple of {max(lot, spec.lot):f}")
    top = spec.max_qty
    if market and spec.market_max_qty:
        top = min(top, spec.market_max_qty) if top else spec.market_max_qty
    if qty < spec.min_qty or (top and qty > top):
        raise NeverSent("BAD_LOT", f"quantity {qty:f} of {spec.symbol}: expected {_bounds(spec.min_qty, top)}")


def _check_notional(notional: Decimal, spec: InstrumentSpec) -> None:
    if notional < spec.min_notional:
        raise NeverSent("MIN_NOTIONAL", f"value {notional:f} of {spec.symbol}: expected at least {spec.min_notional:f}")
