"""`fixgw bench order-path`: a few orders through everything. No figure is judged here."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from fixgw.bench.oms import Turn
from fixgw.bench.order_path import QUICK, Size, figures, targets_met, turns_of
from fixgw.cli import main


def test_a_quick_run_measures_every_party(tmp_path: Path) -> None:
    told, profile = tmp_path / "figures.json", tmp_path / "profile.txt"
    arguments = ["bench", "order-path", "--quick", "--json", str(told), "--profile", str(profile)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(told.read_text())
    assert {"p50_ratio_durable", "p50_ratio_os", "rate_ratio", "open_orders_ratio", "targets_met"} <= set(found)
    assert all(found[key] > 0 for key in ("p50_ratio_durable", "p50_ratio_os", "rate_ratio", "open_orders_ratio"))
    assert list(found["raw"]) == ["commit", "os", "r1", "r2", "few", "many"]
    for name, row in found["raw"].items():
        assert 0 < row["p50_us"] <= row["p99_us"], name
        assert len(row["p50_us_by_round"]) == QUICK.rounds
        assert ("orders_per_s" in row) == (name not in ("few", "many"))
    text = profile.read_text()
    assert "journal.commit" in text and "decide" in text and "CPU us per order" in text


def test_the_folder_must_be_empty(tmp_path: Path) -> None:
    (tmp_path / "something").write_text("")
    result = CliRunner().invoke(main, ["bench", "order-path", "--quick", "--dir", str(tmp_path)])
    assert result.exit_code == 1 and "not empty" in result.output


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
