"""Amends at a ccxt exchange: a working order's quantity is reduced in place.

An amend carries the new total, so that what happened can be seen: on the stream, by a query, or by sending it once more (the
venue then says that nothing would change). What is not plainly confirmed is Ambiguous.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal

from msgspec.structs import replace

from .base import Ambiguous, DefiniteReject, Done, NeverSent, Queried, VenueError
from .ccxt_dialect import Dialect
from .ccxt_trades import Asker
from .limiter import Priority
from .tracker import Tracked, Tracker
from .wire import AmendChild, QueryChild


class Amender:
    """`ask`: one request under our time limit; `look_up`: one order, into the tracker as well."""

    def __init__(
        self,
        dialect: Dialect,
        tracker: Tracker,
        ask: Asker,
        look_up: Callable[[QueryChild], Awaitable[Queried]],
        on_done: Callable[[Done, str], None],
    ) -> None:
        self._dialect = dialect
        self._tracker = tracker
        self._ask = ask
        self._look_up = look_up
        self._on_done = on_done

    async def amend(self, request: AmendChild) -> None:
        """Returns once the venue has confirmed the new total; see base.Venue."""
        tracked = self._tracker.get(request.venue_cl_ord_id)
        if tracked is not None:
            _check_against(request, tracked)
            request = replace(request, venue_order_id=request.venue_order_id or tracked.venue_order_id)
            tracked.amending = True
        try:
            # not as urgent as a cancel, whose reserve of weight is not for this
            amended = await self._ask(self._dialect.amend(request), Priority.PLACE)
        except DefiniteReject as refusal:
            if not any(mark in refusal.text for mark in self._dialect.codes.no_change):
                raise
            await self._confirm_total(request)
            return
        except Ambiguous:
            if self._total(request) == request.qty:  # the stream has shown it although the answer was lost
                return
            raise
        finally:
            if tracked is not None:
                tracked.amending = False
        tracked = self._tracker.begin(request.venue_cl_ord_id, request.symbol)
        self._tracker.name(tracked, amended.venue_order_id)
        self._tracker.shrink(tracked, request.qty)
        if amended.done is not None:
            self._on_done(amended.done, request.symbol)

    def _total(self, request: AmendChild) -> Decimal | None:
        tracked = self._tracker.get(request.venue_cl_ord_id)
        return None if tracked is None else tracked.total

    async def _confirm_total(self, request: AmendChild) -> None:
        """The venue says that nothing would change, as after an amend that happened and whose answer was lost: is it so?"""
        try:
            await self._look_up(QueryChild(venue_cl_ord_id=request.venue_cl_ord_id, symbol=request.symbol))
        except VenueError as failure:
            raise Ambiguous("AMEND_UNSETTLED", f"it may have that quantity already, but: {failure}") from None
        if self._total(request) != request.qty:
            raise Ambiguous("AMEND_UNSETTLED", f"the venue would change nothing, but shows {self._total(request)}")


def _check_against(request: AmendChild, tracked: Tracked) -> None:
    """NeverSent when what we have seen of the order leaves nothing to amend."""
    if tracked.qty is not None and request.qty > tracked.qty:
        raise NeverSent("INVALID", f"qty {request.qty:f} of {request.venue_cl_ord_id}: expected at most {tracked.qty:f}")
    if request.qty <= tracked.cum_qty:
        raise NeverSent("TOO_LATE", f"qty {request.qty:f} of {request.venue_cl_ord_id}: {tracked.cum_qty:f} is executed already")
