"""What the general dialect may promise of an exchange, and for which of its markets: only what is proven of ccxt's own code.

ccxt's declarations (`exchange.features`) are not proof: where its code knows nothing of `timeInForce` or `postOnly` it passes
them on by those names, the exchange ignores what it does not know, and an immediate order rests, or a passive one takes (bitstamp
declares all three and translates none). So a flag counts when it is declared for the kind of market and stands in a table of what
was seen in the requests: tests/unit/test_venue_abilities.py makes every exchange sign such orders, and fails when a new version
of ccxt does otherwise. Whatever is in no table is refused.
"""

from __future__ import annotations

from typing import Any

from .base import NeverSent
from .ccxt_parse import dec_or
from .settings import VenueConfigError

_EXPECTED = "limits count the base asset; expected spot, or contracts of 1 of it that are settled in the quote asset"
_FLAGS = {"I": ("ioc", "IOC"), "F": ("fok", "FOK"), "P": ("post_only", "PO")}
# exchange -> what is proven for spot / for linear contracts: I (IOC), F (FOK), P (post only)
PROVEN = {
    "alpaca": "I/", "aster": "IFP/IFP", "backpack": "IFP/", "bequant": "IFP/IFP", "bigone": "IP/IP", "binance": "IFP/IFP",
    "binancecoinm": "IFP/IFP", "binanceus": "IFP/", "binanceusdm": "/IFP", "bingx": "IFP/IFP", "bitfinex": "IFP/IFP",
    "bitget": "IFP/IFP", "bithumb": "IFP/", "bitopro": "P/", "bitrue": "/IFP", "bitvavo": "IFP/", "blockchaincom": "IF/",
    "blofin": "P/P", "btcmarkets": "IFP/", "bybit": "IFP/IFP", "bybiteu": "IFP/IFP", "bybitid": "IFP/IFP", "bydfi": "/IFP",
    "cex": "IF/", "coinbase": "IFP/IFP", "coinbaseexchange": "IFP/", "coinsph": "IF/", "cryptocom": "IFP/IFP",
    "deepcoin": "IP/IP", "deribit": "IFP/IFP", "digifinex": "P/P", "fmfwio": "IFP/IFP", "foxbit": "IFP/", "gate": "IFP/",
    "gateeu": "IFP/", "gemini": "IFP/IFP", "hashkey": "IFP/IFP", "hibachi": "/IP", "hitbtc": "IFP/IFP", "hollaex": "P/",
    "htx": "IFP/IFP", "hyperliquid": "IP/IP", "kraken": "IFP/", "krakenfutures": "/P", "kucoin": "IFP/", "mexc": "IFP/P",
    "myokx": "IFP/IFP", "okx": "IFP/IFP", "okxus": "IFP/IFP", "poloniex": "IFP/IFP", "tokocrypto": "IFP/", "toobit": "IFP/",
    "upbit": "IFP/", "whitebit": "IP/IP", "woo": "IFP/IFP", "xt": "IFP/IFP",
}  # fmt: skip
# spot: a market buy by quantity is sent as a quantity of the base asset. Elsewhere ccxt asks for a price, or sends the number as
# an amount of money (luno, coinmate; bybit, depending on the account)
MARKET_BUYS = frozenset((
    "alpaca", "aster", "backpack", "bequant", "binance", "binanceus", "bingx", "bitbank", "bitfinex", "bitso", "bitstamp",
    "bitvavo", "blockchaincom", "btcmarkets", "cex", "coinbaseexchange", "cryptocom", "deepcoin", "deribit", "fmfwio", "foxbit",
    "hitbtc", "hollaex", "independentreserve", "kraken", "kucoin", "mexc", "myokx", "okx", "okxus", "whitebit", "woo",
))  # fmt: skip
# spot: market orders by an amount of money, both ways
QUOTE_MARKETS = frozenset(("alpaca", "backpack", "binance", "binanceus", "bingx", "deepcoin", "mexc", "woo"))


def abilities(exchange: Any, symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Capabilities (as in wire.Hello) that hold for every one of these symbols; by their form alone, before markets are known."""
    kinds = {kind_of(symbol) for symbol in symbols}
    found = [name for letter, (name, _) in _FLAGS.items() if all(_flag(exchange, kind, letter) for kind in kinds)]
    if kinds == {"spot"} and exchange.id in QUOTE_MARKETS:
        found.append("quote_market")
    return tuple(found)


def kind_of(symbol: str) -> str:
    """ "spot", "swap" or "dated" (future, option) by a unified symbol's form: BTC/USDT, BTC/USDT:USDT, BTC/USDT:USDT-301227."""
    settle = symbol.partition(":")[2]
    return "spot" if not settle else "dated" if "-" in settle else "swap"


def _flag(exchange: Any, kind: str, letter: str) -> bool:
    spot, _, swap = PROVEN.get(exchange.id, "/").partition("/")
    if letter not in {"spot": spot, "swap": swap}.get(kind, ""):
        return False
    by = (kind, None) if kind == "spot" else (kind, "linear")
    declared = exchange.feature_value_by_type(*by, "createOrder", "timeInForce") or {}
    return declared.get(_FLAGS[letter][1]) is True


def check_market_buy(exchange_id: str, symbol: str) -> None:
    """NeverSent where a market buy by quantity would not be one."""
    if kind_of(symbol) == "spot" and exchange_id not in MARKET_BUYS:
        raise NeverSent("UNSUPPORTED", f"{symbol}: {exchange_id} takes no market buys by quantity; use a limit order")


def check_symbols(symbols: tuple[str, ...]) -> None:
    """VenueConfigError for a symbol whose very form says that it must not be traded here (check_market needs the markets)."""
    for symbol in symbols:
        pair, _, rest = symbol.partition(":")
        settle, quote = rest.partition("-")[0], pair.partition("/")[2]
        if settle and settle != quote:
            raise VenueConfigError(f"symbols: {symbol!r} is settled in {settle}: {_EXPECTED}")
        if rest.count("-") > 1:
            raise VenueConfigError(f"symbols: {symbol!r} is an option: {_EXPECTED}")


def check_market(market: dict[str, Any]) -> None:
    """NeverSent UNSUPPORTED_MARKET for a market whose quantities or values are not what our limits count: base units, times the
    price in the quote asset. A contract of 1000 DOGE would make every limit 1000 times too wide; an inverse one is worth an
    amount of money, not of coins."""
    symbol = market["symbol"]
    if not (market.get("contract") or ":" in symbol):
        return
    found = f"contracts of {market.get('contractSize')} {market.get('base')}, settled in {market.get('settle')}"
    linear = market.get("linear") is True and not market.get("inverse") and market.get("settle") == market.get("quote")
    if market.get("option") or market.get("type") == "option":
        found, linear = "an option", False
    size = dec_or(market.get("contractSize"))
    if not linear or size is None or size != 1:
        raise NeverSent("UNSUPPORTED_MARKET", f"symbols: {symbol!r}: {found}: {_EXPECTED}")
