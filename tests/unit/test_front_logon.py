"""What the front lets in, and what its configuration must look like."""

import json
import os
import time
from pathlib import Path

import pytest

from fixgw.fix.frames import first_frame_end
from fixgw.fix.front_log import LineLog
from fixgw.fix.front_logon import ConfigError, FrontSession, Logon, LogonRefused, judge_logon, load_config
from fixgw.fix.front_refusal import refusal_of, refused_logon
from fixgw.fix.inbound.fields import split

NOW_NS = 1_700_000_000_000_000_000  # 20231114-22:13:20
SESSIONS = {
    session.key: session
    for session in (
        FrontSession("FIX.4.4", "OMS44", "FIXGW"),
        FrontSession("FIXT.1.1", "OMS50", "FIXGW"),
        FrontSession("FIX.4.2", "OFF", "FIXGW", enabled=False),
    )
}


def logon(**change: str | None) -> bytes:
    fields = {"8": "FIX.4.4", "9": "1", "35": "A", "34": "1", "49": "OMS44", "52": "20231114-22:13:20.123", "56": "FIXGW"}
    fields |= {"98": "0", "108": "30"}
    fields |= {tag[1:]: value for tag, value in change.items() if value is not None}
    for tag, value in change.items():
        if value is None:
            fields.pop(tag[1:])
    return "".join(f"{tag}={value}\x01" for tag, value in fields.items()).encode() + b"10=000\x01"


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"_34": "77"},
        {"_34": "0" * 3000 + "77"},
        {"_34": "0" * 20 + "1", "_141": "Y"},
        {"_108": "3600"},
        {"_141": "Y"},
        {"_141": "N"},
        {"_8": "FIXT.1.1", "_49": "OMS50", "_1137": "9"},
    ],
)
def test_let_in(change: dict[str, str]) -> None:
    result = judge_logon(logon(**change), SESSIONS, NOW_NS, 120)
    assert result.session.client_comp_id == change.get("_49", "OMS44")
    assert result.reset == (change.get("_141") == "Y")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"_35": "0"}, "not_logon"),
        ({"_35": "D"}, "not_logon"),
        ({"_49": "OTHER"}, "unknown_session"),
        ({"_49": None}, "unknown_session"),
        ({"_56": "OTHER"}, "unknown_session"),
        ({"_8": "FIX.4.2"}, "unknown_session"),
        ({"_8": "FIX.4.2", "_49": "OFF"}, "session_disabled"),
        ({"_108": "0"}, "heartbeat"),
        ({"_108": "-5"}, "heartbeat"),
        ({"_108": "3601"}, "heartbeat"),
        ({"_108": "100000"}, "heartbeat"),
        ({"_108": "1e1"}, "heartbeat"),
        ({"_108": None}, "heartbeat"),
        ({"_98": "1"}, "encryption"),
        ({"_34": "0"}, "sequence"),
        ({"_34": None}, "sequence"),
        ({"_141": "Y", "_34": "2"}, "sequence"),
        ({"_141": "Y", "_52": "20231114-22:11:00"}, "sending_time"),
        ({"_141": "Y", "_52": "20231114-22:16:00"}, "sending_time"),
        ({"_141": "Y", "_52": "20239914-22:16:00"}, "sending_time"),
        ({"_141": "Y", "_52": None}, "sending_time"),
        ({"_52": "20231114-22:11:00"}, "sending_time"),
        ({"_52": "x"}, "sending_time"),
        ({"_98": None}, "encryption"),
        ({"_8": "FIXT.1.1", "_49": "OMS50", "_1137": "7"}, "appl_version"),
        ({"_8": "FIXT.1.1", "_49": "OMS50"}, "appl_version"),
        ({"_49": ""}, "malformed"),
    ],
)
def test_refused(change: dict[str, str | None], code: str) -> None:
    with pytest.raises(LogonRefused) as refused:
        judge_logon(logon(**change), SESSIONS, NOW_NS, 120)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"_108": "9999"}, "HeartBtInt(108) is 9999, expected 1 to 3600 s"),
        ({"_108": None}, "HeartBtInt(108) is missing, expected 1 to 3600 s"),
        ({"_98": "1"}, "EncryptMethod(98) is 1, expected 0"),
        ({"_8": "FIXT.1.1", "_49": "OMS50", "_1137": "7"}, "DefaultApplVerID(1137) is 7, expected 9 (FIX 5.0SP2)"),
        ({"_8": "FIXT.1.1", "_49": "OMS50"}, "DefaultApplVerID(1137) is missing, expected 9 (FIX 5.0SP2)"),
        ({"_52": "20231114-22:11:00"}, "SendingTime(52) is 20231114-22:11:00, expected within 120 s of now"),
        ({"_108": "\x7f" * 99}, f"HeartBtInt(108) is {'?' * 40}, expected 1 to 3600 s"),
        ({"_8": "FIX.4.2", "_49": "OFF"}, "session disabled"),
    ],
)
@pytest.mark.parametrize("reset", [False, True])
def test_a_known_session_is_told_why(change: dict[str, str | None], text: str, reset: bool) -> None:
    more = {"_141": "Y"} if reset else {"_34": "77"}
    with pytest.raises(LogonRefused) as refused:
        judge_logon(logon(**{**change, **more}), SESSIONS, NOW_NS, 120)
    asker = refused.value.asker
    assert asker is not None and (asker.reset, asker.sequence) == (reset, 1 if reset else 77)
    assert asker.session.client_comp_id == change.get("_49", "OMS44") and refused.value.text == text


