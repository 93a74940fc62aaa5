"""How many deliveries a second: Parley beside other servers, in turns, with the same load.

    python -m benchmarks.fanout [--peers redis,limit] [--clients 1000] [--senders 10] ...

The server has one core, the load another. Parley keeps its history on disk, synced before
anything is acknowledged or delivered; the others keep nothing. A message is answered to its
sender when Parley has made it durable and sent it on, and when Redis has queued it for
all subscribers. The load checks that everything arrives, once and in order.
"""

import argparse
import json
import statistics
import sys

from benchmarks.measuring import WEB, Found, measure
from benchmarks.peers.start import KINDS
from benchmarks.programs import ProgramError


def once(side: str, options: argparse.Namespace) -> Found:
    """Run one side once. Raises ``ProgramError`` if the load found something wrong."""
    names = ("clients", "senders", "inflight", "size", "warmup", "seconds")
    return measure(side, {name: getattr(options, name) for name in names}, options.fsync)


def peers(value: str) -> list[str]:
    """Return the names in a list with commas."""
    names = value.split(",")
    if unknown := [name for name in names if name not in (*KINDS, WEB)]:
        raise argparse.ArgumentTypeError(
            f"no such peer: {unknown[0]}; there are {', '.join([*KINDS, WEB])}"
        )
    return names


def read_options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--peers", type=peers, default=["redis"], help=", ".join([*KINDS, WEB]))
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--senders", type=int, default=10)
    parser.add_argument("--inflight", type=int, default=16, help="messages in flight per sender")
    parser.add_argument("--size", type=int, default=100, help="bytes of a message's text")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--warmup", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--fsync", default="always")
    parser.add_argument("--at-least", type=float, default=0.0, help="least ratio to the first peer")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser.parse_args()


def spread(values: list[float], unit: float = 1.0) -> str:
    """Return the median, the least and the most."""
    low, middle, high = (f(values) / unit for f in (min, statistics.median, max))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main() -> int:
    """Measure and print. Return 1 if something was lost, or Parley was under ``--at-least``."""
    options = read_options()
    sides = ["parley", *options.peers]
    rates: dict[str, list[float]] = {side: [] for side in sides}
    for run in range(options.runs):
        for side in sides if run % 2 == 0 else sides[::-1]:
            try:
                found = once(side, options)
            except ProgramError as problem:
                print(problem, file=sys.stderr)
                return 1
            rates[side].append(found["deliveries_per_s"])
            if not options.json:
                print(
                    f"{side:10} {found['deliveries_per_s'] / 1e6:8.2f} M deliveries/s  "
                    f"{found['messages_per_s']:8.0f} messages/s  load's core "
                    f"{100 * found['cpu']:.0f} % busy",
                    flush=True,
                )
    ratios = {
        peer: [a / b for a, b in zip(rates["parley"], rates[peer], strict=True)]
        for peer in options.peers
    }
    if options.json:
        print(json.dumps({"deliveries_per_s": rates, "ratios": ratios}))
    else:
        for side in sides:
            print(f"{side:10} {spread(rates[side], 1e6)} M/s")
        for peer in options.peers:
            print(f"ratio to {peer}: {spread(ratios[peer])}")
    return 0 if statistics.median(ratios[options.peers[0]]) >= options.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
