"""Whose orders these are, by the exchange's list of all orders: one page instead of a question for each.

A venue host that was restarted knows none of the orders whose trades it reads, and as long as a trade could be of an order
that is looked for, nothing can be said of that one. Asked for one by one, thousands of orders took the rate limit of minutes.

Only what a list shows is used. That it does not show an order proves nothing here: such an order is asked for by itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

# a page weighs as much as so many questions for single orders, or less (Binance: 20 and 4)
WORTH = 5
_PAGES_MAX = 100


@dataclass(frozen=True, slots=True)
class Listed:
    """One order of a list. `our_id`: "" where it has no client's id."""

    order_id: str
    our_id: str
    open: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Orders of one symbol from a number on, in rising order; `last`: the exchange has none beyond it."""

    orders: tuple[Listed, ...]
    last: bool


async def find(order_ids: Iterable[str], page: Callable[[str], Awaitable[Page]]) -> dict[str, Listed]:
    """Those of the venue's `order_ids` that its list shows. Ids must be numbers that rise (others are left out); `page` asks for
    the page from an id on. Where orders lie so far apart that a page is not worth its weight, ever more are passed over,
    so that a few old ones cost little and do not keep the others from being found."""
    wanted = sorted({int(found) for found in order_ids if found.isascii() and found.isdigit()})
    missing, out = set(wanted), dict[str, Listed]()
    at, stride = 0, 1
    for _ in range(_PAGES_MAX):
        if len(wanted) - at <= WORTH:
            break
        shown = await page(str(wanted[at]))
        numbers = {int(order.order_id): order for order in shown.orders}
        hits = missing & numbers.keys()
        out.update((str(number), numbers[number]) for number in hits)
        missing -= hits
        if shown.last:
            break
        at = max(bisect_right(wanted, max(numbers, default=0)), at + stride)
        stride = 1 if len(hits) > WORTH else stride * 2
    return out
