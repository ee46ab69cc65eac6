"""Packing finished orders away changes nothing that anybody can see: the same commands give the same events, at every step,
whatever touches a packed order, wherever a snapshot falls, and even if every hash collides."""

import random

import pytest
from core_driver import MOVES, Driver
from core_twin import nothing_found, packing, same, tell_again
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixgw.core import cold, hashindex
from fixgw.core.state import State

MOVE = st.tuples(st.integers(0, MOVES - 1), st.integers(0, 11), st.integers(0, 11))


def told(moves: list[tuple[int, int, int]]) -> Driver:
    driver = Driver()
    for move in moves:
        driver.step(*move)
    driver.settle()
    return driver


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.lists(MOVE, min_size=5, max_size=50), st.integers(0, 3), st.integers(1, 4), st.integers(0, 10_000))
def test_any_story_reads_the_same(moves: list[tuple[int, int, int]], warm: int, block: int, at: int) -> None:
    driver = told(moves)
    with packing(warm, block):
        same(driver.world.state, tell_again(driver.world.records, at % len(driver.world.records)))


def long_story(seed: int) -> Driver:
    """Few kinds of moves, fills and ends among them, so that many orders finish and some are touched again."""
    chooser = random.Random(seed)
    kinds = [0, 0, 5, 9, 14, 14, 15, 17, *chooser.sample(range(MOVES), 6)]
    return told([(chooser.choice(kinds), chooser.randrange(12), chooser.randrange(12)) for _ in range(160)])


@pytest.mark.parametrize("seed", range(6))
def test_long_stories_read_the_same(seed: int) -> None:
    driver = long_story(seed)
    with packing(seed % 3, 1 + seed):
        packed = tell_again(driver.world.records, seed * 7)
        same(driver.world.state, packed)
        nothing_found(packed)
        assert packed.cold.count


@pytest.mark.parametrize("seed", range(2))
def test_a_hash_is_never_an_answer(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key has the same hash, every id the same checksum."""

    class Alike:
        def __init__(self, data: bytes, digest_size: int) -> None:
            self.size = digest_size

        def digest(self) -> bytes:
            return b"\x07" * self.size

    monkeypatch.setattr(hashindex, "blake2b", Alike)
    monkeypatch.setattr(cold, "_checksum", lambda order_id: b"\x07" * 4)
    driver = long_story(seed)
    with packing(1, 3):
        packed: State = tell_again(driver.world.records, 50)
        same(driver.world.state, packed)
        nothing_found(packed)
