"""The intake: how much a tick takes in, and that it forgets who is gone."""

import contextlib
import gc
import socket

from framing.codec import encode
from framing.frames import encode_frame
from framing.requests import Join, PageOf, Say
from parley.server.chat.hall import LONG
from parley.server.doors.native import NativeDoor
from parley.server.doors.peer import Peer, Settings
from parley.server.ground import clock
from parley.server.ground.bounds import Bounds
from parley.server.ground.counts import Counts
from parley.server.intake import FRAMES_PER_TICK, Intake
from parley.server.net.backlog import Backlog
from parley.server.net.loop import Loop
from tests.parts.house import House


class Host:
    """The server, as its peers see it."""

    def __init__(self, house: House) -> None:
        self.mono = 0.0
        self.held = Backlog()
        self.settings = Settings(10, 90.0, 1.0, 1 << 20, Bounds())
        self.counts = Counts()
        self.intake = Intake(house.chat, lambda peer, request, moment: None)
        self._chat = house.chat

    def has_input(self, peer: Peer) -> None:
        self.intake.has_input(peer)

    def gone(self, peer: Peer, reason: str) -> None:
        self.intake.forget(peer)
        self._chat.lost(peer.session, reason, clock.now())


def test_who_is_gone_before_its_answer_is_not_kept(house: House) -> None:
    client = house.connect()
    house.ask(client, Join("ann", 1, 0.0))
    house.quiet()
    host, loop = Host(house), Loop()
    here, there = socket.socketpair()
    with there:
        peer = Peer(host, here, loop, NativeDoor(), client.session, counted=True)
        client.session.carrier = client
        peer.received(peer.connection, encode_frame(encode(PageOf("p", "#lobby"))))
        host.intake.take_in(clock.now())
        assert host.intake.waiting, "it waits for its turn to ask"
        peer.connection.close("lost")
        host.intake.answer(clock.now())
    assert not host.intake.waiting
    del peer
    gc.collect()
    assert not [each for each in gc.get_objects() if type(each) is Peer]


def test_a_tick_takes_in_fewer_of_what_is_long(house: House) -> None:
    host, loop = Host(house), Loop()
    clients = [house.connect() for _ in range(150)]
    for number, client in enumerate(clients):
        house.ask(client, Join(f"nick{number}", 1, 0.0))
    house.quiet()
    text = "x" * (FRAMES_PER_TICK * LONG // 100)
    with contextlib.ExitStack() as stack:
        for number, client in enumerate(clients):
            here, _ = map(stack.enter_context, socket.socketpair())
            peer = Peer(host, here, loop, NativeDoor(), client.session, counted=True)
            peer.door.welcomed()
            peer.received(peer.connection, encode_frame(encode(Say(f"{number}", text))))
        host.intake.take_in(clock.now())
    taken = len(house.log.take_back())
    assert 90 < taken <= 100
    assert host.intake.waiting, "the others are first in the next"
