"""The file of the index: opened, and given up. What stands in it others know."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

from parley.server.index.readmarks import Mark, ReadMarks

_BESIDE: Final = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a file

_PAGE_BYTES: Final = 8192
"""Twice what SQLite takes by itself: the index takes a tenth less under load, since half as many
pages are looked for, summed and written."""

_NOT_KEPT: Final = frozenset(
    {
        sqlite3.SQLITE_ERROR,  # no such table
        sqlite3.SQLITE_IOERR_READ,  # a sector is lost
        sqlite3.SQLITE_IOERR_SHORT_READ,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
    }
)


def connect(path: Path | None) -> sqlite3.Connection:
    """Open the file at ``path``, None: one in memory. A new one is empty.

    Raises ``sqlite3.DatabaseError`` if it is no database, ``sqlite3.OperationalError`` if the disk
    does not give it or another program keeps it, ``OSError``.
    """
    if path is not None:
        path.touch(0o600)
    db = sqlite3.connect(path or ":memory:", 1.0, isolation_level=None, cached_statements=64)
    try:
        _set_page_size(db)
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA cache_size=-16384")
    except BaseException:
        db.close()
        raise
    return db


def _set_page_size(db: sqlite3.Connection) -> None:
    """Let the pages of a new file have their size; one that has something in it keeps its own."""
    db.execute(f"PRAGMA page_size={_PAGE_BYTES}")


def connected(path: Path | None) -> sqlite3.Connection | None:
    """Open the file at ``path`` as ``connect`` does; None if that is no database, or none of a kind
    that SQLite knows."""
    try:
        return connect(path)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as problem:
        if is_kept(problem):
            raise
        return None


def taken_from(db: sqlite3.Connection | None) -> list[Mark]:
    """Return what people have read by ``db``, as far as that can be read, and close it."""
    if db is None:
        return []
    marks = ReadMarks.taken_from(db)
    db.close()
    return marks


def delete(path: Path) -> None:
    """Delete the file and what SQLite keeps beside it."""
    for suffix in ("", *_BESIDE):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def leave_marks(path: Path, before: sqlite3.Connection | None) -> None:
    """Leave nothing at ``path`` but what people have read by the file that is there, which
    ``before`` has open and which is closed; no file, if that is nothing.

    Raises ``OSError`` or ``sqlite3.OperationalError`` if the disk does not let it: then it is there
    as it was. So it is for whoever dies on the way.
    """
    marks = taken_from(before)
    if not marks:
        delete(path)
        return
    new = path.with_name(path.name + ".new")
    delete(new)
    try:
        new.touch(0o600)
        with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as db:
            _set_page_size(db)
            ReadMarks.make(db)
            ReadMarks.give(db, marks)  # durable, as SQLite is by itself
        for suffix in _BESIDE:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        new.replace(path)
    except BaseException:
        delete(new)
        raise


def give_up(path: Path) -> None:
    """Delete the index at ``path``: the next start makes it again. What people have read is kept,
    if it can be read.

    Raises ``OSError`` or ``sqlite3.OperationalError`` if the disk does not let it, or another
    program has it open.
    """
    leave_marks(path, connected(path))


def is_kept(problem: Exception) -> bool:
    """Tell whether it is that the disk is full or refuses, or another program keeps the file; else
    what stands in it is lost, or not what should."""
    # That something is no text Python says by itself, with no code of SQLite's.
    code = getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return isinstance(problem, sqlite3.OperationalError) and code not in _NOT_KEPT


def is_held(problem: Exception) -> bool:
    """Tell whether it is that another program has the file open."""
    return getattr(problem, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
