"""The raw FIX log: every message in and out, one file per session, secrets masked, rotated by size.

write() is on the order path: it only appends to a bounded queue; one background thread masks, formats and writes. When the
queue is full, the message is left out of the log (never the order held up), counted, and the log says how many are missing.

A line is `<ns since 1970> I|O <message>` with the message's SOH bytes kept. A message that holds line ends has its
direction in lower case and its backslashes and line ends escaped. `fixgw decode` reads these files.
"""

import collections
import logging
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, Literal

_LOG: Final = logging.getLogger(__name__)
_POLL_S: Final = 0.05
_MAX_OPEN: Final = 256
_SECRET: Final = re.compile(rb"((?:^|\x01)(?:554|925|96)=)[^\x01]*")
_DATA: Final = re.compile(rb"\x0195=(\d{1,9})\x0196=")

Direction = Literal["I", "O"]
_MARKS: Final[dict[Direction, bytes]] = {"I": b"I", "O": b"O"}


def mask(raw: bytes) -> bytes:
    """The message with the values of Password(554), NewPassword(925) and RawData(96) as ***."""
    if b"554=" not in raw and b"925=" not in raw and b"96=" not in raw:
        return raw  # nearly every message: no regular expression has to walk through it
    data = _DATA.search(raw)
    if data is not None:  # raw data may hold SOH: its length says where it ends
        end = min(data.end() + int(data.group(1)), len(raw))
        raw = raw[: data.end()] + b"***" + raw[max(end, _next_soh(raw, data.end(), end)) :]
    return _SECRET.sub(rb"\1***", raw)


def _next_soh(raw: bytes, start: int, end: int) -> int:
    """Where the value truly ends when its announced length is too short for the text up to the next SOH."""
    found = raw.find(b"\x01", end)
    return len(raw) if found < 0 else found


def escape(raw: bytes) -> bytes:
    return raw.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")


def unescape(raw: bytes) -> bytes:
    """Undoes escape()."""
    table = {b"n": b"\n", b"r": b"\r"}
    return re.sub(rb"\\(.)", lambda match: table.get(match.group(1), match.group(1)), raw)


class RawLog:
    """Files DIR/<session>.log, older ones .1 to .<files - 1>. Used from any thread; close() writes out what is queued."""

    def __init__(
        self,
        folder: str | Path,
        *,
        max_bytes: int = 64 * 1024 * 1024,
        files: int = 5,
        queue_messages: int = 50_000,
        on_failing: Callable[[str], None] = lambda _: None,
    ) -> None:
        """max_bytes: size of one file before it is rotated; files: how many are kept; queue_messages: the bound.

        `on_failing` is told, from the log's own thread, when writing begins to fail, once until all can be written again.
        """
        for name, value in (("max_bytes", max_bytes), ("files", files), ("queue_messages", queue_messages)):
            if value < 1:
                raise ValueError(f"raw log: {name}: {value}, expected at least 1")
        self._folder = Path(folder)
        self._on_failing = on_failing
        self._max_bytes, self._files, self._bound = max_bytes, files, queue_messages
        self._queue: collections.deque[tuple[str, Direction, str | bytes, int]] = collections.deque()
        self._lost: collections.Counter[str] = collections.Counter()  # per session, not yet said in its file
        self._lost_lock = threading.Lock()
        self._open: dict[str, tuple[BinaryIO, int]] = {}
        self._failing: set[str] = set()
        self._stop = threading.Event()
        self._written = threading.Condition()
        self._rounds = 0
        self.lost = 0
        self.write_errors = 0
        self._thread = threading.Thread(target=self._run, name="rawlog", daemon=True)
        self._thread.start()

    def write(self, session: str, direction: Direction, raw: str | bytes, ts_ns: int) -> None:
        """Queues one message. Never blocks, never raises."""
        if len(self._queue) >= self._bound or self._stop.is_set():
            with self._lost_lock:
                self._lost[session] += 1
                self.lost += 1
            return
        self._queue.append((session, direction, raw, ts_ns))

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Waits until what was queued before is in the files; False: it took longer."""
        with self._written:
            wanted = self._rounds + 2  # the round that is under way may have begun before our last message
            return self._written.wait_for(lambda: self._rounds >= wanted, timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        self._stop.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stop.wait(_POLL_S)
            self._write_round()
            with self._written:
                self._rounds += 1
                self._written.notify_all()
        for file, _ in self._open.values():
            _close_quietly(file)
        self._open.clear()

    def _write_round(self) -> None:
        batches: dict[str, list[bytes]] = {}
        for _ in range(len(self._queue)):
            session, direction, raw, ts_ns = self._queue.popleft()
            batches.setdefault(session, []).append(_line(direction, raw, ts_ns))
        with self._lost_lock:
            due = [session for session in self._lost if session not in self._failing or session in batches]
            told = {session: self._lost.pop(session) for session in due}
        for session in batches.keys() | told.keys():
            missing, lines = told.get(session, 0), batches.get(session, [])
            note = [b"%d ! %d messages are missing here: they could not be written\n" % (time.time_ns(), missing)]
            try:
                self._append(session, (note if missing else []) + lines)
                self._failing.discard(session)
            except OSError as error:
                self._could_not_write(session, missing, len(lines), error)

    def _could_not_write(self, session: str, missing: int, lines: int, error: OSError) -> None:
        self.write_errors += 1
        with self._lost_lock:
            self._lost[session] += missing + lines
            self.lost += lines
        if session not in self._failing:  # said once, not twenty times a second
            _LOG.error("raw log of session %s cannot be written: %s", session, error)
        if not self._failing:
            try:
                self._on_failing(str(error))
            except Exception:
                _LOG.exception("raw log: nobody could be told")
        self._failing.add(session)  # tried again with the session's next message

    def _append(self, session: str, lines: list[bytes]) -> None:
        path = self._folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', session) or '_'}.log"
        file, size = self._open.pop(session, (None, 0))
        try:
            if file is not None and not os.fstat(file.fileno()).st_nlink:  # it was deleted
                file.close()
                file = None
            whole = b"".join(lines)
            if file is not None and size + len(whole) <= self._max_bytes:
                lines = [whole]  # nearly always: they all fit
            for line in lines:
                if file is None:
                    # also when it was deleted; a log is never what ends a gateway
                    self._folder.mkdir(parents=True, exist_ok=True)
                    file = path.open("ab")
                    size = file.tell()
                if size + len(line) > self._max_bytes and size > 0:
                    file.close()
                    self._rotate(path)
                    file, size = path.open("ab"), 0
                file.write(line)
                size += len(line)
            assert file is not None
            file.flush()
        except OSError:
            if file is not None:
                _close_quietly(file)
            raise
        self._open[session] = (file, size)  # the newest is the last: the oldest is closed first
        if len(self._open) > _MAX_OPEN:
            _close_quietly(self._open.pop(next(iter(self._open)))[0])

    def _rotate(self, path: Path) -> None:
        for number in range(self._files - 1, 0, -1):
            older = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
            if older.exists():
                older.replace(path.with_name(f"{path.name}.{number}"))
        if self._files == 1:
            path.unlink()


def _line(direction: Direction, raw: str | bytes, ts_ns: int) -> bytes:
    data = mask(raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else raw)
    if b"\n" in data or b"\r" in data:
        return b"%d %s %s\n" % (ts_ns, direction.lower().encode(), escape(data))
    return b"%d %s %s\n" % (ts_ns, _MARKS[direction], data)


def _close_quietly(file: BinaryIO) -> None:
    try:
        file.close()
    except OSError:
        pass  # it was said already that the messages are not written
