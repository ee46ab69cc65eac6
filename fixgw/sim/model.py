"""What the matching engine trades in: symbols and their filters, orders, reports, accounts, refusals.

Units: prices, quantities and balances are Decimal (price in quote per base, quantity in base); times are integer
nanoseconds since the epoch, always given by the caller. Nothing here reads a clock or does I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Context, Decimal

ZERO = Decimal(0)
BUY, SELL = "BUY", "SELL"
HOUSE = "house"  # the liquidity of the venue itself: unlimited, never in the ledger, order ids below zero
STREET = "street"  # a third participant, driven over the control interface: unlimited, but in the ledger
OPEN_STATUSES = frozenset({"NEW", "PARTIALLY_FILLED"})
ORDER_TYPES = ("LIMIT", "LIMIT_MAKER", "MARKET")
TIMES_IN_FORCE = ("GTC", "IOC", "FOK")
STP_MODES = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")

# A context of our own: other libraries in the process are known to change the shared one.
CONTEXT = Context(prec=50)
_CENTS = Decimal("0.00000001")


class Refused(Exception):
    """The exchange refuses a request: Binance error code and text."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(f"{code}: {msg}")
        self.code = code
        self.msg = msg


def text8(value: Decimal) -> str:
    """A number as Binance writes it: fixed point with eight decimals."""
    return format(value, ".8f")


def floor_step(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of step that is not above value (step > 0)."""
    return value // step * step


def truncate8(value: Decimal) -> Decimal:
    """Cut to the eight decimals of an asset, never up."""
    return value.quantize(_CENTS, rounding=ROUND_DOWN)


@dataclass(frozen=True, slots=True)
class SymbolRules:
    """One market with its filters, as exchangeInfo tells them."""

    base: str
    quote: str
    tick: Decimal = Decimal("0.01")
    min_price: Decimal = Decimal("0.01")
    max_price: Decimal = Decimal("1000000")
    step: Decimal = Decimal("0.00001")
    min_qty: Decimal = Decimal("0.00001")
    max_qty: Decimal = Decimal("9000")
    market_max_qty: Decimal = Decimal("100")
    min_notional: Decimal = Decimal("5")
    max_notional: Decimal = Decimal("9000000")
    max_open_orders: int = 200_000
    amend_allowed: bool = True
    max_amends: int = 10

    @property
    def symbol(self) -> str:
        return self.base + self.quote

    def check_price(self, price: Decimal) -> None:
        """Raise Refused(-1013) unless the price passes PRICE_FILTER."""
        if not self.min_price <= price <= self.max_price or price % self.tick:
            raise Refused(-1013, "Filter failure: PRICE_FILTER")

    def check_quantity(self, qty: Decimal, *, market: bool) -> None:
        """Raise Refused(-1013) unless the quantity passes LOT_SIZE (and MARKET_LOT_SIZE)."""
        if not self.min_qty <= qty <= self.max_qty or qty % self.step:
            raise Refused(-1013, "Filter failure: LOT_SIZE")
        if market and qty > self.market_max_qty:
            raise Refused(-1013, "Filter failure: MARKET_LOT_SIZE")

    def check_notional(self, notional: Decimal) -> None:
        """Raise Refused(-1013) unless the value in quote passes NOTIONAL."""
        if not self.min_notional <= notional <= self.max_notional:
            raise Refused(-1013, "Filter failure: NOTIONAL")


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A new order as asked for; quantity or (MARKET only) quote_qty is given."""

    account: str
    symbol: str
    side: str
    type: str
    cl_ord_id: str
    qty: Decimal | None = None
    price: Decimal | None = None
    quote_qty: Decimal | None = None
    tif: str = "GTC"
    stp: str = "NONE"


@dataclass(slots=True)
class Order:
    """An order of the exchange's memory; the engine alone changes it."""

    order_id: int
    account: str
    symbol: str
    side: str
    type: str
    tif: str
    cl_ord_id: str
    price: Decimal
    qty: Decimal
    quote_qty: Decimal
    stp: str
    created_ns: int
    updated_ns: int
    status: str = "NEW"
    cum_qty: Decimal = ZERO
    cum_quote: Decimal = ZERO
    locked: Decimal = ZERO  # what this order still holds: quote for a buy, base for a sell
    fills: list[Fill] = field(default_factory=list)
    amends: int = 0

    @property
    def leaves(self) -> Decimal:
        return self.qty - self.cum_qty

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_STATUSES

    @property
    def locked_at_entry(self) -> Decimal:
        """What a resting kind of order locks when it is accepted; market orders never rest."""
        if self.type == "MARKET":
            return ZERO
        return self.price * self.qty if self.side == BUY else self.qty

    @property
    def is_house(self) -> bool:
        return self.order_id < 0


@dataclass(frozen=True, slots=True)
class Fill:
    """One side of one trade; fee is in fee_asset, the asset received."""

    trade_id: int
    order_id: int
    cl_ord_id: str
    account: str
    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    fee: Decimal
    fee_asset: str
    is_maker: bool
    at_ns: int


@dataclass(frozen=True, slots=True)
class Report:
    """What happened to an order, with its figures as they stood then (the order itself moves on).

    kind is NEW, TRADE, REPLACED (amended in place), CANCELED or EXPIRED; fill is set for TRADE only; cancel_id is the id of
    the cancel request, orig_id the client id that an amended order had before.
    """

    kind: str
    order: Order
    status: str
    cum_qty: Decimal
    cum_quote: Decimal
    at_ns: int
    fill: Fill | None = None
    cancel_id: str = ""
    orig_id: str = ""


@dataclass(frozen=True, slots=True)
class PublicTrade:
    """A trade as everybody sees it."""

    symbol: str
    trade_id: int
    price: Decimal
    qty: Decimal
    buyer_is_maker: bool
    at_ns: int


Event = Report | PublicTrade


@dataclass(slots=True)
class Balance:
    free: Decimal = ZERO
    locked: Decimal = ZERO


@dataclass(slots=True)
class Account:
    """A participant. An unlimited one is never refused for its balance, which may go below zero."""

    name: str
    balances: dict[str, Balance] = field(default_factory=dict)
    unlimited: bool = False
    updated_ns: int = 0

    def balance(self, asset: str) -> Balance:
        found = self.balances.get(asset)
        if found is None:
            found = self.balances[asset] = Balance()
        return found
