"""Where the time of a tick goes: by stage, for each message and each delivery, and system calls.

    python -m benchmarks.tick [--inflight 16]

Runs the server with the clock that ``--metrics`` puts beside its tick, under the load of
``benchmarks.fanout``.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.cases import BASE
from benchmarks.measuring import start_load
from benchmarks.programs import Parley, ProgramError, pin, stop
from parley.server.ground.counts import StageClock
from parley.server.server import Server

_LISTENING: Final = re.compile(r"listening on [^ ]*:(\d+)")

STAGES: Final = {
    "wait": "waiting for sockets",
    "read": "reading from them",
    "requests": "requests: decode, check, queue",
    "write": "the log: encode, write, sync",
    "apply": "what comes of what is durable",
    "replay": "pages, replays, rosters",
    "index": "the index",
    "send": "joining, and one send a client",
    "upkeep": "the index's commits, and upkeep",
}


def clocked(server: Server) -> Callable[[], dict[str, float]]:
    """Time each stage of ``server``'s ticks; return what reads the clocks."""
    clock = StageClock()
    server.mark = clock.mark

    def read() -> dict[str, float]:
        spent = {name: histogram.seconds for name, histogram in clock.stages.items()}
        return {**spent, "ticks": sum(clock.ticks.counts), "at": time.perf_counter()}

    return read


def serve(data: str) -> int:
    """Be the server, with clocks; print them as JSON at each SIGUSR1."""
    from parley.server.operating import reporting
    from parley.server.options import parse
    from parley.server.start import start

    arguments = ["0", "--data", data, "--rate", "0", "--timeout", "3600"]
    reporting.set_up("info", False)
    server = start(parse(arguments), lambda: parse(arguments))
    read = clocked(server)
    signal.signal(signal.SIGUSR1, lambda *_: print(json.dumps(read()), flush=True))
    server.run()
    return 0


@contextlib.contextmanager
def _clocked_server(place: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    with (place / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.tick", "--serve", str(place)],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
    try:
        pin(process.pid, 0)
        deadline = time.monotonic() + 30
        while (
            found := re.search(r"listening on [^ ]*:(\d+)", (place / "said").read_text())
        ) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise ProgramError((place / "said").read_text())
            time.sleep(0.01)
        yield process, int(found[1])
    finally:
        process.terminate()
        process.wait(20)


class _Running:
    """What the load needs to know of a server."""

    protocol = "parley"

    def __init__(self, port: int) -> None:
        self.port = port


def profile(inflight: int, seconds: float = 4.0) -> dict[str, Any]:
    """Return microseconds of each stage for a message and for a delivery, and of a tick; and the
    system calls for a delivery, counted in a run of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="parley-tick-") as place,
        _clocked_server(Path(place)) as (process, port),
    ):
        wanted = {**BASE, "inflight": inflight, "warmup": 1, "seconds": seconds + 2}
        load = start_load(_Running(port), wanted)
        readings = []
        for pause in (4.0, seconds / 2):  # first until all have joined, and it is warm
            time.sleep(pause)
            process.send_signal(signal.SIGUSR1)
            assert process.stdout is not None
            readings.append(json.loads(process.stdout.readline()))
        out, _ = load.communicate(timeout=60)
    found = json.loads(out)
    before, after = readings
    took = after["at"] - before["at"]
    messages = found["messages_per_s"] * took
    deliveries = found["deliveries_per_s"] * took
    spent = {stage: after[stage] - before[stage] for stage in STAGES}
    spent["rest"] = took - sum(spent.values())
    return {
        "inflight": inflight,
        "ticks_per_s": (after["ticks"] - before["ticks"]) / took,
        "messages_per_s": found["messages_per_s"],
        "per_message": {stage: 1e6 * one / messages for stage, one in spent.items()},
        "per_delivery": {stage: 1e6 * one / deliveries for stage, one in spent.items()},
        "share": {stage: one / took for stage, one in spent.items()},
        "syscalls": system_calls(inflight),
    }


def system_calls(inflight: int) -> dict[str, float]:
    """Count the server's system calls by name, for each delivery."""
    if shutil.which("strace") is None:
        return {}
    with tempfile.TemporaryDirectory(prefix="parley-tick-") as place:
        server = Parley(Path(place), ["--rate", "0", "--timeout", "3600"])
        counts = Path(place) / "counts"
        command = ["strace", "-c", "-f", "-o", str(counts), "-p", str(server.pid)]
        tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)  # it is attached; the joins count too, a thousandth
            load = start_load(server, {**BASE, "inflight": inflight, "warmup": 0, "seconds": 2})
            out, _ = load.communicate(timeout=180)
            tracer.send_signal(signal.SIGINT)
            tracer.wait(20)
        finally:
            stop(server.process)
        found = json.loads(out)
        deliveries = found["sent"] * BASE["clients"]
        calls: dict[str, float] = {}
        for line in counts.read_text().splitlines():
            words = line.split()
            if len(words) >= 5 and words[0][0].isdigit() and words[-1] != "total":
                calls[words[-1]] = int(words[3]) / deliveries
        return calls


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--inflight", type=int, default=16)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        os.environ.setdefault("PYTHONUNBUFFERED", "1")
        return serve(asked.serve)
    found = profile(asked.inflight)
    print(f"{found['messages_per_s']:.0f} messages/s in {found['ticks_per_s']:.0f} ticks/s")
    print(f"{'':<52} {'us/message':>10} {'us/delivery':>12} {'share':>7}")
    for stage in found["share"]:
        values = [found[kind][stage] for kind in ("per_message", "per_delivery", "share")]
        name = STAGES.get(stage, stage)
        print(f"{name:<52} {values[0]:>10.2f} {values[1]:>12.4f} {100 * values[2]:>6.1f}%")
    for name, count in sorted(found["syscalls"].items(), key=lambda one: -one[1])[:8]:
        print(f"{name:<20} {count:.4f} calls for each delivery")
    return 0


if __name__ == "__main__":
    sys.exit(main())
