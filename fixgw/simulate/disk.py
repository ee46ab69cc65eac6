"""The journal's disk: real record bytes, a synced part, and a rest that a power cut loses, tears or punches holes into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..journal.segment import HEADER_BYTES, SECTOR, Header, encode_header, encode_record, end_of, make_salt, scan
from .scheduler import START_NS, Sim, Violation

_ZEROS: Final = bytes(2 * SECTOR)


class SimDisk:
    """One segment file and the epoch file. `mode`: "commit" (durable = synced) or "os" (durable = written)."""

    def __init__(self, sim: Sim, install: str, mode: str) -> None:
        self.mode = mode
        self.epoch = 0
        self.written_seq = 0
        self.synced_seq = 0
        self.full = False
        self._sim = sim
        self._salt = make_salt(install)
        header = Header(first_seq=1, salt=self._salt, epoch=1, install_id=install, created_ns=START_NS)
        self._data = bytearray(encode_header(header))
        self._synced = len(self._data)

    @property
    def safe_seq(self) -> int:
        """The last record that this mode promises to keep."""
        return self.synced_seq if self.mode == "commit" else self.written_seq

    def write(self, first_seq: int, payloads: Sequence[bytes]) -> None:
        """One group in one write."""
        self._data += self._encode(first_seq, payloads)
        self.written_seq = first_seq + len(payloads) - 1

    def write_part(self, first_seq: int, payloads: Sequence[bytes]) -> None:
        """The writer dies, or its write fails, at any byte within the group."""
        data = self._encode(first_seq, payloads)
        self._data += data[: self._sim.rng.randrange(len(data))]

    def _encode(self, first_seq: int, payloads: Sequence[bytes]) -> bytes:
        return b"".join(encode_record(self._salt, first_seq + index, index, item) for index, item in enumerate(payloads))

    def sync(self) -> None:
        """What was written survives a power cut from here on."""
        self._synced = len(self._data)
        self.synced_seq = self.written_seq

    def raise_epoch(self) -> int:
        """Raised and synced at each start."""
        self.epoch += 1
        return self.epoch

    def power_loss(self) -> None:
        """Of what was not synced a random part is left: cut at any byte, or with any of its sectors missing."""
        rng, counts = self._sim.rng, self._sim.counts
        start, end = self._synced, len(self._data)
        if start == end:
            return
        if rng.random() < 0.4:
            del self._data[rng.randint(start, end) :]
            counts["power cut: torn at a byte"] += 1
            return
        for sector in range(start // SECTOR, (end - 1) // SECTOR + 1):
            if rng.random() < 0.4:
                # older records in this sector are on the disk from the sync before
                first, last = max(start, sector * SECTOR), min(end, (sector + 1) * SECTOR)
                self._data[first:last] = bytes(last - first)
                counts["power cut: sector missing"] += 1

    def recover(self, rebooted: bool) -> list[bytes]:
        """The payloads of the valid records from 1 on, by the journal's own rules. A torn end is cut; what the last run
        wrote and did not sync is synced before anything is written behind it.
        Holes are no damage when the last run did not sync and the machine went down. Raises Violation when the journal
        would refuse to start: it takes a tear for damage."""
        data = bytes(self._data)
        payloads: list[bytes] = []
        offset = HEADER_BYTES
        for _seq, payload, end_offset in scan(data, HEADER_BYTES, 1, self._salt):
            payloads.append(payload)
            offset = end_offset
        end = end_of(data + _ZEROS, offset, len(payloads) + 1, self._salt)
        if end.kind == "corrupt" and not (rebooted and self.mode == "os"):
            raise Violation("journal recovers", f"a cut is taken for damage at byte {offset}: {end.reason}")
        self.written_seq = len(payloads)
        if len(self._data) > offset:
            self._sim.counts["torn tail cut"] += 1
            self.cut(offset)
        self.settle()
        return payloads

    def cut(self, offset: int) -> None:
        """Remove a torn end."""
        del self._data[offset:]

    def settle(self) -> None:
        """What was found is durable from here on."""
        self.sync()
