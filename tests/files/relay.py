"""A relay for datagrams that loses, delays and reorders them: what a bad network does to UDP,
without a kernel's help."""

import heapq
import random
import select
import socket
import threading
import time


class Relay:
    """Carries datagrams between whoever sends to ``port`` and 127.0.0.1:``to``. Of each hundred
    ``loss`` are lost, each way; each comes ``delay`` seconds later, and up to ``jitter`` more,
    which changes their order."""

    def __init__(
        self, to: int, loss: float = 0.0, delay: float = 0.0, jitter: float = 0.0, port: int = 0
    ) -> None:
        self._to = ("127.0.0.1", to)
        self._loss, self._delay, self._jitter = loss, delay, jitter
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._front.bind(("127.0.0.1", port))
        self.port = self._front.getsockname()[1]
        self._backs: dict[socket.socket, tuple[str, int]] = {}
        self._dice = random.Random(1)
        self.passed = self.lost = 0
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._ended = True
        self._thread.join(10)
        for sock in (self._front, *self._backs):
            sock.close()

    def _run(self) -> None:
        waiting: list[tuple[float, int, socket.socket, bytes, tuple[str, int]]] = []
        by_address: dict[tuple[str, int], socket.socket] = {}
        number = 0
        while not self._ended:
            wait = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 0.1
            ready, _, _ = select.select([self._front, *self._backs], [], [], min(wait, 0.1))
            for sock in ready:
                data, address = sock.recvfrom(65536)
                if sock is self._front:
                    out = by_address.get(address)
                    if out is None:
                        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                        out.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
                        out.bind(("127.0.0.1", 0))
                        by_address[address] = out
                        self._backs[out] = address
                    to = self._to
                else:
                    out, to = self._front, self._backs[sock]
                if self._dice.random() * 100 < self._loss:
                    self.lost += 1
                    continue
                self.passed += 1
                number += 1
                at = time.monotonic() + self._delay + self._dice.random() * self._jitter
                heapq.heappush(waiting, (at, number, out, data, to))
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, out, data, to = heapq.heappop(waiting)
                out.sendto(data, to)
