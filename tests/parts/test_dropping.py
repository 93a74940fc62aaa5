"""What the index keeps of messages that were dropped: nothing, in the end."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from framing.events import History
from framing.requests import Join, Say, Search
from parley.server.chat import searching
from tests.parts.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def test_words_that_were_dropped_take_no_space(house: House) -> None:
    client = house.connect()
    house.ask(client, Join("ann", 1, 0.0))
    dice = random.Random(5)
    sizes = []
    text = ""
    for part in range(10):
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
    assert max(sizes[1:]) < 1.5 * sizes[0]
    list(client.events())
    house.ask(client, Search("s", text.split()[0]))
    house.quiet()
    (page,) = [event for event in client.events() if isinstance(event, History)]
    assert [message.text for message in page.messages] == [text]


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
    house.ask(client, Search("s", "word"))
    house.tick()  # the first stretch, which is all there is
    (page,) = [event for event in client.events() if isinstance(event, History)]
    assert page.end and [message.text for message in page.messages] == ["word since then"]
