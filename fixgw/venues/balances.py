"""Balances of one account: what is known per asset, what of it the gateway is told, and when the venue is asked.

Per asset the newest word counts: a snapshot that was asked for before the stream told an asset says nothing of it, nor does
an event of the stream that is older than what is known, by our clock or by the venue's. The gateway is told of the assets of
the configured symbols only, and only of changes; besides, each POLL_S and after what may have closed an order by REST (a
query, a reconciliation), or where the stream is late (covering.py), the venue is asked and its answer told whatever it holds:
the core keeps a reservation until a report as of a later moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal

from .base import Balances, VenueError

log = logging.getLogger(__name__)
# below 30 s, which is how old a report may be at most
POLL_S = 25.0
REFRESH_NS = 25_000_000_000
# requests after closed orders are gathered for this long
GATHER_S = 0.2
# and the venue is not asked more often than this
GAP_S = 2.0
RETRY_S = 5.0


def assets_of(symbols: Iterable[str]) -> frozenset[str]:
    """Base, quote and settlement assets of BASE/QUOTE or BASE/QUOTE:SETTLE-EXPIRY."""
    found: set[str] = set()
    for symbol in symbols:
        pair, _, settle = symbol.partition(":")
        found.update(pair.split("/"), [settle.partition("-")[0]])
    return frozenset(found - {""})


class BalanceBook:
    """Free and total per asset, each with the time of the word that it stands on."""

    def __init__(self) -> None:
        # as of (our clock), as of (the venue's clock; 0: it did not say), free, total
        self._known: dict[str, tuple[int, int, Decimal, Decimal]] = {}
        self._snapshot_ns = 0

    def update(self, asset: str, free: Decimal, total: Decimal, asof_ns: int, venue_ms: int = 0) -> bool:
        """The stream told one asset; False: an older word than what is known, which stays."""
        known_ns, known_ms = self._known.get(asset, (self._snapshot_ns, 0))[:2]
        if asof_ns < known_ns or venue_ms < known_ms:
            return False
        self._known[asset] = (asof_ns, venue_ms, free, total)
        return True

    def snapshot(self, free: dict[str, Decimal], total: dict[str, Decimal], asked_ns: int) -> None:
        """The whole picture, asked for at `asked_ns`; what was told later stays."""
        if asked_ns < self._snapshot_ns:
            return  # overtaken by a later one
        kept = {asset: known for asset, known in self._known.items() if known[0] > asked_ns}
        zero = Decimal(0)
        for asset in free.keys() | total.keys():
            have = free.get(asset, zero)
            venue_ms = self._known[asset][1] if asset in self._known else 0
            kept.setdefault(asset, (asked_ns, venue_ms, have, total.get(asset, have)))
        self._known, self._snapshot_ns = kept, asked_ns

    def balances(self) -> Balances:
        """All that is known, as of the last snapshot and, asset by asset, of what the stream told later."""
        return Balances(
            self._snapshot_ns,
            {asset: free for asset, (_, _, free, _) in self._known.items()},
            {asset: total for asset, (_, _, _, total) in self._known.items()},
            {asset: asof_ns for asset, (asof_ns, _, _, _) in self._known.items() if asof_ns > self._snapshot_ns},
        )


class BalanceDesk:
    """Decides what the gateway is told, and asks. `ask` gives the venue's word, `tell` sends a report, `ready`: the venue
    is up and the gateway linked."""

    def __init__(
        self,
        symbols: Iterable[str],
        *,
        ask: Callable[[], Awaitable[Balances]],
        tell: Callable[[Balances], None],
        ready: Callable[[], bool],
        name: str = "",
    ) -> None:
        self._assets = assets_of(symbols)
        self._ask = ask
        self._tell = tell
        self._ready = ready
        self._name = name
        self._told: Balances | None = None
        self._bell = asyncio.Event()

    def relevant(self, balances: Balances) -> Balances:
        """Without the assets that no configured symbol has."""
        return Balances(
            balances.asof_ns,
            {asset: value for asset, value in balances.free.items() if asset in self._assets},
            {asset: value for asset, value in balances.total.items() if asset in self._assets},
            {asset: asof_ns for asset, asof_ns in balances.later.items() if asset in self._assets},
        )

    def take(self, balances: Balances, *, always: bool = False) -> None:
        """Tell the gateway when something changed, or the last report is old, or `always`. Never an older word."""
        if not self._ready():
            return
        news, told = self.relevant(balances), self._told
        if told is not None and (news.asof_ns < told.asof_ns or any(news.at(a) < at_ns for a, at_ns in told.later.items())):
            return
        same = told is not None and (told.free, told.total) == (news.free, news.total)
        # the same figures as of a later event are news: an order has ended and another one of that size has come
        same = same and (told is None or all(told.at(asset) >= at_ns for asset, at_ns in news.later.items()))
        if told is not None and same and not always and news.asof_ns - told.asof_ns < REFRESH_NS:
            return
        self._tell(news)
        self._told = news

    def forget(self) -> None:
        """A new link: its gateway was told nothing yet."""
        self._told = None

    def refresh(self) -> None:
        """Ask the venue soon."""
        self._bell.set()

    async def run(self) -> None:
        """Ask each POLL_S and after `refresh`; ended by cancellation."""
        loop = asyncio.get_running_loop()
        asked = loop.time() - GAP_S
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._bell.wait(), POLL_S)
            await asyncio.sleep(max(GATHER_S, asked + GAP_S - loop.time()))
            self._bell.clear()
            if not self._ready():
                continue  # reconciliation asks, once it can
            asked = loop.time()
            try:
                self.take(await self._ask(), always=True)
            except Exception as error:  # the outer loop: a reservation must not be kept for good
                text = str(error) if isinstance(error, VenueError) else type(error).__name__
                log.warning("%s: balances not fetched: %s", self._name, text)
                await asyncio.sleep(RETRY_S)
                self._bell.set()
