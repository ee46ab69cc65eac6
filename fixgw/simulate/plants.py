"""Known bugs, planted beside the core. Each must be found by `fixgw simulate --plant NAME`.

A plant is a part of the world with one realistic mistake in it; the product's own code knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from ..core import commands as c
from ..core import events as e
from ..core.child import WORKING
from ..core.codec import Record
from ..core.decide import decide
from ..core.ids import exec_id
from ..core.sanity import ENDS, end_problem
from .checks import child_of
from .disk import SimDisk
from .gateway import Gateway
from .session import END, GatewaySession


class EffectBeforeJournal(Gateway):
    """Reports and child orders leave as soon as the group is written; the sync comes after."""

    def commit(self, group: list[Record], waiting: list[Callable[[], None]], delay_ns: int) -> None:
        self.publish(group)
        super().commit([], waiting, delay_ns)

    def _committed(self, group: list[Record], waiting: list[Callable[[], None]]) -> None:
        self.sync()
        for then in waiting:
            then()
        self._next()

    def left(self, seq: int, what: str) -> None:
        # nobody watches the order of steps here: a cut must show it
        self._left[seq] = what


class SyncSkippedInGroup(SimDisk):
    """A group of more than one record is taken for synced by "somebody else's" sync."""

    def sync(self) -> None:
        if self.written_seq - self.synced_seq > 1:
            self.synced_seq = self.written_seq
        else:
            super().sync()


class TornTailKept(SimDisk):
    """What is behind the last valid record is left there; the next record goes behind it."""

    def cut(self, offset: int) -> None:
        pass


class FoundNotSynced(SimDisk):
    """What a killed run wrote and did not sync is taken over as it is: a power cut can make a hole in front of what the
    next run wrote."""

    def settle(self) -> None:
        pass


class NoTradeDedup(Gateway):
    """A trade that comes again (user stream, reconciliation, query) counts again."""

    _again = 1

    def submit(self, command: c.Command, then: Callable[[], None] | None = None) -> None:
        if isinstance(command, c.ChildTrade):
            command = msgspec.structs.replace(command, trade=self._renamed(command.trade))
        elif isinstance(command, c.VenueReconciled | c.ChildQueryResult):
            command = msgspec.structs.replace(command, trades=tuple(self._renamed(item) for item in command.trades))
        super().submit(command, then)

    def _renamed(self, item: c.VenueTrade) -> c.VenueTrade:
        child = self.state.find_child(item.venue_cl_ord_id)
        if child is None or item.venue_trade_id not in child.fills:
            return item
        self._again += 1
        return msgspec.structs.replace(item, venue_trade_id=f"{item.venue_trade_id}.{self._again}")


class NotFoundTooEarly(Gateway):
    """The first "not found" of a query is taken for the venue's refusal."""

    def submit(self, command: c.Command, then: Callable[[], None] | None = None) -> None:
        if isinstance(command, c.ChildQueryResult) and command.outcome == "not_found":
            command = c.ChildReject(
                ts_ns=command.ts_ns, venue=command.venue, venue_cl_ord_id=command.venue_cl_ord_id, code="-2013", text="not found"
            )
        super().submit(command, then)


class PlacedAgain(Gateway):
    """A place without an answer is sent once more."""

    def effect(self, seq: int, event: e.AnyEvent) -> None:
        super().effect(seq, event)
        if isinstance(event, e.ChildUnknown) and event.op == "place":
            child = child_of(self.state, event.venue_cl_ord_id)
            same = set(e.ChildPlaced.__struct_fields__) & set(child.__struct_fields__)
            self.place(e.ChildPlaced(ts_ns=child.sent_ns, **{name: getattr(child, name) for name in sorted(same)}))


