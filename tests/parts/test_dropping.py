"""What the index keeps of messages that were dropped: nothing, sooner or later."""

import random

import pytest

from framing.events import History, Message, Rooms
from framing.names import LOBBY
from framing.requests import Enter, Join, Leave, ListRooms, Say, Search
from parley.server.chat import searching
from parley.server.index import retention
from parley.server.index.archive import Archive
from parley.server.index.retention import Keep
from parley.server.index.streams import Stream
from parley.server.log.records import Origin, Said
from tests.parts.house import House


def test_words_that_were_dropped_take_no_space(house: House) -> None:
    client = house.connect()
    house.ask(client, Join("ann", 1, 0.0))
    dice = random.Random(5)
    sizes = []
    text = ""
    for part in range(12):
        for number in range(60):
            text = " ".join(f"w{dice.randrange(10**9)}" for _ in range(12))
            house.ask(client, Say(f"{part} {number}", text))
            house.quiet()
            house.index.commit()  # as where somebody says something now and then
        house.rotate()
        if part:
            house.drop_oldest()
        query = "SELECT sum(length(block)) FROM words_data"
        sizes.append(house.index.db.execute(query).fetchone()[0])
    assert max(sizes[1:]) < 4 * sizes[0], "at most twice as much as the two files that there are"
    list(client.events())
    house.ask(client, Search("s", text.split()[0]))
    house.quiet()
    (page,) = [event for event in client.events() if isinstance(event, History)]
    assert [message.text for message in page.messages] == [text]


def say_and_drop(house: House, messages: int) -> None:
    """Say so much that a file is dropped after some eighty messages, again and again."""
    house.retention.keep = Keep(size=200_000, drop=True)
    for first in range(0, messages, 50):
        for number in range(first, first + 50):
            text = f"word {number} " + "x" * (number % 700)
            message = Message(0, "ann", 1, LOBBY, text, 1.0, len(text))
            house.log.append(Said(message, Origin(f"r{number}", "~1")))
        house.index.add(house.log.commit(0.0))
        house.retention.look(1.0)
        while house.retention.under_way:
            house.retention.step(1.0)
        if first % 1000 == 0:
            house.index.commit()


def test_drops_do_not_make_the_table_of_words_ever_deeper(house: House) -> None:
    say_and_drop(house, 6_000)
    assert house.log.files.number > 50
    query = "SELECT block FROM words_data WHERE id = 10"  # FTS5's structure record
    (block,) = house.index.db.execute(query).fetchone()
    levels = block[4]  # behind a cookie of four bytes
    assert levels < 20  # SQLite 3.40 reads no more than 2,000


@pytest.mark.long
def test_after_a_thousand_drops_all_that_is_left_is_found(house: House) -> None:
    say_and_drop(house, 80_000)
    assert house.log.files.number > 1000
    seqs = range(house.index.floor + 1, house.index.seq + 1)
    assert seqs
    archive = Archive(house.log, house.index)
    sight = archive.sight([Stream(LOBBY)])
    found, _ = archive.search("word", sight, None, seqs, 1000)
    assert [said.seq for said in found] == [*reversed(seqs)]


def test_who_said_nothing_that_is_left_is_no_sender_any_more(house: House) -> None:
    for nick in ("ann", "bob"):
        client = house.connect()
        house.ask(client, Join(nick, 1, 0.0))
        house.quiet()
        house.ask(client, Say("r", f"I am {nick}"))
        house.quiet()
        house.rotate()
    query = "SELECT nick FROM sender ORDER BY nick"
    assert house.index.db.execute(query).fetchall() == [("ann",), ("bob",)]
    house.drop_oldest()
    assert house.index.db.execute(query).fetchall() == [("bob",)]


