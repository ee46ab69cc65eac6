"""The signed operations on orders: parameters in, engine call, commit, Binance reply out.

Each takes (simulator, account name, parameters) and is the same for REST and the WebSocket API. A refused new order
is noted in the ledger before the refusal is answered.
"""

from __future__ import annotations

from typing import Any

from fixgw.sim import dialect
from fixgw.sim.core import Simulator
from fixgw.sim.model import ORDER_TYPES, STP_MODES, TIMES_IN_FORCE, Event, Order, OrderRequest, Refused, Report
from fixgw.sim.params import ApiError, Params, missing


def symbol_of(sim: Simulator, params: Params) -> str:
    symbol = params.required("symbol")
    if symbol not in sim.engine.symbols:
        raise ApiError(400, -1121, "Invalid symbol.")
    return symbol


def parse_new(sim: Simulator, account: str, params: Params) -> OrderRequest:
    """The new order of a request. Raises ApiError."""
    symbol = symbol_of(sim, params)
    side, kind = params.required("side"), params.required("type")
    if side not in ("BUY", "SELL"):
        raise ApiError(400, -1117, "Invalid side.")
    if kind not in ORDER_TYPES:
        raise ApiError(400, -1116, "Invalid orderType.")
    stp = params.text("selfTradePreventionMode") or "NONE"
    if stp not in STP_MODES:
        raise ApiError(400, -1013, "This symbol does not allow the specified self-trade prevention mode.")
    tif, price, quote_qty = "GTC", None, None
    params.forbid("stopPrice", "icebergQty", "trailingDelta")
    if kind == "MARKET":
        params.forbid("timeInForce", "price")
        qty, quote_qty = params.decimal("quantity"), params.decimal("quoteOrderQty")
        if qty is None and quote_qty is None:
            raise missing("quantity")
        if qty is not None and quote_qty is not None:
            raise ApiError(400, -1128, "Combination of optional parameters invalid.")
    else:
        params.forbid("quoteOrderQty")
        if kind == "LIMIT":
            tif = params.required("timeInForce")
            if tif not in TIMES_IN_FORCE:
                raise ApiError(400, -1115, "Invalid timeInForce.")
        else:
            params.forbid("timeInForce")
        qty, price = params.required_decimal("quantity"), params.required_decimal("price")
        if price == 0:
            raise ApiError(400, -1013, "Invalid price.")
    if (qty is not None and qty == 0) or (quote_qty is not None and quote_qty == 0):
        raise ApiError(400, -1013, "Invalid quantity.")
    cl_ord_id = params.client_id("newClientOrderId") or f"sim-{sim.engine.next_order_id}"
    return OrderRequest(account, symbol, side, kind, cl_ord_id, qty, price, quote_qty, tif, stp)


def _note_rejected(sim: Simulator, account: str, params: Params, error: ApiError, now_ns: int) -> None:
    fields = {
        "symbol": "symbol", "cl_ord_id": "newClientOrderId", "side": "side", "order_type": "type", "price": "price",
        "qty": "quantity", "quote_qty": "quoteOrderQty",
    }  # fmt: skip
    sim.reject(
        {"ns": now_ns, "type": "rejected", "account": account, "code": error.code, "msg": error.msg}
        | {name: (params.text(source) or "")[:64] for name, source in fields.items()}
    )


def _response_type(params: Params, kind: str) -> str:
    response = params.text("newOrderRespType") or ("ACK" if kind == "LIMIT_MAKER" else "FULL")
    if response not in ("ACK", "RESULT", "FULL"):
        raise ApiError(400, -1100, "Illegal value for parameter 'newOrderRespType'; expected ACK, RESULT or FULL.")
    return response


def _order_of(events: list[Event]) -> Order:
    for event in events:
        if isinstance(event, Report):
            return event.order
    raise AssertionError("an accepted order has a report")


def place(sim: Simulator, account: str, params: Params) -> Any:
    """order.place. Raises ApiError."""
    now_ns = sim.clock_ns()
    try:
        request = parse_new(sim, account, params)
        response = _response_type(params, request.type)
        events = sim.engine.place(request, now_ns)
    except (ApiError, Refused) as exc:
        error = exc if isinstance(exc, ApiError) else ApiError.refused(exc)
        _note_rejected(sim, account, params, error, now_ns)
        raise error from None
    order = _order_of(events)
    reply = dialect.placed_view(order, response)  # as matched; what liquidity does next comes as events
    sim.commit(events, request.symbol, now_ns)
    return reply


