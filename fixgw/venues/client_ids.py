"""How each exchange takes our order id through ccxt, and tells it back. Data alone: `fixgw check` reads it without ccxt.

Each row is held against what really leaves ccxt (tests/integration/test_client_ids.py). The rows say no more than that:
what an exchange does with the id is its documentation's word. An exchange without a row is used with care: an order leaves
only if the request shows our id (id_guard.py), it is never asked for or canceled by that id, and "not found" is what complete
lists of open orders and of trades say (ccxt_orders.py). What is known not to work is in REFUSED.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IdRules:
    """`place`, `cancel`, `fetch`: ccxt's parameter that carries our id; "": it has none, so a cancel needs the venue's id and
    the order is looked for in lists. `told`: the fields of the raw order that tell the id back; (): ccxt's unified
    clientOrderId. `prefix` stands before it there and on the wire. `listed`: parameters by which the lists of open and of closed
    orders are narrowed to our id and to the venue's, "": none. `closed`: ccxt's method for ended orders. `page`: as many open
    orders may be only a part of them; 0: the list is whole. `limit`: asked for with it."""

    place: str = "clientOrderId"
    cancel: str = ""
    fetch: str = ""
    told: tuple[str, ...] = ()
    prefix: str = ""
    max_len: int = 36
    listed: tuple[str, str] = ("", "")
    # where the raw answer holds the list of open orders, of ended ones as well ("": it is the list); (): anywhere
    list_at: tuple[str, ...] = ()
    closed: str = ""
    page: int = 0
    limit: int | None = None
    # ccxt's fetchOrder fails without any id, and does not send this one when it is given ours
    fetch_names_both: bool = False
    # ccxt's fetchOrder is of no use even with the venue's id
    lists_only: bool = False
    # the raw order tells our id wherever there is one: an order without it is not ours
    sure: bool = True


_SAME = "clientOrderId"
RULES: dict[str, IdRules] = {
    "binance": IdRules(cancel=_SAME, fetch=_SAME, list_at=("",)),
    "okx": IdRules(cancel=_SAME, fetch=_SAME, told=("clOrdId",), max_len=32, page=100, list_at=("data",)),
    # fetchOrder warns and reaches 500 orders; order/realtime and order/history take orderLinkId
    "bybit": IdRules(
        cancel="orderLinkId", told=("orderLinkId",), listed=("orderLinkId", "orderId"),
        closed="fetch_canceled_and_closed_orders", page=50, limit=50, lists_only=True,
        list_at=("result.list",),
    ),
    # free text has 18 characters at most; QueryOrders takes no cl_ord_id, the lists do
    "kraken": IdRules(
        cancel=_SAME, told=("cl_ord_id",), max_len=18, listed=(_SAME, ""), closed="fetch_closed_orders",
        list_at=("result.open", "result.closed"),
    ),
    # by requests of its own, see ccxt_orders.py
    "deribit": IdRules(place="label", told=("label",), max_len=64, list_at=("result",)),
    "cryptocom": IdRules(place="client_oid", told=("client_oid",), page=100, list_at=("result.data",)),
    "coinbase": IdRules(place="client_order_id", told=("client_order_id",), max_len=128),
    # 28 characters behind the prefix. By the custom id an order is found for a while only: the list of open orders is asked too
    "gate": IdRules(cancel="*", fetch=_SAME, told=("text",), prefix="t-", max_len=28, page=100, limit=100, list_at=("",)),
    "bitget": IdRules(
        cancel=_SAME, fetch=_SAME, told=("clientOid",), max_len=32, page=100, fetch_names_both=True,
        list_at=("data", "data.list", "data.entrustedList"),
    ),
    "kucoin": IdRules(
        cancel=_SAME, fetch=_SAME, told=("clientOid",), max_len=40, page=50, list_at=("data", "data.items")
    ),
    # cancel_order takes the venue's id alone
    "bitstamp": IdRules(fetch=_SAME, told=("client_order_id",), list_at=("",)),
    "mexc": IdRules(
        cancel=_SAME, fetch=_SAME, told=("clientOrderId", "externalOid"), max_len=32, page=100, list_at=("", "data")
    ),
    "htx": IdRules(
        cancel=_SAME, fetch=_SAME, told=("client-order-id", "client_order_id"), max_len=64, page=100,
        list_at=("data", "data.orders"),
    ),
}  # fmt: skip

# exchanges whose class in ccxt is another's, with other addresses
SAME_AS: dict[str, str] = {
    "binanceus": "binance", "binanceusdm": "binance", "binancecoinm": "binance", "bybiteu": "bybit", "bybitid": "bybit",
    "gateeu": "gate", "kucoinfutures": "kucoin", "myokx": "okx", "okxus": "okx",
}  # fmt: skip

# an exchange without a row: see the module's docstring
UNLISTED = IdRules(page=10, sure=False)

# ccxt's code for their orders does not read clientOrderId. It hands the parameter on as it is, and an exchange that does not know
# it drops it: the request shows our id all the same, so that this must be known beforehand
_UNREAD = """
    alpaca bequant bit2c bitbank bitbns bitflyer bitopro bitso bitteam blofin btcbox btcturk bullish cex coincheck
    coinmate coinone coinsph coinspot digifinex fmfwio hibachi hitbtc hollaex independentreserve indodax latoken luno
    mercado mudrex nado p2b paymium toobit xt zaif
"""
_UNREAD_REASON = "ccxt does not translate our order id for it"
REFUSED: dict[str, str] = {
    **dict.fromkeys(_UNREAD.split(), _UNREAD_REASON),
    "hyperliquid": "it takes numbers of 128 bits as order ids, ours are texts",
    "bitfinex": "it takes integers as order ids, ours are texts",
}


def rules_for(exchange_id: str) -> IdRules:
    return RULES.get(SAME_AS.get(exchange_id, exchange_id), UNLISTED)


def listed(exchange_id: str) -> bool:
    """How it takes our ids has been verified."""
    return rules_for(exchange_id) is not UNLISTED


def refusal(exchange_id: str) -> str:
    """Why orders cannot be entered at this exchange through ccxt; "" when nothing is known against it."""
    reason = REFUSED.get(exchange_id, "")
    return f"{exchange_id} cannot be used: {reason}, so an order could not be found again" if reason else ""
