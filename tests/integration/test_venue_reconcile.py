"""The host's reconciliation: it never ends without a picture, a large one goes in parts, and balances follow."""

from __future__ import annotations

import asyncio
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from venue_rig import in_process

import fixgw.venues.balances as balances
import fixgw.venues.wire as wire
from fixgw.core import commands as c
from fixgw.venues.base import Ambiguous, Queried
from fixgw.venues.fake_gateway import FakeGateway
from fixgw.venues.host import VenueHost
from fixgw.venues.wire import QueryChild, Reconcile

ASK = Reconcile(since_ns=1, symbols=("BTC/USDT",))


def of(gate: FakeGateway, *kinds: type) -> list[Any]:
    return [message for message in gate.received if isinstance(message, kinds)]


def some_trades(count: int) -> tuple[c.VenueTrade, ...]:
    return tuple(
        c.VenueTrade(
            account="main", symbol="BTC/USDT", venue_cl_ord_id="A", venue_order_id="1", venue_trade_id=str(number),
            side="1", qty=D(1), px=D(10),
        )
        for number in range(count)
    )  # fmt: skip


@pytest.mark.parametrize("error", [TypeError("x"), AttributeError("x"), ValueError("x"), ZeroDivisionError()])
def test_a_reconciliation_survives_an_unexpected_error(tmp_path: Path, error: Exception) -> None:
    async def body(gate: FakeGateway, host: VenueHost) -> None:
        failures = 2
        real = host._venue.trades

        async def trades(since_ns: int, symbols: tuple[str, ...]) -> Any:
            nonlocal failures
            failures -= 1
            if failures >= 0:
                raise error
            return await real(since_ns, symbols)

        host._venue.trades = trades  # type: ignore[method-assign]
        gate.send(ASK)
        await gate.until(lambda: of(gate, c.VenueReconciled), "the picture")
        assert failures == -1 and len(of(gate, c.VenueReconciled)) == 1

    in_process(tmp_path, body)


def test_the_whole_account_is_asked_for_until_a_picture_was_sent_on_the_link(tmp_path: Path) -> None:
    async def body(gate: FakeGateway, host: VenueHost) -> None:
        asked: list[bool] = []
        failures = 1
        real = host._venue.trades

        async def open_orders(symbols: tuple[str, ...], everything: bool = False) -> tuple[c.OpenOrder, ...]:
            asked.append(everything)
            return ()

        async def trades(since_ns: int, symbols: tuple[str, ...]) -> Any:
            nonlocal failures
            failures -= 1
            if failures >= 0:
                raise Ambiguous("TIMEOUT", "read, but never told")
            return await real(since_ns, symbols)

        async def picture(count: int) -> None:
            gate.send(ASK)
            await gate.until(lambda: len(of(gate, c.VenueReconciled)) == count, f"picture {count}")

        host._venue.trades, host._venue.open_orders = trades, open_orders  # type: ignore[method-assign]
        await picture(1)
        await picture(2)
        assert asked == [True, True, False]
        gate.cut()
        await gate.until(lambda: len(gate.hellos) == 2, "the next link")
        await picture(3)
        await picture(4)
        assert asked[3:] == [True, False]

    in_process(tmp_path, body)


def test_a_picture_beyond_one_frame_goes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_FRAME", 20_000)

    async def body(gate: FakeGateway, host: VenueHost) -> None:
        picture = some_trades(3000)

        async def trades(since_ns: int, symbols: tuple[str, ...]) -> tuple[c.VenueTrade, ...]:
            return picture

        async def open_orders(symbols: tuple[str, ...], everything: bool = False) -> tuple[c.OpenOrder, ...]:
            return tuple(
                c.OpenOrder(
                    venue_cl_ord_id="A" if number == 7 else "", venue_order_id=str(number), symbol="BTC/USDT", side="1",
                    qty=D(1), cum_qty=D(0),
                )
                for number in range(1000)
            )  # fmt: skip

        host._venue.trades, host._venue.open_orders = trades, open_orders  # type: ignore[method-assign]
        gate.send(ASK)
        await gate.until(lambda: of(gate, c.VenueReconciled), "the picture")
        told = of(gate, c.ChildTrade, c.VenueReconciled)
        assert [m.trade for m in told[:-1]] == list(picture)
        assert isinstance(told[-1], c.VenueReconciled) and told[-1].trades == ()
        assert [order.venue_cl_ord_id for order in told[-1].open_orders] == ["A"]

    in_process(tmp_path, body)


