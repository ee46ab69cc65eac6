"""kill -9 of a writer in the middle of its work: what it acknowledged is there, and the next writer goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fixgw.journal.errors import JournalLocked
from fixgw.journal.store import Journal

WRITER = """
import sys
from fixgw.journal.store import Journal
journal = Journal.open(sys.argv[1], sync=sys.argv[2], segment_bytes=16384, reserve_bytes=4096)
seq = journal.last_seq
while True:
    for _ in range(7):
        seq += 1
        journal.append(seq, b"%d:" % seq + b"x" * (seq * 37 % 600))
    sys.stdout.write("%d\\n" % journal.commit())
    sys.stdout.flush()
"""
ROUNDS = 4


@pytest.mark.parametrize("sync", ["commit", "os"])
def test_nothing_acknowledged_is_lost_by_kill_nine(tmp_path: Path, sync: str) -> None:
    chance, acknowledged, epoch = random.Random(7), 0, 0
    for _ in range(ROUNDS):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), sync], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(chance.randrange(5, 60)):
                acknowledged = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
            for line in writer.stdout.read().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    acknowledged = int(line)
        journal = Journal.open(tmp_path, sync="commit", segment_bytes=16384, reserve_bytes=4096)
        records = list(journal.read())
        assert [seq for seq, _ in records] == list(range(1, len(records) + 1))
        assert len(records) >= acknowledged
        assert all(payload == b"%d:" % seq + b"x" * (seq * 37 % 600) for seq, payload in records)
        assert not journal.was_clean and not journal.boot_id_changed
        assert journal.epoch > epoch
        epoch = journal.epoch
        journal.close()


def test_a_second_writer_is_refused_and_told_the_pid(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), "os"], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(JournalLocked, match=f"process {writer.pid}") as caught:
            Journal.open(tmp_path)
        assert caught.value.pid == writer.pid
        writer.kill()
        writer.stdout.read()
    Journal.open(tmp_path, segment_bytes=16384, reserve_bytes=4096).close()
