"""ccxt's unified structures (with exchange.number = str) as ours. Bad shapes raise ValueError: never a guess."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import ccxt

from ..core.commands import InstrumentSpec, OpenOrder, VenueTrade
from ..core.numbers import plain
from ..core.sanity import is_number
from .base import Done

# the year 2255: as ns it still has 64 bits
_MAX_MS = 9_000_000_000_000
# unified status -> outcome of a query / status of ChildDone; what works still is "open"
_OUTCOMES = {
    "open": "open", "canceling": "open", "closed": "filled", "canceled": "canceled", "expired": "expired",
    "rejected": "rejected",
}  # fmt: skip
SIDES = {"buy": "1", "sell": "2"}
# in a structure of ccxt's: odd_rows.py has left something out of it
ODD = "odd"


def dec(value: Any, name: str = "number") -> Decimal:
    """A decimal from a text or a number; a float by its shortest text. ValueError names the field."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError(f"{name}: {value!r:.60} is not a number")
    try:
        result = Decimal(str(value))
    except (InvalidOperation, ValueError):  # ValueError: an integer of more than 4300 digits
        raise ValueError(f"{name}: {value!r:.60} is not a number") from None
    if not is_number(result, None):
        raise ValueError(f"{name}: {value!r:.60} is not finite, or beyond any market")
    return result


def figure(value: Any) -> Decimal:
    """A number of a quote; NaN where it is none, which the gateway judges: the other instruments' quotes count."""
    try:
        return plain(dec(value))
    except ValueError:
        return Decimal("NaN")


def _positive(value: Any, name: str) -> Decimal:
    result = plain(dec(value, name))
    if result <= 0:
        raise ValueError(f"{name}: {value!r:.60}, expected a number above 0")
    return result


def _dict(raw: Any, what: str) -> dict[str, Any]:
    """An object where one belongs: a list, a text or nothing is no structure of ccxt."""
    if not isinstance(raw, dict):
        raise ValueError(f"{what}: {type(raw).__name__}, expected an object")
    return raw


