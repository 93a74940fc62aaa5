"""Attacks on logins: guessing, exhausting, replaying.

What one login is answered with is tested in tests/server/test_accounts.py, tickets in
tests/files/test_shelf.py and, over QUIC, tests/files/test_udp.py.
"""

import socket

import pytest

from tests.conftest import ChatServer, cpu
from tests.faults.conftest import Siege
from tests.wire import Event, Wire, keys


def begin(wire: Wire, nick: str, **fields: object) -> Event:
    """Begin a login and return what comes of it."""
    given = {
        "purpose": "login", "nick": nick, "id": 1, "time": 0, "mechanism": "SCRAM-SHA-256",
        "data": f"n,,n={nick},r=abc", **fields,
    }  # fmt: skip
    wire.send(**given)
    event = wire.recv()
    assert event is not None
    return event


def guess(server: ChatServer, wire: Wire, nick: str) -> str:
    """Try a wrong password. Return the error."""
    challenge = begin(wire, nick)
    if challenge["purpose"] == "error":
        return str(challenge["error"])
    nonce = challenge["data"].partition(",")[0]
    wire.send(purpose="response", data=f"c=biws,{nonce},p={'A' * 43}=")
    event = wire.recv()
    assert event is not None
    return str(event["error"])


@pytest.mark.row(18)
def test_guessing_is_slowed_for_an_account_and_for_an_address(
    siege: Siege, demo_users: str
) -> None:
    server = siege.begin("--address-logins", "40/4000", data=siege.place("users.json", demo_users))
    wires = [server.wire() for _ in range(20)]
    # One account over many connections: a few tries, then a delay - and no lock-out.
    found = [guess(server, wire, "Alice") for wire in wires]
    assert set(found) == {"AUTH_FAILED", "LIMIT_EXCEEDED"}
    assert found.count("AUTH_FAILED") <= 12
    told = begin(wires[0], "Alice")
    if told["purpose"] == "error":
        assert told["retry_after"] <= 5
    # Many names, there or not, from one address: all look the same, and they too come to an end.
    words = [guess(server, wires[n % 20], f"nobody{n}" if n % 3 else "Bob") for n in range(60)]
    assert words.count("AUTH_FAILED") <= 32
    assert words[-5:] == ["LIMIT_EXCEEDED"] * 5
    assert server.joined("guests-go-on").say("hello")


@pytest.mark.row(19)
def test_logins_and_registrations_by_the_hundred_derive_nothing(
    siege: Siege, demo_users: str
) -> None:
    server = siege.begin(
        "--address-logins", "0", "--account-logins", "0", "--address-registrations", "0",
        data=siege.place("users.json", demo_users),
    )  # fmt: skip
    wires = [server.wire() for _ in range(10)]
    before = cpu(server.pid)
    for number in range(300):
        assert guess(server, wires[number % 10], ("Alice", "nobody")[number % 2]) == "AUTH_FAILED"
    # 600,000 rounds of PBKDF2 take over a tenth of a second: 300 of them, half a minute.
    assert cpu(server.pid) - before < 15
    for data in ("n,,n=Alice,r=" + "x" * 4000, "n,,n=Alice,r=" + "x" * 5000, "x", "n,,", ""):
        event = begin(wires[0], "Alice", data=data)
        if event["purpose"] == "challenge":
            wires[0].send(purpose="response", data="c=biws,r=,p=" + "A" * 5000)
            wires[0].error("BAD_REQUEST")
        else:
            assert event["error"] == "BAD_REQUEST"
    guest = server.joined("guest", bot=True)
    for rounds in (1, 4095, 10_000_001, 2**70):
        guest.send(purpose="register", ref="r", **{**keys("x"), "iterations": rounds})
        guest.error("BAD_REQUEST")
    guest.send(purpose="register", ref="most", **{**keys("x"), "iterations": 10_000_000})
    guest.until("ok", ref="most")


class Recorded(Wire):
    """A connection that keeps what it sends."""

    def adopt(self, sock: socket.socket) -> None:
        super().adopt(sock)
        self.said: list[bytes] = []

    def raw(self, data: bytes) -> None:
        self.said.append(data)
        super().raw(data)


@pytest.mark.row(20)
def test_a_login_that_was_listened_to_opens_nothing(siege: Siege, demo_users: str) -> None:
    server = siege.begin(data=siege.place("users.json", demo_users))
    alice = Recorded(server.port)
    server.wires.append(alice)
    assert alice.login("Alice", "123")["purpose"] == "welcome"
    for _ in range(3):
        thief = server.wire()
        for said in alice.said:
            thief.raw(said)
        assert thief.until("challenge")
        thief.error("AUTH_FAILED")
    # Nor does its end alone, here or where another login is under way.
    thief = server.wire()
    thief.raw(alice.said[1])
    thief.error("BAD_REQUEST")
    assert begin(thief, "Alice")["purpose"] == "challenge"
    thief.raw(alice.said[1])
    thief.error("AUTH_FAILED")
    alice.say("this is still me")
