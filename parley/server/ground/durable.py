"""Writing small files so that a crash or a power cut leaves the old or the new, never a half.

A file's bytes are durable after a sync of the file, its name after a sync of the directory: neither
follows from the other, nor does the order in which they were written (Pillai et al., "All File
Systems Are Not Created Equal", OSDI 2014).

Large ones are synced by a process of its own: nobody can be taken out of a sync that takes long.
"""

import os
import select
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

_SYNC: Final = """
import os, sys
try:
    for path in sys.argv[1:]:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
except OSError as problem:
    sys.exit(problem.errno or 1)
"""
"""What the process runs that waits for the disk in another's place."""

_LOOK: Final = 500  # milliseconds between two looks whether to go on waiting


def replace(path: Path, content: bytes) -> None:
    """Give the file at ``path`` this content, or make it, durably and readable by its owner only.

    Raises ``OSError``; the old content is there then, or the new if only the last sync failed.
    """
    new = path.with_name(path.name + ".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
    new.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in ``path`` durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def syncing(paths: Sequence[Path]) -> "subprocess.Popen[bytes]":
    """Return a process that makes what is at ``paths`` durable. Its exit code is an ``errno``, 0
    if all went well. Raises ``OSError`` if none can be started."""
    command = [sys.executable, "-I", "-S", "-c", _SYNC, *map(str, paths)]
    nothing = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing)


def synced(path: Path, go_on: Callable[[], bool]) -> bool:
    """Make a large file durable, for as long as ``go_on`` says that it may take. Return whether it
    is; if not, nothing is wrong with the file."""
    try:
        process = syncing([path])
        ended = os.pidfd_open(process.pid)
    except OSError:
        return False
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    while not poll.poll(_LOOK):
        if not go_on():
            process.kill()
            break
    os.close(ended)
    return process.poll() == 0


def make_directory(path: Path, mode: int = 0o777) -> list[Path]:
    """Make ``path`` with what is missing above it. Return the directories with a new name in
    them, which ``sync_directory`` makes durable."""
    missing = [path] if not path.is_dir() else []
    while missing and not missing[-1].parent.is_dir():
        missing.append(missing[-1].parent)
    path.mkdir(mode, parents=True, exist_ok=True)
    return [made.parent for made in missing]
