"""Binance's JSON shapes for what the engine knows. All numbers of money are strings with eight decimals."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import Any

from fixgw.sim.model import BUY, CONTEXT, ORDER_TYPES, STP_MODES, Account, Fill, Order, PublicTrade, Report, SymbolRules
from fixgw.sim.model import text8 as t8

_MS = 1_000_000
_ZERO8 = "0.00000000"


def order_view(order: Order) -> dict[str, Any]:
    """An order as queries answer it."""
    return {
        "symbol": order.symbol, "orderId": order.order_id, "orderListId": -1, "clientOrderId": order.cl_ord_id,
        "price": t8(order.price), "origQty": t8(order.qty), "executedQty": t8(order.cum_qty),
        "cummulativeQuoteQty": t8(order.cum_quote), "status": order.status, "timeInForce": order.tif,
        "type": order.type, "side": order.side, "stopPrice": _ZERO8, "icebergQty": _ZERO8,
        "time": order.created_ns // _MS, "updateTime": order.updated_ns // _MS, "isWorking": True,
        "workingTime": order.created_ns // _MS, "origQuoteOrderQty": t8(order.quote_qty),
        "selfTradePreventionMode": order.stp,
    }  # fmt: skip


def placed_view(order: Order, response: str) -> dict[str, Any]:
    """The answer to a new order in the ACK, RESULT or FULL form."""
    ack: dict[str, Any] = {
        "symbol": order.symbol, "orderId": order.order_id, "orderListId": -1, "clientOrderId": order.cl_ord_id,
        "transactTime": order.updated_ns // _MS,
    }  # fmt: skip
    if response == "ACK":
        return ack
    result = ack | {
        "price": t8(order.price), "origQty": t8(order.qty), "executedQty": t8(order.cum_qty),
        "origQuoteOrderQty": t8(order.quote_qty), "cummulativeQuoteQty": t8(order.cum_quote), "status": order.status,
        "timeInForce": order.tif, "type": order.type, "side": order.side, "workingTime": order.created_ns // _MS,
        "selfTradePreventionMode": order.stp,
    }  # fmt: skip
    if response == "FULL":
        result["fills"] = [
            {
                "price": t8(fill.price), "qty": t8(fill.qty), "commission": t8(fill.fee),
                "commissionAsset": fill.fee_asset, "tradeId": fill.trade_id,
            }
            for fill in order.fills
        ]  # fmt: skip
    return result


def canceled_view(order: Order, cancel_id: str) -> dict[str, Any]:
    """The answer to a cancel; clientOrderId is that of the cancel, as on Binance."""
    return {
        "symbol": order.symbol, "origClientOrderId": order.cl_ord_id, "orderId": order.order_id, "orderListId": -1,
        "clientOrderId": cancel_id, "transactTime": order.updated_ns // _MS, "price": t8(order.price),
        "origQty": t8(order.qty), "executedQty": t8(order.cum_qty), "origQuoteOrderQty": t8(order.quote_qty),
        "cummulativeQuoteQty": t8(order.cum_quote), "status": order.status, "timeInForce": order.tif,
        "type": order.type, "side": order.side, "selfTradePreventionMode": order.stp,
    }  # fmt: skip


def amended_view(order: Order, orig_id: str, execution_id: int) -> dict[str, Any]:
    """The answer to an amend: other names than elsewhere (qty, cumulativeQuoteQty with one m), as on Binance."""
    return {
        "transactTime": order.updated_ns // _MS, "executionId": execution_id,
        "amendedOrder": {
            "symbol": order.symbol, "orderId": order.order_id, "orderListId": -1, "origClientOrderId": orig_id,
            "clientOrderId": order.cl_ord_id, "price": t8(order.price), "qty": t8(order.qty),
            "executedQty": t8(order.cum_qty), "preventedQty": _ZERO8, "quoteOrderQty": t8(order.quote_qty),
            "cumulativeQuoteQty": t8(order.cum_quote), "status": order.status, "timeInForce": order.tif,
            "type": order.type, "side": order.side, "workingTime": order.created_ns // _MS,
            "selfTradePreventionMode": order.stp,
        },
    }  # fmt: skip


def my_trade_view(fill: Fill) -> dict[str, Any]:
    with localcontext(CONTEXT):
        value = fill.price * fill.qty
    return {
        "symbol": fill.symbol, "id": fill.trade_id, "orderId": fill.order_id, "orderListId": -1,
        "price": t8(fill.price), "qty": t8(fill.qty), "quoteQty": t8(value), "commission": t8(fill.fee),
        "commissionAsset": fill.fee_asset, "time": fill.at_ns // _MS, "isBuyer": fill.side == BUY,
        "isMaker": fill.is_maker, "isBestMatch": True,
    }  # fmt: skip


def public_trade_view(trade: PublicTrade) -> dict[str, Any]:
    with localcontext(CONTEXT):
        value = trade.price * trade.qty
    return {
        "id": trade.trade_id, "price": t8(trade.price), "qty": t8(trade.qty), "quoteQty": t8(value),
        "time": trade.at_ns // _MS, "isBuyerMaker": trade.buyer_is_maker, "isBestMatch": True,
    }  # fmt: skip


def trade_event(trade: PublicTrade) -> dict[str, Any]:
    ms = trade.at_ns // _MS
    return {
        "e": "trade", "E": ms, "s": trade.symbol, "t": trade.trade_id, "p": t8(trade.price), "q": t8(trade.qty),
        "T": ms, "m": trade.buyer_is_maker, "M": True,
    }  # fmt: skip


def account_view(account: Account, maker: Decimal, taker: Decimal, *, omit_zero: bool) -> dict[str, Any]:
    return {
        "makerCommission": int(maker * 10_000), "takerCommission": int(taker * 10_000), "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": t8(maker), "taker": t8(taker), "buyer": _ZERO8, "seller": _ZERO8},
        "canTrade": True, "canWithdraw": False, "canDeposit": False, "brokered": False,
        "requireSelfTradePrevention": False, "preventSor": False, "updateTime": account.updated_ns // _MS,
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": t8(b.free), "locked": t8(b.locked)}
            for asset, b in sorted(account.balances.items())
            if b.free or b.locked or not omit_zero
        ],
        "permissions": ["SPOT"], "uid": 1,
    }  # fmt: skip


def execution_report(report: Report, now_ms: int) -> dict[str, Any]:
    """The user data event of one report."""
    order, fill = report.order, report.fill
    canceled = report.kind == "CANCELED"
    with localcontext(CONTEXT):
        last_value = fill.price * fill.qty if fill else Decimal(0)
    return {
        "e": "executionReport", "E": now_ms, "s": order.symbol, "c": report.cancel_id if canceled else order.cl_ord_id,
        "S": order.side, "o": order.type, "f": order.tif, "q": t8(order.qty), "p": t8(order.price), "P": _ZERO8,
        "F": _ZERO8, "g": -1, "C": order.cl_ord_id if canceled else report.orig_id, "x": report.kind, "X": report.status,
        "r": "NONE", "i": order.order_id, "l": t8(fill.qty) if fill else _ZERO8, "z": t8(report.cum_qty),
        "L": t8(fill.price) if fill else _ZERO8, "n": t8(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else None, "T": report.at_ns // _MS, "t": fill.trade_id if fill else -1,
        "v": 0, "I": order.order_id * 2 + 1, "w": report.status in ("NEW", "PARTIALLY_FILLED"),
        "m": bool(fill and fill.is_maker), "M": False, "O": order.created_ns // _MS, "Z": t8(report.cum_quote),
        "Y": t8(last_value), "Q": t8(order.quote_qty), "W": order.created_ns // _MS, "V": order.stp,
    }  # fmt: skip


def account_position(account: Account, assets: Sequence[str], now_ms: int) -> dict[str, Any]:
    balances = [(asset, account.balance(asset)) for asset in assets]
    return {
        "e": "outboundAccountPosition", "E": now_ms, "u": account.updated_ns // _MS,
        "B": [{"a": asset, "f": t8(b.free), "l": t8(b.locked)} for asset, b in balances],
    }  # fmt: skip


def levels(side: Sequence[tuple[Decimal, Decimal]]) -> list[list[str]]:
    return [[t8(price), t8(qty)] for price, qty in side]


def symbol_view(rules: SymbolRules) -> dict[str, Any]:
    """One entry of exchangeInfo."""
    return {
        "symbol": rules.symbol, "status": "TRADING", "baseAsset": rules.base, "baseAssetPrecision": 8,
        "quoteAsset": rules.quote, "quotePrecision": 8, "quoteAssetPrecision": 8, "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8, "orderTypes": list(ORDER_TYPES), "icebergAllowed": False, "ocoAllowed": False,
        "otoAllowed": False, "quoteOrderQtyMarketAllowed": True, "allowTrailingStop": False,
        "cancelReplaceAllowed": True, "amendAllowed": rules.amend_allowed, "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER", "minPrice": t8(rules.min_price), "maxPrice": t8(rules.max_price),
                "tickSize": t8(rules.tick),
            },
            {
                "filterType": "LOT_SIZE", "minQty": t8(rules.min_qty), "maxQty": t8(rules.max_qty),
                "stepSize": t8(rules.step),
            },
            {
                "filterType": "MARKET_LOT_SIZE", "minQty": _ZERO8, "maxQty": t8(rules.market_max_qty),
                "stepSize": _ZERO8,
            },
            {
                "filterType": "NOTIONAL", "minNotional": t8(rules.min_notional), "applyMinToMarket": True,
                "maxNotional": t8(rules.max_notional), "applyMaxToMarket": True, "avgPriceMins": 0,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": rules.max_open_orders},
            {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": rules.max_amends},
        ],
        "permissions": [], "permissionSets": [["SPOT"]], "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": list(STP_MODES),
    }  # fmt: skip


def coin_view(asset: str) -> dict[str, Any]:
    """One entry of capital/config/getall."""
    network = {
        "network": asset, "coin": asset, "withdrawIntegerMultiple": "0.00000001", "isDefault": True,
        "depositEnable": False, "withdrawEnable": False, "depositDesc": "", "withdrawDesc": "", "specialTips": "",
        "name": asset, "resetAddressStatus": False, "addressRegex": "", "memoRegex": "", "withdrawFee": "0",
        "withdrawMin": "0", "withdrawMax": "0", "minConfirm": "1", "unLockConfirm": "0", "sameAddress": False,
    }  # fmt: skip
    return {
        "coin": asset, "depositAllEnable": False, "withdrawAllEnable": False, "name": asset, "free": "0",
        "locked": "0", "freeze": "0", "withdrawing": "0", "ipoing": "0", "ipoable": "0", "storage": "0",
        "isLegalMoney": False, "trading": True, "networkList": [network],
    }  # fmt: skip
