"""Malformed and hostile FIX against the whole installation, while a well-behaved session trades.

Every case ends with Stack.check: each of the victim's orders was answered, in time, on one connection; no process ended;
no memory was eaten; no error of ours stands in a log.
"""

from __future__ import annotations

import contextlib
import random
import time
from typing import Any

import pytest
from hostile import SOH, Attacker, Stack, frame, raw, utc

pytestmark = pytest.mark.timeout(240)


def _answered(live: Attacker, msg_type: Any, body: list[tuple[Any, Any]]) -> dict[int, str]:
    """Send, get the answer, and find the session alive behind it."""
    number = live.send(msg_type, body)
    cl_ord_id = next((value for tag, value in body if tag == 11), None)
    answer = live.answer(number, cl_ord_id if isinstance(cl_ord_id, str) else None)
    assert live.alive()
    return answer


# --- before the Logon ---


def _noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def _logon(attacker: Attacker, **changes: Any) -> bytes:
    """A Logon with some fields changed: t34="0"; None leaves the field out."""
    fields = dict([*attacker.header("A", 1), *attacker.logon_fields(True)])
    fields |= {int(name[1:]): value for name, value in changes.items()}
    return frame(attacker.begin, [(tag, value) for tag, value in fields.items() if value is not None])


PRELOGON = {
    "noise": lambda a: _noise(1, 100_000),
    "nul bytes": lambda a: bytes(20_000),
    "http": lambda a: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 400,
    "a body of 2,000,000,000": lambda a: b"8=FIX.4.4\x019=2000000000\x01" + b"35=A\x01" * 5000,
    "a body of 10 MB": lambda a: frame(a.begin, [*a.header("A", 1), (58, "x" * 10_000_000)]),
    "a negative length": lambda a: b"8=FIX.4.4\x019=-5\x0135=A\x0110=000\x01",
    "a length of many digits": lambda a: b"8=FIX.4.4\x019=" + b"9" * 5000,
    "no length": lambda a: b"8=FIX.4.4\x0135=A\x0149=OMS44\x0110=000\x01",
    "a begin string without end": lambda a: b"8=FIX" + b"4" * 100_000,
    "a wrong checksum": lambda a: frame(a.begin, [*a.header("A", 1), *a.logon_fields(True)], checksum_off=7),
    "a wrong length": lambda a: frame(a.begin, [*a.header("A", 1), *a.logon_fields(True)], length=40),
    "an order": lambda a: frame(a.begin, [*a.header("D", 1), *a.order()]),
    "an unknown SenderCompID": lambda a: _logon(a, t49="NOBODY"),
    "an unknown TargetCompID": lambda a: _logon(a, t56="NOBODY"),
    "another FIX version": lambda a: frame("FIX.4.2", [*a.header("A", 1), *a.logon_fields(True)]),
    "a FIX version that is none": lambda a: frame("FIX.9.9", [*a.header("A", 1), *a.logon_fields(True)]),
    "the CompIDs swapped": lambda a: _logon(a, t49="FIXGW", t56="OMS44"),
    "two SenderCompIDs": lambda a: frame(a.begin, [*a.header("A", 1), (49, "OMS42"), *a.logon_fields(True)]),
    "a number of 0": lambda a: _logon(a, t34=0),
    "a negative number": lambda a: _logon(a, t34=-1),
    "a huge number": lambda a: _logon(a, t34="9" * 400),
    "a number that is none": lambda a: _logon(a, t34="1e0"),
    "digits of another script": lambda a: _logon(a, t34="\u0661".encode()),
    "no HeartBtInt": lambda a: _logon(a, t108=None),
    "HeartBtInt 0": lambda a: _logon(a, t108=0),
    "HeartBtInt -1": lambda a: _logon(a, t108=-1),
    "HeartBtInt huge": lambda a: _logon(a, t108="99999999999999999999"),
    "encryption": lambda a: _logon(a, t98=2),
    "an old recording with 141=Y": lambda a: _logon(a, t52=utc(-86400)),
    "a Logon of tomorrow with 141=Y": lambda a: _logon(a, t52=utc(86400)),
    "141=Y with a number above 1": lambda a: _logon(a, t34=77),
    "a SendingTime that is none": lambda a: _logon(a, t52="yesterday"),
    "a data length of -1": lambda a: _logon(a, t95=-1, t96="x"),
    "a data length of 2,000,000,000": lambda a: _logon(a, t95=2_000_000_000, t96="x"),
    "a tag that is none": lambda a: frame(a.begin, [*a.header("A", 1), ("abc", "x"), *a.logon_fields(True)]),
    "a tag that is no number of 32 bits": lambda a: frame(a.begin, [*a.header("A", 1), ("9" * 12, "x"), *a.logon_fields(True)]),
    "a header field with SOH": lambda a: frame(
        a.begin, [*a.header("A", 1), (212, 3), (213, b"a\x01b"), *a.logon_fields(True)]
    ),
    "FIX.4.4 without MsgType": lambda a: frame(a.begin, [(49, "OMS44"), (56, "FIXGW"), (34, 1), (52, utc())]),
}