def test_nothing_is_looked_for_among_what_was_dropped(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = house.connect()
    house.ask(client, Join("ann", 1, 0.0))
    for number in range(60):
        house.ask(client, Say(f"r{number}", f"word {number}"))
        house.quiet()
    house.rotate()
    house.drop_oldest()
    house.ask(client, Say("last", "word since then"))
    house.quiet()
    list(client.events())
    monkeypatch.setattr(searching, "STRETCH", 10)
    monkeypatch.setattr(searching, "_SECONDS", 0)
    house.ask(client, Search("s", "word"))
    house.tick()  # the first stretch, which is all there is
    (page,) = [event for event in client.events() if isinstance(event, History)]
    assert page.end and [message.text for message in page.messages] == ["word since then"]


def test_marks_are_looked_at_a_few_at_a_time_and_those_that_are_needed_stay(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_MARKS_AT_ONCE", 3)
    for part in range(2):
        for number in range(8):
            client = house.connect()
            house.ask(client, Join(f"p{part}{number}", 1, 0.0))
            house.quiet()
            house.ask(client, Enter("e", f"#room{number}"))
            house.quiet()
            if number % 2:
                house.ask(client, Leave("l", f"#room{number}"))
                house.quiet()
        house.rotate()
    steps = []
    step = house.retention.step

    def counted(utc: float) -> None:
        steps.append(utc)
        step(utc)

    monkeypatch.setattr(house.retention, "step", counted)
    house.drop_oldest()
    house.drop_oldest()
    assert len(steps) > 10
    house.restart()
    rooms = house.connect()
    house.ask(rooms, Join("p00", 2, 0.0))
    house.quiet()
    list(rooms.events())
    house.ask(rooms, ListRooms("r"))
    house.quiet()
    (found,) = [event for event in rooms.events() if isinstance(event, Rooms)]
    assert [room.room for room in found.rooms] == ["#lobby", *(f"#room{n}" for n in (0, 2, 4, 6))]


@pytest.mark.parametrize("killed", [False, True])
def test_an_index_that_could_not_be_told_of_a_drop_is_told_later_or_made_again(
    house: House, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    client = house.connect()
    house.ask(client, Join("ann", 1, 0.0))
    house.quiet()
    house.ask(client, Enter("e", "#lab"))
    house.quiet()
    house.rotate()
    remove = house.log.files.remove

    def remove_and_refuse(number: int) -> None:
        remove(number)
        house.index.db.execute("PRAGMA query_only=ON")

    monkeypatch.setattr(house.log.files, "remove", remove_and_refuse)
    house.drop_oldest()
    house.index.db.execute("PRAGMA query_only=OFF")
    house.ask(client, Say("s", "later"))
    house.quiet()
    if killed:
        house.crash()
    else:
        house.rotate()
        assert not house.retention.under_way  # it is not time yet
        house.mono += 100
        house.rotate()
        while house.retention.under_way:
            house.retention.step(house.moment.utc)
        house.rotate()
        house.restart()
    assert house.trusted is not killed
    client = house.connect()
    house.ask(client, Join("bob", 1, 0.0), ListRooms("r"))
    house.quiet()
    (rooms,) = [event for event in client.events() if isinstance(event, Rooms)]
    assert "#lab" in {room.room for room in rooms.rooms}


@pytest.mark.parametrize("damage", ["changed", "cut"])
def test_a_file_that_the_disk_has_damaged_ends_nothing_when_it_is_to_be_dropped(
    house: House, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = house.connect()
    house.ask(client, Join("ann", 1, 0.0))
    for number in range(5):
        house.ask(client, Say(f"r{number}", f"text {number}"))
        house.quiet()
    house.rotate()
    path = house.data / "history-000001.json"
    whole = path.read_bytes()
    at = whole.index(b"text 3")
    path.write_bytes(whole[:at] + (b"\xff" + whole[at + 1 :] if damage == "changed" else b""))
    house.drop_oldest()
    assert "history-000001.json at byte" in caplog.text
    assert path.exists()
    path.write_bytes(whole)
    house.ask(client, Say("s", "later"))
    house.quiet()
    house.mono += 100  # it is tried again
    house.drop_oldest()
    assert not path.exists()
