"""What any connector must do, as a list of named checks that run over the real link to a venue host.

    for name, check in CHECKS.items():
        if check.needs <= bench.abilities:
            await check.run(bench)            # raises ConformanceError

A check drives the host through a FakeGateway as the gateway would, and where it needs to, the venue through a Lab (the
simulator's control client fits). `needs` names what the venue must offer: an order capability of wire.Hello, "fills"
(orders can trade), or a Lab ability: "faults", "ledger", "balances". More checks stand in conformance_faults.py,
conformance_amend.py and conformance_picture.py.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from ..core import commands as c
from ..core.numbers import CTX, floor_to
from .fake_gateway import FakeGateway
from .wire import CancelChild, FromHost, PlaceChild, QueryChild, Reconcile

T = TypeVar("T")
PLACE_ANSWERS = (c.ChildAck, c.ChildReject, c.ChildAmbiguous)
CANCEL_ANSWERS = (c.ChildDone, c.ChildCancelReject, c.ChildAmbiguous)


class ConformanceError(AssertionError):
    """A connector does not do what it must; the text says what was expected and what came."""


class Lab(Protocol):
    """Control of the venue in a test (fixgw.sim.client.SimClient is one). Symbols are the venue's."""

    def fault(self, kind: str, **how: Any) -> Any: ...

    def clear_faults(self) -> Any: ...

    def fill(self, order_id: int, quantity: Any) -> Any: ...

    def order(self, symbol: str, side: str, quantity: Any, price: Any = None, **more: Any) -> Any: ...

    def ledger(self, since: int = 0) -> Iterator[dict[str, Any]]: ...


@dataclass
class Bench:
    """One host under test, its gateway, and the venue's Lab if there is one."""

    gateway: FakeGateway
    symbol: str
    abilities: frozenset[str]
    lab: Lab | None = None
    prefix: str = field(default_factory=lambda: f"CF{time.time_ns() // 1000 % 10**10:X}")
    spec: c.InstrumentSpec | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def control(self) -> Lab:
        assert self.lab is not None, "this check needs a Lab"
        return self.lab

    def new_id(self) -> str:
        return f"{self.prefix}{next(self._numbers):04d}"

    async def ready(self, timeout_s: float = 20.0) -> None:
        """The venue is up, shows a price, and its rules are known."""
        await self.gateway.until(self.is_up, "VenueLink up", timeout_s)
        await self.gateway.until(lambda: self.gateway.books.get(self.symbol), f"a book of {self.symbol}", timeout_s)
        if self.spec is None:
            await self.reconcile(0)
            self.spec = next(s for s in last(self, c.InstrumentsReport).instruments if s.symbol == self.symbol)

    def is_up(self) -> bool:
        return next((m.up for m in reversed(self.gateway.received) if isinstance(m, c.VenueLink)), False)

    async def reconcile(self, since_ns: int, timeout_s: float = 20.0) -> c.VenueReconciled:
        mark = len(self.gateway.received)
        since_ns = since_ns or time.time_ns() - 1_000_000_000
        self.gateway.send(Reconcile(since_ns=since_ns, symbols=(self.symbol,)))
        return await self.seen(c.VenueReconciled, mark, timeout_s=timeout_s)

    async def seen(
        self, kind: type[T], mark: int, probe: Callable[[T], bool] = lambda _: True, timeout_s: float = 10.0
    ) -> T:
        """The first message of this kind behind position `mark` that fits."""

        def find() -> T | None:
            return next((m for m in self.gateway.received[mark:] if isinstance(m, kind) and probe(m)), None)

        return await self.gateway.until(find, kind.__name__, timeout_s)

    def quote(self) -> c.Quote:
        return self.gateway.books[self.symbol].quote

    def price(self, factor: str) -> Decimal:
        """A valid price at `factor` times the best bid."""
        assert self.spec is not None
        bid = self.quote().bid
        assert bid is not None
        return floor_to(CTX.multiply(bid, Decimal(factor)), self.spec.tick)

    def qty(self, notional: str = "50") -> Decimal:
        """A valid quantity worth at least about `notional` in the quote asset, above the minimum too."""
        assert self.spec is not None
        value = CTX.divide(max(Decimal(notional), self.spec.min_notional * 3), self.price("1"))
        return max(floor_to(value, self.spec.lot) + self.spec.lot, self.spec.min_qty)

    async def place(self, **fields: Any) -> tuple[str, FromHost]:
        """Place and wait for the one answer; a resting limit buy unless told otherwise."""
        our_id = self.send_place(**fields)
        return our_id, await self.gateway.answer(our_id, *PLACE_ANSWERS, timeout_s=15.0)

    def send_place(self, **fields: Any) -> str:
        our_id = fields.pop("our_id", None) or self.new_id()
        fields = {"side": "1", "ord_type": "2", "tif": "1"} | fields
        if "qty" not in fields and "cash_qty" not in fields:
            fields["qty"] = self.qty()
        if fields["ord_type"] == "2":
            fields.setdefault("px", self.price("0.9"))
        self.gateway.send(PlaceChild(venue_cl_ord_id=our_id, symbol=self.symbol, **fields))
        return our_id

    async def placed(self, **fields: Any) -> tuple[str, c.ChildAck]:
        """Place; the venue must take it."""
        our_id, answer = await self.place(**fields)
        if not isinstance(answer, c.ChildAck):
            raise ConformanceError(f"place of {our_id}: expected ChildAck, got {answer}")
        expect(answer.venue_order_id != "", f"ack of {our_id} has no venue_order_id")
        return our_id, answer

    async def cancel(self, our_id: str) -> FromHost:
        after = len(self.gateway.of(our_id))
        self.gateway.send(CancelChild(venue_cl_ord_id=our_id, symbol=self.symbol))
        return await self.gateway.answer(our_id, *CANCEL_ANSWERS, after=after, timeout_s=15.0)

    async def query(self, our_id: str) -> c.ChildQueryResult:
        after = len(self.gateway.of(our_id))
        self.gateway.send(QueryChild(venue_cl_ord_id=our_id, symbol=self.symbol))
        return await self.gateway.answer(our_id, c.ChildQueryResult, after=after, timeout_s=15.0)

    def trades(self, our_id: str) -> list[c.VenueTrade]:
        """The distinct trades told of an order."""
        found = {m.trade.venue_trade_id: m.trade for m in self.gateway.of(our_id) if isinstance(m, c.ChildTrade)}
        return list(found.values())

    def records(self, our_id: str) -> list[dict[str, Any]]:
        """What the venue's own ledger says about an order."""
        return [record for record in self.control.ledger() if record.get("cl_ord_id") == our_id]


