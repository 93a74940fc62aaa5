"""Floods at the door for browsers, with the canary of ``tests/faults`` beside them."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.faults.conftest import Siege, siege
from tests.web.conftest import web_port
from tests.web.test_websocket import KEY
from tests.web.webwire import PING, WebWire, frame, upgrade
from tests.wire import PATIENCE

__all__ = ["siege"]  # the fixture


@contextlib.contextmanager
def flooding(port: int, count: int, begin: bytes, data: bytes) -> Iterator[list[int]]:
    """Send ``data`` again and again over ``count`` connections that began with ``begin``, and read
    what comes, beside what the test does. The list has the bytes that have come."""
    over = threading.Event()
    came = [0]
    socks = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(count)]

    def flood() -> None:
        left = dict.fromkeys(socks, begin + data)
        for sock in socks:
            sock.setblocking(False)
        while left and not over.is_set():
            for sock in list(left):
                try:
                    left[sock] = left[sock][sock.send(left[sock]) :] or data
                except BlockingIOError:
                    pass
                except OSError:
                    del left[sock]
                    continue
                with contextlib.suppress(OSError):
                    came[0] += len(sock.recv(1 << 20))

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        yield came
    finally:
        over.set()
        thread.join()
        for sock in socks:
            sock.close()


@pytest.mark.row(21)
def test_who_asks_for_pages_without_end(siege: Siege) -> None:
    """150 connections, hundreds of requests in each segment."""
    port = web_port(siege.begin("--web", "0"))
    head = b"GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with flooding(port, 150, b"", head * 500) as came:
        wait_for(came, 2_000_000)


@pytest.mark.row(21)
def test_who_pings_without_end(siege: Siege) -> None:
    port = web_port(siege.begin("--web", "0"))
    with flooding(port, 50, upgrade(port, KEY, {}), frame(PING, b"") * 5000) as came:
        wait_for(came, 50_000)


def wait_for(came: list[int], least: int) -> None:
    """Wait until so much has been answered, and somebody can still come in."""
    clock = threading.Event()
    for _ in range(1200):
        if came[0] >= least:
            return
        clock.wait(0.05)
    raise AssertionError(f"{came[0]} bytes came, not {least}")


def test_browsers_come_in_while_others_flood(port: int) -> None:
    head = b"GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with flooding(port, 50, b"", head * 500) as came:
        wait_for(came, 500_000)
        wire = WebWire(port)
        wire.join("late-comer")
        wire.close()
