"""One measurement: a server on the first core, the load on the second."""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from benchmarks.peers.start import KINDS, Peer
from benchmarks.programs import Parley, ProgramError, built, pin, resident, stop

PARLEY = "parley"
WEB = "parley-web"
"""Parley again, by its door for browsers."""

Found = dict[str, float]
"""What the load printed, and ``resident_growth``: bytes by which the server grew."""


def cannot(side: str, wanted: Mapping[str, object]) -> bool:
    """Tell whether a server cannot do what the load would ask of it."""
    if side in (PARLEY, WEB):
        return False
    kind = KINDS[side]
    size = wanted.get("size", 0)
    assert isinstance(size, int)
    return wanted.get("pattern") in kind.cannot or size > kind.longest


@contextlib.contextmanager
def server(side: str, fsync: str = "always") -> Iterator[Parley | Peer]:
    """Run a server on the first core."""
    if side not in (PARLEY, WEB):
        peer = Peer(side, core=0)
        try:
            yield peer
        finally:
            peer.stop()
        return
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as place:
        settings = ["--rate", "0", "--timeout", "3600", "--max-clients", "100000"]
        parley = Parley(Path(place), [*settings, "--fsync", fsync], web=side == WEB)
        try:
            pin(parley.pid, 0)
            yield parley
        finally:
            stop(parley.process)


class Target(Protocol):
    """A server that the load can talk to."""

    protocol: str
    port: int


def start_load(running: Target, wanted: Mapping[str, object]) -> subprocess.Popen[bytes]:
    """Start the load on the second core; ``wanted`` are its options, True for a flag."""
    words = [
        f"--{name}" if value is True else f"--{name}={value}" for name, value in wanted.items()
    ]
    load = subprocess.Popen(
        [str(built("load")), f"--protocol={running.protocol}", f"--port={running.port}", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    pin(load.pid, 1)
    return load


def measure(
    side: str, wanted: Mapping[str, object], fsync: str = "always", patience: float = 150
) -> Found:
    """Run one server once, with a load that ends by itself within ``patience`` seconds.

    Raises ``ProgramError`` if the load found something wrong, or does not end.
    """
    with server(side, fsync) as running:
        empty = resident(running.pid)
        load = start_load(running, wanted)
        try:
            out, _ = load.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            raise ProgramError(f"{side}: not done within {patience:g} s") from None
        finally:
            load.kill()
        if load.returncode:
            raise ProgramError(f"{side}: the load found errors: {out.decode()}")
        found: Found = json.loads(out)
        found["resident_growth"] = resident(running.pid) - empty
        return found