class AckTwice(Gateway):
    """The venue's acknowledgement is reported each time that it comes."""

    def decide(self, command: c.Command) -> list[e.AnyEvent]:
        events = super().decide(command)
        if events or not isinstance(command, c.ChildAck):
            return events
        child = self.state.children.get(command.venue_cl_ord_id)
        if child is None or child.state != WORKING or not self.state.orders[child.order_id].is_open:
            return events
        last = [event.message for record in self.log for event in record.events if isinstance(event, e.Reported)]
        order = self.state.orders[child.order_id]
        for message in last:
            if getattr(message, "exec_type", "") == "0" and getattr(message, "order_id", "") == order.order_id:
                fresh = exec_id(self.state.install, self.state.epoch, self.state.seq + 1, 1)
                again = msgspec.structs.replace(message, exec_id=fresh)
                return [e.Reported(session=order.session, account=order.account, message=again)]
        return events


class InFlightNotCounted(Gateway):
    """Risk looks at positions and forgets what is still working or on its way."""

    def decide(self, command: c.Command) -> list[e.AnyEvent]:
        if not isinstance(command, c.NewOrder | c.ReplaceOrder):
            return super().decide(command)
        blind = {
            scope: msgspec.structs.replace(
                found,
                symbols={name: msgspec.structs.replace(item, open_buy=item.open_buy * 0, open_sell=item.open_sell * 0)
                         for name, item in found.symbols.items()},
            )
            for scope, found in self.state.exposures.items()
        }  # fmt: skip
        return decide(msgspec.structs.replace(self.state, exposures=blind), command)


class ReservedIgnored(Gateway):
    """Buying power is the last reported balance, whatever was sent since."""

    def decide(self, command: c.Command) -> list[e.AnyEvent]:
        if not isinstance(command, c.NewOrder):
            return super().decide(command)
        accounts = {name: msgspec.structs.replace(found, reserved={}) for name, found in self.state.accounts.items()}
        return decide(msgspec.structs.replace(self.state, accounts=accounts), command)


class UsedIdAccepted(Gateway):
    """A ClOrdID that was used before makes a second order."""

    def decide(self, command: c.Command) -> list[e.AnyEvent]:
        session = self.state.sessions.get(command.session) if isinstance(command, c.NewOrder) else None
        if session is None or not isinstance(command, c.NewOrder) or command.cl_ord_id not in session.cl_ord_ids:
            return super().decide(command)
        ids = {key: order for key, order in session.cl_ord_ids.items() if key != command.cl_ord_id}
        sessions = self.state.sessions | {session.name: msgspec.structs.replace(session, cl_ord_ids=ids)}
        return decide(msgspec.structs.replace(self.state, sessions=sessions), command)


class CancelRejectIsCancel(Gateway):
    """A refused cancel is taken for done: "it is gone anyway"."""

    def submit(self, command: c.Command, then: Callable[[], None] | None = None) -> None:
        child = self.state.children.get(command.venue_cl_ord_id) if isinstance(command, c.ChildCancelReject) else None
        if child is not None:
            command = c.ChildDone(
                ts_ns=command.ts_ns, venue=child.venue, venue_cl_ord_id=child.venue_cl_ord_id,
                venue_order_id=child.venue_order_id, status="canceled", cum_qty=child.told_qty,
            )  # fmt: skip
        super().submit(command, then)


class EndBelieved(Gateway):
    """An end is taken for one whatever its figure: "the trades will show it"."""

    def submit(self, command: c.Command, then: Callable[[], None] | None = None) -> None:
        if isinstance(command, c.ChildDone | c.ChildQueryResult) and command.cum_qty is not None:
            child = self.state.children.get(command.venue_cl_ord_id)
            status = command.status if isinstance(command, c.ChildDone) else command.outcome
            if child is not None and status in ENDS and end_problem(child, child.qty, status, command.cum_qty):
                said = {"status" if isinstance(command, c.ChildDone) else "outcome": "canceled"}
                command = msgspec.structs.replace(command, cum_qty=child.told_qty, **said)
        super().submit(command, then)


