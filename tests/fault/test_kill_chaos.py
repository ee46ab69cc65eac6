"""kill -9 of every process under load, and of everything at once: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

from fixgw.chaos.check import judge, read_journal
from fixgw.chaos.cli import run_chaos
from fixgw.chaos.world import TARGETS, World


@pytest.mark.timeout(280)
def test_each_process_killed_under_load(tmp_path: Path) -> None:
    verdict, sent = run_chaos(tmp_path / "inst", 5, 11, 40.0, TARGETS, Console(quiet=True))
    assert sent > 20
    assert verdict.trades > 0
    assert verdict.clean, verdict.examples


@pytest.mark.timeout(200)
def test_everything_killed_at_once_then_started_again(tmp_path: Path) -> None:
    """The machine's processes vanish while an order rests, partly filled; a second start finds all of it."""
    directory = tmp_path / "inst"
    with World(directory) as world:
        world.wait_venue()
        client = world.client("OMS44", tmp_path / "clients", qualifier="first")
        with client:
            client.wait_logon(20)
            resting = client.new_order("1", "0.5", "BTC/USDT", price="59500")
            client.wait_for(lambda m: m.get(11) == resting and m.get(150) == "0", 10)
            order = next(entry for entry in world.sim().ledger() if entry["type"] == "accepted")
            world.sim().fill(order["order_id"], "0.2")
            client.wait_for(lambda m: m.get(11) == resting and m.get(150) == "F", 10)
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
            again.wait_logon(20)
            drop_copy.wait_logon(20)
            again.wait_for(lambda m: m.get(150) == "F" and m.get(14) == "0.3", 20)
            drop_copy.wait_for(lambda m: m.get(150) == "F" and m.get(14) == "0.3", 20)
            rows = world.ask("orders", open=True)["orders"]
            assert [(row["cum_qty"], row["leaves_qty"], row["unknown"]) for row in rows] == [("0.3", "0.2", False)]
            journal = read_journal(directory / "data" / "journal", "OMS44")
            verdict = judge(list(world.sim().ledger()), journal, told + again.messages, drop_copy.messages, "main")
            assert verdict.clean, verdict.examples
