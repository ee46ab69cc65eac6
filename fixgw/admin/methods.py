"""The gateway's side of the admin protocol (protocol.py): reads are views of the state, writes are commands to the engine.

A read waits until what it shows is durable; a write answers once its record is.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from .. import __version__
from ..config import Config
from ..core import commands as c
from ..core import events as e
from ..core.codec import Record, decode_record
from ..core.cold import Row
from ..core.decide import NoSuch, Refusal
from ..core.order import Order
from ..core.reports import Report
from ..core.state import State
from ..engine import Engine
from ..fix.acceptor import Acceptor, SessionError
from ..fix.from_config import acceptor_session
from ..fix.owed import Owed
from ..journal.errors import JournalError, JournalGap
from ..venues.gateway_link import VenueLinks
from . import views
from .asked import Params, decimal_of, ends, known, limit_of, text_of
from .protocol import AdminError
from .server import Method

log = logging.getLogger(__name__)

DURABLE_WAIT_S = 5.0
# the last fills kept at hand; older ones stand in the projection and the journal
RECENT_FILLS = 2_000
SEED_RECORDS = 50_000
MAX_HISTORY_RECORDS = 500_000
MAX_HISTORY = 1_000
FILLS_AT_ONCE = 50
# for messages that are owed from long ago; the next question goes on
LOOK_BACK_S = 0.5


def _kept(engine: Engine, start: int) -> tuple[int, Iterator[tuple[int, bytes]]]:
    """Records from `start` on, or from the first one behind it that is there, and which that is: lists of what was do not need
    those that were taken away. Its place is looked for once: it may be in an archived segment."""
    rows = iter(engine.journal.read(start))
    try:
        first = list(islice(rows, 1))
    except JournalGap as gap:
        return gap.kept_from, iter(engine.journal.read(gap.kept_from))
    return start, itertools.chain(first, rows)


class AdminMethods:
    """Implements every method of protocol.METHODS."""

    def __init__(
        self, config: Config, engine: Engine, acceptor: Acceptor, links: VenueLinks, full_because: Callable[[], str]
    ) -> None:
        """`full_because`: why there is no room for new orders, "" while there is; what the engine refuses them by."""
        self._config = config
        self._engine = engine
        self._acceptor = acceptor
        self._links = links
        self._full_because = full_because
        self._started_ns = time.time_ns()
        self._fills: deque[e.Reported] = deque(maxlen=RECENT_FILLS)
        self._logons: dict[str, tuple[int | None, int | None]] = {}
        start, rows = _kept(engine, max(engine.durable_seq - SEED_RECORDS, 0) + 1)
        self._owed = Owed((acceptor_session(config, name) for name in config.sessions), start, engine.journal.read)
        for _seq, payload in rows:
            self.note(decode_record(payload))
        engine.on_durable.append(self.note)

    def table(self) -> dict[str, Method]:
        """Name -> method."""
        return {
            "status": self._status,
            "sessions": self._sessions,
            "orders": self._orders,
            "order": self._order,
            "fills": self._list_fills,
            "positions": self._positions,
            "limits": self._limits,
            "cancel": self._cancel,
            "kill": self._kill,
            "resume": self._resume,
            "session": self._session,
            "resolve": self._resolve,
        }

    def note(self, record: Record) -> None:
        """Engine listener: keeps the newest fills and logon times at hand, and what is owed to each session."""
        self._owed.note(record)
        for event in record.events:
            if isinstance(event, e.Reported) and getattr(event.message, "exec_type", "") in ("F", "G"):
                self._fills.append(event)
            elif isinstance(event, e.SessionChanged):
                on, off = self._logons.get(event.session, (None, None))
                self._logons[event.session] = (event.ts_ns, off) if event.logged_on else (on, event.ts_ns)

    # --- reads ---

    def _view(self, make: Callable[[State], Any]) -> Any:
        """What `make` finds in the state, once it is durable."""
        with self._engine.reading() as state:
            found, seq = make(state), state.seq
        deadline = time.monotonic() + DURABLE_WAIT_S
        while self._engine.durable_seq < seq:
            if time.monotonic() > deadline:
                raise AdminError("BUSY", f"record {seq} did not become durable within {DURABLE_WAIT_S} s")
            if not self._engine.records(self._engine.durable_seq, 0.1):
                time.sleep(0.001)  # a stopped engine answers at once
        return found

    def _status(self, params: Params, user: str) -> object:
        hosts, ended = self._links.hosts(), ends(self._config.paths.ended)
        journal, full_because = self._engine.journal, self._full_because()

        def make(state: State) -> Params:
            venues = []
            for venue in state.venues.values():
                host = hosts.get(venue.name)
                unknown = sum(1 for child in state.uncertain if state.children[child].venue == venue.name)
                venues.append(
                    {
                        "name": venue.name,
                        "account": host.account if host is not None else "",
                        "up": host is not None,
                        "state": venue.state,
                        # without a host the supervisor knows better why
                        "reason": (ended.get(f"venue:{venue.name}") if host is None else None) or venue.reason,
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
                "venues": venues,
            }

        return self._view(make)

    def _sessions(self, params: Params, user: str) -> object:
        wanted = self._session_of(params)
        live = {item.name: item for item in self._acceptor.status()}

        def make(state: State) -> Params:
            rows = []
            for name, file in self._config.sessions.items():
                if wanted not in ("", name):
                    continue
                found, status = state.session(name), live.get(name)
                on, off = self._logons.get(name, (None, None))
                rows.append(
                    {
                        "name": name,
                        "role": file.role,
                        "begin_string": file.begin_string,
                        "client_comp_id": file.client_comp_id,
                        "gateway_comp_id": self._config.gateway_comp_id(file),
                        "enabled": found.enabled and file.enabled,
                        "connected": status.logged_on if status is not None else False,
                        "fault": status.fault if status is not None else "",
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

        told: Params = self._view(make)
        # not while the state is held: it may read the journal
        until = time.monotonic() + LOOK_BACK_S
        for row in told["sessions"]:
            owed = self._owed.count(row["name"], row["delivered_seq"], until)
            row |= {"pending_reports": owed.messages, "pending_more": owed.more}
        return told

    def _orders(self, params: Params, user: str) -> object:
        limit = limit_of(params)
        session, symbol, only_open = self._session_of(params), str(params.get("symbol") or ""), bool(params.get("open"))
        meant = self._meant_by(symbol, session)

        def asked_for(order: Order) -> bool:
            if session not in ("", order.session):
                return False
            return not symbol or order.symbol in meant or symbol == order.client_symbol

        def make(state: State) -> tuple[list[Params], Iterator[Row]]:
            found = (state.orders[order_id] for order_id in reversed(state.open_orders if only_open else state.orders))
            rows = [views.order_row(state, order) for order in islice(filter(asked_for, found), limit + 1)]
            return rows, state.cold.rows() if not only_open and len(rows) <= limit else iter(())

        rows, packed = self._view(make)
        # decoding thousands of packed orders must not hold the state
        older = (row.order for row in packed if asked_for(row.order))
        rows += [views.order_row(self._engine.state, order) for order in islice(older, limit + 1 - len(rows))]
        if not rows:
            self._known_symbol(symbol)
        return {"orders": rows[:limit], "more": len(rows) > limit}

    def _order(self, params: Params, user: str) -> object:
        order_id = text_of(params, "order_id")

        def make(state: State) -> tuple[Params, list[Params]] | None:
            order = state.find_order(order_id)
            return (views.order_row(state, order), views.child_rows(state, order)) if order is not None else None

        found = self._view(make)
        if found is None:
            raise AdminError("NOT_FOUND", f"order {order_id!r} is unknown")
        history, fills = self._history(order_id)
        return {"order": found[0], "children": found[1], "fills": fills, "history": history}

    def _history(self, order_id: str) -> tuple[list[Params], list[Params]]:
        """From the journal; the record that made the order stands in its id."""
        rows: list[Params] = []
        reports: list[e.Reported] = []
        start = int(order_id[8:15], 36)
        for seq, payload in islice(self._engine.journal.read(start), MAX_HISTORY_RECORDS):
            if order_id.encode() not in payload:
                continue
            for event in decode_record(payload).events:
                if len(rows) >= MAX_HISTORY:
                    return rows, self._fill_rows(reports)
                row = views.history_row(seq, event, order_id)
                if row is not None:
                    rows.append(row)
                if isinstance(event, e.Reported) and getattr(event.message, "order_id", "") == order_id:
                    reports.append(event)
        return rows, self._fill_rows(reports)

    def _fill_rows(self, reports: list[e.Reported]) -> list[Params]:
        """Those of them that are fills, a few at a time: orders wait while the state is read."""
        rows = []
        for start in range(0, len(reports), FILLS_AT_ONCE):
            with self._engine.reading() as state:
                rows += [views.fill_row(event, state) for event in reports[start : start + FILLS_AT_ONCE]]
        return [row for row in rows if row is not None]

    def _list_fills(self, params: Params, user: str) -> object:
        limit = limit_of(params)
        session, symbol = self._session_of(params), str(params.get("symbol") or "")
        meant = self._meant_by(symbol, session)

        def make(state: State) -> Params:
            rows: list[Params] = []
            # older ones than those at hand are "more", whether they match or not
            forgot = len(self._fills) == RECENT_FILLS
            for event in reversed(list(self._fills)):  # effects may add to it meanwhile
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

        found: Params = self._view(make)
        if not found["fills"]:
            self._known_symbol(symbol)
        return found

    def _positions(self, params: Params, user: str) -> object:
        account, symbol = str(params.get("account") or ""), str(params.get("symbol") or "")
        meant = self._meant_by(symbol)

        def make(state: State) -> Params:
            return {
                "positions": views.position_rows(state, account, meant),
                "balances": views.balance_rows(state, account),
            }

        found: Params = self._view(make)
        if account and not found["positions"] and not found["balances"]:
            known("account", account, self._config.account_names())
        if not found["positions"]:
            self._known_symbol(symbol)
        return found

    def _limits(self, params: Params, user: str) -> object:
        session, now_ns = self._session_of(params), self._engine.now_ns()
        return self._view(
            lambda state: {"limits": views.limit_rows(state, session, now_ns), "levels": views.level_rows(state)}
        )

    # --- writes ---

    def _call(self, command: c.Command) -> Record | None:
        try:
            return self._engine.call(command)
        except Refusal as refusal:
            code = "NOT_FOUND" if isinstance(refusal, NoSuch) else "REFUSED"
            raise AdminError(code, str(refusal)) from refusal
        except TimeoutError as error:
            raise AdminError("BUSY", str(error)) from error

    def _cancel(self, params: Params, user: str) -> object:
        order_id = text_of(params, "order_id")
        self._call(
            c.AdminCancel(ts_ns=self._engine.now_ns(), order_id=order_id, user=user, reason=text_of(params, "reason"))
        )
        return {"order_id": order_id, "accepted": True}

    def _kill(self, params: Params, user: str) -> object:
        scope, target, level = text_of(params, "scope"), str(params.get("target") or ""), text_of(params, "level")
        record = self._call(
            c.AdminKill(
                ts_ns=self._engine.now_ns(),
                scope=scope,
                target=target,
                level=level,
                user=user,
                reason=text_of(params, "reason"),
            )
        )
        stopped = sum(1 for event in record.events if isinstance(event, e.OrderStopping)) if record is not None else 0
        return {"scope": scope, "target": target, "level": level, "canceling": stopped}

    def _resume(self, params: Params, user: str) -> object:
        scope, target = text_of(params, "scope"), str(params.get("target") or "")
        self._call(
            c.AdminResume(
                ts_ns=self._engine.now_ns(), scope=scope, target=target, user=user, reason=text_of(params, "reason")
            )
        )
        return {"scope": scope, "target": target, "level": "ACTIVE"}

    def _session(self, params: Params, user: str) -> object:
        name, action = text_of(params, "name"), text_of(params, "action")
        self._known_session(name)
        if action != "show":
            self._act_on_session(name, action, params, user, text_of(params, "reason"))
        rows: Any = self._sessions({"session": name}, user)
        return rows["sessions"][0]

    def _act_on_session(self, name: str, action: str, params: Params, user: str, reason: str) -> None:
        """The journal first, then QuickFIX."""
        acceptor = self._acceptor

        def note(what: str, target: str = name) -> None:
            self._call(c.AdminNote(ts_ns=self._engine.now_ns(), action=what, target=target, user=user, reason=reason))

        try:
            if action == "logout":
                note("session logout")
                acceptor.logout(name, reason)
            elif action == "disable":
                note("session disable")
                acceptor.disable(name, reason)
            elif action == "enable":
                note("session enable")
                acceptor.enable(name)
            elif action == "reset":
                acceptor.reset(name, lambda: note("session reset"))
            elif action == "set_seq":
                self._set_seq(name, params, note)
            else:
                raise AdminError("BAD_PARAMS", f"action {action!r}: expected show, set_seq, reset, logout, enable or disable")
        except SessionError as error:
            raise AdminError("REFUSED", str(error)) from error

    def _set_seq(self, name: str, params: Params, note: Callable[[str, str], None]) -> None:
        sender, target = params.get("next_sender"), params.get("next_target")
        if sender is None and target is None:
            raise AdminError("BAD_PARAMS", "set_seq: expected next_sender or next_target, at least one")
        for key, value in (("next_sender", sender), ("next_target", target)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise AdminError("BAD_PARAMS", f"{key} {value!r}: expected an integer of 1 or more")

        def journal() -> None:
            if sender is not None:
                note("session set-seq out", f"{name} {sender}")
            if target is not None:
                note("session set-seq in", f"{name} {target}")

        self._acceptor.set_seq(name, journal, next_in=target, next_out=sender)

    def _resolve(self, params: Params, user: str) -> object:
        order_id, outcome, trade_id = text_of(params, "order_id"), text_of(params, "outcome"), str(params.get("trade_id") or "")
        before = self._last_told(order_id, trade_id) if outcome == "correct" else None
        self._call(
            c.AdminResolve(
                ts_ns=self._engine.now_ns(),
                order_id=order_id,
                outcome=outcome,
                evidence=text_of(params, "evidence"),
                user=user,
                trade_id=trade_id,
                qty=decimal_of(params, "qty"),
                px=decimal_of(params, "px"),
                fee=before.fee if before is not None else None,
                fee_asset=before.fee_asset if before is not None else "",
                liquidity=before.liquidity if before is not None else "",
            )
        )

        def make(state: State) -> Order | None:
            return state.find_order(order_id)

        order = self._view(make)
        return {
            "order_id": order_id,
            "outcome": outcome,
            "ord_status": order.ord_status,
            "cum_qty": order.cum_qty,
        } | ({"fee": before.fee, "fee_asset": before.fee_asset} if before is not None else {})

    def _last_told(self, order_id: str, trade_id: str) -> Report | None:
        """The report that tells a trade now, from the journal: its record stands in its ExecID. None for an unknown trade."""

        def make(state: State) -> str | None:
            order = state.find_order(order_id)
            for child in map(state.find_child, order.children if order is not None else ()):
                if child is not None and trade_id in child.fills:
                    return child.fills[trade_id].exec_id
            return None

        exec_id = self._view(make)
        if exec_id is None:
            return None
        try:
            _seq, payload = next(self._engine.journal.read(int(exec_id[8:15], 36)))
        except (JournalError, StopIteration) as error:
            # moved away: a fee that is not told is better than a trade that cannot be corrected
            log.warning("order %s: report %s cannot be read, the correction goes without its fee: %s", order_id, exec_id, error)
            return None
        for event in decode_record(payload).events:
            if isinstance(event, e.Reported) and isinstance(event.message, Report) and event.message.exec_id == exec_id:
                return event.message
        return None

    # --- names that are asked for: a wrong one is told, so that "none" is never the answer to a typo ---

    def _session_of(self, params: Params) -> str:
        name = str(params.get("session") or "")
        if name:
            self._known_session(name)
        return name

    def _known_session(self, name: str) -> None:
        known("session", name, self._config.sessions)

    def _meant_by(self, symbol: str, session: str = "") -> frozenset[str]:
        """The instruments that `symbol` may mean: itself, or what sessions call so, first of all the one that is asked for;
        two sessions may mean two instruments by one name. Empty for ""."""
        settings = self._engine.state.settings
        if not symbol or symbol in settings.instruments:
            return frozenset((symbol,) if symbol else ())
        maps = {name: item.symbols[symbol] for name, item in settings.sessions.items() if symbol in item.symbols}
        called = {maps[session]} if session in maps else set(maps.values())
        # what is configured no more may still have orders
        return frozenset(called or {symbol})

    def _known_symbol(self, symbol: str) -> None:
        """Asked when nothing was found: what is not configured any more may still have orders."""
        if symbol and self._meant_by(symbol) == {symbol}:
            known("symbol", symbol, self._config.instrument_names())
