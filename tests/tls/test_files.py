"""Files over TLS: the same tickets, whole or gone on with, beside the chat."""

import hashlib
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, ChatServer
from tests.files.carrying import Carrying, put, sha256
from tests.server.test_rooms import ask
from tests.tls.conftest import Certified, joined

DATA = os.urandom(3_000_000)


def carrying(server: ChatServer, context: ssl.SSLContext, **request: Any) -> Carrying:
    """Return a connection for one file over TLS."""
    made = Carrying.__new__(Carrying)
    plain = socket.create_connection(("127.0.0.1", server.port), 20)
    made.begin(context.wrap_socket(plain, server_hostname="localhost"), **request)
    return made


@pytest.fixture
def shared(tls_server: ChatServer, certified: Certified) -> ChatServer:
    """A running server with a file on its shelf."""
    files = tls_server.data / "files"
    files.mkdir(exist_ok=True)
    (files / "big.bin").write_bytes(DATA)
    return tls_server


def test_a_file_comes_whole_and_from_where_it_broke_off(
    shared: ChatServer, certified: Certified
) -> None:
    ann = joined(shared, certified.context(), "ann")
    for offset in (0, 1_234_567):
        ticket = ask(ann, "get", name="big.bin")
        file = carrying(
            shared, certified.context(), purpose="fetch", ticket=ticket["ticket"], offset=offset
        )
        assert file.event() == {"purpose": "ok", "offset": offset, "size": len(DATA)}
        assert file.rest() == DATA[offset:]
        assert isinstance(file.sock, ssl.SSLSocket)
        file.sock.unwrap()  # the server has said that this was all
        file.close()


def test_a_file_is_brought_whole_and_gone_on_with(
    tls_server: ChatServer, certified: Certified
) -> None:
    context = certified.context()
    ann = joined(tls_server, context, "ann")
    ticket = put(ann, "up.bin", DATA)
    file = carrying(tls_server, context, purpose="store", ticket=ticket["ticket"], offset=0)
    file.event()
    file.sock.sendall(DATA[:1_000_000])
    file.close()
    while (ticket := put(ann, "up.bin", DATA))["purpose"] == "ticket" and not ticket["offset"]:
        pass  # what has come is being taken in
    offset = ticket["offset"]
    assert 0 < offset <= 1_000_000
    file = carrying(tls_server, context, purpose="store", ticket=ticket["ticket"], offset=offset)
    assert file.event()["offset"] == offset
    file.sock.sendall(DATA[offset:])
    assert file.event()["sha256"] == sha256(DATA)
    assert file.rest() == b""
    assert (tls_server.data / "files" / "up.bin").read_bytes() == DATA


def test_who_fetches_slowly_holds_nobody_up_and_gets_all(
    shared: ChatServer, certified: Certified
) -> None:
    data = DATA * 10
    (shared.data / "files" / "huge.bin").write_bytes(data)
    context = certified.context()
    ann = joined(shared, context, "ann")
    slow = []
    for _ in range(4):
        ticket = ask(ann, "get", name="huge.bin")
        slow.append(carrying(shared, context, purpose="fetch", ticket=ticket["ticket"], offset=0))
    bob = joined(shared, context, "bob")
    for number in range(20):
        bob.say(f"meanwhile {number}")
        assert ann.until("message")["text"] == f"meanwhile {number}"
    for file in slow:
        file.event()
        assert hashlib.sha256(file.rest()).hexdigest() == sha256(data)
        file.close()


@pytest.mark.parametrize("udp", ["off", "on"])
def test_the_client_brings_and_fetches_files(
    tls_server: ChatServer, certified: Certified, tmp_path: Path, udp: str
) -> None:
    source, got = tmp_path / "source.bin", tmp_path / "got"
    source.write_bytes(DATA)
    got.mkdir()

    def client(nick: str, *options: str) -> tuple[int, str]:
        command = [sys.executable, str(ROOT / "chat_client.py"), "localhost", str(tls_server.port)]
        more = [nick, "1", "--udp", udp, "--ca", str(certified.ca)]
        env = {"PARLEY_CONFIG_DIR": str(tmp_path / "config")}
        done = subprocess.run(
            [*command, *more, *options], capture_output=True, text=True, timeout=90, env=env
        )
        return done.returncode, done.stderr

    assert client("ann", "--put", str(source)) == (0, "")
    assert client("bob", "--get", "source.bin", "--downloads", str(got)) == (0, "")
    assert (got / "source.bin").read_bytes() == DATA
