"""Real servers for the tests."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.wire import Wire

# How long a case takes depends on what else the machine does, and says nothing of the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

ROOT = Path(__file__).resolve().parent.parent
DEMO = {"Alice": "123", "Bob": "456", "Charlie": "789"}


def until(happened: Callable[[], object], what: str) -> None:
    """Wait until something has happened; ``what`` says what has not."""
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class ChatServer:
    """The server program on the directory ``data``, started, stopped and killed for real."""

    def __init__(
        self,
        data: Path,
        *options: str,
        env: dict[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.data = data
        self.options = options
        self.env = {**os.environ, **(env or {})}
        self.prefix = prefix
        self.pass_fds = pass_fds
        self.port = 0
        self.wires: list[Wire] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.log = data / "stderr.log"
        self._waited: dict[str, int] = {}

    def start(self, *options: str, port: int | None = None) -> "ChatServer":
        """Start, on the same port as before if there was one, and wait until it listens."""
        before = len(self.said)
        self.launch(*options, port=port)
        deadline = time.monotonic() + 30
        while True:
            found = re.search(r"listening on [^ \"]*:(\d+)", self.said[before:])
            if found:
                self.port = int(found[1])
                return self
            assert self.process is not None
            assert self.process.poll() is None, f"the server ended:\n{self.said[before:]}"
            assert time.monotonic() < deadline, f"the server does not listen:\n{self.said}"
            time.sleep(0.005)

    def launch(self, *options: str, port: int | None = None) -> None:
        """Start and do not wait."""
        command = [*self.prefix, sys.executable, str(ROOT / "chat_server.py")]
        command += [str(self.port if port is None else port), "--data", str(self.data)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.options, *options],
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self.env,
                pass_fds=self.pass_fds,
            )

    @property
    def said(self) -> str:
        """All it has written to standard error, over restarts."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_for(self, words: str) -> None:
        """Wait until the server has written these words once more than at the last call."""
        deadline = time.monotonic() + 20
        while self.said.count(words) <= self._waited.get(words, 0):
            assert time.monotonic() < deadline, f"{words!r} does not come:\n{self.said}"
            time.sleep(0.01)
        self._waited[words] = self.said.count(words)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def wire(self) -> Wire:
        """Return a new connection."""
        wire = Wire(self.port)
        self.wires.append(wire)
        return wire

    def joined(self, nick: str, id_: int = 1, **fields: Any) -> Wire:
        """Return a connection that has joined and been given its replay."""
        wire = self.wire()
        wire.join(nick, id_, **fields)
        if not fields.get("bot"):
            wire.until("history", end=True)
        return wire

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float = 20) -> int:
        """Return the exit code."""
        assert self.process is not None
        return self.process.wait(seconds)

    def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """End by SIGTERM, with nobody connected any more. Return the exit code."""
        for wire in self.wires:
            wire.close()
        self.signal(signal.SIGTERM)
        return self.wait()

    @property
    def records(self) -> list[dict[str, Any]]:
        """What stands in history.json; it must be whole JSON with a record a line."""
        text = unchanged(self.data / "history.json")
        records: list[dict[str, Any]] = json.loads(text)
        lines = text.split("\n")
        assert [lines[0], lines[-1]] == ["[", "]"]
        assert [json.loads(line.removesuffix(",")) for line in lines[1:-1]] == records
        assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
        return records

    @property
    def messages(self) -> list[str]:
        """The texts in history.json."""
        return [r["text"] for r in self.records if r["purpose"] == "message"]

    def end(self) -> None:
        for wire in self.wires:
            wire.close()
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGTERM)
            try:
                self.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise AssertionError("the server did not end by SIGTERM, twice") from None


Make = Callable[..., ChatServer]


def unchanged(path: Path) -> str:
    """Return the text of a file that may be written to, as it was between two writes."""
    while True:
        before, text, after = path.stat(), path.read_text(), path.stat()
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            return text


def cpu(pid: int) -> float:
    """Return the seconds of processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Make]:
    """Make servers, not yet started; options as on the command line. Ends them afterwards, and
    fails if one of them has written a traceback."""
    made: list[ChatServer] = []

    def make(*options: str, **more: Any) -> ChatServer:
        data = more.pop("data", None) or tmp_path / f"data{len(made)}"
        data.mkdir(exist_ok=True)
        server = ChatServer(data, *options, **more)
        made.append(server)
        return server

    yield make
    for server in made:
        server.end()
    for server in made:
        assert "Traceback" not in server.said, server.said


@pytest.fixture
def server(make_server: Make) -> ChatServer:
    """A running server without limits to the rate."""
    return make_server("--rate", "0").start()


@pytest.fixture(scope="session")
def demo_users() -> str:
    """users.json with the demo accounts, as verifiers of few rounds, to be quick."""
    import base64

    from tests.wire import keys

    accounts = {}
    for nick, password in DEMO.items():
        made = keys(password)
        assert base64.b64decode(made["salt"])
        accounts[nick] = {
            "scram": f"SCRAM-SHA-256${made['iterations']}:{made['salt']}"
            f"${made['stored_key']}:{made['server_key']}"
        }
    return json.dumps(accounts)


@pytest.fixture
def moderated_server(make_server: Make, demo_users: str) -> ChatServer:
    """A running server with the demo accounts, of which Bob's is a moderator's."""
    server = make_server("--rate", "0")
    users = json.loads(demo_users)
    users["Bob"]["role"] = "moderator"
    (server.data / "users.json").write_text(json.dumps(users))
    return server.start()


@pytest.fixture
def accounts_server(make_server: Make, demo_users: str) -> ChatServer:
    """A running server with the demo accounts."""
    server = make_server("--rate", "0")
    (server.data / "users.json").write_text(demo_users)
    return server.start()
