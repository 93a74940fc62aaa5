"""Files over HTTP, by ticket: whole, in part, broken off and gone on with, by curl."""

import contextlib
import hashlib
import http.client
import json
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ChatServer, until
from tests.files.carrying import sha256
from tests.server.test_rooms import ask
from tests.web.conftest import Join
from tests.web.webwire import WebWire
from tests.wire import PATIENCE

DATA = os.urandom(300_000)


class Web:
    """Somebody with tickets."""

    def __init__(self, wire: WebWire, port: int) -> None:
        self.wire = wire
        self.port = port

    def put(self, name: str, data: bytes, **more: Any) -> str:
        """Return a ticket to bring ``data``."""
        asked = ask(self.wire, "put", name=name, size=len(data), sha256=sha256(data), **more)
        assert asked["purpose"] == "ticket", asked
        ticket: str = asked["ticket"]
        return ticket

    def get(self, name: str) -> str:
        """Return a ticket to get a file."""
        asked = ask(self.wire, "get", name=name)
        assert asked["purpose"] == "ticket", asked
        ticket: str = asked["ticket"]
        return ticket

    def request(
        self, method: str, ticket: str, body: bytes | Iterator[bytes] | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Return the status, headers and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(connection):
            connection.request(method, f"/files/{ticket}", body, given)
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()

    def bring(self, name: str, data: bytes) -> None:
        """Share ``data``."""
        status, _, body = self.request("PUT", self.put(name, data), data)
        assert status == 201, body


@pytest.fixture
def ann(join: Join, port: int) -> Web:
    return Web(join("ann"), port)


def name(tag: str) -> str:
    """Return a name that no other test has."""
    return f"{tag}-{os.urandom(4).hex()}"


def test_a_file_is_brought_and_got(ann: Web, web_server: ChatServer) -> None:
    ben = web_server.joined(name("ben"))
    file = name("report ü")
    status, _, body = ann.request("PUT", ann.put(file, DATA), DATA)
    assert status == 201
    assert json.loads(body)["sha256"] == sha256(DATA)
    assert ben.until("message")["file"] == {"name": file, "size": len(DATA), "sha256": sha256(DATA)}
    status, headers, body = ann.request("GET", ann.get(file))
    assert (status, body) == (200, DATA)
    assert headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''report%20%C3%BC")
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["ETag"] == f'"{sha256(DATA)}"'


def test_an_empty_file(ann: Web) -> None:
    file = name("empty")
    ann.bring(file, b"")
    status, headers, body = ann.request("GET", ann.get(file))
    assert (status, headers["Content-Length"], body) == (200, "0", b"")
    assert ann.request("GET", ann.get(file), Range="bytes=0-")[0] == 416


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=299999-", 299_999, 300_000),
        ("bytes=1000-9999999", 1000, 300_000),
        ("bytes=-1", 299_999, 300_000),
        ("bytes=-9999999", 0, 300_000),
    ],
)
def test_a_part_of_a_file(ann: Web, asked: str, first: int, end: int) -> None:
    file = name("part")
    ann.bring(file, DATA)
    status, headers, body = ann.request("GET", ann.get(file), Range=asked)
    assert (status, body) == (206, DATA[first:end])
    assert headers["Content-Range"] == f"bytes {first}-{end - 1}/300000"


@pytest.mark.parametrize(
    "asked", ["bytes=5-2", "bytes=0-1,5-6", "lines=1-2", "bytes=-", "bytes=a-b", "bytes"]
)
def test_a_range_that_is_not_understood_is_passed_over(ann: Web, asked: str) -> None:
    file = name("range")
    ann.bring(file, DATA)
    status, _, body = ann.request("GET", ann.get(file), Range=asked)
    assert (status, body) == (200, DATA)


def test_a_range_behind_the_end(ann: Web) -> None:
    file = name("behind")
    ann.bring(file, DATA)
    for asked in ("bytes=300000-", "bytes=-0"):
        status, headers, _ = ann.request("GET", ann.get(file), Range=asked)
        assert (status, headers["Content-Range"]) == (416, "bytes */300000")


def test_conditions(ann: Web) -> None:
    """RFC 9110, 13."""
    file = name("if")
    ann.bring(file, DATA)
    etag = f'"{sha256(DATA)}"'
    for condition, answer in ((etag, (206, DATA[1:3])), ('"other"', (200, DATA))):
        got = ann.request("GET", ann.get(file), Range="bytes=1-2", If_Range=condition)
        assert got[::2] == answer
    assert ann.request("GET", ann.get(file), If_None_Match=etag)[::2] == (304, b"")


