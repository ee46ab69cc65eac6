"""The judgement: ledger, journal, client and drop copy side by side.

lost        a trade of the ledger, or a report of the journal, that somebody who should have it did not get
doubled     one child order id accepted twice by the exchange, one trade told under two ExecIDs, a CumQty counted twice
mismatched  the same thing told differently (quantity, price, status, the same ExecID with other content)
stuck       an order that is neither finished nor truly working at the exchange, or a request that was never answered
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from ..core.codec import decode_record
from ..core.events import Reported
from ..core.replay import apply_record
from ..core.reports import Report
from ..core.state import State, new_state
from ..fix.client import FixMessage
from ..journal.reader import JournalReader

_TELLING = (6, 11, 14, 31, 32, 37, 38, 39, 41, 44, 54, 55, 150, 151, 20001, 20006)
MAX_EXAMPLES = 20


class Verdict(msgspec.Struct):
    """Counts and the first examples of each."""

    lost: int = 0
    doubled: int = 0
    mismatched: int = 0
    stuck: int = 0
    trades: int = 0
    orders: int = 0
    reports: int = 0
    examples: list[str] = []

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.mismatched or self.stuck)

    def add(self, kind: str, text: str) -> None:
        """One finding."""
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(f"{kind}: {text}")


class Journaled(msgspec.Struct):
    """What the journal holds: the state at its end, and the reports of one session by ExecID."""

    state: State
    reports: dict[str, Report]


def read_journal(directory: Path, session: str) -> Journaled:
    """Replay everything (the gateway may be running). Raises CorruptJournal."""
    state, reports = new_state(), {}
    for _seq, payload in JournalReader(directory).read(1, None, strict=False):
        record = decode_record(payload)
        apply_record(state, record)
        for event in record.events:
            if isinstance(event, Reported) and event.session == session and isinstance(event.message, Report):
                reports[event.message.exec_id] = event.message
    return Journaled(state=state, reports=reports)


def working(ledger: list[dict[str, Any]], account: str) -> set[str]:
    """Our ids of the orders that the exchange still works, by its ledger."""
    found: set[str] = set()
    for entry in ledger:
        if entry.get("account") != account:
            continue
        if entry["type"] == "accepted":
            found.add(entry["cl_ord_id"])
        elif entry["type"] in ("canceled", "expired") or (entry["type"] == "filled" and entry["status"] == "FILLED"):
            found.discard(entry["cl_ord_id"])
    return found


def judge(
    ledger: list[dict[str, Any]],
    journal: Journaled,
    client: list[FixMessage],
    drop_copy: list[FixMessage],
    account: str,
) -> Verdict:
    """Compare all four; `account`: the exchange's name of our account."""
    verdict = Verdict(examples=[])
    told = _by_exec_id(verdict, client, "client")
    copied = _by_exec_id(verdict, drop_copy, "drop copy")
    _check_exchange(verdict, ledger, told, account)
    verdict.reports = len(journal.reports)
    for exec_id, report in journal.reports.items():
        if exec_id not in told:
            verdict.add("lost", f"report {exec_id} ({report.exec_type}/{report.ord_status}) never reached the client")
        if not report.status_reply and exec_id not in copied:
            verdict.add("lost", f"report {exec_id} never reached the drop copy")
    for exec_id, message in told.items():
        if exec_id not in journal.reports:
            verdict.add("mismatched", f"the client has ExecID {exec_id}, the journal does not")
        elif exec_id in copied and _content(copied[exec_id]) != _content(message):
            verdict.add("mismatched", f"ExecID {exec_id} differs between client and drop copy")
    _check_orders(verdict, journal.state, working(ledger, account), told)
    return verdict


def _by_exec_id(verdict: Verdict, messages: list[FixMessage], who: str) -> dict[str, FixMessage]:
    """ExecutionReports by ExecID; the same ExecID again (97=Y, 43=Y) must say the same."""
    found: dict[str, FixMessage] = {}
    for message in messages:
        if message.msg_type != "8":
            continue
        exec_id = message.get(17)
        if exec_id in found and _content(found[exec_id]) != _content(message):
            verdict.add("mismatched", f"{who}: ExecID {exec_id} came twice with different content")
        found[exec_id] = message
    return found


def _content(message: FixMessage) -> tuple[str, ...]:
    return tuple(message.get(tag) for tag in _TELLING)


def _check_exchange(
    verdict: Verdict, ledger: Iterable[dict[str, Any]], told: dict[str, FixMessage], account: str
) -> None:
    """Every trade of ours exactly once at the client, with its quantity and price; every child accepted at most once."""
    accepted: set[str] = set()
    trades: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in ledger:
        if entry.get("account") != account:
            continue
        if entry["type"] == "accepted":
            if entry["cl_ord_id"] in accepted:
                verdict.add("doubled", f"the exchange accepted {entry['cl_ord_id']} twice")
            accepted.add(entry["cl_ord_id"])
        elif entry["type"] == "filled":
            trades[entry["cl_ord_id"], str(entry["trade_id"])] = entry
    verdict.trades = len(trades)
    seen: dict[tuple[str, str], str] = {}
    for exec_id, message in told.items():
        if not message.get(20006) or message.get(150) not in ("F", "1", "2") or message.get(20, "0") == "3":
            continue
        key = (message.get(20007), message.get(20006))
        if key in seen:
            verdict.add("doubled", f"trade {key} was told as {seen[key]} and as {exec_id}")
        seen[key] = exec_id
        trade = trades.get(key)
        if trade is None:
            verdict.add("mismatched", f"the client has trade {key}, the exchange does not")
        elif (Decimal(trade["qty"]), Decimal(trade["price"])) != (Decimal(message.get(32)), Decimal(message.get(31))):
            here = f"{message.get(32)} @ {message.get(31)}"
            verdict.add("mismatched", f"trade {key}: exchange {trade['qty']} @ {trade['price']}, client {here}")
    for key in trades.keys() - seen.keys():
        verdict.add("lost", f"trade {key} of the exchange never reached the client")


def _check_orders(verdict: Verdict, state: State, open_at_venue: set[str], told: dict[str, FixMessage]) -> None:
    """Quantities add up, nothing is left in between, and the book holds what we think it holds."""
    verdict.orders = len(state.orders)
    sums: dict[str, Decimal] = {}
    for message in told.values():
        if message.get(20006):
            sums[message.get(37)] = sums.get(message.get(37), Decimal(0)) + Decimal(message.get(32, "0"))
    for order in state.orders.values():
        if order.cum_qty != sums.get(order.order_id, Decimal(0)):
            verdict.add("mismatched", f"order {order.order_id}: CumQty {order.cum_qty}, fills told {sums.get(order.order_id, 0)}")
        children = [state.children[child] for child in order.children]
        if any(child.is_uncertain for child in children):
            verdict.add("stuck", f"order {order.order_id}: something is still unknown")
        elif order.is_open and order.pending is not None:
            verdict.add("stuck", f"order {order.order_id}: a request is still pending ({order.pending.kind})")
        elif order.is_open and not order.held and not any(child.venue_cl_ord_id in open_at_venue for child in children):
            verdict.add("stuck", f"order {order.order_id}: open here ({order.status}), not at the exchange")
        elif not order.is_open and any(child.venue_cl_ord_id in open_at_venue for child in children):
            verdict.add("stuck", f"order {order.order_id}: finished here ({order.status}), open at the exchange")
