"""Starting the servers to measure beside, each with its best settings, on a free port of loopback.

Settings that need a file are in this folder. All take 20,000 connections if there are descriptors
for them, drop nobody for reading slowly, and write no log.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.programs import ROOT, ProgramError, built, free_port, pin, stop

HERE = Path(__file__).resolve().parent

Command = Callable[[int, Path], list[str]]
"""Makes the command line of a server on a port, that may write in a folder."""


@dataclass(frozen=True)
class Kind:
    """A server that can be measured: the protocol the load speaks with it, what it ``cannot`` do
    of the load's patterns, and the ``longest`` text it takes, in bytes."""

    protocol: str
    command: Command
    cannot: frozenset[str] = frozenset()
    longest: int = 65_000
    pinned: Mapping[str, str] = field(default_factory=dict)
    """Its environment when it has one core only."""


def _installed(program: str, package: str) -> str:
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise ProgramError(f"{program} is not installed (Debian: {package})")
    return found


def _settings(name: str, port: int, place: Path) -> str:
    """Write the settings in the file ``name`` for this port and folder, and return where."""
    text = (HERE / name).read_text().replace("PORT", str(port)).replace("PLACE", str(place))
    written = place / name
    written.write_text(text)
    return str(written)


def _redis(port: int, place: Path) -> list[str]:
    settings = [
        *("--port", str(port)),
        *("--bind", "127.0.0.1"),
        *("--dir", str(place)),
        *("--save", ""),
        *("--appendonly", "no"),
        *("--client-output-buffer-limit", "pubsub 0 0 0"),
        *("--maxclients", "20000"),
        *("--tcp-backlog", "4096"),
    ]
    return [_installed("redis-server", "redis-server"), *settings]


def _nats(port: int, place: Path) -> list[str]:
    return [_installed("nats-server", "nats-server"), "-c", _settings("nats.conf", port, place)]


def _inspircd(port: int, place: Path) -> list[str]:
    program = _installed("inspircd", "inspircd")
    settings = ["--config", _settings("inspircd.conf", port, place)]
    as_root = ["--runasroot"] if os.geteuid() == 0 else []
    return [program, *settings, "--nofork", "--nolog", *as_root]


def _mosquitto(port: int, place: Path) -> list[str]:
    return [_installed("mosquitto", "mosquitto"), "-c", _settings("mosquitto.conf", port, place)]


def _limit(port: int, place: Path) -> list[str]:
    return [str(built("limit")), str(port)]


def _module(name: str) -> Command:
    return lambda port, place: [sys.executable, "-m", f"benchmarks.peers.{name}", str(port)]


LOBBY_ONLY = frozenset({"pairs", "rooms"})

# With one core NATS is told so: more Go threads than cores only take turns, and the collector's
# workers would be as many as the machine has cores.
KINDS = {
    "redis": Kind("redis", _redis),
    "nats": Kind("nats", _nats, pinned={"GOMAXPROCS": "1"}),
    "inspircd": Kind("irc", _inspircd),
    "mosquitto": Kind("mqtt", _mosquitto),
    "uvloop": Kind("parley", _module("uvloop_server"), LOBBY_ONLY),
    "websockets": Kind("websocket", _module("websockets_server"), LOBBY_ONLY),
    "limit": Kind("parley", _limit, LOBBY_ONLY),
}


class Peer:
    """One of ``KINDS``, running; on one core if ``core`` is given."""

    def __init__(self, name: str, core: int | None = None) -> None:
        kind = KINDS[name]
        self.name = name
        self.protocol, self.cannot, self.longest = kind.protocol, kind.cannot, kind.longest
        self.port = free_port()
        self._place = tempfile.TemporaryDirectory(prefix=f"parley-{name}-")
        extra = kind.pinned if core is not None else {}
        self.process = subprocess.Popen(
            kind.command(self.port, Path(self._place.name)),
            cwd=ROOT,
            env={**os.environ, **extra},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        if core is not None:
            pin(self.pid, core)
        self._wait()
        if core is not None:
            pin(self.pid, core)  # also the threads begun before the first time

    @property
    def pid(self) -> int:
        """The server's process."""
        return self.process.pid

    def stop(self) -> None:
        """End it."""
        stop(self.process)
        self._place.cleanup()

    def _wait(self) -> None:
        """Wait until it listens."""
        for _ in range(1000):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        self.stop()
        raise ProgramError(f"{self.name} did not start")
