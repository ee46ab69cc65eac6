"""A counterparty: the other end of a FIX session, and what it makes of the reports (an OMS's own books).

It keeps its numbers and its sent messages whatever happens, asks again for what is missing, drops what it has by ExecID,
and holds each report against its own sum of fills. Wire frames as in session.py; a client's application message is a
Request. After a logon with 141=Y it sends what was not answered again with PossResend(97)=Y.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ..core.reports import BusinessReject, CancelReject, Message, Report
from .channel import Channel
from .scheduler import SECOND, Sim, Violation
from .session import Frame, Sent, resend

ZERO = Decimal(0)
FINAL = {"F": ("4", "9"), "G": ("5", "9"), "D": ("A", "8")}
HEARTBEAT_NS = 5 * SECOND
PATIENCE = 5


@dataclass(slots=True)
class Request:
    """An application message of the client. `kind`: MsgType D, F, G or H."""

    kind: str
    fields: dict[str, Any]
    sent_ns: int
    poss_resend: bool = False


@dataclass(slots=True)
class OrderView:
    """One order as the client knows it."""

    order_id: str
    cl_ord_id: str
    side: str
    ord_type: str = ""
    order_qty: Decimal = ZERO
    price: Decimal | None = None
    cum_qty: Decimal = ZERO
    leaves_qty: Decimal = ZERO
    status: str = ""


@dataclass(slots=True)
class Books:
    """What a counterparty has received: reports by ExecID in the order of arrival, and the orders that they tell of."""

    reports: dict[str, Report] = field(default_factory=dict)
    orders: dict[str, OrderView] = field(default_factory=dict)
    answers: dict[str, list[str]] = field(default_factory=dict)
    rejects: dict[tuple[str, int], CancelReject] = field(default_factory=dict)
    confirmed: dict[str, str] = field(default_factory=dict)
    by_cl_ord_id: dict[str, str] = field(default_factory=dict)


class Client:
    """One counterparty. `dial`: opens a connection; gives the channel to the gateway, or None when it does not listen."""

    def __init__(self, sim: Sim, name: str, dial: Callable[[Client], Channel | None], trades: bool = True) -> None:
        self.sim = sim
        self.name = name
        self.trades = trades
        self.books = Books()
        self.out: dict[int, Sent] = {}
        self.next_out = 1
        self.expected = 1
        self.connection: Channel | None = None
        self.logged_on = False
        # a session that lost records of the gateway (sync = "os" and a power cut) cannot agree any more
        self.trusting = True
        self.requests: dict[str, Request] = {}
        # sent more than once, by mistake or as a possible resend: more than one answer is right
        self.repeated: dict[str, None] = {}
        self._dial = dial
        self._asked_resend = False
        self._resetting = False
        self._logons_failed = 0
        sim.at(sim.ms(1, 500), self._connect)
        sim.at(HEARTBEAT_NS, self._beat)

    # --- connection ---

    def _connect(self) -> None:
        if self.connection is not None:
            return
        channel = self._dial(self)
        if channel is None:
            self.sim.at(self.sim.ms(300, 900), self._connect)
            return
        self.connection = channel
        self._asked_resend = False
        # a reset that was not answered must be tried again: the numbers are gone
        reset = self.sim.chance("reset", 0.12) or self._resetting
        if not self.trusting and self._logons_failed >= PATIENCE:
            # the gateway lost its numbers (sync = "os" and a power cut): somebody has to begin anew
            reset = True
            self.sim.counts["reset by hand after lost records (sync = os)"] += 1
        self._logons_failed += 1
        self._resetting = reset
        if reset:
            self.out.clear()
            self.next_out = self.expected = 1
        self.sim.note(self.name, "logs on with 141=Y" if reset else "logs on")
        self._put("A", reset)

    def disconnected(self) -> None:
        """The connection is gone: dial again a little later."""
        if self.connection is not None:
            self.connection, self.logged_on = None, False
            self.sim.note(self.name, "connection lost")
            self.sim.at(self.sim.ms(50, 3000), self._connect)

    def _put(self, kind: str, body: Any) -> None:
        number = self.next_out
        self.out[number] = (kind, body, False)
        self.next_out += 1
        if self.connection is not None and (self.logged_on or kind == "A"):
            self.connection.send((number, False, kind, body, False))

    def _beat(self) -> None:
        """A Heartbeat, so that a gap is noticed even when nobody has anything to say."""
        if self.logged_on:
            self._put("0", 0)
        self.sim.at(HEARTBEAT_NS, self._beat)

    def request(self, kind: str, **fields: Any) -> None:
        """Send an application message; while disconnected it waits in the store for the resend."""
        request = Request(kind, fields, self.sim.now)
        if kind != "H":
            self.requests[fields["cl_ord_id"]] = request
        self.sim.note(self.name, "sends", request)
        self._put("app", request)

    def repeat(self, request: Request, poss_resend: bool) -> None:
        """Send an earlier request again, under a new number."""
        again = Request(request.kind, request.fields, self.sim.now if not poss_resend else request.sent_ns, poss_resend)
        self.repeated[request.fields["cl_ord_id"]] = None
        self.sim.note(self.name, "sends again", again)
        self._put("app", again)

    # --- in ---

    def receive(self, frame: Frame) -> None:
        """A frame of the gateway."""
        number, poss_dup, kind, body, poss_resend = frame
        if self.connection is None:
            return
        if kind == "A" and body:
            self.expected = number
        if number > self.expected:
            if kind == "A":
                self.logged_on = True
                self._put("0", 0)
            elif kind == "2":
                self._resend(body)
            if not self._asked_resend:
                self._asked_resend = True
                self._put("2", self.expected)
            return
        if number < self.expected:
            if not poss_dup:
                raise Violation("numbers only rise", f"{self.name} expected {self.expected} and got {number} ({kind})")
            return
        self.expected = body if kind == "4" else number + 1
        self._asked_resend = False
        if kind == "A":
            self.logged_on = True
            self._logons_failed = 0
            self._put("0", 0)
            self._after_logon()
        elif kind == "1":
            self._put("0", body)
        elif kind == "2":
            self._resend(body)
        elif kind == "app":
            self._message(body, poss_dup or poss_resend)

    def _after_logon(self) -> None:
        if not self._resetting:
            return
        self._resetting = False
        for cl_ord_id, request in self.requests.items():
            if not self.answered(cl_ord_id):
                again = Request(request.kind, request.fields, request.sent_ns, poss_resend=True)
                self.repeated[cl_ord_id] = None
                self._put("app", again)

    def _resend(self, first: int) -> None:
        assert self.connection is not None
        resend(self.connection, self.out, first, self.next_out)

    # --- what the reports say ---

    def answered(self, cl_ord_id: str) -> bool:
        """The request is settled, as far as the client knows."""
        kind = self.requests[cl_ord_id].kind
        return any(answer in FINAL[kind] or answer == "j" for answer in self.books.answers.get(cl_ord_id, ()))

    def _message(self, message: Message, again: bool) -> None:
        books = self.books
        if isinstance(message, BusinessReject):
            books.answers.setdefault(message.ref_id, []).append("j")
        elif isinstance(message, CancelReject):
            key = (message.cl_ord_id, message.transact_ns)
            if key in books.rejects:
                if again:
                    return  # told before, and history by now
                if message.cl_ord_id not in self.repeated:
                    raise Violation("nothing told twice", f"{self.name} got it again without 43=Y or 97=Y: {message}")
            books.rejects[key] = message
            books.answers.setdefault(message.cl_ord_id, []).append("9")
            view = books.orders.get(message.order_id)
            if view is not None and self.trusting:
                view.status = message.ord_status
        elif isinstance(message, Report):
            before = books.reports.get(message.exec_id)
            if before is None:
                books.reports[message.exec_id] = message
                self._report(message)
            elif before != message:
                raise Violation("one ExecID, one report", f"{self.name} got {message.exec_id} with other content: {message}")
            elif not again:
                raise Violation("nothing told twice", f"{self.name} got it again without 43=Y or 97=Y: {message}")

    def _report(self, report: Report) -> None:
        books = self.books
        books.answers.setdefault(report.cl_ord_id, []).append(report.exec_type)
        if report.order_id == "NONE" or (report.status_reply and report.ord_status == "8"):
            books.answers[report.cl_ord_id].append("8")
            return
        self._check_identity(report)
        view = books.orders.get(report.order_id)
        if view is None:
            view = books.orders[report.order_id] = OrderView(report.order_id, report.cl_ord_id, report.side)
        if report.exec_type == "F":
            view.cum_qty += report.last_qty or ZERO
        if self.trusting and view.cum_qty != report.cum_qty:
            text = f"{self.name} {report.order_id}: its fills are {view.cum_qty}, the report says {report.cum_qty}: {report}"
            raise Violation("cum_qty is the sum of fills", text)
        if report.order_qty is not None and report.leaves_qty + report.cum_qty > report.order_qty and report.leaves_qty:
            raise Violation("quantity is conserved", f"{self.name}: {report}")
        view.leaves_qty, view.status = report.leaves_qty, report.ord_status
        if report.exec_type in ("A", "0", "5", "4") and report.cl_ord_id != view.cl_ord_id:
            view.cl_ord_id = report.cl_ord_id
        if report.exec_type in ("A", "5"):
            view.ord_type, view.price = report.ord_type, report.price
            view.order_qty = report.order_qty or ZERO

    def _check_identity(self, report: Report) -> None:
        """One order per ClOrdID, confirmed once."""
        books = self.books
        if not self.trusting:
            return
        if report.exec_type == "A" and self.trades:
            known = books.by_cl_ord_id.setdefault(report.cl_ord_id, report.order_id)
            if known != report.order_id:
                text = f"{self.name}: {report.cl_ord_id} is order {known} and {report.order_id}"
                raise Violation("one order per ClOrdID", text)
        if report.exec_type == "0":
            known = books.confirmed.setdefault(report.order_id, report.exec_id)
            if known != report.exec_id:
                text = f"{self.name}: {report.order_id} by {known} and by {report.exec_id}"
                raise Violation("confirmed once", text)
