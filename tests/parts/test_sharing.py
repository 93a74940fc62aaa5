"""Sharing, in one tick: what meets what."""

import subprocess

import pytest

from framing.events import AnyEvent, Error, Message, Ok
from framing.requests import Enter, Get, Join, Leave, Put
from parley.server.carrying.transfers import Incoming, Transfers
from parley.server.chat.sharing import Answer
from parley.server.files.shelf import Shelf
from parley.server.files.tickets import TicketError, Upload
from parley.server.index.archive import Archive
from parley.server.index.errors import IndexUnavailableError
from parley.server.net.loop import Loop
from tests.files.carrying import sha256
from tests.parts.house import Client, House


def joined(house: House, nick: str) -> Client:
    client = house.connect()
    house.ask(client, Join(nick, 1, 0.0))
    house.quiet()
    list(client.events())
    return client


def offered(house: House, client: Client, name: str, data: bytes, to: str) -> Upload:
    """Return the upload that a client is given leave for."""
    asked = Put("p", name, len(data), sha256(data), to)
    return house.chat.sharing.uploads.offer(client.session, asked, house.moment)


def test_a_line_about_a_file_goes_to_nobody_when_its_room_goes_in_the_same_tick(
    house: House,
) -> None:
    ann, eve = joined(house, "ann"), joined(house, "eve")
    house.ask(ann, Enter("e", "#secret", True))
    house.quiet()
    upload = offered(house, ann, "plan", b"plan", "#secret")
    sharing = house.chat.sharing
    sharing.shelf.prepare()
    sharing.shelf.parts.path(upload.part).write_bytes(b"plan")
    answers: list[Ok | TicketError] = []
    sharing.come(upload, house.moment, answers.append)
    house.ask(ann, Leave("l", "#secret"))
    house.quiet()
    assert [type(answer) for answer in answers] == [Ok]
    assert [said.message.to for said in house.said] == ["#secret"]
    assert [event for event in eve.events() if isinstance(event, Message)] == []


def test_who_waits_for_a_file_that_goes_meanwhile_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = joined(house, "ann")
    shelf = house.chat.sharing.shelf
    shelf.prepare()
    (shelf.directory / "notes").write_bytes(b"by hand")
    house.ask(ann, Get("g", "notes"))
    house.quiet()
    assert list(ann.events()) == []  # it is read through first
    (shelf.directory / "notes").unlink()
    while shelf.busy:
        shelf.work()
    with monkeypatch.context() as soon:
        soon.setattr(Shelf, "behind", lambda *_: True)  # what went will be seen, not yet
        house.tick()
        house.tick()
    told: list[AnyEvent] = []
    while not told:
        house.tick()
        told += ann.events()
    assert [event.error for event in told if isinstance(event, Error)] == ["NO_SUCH_FILE"]


def test_an_upload_is_refused_while_its_owner_cannot_be_looked_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = joined(house, "ann")
    upload = offered(house, ann, "plan", b"plan", "#lobby")
    house.lose(ann)

    def full(_: object, __: str) -> None:
        raise IndexUnavailableError("the disk is full")

    monkeypatch.setattr(Archive, "holder", full)
    answers: list[Ok | TicketError] = []
    house.chat.sharing.come(upload, house.moment, answers.append)
    (answer,) = answers
    assert isinstance(answer, TicketError) and answer.word.value == "STORE_UNAVAILABLE"


class Carrier:
    """Brings nothing, and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Ok | TicketError] = []

    def caught_up(self) -> None:
        """It may begin."""

    def close(self) -> None:
        """It is broken off."""


def test_two_thousand_uploads_are_refused_when_no_process_can_be_started(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = joined(house, "ann")
    loop = Loop()
    transfers = Transfers(loop, house.chat.sharing)
    whole: list[tuple[Incoming, Answer]] = []
    carrier = Carrier()
    for number in range(800):
        upload = offered(house, ann, f"file {number}", b"", "@ann")
        house.chat.sharing.uploads.begin(upload, house.moment)
        whole.append((transfers.gather(upload, 0, carrier), carrier.told.append))
    started: list[object] = []

    def no_process(*arguments: object, **_: object) -> None:
        started.append(arguments)
        if len(started) == 1:
            # All the others have come by the time the first fails.
            for incoming, answer in whole[1:]:
                transfers.whole(incoming, answer)
        raise OSError(11, "no more processes")

    monkeypatch.setattr(subprocess, "Popen", no_process)
    transfers.whole(*whole[0])
    words = [answer.word.value for answer in carrier.told if isinstance(answer, TicketError)]
    assert words == ["STORE_UNAVAILABLE"] * len(whole)
    loop.close()
