"""Conformance, fourth part: what a reconciliation tells is the whole picture, and of now.

A list that lacks an order makes the gateway ask for it; figures of before make it trade with money that is bound.
"""

from __future__ import annotations

import time
from decimal import Decimal

from ..core import commands as c
from ..core.numbers import CTX, floor_to
from .conformance import Bench, check, expect, filled, last


@check()
async def open_orders_are_listed_completely_and_exactly(bench: Bench) -> None:
    assert bench.spec is not None
    qty = bench.qty("500")
    ways = [("1", bench.price("0.9")), ("1", bench.price("0.88")), ("2", bench.price("1.1"))]
    expected: dict[str, c.OpenOrder] = {}
    for side, px in ways:
        our_id, ack = await bench.placed(side=side, px=px, qty=qty)
        expected[our_id] = c.OpenOrder(
            venue_cl_ord_id=our_id, venue_order_id=ack.venue_order_id, symbol=bench.symbol, side=side, qty=qty,
            cum_qty=Decimal(0), px=px,
        )  # fmt: skip
    ids = list(expected)
    if {"ledger", "fills"} <= bench.abilities:  # one that is partly filled is open still
        part = floor_to(qty / 2, bench.spec.lot)
        bench.control.fill(int(expected[ids[1]].venue_order_id), part)
        await bench.gateway.answer(ids[1], c.ChildTrade)
        old = expected[ids[1]]
        expected[ids[1]] = c.OpenOrder(
            venue_cl_ord_id=old.venue_cl_ord_id, venue_order_id=old.venue_order_id, symbol=old.symbol, side=old.side, qty=qty,
            cum_qty=part, px=old.px,
        )  # fmt: skip
    await _lists(bench, expected)
    for our_id in ids:
        await bench.cancel(our_id)
        del expected[our_id]
        await _lists(bench, expected, gone=our_id)


async def _lists(bench: Bench, expected: dict[str, c.OpenOrder], gone: str = "") -> None:
    """A reconciliation lists each of these once with just these figures, and not the one that is gone."""
    told = (await bench.reconcile(0)).open_orders
    for our_id, order in expected.items():
        found = [o for o in told if o.venue_cl_ord_id == our_id]
        expect(found == [order], f"expected {order} among the open orders, got {found}")
    expect(gone not in {o.venue_cl_ord_id for o in told}, f"{gone} is listed, and has ended")


async def _balances_of_now(bench: Bench) -> c.BalancesReport:
    """What a reconciliation says of balances, as of a moment after this call."""
    mark, now_ns = len(bench.gateway.received), time.time_ns()
    await bench.reconcile(0)
    return await bench.seen(c.BalancesReport, mark, lambda b: b.asof_ns >= now_ns)


@check("balances", "fills")
async def balances_of_a_reconciliation_are_of_now(bench: Bench) -> None:
    assert bench.spec is not None
    base, quote = bench.spec.base, bench.spec.quote
    qty, px = bench.qty(), bench.price("0.9")
    before = await _balances_of_now(bench)
    our_id, _ = await bench.placed(qty=qty, px=px)
    held = await _balances_of_now(bench)
    expect(held.total == before.total, f"an order that rests moves nothing: {before.total}, then {held.total}")
    expect(held.free[base] == before.free[base], f"free {base}: {before.free[base]}, then {held.free[base]}")
    bound = before.free[quote] - held.free[quote]
    expect(bound >= CTX.multiply(qty, px), f"{qty} at {px} bind {bound} {quote}")
    await bench.cancel(our_id)
    free = await _balances_of_now(bench)
    expect(free.free == before.free, f"after the cancel: {before.free}, then {free.free}")


@check("balances", "fills")
async def balances_of_a_reconciliation_have_the_trades(bench: Bench) -> None:
    assert bench.spec is not None
    base, quote = bench.spec.base, bench.spec.quote
    for side, sign in (("1", 1), ("2", -1)):
        before = await _balances_of_now(bench)
        our_id, _ = await bench.placed(ord_type="1", side=side, qty=bench.qty())
        _, trades = await filled(bench, our_id)
        expected = dict(before.total)
        for trade in trades:
            expected[base] += sign * trade.qty
            expected[quote] -= sign * CTX.multiply(trade.qty, trade.px)
            expected[trade.fee_asset] -= trade.fee
        after = await _balances_of_now(bench)
        for asset in (base, quote):
            expect(after.total[asset] == expected[asset], f"{asset}: expected {expected[asset]}, got {after.total[asset]}")
            expect(after.free[asset] <= after.total[asset], f"free {asset} above the total: {after}")
    newest = last(bench, c.BalancesReport)
    expect(newest.asof_ns <= time.time_ns(), f"balances as of the future: {newest}")
