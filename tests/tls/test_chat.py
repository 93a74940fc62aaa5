"""The chat over TLS, as a client of the wire lives it: nothing is different."""

import hashlib
import os
import signal
import socket
import ssl

import pytest

from tests.conftest import ChatServer, Make
from tests.tls.byhand import ByHand
from tests.tls.conftest import Certified, connected, joined, wire
from tests.wire import Event, Wire, texts


def test_people_talk_over_tls(tls_server: ChatServer, certified: Certified) -> None:
    ann = joined(tls_server, certified.context(), "ann")
    bob = joined(tls_server, certified.context(), "bob")
    ann.say("hello")
    assert bob.until("message")["text"] == "hello"
    bob.say("and back, é", to="@ann")
    assert ann.until("message")["text"] == "and back, é"
    assert tls_server.messages == ["hello", "and back, é"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_are_spoken_and_a_join_may_come_with_the_handshake(
    tls_server: ChatServer, certified: Certified, version: ssl.TLSVersion
) -> None:
    context = certified.context()
    context.minimum_version = context.maximum_version = version
    client = ByHand(tls_server.port, context)
    client.shake_hands()
    client.put(purpose="join", nick="ann", id=1, time=0)
    client.flush()
    client.read_until(b'"purpose":"welcome"')
    assert client.tls.version() == version.name.replace("_", ".")
    client.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_older_versions_are_not_spoken(tls_server: ChatServer, certified: Certified) -> None:
    context = certified.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        connected(tls_server.port, context)
    tls_server.wait_for("no TLS with address=127.0.0.1")


def test_what_is_said_in_one_tick_to_many_comes_whole_and_in_order(
    tls_server: ChatServer, certified: Certified
) -> None:
    context = certified.context()
    people = [joined(tls_server, context, f"p{number}") for number in range(20)]
    ann = joined(tls_server, context, "ann")
    said = [f"{number} {os.urandom(900).hex()}" for number in range(300)]
    for text in said:
        ann.send(purpose="message", ref=hashlib.sha256(text.encode()).hexdigest(), text=text)
    for person in people:
        assert texts([person.until("message") for _ in said]) == said


def test_a_slow_reader_is_dropped_and_comes_back_for_the_rest(
    make_server: Make, certified: Certified
) -> None:
    server = make_server("--rate", "0", "--backlog", "300000", *certified.options).start()
    context = certified.context()
    bob = joined(server, context, "bob")
    ann = joined(server, context, "ann")
    carl = joined(server, context, "carl")
    said = []
    while True:
        said.append(os.urandom(6000).hex())
        carl.say(said[-1])
        if left := [event for event in ann.quiet() if event["purpose"] == "left"]:
            break
    assert [(event["nick"], event["reason"]) for event in left] == [("bob", "slow")]
    bob.close()
    again = wire(server, context)
    again.join("bob", since=1)
    events: list[Event] = []
    while not (events and events[-1]["purpose"] == "history" and events[-1].get("end")):
        event = again.recv()
        assert event is not None
        events.append(event)
    assert texts(events) == said


def test_a_reader_that_pauses_loses_nothing(tls_server: ChatServer, certified: Certified) -> None:
    context = certified.context()
    bob = joined(tls_server, context, "bob")
    ann = joined(tls_server, context, "ann")
    said = [f"{number} {os.urandom(7900).hex()}" for number in range(450)]
    for text in said:
        ann.say(text)
    # By now some of it waits at the server, encrypted and not: it is more than the kernel takes.
    assert texts([bob.until("message") for _ in said]) == said


def test_a_goodbye_ends_tls_in_order(tls_server: ChatServer, certified: Certified) -> None:
    ann = joined(tls_server, certified.context(), "ann")
    ann.send(purpose="disconnect", ref="bye")
    ann.until("ok", ref="bye")
    assert isinstance(ann.sock, ssl.SSLSocket)
    # The server has said that nothing more comes: this raises if it was cut off instead.
    ann.sock.unwrap()


def test_who_says_goodbye_by_tls_and_keeps_the_socket_open_is_gone(
    tls_server: ChatServer, certified: Certified
) -> None:
    ann = joined(tls_server, certified.context(), "ann")
    bob = ByHand(tls_server.port, certified.context())
    bob.shake_hands()
    bob.put(purpose="join", nick="bob", id=1, time=0)
    bob.flush()
    bob.read_until(b'"end":true')
    bob.put(purpose="message", ref="last", text="and out")
    bob.say_goodbye()
    bob.flush()  # a message and the end of TLS in one segment; the socket stays open
    assert ann.until("message")["text"] == "and out"
    assert ann.until("left", nick="bob")["reason"] == "lost"


def test_a_stop_is_told_over_tls(tls_server: ChatServer, certified: Certified) -> None:
    ann = joined(tls_server, certified.context(), "ann")
    tls_server.signal(signal.SIGTERM)
    ann.until("shutdown")
    ann.send(purpose="shutdown_ack")
    assert ann.ended() == []
    assert tls_server.wait() == 0


def test_a_client_comes_back_without_another_signature(
    tls_server: ChatServer, certified: Certified
) -> None:
    context = certified.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # of 1.3 Python's client shows no tickets
    first = connected(tls_server.port, context)
    plain = socket.create_connection(("127.0.0.1", tls_server.port), 10)
    again = context.wrap_socket(plain, server_hostname="localhost", session=first.session)
    assert again.session_reused and not first.session_reused
    first.close()
    again.close()


def test_a_plain_server_is_as_it_was(server: ChatServer) -> None:
    ann = server.joined("ann")
    bob = server.joined("bob")
    ann.say("as ever")
    assert bob.until("message")["text"] == "as ever"
    assert "tls=no" in server.said


def test_who_speaks_tls_to_a_plain_port_is_closed_at_once(server: ChatServer) -> None:
    canary = server.joined("canary")
    context = ssl.create_default_context()
    with pytest.raises(OSError):
        connected(server.port, context)
    server.wait_for("it speaks TLS, and this port does not (see --tls-cert)")
    raw = Wire(server.port)
    raw.raw(b"\x16\x03\x01\x02\x00")
    assert [event["error"] for event in raw.ended(patience=5)] == ["BAD_FRAME"]
    assert canary.quiet() == []
