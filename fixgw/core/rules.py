"""Rules of an order that hold whatever the limits are: what FIX requires of its fields, and what the venue's tick, lot and
minimum notional admit. Nothing is rounded: what does not fit is refused with the field, the value and the rule."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ..risk.base import Denied
from .commands import InstrumentSpec, NewOrder, Quote, ReplaceOrder
from .numbers import CTX, ZERO, ceil_to, floor_to, is_multiple
from .numbers import text as fmt
from .reasons import Reason
from .times import DAY_NS, SECOND_NS, utc_date, utc_text

MARKET, LIMIT, STOP, STOP_LIMIT = "1", "2", "3", "4"
DAY, GTC, IOC, FOK, GTD = "0", "1", "3", "4", "6"
POST_ONLY = "6"
_ORD_TYPES = frozenset((MARKET, LIMIT, STOP, STOP_LIMIT))
_TIFS = frozenset((DAY, GTC, IOC, FOK, GTD))


def priced(ord_type: str, price: Decimal | None, stop_px: Decimal | None) -> tuple[Decimal | None, Decimal | None]:
    """Of (price, stop price) those that an order of this type has."""
    has_price, has_stop = ord_type in (LIMIT, STOP_LIMIT), ord_type in (STOP, STOP_LIMIT)
    return (price if has_price else None, stop_px if has_stop else None)


class Terms(msgspec.Struct, frozen=True, gc=False):
    """The client's terms of an order that there is already, as it is to be."""

    side: str
    ord_type: str
    tif: str
    order_qty: Decimal | None
    cash_qty: Decimal | None
    price: Decimal | None
    stop_px: Decimal | None
    expire_ns: int | None
    exec_inst: str
    # which field said so: 126 or 432
    expire_tag: int = 126


# the command has the very same fields, and is not copied
AnyTerms = Terms | NewOrder


def is_post_only(exec_inst: str) -> bool:
    """ExecInst(18) holds 6, "participate don't initiate"."""
    return exec_inst != "" and POST_ONLY in exec_inst.split()


def check_terms(terms: AnyTerms, ts_ns: int) -> Denied | None:
    """Conditionally required fields and combinations, by FIX and by what is supported here."""
    if terms.side not in ("1", "2"):
        return _unsupported(54, terms.side, "1 (buy) or 2 (sell)")
    if terms.ord_type not in _ORD_TYPES:
        return _unsupported(40, terms.ord_type, "1 market, 2 limit, 3 stop, 4 stop limit")
    if terms.tif not in _TIFS:
        return _unsupported(59, terms.tif, "0 day, 1 GTC, 3 IOC, 4 FOK, 6 GTD")
    if terms.exec_inst and any(inst != POST_ONLY for inst in terms.exec_inst.split()):
        return _unsupported(18, terms.exec_inst, "6 (participate don't initiate) or absent")
    if terms.order_qty is None and terms.cash_qty is None:
        return _missing(38, "OrderQty(38) or CashOrderQty(152)")
    if terms.order_qty is not None and terms.cash_qty is not None:
        return _invalid(152, fmt(terms.cash_qty), "only one of OrderQty(38) and CashOrderQty(152)")
    if terms.order_qty is not None and terms.order_qty <= ZERO:
        return _invalid(38, fmt(terms.order_qty), "above 0")
    if terms.cash_qty is not None and terms.cash_qty <= ZERO:
        return _invalid(152, fmt(terms.cash_qty), "above 0")
    return _check_prices(terms) or _check_time(terms, ts_ns)


def _check_prices(terms: AnyTerms) -> Denied | None:
    ord_type, price = terms.ord_type, terms.price
    if ord_type in (LIMIT, STOP_LIMIT):
        if price is None:
            return _missing(44, "Price(44) with OrdType(40)=" + ord_type)
        if price <= ZERO:
            return _invalid(44, fmt(price), "above 0")
    elif price is not None:
        # it would bind nothing: the order could trade at any price, and limits must not be judged by it
        return _invalid(44, fmt(price), "no price")
    if ord_type in (STOP, STOP_LIMIT) and terms.stop_px is None:
        return _missing(99, "StopPx(99) with OrdType(40)=" + ord_type)
    if terms.stop_px is not None:
        if ord_type in (MARKET, LIMIT):
            return _invalid(99, fmt(terms.stop_px), "no stop price")  # it would trade at once
        if terms.stop_px <= ZERO:
            return _invalid(99, fmt(terms.stop_px), "above 0")
    return None


