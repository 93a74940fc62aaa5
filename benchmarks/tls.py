"""What TLS costs: handshakes, messages to all, and memory, each without and with it in turns.

    python -m benchmarks.tls [--clients 1000] [--idle 2000] [--runs 3]

The server has one core, the load another. The load is the same on both sides, in Python: most
clients only take what comes off their sockets, without decrypting it, so that the server is what
is measured; the senders decrypt and count, so that everything is known to have come.
"""

import argparse
import contextlib
import datetime
import json
import os
import select
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from benchmarks.programs import Parley, ProgramError, pin, resident, stop
from parley.server.net.certificate import write_pair

IN_FLIGHT: Final = 16
SENDERS: Final = 10
TEXT: Final = "x" * 100

Connect = Callable[[], socket.socket]


def frame(**fields: object) -> bytes:
    """Return a frame."""
    body = json.dumps(fields).encode()
    return b"$%d%b$" % (len(body), body)


def read_until(sock: socket.socket, words: bytes) -> None:
    """Read up to these words. What comes behind them is passed over."""
    came = b""
    while words not in came:
        data = sock.recv(1 << 16)
        if not data:
            raise ProgramError(f"the server closed the connection: {came[-200:]!r}")
        came = came[-100:] + data


@contextlib.contextmanager
def server(encrypted: bool) -> Iterator[tuple[Parley, Connect]]:
    """Run a server. Give it, and what connects to it."""
    with tempfile.TemporaryDirectory(prefix="parley-tls-") as place:
        data = Path(place)
        context: ssl.SSLContext | None = None
        options = ["--rate", "0", "--timeout", "3600", "--max-clients", "100000"]
        if encrypted:
            write_pair(data, ["localhost"], datetime.datetime.now(datetime.UTC))
            options += ["--tls-cert", str(data / "tls.crt"), "--tls-key", str(data / "tls.key")]
            context = ssl.create_default_context(cafile=str(data / "tls.crt"))
        running = Parley(data, options)

        def connect() -> socket.socket:
            plain = socket.create_connection(("127.0.0.1", running.port), 60)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return context.wrap_socket(plain, server_hostname="localhost") if context else plain

        try:
            pin(running.pid, 0)
            pin(os.getpid(), 1)
            yield running, connect
        finally:
            stop(running.process, 9)


def busy(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def handshakes(encrypted: bool, count: int) -> float:
    """Return how many connections, up to a first answer, the server takes for a second of its
    processor's time."""
    with server(encrypted) as (running, connect):
        began = busy(running.pid)
        for _ in range(count):
            with connect() as sock:
                sock.sendall(frame(purpose="ping", ref="a"))
                read_until(sock, b"pong")
        return count / (busy(running.pid) - began)


def idle(encrypted: bool, count: int) -> float:
    """Return the resident bytes of the server for each client that has joined and is quiet."""
    clients: list[socket.socket] = []
    with server(encrypted) as (running, connect):

        def join(more: int) -> int:
            for _ in range(more):
                sock = connect()
                clients.append(sock)
                name = f"n{len(clients)}"
                sock.sendall(frame(purpose="join", nick=name, id=1, time=0, bot=True))
                read_until(sock, b'"purpose":"welcome"')
            time.sleep(3)
            return resident(running.pid)

        before = join(300)
        after = join(count)
        for sock in clients:
            sock.close()
    return (after - before) / count


class Sender:
    """A client that sends another message for each that is answered, and counts what it hears."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self.sent = self.stored = self.heard = 0
        self._rest = b""

    def send(self, count: int) -> None:
        """Send that many messages."""
        frames = []
        for _ in range(count):
            self.sent += 1
            ref = f"{self.number}-{self.sent}"
            frames.append(frame(purpose="message", ref=ref, text=TEXT))
        self.sock.sendall(b"".join(frames))

    def read(self) -> int:
        """Read what has come. Return how many messages were answered."""
        try:
            data = self._rest + self.sock.recv(1 << 18)
        except ssl.SSLWantReadError:
            return 0
        whole = data.rfind(b"}$")
        now, self._rest = data[: whole + 2], data[whole + 2 :]
        stored = now.count(b'"purpose":"ok"')
        self.stored += stored
        self.heard += now.count(b'"purpose":"message"')
        return stored


def to_all(encrypted: bool, count: int, seconds: float) -> tuple[float, float]:
    """Return the deliveries a second to ``count`` clients, and how busy the server was.

    Raises ``ProgramError`` if a sender did not hear everything the others said.
    """
    with server(encrypted) as (running, connect):
        poll = select.epoll()
        quiet: dict[int, socket.socket] = {}
        senders: dict[int, Sender] = {}
        for number in range(count):
            sock = connect()
            sock.sendall(frame(purpose="join", nick=f"n{number}", id=1, time=0, bot=True))
            read_until(sock, b'"purpose":"welcome"')
            if number < SENDERS:
                senders[sock.fileno()] = Sender(sock, number)
                poll.register(sock.fileno(), select.EPOLLIN)
            else:
                raw = socket.socket(fileno=sock.detach())
                raw.setblocking(False)
                quiet[raw.fileno()] = raw
                poll.register(raw.fileno(), select.EPOLLIN)
        buffer = bytearray(1 << 18)
        for sender in senders.values():
            sender.sock.settimeout(60)
            sender.send(IN_FLIGHT)
        began, used = time.perf_counter(), busy(running.pid)
        stop_at = began + seconds
        while True:
            now = time.perf_counter()
            if now >= stop_at and all(one.stored == one.sent for one in senders.values()):
                break
            for fd, _ in poll.poll(10):
                if fd in quiet:
                    if not quiet[fd].recv_into(buffer):
                        raise ProgramError("the server closed a connection")
                    continue
                answered = senders[fd].read()
                if answered and now < stop_at:
                    senders[fd].send(answered)
        took, used = time.perf_counter() - began, busy(running.pid) - used
        said = sum(one.sent for one in senders.values())
        for sender in senders.values():
            while sender.heard < said - sender.sent:
                sender.read()
            if sender.heard > said - sender.sent:
                raise ProgramError("something came twice")
            sender.sock.close()
        for raw in quiet.values():
            raw.close()
        poll.close()
        return said * (count - 1) / took, used / took


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--handshakes", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    found: dict[tuple[str, bool], list[float]] = {}
    for run in range(options.runs):
        for encrypted in (False, True) if run % 2 == 0 else (True, False):
            rate, share = to_all(encrypted, options.clients, options.seconds)
            found.setdefault(("deliveries a second", encrypted), []).append(rate)
            found.setdefault(("in a second of its core", encrypted), []).append(rate / share)
            taken = handshakes(encrypted, options.handshakes)
            found.setdefault(("connections in a second of its core", encrypted), []).append(taken)
    for encrypted in (False, True):
        found["resident bytes of an idle client", encrypted] = [idle(encrypted, options.idle)]
    print(f"| | plain | TLS |\n|---|---|---|   load {os.getloadavg()[0]:.1f}")
    for name in dict.fromkeys(name for name, _ in found):
        cells = (statistics.median(found[name, encrypted]) for encrypted in (False, True))
        print(f"| {name} | {' | '.join(f'{cell:,.0f}' for cell in cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
