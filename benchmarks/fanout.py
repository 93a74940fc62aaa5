"""How many deliveries a second: Parley beside Redis Pub/Sub, in turns, with the same load.

    python -m benchmarks.fanout [--clients 1000] [--senders 10] [--inflight 16] ...

The server has one core, the load another. Parley keeps its history on disk, synced before
anything is acknowledged or delivered; Redis keeps nothing. A message is answered to its
sender when Parley has made it durable and sent it on, and when Redis has queued it for
all subscribers. The load checks that everything arrives, once and in order.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.programs import Parley, ProgramError, Redis, built, pin, resident, stop

SIDES = ("parley", "redis")


def measure(side: str, options: argparse.Namespace) -> dict[str, float]:
    """Run one side once. Raises ``ProgramError`` if the load found something wrong."""
    with tempfile.TemporaryDirectory(prefix="parley-fanout-") as place:
        server: Parley | Redis
        if side == "parley":
            server = Parley(Path(place), ["--rate", "0", "--fsync", options.fsync])
        else:
            server = Redis()
        try:
            pin(server.pid, 0)
            empty = resident(server.pid)
            numbers = (options.clients, options.senders, options.inflight, options.size)
            load = subprocess.Popen(
                [
                    str(built("load")),
                    side,
                    str(server.port),
                    *map(str, numbers),
                    str(options.warmup),
                    str(options.seconds),
                ],
                stdout=subprocess.PIPE,
            )
            pin(load.pid, 1)
            out, _ = load.communicate(timeout=options.seconds + options.warmup + 120)
            if load.returncode:
                raise ProgramError(f"{side}: the load found errors: {out.decode()}")
            found: dict[str, float] = json.loads(out)
            found["resident_growth"] = resident(server.pid) - empty
            return found
        finally:
            stop(server.process)


def main() -> int:
    """Measure and print. Return 1 if something was lost, or Parley was under ``--at-least``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--senders", type=int, default=10)
    parser.add_argument("--inflight", type=int, default=16, help="messages in flight per sender")
    parser.add_argument("--size", type=int, default=100, help="bytes of a message's text")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--warmup", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--fsync", default="always")
    parser.add_argument("--at-least", type=float, default=0.0, help="least ratio to Redis")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    for run in range(options.runs):
        for side in SIDES if run % 2 == 0 else SIDES[::-1]:
            try:
                found = measure(side, options)
            except ProgramError as problem:
                print(problem, file=sys.stderr)
                return 1
            rates[side].append(found["deliveries_per_s"])
            if not options.json:
                print(
                    f"{side:8} {found['deliveries_per_s'] / 1e6:8.2f} M deliveries/s  "
                    f"{found['messages_per_s']:8.0f} messages/s  load's core "
                    f"{100 * found['cpu']:.0f} % busy",
                    flush=True,
                )
    ratios = [a / b for a, b in zip(rates["parley"], rates["redis"], strict=True)]
    ratio = statistics.median(ratios)
    if options.json:
        print(json.dumps({"deliveries_per_s": rates, "ratios": ratios}))
    else:
        for side in SIDES:
            low, middle, high = min(rates[side]), statistics.median(rates[side]), max(rates[side])
            print(f"{side:8} {middle / 1e6:.2f} M/s ({low / 1e6:.2f} to {high / 1e6:.2f})")
        print(f"ratio    {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    return 0 if ratio >= options.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
