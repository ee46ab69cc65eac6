"""The installation that is attacked, and who attacks it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hostile import Attacker, Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One installation for all tests of a file."""
    made = Stack(tmp_path_factory.mktemp("hostile"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def attacker(stack: Stack) -> Iterator[Attacker]:
    """Not logged on; behind the test the installation is looked over."""
    made = Attacker(stack.address, "OMS44")
    yield made
    made.close()
    stack.check()


@pytest.fixture
def live(attacker: Attacker) -> Attacker:
    """Logged on, both sides at 1."""
    attacker.logon()
    return attacker