@pytest.mark.parametrize("change", [{"_49": "OTHER"}, {"_35": "D"}, {"_34": "x"}, {"_34": "0"}, {"_34": "9" * 11}])
def test_strangers_and_who_cannot_be_answered_are_told_nothing(change: dict[str, str | None]) -> None:
    with pytest.raises(LogonRefused) as refused:
        judge_logon(logon(**change), SESSIONS, NOW_NS, 120)
    assert refused.value.asker is None


@pytest.mark.parametrize("session", [session for session in SESSIONS.values() if session.enabled])
def test_the_logon_in_the_clients_place_says_its_number_and_nothing_else_of_it(session: FrontSession) -> None:
    frame = refused_logon(Logon(session, False, 77), "because")
    assert first_frame_end(frame, 4096) == len(frame)
    fields = split(frame.decode("latin-1"))
    assert (fields["34"], fields["49"], fields["56"]) == ("77", session.client_comp_id, session.gateway_comp_id)
    assert refusal_of(fields["96"]) == "because"
    assert judge_logon(frame, SESSIONS, time.time_ns(), 120) == Logon(session, False, 77)


def test_only_the_fronts_own_words_are_a_refusal() -> None:
    assert [refusal_of(text) for text in ("", "password", "fixgw front: logon")] == ["", "", ""]


@pytest.mark.parametrize("twice", [b"49=EVIL", b"35=D", b"141=Y", b"56=X", b"8=FIX.4.2", b"34=5"])
def test_a_field_that_is_decided_on_may_not_stand_twice(twice: bytes) -> None:
    data = logon(_141="N").replace(b"98=0", b"98=0\x01" + twice)
    with pytest.raises(LogonRefused) as refused:
        judge_logon(data, SESSIONS, NOW_NS, 120)
    assert refused.value.code == "malformed"


@pytest.mark.parametrize("field", [b"0141=Y", b"00141=Y", b"049=EVIL", b"034=7", b"0=x"])
def test_a_tag_that_begins_with_0_is_not_let_in(field: bytes) -> None:
    """QuickFIX would read it as the tag without the 0, and so see what was not judged here."""
    with pytest.raises(LogonRefused) as refused:
        judge_logon(logon(_34="30").replace(b"98=0", b"98=0\x01" + field), SESSIONS, NOW_NS, 120)
    assert refused.value.code == "malformed"


@pytest.mark.parametrize("field", [b"abc=x", b"=x", b"x", b"", b"99999999999=x", b"-1=x", b"212=3\x01213=a\x01b"])
def test_a_header_that_quickfix_cannot_read_is_not_let_in(field: bytes) -> None:
    """It looks for the session in there by itself, and what it throws then ends the process."""
    for place in (b"34=30", b"98=0"):
        with pytest.raises(LogonRefused) as refused:
            judge_logon(logon(_34="30").replace(place, field + b"\x01" + place), SESSIONS, NOW_NS, 120)
        assert refused.value.code == "malformed"


def test_data_in_a_logon_may_be_anything_within_its_length() -> None:
    data = logon().replace(b"108=30", b"108=30\x0195=4\x0196=a\x01b=")
    assert judge_logon(data, SESSIONS, NOW_NS, 120).sequence == 1


@pytest.mark.parametrize("length", ["-1", "2000000000", "3", "x", "0"])
@pytest.mark.parametrize("reset", [False, True])
def test_a_data_length_that_leads_elsewhere_is_not_let_in(length: str, reset: bool) -> None:
    more = {"_141": "Y"} if reset else {"_34": "77"}
    with pytest.raises(LogonRefused) as refused:
        judge_logon(logon(**more, _95=length, _96="x"), SESSIONS, NOW_NS, 120)
    assert refused.value.text == f"malformed: RawDataLength(95) is {length}, expected the number of bytes of RawData(96)"
    assert refused.value.asker is not None and refused.value.asker.reset == reset


SESSION = {"begin_string": "FIX.4.4", "client_comp_id": "A", "gateway_comp_id": "B"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "truncated"),
        ('{"sessions": [{"begin_string": "FIX.4.4"}]}', "client_comp_id"),
        ('{"sessions": [], "frame_kap": 5}', "frame_kap"),
        ('{"sessions": [], "frame_cap": 5}', "frame_cap: 5, expected 1024"),
        (json.dumps({"sessions": [SESSION, SESSION]}), "stands there twice"),
        (json.dumps({"sessions": [{**SESSION, "begin_string": "4.4"}]}), "begin_string: '4.4'"),
        (json.dumps({"sessions": [{**SESSION, "client_comp_id": "a\x01"}]}), "client_comp_id"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "sessions.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=said) as error:
        load_config(path)
    assert str(path) in str(error.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.json")


def test_log_lines_stay_lines_and_are_limited() -> None:
    reader, writer = os.pipe()
    log = LineLog(writer)
    log.warn("closed", peer="1.2.3.4:5", detail='a\nb "c"', empty="", long="x" * 500)
    before = time.time_ns()
    for _ in range(1000):
        log.info("flood")
    log.close()
    os.close(writer)
    lines = os.read(reader, 1_000_000).decode().splitlines()
    os.close(reader)
    stamp, rest = lines[0].split(" ", 1)
    assert before - 10**10 < int(stamp) <= before
    assert rest.startswith('warn closed peer=1.2.3.4:5 detail="a\\nb \\"c\\"" empty="" long=xxx') and len(rest) < 250
    assert 100 <= len(lines) <= 401
