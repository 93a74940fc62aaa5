"""How smooth typing stays: from a key to the screen, with nothing coming in and under a flood.

    python -m benchmarks.screen [--rate 10000] [--messages 200000] [--keys 300]

The real client in a pty, the real server, and a sender that keeps the rate. A key is a letter that
occurs nowhere else; it is on the screen when the client has written it to the terminal.
"""

import argparse
import contextlib
import fcntl
import multiprocessing
import multiprocessing.sharedctypes
import multiprocessing.synchronize
import os
import pty
import random
import select
import statistics
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

from benchmarks.programs import ROOT, Parley, resident, stop
from benchmarks.start import Client

LETTERS = [chr(code) for code in range(0x2D30, 0x2D60)]
LAST = "\u2c75"
BATCHES = 100  # a second
Flag = multiprocessing.synchronize.Event


class Terminal:
    """The client on a pty. What it writes is searched, not drawn."""

    def __init__(self, port: int, config: Path, columns: int, lines: int) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(PARLEY_CONFIG_DIR=str(config), TERM="xterm-256color")
            program = str(ROOT / "chat_client.py")
            arguments = [sys.executable, program, "127.0.0.1", str(port), "reader", "1"]
            os.execv(sys.executable, arguments)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._tail = b""
        self.saw_last = 0.0

    def read(self, seconds: float) -> bool:
        """Take what is written within a time. False if nothing was."""
        if not select.select([self.fd], [], [], max(0.0, seconds))[0]:
            return False
        self._tail = self._tail[-64:] + os.read(self.fd, 1 << 16)
        if LAST.encode() in self._tail:
            self.saw_last = self.saw_last or time.monotonic()
        return True

    def wait(self, part: str, patience: float = 60.0) -> None:
        """Read until ``part`` has been written."""
        wanted = part.encode()
        deadline = time.monotonic() + patience
        while wanted not in self._tail:
            if not self.read(deadline - time.monotonic()):
                raise TimeoutError(f"{part!r} was not shown within {patience:.0f} s")
        self._tail = b""

    def idle(self, seconds: float) -> None:
        """Read and forget for a time, as a terminal does."""
        deadline = time.monotonic() + seconds
        while self.read(deadline - time.monotonic()):
            pass
        self._tail = b""

    def key(self, letter: str) -> float:
        """Type a letter; return the seconds until it was on the screen."""
        began = time.perf_counter()
        os.write(self.fd, letter.encode())
        self.wait(letter)
        took = time.perf_counter() - began
        os.write(self.fd, b"\x7f")
        return took

    def close(self) -> None:
        """Be done with it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)


def typed(terminal: Terminal, keys: int, until: Flag | None = None) -> list[float]:
    """Type that many keys, or until the event, at a person's pace."""
    found: list[float] = []
    pace = random.Random(1)
    while len(found) < keys if until is None else not until.is_set():
        terminal.idle(pace.uniform(0.03, 0.09))
        found.append(terminal.key(LETTERS[len(found) % len(LETTERS)]))
    return found


def flood(
    port: int,
    rate: int,
    messages: int,
    done: Flag,
    sent_at: "multiprocessing.sharedctypes.Synchronized[float]",
) -> None:
    """Send messages at a steady rate, then one last; a process of its own."""
    client = Client(port)
    client.send(purpose="join", nick="sender", id=1, time=0, bot=True)
    client.until("welcome")
    sent = 0
    began = time.monotonic()
    while sent < messages:
        due = min(messages, int((time.monotonic() - began) * rate))
        client.send_all(
            {"purpose": "message", "ref": f"{n}", "text": f"message {n} of a flood of them"}
            for n in range(sent, due)
        )
        sent = max(sent, due)
        client.skip()
        time.sleep(1 / BATCHES)
    done.set()
    sent_at.value = time.monotonic()
    client.send(purpose="message", ref="last", text=f"{LAST} the end of it")
    time.sleep(1)


def row(name: str, times: list[float]) -> str:
    """Return a row of the table, in milliseconds."""
    marks = statistics.quantiles(times, n=100)
    return (
        f"{name:<32} {len(times):>5} {marks[49] * 1000:>8.1f} {marks[98] * 1000:>8.1f} "
        f"{max(times) * 1000:>8.1f}"
    )


def main() -> int:
    """Measure and print. Return 1 if the 99th percentile was over ``--at-most`` under the flood."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rate", type=int, default=10_000, help="messages a second")
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--keys", type=int, default=300, help="with nothing coming in")
    parser.add_argument("--columns", type=int, default=120)
    parser.add_argument("--lines", type=int, default=40)
    parser.add_argument("--at-most", type=float, default=100.0, help="ms")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parley-screen-") as place:
        server = Parley(Path(place) / "data", ["--rate", "0"])
        terminal = Terminal(server.port, Path(place) / "config", options.columns, options.lines)
        try:
            terminal.wait("1 here")
            terminal.idle(0.5)
            before = resident(terminal.pid)
            quiet = typed(terminal, options.keys)
            done = multiprocessing.Event()
            sent_at = multiprocessing.Value("d", 0.0)
            sender = multiprocessing.Process(
                target=flood, args=(server.port, options.rate, options.messages, done, sent_at)
            )
            began = time.monotonic()
            sender.start()
            flooded = typed(terminal, options.keys, done)
            took = time.monotonic() - began
            while not terminal.saw_last:
                terminal.idle(0.1)
            behind = terminal.saw_last - sent_at.value
            sender.join()
            terminal.idle(1.0)
            after = typed(terminal, options.keys)
            scrolls = []
            for _ in range(30):
                terminal.idle(0.05)
                start = time.perf_counter()
                os.write(terminal.fd, b"\x1b[5~")
                terminal.read(60)
                scrolls.append(time.perf_counter() - start)
            full = resident(terminal.pid)
        finally:
            terminal.close()
            stop(server.process, 9)
    print(f"{'key to screen':<32} {'keys':>5} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}")
    print(row("nothing coming in", quiet))
    print(row(f"{options.messages / took:,.0f} messages a second", flooded))
    print(row(f"{options.messages:,} in the timeline", after))
    print(row("PgUp to its page, there", scrolls))
    print(f"the last message was on the screen {behind * 1000:.0f} ms after it was sent")
    print(
        f"resident: {before / 1e6:.0f} MB at first, {full / 1e6:.0f} MB with "
        f"{options.messages:,} messages: {(full - before) / options.messages:.0f} bytes each"
    )
    p99 = statistics.quantiles(flooded, n=100)[98] * 1000
    return 0 if p99 <= options.at_most else 1


if __name__ == "__main__":
    sys.exit(main())
