"""Delivery over real connections: each gets its share whole and in order, whatever its size,
whether its client reads or not, and however it is sent."""

import contextlib
import gc
import os
import resource
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from framing.frames import encode_frame
from parley.server import delivery
from parley.server.chat.outbox import Audience, Frame, Letters, Outbox, Patch, Share
from parley.server.delivery import Delivery
from parley.server.net.backlog import Backlog
from parley.server.net.connection import Connection
from parley.server.net.loop import Loop
from parley.server.net.ring import Ring
from tests.parts.test_ring import ring_or_skip

LARGE = delivery.PAGES_FROM
MANY = max(delivery.PAGES_FOR, delivery.TOGETHER_FOR) + 5

Deliver = Callable[[Letters, list[Share]], tuple[int, int]]


class Encrypting:
    """A socket that sends no bytes as they are, as TLS does."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, data: bytes | memoryview, /) -> int:
        return self._sock.send(bytes(data).swapcase())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        return far, listener.accept()[0]


class Client:
    """Both ends of a connection."""

    allowed = 1 << 24

    def __init__(self, loop: Loop, held: Backlog, encrypting: bool = False) -> None:
        self.frame: Frame = encode_frame
        self.patches: list[Patch] | None = None
        self.far, near = tcp_pair()
        near.setblocking(False)
        self.far.settimeout(10)
        sock = Encrypting(near) if encrypting else near
        self.connection = self.carrier = Connection(sock, loop, self, held)
        self.lost: str | None = None

    def received(self, connection: Connection, data: bytes) -> None:
        raise AssertionError("nobody sends here")

    def blocked(self, connection: Connection) -> None:
        pass

    def drained(self, connection: Connection) -> None:
        pass

    def ended(self, connection: Connection, reason: str) -> None:
        self.lost = reason

    def read(self, loop: Loop, size: int) -> bytes:
        """Return so many bytes, while the loop sends what waits."""
        data = b""
        while len(data) < size:
            if self.connection.unsent:
                for watcher, events in loop.wait(0.0, 0.0):
                    watcher.ready(events)
            data += self.far.recv(size - len(data))
        return data


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture(params=["by a call each", "together"])
def deliver(request: pytest.FixtureRequest) -> Iterator[Deliver]:
    made = Delivery(ring_or_skip() if request.param == "together" else None)
    yield made.deliver
    made.close()


def hall(loop: Loop, encrypting: bool = False) -> tuple[Outbox, Audience, list[Client]]:
    outbox, audience, held = Outbox(), Audience(), Backlog()
    clients = [Client(loop, held, encrypting and number % 2 == 0) for number in range(MANY)]
    for client in clients:
        outbox.enter(audience, client)
    return outbox, audience, clients


def body(number: int, size: int) -> bytes:
    return b'{"n":%d,"t":"%s"}' % (number, b"abc" * (size // 3))


SIZES = pytest.mark.parametrize("size", [40, LARGE - 100, LARGE, 60_000])


@SIZES
def test_everybody_gets_each_share_whole_and_in_order(
    loop: Loop, deliver: Deliver, size: int
) -> None:
    outbox, audience, clients = hall(loop)
    whole = b""
    for number in range(3):
        outbox.say(audience, body(number, size))
        whole += encode_frame(body(number, size))
        found = deliver(*outbox.flush())
        assert found == (MANY, MANY * len(encode_frame(body(number, size))))
    assert all(client.read(loop, len(whole)) == whole for client in clients)


def test_what_one_gets_otherwise_stands_in_its_place(loop: Loop, deliver: Deliver) -> None:
    outbox, audience, clients = hall(loop)
    first, second = body(1, LARGE), body(2, LARGE)
    outbox.say(audience, first)
    outbox.replace(clients[3], outbox.say(audience, second), b"{}")
    deliver(*outbox.flush())
    all_of_it = encode_frame(first) + encode_frame(second)
    own = encode_frame(first) + encode_frame(b"{}")
    for client in clients:
        wanted = own if client is clients[3] else all_of_it
        assert client.read(loop, len(wanted)) == wanted


@pytest.mark.parametrize("size", [LARGE - 100, LARGE])
def test_a_client_that_does_not_read_misses_nothing_and_keeps_nobody_waiting(
    loop: Loop, deliver: Deliver, size: int
) -> None:
    outbox, audience, clients = hall(loop)
    slow, others = clients[0], clients[1:]
    whole = b""
    while not slow.connection.unsent or len(whole) < 1 << 20:
        said = body(len(whole), size)
        outbox.say(audience, said)
        deliver(*outbox.flush())
        whole += encode_frame(said)
        assert len(whole) < 1 << 26, "what nobody reads is not kept"
        for client in others:
            assert client.read(loop, len(encode_frame(said))) == encode_frame(said)
    assert slow.read(loop, len(whole)) == whole


def test_who_is_too_slow_is_given_up_and_the_others_get_theirs(
    loop: Loop, deliver: Deliver
) -> None:
    outbox, audience, clients = hall(loop)
    slow, others = clients[7], clients[:7] + clients[8:]
    slow.allowed = 3 * LARGE
    after = 0
    while after < 2:
        said = body(after, LARGE - 100)
        outbox.say(audience, said)
        deliver(*outbox.flush())
        assert all(other.read(loop, len(encode_frame(said))) for other in others)
        after += slow.lost is not None
    assert slow.lost == "slow"
    assert not any(other.lost for other in others)


@SIZES
def test_who_is_gone_is_closed_and_the_others_get_theirs(
    loop: Loop, deliver: Deliver, size: int
) -> None:
    outbox, audience, clients = hall(loop)
    clients[7].far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    clients[7].far.close()  # by RST
    outbox.say(audience, body(1, size))
    deliver(*outbox.flush())
    assert [client.lost for client in clients if client.lost] == ["lost"]
    wanted = encode_frame(body(1, size))
    others = [client for client in clients if client is not clients[7]]
    assert all(client.read(loop, len(wanted)) == wanted for client in others)


@SIZES
def test_nothing_goes_unencrypted_over_a_connection_that_encrypts(
    loop: Loop, deliver: Deliver, size: int
) -> None:
    outbox, audience, clients = hall(loop, encrypting=True)
    outbox.say(audience, body(1, size))
    deliver(*outbox.flush())
    wanted = encode_frame(body(1, size))
    for number, client in enumerate(clients):
        assert client.read(loop, len(wanted)) == (wanted, wanted.swapcase())[number % 2 == 0]


def test_without_a_descriptor_for_the_pages_all_is_copied(loop: Loop, deliver: Deliver) -> None:
    outbox, audience, clients = hall(loop)
    outbox.say(audience, body(1, LARGE))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            os.memfd_create("none")
        deliver(*outbox.flush())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wanted = encode_frame(body(1, LARGE))
    assert all(client.read(loop, len(wanted)) == wanted for client in clients)


def test_pages_are_given_up_when_all_have_been_sent(loop: Loop, deliver: Deliver) -> None:
    gc.collect()  # sockets of other tests
    outbox, audience, clients = hall(loop)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(300):
        outbox.say(audience, body(number, LARGE))
        deliver(*outbox.flush())
        for client in clients:
            client.read(loop, len(encode_frame(body(number, LARGE))))
    assert len(os.listdir("/proc/self/fd")) == before + 1


def test_only_a_large_share_of_many_is_given_away_as_pages(
    loop: Loop, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    sendfile = os.sendfile

    def counted(out: int, pages: int, offset: int, size: int) -> int:
        given.append(size)
        return sendfile(out, pages, offset, size)

    monkeypatch.setattr(os, "sendfile", counted)
    outbox, audience, clients = hall(loop)
    small, large = body(1, LARGE // 2), body(2, LARGE)
    for said in (small, large):
        outbox.say(audience, said)
        deliver(*outbox.flush())
    assert given == [len(encode_frame(large))] * MANY
    for client in clients:
        client.read(loop, len(encode_frame(small) + encode_frame(large)))


def test_what_a_ring_that_ends_has_not_sent_comes_by_itself(loop: Loop) -> None:
    ring = ring_or_skip()
    sending = Delivery(ring)
    outbox, audience, clients = hall(loop)
    wanted = b""
    for number in range(3):
        if number == 1:
            with Path(os.devnull).open() as other:
                os.dup2(other.fileno(), ring._fd)
        outbox.say(audience, body(number, 40))
        sending.deliver(*outbox.flush())
        wanted += encode_frame(body(number, 40))
    assert ring.broken
    assert all(client.read(loop, len(wanted)) == wanted for client in clients)
    assert not any(client.lost for client in clients)


def test_a_small_share_of_many_goes_out_by_one_call(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending = Delivery(ring_or_skip())
    given: list[int] = []
    send = Ring.send

    def counted(self: Ring, descriptors: list[int], data: bytes) -> dict[int, int]:
        given.append(len(descriptors))
        return send(self, descriptors, data)

    monkeypatch.setattr(Ring, "send", counted)
    outbox, audience, clients = hall(loop)
    for said in (body(1, 40), body(2, LARGE)):
        outbox.say(audience, said)
    outbox.tell(clients[0], b"{}")
    sending.deliver(*outbox.flush())
    outbox.say(audience, body(3, 40))
    sending.deliver(*outbox.flush())
    assert given == [MANY]
    sending.close()


def tell_all(outbox: Outbox, clients: list[Client], size: int) -> list[bytes]:
    """Tell each something of its own, and return what that is for each."""
    said = [body(number, size + 3 * number) for number in range(len(clients))]
    for client, one in zip(clients, said, strict=True):
        outbox.tell(client, one)
    return list(map(encode_frame, said))


@pytest.mark.parametrize("size", [40, 700, LARGE])
def test_each_gets_what_it_is_told_alone(loop: Loop, deliver: Deliver, size: int) -> None:
    outbox, _, clients = hall(loop, encrypting=True)
    gone, full = clients[7], clients[9]
    gone.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.far.close()  # by RST
    filled = 0
    assert full.connection.way is not None
    with contextlib.suppress(BlockingIOError):
        while True:
            filled += full.connection.way.send(b"." * 40_000)
    wanted = [b""] * MANY
    for _ in range(3):
        told = tell_all(outbox, clients, size)
        assert deliver(*outbox.flush()) == (MANY, sum(map(len, told)))
        wanted = [before + one for before, one in zip(wanted, told, strict=True)]
    assert [client.lost for client in clients if client.lost] == ["lost"] == [gone.lost]
    assert full.connection.unsent == len(wanted[9])
    assert full.read(loop, filled) == b"." * filled
    for number, client in enumerate(clients):
        if client is not gone:
            whole = wanted[number] if number % 2 else wanted[number].swapcase()
            assert client.read(loop, len(whole)) == whole


def test_letters_that_a_ring_that_ends_has_not_sent_come_by_themselves(loop: Loop) -> None:
    ring = ring_or_skip()
    sending = Delivery(ring)
    outbox, _, clients = hall(loop)
    wanted = [b""] * MANY
    for turn in range(3):
        if turn == 1:
            with Path(os.devnull).open() as other:
                os.dup2(other.fileno(), ring._fd)
        told = tell_all(outbox, clients, 40)
        sending.deliver(*outbox.flush())
        wanted = [before + one for before, one in zip(wanted, told, strict=True)]
    assert ring.broken
    found = [client.read(loop, len(one)) for client, one in zip(clients, wanted, strict=True)]
    assert found == wanted
    assert not any(client.lost for client in clients)


def test_many_short_letters_go_out_by_one_call(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    sending = Delivery(ring_or_skip())
    given: list[int] = []
    send_each = Ring.send_each

    def counted(self: Ring, descriptors: list[int], data: list[bytes]) -> dict[int, int]:
        given.append(len(descriptors))
        return send_each(self, descriptors, data)

    monkeypatch.setattr(Ring, "send_each", counted)
    outbox, _, clients = hall(loop)
    for those, size in ((clients, 40), (clients, 2 * delivery.LETTER_BYTES), (clients[:9], 40)):
        tell_all(outbox, those, size)
        sending.deliver(*outbox.flush())
    assert given == [MANY]
    sending.close()
