"""What the suite found, as tables in docs/PERFORMANCE.md and plots beside it.

    python -m benchmarks.report        writes them anew from docs/performance/results.json

In the page each table stands between ``<!-- NAME -->`` and ``<!-- end -->``; what is around them is
written by hand.
"""

import json
import re
import statistics
from collections.abc import Callable, Iterable
from typing import Any, Final

from benchmarks import plots
from benchmarks.measuring import PARLEY
from benchmarks.programs import ROOT
from benchmarks.tick import STAGES

Results = dict[str, Any]

PAGE: Final = ROOT / "docs" / "PERFORMANCE.md"
PLACE: Final = ROOT / "docs" / "performance"
KEPT: Final = PLACE / "results.json"

NAMES: Final = {
    "parley": "Parley",
    "limit": "the limit",
    "redis": "Redis",
    "inspircd": "InspIRCd",
    "nats": "NATS",
    "mosquitto": "mosquitto",
    "uvloop": "uvloop",
    "websockets": "websockets",
    "parley-web": "Parley, by WebSocket",
}


def load() -> Results:
    """Return what was found before."""
    found: Results = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    return found


def save(results: Results) -> None:
    """Keep what was found."""
    PLACE.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(results, indent=1) + "\n")


def short(value: float) -> str:
    """Return a number with three digits that count."""
    for unit, letter in ((1e6, " M"), (1e3, " k")):
        if value >= unit:
            digits = 2 if value < 10 * unit else 1 if value < 100 * unit else 0
            return f"{value / unit:.{digits}f}{letter}"
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def spread(values: Iterable[float], shown: Callable[[float], str] = short) -> str:
    """Return the median, and the lowest and the highest."""
    ordered = sorted(values)
    middle = shown(statistics.median(ordered))
    return f"{middle} ({shown(ordered[0])} to {shown(ordered[-1])})"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    titles = list(head)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _sides(found: dict[str, dict[str, Any]]) -> list[str]:
    return [side for side in NAMES if any(side in one for one in found.values())]


def _rates(found: dict[str, dict[str, list[dict[str, float]]]], what: str) -> str:
    """Return two tables: medians, and Parley's ratio to each with its spread."""
    sides = _sides(found)
    rates: list[list[str]] = []
    ratios: list[list[str]] = []
    for name, measured in found.items():
        values = {side: [run[what] for run in runs] for side, runs in measured.items()}
        medians = [short(statistics.median(values[s])) if values.get(s) else "" for s in sides]
        rates.append([name, *medians])
        ratios.append([name, *(_ratio(values, side) for side in sides if side != PARLEY)])
    others = [NAMES[side] for side in sides if side != PARLEY]
    return "\n\n".join(
        (
            table(["", *(NAMES[side] for side in sides)], rates),
            "Parley as many times as fast, run by run: median (lowest to highest).",
            table(["", *others], ratios),
        )
    )


def _ratio(values: dict[str, list[float]], side: str) -> str:
    if not values.get(side) or not values.get(PARLEY):
        return ""
    pairs = zip(values[PARLEY], values[side], strict=False)
    return spread([ours / theirs for ours, theirs in pairs if theirs], lambda one: f"{one:.2f}")


def _delays(found: Results) -> str:
    rows = []
    sides = [s for s in NAMES if any(s in row["found"] for row in found.values())]
    for name, row in found.items():
        cells = []
        for side in sides:
            runs = [run["latency"] for run in row["found"].get(side, [])]
            marks = [statistics.median(all_) for all_ in _marks(runs) if all_]
            cells.append(" / ".join(f"{mark / 1000:.1f}" for mark in marks) or "cannot")
        rows.append([f"{name}: {row['rate']}", *cells])
    return table(["messages a second", *(NAMES[side] for side in sides)], rows)


def _marks(runs: list[dict[str, float]]) -> list[list[float]]:
    return [[run[mark] for run in runs] for mark in ("p50", "p99", "p999")]


def _idle(found: Results) -> str:
    rows = []
    for side, runs in found["found"].items():
        each = [run["bytes"] for run in runs]
        joins = [run["joins_per_s"] for run in runs]
        rows.append(
            [NAMES[side], f"{statistics.median(each):.0f}", f"{statistics.median(joins):.0f}"]
        )
    return table(["", "resident bytes for each idle client", "joins a second"], rows)


def _coming(found: Results) -> str:
    logins, storm = found["logins"]["per_s"], found["storm"]
    return table(
        ["", ""],
        [
            ["logins a second", spread(logins)],
            [
                f"seconds until {storm['clients']:,} are in who come at the same moment",
                spread(storm["seconds"], lambda one: f"{one:.1f}"),
            ],
        ],
    )


def _fsync(found: Results) -> str:
    rows = [
        [f"`{policy}`", spread([run["messages_per_s"] for run in runs])]
        for policy, runs in found.items()
    ]
    return table(["--fsync", "messages a second"], rows)


def _tick(found: Results) -> str:
    rows = []
    for stage in [*STAGES, "rest"]:
        cells = [STAGES.get(stage, "the rest of the loop")]
        for one in (found, found["alone"]):
            cells += [
                f"{one['per_message'][stage]:.1f}",
                f"{1000 * one['per_delivery'][stage]:.1f}",
                f"{100 * one['share'][stage]:.1f} %",
            ]
        rows.append(cells)
    head = [
        "",
        "16: µs a message",
        "ns a delivery",
        "share",
        "1: µs a message",
        "ns a delivery",
        "share",
    ]
    calls = []
    for one in (found, found["alone"]):
        most = sorted(one["syscalls"].items(), key=lambda call: -call[1])[:5]
        calls.append(", ".join(f"`{name}` {count:.4f}" for name, count in most))
    return (
        table(head, rows)
        + f"\n\nSystem calls for a delivery, 16 in flight: {calls[0]}; 1 in flight: {calls[1]}."
    )


def _machine(found: Results) -> str:
    versions = "; ".join(found["versions"].values())
    return (
        f"Measured on {found['date']} on a virtual machine: {found['processor']}, "
        f"{found['cores']} cores, {found['system']}, Python {found['python']}, "
        f"loopback. {versions}."
    )


def write(results: Results) -> None:
    """Put the tables into the page, and draw the plots."""
    makers: dict[str, Callable[[], str]] = {
        "machine": lambda: _machine(results["machine"]),
        "broadcast": lambda: _rates(results["broadcast"], "deliveries_per_s"),
        "private": lambda: _rates(results["private"], "messages_per_s"),
        "rooms": lambda: _rates(results["rooms"], "deliveries_per_s"),
        "delays": lambda: _delays(results["delays"]),
        "idle": lambda: _idle(results["idle"]),
        "storm": lambda: _coming(results) if "logins" in results else "",
        "fsync": lambda: _fsync(results["fsync"]),
        "tick": lambda: _tick(results["tick"]),
    }
    page = PAGE.read_text()
    for name, make in makers.items():
        mark = f"<!-- {name} -->"
        if name in results and mark in page:
            between = re.compile(re.escape(mark) + r".*?<!-- end -->", re.DOTALL)
            text = f"{mark}\n{make()}\n<!-- end -->"
            page = between.sub(lambda _, text=text: text, page)  # type: ignore[misc]
    PAGE.write_text(page)
    if "broadcast" in results:
        plots.draw(results, NAMES, PLACE)


if __name__ == "__main__":
    write(load())
