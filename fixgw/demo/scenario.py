"""The trading day as data. Prices rely on the simulator's static ladder: BTC/USDT around 60000 in steps of 1, ETH/USDT
around 3000 in steps of 0.05, best bid and ask one step away. What must trade at a known quantity and price meets an order
that the street (a third participant) placed inside that spread just before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from fixgw.demo.lines import Line

BTC: Final = "BTC/USDT"
ETH: Final = "ETH/USDT"
POST_ONLY: Final = (18, "6")
IOC: Final = "3"

# what the demo changes in the configuration that `fixgw init --demo` writes: file, key -> value
TIGHTENED: Final = {
    # a lost answer is given up after 3.5 s, not 11, so that the day fits into a minute
    "venues/sim.toml": {"recv_window_ms": "2000", "request_timeout_ms": "2500"},
    "fixgw.toml": {"margin_ms": "500"},
    # so that a notional limit can be met by an order that passes the quantity limit
    "sessions/OMS42.toml": {"max_notional": '"250000"'},
    "sessions/OMS44.toml": {"max_notional": '"250000"'},
    "sessions/OMS50.toml": {"max_notional": '"250000"'},
}


@dataclass(frozen=True, slots=True)
class Order:
    """NewOrderSingle of the client; no price: a market order."""

    cl_ord_id: str
    side: str
    order_qty: str
    symbol: str
    price: str | None = None
    tif: str = ""
    extra: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Replace:
    orig_cl_ord_id: str
    cl_ord_id: str
    order_qty: str
    price: str


@dataclass(frozen=True, slots=True)
class Cancel:
    orig_cl_ord_id: str
    cl_ord_id: str


@dataclass(frozen=True, slots=True)
class Street:
    """An order of the third participant at the exchange."""

    side: str
    quantity: str
    symbol: str
    price: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What the exchange will do wrong, once. It must have happened when the step is over."""

    kind: str
    params: dict[str, Any] = field(default_factory=dict)
    match: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kill:
    """`fixgw kill --session`, by the admin socket."""

    reason: str


@dataclass(frozen=True, slots=True)
class Resume:
    """`fixgw resume --session`."""

    reason: str


Action = Order | Replace | Cancel | Street | Fault | Kill | Resume


@dataclass(frozen=True, slots=True)
class Step:
    """Actions, and every message that the client must get for them, in order (or in any order)."""

    name: str
    actions: tuple[Action, ...]
    expected: tuple[Line, ...]
    any_order: bool = False
    timeout_s: float = 15.0


def _taken(cl_ord_id: str, qty: str) -> tuple[Line, Line]:
    """Accepted by us, confirmed by the exchange."""
    return Line("pending new", cl_ord_id, "A", "0", qty), Line("new", cl_ord_id, "0", "0", qty)


def _fill(cl_ord_id: str, qty: str, px: str, cum: str, leaves: str) -> Line:
    return Line("fill", cl_ord_id, "2" if leaves == "0" else "1", cum, leaves, qty, px)


def _rejected(cl_ord_id: str, reason: str) -> Line:
    return Line("rejected", cl_ord_id, "8", "0", "0", reason=reason)


def _silence(cl_ord_id: str, qty: str) -> tuple[Line, Line]:
    """Accepted by us, then no answer from the exchange: said so, and pending."""
    first = Line("pending new", cl_ord_id, "A", "0", qty)
    return first, Line("unknown", cl_ord_id, "A", "0", qty, reason="OUTCOME_UNKNOWN")


_TRADING: Final = (
    Step(
        "Limit order rests",
        (Order("limit", "buy", "0.5", BTC, "60000"),),
        _taken("limit", "0.5"),
    ),
    Step(
        "Partial fill by the street",
        (Street("SELL", "0.2", BTC, "60000"),),
        (_fill("limit", "0.2", "60000", "0.2", "0.3"),),
    ),
    Step(
        "Replace: more, at a lower price",
        (Replace("limit", "limit-r", "0.6", "59990"),),
        (
            Line("pending replace", "limit-r", "E", "0.2", "0.3"),
            Line("replaced", "limit-r", "1", "0.2", "0.4"),
        ),
    ),
    Step(
        "Cancel the rest",
        (Cancel("limit-r", "limit-c"),),
        (
            Line("pending cancel", "limit-c", "6", "0.2", "0.4"),
            Line("canceled", "limit-c", "4", "0.2", "0"),
        ),
    ),
    Step(
        "Market order over two prices",
        (
            Street("SELL", "0.1", BTC, "59999.50"),
            Street("SELL", "0.15", BTC, "60000"),
            Order("market", "buy", "0.25", BTC),
        ),
        (
            *_taken("market", "0.25"),
            _fill("market", "0.1", "59999.5", "0.1", "0.15"),
            _fill("market", "0.15", "60000", "0.25", "0"),
        ),
    ),
    Step(
        "IOC: what is there, rest canceled",
        (Street("SELL", "0.3", BTC, "60000"), Order("ioc", "buy", "0.5", BTC, "60000", IOC)),
        (
            *_taken("ioc", "0.5"),
            _fill("ioc", "0.3", "60000", "0.3", "0.2"),
            Line("canceled", "ioc", "4", "0.3", "0", reason="IOC_REMAINDER"),
        ),
    ),
    Step(
        "Limit order trades at once, better",
        (Street("BUY", "2", ETH, "3000"), Order("eth", "sell", "2", ETH, "2999")),
        (*_taken("eth", "2"), _fill("eth", "2", "3000", "2", "0")),
    ),
    Step(
        "Cancel of a filled order",
        (Cancel("eth", "eth-c"),),
        (Line("cancel rejected", "eth-c", "2", reason="TOO_LATE"),),
    ),
)

