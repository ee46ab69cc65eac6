"""A venue host's clock: the gateway's (fixgw/clock.py), so that their times can be compared whatever the wall clock does.

The gateway tells with each heartbeat how far its time is from the machine's steady clock. Until it has, it is the wall clock.
What is asked of the exchange (since when, signed when) goes by the wall clock still: the exchange compares it with its own.
"""

from __future__ import annotations

import time

# no order may wait for longer, whatever its deadline says
LONGEST_NS = 10_000_000_000

_offset_ns: int | None = None


def _boot_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


# makes of the steady clock a time that looks like one
_BASE_NS = time.time_ns() - _boot_ns()


def learn(offset_ns: int | None) -> None:
    """The gateway's time less the steady clock's; None: it did not say."""
    global _offset_ns
    if offset_ns is not None:
        _offset_ns = offset_ns


def now_ns() -> int:
    """The gateway's time."""
    return time.time_ns() if _offset_ns is None else _boot_ns() + _offset_ns


def steady_ns() -> int:
    """Never set while this process lives. All times of our own within a host are by it: what is held against earlier ones
    (quotes, balances) and deadlines must not move. host.py makes them the gateway's where they are told."""
    return _boot_ns() + _BASE_NS


def deadline_ns(expires_ns: int) -> int:
    """A moment of the gateway's time by the steady clock; 0 stays 0. However the clock is set while an order waits, it leaves no
    later for that, and is given up no sooner."""
    return min(expires_ns - now_ns(), LONGEST_NS) + steady_ns() if expires_ns else 0


def of_steady(ns: int) -> int:
    """A moment by `steady_ns` as the gateway's time; 0 stays 0."""
    if not ns:
        return 0
    return to_wall(ns) if _offset_ns is None else ns - _BASE_NS + _offset_ns


def to_wall(ns: int) -> int:
    """A moment by `steady_ns` by the wall clock as it stands now: what an exchange is asked for."""
    return ns - steady_ns() + time.time_ns()
