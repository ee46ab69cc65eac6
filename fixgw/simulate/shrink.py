"""A failing seed made simpler: fewer kinds of faults, a shorter run, as long as the same invariant still fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from .scheduler import FAULTS
from .world import ACTIVE_S, Outcome, World

MAX_TRIES: Final = 80
MIN_ACTIVE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Case:
    """A run that can be replayed. `off`: fault kinds that do not happen; `active_s`: length of the active phase; `deep`: purity
    and hashes are checked at every single step, which finds more and takes twice as long."""

    seed: int
    plant: str = ""
    off: frozenset[str] = frozenset()
    active_s: float = ACTIVE_S
    deep: bool = False

    def run(self, story: int = 60) -> Outcome:
        """From start to end."""
        return World(self.seed, self.plant, self.off, self.active_s, self.deep, story).run()

    def command(self) -> str:
        """What replays it."""
        words = [f"fixgw simulate --seed {self.seed}"]
        if self.plant:
            words.append(f"--plant {self.plant}")
        if self.off:
            words.append("--off " + ",".join(kind for kind in FAULTS if kind in self.off))
        if self.active_s != ACTIVE_S:
            words.append(f"--active {self.active_s:g}")
        if self.deep:
            words.append("--deep")
        return " ".join(words)


def shrink(case: Case, invariant: str) -> tuple[Case, int]:
    """The simplest case found that violates the same invariant, and how many runs that took (at most MAX_TRIES)."""
    tries = 0

    def fails(candidate: Case) -> bool:
        nonlocal tries
        tries += 1
        violation = candidate.run().violation
        return violation is not None and violation[0] == invariant

    for _ in range(2):
        before = case
        for kind in FAULTS:
            if kind not in case.off and tries < MAX_TRIES:
                candidate = replace(case, off=case.off | {kind})
                if fails(candidate):
                    case = candidate
        for part in (0.25, 0.5, 0.75, 0.9):
            shorter = round(case.active_s * part, 1)
            if shorter >= MIN_ACTIVE_S and tries < MAX_TRIES:
                candidate = replace(case, active_s=shorter)
                if fails(candidate):
                    case = candidate
        if case == before:
            break
    return case, tries
