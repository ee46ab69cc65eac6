"""The tables of FIX.md, made of the code's own tables. `python -m fixgw.docs [--write]` checks or regenerates them.

Between `<!-- NAME -->` and `<!-- end -->` of FIX.md stands what this module makes; the rest is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from .core.reasons import Reason
from .fix.dictionary import CUSTOM_FIELDS, load
from .fix.inbound.terms import IGNORED, PREFIXES, REFUSED, tags


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def reasons() -> str:
    """Every reason code, with the standard's code for an order (103) and for a cancel or replace (102)."""
    rows: list[tuple[object, ...]] = [(f"`{code.value}`", code.ord_rej, code.cxl_rej, code.meaning) for code in Reason]
    return _table(("ReasonCode(20001)", "103", "102", "meaning"), rows)


def own_fields() -> str:
    """Our own fields."""
    rows: list[tuple[object, ...]] = [
        (entry.tag, entry.name, entry.type, ", ".join(entry.messages), entry.meaning) for entry in CUSTOM_FIELDS
    ]
    return _table(("tag", "name", "type", "in", "meaning"), rows)


def refused() -> str:
    """The terms of D and G that are refused, and the values that are not."""
    rows: list[tuple[object, ...]] = []
    for group in REFUSED:
        but = [
            f"{_fields([tag])} but {' '.join(words)}{'...' if tag in PREFIXES else ''}"
            for tag, words in sorted(group.admitted.items())
            if words != ("0",)
        ]
        zero = [tag for tag, words in group.admitted.items() if words == ("0",)]
        parts = [_fields(tags(group.fields)), *but, f"{_fields(zero)} but 0" if zero else ""]
        rows.append((group.why, "; ".join(part for part in parts if part)))
    return _table(("it would be", "refused"), rows)


def ignored() -> str:
    """The fields of D and G that change nothing."""
    return _table(("what they are", "ignored"), [(what, _fields(fields)) for what, fields in IGNORED.items()])


def _fields(numbers: Iterable[int]) -> str:
    """ "PutOrCall(201), StrikePrice(202), 1478-1482": the names that FIX 4.4 has, else numbers; neighbours as a range."""
    names = load("FIX42").fields | load("FIX44").fields
    parts: list[str] = []
    first = last = 0
    for tag in sorted(numbers):
        if tag in names:
            parts.append(f"{names[tag]}({tag})")
            continue
        if last and tag == last + 1:
            parts.pop()
        else:
            first = tag
        last = tag
        parts.append(f"{first}-{last}" if last > first else str(tag))
    return ", ".join(parts)


TABLES = {"reasons": reasons, "tags": own_fields, "refused": refused, "ignored": ignored}
_BLOCK = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def render(text: str) -> str:
    """The text with every table made anew. Raises KeyError for a table that does not exist."""
    return _BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def stale(root: Path) -> Iterator[Path]:
    """The documents below `root` whose tables are not those of the code."""
    path = root / "FIX.md"
    if render(path.read_text()) != path.read_text():
        yield path


def main() -> int:
    """Exit status 1 when something was not up to date and --write was not given."""
    root = Path(__file__).resolve().parent
    found = list(stale(root))
    for path in found:
        if "--write" in sys.argv:
            path.write_text(render(path.read_text()))
        print(f"{path}: {'written' if '--write' in sys.argv else 'not up to date, run with --write'}")
    return 1 if found and "--write" not in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
