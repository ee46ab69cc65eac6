"""Damage is told with file and byte by every journal command, and nothing good is replaced by what is left."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from journal_home import COUNT, fill_journal, run

from fixgw.core import commands as cmd
from fixgw.core.codec import Record, encode_record
from fixgw.journal.errors import CorruptJournal
from fixgw.journal.layout import read_layout
from fixgw.journal.reader import JournalReader
from fixgw.journal.segment import HEADER_BYTES
from fixgw.journal.store import Journal


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """30 records in several segments, a clean stop, and their projection."""
    fill_journal(tmp_path)
    assert run("rebuild", str(tmp_path)).exit_code == 0
    return tmp_path


def projected(home: Path) -> int:
    with sqlite3.connect(home / "data" / "projection.db") as connection:
        return int(connection.execute("SELECT count(*) FROM admin_actions").fetchone()[0])


def every_command(home: Path) -> list[tuple[str, Result]]:
    out = str(home / "out.jsonl")
    wanted = [["verify"], ["tail", "-n", "1"], ["export", "--out", out], ["rebuild"]]
    return [(words[0], run(words[0], str(home), *words[1:])) for words in wanted]


def segments(home: Path) -> list[Path]:
    return [segment.path for segment in read_layout(home / "data" / "journal").live]


def change(path: Path, edit: Callable[[bytearray], None]) -> None:
    data = bytearray(path.read_bytes())
    edit(data)
    path.write_bytes(data)


def flip(data: bytearray, at: int = 5) -> None:
    data[at] ^= 1


@pytest.mark.parametrize("number", [0, 1, -1])
def test_a_damaged_header_is_told_by_every_command(home: Path, number: int) -> None:
    path = segments(home)[number]
    change(path, flip)
    for name, shown in every_command(home):
        assert shown.exit_code == 1, name
        assert f"{path} at byte 0" in shown.stderr, (name, shown.stderr)
    assert projected(home) == COUNT


def test_a_header_that_was_zeroed_is_told_by_every_command(home: Path) -> None:
    path = segments(home)[-1]
    change(path, lambda data: data.__setitem__(slice(0, HEADER_BYTES), bytes(HEADER_BYTES)))
    for name, shown in every_command(home):
        assert shown.exit_code == 1 and "damaged" in shown.stderr.lower(), name
    assert projected(home) == COUNT


def test_the_only_segment_without_its_header_is_no_empty_journal(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "journal"
    store = Journal.open(folder, segment_bytes=1 << 16, reserve_bytes=1 << 16)
    store.append(1, b"\xc1")
    store.commit()
    store.close()  # unclean: no mark knows how many records there were
    path = segments(tmp_path)[0]
    change(path, flip)
    for name, shown in every_command(tmp_path):
        assert shown.exit_code == 1 and f"{path} at byte 0" in shown.stderr, name


@pytest.mark.parametrize("number", [0, -1])
def test_the_segment_that_a_clean_stop_knows_of_is_missing(home: Path, number: int) -> None:
    segments(home)[number].unlink()
    told = every_command(home)[1:] if number == 0 else every_command(home)  # verify notes that the oldest are not here
    for name, shown in told:
        if (number, name) != (0, "tail"):  # which asks for the newest only
            assert shown.exit_code == 1, name
    assert projected(home) == COUNT


def test_a_damaged_record_in_the_middle_is_told_at_its_own_place(tmp_path: Path) -> None:
    store = Journal.open(tmp_path / "data" / "journal", segment_bytes=1 << 16, reserve_bytes=1 << 16)
    for seq in range(1, 21):
        note = cmd.AdminNote(ts_ns=seq, action="x", target=f"t{seq}", user="ann", reason="r")
        store.append(seq, encode_record(Record(seq=seq, ts_ns=seq, part="gw", command=note, events=())))
        store.commit()
    store.close(clean=True)
    path = segments(tmp_path)[0]
    change(path, lambda data: flip(data, data.index(b"t10")))
    told = {shown.stderr.strip().split("DAMAGED: ")[-1].split("damaged: ")[-1] for _, shown in every_command(tmp_path)}
    assert len(told) == 1 and str(path) in next(iter(told)), told
    tail = run("tail", str(tmp_path), "-n", "2")
    assert tail.exit_code == 1
    assert [line.split()[0] for line in tail.stdout.splitlines()] == ["8", "9"]


def test_spares_and_an_unfinished_first_write_are_no_damage(home: Path) -> None:
    spare = home / "data" / "journal" / "00000099.seg"
    spare.write_bytes(bytes(4096))
    for name, shown in every_command(home):
        assert shown.exit_code == 0, (name, shown.stderr)
    change(spare, lambda data: data.__setitem__(slice(0, 20), b"\x01" * 20))  # a part of a header, nothing behind it
    for name, shown in every_command(home):
        assert shown.exit_code == 0, (name, shown.stderr)


def test_beside_a_running_writer_a_reader_tells_of_no_damage(home: Path) -> None:
    folder = home / "data" / "journal"
    store = Journal.open(folder, segment_bytes=4096, reserve_bytes=4096)
    try:
        for seq in range(COUNT + 1, COUNT + 60):
            store.append(seq, b"p" * 400)
            store.commit()
            assert sum(1 for _ in JournalReader(folder).read(COUNT)) == seq - COUNT + 1
        path = segments(home)[-1]
        change(path, flip)
        with pytest.raises(CorruptJournal, match="header"):
            list(JournalReader(folder).read(COUNT))
    finally:
        store.close()
