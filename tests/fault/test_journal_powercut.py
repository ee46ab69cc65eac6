"""sync = "os" and a power cut: what the kernel had not written is gone, and the journal starts from what is left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fixgw.journal import store as store_module
from fixgw.journal.disk import Disk
from fixgw.journal.snapshot import make_snapshot, snapshot_files
from fixgw.journal.store import Journal

SEGMENT, RESERVE = 16_384, 8192


class Machine(Disk):
    """Remembers what each file held when it was last synced; power_cut gives just that back."""

    def __init__(self) -> None:
        self.synced: dict[Path, bytes] = {}

    def fdatasync(self, fd: int) -> None:
        super().fdatasync(fd)
        self._note(fd)

    def fsync(self, fd: int) -> None:
        super().fsync(fd)
        self._note(fd)

    def _note(self, fd: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        if path.is_file():
            # it will be renamed
            self.synced[path.with_name(path.name.removesuffix(".tmp"))] = path.read_bytes()

    def power_cut(self, directory: Path) -> None:
        for path in directory.rglob("*"):
            if path.is_file() and path in self.synced:
                path.write_bytes(self.synced[path])


def snapshot(directory: Path, upto_seq: int, disk: Disk) -> Path | None:
    """What Housekeeping asks of the snapshotter, with a state that is the number of records."""
    return make_snapshot(
        directory, 1, load_state=lambda payload: [int(payload or b"0")], apply=lambda state, _: state.append(state.pop() + 1),
        dump_state=lambda state: b"%d" % state[0], hash_state=lambda state: b"%d" % state[0], upto_seq=upto_seq, disk=disk,
    )  # fmt: skip


@pytest.mark.parametrize("records", [40, 200])
def test_a_power_cut_after_a_snapshot_of_unsynced_records(
    tmp_path: Path, records: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start knows from the snapshot that its records were durable: they must be."""
    disk = Machine()
    journal = Journal.open(tmp_path, sync="os", segment_bytes=SEGMENT, reserve_bytes=RESERVE, disk=disk)

    def put(count: int) -> None:
        for _ in range(count):
            journal.append(journal.last_seq + 1, b"r" * 200)
            journal.commit()

    put(records)
    made = snapshot(tmp_path, journal.durable_seq, disk)
    assert made is not None
    put(5)
    again = snapshot(tmp_path, journal.durable_seq, disk)
    assert again is not None
    put(5)
    journal.close()  # not a clean stop: nothing is synced
    disk.power_cut(tmp_path)
    monkeypatch.setattr(store_module, "boot_id", lambda: "another boot")
    found = Journal.open(tmp_path, sync="os", segment_bytes=SEGMENT, reserve_bytes=RESERVE)
    try:
        assert found.last_seq >= records + 5 == snapshot_files(tmp_path)[0][0]
        # what HALTED is decided by
        assert found.boot_id_changed and not found.was_clean and found.last_sync == "os"
        assert [seq for seq, _ in found.read()] == list(range(1, found.last_seq + 1))
    finally:
        found.close()


def test_the_power_cut_of_these_tests_loses_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Machine()
    journal = Journal.open(tmp_path, sync="os", segment_bytes=SEGMENT, reserve_bytes=RESERVE, disk=disk)
    for seq in range(1, 21):
        journal.append(seq, b"r" * 200)
        journal.commit()
    journal.close()
    disk.power_cut(tmp_path)
    monkeypatch.setattr(store_module, "boot_id", lambda: "another boot")
    found = Journal.open(tmp_path, sync="os", segment_bytes=SEGMENT, reserve_bytes=RESERVE)
    assert found.last_seq < 20 and found.boot_id_changed
    found.close()
