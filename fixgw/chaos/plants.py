"""Known bugs, planted into the gateway under test. Each must be found by `fixgw chaos --plant NAME`.

A plant gets the gateway after it was put together and before it is started; it replaces one step by a wrong one. It also comes
by the trap PLANTED where a death brings the bug to light for certain: a run with a plant arms that trap once (run.py), so that
finding it does not depend on what the other kills happen to hit.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from .. import app
from ..core import events as e
from ..core import settle
from ..core.child import SENT, UNKNOWN, Child
from ..core.codec import Record
from ..core.commands import VenueTrade
from ..core.draft import Draft
from ..core.reports import Report
from ..engine import Engine
from ..fix import acceptor
from ..fix.delivery import END, Delivery
from ..fix.owed import concerns
from ..fix.session_store import key_of
from .traps import PLANTED, Trap

_WRITE_BACK_S: Final = 0.25
_DURABLE_S: Final = 2.0


def ack_before_journal(gateway: app.Gateway, trap: Trap) -> None:
    """Answers and child orders leave at once; the journal is written a moment later. Found by a death after a report was given
    to its client and before it was written."""
    commit = gateway.journal.commit
    told_seq = 0

    def told(record: Record) -> None:
        nonlocal told_seq
        if _has_report(record):
            told_seq = record.seq

    gateway.engine.on_durable.append(told)
    setattr(gateway.journal, "commit", lambda: gateway.journal.last_seq)  # noqa: B010

    def write_back() -> None:
        written_seq = gateway.journal.last_seq
        while True:
            time.sleep(_WRITE_BACK_S)
            if trap.armed(PLANTED) and told_seq > written_seq:
                time.sleep(_WRITE_BACK_S)  # until it has reached its client
                trap.hit(PLANTED)
            written_seq = commit()

    threading.Thread(target=write_back, name="planted-write-back", daemon=True).start()


def _has_report(record: Record) -> bool:
    """One that the judge looks for at its client and on the drop copy."""
    return any(
        isinstance(event, e.Reported) and isinstance(event.message, Report) and not event.message.status_reply
        for event in record.events
    )


def resend_unknown(gateway: app.Gateway, trap: Trap) -> None:
    """A place without an answer is sent once more before anybody asks what became of it; all of them after a start or a
    reconnect. Under a new id, as clients do whose library makes one per request: the same id is refused by the venue host
    (it was placed before) and by exchanges while the first order is open, so that this plant would hide behind them. Found
    by a death after a place was sent: the next process does not know its answer."""
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
        if any(isinstance(event, e.ChildPlaced) for event in record.events):
            trap.hit(PLANTED)

    listeners = gateway.engine.on_durable
    listeners[listeners.index(effect)] = planted


def _placed(child: Child) -> e.ChildPlaced:
    same = set(e.ChildPlaced.__struct_fields__) & set(Child.__struct_fields__)
    fields: dict[str, Any] = {name: getattr(child, name) for name in same}
    fields |= {"venue_cl_ord_id": f"{child.venue_cl_ord_id}R", "expires_ns": 0}
    return e.ChildPlaced(ts_ns=child.sent_ns, **fields)


class _EagerDelivery(Delivery):
    """The cursor moves when a report is taken up for sending, not when the counterparty has confirmed it."""

    trap: Trap
    core: Engine

    def _record(self, record: Record, wipes: int) -> bool:
        if any(isinstance(event, e.Reported) and concerns(self.session, event) is not None for event in record.events):
            self._advance(record.seq)
            if self.trap.armed(PLANTED) and self._still_to_send(record) and self._is_durable(record.seq):
                self.trap.hit(PLANTED)
        return super()._record(record, wipes)

    def _still_to_send(self, record: Record) -> bool:
        """All of it: nothing was handed over, nothing is in QuickFIX's store from before."""
        with self._mutex:
            return (
                _has_report(record)
                and self._done <= (record.seq - 1, END)
                and not any(isinstance(event, e.Reported) and self._in_store[key_of(event.message)] for event in record.events)
            )

    def _is_durable(self, cursor: int) -> bool:
        """The journal holds that it was delivered up to the cursor; False: not in time."""
        with self.core.reading(submitted=True) as state:
            found, seq = state.sessions.get(self.session.name), state.seq
        deadline = time.monotonic() + _DURABLE_S
        while self.core.durable_seq < seq and time.monotonic() < deadline:
            self.core.settle()
            time.sleep(0.001)
        return found is not None and found.delivered_seq >= cursor and self.core.durable_seq >= seq


def skip_redelivery(gateway: app.Gateway, trap: Trap) -> None:
    """What was never handed over counts as delivered after a crash. Found by a death between the two."""
    _EagerDelivery.trap, _EagerDelivery.core = trap, gateway.engine
    setattr(acceptor, "Delivery", _EagerDelivery)  # noqa: B010


def no_trade_dedup(gateway: app.Gateway, trap: Trap) -> None:
    """A trade that comes again (by the stream and by reconciliation) counts again. Found by a death after a trade was journaled:
    the next process asks for the trades of the last minutes."""
    right = settle.trade
    numbers = itertools.count(2)

    def planted(draft: Draft, venue: str, item: VenueTrade) -> None:
        child = settle.find_child(draft, venue, item.venue_cl_ord_id, item.venue_order_id, item.symbol)
        if child is not None and item.venue_trade_id in child.fills:
            item = msgspec.structs.replace(item, venue_trade_id=f"{item.venue_trade_id}.{next(numbers)}")
        right(draft, venue, item)

    # wherever it has been imported to: the words of venues, reconciliation, operations
    for name, module in list(sys.modules.items()):
        if name.startswith("fixgw.core.") and getattr(module, "trade", None) is right:
            setattr(module, "trade", planted)  # noqa: B010

    def traded(record: Record) -> None:
        if any(isinstance(event, e.OrderFilled) for event in record.events):
            trap.hit(PLANTED)

    gateway.engine.on_durable.append(traded)


PLANTS: Final[dict[str, Callable[[app.Gateway, Trap], None]]] = {
    "ack-before-journal": ack_before_journal,
    "resend-unknown": resend_unknown,
    "skip-redelivery": skip_redelivery,
    "no-trade-dedup": no_trade_dedup,
}