_REFUSED: Final = (
    Step(
        "Risk: order quantity",
        (Order("too-large", "buy", "11", BTC, "60000"),),
        (_rejected("too-large", "MAX_ORDER_QTY"),),
    ),
    Step(
        "Risk: notional of a market order",
        (Order("too-dear", "buy", "5", BTC),),
        (_rejected("too-dear", "MAX_NOTIONAL"),),
    ),
    Step(
        "Risk: price collar",
        (Order("fat-finger", "buy", "0.1", BTC, "70000"),),
        (_rejected("fat-finger", "PRICE_COLLAR"),),
    ),
    Step(
        "Risk: a ClOrdID comes twice",
        (Order("limit", "buy", "0.5", BTC, "60000"),),
        # the refusal tells where the order stands that has the ClOrdID
        (Line("rejected", "limit", "4", "0.2", "0", reason="DUPLICATE_CL_ORD_ID"),),
    ),
    Step(
        "Venue reject: post-only would trade",
        (Order("post-only", "buy", "0.1", BTC, "60500", extra=(POST_ONLY,)),),
        (Line("pending new", "post-only", "A", "0", "0.1"), _rejected("post-only", "VENUE_REJECT")),
    ),
)

_UNKNOWN: Final = (
    Step(
        "Time-out: no answer, order was placed",
        (
            Fault("hang"),
            Fault("ws_missing", match={"event": "executionReport", "execution": "NEW"}),
            Order("lost-answer", "buy", "0.3", BTC, "60000"),
        ),
        (*_silence("lost-answer", "0.3"), Line("new", "lost-answer", "0", "0", "0.3")),
    ),
    Step(
        "  and it trades like any other",
        (Street("SELL", "0.3", BTC, "60000"),),
        (_fill("lost-answer", "0.3", "60000", "0.3", "0"),),
    ),
    Step(
        "Time-out: it never arrived",
        (Fault("hang", {"accept": False}), Order("lost-order", "buy", "0.3", BTC, "59500")),
        (*_silence("lost-order", "0.3"), _rejected("lost-order", "NOT_PLACED")),
    ),
    Step(
        "Connection cut, filled meanwhile",
        (
            Street("SELL", "0.1", BTC, "60000"),
            Fault("drop_after"),
            Order("cut-off", "buy", "0.1", BTC, "60000"),
        ),
        (
            *_silence("cut-off", "0.1"),
            Line("new", "cut-off", "0", "0", "0.1"),
            _fill("cut-off", "0.1", "60000", "0.1", "0"),
        ),
    ),
)

_KILLED: Final = (
    Step(
        "Two orders rest",
        (Order("bid", "buy", "0.1", BTC, "59500"), Order("offer", "sell", "1", ETH, "3100")),
        (*_taken("bid", "0.1"), *_taken("offer", "1")),
        any_order=True,
    ),
    Step(
        "Kill switch cancels them",
        (Kill("the demo's kill switch"),),
        (
            Line("canceled", "bid", "4", "0", "0", reason="KILLED"),
            Line("canceled", "offer", "4", "0", "0", reason="KILLED"),
        ),
        any_order=True,
    ),
    Step(
        "A new order is refused",
        (Order("halted", "buy", "0.1", BTC, "59500"),),
        (_rejected("halted", "HALTED"),),
    ),
    Step(
        "Resumed: trading goes on",
        (
            Resume("the demo goes on"),
            Street("BUY", "0.4", BTC, "60000"),
            Order("last", "sell", "0.4", BTC, "60000"),
        ),
        (*_taken("last", "0.4"), _fill("last", "0.4", "60000", "0.4", "0")),
    ),
)

DAY: Final = (*_TRADING, *_REFUSED, *_UNKNOWN, *_KILLED)
