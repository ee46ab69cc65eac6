"""A soak run of some seconds: it samples every process, survives reconnects and a front kill, draws a picture and says that
it was too short to judge. And the judgement itself on series that are known."""

from __future__ import annotations

import json
import math
import random
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from fixgw.soak.cli import soak
from fixgw.soak.gateway import deep_bytes
from fixgw.soak.latency import Latency
from fixgw.soak.run import Plan, run_soak, trends
from fixgw.soak.sample import INDEX_BYTES_PER_MESSAGE, Process, Sample
from fixgw.soak.trend import GROWS, INFORMATION, LEVELLED, SHORT, STEADY, UNCLEAR, Point, fit, judge_trend

HOUR_S = 3600.0


def series(slope_per_h: float, noise: float, hours: float, *, lives: int = 1, seed: int = 1) -> list[Point]:
    dice = random.Random(seed)
    count = 360
    points = []
    for i in range(count):
        at_s = hours * HOUR_S * i / count
        life = i * lives // count
        # each life starts from another level
        points.append(Point(at_s, 100 + 7 * life + slope_per_h * at_s / HOUR_S + dice.gauss(0, noise), life))
    return points


def test_the_slope_is_found() -> None:
    found = fit(series(5.0, 0.2, 1.0), warmup_s=300)
    assert found.slope == pytest.approx(5.0, abs=0.3) and found.low is not None and found.high is not None
    assert found.low < 5.0 < found.high and found.high - found.low < 1.0
    assert found.span_s == pytest.approx(3300, abs=30)


def test_restarts_are_no_growth() -> None:
    """Three lives on different levels: one line through all of them would show 20 MB/h that nobody lost."""
    assert fit(series(0.0, 0.2, 1.0, lives=3), warmup_s=300).slope == pytest.approx(0.0, abs=0.5)


@pytest.mark.parametrize("where", [0.3, 0.5, 0.7])
def test_a_step_is_no_trend(where: float) -> None:
    """One more arena of 2 MB, somewhere: nothing grows, and least squares would say 3 to 4 MB/h."""
    points = series(0.0, 0.01, 0.75)
    stepped = [Point(p.at_s, p.value + (2.0 if p.at_s > where * 0.75 * HOUR_S else 0.0)) for p in points]
    assert judge_trend("x", "MB", stepped, 60, 1.0).verdict != GROWS


def test_a_sawtooth_is_no_trend() -> None:
    """Garbage that is collected every 7 minutes."""
    points = [Point(p.at_s, p.value + 5.0 * (p.at_s % 420) / 420) for p in series(0.0, 0.05, 0.5)]
    assert judge_trend("x", "MB", points, 60, 1.0).verdict != GROWS


