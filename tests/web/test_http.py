"""HTTP on the door for browsers: pages, what keeps a browser from harm, and what strangers send."""

import contextlib
import gzip
import http.client
import re
import socket
import struct
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, Make
from tests.web.conftest import web_port
from tests.web.webwire import WebWire, upgrade
from tests.wire import PATIENCE

PAGES = ROOT / "parley" / "server" / "web" / "page"
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Answer:
    """An answer: status, headers, body."""

    def __init__(self, port: int, method: str, path: str, **headers: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(connection):
            connection.request(method, path, headers=given)
            answer = connection.getresponse()
            self.status, self.headers, self.body = answer.status, answer.headers, answer.read()


def talk(port: int, data: bytes) -> bytes:
    """Send bytes, say that no more will come, and return all that comes."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(data)
        got = b""
        while part := sock.recv(65536):
            got += part
        return got


def get(port: int, path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{more}\r\n".encode()


def test_the_page_comes_whole_packed_and_not_again(port: int) -> None:
    plain = Answer(port, "GET", "/")
    assert plain.status == 200
    assert plain.body == (PAGES / "index.html").read_bytes()
    assert plain.headers["Content-Type"] == "text/html; charset=utf-8"
    packed = Answer(port, "GET", "/", Accept_Encoding="gzip, br")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    head = Answer(port, "HEAD", "/")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(plain.body))
    again = Answer(port, "GET", "/", If_None_Match=f'"other", W/{plain.headers["ETag"]}')
    assert (again.status, again.body) == (304, b"")
    assert Answer(port, "GET", "/", If_None_Match='"other"').status == 200


def test_every_file_of_the_page_is_served_as_what_it_is(port: int) -> None:
    for path in PAGES.iterdir():
        answer = Answer(port, "GET", f"/{path.name}" if path.name != "index.html" else "/")
        assert answer.body == path.read_bytes()
        assert answer.headers["Content-Type"].partition(";")[0] != "application/octet-stream"


def test_nothing_else_on_the_disk_is_served(port: int) -> None:
    for path in ("/index.html/..", "/../pages.py", "/%2e%2e/pages.py", "/..%2fpages.py", "//etc"):
        assert Answer(port, "GET", path).status == 404, path


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/none", 404),
        ("POST", "/", 405),
        ("OPTIONS", "/files/x", 405),
        ("GET", "/files/x", 410),
        ("PUT", "/files/x", 410),
        ("GET", "/chat", 426),
    ],
)
def test_every_answer_keeps_a_browser_from_harm(
    port: int, method: str, path: str, status: int
) -> None:
    answer = Answer(port, method, path)
    assert answer.status == status
    assert SAFE.items() <= dict(answer.headers).items()
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "*" not in policy and "http" not in policy
    assert "Set-Cookie" not in answer.headers
    assert not any(name.startswith("Access-Control") for name in answer.headers)


def test_a_page_under_a_strangers_name_is_not_served(port: int) -> None:
    assert Answer(port, "GET", "/", Host="evil.example").status == 421
    assert Answer(port, "GET", "/", Origin="http://evil.example").status == 403
    for name in ("localhost", "[::1]:80", "127.0.0.1", "192.0.2.1:8080"):
        assert Answer(port, "GET", "/", Host=name).status == 200, name


def test_requests_in_one_segment_are_answered_in_order(port: int) -> None:
    paths = ["/" if n % 3 else f"/none{n}" for n in range(200)]
    data = b"".join(get(port, path) for path in paths[:-1])
    got = talk(port, data + get(port, paths[-1], "Connection: close\r\n"))
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", got)
    assert statuses == [b"200" if path == "/" else b"404" for path in paths]


def test_the_body_of_a_refused_request_is_not_taken_for_a_request(port: int) -> None:
    """Request smuggling (RFC 9112, 11.2)."""
    inner = get(port, "/inner")
    for framing in (f"Content-Length: {len(inner)}", "Transfer-Encoding: chunked"):
        got = talk(port, get(port, "/", f"{framing}\r\n") + inner)
        assert got.count(b"HTTP/1.1 ") == 1, got


BAD = {
    "no HTTP": b'$29{"purpose":"ping","ref":"a1"}$\r\n\r\n',
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50 + b"\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two lengths": b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a length below 0": b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "a length in other digits": b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: \xd9\xa1\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "a folded NUL": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "another version": b"GET / HTTP/3.0\r\nHost: a\r\n\r\n",
    "a control in the target": b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a head that is too long": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000,
    "many headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 5000,
    "a target without sense": b"GET //[ HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_what_is_no_request_is_refused_and_the_server_lives(port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(data)
        got = sock.recv(65536)
        assert re.match(rb"HTTP/1\.1 (400|431|505) ", got), got
    assert Answer(port, "GET", "/").status == 200


def test_what_is_no_request_behind_one_that_is(port: int) -> None:
    for method in ("GET", "HEAD", "PUT"):
        got = talk(port, get(port, "/").replace(b"GET", method.encode()) + b"what?\r\n\r\n")
        assert re.findall(rb"HTTP/1\.1 (\d+)", got)[-1] == b"400", got
        assert got.endswith(b"HTTP/1.1\n"), got


def test_http_1_0_is_understood(port: int) -> None:
    got = talk(port, b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 ")
    assert b"onnection: close" in got


def test_whoever_leaves_in_any_state_does_no_harm(port: int) -> None:
    key = "c2l4dGVlbiBieXRlcyBvaw=="
    for data in (b"", b"GET", get(port, "/"), get(port, "/") * 300, upgrade(port, key, {})):
        for reset in (False, True):
            sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
            sock.sendall(data)
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
    assert Answer(port, "GET", "/").status == 200


def test_what_trickles_or_is_silent_is_ended(make_server: Make) -> None:
    """Slowloris: progress does not put the deadline off."""
    port = web_port(make_server("--web", "0", "--join-timeout", "2").start())
    unjoined = WebWire(port)
    silent = socket.create_connection(("127.0.0.1", port), 40)
    trickle = socket.create_connection(("127.0.0.1", port), 0.2)
    kept = socket.create_connection(("127.0.0.1", port), 40)
    kept.sendall(get(port, "/none"))
    with silent, trickle, kept:
        sent = 0
        with contextlib.suppress(ConnectionError):
            for byte in get(port, "/", "X: " + "x" * 300 + "\r\n"):
                trickle.sendall(bytes([byte]))
                sent += 1
                try:
                    if not trickle.recv(1):
                        break
                except TimeoutError:
                    pass
        assert sent < 300
        assert silent.recv(1) == b""
        while kept.recv(65536):
            pass
    events = unjoined.ended(patience=40)
    assert [event["error"] for event in events] == ["NOT_JOINED"]
    assert unjoined.closed_with == 1000


def test_who_is_over_the_limit_is_told_so(make_server: Make) -> None:
    server = make_server("--web", "0", "--max-clients", "2").start()
    port = web_port(server)
    one, two = WebWire(port), WebWire(port)
    assert Answer(port, "GET", "/").status == 503
    one.close()
    until_let_in(port)
    two.close()


def test_one_address_has_its_limit_over_all_doors(make_server: Make) -> None:
    limits = ("--exempt", "none", "--address-clients", "4", "--address-newcomers", "2")
    server = make_server("--web", "0", *limits).start()
    port = web_port(server)
    ann = server.joined("ann")
    with contextlib.ExitStack() as open_ones:
        for _ in range(2):  # who has asked for a page is none that might never join
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            open_ones.callback(connection.close)
            connection.request("GET", "/")
            assert connection.getresponse().read()
        with socket.create_connection(("127.0.0.1", port), PATIENCE):
            assert Answer(port, "GET", "/").status == 429
            server.wire().error("LIMIT_EXCEEDED")
    ann.close()
    until_let_in(port)
    one, two = WebWire(port), WebWire(port)  # but these might: they have not joined
    assert Answer(port, "GET", "/").status == 429
    one.join("ben")
    assert Answer(port, "GET", "/").status == 200
    one.close()
    two.close()
    until_let_in(port)
    WebWire(port).close()


def until_let_in(port: int) -> None:
    """Wait until the server has seen that others have gone."""
    deadline = time.monotonic() + PATIENCE
    while Answer(port, "GET", "/").status != 200:
        assert time.monotonic() < deadline


def test_a_port_that_is_taken_is_told(make_server: Make, port: int, tmp_path: Path) -> None:
    server = make_server("--web", str(port))
    server.launch(port=0)
    assert server.wait() == 1
    assert "--web PORT" in server.said


@pytest.mark.parametrize("origin", ["example.org", "ftp://a", "http://a/b", "http://", "*"])
def test_what_is_no_origin_is_bad_usage(make_server: Make, origin: str) -> None:
    server = make_server("--web", "0", "--web-origin", origin)
    server.launch(port=0)
    assert server.wait() == 2
