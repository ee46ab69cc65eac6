"""Decimal arithmetic with named rounding. A client's decimals are kept exactly; nothing is rounded silently."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, DefaultContext, getcontext

ZERO = Decimal(0)
BPS = Decimal(10_000)
_ONE = Decimal(1)
# a text of so many characters has no more digits than CTX
_EXACT = 60
# Averages are quoted to 12 decimals (half even); everything else is exact.
_AVERAGE = Decimal("1E-12")
# 60 digits: sums and products of 30-digit figures are still exact. Plain + and - follow it in every thread made from now on.
CTX = Context(prec=60)
DefaultContext.prec = 60
getcontext().prec = 60


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """True when `value` is a whole number of `step`s; a step of zero admits every value."""
    return not step or not value % step


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` not above `value` (step zero: the value itself)."""
    if not step:
        return value
    return CTX.multiply(CTX.divide(value, step).to_integral_value(ROUND_FLOOR), step)


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` not below `value` (step zero: the value itself)."""
    if not step:
        return value
    return CTX.multiply(CTX.divide(value, step).to_integral_value(ROUND_CEILING), step)


def average(notional: Decimal, qty: Decimal) -> Decimal:
    """AvgPx(6): notional / quantity, half even to 12 decimals, without trailing zeros; zero when nothing traded."""
    if not qty:
        return ZERO
    return plain(CTX.divide(notional, qty).quantize(_AVERAGE, ROUND_HALF_EVEN, context=CTX))


def plain(value: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent: 1E+3 -> 1000, 1.500 -> 1.5."""
    value = value.normalize(CTX)
    # an exponent above zero, and only that, is written so; asking the text is cheaper than as_tuple()
    return value.quantize(_ONE, context=CTX) if "E+" in str(value) else value


def plain_text(value: Decimal) -> str:
    """str(plain(value)), without arithmetic where the text shows what it will be."""
    shown = str(value)
    if "." not in shown or "E" in shown or len(shown) > _EXACT:
        return str(plain(value))
    return shown.rstrip("0").rstrip(".")


def text(value: Decimal) -> str:
    """Fixed-point text as FIX wants it (never an exponent)."""
    return format(value, "f")
