"""A model venue behind an unreliable line: small integers choose what happens next, so that a bad story can be shrunk.

Messages to and from the venue are lost, doubled, reordered and late; the venue host's own answers (a refusal,
"ambiguous") follow its doctrine. What the venue executed is the truth that the core's and the client's view must come to.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from core_model import LOT, MAX_LINE, ModelVenue
from core_world import ACCOUNT, SECOND, SYMBOL, VENUE, VENUE_ACCOUNT, World, core_settings

from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core import settings as s
from fixgw.core.draft import Refusal
from fixgw.core.order import OPEN, Order
from fixgw.core.reports import CancelReject, Report
from fixgw.core.state import READY
from fixgw.marketdata.edge import due_timers

QUIET_ROUNDS = 120
_ACTING = e.ChildPlaced | e.ChildCancelSent | e.ChildAmendSent


class Driver(ModelVenue):
    """A world, a venue, and the line between them. `step` makes one move; `settle` ends all faults and waits for rest."""

    def __init__(self, world: World | None = None) -> None:
        # far enough away that most orders come through
        paced = s.Limits(msg_rate=20, msg_burst=8, repeat_max=6)
        amending = core_settings(
            venues={VENUE: s.VenueSettings(name=VENUE, can_amend=True)},
            accounts={ACCOUNT: s.AccountSettings(name=ACCOUNT, venue=VENUE, venue_account=VENUE_ACCOUNT, limits=paced)},
            firm=s.Limits(msg_rate=30, msg_burst=10, repeat_max=8),
            risk_stages=("session_state", "throttle", "repeated_order"),
        )
        super().__init__(world or World(amending))
        self.to_venue: list[e.AnyEvent] = []
        self.gap = False
        self.id_count = 0
        # orders of which the venue has told a lie
        self.lied: set[str] = set()
        self.outside: list[c.VenueTrade] = []
        self.busted: dict[str, Decimal] = {}
        self.last_report: dict[str, Report] = {}
        self.last_status: dict[str, str] = {}
        self.asked: dict[str, str] = {}
        self.answers: dict[str, list[str]] = {}
        self.last_command: c.ClientCommand | None = None
        self.moves = [
            self.new, self.new, self.cancel, self.replace, self.replace, self.deliver, self.deliver, self.deliver,
            self.lose_request, self.receive, self.receive, self.receive, self.lose_word, self.double_word, self.fill,
            self.fill, self.fill, self.venue_cancels, self.wait, self.wait, self.link, self.restart, self.refuse,
            self.session, self.kill, self.admin_cancel, self.trigger, self.status, self.repeat, self.balances,
            self.external, self.bust, self.settle_by_hand, self.withdraw, self.lie,
        ]  # fmt: skip

    # --- the core ---

    def run(self, command: c.Command) -> list[e.AnyEvent]:
        """One command through the core; its effects go on the line; every invariant is checked."""
        events = self.world.run(command)
        for event in events:
            self._check_event(event)
            match event:
                case e.Reported():
                    self._told(event)
                case (
                    e.ChildPlaced() | e.ChildCancelSent() | e.ChildAmendSent() | e.ChildQueried() | e.ReconcileRequested()
                    | e.OrphanCancelSent()
                ):  # fmt: skip
                    self._send(event)
                case _:
                    pass
        if isinstance(command, c.ClientCommand) and events:
            assert any(isinstance(event, e.Reported) for event in events), f"{type(command).__name__} is not answered"
        self.world.check()
        self._check_exposure()
        return events

    def _send(self, event: e.AnyEvent) -> None:
        if self.up:
            self.to_venue.append(event)
        elif isinstance(event, e.ChildPlaced):
            self.from_venue.append(self._reject(event, "NEVER_SENT"))
        elif isinstance(event, e.ChildAmendSent):
            self.from_venue.append(self._amend_reject(event, "NEVER_SENT"))

    def _told(self, event: e.Reported) -> None:
        message = event.message
        if isinstance(message, CancelReject):
            self.answers.setdefault(message.cl_ord_id, []).append("9")
            self.last_status[message.order_id] = message.ord_status
        elif isinstance(message, Report) and not message.status_reply:
            self.answers.setdefault(message.cl_ord_id, []).append(message.exec_type)
            before = self.last_report.get(message.order_id)
            if before is not None and message.exec_type not in "HG":
                assert message.cum_qty >= before.cum_qty, f"cum_qty fell in {message}"
            assert message.order_qty is None or message.leaves_qty <= message.order_qty
            self.last_report[message.order_id] = message
            self.last_status[message.order_id] = message.ord_status

    def _check_event(self, event: e.AnyEvent) -> None:
        """Nothing is guessed: what is called over is over, with all its trades; nobody is canceled who need not be."""
        if isinstance(event, e.ChildClosed):
            found, child = self.orders.get(event.venue_cl_ord_id), self.world.state.children[event.venue_cl_ord_id]
            assert found is None or found.status != "open", f"{event} while it works"
            assert child.told_qty == (found.cum_qty if found is not None else 0), f"{event} with trades missing"
            underway = [ev.venue_cl_ord_id for ev in self.to_venue if isinstance(ev, e.ChildPlaced)]
            assert event.venue_cl_ord_id not in underway, f"{event} while it is on its way"
        elif isinstance(event, e.ChildCancelSent):
            order = self.world.state.orders[self.world.state.children[event.venue_cl_ord_id].order_id]
            assert order.pending or order.stopping or not order.is_open, f"{event}: nobody asked"

    def _check_exposure(self) -> None:
        """What the venue executed or may still execute never exceeds what the client ordered."""
        for order in self.world.state.orders.values():
            most = order.order_qty
            if order.pending is not None and order.pending.kind == "E":
                most = max(most, order.pending.order_qty)
            total = Decimal(0)
            for child in order.children:
                found = self.orders.get(child)
                if found is not None:
                    total += found.cum_qty + found.left
                    total -= sum(item.qty for item in found.trades if item.venue_trade_id in self.busted)
            total += sum(ev.qty for ev in self.to_venue if isinstance(ev, e.ChildPlaced) and ev.order_id == order.order_id)
            assert total <= most, f"{order.order_id} {order.ord_status}: {total} executed or working, {most} ordered"

    # --- clients ---

    def new(self, a: int, b: int) -> None:
        self.id_count += 1
        kinds = [("2", "1"), ("2", "0"), ("2", "3"), ("1", "0"), ("3", "1"), ("4", "1"), ("2", "6"), ("2", "1")]
        ord_type, tif = kinds[a % len(kinds)]
        command = self.world.client(
            c.NewOrder, "OMS42" if b % 4 == 0 else "OMS44", cl_ord_id=f"n{self.id_count}", symbol=SYMBOL, side="12"[b % 2],
            ord_type=ord_type, tif=tif, order_qty=LOT * (1 + b % 9), price=Decimal(100 + b % 3) if ord_type in "24" else None,
            stop_px=Decimal(99) if ord_type in "34" else None, quotes=self.world.quotes,
            expire_ns=self.world.now_ns + 20 * SECOND if tif == "6" else None,
        )  # fmt: skip
        self.last_command = command
        self.run(command)

    def _request(self, kind: type[c.CancelOrder] | type[c.ReplaceOrder], a: int, b: int) -> None:
        order = self._choose(a)
        if order is None:
            return
        self.id_count += 1
        fields = {"cl_ord_id": f"r{self.id_count}", "orig_cl_ord_id": order.cl_ord_id}
        if kind is c.ReplaceOrder:
            fields |= {
                "symbol": order.symbol, "side": order.side, "ord_type": order.ord_type, "order_qty": LOT * (1 + b % 12),
                "price": Decimal(100 + b % 3) if order.price is not None else None, "quotes": self.world.quotes,
            }  # fmt: skip
        self.asked[f"r{self.id_count}"] = "G" if kind is c.ReplaceOrder else "F"
        self.last_command = self.world.client(kind, order.session, **fields)
        self.run(self.last_command)

    def _choose(self, a: int) -> Order | None:
        """Mostly an open order, sometimes any."""
        orders = [order for order in self.world.state.orders.values() if order.is_open or a % 6 == 5][-4:]
        return orders[a % len(orders)] if orders else None

    def cancel(self, a: int, b: int) -> None:
        self._request(c.CancelOrder, a, b)

    def replace(self, a: int, b: int) -> None:
        self._request(c.ReplaceOrder, a, b)

    def repeat(self, _a: int, _b: int) -> None:
        """The FIX engine shows a message again: same number."""
        if self.last_command is not None and self.last_command.reset_epoch == self._reset_epoch(self.last_command.session):
            assert self.run(self.last_command) == []

    def _reset_epoch(self, session: str) -> int:
        return self.world.state.sessions[session].reset_epoch

    def status(self, a: int, _b: int) -> None:
        orders = list(self.world.state.orders.values())[-6:]
        if orders:
            order = orders[a % len(orders)]
            self.run(self.world.client(c.StatusRequest, order.session, cl_ord_id=order.cl_ord_id))

    def session(self, a: int, b: int) -> None:
        name = ("OMS42", "OMS44")[a % 2]
        if b % 3:
            self.world.numbers[name] = 1 if b % 3 == 2 else self.world.number(name)
            self.run(
                c.SessionLogon(ts_ns=self.world.tick(), session=name, reset=b % 3 == 2, msg_seq=self.world.numbers[name])
            )
        else:
            self.run(c.SessionLogout(ts_ns=self.world.tick(), session=name, reason="gone"))

    # --- operations ---

    def kill(self, a: int, b: int) -> None:
        scope, target = (("firm", ""), ("session", "OMS44"), ("venue", VENUE))[a % 3]
        if b % 2 == 0:
            level = ("HALTED", "REDUCING")[a % 2]
            self.run(c.AdminKill(ts_ns=self.world.tick(), scope=scope, target=target, level=level, user="u", reason="r"))
        for scope, target in (("firm", ""), ("session", "OMS44"), ("venue", VENUE)):
            self.run(c.AdminResume(ts_ns=self.world.tick(), scope=scope, target=target, user="u", reason="r"))

    def _admin(self, command: c.Command) -> None:
        try:
            self.run(command)
        except Refusal:
            self.world.check()

    def admin_cancel(self, a: int, _b: int) -> None:
        order = self._choose(a)
        if order is not None:
            self._admin(c.AdminCancel(ts_ns=self.world.tick(), order_id=order.order_id, user="u", reason="r"))

    def bust(self, a: int, _b: int) -> None:
        fills = [
            (child.order_id, trade_id, fill.qty)
            for child in list(self.world.state.children.values())[-6:]
            for trade_id, fill in child.fills.items()
        ]
        if a % 4 or not fills:
            return
        order_id, trade_id, qty = fills[a % len(fills)]
        if trade_id not in self.busted:
            self.busted[trade_id] = qty
            self.run(
                c.AdminResolve(
                    ts_ns=self.world.tick(), order_id=order_id, outcome="bust", evidence="e", user="u", trade_id=trade_id
                )
            )

    def settle_by_hand(self, a: int, _b: int) -> None:
        """A person says "open" of something that the venue really has."""
        known = [key for key in self.world.state.uncertain if key in self.orders and self.orders[key].status == "open"]
        if known:
            order_id = self.world.state.children[known[a % len(known)]].order_id
            self._admin(
                c.AdminResolve(ts_ns=self.world.tick(), order_id=order_id, outcome="open", evidence="e", user="u")
            )

    def restart(self, a: int, b: int) -> None:
        """kill -9 and a start: what was on the line inwards is lost."""
        if self.up:
            self.link(0, 1)
        self.world.check_snapshot(a % (len(self.world.records) + 1))
        self.world.epoch += 1
        self.run(
            c.EngineStart(ts_ns=self.world.tick(), install="ABCDE", epoch=self.world.epoch, clean=b % 2 == 0, rebooted=False)
        )

    # --- time and the line ---

    def wait(self, a: int, _b: int) -> None:
        self.world.tick((SECOND // 10, SECOND, 3 * SECOND, 7 * SECOND, 31 * SECOND)[a % 5])
        self._expire_requests()
        for key in due_timers(self.world.state, self.world.now_ns):
            self.run(c.Timer(ts_ns=self.world.now_ns, key=key))

    def _expire_requests(self) -> None:
        """The host does not send what is too old; what it sent at the last moment is accepted for recv_window more."""
        last_ns = self.world.now_ns - self.world.settings.venues[VENUE].recv_window_ns
        late = [ev for ev in self.to_venue if isinstance(ev, e.ChildPlaced) and ev.expires_ns <= last_ns]
        self.to_venue = [ev for ev in self.to_venue if ev not in late]

    def link(self, _a: int, b: int) -> None:
        if self.up:
            self.up = False
            self.from_venue.clear()
            # what the host had taken over may still reach the venue, or not
            self.to_venue = [ev for ev in self.to_venue if b % 2 and isinstance(ev, _ACTING)]
            self.run(c.VenueLink(ts_ns=self.world.tick(), venue=VENUE, up=False, reason="lost"))
        else:
            self.from_venue.clear()
            self.up = True
            self.run(c.VenueLink(ts_ns=self.world.tick(), venue=VENUE, up=True))

    def _pick(self, a: int) -> e.AnyEvent | None:
        self._expire_requests()
        return self.to_venue.pop(a % len(self.to_venue)) if self.to_venue else None

    def deliver(self, a: int, b: int) -> None:
        """A request reaches the venue, which acts and answers; a line that is down comes up."""
        if not self.up:
            self.link(0, 0)
        event = self._pick(a)
        match event:
            case e.ChildPlaced():
                self._place(event)
            case e.ChildCancelSent() | e.OrphanCancelSent():
                self._cancel(event)
            case e.ChildAmendSent():
                self._amend(event)
            case e.ChildQueried():
                self._say(self._look_up(event.venue_cl_ord_id))
            case e.ReconcileRequested():
                self._say(self._picture(named=b % 2 == 0))
            case _:
                pass

    def lose_request(self, a: int, b: int) -> None:
        """It never reaches the venue; the host says "ambiguous", or nothing."""
        event = self._pick(a)
        if isinstance(event, e.ReconcileRequested):
            self.to_venue.append(event)
        elif isinstance(event, _ACTING) and b % 2:
            self._say(self._ambiguous(event))

    def refuse(self, a: int, _b: int) -> None:
        """The venue definitely refuses."""
        event = self._pick(a)
        if isinstance(event, e.ChildPlaced):
            self._say(self._reject(event, "INSUFFICIENT"))
        elif isinstance(event, e.ChildAmendSent):
            self._say(self._amend_reject(event, "NO"))
        elif isinstance(event, e.ChildCancelSent):
            self._say(
                c.ChildCancelReject(
                    ts_ns=0, venue=VENUE, venue_cl_ord_id=event.venue_cl_ord_id, code="NO", text="", unknown_order=False
                )
            )
        elif event is not None:
            self.to_venue.append(event)

    def withdraw(self, a: int, _b: int) -> None:
        """The cancel of an order that still waits in the host: neither goes to the venue."""
        canceled = {ev.venue_cl_ord_id for ev in self.to_venue if isinstance(ev, e.ChildCancelSent)}
        waiting = [ev for ev in self.to_venue if isinstance(ev, e.ChildPlaced) and ev.venue_cl_ord_id in canceled]
        if waiting and self.up:
            our_id = waiting[a % len(waiting)].venue_cl_ord_id
            gone = e.ChildPlaced | e.ChildCancelSent
            self.to_venue = [ev for ev in self.to_venue if not (isinstance(ev, gone) and ev.venue_cl_ord_id == our_id)]
            self._say(
                c.ChildReject(
                    ts_ns=0, venue=VENUE, venue_cl_ord_id=our_id, code="WITHDRAWN", text="", sent=False, withdrawn=True
                )
            )

    def receive(self, a: int, _b: int) -> None:
        """A word of the venue arrives, not always in order."""
        if self.from_venue:
            word = self.from_venue.pop(a % len(self.from_venue))
            self.run(msgspec.structs.replace(word, ts_ns=self.world.tick()))

    def lose_word(self, a: int, b: int) -> None:
        if self.from_venue:
            word = self.from_venue[a % len(self.from_venue)]
            if isinstance(word, c.VenueReconciled):
                return
            self.from_venue.remove(word)
            self.gap = self.gap or isinstance(word, c.ChildTrade | c.ChildDone)
            if isinstance(word, c.ChildAck) and b % 2:
                self._say(self._ambiguous(self.orders[word.venue_cl_ord_id].placed))

    def lie(self, a: int, b: int) -> None:
        """The venue tells of an order that works that it has ended, once, with a figure that its trades cannot come to."""
        working = [order for our_id, order in self.orders.items() if order.status == "open" and our_id not in self.lied]
        if not working or not self.up:
            return
        order = working[a % len(working)]
        our_id = order.placed.venue_cl_ord_id
        self.lied.add(our_id)
        status, cum_qty = (
            ("filled", order.placed.qty), ("filled", Decimal(0)), ("filled", order.cum_qty + LOT / 2), ("filled", Decimal(99999)),
            ("canceled", order.cum_qty + LOT / 2), ("canceled", Decimal(99999)), ("expired", order.placed.qty),
        )[b % 7]  # fmt: skip
        done = c.ChildDone(
            ts_ns=0, venue=VENUE, venue_cl_ord_id=our_id, venue_order_id=order.venue_order_id, status=status, cum_qty=cum_qty
        )
        answer = msgspec.structs.replace(self._look_up(our_id), outcome=status, cum_qty=cum_qty)
        self._say(done if a % 2 else answer)

    def double_word(self, a: int, _b: int) -> None:
        if self.from_venue:
            self._say(self.from_venue[a % len(self.from_venue)])

    # --- accounts and prices ---

    def external(self, a: int, _b: int) -> None:
        """Somebody trades by hand on our account; the number may be that of an order of ours in another instrument."""
        item = c.VenueTrade(
            account=VENUE_ACCOUNT, symbol="ETH/USDT", venue_cl_ord_id="", venue_order_id=f"v{a % 5}",
            venue_trade_id=f"x{len(self.outside)}", side="1", qty=LOT, px=Decimal(10),
        )  # fmt: skip
        if self.up:
            self.outside.append(item)
            self.run(c.ChildTrade(ts_ns=self.world.tick(), venue=VENUE, trade=item))

    def balances(self, _a: int, _b: int) -> None:
        if self.up:
            free = {"BTC": Decimal(100), "USDT": Decimal(100_000)}
            now_ns = self.world.tick()
            self.run(
                c.BalancesReport(ts_ns=now_ns, venue=VENUE, account=VENUE_ACCOUNT, asof_ns=now_ns, free=free, total=free)
            )

    def trigger(self, a: int, _b: int) -> None:
        stops = list(self.world.state.stops)
        if stops:
            self.run(
                c.TriggerStop(
                    ts_ns=self.world.tick(), order_id=stops[a % len(stops)], trigger_px=Decimal(99), quotes=self.world.quotes
                )
            )

    # --- rest ---

    def step(self, move: int, a: int, b: int) -> None:
        """One move."""
        self.moves[move % len(self.moves)](a, b)

    def settle(self) -> None:
        """No more faults: everything is delivered and asked until nothing is under way; then the views must agree."""
        if self.up and self.gap:
            self.link(0, 0)  # the host notices a gap in the stream and connects anew
        if not self.up:
            self.link(0, 0)
        for _ in range(QUIET_ROUNDS):
            for _ in range(10 * MAX_LINE):
                if not self.to_venue and not self.from_venue:
                    break
                self.deliver(0, 0)
                self.receive(0, 0)
            if self._at_rest():
                break
            self.wait(4, 0)
        self._check_agreement()

    def _at_rest(self) -> bool:
        state = self.world.state
        quiet = not state.inflight and not state.uncertain and state.venues[VENUE].state == READY
        quiet = quiet and not any(order.stopping and order.is_open for order in state.orders.values())
        return quiet and not self.to_venue and not self.from_venue and not any(o.pending for o in state.orders.values())

    def _check_agreement(self) -> None:
        state = self.world.state
        assert self._at_rest(), f"never at rest: inflight {state.inflight}, uncertain {state.uncertain}"
        position = sum((item.qty for item in self.outside), Decimal(0))
        assert state.exposure("firm", "ETH/USDT").position == position, "the external trades' position is wrong"
        position = Decimal(0)
        for order in state.orders.values():
            mine = [self.orders[child] for child in order.children if child in self.orders]
            trades = [item for found in mine for item in found.trades if item.venue_trade_id not in self.busted]
            executed = sum((item.qty for item in trades), Decimal(0))
            position += sum((item.qty if item.side == "1" else -item.qty) - item.fee for item in trades)
            assert order.cum_qty == executed, f"{order.order_id}: cum_qty {order.cum_qty}, the venue executed {executed}"
            works = any(found.status == "open" for found in mine) or (order.held and order.status in OPEN)
            assert works == (order.status in OPEN), f"{order.order_id}: status {order.status}, works at the venue: {works}"
            told = self.last_report[order.order_id]
            assert (told.cum_qty, told.leaves_qty) == (order.cum_qty, order.leaves_qty), f"{order.order_id}: told {told}"
            status = self.last_status[order.order_id]
            assert status == order.ord_status, f"{order.order_id}: told {status}, is {order.ord_status}"
        for scope in ("firm", "a:" + ACCOUNT):
            assert state.exposure(scope, SYMBOL).position == position, f"{scope}: position, expected {position}"
        for cl_ord_id, kind in self.asked.items():
            final = "49" if kind == "F" else "59"
            told_of = [what for what in self.answers.get(cl_ord_id, []) if what in final]
            assert told_of, f"{kind} {cl_ord_id} was never settled: {self.answers.get(cl_ord_id)}"
            assert not ("9" in told_of and len(told_of) > 1), f"{kind} {cl_ord_id} was refused and more: {told_of}"


MOVES = len(Driver().moves)
