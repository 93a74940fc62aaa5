"""Parley beside its peers: everything, by one command, into docs/PERFORMANCE.md.

    python -m benchmarks.suite [--runs 5] [--only broadcast,delays] [--quick]

Needs gcc, redis-server, nats-server, inspircd and mosquitto, and the Python packages of the
extra ``bench``. The server has one core, the load another, and nothing else should run meanwhile:
it takes about an hour. The servers take turns, in the other order in every second run. What was
found is kept in docs/performance/results.json; sections that are not measured keep what was found
before.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from benchmarks import report
from benchmarks.cases import BASE, BROADCAST, DELAYS, FSYNC, PRIVATE, ROOMS, Case, Delay
from benchmarks.logins import logins_per_s
from benchmarks.measuring import PARLEY, Found, measure, server, start_load
from benchmarks.peers.start import KINDS
from benchmarks.programs import ProgramError, resident, stop
from benchmarks.tick import profile

Results = dict[str, Any]

_IDLE_SIDES: Final = (PARLEY, "redis", "nats", "inspircd", "mosquitto")


def machine() -> dict[str, str]:
    """Return what was measured on."""
    with open("/proc/cpuinfo") as file:  # noqa: PTH123
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": str(os.cpu_count()),
        "system": f"Linux {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def in_turns(
    sides: Sequence[str], runs: int, once: Callable[[str], Found], name: str
) -> dict[str, list[Found]]:
    """Run every server ``runs`` times, in turns. One that cannot go on is left out, and said."""
    found: dict[str, list[Found]] = {side: [] for side in sides}
    failed: set[str] = set()
    for run in range(runs):
        for side in sides if run % 2 == 0 else sides[::-1]:
            if side in failed:
                continue
            try:
                found[side].append(once(side))
            except (ProgramError, OSError) as problem:
                print(f"  {side} is left out: {problem}", file=sys.stderr, flush=True)
                failed.add(side)
    kept = {side: all_ for side, all_ in found.items() if side not in failed}
    rates = "  ".join(
        f"{side} {statistics.median(one['deliveries_per_s'] for one in all_):,.0f}"
        for side, all_ in kept.items()
    )
    print(f"{name}: {rates}", flush=True)
    return kept


def cases(which: Sequence[Case], runs: int) -> Results:
    """Measure cases by how much goes through."""
    return {case.name: _case(case, runs) for case in which}


def _case(case: Case, runs: int) -> dict[str, list[Found]]:
    return in_turns(case.able, runs, lambda side: measure(side, case.wanted), case.name)


def delays(runs: int, before: Results) -> Results:
    """Measure how long messages take at a part of the highest load."""
    highest = {
        side: statistics.median(one["messages_per_s"] for one in all_)
        for side, all_ in before["broadcast"][BROADCAST[0].name].items()
    }
    return {delay.name: _delay(delay, highest, runs) for delay in DELAYS}


def _delay(delay: Delay, highest: dict[str, float], runs: int) -> Results:
    rate = round(highest[delay.of] * delay.share)
    wanted = {**BASE, "rate": rate, "seconds": 2.0, "warmup": 0.7}
    sides = [side for side in delay.sides if highest.get(side, 0) > rate]
    name = f"{delay.name}, {rate} messages a second"
    return {"rate": rate, "found": in_turns(sides, runs, lambda side: measure(side, wanted), name)}


def idle(clients: int, runs: int) -> Results:
    """Measure what an idle client takes of memory, and how fast clients join."""
    found: dict[str, list[Found]] = {side: [] for side in _IDLE_SIDES}
    for _ in range(runs):
        for side in _IDLE_SIDES:
            try:
                found[side].append(_idle(side, clients))
            except (ProgramError, OSError) as problem:
                print(f"  {side} is left out: {problem}", file=sys.stderr, flush=True)
    for side, all_ in found.items():
        print(f"idle {side}: {all_}", flush=True)
    return {"clients": clients, "found": {side: all_ for side, all_ in found.items() if all_}}


def _idle(side: str, clients: int) -> Found:
    first = 500  # so that what is needed once is there
    with server(side) as running:
        loads = []
        try:
            sizes, joins = [], []
            for prefix, count in (("a", first), ("b", clients)):
                load = start_load(running, {"idle": True, "clients": count, "prefix": prefix})
                loads.append(load)
                assert load.stdout is not None
                joins.append(json.loads(load.stdout.readline())["joins_per_s"])
                time.sleep(3)
                sizes.append(resident(running.pid))
            return {"bytes": (sizes[1] - sizes[0]) / clients, "joins_per_s": joins[1]}
        finally:
            for load in loads:
                stop(load)


def storm(clients: int, runs: int) -> Results:
    """Measure how long it takes until all are in who come at the same moment."""
    found = []
    for _ in range(runs):
        with server(PARLEY) as running:
            wanted = {"idle": True, "clients": clients, "at-once": clients}
            load = start_load(running, wanted)
            try:
                assert load.stdout is not None
                joins = json.loads(load.stdout.readline())["joins_per_s"]
                found.append(clients / joins)
            finally:
                stop(load)
    print(f"storm: {found} s", flush=True)
    return {"clients": clients, "seconds": found}


def fsync(runs: int) -> Results:
    """Measure what the log's policies cost."""
    found: dict[str, list[Found]] = {policy: [] for policy in FSYNC}
    for run in range(runs):
        for policy in FSYNC if run % 2 == 0 else FSYNC[::-1]:
            found[policy].append(measure(PARLEY, BROADCAST[0].wanted, policy))
    for policy, all_ in found.items():
        print(f"fsync {policy}: {[one['messages_per_s'] for one in all_]}", flush=True)
    return found


