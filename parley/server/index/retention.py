"""Retention: when ``history.json`` is closed and numbered, and when what is old is dropped.

Nothing is dropped unless that was asked for. Messages of a file that is dropped are taken out of
the index a slice at a time, the chat going on meanwhile, and only then the file is deleted: so
nothing is ever found that cannot be read. What the chat still needs of it (who holds which
nick, who is in which room, bans) goes to the file of marks before. Then the index is tidied, in
slices too.
"""

import logging
from typing import Final, NamedTuple

from parley.server.index.errors import IndexUnavailableError, PastUnreadableError
from parley.server.index.index import Index
from parley.server.log.log import Log, LogBrokenError, Span
from parley.server.log.records import (
    Deed,
    Dropped,
    Guest,
    Record,
    decode_line,
    encode_dropped,
    encode_line,
)
from parley.server.log.segments import END, MARKS, address
from parley.server.log.slices import records_in

_PARTS: Final = 8
"""Into so many files what is kept is divided, if old ones are dropped: a file is dropped whole, so
that up to an eighth more is kept than was asked."""

_SLICE: Final = 32 * 1024  # bytes of the log taken out of the index at a time: about 10 ms
_MARKS_AT_ONCE: Final = 500  # looked at in one step: about 10 ms
_DEED: Final = b'{"purpose":"deed"'
_AGAIN: Final = 60.0  # seconds until what failed is tried again

logger = logging.getLogger(__name__)


class Keep(NamedTuple):
    """How much ``history.json`` may hold: ``seconds`` of time or ``size`` bytes (None: any). With
    ``drop`` that is what is kept in all, and older files are dropped."""

    seconds: float | None = None
    size: int | None = None
    drop: bool = False


