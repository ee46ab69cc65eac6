"""fixgw journal tail | verify | export | rebuild, on a journal that nobody runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from journal_home import COUNT, fill_journal, run

from fixgw.journal.archive import _archive
from fixgw.journal.disk import Disk
from fixgw.journal.errors import CorruptJournal
from fixgw.journal.layout import read_layout
from fixgw.journal.store import Journal


@pytest.fixture
def home(tmp_path: Path) -> Path:
    fill_journal(tmp_path)
    return tmp_path


def test_tail(home: Path) -> None:
    shown = run("tail", str(home), "-n", "3")
    assert shown.exit_code == 0, shown.output
    assert [line.split()[0] for line in shown.stdout.splitlines()] == ["28", "29", "30"]
    assert "AdminNote -> AdminActed(t30)" in shown.stdout
    data = [json.loads(line) for line in run("tail", str(home), "-n", "25", "--json").stdout.splitlines()]
    assert [record["seq"] for record in data] == list(range(6, 31))
    assert data[-1]["events"][0] == {
        "type": "AdminActed", "action": "note", "target": "t30", "user": "ann", "reason": "r", "ts_ns": 30,
    }  # fmt: skip
    assert len(run("tail", str(home), "-n", "999").stdout.splitlines()) == COUNT


def test_verify_of_a_good_journal(home: Path) -> None:
    shown = run("verify", str(home))
    assert shown.exit_code == 0 and "30 records, 1 to 30" in shown.stdout
    data = json.loads(run("verify", str(home), "--json").stdout)
    assert data["ok"] and (data["records"], data["first_seq"], data["last_seq"]) == (COUNT, 1, COUNT)
    assert sum(segment["records"] for segment in data["segments"]) == COUNT


def test_verify_names_file_and_offset_of_damage_and_fails(home: Path) -> None:
    folder = home / "data" / "journal"
    used = sorted((p for p in folder.glob("*.seg") if any(p.read_bytes())), key=lambda p: p.read_bytes()[16:24])[1]
    data = bytearray(used.read_bytes())
    data[64 + 30] ^= 4
    used.write_bytes(data)
    shown = run("verify", str(home))
    assert shown.exit_code == 1
    assert f"{used} at byte 64" in shown.stderr
    told = json.loads(run("verify", str(home), "--json").stdout)
    assert (told["ok"], told["file"], told["offset"]) == (False, str(used), 64)
    for command in (("export", str(home)), ("rebuild", str(home))):
        failed = run(*command)
        assert failed.exit_code == 1 and str(used) in failed.stderr


def test_a_damaged_segment_is_put_back_as_the_readme_tells(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = home / "data" / "journal"
    segments = json.loads(run("verify", str(home), "--json").stdout)["segments"]
    hurt, after = segments[1], segments[2]
    backup = tmp_path_factory.mktemp("backup") / "segment"
    file = Path(hurt["file"])
    backup.write_bytes(file.read_bytes())
    # what comes later does not change it
    store = Journal.open(folder, segment_bytes=4096, reserve_bytes=4096)
    store.append(COUNT + 1, b"later")
    store.commit()
    store.close(clean=True)
    data = bytearray(file.read_bytes())
    data[64 + 30] ^= 4
    file.write_bytes(data)
    with pytest.raises(CorruptJournal):
        Journal.open(folder, segment_bytes=4096, reserve_bytes=4096)
    told = json.loads(run("verify", str(home), "--json").stdout)
    named = told["file"]
    assert named == str(file)
    assert f"complete with record {hurt['last_seq']}" in told["notes"][-1]
    assert f"--from {after['first_seq']} reads what stands behind" in told["notes"][-1]
    before = run("export", str(home))
    assert before.exit_code == 1 and len(before.stdout.splitlines()) == hurt["first_seq"] - 1
    behind = run("export", str(home), "--from", str(after["first_seq"]), "--to", str(COUNT))
    assert behind.exit_code == 0 and len(behind.stdout.splitlines()) == COUNT + 1 - after["first_seq"]
    Path(named).write_bytes(backup.read_bytes())
    assert run("verify", str(home)).exit_code == 0
    Journal.open(folder, segment_bytes=4096, reserve_bytes=4096).close(clean=True)


def test_a_damaged_file_of_the_archive_is_replaced_by_the_segment_that_it_was_made_from(home: Path) -> None:
    folder = home / "data" / "journal"
    first = read_layout(folder).live[0]
    backup = first.path.read_bytes()
    archived = _archive(folder, first, read_layout(folder).live[1].first_seq - 1, Disk())
    assert run("verify", str(home)).exit_code == 0
    archived.write_bytes(archived.read_bytes()[:-40])
    told = json.loads(run("verify", str(home), "--json").stdout)
    assert told["file"] == str(archived) and "any backup made since then holds all of it" in told["notes"][-1]
    (folder / "00000099.seg").write_bytes(backup)
    assert run("verify", str(home)).exit_code == 0
    assert len(run("export", str(home)).stdout.splitlines()) == COUNT
    Journal.open(folder, segment_bytes=4096, reserve_bytes=4096).close(clean=True)
    assert run("verify", str(home)).exit_code == 0


def test_verify_says_that_a_backup_of_the_last_segment_lacks_something(home: Path) -> None:
    """Files of room that was prepared in advance have the higher numbers; here there is one in any case."""
    folder = home / "data" / "journal"
    last = read_layout(folder).live[-1].path
    prepared = last.with_name(f"{int(last.stem) + 1:08}.seg")
    prepared.write_bytes(bytes(4096))
    data = bytearray(last.read_bytes())
    data[64 + 30] ^= 4
    last.write_bytes(data)
    told = json.loads(run("verify", str(home), "--json").stdout)
    assert not told["ok"] and f"{last.name} is the last one with records" in told["notes"][-1]


def test_verify_beside_a_running_writer(home: Path) -> None:
    store = Journal.open(home / "data" / "journal", segment_bytes=4096, reserve_bytes=4096)
    try:
        shown = run("verify", str(home))
        assert shown.exit_code == 0 and "written by process" in shown.stdout
    finally:
        store.close()


def test_export(home: Path, tmp_path: Path) -> None:
    shown = run("export", str(home), "--from", "5", "--to", "9")
    assert [json.loads(line)["seq"] for line in shown.stdout.splitlines()] == [5, 6, 7, 8, 9]
    out = tmp_path / "all.jsonl"
    assert run("export", str(home), "--out", str(out)).exit_code == 0
    assert len(out.read_text().splitlines()) == COUNT
    assert run("export", str(home), "--from", "9", "--to", "5").exit_code == 2


def test_records_that_cannot_be_decoded_are_exported_as_hex_and_told(home: Path) -> None:
    store = Journal.open(home / "data" / "journal", segment_bytes=4096, reserve_bytes=4096)
    store.append(COUNT + 1, b"\xc1 no record")
    store.close(clean=True)
    shown = run("export", str(home), "--from", str(COUNT))
    assert shown.exit_code == 1 and "1 records could not be decoded" in shown.stderr
    last = json.loads(shown.stdout.splitlines()[-1])
    assert (last["seq"], last["payload_hex"]) == (COUNT + 1, b"\xc1 no record".hex())


def test_rebuild(home: Path) -> None:
    shown = run("rebuild", str(home), "--json")
    data = json.loads(shown.stdout)
    assert data["last_seq"] == COUNT and Path(data["file"]) == home / "data" / "projection.db"
    assert Path(data["file"]).exists()
    assert run("rebuild", str(home), "--out", str(home / "x.db")).exit_code == 0


def test_a_folder_without_a_journal_is_named(tmp_path: Path) -> None:
    for name in ("tail", "verify", "export", "rebuild"):
        shown = run(name, str(tmp_path))
        assert shown.exit_code == 2 and str(tmp_path / "data" / "journal") in shown.stderr


@pytest.mark.parametrize("name", ["tail", "verify", "export", "rebuild"])
def test_every_command_has_help_with_an_example_and_json(name: str) -> None:
    shown = run(name, "--help")
    assert f"Example: fixgw journal {name}" in shown.output and "--json" in shown.output
