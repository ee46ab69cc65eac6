"""Rows of the admin protocol made of the state: plain dicts with Decimals, which the server writes as fixed-point text.

A client's figures are as the client wrote them; sums are without the zeros that arithmetic leaves.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from typing import Any

from ..core.child import Fill
from ..core.events import AnyEvent, Reported
from ..core.numbers import ZERO, plain
from ..core.order import Order
from ..core.pace import places_taken
from ..core.reports import CancelReject, Report
from ..core.settings import Limits, quote_of
from ..core.state import READY, State
from ..journal.plain import plain as plain_data
from ..risk.base import limits_enforced

Row = dict[str, Any]
_PENDING = {"6": "cancel", "E": "replace"}
# kinds of repeated orders that are looked at for a table of limits: the engine waits meanwhile
SEEN_KINDS = 1000


def is_unknown(state: State, order: Order) -> bool:
    """Something of it has no answer from the venue."""
    # what is packed away has no open question
    found = [state.children.get(child) for child in order.children]
    return any(child.is_uncertain for child in found if child is not None)


def order_row(state: State, order: Order) -> Row:
    """ORDER of the protocol."""
    pending = _PENDING[order.pending.kind] if order.pending is not None else ("new" if order.status == "A" else "")
    return {
        "order_id": order.order_id,
        "session": order.session,
        "account": order.account,
        "venue": order.venue,
        "cl_ord_id": order.cl_ord_id,
        "orig_cl_ord_id": order.pending.cl_ord_id if order.pending is not None else "",
        "symbol": order.symbol or order.client_symbol,
        "side": order.side,
        "ord_type": order.ord_type,
        "tif": order.tif,
        "order_qty": order.order_qty,
        "cash_qty": order.cash_qty,
        "price": order.price,
        "stop_px": order.stop_px,
        "cum_qty": order.cum_qty,
        "leaves_qty": order.leaves_qty,
        "avg_px": order.avg_px,
        "ord_status": order.ord_status,
        "pending": pending,
        "unknown": is_unknown(state, order),
        "reason": order.stopping or order.reason,
        "created_ns": order.received_ns,
        "updated_ns": order.finished_ns or order.received_ns,
    }


def without_rules(state: State, venue: str) -> list[str]:
    """Symbols that should trade at this venue, and of which it tells no usable rules while it is up."""
    if state.venues[venue].state != READY:
        return []
    ours = (name for name, item in state.settings.instruments.items() if venue in item.venues)
    return sorted(name for name in ours if f"{venue}|{name}" not in state.instruments)


def child_rows(state: State, order: Order) -> list[Row]:
    """The order's children."""
    return [
        {
            "venue_cl_ord_id": child.venue_cl_ord_id,
            "venue_order_id": child.venue_order_id,
            "venue": child.venue,
            "qty": child.qty,
            "px": child.px,
            "cum_qty": child.cum_qty,
            "state": child.closed_as or child.state,
        }
        for child in map(state.find_child, order.children)
        if child is not None
    ]


def fill_row(event: Reported, state: State) -> Row | None:
    """FILL of the protocol, of an ExecutionReport that tells a trade; None for any other."""
    report = event.message
    if not isinstance(report, Report) or report.exec_type not in ("F", "G"):
        return None
    fill = _fill_of(state, report)
    return {
        "exec_id": report.exec_id,
        "order_id": report.order_id,
        "cl_ord_id": report.cl_ord_id,
        "session": event.session,
        "account": event.account,
        "venue": report.venue,
        "symbol": report.instrument,
        "side": report.side,
        "last_qty": report.last_qty,
        "last_px": report.last_px,
        "fee": report.fee,
        "fee_asset": report.fee_asset,
        "liquidity": report.liquidity,
        "venue_trade_id": report.venue_trade_id,
        "busted": fill is not None and fill.busted,
        # a trade that was corrected has a row for each report that told it; the last one holds
        "corrected_by": fill.exec_id if fill is not None and fill.exec_id != report.exec_id else "",
        "corrects": report.exec_ref_id,
        "ts_ns": report.transact_ns,
    }


def _fill_of(state: State, report: Report) -> Fill | None:
    """What is known of the report's trade now; None when its order is forgotten."""
    child = state.find_child(report.venue_cl_ord_id)
    return child.fills.get(report.venue_trade_id) if child is not None else None


_SCOPES = {"s": "session", "a": "account", "firm": "firm"}


def split_scope(key: str) -> tuple[str, str]:
    """ "s:OMS44" -> ("session", "OMS44")."""
    kind, _, name = key.partition(":")
    return _SCOPES[kind], name


def position_rows(state: State, account: str, instruments: Collection[str]) -> list[Row]:
    """Positions per scope and instrument; none given: of all."""
    rows = []
    for key, exposure in state.exposures.items():
        scope, name = split_scope(key)
        if account and (scope, name) != ("account", account):
            continue
        for item, value in exposure.symbols.items():
            if instruments and item not in instruments:
                continue
            rows.append(
                {
                    "scope": scope,
                    "name": name,
                    "symbol": item,
                    "net": plain(value.position),
                    "open_buy": plain(value.open_buy),
                    "open_sell": plain(value.open_sell),
                }
            )
    return rows


def balance_rows(state: State, account: str) -> list[Row]:
    """Balances of the venue accounts; available = free less what is in flight and not yet in it."""
    rows = []
    for found in state.accounts.values():
        if account and found.name != account:
            continue
        settings = state.settings.accounts.get(found.name)
        in_flight = found.reserved
        for asset in found.total:
            free, flying = found.free.get(asset, ZERO), in_flight.get(asset, ZERO)
            rows.append(
                {
                    "account": found.name,
                    "venue": settings.venue if settings is not None else "",
                    "asset": asset,
                    "free": plain(free),
                    "total": plain(found.total[asset]),
                    "in_flight": plain(flying),
                    "available": plain(free - flying),
                    # an account event may have told this asset after the last full answer
                    "asof_ns": max(found.asof_ns, found.later.get(asset, 0)),
                }
            )
    return rows