def test_a_head_leaves_the_ticket_good_and_a_get_does_not(ann: Web) -> None:
    file = name("head")
    ann.bring(file, DATA)
    ticket = ann.get(file)
    for _ in range(2):
        status, headers, body = ann.request("HEAD", ticket)
        assert (status, headers["Content-Length"], body) == (200, "300000", b"")
    assert ann.request("GET", f"{ticket}/any%20name")[::2] == (200, DATA)
    status, _, body = ann.request("GET", ticket)
    assert (status, json.loads(body)["error"]) == (410, "TICKET_EXPIRED")


def test_what_broke_off_is_gone_on_with_by_the_same_ticket(ann: Web) -> None:
    """As browsers do with what they save: the same address, and the rest of the same bytes."""
    file, data = name("broke"), DATA * 50
    ann.bring(file, data)
    ticket = ann.get(file)
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", ann.port), PATIENCE) as sock:
            sock.sendall(f"GET /files/{ticket} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
        until(lambda: ann.request("HEAD", ticket)[0] == 200, "the ticket is not good again")
    same = f'"{sha256(data)}"'
    got = ann.request("GET", ticket, Range="bytes=1000-", If_Range=same)
    assert got[::2] == (206, data[1000:])
    assert ann.request("GET", ticket)[0] == 410, "all of it was carried"


def test_a_ticket_is_good_for_one_direction(ann: Web) -> None:
    file = name("way")
    ann.bring(file, DATA)
    status, _, body = ann.request("PUT", ann.get(file), DATA)
    assert (status, json.loads(body)["error"]) == (400, "BAD_REQUEST")
    assert ann.request("GET", ann.put(name("other"), DATA))[0] == 400


def test_what_is_not_what_was_announced_is_not_shared(ann: Web) -> None:
    file = name("wrong")
    status, _, body = ann.request("PUT", ann.put(file, DATA), DATA[::-1])
    assert (status, json.loads(body)["error"]) == (400, "BAD_REQUEST")
    assert ask(ann.wire, "get", name=file)["error"] == "NO_SUCH_FILE"
    status, _, body = ann.request("PUT", ann.put(file, DATA), DATA + b"x")
    assert (status, json.loads(body)["error"]) == (413, "TOO_LARGE")
    no_chunk = b"no chunk\r\n" * 20_000
    assert ann.request("PUT", ann.put(file, DATA), no_chunk, Transfer_Encoding="chunked")[0] == 400
    chunks = iter([DATA, b"x"])
    assert ann.request("PUT", ann.put(file, DATA), chunks)[0] == 400


def test_an_upload_in_chunks_without_a_length(ann: Web) -> None:
    file = name("chunked")
    chunks = iter([DATA[:1], DATA[1:70_000], DATA[70_000:]])
    assert ann.request("PUT", ann.put(file, DATA), chunks)[0] == 201
    assert ann.request("GET", ann.get(file))[2] == DATA


def test_an_upload_that_broke_off_goes_on(ann: Web, web_server: ChatServer) -> None:
    file = name("broken")
    ticket = ann.put(file, DATA)
    with socket.create_connection(("127.0.0.1", ann.port), PATIENCE) as sock:
        head = f"PUT /files/{ticket} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n"
        sock.sendall(head.encode() + DATA[:100_000])
    asked: dict[str, Any] = {}
    while asked.get("offset") != 100_000:
        asked = ask(ann.wire, "put", name=file, size=len(DATA), sha256=sha256(DATA))
        assert ann.request("HEAD", asked["ticket"])[0] == 400
    status, headers, body = ann.request("PUT", f"{asked['ticket']}?offset=200000", DATA[200_000:])
    assert status == 409, body
    assert headers["Upload-Offset"] == "100000"
    whole = f"bytes 100000-299999/{len(DATA)}"
    status, _, body = ann.request("PUT", ann.put(file, DATA), DATA[100_000:], Content_Range=whole)
    assert status == 201, body
    assert ann.request("GET", ann.get(file))[2] == DATA


def test_an_upload_in_pieces(ann: Web) -> None:
    file = name("pieces")
    for at in range(0, 300_000, 100_000):
        ticket = f"{ann.put(file, DATA)}?offset={at}"
        status, headers, _ = ann.request("PUT", ticket, DATA[at : at + 100_000])
        if at < 200_000:
            assert (status, headers["Upload-Offset"]) == (202, str(at + 100_000))
    assert status == 201
    assert ann.request("GET", ann.get(file))[2] == DATA


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("?offset=-1", {}, 400),
        ("?offset=1e3", {}, 400),
        ("?offset=300001", {}, 413),
        ("", {"Content_Range": "bytes 0-1/5"}, 400),
        ("", {"Content_Range": "bytes 5-1/300000"}, 400),
        ("", {"Content_Range": "bytes */300000"}, 400),
    ],
)
def test_places_without_sense(ann: Web, query: str, headers: dict[str, str], status: int) -> None:
    ticket = ann.put(name("place"), DATA)
    assert ann.request("PUT", ticket + query, b"x", **headers)[0] == status


