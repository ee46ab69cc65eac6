"""ccxt's unified structures (with exchange.number = str) as ours. Bad shapes raise ValueError: never a guess."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import ccxt

from ..core.commands import InstrumentSpec, OpenOrder, VenueTrade
from ..core.numbers import plain

# unified status -> outcome of a query / status of ChildDone; what works still is "open"
_OUTCOMES = {
    "open": "open", "canceling": "open", "closed": "filled", "canceled": "canceled", "expired": "expired",
    "rejected": "rejected",
}  # fmt: skip
SIDES = {"buy": "1", "sell": "2"}


def dec(value: Any, name: str = "number") -> Decimal:
    """A decimal from a text or an integer; a float by its shortest text. ValueError names the field."""
    try:
        result = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{name}: {value!r} is not a number") from None
    if not result.is_finite():
        raise ValueError(f"{name}: {value!r} is not finite")
    return result


def dec_or(value: Any, default: Decimal | None = None) -> Decimal | None:
    return default if value is None or value == "" else dec(value)


def rule(value: Any) -> Decimal:
    """A limit of a market: zero when there is none."""
    return plain(dec(value)) if value not in (None, "") else Decimal(0)


def outcome(order: dict[str, Any]) -> str:
    """ "open", "filled", "canceled", "expired" or "rejected"; ValueError for a status that ccxt did not understand."""
    found = _OUTCOMES.get(order.get("status") or "")
    if found is None:
        raise ValueError(f"status: {order.get('status')!r} is not a status of an order")
    filled, amount = dec_or(order.get("filled")), dec_or(order.get("amount"))
    partly = filled is not None and amount is not None and filled < amount
    if found == "filled" and partly and order.get("type") != "market":
        return "canceled"  # real world: some venues call every finished order closed
    return found


def trade_from(raw: dict[str, Any], account: str, our_id: str) -> VenueTrade:
    """One unified trade. Several fees in one trade are not summed across assets: the first counts."""
    fee = raw.get("fee") or next(iter(raw.get("fees") or []), None) or {}
    side = SIDES.get(raw.get("side") or "")
    if side is None or not raw.get("id"):
        raise ValueError(f"trade {raw.get('id')!r}: side {raw.get('side')!r}; expected an id and buy or sell")
    maker = {"maker": "1", "taker": "2"}.get(raw.get("takerOrMaker") or "", "")
    return VenueTrade(
        account=account,
        symbol=raw["symbol"],
        venue_cl_ord_id=our_id,
        venue_order_id=str(raw.get("order") or ""),
        venue_trade_id=str(raw["id"]),
        side=side,
        qty=plain(dec(raw["amount"], "amount")),
        px=plain(dec(raw["price"], "price")),
        fee=plain(dec_or(fee.get("cost")) or Decimal(0)),
        fee_asset=str(fee.get("currency") or ""),
        liquidity=maker,
        venue_ns=int(raw.get("timestamp") or 0) * 1_000_000,
    )


def open_order_from(raw: dict[str, Any]) -> OpenOrder:
    """One unified open order; ValueError without an id: a list with holes must not pass for a list."""
    if not raw.get("id") or raw.get("side") not in SIDES:
        raise ValueError(f"open order {raw.get('id')!r}: expected an id and a side, got side {raw.get('side')!r}")
    return OpenOrder(
        venue_cl_ord_id=str(raw.get("clientOrderId") or ""),
        venue_order_id=str(raw["id"]),
        symbol=raw["symbol"],
        side=SIDES[raw["side"]],
        qty=plain(dec(raw["amount"], "amount")),
        cum_qty=plain(dec_or(raw.get("filled")) or Decimal(0)),
        px=dec_or(raw.get("price")),
    )


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
    limits, precision = market.get("limits") or {}, market.get("precision") or {}

    def limit(what: str, end: str) -> Decimal:
        return rule((limits.get(what) or {}).get(end))

    return InstrumentSpec(
        symbol=market["symbol"],
        venue_symbol=str(market["id"]),
        base=market["base"],
        quote=market["quote"],
        tick=_step(exchange, precision.get("price")),
        lot=_step(exchange, precision.get("amount")),
        min_qty=limit("amount", "min"),
        max_qty=limit("amount", "max"),
        min_px=limit("price", "min"),
        max_px=limit("price", "max"),
        min_notional=limit("cost", "min"),
        market_max_qty=limit("market", "max"),
    )


def balances_from(raw: dict[str, Any]) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Free and total per asset of a unified balance; ValueError when it has neither."""
    free, total = raw.get("free"), raw.get("total")
    if not isinstance(free, dict) or not isinstance(total, dict):
        raise ValueError("balance: expected free and total")
    return (
        {asset: plain(dec(value, asset)) for asset, value in free.items() if value is not None},
        {asset: plain(dec(value, asset)) for asset, value in total.items() if value is not None},
    )
