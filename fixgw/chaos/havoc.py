"""What to break: kills of processes at random moments and at traps, and the exchange's faults in between. Seeded."""

from __future__ import annotations

import random
from typing import Any, Final

from ..sim.client import SimError
from .traps import POINTS
from .world import World

TARGETS: Final = ("gateway", "trap", "front", "venue:sim", "simulator", "connection")
TRAP_WAIT_S: Final = 4.0
# a part that was killed is up again long before
BACK_S: Final = 60.0
_ENTRY: dict[str, Any] = {}
_CANCEL: dict[str, Any] = {"op": "order.cancel"}
_AMEND: dict[str, Any] = {"op": "order.amend.keepPriority"}
# kind, params, seconds (None: by count)
_FAULTS: Final[tuple[tuple[str, dict[str, Any], float | None], ...]] = (
    ("drop_before", {}, None),
    ("drop_after", {}, None),
    ("hang", {"hold": 8.0}, None),
    ("delay", {"delay": 1.5}, None),
    ("delay", {"delay": 3.0, "accept": False}, None),
    ("http_5xx", {"accept": True}, None),
    ("http_5xx", {"accept": False}, None),
    ("empty_200", {}, None),
    ("html_200", {}, None),
    ("truncated", {}, None),
    ("code_1007", {"accept": True}, None),
    ("code_1007", {"accept": False}, None),
    ("reply_429", {"retry_after": 1}, None),
    ("outage", {}, 1.5),
    ("ws_delay", {"delay": 0.8}, 1.5),
    ("ws_duplicate", {}, 1.5),
    ("ws_missing", {}, 0.7),
    ("book_gap", {}, None),
    ("ws_terminate", {}, None),
    ("ws_disconnect", {"target": "streams"}, None),
    ("ws_disconnect", {"target": "api"}, None),
)
_ANY_REQUEST: Final = frozenset(("reply_429", "outage"))
_EVENTS: Final = frozenset(("ws_delay", "ws_duplicate", "ws_missing", "book_gap", "ws_terminate", "ws_disconnect"))
_ACTIONS: Final = frozenset(("ws_terminate", "ws_disconnect"))


class Havoc:
    """Rounds over the targets, so that a short run hits each; rounds over the traps and over the faults as well."""

    def __init__(self, world: World, targets: tuple[str, ...], seed: int) -> None:
        self._world = world
        self._targets = targets
        self._random = random.Random(f"{seed}/havoc")
        self._queue: list[str] = []
        self._points: list[str] = []
        self._faults: list[tuple[str, dict[str, Any], float | None]] = []
        self.faults = 0
        self.sprung: dict[str, int] = {}

    def pause_s(self) -> float:
        """How long to let it trade before the next kill."""
        return self._random.choice((0.1, 0.4, 0.8)) + self._random.random()

    def patient(self) -> bool:
        """Whether to wait until all is well again; otherwise the next blow falls on what is just getting up."""
        return self._random.random() < 0.7

    def kill(self) -> str:
        """One kill; what was done, for people. What is just getting up is waited for. Raises TimeoutError: it stays away."""
        if not self._queue:
            self._queue = self._random.sample(self._targets, len(self._targets))
        target = self._queue.pop()
        if target == "trap":
            return self._kill_at_trap()
        self._world.wait(f"{target} is there to be killed", lambda: self._hit(target), BACK_S)
        return "connections of the exchange" if target == "connection" else target

    def _kill_at_trap(self) -> str:
        if not self._points:
            self._points = self._random.sample(sorted(POINTS), len(POINTS))
        point, after = self._points.pop(), self._random.randint(1, 12)
        sprang: bool | None = None

        def hit() -> bool:
            nonlocal sprang
            sprang = self._world.kill_at(point, after, TRAP_WAIT_S)
            return sprang is not None

        self._world.wait("gateway is there to be killed", hit, BACK_S)
        if not sprang:
            return f"gateway ('{point}' did not come in time)"
        self.sprung[point] = self.sprung.get(point, 0) + 1
        return f"gateway at '{point}' ({after})"

    def _hit(self, target: str) -> bool:
        """False: it is not there just now."""
        if target != "connection":
            return self._world.kill(target)
        try:
            return bool(self._world.sim().fault("ws_disconnect", target="all")["hit"])
        except SimError:
            return False

    def fault(self) -> str:
        """Switch a fault on, three times of four; what it was, or ""."""
        if self._random.random() < 0.25:
            return ""
        if not self._faults:
            self._faults = self._random.sample(_FAULTS, len(_FAULTS))
        kind, params, seconds = self._faults.pop()
        options: dict[str, Any] = {}
        if kind not in _ACTIONS:
            options = {"seconds": seconds} if seconds is not None else {"count": self._random.randint(1, 3)}
        if kind not in _ANY_REQUEST and kind not in _EVENTS:
            options["match"] = self._random.choice((_ENTRY, _ENTRY, _CANCEL, _AMEND))
        try:
            self._world.sim().fault(kind, **options, **params)
        except (SimError, OSError):
            return ""
        self.faults += 1
        return kind
