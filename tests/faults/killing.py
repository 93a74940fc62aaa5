"""A server that is killed at a system call: the Nth of its kind from when ``strace`` is attached.

``strace`` sends SIGKILL when the call is entered, so that it is the first that does not happen.
"""

import contextlib
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.conftest import ChatServer

FILES: Final = (
    *("openat", "pwrite64", "write", "ftruncate", "fsync", "fdatasync", "rename", "link", "unlink"),
    *("mkdir", "flock", "vfork", "clone3", "pidfd_open"),
)
"""The calls by which files, and what makes them durable, are changed."""

_MOST: Final = 1000  # calls of one kind that one action may take


@contextlib.contextmanager
def traced(server: ChatServer, *options: str) -> Iterator[None]:
    """Let the running server be traced with these options."""
    command = ["strace", "-f", "-qq", *options, "-p", str(server.pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    status = Path(f"/proc/{server.pid}/status")
    deadline = time.monotonic() + 20
    while "TracerPid:\t0\n" in status.read_text():
        assert tracer.poll() is None and time.monotonic() < deadline, "strace cannot be attached"
        time.sleep(0.002)
    try:
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=20)


def calls_of(server: ChatServer, act: Callable[[], bool], kinds: tuple[str, ...] = ()) -> list[str]:
    """Do ``act`` once, and return the kinds of system calls that the server, and what it starts,
    made meanwhile, of ``kinds`` if any are given."""
    found = server.data.parent / "calls"
    with traced(server, "-o", str(found)):
        assert act()
    names = set(re.findall(r"^[0-9]+ +(?:<\.\.\. )?([a-z0-9_]+)[( ]", found.read_text(), re.M))
    return sorted(names & set(kinds) if kinds else names)


def killed_at_each(
    server: ChatServer, call: str, prepare: Callable[[], Callable[[], bool]]
) -> Iterator[int]:
    """For each call of a kind, have the server killed there in what ``prepare`` returns, which
    tells whether it was done; start it again, and yield how often it was. Ends when all is done and
    the server has not made so many calls."""
    for when in range(1, _MOST):
        act = prepare()
        inject = f"inject={call}:signal=KILL:when={when}"
        done = False
        gone = contextlib.suppress(OSError, AssertionError)  # what a broken connection raises
        with traced(server, "-o", "/dev/null", "-e", f"trace={call}", "-e", inject), gone:
            done = act()
        assert server.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.process.wait(0.2)
        if server.process.poll() is not None:  # perhaps in what it does once all is done
            assert server.process.returncode == -signal.SIGKILL
            server.start()
        elif done:
            return
        yield when
    raise AssertionError(f"over {_MOST} calls of {call}")
