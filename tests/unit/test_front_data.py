"""Data fields whose length leads elsewhere must not get to QuickFIX, and all others must."""

import xml.etree.ElementTree as ET

import pytest
import quickfix
from hypothesis import given
from hypothesis import strategies as st

from fixgw.fix import dictionary
from fixgw.fix.front_data import DataFault, data_fault, data_fields
from fixgw.fix.front_refusal import message_refused, refused_message, reject_text

VERSIONS = ("FIX.4.2", "FIX.4.4", "FIXT.1.1")


def frame(*fields: bytes, begin: str = "FIX.4.4", kind: bytes = b"D") -> bytes:
    head = (b"35=" + kind, b"49=A", b"56=B", b"34=7", b"52=20260101-00:00:00")
    body = b"".join(field + b"\x01" for field in (*head, *fields))
    whole = b"8=%s\x019=%d\x01" % (begin.encode(), len(body)) + body
    return whole + b"10=%03d\x01" % (sum(whole) & 0xFF)


def fault(*fields: bytes, begin: str = "FIX.4.4", kind: bytes = b"D") -> DataFault | None:
    made = frame(*fields, begin=begin, kind=kind)
    known = data_fields(begin)
    found = data_fault(made, known)
    assert found is None or known.maybe.search(made), "the quick look lets it pass"
    return found


