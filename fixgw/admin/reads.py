"""The reads of the admin protocol (protocol.py): views of the gateway's own state, the newest records at hand, and the journal.

None of them shows what the projection says; that one is troubled is told in `status`, and in `fills`, which sends people to it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from .. import __version__
from ..config import Config
from ..config.models import SessionFile
from ..core import events as e
from ..core.cold import Row
from ..core.order import Order
from ..core.reports import Report
from ..core.state import ACTIVE, State
from ..engine import Engine
from ..fix.acceptor import Acceptor
from ..fix.acceptor_settings import AcceptorSession
from ..journal.projection_watch import ProjectionState
from ..venues.gateway_link import VenueLinks
from . import views
from .asked import Params, limit_of, text_of
from .engine_access import durable_view
from .history import history_of
from .names import Names
from .processes import told_processes
from .protocol import AdminError
from .recent import RECENT_FILLS, Recent
from .server import Method

FILLS_AT_ONCE = 50
NOT_CONFIGURED = "not configured"
# for messages that are owed from long ago; the next question goes on
LOOK_BACK_S = 0.5


class Reads:
    """Implements those of protocol.METHODS that change nothing."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        acceptor: Acceptor,
        links: VenueLinks,
        names: Names,
        full_because: Callable[[], str],
        projection: Callable[[], ProjectionState],
        clock: Callable[[], str],
    ) -> None:
        self._config = config
        self._engine = engine
        self._acceptor = acceptor
        self._links = links
        self._full_because = full_because
        self._projection = projection
        self._clock = clock
        self._started_ns = time.time_ns()
        self._names = names
        self._recent = Recent(config, engine)

    def table(self) -> dict[str, Method]:
        """Name -> method."""
        return {
            "status": self._status,
            "sessions": self.sessions,
            "orders": self._orders,
            "order": self._order,
            "fills": self._list_fills,
            "positions": self._positions,
            "limits": self._limits,
        }

    def _status(self, params: Params, user: str) -> object:
        hosts, ended = self._links.hosts(), _ends(self._config.paths.ended)
        journal, full_because, projection = self._engine.journal, self._full_because(), self._projection()

        def make(state: State) -> Params:
            venues = []
            for venue in state.venues.values():
                host = hosts.get(venue.name)
                unknown = sum(1 for child in state.uncertain if state.children[child].venue == venue.name)
                unlisted = views.without_rules(state, venue.name)
                closed = f"no new orders of {', '.join(unlisted)}: no usable rules from the venue" if unlisted else ""
                venues.append(
                    {
                        "name": venue.name,
                        "account": host.account if host is not None else "",
                        "up": host is not None,
                        "state": venue.state,
                        # without a host the supervisor knows better why
                        "reason": (ended.get(f"venue:{venue.name}") if host is None else None) or venue.reason or closed,
                        "unlisted": unlisted,
                        "level": venue.level,
                        "host_pid": host.pid if host is not None else None,
                        "unknown_orders": unknown,
                    }
                )
            return {
                "firm": self._config.firm_file.firm,
                "version": __version__,
                "pid": os.getpid(),
                "started_ns": self._started_ns,
                "install": state.install,
                "epoch": state.epoch,
                "sync": self._config.firm_file.journal.sync,
                "settings_hash": state.settings.hash,
                "firm_state": state.level,
                "last_seq": state.seq,
                "durable_seq": journal.durable_seq,
                "open_orders": len(state.open_orders),
                "unknown_orders": len({state.children[child].order_id for child in state.uncertain}),
                "in_flight": len(state.inflight),
                "inbox": self._engine.waiting,
                "journal_full": bool(full_because),
                "full_because": full_because,
                "projection_behind": projection.behind,
                "projection_trouble": projection.trouble,
                "clock_trouble": self._clock(),
                "venues": venues,
            }

        return durable_view(self._engine, make) | told_processes(self._config.paths, time.time())

    def sessions(self, params: Params, user: str) -> object:
        wanted = self._names.session_of(params)
        live = {item.name: item for item in self._acceptor.status()}
        files: dict[str, SessionFile | AcceptorSession] = {**self._config.sessions, **self._recent.left}

        def make(state: State) -> Params:
            rows = []
            for name, file in files.items():
                if wanted not in ("", name):
                    continue
                found, status, configured = state.session(name), live.get(name), name in self._config.sessions
                on, off = self._recent.logons.get(name, (None, None))
                rows.append(
                    {
                        "name": name,
                        "role": file.role,
                        "begin_string": file.begin_string,
                        "client_comp_id": file.client_comp_id,
                        "gateway_comp_id": self._gateway_comp_id(name),
                        "configured": configured,
                        "enabled": found.enabled and file.enabled,
                        "connected": status.logged_on if status is not None else False,
                        "fault": status.fault if status is not None else "" if configured else NOT_CONFIGURED,
                        "level": found.level,
                        "next_sender": status.next_out if status is not None else None,
                        "next_target": status.next_in if status is not None else None,
                        "reset_epoch": found.reset_epoch,
                        "open_orders": len(found.open_orders),
                        "delivered_seq": found.delivered_seq,
                        "last_logon_ns": on,
                        "last_logout_ns": off,
                    }
                )
            return {"sessions": rows, "more": False}

        told: Params = durable_view(self._engine, make)
        # not while the state is held: it may read the journal
        until = time.monotonic() + LOOK_BACK_S
        for row in told["sessions"]:
            owed = self._recent.owed.count(row["name"], row["delivered_seq"], until)
            # a drop copy is owed what others are told; of which it was one, no configuration tells any more
            row |= {"pending_reports": owed.messages, "pending_more": owed.more or (not row["configured"] and not row["role"])}
        told["sessions"] = [row for row in told["sessions"] if row["configured"] or wanted or _is_left_with_something(row)]
        return told

    def _gateway_comp_id(self, session: str) -> str:
        file = self._config.sessions.get(session)
        return self._config.gateway_comp_id(file) if file is not None else ""

    def _orders(self, params: Params, user: str) -> object:
        limit = limit_of(params)
        session, symbol, only_open = self._names.session_of(params), str(params.get("symbol") or ""), bool(params.get("open"))
        meant = self._names.meant_by(symbol, session)

        def asked_for(order: Order) -> bool:
            if session not in ("", order.session):
                return False
            return not symbol or order.symbol in meant or symbol == order.client_symbol

        def make(state: State) -> tuple[list[Params], Iterator[Row]]:
            found = (state.orders[order_id] for order_id in reversed(state.open_orders if only_open else state.orders))
            rows = [views.order_row(state, order) for order in islice(filter(asked_for, found), limit + 1)]
            return rows, state.cold.rows() if not only_open and len(rows) <= limit else iter(())

        rows, packed = durable_view(self._engine, make)
        # decoding thousands of packed orders must not hold the state
        older = (row.order for row in packed if asked_for(row.order))
        rows += [views.order_row(self._engine.state, order) for order in islice(older, limit + 1 - len(rows))]
        if not rows:
            self._names.known_symbol(symbol)
        return {"orders": rows[:limit], "more": len(rows) > limit}

    def _order(self, params: Params, user: str) -> object:
        order_id = text_of(params, "order_id")

        def make(state: State) -> tuple[Params, list[Params]] | None:
            order = state.find_order(order_id)
            return (views.order_row(state, order), views.child_rows(state, order)) if order is not None else None

        found = durable_view(self._engine, make)
        if found is None:
            raise AdminError("NOT_FOUND", f"order {order_id!r} is unknown")
        history = history_of(self._engine, self._config.paths.projection, order_id)
        fills, incomplete = self._fill_rows(history.reports), "; ".join(history.lacks)
        return {"order": found[0], "children": found[1], "fills": fills, "history": history.rows, "incomplete": incomplete}

    def _fill_rows(self, reports: list[e.Reported]) -> list[Params]:
        """Those of them that are fills, a few at a time: orders wait while the state is read."""
        rows = []
        for start in range(0, len(reports), FILLS_AT_ONCE):
            with self._engine.reading() as state:
                rows += [views.fill_row(event, state) for event in reports[start : start + FILLS_AT_ONCE]]
        return [row for row in rows if row is not None]

    def _list_fills(self, params: Params, user: str) -> object:
        limit = limit_of(params)
        session, symbol = self._names.session_of(params), str(params.get("symbol") or "")
        meant = self._names.meant_by(symbol, session)

        def make(state: State) -> Params:
            rows: list[Params] = []
            # older ones than those at hand are "more", whether they match or not
            forgot = len(self._recent.fills) == RECENT_FILLS
            for event in reversed(list(self._recent.fills)):  # effects may add to it meanwhile
                message = event.message
                assert isinstance(message, Report)
                if session not in ("", event.session):
                    continue
                if symbol and message.instrument not in meant and symbol != message.symbol:
                    continue
                row = views.fill_row(event, state)
                if row is None:
                    continue
                rows.append(row)
                if len(rows) > limit:
                    break
            return {"fills": rows[:limit], "more": len(rows) > limit or forgot}

        found: Params = durable_view(self._engine, make)
        # who wants the others looks there
        found["projection_trouble"] = self._projection().trouble
        if not found["fills"]:
            self._names.known_symbol(symbol)
        return found

    def _positions(self, params: Params, user: str) -> object:
        account, symbol = str(params.get("account") or ""), str(params.get("symbol") or "")
        meant = self._names.meant_by(symbol)

        def make(state: State) -> Params:
            return {
                "positions": views.position_rows(state, account, meant),
                "balances": views.balance_rows(state, account),
            }

        found: Params = durable_view(self._engine, make)
        if account and not found["positions"] and not found["balances"]:
            self._names.known_account(account)
        if not found["positions"]:
            self._names.known_symbol(symbol)
        return found

    def _limits(self, params: Params, user: str) -> object:
        session, now_ns = self._names.session_of(params), self._engine.now_ns()
        return durable_view(self._engine,
            lambda state: {"limits": views.limit_rows(state, session, now_ns), "levels": views.level_rows(state)}
        )


def _is_left_with_something(row: Params) -> bool:
    """Of a session that is configured no more: one that all is done with is not listed."""
    return bool(row["open_orders"] or row["pending_reports"] or row["level"] != ACTIVE)


def _ends(path: Path) -> dict[str, str]:
    """Why processes ended that are not back yet (supervisor/loop.py); empty when nothing is told."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        return {}
