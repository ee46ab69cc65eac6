"""Requests whose fields contradict the order that their ids name."""

from __future__ import annotations

from typing import Any

from ..risk.base import Denied
from .commands import CancelOrder, ReplaceOrder, StatusRequest
from .draft import Draft, reason_fields
from .order import Order
from .reasons import Reason


def contradiction(draft: Draft, cmd: CancelOrder | ReplaceOrder | StatusRequest, order: Order) -> Denied | None:
    """OrderID(37), Symbol(55) or Side(54) that is not the order's; a field that is not there contradicts nothing."""
    if cmd.order_id and cmd.order_id != order.order_id and cmd.order_id != "NONE":
        named = "ClOrdID" if isinstance(cmd, StatusRequest) else "OrigClOrdID"
        return Denied(Reason.MISMATCH, 37, cmd.order_id, order.order_id, f"OrderID and {named} name different orders")
    symbols = draft.state.settings.sessions[cmd.session].symbols
    if cmd.symbol and symbols.get(cmd.symbol, "") != order.symbol and cmd.symbol != order.client_symbol:
        return Denied(Reason.MISMATCH, 55, cmd.symbol, order.client_symbol, "the symbol is not that of the order")
    if cmd.side and cmd.side != order.side:
        return Denied(Reason.MISMATCH, 54, cmd.side, order.side, "the side is not that of the order")
    return None


def with_contradiction(draft: Draft, cmd: StatusRequest, order: Order, fields: dict[str, Any]) -> dict[str, Any]:
    """Fields of the status report of an order, with the contradiction of the request in them. A status request is answered in
    any case: to say "unknown" would make a client take its live order for dead. Where the order itself has a reason, that stays
    the code, and the contradiction is in the text."""
    denied = contradiction(draft, cmd, order)
    if denied is None:
        return fields
    text = f"{denied.text}: tag {denied.tag} is {denied.value!r}, of the order {denied.limit!r}"
    if "reason" in fields:
        return {**fields, "text": f"{fields['text']}; {denied.reason.value}: {text}"}
    return {**fields, **reason_fields(denied.reason, denied.tag, denied.value, denied.limit, text)}
