"""Attacks by going away, and by datagrams from nowhere.

What QUIC answers to whom is tested in tests/files/test_udp.py.
"""

import os
import random
import socket
import time

import pytest

from tests.conftest import cpu
from tests.faults.conftest import Siege
from tests.files.carrying import Carrying, bring, put
from tests.server.test_rooms import ask


@pytest.mark.row(27)
def test_garbage_by_datagrams_gets_no_answer_and_no_time(siege: Siege) -> None:
    server = siege.begin()
    siege.memory = 24 << 20
    dice = random.Random(27)
    answers = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        before = cpu(server.pid)
        for _ in range(20_000):
            data = bytearray(dice.randbytes(dice.choice([0, 1, 7, 20, 200, 1200, 1452])))
            if data and dice.random() < 0.5:
                data[0] |= 0xC0
            try:
                sock.sendto(data, ("127.0.0.1", server.port))
            except BlockingIOError:
                time.sleep(0.001)
        ann = server.joined("ann", bot=True)
        assert ann.say("hello")
        try:
            while sock.recv(65536):
                answers += 1
        except BlockingIOError:
            pass
        assert answers == 0
        assert cpu(server.pid) - before < 15


@pytest.mark.row(28)
def test_resets_in_every_state_leave_nothing_behind(siege: Siege) -> None:
    server = siege.begin()
    login = {"nick": "Alice", "id": 1, "time": 0, "mechanism": "SCRAM-SHA-256"}
    watcher = server.joined("watcher", bot=True)
    bring(server, watcher, "file", b"x" * 3_000_000)
    before = len(os.listdir(f"/proc/{server.pid}/fd"))
    for number in range(10):
        server.wire().reset()
        for half in (b"$", b"$50{", b'$50{"purpose"'):
            wire = server.wire()
            wire.raw(half)
            wire.reset()
        wire = server.wire()
        wire.send(purpose="login", data="n,,n=Alice,r=abc", **login)
        wire.reset()
        wire = server.wire()
        wire.send(purpose="join", nick="ghost", id=number, time=0)
        wire.reset()
        wire = server.wire()
        wire.join(f"g{number}")
        for i in range(5):
            wire.send(purpose="message", ref=f"r{i}", text="x")
            wire.send(purpose="history", ref=f"h{i}", **{"with": "#lobby"})
            wire.send(purpose="search", ref=f"s{i}", text="x")
        wire.reset()
        wire = server.wire()
        wire.join(f"h{number}")
        wire.sock.shutdown(socket.SHUT_WR)
        wire.ended()
        wire.close()
        fetching = Carrying(
            server.port, purpose="fetch", ticket=ask(watcher, "get", name="file")["ticket"]
        )
        fetching.event()
        fetching.close()
        ticket = put(watcher, f"never{number}", b"y" * 100_000)["ticket"]
        storing = Carrying(server.port, purpose="store", ticket=ticket)
        storing.event()
        storing.sock.sendall(b"y" * 1000)
        storing.close()
    here = ["canary-one", "canary-two", "watcher"]
    deadline = time.monotonic() + 30
    while True:
        users = [user["nick"] for user in ask(watcher, "users")["users"]]
        left = len(os.listdir(f"/proc/{server.pid}/fd")) - before
        if left <= 0 and users == here:
            return
        assert time.monotonic() < deadline, f"{left} descriptors and the nicks of {users} are left"
        time.sleep(0.1)