def check_order(sim: Simulator, account: str, params: Params) -> Any:
    """order.test: the parameters only. Raises ApiError."""
    _response_type(params, parse_new(sim, account, params).type)
    return {}


def _reference(params: Params, id_name: str, client_name: str) -> tuple[int | None, str | None]:
    order_id, cl_ord_id = params.integer(id_name), params.text(client_name)
    if order_id is None and cl_ord_id is None:
        msg = f"Param '{client_name}' or '{id_name}' must be sent, but both were empty/null!"
        raise ApiError(400, -1102, msg)
    return order_id, cl_ord_id


def _restriction(params: Params) -> str:
    only = params.text("cancelRestrictions") or ""
    if only not in ("", "ONLY_NEW", "ONLY_PARTIALLY_FILLED"):
        raise ApiError(400, -1145, "Invalid cancelRestrictions.")
    return only


def cancel(sim: Simulator, account: str, params: Params) -> Any:
    """order.cancel. Raises ApiError."""
    symbol = symbol_of(sim, params)
    order_id, cl_ord_id = _reference(params, "orderId", "origClientOrderId")
    now_ns = sim.clock_ns()
    cancel_id = params.client_id("newClientOrderId") or f"simc-{sim.ledger.seq}"
    try:
        events = sim.engine.cancel(
            account, symbol, now_ns, order_id=order_id, cl_ord_id=cl_ord_id, cancel_id=cancel_id,
            only=_restriction(params),
        )  # fmt: skip
    except Refused as refusal:
        raise ApiError.refused(refusal) from None
    reply = dialect.canceled_view(_order_of(events), cancel_id)
    sim.commit(events, symbol, now_ns)
    return reply


def amend(sim: Simulator, account: str, params: Params) -> Any:
    """order.amend.keepPriority. Raises ApiError."""
    symbol = symbol_of(sim, params)
    order_id, cl_ord_id = _reference(params, "orderId", "origClientOrderId")
    qty = params.required_decimal("newQty")
    if qty == 0:
        raise ApiError(400, -1013, "Invalid quantity.")
    now_ns = sim.clock_ns()
    new_id = params.client_id("newClientOrderId") or f"sima-{sim.ledger.seq}"
    try:
        events = sim.engine.amend(
            account, symbol, qty, now_ns, order_id=order_id, cl_ord_id=cl_ord_id, new_cl_ord_id=new_id
        )
    except Refused as refusal:
        raise ApiError.refused(refusal) from None
    orig_id = next(event.orig_id for event in events if isinstance(event, Report))
    reply = dialect.amended_view(_order_of(events), orig_id, sim.ledger.seq + 1)
    sim.commit(events, symbol, now_ns)
    return reply


def cancel_all(sim: Simulator, account: str, params: Params) -> Any:
    """openOrders.cancelAll of one symbol. Raises ApiError."""
    symbol = symbol_of(sim, params)
    now_ns = sim.clock_ns()
    try:
        events = sim.engine.cancel_all(account, symbol, now_ns)
    except Refused as refusal:
        raise ApiError.refused(refusal) from None
    replies = [dialect.canceled_view(e.order, e.cancel_id) for e in events if isinstance(e, Report)]
    sim.commit(events, symbol, now_ns)
    return replies


