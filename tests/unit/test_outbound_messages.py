"""Core messages -> FIX: the mapping table per version, and the proof that whatever we can send is valid by our dictionaries."""

from __future__ import annotations

import re
import sys
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
import quickfix as fix
from hypothesis import given, settings
from hypothesis import strategies as st

from fixgw.core.reasons import Reason
from fixgw.core.reports import BusinessReject, CancelReject, Notice, Report
from fixgw.fix.outbound import VERSIONS, dictionaries, encode, version_of

NAMES = sorted(VERSIONS)
D = Decimal


def wire(message: fix.Message, name: str) -> str:
    """As sendToTarget would complete it, validated by the dictionary of the version."""
    header = message.getHeader()
    for tag, value in ((34, "7"), (49, "FIXGW"), (56, "C"), (52, "20240101-00:00:00.000000")):
        header.setField(tag, value)
    text = message.toString()
    books = dictionaries(VERSIONS[name])
    parsed = fix.Message(text, *books, True)
    if len(books) == 2:
        fix.DataDictionary.validate(parsed, *books)
    else:
        books[0].validate(parsed)
    return text


def fields(message: fix.Message, name: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in wire(message, name).split("\x01")[:-1])


def report(**changes: object) -> Report:
    base = {
        "exec_id": "X1",
        "exec_type": "0",
        "ord_status": "0",
        "order_id": "O1",
        "cl_ord_id": "a",
        "symbol": "BTC/USDT",
        "side": "1",
        "ord_type": "2",
        "order_qty": D(10),
        "price": D("100.10"),
        "leaves_qty": D(10),
        "transact_ns": 1709208000_123_999_999,
    }
    return Report(**{**base, **changes})


PART = {"cum_qty": D(4), "leaves_qty": D(6), "avg_px": D(100), "last_qty": D(4), "last_px": D(100)}
FULL = {"cum_qty": D(10), "leaves_qty": D(0), "avg_px": D(100), "last_qty": D(6), "last_px": D(100)}
LATE = {"cum_qty": D(4), "leaves_qty": D(0), "avg_px": D(100), "last_qty": D(4), "last_px": D(100)}


@pytest.mark.parametrize(
    ("exec_type", "ord_status", "numbers", "in_42", "in_44"),
    [
        # what the core says                  20, 150, 39        150, 39
        ("A", "A", {}, ("0", "A", "A"), ("A", "A")),
        ("0", "0", {}, ("0", "0", "0"), ("0", "0")),
        ("F", "1", PART, ("0", "1", "1"), ("F", "1")),
        ("F", "2", FULL, ("0", "2", "2"), ("F", "2")),
        ("F", "6", PART, ("0", "1", "6"), ("F", "6")),  # fill during pending cancel
        ("F", "E", PART, ("0", "1", "E"), ("F", "E")),  # fill during pending replace
        ("F", "4", LATE, ("0", "1", "4"), ("F", "4")),  # fill after cancel: not complete
        ("5", "0", {}, ("0", "5", "5"), ("5", "0")),
        ("5", "1", PART, ("0", "5", "1"), ("5", "1")),
        ("5", "2", FULL, ("0", "5", "2"), ("5", "2")),
        ("6", "6", {}, ("0", "6", "6"), ("6", "6")),
        ("E", "E", {}, ("0", "E", "E"), ("E", "E")),
        ("4", "4", {}, ("0", "4", "4"), ("4", "4")),
        ("8", "8", {}, ("0", "8", "8"), ("8", "8")),
        ("C", "C", {}, ("0", "C", "C"), ("C", "C")),
        ("D", "0", {}, ("0", "D", "0"), ("D", "0")),
        ("H", "0", {}, ("1", "0", "0"), ("H", "0")),  # bust
        ("G", "1", PART, ("2", "1", "1"), ("G", "1")),  # correction
        ("I", "A", {}, ("3", "A", "A"), ("I", "A")),  # outcome unknown
        ("I", "6", PART, ("3", "6", "6"), ("I", "6")),
    ],
)
def test_types_per_version(exec_type, ord_status, numbers, in_42, in_44):
    made = report(exec_type=exec_type, ord_status=ord_status, **numbers)
    old = fields(encode(made, VERSIONS["FIX.4.2"]), "FIX.4.2")
    assert (old["20"], old["150"], old["39"]) == in_42
    for name in ("FIX.4.4", "FIX.5.0SP2"):
        new = fields(encode(made, VERSIONS[name]), name)
        assert (new["150"], new["39"]) == in_44 and "20" not in new