GOOD = {
    "no data": (b"58=x", b"196=x"),
    "data": (b"95=3", b"96=abc"),
    "data with SOH": (b"354=6", b"355=a\x01b=c\x01"),
    "what only looks like a length within data": (b"354=11", b"355=\x0195=-1\x0196=x"),
    "no bytes": (b"95=0", b"96="),
    "a length alone": (b"95=-1", b"58=x"),
    "two of a kind": (b"95=1", b"96=a", b"95=2", b"96=ab"),
    "signature": (b"93=2", b"89=ab"),
}
BAD = {
    "negative": ((b"95=-1", b"96=x"), 95, 5),
    "very negative": ((b"354=-3000", b"355=abc"), 354, 5),
    "2 GB": ((b"95=2000000000", b"96=x"), 95, 5),
    "one too many": ((b"95=4", b"96=abc"), 95, 5),
    "one too few": ((b"95=2", b"96=abc"), 95, 5),
    "to the very end": ((b"95=10", b"96=abc"), 95, 5),
    "behind the end": ((b"95=11", b"96=abc"), 95, 5),
    "2^64": ((b"95=18446744073709551617", b"96=x"), 95, 5),
    "no number": ((b"95=x", b"96=x"), 95, 6),
    "a sign": ((b"95=+1", b"96=x"), 95, 6),
    "no value": ((b"95=", b"96=x"), 95, 6),
    "no length": ((b"96=x",), 95, 1),
    "a length that is not right before it": ((b"95=-1", b"58=x", b"96=x"), 95, 1),
    "tags with zeros": ((b"0095=-1", b"00096=x"), 95, 5),
    "signature": ((b"93=-1", b"89=x"), 93, 5),
    "signature with the tag before as length": ((b"88=1", b"89=x"), 93, 1),
    "in a group": ((b"555=1", b"600=x", b"618=-1", b"619=x"), 618, 5),
    "a negative tag": ((b"-5=x",), 0, 0),
    "the least tag": ((b"-2147483648=x",), 0, 0),
    "behind good data": ((b"354=6", b"355=a\x01b=c\x01", b"95=-1", b"96=x"), 95, 5),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_data_passes(name: str) -> None:
    assert fault(*GOOD[name]) is None


@pytest.mark.parametrize("name", BAD)
def test_a_length_that_leads_elsewhere_is_found(name: str) -> None:
    fields, tag, reason = BAD[name]
    found = fault(*fields)
    assert found is not None and (found.tag, found.reason) == (tag, reason), found
    assert (f"({tag}) is " if tag else "a tag is -") in found.text


def test_what_is_data_goes_by_the_version_and_the_kind_of_message() -> None:
    """What the front skips as data and QuickFIX does not could hide a field from it."""
    hidden = (b"1401=10", b"1402=a\x0195=-1\x0196=x")
    assert data_fields("FIXT.1.1").session[1402] == 1401
    assert fault(*hidden, begin="FIX.4.4") is not None
    assert fault(b"1401=12", b"1402=a\x0195=-1\x0196=x", begin="FIXT.1.1", kind=b"A") is None
    assert fault(b"1401=12", b"1402=a\x0195=-1\x0196=x", begin="FIX.4.4", kind=b"A") is not None
    assert 349 in data_fields("FIXT.1.1").application and 349 not in data_fields("FIXT.1.1").session
    within = (b"348=12", b"349=a\x0195=-1\x0196=x")
    assert fault(*within, begin="FIXT.1.1") is None
    for kind in (b"0", b"5", b"\x00"):
        assert fault(*within, begin="FIXT.1.1", kind=kind) is not None
    assert fault(b"1184=12", b"1185=a\x0195=-1\x0196=x", begin="FIXT.1.1") is not None  # XMLDATA is no data to QuickFIX


@pytest.mark.parametrize("version", VERSIONS)
def test_the_tags_are_those_of_the_dictionaries(version: str) -> None:
    files = {"FIX.4.2": ["FIX42"], "FIX.4.4": ["FIX44"], "FIXT.1.1": ["FIXT11", "FIX50SP2"]}[version]
    expected = set()
    for file in files:
        root = ET.parse(dictionary.fix_specs_dir() / f"{file}.xml").getroot()
        expected |= {int(str(f.get("number"))) for f in root.iterfind("fields/field") if f.get("type") == "DATA"}
    known = data_fields(version)
    assert set(known.application) == expected and len(expected) >= 14
    for tag in expected:
        length = known.application[tag]
        assert known.maybe.search(b"\x01%d=" % tag) and not known.maybe.search(b"\x01%d7=" % tag)
        if length:
            for value in (b"-1", b"99", b"x"):
                assert fault(b"%d=" % length + value, b"%d=ab" % tag, begin=version) is not None
            assert fault(b"%d=2" % length, b"%d=ab" % tag, begin=version) is None
        else:
            assert fault(b"%d=2" % (tag - 1), b"%d=ab" % tag, begin=version) is not None


@pytest.mark.parametrize("file", dictionary.VERSIONS)
def test_a_group_has_both_of_length_and_data_or_none(file: str) -> None:
    """Else QuickFIX would look for the length of the one among other fields than those that the front has seen."""
    root = ET.parse(dictionary.fix_specs_dir() / f"{file}.xml").getroot()
    tags = {str(f.get("name")): int(str(f.get("number"))) for f in root.iterfind("fields/field")}
    parts = {str(c.get("name")): c for c in root.iterfind("components/component")}
    pairs = data_fields("FIXT.1.1" if file in ("FIXT11", "FIX50SP2") else "FIX.4.4").application

    def members(element: ET.Element, within: tuple[str, ...] = ()) -> set[int]:
        found = {tags[str(e.get("name"))] for e in element if e.tag in ("field", "group")}
        for e in element:
            if e.tag == "component" and (name := str(e.get("name"))) not in within:
                found |= members(parts[name], (*within, name))
        return found

    groups = list(root.iter("group"))
    assert groups
    for group in groups:
        inside = members(group)
        assert 213 not in inside and 212 not in inside  # data to one of two dictionaries only
        for data, length in pairs.items():
            assert not length or (data in inside) == (length in inside), (group.get("name"), data)


values = st.sampled_from([b"-1", b"0", b"1", b"2", b"3", b"9", b"40", b"x", b"", b"2000000000"]) | st.binary(max_size=12)
numbers = st.sampled_from([*b"95 96 354 355 0355 93 89 618 619 555 600 58 -96 -2147483648".split(), b""])


@given(st.lists(st.tuples(numbers, values), max_size=8))
def test_whatever_passes_quickfix_can_read(fields: list[tuple[bytes, bytes]]) -> None:
    """QuickFIX's own parser in this process: it would be gone."""
    made = frame(*(tag + b"=" + value for tag, value in fields))
    if data_fault(made, data_fields("FIX.4.4")) is None:
        text = made.decode("latin-1")
        if text.isascii():
            try:
                quickfix.Message(text, _dictionary(), False)
            except quickfix.InvalidMessage:
                pass


_read: list[quickfix.DataDictionary] = []


def _dictionary() -> quickfix.DataDictionary:
    if not _read:
        _read.append(quickfix.DataDictionary(str(dictionary.fix_specs_dir() / "FIX44.xml")))
    return _read[0]


# --- the stand-in ---


def parts(message: bytes) -> dict[str, str]:
    return dict(part.split("=", 1) for part in message.decode().split("\x01")[:-1])


def test_the_stand_in_has_the_number_and_says_what_the_reject_says() -> None:
    made = frame(b"43=Y", b"122=20260101-00:00:00", b"354=-3", b"355=abc")
    found = data_fault(made, data_fields("FIX.4.4"))
    assert found is not None
    told = parts(refused_message(made, found))
    assert {tag: told[tag] for tag in ("8", "35", "34", "49", "56", "43")} == {
        "8": "FIX.4.4", "35": "0", "34": "7", "49": "A", "56": "B", "43": "Y"
    }  # fmt: skip
    refused = message_refused(told["112"])
    assert refused is not None and (refused.tag, refused.reason, refused.msg_type) == (354, 5, "D")
    assert refused.text == "EncodedTextLen(354) is -3, expected the number of bytes of EncodedText(355)"
    reject = parts(reject_text("FIX.4.4", 7, refused).encode())
    assert {tag: reject[tag] for tag in ("35", "45", "371", "372", "373")} == {
        "35": "3", "45": "7", "371": "354", "372": "D", "373": "5"
    }  # fmt: skip
    assert reject["58"] == refused.text


def test_a_logout_stays_one() -> None:
    made = frame(b"354=-3", b"355=abc", kind=b"5")
    found = data_fault(made, data_fields("FIX.4.4"))
    assert found is not None and parts(refused_message(made, found))["35"] == "5"


@pytest.mark.parametrize("kind", [b"\xff", b"a b", b"TOOLONG", b"=", b""])
def test_nothing_that_is_not_plain_is_repeated(kind: bytes) -> None:
    made = frame(b"95=\xff\x02-1", b"96=x", kind=kind)
    found = data_fault(made, data_fields("FIX.4.4"))
    assert found is not None
    told = refused_message(made, found)
    refused = message_refused(parts(told)["112"])
    assert told.isascii() and refused is not None and refused.msg_type == "" and "372=" not in reject_text("FIX.4.4", 7, refused)


@pytest.mark.parametrize("told", ["", "x 5 D y", "1 99 D y", "1 5 D", "\u0661 5 D y"])
def test_only_the_fronts_own_words_are_a_refusal(told: str) -> None:
    assert message_refused("fixgw front: message refused: 1 5 D y") is not None
    assert message_refused("fixgw front: message refused: " + told) is None and message_refused("fixgw-12") is None
