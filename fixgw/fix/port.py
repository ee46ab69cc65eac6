"""What the FIX side needs of the engine. The engine implements EnginePort; tests use a fake one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

import msgspec

from fixgw.core.codec import Record
from fixgw.core.commands import AdminNote, AnyCommand, Quote


class SessionCursor(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session stands by the journal. `last_in_seq`: number of the last client message journaled under
    `reset_epoch`; `delivered_seq`: journal sequence up to which all reports are known to be received."""

    reset_epoch: int = 0
    last_in_seq: int = 0
    delivered_seq: int = 0
    enabled: bool = True


class RecordCursor:
    """Where one reader of old records stands: the journal is kept open there, so that the next batch needs no search (for
    each, an archived segment would be unpacked again). For one thread. It holds up to a segment in memory: `close` it when
    no more is asked for."""

    def __init__(self) -> None:
        self._at = 0
        self._rows: Iterator[tuple[int, bytes]] | None = None

    def take(self, after_seq: int) -> Iterator[tuple[int, bytes]] | None:
        """What follows `after_seq`, if that is the place; the cursor has no place until `keep`."""
        rows, self._rows = self._rows, None
        return rows if self._at == after_seq else None

    def keep(self, at_seq: int, rows: Iterator[tuple[int, bytes]]) -> None:
        """`at_seq` was the last one taken of `rows`."""
        self._at, self._rows = at_seq, rows

    def close(self) -> None:
        self._rows = None


class EnginePort(Protocol):
    """All methods may be called from any thread."""

    @property
    def durable_seq(self) -> int:
        """Journal sequence of the last durable record."""
        ...

    def submit(self, command: AnyCommand, reply: Callable[[], object] | None = None, more: bool = False) -> None:
        """May decide in the calling thread, and then calls `reply` there when the command is durable. `more`: another
        message is at hand. Raises Overloaded / JournalFull (fixgw/core/errors.py) for new orders."""
        ...

    def call(self, command: AnyCommand, timeout_s: float) -> object:
        """Submit and wait until it is durable. Raises TimeoutError (it may become durable later), RuntimeError (the engine has
        stopped, or has a fault)."""
        ...

    def listen(self, listener: Callable[[Sequence[Record]], None]) -> None:
        """`listener` hears of durable records, in order, on any thread, before `reply`; it must be quick and not block."""
        ...

    def session_cursor(self, session: str) -> SessionCursor:
        """With everything in it that this thread has submitted."""
        ...

    def quotes(self, session: str, client_symbol: str) -> dict[str, Quote]:
        """Venue -> quote, of the venues where this symbol may go."""
        ...

    def order_quotes(self, session: str, cl_ord_id: str, order_id: str, client_symbol: str) -> dict[str, Quote]:
        """Venue -> quote, of the instrument of the session's order that is named by OrigClOrdID(41), else by OrderID(37), with
        everything in it that this thread has submitted. Where there is none, of `client_symbol`; {} without that too."""
        ...

    def currencies(self, session: str, client_symbol: str) -> tuple[str, ...]:
        """What Currency(15) may be with this symbol: the currency of its price. () for an unknown symbol."""
        ...

    def records(self, after_seq: int, timeout_s: float, cursor: RecordCursor | None = None) -> list[Record]:
        """The next durable records (at most 512) after `after_seq`, in order; waits for them, [] after `timeout_s`. Who
        reads on and on brings a `cursor` of his own."""
        ...

    def now_ns(self) -> int: ...


def note(engine: EnginePort, action: str, target: str, reason: str) -> None:
    """Journals for operations what the gateway itself has done or seen."""
    engine.submit(AdminNote(ts_ns=engine.now_ns(), action=action, target=target, user="gateway", reason=reason))


class RawLogPort(Protocol):
    """Raw messages of a session, in and out."""

    def write(self, session: str, direction: Literal["I", "O"], raw: str, ts_ns: int) -> None: ...
