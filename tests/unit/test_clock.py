"""The gateway's clock with fake clocks: steady in a run, following the wall clock by its rate, by a step only after a while."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixgw import clock as clock_module
from fixgw import clock_watch
from fixgw.clock import FOLLOW_NS, MAX_PPM, TELL_NS, GatewayClock, Seen, by_ours
from fixgw.core import commands as c
from fixgw.core.commands import Quote
from fixgw.core.state import new_state
from fixgw.marketdata.edge import Edge
from fixgw.venues import host_clock
from fixgw.venues.gateway_link import _by_now
from fixgw.venues.host import _by_gateway
from fixgw.venues.wire import BookUpdate

SECOND, MS = 1_000_000_000, 1_000_000
FIRST_NS = 1_700_000_000 * SECOND


class Machine:
    """Its two clocks; the wall clock may be off."""

    def __init__(self) -> None:
        self.up_ns = 5_000 * SECOND
        self.wall_ns = FIRST_NS
        self.read_ns = 0
        self.clock = GatewayClock(lambda: self.wall_ns, self._steady)

    def _steady(self) -> int:
        self.up_ns += self.read_ns
        return self.up_ns

    def goes(self, seconds: float, ppm: int = 0) -> list[Seen]:
        """Time passes, with a look each tenth of a second; what was seen. `ppm`: the wall clock goes faster."""
        found = []
        for _ in range(round(seconds * 10)):
            self.up_ns += 100 * MS
            self.wall_ns += 100 * MS + 100 * ppm
            before_ns = self.clock.now_ns()
            seen = self.clock.look()
            assert abs(self.clock.now_ns() - before_ns) <= 1 + 4 * self.read_ns, "a look makes no jump"
            if seen is not None:
                found.append(seen)
        return found

    @property
    def apart_ns(self) -> int:
        return self.wall_ns - self.clock.now_ns()


def test_it_goes_on_steadily_while_the_wall_clock_is_wrong_for_a_moment():
    machine = Machine()
    machine.goes(1)
    for step in (600, -600, 86_400, -3):
        before_ns = machine.clock.now_ns()
        machine.wall_ns += step * SECOND
        seen = machine.goes(8)
        assert abs(machine.clock.now_ns() - before_ns - 8 * SECOND) < MS
        assert "not followed" in machine.clock.trouble
        machine.wall_ns -= step * SECOND
        seen += machine.goes(TELL_NS / SECOND)
        assert [item.what for item in seen] == ["differs", "agrees"]
        assert abs(seen[0].apart_ns - step * SECOND) < MS
        assert machine.clock.trouble == "" and abs(machine.apart_ns) < MS


@pytest.mark.parametrize("step", [600, -600, 2, -86_400])
def test_a_step_that_stays_is_followed_when_it_is_asked_to(step):
    machine = Machine()
    machine.goes(1)
    machine.wall_ns += step * SECOND
    seen = machine.goes(FOLLOW_NS / SECOND - 1)
    assert [item.what for item in seen] == ["differs"]
    seen = machine.goes(2)
    assert seen[0].what == "step"
    machine.clock.step(seen[0].apart_ns)
    assert abs(machine.apart_ns) < MS
    assert machine.goes(5) == [] and "in this run" in machine.clock.trouble


def test_a_clock_that_is_set_to_and_fro_is_not_followed_and_told_of_seldom():
    machine, seen = Machine(), []
    for number in range(40):
        machine.wall_ns += (60 if number % 2 else -60) * SECOND
        seen += machine.goes(6)
    assert "step" not in [item.what for item in seen]
    assert 4 <= [item.what for item in seen].count("differs") <= 5


@pytest.mark.parametrize("apart_ms", [900, -900, 20, -1])
def test_small_differences_are_followed_by_the_rate(apart_ms):
    machine = Machine()
    machine.wall_ns += apart_ms * MS
    last_ns = machine.clock.now_ns()
    for _ in range(300):
        assert machine.goes(1) == []
        passed_ns = machine.clock.now_ns() - last_ns
        last_ns += passed_ns
        assert abs(passed_ns - SECOND) <= SECOND * MAX_PPM // 1_000_000 + 10
    assert abs(machine.apart_ns) < 20_000


def test_a_wall_clock_that_drifts_is_followed():
    machine = Machine()
    assert machine.goes(1000, ppm=200) == []
    assert abs(machine.apart_ns) < 10 * MS


def test_a_look_that_was_held_up_says_nothing():
    machine = Machine()
    machine.wall_ns += 600 * SECOND
    machine.read_ns = 10 * MS
    assert machine.goes(20) == []
    machine.read_ns = 0
    assert [item.what for item in machine.goes(0.1)] == ["differs"]


def test_many_threads_never_see_it_go_back():
    clock, back, stop = GatewayClock(), [], threading.Event()

    def watch() -> None:
        last = clock.now_ns()
        while not stop.is_set():
            now = clock.now_ns()
            if now < last - 1000:
                back.append(last - now)
            last = now

    threads = [threading.Thread(target=watch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(2000):
        clock.look()
    stop.set()
    for thread in threads:
        thread.join()
    assert not back


def timer(ts_ns: int) -> c.Timer:
    return c.Timer(ts_ns=ts_ns, key="x")


@pytest.mark.parametrize("step", [600, -600, 2, -2])
def test_what_was_stamped_before_a_step_is_put_right_behind_it(step):
    machine = Machine()
    assert machine.clock.put_right(timer(5)) == timer(5)
    before_ns = machine.clock.now_ns()
    machine.clock.step(step * SECOND)
    assert machine.clock.put_right(timer(before_ns - 5 * MS)).ts_ns == before_ns - 5 * MS + step * SECOND
    answer = c.ChildQueryResult(
        ts_ns=machine.clock.now_ns(), venue="v", venue_cl_ord_id="x", outcome="not_found", asked_ns=before_ns - 100 * MS
    )
    assert machine.clock.put_right(answer).asked_ns == before_ns - 100 * MS + step * SECOND  # type: ignore[attr-defined]
    # what is stamped after it stays, for ever
    for seconds in (0, 0.5, 300, 1000):
        machine.up_ns += round(seconds * SECOND)
        now_ns = machine.clock.now_ns()
        assert machine.clock.put_right(timer(now_ns)).ts_ns == now_ns


def test_a_word_of_a_host_with_another_clock_is_of_now():
    now_ns = FIRST_NS
    report = c.BalancesReport(
        ts_ns=now_ns + 90 * SECOND, venue="v", account="a", asof_ns=now_ns + 80 * SECOND, free={}, total={},
        later={"X": now_ns + 85 * SECOND},
    )  # fmt: skip
    told = by_ours(report, now_ns)
    assert isinstance(told, c.BalancesReport)
    assert (told.ts_ns, told.asof_ns, told.later) == (now_ns, now_ns - 10 * SECOND, {"X": now_ns - 5 * SECOND})
    # one that waited: what it is as of stays
    late = by_ours(report, now_ns + 100 * SECOND)
    assert (late.ts_ns, late.asof_ns) == (now_ns + 100 * SECOND, report.asof_ns)  # type: ignore[attr-defined]
    assert by_ours(report, now_ns + 91 * SECOND) is report


def test_the_next_run_of_the_same_boot_goes_on_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first, path = Machine(), tmp_path / "clock.json"
    first.goes(3)
    first.clock.save(path)

    def next_run(later_s: int) -> tuple[bool, Machine]:
        machine = Machine()
        machine.up_ns = first.up_ns + later_s * SECOND
        machine.wall_ns = FIRST_NS - 300 * SECOND
        machine.clock = GatewayClock(lambda: machine.wall_ns, lambda: machine.up_ns)
        return machine.clock.resume(path), machine

    resumed, second = next_run(20)
    assert resumed and second.clock.now_ns() == first.clock.now_ns() + 20 * SECOND
    assert [item.what for item in second.goes(11)][:2] == ["differs", "step"]
    resumed, late = next_run(3600)
    assert not resumed and late.clock.now_ns() == FIRST_NS - 300 * SECOND
    monkeypatch.setattr(clock_module, "boot_id", lambda: "another")
    assert not next_run(20)[0]
    path.write_bytes(b"{")
    assert not next_run(20)[0]


class Journaled:
    """An engine that keeps what it is told."""

    def __init__(self) -> None:
        self.commands: list[Any] = []
        self.state = new_state()

    def submit(self, command: c.Command) -> None:
        self.commands.append(command)

    submit_first = submit

    def reading(self) -> Any:
        return threading.Lock()


def test_the_watch_tells_and_steps(tmp_path: Path):
    machine, engine, steps = Machine(), Journaled(), []
    watch = clock_watch.ClockWatch(machine.clock, engine, tmp_path / "clock.json")  # type: ignore[arg-type]
    watch.on_step.append(steps.append)
    machine.wall_ns += 600 * SECOND
    for _ in range(120):
        machine.up_ns += 100 * MS
        machine.wall_ns += 100 * MS
        watch.look()
    note, step = engine.commands
    assert (note.action, "600.000 s ahead of the gateway" in note.reason) == ("clock differs", True)
    assert steps == [step.step_ns] and abs(step.step_ns - 600 * SECOND) < MS
    assert abs(step.ts_ns - machine.wall_ns) < 2 * SECOND
    assert (tmp_path / "clock.json").exists()


def test_the_edge_goes_on_by_the_new_clock():
    """A quote is as old as it was; a trade that comes after a step back is new."""
    now = SimpleNamespace(ns=FIRST_NS)
    engine = SimpleNamespace(now_ns=lambda: now.ns, state=new_state(), reading=lambda: threading.Lock())
    edge = Edge(engine)  # type: ignore[arg-type]
    edge._stops_stale = False
    edge.on_book(BookUpdate(venue="v", symbol="X", quote=Quote(recv_ns=now.ns - 5, last_ns=now.ns)))
    assert not edge._is_new_trade(("v", "X"), Quote(last_ns=now.ns), now.ns)
    now.ns -= 600 * SECOND
    edge.clock_set(-600 * SECOND)
    assert edge.quotes_of("X")["v"].recv_ns == now.ns - 5
    assert edge._is_new_trade(("v", "X"), Quote(last_ns=now.ns + 1), now.ns)


@given(
    st.lists(st.tuples(st.integers(1, 3 * SECOND), st.integers(-30_000_000, 30_000_000)), min_size=1, max_size=30),
    st.lists(st.integers(-SECOND, 60 * SECOND), max_size=30),
)
def test_a_moment_is_the_same_time_whenever_it_is_told(words: list[tuple[int, int]], moments: list[int]) -> None:
    """The gateway's clock goes faster or slower than the steady one: no moment moves by that, or before an earlier one."""
    time, up, offset_ns = host_clock.GatewayTime(), 0, FIRST_NS
    time.learn(up, offset_ns)
    told: dict[int, int] = {}
    for passed_ns, change_ns in words:
        up, offset_ns = up + passed_ns, offset_ns + change_ns
        time.learn(up, offset_ns)
        for moment in [*moments, up]:
            if moment <= up:
                assert told.setdefault(moment, time.at(moment)) == time.at(moment)
        in_order = [ns for _, ns in sorted(told.items())]
        assert in_order == sorted(set(in_order))
    # and the gateway's time is reached
    assert time.at(up + 4 * SECOND) == up + 4 * SECOND + offset_ns
    # all anew by a clock that was set
    time.learn(up, offset_ns - 5 * SECOND)
    assert [time.at(moment) - moment for moment in moments] == [offset_ns - 5 * SECOND] * len(moments)


