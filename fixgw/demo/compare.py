"""The judgement at the end of the day: client, drop copy, the exchange's own ledger and the gateway's positions agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from fixgw.demo.lines import number
from fixgw.demo.play import Seen

ACCOUNT: Final = "main"
_MAX_DIFFERENCES: Final = 20
# what a copy must say as the original does: ids, quantities, prices, reason
_SAME: Final = (11, 37, 41, 38, 44, 14, 151, 6, 31, 32, 55, 54, 20001, 20006)
_TERMINAL: Final = frozenset("248C")


@dataclass(slots=True)
class Check:
    """One comparison: expected and came in words, figures for the JSON, and the differences."""

    name: str
    expected: str = ""
    came: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.differences

    def as_dict(self) -> dict[str, Any]:
        shown = self.differences[:_MAX_DIFFERENCES]
        told = {"ok": self.ok, "expected": self.expected, "came": self.came}
        return {**told, **self.data, "differences": shown, "more_differences": len(self.differences) - len(shown)}


def drop_copy(client: list[Seen], broker: list[Seen]) -> Check:
    """Every ExecutionReport of the client is on the drop copy exactly once, with the same content and 797=Y."""
    own = {seen.exec_id: seen for seen in client if seen.is_report}
    check = Check("Drop copy")
    told = Counter(seen.exec_id for seen in client if seen.is_report)
    copied = Counter(seen.exec_id for seen in broker)
    check.differences += [f"ExecID {key}: the client got it {count} times" for key, count in told.items() if count != 1]
    for exec_id in [*own, *(key for key in copied if key not in own)]:
        if copied[exec_id] != (1 if exec_id in own else 0):
            check.differences.append(f"ExecID {exec_id}: {copied[exec_id]} copies, expected {int(exec_id in own)}")
    for seen in broker:
        if seen.message.get(797) != "Y":
            check.differences.append(f"ExecID {seen.exec_id}: CopyMsgIndicator(797) is {seen.message.get(797)!r}")
        original = own.get(seen.exec_id)
        if original is None:
            continue
        if seen.line != original.line:
            check.differences.append(f"ExecID {seen.exec_id}: {seen.line} copied of {original.line}")
        for tag in _SAME:
            mine, theirs = original.message.get(tag), seen.message.get(tag)
            if mine != theirs:
                check.differences.append(f"ExecID {seen.exec_id}: tag {tag} is {theirs!r}, the client got {mine!r}")
    check.expected = f"{len(own)} reports, each once, 797=Y"
    check.came = f"{len(broker)} reports, {len(copied)} ExecIDs"
    check.data = {"reports": len(own), "copies": len(broker), "exec_ids": len(copied)}
    return check


def ledger(client: list[Seen], records: list[dict[str, Any]], working: list[dict[str, Any]]) -> Check:
    """Order by order: the trades that the client was told are the trades of the exchange's ledger; what was refused or
    not placed never was there; nothing works on at the exchange that the client holds for finished."""
    check = Check("Exchange ledger")
    told, last = _client_fills(client), _last(client)
    really: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    accepted: Counter[str] = Counter()
    there: set[str] = set()
    for record in records:
        if record.get("account") != ACCOUNT or "cl_ord_id" not in record:
            continue
        order_id = _owner(record["cl_ord_id"], last)
        if order_id is None:
            check.differences.append(f"{record['type']} {record['cl_ord_id']}: of no order that the client knows")
            continue
        if record["type"] == "accepted":
            accepted[record["cl_ord_id"]] += 1
        if record["type"] in ("accepted", "filled", "rejected"):
            there.add(order_id)
        if record["type"] == "filled":
            really[order_id].append((str(record["trade_id"]), number(record["qty"]), number(record["price"])))
    check.differences += [f"{key}: placed {count} times at the exchange" for key, count in accepted.items() if count > 1]
    for order_id, seen in last.items():
        if sorted(told[order_id]) != sorted(really[order_id]):
            where = f"{seen.line.cl_ord_id} ({order_id})"
            check.differences.append(f"{where}: the client got {told[order_id]}, the ledger has {really[order_id]}")
        if seen.line.what == "rejected" and (order_id in there) != (seen.line.reason == "VENUE_REJECT"):
            met = "reached" if order_id in there else "never reached"
            check.differences.append(f"{seen.line.cl_ord_id}: {seen.line.reason}, but it {met} the exchange")
    open_here = {order_id for order_id, seen in last.items() if seen.line.status not in _TERMINAL}
    open_there = {_owner(str(item["clientOrderId"]), last) for item in working if item["account"] == ACCOUNT}
    if open_here != open_there:
        check.differences.append(f"working at the exchange: {open_there}, the client has {open_here}")
    trades = sum(len(fills) for fills in told.values())
    in_ledger = sum(len(fills) for fills in really.values())
    check.expected = f"{trades} fills on {sum(1 for fills in told.values() if fills)} orders, as the client was told"
    check.came = f"{in_ledger} fills on {sum(1 for fills in really.values() if fills)} orders"
    check.data = {
        "client_fills": trades, "ledger_fills": in_ledger, "orders": len(last), "orders_at_exchange": len(there),
        "working": len(open_there),
    }  # fmt: skip
    return check


def positions(
    session: str, client: list[Seen], told: dict[str, Any], fills: dict[str, Any], before: Balances, after: Balances
) -> Check:
    """The gateway's positions, and what the exchange booked, follow from the client's fills and fees."""
    check = Check("Positions and balances")
    net, moved = _net(client)
    for scope, name in (("session", session), ("firm", "")):
        rows = {
            row["symbol"]: Decimal(row["net"])
            for row in told["positions"]
            if (row["scope"], row["name"]) == (scope, name) and Decimal(row["net"])
        }
        if rows != {symbol: value for symbol, value in net.items() if value}:
            check.differences.append(f"{scope} {name}: positions {_shown(rows)}, the fills make {_shown(net)}")
    booked = {asset: after.get(asset, Decimal(0)) - before.get(asset, Decimal(0)) for asset in {*before, *after}}
    if {k: v for k, v in booked.items() if v} != {k: v for k, v in moved.items() if v}:
        check.differences.append(f"the exchange booked {_shown(booked)}, the fills make {_shown(moved)}")
    listed = sorted(row["exec_id"] for row in fills["fills"])
    got = sorted(seen.exec_id for seen in client if seen.line.what == "fill")
    if listed != got or fills["more"]:
        check.differences.append(f"`fixgw fills` lists {listed}, the client got {got}")
    check.expected = f"{_shown(net)}, fees included"
    mine = {r["symbol"]: Decimal(r["net"]) for r in told["positions"] if (r["scope"], r["name"]) == ("session", session)}
    check.came = _shown({symbol: value for symbol, value in mine.items() if value})
    check.data = {
        "net": {symbol: number(str(value)) for symbol, value in net.items()},
        "booked": {asset: number(str(value)) for asset, value in sorted(booked.items())},
    }
    return check


Balances = dict[str, Decimal]


def balances(state: dict[str, Any]) -> Balances:
    """asset -> free + locked of our account at the exchange, from /sim/state."""
    rows = state["balances"][ACCOUNT]
    return {asset: Decimal(row["free"]) + Decimal(row["locked"]) for asset, row in rows.items()}


def _net(client: list[Seen]) -> tuple[Balances, Balances]:
    """(symbol -> net position with fees in its base, asset -> what the exchange must have booked)."""
    net: Balances = defaultdict(Decimal)
    moved: Balances = defaultdict(Decimal)
    for seen in client:
        if seen.line.what != "fill":
            continue
        message = seen.message
        symbol, qty, px = message.get(55), Decimal(message.get(32)), Decimal(message.get(31))
        base, _, quote = symbol.partition("/")
        sign = 1 if message.get(54) == "1" else -1
        net[symbol] += sign * qty
        moved[base] += sign * qty
        moved[quote] -= sign * qty * px
        # FIX 4.2 has Commission(12) and our FeeCurrency(20010)
        fee, fee_asset = message.get(137) or message.get(12), message.get(138) or message.get(20010)
        if fee:
            moved[fee_asset] -= Decimal(fee)
            if fee_asset == base:
                net[symbol] -= Decimal(fee)
    return dict(net), dict(moved)


def _client_fills(client: Iterable[Seen]) -> dict[str, list[tuple[str, ...]]]:
    """order_id -> (venue trade id, quantity, price) of each fill, as told."""
    fills: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for seen in client:
        if seen.line.what == "fill":
            fills[seen.message.get(37)].append((seen.message.get(20006), seen.line.last_qty, seen.line.last_px))
    return fills


def _last(client: Iterable[Seen]) -> dict[str, Seen]:
    """order_id -> the newest ExecutionReport. The refusal of a second order with the same ClOrdID names the first one."""
    return {seen.message.get(37): seen for seen in client if seen.is_report and seen.line.reason != "DUPLICATE_CL_ORD_ID"}


def _owner(venue_cl_ord_id: str, orders: dict[str, Seen]) -> str | None:
    """Our ids of child orders begin with the order's id."""
    return next((order_id for order_id in orders if venue_cl_ord_id.startswith(order_id)), None)


def _shown(values: Balances) -> str:
    return ", ".join(f"{format(value.normalize() + 0, 'f')} {name}" for name, value in sorted(values.items()) if value) or "flat"
