"""The writes of the admin protocol (protocol.py) on orders and trading: cancel, kill, resume, resolve."""

from __future__ import annotations

import logging

from ..core import commands as c
from ..core import events as e
from ..core.codec import decode_record
from ..core.reports import Report
from ..core.state import State
from ..engine import Engine
from ..journal.errors import JournalError
from .asked import Params, decimal_of, text_of
from .engine_access import durable_view, journaled
from .server import Method

log = logging.getLogger(__name__)


class Writes:
    """Implements those of protocol.METHODS that change orders and kill switches; each is journaled with its user."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def table(self) -> dict[str, Method]:
        """Name -> method."""
        return {"cancel": self._cancel, "kill": self._kill, "resume": self._resume, "resolve": self._resolve}

    def _cancel(self, params: Params, user: str) -> object:
        order_id = text_of(params, "order_id")
        journaled(
            self._engine,
            c.AdminCancel(ts_ns=self._engine.now_ns(), order_id=order_id, user=user, reason=text_of(params, "reason")),
        )
        return {"order_id": order_id, "accepted": True}

    def _kill(self, params: Params, user: str) -> object:
        scope, target, level = text_of(params, "scope"), str(params.get("target") or ""), text_of(params, "level")
        record = journaled(
            self._engine,
            c.AdminKill(
                ts_ns=self._engine.now_ns(),
                scope=scope,
                target=target,
                level=level,
                user=user,
                reason=text_of(params, "reason"),
            ),
        )
        stopped = sum(1 for event in record.events if isinstance(event, e.OrderStopping)) if record is not None else 0
        return {"scope": scope, "target": target, "level": level, "canceling": stopped}

    def _resume(self, params: Params, user: str) -> object:
        scope, target = text_of(params, "scope"), str(params.get("target") or "")
        journaled(
            self._engine,
            c.AdminResume(
                ts_ns=self._engine.now_ns(), scope=scope, target=target, user=user, reason=text_of(params, "reason")
            ),
        )
        return {"scope": scope, "target": target, "level": "ACTIVE"}

    def _resolve(self, params: Params, user: str) -> object:
        order_id, outcome, trade_id = text_of(params, "order_id"), text_of(params, "outcome"), str(params.get("trade_id") or "")
        before = self._last_told(order_id, trade_id) if outcome == "correct" else None
        fee, fee_asset = decimal_of(params, "fee"), str(params.get("fee_asset") or "")
        if outcome == "correct":
            fee, fee_asset = (before.fee, before.fee_asset) if before is not None else (None, "")
        journaled(
            self._engine,
            c.AdminResolve(
                ts_ns=self._engine.now_ns(),
                order_id=order_id,
                outcome=outcome,
                evidence=text_of(params, "evidence"),
                user=user,
                trade_id=trade_id,
                qty=decimal_of(params, "qty"),
                px=decimal_of(params, "px"),
                fee=fee,
                fee_asset=fee_asset,
                liquidity=before.liquidity if before is not None else "",
            ),
        )
        order = durable_view(self._engine, lambda state: state.find_order(order_id))
        assert order is not None
        told = {"order_id": order_id, "outcome": outcome, "ord_status": order.ord_status, "cum_qty": order.cum_qty}
        return told | ({"fee": fee, "fee_asset": fee_asset} if fee_asset or before is not None else {})

    def _last_told(self, order_id: str, trade_id: str) -> Report | None:
        """The report that tells a trade now, from the journal: its record stands in its ExecID. None for an unknown trade."""

        def make(state: State) -> str | None:
            order = state.find_order(order_id)
            for child in map(state.find_child, order.children if order is not None else ()):
                if child is not None and trade_id in child.fills:
                    return child.fills[trade_id].exec_id
            return None

        exec_id = durable_view(self._engine, make)
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
