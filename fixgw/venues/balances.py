"""Balances of one account: what is known per asset, what of it the gateway is told, and when the venue is asked.

Per asset the newest word counts: a snapshot that was asked for before the stream told an asset says nothing of it. The
gateway is told of the assets of the configured symbols only, and only of changes; besides, each POLL_S and after what may
have closed an order by REST (a query, a reconciliation) the venue is asked and its answer told whatever it holds: the core
keeps a reservation until a report as of a later moment.
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
        self._known: dict[str, tuple[int, Decimal, Decimal]] = {}

    def update(self, asset: str, free: Decimal, total: Decimal, told_ns: int) -> None:
        """The stream told one asset."""
        self._known[asset] = (told_ns, free, total)

    def snapshot(self, free: dict[str, Decimal], total: dict[str, Decimal], asked_ns: int) -> None:
        """The whole picture, asked for at `asked_ns`; what was told later stays."""
        kept = {asset: known for asset, known in self._known.items() if known[0] > asked_ns}
        zero = Decimal(0)
        for asset in free.keys() | total.keys():
            have = free.get(asset, zero)
            kept.setdefault(asset, (asked_ns, have, total.get(asset, have)))
        self._known = kept

    def as_of(self, asof_ns: int) -> Balances:
        return Balances(
            asof_ns,
            {asset: free for asset, (_, free, _) in self._known.items()},
            {asset: total for asset, (_, _, total) in self._known.items()},
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
        )

    def take(self, balances: Balances, *, always: bool = False) -> None:
        """Tell the gateway when something changed, or the last report is old, or `always`. Never an older word."""
        if not self._ready():
            return
        news, told = self.relevant(balances), self._told
        if told is not None and news.asof_ns < told.asof_ns:
            return
        same = told is not None and (told.free, told.total) == (news.free, news.total)
        if told is not None and same and not always and news.asof_ns - told.asof_ns < REFRESH_NS:
            return
        self._told = news
        self._tell(news)

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