class TimeoutIsReject(Gateway):
    """A place that timed out is told to the client as rejected."""

    def submit(self, command: c.Command, then: Callable[[], None] | None = None) -> None:
        if isinstance(command, c.ChildAmbiguous) and command.op == "place":
            command = c.ChildReject(
                ts_ns=command.ts_ns, venue=command.venue, venue_cl_ord_id=command.venue_cl_ord_id, code="TIMEOUT", text=""
            )
        super().submit(command, then)


class AmendBelieved(Gateway):
    """An amend that the venue refused, or never answered, is taken for done: "it will be less, one way or another"."""

    def submit(self, command: c.Command, then: Callable[[], None] | None = None) -> None:
        if isinstance(command, c.ChildAmendReject) or (isinstance(command, c.ChildAmbiguous) and command.op == "amend"):
            child = self.state.children.get(command.venue_cl_ord_id)
            if child is not None and child.amend is not None:
                command = c.ChildAmended(
                    ts_ns=command.ts_ns, venue=command.venue, venue_cl_ord_id=command.venue_cl_ord_id, qty=child.amend
                )
        super().submit(command, then)


class ClockFrozen(Gateway):
    """Time never goes back: while the wall clock is behind where it was, time stands still."""

    _latest = 0

    def _reset(self) -> None:
        super()._reset()
        self._latest = 0

    def now_ns(self) -> int:
        self._latest = max(self._latest, self.sim.now + self.clock.offset)
        return self._latest


class ClockFollowed(Gateway):
    """Time is the wall clock's, whatever that does; hosts and deadlines are on their own."""

    def now_ns(self) -> int:
        return self.sim.now + self.clock.offset


class RedeliverySkipped(GatewaySession):
    """After a start everything in the journal counts as delivered."""

    def begin(self) -> None:
        self.done = (self.gateway.visible_seq, END)


class StoreNumberTrusted(GatewaySession):
    """The next message expected is the FIX store's, not the journal's: what was received and not journaled is never asked
    for again."""

    def first_expected(self, last_in_seq: int) -> int:
        return max(self.store.next_in, 1)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a world is built of, and the mistake in words."""

    what: str = ""
    gateway: type[Gateway] = Gateway
    disk: type[SimDisk] = SimDisk
    session: type[GatewaySession] = GatewaySession


def _gateway(kind: type[Gateway]) -> Parts:
    return Parts(_words(kind), gateway=kind)


def _words(kind: type) -> str:
    return (kind.__doc__ or "").replace("\n   ", "")


PLANTS: Final[dict[str, Parts]] = {
    "effect-before-journal": _gateway(EffectBeforeJournal),
    "sync-skipped": Parts(_words(SyncSkippedInGroup), disk=SyncSkippedInGroup),
    "torn-tail-kept": Parts(_words(TornTailKept), disk=TornTailKept),
    "found-not-synced": Parts(_words(FoundNotSynced), disk=FoundNotSynced),
    "no-trade-dedup": _gateway(NoTradeDedup),
    "not-found-early": _gateway(NotFoundTooEarly),
    "placed-again": _gateway(PlacedAgain),
    "ack-twice": _gateway(AckTwice),
    "in-flight-not-counted": _gateway(InFlightNotCounted),
    "reserved-ignored": _gateway(ReservedIgnored),
    "used-id-accepted": _gateway(UsedIdAccepted),
    "cancel-reject-is-cancel": _gateway(CancelRejectIsCancel),
    "end-believed": _gateway(EndBelieved),
    "timeout-is-reject": _gateway(TimeoutIsReject),
    "amend-believed": _gateway(AmendBelieved),
    "clock-frozen": _gateway(ClockFrozen),
    "clock-followed": _gateway(ClockFollowed),
    "redelivery-skipped": Parts(_words(RedeliverySkipped), session=RedeliverySkipped),
    "store-number-trusted": Parts(_words(StoreNumberTrusted), session=StoreNumberTrusted),
}
SOUND: Final = Parts()
