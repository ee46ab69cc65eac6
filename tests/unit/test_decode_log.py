"""The raw log and its reader: what is written can be read back, secrets never can."""

import json
import shutil
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from fixgw.fix.decode import Decoded, decode, decode_command, decode_line
from fixgw.fix.rawlog import RawLog, escape, mask, unescape


def fix(*fields: str, begin: str = "FIX.4.4") -> bytes:
    body = "".join(f"{field}\x01" for field in fields).encode()
    head = f"8={begin}\x019={len(body)}\x01".encode() + body
    return head + b"10=%03d\x01" % (sum(head) & 0xFF)


REPORT = fix("35=8", "34=2", "37=o", "17=e", "150=F", "39=2", "54=1", "139=10", "20001=QTY_MAX")
LOGON = fix("35=A", "34=1", "553=me", "554=hush", "925=hush2", "95=7", "96=hu\x01sh3x", "108=30")


@pytest.mark.parametrize(
    ("raw", "masked"),
    [
        (b"8=FIX\x01554=hush\x0158=x\x01", b"8=FIX\x01554=***\x0158=x\x01"),
        (b"8=FIX\x01554=hush", b"8=FIX\x01554=***"),
        (b"554=hush\x01", b"554=***\x01"),
        (b"8=FIX\x011554=no\x0158=554=no\x01", b"8=FIX\x011554=no\x0158=554=no\x01"),
        (b"8=FIX\x01925=a\x0196=b\x01", b"8=FIX\x01925=***\x0196=***\x01"),
        (b"8=FIX\x0195=3\x0196=a\x01b\x0110=1\x01", b"8=FIX\x0195=3\x0196=***\x0110=1\x01"),
        (b"8=FIX\x0195=1\x0196=abc\x0110=1\x01", b"8=FIX\x0195=1\x0196=***\x0110=1\x01"),
        (b"8=FIX\x0195=999\x0196=abc\x0110=1\x01", b"8=FIX\x0195=999\x0196=***"),
    ],
)
def test_mask(raw: bytes, masked: bytes) -> None:
    assert mask(raw) == masked


@given(st.binary(max_size=60))
def test_escape_is_reversible(raw: bytes) -> None:
    assert unescape(escape(raw)) == raw and b"\n" not in escape(raw)


def test_what_is_logged_can_be_decoded(tmp_path: Path) -> None:
    log = RawLog(tmp_path / "raw")
    strange = fix("35=D", "58=two\nlines\\ and \r more")
    now_ns = time.time_ns()
    for index, (direction, raw) in enumerate((("I", LOGON), ("O", REPORT.decode()), ("I", strange))):
        log.write("OMS44", direction, raw, now_ns + index)  # type: ignore[arg-type]
    log.write("../odd name", "O", REPORT, now_ns)
    assert log.flush()
    log.close()
    path = tmp_path / "raw/OMS44.log"
    assert b"hush" not in path.read_bytes() and b"sh3x" not in path.read_bytes()
    assert path.read_bytes().count(b"\n") == 3 and path.read_bytes().startswith(b"%d I 8=FIX.4.4\x01" % now_ns)
    found = [item for line in path.open("rb") for item in decode_line(line)]
    assert [item.direction for item in found if isinstance(item, Decoded)] == ["I", "O", "I"]
    assert not any(item.flags for item in found if isinstance(item, Decoded))
    assert isinstance(found[2], Decoded) and (58, "Text", "two\nlines\\ and \r more", "") in found[2].fields
    assert (tmp_path / "raw/.._odd_name.log").exists()


def test_rotation_keeps_so_many_files(tmp_path: Path) -> None:
    for _ in range(2):  # the second run goes on where the first stopped
        log = RawLog(tmp_path, max_bytes=1000, files=3)
        for index in range(30):
            log.write("S", "O", REPORT, index)
        log.close()
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"S.log", "S.log.1", "S.log.2"} and max(sizes.values()) <= 1000
    assert (tmp_path / "S.log").read_bytes().splitlines()[-1].startswith(b"29 O ")


def test_a_full_queue_never_blocks_and_is_told(tmp_path: Path) -> None:
    log = RawLog(tmp_path, queue_messages=10)
    started = time.monotonic()
    for index in range(2000):
        log.write("S", "I", REPORT, index)
    assert time.monotonic() - started < 5 and log.lost > 0
    log.close()
    text = (tmp_path / "S.log").read_bytes()
    told = [int(line.split()[2]) for line in text.splitlines() if line.split()[1] == b"!"]
    assert sum(told) == log.lost and text.count(b" I 8=") == 2000 - log.lost
    log.write("S", "I", REPORT, 1)  # after close: lost and counted, not raised
    assert log.lost == sum(told) + 1