class _Job:
    """A file that is being dropped. ``marks`` are the lines of the marks of what was dropped before
    and of its own, of which so many have been ``looked`` at; ``kept`` are those still needed, with
    the deeds decoded. ``written``: they stand in the file of marks. ``places``: the file is gone,
    and the deeds stand there now, as the index is to know; ``dropped``: it does, and is to be
    tidied."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.at = address(number, 2)
        self.seq = 0
        self.written = False
        self.places: list[tuple[Record, Span]] | None = None
        self.dropped = False
        self.marks: list[bytes] = []
        self.looked = 0
        self.kept: list[tuple[bytes, Deed | None]] = []


class Retention:
    """Keeps the files of ``log`` as ``keep`` says. ``look`` now and then, and while ``under_way``
    ``step`` in each tick."""

    def __init__(self, keep: Keep, log: Log, index: Index) -> None:
        self.keep = keep
        self._log = log
        self._index = index
        self._job: _Job | None = None
        self._paused = False
        self._not_before = 0.0

    @property
    def under_way(self) -> bool:
        """Whether ``step`` has something to do."""
        return self._job is not None and not self._paused

    def look(self, utc: float) -> None:
        """Close ``history.json`` if it is time, and begin to drop what is too old.

        ``utc`` is in seconds. What cannot be done is logged, and tried again later. Raises
        ``LogBrokenError`` if the disk cannot be trusted any more.
        """
        if self.keep == Keep() or utc < self._not_before:
            return
        self._paused = False
        if self._job is not None:
            return
        try:
            if self._is_full(utc):
                self._rotate()
            if not self._index.behind and (number := self._too_old(utc)) is not None:
                job = _Job(number)
                job.marks += self._earlier_marks()
                self._job = job
        except LogBrokenError:
            raise
        except (OSError, IndexUnavailableError) as problem:
            self._put_off(problem, utc)

    def step(self, utc: float) -> None:
        """Go on dropping, by one slice."""
        job = self._job
        assert job is not None
        try:
            if job.dropped:
                if not self._index.tidy():
                    self._job = None
            elif job.places is not None:
                self._tell_index(job, job.places)
            elif job.at < (end := self._log.files.end(job.number)):
                self._take_out(job, end)
            elif job.looked < len(job.marks):
                self._look_at_marks(job)
            else:
                job.places = self._drop(job, utc)
                self._tell_index(job, job.places)
        except (OSError, IndexUnavailableError) as problem:
            if not job.written:
                self._job = None
            self._paused = True
            self._put_off(problem, utc)

    def _put_off(self, problem: Exception, utc: float) -> None:
        logger.error("the history cannot be rotated: %s; trying again in %g s", problem, _AGAIN)
        self._not_before = utc + _AGAIN

    def _is_full(self, utc: float) -> bool:
        seconds, size, drop = self.keep
        parts = _PARTS if drop else 1
        began = self._log.began
        if began is None:
            return False
        if size is not None and self._log.size >= size / parts:
            return True
        return seconds is not None and utc - began >= seconds / parts

    def _rotate(self) -> None:
        number = self._log.files.number
        self._index.commit()
        self._log.rotate()
        self._index.rotated()
        logger.info("history.json was closed as %s", self._log.files.name(number).name)

    def _too_old(self, utc: float) -> int | None:
        """Return the number of the file to be dropped next, if there is one."""
        closed = {n: stamp for n, stamp in self._log.files.closed.items() if n != MARKS}
        if not self.keep.drop or not closed:
            return None
        oldest = min(closed)
        if self.keep.size is not None:
            held = sum(stamp.size for stamp in closed.values()) + self._log.size
            if held > self.keep.size:
                return oldest
        if self.keep.seconds is not None:
            written = closed[oldest].mtime_ns / 1e9
            if written < utc - self.keep.seconds:
                return oldest
        return None

    def _take_out(self, job: _Job, end: int) -> None:
        """Take the next slice of the file out of the index."""
        size = _SLICE
        while True:
            data = self._log.files.read(job.at, min(size, end - job.at))
            if job.at + len(data) < end:
                data = data[: data.rfind(b"\n") + 1]
            if data:
                break
            size *= 2  # a record longer than a slice
        try:
            found = list(records_in(data, job.at))
        except ValueError as problem:  # the disk has changed it
            where = self._log.files.say(job.at)
            raise PastUnreadableError(f"behind {where}: {problem}") from None
        self._index.forget([entry for entry in found if entry[0].seq > self._index.floor])
        job.at += len(data)
        for record, _ in found:
            job.seq = record.seq
            if isinstance(record, Guest | Deed):
                job.marks.append(encode_line(record)[0])

    def _look_at_marks(self, job: _Job) -> None:
        """Keep those of the next marks that are still needed. One that is not will never be again:
        what made it void has come later."""
        for line in job.marks[job.looked : job.looked + _MARKS_AT_ONCE]:
            try:
                record = decode_line(line) if line.startswith(_DEED) else None
            except ValueError as problem:
                name = self._log.files.name(MARKS).name
                raise PastUnreadableError(f"{name} is damaged: {problem}") from None
            deed = record if isinstance(record, Deed) else None
            if deed is None or deed.moderates or self._index.is_needed(deed):
                job.kept.append((line, deed))
        job.looked += _MARKS_AT_ONCE

    def _drop(self, job: _Job, utc: float) -> list[tuple[Record, Span]]:
        """Write down what outlives the file, and delete it. Return the deeds, and where they stand
        now."""
        lines = [encode_dropped(Dropped(job.seq, utc, job.number))]
        kept: list[tuple[Record, Span]] = []
        at = address(MARKS, len(b"[\n") + len(lines[0]))
        for line, deed in job.kept:
            at += len(b",\n")
            if deed is not None:
                kept.append((deed, Span(at, len(line))))
            lines.append(line)
            at += len(line)
        files = self._log.files
        files.replace(MARKS, b"[\n" + b",\n".join(lines) + END)
        job.written = True
        files.remove(job.number)
        name = files.name(job.number).name
        logger.info("%s was dropped: messages up to seq %d are gone", name, job.seq)
        return kept

    def _tell_index(self, job: _Job, places: list[tuple[Record, Span]]) -> None:
        """Let the index know that the file is gone, and where the deeds stand now."""
        self._index.dropped(places)
        job.dropped = True

    def _earlier_marks(self) -> list[bytes]:
        """Return the lines of the file of marks."""
        files = self._log.files
        if MARKS not in files.closed:
            return []
        data = files.read(address(MARKS, 0), files.closed[MARKS].size)
        return [line.rstrip(b",") for line in data.split(b"\n")[2:-1]]
