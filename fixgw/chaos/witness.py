"""What each witness says, in forms that can be compared: the journal, the ledger, and what a FIX client heard."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from ..core.codec import decode_record
from ..core.events import ChildPlaced, Reported
from ..core.replay import apply_record
from ..core.reports import BusinessReject, CancelReject, Report
from ..core.state import State, new_state
from ..fix.client import FixMessage, parse_pairs
from ..journal.reader import JournalReader

# (session, MsgType, ids): (9, ClOrdID, OrigClOrdID) or (j, RefSeqNum, RefMsgType)
RejectKey = tuple[str, str, str, str]


class Told(msgspec.Struct, frozen=True):
    """One journaled ExecutionReport, and its place in the order of all."""

    session: str
    report: Report
    position: int


class Journaled(msgspec.Struct):
    """What the journal holds: the state at its end, each report by ExecID, other answers, each child as it was sent."""

    state: State
    reports: dict[str, Told]
    rejects: Counter[RejectKey]
    placed: dict[str, ChildPlaced]


def read_journal(directory: Path) -> Journaled:
    """Replay everything (the gateway may be running). Raises CorruptJournal."""
    found = Journaled(state=new_state(), reports={}, rejects=Counter(), placed={})
    for _seq, payload in JournalReader(directory).read(1, None, strict=False):
        record = decode_record(payload)
        apply_record(found.state, record)
        for event in record.events:
            if isinstance(event, ChildPlaced):
                found.placed[event.venue_cl_ord_id] = event
            elif isinstance(event, Reported):
                _note(found, event)
    return found


def _note(found: Journaled, event: Reported) -> None:
    message = event.message
    if isinstance(message, Report):
        found.reports[message.exec_id] = Told(event.session, message, len(found.reports))
    elif isinstance(message, CancelReject):
        ids = (message.cl_ord_id or "NONE", message.orig_cl_ord_id or "NONE")
        found.rejects[event.session, "9", *ids] += 1
    elif isinstance(message, BusinessReject):
        found.rejects[event.session, "j", str(message.ref_seq), message.ref_msg_type] += 1


class AtExchange(msgspec.Struct):
    """One account's part of the ledger. `trades` by (our id, trade id); `working`: our ids of open orders."""

    accepted: Counter[str]
    terms: dict[str, dict[str, Any]]
    trades: dict[tuple[str, str], dict[str, Any]]
    working: set[str]


def read_ledger(ledger: Iterable[dict[str, Any]], account: str) -> AtExchange:
    """`account`: the exchange's name of it."""
    found = AtExchange(accepted=Counter(), terms={}, trades={}, working=set())
    for entry in ledger:
        if entry.get("account") != account or "cl_ord_id" not in entry:
            continue
        our_id = entry["cl_ord_id"]
        if entry["type"] == "accepted":
            found.accepted[our_id] += 1
            found.terms[our_id] = entry
            found.working.add(our_id)
        elif entry["type"] in ("canceled", "expired"):
            found.working.discard(our_id)
        elif entry["type"] == "filled":
            found.trades[our_id, str(entry["trade_id"])] = entry
            if entry["status"] == "FILLED":
                found.working.discard(our_id)
    return found


class Hearing:
    """Keeps what a FIX client received, small and without bound on their number: give `hear` as on_message.

    Iterating gives the application messages and session rejects again, in the order of arrival."""

    _KEPT = frozenset("389j")

    def __init__(self) -> None:
        self._raw: list[tuple[bytes, int]] = []
        self._lock = threading.Lock()

    def hear(self, message: FixMessage) -> None:
        """Runs on the engine's thread."""
        if message.msg_type in self._KEPT:
            with self._lock:
                self._raw.append((message.raw.encode("utf-8", "surrogateescape"), message.received_ns))

    def __len__(self) -> int:
        return len(self._raw)

    def __iter__(self) -> Iterator[FixMessage]:
        for number, (raw, received_ns) in enumerate(self._raw, 1):
            text = raw.decode("utf-8", "surrogateescape")
            yield FixMessage(parse_pairs(text), text, received_ns, number)


class Request(msgspec.Struct, frozen=True):
    """What a client sent. `kind`: MsgType D, F or G."""

    kind: str
    cl_ord_id: str


class Client(msgspec.Struct):
    """One trading session's testimony."""

    session: str
    heard: Iterable[FixMessage]
    requests: list[Request] = []


_TEXTS = (
    (37, "order_id"),
    (11, "cl_ord_id"),
    (41, "orig_cl_ord_id"),
    (55, "symbol"),
    (54, "side"),
    (20006, "venue_trade_id"),
    (20007, "venue_cl_ord_id"),
)
_NUMBERS = (
    (38, "order_qty"),
    (44, "price"),
    (31, "last_px"),
    (32, "last_qty"),
    (14, "cum_qty"),
    (151, "leaves_qty"),
    (6, "avg_px"),
)


def differences(report: Report, message: FixMessage) -> list[str]:
    """Where a received ExecutionReport says something else than the journaled one; written apart from the encoder."""
    found = [
        f"{tag}={message.get(tag)} for {getattr(report, name)}"
        for tag, name in _TEXTS
        if message.get(tag) != getattr(report, name)
    ]
    for tag, name in _NUMBERS:
        value, text = getattr(report, name), message.get(tag)
        if (value is None) != (text == "") or (value is not None and Decimal(text) != value):
            found.append(f"{tag}={text} for {value}")
    found += [
        f"{tag}={message.get(tag)} for {value}" for tag, value in _meaning(report, message.get(8)) if message.get(tag) != value
    ]
    return found


def _meaning(report: Report, begin_string: str) -> list[tuple[int, str]]:
    """ExecType(150), OrdStatus(39) and, in FIX 4.2, ExecTransType(20) that this report must have."""
    kind, status = report.exec_type, report.ord_status
    if begin_string != "FIX.4.2":
        return [(150, kind), (39, status)]
    if status == "0" and (report.replaced or kind == "5"):
        status = "5"
    if kind in "GHI":
        return [(20, {"H": "1", "G": "2", "I": "3"}[kind]), (150, status), (39, status)]
    if kind == "F":
        whole = report.leaves_qty == 0 and (report.order_qty is None or report.cum_qty >= report.order_qty)
        return [(20, "0"), (150, "2" if whole else "1"), (39, status)]
    return [(20, "0"), (150, kind), (39, status)]
