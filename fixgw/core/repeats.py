"""Orders of a session that are the same, and when they came: what the repeated-order throttle counts. Called by evolve alone."""

from __future__ import annotations

import functools
from decimal import Decimal

from . import events as e
from .numbers import plain_text
from .state import State

MAX_REPEATS = 1024


@functools.lru_cache(maxsize=64)
def repeat_key(symbol: str, side: str, qty: Decimal, price: Decimal | None) -> str:
    """What makes two orders "the same" for the repeated-order throttle; 1 and 1.0 are. `qty`: OrderQty or CashOrderQty.
    Refused orders count too: a client gone wild repeats those most of all. Kept: decide asks for it just before evolve."""
    return f"{symbol}|{side}|{plain_text(qty)}|{plain_text(price) if price is not None else None}"


def note_repeat(state: State, ev: e.OrderReceived) -> None:
    """Where a session limits repeats: one more at this time, and what has left the window forgotten."""
    settings = state.settings.sessions.get(ev.session)
    if settings is None or settings.limits.repeat_max is None:
        return
    repeats = state.session(ev.session).repeats
    horizon = ev.ts_ns - settings.limits.repeat_window_ns
    key = repeat_key(ev.symbol, ev.side, ev.order_qty if ev.cash_qty is None else ev.cash_qty, ev.price)
    before = repeats.pop(key, None)
    repeats[key] = [ev.ts_ns] if before is None else [*(ts for ts in before if ts > horizon), ev.ts_ns][-MAX_REPEATS:]
    # the oldest key stands first: drop what has left the window, a few at a time
    for _ in range(2):
        oldest = next(iter(repeats))
        if repeats[oldest][-1] > horizon:
            break
        del repeats[oldest]