@dataclass(frozen=True)
class Check:
    run: Callable[[Bench], Awaitable[None]]
    needs: frozenset[str]


CHECKS: dict[str, Check] = {}


def check(*needs: str) -> Callable[[Callable[[Bench], Awaitable[None]]], Callable[[Bench], Awaitable[None]]]:
    """Enter a check under its function's name."""

    def enter(run: Callable[[Bench], Awaitable[None]]) -> Callable[[Bench], Awaitable[None]]:
        CHECKS[run.__name__] = Check(run, frozenset(needs))
        return run

    return enter


def expect(condition: bool, text: str) -> None:
    """Raise ConformanceError(text) unless the condition holds."""
    if not condition:
        raise ConformanceError(text)


def last(bench: Bench, kind: type[T]) -> T:
    """The newest message of a kind."""
    return next(m for m in reversed(bench.gateway.received) if isinstance(m, kind))


async def filled(bench: Bench, our_id: str) -> tuple[c.ChildDone, list[c.VenueTrade]]:
    """Wait for the end of an order; its trades must add up to the venue's own figure."""
    done = await bench.gateway.answer(our_id, c.ChildDone)

    def whole() -> bool:
        return sum((t.qty for t in bench.trades(our_id)), Decimal(0)) == done.cum_qty

    await bench.gateway.until(whole, f"trades of {our_id} that add up to {done.cum_qty}", 5.0)
    return done, bench.trades(our_id)


# --- the ordinary life of orders ---


@check()
async def place_is_acknowledged_and_can_be_canceled(bench: Bench) -> None:
    our_id, ack = await bench.placed()
    found = await bench.query(our_id)
    expect(found.outcome == "open" and found.venue_order_id == ack.venue_order_id, f"expected open, got {found}")
    done = await bench.cancel(our_id)
    expect(isinstance(done, c.ChildDone) and done.status == "canceled" and done.cum_qty == 0, f"cancel gave {done}")
    expect((await bench.query(our_id)).outcome == "canceled", "a canceled order must be found canceled")


@check()
async def one_answer_per_place(bench: Bench) -> None:
    our_id, _ = await bench.placed()
    await bench.cancel(our_id)
    answers = [m for m in bench.gateway.of(our_id) if isinstance(m, PLACE_ANSWERS)]
    ends = [m for m in bench.gateway.of(our_id) if isinstance(m, c.ChildDone)]
    expect(len(answers) == 1 and len(ends) == 1, f"expected one answer and one end, got {bench.gateway.of(our_id)}")