def _check_time(terms: AnyTerms, ts_ns: int) -> Denied | None:
    if terms.tif == GTD:
        if terms.expire_ns is None:
            return _missing(126, "ExpireTime(126) or ExpireDate(432) with TimeInForce(59)=6")
        if terms.expire_ns <= ts_ns:
            by_date = terms.expire_tag == 432  # the last ns of that day is over
            limit = f"{utc_date(ts_ns)} or later" if by_date else f"later than now, {utc_text(ts_ns)}"
            return _invalid(terms.expire_tag, _expiry(terms), limit)
    elif terms.expire_ns is not None:
        # it would bind nothing: the order would outlive the time that the client gave
        return _invalid(terms.expire_tag, _expiry(terms), "none without TimeInForce(59)=6")
    if terms.exec_inst and is_post_only(terms.exec_inst) and (terms.ord_type in (MARKET, STOP) or terms.tif in (IOC, FOK)):
        return _unsupported(18, terms.exec_inst, "post-only needs a limit order that may rest")
    if terms.tif == FOK and terms.ord_type in (MARKET, STOP):
        return _unsupported(59, terms.tif, "FOK needs a limit price")
    return None


def _expiry(terms: AnyTerms) -> str:
    """As the client wrote it: the time of 126, the date of 432."""
    assert terms.expire_ns is not None
    return utc_date(terms.expire_ns - DAY_NS) if terms.expire_tag == 432 else utc_text(terms.expire_ns)


def check_venue_rules(spec: InstrumentSpec, terms: AnyTerms, qty: Decimal, value_px: Decimal | None) -> Denied | None:
    """Tick, lot, bounds and minimum notional of the venue."""
    market = terms.ord_type in (MARKET, STOP)
    if terms.price is not None and not market:
        denied = _check_px(spec, 44, terms.price)
        if denied is not None:
            return denied
    if terms.stop_px is not None:
        denied = _check_px(spec, 99, terms.stop_px)
        if denied is not None:
            return denied
    lot = spec.market_lot if market and spec.market_lot else spec.lot
    qty_tag = 38 if terms.cash_qty is None else 152
    if not is_multiple(qty, lot):
        return Denied(Reason.BAD_LOT, qty_tag, fmt(qty), fmt(lot), f"not a multiple of the lot {fmt(lot)}")
    max_qty = spec.market_max_qty if market and spec.market_max_qty else spec.max_qty
    if qty < spec.min_qty or (max_qty and qty > max_qty):
        bounds = f"{fmt(spec.min_qty)}..{fmt(max_qty)}"
        return Denied(Reason.BAD_LOT, qty_tag, fmt(qty), bounds, f"outside the venue's range {bounds}")
    px = terms.price if terms.price is not None and not market else value_px
    if spec.min_notional and px is not None and qty * px < spec.min_notional:
        notional = fmt(qty * px)
        text = f"below the venue's minimum notional, valued at {fmt(px)}"
        return Denied(Reason.MIN_NOTIONAL, qty_tag, notional, fmt(spec.min_notional), text)
    return None


def _check_px(spec: InstrumentSpec, tag: int, px: Decimal) -> Denied | None:
    if not is_multiple(px, spec.tick):
        return Denied(Reason.BAD_TICK, tag, fmt(px), fmt(spec.tick), f"not a multiple of the tick {fmt(spec.tick)}")
    if px < spec.min_px or (spec.max_px and px > spec.max_px):
        bounds = f"{fmt(spec.min_px)}..{fmt(spec.max_px)}"
        return Denied(Reason.BAD_TICK, tag, fmt(px), bounds, f"outside the venue's range {bounds}")
    return None


