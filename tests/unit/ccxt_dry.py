"""What ccxt would send: any exchange of ccxt, with the connector's hooks and dialect, one market and no network."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ccxt.async_support
import ccxt.pro

from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.settings import parse_venue

EXCHANGES = tuple(sorted({*ccxt.pro.exchanges, *ccxt.async_support.exchanges}))
OUR_ID = "ABCDE0010000001C01"
SPOT, SWAP = "BTC/USDT", "BTC/USDT:USDT"
# how an exchange names the market, where that is not BTCUSDT
_IDS = {
    "kraken": "XBTUSDT", "okx": "BTC-USDT", "coinbase": "BTC-USDT", "gate": "BTC_USDT", "kucoin": "BTC-USDT",
    "bitfinex": "tBTCUST", "htx": "btcusdt", "bitbank": "btc_usdt", "deribit": "BTC_USDT", "whitebit": "BTC_USDT",
    "xt": "btc_usdt",
}  # fmt: skip


class NoSink:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **named: None


@dataclass
class Sent:
    """One request, signed, just before it would leave."""

    method: str
    url: str
    headers: dict[str, Any]
    body: Any

    @property
    def text(self) -> str:
        return f"{self.method} {self.url} {self.headers} {self.body}"


@dataclass
class Dry:
    """A connector that sends into a list. `answer` is what each request is answered with."""

    venue: CcxtVenue
    exchange: Any
    symbol: str
    sent: list[Sent] = field(default_factory=list)
    answer: Any = field(default_factory=dict)
    failure: str = ""

    async def order(self, kind: str, price: str | None, **params: Any) -> list[Sent]:
        """What `create_order` sends; `failure` says how it ended, which with empty answers it seldom does well."""
        self.sent.clear()
        self.failure = ""
        try:
            await asyncio.wait_for(self.exchange.create_order(self.symbol, kind, "buy", "0.01", price, params), 5)
        except Exception as error:  # the answers are not what the exchange would say
            self.failure = f"{type(error).__name__}: {error}"
        return list(self.sent)


def market_of(exchange: Any, symbol: str, **fields: Any) -> dict[str, Any]:
    spot = ":" not in symbol
    steps = exchange.precisionMode == ccxt.TICK_SIZE and exchange.id != "bitfinex"
    market: dict[str, Any] = exchange.safe_market_structure({
        "id": _IDS.get(exchange.id, "BTCUSDT"), "symbol": symbol, "base": "BTC", "quote": "USDT",
        "baseId": "1" if exchange.id == "hyperliquid" else "BTC",
        "quoteId": "USDT", "settle": None if spot else "USDT", "settleId": None if spot else "USDT",
        "type": "spot" if spot else "swap", "spot": spot, "swap": not spot, "future": False, "option": False, "margin": False,
        "contract": not spot, "linear": None if spot else True, "inverse": None if spot else False,
        "subType": None if spot else "linear", "contractSize": None if spot else "1", "active": True,
        "precision": {"amount": "0.00001" if steps else 5, "price": "0.01" if steps else 2},
        "uppercaseId": "BTCUSDT", "numericId": 1,
        "limits": {"amount": {}, "price": {}, "cost": {}},
        "info": {
            "instIdCode": 1, "wsname": "XBT/USDT", "id": "1", "underlyingDecimals": "8", "settlementDecimals": "6",
            "orderTypes": ["LIMIT", "MARKET", "LIMIT_MAKER"], "permissions": ["SPOT"],
        },
    } | fields)  # fmt: skip
    return market


def dry(exchange_id: str, symbol: str = SPOT, **settings: Any) -> Dry:
    """The connector of one exchange. Raises what the connector raises when it refuses."""
    raw = {"exchange": exchange_id, "symbols": [symbol], "dialect": "general", **settings}
    venue = CcxtVenue(parse_venue(raw, "t", exchange_id), NoSink())
    exchange = venue._exchange
    exchange.apiKey, exchange.password, exchange.uid = "key-1234567890", "pass", "1"
    # base64, or base58 where they want that
    exchange.secret = "1" * 32 if exchange_id in ("woofipro", "modetrade") else base64.b64encode(b"s" * 32).decode()
    exchange.walletAddress, exchange.privateKey = "0x" + "11" * 20, "0x" + "22" * 32
    exchange.accounts = [{"id": "1", "type": "spot", "info": {}}]
    exchange.accountId, exchange.login, exchange.token = "1", "login", "token"
    exchange.options |= {"operatorId": 1, "subaccount_id": 1, "deriveWalletAddress": "0x" + "11" * 20}
    if exchange_id == "gemini":
        exchange.apiKey = "account-1234567890"
    if exchange_id == "cex":
        exchange.options["createOrder"] = {"accountId": "main1"}
    exchange.set_markets([market_of(exchange, symbol)])
    made = Dry(venue, exchange, symbol)

    async def loaded(*args: Any, **named: Any) -> Any:
        return exchange.markets

    async def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        exchange.session = type("Session", (), {"headers": {}})()
        try:
            final = exchange.prepare_request_headers(headers)
        finally:
            exchange.session = None
        made.sent.append(Sent(method, url, final, body))
        return made.answer

    exchange.load_markets, exchange.fetch = loaded, fetch
    return made




_NOISE = re.compile(r"nonce|sig|^\"?[rsv]\"?[:=]|timestamp", re.IGNORECASE)
# ccxt's own words for a flag
_UNIFIED = re.compile(r"^\W*(timeInForce\W+(IOC|FOK)|postOnly\W+true)\W*$", re.IGNORECASE)


def _words(sent: list[Sent]) -> set[str] | None:
    """What the request that carries the order says; None: none does."""
    orders = [request for request in sent if "60000" in request.text]
    if not orders:
        return None
    text = f"{orders[-1].url} {orders[-1].body}"
    return {word for word in re.split(r"[&?,{}\[\] ]+", text) if not _NOISE.search(word)}


async def said(made: Dry, **flag: Any) -> tuple[bool, bool]:
    """How the request of a limit order changes with a flag (timeInForce or postOnly): at all, and in words of the exchange's
    own, or else only by ccxt's words for it, which ccxt passes on where it knows nothing of the flag."""
    fixed = 1_700_000_000_000
    made.exchange.milliseconds = made.exchange.nonce = lambda: fixed
    made.exchange.seconds = lambda: fixed // 1000
    made.exchange.uuid = made.exchange.uuid16 = made.exchange.uuid22 = lambda *args: "u"
    plain = _words(await made.order("limit", "60000", clientOrderId=OUR_ID))
    flagged = _words(await made.order("limit", "60000", clientOrderId=OUR_ID, **flag))
    if plain is None or flagged is None:
        return False, False
    new, gone = flagged - plain, plain - flagged
    own = any(not _UNIFIED.match(word) for word in new) or any("gtc" not in word.lower() for word in gone)
    return bool(new or gone), own
