"""Dialogues as tables: a row is a list of steps, each sent, expected, or done at the venue; one driver for all versions.

Words are those of the order state change matrices (FIX 4.2 appendix D, FIX 4.4 volume 4 appendix D). ClOrdIDs are X, Y, Z
as there: "Y,X" is ClOrdID(11) Y with OrigClOrdID(41) X, "X" alone demands that there is no 41. Quantities stand as
"OrderQty CumQty LeavesQty". Where FIX 4.2 differs the table says both, as in "0|5": 0, in FIX 4.2 5.

The table is complete: a message that no step expects fails the row. After it every report must have reached the drop
copy once, in the same order, with the same ExecID, and every message must pass the dictionary of its version.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, NamedTuple

import quickfix
from client import ADMIN, Conversation, Fields, Pairs, utc

from fixgw.admin.client import AdminClient
from fixgw.fix.outbound import VERSIONS as OUTBOUND
from fixgw.fix.outbound import dictionaries
from fixgw.sim.client import SimClient


class Version(NamedTuple):
    """BeginString(8) and SenderCompID(49) of the demo's session."""

    begin: str
    comp_id: str

    @property
    def dictionary(self) -> str:
        return "FIX.5.0SP2" if self.begin == "FIXT.1.1" else self.begin

    @property
    def is_42(self) -> bool:
        return self.begin == "FIX.4.2"


VERSIONS = {
    "FIX42": Version("FIX.4.2", "OMS42"),
    "FIX44": Version("FIX.4.4", "OMS44"),
    "FIX50": Version("FIXT.1.1", "OMS50"),
}
# the word of the matrices -> (ExecType 150 since FIX 4.3, ExecTransType 20 and ExecType 150 in 4.2; "": as OrdStatus 39)
WORDS = {
    "pending new": ("A", "0", "A"),
    "new": ("0", "0", "0"),
    "partial fill": ("F", "0", "1"),
    "fill": ("F", "0", "2"),
    "canceled": ("4", "0", "4"),
    "replaced": ("5", "0", "5"),
    "pending cancel": ("6", "0", "6"),
    "pending replace": ("E", "0", "E"),
    "rejected": ("8", "0", "8"),
    "expired": ("C", "0", "C"),
    "status": ("I", "3", ""),
    "unknown": ("I", "3", ""),
    "trade cancel": ("H", "1", ""),
    "trade correct": ("G", "2", ""),
}
# what happens meanwhile takes a busy machine less, and the recvWindow of conftest.py leaves it as much again
SLOW_S = 1.5
_names = itertools.count(1)


# OrdRejReason(103), CxlRejReason(102), ExecRestatementReason(378) as FIX 4.2 was published
BROKER_OPTION_42 = {103: (set("012345678"), "0"), 102: (set("0123"), "2"), 378: (set("012345"), "4")}


