"""Rewriting the history without what was taken back. From the shell, while no server runs.

Every record keeps its place and its seq; only texts go: of a message that was taken back, and of
its edits. The new file stands whole on the disk before it takes the old one's name.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from framing.events import Message
from parley.server.ground.durable import sync_directory
from parley.server.log.records import Record, Said, decode_line, encode_line
from parley.server.log.segments import END


def compact(paths: Sequence[Path]) -> int:
    """Rewrite the files ``paths`` of one log. Return how many texts are gone.

    Raises ``OSError``, and ``ValueError`` for a line that holds no record (the next start of a
    server says which and what to do); a file is rewritten whole or not at all.
    """
    taken_back: set[int] = set()
    for path in paths:
        for record, _ in _records(path):
            if isinstance(record, Said) and record.message.redact_of is not None:
                taken_back.add(record.message.redact_of)
    return sum(_rewrite(path, taken_back) for path in paths) if taken_back else 0


def _rewrite(path: Path, taken_back: set[int]) -> int:
    new = path.with_name(path.name + ".new")
    gone = 0
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(b"[")
            separator = b"\n"
            for record, line in _records(path):
                if isinstance(record, Said) and record.message.text:
                    message = record.message
                    if (message.edit_of or message.seq) in taken_back:
                        record.message = _without_text(message)
                        line, _ = encode_line(record)
                        gone += 1
                file.write(separator + line)
                separator = b",\n"
            file.write(END)
            file.flush()
            os.fsync(fd)
        if gone:
            new.replace(path)
        else:
            new.unlink()
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
    return gone


def _records(path: Path) -> Iterator[tuple[Record, bytes]]:
    """Yield each record with its line, which stays as it is unless its text goes."""
    with path.open("rb") as file:
        for line in file:
            text = line.strip().rstrip(b",")
            if text not in (b"[", b"]", b"[]", b""):
                yield decode_line(text), text


def _without_text(message: Message) -> Message:
    return msgspec.structs.replace(message, text="", size=0, file=None)
