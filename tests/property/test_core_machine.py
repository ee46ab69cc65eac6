"""Whatever the line to the venue does, whatever clients and operations ask: the core's invariants hold after every command,
and when the faults end, the core's and the client's view come to the venue's truth. Shrinks to the shortest bad story.

FIXGW_CORE_EXAMPLES=20000 looks longer.
"""

import os
import random

import pytest
from core_driver import MOVES, Driver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FIXGW_CORE_EXAMPLES", "60"))
MOVE = st.tuples(st.integers(0, MOVES - 1), st.integers(0, 11), st.integers(0, 11))
LENGTH = 100


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(st.lists(MOVE, min_size=1, max_size=60), st.integers(0, 10_000))
def test_any_story_ends_in_agreement(moves: list[tuple[int, int, int]], at: int) -> None:
    tell(moves, at)


@pytest.mark.parametrize("block", range(4))
def test_long_stories_of_few_kinds_of_moves(block: int) -> None:
    """Each seed plays a random handful of the moves, so that rare ones meet often."""
    share = max(EXAMPLES // 4, 1)
    for seed in range(block * share, block * share + share):
        chooser = random.Random(seed)
        kinds = [0, 3, 5, 9, 14, *chooser.sample(range(MOVES), chooser.randrange(3, 14))]
        moves = [(chooser.choice(kinds), chooser.randrange(12), chooser.randrange(12)) for _ in range(LENGTH)]
        try:
            tell(moves, seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def tell(moves: list[tuple[int, int, int]], at: int) -> None:
    """Play, come to rest, and take a snapshot at some prefix."""
    driver = Driver()
    for move in moves:
        driver.step(*move)
    driver.settle()
    driver.world.check_snapshot(at % (len(driver.world.records) + 1))