class Desk:
    """One version's client and everything around it, with the memory of one dialogue."""

    def __init__(self, version: Version, client: Conversation, copy: Conversation, sim: SimClient, admin: AdminClient) -> None:
        self.version, self.client, self.copy, self.sim, self.admin = version, client, copy, sim, admin
        self.run = f"{version.comp_id}-{next(_names)}"
        self.order_ids: dict[str, str] = {}
        self.venue_ids: dict[str, int] = {}
        self.chain: dict[str, str] = {}
        self.terms: dict[str, dict[int, str]] = {}
        self.reports: list[Fields] = []
        self.heard: set[str] = set()
        self.notes: dict[str, Any] = {}
        self.barrier()
        self.client.pending()
        self._copied = len(copy.seen)
        self._heard_from = len(client.texts)

    def id(self, name: str) -> str:
        """The ClOrdID of X, Y, Z in this dialogue."""
        return f"{self.run}-{name}"

    def pick(self, value: str, tag: int = 0) -> str:
        """Of "a|b" b for FIX 4.2, else a; codes that FIX 4.2 has not are its "broker option"."""
        first, _, second = value.partition("|")
        if not self.version.is_42:
            return first
        if tag in BROKER_OPTION_42:
            known, other = BROKER_OPTION_42[tag]
            return (second or first) if (second or first) in known else other
        return second or first

    def play(self, steps: Iterable[Step]) -> None:
        """Every step, then the end: nothing unexpected, all of it copied."""
        for number, step in enumerate(steps, 1):
            try:
                step(self)
            except AssertionError as error:
                raise AssertionError(f"step {number}: {error}") from error
        self.finish()

    def until(self, condition: Callable[[], Any], what: str, timeout_s: float = 15.0) -> Any:
        """For what the venue or operations can be asked for."""
        deadline = time.monotonic() + timeout_s
        while not (found := condition()):
            assert time.monotonic() < deadline, f"no {what} within {timeout_s} s"
            time.sleep(0.01)
        return found

    def finish(self) -> None:
        left = self.barrier()
        assert not left, f"unexpected at the end: {left}"
        self._check_copies()
        for text in self.client.texts[self._heard_from :]:
            validate(text, self.version)
        for text in self.copy.texts[self._copied :]:
            validate(text, VERSIONS["FIX44"])

    def barrier(self) -> list[Fields]:
        """Everything decided before now has arrived; gives what nobody looked at. (An OrderStatusRequest of an order
        that does not exist goes the whole way through the engine, and its answer comes behind everything else.)"""
        probe = f"{self.run}-barrier-{next(_names)}"
        self.client.send("H", [(11, probe), (55, "BTC/USDT"), (54, "1")])
        self.client.wait(lambda: any(m.get(11) == probe for m in self.client.seen[-50:]), "answer to the barrier")
        return [m for m in self.client.pending() if m.get(11) != probe]

    def _check_copies(self) -> None:
        expected = [m[17] for m in self.reports]
        self.copy.wait(lambda: set(expected) <= {m.get(17) for m in self.copy.seen[self._copied :]}, "drop copies")
        mine = [m for m in self.copy.seen[self._copied :] if m.get(11, "").startswith(self.run + "-")]
        assert [m[17] for m in mine] == expected, "the drop copy shows other reports, or others' order"
        for copied, report in zip(mine, self.reports, strict=True):
            assert copied[797] == "Y" and copied[448] == self.version.comp_id and 43 not in copied
            assert copied[37] == report[37] and copied[11] == report[11]
            assert all(Decimal(copied[tag]) == Decimal(report[tag]) for tag in (14, 151, 6))


def validate(text: str, version: Version) -> None:
    """QuickFIX and the dictionaries that counterparties get agree with every message received."""
    books = dictionaries(OUTBOUND[version.dictionary])
    message = quickfix.Message(text, *books, True)
    if len(books) > 1:
        transport, application = books
        is_session = "\x0135=3\x01" in text
        quickfix.DataDictionary.validate(message, transport, transport if is_session else application)
    else:
        books[0].validate(message)


Step = Callable[[Desk], None]
Text = str | Callable[[], str]


# --- sent ---


def _common(desk: Desk, terms: dict[int, str]) -> Pairs:
    return [(tag, value) for tag, value in {21: "1", 60: utc(), **terms}.items() if value]


def new(
    name: str, qty: str = "1", px: str = "59000", side: str = "1", kind: str = "2", tif: str = "1", *,
    symbol: str = "BTC/USDT", header: Pairs | None = None, **tags: Text,
) -> Step:  # fmt: skip
    """NewOrderSingle. `tags`: further fields as t126="..."; "" leaves a field out."""

    def step(desk: Desk) -> None:
        terms = {55: symbol, 54: side, 40: kind, 59: tif, 38: qty, 44: px if kind in "24" else ""} | _tags(tags)
        desk.chain.setdefault(name, name)
        desk.terms.setdefault(name, terms)
        desk.client.send("D", [(11, desk.id(name)), *_common(desk, terms)], header=header)

    return step


def cancel(name: str, orig: str, *, header: Pairs | None = None, **tags: Text) -> Step:
    """OrderCancelRequest(name, orig)."""

    def step(desk: Desk) -> None:
        desk.chain[name] = desk.chain.get(orig, orig)
        known = desk.terms.get(desk.chain[name], {})
        terms = {55: known.get(55, "BTC/USDT"), 54: known.get(54, "1"), 38: known.get(38, "")} | _tags(tags)
        ids = [(11, desk.id(name)), (41, desk.id(orig))]
        desk.client.send("F", [*ids, *[p for p in _common(desk, terms) if p[0] != 21]], header=header)

    return step


def replace(name: str, orig: str, qty: str = "", px: str = "", *, header: Pairs | None = None, **tags: Text) -> Step:
    """OrderCancelReplaceRequest(name, orig); the other terms are those of the order."""

    def step(desk: Desk) -> None:
        desk.chain[name] = desk.chain.get(orig, orig)
        known = desk.terms[desk.chain[name]]
        terms = known | {tag: value for tag, value in ((38, qty), (44, px)) if value} | _tags(tags)
        desk.client.send("G", [(11, desk.id(name)), (41, desk.id(orig)), *_common(desk, terms)], header=header)

    return step


