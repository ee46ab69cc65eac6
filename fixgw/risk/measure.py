"""What several checks measure alike: what a request already counts, what it will count, and whether it can add risk.

No check itself (it has no `check`, so discovery passes it over). Nothing here changes state.
"""

from __future__ import annotations

from decimal import Decimal

from ..core.evolve import at_risk, notional_at_risk
from ..core.numbers import CTX, ZERO
from ..core.numbers import text as fmt
from ..core.reasons import Reason
from ..core.state import SymbolExposure
from .base import NEW, REPLACE, TRIGGER, Denied, RiskRequest

BUY, SELL = "1", "2"


def qty_tag(request: RiskRequest) -> int:
    """The field that made the quantity: CashOrderQty(152) where the order is sized by it, else OrderQty(38)."""
    return 38 if cash_of(request) is None else 152


def cash_of(request: RiskRequest) -> Decimal | None:
    """CashOrderQty(152) of the order as it is to be; the terms of a triggered stop have the quantity it made."""
    if request.kind == TRIGGER and request.order is not None:
        return request.order.cash_qty
    return request.cash_qty


def eases(request: RiskRequest) -> bool:
    """True for a replace that is in no way riskier than the order it replaces: same type and stop price, no more
    quantity, no more aggressive limit price. Such a request must get through when nothing can be valued any more."""
    order = request.order
    if request.kind != REPLACE or order is None or request.added > 0:
        return False
    if request.ord_type != order.ord_type or request.stop_px != order.stop_px:
        return False
    if request.price is None or order.price is None:
        return request.price is None and order.price is None
    return request.price <= order.price if request.side == BUY else request.price >= order.price


def own_counted(request: RiskRequest) -> Decimal:
    """The quantity (base) that the exposures hold for this very order: nothing for a new one."""
    return at_risk(request.order) if request.order is not None else ZERO


def order_notional(request: RiskRequest, value_px: Decimal) -> Decimal:
    """What the order as it is to be comes to (quote): for a replace with what it has executed, else a chain of them would
    pass any limit, and with what may still fill at the old price before the replace is in force. A replace that only takes
    away counts what it leaves open: it must get through whatever was executed."""
    value, order = request.leaves * value_px, request.order
    if order is None or request.kind != REPLACE or (request.price == order.price and eases(request)):
        return value
    worst = value
    if order.risk_px > value_px and not order.held:
        worst = CTX.add(value, CTX.multiply(min(at_risk(order), request.leaves), CTX.subtract(order.risk_px, value_px)))
    return value if worst <= notional_at_risk(order) else CTX.add(order.notional, worst)


def added_notional(request: RiskRequest, value_px: Decimal) -> Decimal:
    """What open notional (quote) grows by. While a replace is pending, evolve counts the larger quantity at the larger
    price, which is more than the difference of the two orders when one rises and the other falls."""
    added = request.added_notional
    order = request.order
    if request.kind == NEW:
        return max(added, request.leaves * value_px)
    if request.kind == REPLACE and order is not None:
        worst = CTX.multiply(max(at_risk(order), request.leaves), max(order.risk_px, value_px))
        return max(added, CTX.subtract(worst, notional_at_risk(order)))
    return added


def reducing_room(request: RiskRequest, exposure: SymbolExposure) -> Decimal:
    """How much (base) this side may trade without |position| ever growing, whatever else on this side fills first and
    with this order's own count taken out; zero when there is nothing to reduce."""
    if request.side == BUY:
        room = CTX.subtract(CTX.minus(exposure.position), exposure.open_buy)
    else:
        room = CTX.subtract(exposure.position, exposure.open_sell)
    return max(CTX.add(room, own_counted(request)), ZERO)


def exceeds(reason: Reason, tag: int, what: str, value: Decimal | int, limit: Decimal | int, where: str) -> Denied:
    """The refusal of a figure above its limit; `where` is the scope's label."""
    shown, bound = (fmt(figure) if isinstance(figure, Decimal) else str(figure) for figure in (value, limit))
    return Denied(reason, tag, shown, bound, f"{what} {shown} is above the limit {bound} of {where}")


def unvalued(tag: int, value: str, why: str) -> Denied:
    """The refusal for want of fresh market data."""
    return Denied(Reason.STALE_MARKET_DATA, tag, value, "a fresh quote", why)
