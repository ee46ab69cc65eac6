"""What the gateway keeps at hand of its newest records for reads: fills, times of logons, and what is owed to each session.

Older ones stand in the journal and in the projection.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from itertools import islice

from ..config import Config
from ..core import events as e
from ..core.codec import Record, decode_record
from ..core.state import State
from ..engine import Engine
from ..fix.acceptor_settings import AcceptorSession
from ..fix.from_config import acceptor_session
from ..fix.owed import Owed
from ..journal.errors import JournalGap

# the last fills kept at hand
RECENT_FILLS = 2_000
SEED_RECORDS = 50_000
_TRADES = frozenset("FG")


def kept(engine: Engine, start: int) -> tuple[int, Iterator[tuple[int, bytes]]]:
    """Records from `start` on, or from the first one behind it that is there, and which that is: lists of what was do not need
    those that were taken away. Its place is looked for once: it may be in an archived segment."""
    rows = iter(engine.journal.read(start))
    try:
        first = list(islice(rows, 1))
    except JournalGap as gap:
        return gap.kept_from, iter(engine.journal.read(gap.kept_from))
    return start, itertools.chain(first, rows)


def _left(name: str, state: State) -> AcceptorSession:
    """A session that is configured no more; where no configuration at hand has it its role is not known: "". """
    found = state.settings.sessions.get(name)
    scope = (found.scope_sessions, found.scope_accounts) if found is not None else (frozenset[str](), frozenset[str]())
    return AcceptorSession(
        name=name, begin_string="", client_comp_id="", gateway_comp_id="", enabled=False,
        role=found.role if found is not None else "", scope_sessions=scope[0], scope_accounts=scope[1],
    )  # fmt: skip


class Recent:
    """Filled from the journal's end at the start, then by the engine with every durable record."""

    def __init__(self, config: Config, engine: Engine) -> None:
        # newest last
        self.fills: deque[e.Reported] = deque(maxlen=RECENT_FILLS)
        # session -> (last logon, last logout) in ns, None where not seen
        self.logons: dict[str, tuple[int | None, int | None]] = {}
        start, rows = kept(engine, max(engine.durable_seq - SEED_RECORDS, 0) + 1)
        # sessions of the journal that are configured no more; read before this run's configuration is in force
        self.left = {name: _left(name, engine.state) for name in engine.state.sessions if name not in config.sessions}
        specs = [acceptor_session(config, name) for name in config.sessions] + list(self.left.values())
        self.owed = Owed(specs, start, engine.journal.read)
        for _seq, payload in rows:
            self.note(decode_record(payload))
        engine.on_durable.append(self.note)

    def note(self, record: Record) -> None:
        """Engine listener."""
        self.owed.note(record)
        for event in record.events:
            if type(event) is e.Reported:
                if getattr(event.message, "exec_type", "") in _TRADES:
                    self.fills.append(event)
            elif type(event) is e.SessionChanged:
                on, off = self.logons.get(event.session, (None, None))
                self.logons[event.session] = (event.ts_ns, off) if event.logged_on else (on, event.ts_ns)
