"""Slices: the log read from its end backwards, and the lines of what was read. Writes nothing."""

from collections.abc import Iterator

from parley.server.log.log import START, Log, Span
from parley.server.log.records import Record, decode_line
from parley.server.log.segments import address, split


def slice_before(log: Log, end: int, size: int) -> tuple[int, bytes]:
    """Return the address at which the last records before the address ``end`` begin, and their
    lines: about ``size`` bytes of one file, at least a record.

    Raises ``OSError`` if the disk does not give them back.
    """
    number, offset = split(end)
    while offset <= START + 1:  # nothing stands before it in this file
        before = log.files.before(number)
        assert before is not None
        end = log.files.end(before)
        number, offset = split(end)
    first = address(number, START)
    while (start := max(first, end - size)) > first:
        data = log.read_bytes(start, end)
        cut = data.find(b"\n{")
        if cut >= 0:
            start += cut + 1
            break
        size *= 2  # a record longer than a slice
    return start, log.read_bytes(start, end)


def is_first(log: Log, start: int) -> bool:
    """Tell whether nothing of the log stands before the address ``start``."""
    number, offset = split(start)
    return offset <= START + 1 and log.files.before(number) is None


def records_in(data: bytes, start: int) -> Iterator[tuple[Record, Span]]:
    """Yield the records in ``data``, whole lines of the log from the address ``start`` on. Raises
    ``ValueError`` if one is none."""
    for line, span in lines_in(data, start):
        yield decode_line(line), span


def lines_in(data: bytes, start: int) -> Iterator[tuple[bytes, Span]]:
    """Yield the lines of records in ``data``, which begins at the address ``start``."""
    for line in data.split(b"\n"):
        text = line.rstrip(b",\r \t")
        if text:
            yield text, Span(start, len(text))
        start += len(line) + 1
