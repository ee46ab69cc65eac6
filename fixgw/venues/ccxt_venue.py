"""Kind "ccxt": any exchange that ccxt knows, by configuration; see ccxt_dialect.py for what differs per exchange.

This file: orders, questions, and healing after a gap. ccxt_session.py decides when to connect and to heal.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from ..core.commands import InstrumentSpec, OpenOrder, Quote, VenueTrade
from ..core.numbers import plain
from . import host_clock
from .base import Ambiguous, Balances, DefiniteReject, Done, NeverSent, Placed, Queried, Sink, VenueError
from .ccxt_amend import Amender
from .ccxt_dialect import Dialect, dialect_for
from .ccxt_exchange import Hooks, make_exchange
from .ccxt_missing import GAP_MARGIN_NS, no_trades_either
from .ccxt_parse import dec_or, done_from, ms_to_ns, outcome, trade_from
from .ccxt_pictures import Pictures
from .ccxt_requests import Requests
from .ccxt_session import Session
from .ccxt_trades import TradeReader
from .checks import check_amend, check_place
from .client_ids import refusal
from .credentials import missing_credential, traces
from .doctrine import is_not_found, scrub
from .limiter import Priority, RateLimiter
from .listing import Listing
from .order_rate import Slot
from .placing import Placing
from .settings import VenueConfigError, VenueFileSettings
from .tasks import end_tasks
from .tracker import Tracked, Tracker
from .wire import AmendChild, CancelChild, PlaceChild, QueryChild

KIND = "ccxt"
log = logging.getLogger(__name__)
FORGET_NS = 300_000_000_000
_COMPLETING_MAX = 1000
# a place without an answer for so long is looked for: a cancel may be waiting for it
_HANGS_NS = 1_000_000_000
# a socket may be dead for as many pings before that is noticed: two are missed, and it is looked for with each
_PINGS_UNTIL_LOST = 3
# an answer came, but not one about the order
_SAYS_NOTHING = frozenset(("BAD_ANSWER", "NOT_PROVEN", "CONTRADICTION"))
# before a cancel that a rate limit refused is sent again, where the venue does not say when; doubled each time
_CANCEL_PAUSE_S = 0.25


def connect(settings: VenueFileSettings, sink: Sink) -> CcxtVenue:
    """The connector for this configuration; VenueConfigError or ValueError when it cannot work."""
    unusable = refusal(settings.exchange)
    if unusable:
        raise VenueConfigError(f"{settings.name}: exchange: {unusable}")
    return CcxtVenue(settings, sink)


class CcxtVenue:
    """One account at one ccxt exchange (base.Venue). Use from one event loop only."""

    def __init__(self, settings: VenueFileSettings, sink: Sink) -> None:
        self._settings = settings
        self._sink = sink
        credentials = {place.name: settings.read(place) for place in settings.references()}
        self._secrets = traces(credentials.values())
        chosen = dialect_for(settings.exchange) if settings.dialect == "auto" else Dialect
        self._dialect = chosen(settings, self)
        config = self._dialect.config()
        config["timeout"] = settings.request_timeout_ms
        config.setdefault("options", {}).update(settings.options)
        # the limiter needs the exchange's own figures: made with a placeholder, replaced before the first request
        hooks = Hooks(RateLimiter(6000, 100), self._dialect.weight_per_cost, settings.keep_alive_ms)
        hooks.secrets = self._secrets
        self._exchange = make_exchange(settings.exchange, config | credentials, hooks)
        missing = [name for name, must in self._exchange.requiredCredentials.items() if must and name not in credentials]
        if credentials and missing:
            raise VenueConfigError(f"{settings.name}: {missing[0]}: {missing_credential(settings.exchange, missing[0])}")
        weight = settings.rate_weight_per_minute or self._dialect.default_weight_per_minute(self._exchange)
        hooks.limiter = RateLimiter(weight, min(float(settings.cancel_reserve), weight / 8))
        self.hooks = hooks
        self._requests = Requests(settings, self._dialect, hooks, self._secrets)
        self._dialect.attach(self._exchange, hooks)
        self.capabilities: tuple[str, ...] = self._dialect.capabilities(self._exchange)
        self.listing = Listing(settings, sink, self._dialect, hooks, self._requests, self._secrets)
        self.tracker = Tracker(self._dialect.know_trade)
        self._trades = TradeReader(settings, self._dialect, self.tracker, self._secrets, self._requests.ask)
        self._pictures = Pictures(settings, sink, self._dialect, self._requests, self.listing, self._trades, self._secrets)
        self._amender = Amender(self._dialect, self.tracker, self._requests.ask, self._look_up, self.on_done)
        self._completing: set[asyncio.Task[None]] = set()
        self._placing: dict[str, Placing] = {}
        self.session = Session(settings, sink, self._dialect, self._secrets, self)
        hooks.rest_ok, self.session.forbidden = self.session.rest_ok, hooks.forbidden

    # --- life ---

    async def start(self) -> None:
        self.session.start()

    async def close(self) -> None:
        await self.session.close()
        await end_tasks((*self._completing, *self._trades.stop()))
        self._exchange.timeout_on_exit = 10
        with contextlib.suppress(Exception):
            await self._exchange.close()

    # --- what the dialect tells ---

    def on_quote(self, symbol: str, quote: Quote) -> None:
        self.session.books.on_quote(symbol, quote)

    def on_last(self, symbol: str, last: Decimal) -> None:
        self.session.books.on_last(symbol, last)

    def on_polled_last(self, symbol: str, last: Decimal, asked_ns: int = 0) -> None:
        self.session.books.on_polled_last(symbol, last, asked_ns)

    def on_lost(self, reason: str) -> None:
        self.session.on_lost(reason)

    def on_balances(self, balances: Balances) -> None:
        self._sink.balances(balances)

    def on_odd_balance(self, asset: str) -> None:
        self._pictures.on_odd_balance(asset)

    def on_balances_overdue(self) -> None:
        self._sink.balances_changed()

    def on_working(self, venue_cl_ord_id: str, symbol: str, venue_order_id: str, qty: Decimal | None = None) -> None:
        tracked = self.tracker.begin(venue_cl_ord_id, symbol)
        tracked.most = tracked.most or qty
        self.tracker.name(tracked, venue_order_id)
        if (tracked.unsure or tracked.placing) and not tracked.acked:
            # real world: events overtake the answer to the place; the ack goes first all the same
            self._ack(tracked, venue_order_id)
            tracked.unsure = False

    def _ack(self, tracked: Tracked, venue_order_id: str) -> None:
        """Here and below: nothing is known as told before it was handed over."""
        if not tracked.acked:
            self._sink.ack(tracked.venue_cl_ord_id, venue_order_id)
            tracked.acked = True

    def on_trade(self, trade: VenueTrade) -> None:
        if self.tracker.fresh(trade):
            self._sink.trade(trade)
            self.tracker.told(trade)

    def on_amended(self, venue_cl_ord_id: str, symbol: str, qty: Decimal) -> None:
        tracked = self.tracker.begin(venue_cl_ord_id, symbol)
        if not tracked.amending and tracked.qty is not None and qty < tracked.qty:
            log.warning("%s: %s: somebody else has reduced it to %s", self._settings.name, venue_cl_ord_id, qty)
        self.tracker.shrink(tracked, qty)

    def our_id(self, symbol: str, venue_order_id: str) -> str | None:
        return self.tracker.our_id(symbol, venue_order_id)

    def on_done(self, done: Done, symbol: str) -> None:
        if self.tracker.is_news(done):
            self._sink.done(done)
            self.tracker.finish(done, symbol)
            tracked = self.tracker.get(done.venue_cl_ord_id)
            if tracked is not None and self._lacks_trades(tracked, done):
                self._complete_soon(tracked)

    def ring(self) -> None:
        self.session.ring()

    # --- orders ---

    async def place(self, order: PlaceChild) -> Placed:
        check_place(order, self.listing.spec(order.symbol), self.capabilities)
        if self.tracker.full:
            raise NeverSent("TOO_MANY_ORDERS", "the host follows as many orders as it can")
        our_id = order.venue_cl_ord_id
        if self.tracker.was_placed(our_id):
            raise Ambiguous("DUPLICATE_ID", f"{our_id} was placed before by this host: never sent twice")
        tracked = self.tracker.begin(our_id, order.symbol)
        tracked.placing, tracked.side, tracked.qty, tracked.most = True, order.side, order.qty, order.qty
        call = self._requests.call_for("place", our_id, deadline_ns=order.expires_ns)
        placing = self._placing[our_id] = Placing(call)
        try:
            try:
                call.check_deadline()
                call.slot = self.hooks.order_rate.take() or await self._wait_for_slot(order)
                answer = await self._requests.run(self._dialect.create(order), call)
            except asyncio.CancelledError:
                why = placing.ended()
                if why is None:
                    raise
                raise why from None
            return self._placed(order, tracked, answer)
        except Ambiguous:
            if tracked.venue_order_id:  # real world: the stream has shown the order although the answer was lost
                return Placed(tracked.venue_order_id, told=tracked.acked)
            tracked.unsure = True
            raise
        except VenueError as failure:
            if not tracked.venue_order_id:
                (self.tracker.refused if isinstance(failure, DefiniteReject) else self.tracker.drop)(our_id)
            raise
        finally:
            tracked.placing = False
            self._placing.pop(our_id, None)
            if call.slot is not None:
                call.slot.give_back()

    def withdraw(self, venue_cl_ord_id: str) -> bool:
        placing = self._placing.get(venue_cl_ord_id)
        return placing is not None and placing.withdraw()

    async def _wait_for_slot(self, order: PlaceChild) -> Slot:
        """Until the venue's limits of new orders allow one more; NeverSent when that is too late for this order."""
        limit_ns = self._settings.request_timeout_ms * 1_000_000
        if order.expires_ns:
            limit_ns = max(0, order.expires_ns - host_clock.steady_ns())
        return await self.hooks.order_rate.reserve(limit_ns)

    def _placed(self, order: PlaceChild, tracked: Tracked, answer: dict[str, Any]) -> Placed:
        """Read the answer to a place; Ambiguous when it is not plainly about our order."""
        order_id, our_id = answer.get("id"), answer.get("clientOrderId")
        if not order_id:
            raise Ambiguous("NO_ORDER_ID", "the answer to the place names no order")
        if our_id and our_id != order.venue_cl_ord_id:
            raise Ambiguous("OTHER_ORDER", f"the answer to the place is about {our_id!r}")
        self.tracker.name(tracked, str(order_id))
        try:
            trades = self._dialect.instant_trades(answer, order.venue_cl_ord_id)
            done = self._done_of(answer, order.venue_cl_ord_id) if answer.get("status") else None
        except (ValueError, KeyError, TypeError):
            log.warning("%s: answer to %s not fully understood", self._settings.name, order.venue_cl_ord_id)
            self.ring()
            return Placed(str(order_id), told=tracked.acked)
        for trade in trades:
            self._ack(tracked, str(order_id))  # goes before
            self.on_trade(trade)
        if done is not None and self._lacks_trades(tracked, done):
            self._complete_soon(tracked)  # an end without its trades would hide them: told together, once they are fetched
        elif done is not None:
            self._ack(tracked, str(order_id))
            self.on_done(done, order.symbol)
        return Placed(str(order_id), told=tracked.acked)

    def _done_of(self, answer: dict[str, Any], our_id: str) -> Done | None:
        return done_from(answer, our_id, self._dialect.closed_is_filled)

    async def cancel(self, request: CancelChild) -> Done | None:
        our_id = request.venue_cl_ord_id
        tracked = self.tracker.get(our_id)
        try:
            answer = await self._send_cancel(request)
            done = self._done_of(answer, our_id) if answer.get("status") else None
            if done is None or done.cum_qty is None:
                done = await self._confirm_cancel(request)
        except Ambiguous:
            if tracked is not None and tracked.done is not None:
                return None
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise Ambiguous("BAD_ANSWER", scrub(str(error), self._secrets)) from None
        if not self.tracker.finish(done, request.symbol):
            return None
        tracked = self.tracker.begin(our_id, request.symbol)
        if self._lacks_trades(tracked, done):
            self._complete_soon(tracked)
        return done

    async def _send_cancel(self, request: CancelChild) -> dict[str, Any]:
        """Until the venue takes it, or refuses it for another reason than a rate limit. What Retry-After forbids is waited for
        in the limiter, before everything else; what cannot begin within the request's time limit is refused at once."""
        limit_s, limiter = self._settings.request_timeout_ms / 1000, self.hooks.limiter
        until, pause_s = time.monotonic() + limit_s, _CANCEL_PAUSE_S
        our_id, tracked = request.venue_cl_ord_id, self.tracker.get(request.venue_cl_ord_id)
        if not request.venue_order_id and tracked is not None:
            request = replace(request, venue_order_id=tracked.venue_order_id)
        if limiter.frozen_s() > limit_s:
            raise self._requests.frozen()
        while True:
            try:
                work, call = self._dialect.cancel(request), self._requests.call_for("cancel", our_id, request.venue_order_id)
                return await self._requests.run(work, call, limiter.frozen_s() + limit_s + 1.0)
            except (DefiniteReject, NeverSent) as refusal:
                left_s = until - time.monotonic()
                if not refusal.rate_limited or max(limiter.frozen_s(), pause_s) > left_s:
                    raise
                log.info("%s: cancel of %s: %s; sent again", self._settings.name, request.venue_cl_ord_id, refusal)
            if not limiter.frozen_s():
                await asyncio.sleep(pause_s)
                pause_s *= 2

    async def _confirm_cancel(self, request: CancelChild) -> Done:
        """Venues that only say "accepted": ask until the order has ended; Ambiguous when it does not."""
        for attempt in range(6):
            await asyncio.sleep(0.05 * 2**attempt)
            try:
                found = await self._look_up(QueryChild(venue_cl_ord_id=request.venue_cl_ord_id, symbol=request.symbol))
            except VenueError as failure:  # of the question: the cancel was taken
                raise Ambiguous("CANCEL_PENDING", f"the venue took the cancel, but: {failure}") from None
            if found.outcome not in ("open", "not_found"):
                return Done(request.venue_cl_ord_id, found.venue_order_id, found.outcome, found.cum_qty)
        raise Ambiguous("CANCEL_PENDING", "the venue took the cancel but still shows the order")

    async def amend(self, request: AmendChild) -> None:
        if "amend" not in self.capabilities or not self._dialect.amendable(request.symbol):
            raise NeverSent("UNSUPPORTED", f"{request.symbol}: orders are not amended here; cancel and place instead")
        check_amend(request, self.listing.spec(request.symbol))
        await self._amender.amend(request)

    # --- questions ---

    async def query(self, request: QueryChild) -> Queried:
        """One order. What has ended, with its trades told, is followed no longer."""
        found = await self._look_up(request)
        if found.trades_checked and found.outcome not in ("open", "not_found"):
            done = Done(request.venue_cl_ord_id, found.venue_order_id, found.outcome, found.cum_qty)
            self.tracker.finish(done, request.symbol)
        return found

    async def _look_up(self, request: QueryChild) -> Queried:
        our_id, symbol = request.venue_cl_ord_id, request.symbol
        tracked = self.tracker.get(our_id)
        order_id = request.venue_order_id or (tracked.venue_order_id if tracked else "")
        since_ns = request.sent_ns or (tracked.sent_ns if tracked else 0)
        call = self._requests.call_for("query", our_id, order_id)
        limit_s = self._settings.request_timeout_ms / 1000 * self._dialect.fetch_requests + 1.0
        try:
            answer = await self._requests.run(self._dialect.fetch(our_id, order_id, symbol, since_ns), call, limit_s)
        except VenueError as failure:
            if is_not_found(failure, self._dialect.codes):
                if call.guard is None or not call.guard.carried:  # the answer is about no order of ours
                    raise Ambiguous("NOT_PROVEN", f"{failure}; but the question did not name the order") from None
                return await no_trades_either(self._trades, self._settings, request, call.first_ns, tracked)
            raise
        if not answer.get("id") or (answer.get("clientOrderId") or our_id) != our_id:
            raise Ambiguous("BAD_ANSWER", "the answer to the query is not about the order")
        return await self._found(request, call.first_ns, since_ns, answer)

    async def _found(self, request: QueryChild, asked_ns: int, sent_ns: int, answer: dict[str, Any]) -> Queried:
        """The answer as ours, with the order's trades. `sent_ns`: it was not sent earlier, 0: not known."""
        our_id, symbol = request.venue_cl_ord_id, request.symbol
        try:
            found, order_id = outcome(answer, self._dialect.closed_is_filled, request.qty), str(answer["id"])
            filled, amount = dec_or(answer.get("filled")), dec_or(answer.get("amount"))
        except (ValueError, KeyError) as error:
            raise Ambiguous("BAD_ANSWER", scrub(str(error), self._secrets)) from None
        tracked = self.tracker.begin(our_id, symbol)
        self.tracker.name(tracked, order_id)
        tracked.unsure = False
        if found == "open":
            self.tracker.works(tracked, asked_ns)
        tracked.most = tracked.most or request.qty or amount
        if amount is not None and "amend" in self.capabilities:
            self.tracker.shrink(tracked, plain(amount))
        if filled is not None and request.told_qty is not None and plain(filled) == request.told_qty:
            return Queried(found, asked_ns, order_id, plain(filled), (), True)
        trades: tuple[VenueTrade, ...] = ()
        checked, text = False, ""
        try:
            since_ns = max((ms_to_ns(answer.get("timestamp")) or sent_ns) - GAP_MARGIN_NS, 0)
            raw = await self._requests.ask(self._dialect.order_trades(order_id, symbol, since_ns), Priority.QUERY)
            trades = tuple(trade_from(trade, self._settings.account, our_id) for trade in raw)
            # a list that is behind the order's own figure is not a check
            # (and without that figure there is nothing to compare it with)
            checked = filled is not None and sum((t.qty for t in trades), start=plain(filled) * 0) >= filled
        except (VenueError, ValueError, KeyError) as error:
            text = f"trades not fetched: {scrub(str(error), self._secrets)}"
        cum_qty = None if filled is None else plain(filled)
        return Queried(found, asked_ns, order_id, cum_qty, trades, checked, text)

    async def instruments(self) -> tuple[InstrumentSpec, ...]:
        await self.listing.load()
        return tuple(self.listing.specs.values())

    async def relist(self) -> None:
        await self.listing.load()

    def listed(self) -> tuple[str, ...]:
        return self.listing.known()

    async def balances(self) -> Balances:
        return await self._pictures.balances()

    async def open_orders(self, symbols: tuple[str, ...], everything: bool = False) -> tuple[OpenOrder, ...]:
        return await self._pictures.open_orders(symbols, everything)

    async def trades(self, since_ns: int, symbols: tuple[str, ...]) -> tuple[VenueTrade, ...]:
        return await self._pictures.trades(since_ns, symbols)

    # --- healing ---

    @staticmethod
    def _lacks_trades(tracked: Tracked, done: Done) -> bool:
        """The venue says that more was executed than the trades that we have seen."""
        return done.cum_qty is not None and done.cum_qty > tracked.cum_qty

    def _complete_soon(self, tracked: Tracked) -> None:
        if len(self._completing) < _COMPLETING_MAX:
            task = asyncio.ensure_future(self._complete(tracked))
            self._completing.add(task)
            task.add_done_callback(self._completing.discard)

    async def _complete(self, tracked: Tracked) -> None:
        """Fetch the trades of an order that has ended; the stream may still bring them, so not at once."""
        told = tracked.done is not None
        for attempt in range(6):
            await asyncio.sleep(0.05 * 3**attempt)
            if tracked.done is None and told:
                return  # it works: the end was not so
            if tracked.done is not None and not self._lacks_trades(tracked, tracked.done):
                return
            try:
                await self._settle(tracked)
            except VenueError as failure:
                log.info("%s: %s: trades not fetched yet: %s", self._settings.name, tracked.venue_cl_ord_id, failure)
        log.warning("%s: %s: trades are missing; the gateway goes on asking", self._settings.name, tracked.venue_cl_ord_id)

    async def prepare(self) -> None:
        """Instruments, and the private stream confirmed."""
        await self.listing.load()
        await self._requests.ask(self._dialect.open_private(), Priority.LINK, 15.0)

    async def heal(self, lost_ns: int) -> None:
        """Balances; after a gap every open order of ours, and the trades that were missed."""
        self._sink.balances(await self.balances())
        if lost_ns:
            await self.sweep()
            unnoticed_ns = _PINGS_UNTIL_LOST * self._settings.keep_alive_ms * 1_000_000
            since_ns = host_clock.to_wall(lost_ns) - GAP_MARGIN_NS - unnoticed_ns
            for trade in await self.trades(since_ns, self._settings.symbols):
                self.on_trade(trade)

    async def sweep(self) -> None:
        """Orders of ours that the venue lists no longer, or with more executed than we saw, are asked for one by one. Not
        those whose place has no answer: listed, they are known to work; else the gateway asks for them until it knows."""
        asked_ns = host_clock.steady_ns()
        known = [(t, t.placing) for t in self.tracker.open_orders() if t.began_ns < asked_ns - t.placing * _HANGS_NS]
        doubtful = self.tracker.doubtful()
        if not known and not doubtful:
            return
        symbols = tuple({t.symbol for t, _ in known} | set(self._settings.symbols))
        listed = {order.venue_cl_ord_id: order for order in await self.open_orders(symbols)}
        for our_id in [our_id for our_id in doubtful if our_id in listed]:
            self.tracker.works_after_all(our_id)
            self._sink.ack(our_id, listed[our_id].venue_order_id)  # the gateway cancels it
        ended = False
        for tracked, placing in known:
            order = listed.get(tracked.venue_cl_ord_id)
            if order is not None and order.venue_order_id and (placing or (order.unread and tracked.unsure)):
                self.on_working(tracked.venue_cl_ord_id, tracked.symbol, order.venue_order_id)
            elif tracked.unsure and order is None:
                if asked_ns - tracked.began_ns > FORGET_NS:
                    self.tracker.drop(tracked.venue_cl_ord_id)
            elif tracked.open and not placing and _in_doubt(tracked, order):
                await self._settle_alone(tracked)
                ended = ended or tracked.done is not None
        if ended:
            self._sink.balances_changed()

    async def _settle_alone(self, tracked: Tracked) -> None:
        """As _settle; an answer that says nothing of this order keeps it in question, and nothing else."""
        try:
            await self._settle(tracked)
        except VenueError as failure:
            if failure.code not in _SAYS_NOTHING and not self.listing.excuses(tracked.symbol, failure):
                raise
            log.warning("%s: %s: not settled yet: %s", self._settings.name, tracked.venue_cl_ord_id, failure)

    async def _settle(self, tracked: Tracked) -> None:
        """Ask for one order and tell what was missed."""
        unsure = tracked.unsure
        question = QueryChild(venue_cl_ord_id=tracked.venue_cl_ord_id, symbol=tracked.symbol, told_qty=tracked.cum_qty)
        found = await self._look_up(question)
        if found.outcome == "not_found":
            return  # what that means is decided by the gateway, by its own queries
        if unsure:
            self._ack(tracked, found.venue_order_id)
        for trade in found.trades:
            self.on_trade(trade)
        if found.outcome != "open":
            self.on_done(Done(tracked.venue_cl_ord_id, found.venue_order_id, found.outcome, found.cum_qty), tracked.symbol)


def _in_doubt(tracked: Tracked, listed: OpenOrder | None) -> bool:
    """The list of open orders does not say all of it."""
    return listed is None or listed.unread or listed.cum_qty > tracked.cum_qty or tracked.unsure
