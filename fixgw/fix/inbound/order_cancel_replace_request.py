"""OrderCancelReplaceRequest(G) -> ReplaceOrder."""

from __future__ import annotations

from fixgw.core.commands import ReplaceOrder

from . import fields as f

MSG_TYPE = "G"


def parse(fields: f.Fields, common: f.Common, context: f.Context) -> ReplaceOrder:
    """Raises FieldError. A field that the client does not send keeps the order's value. FIX 5.0SP2 may leave out Symbol(55),
    and in any version it is the order that says which instrument is meant: so the quotes are those of the order's."""
    f.refuse_unsupported_terms(fields)
    order_id = f.optional(fields, 37)
    symbol = f.optional(fields, 55)
    f.refuse_other_currency(fields, symbol, context)
    cl_ord_id = f.required(fields, 11)
    orig_cl_ord_id = f.orig_cl_ord_id(fields, order_id)
    return ReplaceOrder(
        **common.named(),
        cl_ord_id=cl_ord_id,
        orig_cl_ord_id=orig_cl_ord_id,
        symbol=symbol,
        side=f.one_char(fields, 54),
        ord_type=f.one_char(fields, 40),
        order_id=order_id,
        tif=f.optional(fields, 59) or None,
        order_qty=f.decimal(fields, 38),
        cash_qty=f.decimal(fields, 152),
        price=f.decimal(fields, 44),
        stop_px=f.decimal(fields, 99),
        expire_ns=f.expire_ns(fields),
        exec_inst=f.optional(fields, 18) if "18" in fields else None,
        expire_tag=f.expire_tag(fields),
        origin_tag=f.origin_tag(fields),
        account=f.optional(fields, 1),
        ex_destination=f.optional(fields, 100),
        quotes=context.order_quotes(context.session, orig_cl_ord_id, order_id, symbol),
    )