def _text(value: Any, name: str) -> str:
    """An identifier or a symbol that must be there; a number as its text."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError(f"{name}: {value!r:.60}, expected a text")
    return str(value)


def _text_or(value: Any, name: str) -> str:
    return "" if value is None or value == "" else _text(value, name)


def ms_to_ns(value: Any) -> int:
    """A time in ms; 0, which counts as now, when there is none, or none that can be: a trade is one whatever its time."""
    try:
        found = int(value or 0)
    except (TypeError, ValueError, OverflowError):
        return 0
    return found * 1_000_000 if 0 <= found < _MAX_MS else 0


def dec_or(value: Any, default: Decimal | None = None) -> Decimal | None:
    return default if value is None or value == "" else dec(value)


def rule(value: Any) -> Decimal:
    """A limit of a market: zero when there is none."""
    return plain(dec(value)) if value not in (None, "") else Decimal(0)


def outcome(order: dict[str, Any], exact: bool = False, qty: Decimal | None = None) -> str:
    """ "open", "filled", "canceled", "expired" or "rejected"; ValueError for a status that ccxt did not understand. `exact`: this
    exchange says closed of what is filled alone, so that such a word with less executed is handed on as it is, to be doubted;
    `qty`: what was ordered, of which somebody may have taken something off at the exchange."""
    status = _dict(order, "order").get("status")
    found = _OUTCOMES.get(status) if isinstance(status, str) else None
    if found is None:
        raise ValueError(f"status: {status!r:.60} is not a status of an order")
    filled, amount = dec_or(order.get("filled")), dec_or(order.get("amount"))
    if found != "filled" or filled is None or amount is None:
        return found
    if exact:
        return "canceled" if qty is not None and filled == amount < qty else found
    if filled == 0 or (filled < amount and order.get("type") != "market"):
        return "canceled"  # real world: some venues call every finished order closed
    return found


def done_from(order: dict[str, Any], our_id: str, exact: bool) -> Done | None:
    """The end that an order structure tells; None while it works."""
    end = outcome(order, exact)
    if end == "open":
        return None
    filled = dec_or(order.get("filled"))
    return Done(our_id, str(order.get("id") or ""), end, None if filled is None else plain(filled))


def trade_from(raw: dict[str, Any], account: str, our_id: str) -> VenueTrade:
    """One unified trade. Several fees in one trade are not summed across assets: the first counts."""
    _dict(raw, "trade")
    fees = raw.get("fees")
    fee = _dict(raw.get("fee") or next(iter(fees if isinstance(fees, list) else []), None) or {}, "fee")
    side = _side(raw)
    if side is None or not raw.get("id"):
        raise ValueError(f"trade {raw.get('id')!r:.60}: side {raw.get('side')!r:.60}; expected an id and buy or sell")
    maker = raw.get("takerOrMaker")
    return VenueTrade(
        account=account,
        symbol=_text(raw.get("symbol"), "symbol"),
        venue_cl_ord_id=our_id,
        venue_order_id=_text_or(raw.get("order"), "order"),
        venue_trade_id=_text(raw["id"], "id"),
        side=side,
        qty=_positive(raw.get("amount"), "amount"),
        px=_positive(raw.get("price"), "price"),
        fee=plain(dec_or(fee.get("cost")) or Decimal(0)),
        fee_asset=_text_or(fee.get("currency"), "currency"),
        liquidity="1" if maker == "maker" else "2" if maker == "taker" else "",
        venue_ns=ms_to_ns(raw.get("timestamp")),
    )


def _side(raw: dict[str, Any]) -> str | None:
    side = raw.get("side")
    return SIDES.get(side) if isinstance(side, str) else None


def open_order_from(raw: dict[str, Any]) -> OpenOrder:
    """One unified open order; ValueError without an id: a list with holes must not pass for a list."""
    side = _side(_dict(raw, "open order"))
    if not raw.get("id") or side is None:
        raise ValueError(f"open order {raw.get('id')!r:.60}: expected an id and a side, got side {raw.get('side')!r:.60}")
    cum_qty = plain(dec_or(raw.get("filled")) or Decimal(0))
    if cum_qty < 0:
        raise ValueError(f"filled: {cum_qty} of open order {raw['id']!r:.60}, expected 0 or more")
    return OpenOrder(
        venue_cl_ord_id=_text_or(raw.get("clientOrderId"), "clientOrderId"),
        venue_order_id=_text(raw["id"], "id"),
        symbol=_text(raw.get("symbol"), "symbol"),
        side=side,
        qty=_positive(raw.get("amount"), "amount"),
        cum_qty=cum_qty,
        px=dec_or(raw.get("price")),
    )


def listed_from(raw: dict[str, Any]) -> OpenOrder:
    """The same of a row of a list: one that names itself, by either id, and is nonsense otherwise, is open and `unread`."""
    try:
        if not _dict(raw, "open order").get(ODD):
            return open_order_from(raw)
    except ValueError:
        if not isinstance(raw, dict) or not (_id(raw.get("id")) or _id(raw.get("clientOrderId"))):
            raise
    symbol = raw.get("symbol")
    return OpenOrder(
        venue_cl_ord_id=_id(raw.get("clientOrderId")),
        venue_order_id=_id(raw.get("id")),
        symbol=symbol if isinstance(symbol, str) else "",
        side=_side(raw) or "",
        qty=Decimal(0),
        cum_qty=Decimal(0),
        unread=True,
    )


def _id(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _step(exchange: Any, value: Any) -> Decimal:
    """A precision as a step: ccxt gives the step itself, or a number of decimal places."""
    if value in (None, ""):
        return Decimal(0)
    if exchange.precisionMode == ccxt.DECIMAL_PLACES:
        return Decimal(1).scaleb(-int(dec(value)))
    if exchange.precisionMode == ccxt.SIGNIFICANT_DIGITS:
        return Decimal(0)  # no fixed step: the venue itself, and _exact in ccxt_exchange, decide
    return plain(dec(value))


def spec_from(exchange: Any, market: dict[str, Any]) -> InstrumentSpec:
    """The rules of one unified market."""
    limits = _dict(_dict(market, "market").get("limits") or {}, "limits")
    precision = _dict(market.get("precision") or {}, "precision")

    def limit(what: str, end: str) -> Decimal:
        return rule(_dict(limits.get(what) or {}, what).get(end))

    return InstrumentSpec(
        symbol=_text(market.get("symbol"), "symbol"),
        venue_symbol=_text(market.get("id"), "id"),
        base=_text(market.get("base"), "base"),
        quote=_text(market.get("quote"), "quote"),
        tick=_step(exchange, precision.get("price")),
        lot=_step(exchange, precision.get("amount")),
        min_qty=limit("amount", "min"),
        max_qty=limit("amount", "max"),
        min_px=limit("price", "min"),
        max_px=limit("price", "max"),
        min_notional=limit("cost", "min"),
        market_max_qty=limit("market", "max"),
    )


def balances_from(raw: dict[str, Any]) -> tuple[dict[str, Decimal], dict[str, Decimal], tuple[str, ...]]:
    """Free and total per asset of a unified balance, and the assets whose figures are none, which are in neither; ValueError when
    it is no balance at all. `raw[ODD]`: as odd_rows.py leaves it."""
    free, total = _dict(raw, "balance").get("free"), raw.get("total")
    if not isinstance(free, dict) or not isinstance(total, dict):
        raise ValueError("balance: expected free and total")
    out: tuple[dict[str, Decimal], dict[str, Decimal]] = ({}, {})
    odd = dict.fromkeys(str(asset) for asset in raw.get(ODD) or ())
    for kind, kept in zip((free, total), out, strict=True):
        for asset, value in kind.items():
            try:
                if value is not None:
                    kept[asset] = plain(dec(value, asset))
            except ValueError:
                odd[str(asset)] = None
    for kept in out:
        for asset in odd:
            kept.pop(asset, None)
    return (*out, tuple(odd))
