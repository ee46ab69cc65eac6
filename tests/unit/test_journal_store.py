"""The writer's interface: order, limits, threads, epochs, following, and one writer only."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from fixgw.journal import store
from fixgw.journal.base import JournalStore
from fixgw.journal.errors import CorruptJournal, JournalBusy, JournalError, JournalGap, JournalLocked, RecordTooBig
from fixgw.journal.reader import JournalReader
from fixgw.journal.store import Journal

SMALL = 8192


def opened(directory: Path, **options: object) -> Journal:
    return Journal.open(directory, **{"segment_bytes": SMALL, "reserve_bytes": SMALL, **options})  # type: ignore[arg-type]


def test_sequences_are_gapless_and_payloads_come_back(tmp_path: Path) -> None:
    journal: JournalStore = opened(tmp_path)
    with pytest.raises(ValueError, match="record 2, expected 1"):
        journal.append(2, b"x")
    for seq in range(1, 101):
        journal.append(seq, b"payload %d" % seq * (seq % 40))
        if seq % 7 == 0:
            assert journal.commit() == seq
    assert (journal.last_seq, journal.durable_seq) == (100, 98)
    assert [seq for seq, _ in journal.read(90)] == list(range(90, 99))
    assert journal.commit() == journal.commit() == 100
    assert list(journal.read(100)) == [(100, b"payload 100" * 20)]
    assert list(journal.read(101)) == []
    journal.close(clean=True)
    with pytest.raises(JournalError, match="closed"):
        journal.append(101, b"x")


def test_identity_survives_and_the_epoch_rises_at_every_open(tmp_path: Path) -> None:
    seen = []
    for sync in ("commit", "os", "commit"):
        journal = opened(tmp_path, sync=sync)
        seen.append((journal.epoch, journal.install_id, journal.was_clean, journal.boot_id_changed))
        journal.close(clean=sync != "os")
    (_, install, _, _) = seen[0]
    assert re.fullmatch("[A-Z0-9]{5}", install)
    assert seen == [(1, install, True, False), (2, install, True, False), (3, install, False, False)]


def test_a_lost_epoch_or_install_file_brings_no_old_id_back(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    install = journal.install_id
    journal.append(1, b"x")
    journal.commit()
    journal.close(clean=True)
    (tmp_path / "epoch").unlink()
    (tmp_path / "install").unlink()
    again = opened(tmp_path)
    assert (again.epoch, again.install_id, list(again.read())) == (2, install, [(1, b"x")])
    again.close()


@pytest.mark.parametrize(("name", "text"), [("epoch", "seven"), ("install", "abc"), ("run", "{")])
def test_a_damaged_small_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    opened(tmp_path).close(clean=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(CorruptJournal, match=f"{name} at byte 0"):
        opened(tmp_path)


def test_the_same_process_cannot_open_it_twice(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    with pytest.raises(JournalLocked, match="in use by process"):
        opened(tmp_path)
    journal.close()
    opened(tmp_path).close()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"sync": "never"}, "sync 'never'"), ({"segment_bytes": 10}, "segment_bytes 10"), ({"reserve_bytes": 1}, "reserve_bytes 1")],
)
def test_bad_options_are_named(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, **options)


def test_a_record_too_big_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    journal = opened(tmp_path, segment_bytes=4 << 20, reserve_bytes=1 << 20)
    with pytest.raises(RecordTooBig, match="1048576 bytes"):
        journal.append(1, bytes(1048576))
    journal.append(1, bytes(1040000))
    assert journal.commit() == 1
    assert [len(payload) for _, payload in journal.read()] == [1040000]
    journal.close()
    small = opened(tmp_path / "small")
    with pytest.raises(RecordTooBig):
        small.append(1, bytes(SMALL))
    small.close()


@pytest.mark.parametrize(("then", "now"), [("os", "commit"), ("commit", "os"), ("os", "os")])
def test_how_the_last_run_synced_counts_and_not_how_this_one_does(tmp_path: Path, then: str, now: str) -> None:
    """A start after a power cut is HALTED where that run could lose records, whatever the configuration says by now."""
    journal = opened(tmp_path, sync=then)
    assert journal.last_sync == then, "the first run: its own"
    journal.append(1, b"x")
    journal.commit()
    journal.close()
    for _ in range(2):
        journal = opened(tmp_path, sync=now)
        assert journal.last_sync == then
        then = now
        journal.close()


@pytest.mark.parametrize(("most", "value"), [("_MAX_BUFFER_RECORDS", 3), ("_MAX_BUFFER_BYTES", 1000)])
def test_the_group_buffer_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: str, value: int) -> None:
    monkeypatch.setattr(store, most, value)
    journal = opened(tmp_path)
    for seq in (1, 2, 3):
        journal.append(seq, bytes(250))
    with pytest.raises(JournalBusy, match="3 records"):
        journal.append(4, bytes(250))
    assert journal.commit() == 3
    journal.append(4, bytes(250))
    assert journal.commit() == 4
    journal.close()


@pytest.mark.parametrize("sync", ["commit", "os"])
def test_a_group_larger_than_a_segment_is_split_over_several(tmp_path: Path, sync: str) -> None:
    journal = opened(tmp_path, sync=sync)
    for seq in range(1, 101):
        journal.append(seq, bytes([seq]) * 700)
    assert journal.commit() == 100
    journal.close()
    again = opened(tmp_path)
    assert [(seq, payload[:1]) for seq, payload in again.read()] == [(seq, bytes([seq])) for seq in range(1, 101)]
    again.close()


def test_threads_that_append_and_commit_keep_the_order(tmp_path: Path) -> None:
    journal = opened(tmp_path, segment_bytes=1 << 20)
    engine, errors, count, threads = threading.Lock(), [], 400, 4
    told = []

    def work(number: int) -> None:
        try:
            for _ in range(count):
                with engine:
                    seq = journal.last_seq + 1
                    journal.append(seq, b"%d %d" % (seq, number))
                durable = journal.commit()
                assert durable >= seq
                told.append(seq)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not errors
    assert sorted(told) == list(range(1, count * threads + 1))
    assert [(seq, int(payload.split()[0])) for seq, payload in journal.read()] == [(s, s) for s in range(1, count * threads + 1)]
    journal.close()


def test_a_follower_sees_every_record_once_while_the_writer_runs(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    seen: list[int] = []
    total = 600

    def follow() -> None:
        reader, last = JournalReader(tmp_path), 0
        while last < total:
            upto = journal.subscribe(last, 10.0)
            if upto == last:
                return
            seen.extend(seq for seq, _ in reader.read(last + 1, upto, strict=False))
            last = seen[-1]

    thread = threading.Thread(target=follow)
    thread.start()
    for seq in range(1, total + 1):
        journal.append(seq, b"x" * (seq % 300))
        journal.commit()
    thread.join(30)
    assert seen == list(range(1, total + 1))
    journal.close()


@pytest.mark.parametrize("strict", [False, True])
def test_a_reader_that_knows_nothing_of_the_writer_keeps_up_over_many_segments(tmp_path: Path, strict: bool) -> None:
    journal = opened(tmp_path, sync="os")
    seen: list[int] = []
    errors: list[BaseException] = []
    total = 3000
    done = threading.Event()

    def follow() -> None:
        reader = JournalReader(tmp_path)
        try:
            while not seen or seen[-1] < total:
                ended = done.is_set()
                seen.extend(seq for seq, _ in reader.read(len(seen) + 1, strict=strict))
                if ended:
                    return
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=follow)
    thread.start()
    for seq in range(1, total + 1):
        journal.append(seq, b"x" * (seq % 300))
        if seq % 3 == 0:
            journal.commit()
    done.set()
    thread.join(30)
    assert not errors
    assert seen == list(range(1, total + 1))
    journal.close()


def test_subscribe_returns_after_its_timeout_and_at_close(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    assert journal.subscribe(0, 0.01) == 0
    thread = threading.Thread(target=journal.subscribe, args=(0, 30.0))
    thread.start()
    journal.close()
    thread.join(10)
    assert not thread.is_alive()


def test_records_below_the_first_kept_one_are_a_gap(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for seq in range(1, 41):
        journal.append(seq, b"x" * 900)
        journal.commit()
    journal.close()
    first = min(tmp_path.glob("*.seg"), key=lambda path: (not any(path.read_bytes()), path.read_bytes()[16:24]))
    first.unlink()
    again = opened(tmp_path)
    with pytest.raises(JournalGap, match="record 1 is not kept"):
        list(again.read(1))
    assert [seq for seq, _ in again.read(30)] == list(range(30, 41))
    again.close()


def test_leftovers_of_a_crash_while_preallocating_are_removed(tmp_path: Path) -> None:
    opened(tmp_path).close()
    (tmp_path / "00000042.seg.tmp").write_bytes(bytes(100))
    (tmp_path / "00000008.seg").write_bytes(bytes(100))
    journal = opened(tmp_path)
    journal.append(1, b"x")
    assert journal.commit() == 1
    assert not (tmp_path / "00000042.seg.tmp").exists()
    assert {path.stat().st_size for path in tmp_path.glob("*.seg")} == {SMALL}
    journal.close()


def test_check_from_seq_leaves_older_sealed_segments_unread(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for seq in range(1, 41):
        journal.append(seq, b"x" * 900)
        journal.commit()
    journal.close()
    first = min((p for p in tmp_path.glob("*.seg") if any(p.read_bytes())), key=lambda path: path.read_bytes()[16:24])
    data = bytearray(first.read_bytes())
    data[200] ^= 1
    first.write_bytes(data)
    with pytest.raises(CorruptJournal):
        opened(tmp_path)
    again = opened(tmp_path, check_from_seq=30)
    assert [seq for seq, _ in again.read(30)] == list(range(30, 41))
    with pytest.raises(CorruptJournal, match="at byte 64"):
        list(again.read(1))
    again.close()
