"""Rows for SQLite, many of them in one statement: its beginning and end take longer than a row."""

import sqlite3
from collections.abc import Iterator
from functools import cache
from typing import Final

Values = list[int | float | str]

_ROWS: Final = (64, 8, 1)  # of one statement


def insert(db: sqlite3.Connection, table: str, width: int, values: Values) -> None:
    """Write rows of ``width`` values.

    ``OR IGNORE`` since it cannot fail halfway: for what could, SQLite keeps a journal of the
    statement, and FTS5 writes down first all that it has gathered.
    """
    for question, some in in_parts(values, width):
        db.execute(f"INSERT OR IGNORE INTO {table} VALUES {question}", some)


def in_parts(values: Values, width: int) -> Iterator[tuple[str, Values]]:
    """Yield rows of ``width`` values in the parts in which they are given to a statement, each with
    its question marks."""
    at, left = 0, len(values) // width
    for rows in _ROWS:
        for _ in range(left // rows):
            yield _question_marks(rows, width), values[at : at + rows * width]
            at += rows * width
        left %= rows


@cache
def _question_marks(rows: int, width: int) -> str:
    row = f"({', '.join('?' * width)})"
    return ", ".join([row] * rows)
