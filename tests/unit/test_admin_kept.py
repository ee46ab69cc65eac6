"""The lists that admin commands answer from begin with what is there of the journal, and their place is looked for once."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from fixgw.admin.recent import kept
from fixgw.journal.errors import JournalGap


@pytest.mark.parametrize(("oldest", "start", "reads"), [(1, 3, [3]), (5, 3, [3, 5]), (1, 9, [9])])
def test_records_that_were_taken_away_are_not_needed(oldest: int, start: int, reads: list[int]) -> None:
    asked: list[int] = []

    def read(wanted: int) -> Iterator[tuple[int, bytes]]:
        asked.append(wanted)
        if wanted < oldest:
            raise JournalGap(wanted, oldest, "is not kept any more")
        for seq in range(wanted, 8):
            yield seq, b""

    found, rows = kept(SimpleNamespace(journal=SimpleNamespace(read=read)), start)  # type: ignore[arg-type]
    assert found == max(oldest, start) and [seq for seq, _ in rows] == list(range(found, 8)) and asked == reads
