"""What every connector is: a small Protocol, its results, its three kinds of failure, and how a kind is found.

A connector answers `place`, `cancel`, `amend` and `query` by returning, or by raising one of
  DefiniteReject  the venue refused: the order (or the cancel) did not happen. Recoverable: tell the client.
  NeverSent       nothing left this process. The same to the client, and safe to say so.
  Ambiguous       it was sent, or may have been, and nobody answered: only a query by our id settles it. Never resend.
Everything that happens by itself (trades, ends of orders, books, balances, the state of the connection) goes to the Sink.

A new kind of venue is one file in this package with `KIND = "name"` and `def connect(settings, sink) -> Venue`;
`connect_venue` finds it by listing the package, without importing the other connectors.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Protocol, cast

from ..core.commands import InstrumentSpec, OpenOrder, Quote, VenueTrade
from .settings import VenueFileSettings
from .wire import AmendChild, CancelChild, PlaceChild, QueryChild


class VenueError(Exception):
    """Base of the three failures. `code`: the venue's or the connector's own; `text` carries no secret. `rate_limited`: for
    no other reason than a rate limit, so that the same may go a little later."""

    def __init__(self, code: str, text: str, *, rate_limited: bool = False) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.rate_limited = rate_limited


class DefiniteReject(VenueError):
    """The venue refused; nothing happened. `unknown_order`: it says that it has no such (open) order."""

    def __init__(self, code: str, text: str, *, unknown_order: bool = False, rate_limited: bool = False) -> None:
        super().__init__(code, text, rate_limited=rate_limited)
        self.unknown_order = unknown_order


class NeverSent(VenueError):
    """Nothing left this process (a check failed, the connection was refused, the deadline passed while it waited)."""


def withdrawn() -> NeverSent:
    """Of a place that a cancel has stopped."""
    return NeverSent("WITHDRAWN", "it was canceled while it waited in the venue host")


class Ambiguous(VenueError):
    """It may have reached the venue; the outcome is unknown."""


@dataclass(frozen=True, slots=True)
class Done:
    """An order that no longer works. `status` and `cum_qty` as in core.commands.ChildDone."""

    venue_cl_ord_id: str
    venue_order_id: str
    status: str
    cum_qty: Decimal | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """The venue has the order; what its answer told besides (immediate trades, an immediate end). `told`: the sink's
    `ack` has been called for it already, because the stream was faster than the answer."""

    venue_order_id: str
    trades: tuple[VenueTrade, ...] = ()
    done: Done | None = None
    told: bool = False


@dataclass(frozen=True, slots=True)
class Queried:
    """Answer to a query; fields as in core.commands.ChildQueryResult, `asked_ns` by host_clock.steady_ns (0: when it was asked
    of the connector). `outcome` is never "error" (that is an exception)."""

    outcome: str
    asked_ns: int
    venue_order_id: str = ""
    cum_qty: Decimal | None = None
    trades: tuple[VenueTrade, ...] = ()
    trades_checked: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True)
class Balances:
    """Free and total per asset. `asof_ns` (by host_clock.steady_ns): what the venue did until then is in it, as in
    BalancesReport; `later`: the assets of which that is true until a later moment. Never later than what the figures contain."""

    asof_ns: int
    free: dict[str, Decimal]
    total: dict[str, Decimal]
    later: dict[str, int] = field(default_factory=dict)

    def at(self, asset: str) -> int:
        """As of when `asset` is known."""
        return self.later.get(asset, self.asof_ns)


class Sink(Protocol):
    """Where a connector puts what happens by itself. None of these blocks or raises. Times of quotes are by
    host_clock.steady_ns."""

    def ack(self, venue_cl_ord_id: str, venue_order_id: str) -> None:
        """The stream shows that the venue has an order, before `place` returned or after it was Ambiguous."""

    def trade(self, trade: VenueTrade) -> None: ...

    def done(self, done: Done) -> None: ...

    def book(self, symbol: str, quote: Quote) -> None: ...

    def balances(self, balances: Balances) -> None: ...

    def balances_changed(self) -> None:
        """Orders ended without a word of the stream: the balances are to be asked for."""

    def instruments(self, specs: tuple[InstrumentSpec, ...]) -> None:
        """The rules of what can be traded have changed since `instruments` was asked for."""

    def odd(self, key: str, text: str) -> None:
        """The venue tells something that cannot be, and it is left out: for operations, once per `key`. "": all is well again."""

    def link(self, up: bool, reason: str = "") -> None:
        """The connection to the venue is usable again, or is not."""


class Venue(Protocol):
    """One account at one venue."""

    # the connector's abilities, as in wire.Hello
    capabilities: tuple[str, ...]

    async def start(self) -> None:
        """Begin to connect in the background; returns at once. The sink's link(True) tells when orders may come."""

    async def close(self) -> None:
        """Stop everything that `start` began."""

    async def place(self, order: PlaceChild) -> Placed: ...

    def withdraw(self, venue_cl_ord_id: str) -> bool:
        """True: the order's place has not left this process and never will; `place` raises NeverSent now. False: there is no
        such place, or it has left."""

    async def cancel(self, request: CancelChild) -> Done | None:
        """None: the end was told through the sink already. A cancel that is refused for a rate limit is sent again within
        the request's time limit: for a cancel a wait is better than a refusal."""

    async def amend(self, request: AmendChild) -> None:
        """Returns once the venue has confirmed the new quantity; NeverSent where "amend" is not among the capabilities."""

    async def query(self, request: QueryChild) -> Queried: ...

    async def instruments(self) -> tuple[InstrumentSpec, ...]: ...

    async def balances(self) -> Balances: ...

    async def open_orders(self, symbols: tuple[str, ...], everything: bool = False) -> tuple[OpenOrder, ...]:
        """Of `symbols`; `everything`: of the whole account, where the venue can tell that."""

    async def trades(self, since_ns: int, symbols: tuple[str, ...]) -> tuple[VenueTrade, ...]: ...


class _Module(Protocol):
    KIND: str

    def connect(self, settings: VenueFileSettings, sink: Sink) -> Venue: ...


_KIND = re.compile(r"""^KIND\b[^=\n]*=\s*["']([^"'\n]+)["']""", re.MULTILINE)


def kinds() -> dict[str, str]:
    """kind -> module name of this package, for each file with a top-level KIND = "..."."""
    found: dict[str, str] = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        # read, not parsed: `ast` fails where the collector interrupts it with a traceback to write (Python 3.11)
        declared = _KIND.search(path.read_text(encoding="utf-8"))
        if declared is None:
            continue
        kind = declared[1]
        if kind in found:
            raise ValueError(f"KIND {kind!r} is declared by {found[kind]}.py and by {path.name}; expected one file")
        found[kind] = path.stem
    return found


def connect_venue(settings: VenueFileSettings, sink: Sink) -> Venue:
    """The connector that `settings.kind` names; ValueError when no file declares that kind."""
    known = kinds()
    if settings.kind not in known:
        raise ValueError(f"kind: {settings.kind!r} is not a known venue kind; expected one of {', '.join(sorted(known))}")
    module = cast(_Module, importlib.import_module(f"{__package__}.{known[settings.kind]}"))
    return module.connect(settings, sink)