def test_a_slow_leak_in_steps_is_a_trend() -> None:
    """1 MB arenas, one every 4 minutes: 15 MB/h however it looks."""
    points = [Point(p.at_s, p.value + p.at_s // 240) for p in series(0.0, 0.05, 0.5)]
    assert judge_trend("x", "MB", points, 60, 1.0).verdict == GROWS


def host(leak_mb_h: float, seed: int, *, step_min: float = 13.0) -> list[Point]:
    """A venue host of 144 MB over half an hour, as measured: a rise of 0.3 MB while caches fill, 1.9 MB at an outage, then the
    same level with the coming and going of the allocators (0.1 MB); and a leak."""
    dice = random.Random(seed)
    points = []
    for number in range(360):
        at_s = number * 5.0
        level = 143.6 + 0.3 * min(1.0, at_s / 600) + (1.9 if at_s > step_min * 60 else 0.0)
        points.append(Point(at_s, level + leak_mb_h * at_s / HOUR_S + dice.gauss(0, 0.1)))
    return points


@pytest.mark.parametrize("step_min", [9.5, 11.0, 13.0, 15.0])
def test_one_early_step_and_then_a_flat_line_is_told_as_that(step_min: float) -> None:
    """With the warm-up of 9 minutes in front of it."""
    for seed in range(20):
        assert judge_trend("x", "MB", host(0.0, seed, step_min=step_min), 540, 1.0).verdict in (STEADY, LEVELLED)
    assert LEVELLED in {judge_trend("x", "MB", host(0.0, seed, step_min=13.0), 540, 1.0).verdict for seed in range(20)}


@pytest.mark.parametrize("step_min", [0.0, 5.0, 9.5, 13.0])
@pytest.mark.parametrize("leak_mb_h", [1.5, 2.0, 5.0])
def test_a_leak_of_a_host_is_found_in_half_an_hour(leak_mb_h: float, step_min: float) -> None:
    """A hundredth of the process's size an hour, with and without a step in the measured time."""
    for seed in range(20):
        assert judge_trend("x", "MB", host(leak_mb_h, seed, step_min=step_min), 540, 1.0).verdict == GROWS


def test_a_leak_in_steps_does_not_pass_for_one_that_has_stopped() -> None:
    """1 MB each 7 minutes: two steps in the measured time, of which one lies in the later half."""
    points = [Point(p.at_s, p.value + p.at_s // 420) for p in series(0.0, 0.05, 0.5)]
    assert judge_trend("x", "MB", points, 540, 1.0).verdict in (GROWS, UNCLEAR)


def test_noise_does_not_pass_for_standing_still() -> None:
    """Whether a leak of 2 MB/h goes on cannot be seen in such a later half: then it has not levelled off."""
    assert LEVELLED not in {judge_trend("x", "MB", series(2.0, 2.0, 0.5, seed=s), 540, 1.0).verdict for s in range(40)}


@pytest.mark.parametrize(
    ("slope", "noise", "hours", "verdict"),
    [
        (5.0, 0.2, 0.5, GROWS),
        (0.0, 0.2, 0.5, STEADY),
        (-4.0, 0.2, 0.5, STEADY),
        (0.0, 8.0, 0.5, UNCLEAR),
        (50.0, 0.2, 0.1, SHORT),
    ],
)
def test_verdicts(slope: float, noise: float, hours: float, verdict: str) -> None:
    assert judge_trend("x", "MB", series(slope, noise, hours), 60, 1.0).verdict == verdict


def test_nothing_to_tell() -> None:
    assert judge_trend("x", "MB", [], 60, 1.0).verdict == SHORT
    assert judge_trend("x", "MB", series(5.0, 0.1, 1.0), 60, None).verdict == INFORMATION


def sample(at_s: float, gateway_mb: float, messages: int) -> Sample:
    index_mb = messages * INDEX_BYTES_PER_MESSAGE / 1e6
    process = Process(pid=7, rss_mb=gateway_mb + index_mb, handles=40, threads=30)
    return Sample(at_s, {"gateway": process}, 0, 1.0, 2.0, 0, 0.0, 0.0, messages, index_mb, 0.0)


@pytest.mark.parametrize(("leak_mb_h", "grows"), [(0.0, False), (6.0, True)])
def test_a_leak_shows_beside_the_index(leak_mb_h: float, grows: bool) -> None:
    """QuickFIX's index grows by 11 MB an hour here; only what grows besides is held against the gateway."""
    hour = [sample(t, 200 + leak_mb_h * t / HOUR_S, int(t * 50)) for t in range(0, 3600, 10)]
    judged = {trend.name: trend for trend in trends(hour, 300)}
    assert (judged["gateway memory, without QuickFIX's index"].verdict == GROWS) is grows
    index = judged["QuickFIX's index in memory"]
    assert index.verdict == INFORMATION and index.slope == pytest.approx(50 * INDEX_BYTES_PER_MESSAGE * 3600 / 1e6, rel=0.01)
    assert judged["gateway memory, all"].slope is not None and judged["gateway memory, all"].slope > 11


def test_a_leak_that_fills_what_the_start_left_free_shows() -> None:
    """Resident memory stands still while 6 MB an hour go into the heap's free room."""
    hour = [sample(t, 200 - t * 50 * INDEX_BYTES_PER_MESSAGE / 1e6, int(t * 50)) for t in range(0, 3600, 10)]
    for moment in hour:
        gateway = moment.processes["gateway"]
        used_mb = 140 + moment.index_mb + 6.0 * moment.at_s / HOUR_S
        moment.processes["gateway"] = msgspec.structs.replace(gateway, used_mb=used_mb)
    judged = {trend.name: trend for trend in trends(hour, 300)}
    assert judged["gateway memory, without QuickFIX's index"].verdict == STEADY
    assert judged["gateway memory in use, without index"].verdict == GROWS


def loaded(at_s: float, requests: int, journal_mb: float, disk_mb: float) -> Sample:
    return Sample(at_s, {}, requests, 1.0, 2.0, 0, journal_mb, disk_mb, 0, 0.0, 0.0)


@pytest.mark.parametrize(("growth_per_h", "verdict"), [(0.0, STEADY), (0.5, GROWS)])
def test_a_journal_that_grows_with_the_load_is_no_trend(growth_per_h: float, verdict: str) -> None:
    """The load doubles after half of the time; what may not grow is what one request takes."""
    samples, requests, mb = [], 0, 0.0
    for number in range(361):
        samples.append(loaded(number * 5.0, requests, mb, mb + 200 - mb % 64))
        more = 100 if number < 180 else 200
        requests += more
        mb += more * 1000 * (1 + growth_per_h * number * 5.0 / HOUR_S) / 1e6
    judged = {trend.name: trend for trend in trends(samples, 300)}
    assert judged["journal, records"].verdict == INFORMATION
    assert judged["journal, bytes per request"].verdict == verdict
    assert judged["journal, disk besides records"].verdict != GROWS


@pytest.mark.parametrize("seconds", ["1", "44.9"])
def test_a_retention_that_would_only_reconcile_is_refused(seconds: str) -> None:
    result = CliRunner().invoke(soak, ["--retention", seconds])
    assert result.exit_code == 2 and "--retention" in result.output and "at least 45" in result.output


def test_what_an_object_takes_counts_each_thing_once() -> None:
    name, row = "a" * 1000, Point(1.5, 2.5)
    one = deep_bytes({"k": [name, row]})
    assert one > 1000 + sys.getsizeof(row)
    assert deep_bytes({"k": [name, row, name, row, None, True]}) < one + 100


def test_latency_is_bounded_and_per_interval() -> None:
    latency = Latency()
    for number in range(20_000):
        latency.sent(str(number), 0)
    assert len(latency._waiting) == 5000
    assert latency.take().p50_ms is None


@pytest.mark.timeout(240)
def test_a_short_run(tmp_path: Path) -> None:
    lines: list[str] = []
    plan = Plan(
        duration_s=8, warmup_s=2, rate_per_s=30, every_fault_s=1.5, every_reconnect_s=2, every_front_kill_s=4, retention_s=2
    )
    outcome = run_soak(tmp_path / "inst", plan, lines.append)
    assert outcome.died == []
    assert len(outcome.samples) >= 8 and lines
    assert {"fault", "reconnect", "front"} <= {mark.kind for mark in outcome.marks}
    last = outcome.samples[-1]
    assert {"supervisor", "front", "gateway", "venue:sim", "simulator"} <= last.processes.keys()
    assert all(process.rss_mb > 5 and process.handles > 3 for process in last.processes.values())
    assert last.journal_records > 50 and last.journal_mb > 0.01 and last.index_messages > 50
    assert any(s.p50_ms is not None and math.isfinite(s.p50_ms) and s.p50_ms > 0 for s in outcome.samples)
    assert all((last.processes[name].used_mb or 0) > 1 for name in ("gateway", "venue:sim"))
    assert outcome.per_order is not None and outcome.per_order.state is not None
    assert 300 < outcome.per_order.state < 100_000 and outcome.per_order.journal > 300 and outcome.per_order.index > 50
    judged = {trend.name: trend.verdict for trend in outcome.trends}
    assert judged["front memory"] == SHORT and judged["QuickFIX's index in memory"] == INFORMATION


@pytest.mark.timeout(240)
def test_the_command_draws(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    png, told = tmp_path / "soak.png", tmp_path / "soak.json"
    args = ["--minutes", "0.08", "--png", str(png), "--json", str(told), "--dir", str(tmp_path / "inst")]
    result = CliRunner().invoke(soak, args)
    assert result.exit_code == 0, result.output
    assert png.read_bytes().startswith(b"\x89PNG") and png.stat().st_size > 20_000
    content = json.loads(told.read_text())
    assert content["samples"] and {"name", "slope", "low", "high", "verdict"} <= content["trends"][0].keys()
    assert content["flags"] == [] and content["per_order"]["new_orders"] > 0
    assert "too short" in result.output
