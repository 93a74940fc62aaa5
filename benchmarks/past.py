"""How long the past takes to look up, with a long history in many conversations.

    python -m benchmarks.past [--messages 1000000] [--rooms 1000]

Round trips of one client: the newest page and older ones of any conversation, searches for rare
and common words, and what others wait meanwhile. Then memory, and the start.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.programs import Parley, resident, stop
from benchmarks.start import Client, first_welcome, write_history


def timed(count: int, ask: Callable[[], object]) -> list[float]:
    """Return the seconds of each of ``count`` round trips, ascending."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        ask()
        times.append(time.perf_counter() - began)
    return sorted(times)


def row(name: str, times: list[float]) -> str:
    """Return a row of the table, in milliseconds."""
    marks = statistics.quantiles(times, n=100)
    return f"{name:<44} {marks[49] * 1000:>8.2f} {marks[98] * 1000:>8.2f} {times[-1] * 1000:>8.2f}"


def main() -> int:
    """Measure and print. Return 1 if a page took over ``--at-most`` at the median."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--rooms", type=int, default=1000)
    parser.add_argument("--pages", type=int, default=500)
    parser.add_argument("--at-most", type=float, default=2.0, help="ms")
    options = parser.parse_args()
    chance = random.Random(1)
    with tempfile.TemporaryDirectory(prefix="parley-past-") as place:
        data = Path(place)
        write_history(data / "history.json", options.messages, options.rooms)
        began = time.monotonic()
        server = Parley(data, ["--rate", "0"])
        while "the index is complete" not in server.said:
            time.sleep(0.1)
        size = sum(path.stat().st_size for path in data.glob("history.index*"))
        print(f"index made in {time.monotonic() - began:.1f} s, {size / 1e6:.0f} MB", flush=True)
        client, other = Client(server.port), Client(server.port)
        for one, nick in ((client, "asker"), (other, "other")):
            one.send(purpose="join", nick=nick, id=1, time=0, bot=True)
            one.until("welcome")
        entered = min(options.rooms, 200)  # as many as one may be in
        for number in range(entered):
            client.send(purpose="enter", ref="e", room=f"#r{number}")
            client.until("ok")
        last = options.messages

        def page(before: int | None, where: str | None = None) -> int:
            name = where or f"#r{chance.randrange(entered)}"
            fields = {} if before is None else {"before": before}
            client.send(purpose="history", ref="h", limit=100, **{"with": name}, **fields)
            return len(client.until("history")["messages"])

        def search(text: str, **fields: object) -> int:
            client.send(purpose="search", ref="s", text=text, **fields)
            return len(client.until("history")["messages"])

        def ping() -> None:
            other.send(purpose="ping", ref="p")
            other.until("pong")

        print(f"{'round trips, milliseconds':<44} {'p50':>8} {'p99':>8} {'most':>8}")
        newest = timed(options.pages, lambda: page(None))
        older = timed(options.pages, lambda: page(chance.randrange(last)))
        lobby = timed(options.pages, lambda: page(chance.randrange(last), "#lobby"))
        print(row("newest page of a room, 100 messages", newest))
        print(row("older page of a room", older))
        print(row("older page of the lobby", lobby))
        rare = timed(100, lambda: search(str(chance.randrange(last))))
        common = timed(100, lambda: search("somebody something"))
        nowhere = timed(100, lambda: search("somebody absent"))
        print(row(f"search for a rare word in {entered} rooms", rare))
        print(row("search for two words of every message", common))
        print(row("search for a word that nobody said", nowhere))
        waits: list[float] = []
        for _ in range(50):
            client.send(purpose="search", ref="s", text="somebody", since=0, until=1)
            client.send(purpose="search", ref="s", text="-4 somebody nobodyatall")
            waits += timed(4, ping)
            client.until("history")
            client.until("history")
        print(row("a ping of somebody else meanwhile", sorted(waits)))
        print(f"resident {resident(server.pid) / 1e6:.0f} MB")
        stop(server.process)
        server, _, took = first_welcome(data, "later")
        print(f"first welcome {took:.2f} s after the start, {resident(server.pid) / 1e6:.0f} MB")
        stop(server.process, 9)
    worst = max(statistics.median(times) for times in (newest, older, lobby)) * 1000
    return 0 if worst <= options.at_most and took <= 1.0 else 1


if __name__ == "__main__":
    sys.exit(main())
