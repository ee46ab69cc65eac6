"""What a venue's balance report makes of an account: asset by asset, the newest word counts."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from . import events as e
from .retention import release
from .state import State


def apply_balances(state: State, ev: e.BalancesUpdated) -> None:
    """Figures as of before what is known change nothing; what they cover of our orders is reserved no longer."""
    account = state.account(ev.account)
    free, total, later = ev.free, ev.total, ev.later
    if ev.asof_ns >= account.asof_ns:
        asof_ns = ev.asof_ns
        known = {asset: at_ns for asset, at_ns in account.later.items() if at_ns > later.get(asset, asof_ns)}
        free, total = _with(free, account.free, known), _with(total, account.total, known)
        later = later | known
    else:
        # overtaken on its way: of what is spent it would give back; what it tells as of later than is known is news still
        asof_ns = account.asof_ns
        news = {asset: at_ns for asset, at_ns in later.items() if at_ns > account.later.get(asset, asof_ns)}
        if not news:
            return
        free, total = _with(account.free, free, news), _with(account.total, total, news)
        later = account.later | news
    account.asof_ns, account.later = asof_ns, later
    account.free, account.total = free, total
    for child_id, ts_ns in list(account.covered_from.items()):
        child = state.children[child_id]
        if ts_ns <= asof_ns or ts_ns <= later.get(child.reserve_asset, 0):
            release(account, child)
    for asset, qty in account.settling.release(asof_ns, later).items():
        account.reserved[asset] -= qty


def _with(figures: dict[str, Decimal], others: dict[str, Decimal], assets: Iterable[str]) -> dict[str, Decimal]:
    """`figures`, those of `assets` as in `others` where there are such."""
    return figures | {asset: others[asset] for asset in assets if asset in others}