def ask_status(name: str) -> Step:
    """OrderStatusRequest."""

    def step(desk: Desk) -> None:
        known = desk.terms.get(desk.chain.get(name, name), {})
        desk.client.send("H", [(11, desk.id(name)), (55, known.get(55, "BTC/USDT")), (54, known.get(54, "1"))])

    return step


def raw(msg_type: str, *body: tuple[int, Any], header: Pairs | None = None) -> Step:
    """Any message."""
    return lambda desk: void(desk.client.send(msg_type, list(body), header=header))


def _tags(tags: dict[str, Text]) -> dict[int, str]:
    """Values that are functions are made when the message is."""
    return {int(name[1:]): value() if callable(value) else value for name, value in tags.items()}


# --- expected ---


def er(
    word: str, status: str, ids: str, quantities: str = "", *, code: str = "", text: str = "", timeout_s: float = 15.0,
    reply: bool = False, unnamed: bool = False, **tags: str,
) -> Step:  # fmt: skip
    """ExecutionReport. `code`: our ReasonCode(20001), "" demands that there is none; `tags` as t32="0.5" ("": absent);
    `reply`: an answer about the order, not copied; `unnamed`: carries an OrderID of its own."""

    def step(desk: Desk) -> None:
        m = desk.client.receive(f"ExecutionReport {word} ({ids})", timeout_s)
        assert m[35] == "8", f"expected {word} ({ids}), got {m}"
        since_43, trans, exec_42 = WORDS[word]
        wanted = {39: desk.pick(status), 20001: code, 43: "", 97: ""}
        if desk.version.is_42:
            wanted |= {20: trans, 150: exec_42 or wanted[39]}
        else:
            wanted |= {20: "", 150: since_43}
        own, _, orig = ids.partition(",")
        wanted |= {11: desk.id(own), 41: desk.id(orig) if orig else ""}
        if quantities:
            wanted |= dict(zip((38, 14, 151), quantities.split(), strict=True))
        wanted |= {tag: desk.pick(value, tag) for tag, value in _tags(tags).items()}
        check(m, wanted, f"{word} ({ids})")
        assert text in m.get(58, ""), f"Text(58) {m.get(58)!r} without {text!r}"
        _consistent(desk, m, own, unnamed)
        if not reply:
            desk.reports.append(m)

    return step


def check(message: Fields, wanted: dict[int, str], what: str) -> None:
    """Every field as wanted; numbers are compared as numbers, "" is absent."""
    wrong = {tag: (message.get(tag), value) for tag, value in wanted.items() if not _same(message.get(tag, ""), value)}
    assert not wrong, f"{what}: tag: (got, expected) {wrong} in {message}"


def _same(got: str, value: str) -> bool:
    if got == value:
        return True
    try:
        return bool(got and value) and Decimal(got) == Decimal(value)
    except ArithmeticError:
        return False


def _consistent(desk: Desk, m: Fields, own: str, unnamed: bool) -> None:
    """What holds for every report: ids, sums, the client's own words."""
    chain = desk.chain.get(own, own)
    assert m[17] not in desk.heard, f"ExecID {m[17]} twice"
    desk.heard.add(m[17])
    if not unnamed and m[37] != "NONE":
        assert desk.order_ids.setdefault(chain, m[37]) == m[37], "another OrderID than before"
    if m.get(20005):
        desk.venue_ids[chain] = int(m[20005])
    cum, leaves = Decimal(m[14]), Decimal(m[151])
    if m.get(38) and m[39] not in "248C":
        assert cum + leaves == Decimal(m[38]), f"CumQty + LeavesQty is not OrderQty: {m}"
    if m[39] in "248C":
        assert leaves == 0, f"a finished order leaves {leaves}"
    assert (cum == 0) == (Decimal(m[6]) == 0) and 60 in m
    for tag in (55, 54):
        assert m[tag] == desk.terms.get(chain, {}).get(tag, m[tag])


def cxl_reject(ids: str, status: str, *, to: str, why: str, code: str, **tags: Text) -> Step:
    """OrderCancelReject: `to` CxlRejResponseTo(434), `why` CxlRejReason(102)."""

    def step(desk: Desk) -> None:
        m = desk.client.receive(f"OrderCancelReject ({ids})")
        assert m[35] == "9", f"expected a cancel reject ({ids}), got {m}"
        own, _, orig = ids.partition(",")
        wanted = {11: desk.id(own), 41: desk.id(orig), 39: status, 434: to, 102: why, 20001: code} | _tags(tags)
        check(m, {tag: desk.pick(value, tag) for tag, value in wanted.items()}, f"cancel reject ({ids})")
        order_id = desk.order_ids.get(desk.chain.get(orig, orig), "NONE")
        assert m[37] == order_id, f"OrderID is {m[37]}, expected {order_id}"

    return step