def base_qty(
    terms: AnyTerms, spec: InstrumentSpec, px: Decimal | None, with_fee: Decimal, cum_qty: Decimal = ZERO, spent: Decimal = ZERO
) -> Decimal | Denied:
    """OrderQty(38) of a quote-sized order: the lot floor of cash / price, for a buy with the fee inside the cash; of one
    that has traded `cum_qty` for `spent` (quote) already: that quantity and what the rest of the cash buys. `with_fee`: 1 +
    the fee as a fraction."""
    assert terms.cash_qty is not None
    if px is None or px <= 0:
        return Denied(Reason.STALE_MARKET_DATA, 152, fmt(terms.cash_qty), "a fresh price", "no market data to size the order")
    fee = with_fee if terms.side == "1" else Decimal(1)
    cost, left = CTX.multiply(px, fee), max(terms.cash_qty - CTX.multiply(spent, fee), ZERO)
    lot = spec.market_lot if terms.ord_type in (MARKET, STOP) and spec.market_lot else spec.lot
    qty = cum_qty + floor_to(CTX.divide(left, cost), lot)
    if qty <= 0:
        return Denied(Reason.BAD_LOT, 152, fmt(terms.cash_qty), fmt(lot), f"buys less than one lot of {fmt(lot)}")
    return qty


def reference_px(side: str, quote: Quote | None) -> Decimal | None:
    """Ask for a buy, bid for a sell, else the last trade."""
    if quote is None:
        return None
    near = quote.ask if side == "1" else quote.bid
    return near if near is not None else quote.last


def value_px(terms: AnyTerms, reference: Decimal | None, waits: bool) -> Decimal | None:
    """The price at which an order is valued: never below what it could cost. `waits`: a stop that is held until its trigger.

    A sell may get more than its limit: the market is above it now, or (a stop) was down to the stop price only when it began.
    """
    if terms.ord_type in (LIMIT, STOP_LIMIT):
        assert terms.price is not None
        if terms.side != "2":
            return terms.price
        px = terms.price
        if waits and terms.stop_px is not None and terms.stop_px > px:
            px = terms.stop_px
        return px if reference is None or reference < px else reference
    if terms.ord_type == STOP:
        assert terms.stop_px is not None
        return terms.stop_px if reference is None else max(terms.stop_px, reference)
    return reference


def to_tick_inside(side: str, px: Decimal, spec: InstrumentSpec) -> Decimal:
    """The tick at or inside a bound: down for a buy, up for a sell."""
    return floor_to(px, spec.tick) if side == "1" else ceil_to(px, spec.tick)


def check_age(cmd: NewOrder | ReplaceOrder, limit_ns: int) -> Denied | None:
    """A possible resend that we have not seen is taken as new only while it is young (by OrigSendingTime / TransactTime)."""
    if not (cmd.poss_resend or cmd.poss_dup) or cmd.origin_ns is None:
        return None
    age = cmd.ts_ns - cmd.origin_ns
    if age <= limit_ns:
        return None
    text = f"sent {age / 1e9:.1f} s ago, a possible resend is taken as new within {limit_ns / 1e9:.0f} s only"
    limit = f"at most {limit_ns / 1e9:.0f} s old"
    return Denied(Reason.STALE_REQUEST, cmd.origin_tag, utc_text(cmd.origin_ns), limit, text)


def day_end_ns(ts_ns: int, roll_time_s: int) -> int:
    """The next roll time after `ts_ns` (ns since the epoch)."""
    roll_ns = roll_time_s * SECOND_NS
    start = (ts_ns - roll_ns) // DAY_NS * DAY_NS + roll_ns
    return start + DAY_NS


def _missing(tag: int, expected: str) -> Denied:
    return Denied(Reason.MISSING_FIELD, tag, "", expected, f"missing: {expected} is required")


def _invalid(tag: int, value: str, expected: str) -> Denied:
    return Denied(Reason.INVALID_VALUE, tag, value, expected, f"tag {tag}={value}: expected {expected}")


def _unsupported(tag: int, value: str, expected: str) -> Denied:
    return Denied(Reason.UNSUPPORTED, tag, value, expected, f"tag {tag}={value} is not supported: expected {expected}")
