"""The picture: small multiples over one time axis. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from .run import PRODUCT, STAND_IN, Soak, bytes_per_request
from .sample import Sample

# colours that colour-blind people can tell apart (Okabe and Ito)
_COLOURS = {
    "gateway": "#0072B2",
    "front": "#E69F00",
    "venue:sim": "#009E73",
    "follower": "#CC79A7",
    "supervisor": "#56B4E9",
    "simulator": "#999999",
}
# growth is drawn as medians over so long
SMOOTH_S = 30.0
_MARKS = {"front": ("#D55E00", "-"), "reconnect": ("#999999", ":")}


def draw(soak: Soak, path: Path) -> None:
    """Write the PNG. Raises ImportError where matplotlib is not installed, OSError."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(3, 2, figsize=(16, 12.5), sharex=True, layout="constrained")
    names = [name for name in (*PRODUCT, STAND_IN) if any(name in sample.processes for sample in soak.samples)]
    panels: list[tuple[str, str, Callable[[Any], None]]] = [
        ("Memory (resident)", "MB", lambda axis: _by_process(axis, soak, names, "rss_mb")),
        (f"Growth of memory since the warm-up, median of {SMOOTH_S:.0f} s", "MB", lambda axis: _growth(axis, soak, names)),
        ("Handles; dashed: threads (colours as above)", "count", lambda axis: _handles(axis, soak, names)),
        ("Order to first report, 150=A", "ms", lambda axis: _latency(axis, soak)),
        ("Journal", "MB", lambda axis: _journal(axis, soak)),
        ("QuickFIX's store", "MB", lambda axis: _store(axis, soak)),
    ]
    for axis, (title, unit, fill) in zip(axes.flat, panels, strict=True):
        fill(axis)
        _marks(axis, soak)
        axis.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axis.set_ylabel(unit)
        axis.grid(alpha=0.25)
        axis.set_xlim(0, soak.plan.duration_s / 60)
    for axis in axes[-1]:
        axis.set_xlabel("minutes")
    plan = soak.plan
    last = soak.samples[-1] if soak.samples else None
    flags = f"GROWS: {', '.join(soak.flags)}. " if soak.flags else ""
    figure.suptitle(
        f"fixgw soak: {plan.duration_s / 60:.0f} min, {last.requests if last else 0} requests, seed {plan.seed}. {flags}"
        f"Grey: warm-up; dotted: a client reconnects; red: the front is killed.",
        fontsize=12,
    )
    figure.savefig(path, dpi=110, format="png")
    pyplot.close(figure)


def _legend(axis: Any, columns: int) -> None:
    """Above the panel, at the right of its title: nothing is hidden."""
    handles, labels = axis.get_legend_handles_labels()
    if handles:
        axis.legend(
            handles, labels, fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=columns, frameon=False,
            borderaxespad=0.2, columnspacing=1.2, handlelength=1.4,
        )  # fmt: skip


def _minutes(samples: list[Sample]) -> list[float]:
    return [sample.at_s / 60 for sample in samples]


def _by_process(axis: Any, soak: Soak, names: list[str], field: str, **style: Any) -> None:
    for name in names:
        samples = [sample for sample in soak.samples if name in sample.processes]
        values = [getattr(sample.processes[name], field) for sample in samples]
        axis.plot(_minutes(samples), values, color=_COLOURS[name], linewidth=1.4, **({"label": name} | style))
    axis.set_ylim(0, 1.08 * max(axis.dataLim.ymax, 1))
    if style.get("label") is None:
        _legend(axis, len(names))


def _growth(axis: Any, soak: Soak, names: list[str]) -> None:
    """Each process against the beginning of its own life after the warm-up; the gateway without QuickFIX's index. With its
    slope, which stands in the JSON with its interval."""
    slopes = {trend.name: trend.slope for trend in soak.trends}
    for name in names:
        lives: dict[int, list[tuple[float, float]]] = {}
        for sample in soak.samples:
            process = sample.processes.get(name)
            if process is not None and sample.at_s >= soak.plan.warmup_s:
                value = process.rss_mb - (sample.index_mb if name == "gateway" else 0)
                lives.setdefault(process.pid, []).append((sample.at_s, value))
        series = "gateway memory, without QuickFIX's index" if name == "gateway" else f"{name} memory"
        slope = slopes.get(series)
        label = f"{name}{' without index' if name == 'gateway' else ''}{f' {slope:+.2f} MB/h' if slope is not None else ''}"
        for number, life in enumerate(lives.values()):
            points = _smooth(life)
            axis.plot(
                [at_s / 60 for at_s, _ in points], [value - points[0][1] for _, value in points], color=_COLOURS[name],
                linewidth=1.4, label=label if number == 0 else None,
            )  # fmt: skip
    axis.axhline(0, color="black", linewidth=0.6)
    # in the warm-up, where nothing is drawn
    axis.legend(fontsize=8, loc="upper left", framealpha=0.85)


def _smooth(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Medians over SMOOTH_S: what comes and goes with a batch of work is no growth."""
    return [
        (at_s, median(value for t, value in points if abs(t - at_s) <= SMOOTH_S / 2))
        for at_s, _ in points
    ]  # fmt: skip


def _handles(axis: Any, soak: Soak, names: list[str]) -> None:
    _by_process(axis, soak, names, "threads", linestyle="--", label="_threads", alpha=0.6)
    _by_process(axis, soak, names, "handles", label="_handles")


def _latency(axis: Any, soak: Soak) -> None:
    minutes = _minutes(soak.samples)
    for field, label, colour in (("p99_ms", "p99", "#D55E00"), ("p50_ms", "p50", "#0072B2")):
        # without a value the line breaks: the venue was down, and orders were refused
        values = [value if (value := getattr(s, field)) is not None else float("nan") for s in soak.samples]
        axis.plot(minutes, values, label=label, color=colour, linewidth=1.0)
    axis.set_yscale("log")
    _legend(axis, 2)


def _journal(axis: Any, soak: Soak) -> None:
    minutes = _minutes(soak.samples)
    axis.plot(minutes, [sample.journal_mb for sample in soak.samples], label="records", color="#0072B2")
    axis.plot(minutes, [s.journal_disk_mb for s in soak.samples], label="disk, with room prepared", color="#999999")
    axis.set_ylim(bottom=0)
    axis.margins(y=0.1)
    right = axis.twinx()
    points = bytes_per_request(soak.samples)
    right.plot([p.at_s / 60 for p in points], [p.value for p in points], color="#D55E00", linewidth=1.0)
    axis.plot([], [], color="#D55E00", linewidth=1.0, label="bytes per request (right)")
    right.set_ylabel("B per request")
    right.set_ylim(bottom=0)
    _legend(axis, 3)


def _store(axis: Any, soak: Soak) -> None:
    minutes = _minutes(soak.samples)
    axis.plot(minutes, [s.index_mb for s in soak.samples], label="index in memory (64 B a message)", color="#D55E00")
    axis.plot(minutes, [s.store_mb for s in soak.samples], label="files", color="#999999")
    axis.set_ylim(bottom=0)
    axis.margins(y=0.1)
    _legend(axis, 2)


def _marks(axis: Any, soak: Soak) -> None:
    axis.axvspan(0, soak.plan.warmup_s / 60, color="#000000", alpha=0.06, linewidth=0)
    for mark in soak.marks:
        if mark.kind in _MARKS:
            colour, style = _MARKS[mark.kind]
            axis.axvline(mark.at_s / 60, color=colour, linestyle=style, linewidth=0.8, alpha=0.6)