@check("fills")
async def fill_is_told_with_exact_figures(bench: Bench) -> None:
    qty = bench.qty()
    our_id, ack = await bench.placed(px=bench.price("1.01"), qty=qty)
    done, trades = await filled(bench, our_id)
    expect(done.status == "filled" and done.cum_qty == qty, f"expected filled {qty}, got {done}")
    expect(isinstance(bench.gateway.of(our_id)[0], c.ChildAck), f"expected the ack first: {bench.gateway.of(our_id)}")
    for trade in trades:
        expect(trade.venue_order_id == ack.venue_order_id, f"trade of another order: {trade}")
        expect(trade.liquidity == "2" and trade.side == "1" and bool(trade.venue_trade_id), f"trade {trade}")
        expect(trade.fee > 0 and trade.fee_asset != "", f"fee of {trade}")
        expect(trade.px <= bench.price("1.01"), f"worse than the limit: {trade}")


@check("fills", "ledger")
async def partial_fill_then_cancel(bench: Bench) -> None:
    qty = bench.qty("500")
    assert bench.spec is not None
    part = floor_to(qty / 2, bench.spec.lot)
    our_id, ack = await bench.placed(qty=qty)
    bench.control.fill(int(ack.venue_order_id), part)
    first = await bench.gateway.answer(our_id, c.ChildTrade)
    expect(first.trade.qty == part and first.trade.liquidity == "1", f"expected {part} as maker, got {first.trade}")
    found = await bench.query(our_id)
    expect(found.outcome == "open" and found.cum_qty == part, f"expected open with {part}, got {found}")
    expect(found.trades_checked and [t.qty for t in found.trades] == [part], f"trades of the query: {found}")
    done = await bench.cancel(our_id)
    expect(isinstance(done, c.ChildDone) and done.status == "canceled" and done.cum_qty == part, f"cancel gave {done}")


@check()
async def cancel_of_finished_order_is_refused_as_unknown(bench: Bench) -> None:
    our_id, _ = await bench.placed()
    await bench.cancel(our_id)
    again = await bench.cancel(our_id)
    expect(isinstance(again, c.ChildCancelReject) and again.unknown_order, f"expected unknown_order, got {again}")


@check()
async def cancel_of_unknown_order_is_refused_as_unknown(bench: Bench) -> None:
    answer = await bench.cancel(bench.new_id())
    expect(isinstance(answer, c.ChildCancelReject) and answer.unknown_order, f"expected unknown_order, got {answer}")


@check()
async def query_of_unknown_order_is_not_found(bench: Bench) -> None:
    before = time.time_ns()
    answer = await bench.query(bench.new_id())
    expect(answer.outcome == "not_found" and answer.trades_checked, f"expected not_found, trades checked, got {answer}")
    expect(before <= answer.asked_ns <= time.time_ns(), f"asked_ns {answer.asked_ns} is not when the query left")


@check()
async def cancel_that_overtakes_its_place_waits_or_withdraws_it(bench: Bench) -> None:
    our_id = bench.send_place()
    bench.gateway.send(CancelChild(venue_cl_ord_id=our_id, symbol=bench.symbol))
    done = await bench.gateway.answer(our_id, c.ChildDone, c.ChildCancelReject, c.ChildReject)
    if isinstance(done, c.ChildReject):  # it had not left
        expect(done.withdrawn and not done.sent, f"expected it canceled, or withdrawn before it left, got {done}")
        found = await bench.query(our_id)
        expect(found.outcome == "not_found", f"withdrawn, and the venue has it: {found}")
        expect(bench.gateway.of(our_id) == [done, found], f"expected no more words, got {bench.gateway.of(our_id)}")
        return
    expect(isinstance(done, c.ChildDone) and done.status == "canceled", f"expected canceled, got {done}")
    first = bench.gateway.of(our_id)[0]
    expect(isinstance(first, c.ChildAck), f"expected the ack first, got {first}")


# --- order kinds ---


@check("fills", "ioc")
async def ioc_rest_expires(bench: Bench) -> None:
    our_id, _ = await bench.placed(tif="3", px=bench.price("0.9"))
    done = await bench.gateway.answer(our_id, c.ChildDone)
    expect(done.status in ("expired", "canceled") and done.cum_qty == 0, f"expected an end with 0, got {done}")


@check("fills", "fok")
async def fok_is_all_or_nothing(bench: Bench) -> None:
    our_id, _ = await bench.placed(tif="4", px=bench.price("1.01"))
    done, _ = await filled(bench, our_id)
    expect(done.status == "filled", f"expected filled, got {done}")
    none, answer = await bench.place(tif="4", px=bench.price("0.9"))
    if isinstance(answer, c.ChildAck):
        end = await bench.gateway.answer(none, c.ChildDone)
        expect(end.status != "filled" and end.cum_qty == 0, f"expected an end with 0, got {end}")
    else:
        expect(isinstance(answer, c.ChildReject), f"expected an end or a reject, got {answer}")


