"""How soon a server with a long history answers: with its index, and without one.

    python -m benchmarks.start [--messages 1000000]

Makes a history.json of that many messages, lets a server index it, and measures from the
start of the process to the first welcome; then deletes the index and measures the same, and
round trips while the index is made.
"""

import argparse
import contextlib
import json
import select
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.programs import Parley, resident, stop
from framing.events import Message
from framing.frames import FrameDecoder, encode_frame
from parley.server.log.records import Deed, Guest, Origin, Said, encode_line


def write_history(path: Path, messages: int, rooms: int = 0) -> None:
    """Write a log of ``messages`` and a guest for each ten thousand. A tenth of them are
    private; with ``rooms``, half of them are said in rooms."""
    guests = max(2, messages // 10_000)
    made = [
        Deed(guests + 1 + number, 1.7e9, "make", f"~{number % guests + 1}", "g", f"#r{number}")
        for number in range(rooms)
    ]
    with path.open("wb") as file:
        file.write(b"[")
        separator = b"\n"
        for seq in range(1, guests + rooms + messages + 1):
            if seq <= guests:
                line, _ = encode_line(Guest(seq, 1.7e9, f"g{seq}", f"{seq:064x}"))
            elif seq <= guests + rooms:
                line, _ = encode_line(made[seq - guests - 1])
            else:
                who, other = seq % guests + 1, (seq * 7) % guests + 1
                text = f"message {seq} of somebody who has something to say, at some length"
                private = seq % 10 == 0
                to = f"@g{other}" if private else "#lobby"
                if rooms and not private and seq % 2:
                    to = f"#r{seq % rooms}"
                message = Message(seq, f"g{who}", 1, to, text, 1.7e9 + seq, len(text))
                origin = Origin(f"r{seq}", f"~{who}", f"~{other}" if private else None)
                line, _ = encode_line(Said(message, origin))
            file.write(separator + line)
            separator = b",\n"
        file.write(b"\n]")


class Client:
    """A blocking client, enough to measure with."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), 30)
        self._decoder = FrameDecoder()

    def send(self, **fields: object) -> None:
        """Send one object."""
        self._sock.sendall(encode_frame(json.dumps(fields).encode()))

    def send_all(self, objects: Iterable[dict[str, object]]) -> None:
        """Send many at once."""
        self._sock.sendall(b"".join(encode_frame(json.dumps(one).encode()) for one in objects))

    def skip(self) -> None:
        """Read what is there and forget it."""
        while select.select([self._sock], [], [], 0)[0]:
            if not self._sock.recv(1 << 16):
                raise ConnectionError("the server closed the connection")

    def until(self, purpose: str) -> dict[str, Any]:
        """Read up to an event of this purpose, and return it."""
        while True:
            while (body := self._decoder.next_body()) is not None:
                event: dict[str, Any] = json.loads(body)
                if event["purpose"] == purpose:
                    return event
            data = self._sock.recv(1 << 16)
            if not data:
                raise ConnectionError("the server closed the connection")
            self._decoder.receive_data(data)


def first_welcome(data: Path, nick: str) -> tuple[Parley, Client, float]:
    """Start a server; return it, a client that has joined, and the seconds that took."""
    began = time.monotonic()
    server = Parley(data)
    client = Client(server.port)
    client.send(purpose="join", nick=nick, id=1, time=0)
    client.until("history")
    return server, client, time.monotonic() - began


def main() -> int:
    """Measure and print. Return 1 if a start with an index took over ``--within`` seconds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--within", type=float, default=1.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parley-start-") as place:
        data = Path(place)
        write_history(data / "history.json", options.messages)
        size = (data / "history.json").stat().st_size
        print(f"{options.messages} messages, {size / 1e6:.0f} MB", flush=True)
        server, client, took = first_welcome(data, "first")
        print(f"without an index: first welcome after {took:.2f} s")
        trips: list[float] = []
        began = time.monotonic()
        while "the index is complete" not in server.said:
            at = time.monotonic()
            client.send(purpose="message", ref=f"t{len(trips)}", text="meanwhile")
            client.until("ok")
            trips.append(time.monotonic() - at)
            time.sleep(0.02)
        trips.sort()
        print(
            f"  index made in {time.monotonic() - began:.1f} s; meanwhile {len(trips)} messages "
            f"acknowledged, p50 {statistics.median(trips) * 1000:.1f} ms, "
            f"p99 {trips[int(len(trips) * 0.99)] * 1000:.1f} ms, worst {trips[-1] * 1000:.1f} ms"
        )
        print(f"  resident {resident(server.pid) / 1e6:.0f} MB")
        stop(server.process)
        worst = 0.0
        for number in range(options.runs):
            killed = number % 2 == 1
            server, client, took = first_welcome(data, f"later{number}")
            worst = max(worst, took)
            print(
                f"with its index{', after kill -9' if killed else ''}: first welcome after "
                f"{took:.2f} s, resident {resident(server.pid) / 1e6:.0f} MB"
            )
            with contextlib.suppress(OSError):
                client.send(purpose="disconnect")
            stop(server.process, 9 if number % 2 == 0 else 15)
    return 0 if worst <= options.within else 1


if __name__ == "__main__":
    sys.exit(main())
