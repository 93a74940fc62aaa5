"""What the server says of itself, on standard error, by the standard ``logging``.

One line for each connection event, none for a message, and never a message's text.
"""

import logging
import os
import re
import select
import sys
import time
from typing import Final

from pythonjsonlogger.json import JsonFormatter

_LINE_BYTES: Final = 4096
"""Longest line. A pipe that is ready to be written takes this much at once (POSIX PIPE_BUF)."""


_ACTS: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
"""What a terminal obeys, or what hides how a line reads: names of files and directories, and what
strangers said, may hold it, and whoever reads a log reads it in a terminal."""


class NeverWaitingHandler(logging.Handler):
    """Writes lines to a descriptor if it takes them at once, and drops them if it does not.

    Whoever reads a server's log may stop to read: a pipe nobody empties, a terminal
    that is held with ctrl+s. The chat must not stop with it. How many lines were dropped is
    said as soon as there is room again.
    """

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._dropped = 0
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record``, or count it as dropped."""
        if self._dropped and self._write(self._line(self._note())):
            self._dropped = 0
        if self._dropped or not self._write(self._line(record)):
            self._dropped += 1

    def _line(self, record: logging.LogRecord) -> bytes:
        text = _ACTS.sub(lambda found: ascii(found[0])[1:-1], self.format(record))
        line = text.replace("\n", "\n    ").encode(errors="backslashreplace")
        return line[: _LINE_BYTES - 1] + b"\n"

    def _note(self) -> logging.LogRecord:
        text = "%d lines of this log were dropped: nobody read them"
        return logging.LogRecord(
            __name__, logging.WARNING, __file__, 0, text, (self._dropped,), None
        )

    def _write(self, line: bytes) -> bool:
        try:
            if not self._poll.poll(0):
                return False
            os.write(self._fd, line)
        except OSError:
            return False  # the reader is gone: nobody to tell that
        return True


def set_up(level: str, as_json: bool) -> None:
    """Log from ``level`` on to standard error, as JSON or for people."""
    handler = NeverWaitingHandler(sys.stderr.fileno())
    if as_json:
        formatter: logging.Formatter = JsonFormatter(
            ["asctime", "levelname", "name", "message"],
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    else:
        formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    formatter.converter = time.gmtime
    formatter.default_time_format = "%Y-%m-%dT%H:%M:%S"
    formatter.default_msec_format = "%s.%03dZ"
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
