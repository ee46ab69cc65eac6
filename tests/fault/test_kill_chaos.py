"""kill -9 of every process under load, at chosen steps of the order path, and of everything at once: nothing lost, nothing
doubled. And the proof of the proof: each planted bug is found out."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from fixgw.chaos.check import judge
from fixgw.chaos.havoc import TARGETS
from fixgw.chaos.plants import PLANTS
from fixgw.chaos.run import run_chaos
from fixgw.chaos.witness import Client, read_journal
from fixgw.chaos.world import World


def silent(_: str) -> None:
    """Nobody reads what a test says."""


@pytest.mark.timeout(280)
def test_each_part_killed_under_load(tmp_path: Path) -> None:
    outcome = run_chaos(tmp_path / "inst", len(TARGETS), 11, 40.0, TARGETS, silent)
    assert outcome.kills == len(TARGETS)
    assert outcome.verdict.requests > 20
    assert outcome.verdict.trades > 0
    assert outcome.verdict.clean, outcome.verdict.examples
    assert outcome.died == []


# what the judge must call each
HARM = {
    "ack-before-journal": "the journal does not",
    "resend-unknown": "the journal never sent it",
    "skip-redelivery": "never reached",
    "no-trade-dedup": "doubled: ",
}


@pytest.mark.timeout(200)
@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_bug_is_found_by_the_shortest_run(tmp_path: Path, plant: str) -> None:
    """Whatever the other kills hit: without any."""
    outcome = run_chaos(tmp_path / "inst", 0, 5, 60.0, ("front",), silent, plant=plant)
    assert outcome.plant_met
    assert any(HARM[plant] in example for example in outcome.verdict.examples), outcome.verdict.examples


@pytest.mark.timeout(200)
def test_everything_killed_at_once_then_started_again(tmp_path: Path) -> None:
    """The machine's processes vanish while an order rests, partly filled; a second start finds all of it."""
    directory = tmp_path / "inst"
    with World(directory) as world:
        world.wait_venue()
        client = world.client("OMS44", tmp_path / "clients", qualifier="first")
        with client:
            client.wait_logon(30)
            resting = client.new_order("1", "0.5", "BTC/USDT", price="59500")
            client.wait_for(lambda m: m.get(11) == resting and m.get(150) == "0", 30)
            order = next(entry for entry in world.sim().ledger() if entry["type"] == "accepted")
            world.sim().fill(order["order_id"], "0.2")
            client.wait_for(lambda m: m.get(11) == resting and m.get(150) == "F", 30)
            pids = dict(world.ready()["pids"])
            os.kill(pids.pop("supervisor"), signal.SIGKILL)
            for pid in pids.values():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            told = client.messages
        world.stop()
        world.start()
        world.wait_venue()
        # filled while nobody watched the first run's connection
        world.sim().fill(order["order_id"], "0.1")
        again = world.client("OMS44", tmp_path / "clients", qualifier="second")
        drop_copy = world.client("PB44", tmp_path / "clients", qualifier="copy")
        with again, drop_copy:
            again.wait_logon(30)
            drop_copy.wait_logon(30)
            again.wait_for(lambda m: m.get(150) == "F" and m.get(14) == "0.3", 30)
            drop_copy.wait_for(lambda m: m.get(150) == "F" and m.get(14) == "0.3", 30)
            rows = world.ask("orders", open=True)["orders"]
            assert [(row["cum_qty"], row["leaves_qty"], row["unknown"]) for row in rows] == [("0.3", "0.2", False)]
            journal = read_journal(directory / "data" / "journal")
            clients = [Client("OMS44", told + again.messages)]
            verdict = judge(world.sim().ledger(), journal, clients, drop_copy.messages, "main")
            assert verdict.clean, verdict.examples
