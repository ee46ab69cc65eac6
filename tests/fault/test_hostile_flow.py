"""Abuse that is made of proper messages: a client that never reads, floods, resends without end, reset numbers; and fuzz.

FIXGW_FUZZ sets the number of mutants, FIXGW_FUZZ_SEED the seed; both are printed when a mutant gets no reaction.
"""

from __future__ import annotations

import os
import random
import time
from typing import Any

import pytest
from hostile import SOH, WAIT_S, Attacker, Stack, frame, utc

pytestmark = pytest.mark.timeout(300)
MUTANTS = int(os.environ.get("FIXGW_FUZZ", "700"))
SEED = int(os.environ.get("FIXGW_FUZZ_SEED", "20240229"))


def _denied(live: Attacker, count: int) -> list[str]:
    """Orders that are refused at once (no price), each with a report; their ClOrdIDs."""
    ids = []
    for _ in range(count):
        body = live.order(t44=None)
        ids.append(str(body[0][1]))
        assert live.push(live.bytes_of("D", body))
    return ids


def _reported(live: Attacker) -> dict[str, str]:
    """ClOrdID -> ExecID of the reports received."""
    return {m[11]: m[17] for m in live.received if m[35] == "8"}


def test_a_client_that_never_reads(stack: Stack, attacker: Attacker) -> None:
    """Dropped when too much is unread; after its next Logon, with the numbers it had, it gets every report."""
    attacker.logon()
    ids = _denied(attacker, 400)
    attacker.wait(lambda: set(ids) <= _reported(attacker).keys(), "reports", 20)
    before = _reported(attacker)
    attacker.close()
    attacker.logon(reset=False, receive_buffer=4096)
    attacker.reading = False
    more = _denied(attacker, 100)
    started = time.monotonic()
    # each resend is 150 kB: the client asks for megabytes and takes none
    while attacker.push(attacker.bytes_of("2", [(7, 1), (16, 0)])):
        assert time.monotonic() - started < 60, "a client that does not read is never dropped"
        time.sleep(0.01)
    attacker.close()
    stack.check()
    attacker.logon(reset=False)
    attacker.send("1", [(112, "behind")])
    # what was on its way when it was dropped is missed, if anything was
    attacker.wait(lambda: any(m[35] in "02" for m in attacker.received), "Heartbeat or ResendRequest")
    attacker.fill_gap()
    attacker.send("2", [(7, 1), (16, 0)])
    attacker.wait(lambda: {*ids, *more} <= _reported(attacker).keys(), "every report", 30)
    after = _reported(attacker)
    assert all(after[cl_ord_id] == exec_id for cl_ord_id, exec_id in before.items())
    assert attacker.alive()


def test_resend_requests_without_end(live: Attacker) -> None:
    """The same 300 reports again and again; a client that goes on asking is logged out, and nobody else waits."""
    ids = _denied(live, 300)
    live.wait(lambda: set(ids) <= _reported(live).keys(), "reports", 20)
    for _ in range(300):
        if not live.push(live.bytes_of("2", [(7, 1), (16, 0)])):
            break
    live.wait(lambda: live.closed or any(m[35] == "5" for m in live.received), "Logout", 60)
    # QuickFIX closes with requests unread, so TCP resets the connection: the Logout is lost when the front was waiting for us
    assert all("ResendRequests" in m[58] for m in live.received if m[35] == "5")
    live.await_closed()


RANGES = [
    (1, 0),
    (5, 2),
    (0, 0),
    (-1, 5),
    (1, -1),
    (10**6, 0),
    (1, 10**9),
    (2**31, 2**31 + 5),
    (2**63, 0),
    (2**64 - 1, 2**64 - 1),
    ("9" * 100, 0),
    ("x", "y"),
    ("", ""),
    (1, 999999),
    (1, 2**32),
]


@pytest.mark.parametrize("begin,end", RANGES)
def test_resend_ranges(live: Attacker, begin: Any, end: Any) -> None:
    live.send("2", [(7, begin), (16, end)])
    live.send("1", [(112, "behind")])
    live.wait(lambda: live.closed or any(m[35] in "02" for m in live.received), "reaction", 15)
    live.logon()
    assert live.alive()


RESETS: list[list[tuple[int, Any]]] = [
    [(36, 1)],
    [(36, 0)],
    [(36, -5)],
    [(36, "x")],
    [(36, 2**31)],
    [(36, 2**63)],
    [(36, 2**64 - 1)],
    [(36, 2**64)],
    [(36, "9" * 300)],
    [],
    [(123, "Y"), (36, 1)],
    [(123, "Y"), (36, 2**63)],
    [(123, "Q"), (36, 9)],
    [(123, "N"), (36, 2)],
    [(123, "Y"), (36, 3), (36, 99)],
]