@pytest.mark.parametrize("name", PRELOGON)
def test_nothing_but_a_sane_logon_is_let_in(attacker: Attacker, name: str) -> None:
    """Dropped without a Logon; the session of that name can still log on with the numbers it had."""
    attacker.open()
    attacker.push(PRELOGON[name](attacker))
    attacker.await_closed()
    assert not any(m[35] == "A" for m in attacker.received)


def test_half_logons_and_silence_are_dropped(stack: Stack, attacker: Attacker) -> None:
    whole = _logon(attacker)
    others = [Attacker(stack.address, "OMS44") for _ in range(40)]
    for number, other in enumerate(others):
        other.open()
        other.push(whole[: number * len(whole) // len(others)])
    for other in others:
        other.await_closed()
        other.close()
    attacker.logon()
    assert attacker.alive()


def test_a_logon_byte_by_byte(attacker: Attacker) -> None:
    """One byte each 100 ms: it runs into the deadline; nobody else waits."""
    attacker.open()
    for byte in _logon(attacker):
        if attacker.closed or not attacker.push(bytes([byte])):
            break
        time.sleep(0.1)
    attacker.await_closed()


def test_the_numbers_survive_a_replayed_logon(attacker: Attacker) -> None:
    """What a stranger recorded yesterday must not reset a session."""
    attacker.logon()
    assert attacker.alive()
    attacker.close()
    stranger = Attacker(attacker.address, "OMS44")
    stranger.open()
    stranger.push(_logon(stranger, t52=utc(-3600)))
    stranger.await_closed()
    attacker.logon(reset=False)
    assert attacker.alive()


def test_a_second_logon_of_a_live_session(live: Attacker) -> None:
    """Refused, from this address or another; the live one notices nothing."""
    for source in ("127.0.0.1", "127.0.0.9"):
        for reset in (True, False):
            second = Attacker(live.address, "OMS44")
            second.open(source=source)
            second.send("A", second.logon_fields(reset))
            second.await_closed()
            assert not any(m[35] == "A" for m in second.received)
    assert live.alive()
    assert _answered(live, "D", live.order())[35] == "8"


def test_500_logons(stack: Stack, attacker: Attacker) -> None:
    """On as many connections, most at the same time."""
    crowd = [Attacker(stack.address, "OMS44") for _ in range(50)]
    for _ in range(10):
        for one in crowd:
            one.open()
            one.push(_logon(one))
        for one in crowd:
            one.close()
    attacker.logon()
    assert attacker.alive()


def test_500_logons_on_one_connection(live: Attacker) -> None:
    for _ in range(500):
        if not live.push(live.bytes_of("A", live.logon_fields(False))):
            break
    live.send("1", [(112, "behind")])
    live.wait(lambda: live.closed or any(m[35] == "0" for m in live.received), "Heartbeat", 15)
    live.logon()
    assert live.alive()


def test_logon_logout_floods(attacker: Attacker) -> None:
    for _ in range(60):
        attacker.logon()
        attacker.send("5")
        attacker.wait(lambda: attacker.closed or any(m[35] == "5" for m in attacker.received), "Logout")
    attacker.logon()
    assert attacker.alive()


# --- frames of a live session ---


def _proper(a: Attacker) -> list[tuple[Any, Any]]:
    return [*a.header("D", a.next_out), *a.order()]


FRAMES = {
    "a wrong checksum": lambda a: frame(a.begin, _proper(a), checksum_off=1),
    "a length too short": lambda a: frame(a.begin, _proper(a), length=30),
    "a length a little too long": lambda a: frame(a.begin, _proper(a), length=len(frame(a.begin, _proper(a))) + 5),
    "a negative length": lambda a: b"8=FIX.4.4\x019=-10\x01" + frame(a.begin, _proper(a)),
    "a length that is none": lambda a: b"8=FIX.4.4\x019=abc\x0135=D\x0110=000\x01",
    "noise": lambda a: _noise(7, 3000),
    "a body of 2,000,000,000": lambda a: b"8=FIX.4.4\x019=2000000000\x01" + b"58=x\x01" * 1000,
    "a body of 10 MB": lambda a: frame(a.begin, [*_proper(a), (58, "x" * 10_000_000)]),
    "10 MB of noise": lambda a: _noise(8, 10_000_000),
    "MsgType is not third": lambda a: frame(a.begin, [(49, a.comp_id), (35, "D"), *_proper(a)[2:]]),
    "no MsgType": lambda a: frame(a.begin, _proper(a)[1:]),
    "no SenderCompID": lambda a: frame(a.begin, [p for p in _proper(a) if p[0] != 49]),
    "no TargetCompID": lambda a: frame(a.begin, [p for p in _proper(a) if p[0] != 56]),
    "no MsgSeqNum": lambda a: frame(a.begin, [p for p in _proper(a) if p[0] != 34]),
    "no SendingTime": lambda a: frame(a.begin, [p for p in _proper(a) if p[0] != 52]),
    "the victim's SenderCompID": lambda a: frame(a.begin, [(t, "OMS42" if t == 49 else v) for t, v in _proper(a)]),
    "another FIX version": lambda a: frame("FIX.4.2", _proper(a)),
    "an old SendingTime": lambda a: frame(a.begin, [*a.header("D", a.next_out, utc(-3600)), *a.order()]),
    "a SendingTime that is none": lambda a: frame(a.begin, [*a.header("D", a.next_out, "now"), *a.order()]),
    "header twice": lambda a: frame(a.begin, [*a.header("D", a.next_out), *a.header("D", a.next_out), *a.order()]),
    "header at the end": lambda a: frame(a.begin, [(35, "D"), *a.order(), *a.header("D", a.next_out)[1:]]),
    "two trailers": lambda a: frame(a.begin, [*_proper(a), (10, "123")]),
    "tag 0": lambda a: frame(a.begin, [*_proper(a), (0, "x")]),
    "a negative tag": lambda a: frame(a.begin, [*_proper(a), (-1, "x")]),
    "a huge tag": lambda a: frame(a.begin, [*_proper(a), ("9" * 40, "x")]),
    "a tag that is none": lambda a: frame(a.begin, [*_proper(a), ("abc", "x")]),
    "a field without =": lambda a: frame(a.begin, [*_proper(a), (58, "a" + SOH.decode() + "bc")]),
    "only SOH": lambda a: SOH * 5000,
    "number 0": lambda a: frame(a.begin, [*a.header("D", 0), *a.order()]),
    "number -1": lambda a: frame(a.begin, [*a.header("D", -1), *a.order()]),
    "a number too low": lambda a: frame(a.begin, [*a.header("D", 1), *a.order()]),
    "a number too high": lambda a: frame(a.begin, [*a.header("D", 1_000_000), *a.order()]),
    "a huge number": lambda a: frame(a.begin, [*a.header("D", "9" * 400), *a.order()]),
    "2^64 as number": lambda a: frame(a.begin, [*a.header("D", 2**64 + a.next_out), *a.order()]),
    "no number": lambda a: frame(a.begin, [*a.header("D", "x1"), *a.order()]),
    "a Logon of another session": lambda a: frame(
        a.begin, [(35, "A"), (49, "OMS42"), *a.header("A", a.next_out)[2:], *a.logon_fields(True)]
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_bad_frames_end_in_an_answer_or_a_clean_drop(live: Attacker, name: str) -> None:
    """After it the session lives on, is asked for what was garbled, or was closed; it can always log on again."""
    for _ in range(3):
        if not live.push(FRAMES[name](live)):
            break
    for _ in range(20):  # a frame that is too long swallows what follows it
        live.send("1", [(112, "behind")], number=live.next_out)
        with contextlib.suppress(AssertionError):
            live.wait(lambda: live.closed or any(m[35] in "0235" for m in live.received), "reaction", 1)
            break
    else:
        pytest.fail("no reaction")
    live.logon()
    assert live.alive()


@pytest.mark.parametrize("zeros", [20, 6000])
def test_a_number_with_zeros_before_it_is_that_number(live: Attacker, zeros: int) -> None:
    """A legal number: its message is taken as any other."""
    for msg_type in "DFGH":
        live.next_out, number = live.next_out + 1, live.next_out
        body = live.order(**({"t41": "none"} if msg_type in "FG" else {}))
        allowed = {"F": (11, 41, 55, 54, 60, 38), "H": (11, 55, 54)}.get(msg_type)
        body = [(tag, value) for tag, value in body if allowed is None or tag in allowed]
        live.send(msg_type, body, number="0" * zeros + str(number))
        answer = live.answer(number, body[0][1])
        assert answer[35] in "89" and "internal error" not in answer.get(58, ""), answer
    live.next_out, number = live.next_out + 1, live.next_out
    live.send("1", [(112, "padded")], number="0" * zeros + str(number))
    live.wait(lambda: any(m[35] == "0" and m.get(112) == "padded" for m in live.received), "Heartbeat")
    assert live.alive()


@pytest.mark.parametrize("gap_fill", ["Y", "N"])
def test_a_sequence_reset_right_behind_a_logout(live: Attacker, gap_fill: str) -> None:
    """In one piece with it: QuickFIX reads it in a session that is over, and would end with it."""
    live.push(live.bytes_of("5", []) + live.bytes_of("4", [(123, gap_fill), (36, 1)]))
    live.await_closed()
    live.logon()
    assert live.alive()


LENGTHS: dict[str, tuple[str, list[tuple[Any, Any]], int, int]] = {
    "text of -3": ("D", [(354, -3), (355, "abc")], 354, 5),
    "text of 2,000,000,000": ("D", [(354, 2_000_000_000), (355, "abc")], 354, 5),
    "text without its length": ("D", [(355, "abc")], 354, 1),
    "signature of -1 in a Heartbeat": ("0", [(93, -1), (89, "x")], 93, 5),
    "XML of -1 in a Heartbeat": ("0", [(212, -1), (213, "x")], 212, 5),
    "raw data of no number in a TestRequest": ("1", [(112, "x"), (95, "x"), (96, "x")], 95, 6),
    "tags with zeros": ("0", [("0095", -1), ("00096", "x")], 95, 5),
    "the least tag": ("D", [(-(2**31), "x")], 0, 0),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_a_data_length_that_leads_elsewhere_is_rejected_and_the_session_goes_on(live: Attacker, name: str) -> None:
    """QuickFIX would go where the length leads, and end with all sessions."""
    msg_type, more, tag, reason = LENGTHS[name]
    body = [*(live.order() if msg_type == "D" else []), *more]
    for _ in range(2):
        answer = _answered(live, msg_type, body)
        wanted = {35: "3", 371: str(tag) if tag else None, 372: msg_type, 373: str(reason)}
        assert {t: answer.get(t) for t in wanted} == wanted
        assert (f"({tag}) is " if tag else "a tag is -") in answer[58]
    assert not any(m[35] == "2" for m in live.received)
    assert _answered(live, "D", live.order())[35] == "8"


def test_a_message_with_such_a_length_keeps_its_place_behind_a_gap(live: Attacker) -> None:
    """Asked for again as any other; garbled besides it is passed over, and asked for."""
    missing = live.next_out
    live.next_out += 1
    number = live.send("D", [*live.order(), (354, -1), (355, "x")])
    live.wait(lambda: any(m[35] == "2" and m[7] == str(missing) for m in live.received), "ResendRequest")
    assert not live.answers(number, None)
    live.send("0", number=missing)
    assert live.answer(number)[371] == "354"
    garbled = live.next_out
    live.next_out += 1
    live.push(frame(live.begin, [*live.header("D", garbled), (354, -1), (355, "x")], checksum_off=1))
    live.send("0")
    live.wait(lambda: any(m[35] == "2" and m[7] == str(garbled) for m in live.received), "ResendRequest")
    live.send("0", number=garbled)
    assert live.alive()


# --- fields ---

NUMBERS: dict[str, Any] = {
    "0": "0",
    "negative": "-1",
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-inf": "-inf",
    "1e999": "1e999",
    "1e3": "1e3",
    "hex": "0x10",
    "sNaN": "sNaN",
    "400 digits": "9" * 400,
    "400 decimals": "0." + "0" * 400 + "1",
    "30 digits": "9" * 30,
    "two points": "1.2.3",
    "comma": "1,5",
    "spaces": " 1 ",
    "plus": "+1",
    "minus": "-",
    "point": ".",
    "underscore": "1_000",
    "words": "one",
    "Arabic digits": "\u0661\u0662".encode(),
    "full width": "\uff11".encode(),
    "latin-1": b"\xb2",
    "NUL": b"1\x00",
    "empty": "",
    "60 kB": "1" * 60_000,
}


@pytest.mark.parametrize("tag", [38, 44, 99, 152])
def test_numbers(live: Attacker, tag: int) -> None:
    """None of them becomes an order that is not exactly what was written."""
    for name, value in NUMBERS.items():
        body = live.order(t40=3, t44=None) if tag == 99 else live.order(t38=None) if tag == 152 else live.order()
        body = [pair for pair in body if pair[0] != tag] + [(tag, value)]
        answer = _answered(live, "D", body)
        assert answer[35] in "3j" or answer[39] == "8" or name in ("plus", "30 digits"), (name, answer)


ENUMS = [
    "",
    "0",
    "9",
    "Z",
    "z",
    "11",
    "1 ",
    " 1",
    "\u00e9".encode(),
    b"\xff",
    b"\x00",
    b"\x7f",
    "A" * 1000,
    "1=2",
    "\u0661".encode(),
]


@pytest.mark.parametrize("tag", [54, 40, 59, 18, 21])
def test_unknown_values(live: Attacker, tag: int) -> None:
    for value in ENUMS:
        body = [pair for pair in live.order() if pair[0] != tag] + [(tag, value)]
        answer = _answered(live, "D", body)
        assert answer[35] in "389j", answer


TEXTS = [
    "\u00e9".encode(),
    b"\xe9",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"a\x00b",
    b"a\tb\r\n",
    b"\x1b[31m",
    b"\x7f",
    "=",
    "a=b=c",
    "A" * 64,
    "A" * 65,
    "A" * 1000,
    "A" * 60_000,
    "%s%n{0}",
    "'; drop table orders; --",
    "../../etc/passwd",
    "NONE",
    "*",
    " ",
]


@pytest.mark.parametrize("tag", [11, 55, 58, 1, 100, 41, 37])
@pytest.mark.parametrize("msg_type", ["D", "F", "G", "H"])
def test_texts(live: Attacker, msg_type: str, tag: int) -> None:
    """Whatever stands in identifiers and texts: an answer, and never a byte that is no ASCII in what we send."""
    allowed = {
        "D": {11, 21, 55, 54, 60, 38, 40, 44, 59, 58, 1, 100},
        "F": {11, 41, 37, 55, 54, 60, 38, 58, 1},
        "G": {11, 41, 37, 21, 55, 54, 60, 38, 40, 44, 59, 58, 1, 100},
        "H": {11, 37, 55, 54, 1},
    }[msg_type]
    if tag not in allowed:
        pytest.skip("no field of this message")
    for value in TEXTS:
        if tag in (41, 37):
            value = b"?" + raw(value)  # no order of another case
        body = dict(live.order(t41="unknown")) | {tag: value}
        own = body[11]
        number = live.send(msg_type, [(t, v) for t, v in body.items() if t in allowed])
        live.answer(number, own if isinstance(own, str) else None)
    assert live.alive()
    for m in live.received:
        assert all(text.isascii() for text in m.values()), m


SHAPES = {
    "an unknown message": lambda a: ("ZZ", [(58, "x")]),
    "a message type with an accent": lambda a: (b"\xe9", [(58, "x")]),
    "a long message type": lambda a: ("D" * 5000, [(58, "x")]),
    "a message that nobody sends to us": lambda a: (
        "8",
        [(37, "x"), (17, "x"), (150, "0"), (39, "0"), (55, "x"), (54, 1), (151, 0), (14, 0), (6, 0)],
    ),
    "an order without anything": lambda a: ("D", []),
    "an unknown tag": lambda a: ("D", [*a.order(), (4999, "x")]),
    "an unknown user tag": lambda a: ("D", [*a.order(), (9999, "x")]),
    "a tag of another message": lambda a: ("D", [*a.order(), (150, "F")]),
    "a tag twice": lambda a: ("D", [*a.order(), (38, 5)]),
    "ClOrdID twice": lambda a: ("D", [*a.order(), (11, "other")]),
    "a group that counts too many": lambda a: ("D", [*a.order(), (453, 3), (448, "x"), (447, "D"), (452, 1)]),
    "a group that counts too few": lambda a: (
        "D",
        [*a.order(), (453, 1), (448, "x"), (447, "D"), (452, 1), (448, "y"), (447, "D"), (452, 1)],
    ),
    "a group that counts 0": lambda a: ("D", [*a.order(), (453, 0)]),
    "a group that counts -1": lambda a: ("D", [*a.order(), (453, -1)]),
    "a group that counts 2,000,000,000": lambda a: ("D", [*a.order(), (453, 2_000_000_000), (448, "x")]),
    "a group out of order": lambda a: ("D", [*a.order(), (453, 1), (447, "D"), (448, "x")]),
    "a thousand parties": lambda a: ("D", [*a.order(), (453, 1000), *[(448, "x"), (447, "D"), (452, 1)] * 1000]),
    "2000 unknown tags": lambda a: ("D", [*a.order(), *[(7000 + n, "x") for n in range(2000)]]),
    "a data field with SOH": lambda a: ("D", [*a.order(), (354, 5), (355, "a\x01b=c")]),
    "a data length that lies": lambda a: ("D", [*a.order(), (354, 4000), (355, "ab")]),
    "a data length of -1": lambda a: ("D", [*a.order(), (354, -1), (355, "ab")]),
    "a data length of 2^64": lambda a: ("D", [*a.order(), (354, 2**64), (355, "ab")]),
    "a time beyond 64 bits": lambda a: ("D", a.order(t60="99991231-23:59:59")),
    "expiry beyond 64 bits": lambda a: ("D", a.order(t59=6, t126="99991231-23:59:59")),
    "expiry day beyond 64 bits": lambda a: ("D", a.order(t59=6, t432="99991231")),
    "a time that does not exist": lambda a: ("D", a.order(t60="20261341-25:61:61")),
    "a time before all times": lambda a: ("D", a.order(t60="00000000-00:00:00")),
    "a possible resend of long ago": lambda a: ("D", [(97, "Y"), *a.order(t60="19700101-00:00:00")]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(live: Attacker, name: str) -> None:
    """Answered with a reject or a report, or the connection ends; nothing waits for ever."""
    msg_type, body = SHAPES[name](live)
    number = live.send(msg_type, body)
    cl_ord_id = next((value for tag, value in body if tag == 11), None)
    live.send("1", [(112, "behind")])

    def reaction() -> bool:
        # a frame that QuickFIX finds garbled is asked for again
        return live.closed or bool(live.answers(number, cl_ord_id)) or any(m[35] == "2" for m in live.received)

    live.wait(reaction, "answer")
    live.logon()
    assert live.alive()
