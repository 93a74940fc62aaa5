"""Files over QUIC: whole over bad networks, to the right server only, and nothing for strangers."""

import contextlib
import random
import socket
import threading
import time
from pathlib import Path

import pytest
from qh3.quic.connection import QuicConnection, QuicConnectionError
from qh3.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
    StreamDataReceived,
)

from framing.events import Quic, TicketFor
from framing.frames import encode_frame
from parley.client.files.disk import Saving
from parley.client.files.job import Job
from parley.client.files.link import CarryingError
from parley.client.files.quic import NoWayError, QuicLink
from parley.server.carrying.retries import LASTS, Retries
from parley.udp.settings import for_client
from tests.conftest import ChatServer
from tests.files.carrying import bring, names, put, sha256
from tests.files.relay import Relay
from tests.server.test_rooms import ask
from tests.wire import Wire

DATA = random.Random(9).randbytes(3_000_000)


def ticket_for(wire: Wire, name: str) -> TicketFor:
    """Ask for a ticket."""
    told = ask(wire, "get", name=name)
    quic = Quic(told["quic"]["port"], told["quic"]["fingerprint"])
    return TicketFor(
        "", told["ticket"], told["name"], told["size"], told["sha256"], told["lasts"], quic
    )


def fetch(ticket: TicketFor, path: Path, port: int = 0) -> None:
    """Fetch over QUIC, by way of ``port`` if one is given."""
    assert ticket.quic is not None
    job = Job(False, path.name, path, ticket.size)
    quic = Quic(port or ticket.quic.port, ticket.quic.fingerprint)
    saving = Saving(job, ticket.sha256)
    try:
        link = QuicLink(job, "127.0.0.1", quic)
        try:
            saving.catch_up()
            link.fetch(ticket.ticket, saving)
        finally:
            link.close()
        saving.finish()
    finally:
        saving.close()


def store(wire: Wire, path: Path, port: int) -> None:
    """Bring a file over QUIC by way of ``port``."""
    data = path.read_bytes()
    told = put(wire, path.name, data)
    job = Job(True, path.name, path, len(data))
    link = QuicLink(job, "127.0.0.1", Quic(port, told["quic"]["fingerprint"]))
    try:
        link.store(told["ticket"], 0, sha256(data))
    finally:
        link.close()


@pytest.mark.parametrize(
    ("loss", "delay", "jitter"),
    [
        pytest.param(0, 0, 0, id="clean"),
        pytest.param(1, 0, 0, id="1 % lost", marks=pytest.mark.long),
        pytest.param(5, 0, 0, id="5 % lost"),
        pytest.param(0, 0.05, 0, id="100 ms", marks=pytest.mark.long),
        pytest.param(0, 0.002, 0.004, id="reordered", marks=pytest.mark.long),
        pytest.param(2, 0.01, 0.002, id="all of it"),
    ],
)
def test_a_file_is_whole_over_a_bad_network_both_ways(
    server: ChatServer, tmp_path: Path, loss: float, delay: float, jitter: float
) -> None:
    ann = server.joined("ann")
    bring(server, ann, "down", DATA)
    (tmp_path / "up").write_bytes(DATA)
    relay = Relay(server.port, loss, delay, jitter)
    try:
        fetch(ticket_for(ann, "down"), tmp_path / "down", relay.port)
        store(ann, tmp_path / "up", relay.port)
    finally:
        relay.close()
    assert relay.passed > 4000 and (relay.lost > 10 or not loss)
    assert (tmp_path / "down").read_bytes() == DATA
    assert (server.data / "files" / "up").read_bytes() == DATA
    assert names(ann) == ["down", "up"]


def test_another_server_is_told_nothing(server: ChatServer, tmp_path: Path) -> None:
    ann = server.joined("ann")
    bring(server, ann, "file", DATA)
    ticket = ticket_for(ann, "file")
    assert ticket.quic is not None
    wrong = Quic(ticket.quic.port, "00" * 32)
    with pytest.raises(NoWayError):
        QuicLink(Job(False, "file", tmp_path / "file", ticket.size), "127.0.0.1", wrong)
    fetch(ticket, tmp_path / "file")  # the ticket was not used


