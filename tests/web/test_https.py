"""The door for browsers over TLS: the same, and nothing without."""

import contextlib
import hashlib
import http.client
import os
import socket
import ssl

import pytest

from tests.conftest import ChatServer, Make
from tests.files.carrying import sha256
from tests.server.test_rooms import ask
from tests.tls.conftest import Certified, connected
from tests.web.conftest import web_port
from tests.web.webwire import WebWire
from tests.wire import PATIENCE


@pytest.fixture
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    return Certified(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def https_server(make_server: Make, certified: Certified) -> ChatServer:
    return make_server("--rate", "0", "--web", "0", *certified.options).start()


def joined(port: int, context: ssl.SSLContext, nick: str) -> WebWire:
    """Return a connection by WebSocket over TLS that has joined."""
    wire = WebWire(port, sock=connected(port, context))
    wire.join(nick)
    wire.until("history", end=True)
    return wire


def request(
    port: int, context: ssl.SSLContext, method: str, path: str, body: bytes = b"", origin: str = ""
) -> tuple[int, bytes]:
    """Return the status and body of an answer."""
    connection = http.client.HTTPSConnection("localhost", port, timeout=30, context=context)
    with contextlib.closing(connection):
        headers = {"Origin": origin} if origin else {}
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_browsers_over_tls(https_server: ChatServer, certified: Certified) -> None:
    port, context = web_port(https_server), certified.context()
    ann, ben = joined(port, context, "ann"), joined(port, context, "ben")
    for number in range(200):
        ann.say(f"{number} {'x' * 5000}")
    assert [ben.until("message")["text"].split()[0] for _ in range(200)] == [
        str(number) for number in range(200)
    ]
    assert request(port, context, "GET", "/")[0] == 200
    own = f"https://localhost:{port}"
    assert request(port, context, "GET", "/", origin=own)[0] == 200
    assert request(port, context, "GET", "/", origin=own.replace("https", "http"))[0] == 403
    ann.close()
    ben.close()


def test_files_over_tls(https_server: ChatServer, certified: Certified) -> None:
    port, context = web_port(https_server), certified.context()
    data = os.urandom(1 << 20) * 20
    ann = joined(port, context, "ann")
    asked = ask(ann, "put", name="large", size=len(data), sha256=sha256(data))
    status, body = request(port, context, "PUT", f"/files/{asked['ticket']}", data)
    assert status == 201, body
    ticket = ask(ann, "get", name="large")["ticket"]
    connection = http.client.HTTPSConnection("localhost", port, timeout=30, context=context)
    digest = hashlib.sha256()
    with contextlib.closing(connection):
        connection.request("GET", f"/files/{ticket}")
        answer = connection.getresponse()
        for turn in range(20):
            digest.update(answer.read(1 << 20))
            ann.say(f"{turn} MB")  # the chat has its turns while the file waits for its reader
        assert answer.read() == b""
        connection.request("GET", "/none")
        assert connection.getresponse().status == 404
    assert digest.hexdigest() == sha256(data)
    ann.close()


def test_an_end_is_said_in_tls_too(https_server: ChatServer, certified: Certified) -> None:
    port, context = web_port(https_server), certified.context()
    with connected(port, context) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        got = b""
        while part := sock.recv(65536):  # raises at an end that close_notify did not announce
            got += part
        assert got.startswith(b"HTTP/1.1 200 ")


def test_who_speaks_no_tls_is_told(https_server: ChatServer) -> None:
    with socket.create_connection(("127.0.0.1", web_port(https_server)), PATIENCE) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        got = sock.recv(65536)
        assert got.startswith(b"HTTP/1.1 400 ")
        head, _, body = got.partition(b"\r\n\r\n")
        assert b"Content-Length: %d\r\n" % len(body) in head + b"\r\n"
