"""Rewriting history.json without what was taken back. From the shell, while no server runs.

Every record keeps its place and its seq; only texts go: of a message that was taken back, and of
its edits. The new file stands whole on the disk before it takes the old one's name.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from framing.events import Message
from parley.server.log import END
from parley.server.records import Record, Said, decode_line, encode_line


def compact(path: Path) -> int:
    """Rewrite ``path``. Return how many texts are gone.

    Raises ``OSError``, and ``ValueError`` for a line that holds no record (the next start of a
    server says which and what to do); the file is then as before.
    """
    taken_back: set[int] = set()
    for record in _records(path):
        if isinstance(record, Said) and record.message.redact_of is not None:
            taken_back.add(record.message.redact_of)
    new = path.with_name(path.name + ".new")
    gone = 0
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(b"[")
            separator = b"\n"
            for record in _records(path):
                if isinstance(record, Said) and record.message.text:
                    message = record.message
                    if (message.edit_of or message.seq) in taken_back:
                        record.message = _without_text(message)
                        gone += 1
                line, _ = encode_line(record)
                file.write(separator + line)
                separator = b",\n"
            file.write(END)
            file.flush()
            os.fsync(fd)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return gone


def _records(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for line in file:
            text = line.strip().rstrip(b",")
            if text not in (b"[", b"]", b"[]", b""):
                yield decode_line(text)


def _without_text(message: Message) -> Message:
    return msgspec.structs.replace(message, text="", size=0)
