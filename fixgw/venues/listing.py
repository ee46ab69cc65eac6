"""What the venue lists of our instruments: their rules, loaded, and loaded again while it lives.

An instrument that an answer lacks, or whose rules there are nonsense, is left out by itself: new orders of it are refused, it is
told of, and asked for again soon; the others trade. ccxt goes on knowing its market all the same, from an earlier answer or as
the dialect presumes it, so that its orders can be canceled and asked about and its trades are named. Where the venue refuses
questions about it (it was delisted), those are passed over and keep nothing else from being reconciled.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from ..core.commands import InstrumentSpec
from ..core.sanity import spec_is_sane
from .base import Ambiguous, DefiniteReject, NeverSent, Sink, VenueError
from .ccxt_dialect import Dialect
from .ccxt_exchange import Hooks
from .ccxt_requests import Requests
from .doctrine import scrub
from .http_guard import MARKETS_BYTES
from .limiter import Priority
from .order_rate import Limit
from .settings import VenueFileSettings

log = logging.getLogger(__name__)
RELOAD_S = 600.0
# what is missing is asked for again after this long, then after twice as long, up to the last: it is the whole list each time
RETRY_S = 15.0
RETRY_MAX_S = 300.0
_LOAD_S = 60.0
_TEN_NS = 10_000_000_000
# what can be wrong with one market
_FAULTS = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError)


class Listing:
    """Of one connection. `specs`: by symbol, of what can be traded; `missing`: the other configured symbols, with why."""

    def __init__(
        self,
        settings: VenueFileSettings,
        sink: Sink,
        dialect: Dialect,
        hooks: Hooks,
        requests: Requests,
        secrets: tuple[str, ...],
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._dialect = dialect
        self._hooks = hooks
        self._requests = requests
        self._secrets = secrets
        self.specs: dict[str, InstrumentSpec] = {}
        self.missing: dict[str, str] = {}
        # ccxt's markets of our symbols, as they were last seen
        self._markets: dict[str, Any] = {}
        self._due_s = 0.0
        self._pause_s = RETRY_S
        self._one = asyncio.Lock()
        self.know_limits(())

    def spec(self, symbol: str) -> InstrumentSpec:
        """The rules for new orders; NeverSent where there are none."""
        spec = self.specs.get(symbol)
        if spec is None:
            known = self.missing.get(symbol) or "not an instrument here"
            raise NeverSent("UNKNOWN_SYMBOL", f"symbol: {symbol!r}: {known if self._due_s else 'no instruments are loaded yet'}")
        return spec

    def known(self) -> tuple[str, ...]:
        """The symbols whose books can be had."""
        return tuple(symbol for symbol in self._settings.symbols if symbol in self.specs)

    def excuses(self, symbol: str | None, failure: VenueError) -> bool:
        """The venue refuses a question about an instrument that it does not list: nothing else has to wait for that. One that it
        was thought to list is looked for anew."""
        if symbol is None or failure.rate_limited:
            return False
        unknown = failure.code in self._dialect.codes.unknown_symbol or failure.code == "BadSymbol"
        if symbol in self.specs:
            if unknown and isinstance(failure, DefiniteReject):
                self._due_s = min(self._due_s, time.monotonic())
            return False
        return isinstance(failure, DefiniteReject) or (isinstance(failure, NeverSent) and unknown)

    async def load(self) -> None:
        """Ask anew where it is time to, and tell the sink what has changed. VenueError: no answer; NeverSent UNSUPPORTED_MARKET
        where something must not be traded at all."""
        async with self._one:
            if self._due_s and time.monotonic() < self._due_s:
                return
            call = self._requests.call(Priority.LINK)
            call.most_bytes = MARKETS_BYTES
            try:
                markets = await self._requests.run(self._fetched(), call, _LOAD_S)
                self._limits(call.answer)
                if not markets:
                    raise Ambiguous("BAD_ANSWER", f"{self._settings.exchange} lists no markets at all")
            except VenueError as failure:
                for symbol in self._markets:
                    self._go_on_with(symbol)
                if not self._due_s or call.answer is None:
                    raise
                log.warning("%s: instruments not loaded anew: %s", self._settings.name, failure)
                self._due_s = time.monotonic() + RETRY_S
                return
            self._read(markets)

    async def _fetched(self) -> Any:
        """Not by load_markets where that can be avoided: while it runs, ccxt keeps every order waiting for it."""
        exchange = self._dialect.exchange
        own = any("load_markets" in vars(kind) for kind in type(exchange).__mro__ if kind.__name__ != "Exchange")
        if own or not hasattr(exchange, "load_markets_helper") or "load_markets" in vars(exchange):
            return await exchange.load_markets(True)
        return await exchange.load_markets_helper(True)

    def _read(self, markets: dict[str, Any]) -> None:
        specs: dict[str, InstrumentSpec] = {}
        missing: dict[str, str] = {}
        for symbol in self._settings.symbols:
            try:
                specs[symbol] = self._spec_of(symbol, markets)
                self._markets[symbol] = markets[symbol]
            except _FAULTS as error:
                text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
                missing[symbol] = scrub(text, self._secrets)
                self._go_on_with(symbol)
        if set(missing) - set(self.missing) or not missing:
            self._pause_s = RETRY_S
        else:
            self._pause_s = min(self._pause_s * 2, RETRY_MAX_S)
        now_s, first = time.monotonic(), not self._due_s
        self._due_s = now_s + (self._pause_s if missing else RELOAD_S)
        before, changed = self.missing, specs != self.specs
        self.specs, self.missing = specs, missing
        for symbol in self._settings.symbols:
            if missing.get(symbol) != before.get(symbol):
                self._tell(symbol, missing.get(symbol, ""))
        if changed and not first:
            self._sink.instruments(tuple(specs.values()))

    def _spec_of(self, symbol: str, markets: dict[str, Any]) -> InstrumentSpec:
        if symbol not in markets:
            hint = "" if symbol in self._markets else "; it never was while this host lives: is it spelled right?"
            raise ValueError(f"not among the {len(markets)} markets that {self._settings.exchange} lists{hint}")
        spec = self._dialect.spec(markets[symbol])
        if not spec_is_sane(spec):
            raise ValueError("its rules are no numbers of a market")
        return spec

    def _tell(self, symbol: str, why: str) -> None:
        if why:
            log.error("%s: instrument %s cannot be traded: %s", self._settings.name, symbol, why)
        else:
            log.info("%s: instrument %s can be traded again", self._settings.name, symbol)
        self._sink.odd(f"instrument {symbol}", f"instrument {symbol} takes no new orders: {why}" if why else "")

    def _go_on_with(self, symbol: str) -> None:
        """Let ccxt know the market of an instrument all the same."""
        exchange = self._dialect.exchange
        if symbol in (exchange.markets or {}):
            return
        market = self._markets.get(symbol) or self._dialect.presumed_market(symbol)
        if market is None:
            return
        by_id = exchange.markets_by_id if exchange.markets_by_id is not None else {}
        if market["id"] in by_id:
            return  # another market's: what looks like it is a slip in the configuration
        exchange.markets, exchange.markets_by_id = exchange.markets or {}, by_id
        exchange.markets[symbol] = market
        by_id[market["id"]] = [market]

    # --- what the same answer tells of limits ---

    def _limits(self, answer: Any) -> None:
        try:
            self.know_limits(self._dialect.order_limits(answer))
            self._hooks.limiter.learn(self._dialect.weight_limit(answer))
        except ValueError as error:
            log.warning("%s: the venue's limits are not understood: %s", self._settings.name, error)

    def know_limits(self, limits: tuple[Limit, ...]) -> None:
        """The venue's limits of new orders, with the venue file's own in place of that of 10 s."""
        own = self._settings.max_orders_per_10s
        if own:
            limits = (*(limit for limit in limits if limit.interval_ns != _TEN_NS), Limit(own, _TEN_NS))
        if limits or not self._hooks.order_rate.limits:  # an answer without any takes none away
            self._hooks.order_rate.learn(limits)
