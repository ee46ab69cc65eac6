"""NewOrderSingle(D) -> NewOrder."""

from __future__ import annotations

from fixgw.core.commands import NewOrder

from . import fields as f

MSG_TYPE = "D"
# PossDupFlag, PossResend, and terms that most orders do without
_SELDOM = frozenset(("43", "97", "152", "99", "126", "432", "18", "100", "48", "22", "58"))


def parse(fields: f.Fields, common: f.Common, context: f.Context) -> NewOrder:
    """Raises FieldError. Symbol(55) is required in FIX 5.0SP2 too, which could name the instrument by SecurityID(48) alone."""
    f.refuse_unsupported_terms(fields)
    symbol = f.required(fields, 55)
    f.refuse_other_currency(fields, symbol, context)
    if _SELDOM.isdisjoint(fields):
        # what most orders look like. Not one call for all: with more than 15 named arguments Python makes a dict first
        return NewOrder(
            ts_ns=common.ts_ns,
            session=common.session,
            reset_epoch=common.reset_epoch,
            msg_seq=common.msg_seq,
            origin_ns=common.origin_ns,
            cl_ord_id=f.required(fields, 11),
            symbol=symbol,
            side=f.one_char(fields, 54),
            ord_type=f.one_char(fields, 40),
            tif=f.optional(fields, 59) or "0",
            account=f.optional(fields, 1),
            order_qty=f.decimal(fields, 38),
            price=f.decimal(fields, 44),
            quotes=context.quotes(symbol),
        )
    return NewOrder(
        **common.named(),
        cl_ord_id=f.required(fields, 11),
        symbol=symbol,
        side=f.one_char(fields, 54),
        ord_type=f.one_char(fields, 40),
        tif=f.optional(fields, 59) or "0",
        account=f.optional(fields, 1),
        order_qty=f.decimal(fields, 38),
        cash_qty=f.decimal(fields, 152),
        price=f.decimal(fields, 44),
        stop_px=f.decimal(fields, 99),
        expire_ns=f.expire_ns(fields),
        exec_inst=f.optional(fields, 18),
        ex_destination=f.optional(fields, 100),
        security_id=f.optional(fields, 48),
        security_id_source=f.optional(fields, 22),
        text=f.text(fields),
        expire_tag=f.expire_tag(fields),
        origin_tag=f.origin_tag(fields),
        quotes=context.quotes(symbol),
    )
