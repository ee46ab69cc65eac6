"""What people see: a live table on a terminal, plain lines elsewhere, and the tables of the end on both."""

from __future__ import annotations

import collections
import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fixgw.demo.compare import Check
from fixgw.demo.play import Played, Seen

_MARK: Final = {"waiting": ("·", "dim"), "running": ("▶", "bold yellow"), "ok": ("✔", "green"), "failed": ("✘", "bold red")}
_STYLE: Final = {
    "fill": "bold green", "new": "cyan", "replaced": "cyan", "rejected": "red", "cancel rejected": "red",
    "canceled": "yellow", "unknown": "bold magenta",
}  # fmt: skip
_REPORTS_KEPT: Final = 200
_REPORTS_SHOWN: Final = 12
_STEPS_MIN: Final = 5
_FRAMES_PER_S: Final = 8
# lines of the screen that are neither a step nor a report: frames, titles, the head
_OVERHEAD: Final = 10


class Screen:
    """Use as a context while the day runs; `summary` afterwards. Reports may come from any thread."""

    def __init__(self, console: Console, title: str, day: list[Played]) -> None:
        self._console, self._title, self._day = console, title, day
        self._reports: collections.deque[tuple[Seen, int]] = collections.deque(maxlen=_REPORTS_KEPT)
        self._began = time.monotonic()
        self._doing = ""
        self._step_ns = 0
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(
                console=self._console, get_renderable=self._render, refresh_per_second=_FRAMES_PER_S, transient=True
            )
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def doing(self, what: str) -> None:
        """What the set-up or the end is at."""
        if what != self._doing:
            self._doing = what
            self._plain(Text(what, "dim"))

    def step(self, played: Played) -> None:
        """A step begins, or is over."""
        if played.state == "running":
            self._doing, self._step_ns = "", time.time_ns()
            self._plain(Text(f"{played.step.name.strip()}", "bold"))
        else:
            mark, style = _MARK[played.state]
            self._plain(Text(f"  {mark} {played.state} in {_duration(played.seconds)}", style))
            for problem in played.problems:
                self._plain(Text(f"    {problem}", "red"))

    def report(self, seen: Seen) -> None:
        """A message came in."""
        after_ms = max(0, seen.message.received_ns - self._step_ns) // 1_000_000
        self._reports.append((seen, after_ms))
        self._plain(Text("    ") + _report(seen, after_ms))

    def _plain(self, text: Text) -> None:
        if self._live is None:
            self._console.print(text, soft_wrap=True)

    def _render(self) -> RenderableType:
        shown = min(_REPORTS_SHOWN, max(3, self._console.height - _OVERHEAD - _STEPS_MIN))
        steps = self._window(max(_STEPS_MIN, self._console.height - _OVERHEAD - shown))
        table = Table(expand=True, border_style="dim", header_style="bold")
        table.add_column(" ", width=1)
        table.add_column("Step", width=38, no_wrap=True)
        table.add_column("Reports", ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column("Copies", width=7, justify="right")
        table.add_column("Time", width=8, justify="right")
        for played in steps:
            table.add_row(*self._row(played))
        reports = [_report(seen, after_ms) for seen, after_ms in list(self._reports)[-shown:]]
        while len(reports) < shown:
            reports.append(Text(""))
        for text in reports:
            text.no_wrap, text.overflow = True, "ellipsis"
        seconds = f"{time.monotonic() - self._began:.0f} s"
        head = Text.assemble((self._title, "bold"), ("  ", ""), (self._doing, "yellow"), ("  ", ""), (seconds, "dim"))
        return Group(head, table, Panel(Group(*reports), title="what the client was told", border_style="dim"))

    def _row(self, played: Played) -> tuple[Text, ...]:
        mark, style = _MARK[played.state]
        name = Text(played.step.name, "dim" if played.state == "waiting" else "bold" if played.state == "running" else "")
        came = Text()
        if played.state == "waiting":
            came.append(" · ".join(line.short() for line in played.step.expected), "dim")
        else:
            lines = [seen.line for seen in played.came]
            if played.state == "running":
                lines = [seen.line for seen, _ in list(self._reports) if seen.message.received_ns >= played.began_ns]
            for line in lines:
                came.append(" · " if came else "").append(line.short(), _STYLE.get(line.what, ""))
        seconds = played.seconds
        if played.state == "running":
            seconds = (time.time_ns() - played.began_ns) / 1e9
        reports = sum(1 for line in played.step.expected if line.is_report)
        copies = f"{len(played.copied)} of {reports}" if played.state in ("ok", "failed") else ""
        return (
            Text(mark, style),
            name,
            came,
            Text(copies, "dim"),
            Text("" if played.state == "waiting" else _duration(seconds), "dim"),
        )

    def _window(self, size: int) -> list[Played]:
        """The steps that fit, around the one that runs."""
        begun = sum(1 for played in self._day if played.state != "waiting")
        first = max(0, min(begun - size // 2 - 1, len(self._day) - size))
        return self._day[first : first + size]


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _report(seen: Seen, after_ms: int) -> Text:
    line, message = seen.line, seen.message
    clock = time.strftime("%H:%M:%S", time.gmtime(message.received_ns // 10**9))
    text = Text.assemble((f"{clock} +{after_ms:>4} ms  ", "dim"), (f"{line.cl_ord_id:<12} ", ""))
    side = {"1": "buy", "2": "sell"}.get(message.get(54), "")
    if seen.is_report:
        price = f" @ {message.get(44)}" if message.get(44) else " at market" if message.get(40) == "1" else ""
        text.append(f"{side:<4} {message.get(38)} {message.get(55)}{price}: ")
    text.append(line.text(), _STYLE.get(line.what, ""))
    if line.reason and message.get(58):
        text.append(f"  {message.get(58).partition(': ')[2]}", "dim")
    return text


def summary(console: Console, day: list[Played], checks: list[Check], problems: list[str]) -> None:
    """Expected against came: each step, then the comparisons of the end."""
    table = Table(title="Expected against came", title_style="bold", border_style="dim", header_style="bold", expand=True)
    table.add_column("Step", ratio=3)
    table.add_column("Expected", ratio=5)
    table.add_column("Came", ratio=5)
    table.add_column("", width=1)
    for played in day:
        mark, style = _MARK["ok" if played.state == "ok" else "failed"]
        expected = "\n".join(line.text() for line in played.step.expected)
        came = Text("\n").join(Text(seen.line.text(), _STYLE.get(seen.line.what, "")) for seen in played.came)
        table.add_row(Text(played.step.name), Text(expected, "dim"), came or Text("nothing", "red"), Text(mark, style))
    table.add_section()
    for check in checks:
        mark, style = _MARK["ok" if check.ok else "failed"]
        table.add_row(Text(check.name), Text(check.expected, "dim"), Text(check.came), Text(mark, style))
    console.print(table)
    for played in day:
        for problem in played.problems:
            console.print(Text(f"✘ {played.step.name.strip()}: {problem}", "red"), soft_wrap=True)
        if played.state not in ("ok", "failed"):
            console.print(Text(f"✘ {played.step.name.strip()}: not reached", "red"))
    for check in checks:
        for difference in check.differences:
            console.print(Text(f"✘ {check.name}: {difference}", "red"), soft_wrap=True)
    for problem in problems:
        console.print(Text(f"✘ {problem}", "red"), soft_wrap=True)
