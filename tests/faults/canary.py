"""The canary: two healthy clients of a server that is attacked, in a process of their own.

    python -m tests.faults.canary PORT PID

One says something again and again, the other hears it; a round trip is from saying to both, the
acknowledgement and the delivery, and counts if no connection has broken off meanwhile. If one has
they come back with their tokens and ``since``, and send again what was not acknowledged. When
standard input is closed they print what they sent, heard and measured, as JSON: of each round trip
also the time for which the server, the process PID, had a processor meanwhile, which says more than
the clock where others need the machine too.
"""

import json
import secrets
import select
import sys
import time
from pathlib import Path
from typing import Any

from tests.wire import Event, Wire

PAUSE = 0.02  # seconds between a round trip and the next
PATIENCE = 30.0


class Bird:
    """One of the two."""

    def __init__(self, port: int, nick: str) -> None:
        self._port = port
        self.nick = nick
        self.token: str | None = None
        self.cursor = 0
        self.heard: list[Event] = []
        self.joins = 0
        self._join()

    def _join(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._wire = Wire(self._port)
                fields: dict[str, Any] = (
                    {"token": self.token, "since": self.cursor} if self.token else {}
                )
                welcome = self._wire.join(self.nick, **fields)
                break
            except (OSError, AssertionError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.joins += 1
        if self.token is None:
            self.token, self.cursor = welcome["token"], welcome["seq"]
            self.after = self.cursor
        self._until_end_of_replay()

    def _until_end_of_replay(self) -> None:
        while True:
            event = self._wire.until("history", PATIENCE, replay=True)
            for message in event["messages"]:
                self._hear(message)
            if event["end"]:
                return

    def _hear(self, message: Event) -> None:
        if message["seq"] > self.after:
            self.heard.append(message)
            self.cursor = max(self.cursor, message["seq"])

    def say(self, ref: str, text: str) -> int:
        """Say something until it is acknowledged. Return its seq."""
        while True:
            try:
                self._wire.send(purpose="message", ref=ref, text=text)
                while True:
                    event = self._wire.recv(PATIENCE)
                    if event is None:
                        break
                    if event["purpose"] == "message":
                        self._hear(event)
                    elif event["purpose"] == "error" and event.get("ref") == ref:
                        time.sleep(event["retry_after"])
                        break
                    elif event["purpose"] == "ok" and event["ref"] == ref:
                        return int(event["seq"])
                else:
                    continue
                if event is not None:
                    continue  # it was refused for now: once more
            except OSError as problem:
                if isinstance(problem, TimeoutError):
                    raise
            self._wire.close()
            self._join()

    def hear(self, seq: int) -> None:
        """Wait until this message has come."""
        while self.cursor < seq:
            try:
                event = self._wire.recv(PATIENCE)
            except ConnectionError:
                event = None
            if event is None:
                self._wire.close()
                self._join()
            elif event["purpose"] == "message":
                self._hear(event)


def worked(pid: int) -> float:
    """Return the seconds for which a process has had a processor, to the microsecond; 0 if it is
    gone."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0


def main() -> None:
    """Sing until standard input is closed, at least once."""
    port, pid = int(sys.argv[1]), int(sys.argv[2])
    one, other = Bird(port, "canary-one"), Bird(port, "canary-two")
    sent: list[dict[str, Any]] = []
    trips: list[tuple[float, float]] = []
    print("ready", flush=True)
    while not (trips and select.select([sys.stdin], [], [], PAUSE)[0]):
        ref, text = secrets.token_hex(8), f"tweet {len(sent)}"
        began, before, joins = time.monotonic(), worked(pid), one.joins + other.joins
        seq = one.say(ref, text)
        other.hear(seq)
        if one.joins + other.joins == joins:
            trips.append((time.monotonic() - began, max(0.0, worked(pid) - before)))
        sent.append({"ref": ref, "text": text, "seq": seq})
    birds = {
        bird.nick: {
            "token": bird.token,
            "after": bird.after,
            "heard": [message["seq"] for message in bird.heard],
        }
        for bird in (one, other)
    }
    print(json.dumps({"sent": sent, "trips": trips, "birds": birds}))


if __name__ == "__main__":
    main()
