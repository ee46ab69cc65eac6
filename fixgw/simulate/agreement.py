"""The end of a story: faults have stopped, the market rests. What must agree, and the first thing that does not (yet).

Exchange, gateway, clients and drop copy must come to the same orders and trades within bounded time.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import chain

from ..core import events as e
from ..core.order import OPEN, Order
from ..core.reports import CancelReject, Report
from ..core.state import READY
from .client import Client
from .exchange import SYMBOL, VENUE, Exchange
from .gateway import Gateway

ZERO = Decimal(0)


class Agreement:
    """`first()` gives the first disagreement in words, None when all agree."""

    def __init__(self, gateway: Gateway, exchange: Exchange, clients: list[Client]) -> None:
        self.gateway = gateway
        self.exchange = exchange
        self.clients = clients

    def first(self) -> str | None:
        """Whether all is at rest is looked at before all else: it is cheap."""
        return next(chain(self._unrest(), self._differences()), None)

    def _unrest(self) -> Iterator[str]:
        gateway, state = self.gateway, self.gateway.state
        if not gateway.listening or gateway.busy:
            yield "the gateway is busy"
        elif VENUE not in state.venues or state.venues[VENUE].state != READY:
            yield "the venue is not ready"
        elif state.inflight or state.uncertain:
            yield f"no outcome: {list(state.inflight)} in flight, {list(state.uncertain)} uncertain"
        for client in self.clients:
            if not client.logged_on:
                yield f"{client.name} is not logged on"
            session = gateway.sessions.get(client.name)
            if session is None or session.done[0] < gateway.visible_seq:
                yield f"{client.name}: reports wait for delivery"

    def _differences(self) -> Iterator[str]:
        state = self.gateway.state
        lossy = self.gateway.lost_records
        for order in state.all_orders():
            if order.is_open and (order.pending is not None or order.stopping):
                yield f"{order.order_id} is stuck: pending {order.pending}, stopping {order.stopping!r}"
            yield from self._order(order)
        if lossy:
            yield from self._orphans()
            return
        yield from self._positions()
        yield from self._all_known()
        for client in self.clients:
            yield from self._client(client)

    def _order(self, order: Order) -> Iterator[str]:
        """Gateway against exchange."""
        found = [self.exchange.orders[child] for child in order.children if child in self.exchange.orders]
        executed = sum((item.cum_qty for item in found), ZERO)
        if order.cum_qty != executed:
            yield f"a fill is lost or doubled: {order.order_id} has {order.cum_qty}, the exchange executed {executed}"
        works = any(item.status == "open" for item in found) or (order.held and order.status in OPEN)
        if works != (order.status in OPEN):
            yield f"{order.order_id} is {order.ord_status} here, works at the exchange: {works}"

    def _orphans(self) -> Iterator[str]:
        """After records were lost: nothing works at the exchange that is not known as live here."""
        live = self.gateway.state.venues[VENUE].live
        for order in self.exchange.orders.values():
            if order.status == "open" and order.our_id not in live:
                yield f"{order.our_id} works at the exchange, and nobody knows it"

    def _all_known(self) -> Iterator[str]:
        for order in self.exchange.orders.values():
            if self.gateway.state.find_child(order.our_id) is None:
                yield f"{order.our_id} at the exchange is no child of ours"

    def _positions(self) -> Iterator[str]:
        """Of each session, and of all: account and firm."""
        owner, total = self.gateway.checker.truth.owner, ZERO
        positions = {f"s:{client.name}": ZERO for client in self.clients if client.trades}
        for order in self.exchange.orders.values():
            for item in order.trades:
                fee = item.fee if item.fee_asset == "BTC" else ZERO
                change = (item.qty if item.side == "1" else -item.qty) - fee
                positions[f"s:{owner[order.our_id]}"] += change
                total += change
        positions |= {"firm": total} | {f"a:{name}": total for name in self.gateway.settings.accounts}
        for scope, position in positions.items():
            found = self.gateway.state.exposure(scope, SYMBOL).position
            if found != position:
                yield f"{scope}: the position is {found} here, {position} at the exchange"

    def _client(self, client: Client) -> Iterator[str]:
        """What the journal told it against what it has, report by report; then its orders, then its requests."""
        if not client.trusting:
            return
        session = self.gateway.sessions[client.name]
        told = [event.message for record in self.gateway.log for event in record.events
                if isinstance(event, e.Reported) and session.concerns(event)]  # fmt: skip
        reports = {message.exec_id: message for message in told if isinstance(message, Report)}
        for exec_id, report in reports.items():
            if exec_id not in client.books.reports:
                yield f"{client.name} never got {report}"
        for exec_id in client.books.reports:
            if exec_id not in reports:
                yield f"{client.name} got {exec_id}, which the journal does not have"
        for message in told:
            if isinstance(message, CancelReject) and (message.cl_ord_id, message.transact_ns) not in client.books.rejects:
                yield f"{client.name} never got {message}"
        yield from self._views(client)
        for cl_ord_id in client.requests:
            refused = f"{client.name} {cl_ord_id}" in self.gateway.refused_full
            if client.trades and not refused and not client.answered(cl_ord_id):
                yield f"{client.name}: {client.requests[cl_ord_id]} was never settled: {client.books.answers.get(cl_ord_id)}"
            told_of = [what for what in client.books.answers.get(cl_ord_id, ()) if what in "459"]
            once = client.requests[cl_ord_id].kind in "FG" and cl_ord_id not in client.repeated
            if once and "9" in told_of and len(told_of) > 1:
                yield f"{client.name}: {client.requests[cl_ord_id]} was refused and more: {told_of}"

    def _views(self, client: Client) -> Iterator[str]:
        for order in self.gateway.state.all_orders():
            if client.trades and order.session != client.name:
                continue
            view = client.books.orders.get(order.order_id)
            if view is None:
                yield f"{client.name} does not know {order.order_id}"
                continue
            # a drop copy has ExecutionReports only: that a pending cancel or replace was refused (35=9) it does not hear
            status = order.ord_status if not client.trades and view.status in "6E" else view.status
            if (view.cum_qty, view.leaves_qty, status) != (order.cum_qty, order.leaves_qty, order.ord_status):
                here = f"{order.ord_status} {order.cum_qty} + {order.leaves_qty}"
                yield f"{client.name}: {order.order_id} is {view.status} {view.cum_qty} + {view.leaves_qty} there, {here} here"
