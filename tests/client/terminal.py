"""The client in a real terminal: a pty, with pyte as the screen that a person would look at."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pyte

from tests.conftest import ROOT

PATIENCE = 15.0


class Terminal:
    """``chat_client.py`` (or another ``program``) with these arguments, on a terminal of
    ``columns`` by ``lines``."""

    def __init__(
        self,
        config: Path,
        *arguments: str,
        columns: int = 80,
        lines: int = 24,
        program: Path = ROOT / "chat_client.py",
        **env: str,
    ) -> None:
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.config = config
        self.code: int | None = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(
                {"TERM": "xterm-256color", "PARLEY_CONFIG_DIR": str(config), "TZ": "UTC",
                 "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "COLUMNS": "", **env}
            )  # fmt: skip
            os.environ.pop("COLUMNS")
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
            os.execv(sys.executable, [sys.executable, str(program), *arguments])
        self._size(columns, lines)

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size."""
        self.screen.resize(lines, columns)
        self._size(columns, lines)
        os.kill(self.pid, signal.SIGWINCH)

    def _size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: str) -> None:
        """Type ``keys``; Enter is ``\\r``, Alt is ``\\x1b`` before a key, ``\\udcff`` is the byte
        0xff."""
        os.write(self.fd, keys.encode(errors="surrogateescape"))

    def read(self, seconds: float) -> bool:
        """Take what the program writes, for at most ``seconds``. False at its end."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        if not data:
            return False
        self.raw += data
        *asking, rest = data.split(b"\x1b[6n")  # where is the cursor?
        for part in asking:
            self.stream.feed(part)
            at = f"\x1b[{self.screen.cursor.y + 1};{self.screen.cursor.x + 1}R"
            with contextlib.suppress(OSError):
                os.write(self.fd, at.encode())
        self.stream.feed(rest)
        return True

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    @property
    def cells(self) -> list[str]:
        """The lines of the screen, a character for each cell."""
        columns = range(self.screen.columns)
        lines = (self.screen.buffer[y] for y in range(self.screen.lines))
        return ["".join(line[x].data[:1] or " " for x in columns) for line in lines]

    def line(self, part: str) -> str:
        """Return the line of the screen that has ``part`` in it."""
        return next(line for line in self.text.split("\n") if part in line)

    def see(self, *parts: str, not_: str = "", patience: float = PATIENCE) -> str:
        """Wait until all ``parts`` are on the screen, and ``not_`` is not."""
        deadline = time.monotonic() + patience
        while not all(part in self.text for part in parts) or (not_ and not_ in self.text):
            assert time.monotonic() < deadline, f"waited for {parts} (not {not_!r}):\n{self.text}"
            assert self.read(0.1), f"ended before {parts} came:\n{self.text}"
        return self.text

    def wait(self, condition: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait until ``condition`` holds."""
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, f"it does not come true:\n{self.text}"
            assert self.read(0.1), f"ended before it came true:\n{self.text}"

    def click(self, part: str) -> None:
        """Click where ``part`` is on the screen."""
        lines = self.text.split("\n")
        y = next(number for number, line in enumerate(lines) if part in line)
        x = lines[y].index(part)
        self.type(f"\x1b[<0;{x + 1};{y + 1}M\x1b[<0;{x + 1};{y + 1}m")

    def ended(self, patience: float = PATIENCE) -> int:
        """Wait for the end and return the exit code."""
        deadline = time.monotonic() + patience
        while self.read(0.1):
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def hung_up(self, patience: float = PATIENCE) -> int:
        """Close the terminal, as one closes a window, wait for the end and return the exit code."""
        os.close(self.fd)
        self.fd = -1
        deadline = time.monotonic() + patience
        while (ended := os.waitpid(self.pid, os.WNOHANG))[0] == 0:
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
            time.sleep(0.02)
        self.code = os.waitstatus_to_exitcode(ended[1])
        return self.code

    def close(self) -> None:
        """Be done with it."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        if self.fd >= 0:
            os.close(self.fd)
