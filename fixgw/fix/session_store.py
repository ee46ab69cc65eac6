"""What QuickFIX's FileStore of a session holds: the reports that its own recovery will deliver.

Files (per session, prefix BEGIN-SENDER-TARGET.): `header` = "number,offset,size " for each message sent, `body` = the
messages, `seqnums`, `session`. Nothing in them is fsynced: after the machine went down they may hold anything, so
`forget` drops the messages and only the numbers are used (raised, see acceptor).
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fixgw.core.reports import CancelReject, Message, Notice, Report
from fixgw.fix.outbound.wire import utc, word

# One message takes about 20 bytes of index: this reads about the last 100,000 messages.
INDEX_TAIL: Final = 2 * 1024 * 1024
MAX_MESSAGE: Final = 64 * 1024
TEST_REQUEST_PREFIX: Final = "fixgw-"

_ENTRY: Final = re.compile(rb"[0-9]+,[0-9]+,[0-9]+")
_INDEX: Final = re.compile(rb"(?:[0-9]+,[0-9]+,[0-9]+ )*+")

Key = tuple[str, ...]


def confirming(test_req_id: str) -> int:
    """The journal sequence that the answer to our TestRequest confirms; 0: it is none of ours."""
    number = test_req_id.removeprefix(TEST_REQUEST_PREFIX)
    ours = number != test_req_id and number.isascii() and number.isdigit() and len(number) < 19
    return int(number) if ours else 0


def key_of(message: Message) -> Key:
    """What identifies a message on the wire."""
    if isinstance(message, Report):
        return ("8", word(message.exec_id))
    if isinstance(message, CancelReject):
        return ("9", word(message.cl_ord_id) or "NONE", word(message.orig_cl_ord_id) or "NONE")
    if isinstance(message, Notice):
        return ("B", utc(message.transact_ns), word(message.headline))
    return ("j", str(message.ref_seq), word(message.ref_msg_type))


def _fields(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split("\x01") if "=" in part)


def _key_of_text(fields: dict[str, str]) -> Key | None:
    msg_type = fields.get("35")
    if msg_type == "8":
        return ("8", fields.get("17", ""))
    if msg_type == "9":
        return ("9", fields.get("11", ""), fields.get("41", ""))
    if msg_type == "j":
        return ("j", fields.get("45", ""), fields.get("372", ""))
    if msg_type == "B":
        return ("B", fields.get("42", ""), fields.get("148", ""))
    return None


class StoreFiles:
    """The FileStore of one session, read before QuickFIX writes to it."""

    def __init__(self, folder: Path, begin_string: str, sender: str, target: str) -> None:
        self._prefix = f"{begin_string}-{sender}-{target}."
        self._folder = folder

    def _path(self, kind: str) -> Path:
        return self._folder / f"{self._prefix}{kind}"

    def forget(self) -> None:
        """Deletes the messages, not the numbers."""
        for kind in ("header", "body"):
            self._path(kind).unlink(missing_ok=True)

    def held(self, delivered_seq: int) -> collections.Counter[Key]:
        """How often each report stands in the store, back to the TestRequest by which the counterparty confirmed
        everything up to the journal sequence `delivered_seq` (and bounded: what is older counts as not there, and is
        then sent again as a possible resend). A message that was stored in the moment of a crash, before its number was
        used up, does not count: the next message takes its number and its place."""
        found: collections.Counter[Key] = collections.Counter()
        for text in self._newest_first():
            fields = _fields(text)
            if fields.get("35") == "1" and 0 < confirming(fields.get("112", "")) <= delivered_seq:
                break
            key = _key_of_text(fields)
            if key is not None:
                found[key] += 1
        return found

    def there(self) -> bool:
        """All files can be opened for writing: that needs no room."""
        try:
            for kind in ("header", "body", "seqnums", "session"):
                with self._path(kind).open("r+b"):
                    pass
        except OSError:
            return False
        return True

    def numbers_lost(self) -> bool:
        """The file of the next numbers is missing or cut. A reset leaves it with 1 and 1: only a process that dies within that
        very moment leaves this too, and the counterparty then asks for its reset again."""
        try:
            parts = self._path("seqnums").read_text("ascii").split(":")
            return len(parts) != 2 or min(int(part) for part in parts) < 1
        except (OSError, ValueError):
            return True

    def highest(self) -> int:
        """The highest number in the index, 0 without one."""
        try:
            entries = _ENTRY.findall(self._path("header").read_bytes())
        except OSError:
            return 0
        return max((int(entry.split(b",")[0]) for entry in entries), default=0)

    def repair(self) -> bool:
        """Takes out of the index what a full disk has cut: QuickFIX reads it up to the first entry that is none, and would fill
        the gap over each message behind it. True when there was any; QuickFIX must read it again then. Raises OSError."""
        path = self._path("header")
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return False
        if _INDEX.fullmatch(text):
            return False
        entries = [entry for entry in text.split(b" ") if _ENTRY.fullmatch(entry)]
        temporary = path.with_suffix(".header-new")
        try:
            temporary.write_bytes(b"".join(entry + b" " for entry in entries))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def began_with_reset(self) -> bool:
        """The oldest message is our Logon with 141=Y under number 1: no other was sent since the store was last emptied."""
        try:
            with self._path("header").open("rb") as index:
                number, offset, length = map(int, index.read(64).split()[0].split(b","))
            if number != 1 or not (0 < length <= MAX_MESSAGE and offset >= 0):
                return False
            with self._path("body").open("rb") as body:
                body.seek(offset)
                text = body.read(length).decode("latin-1")
        except (OSError, ValueError, IndexError):
            return False
        fields = _fields(text)
        return fields.get("34") == "1" and fields.get("35") == "A" and fields.get("141") == "Y"

    def _next_out(self) -> int:
        """The number that QuickFIX gives the next message; without a file it begins at 1."""
        try:
            return int(self._path("seqnums").read_text("ascii").partition(":")[0])
        except (OSError, ValueError):
            return 1

    def _newest_first(self) -> Iterator[str]:
        try:
            with self._path("header").open("rb") as index:
                size = index.seek(0, 2)
                index.seek(max(0, size - INDEX_TAIL))
                entries = index.read().split()
            if size > INDEX_TAIL:
                entries = entries[1:]  # the first one may be cut
            body = self._path("body").open("rb")
        except FileNotFoundError:
            return
        seen: set[int] = set()
        next_out = self._next_out()
        with body:
            for entry in reversed(entries):
                try:
                    number, offset, length = map(int, entry.split(b","))
                except ValueError:
                    continue
                # a number that was used twice holds its last message only
                if number in seen or number >= next_out or not (0 < length <= MAX_MESSAGE and offset >= 0):
                    continue
                seen.add(number)
                body.seek(offset)
                yield body.read(length).decode("latin-1")
