"""Requests that cannot be used are refused as the requests that they are: by an order reject or a cancel reject."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from core_world import SYMBOL, World, core_settings, session_settings

from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core.codec import decode_record, encode_record
from fixgw.core.replay import apply_record
from fixgw.core.reports import BusinessReject, CancelReject, Report
from fixgw.core.settings import Limits
from fixgw.core.state import new_state
from fixgw.fix.inbound import Context, parse


def send(world: World, msg_type: str, body: str, session: str = "OMS44", header: str = "") -> list[Any]:
    """A FIX message through the edge and the core; what leaves because of it."""
    raw = f"8=FIX.4.4|9=0|35={msg_type}|34={world.number(session)}|{header}{body}|10=000|".replace("|", "\x01")
    epoch = world.state.session(session).reset_epoch if session in world.state.sessions else 0
    context = Context(
        session=session, reset_epoch=epoch, ts_ns=world.tick(), quotes=lambda _symbol: dict(world.quotes),
        order_quotes=lambda *_ids: dict(world.quotes),
    )  # fmt: skip
    events = world.run(parse(raw, context))
    world.check()
    return [event.message for event in events if isinstance(event, e.Reported)]


def order(name: str, extra: str = "", price: str = "100") -> str:
    return f"11={name}|55={SYMBOL}|54=1|38=2|40=2|44={price}|59=1{extra}"


@pytest.mark.parametrize(
    ("extra", "reason", "tag", "value", "limit"),
    [
        ("|111=1", "UNSUPPORTED", 111, "1", "no such field"),
        ("|110=0.05", "UNSUPPORTED", 110, "0.05", "0 or no such field"),
        ("|432=20991301", "INVALID_VALUE", 432, "20991301", "a date YYYYMMDD, 1970 to 2261"),
        ("|99=1e3", "INVALID_VALUE", 99, "1e3", "a decimal number without exponent"),
        ("|60=29991201-00:00:00", "INVALID_VALUE", 60, "29991201-00:00:00", "a UTC time YYYYMMDD-HH:MM:SS"),
    ],
)
def test_an_order_is_rejected_with_its_own_terms(extra: str, reason: str, tag: int, value: str, limit: str) -> None:
    world = World()
    (report,) = send(world, "D", order("a", extra))
    assert isinstance(report, Report)
    assert (report.exec_type, report.ord_status, report.cl_ord_id, report.symbol, report.side) == ("8", "8", "a", SYMBOL, "1")
    assert (report.order_qty, report.price, report.leaves_qty, report.cum_qty) == (2, 100, 0, 0)
    assert (report.reason, report.reason_tag, report.reason_value) == (reason, tag, value)
    assert report.reason_limit.startswith(limit) and limit in report.text
    # account-scoped drop copies see it: it has our account
    (received,) = [order for order in world.state.orders.values() if order.cl_ord_id == "a"]
    assert (received.account, received.symbol, received.status) == ("main", SYMBOL, "8") and not world.placed


def test_a_missing_field_names_what_was_expected() -> None:
    """SecurityID(48) alone names no instrument, although FIX 5.0SP2 admits it."""
    (report,) = send(World(), "D", "11=a|54=1|38=1|40=1|48=4H95|22=Y")
    assert isinstance(report, Report) and report.exec_type == "8" and report.symbol == ""
    assert (report.reason, report.reason_tag, report.reason_limit) == (
        "MISSING_FIELD", 55, "at most 64 printable ASCII characters",
    )  # fmt: skip


def test_its_cl_ord_id_is_used_up() -> None:
    """As with any refused order: a status request finds it, a repeat is answered with the status, another is a duplicate."""
    world = World()
    (first,) = send(world, "D", order("a", "|111=1"))
    (status,) = send(world, "H", f"11=a|55={SYMBOL}|54=1")
    assert (status.exec_type, status.ord_status, status.order_id) == ("I", "8", first.order_id)
    for header in ("43=Y|122=20231114-22:13:20|", "97=Y|"):
        (again,) = send(world, "D", order("a", "|111=1"), header=header)
        assert (again.exec_type, again.ord_status, again.status_reply) == ("I", "8", True)
    (twice,) = send(world, "D", order("a"))
    assert (twice.exec_type, twice.reason, twice.order_id) == ("8", "DUPLICATE_CL_ORD_ID", first.order_id)


def test_an_unusable_order_with_a_used_cl_ord_id_does_not_kill_the_living_one() -> None:
    world = World()
    working = send(world, "D", order("a"))[0]
    (report,) = send(world, "D", order("a", "|111=1"))
    assert (report.reason, report.ord_status, report.order_id) == ("DUPLICATE_CL_ORD_ID", "A", working.order_id)
    (report,) = send(world, "D", order("a", "|111=1"), header="97=Y|")
    assert (report.exec_type, report.ord_status, report.order_id) == ("I", "A", working.order_id)


@pytest.mark.parametrize(("msg_type", "response"), [("F", "1"), ("G", "2")])
def test_a_cancel_and_a_replace_are_refused_as_such(msg_type: str, response: str) -> None:
    world = World()
    working = send(world, "D", order("a"))[0]
    bad = f"11=b|41=a|55={'x' * 65}|54=1|40=2|38=3|44=100"
    (reject,) = send(world, msg_type, bad)
    assert isinstance(reject, CancelReject)
    assert (reject.order_id, reject.cl_ord_id, reject.orig_cl_ord_id) == (working.order_id, "b", "a")
    assert (reject.ord_status, reject.response_to, reject.reason, reject.reason_tag) == ("A", response, "INVALID_VALUE", 55)
    assert reject.reason_value == "x" * 64 and reject.reason_limit == "at most 64 printable ASCII characters"
    # it used up nothing: the same id again, and this time it is accepted
    (report,) = send(world, "F", f"11=b|41=a|55={SYMBOL}|54=1")
    assert isinstance(report, Report) and (report.exec_type, report.cl_ord_id) == ("6", "b")
    # now it is known: a repeat is answered with the status
    (again,) = send(world, msg_type, bad, header="97=Y|")
    assert isinstance(again, Report) and (again.exec_type, again.status_reply) == ("I", True)


@pytest.mark.parametrize("session", ["OMS44", "OMS42"])
def test_of_an_order_that_is_not_there_or_not_the_sessions(session: str) -> None:
    world = World()
    if session == "OMS42":
        send(world, "D", order("a"))
    (reject,) = send(world, "G", f"11=b|41=a|54=1|40=2|38=3|111=1|55={SYMBOL}", session)
    assert isinstance(reject, CancelReject)
    assert (reject.order_id, reject.ord_status, reject.reason, reject.reason_tag) == ("NONE", "8", "UNSUPPORTED", 111)


@pytest.mark.parametrize(
    ("msg_type", "body", "tag"),
    [
        ("D", order("x" * 65), 11),
        ("D", order(""), 11),
        ("F", f"11=b|41={'x' * 70}|54=1", 41),
        ("F", "11=b|54=1", 41),
        ("G", f"11={'x' * 70}|41=a|54=1|40=2", 11),
        ("H", f"11={'x' * 70}|54=1", 11),
    ],
)
def test_what_has_no_usable_ids_gets_a_business_reject(msg_type: str, body: str, tag: int) -> None:
    (reject,) = send(World(), msg_type, body)
    assert isinstance(reject, BusinessReject)
    assert (reject.ref_msg_type, reject.reason_tag, reject.reason_limit) == (
        msg_type, tag, "at most 64 printable ASCII characters",
    )  # fmt: skip


def test_by_order_id_alone() -> None:
    world = World()
    working = send(world, "D", order("a"))[0]
    (reject,) = send(world, "G", f"11=c|37={working.order_id}|54=12|40=2")
    assert isinstance(reject, CancelReject) and (reject.order_id, reject.reason_tag) == (working.order_id, 54)


def test_who_floods_with_them_is_throttled() -> None:
    """They count, and beyond the rate they become no orders."""
    limits = Limits(msg_rate=1, msg_burst=2)
    world = World(core_settings(sessions={"OMS44": session_settings("OMS44", limits=limits)}))
    answers = [send(world, "D", order(f"a{n}", "|111=1"))[0] for n in range(5)]
    assert [type(answer) for answer in answers] == [Report, Report, BusinessReject, BusinessReject, BusinessReject]
    assert (answers[2].reason, answers[2].business_reason, answers[2].ref_id) == ("THROTTLE", 8, "a2")
    assert len(world.state.orders) == 2
    # a replace too; a cancel never, and a repeat of what is known is answered
    body = f"11=c|41=a0|54=1|40=2|38=1|55={'x' * 65}"
    assert [send(world, kind, body)[0].reason for kind in "GF"] == ["THROTTLE", "INVALID_VALUE"]
    assert send(world, "D", order("a0", "|111=1"), header="97=Y|")[0].exec_type == "I"
    assert send(world, "D", order("a0", "|111=1"))[0].reason == "THROTTLE"
    world.tick(3 * 10**9)
    assert isinstance(send(world, "D", order("b", "|111=1"))[0], Report)


NO_IDS = {"D": order("x" * 65), "G": f"11={'x' * 70}|41=a|54=1|40=2", "F": "11=b|54=1"}


@pytest.mark.parametrize("msg_type", ["D", "G", "F"])
def test_what_has_no_usable_ids_takes_its_place_in_the_message_rate(msg_type: str) -> None:
    """Else a client that floods with it would never be slowed, and what is told of the rate would not be so."""
    limits = Limits(msg_rate=1, msg_burst=2)
    world = World(core_settings(sessions={"OMS44": session_settings("OMS44", limits=limits)}))
    answers = [send(world, msg_type, NO_IDS[msg_type])[0] for _ in range(4)]
    assert all(isinstance(answer, BusinessReject) and answer.ref_msg_type == msg_type for answer in answers)
    own = ("MISSING_FIELD", 5, 41) if msg_type == "F" else ("INVALID_VALUE", 0, 11)
    beyond = own if msg_type == "F" else ("THROTTLE", 8, 35)
    told = [(answer.reason, answer.business_reason, answer.reason_tag) for answer in answers]
    assert told == [own, own, beyond, beyond]
    # whoever comes next finds the rate used up, and only so far
    assert send(world, "D", order("a"))[0].reason == "THROTTLE"
    world.tick(10**9)
    assert send(world, "D", order("a"))[0].exec_type == "A"


@pytest.mark.parametrize(("msg_type", "body"), [("H", f"11={'x' * 70}|54=1"), ("R", "131=q"), ("", "")])
def test_what_is_no_order_takes_no_place(msg_type: str, body: str) -> None:
    world = World(core_settings(sessions={"OMS44": session_settings("OMS44", limits=Limits(msg_rate=1, msg_burst=1))}))
    assert [type(send(world, msg_type, body)[0]) for _ in range(3)] == [BusinessReject] * 3
    assert send(world, "D", order("a"))[0].exec_type == "A"


def test_a_journal_of_before_counts_as_it_did() -> None:
    """What counts stands in the event: whatever is decided today, a replay of yesterday comes to yesterday's state."""
    world = World(core_settings(sessions={"OMS44": session_settings("OMS44", limits=Limits(msg_rate=1, msg_burst=1))}))
    send(world, "D", NO_IDS["D"])
    record = decode_record(world.records[-1])
    (received,) = [event for event in record.events if isinstance(event, e.Received)]
    assert received.counts and world.state.session("OMS44").tat_ns > 0
    old = [msgspec.structs.replace(received, counts=False) if event is received else event for event in record.events]
    state = new_state()
    for payload in world.records[:-1]:
        apply_record(state, decode_record(payload))
    apply_record(state, decode_record(encode_record(msgspec.structs.replace(record, events=tuple(old)))))
    assert state.session("OMS44").tat_ns == 0


def test_old_journals_are_read() -> None:
    """A command of before: an array without the later fields."""
    command = c.Unsupported(ts_ns=1, session="S", reset_epoch=0, msg_seq=3, msg_type="R", reason="UNSUPPORTED_MESSAGE",
                            business_reason=3)  # fmt: skip
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(command))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(fields[:-2]), type=c.AnyCommand) == command
    whole = c.Unsupported(**{**msgspec.structs.asdict(command), "request": c.NewOrder(
        ts_ns=1, session="S", reset_epoch=0, msg_seq=3, cl_ord_id="a", symbol="s", side="1", ord_type="2",
        order_qty=Decimal("1.50"))})  # fmt: skip
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(whole), type=c.AnyCommand) == whole