@pytest.mark.parametrize("exec_type", ["I", "8", "H", "D"])
def test_a_replaced_order_stays_replaced_in_42(exec_type):
    made = report(exec_type=exec_type, ord_status="0", replaced=True)
    assert fields(encode(made, VERSIONS["FIX.4.2"]), "FIX.4.2")["39"] == "5"
    assert fields(encode(made, VERSIONS["FIX.4.4"]), "FIX.4.4")["39"] == "0"
    ids = {"order_id": "O1", "cl_ord_id": "b", "orig_cl_ord_id": "a"}
    reject = CancelReject(**ids, ord_status="0", response_to="2", reason="BAD_TICK", replaced=True)
    assert [fields(encode(reject, VERSIONS[name]), name)["39"] for name in NAMES] == ["5", "0", "0"]
    # what an older journal holds
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(reject))[:-1]
    read = msgspec.convert(old, CancelReject)
    assert not read.replaced and fields(encode(read, VERSIONS["FIX.4.2"]), "FIX.4.2")["39"] == "0"


@pytest.mark.parametrize("name", NAMES)
def test_a_fill_says_everything(name):
    made = report(
        exec_type="F", ord_status="1", **PART, account="acc", tif="1", exec_inst="6", venue="sim", liquidity="1",
        fee=D("0.0004"), fee_asset="BNB", venue_order_id="99", venue_trade_id="t7", venue_cl_ord_id="K1",
        orig_cl_ord_id="z", expire_ns=1709208000_000_000_000, stop_px=D(90), cash_qty=D(1000), instrument="BTC/USDT",
    )  # fmt: skip
    got = fields(encode(made, VERSIONS[name]), name)
    want = {
        "37": "O1", "17": "X1", "11": "a", "41": "z", "1": "acc", "55": "BTC/USDT", "54": "1", "38": "10", "152": "1000",
        "40": "2", "44": "100.10", "99": "90", "59": "1", "18": "6", "126": "20240229-12:00:00.000", "32": "4",
        "31": "100", "30": "sim", "151": "6", "14": "4", "6": "100", "60": "20240229-12:00:00.123",
        "20005": "99", "20006": "t7", "20007": "K1", "20009": "sim",
    }  # fmt: skip
    if name == "FIX.4.2":
        want |= {"12": "0.0004", "13": "3", "20010": "BNB"}
    else:
        want |= {"136": "1", "137": "0.0004", "138": "BNB", "139": "4"}
    assert {tag: got.get(tag) for tag in want} == want
    assert got.get("851") == (None if name == "FIX.4.2" else "1")
    assert "797" not in got and "97" not in got and "453" not in got and "103" not in got


@pytest.mark.parametrize("name", NAMES)
def test_rejections_carry_the_code(name):
    made = report(
        exec_type="8", ord_status="8", leaves_qty=D(0), reason="MAX_ORDER_QTY", reason_tag=38, reason_value="10",
        reason_limit="5", text="10 is more than 5",
    )  # fmt: skip
    got = fields(encode(made, VERSIONS[name]), name)
    assert (got["103"], got["58"]) == ("3", "MAX_ORDER_QTY: 10 is more than 5")
    assert [got[tag] for tag in ("20001", "20002", "20003", "20004")] == ["MAX_ORDER_QTY", "38", "10", "5"]
    got = fields(encode(report(exec_type="8", ord_status="8", reason="UNKNOWN_ACCOUNT"), VERSIONS[name]), name)
    assert got["103"] == ("0" if name == "FIX.4.2" else "15")


