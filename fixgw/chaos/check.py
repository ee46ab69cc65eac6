"""The judgement: ledger, journal, clients and drop copy side by side.

lost        a trade of the ledger, or an answer of the journal, that somebody who should have it did not get
doubled     an order accepted twice by the exchange, a trade told under two ExecIDs, a message that came twice without
            PossDup(43) or PossResend(97)
mismatched  the same thing told differently; a thing that one witness knows and the journal does not; reports out of order
stuck       an order that is neither finished nor truly working at the exchange; a request that was never answered
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from ..core.state import State
from ..fix.client import FixMessage
from .witness import AtExchange, Client, Journaled, RejectKey, differences, read_ledger

MAX_EXAMPLES = 20
KINDS = ("lost", "doubled", "mismatched", "stuck")
_TELLING = (6, 11, 14, 31, 32, 37, 38, 39, 41, 44, 54, 55, 150, 151, 20001, 20006, 20007)
_SIDES = {"1": "BUY", "2": "SELL"}
ZERO = Decimal(0)


class Verdict(msgspec.Struct):
    """Counts and the first examples of each kind."""

    lost: int = 0
    doubled: int = 0
    mismatched: int = 0
    stuck: int = 0
    trades: int = 0
    orders: int = 0
    reports: int = 0
    requests: int = 0
    examples: list[str] = []

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.mismatched or self.stuck)

    def add(self, kind: str, text: str) -> None:
        """One finding of a kind of KINDS."""
        count = getattr(self, kind) + 1
        setattr(self, kind, count)
        if count <= MAX_EXAMPLES:
            self.examples.append(f"{kind}: {text}")


class _Heard(msgspec.Struct):
    """The ExecIDs that somebody received, with what was said under each the first time. `plain`: refusals that were not marked as
    sent again."""

    said: dict[str, tuple[str, ...]]
    fills: dict[str, tuple[tuple[str, str], str, Decimal, Decimal]]
    answered: set[str]
    rejects: Counter[RejectKey]
    plain: Counter[RejectKey]


def judge(
    ledger: Iterable[dict[str, Any]], journal: Journaled, clients: list[Client], drop_copy: Iterable[FixMessage], account: str
) -> Verdict:
    """Compare all of them; `account`: the exchange's name of our account."""
    verdict = Verdict(examples=[])
    exchange = read_ledger(ledger, account)
    heard = {client.session: _listen(verdict, journal, client.heard, client.session) for client in clients}
    copied = _listen(verdict, journal, drop_copy, None)
    verdict.reports, verdict.trades = len(journal.reports), len(exchange.trades)
    for exec_id, told in journal.reports.items():
        what = f"report {exec_id} ({told.report.exec_type}/{told.report.ord_status}, {told.report.cl_ord_id})"
        if told.session in heard and exec_id not in heard[told.session].said:
            verdict.add("lost", f"{what} never reached {told.session}")
        if not told.report.status_reply and exec_id not in copied.said:
            verdict.add("lost", f"{what} never reached the drop copy")
    for client in clients:
        _check_answers(verdict, journal, client, heard[client.session])
    _check_fills(verdict, exchange, [fill for one in heard.values() for fill in one.fills.items()], "the client")
    _check_fills(verdict, exchange, list(copied.fills.items()), "the drop copy")
    _check_children(verdict, exchange, journal)
    sums: dict[str, Decimal] = {}
    for one in heard.values():
        for _key, order_id, qty, _px in one.fills.values():
            sums[order_id] = sums.get(order_id, ZERO) + qty
    _check_orders(verdict, journal.state, exchange.working, sums, set(heard))
    return verdict


def _listen(verdict: Verdict, journal: Journaled, messages: Iterable[FixMessage], session: str | None) -> _Heard:
    """Take in what one FIX client received; `session` None: the drop copy."""
    found = _Heard(said={}, fills={}, answered=set(), rejects=Counter(), plain=Counter())
    who = session or "the drop copy"
    plain: set[str] = set()
    newest = -1
    for message in messages:
        again = message.get(97) == "Y" or message.get(43) == "Y"
        if message.msg_type == "8":
            position = _report(verdict, journal, message, session, found)
            exec_id = message.get(17)
            if not again and exec_id in plain:
                verdict.add("doubled", f"{who}: ExecID {exec_id} came twice, unmarked")
            if not again:
                plain.add(exec_id)
                if position < newest and position >= 0:
                    verdict.add("mismatched", f"{who}: ExecID {exec_id} came out of its order")
            newest = max(newest, position)
        elif message.msg_type in "9j":
            _reject(message, session or "", again, found)
        elif message.msg_type == "3":
            verdict.add("mismatched", f"{who}: Reject(3) of message {message.get(45)}: {message.get(58)}")
    return found


def _report(verdict: Verdict, journal: Journaled, message: FixMessage, session: str | None, found: _Heard) -> int:
    """One ExecutionReport; its place in the journal, -1 when it has none."""
    exec_id, who = message.get(17), session or "the drop copy"
    found.answered.add(message.get(11))
    content = tuple(message.get(tag) for tag in _TELLING)
    if exec_id in found.said:
        if found.said[exec_id] != content:
            verdict.add("mismatched", f"{who}: ExecID {exec_id} came twice with different content")
        return journal.reports[exec_id].position if exec_id in journal.reports else -1
    found.said[exec_id] = content
    told = journal.reports.get(exec_id)
    if told is None:
        verdict.add("mismatched", f"{who} has ExecID {exec_id} ({message.get(11)}), the journal does not")
    elif session is not None and told.session != session:
        verdict.add("mismatched", f"{who} got ExecID {exec_id}, which is {told.session}'s")
    elif wrong := differences(told.report, message):
        verdict.add("mismatched", f"{who}: ExecID {exec_id} differs from the journal: {', '.join(wrong)}")
    if session is None and message.get(797) != "Y":
        verdict.add("mismatched", f"{who}: ExecID {exec_id} is not marked as a copy (797)")
    kind = message.get(150)
    if message.get(20006) and (kind == "F" or (message.get(20) == "0" and kind in ("1", "2"))):
        key = (message.get(20007), message.get(20006))
        found.fills[exec_id] = (key, message.get(37), Decimal(message.get(32)), Decimal(message.get(31)))
    return told.position if told is not None else -1


