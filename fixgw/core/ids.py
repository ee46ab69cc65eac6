"""Identifiers: derived from install id + epoch + journal sequence + index, so that they never repeat.

Form: 5 characters install id (random, made by `fixgw init`), 3 of epoch (raised and synced at each start), 7 of journal
sequence, all base 36 in upper case; then the index. Only letters and digits and at most 20 characters, which fits every
venue's client-order-id rule known to us (binance 36, okx 32 alphanumeric, deribit 64).
"""

from __future__ import annotations

import functools

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)
INSTALL_LEN = 5


def base36(value: int, width: int) -> str:
    """`value` >= 0 in base 36, zero-filled to `width`; longer when it does not fit (an id may grow, never repeat)."""
    assert value >= 0
    out = ""
    while value:
        value, digit = divmod(value, 36)
        out = _DIGITS[digit] + out
    return out.rjust(width, "0")


@functools.lru_cache(maxsize=64)
def _begin(install: str, epoch: int, high: int) -> str:
    """Install id, epoch, and the sequence without its last two digits: what 1296 records have in common."""
    return f"{install}{base36(epoch, 3)}{base36(high, 5)}"


def _record(install: str, epoch: int, seq: int) -> str:
    """What all ids of one journal record begin with."""
    return _begin(install, epoch, seq // 1296) + _PAIRS[seq % 1296]


def order_id(install: str, epoch: int, seq: int) -> str:
    """OrderID(37): one new order at most per journal record."""
    return _record(install, epoch, seq)


def exec_id(install: str, epoch: int, seq: int, index: int) -> str:
    """ExecID(17): `index` counts the reports of the journal record `seq`."""
    return f"{_record(install, epoch, seq)}X{_PAIRS[index] if index < 1296 else base36(index, 2)}"


def venue_cl_ord_id(order: str, child_number: int) -> str:
    """The id that we give the venue for child `child_number` (from 1) of an order."""
    return f"{order}C{_PAIRS[child_number] if child_number < 1296 else base36(child_number, 2)}"


def is_ours(install: str, venue_id: str) -> bool:
    """True when a venue's client order id was made by this installation."""
    return venue_id.startswith(install) and len(venue_id) >= INSTALL_LEN + 13