def test_requests_go_on_behind_files(ann: Web) -> None:
    """One connection: a file brought, got, and a page."""
    file = name("keep")
    connection = http.client.HTTPConnection("127.0.0.1", ann.port, timeout=20)
    with contextlib.closing(connection):
        connection.request("PUT", f"/files/{ann.put(file, DATA)}", DATA)
        answer = connection.getresponse()
        assert (answer.status, answer.will_close) == (201, False)
        answer.read()
        for _ in range(3):
            connection.request("GET", f"/files/{ann.get(file)}")
            assert connection.getresponse().read() == DATA
        connection.request("GET", "/none")
        assert connection.getresponse().status == 404


def test_who_asks_for_leave_to_send_gets_it_or_an_answer(ann: Web) -> None:
    """RFC 9110, 10.1.1."""
    for ticket, begins in (
        (ann.put(name("leave"), DATA), b"HTTP/1.1 100 "),
        ("x", b"HTTP/1.1 410 "),
    ):
        head = f"PUT /files/{ticket} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        with socket.create_connection(("127.0.0.1", ann.port), PATIENCE) as sock:
            sock.sendall(f"{head}Content-Length: {len(DATA)}\r\n\r\n".encode())
            assert sock.recv(65536).startswith(begins)
            if begins.startswith(b"HTTP/1.1 100"):
                sock.sendall(DATA)
                assert sock.recv(65536).startswith(b"HTTP/1.1 201 ")


def test_curl(ann: Web, tmp_path: Path) -> None:
    """curl asks for leave to send (Expect), goes on from a place (-C), and keeps the name (-OJ)."""
    data = DATA * 10
    source = tmp_path / "source"
    source.write_bytes(data)
    file = name("by-curl")
    where = f"http://localhost:{ann.port}/files"

    def curl(*arguments: str) -> str:
        command = ["curl", "-sSf", "--max-time", "30", *arguments]
        return subprocess.run(
            command, check=True, capture_output=True, cwd=tmp_path
        ).stdout.decode()

    curl("-H", "Expect: 100-continue", "-T", str(source), f"{where}/{ann.put(file, data)}")
    curl("-o", "whole", f"{where}/{ann.get(file)}")
    assert (tmp_path / "whole").read_bytes() == data
    (tmp_path / "part").write_bytes(data[:1_000_000])
    curl("-C", "-", "-o", "part", f"{where}/{ann.get(file)}")
    assert (tmp_path / "part").read_bytes() == data
    other = name("by-curl")
    curl("-r", "0-999999", "-T", "part", f"{where}/{ann.put(other, data)}")


def test_a_large_file_leaves_the_chat_its_turns(ann: Web, join: Join) -> None:
    file = name("large")
    data = os.urandom(1 << 20) * 40
    ann.bring(file, data)
    connection = http.client.HTTPConnection("127.0.0.1", ann.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", f"/files/{ann.get(file)}")
        answer = connection.getresponse()
        digest = hashlib.sha256()
        said = 0
        while part := answer.read(1 << 20):
            digest.update(part)
            ann.wire.say(f"{said} MB")
            said += 1
    assert (said, digest.hexdigest()) == (40, sha256(data))


def test_bytes_may_come_one_by_one(ann: Web) -> None:
    file = name("slow")
    data = DATA[:300]
    head = (
        f"PUT /files/{ann.put(file, data)} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300\r\n"
    )
    with socket.create_connection(("127.0.0.1", ann.port), PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in f"{head}Content-Length: 300\r\n\r\n".encode() + data:
            sock.sendall(bytes([byte]))
        assert sock.recv(65536).startswith(b"HTTP/1.1 201 ")
    assert ann.request("GET", ann.get(file))[2] == data


def test_whoever_leaves_a_file_half_way_leaves_nothing_open(
    ann: Web, web_server: ChatServer
) -> None:
    def is_open() -> set[str]:
        links = set()
        for fd in Path(f"/proc/{web_server.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                links.add(f"{fd.name} {fd.readlink()}")
        return links

    file = name("half")
    ann.bring(file, DATA * 20)
    before = is_open()
    for reset in (False, True):
        for head in (
            f"GET /files/{ann.get(file)} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            f"PUT /files/{ann.put(name('half'), DATA)} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Length: {len(DATA)}\r\n\r\nbegin",
        ):
            sock = socket.create_connection(("127.0.0.1", ann.port), PATIENCE)
            sock.sendall(head.encode())
            if head.startswith("GET"):
                assert sock.recv(100)
                assert is_open() - before
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
    deadline = time.monotonic() + PATIENCE
    while is_open() - before:
        assert time.monotonic() < deadline, is_open() - before
        time.sleep(0.01)
