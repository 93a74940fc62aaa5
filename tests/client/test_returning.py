"""What a client tells and asks again after a connection that broke, and up to where it was."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from parley.client.session.happenings import Change, Status
from parley.client.session.joining import Settings
from parley.client.session.reconnecting import Reconnecting
from tests.client.conftest import Open
from tests.client.hostile import FakeServer, Peer
from tests.conftest import ChatServer
from tests.server.test_rooms import ask


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    made = FakeServer()
    yield made
    made.close()


def nothing_missed(peer: Peer) -> None:
    """Tell a client that it has missed nothing."""
    peer.send(purpose="history", messages=[], end=True, replay=True)


def test_who_has_heard_nothing_yet_comes_again_from_where_that_was(
    fake: FakeServer, open_client: Open
) -> None:
    open_client(fake, "ann")
    peer = fake.accept()
    peer.welcome(seq=7)
    nothing_missed(peer)
    peer.until("history")  # what has been said before is asked for: the replay has been heard
    peer.close()
    assert fake.accept().until("join")["since"] == 7


def test_all_that_was_read_is_told_however_short_the_look_and_again(
    fake: FakeServer, open_client: Open
) -> None:
    ann = open_client(fake, "ann", columns=120)
    peer = fake.accept()
    peer.welcome(account=True)
    nothing_missed(peer)
    for seq, nick in enumerate(("bob", "cyd", "dan"), 1):
        peer.message(seq, "psst", to="@ann", **{"from": nick})
    ann.see("@bob           1", "@cyd           1", "@dan           1")
    ann.type("\x1b2\x1b3\x1b1")
    ann.see("#lobby ›", "@dan           1", not_="@cyd           1")
    told = {peer.until("read")["with"], peer.until("read")["with"]}
    assert told == {"@bob", "@cyd"}
    peer.close()
    peer = fake.accept()
    unread = {"@bob": 1, "@cyd": 1, "@dan": 1}
    peer.welcome(seq=3, account=True, unread=unread)  # it never came there
    nothing_missed(peer)
    told = {peer.until("read")["with"], peer.until("read")["with"]}
    assert told == {"@bob", "@cyd"}
    ann.see("Connected again", "@dan           1", not_="@bob           1")
    peer.message(4, "the last word")
    ann.see("the last word")
    ann.type("q!\r")
    assert peer.until("read", seq=4)["with"] == "#lobby"
    peer.until("disconnect")


def test_who_is_away_is_so_after_a_restart_too(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann", columns=120)
    ann.see("1 here")
    ann.type("/away lunch\r")
    ann.see("You are away")
    os.kill(ann.pid, signal.SIGSTOP)
    server.kill()
    server.start()
    bob = server.joined("bob")
    os.kill(ann.pid, signal.SIGCONT)
    told = bob.until("presence", nick="ann")
    assert (told["status"], told["text"]) == ("away", "lunch")
    server.kill()
    ann.see("again in")
    ann.type("/back\r")
    ann.see("as soon as you are connected")
    server.start()
    ann.see("1 here")
    users = ask(server.joined("cyd"), "users")["users"]
    assert [user["status"] for user in users if user["nick"] == "ann"] == ["online"]


def test_who_is_in_a_room_and_what_it_is_about_is_asked_again(
    server: ChatServer, open_client: Open
) -> None:
    ann = open_client(server, "ann", columns=120)
    ann.see("1 here")
    ann.type("/join lab\r")
    ann.type("here it is\r")
    ann.see("#lab ›", "2 #lab", "1 here", "✓ here it is")
    os.kill(ann.pid, signal.SIGSTOP)
    server.kill()
    server.start()
    bob = server.joined("bob")
    ask(bob, "enter", room="#lab")
    ask(bob, "topic", room="#lab", text="what else we found")
    ask(bob, "topic", room="#lobby", text="all and nothing")
    os.kill(ann.pid, signal.SIGCONT)
    ann.see("#lab ›", "#lab · what else we found", "● bob", "2 here")
    ann.type("\x1b1")
    ann.see("#lobby · all and nothing")


@pytest.mark.parametrize("face", [(), ("--plain",)])
def test_after_a_restart_who_was_here_before_is_not_told_of(
    server: ChatServer, open_client: Open, face: tuple[str, ...]
) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann", *face, columns=120)
    bob.until("joined", nick="ann")
    server.kill()
    ann.see("again in" if not face else "Connection lost")
    server.start()
    ann.see("Connected again")
    server.joined("bob", token=bob.passed[0]["token"])
    cyd = server.joined("cyd")
    ann.see("cyd joined", not_="bob joined")
    cyd.say("see who is here")
    ann.see("see who is here")
    ann.type("/who\r")
    ann.see("bob  online", not_="bob joined")


def test_who_asks_for_a_try_is_tried_for_soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda _least, most: most)
    delays: list[float] = []
    tries = 0

    async def refused() -> None:
        nonlocal tries
        tries += 1
        raise ConnectionRefusedError

    def changed(change: Change) -> None:
        if change.status is Status.WAITING:
            assert change.retry_at is not None
            delays.append(round(change.retry_at - time.monotonic(), 1))
            if len(delays) == 3:
                reconnecting.try_now()
            elif len(delays) == 5:
                reconnecting.stop()

    reconnecting = Reconnecting(Settings("localhost", 1, "ann", 1), changed)
    with ThreadPoolExecutor(1) as other:  # in this thread chromium's tests leave a loop running
        other.submit(asyncio.run, reconnecting.run(refused)).result(20)
    assert delays == [0.5, 1.0, 2.0, 0.5, 1.0]
    assert tries == 5