def test_a_ticket_is_good_once_over_udp_too(server: ChatServer, tmp_path: Path) -> None:
    ann = server.joined("ann")
    bring(server, ann, "file", DATA)
    ticket = ticket_for(ann, "file")
    fetch(ticket, tmp_path / "file")
    assert ask(ann, "get", name="file")["purpose"] == "ticket"  # so that somebody may come at all
    with pytest.raises(CarryingError) as refused:
        fetch(ticket, tmp_path / "again")
    assert refused.value.word == "TICKET_EXPIRED"


def test_a_part_is_gone_on_with_over_udp(server: ChatServer, tmp_path: Path) -> None:
    ann = server.joined("ann")
    bring(server, ann, "file", DATA)
    ticket = ticket_for(ann, "file")
    (tmp_path / f".file.{ticket.sha256[:12]}.part").write_bytes(DATA[:2_000_000])
    fetch(ticket, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == DATA


def initial(server: ChatServer) -> list[bytes]:
    """Return the datagrams with which a client begins."""
    client = QuicConnection(configuration=for_client("00" * 32))
    client.connect(("127.0.0.1", server.port), 0.0)
    return [data for data, _ in client.datagrams_to_send(0.0)]


def answers(server: ChatServer, datagrams: list[bytes], seconds: float = 1.0) -> list[bytes]:
    """Return what comes back for ``datagrams``, to somebody who then keeps silent."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for datagram in datagrams:
            sock.sendto(datagram, ("127.0.0.1", server.port))
        sock.settimeout(seconds)
        while True:
            try:
                found.append(sock.recv(65536))
            except TimeoutError:
                return found


def test_nobody_is_answered_while_no_ticket_is_out(server: ChatServer) -> None:
    ann = server.joined("ann")
    bring(server, ann, "file", b"x")
    assert answers(server, initial(server)) == []
    ask(ann, "get", name="file")
    assert answers(server, initial(server)) != []


def test_a_spoofed_beginning_is_answered_with_at_most_three_times_its_bytes(
    server: ChatServer,
) -> None:
    ann = server.joined("ann")
    bring(server, ann, "file", b"x")
    ask(ann, "get", name="file")
    begins = initial(server)
    got = answers(server, begins, 3.0)
    assert 0 < sum(map(len, got)) <= 3 * sum(map(len, begins))


def test_garbage_is_no_trouble(server: ChatServer, tmp_path: Path) -> None:
    ann = server.joined("ann")
    bring(server, ann, "file", DATA)
    ticket = ticket_for(ann, "file")
    dice = random.Random(10)
    begins = initial(server)[0]
    stop = threading.Event()

    def attack() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while not stop.is_set():
                kind = dice.randrange(4)
                data = dice.randbytes(dice.choice([0, 1, 7, 20, 1200, 1452]))
                if kind == 0:
                    data = begins[:20] + data
                elif kind == 1:
                    data = begins[: dice.randrange(len(begins))]
                elif kind == 2:
                    data = bytes([data[0] | 0xC0]) + data[1:] if data else data
                sock.sendto(data, ("127.0.0.1", server.port))

    thread = threading.Thread(target=attack)
    thread.start()
    try:
        fetch(ticket, tmp_path / "file")
        assert ann.say("still here")["seq"] > 0
    finally:
        stop.set()
        thread.join()
    assert (tmp_path / "file").read_bytes() == DATA


def test_strangers_cannot_keep_others_out(server: ChatServer, tmp_path: Path) -> None:
    ann = server.joined("ann")
    bring(server, ann, "file", DATA)
    ticket = ticket_for(ann, "file")
    begins = [initial(server)[0] for _ in range(60)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for datagram in begins:  # each begins a connection, and says no more
            sock.sendto(datagram, ("127.0.0.1", server.port))
        fetch(ticket, tmp_path / "file")
        sock.settimeout(1.0)
        kinds = []
        with pytest.raises(TimeoutError):
            while True:
                kinds.append(sock.recv(65536)[0] & 0x30)
    assert kinds.count(0x30) > 40, "most were asked to prove where they are"


def test_who_fetches_nothing_more_is_let_go_however_it_pings(
    server: ChatServer, tmp_path: Path
) -> None:
    ann = server.joined("ann")
    bring(server, ann, "file", DATA)
    ticket = ticket_for(ann, "file")
    assert ticket.quic is not None
    address = "127.0.0.1", server.port
    quic = QuicConnection(configuration=for_client(ticket.quic.fingerprint))
    quic.connect(address, time.monotonic())
    told: list[QuicEvent] = []
    got, pings = b"", 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        while not any(isinstance(event, ConnectionTerminated) for event in told):
            for data, _ in quic.datagrams_to_send(time.monotonic()):
                sock.sendto(data, address)
            try:
                quic.receive_datagram(sock.recv(65536), address, time.monotonic())
            except TimeoutError:
                pings += 1
                assert pings < 200, "it stays for ever"
                with contextlib.suppress(QuicConnectionError):  # closed, and not told yet
                    quic.send_ping(pings)
            if (due := quic.get_timer()) is not None and due <= time.monotonic():
                quic.handle_timer(time.monotonic())
            while (event := quic.next_event()) is not None:
                told.append(event)
                if isinstance(event, HandshakeCompleted):
                    request = b'{"purpose":"fetch","ticket":"%b"}' % ticket.ticket.encode()
                    quic.send_stream_data(0, encode_frame(request))
                elif isinstance(event, StreamDataReceived):
                    got += event.data
    assert got.endswith(DATA) and pings > 10


@pytest.mark.parametrize(
    ("sent", "word"),
    [
        (b"$007{", "BAD_FRAME"),
        (b"hello", "BAD_FRAME"),
        (encode_frame(b'{"purpose":"fetch"}'), "BAD_REQUEST"),
        (encode_frame(b'{"purpose":"ping","ref":"a"}'), "BAD_REQUEST"),
    ],
)
def test_what_cannot_be_read_is_told_as_over_tcp(
    server: ChatServer, sent: bytes, word: str
) -> None:
    ann = server.joined("ann")
    bring(server, ann, "file", b"x")
    ticket = ticket_for(ann, "file")
    assert ticket.quic is not None
    address = "127.0.0.1", server.port
    quic = QuicConnection(configuration=for_client(ticket.quic.fingerprint))
    quic.connect(address, time.monotonic())
    got, whole = b"", False
    until = time.monotonic() + 10
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.1)
        while not whole:
            assert time.monotonic() < until, got
            for data, _ in quic.datagrams_to_send(time.monotonic()):
                sock.sendto(data, address)
            with contextlib.suppress(TimeoutError):
                quic.receive_datagram(sock.recv(65536), address, time.monotonic())
            if (due := quic.get_timer()) is not None and due <= time.monotonic():
                quic.handle_timer(time.monotonic())
            while (event := quic.next_event()) is not None:
                if isinstance(event, HandshakeCompleted):
                    quic.send_stream_data(0, sent)
                elif isinstance(event, StreamDataReceived):
                    got += event.data
                    whole = event.end_stream
    assert f'"{word}"'.encode() in got


def test_a_retry_proves_an_address_and_for_a_while() -> None:
    retries = Retries()
    here = ("10.0.0.1", 5000)
    token = retries.make(b"first", b"own", here, 100.0)
    assert retries.check(token, here, 105.0) == (b"first", b"own")
    assert retries.check(token, ("10.0.0.2", 5000), 105.0) is None
    assert retries.check(token, here, 100.0 + LASTS + 1) is None
    assert retries.check(token[:-1] + b"x", here, 105.0) is None
    assert retries.check(b"", here, 105.0) is None
    assert Retries().check(token, here, 105.0) is None
