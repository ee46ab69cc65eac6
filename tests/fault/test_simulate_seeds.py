"""`fixgw simulate`: clean seeds stay clean and exercise everything, planted bugs are found, a seed is the whole story."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner

from fixgw.cli import main
from fixgw.core.reports import CancelReject
from fixgw.core.state import dump_state
from fixgw.simulate.campaign import WorkerDied, find_plant, run_chunk, run_seeds, simplify, workers
from fixgw.simulate.channel import Channel
from fixgw.simulate.disk import SimDisk
from fixgw.simulate.exchange import LOT, SYMBOL
from fixgw.simulate.plants import PLANTS
from fixgw.simulate.scheduler import FAULTS, MS, Sim, Violation
from fixgw.simulate.session import GatewaySession
from fixgw.simulate.shrink import Case, shrink
from fixgw.simulate.world import World
from fixgw.venues import wire

SEEDS = 60
CRASH_POINTS = ("evolved, not written", "within a write", "written, not synced", "synced, no effect yet", "a place sent",
                "in the FIX store, not sent")  # fmt: skip
OUTCOMES = ("order 0", "order 2", "order 4", "order 4 IOC_REMAINDER", "order 4 DISCONNECT", "order 4 REPLACE_FAILED",
            "order C EXPIRED", "order 8 NOT_PLACED", "order 8 VENUE_REJECT", "order 8 MAX_NET_POSITION",
            "order 8 MAX_OPEN_ORDERS", "order 8 BUYING_POWER", "orders packed",
            "outcome unknown (place)", "outcome unknown (cancel)", "torn tail cut", "power cut: sector missing",
            "host withdraws a place", "reports redelivered", "replay hash compared", "snapshot loaded", "event OrderReplaced",
            "event StopTriggered", "event ChildNotFound")  # fmt: skip


def test_seeds_are_clean_and_exercise_everything() -> None:
    counts: Counter[str] = Counter()
    for seed in range(SEEDS):
        outcome = World(seed).run()
        assert outcome.violation is None, f"{Case(seed).command()}: {outcome.violation}"
        counts += outcome.counts
    wanted = [f"fault {kind}" for kind in FAULTS] + [f"died: {point}" for point in CRASH_POINTS] + list(OUTCOMES)
    assert [what for what in wanted if not counts[what]] == []


def test_a_seed_with_every_step_checked() -> None:
    assert Case(3, active_s=12, deep=True).run().violation is None


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_bug_is_found(plant: str) -> None:
    """Within as many seeds as the command promises: the rarest is found by one seed in thirty."""
    assert find_plant((plant, 0, 200)).seed is not None, PLANTS[plant].what


def test_only_a_power_cut_shows_a_skipped_sync() -> None:
    off = frozenset(("power",))
    outcomes = [World(seed, "sync-skipped", off).run() for seed in range(20)]
    assert all(outcome.violation is None and not outcome.counts["fault power"] for outcome in outcomes)


def test_a_seed_is_the_same_story_in_any_process() -> None:
    code = "from fixgw.simulate.world import World; print([World(seed).run().trace for seed in (5, 6)])"
    traces = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": hash_seed}, capture_output=True, check=True
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert traces == {f"{[World(seed).run().trace for seed in (5, 6)]}\n".encode()}
    assert World(5).run().trace != World(6).run().trace


def test_a_failing_seed_is_made_simpler_and_its_command_replays_it() -> None:
    seed = next(seed for seed in range(40) if World(seed, "no-trade-dedup").run().violation)
    violation = Case(seed, "no-trade-dedup").run().violation
    assert violation is not None
    simpler, tries = shrink(Case(seed, "no-trade-dedup"), violation[0])
    assert len(simpler.off) > 5 and tries <= 80
    result = CliRunner().invoke(main, simpler.command().split()[1:])
    assert result.exit_code == 1 and violation[0] in result.output, result.output


class Changed(bytes):
    """Bytes that equal no others."""

    def __ne__(self, other: object) -> bool:
        return True


def test_what_only_checks_at_every_step_find_is_replayed_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fixgw.simulate.gateway.dump_state", lambda state: Changed(dump_state(state)))
    assert Case(20).run().violation is None
    (failure,) = run_chunk(range(20, 21)).failures
    assert failure.invariant == "decide changes nothing"
    simplify([failure])
    for command in (failure.command, failure.simpler):
        code, output = simulate(*command.split()[2:])
        assert code == 1 and "violated: decide changes nothing" in output, command
    assert "--off" in failure.simpler


def test_what_nobody_foresaw_is_a_failure_of_its_seed_and_no_find(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise TypeError("a bug of ours")

    monkeypatch.setattr("fixgw.simulate.gateway.evolve", breaks)
    chunk = run_chunk(range(1, 4))
    assert chunk.seeds == 3 and [failure.seed for failure in chunk.failures] == [1, 2, 3]
    assert "TypeError: a bug of ours (test_simulate_seeds.py:" in chunk.failures[0].text
    code, output = simulate(*chunk.failures[0].command.split()[2:])
    assert code == 1 and "violated: no part fails: TypeError" in output
    found = find_plant(("no-trade-dedup", 1, 200))
    assert (found.seed, found.tried, found.invariant) == (None, 1, "no part fails")


def test_a_worker_that_is_killed_ends_the_campaign() -> None:
    def kill(_: object) -> None:
        multiprocessing.active_children()[0].kill()

    with pytest.raises(WorkerDied), workers(2) as pool:
        run_seeds(pool, 1, 1000, kill)
    deadline = time.monotonic() + 30
    while multiprocessing.active_children():  # the pool's own thread waits for them, too
        assert time.monotonic() < deadline, multiprocessing.active_children()
        time.sleep(0.01)


def test_a_cancel_reject_told_twice_without_a_mark_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    put = GatewaySession._put

    def unmarked(session: GatewaySession, kind: str, body: Any, again: bool = False) -> None:
        put(session, kind, body, again and not isinstance(body, CancelReject))

    assert Case(9).run().violation is None
    monkeypatch.setattr(GatewaySession, "_put", unmarked)
    violations = filter(None, (World(seed).run().violation for seed in range(9, 60)))
    assert next(violations)[0] == "nothing told twice"


def test_the_command_writes_its_verdict(tmp_path: Path) -> None:
    file = tmp_path / "verdict.json"
    arguments = ["simulate", "--seeds", "9", "--jobs", "1", "--no-plants", "--json", str(file)]
    result = CliRunner().invoke(main, arguments)
    verdict = json.loads(file.read_text())
    assert result.exit_code == 0, result.output
    assert (verdict["seeds"], verdict["failures"], verdict["planted_found"]) == (9, 0, 0)
    assert verdict["virtual_minutes"] > 9 and set(verdict["faults"]) == set(FAULTS)


def test_a_sound_seed_is_told_and_an_unknown_fault_is_named() -> None:
    result = CliRunner().invoke(main, ["simulate", "--seed", "3", "--active", "5", "--full"])
    assert result.exit_code == 0 and "every invariant holds" in result.output and "EngineStart" in result.output
    result = CliRunner().invoke(main, ["simulate", "--seed", "3", "--off", "earthquake"])
    assert result.exit_code == 2 and "earthquake" in result.output


def simulate(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["simulate", *words])
    return result.exit_code, result.output


def test_a_planted_bug_by_itself_and_after_seeds(tmp_path: Path) -> None:
    file = tmp_path / "verdict.json"
    words = ("--plant", "no-trade-dedup", "--jobs", "1", "--json", str(file))
    for seeds, ran in (((), 0), (("--seeds", "2"), 2)):
        code, output = simulate(*words, *seeds)
        verdict = json.loads(file.read_text())
        assert code == 0, output
        assert (verdict["seeds"], verdict["failures"], list(verdict["plants"])) == (ran, 0, ["no-trade-dedup"])


def test_a_replay_writes_its_verdict_too(tmp_path: Path) -> None:
    file = tmp_path / "verdict.json"
    assert simulate("--seed", "3", "--active", "5", "--json", str(file))[0] == 0
    told = json.loads(file.read_text())
    assert (told["seed"], told["plant"], told["failures"], told["invariant"]) == (3, "", 0, "") and told["steps"] > 0
    seed = next(seed for seed in range(40) if World(seed, "no-trade-dedup").run().violation)
    assert simulate("--seed", str(seed), "--plant", "no-trade-dedup", "--json", str(file))[0] == 1
    told = json.loads(file.read_text())
    assert (told["seed"], told["plant"], told["failures"]) == (seed, "no-trade-dedup", 1) and told["invariant"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--seed", "3", "--seeds", "10"), "--seeds cannot be used here: --seed replays one seed"),
        (("--seed", "3", "--jobs", "1"), "--jobs cannot"),
        (("--seed", "3", "--no-plants"), "--plants/--no-plants cannot"),
        (("--seeds", "3", "--off", "power"), "--off cannot be used here: it goes with --seed"),
        (("--deep",), "--deep cannot"),
        (("--no-plants", "--plant", "no-trade-dedup"), "expected one of them"),
        (("--seeds", "0", "--no-plants"), "nothing to run"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(words: tuple[str, ...], said: str) -> None:
    code, output = simulate(*words)
    assert code == 2 and said in output


@dataclass
class HostStand:
    """A host without faults that got the place of one order; `words`: what it told the gateway."""

    world: World = field(default_factory=lambda: World(1, off=frozenset(FAULTS)))
    words: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        place = wire.PlaceChild(
            venue_cl_ord_id="C1", symbol=SYMBOL, side="1", ord_type="2", tif="1", qty=LOT, px=Decimal(100), expires_ns=1 << 62
        )
        self.world.host._link = cast(Channel, SimpleNamespace(send=self.words.append, cut=lambda: None))
        self.world.gateway.checker.truth.sent(place, "OMS1")
        self.receive(place)

    def receive(self, message: wire.ToHost) -> None:
        self.world.host._receive(self.world.host.generation, message)

    def later(self, ms: int) -> None:
        self.world.sim.run_until(self.world.sim.now + ms * MS)

    @property
    def may_trade(self) -> Decimal:
        truth = self.world.gateway.checker.truth
        return truth.most["C1"] - truth.done["C1"]


def test_a_place_that_has_left_its_host_may_trade_though_the_host_dies() -> None:
    stand = HostStand()
    stand.later(2)
    stand.world.host.restart()
    assert stand.may_trade == LOT


def test_a_place_that_its_host_holds_back_dies_with_it() -> None:
    stand = HostStand()
    stand.world.host.restart()
    assert stand.may_trade == 0
    stand.later(200)
    assert stand.world.host.exchange.orders == {}


def test_a_cancel_withdraws_a_place_that_has_not_left() -> None:
    stand = HostStand()
    stand.receive(wire.CancelChild(venue_cl_ord_id="C1", symbol=SYMBOL))
    assert [(word.code, word.sent, word.withdrawn) for word in stand.words] == [("WITHDRAWN", False, True)]
    assert stand.may_trade == 0
    stand.later(200)
    assert stand.world.host.exchange.orders == {} and len(stand.words) == 1


def test_a_cancel_waits_for_a_place_that_has_left() -> None:
    stand = HostStand()
    stand.later(2)
    stand.receive(wire.CancelChild(venue_cl_ord_id="C1", symbol=SYMBOL))
    stand.later(400)
    assert stand.world.host.exchange.orders["C1"].status == "canceled" and "ChildDone" in str(stand.words)


def test_an_amend_waits_for_nothing() -> None:
    """Not for a question whose answer hangs either (venues/chains.py)."""
    stand = HostStand()
    host = stand.world.host
    host.exchange.trading = False
    stand.later(400)
    host.venue_up = False
    stand.receive(wire.QueryChild(venue_cl_ord_id="C1", symbol=SYMBOL))
    stand.later(200)
    host.venue_up = True
    stand.receive(wire.AmendChild(venue_cl_ord_id="C1", symbol=SYMBOL, qty=LOT / 2))
    stand.later(400)
    assert host.exchange.orders["C1"].qty == LOT / 2 and "ChildAmended" in str(stand.words)


def test_the_disk_forgets_what_was_not_synced() -> None:
    for seed in range(200):
        disk = SimDisk(Sim(seed), "SIMUL", "commit")
        disk.write(1, [b"a" * 700, b"b"])
        disk.sync()
        disk.write(3, [b"c" * 2000, b"d" * 900, b"e"])
        disk.power_loss()
        kept = disk.recover(True)
        assert kept[:2] == [b"a" * 700, b"b"] and kept[2:] == [b"c" * 2000, b"d" * 900, b"e"][: len(kept) - 2]
        disk.write(len(kept) + 1, [b"next"])
        assert disk.recover(False) == [*kept, b"next"]


def test_damage_of_synced_bytes_is_no_tear() -> None:
    disk = SimDisk(Sim(1), "SIMUL", "commit")
    for seq in (1, 2, 3):
        disk.write(seq, [b"x" * 100])
        disk.sync()
    disk._data[100] ^= 1
    with pytest.raises(Violation, match="journal recovers"):
        disk.recover(True)
