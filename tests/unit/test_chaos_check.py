"""The judge of chaos runs must be able to find each kind of harm: hand-made witnesses, one lie each."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from fixgw.chaos.check import KINDS, Verdict, judge
from fixgw.chaos.witness import Client, Journaled, Request, Told
from fixgw.core.child import Child
from fixgw.core.events import ChildPlaced
from fixgw.core.order import Order, Pending
from fixgw.core.reports import Report
from fixgw.core.state import new_state
from fixgw.fix.client import FixMessage

BEGIN = {"OMS42": "FIX.4.2", "OMS44": "FIX.4.4"}
D = Decimal


def wire(report: Report, begin_string: str, *, copy: bool = False, **more: str) -> dict[int, str]:
    """An ExecutionReport as it should arrive; made here by hand, not by the product's encoder."""
    kind, status = report.exec_type, report.ord_status
    fields = {8: begin_string, 35: "8", 17: report.exec_id, 37: report.order_id, 11: report.cl_ord_id, 55: report.symbol}
    fields |= {54: report.side, 150: kind, 39: status, 14: str(report.cum_qty), 151: str(report.leaves_qty)}
    fields |= {6: str(report.avg_px), 38: str(report.order_qty), 44: str(report.price)}
    if kind == "F":
        fields |= {31: str(report.last_px), 32: str(report.last_qty)}
        fields |= {20006: report.venue_trade_id, 20007: report.venue_cl_ord_id}
    if begin_string == "FIX.4.2":
        fields |= {20: "0", 150: {"F": "2" if report.leaves_qty == 0 else "1"}.get(kind, kind)}
    if copy:
        fields[797] = "Y"
    return fields


@dataclass
class Case:
    """All four witnesses of two orders: one filled (in two trades, FIX 4.2), one working (FIX 4.4)."""

    ledger: list[dict[str, Any]] = field(default_factory=list)
    journal: Journaled = field(default_factory=lambda: Journaled(new_state(), {}, Counter(), {}))
    heard: dict[str, list[dict[int, str]]] = field(default_factory=lambda: {"OMS42": [], "OMS44": []})
    copied: list[dict[int, str]] = field(default_factory=list)
    requests: dict[str, list[Request]] = field(default_factory=lambda: {"OMS42": [], "OMS44": []})

    def tell(self, session: str, report: Report) -> None:
        self.journal.reports[report.exec_id] = Told(session, report, len(self.journal.reports))
        self.heard[session].append(wire(report, BEGIN[session]))
        self.copied.append(wire(report, "FIX.4.4", copy=True))

    def judge(self) -> Verdict:
        clients = [
            Client(session, [message(fields) for fields in heard], self.requests[session])
            for session, heard in self.heard.items()
        ]
        return judge(self.ledger, self.journal, clients, [message(fields) for fields in self.copied], "main")

    def find(self, where: list[dict[int, str]], exec_id: str) -> dict[int, str]:
        return next(fields for fields in where if fields[17] == exec_id)


def message(fields: dict[int, str]) -> FixMessage:
    return FixMessage(tuple(fields.items()), "", 0, 0)


def order_of(session: str, name: str, qty: str, cum: str, status: str) -> Order:
    return Order(
        order_id=f"o-{name}", session=session, cl_ord_id=name, client_account="", account="acc", venue="sim",
        symbol="BTC/USDT", client_symbol="BTC/USDT", side="1", ord_type="2", tif="0", order_qty=D(qty), cash_qty=None,
        price=D("100"), stop_px=None, expire_ns=None, exec_inst="", risk_px=D("100"), held=False, received_ns=1,
        status=status, cum_qty=D(cum), children=[f"c-{name}"],
    )  # fmt: skip


def child_of(name: str, qty: str, cum: str, state: str) -> Child:
    return Child(
        venue_cl_ord_id=f"c-{name}", order_id=f"o-{name}", venue="sim", account="acc", symbol="BTC/USDT", side="1",
        ord_type="2", tif="0", qty=D(qty), px=D("100"), sent_ns=1, expires_ns=0, reserve_asset="USDT",
        reserve_qty=D("0"), state=state, cum_qty=D(cum),
    )  # fmt: skip


def placed(child: Child) -> ChildPlaced:
    same = set(ChildPlaced.__struct_fields__) & set(Child.__struct_fields__)
    return ChildPlaced(ts_ns=1, **{name: getattr(child, name) for name in same})


def line(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "account": "main", "cl_ord_id": f"c-{name}", "side": "BUY", **more}