@pytest.mark.parametrize("name", NAMES)
def test_drop_copies(name):
    made = report(fee=D(1), fee_asset="BNB")
    got = fields(encode(made, VERSIONS[name], copy_of="OMS42", poss_resend=True), name)
    assert (got["797"], got["97"], got["17"]) == ("Y", "Y", "X1")
    text = wire(encode(made, VERSIONS[name], copy_of="OMS42"), name)
    party = "\x01109=OMS42\x01" if name == "FIX.4.2" else "\x01453=1\x01448=OMS42\x01447=D\x01452=3\x01"
    assert party in text and "\x0197=" not in text


def test_cancel_rejects_per_version():
    made = CancelReject(
        order_id="", cl_ord_id="c", orig_cl_ord_id="", ord_status="8", response_to="2", reason="DUPLICATE_CL_ORD_ID",
        text="twice", transact_ns=0,
    )  # fmt: skip
    for name in NAMES:
        got = fields(encode(made, VERSIONS[name], poss_resend=True), name)
        assert (got["37"], got["41"], got["434"], got["39"], got["97"]) == ("NONE", "NONE", "2", "8", "Y")
        assert got["102"] == ("2" if name == "FIX.4.2" else "6") and got["20001"] == "DUPLICATE_CL_ORD_ID"


def test_hostile_words_cannot_forge_fields():
    for name in NAMES:
        got = fields(encode(report(text="x\x0139=2\ud800é", cl_ord_id="a\x01b"), VERSIONS[name]), name)
        assert got["39"] == "0" and got["11"] == "a?b" and got["58"] == "x?39=2??"


def stock_books(name):
    """The standard's own dictionaries, as QuickFIX ships them; fields of 5000 and above are let through."""
    folder = Path(sys.prefix) / "share" / "quickfix"
    files = {"FIX.4.2": ["FIX42"], "FIX.4.4": ["FIX44"], "FIX.5.0SP2": ["FIXT11", "FIX50SP2"]}[name]
    books = [fix.DataDictionary(str(folder / f"{file}.xml")) for file in files]
    for book in books:
        book.checkUserDefinedFields(False)
    return books


def validate_by(books, text):
    parsed = fix.Message(text, *books, False)
    if len(books) == 2:
        fix.DataDictionary.validate(parsed, *books)
    else:
        books[0].validate(parsed)


def everything_that_is_sent():
    """Every kind of report, restatement, reason and business reason that the core, the edge and the session layer know."""
    kinds = [
        report(exec_type="F", ord_status="1", **PART, fee=D("0.1"), fee_asset="BTC", liquidity="2", venue="sim"),
        report(exec_type="H", ord_status="1", exec_ref_id="E0", last_qty=D(1), last_px=D(1)),
        report(exec_type="G", ord_status="1", exec_ref_id="E0", last_qty=D(1), last_px=D(1)),
        report(exec_type="I", ord_status="A", reason="OUTCOME_UNKNOWN"),
        report(cash_qty=D(5), tif="6", expire_ns=10**18, exec_inst="6", stop_px=D(2), account="a", venue="sim"),
    ]
    kinds += [report(exec_type=kind, ord_status=kind, orig_cl_ord_id="b") for kind in "A046EC"]
    kinds.append(report(exec_type="5", ord_status="0", orig_cl_ord_id="b"))
    kinds += [report(exec_type="4", ord_status="4", leaves_qty=D(0), restatement=code, reason="KILLED") for code in range(21)]
    for reason in Reason:
        why = {"reason": reason.value, "reason_tag": 38, "reason_value": "1", "reason_limit": "2", "text": "t"}
        kinds.append(report(exec_type="8", ord_status="8", **why))
        for response in "12":
            kinds.append(
                CancelReject(order_id="", cl_ord_id="c", orig_cl_ord_id="b", ord_status="8", response_to=response, **why)
            )
        kinds += [
            BusinessReject(ref_msg_type="D", ref_seq=3, business_reason=code, ref_id="c", **why) for code in (*range(11), 18)
        ]
    kinds.append(Notice(headline="no new orders", text="the disk is full"))
    return kinds