def test_a_folder_that_cannot_be_made_or_is_deleted_is_tried_again(tmp_path: Path) -> None:
    told: list[str] = []
    folder = tmp_path / "log" / "fix"
    folder.parent.write_text("in the way")
    log = RawLog(folder, on_failing=told.append)
    for number in range(3):
        log.write("S", "I", REPORT, number)
        log.write("T", "I", REPORT, number)
        assert log.flush()
    assert log.lost == 6 and len(told) == 1 and str(folder) in told[0]
    folder.parent.unlink()
    log.write("S", "I", REPORT, 7)
    log.write("T", "I", REPORT, 7)
    assert log.flush() and b"3 messages are missing" in (folder / "S.log").read_bytes()
    shutil.rmtree(folder.parent)
    log.write("S", "I", REPORT, 8)
    assert log.flush() and (folder / "S.log").read_bytes().startswith(b"8 I ")
    folder.parent.rename(tmp_path / "away")
    log.close()
    assert len(told) == 1


def test_a_disk_that_refuses_is_counted_and_survived(tmp_path: Path) -> None:
    log = RawLog(tmp_path)
    (tmp_path / "S.log").mkdir()
    log.write("S", "I", REPORT, 1)
    assert log.flush() and log.write_errors == 1 and log.lost == 1
    (tmp_path / "S.log").rmdir()
    log.write("S", "I", REPORT, 2)
    assert log.flush()
    log.close()
    assert b"messages are missing" in (tmp_path / "S.log").read_bytes()
    with pytest.raises(ValueError, match="files: 0"):
        RawLog(tmp_path, files=0)


BARE = REPORT.decode()


@pytest.mark.parametrize(
    ("line", "when"),
    [
        (BARE, ""),
        (BARE.replace("\x01", "|"), ""),
        (BARE.replace("\x01", "^A"), ""),
        (f"20240101-12:00:00.123456789 : {BARE}", "20240101-12:00:00.123456789"),
        (f"1704110400123456789 O {BARE}", "2024-01-01T12:00:00.123456789Z"),
    ],
)
def test_forms(line: str, when: str) -> None:
    items = list(decode_line(line.encode()))
    assert len(items) == 1 and isinstance(items[0], Decoded)
    item = items[0]
    assert (item.when, item.message, item.flags) == (when, "ExecutionReport (8)", [])
    assert (150, "ExecType", "F", "TRADE") in item.fields and (20001, "ReasonCode", "QTY_MAX", "") in item.fields


def test_several_on_a_line_and_text_before() -> None:
    items = list(decode_line(b"noise " + REPORT + LOGON))
    assert items[0] == "noise" and [item.message for item in items if isinstance(item, Decoded)] == [
        "ExecutionReport (8)",
        "Logon (A)",
    ]
    assert list(decode_line(b"just text\x01 554=x")) == ["just text| 554=x"]
    assert list(decode_line(b"\n")) == []
    assert list(decode_line(b"1704110400123456789 ! 3 messages are missing here")) == [
        "2024-01-01T12:00:00.123456789Z 3 messages are missing here"
    ]


@pytest.mark.parametrize(
    ("raw", "flag"),
    [
        (REPORT.replace(b"37=o", b"37=p"), "CheckSum(10) is"),
        (REPORT.replace(b"37=o", b"37=oo"), "BodyLength(9) is"),
        (REPORT[:40], "CheckSum(10) is missing"),
        (b"8=FIX.4.4\x0135=0\x01", "BodyLength(9) is missing"),
        (fix("35=8", "39=z"), "OrdStatus(39): 'z' is none of its values"),
        (fix("35=8", "31999=1"), "tag 31999 is not in the dictionary"),
        (fix("35=8", "oops"), "not TAG=VALUE: oops"),
        (fix("35=8", begin="FIX.4.9"), "no dictionary for 'FIX.4.9'"),
    ],
)
def test_flags(raw: bytes, flag: str) -> None:
    assert any(text.startswith(flag) for text in decode(raw).flags), decode(raw).flags


@given(st.binary(max_size=80))
def test_nothing_breaks_it(noise: bytes) -> None:
    for line in (noise, b"8=FIX.4.4\x019=" + noise, REPORT + noise, b"1704110400123456789 i " + noise):
        list(decode_line(line))


def test_command(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(LOGON + b"\n" + fix("35=8", "1128=9", "150=F", "18=6 G", begin="FIXT.1.1") + b"\n")
    plain = CliRunner().invoke(decode_command, [str(path)])
    assert plain.exit_code == 0 and "ExecInst" in plain.output and "PARTICIPATE_DO_NOT_INITIATE ALL_OR_NONE" in plain.output
    assert "hush" not in plain.output and "sh3x" not in plain.output
    result = CliRunner().invoke(decode_command, ["--json"], input=path.read_bytes())
    lines = [json.loads(line) for line in result.output.splitlines()]
    assert [line["message"] for line in lines] == ["Logon (A)", "ExecutionReport (8)"]
    assert {"tag": 554, "name": "Password", "value": "***", "meaning": ""} in lines[0]["fields"]
    assert lines[1]["flags"] == []
    old = CliRunner().invoke(decode_command, ["--spec", "FIX.4.2", "--json", str(path)])
    assert "ExecType(150): 'F' is none of its values" in json.loads(old.output.splitlines()[1])["flags"]
    empty = CliRunner().invoke(decode_command, [], input="nothing here\n")
    assert empty.exit_code == 1 and "no FIX message found" in empty.output
