"""The venue host and its connector, with the network to the exchange: requests, time-outs, the user stream.

A place starts when its frame is read; each later request for the same order waits until the one before is settled, or the
user stream has shown the order whose place has no answer yet; only an amend waits for nothing. A place that is still held
back when its cancel comes never leaves. What the network loses or delays ends as "ambiguous" after the time-out, whatever
the exchange did meanwhile. A restart forgets everything; requests that are on their way to the exchange still arrive there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ..core import commands as c
from ..venues import wire
from ..venues.host_clock import GatewayTime
from .channel import Channel
from .exchange import LOT, RECV_WINDOW_NS, SYMBOL, TICK, VENUE, VENUE_ACCOUNT, Exchange, Refused, VenueOrder, done_of
from .gateway import Gateway
from .scheduler import MS, SECOND, Sim

TIMEOUT_NS: Final = 5 * SECOND
BOOK_NS: Final = 700 * MS
Request = wire.PlaceChild | wire.CancelChild | wire.AmendChild | wire.QueryChild
SPEC: Final = c.InstrumentSpec(symbol=SYMBOL, venue_symbol="BTCUSDT", base="BTC", quote="USDT", tick=TICK, lot=LOT)


class Lost(Exception):
    """No answer in time."""


class Host:
    """One venue host process after the other; `dial` gives the channel to the gateway, or None."""

    def __init__(self, sim: Sim, gateway: Gateway) -> None:
        self.sim = sim
        self.gateway = gateway
        self.exchange = Exchange(sim, gateway.checker.truth, self.stream, lambda: gateway.lost_records)
        gateway.checker.free = self.exchange.free
        self.up = True
        self.venue_up = True
        self.generation = 0
        self._link: Channel | None = None
        self._chains: dict[str, deque[Request]] = {}
        # places that have not left yet
        self._held: dict[str, wire.PlaceChild] = {}
        self._known: dict[str, str] = {}
        self._reconcile = 0
        self._time = GatewayTime()
        self._time.learn(0, 0)
        self._redial()
        sim.at(BOOK_NS, self._book)

    # --- the link to the gateway ---

    def _redial(self) -> None:
        self.sim.at(self.sim.ms(50, 600), self._dial, self.generation)

    def _dial(self, generation: int) -> None:
        gateway = self.gateway
        if generation != self.generation or self._link is not None or not self.up:
            return
        if not gateway.listening:
            self._redial()
            return
        alive = gateway.generation
        inwards = Channel(self.sim, lambda frame: self._to_gateway(alive, frame))
        gateway.link = Channel(self.sim, lambda frame: self._receive(generation, frame), self._lost_frame)
        self._link = inwards
        gateway.clock.tell()
        self.sim.note("host", "connected to the gateway")
        self._tell_link("")

    def _to_gateway(self, alive: int, frame: wire.FromHost | c.VenueCommand) -> None:
        if alive == self.gateway.generation:
            self.gateway.enter(self.gateway.from_host, frame)

    def _lost_frame(self, frame: wire.ToHost) -> None:
        if isinstance(frame, wire.PlaceChild):
            self.gateway.checker.truth.gone(frame.venue_cl_ord_id)

    def link_broken(self, why: str, gateway_died: bool = False, drained: bool = False) -> None:
        """Both directions end. `drained`: what the gateway had written is still read."""
        if self._link is None:
            return
        self.sim.note("host", f"link to the gateway lost: {why}")
        self._link.cut()
        self._link = None
        outwards, self.gateway.link = self.gateway.link, None
        if outwards is not None:
            if drained:
                outwards.close()
            else:
                outwards.cut()
        if not gateway_died:
            gateway = self.gateway
            gateway.enter(gateway.submit, c.VenueLink(ts_ns=gateway.now_ns(), venue=VENUE, up=False, reason=why))
        self._reconcile += 1
        self._redial()

    def dies(self, why: str) -> None:
        """The process ends and is started again a moment later."""
        self.link_broken(why)
        self.restart()

    def restart(self) -> None:
        """Everything is forgotten; places that are held back were never sent."""
        for key in self._held:
            self.gateway.checker.truth.gone(key)
        self.generation += 1
        self._held.clear()
        self._chains.clear()
        self._known.clear()
        self.up = False
        self.sim.at(self.sim.ms(200, 3000), self._started)

    def _started(self) -> None:
        if not self.up:
            self.up = True
            self._redial()

    def outage(self, down: bool) -> None:
        """The venue cannot be reached, or can be again."""
        self.venue_up = not down
        self.sim.note("host", f"the venue is {'down' if down else 'up'}")
        self._tell_link("outage")

    def _tell_link(self, reason: str) -> None:
        self._send(c.VenueLink(ts_ns=self._clock(), venue=VENUE, up=self.venue_up, reason=reason))

    def _clock(self) -> int:
        """The gateway's, as far as it has told it (venues/host_clock.py)."""
        return self._time.at(self.sim.now)

    def _send(self, message: wire.FromHost | c.VenueCommand) -> None:
        if self._link is not None:
            self._link.send(message)

    def _book(self) -> None:
        if self._link is not None and self.venue_up:
            quote = msgspec.structs.replace(self.exchange.move(), recv_ns=self._clock(), last_ns=self._clock())
            self._send(wire.BookUpdate(venue=VENUE, symbol=SYMBOL, quote=quote))
            if self.sim.throw(0.3):
                self._balances(self.generation)
        self.sim.at(10 * BOOK_NS if self.sim.quiet else BOOK_NS, self._book)

    def _balances(self, generation: int) -> None:
        """Asked for now and then. What the exchange did until the request left is in the answer for certain."""
        asked_ns = self.sim.now

        def answer(result: Any) -> None:
            if not isinstance(result, Lost):
                free, total = result
                self._send(
                    c.BalancesReport(
                        ts_ns=self._clock(), venue=VENUE, account=VENUE_ACCOUNT, asof_ns=self._time.at(asked_ns), free=free,
                        total=total,
                    )
                )  # fmt: skip

        self._ask(generation, self.exchange.balances, answer)

    # --- the user stream ---

    def stream(self, word: c.VenueCommand) -> None:
        """The exchange says something by itself."""
        sim = self.sim
        if self.venue_up and isinstance(word, c.ChildAck | c.ChildTrade):
            self._lie(word.trade.venue_cl_ord_id if isinstance(word, c.ChildTrade) else word.venue_cl_ord_id)
        if not self.venue_up or sim.chance("event-lost", 0.03):
            return
        copies = 2 if sim.chance("event-doubled", 0.05) else 1
        for _ in range(copies):
            delay = sim.ms(100, 9000) if sim.chance("event-late", 0.05) else sim.ms(0.5, 60)
            sim.at(delay, self._hear, word)

    def _lie(self, our_id: str) -> None:
        """A word of the stream that is not so, besides the true ones."""
        order = self.exchange.orders[our_id]
        lie = self.exchange.lie(order)
        if lie is not None:
            done = done_of(order, self.sim.now)
            self.sim.at(self.sim.ms(0.5, 60), self._hear, msgspec.structs.replace(done, status=lie[0], cum_qty=lie[1]))

    def _hear(self, word: c.VenueCommand) -> None:
        if not self.up or not self.venue_up:
            return
        if isinstance(word, c.ChildAck | c.ChildDone):
            self._known[word.venue_order_id] = word.venue_cl_ord_id
        self._send(msgspec.structs.replace(word, ts_ns=self._clock()))
        our_id = word.trade.venue_cl_ord_id if isinstance(word, c.ChildTrade) else getattr(word, "venue_cl_ord_id", "")
        waiting = self._chains.get(our_id)
        if waiting and isinstance(waiting[0], wire.PlaceChild):
            self.sim.counts["the stream was faster than the place's answer"] += 1
            self._next(our_id, waiting)

    # --- requests ---

    def _receive(self, generation: int, message: wire.ToHost) -> None:
        if generation != self.generation:
            self._lost_frame(message)
        elif isinstance(message, wire.Heartbeat):
            self._time.learn(self.sim.now, message.offset_ns or 0)
        elif isinstance(message, wire.Reconcile):
            self._reconcile += 1
            self._picture(generation, self._reconcile, message)
        elif isinstance(message, wire.AmendChild):
            self._begin(generation, message)
        elif isinstance(message, Request):
            if isinstance(message, wire.PlaceChild):
                # by the steady clock from here on
                message = msgspec.structs.replace(message, expires_ns=message.expires_ns - self._clock() + self.sim.now)
                self._held[message.venue_cl_ord_id] = message
            elif isinstance(message, wire.CancelChild) and message.venue_cl_ord_id in self._held:
                self._withdraw(generation, self._held.pop(message.venue_cl_ord_id))
                return
            waiting = self._chains.setdefault(message.venue_cl_ord_id, deque())
            if waiting and isinstance(message, wire.QueryChild) and isinstance(waiting[-1], wire.QueryChild) and len(waiting) > 1:
                return  # one that waits already answers this one too
            waiting.append(message)
            if len(waiting) == 1:
                self._begin(generation, message)

    def _begin(self, generation: int, request: Request) -> None:
        delay = self.sim.ms(200, 4000) if self.sim.chance("slow", 0.04) else self.sim.ms(0.05, 0.5)
        self.sim.at(delay, self._run, generation, request)

    def _settled(self, generation: int, request: Request, *words: c.VenueCommand) -> None:
        """Answer, and go on with what waits for this order."""
        if generation != self.generation:
            return
        for word in words:
            self._send(word)
        waiting = self._chains.get(request.venue_cl_ord_id)
        if waiting and waiting[0] is request:
            self._next(request.venue_cl_ord_id, waiting)

    def _next(self, key: str, waiting: deque[Request]) -> None:
        """The first of these holds the others up no longer."""
        waiting.popleft()
        if waiting:
            self._begin(self.generation, waiting[0])
        else:
            del self._chains[key]

    def _withdraw(self, generation: int, place: wire.PlaceChild) -> None:
        """It never leaves; its answer is the cancel's too."""
        self.sim.counts["host withdraws a place"] += 1
        self.gateway.checker.truth.gone(place.venue_cl_ord_id)
        word = self._reject(place.venue_cl_ord_id, "WITHDRAWN", sent=False)
        self._settled(generation, place, msgspec.structs.replace(word, withdrawn=True))

    def _run(self, generation: int, request: Request) -> None:
        if generation != self.generation:
            return
        if isinstance(request, wire.PlaceChild):
            if self._held.pop(request.venue_cl_ord_id, None) is not None:  # else it was withdrawn
                self._place(generation, request)
        elif isinstance(request, wire.CancelChild):
            self._cancel(generation, request)
        elif isinstance(request, wire.AmendChild):
            self._amend(generation, request)
        else:
            self._query(generation, request)

    def _ask(
        self, generation: int, act: Callable[[], Any], answer: Callable[[Any], None], lost: Callable[[], None] | None = None
    ) -> None:
        """One request over the network: `act` runs at the exchange, `answer` here with its result, a Refused or a Lost.
        `lost`: it never reached the exchange, or was signed with a time that the exchange does not take."""
        sim = self.sim
        signed = abs(self.gateway.clock.offset) < RECV_WINDOW_NS
        state = {"open": True}

        def settle(result: Any) -> None:
            if state["open"] and generation == self.generation:
                state["open"] = False
                answer(result)

        def arrive() -> None:
            if not self.venue_up or not signed:
                if lost is not None:
                    lost()
                return
            try:
                result = act()
            except Refused as refused:
                result = refused
            if not sim.chance("silence", 0.03):
                sim.at(sim.ms(500, 8000) if sim.chance("late", 0.03) else sim.ms(0.5, 60), settle, result)

        if sim.chance("loss", 0.03):
            if lost is not None:
                lost()
        else:
            sim.at(sim.ms(500, 7000) if sim.chance("late", 0.03) else sim.ms(0.5, 60), arrive)
        sim.at(TIMEOUT_NS, settle, Lost())

    def _reject(self, our_id: str, code: str, sent: bool = True) -> c.ChildReject:
        return c.ChildReject(ts_ns=self._clock(), venue=VENUE, venue_cl_ord_id=our_id, code=code, text="", sent=sent)

    def _ambiguous(self, our_id: str, op: str) -> c.ChildAmbiguous:
        return c.ChildAmbiguous(ts_ns=self._clock(), venue=VENUE, venue_cl_ord_id=our_id, op=op, code="TIMEOUT", text="")

    def _place(self, generation: int, request: wire.PlaceChild) -> None:
        key, truth = request.venue_cl_ord_id, self.gateway.checker.truth
        if not self.venue_up or self.sim.now > request.expires_ns:
            code = "EXPIRED_IN_HOST" if self.venue_up else "NO_CONNECTION"
            self.sim.counts["host refuses: " + code] += 1
            truth.gone(key)
            self._settled(generation, request, self._reject(key, code, sent=False))
            return
        sent_ns = self.sim.now

        def answer(result: Any) -> None:
            words: list[c.VenueCommand]
            if isinstance(result, Refused):
                words = [self._reject(key, result.code)]
            elif isinstance(result, Lost):
                self.sim.counts["outcome unknown (place)"] += 1
                words = [self._ambiguous(key, "place")]
            else:
                words = self._placed(*result)
            self._settled(generation, request, *words)

        def act() -> tuple[VenueOrder, tuple[c.VenueTrade, ...], c.ChildDone | None]:
            order = self.exchange.place(request, sent_ns)
            return order, tuple(order.trades), done_of(order, self._clock()) if order.status != "open" else None

        self._ask(generation, act, answer, lambda: truth.gone(key))

    def _placed(
        self, order: VenueOrder, trades: tuple[c.VenueTrade, ...], done: c.ChildDone | None
    ) -> list[c.VenueCommand]:
        self._known[order.venue_order_id] = order.our_id
        words: list[c.VenueCommand] = [
            c.ChildAck(ts_ns=self._clock(), venue=VENUE, venue_cl_ord_id=order.our_id, venue_order_id=order.venue_order_id)
        ]
        words += [c.ChildTrade(ts_ns=self._clock(), venue=VENUE, trade=item) for item in trades]
        return words if done is None else [*words, done]

    def _cancel(self, generation: int, request: wire.CancelChild) -> None:
        key = request.venue_cl_ord_id

        def answer(result: Any) -> None:
            word: c.VenueCommand
            if isinstance(result, Refused):
                word = c.ChildCancelReject(
                    ts_ns=self._clock(), venue=VENUE, venue_cl_ord_id=key, code=result.code, text="", unknown_order=result.unknown
                )
            elif isinstance(result, Lost):
                self.sim.counts["outcome unknown (cancel)"] += 1
                word = self._ambiguous(key, "cancel")
            else:
                word = result
            self._settled(generation, request, word)

        def act() -> c.ChildDone:
            order = self.exchange.cancel(key, request.venue_order_id)
            return done_of(order, self._clock(), unsaid=self.sim.throw(0.2))

        self._ask(generation, act, answer)

    def _amend(self, generation: int, request: wire.AmendChild) -> None:
        key = request.venue_cl_ord_id

        def answer(result: Any) -> None:
            word: c.VenueCommand
            if isinstance(result, Refused):
                word = c.ChildAmendReject(ts_ns=self._clock(), venue=VENUE, venue_cl_ord_id=key, code=result.code, text="")
            elif isinstance(result, Lost):
                self.sim.counts["outcome unknown (amend)"] += 1
                word = self._ambiguous(key, "amend")
            else:
                word = c.ChildAmended(ts_ns=self._clock(), venue=VENUE, venue_cl_ord_id=key, qty=request.qty)
            self._settled(generation, request, word)

        self._ask(generation, lambda: self.exchange.amend(key, request.qty), answer)

    def _query(self, generation: int, request: wire.QueryChild) -> None:
        key, asked_ns = request.venue_cl_ord_id, self.sim.now

        def answer(result: Any) -> None:
            if isinstance(result, Lost | Refused):
                result = c.ChildQueryResult(ts_ns=0, venue=VENUE, venue_cl_ord_id=key, outcome="error", asked_ns=0)
            result = msgspec.structs.replace(result, ts_ns=self._clock(), asked_ns=self._time.at(asked_ns))
            self._settled(generation, request, result)

        self._ask(generation, lambda: self._look_up(request, asked_ns), answer)

    def _look_up(self, request: wire.QueryChild, asked_ns: int) -> c.ChildQueryResult:
        order = self.exchange.find(request.venue_cl_ord_id, request.venue_order_id)
        checked = not self.sim.throw(0.05)
        self.sim.counts["query: " + (order.status if order is not None else "not_found")] += 1
        if order is None:
            return c.ChildQueryResult(
                ts_ns=self._clock(), venue=VENUE, venue_cl_ord_id=request.venue_cl_ord_id, outcome="not_found",
                asked_ns=asked_ns, trades_checked=checked,
            )  # fmt: skip
        outcome, cum_qty = self.exchange.lie(order) or (order.status, None if self.sim.throw(0.05) else order.cum_qty)
        return c.ChildQueryResult(
            ts_ns=self._clock(), venue=VENUE, venue_cl_ord_id=request.venue_cl_ord_id, outcome=outcome,
            asked_ns=asked_ns, venue_order_id=order.venue_order_id, trades_checked=checked,
            cum_qty=cum_qty, trades=tuple(order.trades) if checked else (),
        )  # fmt: skip

    # --- the full picture ---

    def _picture(self, generation: int, turn: int, request: wire.Reconcile) -> None:
        """Open orders first, then the trades: two requests, each of which may fail; then all again."""
        asked_ns = self.sim.now
        self._balances(generation)

        def again() -> None:
            if generation == self.generation and turn == self._reconcile:
                self.sim.at(self.sim.ms(200, 3000), self._picture, generation, turn, request)

        def with_orders(orders: Any) -> None:
            if isinstance(orders, Lost):
                again()
                return
            self._ask(generation, lambda: self.exchange.trades_since(request.since_ns), lambda found: with_all(orders, found))

        def with_all(orders: tuple[c.OpenOrder, ...], trades: Any) -> None:
            if isinstance(trades, Lost):
                again()
            elif turn == self._reconcile:
                self._tell_picture(asked_ns, orders, trades)

        self._ask(generation, self.exchange.open_orders, with_orders)

    def _tell_picture(self, asked_ns: int, orders: tuple[c.OpenOrder, ...], trades: tuple[c.VenueTrade, ...]) -> None:
        now_ns = self._clock()
        # our id of a trade's order is known when the order was seen since the start, else it had to be looked up in time
        named = tuple(
            item if item.venue_order_id in self._known or self.sim.throw(0.7)
            else msgspec.structs.replace(item, venue_cl_ord_id="")
            for item in trades
        )  # fmt: skip
        self.sim.counts["reconciliations"] += 1
        self._send(c.InstrumentsReport(ts_ns=now_ns, venue=VENUE, instruments=(SPEC,)))
        self._send(
            c.VenueReconciled(
                ts_ns=now_ns, venue=VENUE, account=VENUE_ACCOUNT, asked_ns=self._time.at(asked_ns), open_orders=orders,
                trades=named,
            )
        )  # fmt: skip