@pytest.mark.parametrize("name", NAMES)
def test_a_client_with_the_standards_own_dictionary_refuses_nothing(name):
    """Tags and values of the version as published, besides our own fields."""
    books = stock_books(name)
    for kind in everything_that_is_sent():
        validate_by(books, wire(encode(kind, VERSIONS[name], poss_resend=True), name))


@pytest.mark.parametrize("name", NAMES)
def test_a_drop_copy_is_valid_by_the_standards_own_dictionary(name):
    """But for CopyMsgIndicator(797) in FIX 4.2, which has it from our dictionary."""
    books = stock_books(name)
    for kind in everything_that_is_sent():
        if not isinstance(kind, Report):
            continue
        text = wire(encode(kind, VERSIONS[name], copy_of="OMS44"), name)
        assert "\x01797=Y\x01" in text
        if name == "FIX.4.2":
            with pytest.raises(fix.InvalidTagNumber):
                validate_by(books, text)
            text = text.replace("\x01797=Y", "")
            text = re.sub("\x019=[0-9]+\x01", "\x019=0\x01", text)
        validate_by(books, text)


def test_codes_that_a_version_has_not():
    """380=8 (throttle) and 378=12 came with FIX 5.0; the reason code says the same in every version."""
    told = {}
    for name in NAMES:
        throttled = BusinessReject(ref_msg_type="D", ref_seq=3, business_reason=8, reason="THROTTLE", text="t")
        canceled = report(exec_type="4", ord_status="4", leaves_qty=D(0), restatement=12, reason="DISCONNECT")
        first, second = (fields(encode(made, VERSIONS[name]), name) for made in (throttled, canceled))
        assert (first["20001"], second["20001"]) == ("THROTTLE", "DISCONNECT")
        told[name] = (first["380"], second["378"])
    assert told == {"FIX.4.2": ("0", "4"), "FIX.4.4": ("0", "99"), "FIX.5.0SP2": ("8", "12")}


def test_version_names():
    assert version_of("FIXT.1.1", "FIX.5.0SP2").name == "FIX.5.0SP2" and version_of("FIX.4.2").is_42
    with pytest.raises(KeyError):
        version_of("FIX.4.3")


WORD = st.text(min_size=1, max_size=12)
MAYBE = st.one_of(st.just(""), WORD)
NUMBER = st.decimals(min_value=0, max_value=10**12, allow_nan=False, allow_infinity=False, places=8)
SIGNED = st.decimals(min_value=-(10**6), max_value=10**6, allow_nan=False, allow_infinity=False, places=8)
NS = st.integers(0, 4 * 10**18)
REASONS = st.one_of(st.just(""), st.sampled_from([reason.value for reason in Reason]), WORD)
TYPES = [("A", "A"), ("0", "0"), ("F", "1"), ("F", "2"), ("F", "6"), ("F", "E"), ("F", "4"), ("4", "4"), ("5", "0"),
         ("5", "1"), ("6", "6"), ("E", "E"), ("8", "8"), ("C", "C"), ("H", "1"), ("G", "1"), ("I", "A"), ("D", "0")]  # fmt: skip
