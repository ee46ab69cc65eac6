"""OrderStatusRequest(H) -> StatusRequest."""

from __future__ import annotations

from fixgw.core.commands import StatusRequest

from . import fields as f

MSG_TYPE = "H"


def parse(fields: f.Fields, common: f.Common, context: f.Context) -> StatusRequest:
    """Raises FieldError. FIX 5.0SP2 may name the order by OrderID(37) alone."""
    order_id = f.optional(fields, 37)
    return StatusRequest(
        **common.named(),
        cl_ord_id=f.optional(fields, 11) if order_id else f.required(fields, 11),
        order_id=order_id,
        symbol=f.optional(fields, 55),
        side=f.optional(fields, 54),
        request_id=f.optional(fields, 790),
    )
