"""The HTTP door by its bytes, and the side door by sockets that behave badly."""

import itertools
import socket
import time

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.server.net.http import Request
from parley.server.operating.http import HEAD_BYTES, HttpDoor, Response
from parley.server.operating.monitor import CONNECTIONS
from tests.conftest import Make
from tests.operating.conftest import PATIENCE, ask, side_port

ASK = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n"


def door() -> HttpDoor:
    """A door that says what it was asked."""

    def answer(request: Request) -> Response:
        return Response(200, f"{request.path} {request.headers.get('accept')}".encode())

    return HttpDoor(answer)


def status(out: bytes) -> int:
    """Return the code of the first response in ``out``, which must be one as h11 reads it."""
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(out)
    response = reader.next_event()
    assert isinstance(response, h11.Response)
    return response.status_code


def test_a_request_is_answered_and_another_may_follow() -> None:
    peer = door()
    for _ in range(3):
        out = peer.receive_data(ASK)
        assert out.endswith(b"/a text/plain")
        assert out.startswith(b"HTTP/1.1 200 OK\r\n") and not peer.over


@given(st.lists(st.integers(0, len(ASK)), max_size=6))
def test_in_what_pieces_a_request_comes_makes_no_difference(cuts: list[int]) -> None:
    peer = door()
    edges = [0, *sorted(cuts), len(ASK)]
    pieces = [ASK[a:b] for a, b in itertools.pairwise(edges) if a < b]
    out = b"".join(peer.receive_data(piece) for piece in pieces)
    assert out == door().receive_data(ASK)


def test_head_gets_the_head_alone() -> None:
    out = door().receive_data(ASK.replace(b"GET", b"HEAD"))
    assert status(out) == 200 and out.endswith(b"\r\n\r\n")


def test_http_1_0_is_answered_and_ends() -> None:
    peer = door()
    assert status(peer.receive_data(b"GET / HTTP/1.0\r\n\r\n")) == 200
    assert peer.over


def test_what_is_asked_for_in_advance_is_not_answered() -> None:
    peer = door()
    out = peer.receive_data(ASK * 1000)
    assert out.count(b"HTTP/1.1 200") == 1 and b"Connection: close" in out
    assert peer.over and peer.receive_data(ASK) == b""


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"$29{nonsense}$\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),  # TLS
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * HEAD_BYTES, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 413),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n", 417),
    ],
)
def test_what_cannot_be_answered_is_refused_and_ends(data: bytes, code: int) -> None:
    peer = door()
    assert status(peer.receive_data(data)) == code
    assert peer.over


def test_other_methods_are_refused() -> None:
    out = door().receive_data(b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status(out) == 405 and b"Allow: GET, HEAD" in out


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_any_bytes_end_in_an_answer_or_a_wait(pieces: list[bytes]) -> None:
    peer = door()
    for piece in [*pieces, b""]:
        peer.receive_data(piece)
    assert peer.over or not any(pieces)


def connect(port: int) -> socket.socket:
    """Return a connection to the side door."""
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    sock.settimeout(PATIENCE + 10)
    return sock


def test_whoever_only_begins_to_ask_is_let_go(make_server: Make) -> None:
    server = make_server("--metrics", "0").start()
    with connect(side_port(server)) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\n")
        began = time.monotonic()
        assert sock.recv(1) == b""  # the deadline, though the head came in part
        assert time.monotonic() - began > 1, "it was not given any time"


def test_many_who_hold_connections_keep_nobody_out(make_server: Make) -> None:
    server = make_server("--metrics", "0").start()
    held = [connect(side_port(server)) for _ in range(3 * CONNECTIONS)]
    try:
        assert ask(server, "/healthz").status == 200
        assert server.joined("ann").say("the chat goes on")
        assert held[0].recv(1) == b"", "who has been quiet longest makes room"
    finally:
        for sock in held:
            sock.close()


def test_an_answer_that_nobody_takes_holds_nothing_up(make_server: Make) -> None:
    server = make_server("--metrics", "0").start()
    ann = server.joined("ann")
    with connect(side_port(server)) as sock:
        sock.setblocking(False)
        asked = 0
        try:
            for _ in range(20_000):
                asked += sock.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        except (BlockingIOError, ConnectionError):
            pass
        assert asked
        assert ann.say("the chat goes on")
        assert ask(server, "/healthz").status == 200
