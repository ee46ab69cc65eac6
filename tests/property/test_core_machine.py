"""Whatever the line to the venue does, whatever clients and operations ask: the core's invariants hold after every command,
and when the faults end, the core's and the client's view come to the venue's truth. Shrinks to the shortest bad story."""

import os

from core_venue import Driver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FIXGW_CORE_EXAMPLES", "40"))
MOVE = st.tuples(st.integers(0, 32), st.integers(0, 11), st.integers(0, 11))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(MOVE, min_size=1, max_size=60), st.integers(0, 10_000))
def test_any_story_ends_in_agreement(moves: list[tuple[int, int, int]], at: int) -> None:
    driver = Driver()
    for move in moves:
        driver.step(*move)
    driver.settle()
    driver.world.check_snapshot(at % (len(driver.world.records) + 1))