# also what some versions do not know: a drop copy may be of another version
SIDES = st.sampled_from(["1", "2", "5", "A", "H", "", "buy", "12"])
ORD_TYPES = st.sampled_from(["", "1", "2", "3", "4", "J", "S", "12"])
TIFS = st.sampled_from(["", "0", "1", "3", "4", "6", "7", "C", "X", "01"])
EXEC_INSTS = st.sampled_from(["", "6", "6 G", "6 x", "66"])
REPORTS = st.builds(
    lambda types, **rest: Report(exec_type=types[0], ord_status=types[1], **rest),
    types=st.sampled_from(TYPES),
    exec_id=WORD, order_id=WORD, cl_ord_id=WORD, symbol=MAYBE, side=SIDES, orig_cl_ord_id=MAYBE,
    account=MAYBE, ord_type=ORD_TYPES, tif=TIFS,
    order_qty=st.none() | NUMBER, cash_qty=st.none() | NUMBER, price=st.none() | NUMBER, stop_px=st.none() | NUMBER,
    expire_ns=st.none() | NS, exec_inst=EXEC_INSTS, cum_qty=NUMBER, leaves_qty=NUMBER, avg_px=NUMBER,
    last_qty=st.none() | NUMBER, last_px=st.none() | NUMBER, exec_ref_id=MAYBE, venue=MAYBE,
    liquidity=st.sampled_from(["", "1", "2", "x"]), fee=st.none() | SIGNED, fee_asset=MAYBE, venue_order_id=MAYBE,
    venue_trade_id=MAYBE, venue_cl_ord_id=MAYBE, reason=REASONS, reason_tag=st.integers(0, 40000), reason_value=MAYBE,
    reason_limit=MAYBE, text=st.text(max_size=60), restatement=st.none() | st.integers(0, 20), request_id=MAYBE,
    transact_ns=NS,
)  # fmt: skip
CANCEL_REJECTS = st.builds(
    CancelReject, order_id=MAYBE, cl_ord_id=MAYBE, orig_cl_ord_id=MAYBE, ord_status=st.sampled_from("012468AEC"),
    response_to=st.sampled_from("12"), reason=REASONS, reason_tag=st.integers(0, 40000), reason_value=MAYBE,
    reason_limit=MAYBE, text=st.text(max_size=60), account=MAYBE, transact_ns=NS,
)  # fmt: skip
BUSINESS_REJECTS = st.builds(
    BusinessReject, ref_msg_type=st.sampled_from(["D", "R", "AE"]), ref_seq=st.integers(1, 10**9),
    business_reason=st.integers(0, 20), reason=REASONS, text=st.text(max_size=60), ref_id=MAYBE,
    reason_tag=st.integers(0, 40000), reason_value=MAYBE,
)  # fmt: skip
STRICT = settings(max_examples=150)


@STRICT
@given(REPORTS, st.sampled_from(NAMES), MAYBE, st.booleans())
def test_every_report_is_valid(made, name, origin, again):
    text = wire(encode(made, VERSIONS[name], copy_of=origin, poss_resend=again), name)
    assert not re.search("\x01[0-9]+=\x01", text) and text.isascii()
    assert ("\x01797=Y\x01" in text) == bool(origin)


@STRICT
@given(CANCEL_REJECTS | BUSINESS_REJECTS, st.sampled_from(NAMES), st.booleans())
def test_every_refusal_is_valid(made, name, again):
    text = wire(encode(made, VERSIONS[name], poss_resend=again), name)
    assert not re.search("\x01[0-9]+=\x01", text) and text.isascii()


def test_the_check_can_fail():
    with pytest.raises(fix.IncorrectTagValue):
        wire(encode(report(ord_status="Z"), VERSIONS["FIX.4.2"]), "FIX.4.2")


def test_codes_of_a_later_version_as_the_session_wants_them() -> None:
    """Ours have them in their dictionaries; for a counterparty with the standard's own they are "other"."""
    reject = BusinessReject(ref_msg_type="D", ref_seq=7, business_reason=8, reason="THROTTLE", text="slow")
    for begin_string in ("FIX.4.2", "FIX.4.4"):
        for codes, expected in (("newest", "8"), ("published", "0")):
            message = encode(reject, version_of(begin_string, codes=codes))
            assert message.getField(380) == expected and message.getField(20001) == "THROTTLE"
    assert version_of("FIX.4.4", codes="newest").restatement - version_of("FIX.4.4").restatement == {12, 13}
    assert version_of("FIXT.1.1", "FIX.5.0SP2", "newest") is version_of("FIXT.1.1", "FIX.5.0SP2")
