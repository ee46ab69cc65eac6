"""`fixgw session NAME reset` and `set-seq`: what is journaled, and that it is the acceptor that decides when."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from fixgw.admin.protocol import AdminError
from fixgw.admin.session_actions import SessionActions
from fixgw.core import commands as c
from fixgw.fix.acceptor import SessionError

REASON = {"name": "OMS44", "reason": "agreed"}


class Engine:
    """Knows only how to journal. `told`: the notes, and what the acceptor does, in the order of happening."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def now_ns(self) -> int:
        return 1

    def call(self, command: c.AdminNote) -> None:
        self.told.append(f"{command.action} {command.target} by {command.user}: {command.reason}")


class Acceptor:
    def __init__(self, told: list[str]) -> None:
        self.told = told
        self.busy = False

    def _change(self, what: str, journal: Callable[[], object]) -> None:
        if self.busy:
            raise SessionError("session OMS44 is logged on, expected logged out")
        self.told.append("barred")
        journal()
        self.told.append(what)

    def reset(self, name: str, journal: Callable[[], object]) -> None:
        self._change(f"reset {name}", journal)

    def set_seq(self, name: str, journal: Callable[[], object], *, next_in: int | None, next_out: int | None) -> None:
        self._change(f"{name} in {next_in} out {next_out}", journal)


@pytest.fixture
def engine() -> Iterator[Engine]:
    yield Engine()


def act(engine: Engine, params: dict[str, Any], *, busy: bool = False) -> list[str]:
    acceptor = Acceptor(engine.told)
    acceptor.busy = busy
    actions = SessionActions(engine, acceptor, SimpleNamespace(), lambda params, user: {})  # type: ignore[arg-type]
    actions.act("OMS44", params["action"], params, "ann", params["reason"])
    return engine.told


def test_reset(engine: Engine) -> None:
    assert act(engine, REASON | {"action": "reset"}) == ["barred", "session reset OMS44 by ann: agreed", "reset OMS44"]


def test_set_seq(engine: Engine) -> None:
    told = act(engine, REASON | {"action": "set_seq", "next_sender": 7, "next_target": 9})
    assert told == [
        "barred",
        "session set-seq out OMS44 7 by ann: agreed",
        "session set-seq in OMS44 9 by ann: agreed",
        "OMS44 in 9 out 7",
    ]


@pytest.mark.parametrize("action", [{"action": "reset"}, {"action": "set_seq", "next_target": 9}])
def test_nothing_is_journaled_of_a_session_that_is_there(engine: Engine, action: dict[str, Any]) -> None:
    with pytest.raises(AdminError, match="logged on"):
        act(engine, REASON | action, busy=True)
    assert engine.told == []


def test_bad_numbers_change_nothing(engine: Engine) -> None:
    for bad in ({}, {"next_target": 0}, {"next_target": 3, "next_sender": True}):
        with pytest.raises(AdminError, match="expected"):
            act(engine, REASON | {"action": "set_seq"} | bad)
    assert engine.told == []