@check("fills", "post_only")
async def post_only_never_takes(bench: Bench) -> None:
    our_id, answer = await bench.place(post_only=True, px=bench.price("1.01"))
    if isinstance(answer, c.ChildAck):
        end = await bench.gateway.answer(our_id, c.ChildDone)
        expect(end.cum_qty == 0, f"post-only took liquidity: {end}")
    else:
        expect(isinstance(answer, c.ChildReject), f"expected a reject, got {answer}")
    expect(not bench.trades(our_id), "post-only took liquidity")
    resting, _ = await bench.placed(post_only=True)
    done = await bench.cancel(resting)
    expect(isinstance(done, c.ChildDone), f"cancel gave {done}")


@check("fills")
async def market_order_by_quantity(bench: Bench) -> None:
    qty = bench.qty()
    for side in ("1", "2"):
        our_id, _ = await bench.placed(ord_type="1", side=side, qty=qty)
        done, trades = await filled(bench, our_id)
        expect(done.status == "filled" and done.cum_qty == qty, f"expected filled {qty}, got {done}")
        expect({t.side for t in trades} == {side}, f"side of {trades}")


@check("fills", "quote_market")
async def market_order_by_cash_spends_at_most_that(bench: Bench) -> None:
    cash = Decimal("123.45")
    our_id, _ = await bench.placed(ord_type="1", cash_qty=cash)
    done, trades = await filled(bench, our_id)
    spent = sum((CTX.multiply(t.qty, t.px) for t in trades), Decimal(0))
    expect(done.cum_qty is not None and done.cum_qty > 0 and spent <= cash, f"spent {spent} of {cash}: {done}")


# --- numbers and refusals ---


@check("ledger")
async def venue_sees_exactly_the_clients_decimals(bench: Bench) -> None:
    assert bench.spec is not None
    for units in (0, 1, 7, 99):
        qty, px = bench.qty() + units * bench.spec.lot, bench.price("0.9") + units * bench.spec.tick
        our_id, _ = await bench.placed(qty=qty, px=px)
        record = next(r for r in bench.records(our_id) if r["type"] == "accepted")
        got = (Decimal(record["qty"]), Decimal(record["price"]))
        expect(got == (qty, px), f"venue got {got}, client sent {(qty, px)}")
        await bench.cancel(our_id)


@check("ledger", "fills", "quote_market")
async def venue_sees_exactly_the_clients_cash_or_nothing(bench: Bench) -> None:
    assert bench.spec is not None
    cash = Decimal(100) + bench.spec.tick / 8
    our_id, answer = await bench.place(ord_type="1", cash_qty=cash)
    if isinstance(answer, c.ChildReject):
        expect(answer.code == "BAD_LOT" and not bench.records(our_id), f"expected BAD_LOT unsent, got {answer}")
        return
    await filled(bench, our_id)
    got = Decimal(next(r for r in bench.records(our_id) if r["type"] == "accepted")["quote_qty"])
    expect(got == cash, f"venue got {got}, client sent {cash}")


@check()
async def what_does_not_fit_is_refused_before_sending(bench: Bench) -> None:
    assert bench.spec is not None
    half_tick, half_lot = bench.spec.tick / 2, bench.spec.lot / 2
    cases: list[tuple[str, dict[str, Any]]] = [
        ("BAD_TICK", {"px": bench.price("0.9") + half_tick}),
        ("BAD_LOT", {"qty": bench.qty() + half_lot}),
        ("UNSUPPORTED", {"ord_type": "3"}),
        ("INVALID", {"qty": Decimal("-1")}),
    ]
    if bench.spec.min_notional:
        cases.append(("MIN_NOTIONAL", {"qty": bench.spec.min_qty, "px": bench.spec.tick * 100}))
    for code, fields in cases:
        our_id, answer = await bench.place(**fields)
        expect(isinstance(answer, c.ChildReject) and answer.code == code, f"{fields}: expected {code}, got {answer}")
        if "ledger" in bench.abilities:
            expect(not bench.records(our_id), f"{code}: {our_id} reached the venue")


@check("balances")
async def insufficient_funds_is_a_definite_reject(bench: Bench) -> None:
    assert bench.spec is not None
    qty = min(bench.spec.max_qty or Decimal(1000), Decimal(1000))
    our_id, answer = await bench.place(qty=qty)
    expect(isinstance(answer, c.ChildReject), f"expected ChildReject, got {answer}")
    expect((await bench.query(our_id)).outcome == "not_found", "a refused order must not be found")


