"""Many seeds on all processors, then each plant until it is found."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeVar

from ..process import die_with_parent
from .plants import PLANTS
from .shrink import Case, shrink
from .world import FAILS

PLANT_SEEDS: Final = 200
CHUNK: Final = 8
# one seed in so many is checked for purity and hashes at every single step, which costs twice as much
DEEP_EVERY: Final = 20
# failing seeds that are made simpler; the others are only named
MAX_SHRUNK: Final = 3
# tasks that each worker has waiting
AHEAD: Final = 4

_A = TypeVar("_A")
_B = TypeVar("_B")


class WorkerDied(Exception):
    """A process that ran seeds was killed: what it ran has no verdict."""


@dataclass(slots=True)
class Failure:
    """A seed that violates an invariant; `simpler`: the command of the shrunk case, "" when it was not shrunk."""

    seed: int
    invariant: str
    text: str
    command: str
    simpler: str = ""


@dataclass(slots=True)
class Chunk:
    """The sum of some seeds."""

    seeds: int = 0
    steps: int = 0
    records: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: Chunk) -> None:
        """`other` into this."""
        self.seeds += other.seeds
        self.steps += other.steps
        self.records += other.records
        self.virtual_s += other.virtual_s
        self.cpu_s += other.cpu_s
        self.counts.update(other.counts)
        self.failures += other.failures


@dataclass(slots=True)
class Found:
    """One plant. `seed`: the first that shows it, None when none of `tried` seeds did, or when the plant itself failed."""

    plant: str
    seed: int | None
    tried: int
    invariant: str = ""
    text: str = ""


def case_of(seed: int) -> Case:
    """As a campaign runs it."""
    return Case(seed, deep=seed % DEEP_EVERY == 0)


def run_chunk(seeds: range) -> Chunk:
    """In a worker."""
    total = Chunk()
    started = time.process_time()
    for seed in seeds:
        case = case_of(seed)
        outcome = case.run()
        total.seeds += 1
        total.steps += outcome.steps
        total.records += outcome.records
        total.virtual_s += outcome.virtual_s
        total.counts.update(outcome.counts)
        if outcome.violation is not None:
            total.failures.append(Failure(seed, *outcome.violation, case.command()))
    gc.collect()
    total.cpu_s = time.process_time() - started
    return total


def find_plant(task: tuple[str, int, int]) -> Found:
    """In a worker: (plant, first seed, most seeds)."""
    plant, first, most = task
    for seed in range(first, first + most):
        violation = Case(seed, plant).run().violation
        if violation is not None:
            return Found(plant, seed if violation[0] != FAILS else None, seed - first + 1, *violation)
    gc.collect()
    return Found(plant, None, most)


def _begin(parent: int) -> None:
    """A world is full of cycles that die with it: collected by chunks. Ctrl-C is for the one who ends the workers."""
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(parent=parent)


@dataclass(slots=True)
class Workers:
    """Processes that run seeds, started anew so that nothing of this one is in them."""

    pool: ProcessPoolExecutor
    jobs: int

    def run(self, task: Callable[[_A], _B], arguments: Iterable[_A]) -> Iterator[_B]:
        """Answers as they come. Raises WorkerDied."""
        left = iter(arguments)
        asked: set[Future[_B]] = set()
        try:
            while True:
                # few at a time, since of millions each would take its memory
                for argument in islice(left, AHEAD * self.jobs - len(asked)):
                    asked.add(self.pool.submit(task, argument))
                if not asked:
                    return
                done, asked = wait(asked, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool as error:
            raise WorkerDied("a worker was killed (out of memory?): its seeds are not judged") from error


@contextmanager
def workers(jobs: int) -> Iterator[Workers]:
    """Ended at once with the block, also in the middle of a seed."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, _begin, (os.getpid(),))
    try:
        yield Workers(pool, jobs)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in multiprocessing.active_children():
            worker.terminate()


def run_seeds(pool: Workers, first: int, count: int, say: Callable[[Chunk], None]) -> Chunk:
    """Seeds first .. first + count - 1; `say` hears the sum so far. Raises WorkerDied."""
    total = Chunk()
    chunks = (range(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK))
    for chunk in pool.run(run_chunk, chunks):
        total.add(chunk)
        say(total)
    total.failures.sort(key=lambda failure: failure.seed)
    return total


def simplify(failures: list[Failure]) -> None:
    """The first few of them."""
    for failure in failures[:MAX_SHRUNK]:
        case, _ = shrink(case_of(failure.seed), failure.invariant)
        failure.simpler = case.command()


def run_plants(pool: Workers, first: int, names: tuple[str, ...] = tuple(PLANTS)) -> Iterator[Found]:
    """Each plant until found, at most PLANT_SEEDS seeds; as they are found. Raises WorkerDied."""
    yield from pool.run(find_plant, ((name, first, PLANT_SEEDS) for name in names))