def _last_request(desk: Desk) -> str:
    """Its MsgSeqNum: the reader may have answered a TestRequest since."""
    return str(max(number for number, body in desk.client.sent.items() if body[0][1] not in ADMIN))


def biz_reject(why: str, code: str, ref_type: str, **tags: str) -> Step:
    """BusinessMessageReject: `why` BusinessRejectReason(380)."""

    def step(desk: Desk) -> None:
        m = desk.client.receive("BusinessMessageReject")
        check(m, {35: "j", 380: why, 372: ref_type, 20001: code, 45: _last_request(desk)} | _tags(tags), "35=j")

    return step


def session_reject(why: str, tag: str, ref_type: str) -> Step:
    """Reject: `why` SessionRejectReason(373), `tag` RefTagID(371)."""

    def step(desk: Desk) -> None:
        m = desk.client.receive("Reject")
        wanted = {35: "3", 373: desk.pick(why), 371: tag, 372: ref_type, 45: _last_request(desk)}
        check(m, wanted, "35=3")

    return step


# --- done at the venue and by operations ---


def void(value: object) -> None:
    """For steps that are a single call."""


def venue_fill(name: str, qty: str) -> Step:
    """A third participant trades with the resting order, at its price."""
    return lambda desk: void(desk.sim.fill(desk.venue_ids[desk.chain[name]], qty))


def venue_cancel(name: str) -> Step:
    """The order is canceled at the venue behind our back."""
    return lambda desk: void(desk.sim.cancel("BTCUSDT", desk.venue_ids[desk.chain[name]], account="main"))


def street(side: str, qty: str, px: str | None = None, symbol: str = "BTCUSDT") -> Step:
    """A third participant's order: BUY or SELL, at the market without a price."""
    return lambda desk: void(desk.sim.order(symbol, side, qty, px))


def fault(kind: str, op: str = "order.place", *, count: int = 1, **params: Any) -> Step:
    """The venue does something wrong with the next request `op`."""
    return lambda desk: void(desk.sim.fault(kind, count=count, match={"op": op}, **params))


def lost_events(count: int, execution: str = "*") -> Step:
    """The venue's stream loses the next events of our orders."""
    match = {"event": "executionReport", "execution": execution}
    return lambda desk: void(desk.sim.fault("ws_missing", count=count, match=match))


def wrong_event(status: str, executed: str) -> Step:
    """The venue's stream tells with the next trade of ours that its order has ended so, which it has not."""
    match = {"event": "executionReport", "execution": "TRADE"}
    return lambda desk: void(desk.sim.fault("ws_wrong_end", match=match, status=status, executed=executed))


def until_faulty(kind: str) -> Step:
    """Waits until every fault of this kind has met its request."""

    def step(desk: Desk) -> None:
        desk.until(lambda: all(f["kind"] != kind for f in desk.sim.faults()), f"request for the fault {kind}")

    return step


def slow_place() -> Step:
    """The next order reaches the venue's engine SLOW_S later: what happens in between happens first."""
    return fault("delay", accept=False, delay=SLOW_S)


def slow_cancel() -> Step:
    """The same of the next cancel."""
    return fault("delay", "order.cancel", accept=False, delay=SLOW_S)


def slow_amend() -> Step:
    """The same of the next reduction in place."""
    return fault("delay", "order.amend.keepPriority", accept=False, delay=SLOW_S)


def kill(scope: str, level: str = "HALTED") -> Step:
    """A kill switch; scope "session" is this client's."""
    return lambda desk: void(desk.admin.call("kill", **_scope(desk, scope), level=level, reason="test"))


def resume(scope: str) -> Step:
    return lambda desk: void(desk.admin.call("resume", **_scope(desk, scope), reason="test"))


def _scope(desk: Desk, scope: str) -> dict[str, Any]:
    return {"scope": scope, "target": {"session": desk.version.comp_id, "venue": "sim"}.get(scope)}


# --- common beginnings ---


def working(name: str = "X", qty: str = "1", px: str = "59000", **more: Any) -> list[Step]:
    """An order that rests at the venue."""
    return [
        new(name, qty, px, **more),
        er("pending new", "A", name, f"{qty} 0 {qty}"),
        er("new", "0", name, f"{qty} 0 {qty}"),
    ]
