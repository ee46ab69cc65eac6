"""Cut anywhere, flip any bit, lose any sector: only whole records come back, and durable ones are never dropped unseen."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixgw.journal.disk import Disk
from fixgw.journal.errors import CorruptJournal
from fixgw.journal.identity import RunMark, boot_id, read_run, write_run
from fixgw.journal.segment import HEADER_BYTES, RECORD_BYTES, encode_record, end_of, make_salt, scan
from fixgw.journal.store import Journal

SIZE = 8192
Groups = list[list[bytes]]


def build(directory: Path, groups: Groups, size: int = SIZE) -> list[bytes]:
    """A journal after an unclean stop, spares removed; returns all payloads."""
    journal = Journal.open(directory, segment_bytes=size, reserve_bytes=size)
    for group in groups:
        for payload in group:
            journal.append(journal.last_seq + 1, payload)
        journal.commit()
    journal.close()
    for path in directory.glob("*.seg"):
        if not any(path.read_bytes()):
            path.unlink()
    return [payload for group in groups for payload in group]


class Quick(Disk):
    """Without syncs: these tests damage the files themselves."""

    def fsync(self, fd: int) -> None:
        pass

    def fdatasync(self, fd: int) -> None:
        pass

    def sync_dir(self, path: Path) -> None:
        pass


def reopen(directory: Path, size: int = SIZE) -> list[bytes]:
    journal = Journal.open(directory, segment_bytes=size, reserve_bytes=size, disk=Quick())
    try:
        return [payload for _, payload in journal.read()]
    finally:
        journal.close()


def fresh(directory: Path, name: str, data: bytes) -> Path:
    """The same journal again with other bytes in its segment: what a start changes is only that file (and spares)."""
    (directory / name).write_bytes(data)
    return directory


def ends(payloads: list[bytes]) -> list[int]:
    offset, found = HEADER_BYTES, []
    for payload in payloads:
        offset += RECORD_BYTES + len(payload)
        found.append(offset)
    return found


@pytest.mark.parametrize("zeros", [False, True], ids=["truncated", "zeros-behind"])
def test_cut_at_every_byte_everything_before_is_recovered(tmp_path: Path, zeros: bool) -> None:
    source = tmp_path / "source"
    payloads = build(source, [[b"one"], [b"two" * 9, b"three"], [b"four\0\0\0"], [b"", b"six"]])
    (used,) = source.glob("*.seg")
    data, limits = used.read_bytes(), ends(payloads)
    for cut in range(limits[-1] + 1):
        damaged = data[:cut] + bytes(len(data) - cut if zeros else 0)
        copy = fresh(source, used.name, damaged)
        whole = sum(limit <= len(damaged.rstrip(b"\0")) or damaged[:limit] == data[:limit] for limit in limits)
        assert reopen(copy) == payloads[:whole], cut
        assert reopen(copy) == payloads[:whole], cut


def test_after_a_cut_the_journal_goes_on_and_keeps_the_cut_bytes(tmp_path: Path) -> None:
    build(tmp_path, [[b"one"], [b"two"]])
    (used,) = tmp_path.glob("*.seg")
    data = bytearray(used.read_bytes())
    start = ends([b"one"])[0]
    data[start + 25 : start + 27] = b"\0\0"
    used.write_bytes(data)
    journal = Journal.open(tmp_path, segment_bytes=SIZE, reserve_bytes=SIZE)
    (cut,) = journal.cuts
    assert (cut.offset, cut.after_seq) == (start, 1) and cut.saved is not None
    assert cut.saved.read_bytes() == bytes(data[start : start + 25])
    journal.append(2, b"other two")
    journal.commit()
    assert [payload for _, payload in journal.read()] == [b"one", b"other two"]
    journal.close()
    assert reopen(tmp_path) == [b"one", b"other two"]


def test_no_flipped_bit_is_ever_accepted(tmp_path: Path) -> None:
    """Every bit of a small journal: the start refuses, or only the record at the very end is cut."""
    source = tmp_path / "source"
    payloads = build(source, [[b"one"], [b"two"], [b"three", b"four"]])
    (used,) = source.glob("*.seg")
    data, limits = used.read_bytes(), ends(payloads)
    for bit in range(limits[-1] * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        copy = fresh(source, used.name, bytes(damaged))
        if bit // 8 < limits[-2]:
            with pytest.raises(CorruptJournal) as caught:
                reopen(copy)
            assert caught.value.path.name == used.name
            assert caught.value.offset <= bit // 8
            assert (copy / used.name).read_bytes() == damaged, "a refused start must change nothing"
        else:
            assert reopen(copy) == payloads[:-1], bit


def test_a_flip_in_a_sealed_segment_is_refused(tmp_path: Path) -> None:
    build(tmp_path, [[b"x" * 900] for _ in range(20)], size=4096)
    first = min(tmp_path.glob("*.seg"), key=lambda path: path.read_bytes()[16:24])
    data = bytearray(first.read_bytes())
    last_record = HEADER_BYTES + 3 * (RECORD_BYTES + 900)
    data[last_record + 100] ^= 1
    first.write_bytes(data)
    with pytest.raises(CorruptJournal) as caught:
        reopen(tmp_path, 4096)
    assert (caught.value.path.name, caught.value.offset) == (first.name, last_record)


def test_a_missing_segment_is_refused(tmp_path: Path) -> None:
    build(tmp_path, [[b"x" * 900] for _ in range(20)], size=4096)
    by_first = sorted(tmp_path.glob("*.seg"), key=lambda path: path.read_bytes()[16:24])
    by_first[1].unlink()
    with pytest.raises(CorruptJournal, match="next segment begins"):
        reopen(tmp_path, 4096)


def test_sectors_lost_from_the_last_group_are_a_torn_write_but_not_from_an_earlier_one(tmp_path: Path) -> None:
    source = tmp_path / "source"
    first, second = [b"a" * 700] * 4, [b"b" * 700] * 4
    payloads = build(source, [first, second])
    (used,) = source.glob("*.seg")
    data, limits = used.read_bytes(), ends(payloads)
    for sector in range(limits[-1] // 512):
        start, end = sector * 512, (sector + 1) * 512
        keep = max(0, limits[3] - start) if limits[3] < end else 0  # bytes that an earlier sync had made durable
        lost = bytearray(data)
        lost[start + keep : end] = bytes(512 - keep)
        copy = fresh(source, used.name, bytes(lost))
        if start + keep >= limits[3]:
            whole = sum(limit <= start + keep for limit in limits)
            assert reopen(copy) == payloads[:whole]
        else:
            with pytest.raises(CorruptJournal):
                reopen(copy)


def test_what_was_cut_never_comes_back(tmp_path: Path) -> None:
    """Valid records behind the hole of a torn group must not stand behind what is written next."""
    first, second = [b"a" * 700], [b"b" * 700] * 4
    build(tmp_path, [first, second])
    (used,) = tmp_path.glob("*.seg")
    data = bytearray(used.read_bytes())
    data[1024:1536] = bytes(512)
    used.write_bytes(data)
    journal = Journal.open(tmp_path, segment_bytes=SIZE, reserve_bytes=SIZE)
    assert journal.last_seq == 1
    journal.append(2, b"new")
    journal.commit()
    journal.close()
    assert reopen(tmp_path) == [*first, b"new"]
    assert used.read_bytes().count(b"b" * 100) == 0


def test_unsynced_mode_after_a_reboot_may_have_holes_anywhere_in_the_last_segments(tmp_path: Path) -> None:
    payloads = build(tmp_path, [[b"x" * 900] for _ in range(3)])
    (used,) = tmp_path.glob("*.seg")
    data = bytearray(used.read_bytes())
    data[1024:1536] = bytes(512)
    used.write_bytes(data)
    with pytest.raises(CorruptJournal):
        reopen(tmp_path)
    mark = RunMark(state="running", boot_id="another boot", sync="os", epoch=1, pid=1, time_ns=1)
    write_run(tmp_path, Disk(), mark)
    journal = Journal.open(tmp_path, segment_bytes=SIZE, reserve_bytes=SIZE)
    assert journal.boot_id_changed and not journal.was_clean
    assert [payload for _, payload in journal.read()] == payloads[:1]
    journal.close()
    again = read_run(tmp_path)
    assert again is not None and again.boot_id == boot_id()


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    groups=st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=5), min_size=1, max_size=8),
    data=st.data(),
)
def test_scan_never_yields_what_was_not_written(groups: Groups, data: st.DataObject) -> None:
    salt, seq, raw, payloads = make_salt("ABCDE"), 0, b"", []
    for group in groups:
        for index, payload in enumerate(group):
            seq += 1
            raw += encode_record(salt, seq, index, payload)
            payloads.append(payload)
    damaged = bytearray(raw + bytes(600))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    found = list(scan(bytes(damaged), 0, 1, salt))
    assert [payload for _, payload, _ in found] == payloads[: len(found)]
    offset = found[-1][2] if found else 0
    end = end_of(bytes(damaged), offset, len(found) + 1, salt)
    if bytes(damaged[: len(raw)]) == raw:
        assert end.kind == "clean" and len(found) == len(payloads)
    elif end.kind == "clean":
        assert not any(damaged[offset:])
    # cut or refused: in no case is anything accepted behind the damage
    first_change = next((i for i in range(len(raw)) if damaged[i] != raw[i]), len(raw))
    assert offset <= first_change or first_change == len(raw)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(groups=st.lists(st.lists(st.binary(max_size=1500), min_size=1, max_size=9), max_size=12))
def test_whatever_is_appended_is_read_back(tmp_path_factory: pytest.TempPathFactory, groups: Groups) -> None:
    directory = tmp_path_factory.mktemp("journal")
    payloads = build(directory, groups, size=4096)
    assert reopen(directory, 4096) == payloads
