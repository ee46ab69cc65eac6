"""Orders named from the exchange's list of all orders: what it shows is found, at a weight that is worth it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixgw.venues.order_lists import WORTH, Listed, Page, find


def walk(wanted: Sequence[str], listed: Sequence[int], size: int) -> tuple[dict[str, Listed], int]:
    """What is found of `wanted`, and how many pages it took."""
    asked: list[int] = []

    async def page(first: str) -> Page:
        asked.append(int(first))
        rows = [number for number in sorted(listed) if number >= int(first)][:size]
        return Page(tuple(Listed(str(number), f"our-{number}", False) for number in rows), len(rows) < size)

    found = asyncio.run(find(wanted, page))
    assert len(set(asked)) == len(asked), "a page was asked for twice"
    assert all(order.our_id == f"our-{order_id}" for order_id, order in found.items())
    return found, len(asked)


@given(st.sets(st.integers(1, 400), max_size=120), st.sets(st.integers(1, 400), max_size=200), st.integers(1, 60))
def test_only_what_the_list_shows_is_named(wanted: set[int], listed: set[int], size: int) -> None:
    found, _ = walk([str(number) for number in wanted], list(listed), size)
    assert {int(order_id) for order_id in found} <= wanted & listed


@pytest.mark.parametrize(
    ("wanted", "listed", "found", "pages"),
    [
        # in one piece: a page of 1000 each
        (range(1, 2501), range(1, 2501), 2500, 3),
        # with as many orders between them that did not trade
        (range(2, 2001, 2), range(1, 2001), 1000, 2),
        # some few are not worth a page
        (range(1, WORTH + 1), range(1, 100), 0, 0),
        # a list that does not have them ends the walk
        (range(1, 2501), (), 0, 1),
    ],
)
def test_pages_for_orders_in_one_piece(wanted: range, listed: Sequence[int], found: int, pages: int) -> None:
    names, taken = walk([str(number) for number in wanted], listed, 1000)
    assert (len(names), taken) == (found, pages)


def test_a_few_old_orders_do_not_hide_the_many_new_ones() -> None:
    old = [number * 1_000_000 for number in range(1, 9)]
    new = list(range(100_000_000, 100_003_000))
    others = [start + step for start in old for step in range(1, 2000)]
    found, pages = walk([str(number) for number in old + new], old + new + others, 1000)
    assert len(found) >= 2990 and pages <= 10


def test_orders_far_apart_cost_a_few_pages() -> None:
    """A page names one order each: single questions are cheaper, which is noticed soon."""
    wanted = [number * 1000 for number in range(1, 2001)]
    listed = [number + step for number in wanted for step in range(25)]
    _, pages = walk([str(number) for number in wanted], listed, 20)
    assert pages <= 12


def test_ids_that_are_no_numbers_are_left_out() -> None:
    found, pages = walk(["abc", "", "x-1", "²"] + [str(number) for number in range(1, 11)], range(1, 11), 1000)
    assert len(found) == 10 and pages == 1
