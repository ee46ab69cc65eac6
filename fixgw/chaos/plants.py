"""Known bugs, planted into the gateway under test. Each must be found by `fixgw chaos --plant NAME`.

A plant gets the gateway after it was put together and before it is started; it replaces one step by a wrong one.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from .. import app
from ..core import events as e
from ..core import settle, venue_reports
from ..core.child import SENT, UNKNOWN, Child
from ..core.codec import Record
from ..core.commands import VenueTrade
from ..core.draft import Draft
from ..fix import acceptor
from ..fix.delivery import Delivery

_WRITE_BACK_S: Final = 0.25


def ack_before_journal(gateway: app.Gateway) -> None:
    """Answers and child orders leave at once; the journal is written a moment later."""
    commit = gateway.journal.commit
    setattr(gateway.journal, "commit", lambda: gateway.journal.last_seq)  # noqa: B010

    def write_back() -> None:
        while True:
            time.sleep(_WRITE_BACK_S)
            commit()

    threading.Thread(target=write_back, name="planted-write-back", daemon=True).start()


def resend_unknown(gateway: app.Gateway) -> None:
    """A place without an answer is sent once more before anybody asks what became of it; all of them after a start or a
    reconnect. Under a new id, as clients do whose library makes one per request: the same id is refused by the venue host
    (it was placed before) and by exchanges while the first order is open, so that this plant would hide behind them."""
    links, children = gateway.links, gateway.engine.state.children
    effect = links.effect

    def planted(record: Record) -> None:
        for event in record.events:
            if isinstance(event, e.ChildUnknown) and event.op == "place":
                links._place(_placed(children[event.venue_cl_ord_id]))
            elif isinstance(event, e.ReconcileRequested):
                for child in list(children.values()):
                    if child.venue == event.venue and child.state in (SENT, UNKNOWN):
                        links._place(_placed(child))
        effect(record)

    listeners = gateway.engine.on_durable
    listeners[listeners.index(effect)] = planted


def _placed(child: Child) -> e.ChildPlaced:
    same = set(e.ChildPlaced.__struct_fields__) & set(Child.__struct_fields__)
    fields: dict[str, Any] = {name: getattr(child, name) for name in same}
    fields |= {"venue_cl_ord_id": f"{child.venue_cl_ord_id}R", "expires_ns": 0}
    return e.ChildPlaced(ts_ns=child.sent_ns, **fields)


class _EagerDelivery(Delivery):
    """The cursor moves when a report is taken up for sending, not when the counterparty has confirmed it."""

    def _record(self, record: Record, wipes: int) -> bool:
        if any(isinstance(event, e.Reported) and self.concerns(event) is not None for event in record.events):
            self._advance(record.seq)
        return super()._record(record, wipes)


def skip_redelivery(gateway: app.Gateway) -> None:
    """What was never handed over counts as delivered after a crash."""
    setattr(acceptor, "Delivery", _EagerDelivery)  # noqa: B010


def no_trade_dedup(gateway: app.Gateway) -> None:
    """A trade that comes again (by the stream and by reconciliation) counts again."""
    right = settle.trade
    numbers = itertools.count(2)

    def planted(draft: Draft, venue: str, item: VenueTrade) -> None:
        child = settle.find_child(draft, venue, item.venue_cl_ord_id, item.venue_order_id, item.symbol)
        if child is not None and item.venue_trade_id in child.fills:
            item = msgspec.structs.replace(item, venue_trade_id=f"{item.venue_trade_id}.{next(numbers)}")
        right(draft, venue, item)

    for module in (settle, venue_reports):
        setattr(module, "trade", planted)  # noqa: B010


PLANTS: Final[dict[str, Callable[[app.Gateway], None]]] = {
    "ack-before-journal": ack_before_journal,
    "resend-unknown": resend_unknown,
    "skip-redelivery": skip_redelivery,
    "no-trade-dedup": no_trade_dedup,
}
