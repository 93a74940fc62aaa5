"""What was said, to be read again: the log, found by the index. Reads, never writes."""

from collections.abc import Sequence
from typing import Final

from framing.events import Message
from framing.limits import FRAME, PAGE
from parley.server.index import Holder, Index, Page
from parley.server.log import Log
from parley.server.records import Said

_PAGE_BYTES: Final = FRAME - 2048
"""Bytes of records in one page. A record's line is longer than the message in it, so that a
page of this size fits a frame with all else that is there."""


class Archive:
    """The past. Every question may raise ``IndexBehindError``."""

    def __init__(self, log: Log, index: Index) -> None:
        self._log = log
        self._index = index

    @property
    def seq(self) -> int:
        """The newest place that is durable."""
        return self._log.seq

    def newest(self, streams: Sequence[str], before: int, limit: int) -> tuple[list[Message], bool]:
        """Return the last messages of ``streams`` before seq ``before``, ascending, and whether
        there is none older. At most ``limit``, at most ``PAGE``, and at most a frame's bytes."""
        return self._messages(self._index.newest(streams, before, min(limit, PAGE), _PAGE_BYTES))

    def after(self, streams: Sequence[str], after: int, limit: int) -> tuple[list[Message], bool]:
        """Return the first messages of ``streams`` after seq ``after``, and whether there is
        none newer. Bounded as ``newest`` is."""
        return self._messages(self._index.after(streams, after, min(limit, PAGE), _PAGE_BYTES))

    def before_newest(self, streams: Sequence[str], count: int) -> int:
        """Return the seq after which the last ``count`` messages of ``streams`` begin."""
        return self._index.before_newest(streams, count)

    def sent(self, nick: str, id_: int, ref: str, floor: int) -> Said | None:
        """Return what ``nick`` and ``id_`` sent under ``ref``, if anything. ``floor``: a seq up
        to which there is known to be nothing."""
        span = self._index.find_ref(nick, id_, ref, floor)
        if span is None:
            return None
        record = self._log.read([span])[0]
        assert isinstance(record, Said)
        return record

    def guest(self, token: str) -> Holder | None:
        """Return whom the token with this SHA-256 (hex) proves, or None."""
        return self._index.guest(token)

    def holder(self, nick: str) -> Holder | None:
        """Return the guest who last held ``nick``, or None."""
        return self._index.holder(nick)

    def _messages(self, page: Page) -> tuple[list[Message], bool]:
        records = self._log.read(page.spans)
        return [record.message for record in records if isinstance(record, Said)], page.end