@check()
async def expired_request_is_not_sent(bench: Bench) -> None:
    our_id, answer = await bench.place(expires_ns=time.time_ns() - 1)
    expect(isinstance(answer, c.ChildReject) and answer.code == "EXPIRED_IN_HOST", f"got {answer}")
    expect((await bench.query(our_id)).outcome == "not_found", "an expired order must not be found")


# --- the whole picture ---


@check()
async def reconcile_tells_open_orders(bench: Bench) -> None:
    our_id, ack = await bench.placed()
    since_ns = time.time_ns() - 5_000_000_000
    told = await bench.reconcile(since_ns)
    found = [o for o in told.open_orders if o.venue_cl_ord_id == our_id]
    expect(len(found) == 1 and found[0].venue_order_id == ack.venue_order_id, f"open orders {told.open_orders}")
    expect(since_ns < told.asked_ns < time.time_ns(), "asked_ns")
    await bench.cancel(our_id)
    told = await bench.reconcile(since_ns)
    expect(our_id not in {o.venue_cl_ord_id for o in told.open_orders}, "a canceled order is listed as open")


@check("fills")
async def reconcile_tells_trades_by_our_id(bench: Bench) -> None:
    since_ns = time.time_ns() - 1_000_000
    our_id, _ = await bench.placed(px=bench.price("1.01"))
    _, streamed = await filled(bench, our_id)
    told = [t for t in (await bench.reconcile(since_ns)).trades if t.venue_cl_ord_id == our_id]
    expect(sorted(told, key=str) == sorted(streamed, key=str), f"stream told {streamed}, reconciliation {told}")


@check()
async def instruments_and_balances_are_told(bench: Bench) -> None:
    mark = len(bench.gateway.received)
    await bench.reconcile(0)
    instruments = (await bench.seen(c.InstrumentsReport, mark)).instruments
    balances = await bench.seen(c.BalancesReport, mark)
    spec = next(s for s in instruments if s.symbol == bench.symbol)
    expect(spec.tick > 0 and spec.lot > 0, f"rules of {spec}")
    expect(balances.free.keys() >= {spec.base, spec.quote}, f"balances of {sorted(balances.free)}")
    expect(all(balances.total[asset] >= free for asset, free in balances.free.items()), "free above total")


@check("balances", "fills")
async def balances_follow_orders(bench: Bench) -> None:
    assert bench.spec is not None
    quote_asset, mark = bench.spec.quote, len(bench.gateway.received)
    await bench.reconcile(0)
    before = (await bench.seen(c.BalancesReport, mark)).free[quote_asset]
    mark = len(bench.gateway.received)
    our_id, _ = await bench.placed()
    await bench.seen(c.BalancesReport, mark, lambda b: b.free[quote_asset] < before)
    mark = len(bench.gateway.received)
    await bench.cancel(our_id)
    # more: what an order of before held came back only now
    await bench.seen(c.BalancesReport, mark, lambda b: b.free[quote_asset] >= before)


@check()
async def books_are_fresh_and_conflated(bench: Bench) -> None:
    quote = bench.quote()
    expect(quote.bid is not None and quote.ask is not None and quote.bid < quote.ask, f"book {quote}")
    expect(quote.last is not None, f"no last price in {quote}")
    start_ns, count = time.time_ns(), bench.gateway.book_count

    def renewed() -> bool:
        return bench.quote().recv_ns > start_ns

    await bench.gateway.until(renewed, "a quote that is newer than the check", 6.0)
    seconds = (time.time_ns() - start_ns) / 1e9
    told = bench.gateway.book_count - count
    expect(told <= 2 + 60 * seconds * max(1, len(bench.gateway.books)), f"{told} book updates in {seconds:.2f} s")


@check()
async def link_break_is_survived(bench: Bench) -> None:
    our_id, _ = await bench.placed()
    hellos = len(bench.gateway.hellos)
    mark = len(bench.gateway.received)
    bench.gateway.cut()
    await bench.gateway.until(lambda: len(bench.gateway.hellos) > hellos, "a new Hello")
    await bench.seen(c.VenueLink, mark, lambda m: m.up)
    told = await bench.reconcile(0)
    expect(our_id in {o.venue_cl_ord_id for o in told.open_orders}, "the open order is not in the reconciliation")
    done = await bench.cancel(our_id)
    expect(isinstance(done, c.ChildDone) and done.status == "canceled", f"cancel gave {done}")
