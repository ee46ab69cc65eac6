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
        for index, payload in enumerate(payloads):
            self._data += encode_record(self._salt, first_seq + index, index, payload)
        self.written_seq = first_seq + len(payloads) - 1

    def sync(self) -> None:
        """What was written survives a power cut from here on."""
        self._synced = len(self._data)
        self.synced_seq = self.written_seq

    def raise_epoch(self) -> int:
        """Raised and synced at each start."""
        self.epoch += 1
        return self.epoch

    def power_loss(self) -> None:
        """Of what was not synced a random part is left, cut at any byte, perhaps with sectors missing in it."""
        rng = self._sim.rng
        kept = rng.randint(0, len(self._data) - self._synced)
        del self._data[self._synced + kept :]
        first = -(-self._synced // SECTOR)
        last = len(self._data) // SECTOR
        for sector in range(first, last):
            if rng.random() < 0.3:
                self._data[sector * SECTOR : (sector + 1) * SECTOR] = bytes(SECTOR)

    def recover(self) -> list[bytes]:
        """The payloads of the valid records from 1 on, by the journal's own rules. A torn end is cut, which syncs; without
        one, what the last run wrote and did not sync waits for the first sync of this run, as with the real journal.
        Raises Violation when the journal would refuse to start: it takes a tear for damage."""
        data = bytes(self._data)
        payloads: list[bytes] = []
        offset = HEADER_BYTES
        for _seq, payload, offset in scan(data, HEADER_BYTES, 1, self._salt):
            payloads.append(payload)
        end = end_of(data + _ZEROS, offset, len(payloads) + 1, self._salt)
        if end.kind == "corrupt":
            raise Violation("journal recovers", f"a cut is taken for damage at byte {offset}: {end.reason}")
        torn = len(self._data) > offset
        del self._data[offset:]
        self.written_seq = len(payloads)
        if torn:
            self.sync()
        return payloads