def options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="sections, with commas")
    parser.add_argument("--quick", action="store_true", help="one run each, and no more sections")
    return parser.parse_args()


def main() -> int:
    """Measure, and write the report."""
    asked = options()
    runs = 1 if asked.quick else asked.runs
    results = report.load()
    sections: dict[str, Callable[[], Results]] = {
        "broadcast": lambda: cases(BROADCAST, runs),
        "private": lambda: cases(PRIVATE, runs),
        "delays": lambda: delays(runs, results),
        "rooms": lambda: cases(ROOMS, runs),
        "tick": lambda: profile(16) | {"alone": profile(1)},
        "fsync": lambda: fsync(runs),
        "logins": lambda: {"per_s": [logins_per_s(2000) for _ in range(runs)]},
        "storm": lambda: storm(10_000, min(runs, 2)),
        "idle": lambda: idle(10_000, min(runs, 2)),
    }
    wanted = asked.only.split(",") if asked.only else list(sections)
    if unknown := [name for name in wanted if name not in sections]:
        print(f"no such section: {unknown[0]}; there are {', '.join(sections)}", file=sys.stderr)
        return 2
    for name in wanted:
        began = time.monotonic()
        print(f"== {name}", flush=True)
        results[name] = sections[name]()
        results["machine"] = machine() | {"versions": versions()}
        report.save(results)
        print(f"== {name}: {time.monotonic() - began:.0f} s", flush=True)
    report.write(results)
    return 0


def versions() -> dict[str, str]:
    """Return the peers' versions, as they say them."""
    asked = {
        "redis": ["redis-server", "--version"],
        "nats": ["nats-server", "--version"],
        "inspircd": ["inspircd", "--version"],
        "mosquitto": ["mosquitto", "-h"],
    }
    said = {}
    for name, command in asked.items():
        assert name in KINDS
        path = f"{os.environ.get('PATH', '')}:/usr/sbin"
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
        )
        said[name] = done.stdout.partition("\n")[0].strip()
    return said


if __name__ == "__main__":
    sys.exit(main())
