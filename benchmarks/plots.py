"""What the suite found, drawn."""

import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.cases import BROADCAST, DELAYS

Runs = Mapping[str, list[dict[str, float]]]

_BASE: Final = BROADCAST[0].name

_LINES: Final[dict[str, tuple[str, dict[int, str]]]] = {
    "clients": (
        "clients (16 in flight)",
        {10: "10 clients", 100: "100 clients", 1000: _BASE, 10_000: "10,000 clients"},
    ),
    "inflight": (
        "messages in flight of each of 10 senders (1,000 clients)",
        {1: BROADCAST[1].name, 16: _BASE, 256: BROADCAST[2].name},
    ),
    "size": (
        "bytes of a text (1,000 clients, 16 in flight)",
        {20: "texts of 20 bytes", 100: _BASE, 1000: "texts of 1 KB", 16_000: "texts of 16 KB"},
    ),
}
"""Plots of deliveries a second: what is along the axis, and where on it each case is."""

_COLOURS: Final = {
    "parley": "#c0392b",
    "limit": "#7f8c8d",
    "redis": "#2980b9",
    "inspircd": "#27ae60",
    "nats": "#8e44ad",
    "mosquitto": "#d35400",
    "uvloop": "#16a085",
    "websockets": "#2c3e50",
    "parley-web": "#e59866",
}


def draw(results: Mapping[str, Any], names: Mapping[str, str], place: Path) -> None:
    """Draw what there is to draw, as SVG in ``place``, if there is something to draw with."""
    try:
        import matplotlib as mpl
    except ImportError:
        print("matplotlib is not installed: no plots", file=sys.stderr)
        return
    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "parley", "font.size": 9, "axes.grid": True})
    broadcast = results["broadcast"]
    for name, (title, cases) in _LINES.items():
        figure, axes = _axes()
        for side, label in names.items():
            _line(axes, side, label, {x: broadcast.get(case, {}) for x, case in cases.items()})
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(title)
        axes.set_ylabel("million deliveries a second")
        _save(figure, axes, place / f"{name}.svg")
    if "delays" in results:
        figure, axes = _axes()
        _bars(axes, results["delays"], names)
        axes.set_ylabel("99th percentile, ms")
        _save(figure, axes, place / "delays.svg")


def _axes() -> tuple[Any, Any]:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6))
    axes.set_axisbelow(True)
    return figure, axes


def _line(axes: Any, side: str, label: str, points: Mapping[int, Runs]) -> None:
    """Draw a line through medians, with the spread around it."""
    known = {
        x: [run["deliveries_per_s"] / 1e6 for run in runs[side]]
        for x, runs in points.items()
        if runs.get(side)
    }
    if len(known) < 2:
        return
    colour, xs, all_ = _COLOURS[side], list(known), known.values()
    medians = [statistics.median(values) for values in all_]
    axes.plot(xs, medians, "o-", color=colour, label=label, markersize=3)
    axes.fill_between(xs, [*map(min, all_)], [*map(max, all_)], color=colour, alpha=0.15)


def _bars(axes: Any, found: Mapping[str, Any], names: Mapping[str, str]) -> None:
    sides = [side for side in names if any(side in row["found"] for row in found.values())]
    rows = [delay.name for delay in DELAYS if delay.name in found]
    width = 0.8 / max(1, len(sides))
    for number, side in enumerate(sides):
        label: str | None = names[side]
        for at, name in enumerate(rows):
            runs = found[name]["found"].get(side)
            if runs:
                high = statistics.median(run["latency"]["p99"] for run in runs) / 1000
                axes.bar(at + number * width, high, width, color=_COLOURS[side], label=label)
                label = None
    axes.grid(visible=False, axis="x")
    axes.set_xticks([at + 0.4 for at in range(len(rows))], rows, fontsize=6)


def _save(figure: Any, axes: Any, path: Path) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
