"""A venue host's clock: the gateway's (fixgw/clock.py), so that their times can be compared whatever the wall clock does.

The gateway tells with each heartbeat how far its time is from the machine's steady clock. Until it has, it is the wall clock.
A moment is the same time of the gateway's whenever it is told, and a later moment a later one: the gateway's clock goes a little
faster or slower than the steady one, and would else make of one balance report an older one, and of a trade another one. Only
when the gateway's clock was set are all moments told anew, as the gateway does with what it keeps.
What is asked of the exchange (since when, signed when) goes by the wall clock still: the exchange compares it with its own.
"""

from __future__ import annotations

import bisect
import time
from typing import Final, NamedTuple

# no order may wait for longer, whatever its deadline says
LONGEST_NS = 10_000_000_000

# further apart than this the gateway's clock was set; else it goes faster or slower
SET_NS: Final = 1_000_000_000
# of the gateway's words of its clock, one a second
MAX_SPANS: Final = 1024


class _Span(NamedTuple):
    """From `from_ns` of the machine's steady clock on the gateway's time less that is `begin_ns`, and comes down to `end_ns` by
    half of what passes: so no moment is told as an earlier one than those before it."""

    from_ns: int
    begin_ns: int
    end_ns: int

    def at(self, boot_ns: int) -> int:
        return max(self.end_ns, self.begin_ns - max(boot_ns - self.from_ns, 0) // 2)


class GatewayTime:
    """The gateway's time by the machine's steady clock, as far as it was told. One thread learns, any may ask."""

    def __init__(self) -> None:
        # in order; replaced as a whole
        self._spans: tuple[_Span, ...] = ()

    @property
    def known(self) -> bool:
        """The gateway has told."""
        return bool(self._spans)

    def learn(self, boot_ns: int, offset_ns: int) -> None:
        """At `boot_ns` of the steady clock the gateway's time is that and `offset_ns`."""
        so_far_ns = self._spans[-1].at(boot_ns) if self._spans else offset_ns
        if not self._spans or abs(offset_ns - so_far_ns) >= SET_NS:
            self._spans = (_Span(boot_ns, offset_ns, offset_ns),)
        elif offset_ns != so_far_ns:
            self._spans = (*self._spans[-MAX_SPANS + 1 :], _Span(boot_ns, max(so_far_ns, offset_ns), offset_ns))

    def at(self, boot_ns: int) -> int:
        """A moment of the steady clock; it must be known."""
        spans = self._spans
        span = spans[-1]
        if boot_ns < span.from_ns:
            span = spans[max(bisect.bisect_right(spans, boot_ns, key=_from_ns) - 1, 0)]
        return boot_ns + span.at(boot_ns)


def _from_ns(span: _Span) -> int:
    return span.from_ns


_gateway: Final = GatewayTime()


def _boot_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


# makes of the steady clock a time that looks like one
_BASE_NS = time.time_ns() - _boot_ns()


def learn(offset_ns: int | None) -> None:
    """The gateway's time less the steady clock's; None: it did not say."""
    if offset_ns is not None:
        _gateway.learn(_boot_ns(), offset_ns)


def now_ns() -> int:
    """The gateway's time."""
    return _gateway.at(_boot_ns()) if _gateway.known else time.time_ns()


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
    return _gateway.at(ns - _BASE_NS) if _gateway.known else to_wall(ns)


def to_wall(ns: int) -> int:
    """A moment by `steady_ns` by the wall clock as it stands now: what an exchange is asked for."""
    return ns - steady_ns() + time.time_ns()
