"""The figures of the faults: what a canary waits while a server is attacked, and what that costs.

    python -m benchmarks.faults [-k NAME] [--runs 1]

Runs the tests in tests/faults that have a canary, one at a time, and prints for each attack the
canary's round trips (from saying something to its acknowledgement and its delivery to another),
of the 99th percentile also how long the server had a processor meanwhile, the memory it grew by at
most, and the share of a core it used. Fails if a test does, or if the 99th percentile of a canary
is over 250 ms: nothing else should run on the machine then. With ``--work`` that of the server's
own time counts instead, which is the same on a machine that has other things to do.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.programs import ROOT

MOST_MS = 250.0
"""A person talking notices no delay below this."""


def main() -> int:
    """Run the attacks and print the table. Return 1 if anything was not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument(
        "-k", metavar="NAME", default="", help="only tests with this in their names"
    )
    parser.add_argument("--runs", type=int, default=1, help="the worst of so many is shown")
    parser.add_argument("--work", action="store_true", help="judge by the server's own time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "figures"
        failed = 0
        for _ in range(options.runs):
            command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/faults"]
            done = subprocess.run(
                [*command, "-k", options.k],
                cwd=ROOT,
                env={**os.environ, "PARLEY_FIGURES": str(path)},
            )
            failed = failed or done.returncode
        found = [json.loads(line) for line in path.read_text().splitlines()]
    worst: dict[str, dict[str, Any]] = {}
    for figures in found:
        known = worst.setdefault(figures["test"], figures)
        for name in ("p50", "p99", "longest", "work", "memory", "cpu"):
            known[name] = max(known[name], figures[name])
    print(
        "| rows | attack | round trips | p50 ms | p99 ms | longest ms | p99 of work ms | memory MB "
        "| of a core |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for test, figures in sorted(worst.items(), key=lambda pair: pair[1]["rows"]):
        print(
            f"| {', '.join(map(str, figures['rows']))} | {test.partition('::')[2]} "
            f"| {figures['trips']} | {figures['p50']:.1f} | {figures['p99']:.1f} "
            f"| {figures['longest']:.0f} | {figures['work']:.1f} | {figures['memory'] / 1e6:.0f} "
            f"| {figures['cpu']:.2f} |"
        )
    judged = "work" if options.work else "p99"
    slow = [test for test, figures in worst.items() if figures[judged] > MOST_MS]
    for test in slow:
        print(f"{test}: the canary's 99th percentile is over {MOST_MS:g} ms")
    return 1 if failed or slow else 0


if __name__ == "__main__":
    sys.exit(main())