def cancel_replace(sim: Simulator, account: str, params: Params) -> Any:
    """order.cancelReplace. Raises ApiError: -2021 when one half failed, -2022 when both did."""
    mode = params.required("cancelReplaceMode")
    if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
        raise ApiError(400, -1100, "Illegal value for parameter 'cancelReplaceMode'.")
    order_id, cl_ord_id = _reference(params, "cancelOrderId", "cancelOrigClientOrderId")
    now_ns = sim.clock_ns()
    cancel_id = params.client_id("cancelNewClientOrderId") or f"simc-{sim.ledger.seq}"
    try:
        request = parse_new(sim, account, params)
        response = _response_type(params, request.type)
        both = sim.engine.cancel_replace(
            request, now_ns, order_id=order_id, cl_ord_id=cl_ord_id, cancel_id=cancel_id, only=_restriction(params),
            stop_on_failure=mode == "STOP_ON_FAILURE",
        )  # fmt: skip
    except (ApiError, Refused) as exc:
        error = exc if isinstance(exc, ApiError) else ApiError.refused(exc)
        _note_rejected(sim, account, params, error, now_ns)
        raise error from None
    data: dict[str, Any] = {}
    events: list[Event] = []
    if isinstance(both.canceled, Refused):
        data |= {"cancelResult": "FAILURE", "cancelResponse": ApiError.refused(both.canceled).body()}
    else:
        events += both.canceled
        view = dialect.canceled_view(_order_of(both.canceled), cancel_id)
        data |= {"cancelResult": "SUCCESS", "cancelResponse": view}
    if both.placed is None:
        data |= {"newOrderResult": "NOT_ATTEMPTED", "newOrderResponse": None}
    elif isinstance(both.placed, Refused):
        refused = ApiError.refused(both.placed)
        _note_rejected(sim, account, params, refused, now_ns)
        data |= {"newOrderResult": "FAILURE", "newOrderResponse": refused.body()}
    else:
        events += both.placed
        view = dialect.placed_view(_order_of(both.placed), response)
        data |= {"newOrderResult": "SUCCESS", "newOrderResponse": view}
    sim.commit(events, request.symbol, now_ns)
    results = (data["cancelResult"], data["newOrderResult"])
    if results == ("SUCCESS", "SUCCESS"):
        return data
    if "SUCCESS" in results:
        raise ApiError(409, -2021, "Order cancel-replace partially failed.", data=data)
    raise ApiError(400, -2022, "Order cancel-replace failed.", data=data)


# ---- queries --------------------------------------------------------------------------------------------------


def order_status(sim: Simulator, account: str, params: Params) -> Any:
    """order.status. Raises ApiError(-2013) for an order the account does not have."""
    symbol = symbol_of(sim, params)
    order_id, cl_ord_id = _reference(params, "orderId", "origClientOrderId")
    order = sim.engine.find(account, symbol, order_id, cl_ord_id)
    if order is None:
        raise ApiError(400, -2013, "Order does not exist.")
    return dialect.order_view(order)


def open_orders(sim: Simulator, account: str, params: Params) -> Any:
    """openOrders.status, of one symbol or all."""
    symbols = [symbol_of(sim, params)] if params.text("symbol") else list(sim.engine.symbols)
    return [
        dialect.order_view(order)
        for symbol in symbols
        for order in sim.engine.open_orders.get((account, symbol), {}).values()
    ]


def _in_time(params: Params, at_ns: int) -> bool:
    start, end = params.integer("startTime"), params.integer("endTime")
    at_ms = at_ns // 1_000_000
    return (start is None or at_ms >= start) and (end is None or at_ms <= end)


def all_orders(sim: Simulator, account: str, params: Params) -> Any:
    """allOrders: from orderId or a start time on, oldest first; else the latest."""
    symbol = symbol_of(sim, params)
    limit, first = params.limit(500, 1000), params.integer("orderId")
    orders = [
        order
        for order in sim.engine.account_orders.get((account, symbol), {}).values()
        if (first is None or order.order_id >= first) and _in_time(params, order.created_ns)
    ]
    from_start = first is not None or params.integer("startTime") is not None
    return [dialect.order_view(order) for order in (orders[:limit] if from_start else orders[-limit:])]


def my_trades(sim: Simulator, account: str, params: Params) -> Any:
    """myTrades: from fromId or a start time on, oldest first; else the latest; orderId restricts to one order."""
    symbol = symbol_of(sim, params)
    limit, from_id, order_id = params.limit(500, 1000), params.integer("fromId"), params.integer("orderId")
    start = params.integer("startTime")
    if from_id is not None and (start is not None or params.integer("endTime") is not None):
        raise ApiError(400, -1128, "Combination of optional parameters invalid.")
    if order_id is not None:
        order = sim.engine.find(account, symbol, order_id, None)
        fills = order.fills[::-1] if order else []
    else:
        fills = []
        for fill in reversed(sim.engine.trades.get((account, symbol), ())):
            if (from_id is not None and fill.trade_id < from_id) or (start and fill.at_ns // 1_000_000 < start):
                break
            fills.append(fill)
    found = [f for f in reversed(fills) if (from_id is None or f.trade_id >= from_id) and _in_time(params, f.at_ns)]
    oldest_first = from_id is not None or start is not None
    return [dialect.my_trade_view(fill) for fill in (found[:limit] if oldest_first else found[-limit:])]


def account_status(sim: Simulator, account: str, params: Params) -> Any:
    engine = sim.engine
    return dialect.account_view(
        engine.accounts[account], engine.maker_fee, engine.taker_fee, omit_zero=params.flag("omitZeroBalances")
    )

