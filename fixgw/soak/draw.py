"""The picture: small multiples over one time axis. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .run import PRODUCT, STAND_IN, Soak
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
_MARKS = {"front": ("#D55E00", "-"), "reconnect": ("#999999", ":")}


class NoMatplotlib(Exception):
    """The drawing library is not installed."""


def draw(soak: Soak, path: Path) -> None:
    """Write the PNG. Raises NoMatplotlib, OSError."""
    try:
        import matplotlib
    except ImportError as error:
        raise NoMatplotlib("matplotlib is not installed: pip install matplotlib, or run without --png") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(3, 2, figsize=(15, 12), sharex=True, layout="constrained")
    names = [name for name in (*PRODUCT, STAND_IN) if any(name in sample.processes for sample in soak.samples)]
    panels: list[tuple[str, str, Callable[[Any], None]]] = [
        ("Memory (resident)", "MB", lambda axis: _by_process(axis, soak, names, "rss_mb")),
        ("Growth of memory since the warm-up", "MB", lambda axis: _growth(axis, soak, names)),
        ("File handles (threads dashed)", "count", lambda axis: _handles(axis, soak, names)),
        ("Order to first report, 150=A", "ms", lambda axis: _latency(axis, soak)),
        ("Journal", "MB", lambda axis: _journal(axis, soak)),
        ("QuickFIX's store: index in memory, files", "MB", lambda axis: _store(axis, soak)),
    ]
    for axis, (title, unit, fill) in zip(axes.flat, panels, strict=True):
        fill(axis)
        _marks(axis, soak)
        axis.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axis.set_ylabel(unit)
        axis.grid(alpha=0.25)
        axis.legend(fontsize=8, loc="upper left", ncols=2, framealpha=0.85)
    for axis in axes[-1]:
        axis.set_xlabel("minutes")
    plan = soak.plan
    last = soak.samples[-1] if soak.samples else None
    figure.suptitle(
        f"fixgw soak: {plan.duration_s / 60:.0f} min, {last.requests if last else 0} requests, seed {plan.seed}. "
        f"Grey area: warm-up; dotted: a client reconnects; red: the front is killed.",
        fontsize=12,
    )
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _minutes(samples: list[Sample]) -> list[float]:
    return [sample.at_s / 60 for sample in samples]


def _by_process(axis: Any, soak: Soak, names: list[str], field: str, **style: Any) -> None:
    for name in names:
        samples = [sample for sample in soak.samples if name in sample.processes]
        values = [getattr(sample.processes[name], field) for sample in samples]
        axis.plot(_minutes(samples), values, color=_COLOURS[name], linewidth=1.4, **({"label": name} | style))
    axis.set_ylim(bottom=0)
    axis.margins(y=0.25)


def _growth(axis: Any, soak: Soak, names: list[str]) -> None:
    """Each process against its first sample after the warm-up (of its own life); the gateway without QuickFIX's index."""
    for name in names:
        base: dict[int, float] = {}
        times, values = [], []
        for sample in soak.samples:
            process = sample.processes.get(name)
            if process is None or sample.at_s < soak.plan.warmup_s:
                continue
            value = process.rss_mb - (sample.index_mb if name == "gateway" else 0)
            base.setdefault(process.pid, value)
            times.append(sample.at_s / 60)
            values.append(value - base[process.pid])
        label = "gateway without index" if name == "gateway" else name
        axis.plot(times, values, color=_COLOURS[name], linewidth=1.4, label=label)
    axis.axhline(0, color="black", linewidth=0.6)


def _handles(axis: Any, soak: Soak, names: list[str]) -> None:
    _by_process(axis, soak, names, "handles")
    _by_process(axis, soak, names, "threads", linestyle="--", label="_threads", alpha=0.7)


def _latency(axis: Any, soak: Soak) -> None:
    for field, label, colour in (("p50_ms", "p50", "#0072B2"), ("p99_ms", "p99", "#D55E00")):
        samples = [sample for sample in soak.samples if getattr(sample, field) is not None]
        axis.plot(_minutes(samples), [getattr(s, field) for s in samples], label=label, color=colour, linewidth=1.2)
    axis.set_yscale("log")


def _journal(axis: Any, soak: Soak) -> None:
    minutes = _minutes(soak.samples)
    axis.plot(minutes, [sample.journal_mb for sample in soak.samples], label="records", color="#0072B2")
    axis.set_ylim(bottom=0)
    axis.margins(y=0.25)


def _store(axis: Any, soak: Soak) -> None:
    minutes = _minutes(soak.samples)
    axis.plot(minutes, [s.index_mb for s in soak.samples], label="index in memory (64 B a message)", color="#D55E00")
    axis.plot(minutes, [s.store_mb for s in soak.samples], label="files", color="#999999")
    axis.set_ylim(bottom=0)
    axis.margins(y=0.25)


def _marks(axis: Any, soak: Soak) -> None:
    axis.axvspan(0, soak.plan.warmup_s / 60, color="#000000", alpha=0.06, linewidth=0)
    for mark in soak.marks:
        if mark.kind in _MARKS:
            colour, style = _MARKS[mark.kind]
            axis.axvline(mark.at_s / 60, color=colour, linestyle=style, linewidth=0.8, alpha=0.6)
