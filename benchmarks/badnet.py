"""A bad network: two network namespaces, and between them a cable that loses, delays and reorders.

The cable is two TUN devices and a thread that carries packets from one to the other, so that
TCP and UDP alike meet what a real bad network does to packets, on any kernel: it needs root, the
program ``ip`` (Debian: iproute2) and /dev/net/tun, and no netem.
"""

import fcntl
import heapq
import itertools
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

_TUNSETIFF: Final = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_PACKET: Final = 65536
_QUEUE: Final = 1000  # packets on their way in one direction, as many as netem holds by itself


class Weather(NamedTuple):
    """What befalls packets, each way: of a hundred ``loss`` are lost, each comes ``delay`` seconds
    later; of a hundred ``reorder`` come at once, before those that are on their way."""

    loss: float = 0.0
    delay: float = 0.0
    reorder: float = 0.0


def why_not() -> str | None:
    """Return why there can be no such network here, or None if there can."""
    if shutil.which("ip") is None:
        return "the program ip is missing (Debian: iproute2)"
    if os.geteuid():
        return "network namespaces are made by root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    return None


class Network:
    """Two hosts with a cable between them: ``addresses`` are theirs. ``weather`` may be changed
    at any time; ``lost`` and ``passed`` count packets."""

    addresses = ("10.9.0.1", "10.9.0.2")

    def __init__(self, weather: Weather) -> None:
        self.weather = weather
        self.lost = self.passed = 0
        self._dice = random.Random(1)
        self._names = [f"parley-{os.getpid()}-{side}" for side in "ab"]
        self._ends: list[int] = []
        self._ended = threading.Event()
        self._carrier = threading.Thread(target=self._carry, daemon=True)

    def __enter__(self) -> Self:
        for number, name in enumerate(self._names):
            device = f"pt{os.getpid()}{'ab'[number]}"
            _ip("netns", "add", name)
            end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._ends.append(end)
            request = struct.pack("16sH22x", device.encode(), _IFF_TUN | _IFF_NO_PI)
            fcntl.ioctl(end, _TUNSETIFF, request)
            _ip("link", "set", device, "netns", name)
            here, there = self.addresses[number], self.addresses[1 - number]
            _ip("-n", name, "addr", "add", here, "peer", there, "dev", device)
            _ip("-n", name, "link", "set", device, "txqueuelen", "2000", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        self._carrier.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._carrier.is_alive():
            self._carrier.join()
        for end in self._ends:
            os.close(end)
        for name in self._names:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)

    def inside(self, host: int) -> list[str]:
        """Return the words to put before a command that is to run on host 0 or 1."""
        return ["ip", "netns", "exec", self._names[host]]

    def _carry(self) -> None:
        waiting: list[tuple[float, int, int, bytes]] = []  # when, order, to which end, what
        numbers = itertools.count()
        on_way = [0, 0]
        ready = select.poll()
        for end in self._ends:
            ready.register(end, select.POLLIN)
        while not self._ended.is_set():
            wait = 0.1 if not waiting else min(0.1, max(0.0, waiting[0][0] - time.monotonic()))
            arrived = {end for end, _ in ready.poll(wait * 1000)}
            for side, end in enumerate(self._ends):
                if end not in arrived:
                    continue
                for packet in _packets(end):
                    loss, delay, reorder = self.weather
                    if self._dice.random() * 100 < loss or on_way[side] >= _QUEUE:
                        self.lost += 1
                        continue
                    if delay and reorder and self._dice.random() * 100 < reorder:
                        delay = 0.0
                    when = time.monotonic() + delay
                    heapq.heappush(waiting, (when, next(numbers), 1 - side, packet))
                    on_way[side] += 1
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, to, packet = heapq.heappop(waiting)
                on_way[1 - to] -= 1
                self.passed += 1
                try:
                    os.write(self._ends[to], packet)
                except OSError:  # the device is not up, or full: so networks are
                    self.lost += 1


def _packets(end: int) -> Iterator[bytes]:
    """Give what has come at one end, as far as one turn goes."""
    for _ in range(64):
        try:
            yield os.read(end, _PACKET)
        except BlockingIOError:
            return


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
