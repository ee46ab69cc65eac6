"""What can be read of a NewOrderSingle(D), OrderCancelRequest(F) or OrderCancelReplaceRequest(G) that cannot be used.

Its refusal names the request by its ids and repeats the client's terms; a field that is at fault itself is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fixgw.core.commands import CancelOrder, NewOrder, ReplaceOrder

from . import fields as f

T = TypeVar("T")
Request = NewOrder | CancelOrder | ReplaceOrder


def salvage(msg_type: str, fields: f.Fields, common: f.Common) -> Request | None:
    """None for other messages, and where an id that the answer has to name is not usable."""
    make = _MAKERS.get(msg_type)
    try:
        return None if make is None else make(fields, common)
    except f.FieldError:
        return None


def _new_order(fields: f.Fields, common: f.Common) -> NewOrder:
    return NewOrder(
        **common.named(),
        cl_ord_id=f.required(fields, 11),
        symbol=_or("", f.optional, fields, 55),
        side=_or("", f.one_char, fields, 54),
        ord_type=_or("", f.one_char, fields, 40),
        tif=_or("", f.optional, fields, 59) or "0",
        account=_or("", f.optional, fields, 1),
        order_qty=_or(None, f.decimal, fields, 38),
        cash_qty=_or(None, f.decimal, fields, 152),
        price=_or(None, f.decimal, fields, 44),
        stop_px=_or(None, f.decimal, fields, 99),
        expire_ns=_or(None, lambda all_fields, _: f.expire_ns(all_fields), fields, 126),
        exec_inst=_or("", f.optional, fields, 18),
        ex_destination=_or("", f.optional, fields, 100),
    )


def _cancel(fields: f.Fields, common: f.Common) -> CancelOrder:
    cl_ord_id, orig_cl_ord_id, order_id = _ids(fields)
    return CancelOrder(**common.named(), cl_ord_id=cl_ord_id, orig_cl_ord_id=orig_cl_ord_id, order_id=order_id)


def _replace(fields: f.Fields, common: f.Common) -> ReplaceOrder:
    cl_ord_id, orig_cl_ord_id, order_id = _ids(fields)
    return ReplaceOrder(
        **common.named(),
        cl_ord_id=cl_ord_id,
        orig_cl_ord_id=orig_cl_ord_id,
        order_id=order_id,
        symbol=_or("", f.optional, fields, 55),
        side=_or("", f.one_char, fields, 54),
        ord_type=_or("", f.one_char, fields, 40),
    )


def _ids(fields: f.Fields) -> tuple[str, str, str]:
    """ClOrdID, OrigClOrdID, OrderID. Raises FieldError where the order is named by neither of the last two."""
    order_id = _or("", f.optional, fields, 37)
    return f.required(fields, 11), f.orig_cl_ord_id(fields, order_id), order_id


def _or(default: T, read: Callable[[f.Fields, int], T], fields: f.Fields, tag: int) -> T:
    try:
        return read(fields, tag)
    except f.FieldError:
        return default


_MAKERS: dict[str, Callable[[f.Fields, f.Common], Request]] = {"D": _new_order, "F": _cancel, "G": _replace}