@pytest.mark.parametrize("body", RESETS, ids=str)
def test_sequence_resets(stack: Stack, live: Attacker, body: list[tuple[int, Any]]) -> None:
    """Back, nowhere, beyond all bounds: at worst the client has to reset its own numbers."""
    live.send("D", live.order(t44=None))
    live.send("4", body)
    live.send("1", [(112, "behind")])
    live.wait(lambda: live.closed or any(m[35] in "0235" for m in live.received), "reaction", 15)
    live.close()
    live.logon()
    assert live.alive()


def test_numbers_that_went_to_the_end_survive_a_restart(stack: Stack, live: Attacker) -> None:
    """The largest NewSeqNo there is, then the follower of the journal goes on reading it."""
    live.send("4", [(123, "N"), (36, 2**64 - 1)])
    live.send("1", [(112, "x")], number=2**64 - 1)
    live.close()
    live.logon()
    assert live.alive()
    seq = stack.world.ask("status")["durable_seq"]

    def read_on() -> bool:
        now = stack.world.ask("status")
        return bool(now["durable_seq"] - now["projection_behind"] >= seq)

    stack.world.wait("the journal is read on", read_on)


def test_floods(live: Attacker) -> None:
    """Thousands of TestRequests, Heartbeats, Rejects and business rejects in one go."""
    flood = bytearray()
    for number in range(1500):
        flood += live.bytes_of("1", [(112, f"t{number}")])
        flood += live.bytes_of("0", [(112, f"fixgw-{number}")])
        flood += live.bytes_of("3", [(45, number + 1), (58, "no")])
        flood += live.bytes_of("j", [(45, number + 1), (372, "8"), (380, 0)])
    assert live.push(bytes(flood))
    live.wait(lambda: any(m[35] == "0" and m.get(112) == "t1499" for m in live.received), "the last Heartbeat", 30)
    assert live.alive()


def test_orders_as_fast_as_the_wire_takes_them(live: Attacker) -> None:
    """3000 orders in one piece: each is answered."""
    ids, flood = [], bytearray()
    for _ in range(3000):
        body = live.order(t44=None)
        ids.append(str(body[0][1]))
        flood += live.bytes_of("D", body)
    assert live.push(bytes(flood))
    live.wait(lambda: set(ids) <= _reported(live).keys(), "answers", 60)


def test_a_frame_byte_by_byte(live: Attacker) -> None:
    """One byte each 50 ms: an order all the same."""
    body = live.order(t44=None)
    for byte in live.bytes_of("D", body):
        assert live.push(bytes([byte]))
        time.sleep(0.05)
    assert live.answer(None, str(body[0][1]))[39] == "8"


# --- fuzz ---

_TAGS = [
    1,
    6,
    7,
    8,
    9,
    10,
    11,
    14,
    15,
    16,
    17,
    18,
    21,
    22,
    34,
    35,
    36,
    37,
    38,
    40,
    41,
    43,
    44,
    48,
    49,
    50,
    52,
    54,
    55,
    56,
    57,
    58,
    59,
    60,
    89,
    90,
    91,
    93,
    95,
    96,
    97,
    99,
    100,
    108,
    110,
    112,
    115,
    122,
    123,
    126,
    128,
    141,
    142,
    152,
    167,
    212,
    213,
    347,
    354,
    355,
    369,
    373,
    432,
    447,
    448,
    452,
    453,
    528,
    553,
    554,
    789,
    790,
    847,
    957,
    958,
    1137,
    4999,
    5001,
    20001,
    20008,
    99999,
]
_VALUES: list[Any] = [
    "",
    "0",
    "-1",
    "1",
    "Y",
    "N",
    "A",
    "D",
    "NaN",
    "1e999",
    "9" * 40,
    "99991231-00:00:00",
    "\u0661".encode(),
    b"\xff",
    b"\xe9",
    b"\x00",
    "=",
    "x" * 300,
    "2147483648",
    "18446744073709551615",
    "20260101-00:00:00",
    "OMS42",
    "4",
    "5",
]
# what needs no answer: heartbeats, rejects of ours, resends, gap fills; what was sent before (43=Y)
_SILENT = {b"0", b"2", b"3", b"4", b"j", b"1", b"A", b"5"}


