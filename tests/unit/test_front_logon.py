"""What the front lets in, and what its configuration must look like."""

import json
import os
import time
from pathlib import Path

import pytest

from fixgw.fix.front_log import LineLog
from fixgw.fix.front_logon import ConfigError, FrontSession, LogonRefused, judge_logon, load_config

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
        {"_108": "3600"},
        {"_141": "Y"},
        {"_141": "N", "_52": "x"},
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
        ({"_49": ""}, "malformed"),
    ],
)
def test_refused(change: dict[str, str | None], code: str) -> None:
    with pytest.raises(LogonRefused) as refused:
        judge_logon(logon(**change), SESSIONS, NOW_NS, 120)
    assert refused.value.code == code


@pytest.mark.parametrize("twice", [b"49=EVIL", b"35=D", b"141=Y", b"56=X", b"8=FIX.4.2", b"34=5"])
def test_a_field_that_is_decided_on_may_not_stand_twice(twice: bytes) -> None:
    data = logon(_141="N").replace(b"98=0", b"98=0\x01" + twice)
    with pytest.raises(LogonRefused) as refused:
        judge_logon(data, SESSIONS, NOW_NS, 120)
    assert refused.value.code == "malformed"


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
