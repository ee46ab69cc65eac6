"""`fixgw bench order-path`: a few orders through everything. No figure is judged here."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from fixgw.bench.gateway_profile import _LIVES, profile
from fixgw.bench.oms import Turn
from fixgw.bench.order_path import QUICK, Size, figures, targets_met, turns_of
from fixgw.cli import main

# each gateway takes seconds to start on a busy machine: one of each kind
PARTY_OPTIONS = ("--party", "os", "--party", "r1", "--party", "floor", "--party", "many")


def test_a_quick_run_measures_the_parties_asked_for(tmp_path: Path) -> None:
    told = tmp_path / "figures.json"
    # a party that is named twice takes part once
    options = ("--quick", "--rounds", "2", *PARTY_OPTIONS, "--party", "os", "--json", str(told))
    result = CliRunner().invoke(main, ["bench", "order-path", *options])
    assert result.exit_code == 0, result.output
    found = json.loads(told.read_text())
    assert found["p50_ratio_os"] > 0 and set(found["targets_met"]) == {"p50_ratio_os"}
    assert [found[key] for key in ("p50_ratio_durable", "rate_ratio", "open_orders_ratio")] == [None, None, None]
    assert list(found["raw"]) == ["os", "r1", "floor", "many"]
    assert found["floor_p50_ratio"] > 0 and found["floor_rate_ratio"] > 0 and "the floor" in result.output
    for name, row in found["raw"].items():
        assert 0 < row["p50_us"] <= row["p99_us"], name
        assert len(row["p50_us_by_round"]) == 2
        assert ("orders_per_s" in row) == (name != "many")


def test_the_profile_names_the_stages(tmp_path: Path) -> None:
    size = Size(rounds=1, single=5, windowed=10, window=4)
    text = profile(size, tmp_path, lambda _: None, modes=("stages",))
    rows = {line[:34].strip(): line[34:].split() for line in text.splitlines() if len(line) > 34}
    assert float(rows["callback fromApp"][0]) == 1.0 and float(rows["journal.commit"][1]) > 0 and "CPU us per order" in text


def test_the_profile_of_calls_names_what_each_thread_does(tmp_path: Path) -> None:
    size = Size(rounds=1, single=5, windowed=10, window=4)
    text = profile(size, tmp_path, lambda _: None, modes=("calls",))
    profiled = {line.removeprefix("=== ").rpartition(" ")[0] for line in text.splitlines() if line.startswith("=== ")}
    assert profiled == _LIVES


def test_every_round_has_every_party_once_and_turns_their_order() -> None:
    turns = turns_of(Size(rounds=3, single=5, windowed=0, few_open=2, many_open=12_000), ("commit", "r1", "few", "many"))
    preload = [turn for turn in turns if turn.label == "preload"]
    assert sum(turn.orders for turn in preload if turn.party == "many") == 12_000
    singles = [turn.party for turn in turns if turn.label == "single"]
    rounds = [singles[start : start + 4] for start in range(0, len(singles), 4)]
    assert len(rounds) == 3 and all(sorted(each) == ["commit", "few", "many", "r1"] for each in rounds)
    assert len({tuple(each) for each in rounds}) == 3


def test_figures_are_medians_over_rounds_and_targets_are_judged() -> None:
    turns = [Turn(party, "single", 3, 1) for _ in range(3) for party in ("commit", "r2")]
    played = [[ns, ns, ns, 3 * ns] for ns in (2000, 1000, 9000, 4000, 4000, 1000)]
    found = figures(QUICK, turns, played, ["commit", "r2"])
    assert found["raw"]["commit"]["p50_us"] == 4.0 and found["raw"]["r2"]["p50_us"] == 1.0
    assert found["p50_ratio_durable"] == 4.0 and found["rate_ratio"] is None
    assert found["targets_met"] == {"p50_ratio_durable": False}
    assert targets_met({"p50_ratio_durable": 1.3, "rate_ratio": 0.7}) == {"p50_ratio_durable": True, "rate_ratio": False}
