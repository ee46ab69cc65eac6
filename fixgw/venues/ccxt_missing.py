"""The venue knows no order of ours: were there trades of it all the same?"""

from __future__ import annotations

from . import host_clock
from .base import Ambiguous, Queried, VenueError
from .ccxt_trades import TradeReader, may_hide_fills
from .settings import VenueFileSettings
from .tracker import Tracked
from .wire import QueryChild

GAP_MARGIN_NS = 15_000_000_000
# how far back an order may have been sent that this host never placed, when the gateway does not say
_UNKNOWN_SINCE_NS = 3_600_000_000_000


async def no_trades_either(
    reader: TradeReader, settings: VenueFileSettings, request: QueryChild, asked_ns: int, tracked: Tracked | None
) -> Queried:
    """What "not_found" is worth: with the trades checked, where all of them can be read. Ambiguous when there are trades of the
    order. `asked_ns`: when the venue was asked for it."""
    our_id, symbol = request.venue_cl_ord_id, request.symbol
    order_id = request.venue_order_id or (tracked.venue_order_id if tracked else "")
    sent_ns = request.sent_ns or (tracked.sent_ns if tracked else 0) or host_clock.to_wall(asked_ns - _UNKNOWN_SINCE_NS)
    try:
        trades, complete = await reader.shared(sent_ns - GAP_MARGIN_NS, symbol)
    except VenueError as failure:
        return Queried("not_found", asked_ns, text=f"trades not fetched: {failure}")
    mine = [t for t in trades if t.venue_cl_ord_id == our_id or (order_id and t.venue_order_id == order_id)]
    if mine:
        raise Ambiguous("CONTRADICTION", f"the venue knows no order {our_id} but lists {len(mine)} trades of it")
    hidden = may_hide_fills(
        trades,
        symbol=symbol,
        since_ns=sent_ns - settings.recv_window_ms * 1_000_000,  # clocks differ by less, or nothing is accepted
        side=request.side or (tracked.side if tracked else ""),
        qty=request.qty if request.qty is not None else (tracked.qty if tracked else None),
        venue_order_id=order_id,
    )
    text = "a trade without a client's id could be of it" if hidden else "" if complete else "too many trades to check"
    return Queried("not_found", asked_ns, trades_checked=complete and not hidden, text=text)
