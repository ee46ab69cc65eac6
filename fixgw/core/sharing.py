"""One object for what many orders say alike: names, codes, quantities. Decoding makes a new one each time, and an open order
would weigh half as much again. Values are the same, so that nothing but memory depends on it."""

from __future__ import annotations

from decimal import Decimal

from .child import Child
from .numbers import ZERO
from .order import Order

# at hand; a client that makes up ever new symbols must not fill the memory
MAX_TEXTS = 4096
_texts: dict[str, str] = {}
_words: dict[tuple[str, ...], tuple[str, ...]] = {}


def share_text(text: str) -> str:
    """The first object of this text."""
    found = _texts.get(text)
    if found is not None:
        return found
    if len(_texts) < MAX_TEXTS:
        _texts[text] = text
    return text


def _same(a: Decimal, b: Decimal) -> bool:
    """Equal with the same number of digits: 1 is not 1.0 here."""
    return a == b and not a.compare_total(b)


def _share_zero(value: Decimal) -> Decimal:
    """Most open orders have not traded."""
    return ZERO if not value and _same(value, ZERO) else value


def share_order(order: Order) -> Order:
    """The same order, with shared texts."""
    words: tuple[str, ...] = (
        order.session, order.client_account, order.account, order.venue, order.symbol, order.client_symbol, order.side,
        order.ord_type, order.tif,
    )  # fmt: skip
    found = _words.get(words)
    if found is None:
        found = tuple(map(share_text, words))
        if len(_words) < MAX_TEXTS:
            _words[found] = found
    (
        order.session, order.client_account, order.account, order.venue, order.symbol, order.client_symbol, order.side,
        order.ord_type, order.tif,
    ) = found  # fmt: skip
    if order.price is not None and _same(order.price, order.risk_px):
        order.risk_px = order.price
    order.cum_qty, order.notional = _share_zero(order.cum_qty), _share_zero(order.notional)
    return order


def share_child(child: Child, order: Order) -> Child:
    """The same child, with what is its order's taken from there."""
    if (child.venue, child.account, child.symbol, child.side) == (order.venue, order.account, order.symbol, order.side):
        child.venue, child.account, child.symbol, child.side = order.venue, order.account, order.symbol, order.side
    child.order_id = order.order_id
    child.ord_type = order.ord_type if child.ord_type == order.ord_type else share_text(child.ord_type)
    child.tif = order.tif if child.tif == order.tif else share_text(child.tif)
    child.reserve_asset, child.state = share_text(child.reserve_asset), share_text(child.state)
    child.cum_qty, child.told_qty = _share_zero(child.cum_qty), _share_zero(child.told_qty)
    if child.sent_ns == order.received_ns:
        child.sent_ns = order.received_ns
    if _same(child.qty, order.order_qty):
        child.qty = order.order_qty
    if child.px is not None and order.price is not None and _same(child.px, order.price):
        child.px = order.price
    return child
