"""The front says of a Logon what QuickFIX would not say: just where QuickFIX would not take it."""

from __future__ import annotations

import functools

import pytest
import quickfix

from fixgw.fix.dictionary import FILES, fix_specs_dir, load, tree
from fixgw.fix.front_data import data_fields
from fixgw.fix.front_dictionary import logon_fault, logon_fields
from fixgw.fix.front_logon import FrontSession, LogonRefused, judge_logon
from fixgw.fix.front_refusal import logout, refused_logon

TIME = "20231114-22:13:20"
NOW_NS = 1_700_000_000_000_000_000
PLAIN = {"INT": "1", "SEQNUM": "1", "NUMINGROUP": "0", "LENGTH": "1", "BOOLEAN": "Y", "UTCTIMESTAMP": TIME, "CHAR": "x"}


@functools.cache
def header(begin: str) -> set[str]:
    known = load(FILES[begin][0]).fields
    tags = {name: str(tag) for tag, name in known.items()}
    found = tree(FILES[begin][0]).find("header")
    assert found is not None
    return {tags[str(part.get("name"))] for part in found}


def frame(begin: str, *fields: str) -> bytes:
    """A Logon with these fields where they belong."""
    of_header = [part for part in fields if part.partition("=")[0] in header(begin)]
    head = [f"8={begin}", "9=0", "35=A", "34=1", "49=C", f"52={TIME}", "56=FIXGW", *of_header]
    body = ["98=0", "108=30", *(["1137=9"] if begin == "FIXT.1.1" else [])]
    rest = [part for part in fields if part not in of_header]
    return "".join(f"{part}\x01" for part in [*head, *body, *rest, "10=000"]).encode()


class Engine:
    """QuickFIX's own judgement of a Logon."""

    def __init__(self, begin: str, user_defined_fields: str) -> None:
        self.book = quickfix.DataDictionary(str(fix_specs_dir() / f"{FILES[begin][0]}.xml"))
        self.book.checkUserDefinedFields(user_defined_fields == "reject")

    def takes(self, text: bytes) -> bool:
        try:
            self.book.validate(quickfix.Message(text.decode(), self.book, False))
        except quickfix.FIXException:
            return False
        return True


def candidates(begin: str) -> list[tuple[str, ...]]:
    """Any field that any version knows, with a value of its type, another one, none, and twice."""
    data = data_fields(begin).application
    types = load(FILES[begin][-1]).types | load("FIX44").types | load("FIX42").types | load(FILES[begin][0]).types
    spared = {8, 9, 10, 34, 35, 49, 52, 56, 98, 108, 1137, *data, *data.values(), *logon_fields(begin).grouped}
    found: list[tuple[str, ...]] = [("384=1", "372=D", "385=R"), ("384=2", "372=D", "372=8"), ("95=3", "96=a\x01b")]
    for tag in sorted({*types, 4999, 5000, 5001, 9999, 20001, 20011, 99999} - spared):
        value = PLAIN.get(types.get(tag, ""), "1")
        found += [(f"{tag}={value}",), (f"{tag}=Z",), (f"{tag}=N",)]
        if tag % 7 == 0 or tag > 5000 or tag in (553, 58):
            found += [(f"{tag}={value}", f"{tag}={value}"), (f"{tag}=",)]
    return found


# it speaks of tags and values only; what is no number, or no time, and groups that are not as they say are QuickFIX's
def is_format(begin: str, fields: tuple[str, ...]) -> bool:
    tag, _, value = fields[0].partition("=")
    kind = load(FILES[begin][0]).types.get(int(tag), "")
    return kind not in ("STRING", "CHAR", "") or (kind == "CHAR" and len(value) != 1)


@pytest.mark.parametrize("user_defined_fields", ["reject", "ignore"])
@pytest.mark.parametrize("begin", FILES)
def test_it_refuses_what_quickfix_would_not_take_and_nothing_else(begin: str, user_defined_fields: str) -> None:
    engine = Engine(begin, user_defined_fields)
    assert engine.takes(frame(begin)) and not logon_fault(frame(begin), begin, user_defined_fields)
    wrong = []
    told = 0
    for fields in candidates(begin):
        text = frame(begin, *fields)
        said, takes = logon_fault(text, begin, user_defined_fields), engine.takes(text)
        told += bool(said)
        if (said and takes) or (not said and not takes and not is_format(begin, fields)):
            wrong.append((fields, said, takes))
    assert not wrong, f"{len(wrong)}: {wrong[:20]}"
    assert told > 500
    assert not logon_fault(frame(begin, "384=2", "372=D", "385=R", "372=8", "385=S"), begin, user_defined_fields)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (["9999=x"], "not in dictionary: tag 9999 is no field of a Logon in FIX.4.4"),
        (["1=acc"], "not in dictionary: Account(1) is no field of a Logon in FIX.4.4"),
        (["20008=X"], "not in dictionary: CancelOnDisconnect(20008) is X, expected N S Y"),
        (["553="], "not in dictionary: Username(553) has no value"),
        (["553=a", "553=b"], "not in dictionary: Username(553) stands in the Logon twice"),
        (["464=\x7f"], "not in dictionary: TestMessageIndicator(464) is ?, expected N Y"),
    ],
)
@pytest.mark.parametrize("reset", [False, True])
def test_a_known_session_is_told_what_its_logon_may_not_hold(fields: list[str], text: str, reset: bool) -> None:
    session = FrontSession("FIX.4.4", "C", "FIXGW")
    with pytest.raises(LogonRefused) as refused:
        judge_logon(frame("FIX.4.4", *fields, *(["141=Y"] if reset else [])), {session.key: session}, NOW_NS, 120)
    asker = refused.value.asker
    assert refused.value.text == text and asker is not None and asker.reset == reset
    answer = logout(session, text) if reset else refused_logon(asker, text)
    assert text.encode() in answer


def test_tags_of_a_session_that_ignores_those_of_others_pass() -> None:
    session = FrontSession("FIX.4.4", "C", "FIXGW", user_defined_fields="ignore")
    sessions = {session.key: session}
    assert judge_logon(frame("FIX.4.4", "9999=x", "5000=1"), sessions, NOW_NS, 120).session is session
    with pytest.raises(LogonRefused):
        judge_logon(frame("FIX.4.4", "4999=x"), sessions, NOW_NS, 120)
