"""Whoever attacks the handshake is held off, and nobody else notices (FAULTS, row 8)."""

import contextlib
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.conftest import ChatServer, Make, cpu
from tests.tls.byhand import ByHand
from tests.tls.conftest import Certified, joined, wire
from tests.wire import Wire


def descriptors(server: ChatServer) -> int:
    """Return how many descriptors the server has open."""
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def closed(sock: socket.socket) -> bytes:
    """Wait until the server ends a connection. Return what came before."""
    sock.settimeout(20)
    came = b""
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(65536):
            came += data
    return came


def settled(server: ChatServer, before: int) -> None:
    """Wait until the server has no more descriptors than before."""
    deadline = time.monotonic() + 20
    while descriptors(server) > before:
        assert time.monotonic() < deadline, descriptors(server)
        time.sleep(0.02)


def reset(sock: socket.socket) -> None:
    """End a connection by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.fixture
def canary(tls_server: ChatServer, certified: Certified) -> Iterator[Wire]:
    """Somebody who only wants to talk, and still can at the end."""
    made = joined(tls_server, certified.context(), "canary")
    yield made
    made.say("all is well")
    made.close()


def test_who_stalls_is_gone_after_five_seconds_and_costs_nothing_meanwhile(
    tls_server: ChatServer, certified: Certified, canary: Wire
) -> None:
    before = descriptors(tls_server)
    hello = ByHand(tls_server.port, certified.context())
    first = hello.hello()
    hello.close()
    stalled = []
    for number in range(150):
        sock = socket.create_connection(("127.0.0.1", tls_server.port), 10)
        sock.sendall((b"", first[:1], first[:100], first)[number % 4])
        stalled.append(sock)
    assert canary.quiet() == []
    used = cpu(tls_server.pid)
    for sock in stalled:
        assert b"error" not in closed(sock)
        sock.close()
    assert cpu(tls_server.pid) - used < 1.5, "it turned for nothing"
    settled(tls_server, before)
    assert "its handshake took over 5 s" in tls_server.said


def test_no_progress_puts_the_deadline_off(
    tls_server: ChatServer, certified: Certified, canary: Wire
) -> None:
    slow = ByHand(tls_server.port, certified.context())
    hello = slow.hello()
    assert len(hello) > 150
    slow.sock.settimeout(0.1)  # a byte each: in all that would take longer than is given
    sent = 0
    ended = False
    for byte in hello[:-1]:
        try:
            slow.sock.sendall(bytes([byte]))
            sent += 1
            ended = slow.sock.recv(1000) == b""
        except TimeoutError:
            continue
        except ConnectionError:
            ended = True
        if ended:
            break
    assert ended and sent < len(hello) - 1
    tls_server.wait_for("its handshake took over 5 s")


def test_who_breaks_off_at_any_point_leaves_nothing(
    tls_server: ChatServer, certified: Certified, canary: Wire
) -> None:
    before = descriptors(tls_server)
    context = certified.context()
    for cut in (*range(40), *range(40, 560, 23)):
        for end in (reset, socket.socket.close):
            client = ByHand(tls_server.port, context)
            client.sock.sendall(client.hello()[:cut])
            end(client.sock)
    for end in (reset, socket.socket.close):
        client = ByHand(tls_server.port, context)
        client.sock.sendall(client.hello())
        assert client.sock.recv(1)  # it has answered
        end(client.sock)
        client = ByHand(tls_server.port, context)
        client.shake_hands()
        end(client.sock)  # just before its last word
        client = ByHand(tls_server.port, context)
        client.shake_hands()
        client.put(purpose="join", nick="brief", id=1, time=0)
        client.flush()
        end(client.sock)
    assert [event for event in canary.quiet() if event["purpose"] == "error"] == []
    settled(tls_server, before)


@pytest.mark.parametrize(
    "text", [b'$37{"purpose":"join","nick":"a","id":1}$', b"GET / HTTP/1.0\r\n\r\n", b"\x00" * 20]
)
def test_who_speaks_no_tls_is_told_so_in_plain_text(
    tls_server: ChatServer, canary: Wire, text: bytes
) -> None:
    before = descriptors(tls_server)
    plain = Wire(tls_server.port)
    plain.raw(text)
    [error] = plain.ended()
    assert (error["purpose"], error["code"], error["error"]) == ("error", 400, "BAD_FRAME")
    assert error["tls"] is True and "TLS" in error["text"]
    plain.close()
    settled(tls_server, before)


def test_rubbish_after_a_good_beginning_ends_it_at_once(
    tls_server: ChatServer, certified: Certified, canary: Wire
) -> None:
    before = descriptors(tls_server)
    sock = socket.create_connection(("127.0.0.1", tls_server.port), 10)
    sock.sendall(b"\x16\x03\x01\x00\x20" + b"\xff" * 300)
    assert closed(sock)[:1] == b"\x15"  # an alert
    sock.close()
    bob = joined(tls_server, certified.context(), "bob")
    plain = bob.sock.detach()
    with socket.socket(fileno=plain) as raw:  # in the middle of good TLS
        raw.sendall(os.urandom(300))
        closed(raw)
    canary.until("left", nick="bob")
    settled(tls_server, before)


def test_the_next_one_is_told_that_the_house_is_full_over_tls(
    make_server: Make, certified: Certified
) -> None:
    server = make_server("--max-clients", "2", *certified.options).start()
    people = [joined(server, certified.context(), f"p{number}") for number in range(2)]
    third = wire(server, certified.context())
    third.error("SERVER_FULL")
    people[0].close()
    people[1].until("left")
    joined(server, certified.context(), "third")


def test_with_no_descriptors_left_it_goes_on_and_takes_newcomers_later(
    make_server: Make, certified: Certified
) -> None:
    options = ("--no-udp", *certified.options)
    server = make_server(*options, prefix=("prlimit", "--nofile=64:64")).start()
    canary = joined(server, certified.context(), "canary")
    stalled = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(100)]
    used = cpu(server.pid)
    assert canary.quiet() == []
    for sock in stalled:
        closed(sock)
        sock.close()
    assert cpu(server.pid) - used < 1.5, "it turned for nothing"
    joined(server, certified.context(), "newcomer")
    canary.until("joined", nick="newcomer")


def test_many_come_at_once(tls_server: ChatServer, certified: Certified, canary: Wire) -> None:
    context = certified.context()
    waiting = [ByHand(tls_server.port, context) for _ in range(120)]
    for client in waiting:
        client.sock.sendall(client.hello())
    for number, client in enumerate(waiting):
        client.shake_hands()
        client.put(purpose="join", nick=f"p{number}", id=1, time=0)
        client.flush()
    for client in waiting:
        client.read_until(b'"purpose":"welcome"')
        client.close()
    gone = {canary.until("left")["nick"] for _ in waiting}
    assert gone == {f"p{number}" for number in range(120)}


def test_who_changes_keys_again_and_again_is_ended(
    tls_server: ChatServer, certified: Certified, canary: Wire
) -> None:
    client = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{tls_server.port}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert client.stdin is not None and client.stderr is not None
    changed = 0
    with contextlib.suppress(BrokenPipeError):
        while client.poll() is None and changed < 2000:
            client.stdin.write(b"K\n")
            client.stdin.flush()
            while (line := client.stderr.readline()) and b"KEYUPDATE" not in line:
                pass
            changed += bool(line)
    client.kill()
    client.wait()
    assert 500 <= changed < 2000
    assert canary.quiet() == []
