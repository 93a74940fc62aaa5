"""What systemd does for a service, as far as its two protocols go: a socket that outlives the
server, descriptors from 3 on, and a socket for notices."""

import os
import select
import socket
import sys
import time
from pathlib import Path

PATIENCE = 20.0


class Notices:
    """The socket that ``NOTIFY_SOCKET`` names."""

    def __init__(self, address: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(address)
        self._sock.settimeout(PATIENCE)
        self.seen: list[tuple[float, dict[str, str]]] = []

    def next(self, field: str) -> dict[str, str]:
        """Return the next notice that has ``field``."""
        while True:
            text = self._sock.recv(4096).decode()
            notice = dict(line.split("=", 1) for line in text.splitlines())
            self.seen.append((time.monotonic(), notice))
            if field in notice:
                return notice

    def silent(self, seconds: float) -> bool:
        """Tell whether nothing comes for so long."""
        return not select.select([self._sock], [], [], seconds)[0]

    def drain(self) -> None:
        """Forget what has come."""
        while not self.silent(0):
            self._sock.recv(4096)

    def close(self) -> None:
        """Close it."""
        self._sock.close()


def launcher(names: str, fds: list[int]) -> tuple[str, ...]:
    """Return what to put before a command, so that it is run with ``fds`` as descriptors from 3 on,
    as sd_listen_fds(3) says. The caller passes ``fds`` on (``inheritable``)."""
    return (sys.executable, __file__, names, ",".join(map(str, fds)))


def inheritable(sock: socket.socket) -> int:
    """Return the descriptor of ``sock``, which a child process gets."""
    sock.set_inheritable(True)
    return sock.fileno()


def main() -> None:
    """Be the launcher."""
    names, fds, *command = sys.argv[1:]
    numbers = [int(fd) for fd in fds.split(",") if fd]
    # Out of the way first: what is put at 3 must not be another that is still to be put.
    high = [os.dup2(fd, 200 + at) for at, fd in enumerate(numbers)]
    for at, fd in enumerate(high):
        os.dup2(fd, 3 + at, inheritable=True)
        os.close(fd)
    os.closerange(3 + len(numbers), 200)
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = str(len(numbers))
    os.environ["LISTEN_FDNAMES"] = names
    os.execv(command[0], command)


if __name__ == "__main__":
    main()


def open_descriptors(pid: int) -> set[str]:
    """Return what the descriptors of a process are."""
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(str(fd.readlink()))
        except FileNotFoundError:
            continue
    return found
