"""Servers under attack, with a canary beside the attacker and a bill afterwards.

``siege.begin`` starts a server and the canary (``tests.faults.canary``); whatever the test then
does, in the end the canary must have had all its answers, what it was told and heard must be
what stands in the history (``benchmarks.invariants``), the server must end in order, and its memory
and descriptors must have stayed where they were. Figures are printed by ``python -m
benchmarks.faults``, which runs these tests; nothing here asserts a time but deadlines that only a
stalled server misses.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.invariants import Sent, Witness, check
from benchmarks.programs import resident
from tests.conftest import ROOT, ChatServer, Make, cpu

STALLED = 10.0
"""Seconds for a round trip that only a server that stands still takes, however slow the machine."""


def descriptors(pid: int) -> int:
    """Count a process's open descriptors."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def most_resident(pid: int) -> int:
    """Return the most bytes that a process has had resident."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


class Siege:
    """A server that is attacked while a canary sings. ``memory``: bytes by which it may grow."""

    def __init__(self, make: Make, place: Path, rows: list[int], name: str) -> None:
        self._make = make
        self._place = place
        self._rows = rows
        self._name = name
        self.memory = 64 << 20
        self._canary: subprocess.Popen[str] | None = None
        self._grown = 0

    def place(self, name: str, text: str) -> Path:
        """Put a file into a data directory for ``begin``, and return the directory."""
        data = self._place / "data"
        data.mkdir(exist_ok=True)
        (data / name).write_text(text)
        return data

    def begin(self, *options: str, **more: Any) -> ChatServer:
        """Start a server, and the canary."""
        self.server: ChatServer = self._make(*options, **more)
        if not (self.server.data / "users.json").exists():
            (self.server.data / "users.json").write_text("{}")
        self.server.start()
        self.sing()
        self._resident = resident(self.server.pid)
        self._descriptors = descriptors(self.server.pid)
        self._cpu, self._began = cpu(self.server.pid), time.monotonic()
        return self.server

    def sing(self) -> None:
        """Start the canary and wait until both of it have joined."""
        self._canary = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.faults.canary",
                str(self.server.port),
                str(self.server.pid),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._canary.stdout is not None
        assert self._canary.stdout.readline() == "ready\n"

    def kill(self) -> None:
        """End the server by kill -9, in whatever it is doing."""
        self._note_growth()
        self.server.kill()

    def start(self) -> None:
        """Start it again."""
        self.server.start()
        self._cpu, self._began = cpu(self.server.pid), time.monotonic()

    def _note_growth(self) -> None:
        self._grown = max(self._grown, most_resident(self.server.pid) - self._resident)

    def end(self) -> None:
        """End the canary and the server, and check everything."""
        if self._canary is None:
            return
        server, self.canary, self._canary = self.server, self._canary, None
        out, _ = self.canary.communicate(timeout=60)
        assert self.canary.returncode == 0, "the canary died"
        told = json.loads(out.splitlines()[-1])
        took, used = time.monotonic() - self._began, cpu(server.pid) - self._cpu
        self._note_growth()
        for wire in server.wires:
            wire.close()
        self._wait_for_descriptors()
        assert server.stop() == 0
        trips = [wall for wall, _ in told["trips"]]
        self._record(trips, [work for _, work in told["trips"]], took, used)
        assert self._violated(told) == []
        assert trips, "the canary was silent"
        assert max(trips) < STALLED, "the canary was left without an answer"
        assert self._grown < self.memory, f"{self._grown} bytes were taken"

    def abandon(self) -> None:
        """The test has failed: end what runs."""
        if self._canary is not None:
            self._canary.kill()
            self._canary.communicate()

    def _wait_for_descriptors(self) -> None:
        deadline = time.monotonic() + 15
        while (count := descriptors(self.server.pid)) > self._descriptors:
            assert time.monotonic() < deadline, f"{count - self._descriptors} descriptors are left"
            time.sleep(0.02)

    def _violated(self, told: dict[str, Any]) -> list[str]:
        """Return what is not as it was promised. Of what others said it is only known that they
        did."""
        records = self.server.records
        last = max((sent["seq"] for sent in told["sent"]), default=0)
        witnesses: dict[tuple[str, int], Witness] = {}
        for nick, bird in told["birds"].items():
            witness = Witness(nick, 1, bird["token"], after=bird["after"], upto=last)
            witness.seen = bird["heard"]
            witnesses[nick, 1] = witness
        one = witnesses["canary-one", 1]
        one.sent = {s["ref"]: Sent(s["ref"], "#lobby", s["text"], s["seq"]) for s in told["sent"]}
        persons = {
            r.get("person", f"~{r['seq']}"): r["nick"] for r in records if r["purpose"] == "guest"
        }
        for record in records:
            by = record.get("by", "")
            if record["purpose"] == "message" and not persons.get(by, "").startswith("canary-"):
                who = by, record["id"]
                stranger = witnesses.setdefault(who, Witness(by, record["id"], account=by))
                stranger.sent[record["ref"]] = Sent(record["ref"], record["to"], record["text"])
        return check(records, witnesses.values())

    def _record(self, trips: list[float], work: list[float], took: float, used: float) -> None:
        """Write down the figures, if somebody wants them."""
        place = os.environ.get("PARLEY_FIGURES")
        if not place:
            return
        figures = {
            "rows": self._rows,
            "test": self._name,
            "trips": len(trips),
            "p50": _percentile(trips, 0.5),
            "p99": _percentile(trips, 0.99),
            "longest": max(trips, default=0.0) * 1000,
            "work": _percentile(work, 0.99),
            "memory": self._grown,
            "cpu": used / took,
        }
        with Path(place).open("a") as file:
            file.write(json.dumps(figures) + "\n")


def _percentile(seconds: list[float], part: float) -> float:
    """Return, in milliseconds, what this part of these times are below."""
    return sorted(seconds)[int(len(seconds) * part)] * 1000 if seconds else 0.0


@pytest.fixture
def siege(make_server: Make, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Siege]:
    """A siege of a server. Mark the test with the rows of docs/RELIABILITY.md that it is for."""
    rows = [row for mark in request.node.iter_markers("row") for row in mark.args]
    path = Path(str(request.node.fspath)).relative_to(ROOT)
    siege = Siege(make_server, tmp_path, rows, f"{path}::{request.node.originalname}")
    try:
        yield siege
        siege.end()
    finally:
        siege.abandon()