def test_a_trade_from_ahead_of_our_clock_stays_one_trade():
    """A host's idea of our time may be a little ahead of it; its trade is taken as of now, and is no other one a moment later."""
    link: Any = SimpleNamespace(ahead={})
    assert _by_now(link, "X", Quote(recv_ns=90, last_ns=90), 80).last_ns == 80
    later = _by_now(link, "X", Quote(recv_ns=95, last_ns=90), 92)
    assert (later.recv_ns, later.last_ns) == (92, 80)
    assert _by_now(link, "X", Quote(recv_ns=99, last_ns=98), 100).last_ns == 98 and not link.ahead
    assert _by_now(link, "X", Quote(recv_ns=101), 100) == Quote(recv_ns=100)


def test_a_host_stamps_by_the_gateway_and_keeps_its_deadlines(monkeypatch: pytest.MonkeyPatch):
    machine = SimpleNamespace(up=7 * SECOND, wall=FIRST_NS)
    monkeypatch.setattr(host_clock, "_boot_ns", lambda: machine.up)
    monkeypatch.setattr(host_clock, "_BASE_NS", FIRST_NS - machine.up)
    monkeypatch.setattr(host_clock.time, "time_ns", lambda: machine.wall)
    monkeypatch.setattr(host_clock, "_gateway", host_clock.GatewayTime())
    host_clock.learn(None)
    assert host_clock.now_ns() == host_clock.steady_ns() == host_clock.of_steady(FIRST_NS) == FIRST_NS
    offset_ns = FIRST_NS + 50 * SECOND
    host_clock.learn(offset_ns)
    deadline_ns = host_clock.deadline_ns(host_clock.now_ns() + 2 * SECOND)
    asked_ns = host_clock.steady_ns()
    for step in (600, -1200):
        machine.wall += step * SECOND
        host_clock.learn(offset_ns := offset_ns + step * SECOND)
        assert host_clock.now_ns() == machine.up + offset_ns
        assert deadline_ns - host_clock.steady_ns() == 2 * SECOND
        assert host_clock.of_steady(asked_ns) == host_clock.now_ns()
        quote = _by_gateway(Quote(recv_ns=asked_ns - 5))
        assert (quote.recv_ns, quote.last_ns) == (host_clock.now_ns() - 5, 0)
    assert host_clock.deadline_ns(0) == host_clock.of_steady(0) == 0
    # a deadline by a clock that was ahead
    assert host_clock.deadline_ns(host_clock.now_ns() + 600 * SECOND) == host_clock.steady_ns() + host_clock.LONGEST_NS