def _mutant(dice: random.Random, live: Attacker) -> bytes:
    """A proper message, damaged once to four times."""
    kind = dice.choice("DDDDFGH")
    fields: list[tuple[Any, Any]] = [*live.header(kind, live.next_out), *live.order()]
    if kind in "FG":
        fields.append((41, "unknown"))
    if kind == "H":
        fields = [pair for pair in fields if pair[0] not in (21, 60, 38, 40, 44, 59)]
    if kind == "F":
        fields = [pair for pair in fields if pair[0] not in (21, 40, 44, 59)]
    length, checksum_off = None, 0
    for _ in range(dice.randint(1, 4)):
        first = 5 if dice.random() < 0.85 and len(fields) > 5 else 0  # most mutants are to get past the header
        at = dice.randrange(first, len(fields))
        match dice.randrange(9):
            case 0 | 1 | 2:
                fields[at] = (fields[at][0], dice.choice(_VALUES))
            case 3:
                fields.insert(at, (dice.choice(_TAGS), dice.choice(_VALUES)))
            case 4:
                del fields[at]
            case 5:
                fields.insert(dice.randrange(first, len(fields)), fields[at])
            case 6:
                fields[at] = (dice.choice(_TAGS), fields[at][1])
            case 7:
                tail = fields[first:]
                dice.shuffle(tail)
                fields[first:] = tail
            case _:
                fields[at] = (fields[at][0], dice.randbytes(dice.randint(1, 12)))
        if not fields:
            fields = [(35, "D")]
    if dice.random() < 0.05:
        length = dice.choice([0, 1, 20, 300, 10**8])  # what is too long swallows what follows
    if dice.random() < 0.05:
        checksum_off = dice.randrange(256)
    made = bytearray(frame(live.begin, fields, length=length, checksum_off=checksum_off))
    if dice.random() < 0.1:
        made[dice.randrange(len(made))] = dice.randrange(256)
    return bytes(made)


def _first(mutant: bytes, tag: bytes) -> bytes | None:
    return next((part[len(tag) + 1 :] for part in mutant.split(SOH) if part.startswith(tag + b"=")), None)


def _reaction(live: Attacker, mark: int, number: int, mutant: bytes) -> str:
    """What came of it so far: "" nothing, else a word."""
    if live.closed or any(m[35] == "5" for m in live.received[mark:]):
        return "closed"
    if any(m[35] == "2" for m in live.received[mark:]):
        return "asked again"
    if not any(m[35] == "0" and m.get(112) == f"p{number}" for m in live.received[mark:]):
        return ""  # what stands behind it must have come through
    named = (_first(mutant, b"11") or b"").decode("latin-1")
    if live.answers(number, named or None, mark):
        return "answered"
    return "silent" if _first(mutant, b"35") in _SILENT or _first(mutant, b"43") == b"Y" else ""


def test_mutants(stack: Stack, attacker: Attacker) -> None:
    """Each is answered, asked for again (garbled), needs no answer, or ends the connection."""
    dice = random.Random(SEED)
    counts: dict[str, int] = {}
    attacker.logon()
    for index in range(MUTANTS):
        mutant, number, mark = _mutant(dice, attacker), attacker.next_out, len(attacker.received)
        attacker.push(mutant)
        attacker.next_out += 1
        attacker.send("1", [(112, f"p{number}")])
        deadline = time.monotonic() + WAIT_S
        while not (word := _reaction(attacker, mark, number, mutant)):
            if time.monotonic() > deadline:
                pytest.fail(f"seed {SEED}, mutant {index}: no reaction to {mutant!r}: {attacker.received[mark:][-5:]}")
            with_news = len(attacker.received)
            try:
                attacker.wait(lambda: attacker.closed or len(attacker.received) > with_news, "news", 1.0)  # noqa: B023
            except AssertionError:
                # swallowed by a frame that said to be longer than it was
                attacker.send("1", [(112, f"p{number}")], number=attacker.next_out)
        counts[word] = counts.get(word, 0) + 1
        if word in ("answered", "silent") and not attacker.closed:
            attacker.confirm()
        else:
            attacker.logon()
        if index % 500 == 499:
            stack.check()
    print(f"seed {SEED}: {MUTANTS} mutants: {counts}")
    assert counts.get("answered", 0) > MUTANTS // 4, counts


def test_a_replayed_session(live: Attacker) -> None:
    """The same bytes of an order once more, on this connection and the next: never a second order."""
    body = live.order(t38="0.001")
    recording = live.bytes_of("D", body)
    live.push(recording)
    live.answer(None, str(body[0][1]))
    live.push(recording)  # its number is too low now: QuickFIX ends the session
    live.await_closed()
    live.logon()
    live.push(frame(live.begin, [*live.header("D", live.next_out, utc()), *body]))
    live.next_out += 1
    live.wait(lambda: any(m[35] == "8" and m.get(150) == "8" and m.get(11) == body[0][1] for m in live.received), "refusal")