def test_an_answer_beyond_one_frame_goes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_FRAME", 20_000)

    async def body(gate: FakeGateway, host: VenueHost) -> None:
        async def query(request: QueryChild) -> Queried:
            return Queried("filled", 1, "1", D(1000), some_trades(1000), True)

        host._venue.query = query  # type: ignore[method-assign]
        gate.send(QueryChild(venue_cl_ord_id="A", symbol="BTC/USDT"))
        result = await gate.answer("A", c.ChildQueryResult)
        assert result.trades == () and result.trades_checked and result.cum_qty == D(1000)
        assert [m.trade for m in of(gate, c.ChildTrade)] == list(some_trades(1000))
        assert isinstance(gate.received[-1], c.ChildQueryResult)

    in_process(tmp_path, body)


def test_balances_follow_what_closed_an_order_and_a_reconciliation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balances, "GAP_S", 0.1)

    async def body(gate: FakeGateway, host: VenueHost) -> None:
        async def query(request: QueryChild) -> Queried:
            return Queried(request.venue_cl_ord_id, 1, "1", D(0), (), True)

        host._venue.query = query  # type: ignore[method-assign]
        gate.send(ASK)
        await gate.until(lambda: len(of(gate, c.BalancesReport)) == 2, "balances after the picture")
        (picture,), told = of(gate, c.VenueReconciled), of(gate, c.BalancesReport)
        assert told[0].asof_ns < picture.ts_ns <= told[1].asof_ns and set(told[1].free) == {"BTC", "USDT"}
        for outcome in ("open", "not_found"):
            gate.send(QueryChild(venue_cl_ord_id=outcome, symbol="BTC/USDT"))
            await gate.answer(outcome, c.ChildQueryResult)
        await asyncio.sleep(0.5)
        assert len(of(gate, c.BalancesReport)) == 2
        gate.send(QueryChild(venue_cl_ord_id="canceled", symbol="BTC/USDT"))
        result = await gate.answer("canceled", c.ChildQueryResult)
        await gate.until(lambda: len(of(gate, c.BalancesReport)) == 3, "balances after the end")
        assert of(gate, c.BalancesReport)[-1].asof_ns >= result.ts_ns

    in_process(tmp_path, body)


def test_books_sent_again_to_a_new_gateway_keep_their_times(tmp_path: Path) -> None:
    async def body(gate: FakeGateway, host: VenueHost) -> None:
        old = c.Quote(bid=D(1), last=D(2), recv_ns=5, last_ns=4, last_low=D(1), last_high=D(3))
        host.book("OLD/USDT", old)
        await gate.until(lambda: gate.books.get("OLD/USDT"), "the book")
        first = gate.books["OLD/USDT"].quote
        assert replace(first, recv_ns=5, last_ns=4) == old
        gate.books.clear()
        gate.cut()
        await gate.until(lambda: gate.books.get("OLD/USDT"), "the book again")
        again = gate.books["OLD/USDT"].quote
        assert replace(again, recv_ns=5, last_ns=4) == c.Quote(bid=D(1), last=D(2), recv_ns=5, last_ns=4)
        # two clocks are read for it, one after the other
        assert max(abs(again.recv_ns - 5), abs(again.last_ns - 4), abs(first.recv_ns - 5)) < 10**10

    in_process(tmp_path, body)