def good_case() -> Case:
    case = Case()
    for session, name, qty, cum, status, state in (
        ("OMS42", "a", "3", "3", "2", "closed"),
        ("OMS44", "b", "5", "0", "0", "working"),
    ):
        child = child_of(name, qty, cum, state)
        case.journal.state.orders[f"o-{name}"] = order_of(session, name, qty, cum, status)
        case.journal.state.children[f"c-{name}"] = child
        case.journal.placed[f"c-{name}"] = placed(child)
        case.ledger.append(line("accepted", name, qty=qty, price="100"))
        case.requests[session].append(Request("D", name))
    base = Report(
        exec_id="", exec_type="", ord_status="", order_id="o-a", cl_ord_id="a", symbol="BTC/USDT", side="1",
        order_qty=D("3"), price=D("100"), leaves_qty=D("3"),
    )  # fmt: skip

    def more(session: str, exec_id: str, kind: str, status: str, **changes: Any) -> None:
        case.tell(session, msgspec.structs.replace(base, exec_id=exec_id, exec_type=kind, ord_status=status, **changes))

    trade = {"last_px": D("100"), "avg_px": D("100"), "venue_cl_ord_id": "c-a"}
    more("OMS42", "e1", "A", "A")
    more("OMS42", "e2", "0", "0")
    more("OMS42", "e3", "F", "1", cum_qty=D("1"), leaves_qty=D("2"), last_qty=D("1"), venue_trade_id="7", **trade)
    more("OMS42", "e4", "F", "2", cum_qty=D("3"), leaves_qty=D("0"), last_qty=D("2"), venue_trade_id="8", **trade)
    other = {"order_id": "o-b", "cl_ord_id": "b", "order_qty": D("5"), "leaves_qty": D("5")}
    more("OMS44", "e5", "A", "A", **other)
    more("OMS44", "e6", "0", "0", **other)
    case.ledger.append(line("filled", "a", trade_id=7, qty="1", price="100", status="PARTIALLY_FILLED"))
    case.ledger.append(line("filled", "a", trade_id=8, qty="2", price="100", status="FILLED"))
    return case


def test_the_truth_is_clean() -> None:
    verdict = good_case().judge()
    assert verdict.clean, verdict.examples
    assert (verdict.orders, verdict.trades, verdict.reports, verdict.requests) == (2, 2, 6, 2)


def drop(where: list[dict[int, str]], exec_id: str) -> None:
    where[:] = [fields for fields in where if fields[17] != exec_id]


def client_misses_fill(case: Case) -> None:
    drop(case.heard["OMS42"], "e3")


def client_misses_confirmation(case: Case) -> None:
    drop(case.heard["OMS44"], "e6")


def copy_misses_report(case: Case) -> None:
    drop(case.copied, "e2")


def copy_misses_fill(case: Case) -> None:
    drop(case.copied, "e4")


def cancel_reject_lost(case: Case) -> None:
    case.journal.rejects["OMS44", "9", "x", "b"] += 1


def journal_misses_trade(case: Case) -> None:
    """The exchange traded, nobody here noticed."""
    case.ledger.append(line("filled", "b", trade_id=9, qty="1", price="100", status="PARTIALLY_FILLED"))


def accepted_twice(case: Case) -> None:
    case.ledger.insert(2, line("accepted", "a", qty="3", price="100"))


def trade_told_twice(case: Case) -> None:
    """Under a second ExecID, journaled and sent to both."""
    report = msgspec.structs.replace(case.journal.reports["e4"].report, exec_id="e9")
    case.tell("OMS42", report)


def unmarked_repetition(case: Case) -> None:
    case.heard["OMS42"].append(dict(case.find(case.heard["OMS42"], "e4")))


def executed_too_much(case: Case) -> None:
    case.journal.state.orders["o-a"].order_qty = D("2")


def other_quantity_at_client(case: Case) -> None:
    case.find(case.heard["OMS42"], "e3")[32] = "2"


def other_price_at_exchange(case: Case) -> None:
    next(entry for entry in case.ledger if entry.get("trade_id") == 7)["price"] = "101"


def other_status_at_client(case: Case) -> None:
    case.find(case.heard["OMS44"], "e6")[39] = "A"


def other_content_on_copy(case: Case) -> None:
    case.find(case.copied, "e4")[14] = "4"


def copy_without_mark(case: Case) -> None:
    del case.find(case.copied, "e1")[797]


def changed_when_sent_again(case: Case) -> None:
    case.heard["OMS42"].append(case.find(case.heard["OMS42"], "e4") | {97: "Y", 14: "2"})


def unknown_to_journal(case: Case) -> None:
    """Answered before it was written, and then killed."""
    del case.journal.reports["e6"]