def limit_rows(state: State, session: str, now_ns: int) -> list[Row]:
    """Every limit in force with what counts against it now; one whose risk stage is not configured is not in force."""
    rows: list[Row] = []
    in_force = limits_enforced(state.settings.risk_stages)
    for key, limits in _scopes(state, session):
        scope, name = split_scope(key)
        for limit, symbol, used, most in (*_limits_of(state, key, limits), *_paces_of(state, key, limits, now_ns)):
            if limit not in in_force:
                continue
            rows.append({"scope": scope, "name": name, "limit": limit, "symbol": symbol, "used": used, "max": most})
    return rows


def _scopes(state: State, session: str) -> Iterator[tuple[str, Limits]]:
    for name, settings in state.settings.sessions.items():
        if settings.role == "trading" and session in ("", name):
            yield "s:" + name, settings.limits
    for name, account in state.settings.accounts.items():
        yield "a:" + name, account.limits
    yield "firm", state.settings.firm


def _limits_of(state: State, key: str, limits: Limits) -> Iterator[tuple[str, str, object, object]]:
    exposure = state.exposures.get(key)
    symbols = exposure.symbols if exposure is not None else {}
    for field in ("max_order_qty", "max_notional", "collar_bps"):
        for symbol, most in getattr(limits, field).items():
            yield field, symbol, None, most
    for symbol, most in limits.max_open_notional.items():
        if symbol != "*":
            yield "max_open_notional", symbol, state.exposure(key, symbol).open_notional, most
            continue
        for quote in dict.fromkeys(map(quote_of, [*state.settings.instruments, *symbols])):
            # of all instruments of the quote asset together
            yield "max_open_notional", f"*/{quote}", state.open_notional(key, quote), most
    for field in ("max_gross", "max_net"):
        for symbol, most in getattr(limits, field).items():
            for item in symbols if symbol == "*" else [symbol]:
                if symbol == "*" and item in getattr(limits, field):
                    continue
                value = state.exposure(key, item)
                used = {
                    "max_gross": abs(value.position) + value.open_buy + value.open_sell,
                    "max_net": max(value.position + value.open_buy, value.open_sell - value.position),
                }[field]
                yield field, item, plain(used), most
    if limits.max_open_orders is not None:
        yield "max_open_orders", "", exposure.open_orders if exposure is not None else 0, limits.max_open_orders
    if limits.max_quote_age_ns is not None:
        yield "max_quote_age_ms", "", None, limits.max_quote_age_ns // 1_000_000
    if limits.buying_power:
        yield "buying_power", "", None, "available balance"


def _paces_of(state: State, key: str, limits: Limits, now_ns: int) -> Iterator[tuple[str, str, object, object]]:
    """What counts over time: the places of the burst that are taken now; of all orders how often the most repeated one came
    within the window (of the SEEN_KINDS that came last)."""
    name = split_scope(key)[1]
    counted = state.sessions.get(name) if key.startswith("s:") else state.paces.get(key)
    if limits.msg_rate is not None:
        yield "msgs_per_s", "", None, limits.msg_rate
        taken = places_taken(limits.msg_rate, counted.tat_ns, now_ns) if counted is not None else 0
        yield "msg_burst", "", min(taken, limits.msg_burst), limits.msg_burst
    if limits.repeat_max is not None:
        horizon, kinds = now_ns - limits.repeat_window_ns, counted.repeats if counted is not None else {}
        times = (kinds[kind] for kind in itertools.islice(reversed(kinds), SEEN_KINDS))
        yield "repeat_max", "", max((sum(at_ns > horizon for at_ns in each) for each in times), default=0), limits.repeat_max


def level_rows(state: State) -> list[Row]:
    """Kill-switch levels of everything."""
    rows = [{"scope": "firm", "name": "", "level": state.level}]
    rows += [{"scope": "session", "name": item.name, "level": item.level} for item in state.sessions.values()]
    rows += [{"scope": "venue", "name": item.name, "level": item.level} for item in state.venues.values()]
    return rows


def _shown(value: object) -> str:
    """A field of an event for a person: what is in it by name, figures without exponents."""
    data = plain_data(value)
    if not isinstance(data, dict):
        return str(data)
    return "(" + " ".join(f"{key}={item}" for key, item in data.items() if item not in (None, "", 0)) + ")"


def history_row(seq: int, event: AnyEvent, order_id: str) -> Row | None:
    """One line of an order's story; reports are told by what they say."""
    if isinstance(event, Reported):
        message = event.message
        if not isinstance(message, Report | CancelReject) or message.order_id != order_id:
            return None
        kind = getattr(message, "exec_type", "")
        text = f"150={kind} 39={message.ord_status} " if kind else "cancel reject "
        text += " ".join(part for part in (message.reason, message.text) if part)
        return {"seq": seq, "ts_ns": getattr(message, "transact_ns", 0), "event": "Reported", "text": text.strip()}
    named = getattr(event, "order_id", "") == order_id or getattr(event, "venue_cl_ord_id", "").startswith(order_id)
    if not named:
        return None
    skipped = ("order_id", "ts_ns")
    fields = [name for name in event.__struct_fields__ if name not in skipped]
    text = " ".join(f"{name}={_shown(getattr(event, name))}" for name in fields if getattr(event, name) not in (None, "", 0))
    return {"seq": seq, "ts_ns": getattr(event, "ts_ns", 0), "event": type(event).__name__, "text": text}
