"""Starting, pinning and stopping the programs that benchmarks and the hunt run, on loopback."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(__file__).resolve().parent / "build"


class ProgramError(Exception):
    """A program could not be started, or did not do its part."""


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def built(name: str) -> Path:
    """Compile ``name``.c, or the C files of the folder ``name``, and return the program."""
    place, target = Path(__file__).resolve().parent / name, BUILD / name
    sources = sorted(place.glob("*.c")) if place.is_dir() else [place.with_suffix(".c")]
    needed = [*sources, *place.glob("*.h")]
    changed = max(source.stat().st_mtime for source in needed)
    if not target.exists() or target.stat().st_mtime < changed:
        BUILD.mkdir(exist_ok=True)
        made = BUILD / f"{name}.{os.getpid()}"  # tests may compile side by side
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(made), *map(str, sources)]
        subprocess.run(command, check=True)
        made.replace(target)
    return target


def pin(pid: int, core: int) -> None:
    """Keep a process, with all its threads, on one core, if the machine has that many."""
    if core >= (os.cpu_count() or 1):
        return
    pinned: set[int] = set()
    while missing := {int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()} - pinned:
        for task in missing:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(task, {core})
        pinned |= missing


def resident(pid: int) -> int:
    """Return a process's resident bytes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    """End a process and return its exit code."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


class Parley:
    """The chat server on ``data``, started by way of ``prefix``; with ``web``, ``port`` is then its
    port for browsers. ``said`` is what it has written to standard error."""

    name = "parley"
    cannot: frozenset[str] = frozenset()
    longest = 16_000

    def __init__(
        self,
        data: Path,
        options: Sequence[str] = (),
        port: int = 0,
        prefix: Sequence[str] = (),
        web: bool = False,
    ) -> None:
        self.protocol = "parley-web" if web else "parley"
        if web:
            options = [*options, "--web", "0"]
        data.mkdir(parents=True, exist_ok=True)
        self.data = data
        self._log = data / "server.log"
        before = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *prefix,
                    sys.executable,
                    ROOT / "chat_server.py",
                    str(port),
                    "--data",
                    data,
                    *options,
                ],
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + 120
        while True:
            found = re.search(r"listening on [^ ]*:(\d+)", self.said[before:])
            if found:
                if web:
                    found = re.search(r"for browsers: https?://[^ ]*:(\d+)/", self.said[before:])
                    assert found is not None
                self.port = int(found[1])
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise ProgramError(f"the server did not start:\n{self.said[before:]}")
            time.sleep(0.005)

    @property
    def said(self) -> str:
        """All that servers on this data have written to standard error."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int:
        """The server's process."""
        return self.process.pid