def _reject(message: FixMessage, session: str, again: bool, found: _Heard) -> None:
    if message.msg_type == "9":
        ids = (message.get(11), message.get(41))
        found.answered.add(message.get(11))
    else:
        ids = (message.get(45), message.get(372))
        found.answered.add(message.get(379))
    found.rejects[session, message.msg_type, *ids] += 1
    found.plain[session, message.msg_type, *ids] += not again


def _check_answers(verdict: Verdict, journal: Journaled, client: Client, heard: _Heard) -> None:
    """Cancel rejects and business rejects by the journal, and every request by the client's own list."""
    verdict.requests += len(client.requests)
    for key, times in journal.rejects.items():
        if key[0] == client.session and heard.rejects[key] < times:
            verdict.add("lost", f"the {key[1]} about {key[2]} {key[3]} never reached {client.session}")
    for key, times in heard.plain.items():
        # a j may be an answer of the edge (a full disk, an overload), which is not journaled on purpose
        if key[1] == "9" and key not in journal.rejects:
            verdict.add("mismatched", f"{client.session} has a cancel reject about {key[2]}, the journal does not")
        elif key[1] == "9" and times > journal.rejects[key]:
            verdict.add("doubled", f"{client.session}: the cancel reject about {key[2]} came {times} times, unmarked")
    for request in client.requests:
        if request.cl_ord_id not in heard.answered:
            verdict.add("stuck", f"{client.session}: request {request.cl_ord_id} ({request.kind}) was never answered")


def _check_fills(
    verdict: Verdict, exchange: AtExchange, fills: list[tuple[str, tuple[tuple[str, str], str, Decimal, Decimal]]], who: str
) -> None:
    """Every trade of the exchange exactly once, with its quantity and price."""
    seen: dict[tuple[str, str], str] = {}
    for exec_id, (key, _order_id, qty, px) in fills:
        if key in seen:
            verdict.add("doubled", f"trade {key} was told to {who} as {seen[key]} and as {exec_id}")
        seen[key] = exec_id
        trade = exchange.trades.get(key)
        if trade is None:
            verdict.add("mismatched", f"{who} has trade {key}, the exchange does not")
        elif (Decimal(trade["qty"]), Decimal(trade["price"])) != (qty, px):
            verdict.add("mismatched", f"trade {key}: exchange {trade['qty']} @ {trade['price']}, {who} {qty} @ {px}")
    for key in exchange.trades.keys() - seen.keys():
        verdict.add("lost", f"trade {key} of the exchange never reached {who}")


def _check_children(verdict: Verdict, exchange: AtExchange, journal: Journaled) -> None:
    """What the exchange took is what the journal sent, once."""
    for our_id, times in exchange.accepted.items():
        if times > 1:
            verdict.add("doubled", f"the exchange accepted {our_id} {times} times")
        placed, terms = journal.placed.get(our_id), exchange.terms[our_id]
        if placed is None:
            verdict.add("mismatched", f"the exchange has order {our_id}, the journal never sent it")
        elif (terms["side"], Decimal(terms["qty"])) != (_SIDES[placed.side], placed.qty) or (
            placed.px is not None and Decimal(terms["price"]) != placed.px
        ):
            here = f"{_SIDES[placed.side]} {placed.qty} @ {placed.px}"
            verdict.add("mismatched", f"{our_id}: exchange {terms['side']} {terms['qty']} @ {terms['price']}, journal {here}")


def _check_orders(verdict: Verdict, state: State, at_venue: set[str], fills_told: dict[str, Decimal], sessions: set[str]) -> None:
    """Quantities add up, nothing is left in between, and the book holds what we think it holds."""
    verdict.orders = len(state.orders) + state.cold.count
    for order in state.all_orders():
        told = fills_told.get(order.order_id, ZERO)
        if order.session in sessions and order.cum_qty != told:
            verdict.add("mismatched", f"order {order.order_id}: CumQty {order.cum_qty}, fills told {told}")
        if order.cum_qty > order.order_qty:
            verdict.add("doubled", f"order {order.order_id}: executed {order.cum_qty} of {order.order_qty}")
        children = [child for child in map(state.find_child, order.children) if child is not None]
        works = any(child.venue_cl_ord_id in at_venue for child in children)
        if any(child.is_uncertain for child in children):
            verdict.add("stuck", f"order {order.order_id} ({order.cl_ord_id}): something is still unknown")
        elif order.is_open and order.pending is not None:
            verdict.add("stuck", f"order {order.order_id}: a request is still pending ({order.pending.kind})")
        elif order.is_open and not order.held and not works:
            verdict.add("stuck", f"order {order.order_id}: open here ({order.status}), not at the exchange")
        elif not order.is_open and works:
            verdict.add("stuck", f"order {order.order_id}: finished here ({order.status}), open at the exchange")
