"""The file of the index: opened, and given up. What stands in it others know."""

import contextlib
import sqlite3
from pathlib import Path

from parley.server.index.readmarks import Mark, ReadMarks


def connect(path: Path | None) -> sqlite3.Connection:
    """Open the file at ``path``, None: one in memory. A new one is empty.

    Raises ``sqlite3.DatabaseError`` if it is no database, ``sqlite3.OperationalError`` if the disk
    does not give it or another program keeps it, ``OSError``.
    """
    if path is not None:
        path.touch(0o600)
    db = sqlite3.connect(path or ":memory:", 1.0, isolation_level=None, cached_statements=64)
    try:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA cache_size=-16384")
    except BaseException:
        db.close()
        raise
    return db


def connected(path: Path | None) -> sqlite3.Connection | None:
    """Open the file at ``path`` as ``connect`` does; None if that is no database."""
    try:
        return connect(path)
    except sqlite3.OperationalError:
        raise
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return None


def taken_from(db: sqlite3.Connection | None) -> list[Mark]:
    """Return what people have read by ``db``, as far as that can be read, and close it."""
    if db is None:
        return []
    marks = ReadMarks.taken_from(db)
    db.close()
    return marks


def delete(path: Path | None) -> None:
    """Delete the file and what SQLite keeps beside it."""
    if path is not None:
        for suffix in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def give_up(path: Path) -> None:
    """Delete the index at ``path``: the next start makes it again. What people have read is kept,
    if it can be read.

    Raises ``OSError`` or ``sqlite3.OperationalError`` if the disk does not let it.
    """
    marks: list[Mark] = []
    with contextlib.suppress(sqlite3.OperationalError):
        marks = taken_from(connected(path))
    delete(path)
    if marks:
        db = connect(path)
        ReadMarks.make(db)
        ReadMarks.give(db, marks)
        db.close()