def wrong_session(case: Case) -> None:
    case.journal.reports["e6"] = msgspec.structs.replace(case.journal.reports["e6"], session="OMS42")


def out_of_order(case: Case) -> None:
    heard = case.heard["OMS42"]
    heard[0], heard[1] = heard[1], heard[0]


def order_unknown_to_journal(case: Case) -> None:
    case.ledger.append(line("accepted", "ghost", qty="1", price="100"))


def other_terms_at_exchange(case: Case) -> None:
    case.ledger[1]["qty"] = "6"


def cum_qty_is_not_the_sum(case: Case) -> None:
    case.journal.state.orders["o-a"].cum_qty = D("2")


def false_cancel_reject(case: Case) -> None:
    case.heard["OMS44"].append({8: "FIX.4.4", 35: "9", 11: "b", 41: "b", 17: ""})


def refused_cancel(case: Case, *marks: dict[int, str]) -> None:
    """Journaled once, and come as often as there are marks."""
    case.journal.rejects["OMS44", "9", "x", "b"] += 1
    case.heard["OMS44"] += [{8: "FIX.4.4", 35: "9", 11: "x", 41: "b", 17: ""} | mark for mark in marks]


def cancel_reject_repeated(case: Case) -> None:
    refused_cancel(case, {}, {})


def second_cancel_reject_lost(case: Case) -> None:
    refused_cancel(case, {})
    refused_cancel(case)


def session_reject(case: Case) -> None:
    case.heard["OMS44"].append({8: "FIX.4.4", 35: "3", 45: "3", 58: "why", 17: ""})


def never_answered(case: Case) -> None:
    case.requests["OMS44"].append(Request("F", "z"))


def still_unknown(case: Case) -> None:
    case.journal.state.children["c-b"].state = "unknown"


def still_pending(case: Case) -> None:
    case.journal.state.orders["o-b"].pending = Pending(kind="6", cl_ord_id="x")


def open_here_only(case: Case) -> None:
    case.ledger.append(line("canceled", "b"))


def open_there_only(case: Case) -> None:
    order = case.journal.state.orders["o-b"]
    order.status = "4"


@pytest.mark.parametrize(
    ("kind", "lie"),
    [
        ("lost", client_misses_fill),
        ("lost", client_misses_confirmation),
        ("lost", copy_misses_report),
        ("lost", copy_misses_fill),
        ("lost", cancel_reject_lost),
        ("lost", second_cancel_reject_lost),
        ("lost", journal_misses_trade),
        ("doubled", accepted_twice),
        ("doubled", trade_told_twice),
        ("doubled", unmarked_repetition),
        ("doubled", cancel_reject_repeated),
        ("doubled", executed_too_much),
        ("mismatched", other_quantity_at_client),
        ("mismatched", other_price_at_exchange),
        ("mismatched", other_status_at_client),
        ("mismatched", other_content_on_copy),
        ("mismatched", copy_without_mark),
        ("mismatched", changed_when_sent_again),
        ("mismatched", unknown_to_journal),
        ("mismatched", wrong_session),
        ("mismatched", out_of_order),
        ("mismatched", order_unknown_to_journal),
        ("mismatched", other_terms_at_exchange),
        ("mismatched", cum_qty_is_not_the_sum),
        ("mismatched", false_cancel_reject),
        ("mismatched", session_reject),
        ("stuck", never_answered),
        ("stuck", still_unknown),
        ("stuck", still_pending),
        ("stuck", open_here_only),
        ("stuck", open_there_only),
    ],
)
def test_each_lie_is_found(kind: str, lie: Callable[[Case], None]) -> None:
    case = good_case()
    lie(case)
    verdict = case.judge()
    assert getattr(verdict, kind) >= 1, {name: getattr(verdict, name) for name in KINDS} | {"said": verdict.examples}
    assert any(example.startswith(f"{kind}: ") for example in verdict.examples)


@pytest.mark.parametrize("mark", [97, 43])
def test_a_marked_repetition_is_no_harm(mark: int) -> None:
    case = good_case()
    for exec_id in ("e2", "e4"):
        case.heard["OMS42"].append(case.find(case.heard["OMS42"], exec_id) | {mark: "Y"})
        case.copied.append(case.find(case.copied, exec_id) | {mark: "Y"})
    refused_cancel(case, {}, {mark: "Y"})
    assert case.judge().clean


def test_other_accounts_are_not_ours() -> None:
    case = good_case()
    case.ledger.append(line("accepted", "street", qty="1", price="1") | {"account": "street"})
    assert case.judge().clean
