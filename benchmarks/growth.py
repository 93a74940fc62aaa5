"""How cost grows with the history: start, memory, index, pages and searches.

    python -m benchmarks.growth [--upto 10000000]

For 10,000 messages and ten times as many each time: a tenth private, half in a thousand rooms. Ten
million take some 5 GB of disk and half an hour.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.past import timed
from benchmarks.programs import Parley, resident, stop
from benchmarks.start import Client, first_welcome, write_history

ROOMS = 1000
BEFORE = ("ended", "killed", "killed_writing")
"""What has happened to the server before a start: it ended in order; it was killed while nobody
wrote; it was killed right behind a record."""


def grown(messages: int) -> dict[str, float]:
    """Return what a history of so many messages costs: seconds, bytes, milliseconds."""
    with tempfile.TemporaryDirectory(prefix="parley-growth-") as place:
        data = Path(place)
        write_history(data / "history.json", messages, ROOMS)
        began = time.monotonic()
        server = Parley(data, ["--rate", "0"])
        while "the index is complete" not in server.said:
            time.sleep(0.1)
        indexed = time.monotonic() - began
        stop(server.process)
        starts = {}
        for number, how in enumerate(BEFORE):
            server, _, took = first_welcome(data, f"n{number}")
            starts[f"start_{how}_s"] = took
            fresh = resident(server.pid)
            if number == 0:
                time.sleep(2)  # nobody writes any more, and the index is committed
            stop(server.process, 9)
        found = {
            "messages": messages,
            "log_bytes": (data / "history.json").stat().st_size,
            "index_bytes": sum(path.stat().st_size for path in data.glob("history.index*")),
            "index_s": indexed,
            **starts,
            "resident_at_start": fresh,
        }
        server = Parley(data, ["--rate", "0"])
        client = Client(server.port)
        client.send(purpose="join", nick="asker", id=1, time=0, bot=True)
        client.until("welcome")
        chance = random.Random(1)

        def page() -> None:
            before = chance.randrange(messages)
            client.send(purpose="history", ref="h", limit=100, before=before, **{"with": "#lobby"})
            client.until("history")

        def search() -> None:
            client.send(purpose="search", ref="s", text=str(chance.randrange(messages)))
            client.until("history")

        pages, searches = timed(200, page), timed(100, search)
        found["page_ms"], found["page_p99_ms"] = _marks(pages)
        found["search_ms"], found["search_p99_ms"] = _marks(searches)
        found["resident_after"] = resident(server.pid)
        stop(server.process, 9)
        return found


def _marks(times: list[float]) -> tuple[float, float]:
    marks = statistics.quantiles(times, n=100)
    return marks[49] * 1000, marks[98] * 1000


def main() -> int:
    """Measure and print. Return 1 if the longest history took over 2 s or 300 MB to start, but for
    a server that was killed while it wrote."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--first", type=int, default=10_000)
    parser.add_argument("--upto", type=int, default=10_000_000)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    messages, found = options.first, {}
    while messages <= options.upto:
        found = grown(messages)
        if options.json:
            print(json.dumps(found), flush=True)
        else:
            print(
                f"{messages:>10,} messages, {found['log_bytes'] / 1e6:.0f} MB: start "
                f"{found['start_ended_s']:.2f} s, after a kill {found['start_killed_s']:.2f}, "
                f"after one while it wrote {found['start_killed_writing_s']:.2f}; "
                f"{found['resident_at_start'] / 1e6:.0f} MB, later "
                f"{found['resident_after'] / 1e6:.0f} MB; page {found['page_ms']:.2f} ms "
                f"(99 %: {found['page_p99_ms']:.2f}), search {found['search_ms']:.2f} ms "
                f"({found['search_p99_ms']:.2f}); index {found['index_bytes'] / 1e6:.0f} MB, made "
                f"in {found['index_s']:.0f} s",
                flush=True,
            )
        messages *= 10
    slowest = max(found.get(f"start_{how}_s", 0) for how in BEFORE[:2])
    good = slowest <= 2 and found.get("resident_after", 0) <= 300e6
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
