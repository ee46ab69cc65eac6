"""OrderCancelRequest(F) -> CancelOrder."""

from __future__ import annotations

from fixgw.core.commands import CancelOrder

from . import fields as f

MSG_TYPE = "F"


def parse(fields: f.Fields, common: f.Common, context: f.Context) -> CancelOrder:
    """Raises FieldError. FIX 5.0SP2 may name the order by OrderID(37) alone."""
    order_id = f.optional(fields, 37)
    return CancelOrder(
        **common.named(),
        cl_ord_id=f.required(fields, 11),
        orig_cl_ord_id=f.orig_cl_ord_id(fields, order_id),
        order_id=order_id,
        symbol=f.optional(fields, 55),
        side=f.optional(fields, 54),
    )
