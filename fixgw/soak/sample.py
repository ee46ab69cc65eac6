"""One look at an installation: memory, handles and threads of each process, sizes of files. Linux (/proc)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from ..chaos.world import World, is_ours
from ..journal.reader import JournalReader
from ..journal.segment import RECORD_BYTES
from . import heap

# measured with 1.16.0: one node of the map number -> place in the file, per message sent, until a reset; the first million
# or so may not show, because they fit into what the start left free on the heap
INDEX_BYTES_PER_MESSAGE = 64
_MB = 1e6


class Process(msgspec.Struct, frozen=True):
    """One process at one moment."""

    pid: int
    rss_mb: float
    handles: int
    threads: int
    # what its heap holds; None: not told
    used_mb: float | None = None


class Sample(msgspec.Struct, frozen=True):
    """One moment. `at_s`: since the start. Sizes in MB (10^6 bytes); `index_mb`: QuickFIX's index in memory, by the number
    of messages; `store_mb`: its files."""

    at_s: float
    processes: dict[str, Process]
    requests: int
    p50_ms: float | None
    p99_ms: float | None
    journal_records: int
    journal_mb: float
    journal_disk_mb: float
    index_messages: int
    index_mb: float
    store_mb: float


def read_process(pid: int, told: Path) -> Process | None:
    """None when it is gone. `told`: the folder in which heap.py tells."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        handles = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    if "VmRSS" not in fields:
        return None  # a zombie
    rss_mb = int(fields["VmRSS"].split()[0]) * 1024 / _MB
    return Process(pid, rss_mb, handles, int(fields["Threads"]), heap.used_mb(told, pid))


def _helpers(parent: int) -> dict[str, int]:
    """Processes that the gateway started: the follower (a snapshotter lives for a moment only)."""
    found: dict[str, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                stat = Path(f"/proc/{entry}/stat").read_text()
                if int(stat.rpartition(")")[2].split()[1]) == parent:
                    command = Path(f"/proc/{entry}/cmdline").read_bytes()
                    if b"follower" in command:
                        found["follower"] = int(entry)
    return found


class JournalSize:
    """Follows the journal: records and their bytes, without counting the room that is only preallocated."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._reader = JournalReader(directory)
        self.records = 0
        self.bytes = 0

    def follow(self) -> None:
        """Up to its present end."""
        for seq, payload in self._reader.read(self.records + 1, None, strict=False):
            self.records = seq
            self.bytes += len(payload) + RECORD_BYTES

    def disk_bytes(self) -> int:
        """What the folder takes, preallocated segments and snapshots too."""
        return folder_bytes(self._directory)


def folder_bytes(folder: Path, suffix: str = "") -> int:
    """Sum of the sizes of the files in a folder; a file that vanishes meanwhile counts nothing."""
    total = 0
    for path in folder.rglob(f"*{suffix}"):
        with contextlib.suppress(OSError):
            if path.is_file():
                total += path.stat().st_size
    return total


def index_messages(store: Path) -> int:
    """Messages in QuickFIX's indexes: entries of the header files ("number,offset,size ")."""
    total = 0
    for path in store.glob("*.header"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            while chunk := file.read(1 << 20):
                total += chunk.count(b" ")
    return total


def look(
    world: World, at_s: float, journal: JournalSize, requests: int, p50: float | None, p99: float | None
) -> Sample:
    """Take a sample. A process that is just being restarted is left out."""
    pids = dict(world.ready()["pids"])
    pids |= _helpers(pids.get("gateway", -1))
    read = {name: read_process(pid, world.directory / "run") for name, pid in pids.items() if is_ours(pid)}
    journal.follow()
    store = world.directory / "data" / "fix"
    messages = index_messages(store)
    return Sample(
        at_s=at_s,
        processes={name: process for name, process in read.items() if process is not None},
        requests=requests,
        p50_ms=p50,
        p99_ms=p99,
        journal_records=journal.records,
        journal_mb=journal.bytes / _MB,
        journal_disk_mb=journal.disk_bytes() / _MB,
        index_messages=messages,
        index_mb=messages * INDEX_BYTES_PER_MESSAGE / _MB,
        store_mb=folder_bytes(store) / _MB,
    )
